"""Prompts as the product lays them out: `server/prompt/src/fim.rs` and `budget.rs`, and healing as in
`server/inference-llama/src/healing.rs`. `cargo xtask models completion check` compares the two.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import Refused

FORMATS = Path(__file__).resolve().parents[2] / "formats"

# Shares of the budget in percent: other places, text after the cursor.
_EXCERPT_SHARE = 30
_SUFFIX_SHARE = 15
# Lines by which the start of the prefix moves.
_STEP = 16
# Most tokens that healing takes off a prompt.
_HEALED = 4


@dataclass(frozen=True)
class Format:
    """The part of a format file that fill-in-the-middle needs; `!` begins the name of a marker."""

    prefix: str
    suffix: str
    middle: str
    repository: list[str]
    file: list[str]
    current: list[str]
    head: str = ""

    @property
    def markers(self) -> list[str]:
        """The tokens that separate prefix, suffix and middle."""
        return [self.prefix, self.suffix, self.middle]

    @classmethod
    def of(cls, family: str) -> Format:
        """The format of a family of `models/formats`."""
        path = FORMATS / f"{family}.toml"
        try:
            fim = dict(tomllib.loads(path.read_text("utf-8"))["fim"])
        except (OSError, KeyError) as error:
            raise Refused(f"{path} describes no fill-in-the-middle") from error
        if fim.pop("order") != "psm" or fim.pop("excerpts") != "before":
            raise Refused(f"{path}: only the order prefix, suffix, middle with other files first is trained")
        return cls(**({"repository": []} | fim))


@dataclass(frozen=True)
class Excerpt:
    """A piece of another place of the workspace."""

    path: str
    text: str


@dataclass(frozen=True)
class Context:
    """What surrounds the cursor."""

    path: str
    prefix: str
    suffix: str
    excerpts: Sequence[Excerpt] = ()


@dataclass(frozen=True)
class Text:
    """Plain text of a prompt."""

    text: str


@dataclass(frozen=True)
class Special:
    """A marker of a prompt, by its name."""

    name: str


Piece = Text | Special


def estimate(text: str) -> int:
    """Tokens of a text at 3.2 bytes each, rounded up."""
    return _of_bytes(len(text.encode()))


def _of_bytes(count: int) -> int:
    return -(-count * 5 // 16)


def prompt(layout: Format, context: Context, tokens: int) -> list[Piece]:
    """The prompt for a budget of estimated tokens. The cursor's line stands last, behind the marker of
    the middle."""
    excerpts, left = [], tokens * _EXCERPT_SHARE // 100
    for excerpt in context.excerpts:
        if (size := estimate(excerpt.text)) <= left:
            left -= size
            excerpts.append(excerpt)
    suffix = _first_lines(context.suffix, tokens * _SUFFIX_SHARE // 100)
    used = sum(estimate(excerpt.text) for excerpt in excerpts) + estimate(suffix)
    prefix = keep_end(context.prefix, max(tokens - used, 0))
    start = prefix.rfind("\n") + 1
    parts = _Parts()
    parts.fill(layout.repository, "", "")
    for excerpt in excerpts:
        parts.fill(layout.file, excerpt.path, excerpt.text)
    if context.path:
        parts.fill(layout.current, context.path, "")
    parts.special(layout.prefix)
    parts.text(layout.head.replace("{path}", context.path))
    parts.text(prefix[:start])
    parts.special(layout.suffix)
    parts.text(suffix)
    parts.special(layout.middle)
    parts.text(prefix[start:])
    return parts.pieces


class _Parts:
    """Pieces under construction; neighbouring texts become one."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def text(self, text: str) -> None:
        if text and self.pieces and isinstance(self.pieces[-1], Text):
            self.pieces[-1] = Text(self.pieces[-1].text + text)
        elif text:
            self.pieces.append(Text(text))

    def special(self, name: str) -> None:
        if name:
            self.pieces.append(Special(name))

    def fill(self, parts: list[str], path: str, text: str) -> None:
        for part in parts:
            if part.startswith("!"):
                self.special(part[1:])
            elif part.startswith("{text}"):
                rest = part.removeprefix("{text}")
                self.text(text)
                self.text(rest.lstrip("\n") if text.endswith("\n") else rest)
            else:
                self.text(part.replace("{path}", path))


def _line_starts(text: str) -> list[int]:
    starts = [0]
    while (end := text.find("\n", starts[-1])) >= 0 and end + 1 < len(text):
        starts.append(end + 1)
    return starts if text else []


def keep_end(text: str, tokens: int) -> str:
    """The end of the text that fits, from a line's beginning; lines go in steps."""
    if estimate(text) <= tokens:
        return text
    starts = _line_starts(text)
    for some in (starts[::_STEP], starts):
        # Binary search: the later the start, the less is left.
        low, high = 0, len(some)
        while low < high:
            middle = (low + high) // 2
            if estimate(text[some[middle] :]) <= tokens:
                high = middle
            else:
                low = middle + 1
        if low < len(some):
            return text[some[low] :]
    return ""


def keep_start(text: str, tokens: int) -> str:
    """The beginning of the text that fits, to a line's end."""
    if estimate(text) <= tokens:
        return text
    starts = _line_starts(text)
    fitting = bisect_right(starts, tokens, key=lambda end: estimate(text[:end]))
    return text[: starts[fitting - 1]] if fitting else ""


def _first_lines(suffix: str, tokens: int) -> str:
    kept = keep_start(suffix, tokens)
    if tokens > 0 and not kept:
        return suffix.split("\n", 1)[0].removesuffix("\r")
    return kept


def heal(tokens: list[int], plain: int, bytes_of: Callable[[int], bytes]) -> tuple[list[int], bytes]:
    """The prompt without its last token and those before it of the same word, and their text.

    Only the last `plain` tokens are plain text; one token always stays.
    """
    most = max(min(plain, _HEALED, len(tokens) - 1), 0)
    rest, count = b"", 0
    for token in reversed(tokens[len(tokens) - most :]):
        piece = bytes_of(token)
        same_word = (not rest or _is_word(rest[0])) and bool(piece) and _is_word(piece[-1])
        if count and not same_word:
            break
        rest = piece + rest
        count += 1
    if not rest:
        return tokens, b""
    return tokens[: len(tokens) - count], rest


def _is_word(byte: int) -> bool:
    return byte >= 0x80 or byte == 0x5F or chr(byte).isalnum()
