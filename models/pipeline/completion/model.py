"""The llama architecture in PyTorch, as far as SmolLM2 needs it, over tensors by their GGUF names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .base import Shape

_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


class Linear(nn.Module):
    """A matrix, with an adapter of a low rank beside it where one is trained."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.scale = alpha / rank if rank else 0.0
        if rank:
            self.lora_a = nn.Parameter(torch.empty(rank, weight.shape[1]))
            self.lora_b = nn.Parameter(torch.zeros(weight.shape[0], rank))
            # As in the LoRA paper (arXiv 2106.09685): A random, B zero, so that training starts at the base.
            nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, values: Tensor) -> Tensor:
        """The product with every row of `values`."""
        product = functional.linear(values, self.weight)
        if self.scale:
            low = functional.linear(values, self.lora_a)
            product = product + functional.linear(low, self.lora_b) * self.scale
        return product


class Norm(nn.Module):
    """RMSNorm; always computed with 32 bits."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.epsilon = epsilon

    def forward(self, values: Tensor) -> Tensor:
        """Each row scaled to a mean square of 1, then weighted."""
        exact = values.float()
        scaled = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return (scaled * self.weight).to(values.dtype)


def rotated(values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions on neighbouring pairs, as llama.cpp turns a llama's queries and keys."""
    even, odd = values[..., 0::2], values[..., 1::2]
    turned = torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1)
    return turned.flatten(-2).to(values.dtype)


class Layer(nn.Module):
    """One block: grouped-query attention and SwiGLU, each behind a norm."""

    def __init__(self, shape: Shape, weights: Mapping[str, Tensor], rank: int, alpha: float) -> None:
        super().__init__()
        self.heads, self.key_value_heads, self.width = shape.heads, shape.key_value_heads, shape.head_width
        self.attn_norm = Norm(weights["attn_norm"], shape.epsilon)
        self.ffn_norm = Norm(weights["ffn_norm"], shape.epsilon)
        for name in _MATRICES:
            self.add_module(name, Linear(weights[name], rank, alpha))

    def forward(self, hidden: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor) -> Tensor:
        """The hidden states after the block."""
        batch, length, _ = hidden.shape
        normed = self.attn_norm(hidden)

        def split(values: Tensor, heads: int) -> Tensor:
            return values.view(batch, length, heads, self.width).transpose(1, 2)

        query = rotated(split(self.attn_q(normed), self.heads), cosine, sine)
        key = rotated(split(self.attn_k(normed), self.key_value_heads), cosine, sine)
        value = split(self.attn_v(normed), self.key_value_heads)
        group = self.heads // self.key_value_heads
        attended = functional.scaled_dot_product_attention(
            query, key.repeat_interleave(group, 1), value.repeat_interleave(group, 1), attn_mask=mask
        )
        hidden = hidden + self.attn_output(attended.transpose(1, 2).reshape(batch, length, -1))
        normed = self.ffn_norm(hidden)
        return hidden + self.ffn_down(functional.silu(self.ffn_gate(normed)) * self.ffn_up(normed))


class Llama(nn.Module):
    """The model. With a rank, only adapters and the rows of `markers` are trained; otherwise all."""

    def __init__(
        self,
        shape: Shape,
        weights: Mapping[str, Tensor],
        markers: list[int] | None = None,
        rank: int = 0,
        alpha: float = 1.0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(weights["token_embd.weight"])
        self.norm = Norm(weights["output_norm.weight"], shape.epsilon)
        self.blk = nn.ModuleList(
            Layer(
                shape,
                {
                    name: weights[f"blk.{layer}.{name}.weight"]
                    for name in ("attn_norm", "ffn_norm", *_MATRICES)
                },
                rank,
                alpha,
            )
            for layer in range(shape.layers)
        )
        self.rows: nn.Parameter | None = None
        pairs = torch.arange(0, shape.head_width, 2, dtype=torch.float32)
        self.register_buffer("speeds", shape.rope_base ** (-pairs / shape.head_width), persistent=False)
        if rank:
            for parameter in self.parameters():
                parameter.requires_grad_(False)
            self.register_buffer("markers", torch.tensor(markers), persistent=False)
            self.rows = nn.Parameter(self.embedding.detach()[markers].clone())
            for layer in self.blk:
                for name in _MATRICES:
                    layer.get_submodule(name).lora_a.requires_grad_(True)
                    layer.get_submodule(name).lora_b.requires_grad_(True)

    def table(self) -> Tensor:
        """The vectors of all tokens, with the trained rows of the markers."""
        if self.rows is None:
            return self.embedding
        return self.embedding.index_copy(0, self.markers, self.rows)

    def forward(
        self, tokens: Tensor, positions: Tensor, segments: Tensor, wanted: Tensor | None = None
    ) -> Tensor:
        """Logits behind every token, or behind those that `wanted` marks; segments do not see each other."""
        table = self.table()
        hidden = functional.embedding(tokens, table)
        angles = positions.unsqueeze(-1).float() * self.speeds
        cosine, sine = angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)
        length = tokens.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        mask = (segments.unsqueeze(1) == segments.unsqueeze(2)) & causal
        for layer in self.blk:
            hidden = layer(hidden, cosine, sine, mask.unsqueeze(1))
        if wanted is not None:
            hidden = hidden[wanted]
        return functional.linear(self.norm(hidden), table)

    def trained(self) -> dict[str, Tensor]:
        """What training changes, by the names of GGUF files."""
        return {
            _gguf_name(name): parameter
            for name, parameter in self.named_parameters()
            if parameter.requires_grad
        }


def _gguf_name(name: str) -> str:
    """`blk.0.attn_q.lora_a` is kept as `blk.0.attn_q.weight.lora_a`, as adapters call it."""
    whole = {"embedding": "token_embd.weight", "norm.weight": "output_norm.weight"}
    for part in (".lora_a", ".lora_b"):
        if name.endswith(part):
            return f"{name.removesuffix(part)}.weight{part}"
    return whole.get(name, name)


def from_numbers(
    shape: Shape, weights: Mapping[str, object], markers: list[int], rank: int = 0, alpha: float = 1.0
) -> Llama:
    """The model over NumPy arrays by their GGUF names."""
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
    return Llama(shape, tensors, markers, rank, alpha)
