"""Prepared samples on disk, and rows of several samples for training.

A folder holds shards of tokens and, written last, a manifest with their checksums. A shard is four
arrays in NumPy's format, one behind the other: the tokens of all samples, where each sample ends,
where its middle begins, and its language and kind.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .config import KINDS
from .errors import Refused, whole_file
from .samples import Encoded, Sample

FORMAT = 1
MANIFEST = "prepared.json"
# Tokens of a shard: with two bytes each, some 45 MB with what belongs to them.
SHARD = 20_000_000
# Rows that are open at once while packing.
_OPEN_ROWS = 64


@dataclass
class Samples:
    """Samples of one split: all tokens behind each other."""

    tokens: np.ndarray
    ends: np.ndarray
    middles: np.ndarray
    languages: np.ndarray
    kinds: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def starts(self) -> np.ndarray:
        """Where each sample begins."""
        return np.concatenate([np.zeros(1, self.ends.dtype), self.ends[:-1]])

    @property
    def lengths(self) -> np.ndarray:
        """How long each sample is."""
        return np.diff(self.ends, prepend=self.ends.dtype.type(0))


class Writer:
    """Writes the shards of a folder, and at the end their manifest."""

    def __init__(self, out: Path, languages: Sequence[str], facts: dict[str, object]) -> None:
        """`facts` go into the manifest as they are."""
        self._out = out
        self._languages = list(languages)
        self._facts = facts
        self._shards: list[dict[str, object]] = []
        self._counts: dict[str, Counter[str]] = {}
        (out / MANIFEST).unlink(missing_ok=True)
        for stale in [*out.glob("*.tokens"), *out.glob("*.partial")]:
            stale.unlink()

    def split(self, name: str) -> Split:
        """Takes the samples of a split."""
        return Split(self, name)

    def write(self, split: str, number: int, samples: list[tuple[Sample, Encoded]]) -> None:
        """Writes one shard."""
        encoded = [one for _, one in samples]
        content = io.BytesIO()
        for values in (
            np.array([token for one in encoded for token in one.tokens], np.uint16),
            np.cumsum([len(one.tokens) for one in encoded], dtype=np.uint32),
            np.array([one.middle for one in encoded], np.uint16),
            np.array(
                [[self._languages.index(one.language), KINDS.index(one.kind)] for one, _ in samples],
                np.uint8,
            ),
        ):
            np.save(content, values, allow_pickle=False)
        name = f"{split}-{number:03}.tokens"
        with whole_file(self._out / name) as file:
            file.write(content.getvalue())
        counts = self._counts.setdefault(split, Counter())
        for sample, one in samples:
            counts["samples"] += 1
            counts["tokens"] += len(one.tokens)
            counts["middle_tokens"] += len(one.tokens) - one.middle
            counts[f"language {sample.language}"] += 1
            counts[f"kind {sample.kind}"] += 1
        self._shards.append(
            {
                "file": name,
                "split": split,
                "samples": len(samples),
                "bytes": len(content.getvalue()),
                "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
            }
        )

    def finish(self) -> dict[str, object]:
        """Writes the manifest and hands it back."""
        digest = hashlib.sha256()
        for shard in self._shards:
            digest.update(f"{shard['file']} {shard['sha256']}\n".encode())
        manifest = {
            "format": FORMAT,
            **self._facts,
            "hash": digest.hexdigest(),
            "languages": self._languages,
            "splits": {split: dict(sorted(counts.items())) for split, counts in self._counts.items()},
            "shards": self._shards,
        }
        with whole_file(self._out / MANIFEST) as file:
            file.write((json.dumps(manifest, indent=1) + "\n").encode())
        return manifest


class Split:
    """Gathers the samples of a split into shards."""

    def __init__(self, writer: Writer, name: str) -> None:
        self._writer = writer
        self._name = name
        self._open: list[tuple[Sample, Encoded]] = []
        self._tokens = 0
        self._number = 0

    def add(self, sample: Sample, encoded: Encoded) -> None:
        """Takes a sample."""
        self._open.append((sample, encoded))
        self._tokens += len(encoded.tokens)
        if self._tokens >= SHARD:
            self.close()

    def close(self) -> None:
        """Writes what is left."""
        if self._open:
            self._writer.write(self._name, self._number, self._open)
            self._number += 1
        self._open, self._tokens = [], 0


def read_manifest(folder: Path) -> dict:
    """The manifest of prepared data."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError as error:
        raise Refused(
            f"{folder} holds no prepared data; `cargo xtask models completion prepare` makes them"
        ) from error
    except (OSError, ValueError) as error:
        raise Refused(f"{folder / MANIFEST} cannot be read ({error}); prepare the data anew") from error
    if manifest.get("format") != FORMAT:
        raise Refused(f"{folder / MANIFEST} is of another version; prepare the data anew")
    return manifest


def read(folder: Path, split: str) -> Samples:
    """The samples of a split, every shard checked."""
    parts: list[list[np.ndarray]] = []
    for shard in read_manifest(folder)["shards"]:
        if shard["split"] == split:
            parts.append(_read_shard(folder / shard["file"], shard["sha256"]))
    if not parts:
        raise Refused(f"{folder} holds no samples of the split {split}")
    tokens, ends, middles, labels = zip(*parts, strict=True)
    shifts = np.cumsum([0, *[len(part) for part in tokens[:-1]]], dtype=np.int64)
    all_labels = np.concatenate(labels)
    return Samples(
        np.concatenate(tokens),
        np.concatenate([part + shift for part, shift in zip(ends, shifts, strict=True)]),
        np.concatenate(middles).astype(np.int64),
        all_labels[:, 0],
        all_labels[:, 1],
    )


def _read_shard(path: Path, sha256: str) -> list[np.ndarray]:
    advice = "copy it again from where it was made, or prepare the data anew"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"the shard {path} cannot be read: {error.strerror}; {advice}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Refused(f"the shard {path} is damaged: it does not hold what the manifest says; {advice}")
    stream = io.BytesIO(content)
    tokens, ends, middles, labels = (np.load(stream, allow_pickle=False) for _ in range(4))
    return [tokens, ends.astype(np.int64), middles, labels]


def pack(lengths: np.ndarray, order: np.ndarray, sequence: int) -> list[list[int]]:
    """Rows of whole samples, none longer than `sequence`: each sample goes where it leaves least room
    among the rows that are open, in the given order."""
    rows: list[list[int]] = []
    open_rows: list[tuple[int, int]] = []
    for sample in order.tolist():
        length = int(lengths[sample])
        fitting = [(room - length, row) for room, row in open_rows if room >= length]
        if fitting:
            left, row = min(fitting)
            open_rows.remove((left + length, row))
        else:
            left, row = sequence - length, len(rows)
            rows.append([])
        rows[row].append(sample)
        open_rows.append((left, row))
        if len(open_rows) > _OPEN_ROWS:
            open_rows.remove(min(open_rows))
    return rows


def epoch_rows(samples: Samples, sequence: int, seed: int, epoch: int) -> list[list[int]]:
    """The rows of an epoch in the order of training; the seed decides."""
    chance = np.random.default_rng([seed, epoch])
    rows = pack(samples.lengths, chance.permutation(len(samples)), sequence)
    chance.shuffle(rows)
    return rows


@dataclass
class Batch:
    """Rows as arrays, one line each.

    `targets` are the tokens that come next, `weights` what each counts in the loss; `segments` number
    the samples of a row from 1, with 0 for what only fills it up; `positions` count from each
    sample's start.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    segments: np.ndarray
    positions: np.ndarray


def batch(samples: Samples, rows: Sequence[Sequence[int]], sequence: int, context_weight: float) -> Batch:
    """The arrays of some rows; what stands before the middle counts `context_weight`."""
    shape = (len(rows), sequence)
    found = Batch(
        np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.float32),
        np.zeros(shape, np.int32), np.zeros(shape, np.int64),
    )  # fmt: skip
    starts = samples.starts
    for line, row in enumerate(rows):
        at = 0
        for number, sample in enumerate(row, 1):
            tokens = samples.tokens[starts[sample] : samples.ends[sample]].astype(np.int64)
            length, middle = len(tokens), int(samples.middles[sample])
            here = slice(at, at + length)
            found.tokens[line, here] = tokens
            found.segments[line, here] = number
            found.positions[line, here] = np.arange(length)
            # The last token has nothing to tell behind it.
            found.targets[line, at : at + length - 1] = tokens[1:]
            found.weights[line, at : at + length - 1] = context_weight
            found.weights[line, at + max(middle - 1, 0) : at + length - 1] = 1.0
            at += length
    return found
