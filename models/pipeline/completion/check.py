"""Whether the trained model and its GGUF file say the same in PyTorch and in llama.cpp.

llama.cpp's side is the program `completion-reference` (`reference.rs` beside this file): it lays the
samples out as the product does, so that layout, healing and tokens are compared, too.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import layout
from .base import Base
from .config import Config
from .convert import END
from .errors import Refused, needs
from .layout import Context, Excerpt, Format
from .samples import tokens_of

try:
    import torch

    from . import model as model_
except ImportError as error:
    raise needs("PyTorch", error) from error

# Largest difference of a logit among the likeliest at each place, for files with 32 bits: llama.cpp keeps
# keys and values with 16 bits. With 16 bits throughout it also rounds what it multiplies.
TOLERANCE = {"exact": 0.05, "half": 0.1}
_GREEDY_TOKENS = 24


def compare(
    config: Config,
    base: Base,
    model: model_.Llama,
    file: Path,
    reference: Path,
    samples: Sequence[dict],
    tolerance: float,
) -> dict[str, object]:
    """How far `file` in llama.cpp is from `model`; `Refused` where it is too far."""
    budgets = [config.data.prompt_tokens[number % 2] for number in range(len(samples))]
    answers = _answers(reference, file, samples, budgets)
    form, tokenizer = Format.of(config.family), base.tokenizer
    model.eval()
    worst, places, tops, greedy = 0.0, 0, 0, 0
    for sample, budget, answer in zip(samples, budgets, answers, strict=True):
        excerpts = [Excerpt(**excerpt) for excerpt in sample["excerpts"]]
        context = Context(sample["path"], sample["prefix"], sample["suffix"], excerpts)
        tokens, plain = tokens_of(tokenizer, layout.prompt(form, context, budget))
        healed, rest = layout.heal(tokens, plain, tokenizer.bytes_of)
        ours = [*healed, *tokenizer.encode(rest.decode("utf-8", "replace") + sample["middle"])]
        if (tokens, ours, len(healed)) != (answer["prompt"], answer["tokens"], answer["from"]):
            raise Refused(
                f"{sample['path']}: the tokens differ from llama.cpp's: {_apart(ours, answer['tokens'])}"
            )
        logits = _logits(model, ours)[len(healed) - 1 : len(ours) - 1]
        theirs_at = np.array(answer["top"])
        difference = np.abs(np.take_along_axis(logits, theirs_at, 1) - np.array(answer["logits"]))
        worst = max(worst, float(difference.max()))
        places += len(logits)
        tops += int((logits.argmax(1) == theirs_at[:, 0]).sum())
        followed = answer["greedy"]
        behind = _logits(model, [*tokens, *followed])[len(tokens) - 1 :].argmax(1).tolist()
        ended = len(followed) == _GREEDY_TOKENS or behind[-1] == tokenizer.special(END)
        greedy += behind[: len(followed)] == followed and ended
    found = {
        "file": file.name,
        "samples": len(samples),
        "places": places,
        "largest_difference": round(worst, 4),
        "tolerance": tolerance,
        "same_first_choice": round(tops / places, 4),
        "same_greedy_text": greedy,
    }
    if worst > tolerance:
        raise Refused(f"the model and its file are apart: {found}")
    return found


def _answers(reference: Path, file: Path, samples: Sequence[dict], budgets: list[int]) -> list[dict]:
    asked = "".join(
        json.dumps({**sample, "budget": budget, "greedy_tokens": _GREEDY_TOKENS}) + "\n"
        for sample, budget in zip(samples, budgets, strict=True)
    )
    try:
        done = subprocess.run(
            [str(reference), str(file)], input=asked, capture_output=True, encoding="utf-8", check=False
        )
    except OSError as error:
        raise Refused(f"cannot start {reference}: {error.strerror}") from error
    if done.returncode:
        raise Refused(f"llama.cpp does not take {file}: {done.stderr.strip()[-400:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _apart(ours: list[int], theirs: list[int]) -> str:
    pairs = enumerate(zip(ours, theirs, strict=False))
    place = next((at for at, (one, other) in pairs if one != other), min(len(ours), len(theirs)))
    return f"at {place}, {ours[place : place + 4]} against {theirs[place : place + 4]}"


@torch.no_grad()
def _logits(model: model_.Llama, tokens: Sequence[int]) -> np.ndarray:
    row = torch.tensor([tokens])
    positions = torch.arange(len(tokens)).unsqueeze(0)
    return model(row, positions, torch.ones_like(row))[0].float().numpy()
