"""Texts to token ids: the table's own rule, and BERT's for the teacher.

The table's rule is the one that the daemon follows; `models/static-embedding.reference.json` holds
texts with their ids for both sides' tests.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

# WordPiece gives up on words longer than this, as BERT's does.
MAX_WORD = 100

_ASCII_RUN = re.compile(r"[A-Za-z0-9]+")
_ASCII_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def _is_word_char(char: str) -> bool:
    """What Rust's `char::is_alphanumeric` accepts once nonspacing marks are gone."""
    category = unicodedata.category(char)
    return category[0] in "LN" or category == "Mc" or "\u24b6" <= char <= "\u24e9"


def _parts(run: str) -> list[str]:
    """A run of word characters, split at changes of case and between letters and digits."""
    parts, start = [], 0
    for at in range(1, len(run)):
        before, here = run[at - 1], run[at]
        digit_before = unicodedata.category(before)[0] == "N"
        digit_here = unicodedata.category(here)[0] == "N"
        new_word = (before.islower() and here.isupper()) or (
            before.isupper() and here.isupper() and at + 1 < len(run) and run[at + 1].islower()
        )
        if digit_before != digit_here or new_word:
            parts.append(run[start:at])
            start = at
    parts.append(run[start:])
    return parts


def strip_marks(text: str) -> str:
    """The text decomposed, without nonspacing marks (accents)."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


def words(text: str) -> list[str]:
    """The words of a text by the table's rule: lowercase parts of identifiers and prose, in order."""
    if text.isascii():
        return [part.lower() for part in _ASCII_PART.findall(text)]
    found = []
    run = ""
    for char in strip_marks(text) + " ":
        if _is_word_char(char):
            run += char
        elif run:
            found.extend(part.lower() for part in _parts(run))
            run = ""
    return found


class Vocabulary:
    """BERT's WordPiece vocabulary."""

    def __init__(self, tokens: list[str]) -> None:
        """From the tokens in the order of their ids."""
        self.tokens = tokens
        self._ids = vocabulary = {token: index for index, token in enumerate(tokens)}
        self.unknown = vocabulary["[UNK]"]
        self.start = vocabulary["[CLS]"]
        self.end = vocabulary["[SEP]"]
        self.special = [
            index for index, token in enumerate(self.tokens) if re.fullmatch(r"\[\w+\]", token)
        ]
        self._cache: dict[str, tuple[int, ...]] = {}

    @classmethod
    def read(cls, tokenizer: Path) -> Vocabulary:
        """From a `tokenizer.json`."""
        vocabulary: dict[str, int] = json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"]
        tokens = sorted(vocabulary, key=vocabulary.__getitem__)
        if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
            raise ValueError(f"{tokenizer}: token ids are not 0, 1, 2, …")
        return cls(tokens)

    def word_ids(self, word: str) -> tuple[int, ...]:
        """The longest pieces from left to right, or [UNK] where one is missing."""
        known = self._cache.get(word)
        if known is None:
            known = self._cache[word] = self._word_pieces(word)
        return known

    def _word_pieces(self, word: str) -> tuple[int, ...]:
        if len(word) > MAX_WORD:
            return (self.unknown,)
        ids, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self._ids.get(prefix + word[start:end])
                if piece is not None:
                    ids.append(piece)
                    start = end
                    break
            else:
                return (self.unknown,)
        return tuple(ids)

    def ids(self, text: str) -> list[int]:
        """Token ids by the table's rule, in order, with repetitions."""
        return [index for word in words(text) for index in self.word_ids(word)]

    def counts(self, text: str) -> Counter[int]:
        """How often each token occurs by the table's rule, without those that carry no meaning."""
        counts: Counter[int] = Counter()
        for word, times in Counter(words(text)).items():
            for index in self.word_ids(word):
                counts[index] += times
        for index in self.special:
            counts.pop(index, None)
        return counts

    def teacher_ids(self, text: str, limit: int) -> list[int]:
        """Token ids as BERT makes them, with [CLS] and [SEP], at most `limit` of them."""
        ids = [self.start]
        for word in _bert_words(text):
            ids.extend(self.word_ids(word))
            if len(ids) >= limit - 1:
                break
        return [*ids[: limit - 1], self.end]


def _bert_words(text: str):
    """BERT's words: lowercase, accents dropped, every punctuation mark and ideograph alone."""
    word = ""
    for char in strip_marks(text.lower()) + " ":
        kind = _bert_kind(char)
        if kind == "word":
            word += char
            continue
        if kind == "nothing":
            continue
        if word:
            yield word
            word = ""
        if kind == "alone":
            yield char


_KINDS: dict[str, str] = {}


def _bert_kind(char: str) -> str:
    kind = _KINDS.get(char)
    if kind is None:
        kind = _KINDS[char] = _find_bert_kind(char)
    return kind


def _find_bert_kind(char: str) -> str:
    category = unicodedata.category(char)
    point = ord(char)
    if char in "\t\n\r" or category == "Zs":
        return "space"
    if point in (0, 0xFFFD) or category[0] == "C":
        return "nothing"
    if category[0] == "P" or (char.isascii() and not char.isalnum()):
        return "alone"
    ideograph = (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0x20000 <= point <= 0x2CEAF
        or 0xF900 <= point <= 0xFAFF
        or 0x2F800 <= point <= 0x2FA1F
    )
    return "alone" if ideograph else "word"
