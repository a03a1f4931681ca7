"""`python -m pipeline.completion TASK`: what `cargo xtask models completion` runs, from `models`."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from .. import collect
from ..console import folder_of, show_progress
from . import config as config_
from . import dataset, parts, pinned
from .config import Config
from .errors import Refused, whole_file
from .samples import Encoder, Neighbours, Sample, chance_of, samples
from .spans import Cutter

HERE = Path(__file__).resolve().parent
BASE = "smollm2-135m-instruct"
SAMPLES = "samples.jsonl"
SCORES = HERE.parents[2] / "tests/eval/completion/models.scores.json"


def prepare(args: argparse.Namespace) -> None:
    """Cuts samples out of the collected texts, as tokens in the product's layout."""
    from .base import Base
    from .convert import END

    config, start = config_.read(args.config), time.monotonic()
    base, manifest = Base(args.base), _collected(args.data)
    facts = {
        "recipe": config.hash_of(config.data),
        "family": config.family,
        "source": manifest["hash"],
        "tokenizer": base.tokenizer.hash,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    writer = dataset.Writer(args.out, config.data.languages, facts)
    encoder = Encoder(config, base.tokenizer, base.tokenizer.special(END))
    left_out = 0
    for name in ("train", "development"):
        split = writer.split(name)
        for epoch in range(args.epochs if name == "train" else 1):
            found = samples(
                config,
                _records(args.data, config, name),
                name,
                epoch,
                progress=partial(show_progress, f"{name}, packages"),
            )
            for number, sample in enumerate(found):
                chance = chance_of(config.seed, "budget", epoch, number)
                encoded = encoder.encode(sample, encoder.budget(chance))
                if encoded is None:
                    left_out += 1
                else:
                    split.add(sample, encoded)
        split.close()
    with whole_file(args.out / SAMPLES) as file:
        for sample in evaluation(config, _records(args.data, config, "test"), args.samples):
            file.write((json.dumps(sample.record(), ensure_ascii=False) + "\n").encode())
    prepared = writer.finish()
    json.dump(
        {"hash": prepared["hash"], "splits": prepared["splits"], "left_out_as_too_long": left_out},
        sys.stdout,
        indent=1,
    )
    print()
    print(f"   {args.out}: {time.monotonic() - start:.0f} s", file=sys.stderr)


def evaluation(config: Config, records: Iterator[Mapping[str, str]], wanted: int) -> Iterator[Sample]:
    """Held-out places for the evaluation, `wanted` of each language: four single lines for each block. The
    files take turns in a seeded order, so that all packages are heard."""
    by_language: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    by_package: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in records:
        by_language[record["language"]].append(record)
        by_package[record["package"]].append((record["path"], record["text"]))
    neighbours: dict[str, Neighbours] = {}
    for language, files in sorted(by_language.items()):
        files.sort(
            key=lambda record: hashlib.sha256(
                f"{config.seed}\0{record['package']}\0{record['path']}".encode()
            ).digest()
        )
        found, turn = 0, 0
        while found < wanted and turn < 64:
            for record in files:
                if found == wanted:
                    break
                chance = chance_of(config.seed, "evaluation", turn, record["package"], record["path"])
                text = record["text"]
                cutter = Cutter(language, text, config.data.middle_tokens * 4, parse=False)
                span = cutter.cut_as("block" if found % 5 == 4 else "line", chance)
                if span is None or not text[span.start : span.end].strip():
                    continue
                package = record["package"]
                if package not in neighbours:
                    neighbours[package] = Neighbours(by_package[package])
                prefix = text[: span.start]
                yield Sample(
                    language, package, record["path"], span.kind, prefix, text[span.start : span.end],
                    text[span.end :], neighbours[package].near(record["path"], prefix),
                )  # fmt: skip
                found += 1
            turn += 1


def train(args: argparse.Namespace) -> None:
    """Trains, or goes on with what was begun in the same folder."""
    from . import train as train_

    config = config_.read(args.config)
    if args.until_eof:
        train_.stop_at_end_of(sys.stdin.fileno())
    train_.run(config, args.base, args.prepared, args.out, args.minutes, args.device)


def convert(args: argparse.Namespace) -> None:
    """Makes the run's adapter, the merged model and a quantised one.

    What a person gets from an adapter is merged by the product; the 32-bit file, for `check` alone, here.
    With `--adapter-only` nothing but the adapter is made.
    """
    from . import convert as convert_
    from . import train as train_
    from .base import Base

    config, base = config_.read(args.config), Base(args.base)
    kept = train_.read_checkpoint(args.run / train_.CHECKPOINT)
    if kept["facts"]["recipe"] != config.hash_of(config.train):
        raise Refused(f"{args.run} was trained by another recipe than {args.config}")
    if kept["facts"]["base"] != base.sha256:
        raise Refused(f"{args.run} was trained on another file than {args.base}")
    trained = {name: value.numpy() for name, value in kept["trained"].items()}
    adapter, exact, half = (args.run / f"{name}.gguf" for name in ("adapter", "merged-F32", "merged-F16"))
    if args.adapter_only or config.train.method == "lora":
        convert_.adapter(config, base, trained, adapter)
    if args.adapter_only:
        return
    if config.train.method == "lora":
        convert_.merged(config, base, convert_.read_adapter(base, adapter), exact, exact=True)
        convert_.merge(args.hearth, args.base, adapter, half)
        files = [adapter, exact, half]
    else:
        convert_.merged(config, base, trained, exact, exact=True)
        convert_.merged(config, base, trained, half)
        files = [exact, half]
    quantised = args.run / f"smollm2-135m-fim-{args.quantization}.gguf"
    convert_.quantise(args.hearth, half, quantised, args.quantization)
    for file in [*files, quantised]:
        with file.open("rb") as content:
            print(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {file.stat().st_size:>11,}  {file}")


def check(args: argparse.Namespace) -> None:
    """Compares the trained model in PyTorch with its files in llama.cpp."""
    import torch

    from . import check as check_
    from . import train as train_
    from .base import Base

    config, base = config_.read(args.config), Base(args.base)
    model = train_.build(config, base)
    kept = train_.read_checkpoint(args.run / train_.CHECKPOINT)
    with torch.no_grad():
        for name, value in model.trained().items():
            value.copy_(kept["trained"][name])
    lines = (args.prepared / SAMPLES).read_text("utf-8").splitlines()
    step = max(1, len(lines) // args.samples)
    chosen = [json.loads(line) for line in lines[::step][: args.samples]]
    for name, tolerance in (("merged-F32.gguf", "exact"), ("merged-F16.gguf", "half")):
        found = check_.compare(
            config, base, model, args.run / name, args.reference, chosen, check_.TOLERANCE[tolerance]
        )
        print(json.dumps(found))


def evaluate(args: argparse.Namespace) -> None:
    """Scores a model beside its base and the live model of the workspace, on held-out places."""
    command = [
        args.evaluator, "--samples", args.prepared / SAMPLES, "--packages", args.data, "--base", args.base,
        "--model", args.model, "--each", args.each, *(["--show"] if args.show else []),
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        raise Refused(f"{args.evaluator} ended with {done.returncode}; what it said stands above")
    with whole_file(args.scores) as file:
        file.write(done.stdout.encode())
    print(json.dumps(json.loads(done.stdout)["decision"], indent=1))


def pack(args: argparse.Namespace) -> None:
    """Puts base weights, prepared data and this program into parts for another machine."""
    shards = [str(shard["file"]) for shard in dataset.read_manifest(args.prepared)["shards"]]
    manifest = parts.pack(
        {
            "base.gguf": args.base,
            **{f"prepared/{name}": args.prepared / name for name in (dataset.MANIFEST, *shards)},
            "models/formats": HERE.parents[1] / "formats",
            "models/pipeline": HERE.parent,
        },
        args.out,
        int(args.part_mb * 1_000_000),
    )
    print(f"{len(manifest['parts'])} parts, {manifest['bytes']:,} bytes, in {args.out}")


def join(args: argparse.Namespace) -> None:
    """Unpacks the parts of a folder after checking each."""
    for name in parts.join(args.parts, args.out):
        print(name)


def _collected(folder: Path) -> dict:
    try:
        return collect.read_manifest(folder)
    except FileNotFoundError as error:
        raise Refused(
            f"{folder} holds no collected texts; `cargo xtask models data` collects them"
        ) from error
    except collect.CorruptShard as error:
        raise Refused(f"{error}; `cargo xtask models data` makes it anew") from error


def _records(folder: Path, config: Config, split: str) -> Iterator[dict[str, str]]:
    """The records of a split in the recipe's languages."""
    shards = [
        shard
        for shard in collect.read_manifest(folder)["shards"]
        if shard["split"] == split and shard["language"] in config.data.languages
    ]
    for shard in shards:
        try:
            content = collect.read_shard(folder, shard)
        except collect.CorruptShard as error:
            raise Refused(f"{error}; `cargo xtask models data` makes it anew") from error
        for line in content.splitlines():
            yield json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.completion", description=__doc__)
    tasks = parser.add_subparsers(required=True)
    cache = folder_of("cache")
    for task in (prepare, train, convert, check, evaluate, pack, join):
        sub = tasks.add_parser(task.__name__, help=task.__doc__)
        sub.set_defaults(task=task)
        if task is join:
            sub.add_argument("parts", type=Path, help="the folder with parts.json")
            sub.add_argument("out", type=Path, help="where the files go")
            continue
        sub.add_argument(
            "--base", type=Path, help="the GGUF file to train on (default: the pinned one, fetched once)"
        )
        if task not in (pack, evaluate):
            sub.add_argument("--config", type=Path, default=HERE / "tiny.toml", help="the recipe")
        if task in (prepare, evaluate):
            sub.add_argument("--data", type=Path, default=cache / "training", help="the collected texts")
        if task is prepare:
            sub.add_argument("--out", type=Path, default=cache / "completion" / "prepared")
            sub.add_argument("--epochs", type=int, default=1, help="times that each file is cut, each anew")
            sub.add_argument("--samples", type=int, default=500, help="places to evaluate, of each language")
        else:
            sub.add_argument("--prepared", type=Path, default=cache / "completion" / "prepared")
        if task is train:
            sub.add_argument("--out", type=Path, default=cache / "completion" / "run")
            sub.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
            sub.add_argument("--device", default="auto", help="auto, cpu or cuda")
            sub.add_argument(
                "--until-eof", action="store_true", help="stop with a checkpoint when standard input ends"
            )
        if task in (convert, check):
            sub.add_argument("--run", type=Path, default=cache / "completion" / "run")
        if task is convert:
            sub.add_argument("--hearth", type=Path, default=Path("hearth"), help="the program hearth")
            sub.add_argument("--quantization", default="Q8_0")
            sub.add_argument("--adapter-only", action="store_true", help="make nothing but the adapter")
        if task is check:
            sub.add_argument("--reference", type=Path, required=True, help="the program completion-reference")
            sub.add_argument("--samples", type=int, default=8)
        if task is evaluate:
            sub.add_argument(
                "--model", type=Path, default=cache / "completion" / "run" / "smollm2-135m-fim-Q8_0.gguf",
                help="the very file that would ship",
            )  # fmt: skip
            sub.add_argument("--evaluator", type=Path, required=True, help="the program evaluate-models")
            sub.add_argument("--each", type=int, default=500, help="places of each language")
            sub.add_argument("--scores", type=Path, default=SCORES, help="where the scores are kept")
            sub.add_argument("--show", action="store_true", help="show every answer")
        if task is pack:
            sub.add_argument("--out", type=Path, default=cache / "completion" / "parts")
            sub.add_argument("--part-mb", type=float, default=55.0, help="megabytes of a part")
    args = parser.parse_args()
    try:
        if args.task is not join and args.base is None:
            args.base = pinned.base_file(BASE, cache / "completion" / "base")
        args.task(args)
    except (Refused, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
