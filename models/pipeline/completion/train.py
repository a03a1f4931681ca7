"""Training: one loop for adapters and for all weights, in pieces that go on exactly where they ended."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from . import dataset
from .base import Base
from .config import Config
from .errors import Refused, needs, whole_file
from .layout import Format

try:
    import torch
    import torch.nn.functional as functional

    from . import model as model_
except ImportError as error:
    raise needs("PyTorch", error) from error

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
_FORMAT = 1
# How long the speed is measured before the schedule is planned by it.
_MEASURED_SECONDS = 60.0
_SHOWN_SECONDS = 10.0
# The rate at the end, of the highest.
_LAST_RATE = 0.1


@dataclass
class State:
    """Where a run stands."""

    step: int = 0
    epoch: int = 0
    # The row of the epoch that comes next.
    row: int = 0
    tokens: int = 0
    # Seconds of computing, all pieces together.
    seconds: float = 0.0
    # Steps in all, once they are known.
    plan: int | None = None


def build(config: Config, base: Base) -> model_.Llama:
    """The model before its first step, markers' rows included."""
    train = config.train
    markers = marker_ids(config, base)
    weights = base.weights()
    weights["token_embd.weight"] = with_marker_rows(weights["token_embd.weight"], markers, config.seed)
    torch.manual_seed(config.seed)
    rank = train.rank if train.method == "lora" else 0
    return model_.from_numbers(base.shape, weights, markers, rank, train.alpha)


def marker_ids(config: Config, base: Base) -> list[int]:
    """The tokens of prefix, suffix and middle."""
    return [base.tokenizer.special(name) for name in Format.of(config.family).markers]


def with_marker_rows(embedding: np.ndarray, markers: list[int], seed: int) -> np.ndarray:
    """The embedding with rows like those of any token for the markers: the base never trained theirs,
    they are all the same."""
    chance = np.random.default_rng([seed, *markers])
    found = embedding.copy()
    found[markers] = chance.normal(embedding.mean(0), embedding.std(0), (len(markers), embedding.shape[1]))
    return found


def run(config: Config, base_file: Path, data: Path, out: Path, minutes: float | None, device: str) -> State:
    """Trains until the plan is done, `minutes` are over or a signal comes; then a checkpoint is kept."""
    target = _device(config, device)
    base, manifest = Base(base_file), dataset.read_manifest(data)
    if manifest["tokenizer"] != base.tokenizer.hash:
        raise Refused(
            f"{data} was prepared with another vocabulary than that of {base_file}; prepare it anew"
        )
    if manifest["family"] != config.family:
        raise Refused(f"{data} was laid out for {manifest['family']}, the recipe is for {config.family}")
    train, held_out = dataset.read(data, "train"), dataset.read(data, "development")
    if int(train.lengths.max()) > config.train.sequence:
        raise Refused(f"{data} holds samples longer than the recipe's sequence of {config.train.sequence}")
    facts = {
        "recipe": config.hash_of(config.train),
        "data": manifest["hash"],
        "base": base.sha256,
    }
    work = _Work(config, build(config, base).to(target), target)
    state = work.resume(out / CHECKPOINT, facts)
    return _loop(config, work, train, held_out, state, out, facts, minutes)


def _device(config: Config, wanted: str) -> torch.device:
    found = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if found.startswith("cuda") and not torch.cuda.is_available():
        raise Refused(f"PyTorch sees no GPU for --device {wanted}")
    if config.train.precision == "bf16" and not found.startswith("cuda"):
        raise Refused(
            f"the recipe {config.name} is for a GPU (bf16) and PyTorch sees none; train with tiny.toml to "
            "see the whole path on a CPU, or run this one where a GPU is"
        )
    return torch.device(found)


class _Work:
    """Model and optimiser."""

    def __init__(self, config: Config, model: model_.Llama, device: torch.device) -> None:
        self.config, self.model, self.device = config, model, device
        train = config.train
        named = model.trained()
        rows = [value for name, value in named.items() if name == "rows"]
        matrices = [value for name, value in named.items() if name != "rows" and value.ndim == 2]
        rest = [value for name, value in named.items() if name != "rows" and value.ndim != 2]
        self.rates = [train.rate, train.rate, train.marker_rate]
        groups = [
            {"params": matrices, "weight_decay": train.weight_decay},
            {"params": rest, "weight_decay": 0.0},
            {"params": rows, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=train.rate, betas=(train.beta1, train.beta2), fused=device.type == "cuda"
        )

    def rate(self, state: State) -> float:
        """The share of the highest rate at this step: a linear start, then half a cosine to a tenth."""
        warmup = self.config.train.warmup_steps
        start = min(1.0, (state.step + 1) / max(warmup, 1))
        if state.plan is None or state.step < warmup:
            return start
        done = min(1.0, (state.step - warmup) / max(state.plan - warmup, 1))
        return _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))

    def step(self, batch: dataset.Batch, factor: float) -> float:
        """One step over all rows of the batch: the mean loss."""
        train = self.config.train
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        total = float(batch.weights.sum())
        loss = 0.0
        for first in range(0, len(batch.tokens), train.rows_at_once):
            part = self.loss(batch, slice(first, first + train.rows_at_once)) / total
            part.backward()
            loss += float(part.detach())
        if not math.isfinite(loss):
            raise Refused(
                "the loss is no number any more; the last checkpoint is whole: lower `rate` in the recipe "
                "and train in another folder"
            )
        trained = [value for group in self.optimizer.param_groups for value in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, train.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def loss(self, batch: dataset.Batch, rows: slice) -> torch.Tensor:
        """The weighted sum of the losses of some rows."""

        def moved(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values[rows]).to(self.device, non_blocking=True)

        weights = moved(batch.weights)
        wanted = weights > 0
        kind, half = self.device.type, self.config.train.precision == "bf16"
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            logits = self.model(moved(batch.tokens), moved(batch.positions), moved(batch.segments), wanted)
        losses = functional.cross_entropy(logits.float(), moved(batch.targets)[wanted], reduction="none")
        return (losses * weights[wanted]).sum()

    @torch.no_grad()
    def held_out(self, samples: dataset.Samples) -> float:
        """The mean loss of the tokens of held-out middles, their end included."""
        train = self.config.train
        rows = dataset.epoch_rows(samples, train.sequence, self.config.seed, 0)[: train.evaluate_rows]
        total = count = 0.0
        for first in range(0, len(rows), train.rows_at_once):
            batch = dataset.batch(samples, rows[first : first + train.rows_at_once], train.sequence, 0.0)
            total += float(self.loss(batch, slice(None)))
            count += float(batch.weights.sum())
        return total / max(count, 1.0)

    def save(self, path: Path, state: State, facts: dict[str, str]) -> None:
        """Keeps a checkpoint, whole or not at all."""
        content = io.BytesIO()
        torch.save(
            {
                "format": _FORMAT,
                "facts": facts,
                "state": asdict(state),
                "trained": {name: value.detach() for name, value in self.model.trained().items()},
                "optimizer": self.optimizer.state_dict(),
            },
            content,
        )
        with whole_file(path, f"the checkpoint before it in {path.parent} is whole") as file:
            file.write(content.getbuffer())

    def resume(self, path: Path, facts: dict[str, str]) -> State:
        """Goes on with a checkpoint of the same run, where there is one."""
        if not path.exists():
            return State()
        kept = read_checkpoint(path)
        for name, value in facts.items():
            if kept["facts"].get(name) != value:
                raise Refused(
                    f"{path} was made with another {name}; train into another folder, or remove this one to "
                    "start anew"
                )
        with torch.no_grad():
            for name, value in self.model.trained().items():
                value.copy_(kept["trained"][name])
        self.optimizer.load_state_dict(kept["optimizer"])
        return State(**kept["state"])


def read_checkpoint(path: Path) -> dict:
    """What `_Work.save` wrote."""
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise Refused(f"there is no {path}; `cargo xtask models completion train` makes it") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition(". ")[0]
        raise Refused(f"the checkpoint {path} cannot be read ({reason}); remove it to start anew") from error
    if kept.get("format") != _FORMAT:
        raise Refused(f"the checkpoint {path} is of another version; remove it to start anew")
    return kept


def stop_at_end_of(stream: int) -> None:
    """Has this process end as on SIGTERM when a stream ends: whoever started it is gone, or wants it to stop.

    It works over a connection, too, and on systems without signals between processes. The stream is read by its
    number: a thread that waits in a buffered one keeps the interpreter from ending.
    """

    def watch() -> None:
        while os.read(stream, 1024):
            pass
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


class _Signals:
    """Notes a signal instead of ending at once."""

    def __init__(self) -> None:
        self.seen: int | None = None

    def __enter__(self) -> _Signals:
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.seen = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _loop(
    config: Config,
    work: _Work,
    train: dataset.Samples,
    held_out: dataset.Samples,
    state: State,
    out: Path,
    facts: dict[str, str],
    minutes: float | None,
) -> State:
    numbers = config.train
    out.mkdir(parents=True, exist_ok=True)
    began = saved = shown = clock = time.monotonic()
    measured_seconds, measured_tokens, shown_tokens = 0.0, 0, 0
    # The first step of a piece also pays for what is made once.
    warm = False
    rows = dataset.epoch_rows(train, numbers.sequence, config.seed, state.epoch)
    state.plan = state.plan or numbers.steps or None
    if state.step:
        _say(f"going on after step {state.step} of {state.plan or 'a number not yet planned'}")

    def evaluate() -> None:
        loss = work.held_out(held_out)
        _say(f"step {state.step}: held-out loss of the middle {loss:.4f}")
        entry = {
            "step": state.step,
            "tokens": state.tokens,
            "seconds": round(state.seconds, 1),
            "held_out": loss,
        }
        with (out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    with _Signals() as signals:
        if state.step == 0:
            evaluate()
            clock = time.monotonic()
        while state.plan is None or state.step < state.plan:
            if state.row + numbers.rows > len(rows):
                if len(rows) < numbers.rows:
                    raise Refused(
                        f"the data fill {len(rows)} rows and a step wants {numbers.rows}; prepare more"
                    )
                state.epoch, state.row = state.epoch + 1, 0
                rows = dataset.epoch_rows(train, numbers.sequence, config.seed, state.epoch)
            batch = dataset.batch(
                train, rows[state.row : state.row + numbers.rows], numbers.sequence, numbers.context_weight
            )
            loss = work.step(batch, work.rate(state))
            tokens = int((batch.segments > 0).sum())
            now = time.monotonic()
            took, clock = now - clock, now
            state.step, state.row = state.step + 1, state.row + numbers.rows
            state.tokens, state.seconds = state.tokens + tokens, state.seconds + took
            shown_tokens += tokens
            if warm:
                measured_seconds, measured_tokens = measured_seconds + took, measured_tokens + tokens
            warm = True
            if now - shown >= _SHOWN_SECONDS:
                speed = shown_tokens / (now - shown)
                _say(
                    f"step {state.step} of {state.plan or '?'}: loss {loss:.4f}, {speed:,.0f} tokens a second"
                )
                shown, shown_tokens = now, 0
            if state.plan is None and measured_tokens and measured_seconds >= _MEASURED_SECONDS:
                state.plan = _plan(config, state, measured_tokens / measured_seconds, len(rows))
            if state.step % numbers.evaluate_steps == 0:
                evaluate()
            over = minutes is not None and time.monotonic() - began >= minutes * 60
            if over or signals.seen or time.monotonic() - saved >= numbers.checkpoint_minutes * 60:
                work.save(out / CHECKPOINT, state, facts)
                saved = time.monotonic()
            if over or signals.seen:
                break
            clock = time.monotonic()
        else:
            if state.step % numbers.evaluate_steps:
                evaluate()
            work.save(out / CHECKPOINT, state, facts)
    done = state.plan is not None and state.step >= state.plan
    _say(
        f"{'finished' if done else 'stopped'} after step {state.step} of {state.plan or '?'}, "
        f"{state.tokens:,} tokens, {state.seconds:.0f} s of computing"
        + ("" if done else "; the same command goes on")
    )
    if signals.seen:
        sys.exit(128 + signals.seen)
    return state


def _plan(config: Config, state: State, speed: float, rows: int) -> int:
    """Steps in all that fit into the recipe's minutes at this speed, and into its epochs."""
    numbers = config.train
    per_step = state.tokens / state.step
    left = max(numbers.minutes * 60 - state.seconds, 0)
    by_time = state.step + int(left * speed / per_step)
    by_data = int(numbers.most_epochs * (rows // numbers.rows))
    plan = max(min(by_time, by_data), state.step + 1)
    _say(
        f"{speed:,.0f} tokens a second: {plan} steps in {numbers.minutes:g} minutes "
        f"({plan * per_step:,.0f} tokens, {plan * numbers.rows / rows:.1f} epochs)"
    )
    return plan


def _say(line: str) -> None:
    print(f"   {line}", file=sys.stderr, flush=True)
