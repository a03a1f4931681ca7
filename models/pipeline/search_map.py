"""The search map: what semantic search applies to MiniLM's vectors of questions and of code.

Two square matrices move the vectors of questions and those of code towards each other. Both start at
the identity and are trained on functions and their descriptions (`contrast.pull`); the model itself
stays as it is, so vectors that are stored stay of use.

The file, little endian: the magic; the dimensions (u32); SHA-256 of the model's `model.onnx`; the map
of questions, then that of code, as f16, row by row; SHA-256 of all of it. Row i is what input i adds:
y[j] = sum over i of map[i][j] x[i], then scaled to length 1.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .contrast import pull
from .embedding import Pair, Progress
from .teacher import Teacher

MAGIC = b"HSMAP1\0\0"


@dataclass(frozen=True)
class Settings:
    """The recipe's numbers; all were chosen on development sets only."""

    seed: int = 1
    # Pairs of a language at most, or Rust would be all but everything.
    share: int = 3000
    # How much the model reads of each text, in its tokens.
    read: int = 128
    epochs: int = 8
    # Pairs that are told apart at a time.
    batch: int = 1024
    temperature: float = 0.07
    rate: float = 1e-3
    # The pull back to the identity, beside the loss's gradient.
    hold: float = 6e-3


@dataclass
class SearchMap:
    """Both maps, and SHA-256 of the model whose vectors they are for."""

    model: bytes
    questions: np.ndarray
    code: np.ndarray

    def encode(self) -> bytes:
        """The bytes of the file."""
        maps = [np.ascontiguousarray(each, "<f2").tobytes() for each in (self.questions, self.code)]
        body = b"".join([MAGIC, struct.pack("<I", len(self.questions)), self.model, *maps])
        return body + hashlib.sha256(body).digest()

    @classmethod
    def read(cls, path: Path) -> SearchMap:
        """Reads a file, and refuses one that is not whole."""
        data = path.read_bytes()
        if not data.startswith(MAGIC) or hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ValueError(f"{path} is no whole search map")
        at = len(MAGIC)
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        model = data[at : at + 32]
        maps = np.frombuffer(data[at + 32 : -32], "<f2").reshape(2, size, size)
        return cls(model, maps[0].astype(np.float32), maps[1].astype(np.float32))


def sample(pairs: Sequence[Pair], share: int) -> list[Pair]:
    """The first `share` pairs of each language."""
    taken: Counter[str] = Counter()
    found = []
    for pair in pairs:
        taken[pair.language] += 1
        if taken[pair.language] <= share:
            found.append(pair)
    return found


def fit(
    questions: np.ndarray,
    code: np.ndarray,
    packages: Sequence[str],
    settings: Settings,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[np.ndarray, np.ndarray]:
    """The maps of questions and of code, by Adam; row i of both inputs is pair i.

    Pairs of one package follow each other, so that most of a batch's wrong answers are neighbours of
    the right one.
    """
    count, dimensions = questions.shape
    inputs = (questions, code)
    identity = np.eye(dimensions, dtype=np.float32)
    maps = [identity, identity]
    mean, square = ([np.zeros_like(identity)] * 2 for _ in range(2))
    members_of: dict[str, list[int]] = defaultdict(list)
    for index, package in enumerate(packages):
        members_of[package].append(index)
    names = sorted(members_of)
    random = np.random.default_rng(settings.seed)
    size = min(settings.batch, count)
    batches = count // max(size, 1)
    total = settings.epochs * batches
    step = 0
    for _ in range(settings.epochs):
        parts = [random.permutation(members_of[name]) for name in names]
        order = np.concatenate([parts[index] for index in random.permutation(len(parts))])
        for batch in range(batches):
            members = order[batch * size : (batch + 1) * size]
            rows = [vectors[members] for vectors in inputs]
            pulls = pull(rows[0] @ maps[0], rows[1] @ maps[1], settings.temperature)
            step += 1
            rate = np.float32(settings.rate * (1 - step / (total + 1)))
            for side in range(2):
                gradient = rows[side].T @ pulls[side]
                gradient += np.float32(settings.hold) * (maps[side] - identity)
                mean[side] = mean[side] + 0.1 * (gradient - mean[side])
                square[side] = square[side] + 0.01 * (gradient**2 - square[side])
                move = (mean[side] / (1 - 0.9**step)) / (
                    np.sqrt(square[side] / (1 - 0.99**step)) + 1e-6
                )
                maps[side] = maps[side] - rate * move
            progress(step, total)
    return maps[0], maps[1]


def build(
    teacher: Teacher, pairs: Sequence[Pair], settings: Settings, progress: Progress
) -> SearchMap:
    """The maps as they ship; `ValueError` where there is nothing to learn from."""
    if not pairs:
        raise ValueError("the collected texts hold no described function to learn from")
    texts = [[pair.doc for pair in pairs], [pair.code for pair in pairs]]
    questions, code = (
        teacher.embed(
            [(text, settings.read) for text in side],
            lambda done, all_, title=title: progress(title, done, all_),
        )
        for title, side in zip(("descriptions", "functions"), texts, strict=True)
    )
    packages = [pair.package for pair in pairs]
    maps = fit(
        questions, code, packages, settings, lambda done, all_: progress("pairs", done, all_)
    )
    return SearchMap(teacher.model, *maps)
