"""The file of a static embedding table, and what it computes.

Little endian: the magic; a header (JSON) and the vocabulary (tokens joined by line feeds, in the
order of their ids), each after its length as u32; a scale (f32) for each token; a row of i8 for each
token; SHA-256 of all of it.

A text's vector is the sum over its distinct tokens of (1 + ln tf) x scale x row, scaled to length 1.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .text import Vocabulary

MAGIC = b"HSEMB\0\0\1"


@dataclass
class Table:
    """Tokens, their quantised rows, and where they come from."""

    header: dict[str, object]
    tokens: list[str]
    scales: np.ndarray
    rows: np.ndarray

    @classmethod
    def quantise(cls, tokens: list[str], vectors: np.ndarray, header: Mapping[str, object]) -> Table:
        """Rounds each vector to 8 bits with a scale of its own; the id comes from the content."""
        scales = (np.abs(vectors).max(1) / 127).astype("<f4")
        safe = np.where(scales > 0, scales, 1).astype(np.float32)
        rows = np.rint(vectors / safe[:, None]).clip(-127, 127).astype(np.int8)
        content = hashlib.sha256("\n".join(tokens).encode() + scales.tobytes() + rows.tobytes())
        named = {**header, "dimensions": rows.shape[1], "tokens": len(tokens)}
        named["id"] = f"{header['id']}-{content.hexdigest()[:12]}"
        return cls(named, tokens, scales, rows)

    def encode(self) -> bytes:
        """The bytes of the file."""
        header = json.dumps(self.header, ensure_ascii=False, sort_keys=True).encode()
        vocabulary = "\n".join(self.tokens).encode()
        body = b"".join(
            [
                MAGIC,
                struct.pack("<I", len(header)),
                header,
                struct.pack("<I", len(vocabulary)),
                vocabulary,
                self.scales.astype("<f4").tobytes(),
                self.rows.tobytes(),
            ]
        )
        return body + hashlib.sha256(body).digest()

    @classmethod
    def read(cls, path: Path) -> Table:
        """Reads a file, and refuses one that is not whole."""
        data = path.read_bytes()
        if not data.startswith(MAGIC) or hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ValueError(f"{path} is no whole embedding table")
        at = len(MAGIC)
        (length,) = struct.unpack_from("<I", data, at)
        header = json.loads(data[at + 4 : at + 4 + length])
        at += 4 + length
        (length,) = struct.unpack_from("<I", data, at)
        tokens = data[at + 4 : at + 4 + length].decode().split("\n")
        at += 4 + length
        scales = np.frombuffer(data, "<f4", len(tokens), at)
        at += 4 * len(tokens)
        rows = np.frombuffer(data, np.int8, len(tokens) * header["dimensions"], at)
        return cls(header, tokens, scales, rows.reshape(len(tokens), -1))

    def vectors(self) -> np.ndarray:
        """The rows as floats."""
        return self.rows.astype(np.float32) * self.scales[:, None]

    def embed(self, vocabulary: Vocabulary, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1; zero for a text without a known token."""
        found = np.zeros((len(texts), self.rows.shape[1]), np.float32)
        for row, text in enumerate(texts):
            counts = vocabulary.counts(text)
            if not counts:
                continue
            ids = np.fromiter(sorted(counts), np.int64, len(counts))
            weight = 1 + np.log([counts[int(index)] for index in ids])
            vector = (weight * self.scales[ids]) @ self.rows[ids].astype(np.float64)
            length = np.linalg.norm(vector)
            if length > 0:
                found[row] = vector / length
        return found
