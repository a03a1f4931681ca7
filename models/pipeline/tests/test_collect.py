"""The collector on small packages made here; no network, no models."""

from __future__ import annotations

import gzip
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import collect, filters, licences, sources
from ..sources import Package, Sources

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this"
GPL = "GNU GENERAL PUBLIC LICENSE Version 3"


def function(name: str, lines: int = 12) -> str:
    """A Rust file of its own words."""
    body = "\n".join(f"    let {name}_{n} = {name}_{n}_source(input, {n});" for n in range(lines))
    return f"/// Turns the {name} around.\npub fn {name}(input: &str) {{\n{body}\n}}\n"


class Fixture(unittest.TestCase):
    """Collects from packages that are dictionaries of path to text."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.out = self.root / "out"

    def package(self, name: str, declared: str | None, files: dict[str, str | bytes]) -> Package:
        root = self.root / name
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, bytes) else content.encode()
            (root / path).write_bytes(data)
        return Package("cargo", name, "1.0.0", root, declared, sorted(files))

    def collect(self, *packages: Package, named: dict[str, str] | None = None) -> dict:
        named = {package.name: "train" for package in packages} | (named or {})
        with (
            mock.patch.object(sources, "gather", return_value=Sources(list(packages), [])),
            mock.patch.object(collect.Splits, "of", return_value=collect.Splits(named)),
        ):
            return collect.collect(self.root, self.out, [])

    def paths(self, *splits: str) -> set[str]:
        return {record["path"] for record in collect.records(self.out, *splits or collect.SPLITS)}


class Licences(Fixture):
    def test_expressions(self) -> None:
        def check(expression: str, expected: bool) -> None:
            with self.subTest(expression):
                self.assertEqual(licences.permissive(expression), expected)

        check("MIT", True)
        check("MIT/Apache-2.0", True)
        check("GPL-2.0-only OR MIT", True)
        check("GPL-2.0-only AND MIT", False)
        check("(MIT OR Apache-2.0) AND Unicode-3.0", True)
        check("Apache-2.0 WITH LLVM-exception", True)
        check("SEE LICENSE IN LICENSE.txt", False)
        check("(MIT", False)
        check("", False)

    def test_packages(self) -> None:
        def check(declared: str | None, files: list[str], expected: tuple[str | None, str]) -> None:
            with self.subTest(declared=declared, files=files):
                self.assertEqual(licences.judge(declared, files), expected)

        check("MIT", [MIT], ("MIT", "metadata and file"))
        check("MIT", [], ("MIT", "metadata"))
        check(None, [MIT], ("MIT", "file"))
        check("MIT", [GPL], (None, "licence file disagrees"))
        check("GPL-3.0-only", [MIT], (None, "licence not permissive"))
        check("MIT", [f"{MIT}. Comes with a library under the {GPL}"], ("MIT", "metadata and file"))
        check(None, [f"{MIT}. Comes with {GPL}"], (None, "licence not permissive"))
        check(None, [MIT, GPL], (None, "licence not permissive"))
        check(None, ["All rights reserved."], (None, "licence unknown"))
        check(None, [], (None, "licence unknown"))

    def test_files_are_recorded_or_left_out_and_counted(self) -> None:
        manifest = self.collect(
            self.package(
                "alpha",
                "MIT",
                {
                    "src/a.rs": function("apple"),
                    "src/b.rs": "// SPDX-License-Identifier: Apache-2.0\n" + function("pear"),
                    "src/c.rs": "// SPDX-License-Identifier: GPL-3.0-only\n" + function("plum"),
                    "inner/LICENSE": GPL,
                    "inner/d.rs": function("fig"),
                },
            ),
            self.package("beta", None, {"src/e.rs": function("lime")}),
        )
        found = {record["path"]: record["licence"] for record in collect.records(self.out, "train")}
        self.assertEqual(found, {"src/a.rs": "MIT", "src/b.rs": "Apache-2.0"})
        self.assertEqual(
            manifest["left_out"],
            {
                "licence in the file not permissive": 1,
                "licence unknown": 1,
                "nested licence not permissive": 1,
            },
        )
        self.assertIn("cargo:beta@1.0.0: licence unknown", manifest["left_out_for_licence"])


class Filters(Fixture):
    def test_reasons(self) -> None:
        manifest = self.collect(
            self.package(
                "alpha",
                "MIT",
                {
                    "src/good.rs": function("good"),
                    "src/binary.rs": b"fn main() {}\0" * 9,
                    "src/latin.rs": b"// caf\xe9 " * 20,
                    "src/made.rs": "// @generated by a tool\n" + function("made"),
                    "vendor/x.rs": function("x"),
                    "dist/app.min.js": "x",
                    "wide.js": "a=1;" * 500,
                    "big.rs": function("big", 12_000),
                    "Cargo.lock": "nothing",
                },
            )
        )
        self.assertEqual(self.paths(), {"src/good.rs"})
        self.assertEqual(
            manifest["left_out"],
            {"binary": 2, "generated": 2, "huge": 1, "minified": 1, "vendored": 1},
        )

    def test_repetitions(self) -> None:
        text = function("same", 60)

        def check(other: str, expected: str | None) -> None:
            found = filters.Repetitions()
            self.assertIsNone(found.seen(text))
            self.assertEqual(found.seen(other), expected)

        check(text.replace("    ", "\t"), "exact")
        check(text.replace("same_30", "other", 1), "near")
        check(function("own", 60), None)

    def test_secrets(self) -> None:
        def check(line: str, expected: int | None) -> None:
            with self.subTest(line):
                text, count = filters.without_secrets(f"before\n{line}\nafter\n")
                if expected is None:
                    self.assertIsNone(text)
                else:
                    self.assertEqual(count, expected)
                    self.assertEqual("before\nafter\n" == text, expected == 1)

        # Put together here, so that no scanner takes this file for a leak.
        check("key = AKIA" + "ABCDEFGHIJKLMNOP", 1)
        check("token: ghp_" + "a1" * 18, 1)
        check('api_key = "' + "a1b2c3d4" * 4 + '"', 1)
        check("postgres://admin:" + "hunter2secret@db.example.com/x", 1)
        check("-----BEGIN RSA " + "PRIVATE KEY-----", None)
        check('password = "changeme"', 0)
        check("https://example.com:8080/a@b", 0)
        check("let token = next_token(input);", 0)


class Splitting(Fixture):
    def test_families_stay_together(self) -> None:
        def check(ecosystem: str, name: str, expected: str) -> None:
            with self.subTest(name):
                self.assertEqual(collect.family(ecosystem, name), expected)

        check("cargo", "tokio-util", "tokio")
        check("cargo", "tantivy-columnar", "tantivy")
        check("cargo", "serde_json", "serde")
        check("npm", "@azure/core-auth", "@azure")
        check("pypi", "numpy", "numpy")

    def test_evaluated_crates_are_read_from_the_evaluations(self) -> None:
        folder = self.root / "tests/eval/retrieval"
        folder.mkdir(parents=True)
        (folder / "questions.toml").write_text('[[repository]]\ncrate = "tokio"\n')
        (folder / "development.toml").write_text('[[repository]]\ncrate = "ropey"\n')
        splits = collect.Splits.of(self.root)

        def check(name: str, expected: str) -> None:
            package = Package("cargo", name, "1", self.root, "MIT")
            with self.subTest(name):
                self.assertEqual(splits.split(package), expected)

        check("tokio", "test")
        check("tokio-macros", "test")
        check("ropey", "development")

    def test_a_repetition_of_an_evaluated_text_leaves_training(self) -> None:
        text = function("shared", 40)
        self.collect(
            self.package("alpha", "MIT", {"copy.rs": text, "own.rs": function("own", 40)}),
            self.package("zeta", "MIT", {"original.rs": text}),
            named={"zeta": "test"},
        )
        self.assertEqual(self.paths("train"), {"own.rs"})
        self.assertEqual(self.paths("test"), {"original.rs"})


class Output(Fixture):
    def whole(self) -> dict:
        return self.collect(
            self.package("alpha", "MIT", {f"f{n}.rs": function(f"f{n}") for n in range(5)})
        )

    def test_the_same_inputs_give_the_same_hash(self) -> None:
        first = self.whole()
        shard = self.out / first["shards"][0]["file"]
        content = shard.read_bytes()
        (self.out / collect.MANIFEST).unlink()
        self.assertEqual(self.whole(), first)
        self.assertEqual(shard.read_bytes(), content)

    def test_finished_output_is_left_alone(self) -> None:
        first = self.whole()
        shard = self.out / first["shards"][0]["file"]
        before = shard.stat().st_mtime_ns
        self.assertEqual(self.whole(), first)
        self.assertEqual(shard.stat().st_mtime_ns, before)

    def test_a_corrupt_shard_is_named_and_made_anew(self) -> None:
        first = self.whole()
        entry = first["shards"][0]
        shard = self.out / entry["file"]

        def check(content: bytes) -> None:
            shard.write_bytes(content)
            with self.assertRaisesRegex(collect.CorruptShard, entry["file"]):
                list(collect.records(self.out, "train"))
            with mock.patch("sys.stderr"):
                self.assertEqual(self.whole(), first)
            self.assertEqual(len(self.paths()), 5)

        check(shard.read_bytes()[:-20])
        check(b"")
        check(gzip.compress(json.dumps({"text": "other"}).encode()))


if __name__ == "__main__":
    unittest.main()
