"""The model that the table imitates: all-MiniLM-L6-v2 in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from .text import Vocabulary

# Long sequences make the attention's memory grow; this many tokens at a time fit any machine.
_BATCH_TOKENS = 4096


class Teacher:
    """Runs the model. Batches depend on the texts alone, so the results repeat to the bit."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
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
        self._inputs = {entry.name for entry in self.session.get_inputs()}

    def _run(self, batch: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """The hidden states of a batch and its mask."""
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feed = {name: value for name, value in feed.items() if name in self._inputs}
        return self.session.run(None, feed)[0], mask

    def token_vectors(self, progress: Callable[[int, int], None] = lambda *_: None) -> np.ndarray:
        """One vector for each token of the vocabulary: its own position of `[CLS] token [SEP]`."""
        count, size = len(self.vocabulary.tokens), 1024
        found = []
        for start in range(0, count, size):
            batch = [
                [self.vocabulary.start, index, self.vocabulary.end]
                for index in range(start, min(start + size, count))
            ]
            found.append(self._run(batch)[0][:, 1, :])
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
            hidden, mask = self._run([tokens[index] for index in members])
            weight = mask[:, :, None].astype(np.float32)
            mean = (hidden * weight).sum(1) / weight.sum(1)
            mean /= np.linalg.norm(mean, axis=1, keepdims=True)
            if vectors is None:
                vectors = np.empty((len(texts), mean.shape[1]), np.float32)
            vectors[members] = mean
            done += len(members)
            progress(done, len(order))
            start = end
        return vectors if vectors is not None else np.empty((0, 384), np.float32)
