"""The table's parts on small numbers, and the committed table against its reference texts."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import scipy.sparse

from .. import contrast, embedding, reference, retrieval, units
from ..table import Table
from ..text import Vocabulary, words

MODELS = Path(__file__).resolve().parents[2]


class Words(unittest.TestCase):
    def test_splitting(self) -> None:
        def check(text: str, expected: str) -> None:
            with self.subTest(text):
                self.assertEqual(" ".join(words(text)), expected)

        check("parseHTTPRequest", "parse http request")
        check("HTTPServer2Go", "http server 2 go")
        check("snake_case-kebab.dot", "snake case kebab dot")
        check("ABc aB Ab AB", "a bc a b ab ab")
        check("NAÏVECafé", "naive cafe")
        check("ПарсерJSON", "парсер json")
        check("x²", "x ²")
        check("!?", "")

    def test_ascii_and_other_texts_follow_one_rule(self) -> None:
        text = "parseHTTPRequest2Go X1y ABc __init__ a1B2"
        self.assertEqual(words(f"{text} \u00e9")[:-1], words(text))

    def test_pieces(self) -> None:
        vocabulary = Vocabulary(["[UNK]", "[CLS]", "[SEP]", "un", "##known", "##k", "##n"])

        def check(word: str, expected: tuple[int, ...]) -> None:
            with self.subTest(word):
                self.assertEqual(vocabulary.word_ids(word), expected)

        check("unknown", (3, 4))
        check("unk", (3, 5))
        check("unx", (0,))
        check("un" * 51, (0,))


class Units(unittest.TestCase):
    def test_functions(self) -> None:
        def check(language: str, text: str, doc: str, first: str, last: str) -> None:
            with self.subTest(language):
                [found] = units.functions(language, "file", text)
                lines = found.code.splitlines()
                self.assertEqual((found.doc, lines[0].strip(), lines[-1].strip()), (doc, first, last))
                self.assertNotIn(doc, found.code)

        check(
            "python",
            'def add(a, b):\n    """Adds two numbers up.\n\n    More."""\n    c = a + b\n    return c\n',
            "Adds two numbers up.",
            "def add(a, b):",
            "return c",
        )
        check(
            "rust",
            "/// Adds two numbers up.\n///\n/// More.\n#[inline]\npub fn add(a: u8) -> u8 {\n    a\n}\n",
            "Adds two numbers up.",
            "pub fn add(a: u8) -> u8 {",
            "}",
        )
        check(
            "typescript",
            "/**\n * Adds two numbers up.\n * @param a one\n */\nexport function add(a: number) {\n  return a;\n}\n",
            "Adds two numbers up.",
            "export function add(a: number) {",
            "}",
        )
        check(
            "go",
            "// Add adds two numbers up.\nfunc Add(a int) int {\n\treturn a\n}\n",
            "Add adds two numbers up.",
            "func Add(a int) int {",
            "}",
        )


class Numbers(unittest.TestCase):
    def setUp(self) -> None:
        self.random = np.random.default_rng(3)

    def sparse(self, rows: int, columns: int) -> scipy.sparse.csr_matrix:
        return scipy.sparse.random(
            rows, columns, 0.5, "csr", np.float32, rng=self.random
        )  # fmt: skip

    def test_regression_solves_the_normal_equations(self) -> None:
        rows = self.sparse(30, 8)
        target = self.random.normal(size=(30, 3)).astype(np.float32)
        prior = self.random.normal(size=(8, 3)).astype(np.float32)
        dense = rows.toarray()
        expected = np.linalg.solve(
            dense.T @ dense + 2 * np.eye(8), dense.T @ target + 2 * prior
        )
        np.testing.assert_allclose(embedding.regress(rows, target, prior, 2.0, 30), expected, atol=1e-4)

    def test_contrast_follows_its_gradient(self) -> None:
        question, answer = self.sparse(6, 9).astype(np.float64), self.sparse(6, 9).astype(np.float64)
        table = self.random.normal(size=(9, 4))

        def loss(at: np.ndarray) -> float:
            asked, given = (contrast._unit(rows @ at)[0] for rows in (question, answer))
            logits = asked @ given.T / 0.5
            both = [np.log(contrast._softmax(logits, axis)).diagonal() for axis in (0, 1)]
            return -float(np.mean(both))

        gradient = contrast._gradient(table, question, answer, 0.5)
        for place in ((0, 0), (4, 2), (8, 3)):
            step = np.zeros_like(table)
            step[place] = 1e-5
            slope = (loss(table + step) - loss(table - step)) / 2e-5
            self.assertAlmostEqual(gradient[place], slope, places=4)

    def test_contrast_brings_pairs_together_and_repeats(self) -> None:
        question, answer = self.sparse(40, 60), self.sparse(40, 60)
        table = self.random.normal(size=(60, 8)).astype(np.float32)
        settings = contrast.Contrast(epochs=20, batch=20, rate=0.02)
        first = contrast.refine(table, question, answer, settings, 1)
        np.testing.assert_array_equal(first, contrast.refine(table, question, answer, settings, 1))

        def place(at: np.ndarray) -> float:
            scores = contrast._unit(question @ at)[0] @ contrast._unit(answer @ at)[0].T
            return float(retrieval.places(scores, list(range(40))).mean())

        self.assertLess(place(first), place(table))

    def test_ranking(self) -> None:
        texts = ["fn open_file(path) {}", "fn close_socket() {}", "fn opened() {}"]
        scores = retrieval.Bm25(texts).scores(["opening the file", "the socket closes"])
        np.testing.assert_array_equal(retrieval.places(scores, [0, 1]), [1, 1])
        # A tie counts against the answer.
        np.testing.assert_array_equal(retrieval.places(np.zeros((1, 3)), [0]), [3])


class Committed(unittest.TestCase):
    def setUp(self) -> None:
        self.file = MODELS / "static-embedding.bin"
        self.table = Table.read(self.file)

    def test_reference(self) -> None:
        vocabulary = Vocabulary(self.table.tokens)
        stored = json.loads((MODELS / "static-embedding.reference.json").read_text("utf-8"))
        self.assertEqual(stored["table"], self.table.header["id"])
        self.assertEqual([entry["text"] for entry in stored["texts"]], reference.TEXTS)
        for entry in stored["texts"]:
            with self.subTest(entry["text"]):
                self.assertEqual(vocabulary.ids(entry["text"]), entry["ids"])
                vector = self.table.embed(vocabulary, [entry["text"]])[0]
                np.testing.assert_allclose(vector, entry["vector"], atol=1e-5)

    def test_the_file_is_what_encoding_gives(self) -> None:
        self.assertEqual(self.table.encode(), self.file.read_bytes())

    def test_a_damaged_file_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "table.bin")
            data = bytearray(self.file.read_bytes())
            data[-100] ^= 1
            copy.write_bytes(data)
            with self.assertRaisesRegex(ValueError, "table.bin"):
                Table.read(copy)


if __name__ == "__main__":
    unittest.main()
