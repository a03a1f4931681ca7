"""Makes the questions of `described` from pinned packages: `derive.py OUT [--cargo DIR]`.

Each function's documentation comment is cut out of its file; its first paragraph is the question, and the
place where the function now stands the answer. OUT gets a folder for each language and part:

  files/PACKAGE/...   the sources without the descriptions of their functions
  questions.json      {"functions": N, "questions": [{"ask", "path", "lines": [first, end]}]}

and for Python another one, `python-functions-PART`, with a file for each function and nothing else: so the
figures are usually given for this task. Lines count from 0, the end excluded. The same packages always give
the same bytes; what OUT already holds of them is left as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
sys.path.insert(0, str(REPOSITORY / "models"))

from pipeline import units  # noqa: E402

# Changes whenever the same packages would give other bytes.
FORMAT = 1
ENDINGS = {"python": (".py",), "rust": (".rs",), "typescript": (".ts", ".tsx"), "go": (".go",)}
# Most questions of a language: as many as a published comparison has for Python, half as many elsewhere.
MOST = {("python", "test"): 1000, ("python", "development"): 500}
MOST_ELSEWHERE = 500
# Nobody asks for a test by what it tests.
TEST = re.compile(r"(^|/)_?(tests?|testing|testdata|benches|examples?)/|(^|/)test_|_test\.|\.(test|spec)\.")
# A longer file is data.
MOST_BYTES = 1_000_000


class Unavailable(Exception):
    """A package that cannot be had here."""


@dataclass
class Derived:
    """The files and questions of one language and part."""

    files: dict[str, str] = field(default_factory=dict)
    # Path, place, description, code.
    functions: list[tuple[str, tuple[int, int], str, str]] = field(default_factory=list)
    descriptions: Counter[str] = field(default_factory=Counter)


def fetch(package: dict[str, str], cargo: Path, versions: dict[str, str], into: Path) -> Path:
    """The folder of a package's sources."""
    name, source = package["name"], package["source"]
    if source == "cargo":
        folder = cargo / f"{name}-{versions[name]}"
        if not folder.is_dir():
            raise Unavailable(f"{folder} is missing; run `cargo fetch`")
        return folder
    version = package["version"]
    commands = {
        "pypi": ["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                 "--platform", "any", "--implementation", "py", "--abi", "none", "--python-version", "3.11",
                 f"{name}=={version}"],
        "npm": ["npm", "pack", "--silent", f"{name}@{version}"],
        "debian": ["apt-get", "download", "-q", f"{name}={version}"],
    }  # fmt: skip
    try:
        done = subprocess.run(commands[source], cwd=into, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Unavailable(f"{name}: {error}") from error
    archives = [path for path in into.iterdir() if path.is_file()]
    if done.returncode != 0 or len(archives) != 1:
        raise Unavailable(f"{name} {version}: {done.stderr.strip() or done.stdout.strip()}")
    digest = hashlib.sha256(archives[0].read_bytes()).hexdigest()
    if digest != package["sha256"]:
        raise Unavailable(f"{name} {version} has SHA-256 {digest}, not that of packages.toml")
    folder = into / "unpacked"
    if source == "pypi":
        with zipfile.ZipFile(archives[0]) as archive:
            archive.extractall(folder)
    elif source == "npm":
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder, filter="data")
    else:
        subprocess.run(["dpkg-deb", "-x", archives[0], folder], check=True)
    return folder


def sources(folder: Path, language: str) -> Iterator[tuple[str, str]]:
    """The path and text of each source file, in order."""
    found = (path for path in folder.rglob("*") if path.name.endswith(ENDINGS[language]))
    for path in sorted(found, key=lambda path: path.as_posix()):
        if path.name.endswith(".d.ts") or not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        try:
            yield path.relative_to(folder).as_posix(), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def without_descriptions(language: str, text: str) -> tuple[str, list[tuple[units.Located, tuple[int, int]]]]:
    """The text without the descriptions of its functions, and where these then stand."""
    # Lines as parsers and editors count them.
    lines = text.replace("\r\n", "\n").split("\n")
    joined = "\n".join(lines)
    # What counts other characters as the ends of lines would give other numbers.
    if len(joined.splitlines()) not in (len(lines), len(lines) - 1):
        return joined, []
    found = list(units.located(language, joined))
    kept: list[str] = []
    place: list[int] = []
    stubs = {one.described.start for one in found if not one.has_body}
    cut = {at for one in found for at in one.described}
    for at, line in enumerate(lines):
        place.append(len(kept))
        if at in stubs:
            kept.append(line[: len(line) - len(line.lstrip())] + "...")
        elif at not in cut:
            kept.append(line)
    place.append(len(kept))
    return "\n".join(kept), [(one, (place[one.lines.start], place[one.lines.stop])) for one in found]


def derive(language: str, folder: Path, package: str, derived: Derived) -> None:
    """Adds a package's files and functions."""
    for path, text in sources(folder, language):
        held, found = without_descriptions(language, text)
        held_path = f"{package}/{path}"
        derived.files[held_path] = held
        lines = text.replace("\r\n", "\n").split("\n")
        for one, place in found:
            doc = units.first_paragraph(one.doc)
            code = one.code(lines)
            derived.descriptions[doc.lower()] += 1
            asked = one.has_body and len(doc.split()) in units.DOC_WORDS and len(code.splitlines()) >= 3
            if asked and not TEST.search(path):
                derived.functions.append((held_path, place, doc, code))


def chosen(derived: Derived, most: int) -> list[tuple[str, tuple[int, int], str, str]]:
    """The functions that are asked for: those with a description that says which is meant."""
    remaining = "\n".join(derived.files.values())
    asked, seen = [], set()
    order = sorted(
        derived.functions,
        key=lambda one: hashlib.sha256(f"{one[0]}\0{one[2]}\0{one[3]}".encode()).digest(),
    )
    for one in order:
        path, place, doc, code = one
        # Half of its words stand on one line of it at least; where they are still said, it is elsewhere.
        said = " ".join(doc.split()[:6]) in remaining
        if len(asked) < most and derived.descriptions[doc.lower()] == 1 and not said and code not in seen:
            asked.append(one)
        seen.add(code)
    return sorted(asked)


def write(out: Path, files: dict[str, str], functions: int, questions: list[dict[str, object]]) -> None:
    """Writes a folder of `OUT`, whole or not at all."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for path, text in files.items():
        file = partial / "files" / PurePosixPath(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="")
    content = {"functions": functions, "questions": questions}
    (partial / "questions.json").write_text(json.dumps(content, indent=0, ensure_ascii=False), "utf-8")
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def as_json(one: tuple[str, tuple[int, int], str, str]) -> dict[str, object]:
    """A question as the evaluation reads it."""
    path, place, doc, _ = one
    return {"ask": doc, "path": path, "lines": list(place)}


def functions_alone(derived: Derived, asked: list[tuple[str, tuple[int, int], str, str]]) -> tuple[
    dict[str, str], list[dict[str, object]]
]:
    """Each function as a file of its own, under a name that says nothing."""
    wanted = {(path, place) for path, place, _, _ in asked}
    files: dict[str, str] = {}
    questions: list[dict[str, object]] = []
    known: set[str] = set()
    for path, place, doc, code in sorted(derived.functions):
        if code in known:
            continue
        known.add(code)
        # Enough indentation taken away that it parses alone.
        margin = min((len(line) - len(line.lstrip()) for line in code.splitlines() if line.strip()), default=0)
        body = "\n".join(line[margin:] for line in code.splitlines()) + "\n"
        name = f"{len(files):05}.py"
        files[name] = body
        if (path, place) in wanted:
            questions.append({"ask": doc, "path": name, "lines": [0, body.count("\n")]})
    return files, questions


def cargo_sources() -> Path:
    """The folder of unpacked crates in cargo's home."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    found = sorted(path for path in (home / "registry" / "src").glob("*") if path.is_dir())
    return found[0] if found else home


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cargo", type=Path, help="unpacked crates (default: cargo's source cache)")
    args = parser.parse_args()
    packages = tomllib.loads((HERE / "packages.toml").read_text("utf-8"))["package"]
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text("utf-8"))
    versions = {entry["name"]: entry["version"] for entry in lock["package"]}
    cargo = args.cargo or cargo_sources()
    rules = (HERE / "derive.py", Path(units.__file__))
    args.out.mkdir(parents=True, exist_ok=True)
    for language, part in sorted({(one["language"], one["part"]) for one in packages}):
        own = [one for one in packages if (one["language"], one["part"]) == (language, part)]
        stamp = hashlib.sha256(
            json.dumps([FORMAT, own, [versions.get(one["name"]) for one in own]]).encode()
            + b"".join(rule.read_bytes() for rule in rules)
        ).hexdigest()
        done = args.out / f"{language}-{part}.stamp"
        if done.is_file() and done.read_text("utf-8") == stamp:
            continue
        done.unlink(missing_ok=True)
        derived = Derived()
        try:
            for one in own:
                with tempfile.TemporaryDirectory() as temporary:
                    folder = fetch(one, cargo, versions, Path(temporary))
                    derive(language, folder, one["name"].removeprefix("@"), derived)
        except Unavailable as error:
            shutil.rmtree(args.out / f"{language}-{part}", ignore_errors=True)
            print(f"{language}-{part} is left out: {error}", file=sys.stderr)
            continue
        asked = chosen(derived, MOST.get((language, part), MOST_ELSEWHERE))
        count = len(derived.functions)
        write(args.out / f"{language}-{part}", derived.files, count, [as_json(one) for one in asked])
        print(f"{language}-{part}: {len(asked)} questions, {count} functions", file=sys.stderr)
        if language == "python":
            files, questions = functions_alone(derived, asked)
            write(args.out / f"python-functions-{part}", files, len(files), questions)
            print(f"python-functions-{part}: {len(questions)} of {len(files)}", file=sys.stderr)
        done.write_text(stamp, "utf-8")


if __name__ == "__main__":
    main()
