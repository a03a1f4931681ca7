"""`python -m pipeline TASK`: what `cargo xtask models` runs, from the folder `models`."""

from __future__ import annotations

import os

# One thread in the linear algebra: its sums then always run in the same order.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import sys
import time
from pathlib import Path

from .console import folder_of, show_progress

MODELS = Path(__file__).resolve().parent.parent
TABLE = MODELS / "static-embedding.bin"
REFERENCE = MODELS / "static-embedding.reference.json"
SEARCH_MAP = MODELS / "search-map.bin"
SCORES = MODELS / "static-embedding.scores.json"


def _collect(args: argparse.Namespace) -> dict:
    from . import collect

    start = time.monotonic()
    manifest = collect.collect(
        MODELS.parent, args.data, args.folders, lambda done, all_: show_progress("packages", done, all_)
    )
    train = manifest["splits"]["train"]
    print(f"   {train['files']} files to learn from, {args.data}: {time.monotonic() - start:.0f} s",
          file=sys.stderr)  # fmt: skip
    return manifest


def data(args: argparse.Namespace) -> None:
    """Collects the texts and prints their manifest without the shards."""
    manifest = _collect(args)
    json.dump({key: value for key, value in manifest.items() if key != "shards"}, sys.stdout, indent=2)
    print()


def embedding(args: argparse.Namespace) -> None:
    """Makes the table and the reference texts for its tests."""
    from . import collect, embedding, reference
    from .teacher import Teacher

    start = time.monotonic()
    manifest = _collect(args)
    teacher = Teacher(args.teacher, args.data / "teacher")
    settings = embedding.Settings(seed=args.seed)
    records = list(collect.records(args.data, "train"))
    texts, pairs = embedding.texts_of(records), embedding.pairs_of(records)
    del records
    taught = embedding.teach(teacher, texts, settings, show_progress)
    table = embedding.build(
        teacher.vocabulary, taught, pairs, settings, manifest["train_hash"], show_progress
    )
    partial = args.out.with_suffix(".partial")
    partial.write_bytes(table.encode())
    os.replace(partial, args.out)
    # The reference as a reader of the file sees it.
    kept = type(table).read(args.out)
    args.out.with_suffix(".reference.json").write_text(
        reference.reference(kept, teacher.vocabulary), "utf-8"
    )
    print(f"   {table.header['id']}: {time.monotonic() - start:.0f} s", file=sys.stderr)


def search_map(args: argparse.Namespace) -> None:
    """Makes the maps of the second tier's vectors of questions and of code."""
    from . import collect, embedding, search_map
    from .teacher import Teacher

    start = time.monotonic()
    _collect(args)
    teacher = Teacher(args.teacher, args.data / "teacher")
    settings = search_map.Settings(seed=args.seed)
    pairs = search_map.sample(
        embedding.pairs_of(collect.records(args.data, "train")), settings.share
    )
    made = search_map.build(teacher, pairs, settings, show_progress)
    partial = args.out.with_suffix(".partial")
    partial.write_bytes(made.encode())
    os.replace(partial, args.out)
    print(f"   {args.out}, {len(pairs)} pairs: {time.monotonic() - start:.0f} s", file=sys.stderr)


def evaluate(args: argparse.Namespace) -> None:
    """Scores the table and writes the scores beside it."""
    from .evaluate import evaluate

    _collect(args)
    scores = evaluate(args.data, args.out, args.teacher, args.cosqa, args.part, args.seed)
    stored = json.loads(args.scores.read_text("utf-8")) if args.scores.is_file() else {}
    stored[args.part] = scores
    args.scores.write_text(json.dumps(dict(sorted(stored.items())), indent=1) + "\n", "utf-8")
    for task in scores["tasks"]:
        print(f"{task['task']}: {task['questions']} questions, {task['texts']} texts")
        for name, method in task["methods"].items():
            gain = method["over_bm25"]
            print(
                f"  {name:11} MRR {method['mrr']:.3f}  R@10 {method['recall10']:.3f}  over BM25 "
                f"{gain['mrr']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline", description=__doc__, fromfile_prefix_chars="@"
    )
    tasks = parser.add_subparsers(required=True)
    for task in (data, embedding, search_map, evaluate):
        name = task.__name__.replace("_", "-")
        sub = tasks.add_parser(name, help=task.__doc__, fromfile_prefix_chars="@")
        sub.set_defaults(task=task)
        sub.add_argument("folders", nargs="*", type=Path, help="more sources; @FILE reads them from it")
        sub.add_argument(
            "--data", type=Path, default=folder_of("cache") / "training",
            help="the folder of the collected texts",
        )  # fmt: skip
        if task is data:
            continue
        made, what = (SEARCH_MAP, "the maps") if task is search_map else (TABLE, "the table")
        sub.add_argument("--out", type=Path, default=made, help=what)
        sub.add_argument("--seed", type=int, default=1)
        sub.add_argument(
            "--teacher", type=Path,
            default=folder_of("data") / "models" / "all-minilm-l6-v2",
            help="the folder of model.onnx and tokenizer.json",
        )  # fmt: skip
        if task is evaluate:
            sub.add_argument("--part", choices=("development", "test"), default="development")
            sub.add_argument("--cosqa", type=Path, help="a folder with CoSQA's retrieval files")
            sub.add_argument("--scores", type=Path, default=SCORES, help="where the scores are kept")
    args = parser.parse_args()
    try:
        args.task(args)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
