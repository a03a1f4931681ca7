"""The base model from its GGUF file: weights as 32-bit floats, numbers of the architecture, vocabulary.

Only what the recipe is made for is read: architecture `llama` with a tied head. Tensors keep the
file's names and the file's order of the rows of queries and keys, in which a rotation turns
neighbouring pairs; `model` computes it so, and nothing is permuted on the way in or out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .errors import Refused, needs
from .tokenizer import Tokenizer

# Keys of what a llama may have and this one does not.
_FOREIGN = ("llama.expert_count", "llama.rope.scaling.type", "llama.attention.sliding_window")
_PRE = "smollm"


@dataclass(frozen=True)
class Shape:
    """The numbers of the architecture."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    key_value_heads: int
    vocabulary: int
    epsilon: float
    rope_base: float

    @property
    def head_width(self) -> int:
        """Numbers of one head."""
        return self.width // self.heads


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Every tensor of the model, rows first."""
    key_value = shape.key_value_heads * shape.head_width
    found: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (shape.vocabulary, shape.width),
        "output_norm.weight": (shape.width,),
    }
    for layer in range(shape.layers):
        found |= {
            f"blk.{layer}.attn_norm.weight": (shape.width,),
            f"blk.{layer}.attn_q.weight": (shape.width, shape.width),
            f"blk.{layer}.attn_k.weight": (key_value, shape.width),
            f"blk.{layer}.attn_v.weight": (key_value, shape.width),
            f"blk.{layer}.attn_output.weight": (shape.width, shape.width),
            f"blk.{layer}.ffn_norm.weight": (shape.width,),
            f"blk.{layer}.ffn_gate.weight": (shape.feed_forward, shape.width),
            f"blk.{layer}.ffn_up.weight": (shape.feed_forward, shape.width),
            f"blk.{layer}.ffn_down.weight": (shape.width, shape.feed_forward),
        }
    return found


class Base:
    """An opened GGUF file."""

    def __init__(self, path: Path) -> None:
        try:
            import gguf
        except ImportError as error:
            raise needs("gguf", error) from error
        if not path.is_file():
            raise Refused(f"there is no model {path}")
        self.path = path
        self._gguf = gguf
        try:
            self.reader = gguf.GGUFReader(path)
        except (ValueError, KeyError, IndexError, OSError) as error:
            raise Refused(f"{path} is no whole GGUF file: {error}") from error
        self._refuse_others()

    def value(self, key: str, default: Any = None) -> Any:
        """A value of the metadata."""
        field = self.reader.get_field(key)
        return default if field is None else field.contents()

    def _refuse_others(self) -> None:
        architecture = self.value("general.architecture")
        if architecture != "llama":
            raise Refused(
                f"{self.path} is a model of the architecture {architecture}; this recipe trains llama models "
                "(SmolLM2) alone"
            )
        for key in _FOREIGN:
            if self.value(key):
                raise Refused(f"{self.path} has {key}, which this recipe does not know")
        names = {tensor.name for tensor in self.reader.tensors}
        if "output.weight" in names:
            raise Refused(
                f"{self.path} has a head of its own; this recipe trains models with a tied head alone"
            )
        found = {tensor.name: tuple(map(int, reversed(tensor.shape))) for tensor in self.reader.tensors}
        for name, wanted in tensor_shapes(self.shape).items():
            if found.get(name) != wanted:
                raise Refused(f"{self.path}: {name} should have the shape {wanted}, not {found.get(name)}")
        if surplus := sorted(names - set(tensor_shapes(self.shape))):
            raise Refused(f"{self.path} has tensors that this recipe does not know: {', '.join(surplus[:3])}")

    @cached_property
    def shape(self) -> Shape:
        """The architecture's numbers; `Refused` where one is missing."""
        try:
            return Shape(
                layers=int(self.value("llama.block_count")),
                width=int(self.value("llama.embedding_length")),
                feed_forward=int(self.value("llama.feed_forward_length")),
                heads=int(self.value("llama.attention.head_count")),
                key_value_heads=int(self.value("llama.attention.head_count_kv")),
                vocabulary=len(self.value("tokenizer.ggml.tokens")),
                epsilon=float(self.value("llama.attention.layer_norm_rms_epsilon")),
                rope_base=float(self.value("llama.rope.freq_base", 10_000.0)),
            )
        except TypeError as error:
            raise Refused(f"{self.path} lacks a number of its architecture: {error}") from error

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The vocabulary."""
        kind, pre = self.value("tokenizer.ggml.model"), self.value("tokenizer.ggml.pre")
        if (kind, pre) != ("gpt2", _PRE):
            raise Refused(
                f"{self.path} has a vocabulary of the kind {kind}/{pre}; this recipe knows gpt2/{_PRE}"
            )
        if self.value("tokenizer.ggml.add_bos_token"):
            raise Refused(f"{self.path} wants a start token, which the prepared samples do not have")
        return Tokenizer(
            self.value("tokenizer.ggml.tokens"),
            self.value("tokenizer.ggml.token_type"),
            self.value("tokenizer.ggml.merges"),
        )

    @cached_property
    def sha256(self) -> str:
        """The file's hash."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def weights(self) -> dict[str, np.ndarray]:
        """Every tensor as 32-bit floats, dequantised."""
        return {
            # A copy: what lies in the file cannot be written to.
            tensor.name: np.array(self._gguf.dequantize(tensor.data, tensor.tensor_type), np.float32).reshape(
                tuple(map(int, reversed(tensor.shape)))
            )
            for tensor in self.reader.tensors
        }
