"""Text to tokens as llama.cpp does it for vocabularies of the kind that SmolLM2 has.

Byte-pair encoding over GPT-2's pieces, with every digit a piece of its own (`tokenizer.ggml.pre` =
`smollm`). Written out here so that preparing data needs no more than the model's own file; that the
tokens are llama.cpp's is checked by `cargo xtask models completion check`.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache

from .errors import Refused

# `token_type` of markers that plain text never gives.
CONTROL = 3
# Of tokens that llama.cpp finds in plain text, too.
_USER_DEFINED = 4


@cache
def _pieces() -> re.Pattern[str]:
    """GPT-2's expression with single digits. Unicode's classes are spelled out: `re` knows none."""
    letters, numbers = _class("L"), _class("N")
    # White_Space of Unicode; `\s` of `re` has four control characters more.
    spaces = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    return re.compile(
        rf"[{numbers}]|'(?:[stmd]|re|ve|ll)| ?[{letters}]+| ?[^{spaces}{letters}{numbers}]+"
        # What a digit follows ends there, as at the end of the text.
        rf"|[{spaces}]+(?![^{spaces}{numbers}])|[{spaces}]+"
    )


def _class(major: str) -> str:
    """The inside of a character class with all of a major category."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == major:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


# The same for texts without other letters: much quicker.
_ASCII = re.compile(
    r"[0-9]|'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[^\t-\r A-Za-z0-9]+|[\t-\r ]+(?![^\t-\r 0-9])|[\t-\r ]+"
)


@cache
def _byte_characters() -> dict[int, str]:
    """GPT-2's character for each byte: itself where that can be seen, else one from U+0100 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + place) for place, byte in enumerate(others)}


class Tokenizer:
    """A vocabulary and its merges."""

    def __init__(self, tokens: Sequence[str], types: Sequence[int], merges: Sequence[str]) -> None:
        if len(tokens) > 1 << 16:
            raise Refused(f"the vocabulary has {len(tokens)} tokens; data are kept with 16 bits for each")
        if _USER_DEFINED in types:
            token = tokens[list(types).index(_USER_DEFINED)]
            raise Refused(f"the vocabulary has the user-defined token {token!r}, which plain text may hold")
        self._ids = {token: number for number, token in enumerate(tokens)}
        self._ranks = {tuple(merge.split(" ", 1)): rank for rank, merge in enumerate(merges)}
        characters = _byte_characters()
        bytes_of = {character: byte for byte, character in characters.items()}
        self._table = {byte: character for byte, character in characters.items()}
        self._bytes = [
            b"" if kind == CONTROL else bytes(bytes_of[character] for character in token)
            for token, kind in zip(tokens, types, strict=True)
        ]
        self._known: dict[str, tuple[int, ...]] = {}
        digest = hashlib.sha256("\0".join([*tokens, *merges]).encode())
        # Tells vocabularies apart.
        self.hash = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._bytes)

    def special(self, name: str) -> int:
        """The token of a marker."""
        number = self._ids.get(name)
        if number is None or self._bytes[number]:
            raise Refused(f"the vocabulary has no marker {name}")
        return number

    def bytes_of(self, token: int) -> bytes:
        """What a token stands for; nothing for a marker."""
        return self._bytes[token]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; markers have none."""
        return b"".join(map(self.bytes_of, tokens)).decode("utf-8", "replace")

    def encode(self, text: str) -> list[int]:
        """The tokens of plain text; what looks like a marker in it stays text."""
        found: list[int] = []
        known = self._known
        for piece in (_ASCII if text.isascii() else _pieces()).findall(text):
            tokens = known.get(piece)
            if tokens is None:
                tokens = known[piece] = tuple(self._merged(piece))
            found.extend(tokens)
        return found

    def _merged(self, piece: str) -> list[int]:
        parts = [self._table[byte] for byte in piece.encode()]
        while len(parts) > 1:
            pairs = zip(parts, parts[1:], strict=False)
            rank, first = min(
                (self._ranks.get(pair, len(self._ranks)), place) for place, pair in enumerate(pairs)
            )
            if rank == len(self._ranks):
                break
            parts[first : first + 2] = [parts[first] + parts[first + 1]]
        return [self._ids[part] for part in parts]
