"""What a source file is cut into: chunks of lines, functions, and the comments that describe them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

CHUNK_LINES = 50
_MAX_FUNCTION_LINES = 120
# A description of fewer words says too little to be a question, and one of more is an article.
DOC_WORDS = range(4, 80)


@dataclass(frozen=True)
class Located:
    """A described function by the lines of its file, counted from 0."""

    lines: range
    # Those of the description: among the others in Python, above them elsewhere.
    described: range
    doc: str
    # Whether there is more to it than its description.
    has_body: bool = True

    def code(self, lines: list[str]) -> str:
        """The function without its description."""
        return "\n".join(lines[at] for at in self.lines if at not in self.described)


@dataclass(frozen=True)
class Function:
    """A function without its description, and the description's first paragraph."""

    language: str
    path: str
    code: str
    doc: str


_JS = re.compile(
    r"^\s*(?:export\s+)?(?:default\s+)?(?:"
    r"(?:async\s+)?function\b"
    r"|(?:const|let|var)\s+[\w$]+\s*(?::[^=]+)?=\s*(?:async\s*)?(?:function\b|\(|[\w$]+\s*=>)"
    r"|(?:(?:public|private|protected|static|async|override|get|set)\s+)*"
    r"(?!if\b|for\b|while\b|switch\b|catch\b|return\b)[\w$#]+\s*(?:<[^>]*>)?\([^;]*$"
    r"|(?:[\w$]+\.)+[\w$]+\s*=\s*(?:async\s*)?(?:function\b|\())"
)
_C = re.compile(
    r"^(?!\s*(?:if|for|while|switch|return|else|typedef|struct|enum|#)\b)"
    r"\s*[\w:<>,*&\[\]~\s]*[\w>*&]\s+[*&]*[\w:~]+\s*\([^;]*$"
)
_FUNCTION = {
    "rust": re.compile(
        r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:(?:const|async|unsafe|default|extern\s+\"\w+\")\s+)*fn\s+\w+"
    ),
    "javascript": _JS,
    "typescript": _JS,
    "go": re.compile(r"^func\b"),
    "c": _C,
    "cpp": _C,
    "java": _C,
    "csharp": _C,
    "php": re.compile(r"^\s*(?:(?:public|private|protected|static|final|abstract)\s+)*function\b"),
    "ruby": re.compile(r"^\s*def\s+\w+"),
    "bash": re.compile(r"^\s*(?:function\s+[\w:-]+|[\w:-]+\s*\(\))\s*(?:\(\))?\s*\{"),
}
_LINE_COMMENT = {
    "rust": "///", "go": "//", "ruby": "#", "bash": "#", "csharp": "///", "c": "//", "cpp": "//",
}  # fmt: skip
# What a block comment above a function starts with, where there are such.
_BLOCK_COMMENT = {
    **dict.fromkeys(("javascript", "typescript", "java", "php", "csharp"), "/**"),
    **dict.fromkeys(("c", "cpp"), "/*"),
}
# What may stand between a description and its function.
_BETWEEN = re.compile(r"^\s*(?:#\[.*|@[\w.]+.*|\[\w+.*\]|template\s*<.*>)\s*$")
_TAGS = re.compile(r"^\s*(?:@\w|\\(?:param|return|brief\b)|:param|:return|Args:|Parameters\b|#\s+\w|```|---)")


def chunks(text: str) -> Iterator[str]:
    """The text in pieces of `CHUNK_LINES` lines, as an index without a parser cuts it."""
    lines = text.splitlines()
    for start in range(0, len(lines), CHUNK_LINES):
        chunk = "\n".join(lines[start : start + CHUNK_LINES]).strip()
        if chunk:
            yield chunk


def functions(language: str, path: str, text: str) -> Iterator[Function]:
    """The described functions of a file; nothing for a language that none are known of."""
    lines = text.splitlines()
    for found in located(language, text):
        doc, code = first_paragraph(found.doc), found.code(lines)
        if found.has_body and len(doc.split()) in DOC_WORDS and len(code.splitlines()) >= 3:
            yield Function(language, path, code, doc)


def located(language: str, text: str) -> Iterator[Located]:
    """The functions of a file that have a description, however short; nothing for a language that
    none are known of."""
    if language == "python":
        yield from _python(text)
    elif language in _FUNCTION:
        yield from _commented(language, text)


def first_paragraph(doc: str) -> str:
    """What a description says first, on one line and without markup of its own."""
    kept: list[str] = []
    for line in doc.strip().splitlines():
        line = re.sub(r"\s*<[^<>]{1,80}>\s*", " ", line.strip())
        line = re.sub(r"^(?:@brief|\\brief)\s+", "", line)
        if kept and not line or _TAGS.match(line):
            break
        kept.append(line)
    return " ".join(" ".join(kept).split())


def _python(text: str) -> Iterator[Located]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or not node.body:
            continue
        doc = ast.get_docstring(node)
        first = node.body[0]
        if not doc or first.end_lineno is None or node.end_lineno is None:
            continue
        end = min(node.end_lineno, node.lineno + _MAX_FUNCTION_LINES)
        described = range(first.lineno - 1, first.end_lineno)
        yield Located(range(node.lineno - 1, end), described, doc, len(node.body) > 1)


def _commented(language: str, text: str) -> Iterator[Located]:
    """Functions with a block comment, or with line comments of the language's kind, right above."""
    lines = text.splitlines()
    marker = _LINE_COMMENT.get(language)
    block = _BLOCK_COMMENT.get(language)
    pattern = _FUNCTION[language]
    at = 0
    while at < len(lines):
        stripped = lines[at].strip()
        doc: list[str] = []
        start = at
        if block and stripped.startswith(block):
            while at < len(lines):
                line = lines[at].strip()
                at += 1
                doc.append(re.sub(r"^/\*+!?|^\*+(?!/)|\*+/.*$", "", line).strip())
                if "*/" in line:
                    break
        elif marker and re.match(re.escape(marker) + r"(?![/!])", stripped):
            while at < len(lines) and lines[at].strip().startswith(marker):
                doc.append(lines[at].strip()[len(marker) :].strip())
                at += 1
        else:
            at += 1
            continue
        described = range(start, at)
        while at < len(lines) and _BETWEEN.match(lines[at]):
            at += 1
        if at < len(lines) and pattern.match(lines[at]):
            end = _end(language, lines, at)
            if end is not None:
                yield Located(range(at, end + 1), described, "\n".join(doc))


def _end(language: str, lines: list[str], start: int) -> int | None:
    """The last line of the function that starts here; none without a body."""
    last = min(len(lines), start + _MAX_FUNCTION_LINES)
    if language == "ruby":
        indent = len(lines[start]) - len(lines[start].lstrip())
        for at in range(start + 1, last):
            if lines[at].strip() == "end" and len(lines[at]) - len(lines[at].lstrip()) == indent:
                return at
        return None
    depth, opened = 0, False
    for at in range(start, last):
        # Braces in strings and comments are too few to matter here.
        for char in lines[at]:
            if char == "{":
                depth += 1
                opened = True
            elif char == "}":
                depth -= 1
        if opened and depth <= 0:
            return at
        if not opened and lines[at].rstrip().endswith(";"):
            return None
    return last - 1 if opened else None
