"""The static table: MiniLM's vectors of single tokens, weighted, then fitted to its vectors of texts.

1. Each token of the vocabulary goes through the model; its own position's vector is kept, less the
   mean of all.
2. Tokens are weighted by inverse document frequency, counts by 1 + ln.
3. Ridge regression onto the model's vectors of texts, with 1 and 2 as the prior.
4. Principal components of texts' vectors.
5. Training on functions and their descriptions (`contrast`), then 8 bits.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from .contrast import Contrast, refine
from .table import Table
from .teacher import Teacher
from .text import Vocabulary
from .units import chunks, functions

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """The recipe's numbers; all were chosen on development sets only."""

    seed: int = 1
    dimensions: int = 256
    # Texts for the frequencies, and for the model, of each kind.
    counted: tuple[int, int, int] = (14_000, 6_000, 8_000)
    taught: tuple[int, int, int] = (1_350, 3_150, 4_500)
    # How much of each the model reads, in its tokens.
    read: tuple[int, int, int] = (128, 96, 64)
    ridge: float = 3.0
    steps: int = 12
    contrast: Contrast = Contrast()


KINDS = ("chunk", "function", "docstring")


@dataclass
class Texts:
    """Texts of one kind by language, each once."""

    by_language: dict[str, list[str]]

    def sample(self, count: int, seed: int) -> list[tuple[str, str]]:
        """(language, text), `count` in all where there are as many: languages by the square root of
        what they have, so that rare ones are heard; within one, by a hash of the seed and the text.
        """
        left = {language: len(texts) for language, texts in self.by_language.items() if texts}
        quota = dict.fromkeys(left, 0)
        remaining = count
        while remaining > 0:
            open_ = {name: size for name, size in left.items() if quota[name] < size}
            if not open_:
                break
            total = sum(size**0.5 for size in open_.values())
            given = 0
            for name in sorted(open_):
                share = min(
                    left[name] - quota[name], max(1, int(remaining * open_[name] ** 0.5 / total))
                )
                share = min(share, remaining - given)
                quota[name] += share
                given += share
            remaining -= given
        found = []
        for name in sorted(quota):
            ranked = sorted(
                self.by_language[name],
                key=lambda text: hashlib.sha256(f"{seed}\0{text}".encode()).digest(),
            )
            found.extend((name, text) for text in ranked[: quota[name]])
        return found


def texts_of(records: Iterable[Mapping[str, str]]) -> dict[str, Texts]:
    """Chunks, functions and docstrings of records, without repetitions."""
    found = {kind: defaultdict(dict) for kind in KINDS}
    for record in records:
        language, text = record["language"], record["text"]
        for chunk in chunks(text):
            found["chunk"][language].setdefault(chunk)
        for function in functions(language, record["path"], text):
            found["function"][language].setdefault(function.code)
            found["docstring"][language].setdefault(function.doc)
    return {
        kind: Texts({language: list(texts) for language, texts in by_language.items()})
        for kind, by_language in found.items()
    }


@dataclass(frozen=True)
class Pair:
    """A function without its description, the description, and where they come from."""

    doc: str
    code: str
    language: str
    package: str


def pairs_of(records: Iterable[Mapping[str, str]]) -> list[Pair]:
    """All described functions, in an order of no meaning; no description and no function twice."""
    by_code: dict[str, Pair] = {}
    for record in records:
        language, package = record["language"], record["package"]
        for function in functions(language, record["path"], record["text"]):
            pair = Pair(function.doc, function.code, language, package)
            by_code.setdefault(function.code, pair)
    ordered = sorted(
        by_code.values(), key=lambda pair: hashlib.sha256(pair.code.encode()).digest()
    )
    by_doc: dict[str, Pair] = {}
    for pair in ordered:
        by_doc.setdefault(pair.doc.lower(), pair)
    return list(by_doc.values())


def matrix(vocabulary: Vocabulary, texts: Sequence[str]) -> scipy.sparse.csr_matrix:
    """1 + ln of each token's count, a row for each text."""
    indices: list[int] = []
    ends, values = [0], []
    for text in texts:
        counts = vocabulary.counts(text)
        for index in sorted(counts):
            indices.append(index)
            values.append(counts[index])
        ends.append(len(indices))
    data = (1 + np.log(np.array(values, np.float64))).astype(np.float32)
    shape = (len(texts), len(vocabulary.tokens))
    return scipy.sparse.csr_matrix((data, np.array(indices, np.int32), np.array(ends)), shape)


def inverse_frequency(counted: scipy.sparse.csr_matrix) -> np.ndarray:
    """ln((n + 1) / (df + 1)), smallest where a token is everywhere."""
    frequency = np.bincount(counted.indices, minlength=counted.shape[1])
    return np.log((counted.shape[0] + 1) / (frequency + 1)).astype(np.float32)


def regress(
    rows: scipy.sparse.csr_matrix, target: np.ndarray, prior: np.ndarray, ridge: float, steps: int
) -> np.ndarray:
    """Minimises |rows W - target|² + ridge |W - prior|² by conjugate gradients from the prior."""
    transposed = rows.T.tocsr()
    solution = prior.copy()
    residual = transposed @ (target - rows @ solution)
    direction = residual.copy()
    power = (residual**2).sum(0)
    for _ in range(steps):
        image = transposed @ (rows @ direction) + ridge * direction
        rate = power / np.maximum((direction * image).sum(0), 1e-12)
        solution += rate * direction
        residual -= rate * image
        last, power = power, (residual**2).sum(0)
        direction = residual + (power / np.maximum(last, 1e-12)) * direction
    return solution


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


@dataclass
class Taught:
    """What the regression starts from; kept apart so that settings can be tried without the model."""

    token_vectors: np.ndarray
    inverse_frequency: np.ndarray
    rows: scipy.sparse.csr_matrix
    target: np.ndarray


def teach(
    teacher: Teacher, texts: Mapping[str, Texts], settings: Settings, progress: Progress
) -> Taught:
    """Runs the model over the vocabulary and the sampled texts."""
    vocabulary = teacher.vocabulary
    token_vectors = teacher.token_vectors(lambda done, all_: progress("vocabulary", done, all_))
    counted = [
        text
        for kind, count in zip(KINDS, settings.counted, strict=True)
        for _, text in texts[kind].sample(count, settings.seed)
    ]
    frequency = inverse_frequency(matrix(vocabulary, counted))
    taught = [
        (text, limit)
        for kind, count, limit in zip(KINDS, settings.taught, settings.read, strict=True)
        for _, text in texts[kind].sample(count, settings.seed)
    ]
    target = teacher.embed(taught, lambda done, all_: progress("texts", done, all_))
    return Taught(token_vectors, frequency, matrix(vocabulary, [text for text, _ in taught]), target)


def fit(vocabulary: Vocabulary, taught: Taught, settings: Settings) -> np.ndarray:
    """The table before quantisation."""
    tokens = taught.token_vectors - taught.token_vectors.mean(0)
    weight = taught.inverse_frequency
    rows = taught.rows @ scipy.sparse.diags(weight)
    lengths = np.sqrt(rows.multiply(rows).sum(1)).A1
    rows = scipy.sparse.diags((1 / np.maximum(lengths, 1e-12)).astype(np.float32)) @ rows
    rows = rows.tocsr().astype(np.float32)
    target = taught.target - taught.target.mean(0)
    guess = rows @ tokens
    prior = tokens * np.float32((guess * target).sum() / (guess * guess).sum())
    solution = regress(rows, target, prior, settings.ridge, settings.steps)
    table = solution * weight[:, None]
    table[vocabulary.special] = 0
    documents = _unit(taught.rows @ table)
    covariance = documents.T.astype(np.float64) @ documents.astype(np.float64)
    _, axes = np.linalg.eigh(covariance)
    axes = axes[:, ::-1][:, : settings.dimensions]
    # An eigenvector's sign is arbitrary; this fixes it.
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return table @ axes.astype(np.float32)


def build(
    vocabulary: Vocabulary,
    taught: Taught,
    pairs: Sequence[Pair],
    settings: Settings,
    data: str,
    progress: Progress,
) -> Table:
    """The table as it ships."""
    vectors = refine(
        fit(vocabulary, taught, settings),
        matrix(vocabulary, [pair.doc for pair in pairs]),
        matrix(vocabulary, [pair.code for pair in pairs]),
        settings.contrast,
        settings.seed,
        lambda done, all_: progress("pairs", done, all_),
    )
    vectors[vocabulary.special] = 0
    header = {"id": "minilm-static", "source": "all-MiniLM-L6-v2", "tf": "1+ln", "data": data}
    return Table.quantise(vocabulary.tokens, vectors, header)
