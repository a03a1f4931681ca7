"""The recipe's numbers, from a TOML file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import Refused

KINDS = ("line", "node", "character")


@dataclass(frozen=True)
class Data:
    """What the samples are."""

    languages: list[str]
    # Characters of a file for each sample that is cut from it.
    characters_per_sample: int = 1_500
    # Files of training and of each held-out split, the first ones of a seeded order; 0 takes all.
    files: int = 0
    held_out_files: int = 0
    # Shares of the kinds of spans.
    line: float = 0.5
    node: float = 0.35
    character: float = 0.15
    # The prompt's budget in tokens, as the product estimates them, is drawn from this range.
    prompt_tokens: list[int] = field(default_factory=lambda: [256, 1024])
    # Longest middle in tokens.
    middle_tokens: int = 160
    # How often other places of the package stand in the prompt.
    excerpts: float = 0.7


@dataclass(frozen=True)
class Train:
    """How the weights are found."""

    # `lora` trains an adapter and the rows of the markers, `full` all weights.
    method: str = "lora"
    rank: int = 16
    alpha: int = 32
    # Tokens of a packed row, and rows of a step and of what is computed at once.
    sequence: int = 1_280
    rows: int = 32
    rows_at_once: int = 32
    rate: float = 1e-3
    marker_rate: float = 3e-3
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    # Weight in the loss of what stands before the middle.
    context_weight: float = 0.1
    warmup_steps: int = 50
    # Steps in all; 0 plans them from `minutes` and the speed of the first minute.
    steps: int = 0
    minutes: float = 20.0
    most_epochs: float = 4.0
    # `bf16` computes so over fp32 master weights; `fp32` throughout.
    precision: str = "bf16"
    checkpoint_minutes: float = 3.0
    evaluate_steps: int = 200
    evaluate_rows: int = 64


@dataclass(frozen=True)
class Config:
    """A whole recipe."""

    name: str
    data: Data
    train: Train
    seed: int = 1
    # The layout of prompts: a family of `models/formats`.
    family: str = "smollm2-fim"

    def hash_of(self, part: Data | Train) -> str:
        """Tells recipes apart that give different results."""
        parts = [dataclasses.asdict(part), self.seed, self.family]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read(path: Path) -> Config:
    """The recipe in a file; `Refused` names what is wrong with it."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Refused(f"cannot read the recipe {path}: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"{path} is no TOML: {error}") from error
    parts = {"data": Data, "train": Train}
    for name, kind in parts.items():
        if not isinstance(values.get(name), dict):
            raise Refused(f"{path} has no table [{name}]")
        values[name] = _made(path, name, kind, values[name])
    config = _made(path, "", Config, {"name": path.stem} | values)
    _check(path, config)
    return config


def _made(path: Path, table: str, kind: type, values: dict[str, Any]) -> Any:
    fields = {one.name: one for one in dataclasses.fields(kind)}
    where = f"[{table}] of {path}" if table else str(path)
    for name, value in values.items():
        if name not in fields:
            raise Refused(f"{where} knows no `{name}`; it knows {', '.join(sorted(fields))}")
        wanted = {"int": int, "float": (int, float), "str": str}.get(str(fields[name].type))
        if wanted and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise Refused(f"`{name}` in {where} should be of the type {fields[name].type}, not {value!r}")
    try:
        return kind(**values)
    except TypeError as error:
        raise Refused(f"{where} is incomplete: {error}") from error


def _check(path: Path, config: Config) -> None:
    data, train = config.data, config.train
    low_high = data.prompt_tokens
    for name, right in (
        ("method is `lora` or `full`", train.method in ("lora", "full")),
        ("precision is `bf16` or `fp32`", train.precision in ("bf16", "fp32")),
        ("prompt_tokens is [least, most]", len(low_high) == 2 and 0 < low_high[0] <= low_high[1]),
        ("line, node and character are shares of 1",
         abs(sum(getattr(data, kind) for kind in KINDS) - 1) < 1e-6),
        ("rows is a multiple of rows_at_once",
         0 < train.rows_at_once <= train.rows and train.rows % train.rows_at_once == 0),
        ("sequence has room for prompt and middle",
         train.sequence >= low_high[-1] + data.middle_tokens),
        ("sequence is 512 or more", train.sequence >= 512),
    ):  # fmt: skip
        if not right:
            raise Refused(f"{path}: {name}")
