"""The search map's training on small numbers, its file, and the committed one."""

from __future__ import annotations

import hashlib
import tempfile
import tomllib
import unittest
from pathlib import Path

import numpy as np

from .. import retrieval, search_map
from ..embedding import Pair
from ..search_map import SearchMap, Settings

MODELS = Path(__file__).resolve().parents[2]
DIMENSIONS = 16


class Training(unittest.TestCase):
    def setUp(self) -> None:
        random = np.random.default_rng(5)
        # A question's vector is its function's, seen through a map that training has to find, and noise.
        self.code = random.normal(size=(400, DIMENSIONS)).astype(np.float32)
        hidden = np.eye(DIMENSIONS) + 0.3 * random.normal(size=(DIMENSIONS, DIMENSIONS))
        noise = 0.3 * random.normal(size=self.code.shape)
        self.questions = (self.code @ hidden + noise).astype(np.float32)
        self.packages = [f"package {index % 7}" for index in range(200)]

    def fit(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        settings = Settings(seed=seed, epochs=30, batch=50, rate=0.01)
        return search_map.fit(self.questions[:200], self.code[:200], self.packages, settings)

    def test_pairs_that_were_not_trained_on_rank_higher(self) -> None:
        def rank(questions: np.ndarray, code: np.ndarray) -> float:
            asked, given = (
                vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                for vectors in (self.questions[200:] @ questions, self.code[200:] @ code)
            )
            return float((1 / retrieval.places(asked @ given.T, list(range(200)))).mean())

        identity = np.eye(DIMENSIONS, dtype=np.float32)
        before, after = rank(identity, identity), rank(*self.fit(1))
        self.assertGreater(after, before + 0.05)

    def test_the_seed_decides_the_bytes(self) -> None:
        first, again, other = (
            SearchMap(bytes(32), *self.fit(seed)).encode() for seed in (1, 1, 2)
        )
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_a_language_gives_its_share(self) -> None:
        pairs = [
            Pair(f"doc {index}", f"code {index}", language, "package")
            for index, language in enumerate(["rust", "rust", "go", "rust"])
        ]
        self.assertEqual(search_map.sample(pairs, 2), pairs[:3])


class File(unittest.TestCase):
    def setUp(self) -> None:
        random = np.random.default_rng(6)
        maps = random.normal(size=(2, 3, 3)).astype(np.float16).astype(np.float32)
        self.map = SearchMap(bytes(range(32)), *maps)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "map.bin")

    def test_round_trip(self) -> None:
        self.file.write_bytes(self.map.encode())
        read = SearchMap.read(self.file)
        self.assertEqual(read.model, self.map.model)
        np.testing.assert_array_equal(read.questions, self.map.questions)
        np.testing.assert_array_equal(read.code, self.map.code)

    def test_layout(self) -> None:
        data = self.map.encode()
        self.assertEqual(data[:12], b"HSMAP1\0\0\3\0\0\0")
        self.assertEqual(data[12:44], self.map.model)
        # What input 1 adds to output 2, of questions and of code.
        for start, map_ in ((44, self.map.questions), (62, self.map.code)):
            at = start + 2 * (1 * 3 + 2)
            self.assertEqual(np.frombuffer(data[at : at + 2], "<f2")[0], map_[1, 2])
        self.assertEqual(data[80:], hashlib.sha256(data[:80]).digest())

    def test_a_damaged_file_is_refused(self) -> None:
        data = bytearray(self.map.encode())
        data[50] ^= 1
        self.file.write_bytes(data)
        with self.assertRaisesRegex(ValueError, "map.bin"):
            SearchMap.read(self.file)


class Committed(unittest.TestCase):
    def test_it_is_for_the_registered_model(self) -> None:
        file = MODELS / "search-map.bin"
        kept = SearchMap.read(file)
        self.assertEqual(kept.encode(), file.read_bytes())
        registry = tomllib.loads((MODELS / "manifest.toml").read_text("utf-8"))
        [model] = [each for each in registry["model"] if each["id"] == "all-minilm-l6-v2"]
        [onnx] = [each for each in model["derive"]["outputs"] if each["path"] == "model.onnx"]
        self.assertEqual(kept.model.hex(), onnx["sha256"])
        self.assertEqual(kept.questions.shape, (384, 384))


if __name__ == "__main__":
    unittest.main()
