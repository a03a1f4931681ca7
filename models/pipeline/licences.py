"""Which terms a text stands under, from what its package says and from the licence files beside it."""

from __future__ import annotations

import re

# SPDX names of licences that ask for no more than notice. Matching is without regard to case.
PERMISSIVE = frozenset(
    name.lower()
    for name in (
        "0BSD Apache-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 HPND "
        "ISC MIT MIT-0 NCSA Python-2.0 PSF-2.0 Unicode-3.0 Unicode-DFS-2016 Unlicense WTFPL X11 "
        "Zlib"
    ).split()
)

# Python packages from before licence expressions: what they write, as SPDX.
_LOOSE = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "isc license": "ISC",
    "public domain": "CC0-1.0",
}

# Telling phrases of licence texts.
_PHRASES = (
    (r"gnu affero general public", "AGPL-3.0-only"),
    (r"gnu (?:lesser|library) general public", "LGPL-2.1-only"),
    (r"gnu general public license", "GPL-2.0-only"),
    (r"mozilla public license", "MPL-2.0"),
    (r"eclipse public license", "EPL-2.0"),
    (r"server side public license", "SSPL-1.0"),
    (r"business source license", "BUSL-1.1"),
    (r"creative commons (?:attribution-(?:sharealike|noncommercial)|by-(?:sa|nc))", "CC-BY-SA-4.0"),
    (r"apache license,? version 2", "Apache-2.0"),
    (r"boost software license", "BSL-1.0"),
    (r"this is free and unencumbered software", "Unlicense"),
    (r"cc0 1\.0 universal", "CC0-1.0"),
    (r"python software foundation license", "PSF-2.0"),
    (r"unicode license v3|unicode, inc\. license agreement", "Unicode-3.0"),
    (r"blue oak model license", "BlueOak-1.0.0"),
    (r"do what the fuck you want", "WTFPL"),
    (r"permission is hereby granted, free of charge, to any person obtaining", "MIT"),
    (r"permission to use, copy, modify,? and(?:/or)? distribute this software for any purpose", "ISC"),
    (r"neither the name of .{0,120} may be used to endorse", "BSD-3-Clause"),
    (r"redistribution and use in source and binary forms", "BSD-2-Clause"),
    (r"altered source versions must be plainly marked", "Zlib"),
)

FILE_NAME = re.compile(r"^(?:un)?(?:licen[cs]e|copying|copyright|notice)(?:[._-].*)?$", re.IGNORECASE)


def permissive(expression: str) -> bool:
    """Whether an SPDX expression can be met by permissive licences alone.

    `OR` needs one such side, `AND` both; an exception (`WITH`) only ever adds freedom. An older
    `MIT/Apache-2.0` counts as `OR`. What cannot be read is not permissive.
    """
    tokens = re.findall(r"[()]|[^\s()/]+|/", expression.replace("/", " / "))

    def alternatives(at: int) -> tuple[bool, int]:
        value, at = conjunction(at)
        while at < len(tokens) and (tokens[at] == "/" or tokens[at].upper() == "OR"):
            other, at = conjunction(at + 1)
            value = value or other
        return value, at

    def conjunction(at: int) -> tuple[bool, int]:
        value, at = single(at)
        while at < len(tokens) and tokens[at].upper() == "AND":
            other, at = single(at + 1)
            value = value and other
        return value, at

    def single(at: int) -> tuple[bool, int]:
        if at >= len(tokens):
            raise ValueError("ends early")
        if tokens[at] == "(":
            value, at = alternatives(at + 1)
            if at >= len(tokens) or tokens[at] != ")":
                raise ValueError("no closing parenthesis")
            at += 1
        else:
            value = tokens[at].lower() in PERMISSIVE
            at += 1
        if at < len(tokens) and tokens[at].upper() == "WITH":
            at += 2
        return value, at

    try:
        value, at = alternatives(0)
    except ValueError:
        return False
    return value and at == len(tokens)


def normalise(declared: str) -> str:
    """A declared licence as SPDX where it is a well-known way of saying one."""
    return _LOOSE.get(" ".join(declared.lower().split()), declared.strip())


def of_text(text: str) -> list[str]:
    """The licences that a licence file names by their telling phrases, in the order of the text."""
    folded = " ".join(text.lower().replace("*", " ").replace("//", " ").split())
    found = {
        name: match.start() for phrase, name in _PHRASES if (match := re.search(phrase, folded))
    }
    # Every BSD text has this sentence.
    if "BSD-3-Clause" in found:
        found.pop("BSD-2-Clause", None)
    return sorted(found, key=found.__getitem__)


def judge(declared: str | None, files: list[str]) -> tuple[str | None, str]:
    """The terms of a package (or of a folder with a licence file of its own), and what they rest on.

    None where they are unknown or not permissive; then the second value is the reason.
    """
    found = [names for names in map(of_text, files) if names]
    if declared:
        declared = normalise(declared)
        if not permissive(declared):
            return None, "licence not permissive"
        # Below a package's own terms may stand those of others that it only comes with.
        if found and not any(permissive(names[0]) for names in found):
            return None, "licence file disagrees"
        return declared, "metadata and file" if found else "metadata"
    if not found:
        return None, "licence unknown"
    named = sorted({name for names in found for name in names})
    if not all(map(permissive, named)):
        return None, "licence not permissive"
    return " AND ".join(named), "file"


_SPDX = re.compile(r"SPDX-License-Identifier:\s*([^\n*]+)")


def of_header(text: str) -> tuple[str | None, bool]:
    """What a source file's first lines say: (a licence, whether the file may be used)."""
    head = text[:3000]
    stated = _SPDX.search(head)
    if stated:
        expression = re.sub(r"(?:-->|\*/|\"\"\").*", "", stated.group(1)).strip().rstrip(".;'\"")
        return expression, permissive(expression)
    folded = " ".join(head.lower().split())
    copyleft = re.search(
        r"gnu (?:affero |lesser |library )?general public licen[cs]e|mozilla public licen[cs]e", folded
    )
    return None, copyleft is None
