"""Scores of the table beside BM25 and the model that it imitates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import collect, retrieval
from .retrieval import Task
from .table import Table
from .teacher import Teacher

# The weight of the vectors beside BM25, chosen on development sets.
WEIGHT = 0.7
_QUESTIONS = 400
# The model reads every text of its tasks, so its tasks are smaller; it reads 256 tokens of each, as
# it was trained to.
_TEACHER_QUESTIONS = 100
_TEACHER_TOKENS = 256


def evaluate(
    data: Path, table_file: Path, teacher_folder: Path, cosqa: Path | None, part: str, seed: int
) -> dict[str, object]:
    """All scores of one split.

    `cosqa` is a folder with CoSQA's retrieval files; without it that task is not run.
    """
    table, teacher = Table.read(table_file), Teacher(teacher_folder, data / "teacher")
    held_out = list(collect.records(data, part))
    tasks = [retrieval.described_functions("functions", held_out, seed, _QUESTIONS)]
    if cosqa:
        tasks.append(retrieval.cosqa(cosqa, "dev" if part == "development" else part))
    small = retrieval.described_functions("functions-small", held_out, seed, _TEACHER_QUESTIONS)
    return {
        "table": table.header["id"],
        "part": part,
        "data": collect.read_manifest(data)["hash"],
        "weight": WEIGHT,
        "tasks": [_scores(task, table, teacher, seed, with_model=task is small)
                  for task in [*tasks, small]],
    }  # fmt: skip


def _scores(
    task: Task, table: Table, teacher: Teacher, seed: int, *, with_model: bool
) -> dict[str, object]:
    words = retrieval.Bm25(task.texts).scores(task.questions)
    vocabulary = teacher.vocabulary
    vectors = table.embed(vocabulary, task.questions) @ table.embed(vocabulary, task.texts).T
    scored = {
        "bm25": words,
        "table": vectors,
        "bm25+table": retrieval.fuse(words, vectors, WEIGHT),
    }
    if with_model:
        read = [
            teacher.embed([(text, _TEACHER_TOKENS) for text in texts])
            for texts in (task.questions, task.texts)
        ]
        model = read[0] @ read[1].T
        scored["model"] = model
        scored["bm25+model"] = retrieval.fuse(words, model, 0.8)
    found = {name: retrieval.places(scores, task.answers) for name, scores in scored.items()}
    languages = np.array(task.languages)
    return {
        "task": task.name,
        "questions": len(task.questions),
        "texts": len(task.texts),
        "methods": {
            name: {
                **retrieval.summary(places),
                "over_bm25": retrieval.difference(places, found["bm25"], seed),
            }
            for name, places in found.items()
        },
        "languages": {
            language: {
                "questions": int((languages == language).sum()),
                **{
                    name: retrieval.summary(places[languages == language])["mrr"]
                    for name, places in found.items()
                },
            }
            for language in sorted(set(task.languages))
        },
    }
