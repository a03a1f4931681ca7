"""The model that the table imitates: all-MiniLM-L6-v2 in ONNX Runtime."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from .text import Vocabulary

# Long sequences make the attention's memory grow; this many tokens at a time fit any machine.
_BATCH_TOKENS = 4096


class Teacher:
    """Runs the model. Batches depend on the texts alone, so the results repeat to the bit.

    With `cache` a batch's vectors are kept there, so that interrupted work goes on where it was.
    """

    def __init__(self, folder: Path, cache: Path | None = None, threads: int = 2) -> None:
        for name in ("model.onnx", "tokenizer.json"):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"{folder / name} is missing: run `hearth models pull all-minilm-l6-v2`"
                )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self.vocabulary = Vocabulary.read(folder / "tokenizer.json")
        self._cache = cache
        # SHA-256 of model.onnx, by which the registry knows the model.
        self.model = hashlib.sha256((folder / "model.onnx").read_bytes()).digest()
        self._inputs = {entry.name for entry in self.session.get_inputs()}

    def _run(self, batch: Sequence[Sequence[int]], pool: str) -> np.ndarray:
        """A vector for each sequence: the mean over its tokens, or its second token's own."""
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        name = hashlib.sha256(
            self.model + f"{pool} {ids.shape}".encode() + ids.tobytes() + mask.tobytes()
        )
        kept = self._cache and self._cache / f"{name.hexdigest()[:32]}.npy"
        if kept and kept.is_file():
            try:
                return np.load(kept)
            except (ValueError, EOFError):
                kept.unlink()
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feed = {name: value for name, value in feed.items() if name in self._inputs}
        hidden = self.session.run(None, feed)[0]
        if pool == "second":
            vectors = np.ascontiguousarray(hidden[:, 1, :])
        else:
            weight = mask[:, :, None].astype(np.float32)
            vectors = (hidden * weight).sum(1) / weight.sum(1)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(".partial.npy")
            np.save(partial, vectors)
            os.replace(partial, kept)
        return vectors

    def token_vectors(self, progress: Callable[[int, int], None] = lambda *_: None) -> np.ndarray:
        """One vector for each token of the vocabulary: its own position of `[CLS] token [SEP]`."""
        count, size = len(self.vocabulary.tokens), 1024
        found = []
        for start in range(0, count, size):
            batch = [
                [self.vocabulary.start, index, self.vocabulary.end]
                for index in range(start, min(start + size, count))
            ]
            found.append(self._run(batch, "second"))
            progress(min(start + size, count), count)
        return np.concatenate(found)

    def embed(
        self,
        texts: Sequence[tuple[str, int]],
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> np.ndarray:
        """Vectors of length 1 of texts, each read up to its own number of tokens."""
        tokens = [self.vocabulary.teacher_ids(text, limit) for text, limit in texts]
        order = sorted(range(len(tokens)), key=lambda index: (len(tokens[index]), index))
        vectors: np.ndarray | None = None
        start = done = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * len(tokens[order[end]]) <= _BATCH_TOKENS:
                end += 1
            members = order[start:end]
            mean = self._run([tokens[index] for index in members], "mean")
            mean /= np.linalg.norm(mean, axis=1, keepdims=True)
            if vectors is None:
                vectors = np.empty((len(texts), mean.shape[1]), np.float32)
            vectors[members] = mean
            done += len(members)
            progress(done, len(order))
            start = end
        return vectors if vectors is not None else np.empty((0, 384), np.float32)
