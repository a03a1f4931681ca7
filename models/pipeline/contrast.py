"""Draws each function's vector to that of its description, and away from other functions' ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse


@dataclass(frozen=True)
class Contrast:
    """Settings of the refinement."""

    epochs: int = 3
    # Pairs that are told apart at a time.
    batch: int = 512
    temperature: float = 0.07
    rate: float = 5e-4


def refine(
    table: np.ndarray,
    questions: scipy.sparse.csr_matrix,
    answers: scipy.sparse.csr_matrix,
    settings: Contrast,
    seed: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> np.ndarray:
    """The table after training on pairs of rows with InfoNCE in both directions.

    Adam's moments are kept for each token and moved only in the batches that hold it.
    """
    scale = np.linalg.norm(questions @ table, axis=1).mean()
    table = (table / scale).astype(np.float32)
    mean, square = np.zeros_like(table), np.zeros_like(table)
    random = np.random.default_rng(seed)
    count = questions.shape[0]
    size = min(settings.batch, count)
    batches = count // max(size, 1)
    total = settings.epochs * batches
    step = 0
    for _ in range(settings.epochs):
        order = random.permutation(count)
        for batch in range(batches):
            members = np.sort(order[batch * size : (batch + 1) * size])
            both = [questions[members], answers[members]]
            touched = np.unique(np.concatenate([rows.indices for rows in both]))
            question, answer = (
                scipy.sparse.csr_matrix(
                    (rows.data, np.searchsorted(touched, rows.indices), rows.indptr),
                    (size, len(touched)),
                )
                for rows in both
            )
            part = table[touched]
            gradient = _gradient(part, question, answer, settings.temperature)
            step += 1
            rate = settings.rate * (1 - step / (total + 1))
            mean[touched] += 0.1 * (gradient - mean[touched])
            square[touched] += 0.01 * (gradient**2 - square[touched])
            move = (mean[touched] / (1 - 0.9**step)) / (
                np.sqrt(square[touched] / (1 - 0.99**step)) + 1e-6
            )
            table[touched] = part - np.float32(rate) * move
            progress(step, total)
    return table


def _gradient(
    table: np.ndarray,
    question: scipy.sparse.csr_matrix,
    answer: scipy.sparse.csr_matrix,
    temperature: float,
) -> np.ndarray:
    """How the loss changes with the table: the mean over pairs of both directions' cross entropy."""
    to_question, to_answer = pull(question @ table, answer @ table, temperature)
    return question.T.tocsr() @ to_question + answer.T.tocsr() @ to_answer


def pull(
    questions: np.ndarray, answers: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same loss's gradient at the vectors of questions and at those of their answers, of any
    length; row i of both is pair i."""
    asked, asked_length = _unit(questions)
    given, given_length = _unit(answers)
    logits = (asked @ given.T) / np.float32(temperature)
    both = (_softmax(logits, 1) + _softmax(logits, 0)) / 2
    np.fill_diagonal(both, both.diagonal() - 1)
    both /= np.float32(len(both) * temperature)
    to_questions = _through_unit(both @ given, asked, asked_length)
    to_answers = _through_unit(both.T @ asked, given, given_length)
    return to_questions, to_answers


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors / length, length


def _through_unit(gradient: np.ndarray, unit: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The gradient before scaling to length 1."""
    return (gradient - unit * (gradient * unit).sum(1, keepdims=True)) / length


def _softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
