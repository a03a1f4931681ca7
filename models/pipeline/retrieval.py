"""Finding a function by its description: BM25, vectors, and both together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
import snowballstemmer

from .text import words
from .units import functions

K1, B = 1.2, 0.75
# Lucene's English list, as tantivy has it.
STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with".split()
)
# How far down a list a hit still counts.
DEPTH = 100


@dataclass(frozen=True)
class Task:
    """Questions, texts, and for each question the text that answers it."""

    name: str
    questions: list[str]
    texts: list[str]
    answers: list[int]
    languages: list[str]


def described_functions(
    name: str, records: Iterable[Mapping[str, str]], seed: int, per_language: int
) -> Task:
    """Each function's description is the question, the functions without theirs are the texts: at
    most `per_language` questions, with half as many more functions again to be mistaken for them."""
    by_language: dict[str, dict[str, str]] = defaultdict(dict)
    descriptions: Counter[str] = Counter()
    for record in records:
        for function in functions(record["language"], record["path"], record["text"]):
            if by_language[record["language"]].setdefault(function.code, function.doc) == function.doc:
                descriptions[function.doc.lower()] += 1
    questions, texts, answers, languages = [], [], [], []
    for language in sorted(by_language):
        found = sorted(
            by_language[language].items(),
            key=lambda pair: hashlib.sha256(f"{seed}\0{pair[0]}".encode()).digest(),
        )
        asked = 0
        for code, doc in found[: per_language * 3 // 2]:
            # A description that several functions share has no single answer.
            if asked < per_language and descriptions[doc.lower()] == 1:
                questions.append(doc)
                answers.append(len(texts))
                languages.append(language)
                asked += 1
            texts.append(code)
    return Task(name, questions, texts, answers, languages)


def cosqa(folder: Path, part: str) -> Task:
    """CoSQA's retrieval task: web questions to Python functions, their docstrings included."""
    codes: dict[str, int] = json.loads((folder / "code_idx_map.txt").read_text("utf-8"))
    entries = json.loads((folder / f"cosqa-retrieval-{part}-500.json").read_text("utf-8"))
    texts = sorted(codes, key=codes.__getitem__)
    place = {codes[text]: index for index, text in enumerate(texts)}
    return Task(
        f"cosqa-{part}",
        [entry["doc"] for entry in entries],
        texts,
        [place[entry["retrieval_idx"]] for entry in entries],
        ["python"] * len(entries),
    )


class Bm25:
    """Okapi BM25 over the parts of identifiers and prose, without stop words, stemmed."""

    def __init__(self, texts: Sequence[str]) -> None:
        stemmer = snowballstemmer.stemmer("english")
        self._stems: dict[str, str] = {}
        self._stem: Callable[[str], str] = stemmer.stemWord
        self._terms: dict[str, int] = {}
        rows, columns, counts, lengths = [], [], [], []
        for row, text in enumerate(texts):
            terms = self._split(text)
            lengths.append(sum(terms.values()))
            for term, count in terms.items():
                rows.append(row)
                columns.append(self._terms.setdefault(term, len(self._terms)))
                counts.append(count)
        frequency = np.bincount(columns, minlength=len(self._terms))
        idf = np.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5))
        length = np.array(lengths, np.float64)
        penalty = K1 * (1 - B + B * length / max(length.mean(), 1))
        tf = np.array(counts, np.float64)
        weight = idf[columns] * tf * (K1 + 1) / (tf + penalty[rows])
        shape = (len(texts), len(self._terms))
        self._weights = scipy.sparse.csr_matrix((weight, (rows, columns)), shape)

    def _split(self, text: str) -> Counter[str]:
        terms: Counter[str] = Counter()
        for word in words(text):
            if word not in STOP_WORDS:
                if word not in self._stems:
                    self._stems[word] = self._stem(word)
                terms[self._stems[word]] += 1
        return terms

    def scores(self, questions: Sequence[str]) -> np.ndarray:
        """A row of scores for each question."""
        rows, columns, counts = [], [], []
        for row, question in enumerate(questions):
            for term, count in self._split(question).items():
                if term in self._terms:
                    rows.append(row)
                    columns.append(self._terms[term])
                    counts.append(float(count))
        shape = (len(questions), len(self._terms))
        asked = scipy.sparse.csr_matrix((counts, (rows, columns)), shape)
        return (asked @ self._weights.T).toarray()


def spread(scores: np.ndarray) -> np.ndarray:
    """Each question's scores on the scale from 0 to 1."""
    low, high = scores.min(1, keepdims=True), scores.max(1, keepdims=True)
    return (scores - low) / np.maximum(high - low, 1e-12)


def fuse(words_: np.ndarray, vectors: np.ndarray, weight: float) -> np.ndarray:
    """The convex mixture: `weight` of the vectors' scores, the rest of the words'."""
    return weight * spread(vectors) + (1 - weight) * spread(words_)


def places(scores: np.ndarray, answers: Sequence[int]) -> np.ndarray:
    """Where each answer stands, from 1; after all that score the same, so that ties do not help."""
    answer = scores[np.arange(len(answers)), answers][:, None]
    return (scores >= answer).sum(1)


def reciprocal(found: np.ndarray) -> np.ndarray:
    """1 / place within `DEPTH`, else 0."""
    return np.where(found <= DEPTH, 1 / found, 0.0)


def summary(found: np.ndarray) -> dict[str, float]:
    """Mean reciprocal rank within `DEPTH`, and how many answers are among the first ten."""
    return {
        "mrr": round(float(reciprocal(found).mean()), 4),
        "recall10": round(float((found <= 10).mean()), 4),
    }


def difference(found: np.ndarray, base: np.ndarray, seed: int) -> dict[str, float]:
    """What is gained in mean reciprocal rank, with its 95 % interval by paired bootstrap."""
    gain = reciprocal(found) - reciprocal(base)
    picks = np.random.default_rng(seed).integers(0, len(gain), (2_000, len(gain)))
    means = gain[picks].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "mrr": round(float(gain.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }
