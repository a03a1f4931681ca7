"""Samples from collected files: what stands before the cursor, what is to be written, what follows, and
other places of the package."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from . import layout
from .config import Config
from .layout import Context, Excerpt, Format, Text
from .spans import Cutter
from .tokenizer import Tokenizer

# As `server/assistant/src/excerpts.rs` chooses them: the lines that are asked with, the places, and
# the lines that are shown of each.
_ASKED_LINES = 16
_PLACES = 4
_SHOWN_LINES = 12
# The pieces that other files are searched in.
_PIECE_LINES = 40
_WORD = re.compile(r"[A-Za-z_]\w{2,}")
# A word in so many pieces of a package says little, and costs time.
_FREQUENT = 64
# Characters of a token, at most on average, for the longest span in characters.
_CHARACTERS = 4


@dataclass(frozen=True)
class Sample:
    """A place in a file and what stood there."""

    language: str
    package: str
    path: str
    kind: str
    prefix: str
    middle: str
    suffix: str
    excerpts: tuple[Excerpt, ...] = ()

    def record(self) -> dict[str, object]:
        """As the evaluation reads it."""
        return asdict(self)


@dataclass(frozen=True)
class Encoded:
    """A sample as tokens: a prompt, and what is to be learnt behind it."""

    tokens: list[int]
    # Where the middle begins in them.
    middle: int


class Neighbours:
    """The other files of a package, for places that resemble what is being written.

    The product searches words and vectors of an index; words weighed by rarity stand in for it.
    """

    def __init__(self, files: Iterable[tuple[str, str]]) -> None:
        self._pieces: list[Excerpt] = []
        places: dict[str, list[int]] = defaultdict(list)
        for path, text in files:
            lines = text.splitlines(keepends=True)
            for start in range(0, len(lines), _PIECE_LINES):
                piece = lines[start : start + _PIECE_LINES]
                for word in set(_WORD.findall("".join(piece))):
                    places[word].append(len(self._pieces))
                self._pieces.append(Excerpt(path, "".join(piece[:_SHOWN_LINES])))
        self._places = {word: at for word, at in places.items() if len(at) <= _FREQUENT}

    def near(self, path: str, prefix: str) -> tuple[Excerpt, ...]:
        """Places of other files, best first."""
        asked = prefix.rsplit("\n", _ASKED_LINES)[-_ASKED_LINES:]
        scores: Counter[int] = Counter()
        for word in sorted(set(_WORD.findall("\n".join(asked)))):
            places = self._places.get(word, ())
            for place in places:
                if self._pieces[place].path != path:
                    scores[place] += math.log(1 + len(self._pieces) / len(places))
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        return tuple(self._pieces[place] for place, _ in ranked[:_PLACES])


def chance_of(*words: object) -> random.Random:
    """Chance that is the same for the same words, on every machine."""
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def samples(
    config: Config,
    records: Iterable[Mapping[str, str]],
    split: str,
    epoch: int = 0,
    parse: bool = True,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[Sample]:
    """The samples of a split's records, which are read once; another epoch cuts other spans.

    A limit on files takes the first ones in a seeded order, an equal number of each language.
    """
    data = config.data
    packages: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    wanted = set(data.languages)
    for record in records:
        if record["language"] in wanted:
            packages[record["package"]].append(record)
    limit = data.files if split == "train" else data.held_out_files
    chosen = _chosen(config, packages, limit)
    count = len(packages)
    for package in sorted(packages):
        files = packages.pop(package)
        progress(count - len(packages), count)
        neighbours = None
        for record in sorted(files, key=lambda record: record["path"]):
            if chosen is not None and (package, record["path"]) not in chosen:
                continue
            if neighbours is None and len(files) > 1:
                neighbours = Neighbours((other["path"], other["text"]) for other in files)
            yield from _of_file(config, record, neighbours, epoch, parse)


def _chosen(
    config: Config, packages: Mapping[str, list[Mapping[str, str]]], limit: int
) -> set[tuple[str, str]] | None:
    if not limit:
        return None
    by_language: dict[str, list[tuple[bytes, str, str]]] = defaultdict(list)
    for package, files in packages.items():
        for record in files:
            key = f"{config.seed}\0{package}\0{record['path']}".encode()
            by_language[record["language"]].append((hashlib.sha256(key).digest(), package, record["path"]))
    share = max(1, limit // max(len(by_language), 1))
    return {(package, path) for files in by_language.values() for _, package, path in sorted(files)[:share]}


def _of_file(
    config: Config,
    record: Mapping[str, str],
    neighbours: Neighbours | None,
    epoch: int,
    parse: bool,
) -> Iterator[Sample]:
    data, text = config.data, record["text"]
    chance = chance_of(config.seed, epoch, record["package"], record["path"])
    cutter = Cutter(record["language"], text, data.middle_tokens * _CHARACTERS, parse)
    for _ in range(-(-len(text) // data.characters_per_sample)):
        span = cutter.cut(data, chance)
        with_excerpts = chance.random() < data.excerpts
        if span is None or not text[span.start : span.end].strip():
            continue
        prefix = text[: span.start]
        yield Sample(
            record["language"],
            record["package"],
            record["path"],
            span.kind,
            prefix,
            text[span.start : span.end],
            text[span.end :],
            neighbours.near(record["path"], prefix) if neighbours and with_excerpts else (),
        )


class Encoder:
    """Lays samples out and turns them into tokens, healed as the product heals its prompts."""

    def __init__(self, config: Config, tokenizer: Tokenizer, end: int) -> None:
        """`end` is the token that ends a text."""
        self._data = config.data
        self._most = config.train.sequence
        self._layout = Format.of(config.family)
        self._tokenizer = tokenizer
        self._end = end

    def encode(self, sample: Sample, budget: int) -> Encoded | None:
        """The sample for a budget of a prompt's tokens; none where it is longer than what is learnt."""
        context = Context(sample.path, sample.prefix, sample.suffix, sample.excerpts)
        pieces = layout.prompt(self._layout, context, budget)
        tokens, plain = tokens_of(self._tokenizer, pieces)
        tokens, rest = layout.heal(tokens, plain, self._tokenizer.bytes_of)
        try:
            middle = self._tokenizer.encode(rest.decode() + sample.middle)
        except UnicodeDecodeError:
            # The cut went through the bytes of a character.
            return None
        if len(middle) > self._data.middle_tokens or len(tokens) + len(middle) + 1 > self._most:
            return None
        return Encoded([*tokens, *middle, self._end], len(tokens))

    def budget(self, chance: random.Random) -> int:
        """A budget from the recipe's range."""
        return chance.randint(*self._data.prompt_tokens)


def tokens_of(tokenizer: Tokenizer, pieces: list[layout.Piece]) -> tuple[list[int], int]:
    """A prompt's tokens, and how many at its end are of plain text."""
    tokens: list[int] = []
    plain = 0
    for piece in pieces:
        if isinstance(piece, Text):
            found = tokenizer.encode(piece.text)
            plain = len(found)
            tokens.extend(found)
        else:
            tokens.append(tokenizer.special(piece.name))
            plain = 0
    return tokens, plain
