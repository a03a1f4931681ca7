"""The tasks and files of `models/pipeline/completion` with the standard library alone: nothing is learnt, and the
adapter is the file that the test has put beside this one. Each task writes a line into `$PIPELINE_LOG`."""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEPS = 3


def log(**facts: object) -> None:
    """Tells the test."""
    with open(os.environ["PIPELINE_LOG"], "a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")


def say(line: str) -> None:
    """Tells the person."""
    print(f"   {line}", file=sys.stderr, flush=True)


def prepare(args: argparse.Namespace) -> None:
    """Reads every text as the collector's format has it."""
    manifest = json.loads((args.data / "manifest.json").read_text("utf-8"))
    paths: dict[str, list[str]] = {}
    for shard in manifest["shards"]:
        content = gzip.decompress((args.data / shard["file"]).read_bytes())
        assert hashlib.sha256(content).hexdigest() == shard["sha256"], shard
        records = [json.loads(line) for line in content.splitlines()]
        assert len(records) == shard["records"], shard
        for record in records:
            assert (record["split"], record["language"]) == (shard["split"], shard["language"]), record
            paths.setdefault(record["split"], []).append(record["path"])
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "prepared.json").write_text(json.dumps({"hash": manifest["hash"]}), "utf-8")
    log(task="prepare", config=str(args.config), paths=paths)


def train(args: argparse.Namespace) -> None:
    """Goes on after the last checkpoint: to the end, or with `--minutes` for one step."""
    checkpoint = args.out / "checkpoint.pt"
    step = json.loads(checkpoint.read_text("utf-8"))["step"] if checkpoint.exists() else 0
    assert (args.prepared / "prepared.json").exists() and args.base.exists()
    log(task="train", after=step, config=str(args.config), device=args.device, folder=os.getcwd())
    if os.environ.get("PIPELINE_FAILS_AFTER") == str(step):
        sys.exit("error: the graphics card is on fire")

    def keep() -> None:
        args.out.mkdir(parents=True, exist_ok=True)
        checkpoint.write_text(json.dumps({"step": step}), "utf-8")

    while step < STEPS:
        step += 1
        say(f"step {step} of {STEPS}: loss 2.5000, 1,000 tokens a second")
        if os.environ.get("PIPELINE_HOLDS") == "yes":
            assert args.until_eof and not sys.stdin.buffer.read()
            keep()
            log(task="stopped", after=step)
            sys.exit(143)
        if args.minutes is not None:
            break
    keep()
    say(f"{'finished' if step == STEPS else 'stopped'} after step {step} of {STEPS}")


def convert(args: argparse.Namespace) -> None:
    """Hands out the test's adapter."""
    assert args.adapter_only and json.loads((args.run / "checkpoint.pt").read_text("utf-8"))["step"] == STEPS
    shutil.copyfile(HERE / "adapter.gguf", args.run / "adapter.gguf")
    log(task="convert")


def pack(args: argparse.Namespace) -> None:
    """One part, which is a tar file."""
    args.out.mkdir(parents=True, exist_ok=True)
    part = args.out / "part-000"
    with tarfile.open(part, "w") as archive:
        archive.add(args.base, "base.gguf")
        archive.add(args.prepared, "prepared")
        archive.add(HERE.parent, "models/pipeline")
    manifest = {"bytes": part.stat().st_size, "parts": [{"file": part.name}]}
    (args.out / "parts.json").write_text(json.dumps(manifest), "utf-8")
    log(task="pack")


def main() -> None:
    """Runs the task that is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("prepare", "train", "convert", "pack"))
    for name in ("--base", "--config", "--data", "--prepared", "--out", "--run"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--device")
    parser.add_argument("--minutes", type=float)
    for name in ("--until-eof", "--adapter-only"):
        parser.add_argument(name, action="store_true")
    args = parser.parse_args()
    globals()[args.task](args)


main()
