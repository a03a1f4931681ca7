"""Which part of a file is cut out for a model to fill in: at the level of lines, of syntax nodes, or of
characters.

Syntax nodes come from tree-sitter, whose grammars are small wheels of their own; files of languages
without one give lines and characters.
"""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from .config import KINDS, Data
from .errors import needs

# Languages of the collector by the module and the function of their grammar.
GRAMMARS = {
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "python": ("tree_sitter_python", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
# The product asks a model only where nothing or what closes follows on the line.
_CLOSING = re.compile(r"[)\]}>\"'`,;: ]*$")
_WORD = re.compile(r"\w+|[^\w\s]")
# As many as `server/completion/src/stop.rs` lets a suggestion have.
_BLOCK_LINES = 12
# Shortest node that is worth a guess, in bytes.
_LEAST_NODE = 3


@dataclass(frozen=True)
class Span:
    """A part of a text, in characters."""

    kind: str
    start: int
    end: int


class Cutter:
    """Chooses spans of one file."""

    def __init__(self, language: str, text: str, most: int, parse: bool = True) -> None:
        """`most` is the longest span in characters; without `parse` there are no nodes."""
        self._text = text
        self._most = most
        self._nodes = _nodes(language, text, most) if parse and language in GRAMMARS else []
        self._lines = [
            (match.start(), match.end())
            for match in re.finditer(r"[^\n]+", text)
            if len(_WORD.findall(match.group())) >= 2
        ]

    def cut(self, shares: Data, chance: random.Random) -> Span | None:
        """A span of a kind drawn by its share; a line where a file has no nodes."""
        [kind] = chance.choices(KINDS, [getattr(shares, kind) for kind in KINDS])
        return self.cut_as(kind, chance)

    def cut_as(self, kind: str, chance: random.Random) -> Span | None:
        """A span of this kind, if the file has one."""
        if kind == "node" and self._nodes:
            return self._node(chance)
        if kind == "character":
            return self._characters(chance)
        if kind == "block":
            return self._block(chance)
        return self._line(chance)

    def _line(self, chance: random.Random) -> Span | None:
        """From somewhere on a line to its end, or to the closing marks at its end."""
        if not self._lines:
            return None
        start, end = chance.choice(self._lines)
        line = self._text[start:end].rstrip()
        indent = len(line) - len(line.lstrip())
        cut = chance.randrange(indent, len(line))
        stop = len(line)
        closing = _CLOSING.search(line, cut + 1)
        # As an editor that closes brackets and quotes by itself leaves the line.
        if closing and closing.group().strip() and chance.random() < 0.3:
            stop = closing.start()
        return Span("line", start + cut, min(start + stop, start + cut + self._most))

    def _node(self, chance: random.Random) -> Span:
        """A node of about a length that is drawn first, so that blocks are as frequent as names."""
        length = _LEAST_NODE * (self._most / _LEAST_NODE) ** chance.random()
        near = sorted(self._nodes, key=lambda node: abs(node[1] - node[0] - length))[:16]
        start, end = chance.choice(near)
        # The cursor often stands inside of what is being written.
        if chance.random() < 0.5:
            start = chance.randrange(start, end)
        return Span("node", start, end)

    def _block(self, chance: random.Random) -> Span | None:
        """The lines below one that opens a block, behind the first one's indentation, for as long as they
        are indented deeper; what the product proposes several lines for."""
        opening = [
            (start, end) for start, end in self._lines if self._text[start:end].rstrip()[-1:] in "{:(["
        ]
        for start, end in chance.sample(opening, min(len(opening), 8)):
            floor = _indent(self._text[start:end])
            first = stop = end + 1
            below = self._text[first : first + 2 * self._most].split("\n")[:_BLOCK_LINES]
            for line in (f"{line}\n" for line in below):
                shallow = line.strip() and _indent(line) <= floor
                if shallow or stop + len(line) - first > self._most:
                    break
                stop += len(line)
            block = self._text[first:stop].rstrip()
            if block.strip() and block[0] in " \t":
                return Span("block", first + _indent(block), first + len(block))
        return None

    def _characters(self, chance: random.Random) -> Span | None:
        if len(self._text) < 2:
            return None
        start = chance.randrange(len(self._text) - 1)
        length = int(self._most ** chance.random())
        return Span("character", start, min(start + max(length, 1), len(self._text)))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


@cache
def _parser(language: str) -> Callable[[bytes], Any]:
    module, function = GRAMMARS[language]
    try:
        from tree_sitter import Language, Parser

        grammar = getattr(importlib.import_module(module), function)()
    except ImportError as error:
        raise needs(module, error) from error
    return Parser(Language(grammar)).parse


def _nodes(language: str, text: str, most: int) -> list[tuple[int, int]]:
    """Named nodes of a fitting length, without those in broken places; each extent once."""
    data = text.encode()
    found: set[tuple[int, int]] = set()
    cursor = _parser(language)(data).walk()
    deeper = True
    while True:
        node = cursor.node
        if deeper:
            length = node.end_byte - node.start_byte
            if node.is_named and not node.has_error and _LEAST_NODE <= length <= most:
                found.add((node.start_byte, node.end_byte))
            if length > _LEAST_NODE and cursor.goto_first_child():
                continue
        if cursor.goto_next_sibling():
            deeper = True
        elif cursor.goto_parent():
            deeper = False
        else:
            break
    if text.isascii():
        return sorted(found)
    # Offsets of characters instead of bytes.
    characters, at = {}, 0
    for offset, character in enumerate(text):
        characters[at] = offset
        at += len(character.encode())
    characters[at] = len(text)
    return sorted((characters[start], characters[end]) for start, end in found)
