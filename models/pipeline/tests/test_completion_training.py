"""The completion model's weights: reading, training, converting, on a model of two small layers.

What needs `gguf` or PyTorch is skipped where they are missing: `cargo xtask models completion test` runs all.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from ..completion import base, config, convert, dataset
from ..completion.base import Base, Shape
from ..completion.errors import Refused
from ..completion.samples import Encoder, samples
from ..completion.tokenizer import CONTROL
from .test_completion import RECIPES, SPECIALS, tokenizer

try:
    import gguf
except ImportError as error:
    raise unittest.SkipTest(f"no training packages here: {error}") from error
try:
    import torch

    from ..completion import model, train
    from ..completion.check import _logits
except (ImportError, Refused) as error:
    torch = None
    NO_TORCH = f"no PyTorch here: {error}"
needs_torch = unittest.skipIf(torch is None, NO_TORCH if torch is None else "")

SHAPE = Shape(
    layers=2, width=32, feed_forward=48, heads=4, key_value_heads=2, vocabulary=len(SPECIALS) + 257,
    epsilon=float(np.float32(1e-5)), rope_base=10_000.0,
)  # fmt: skip


def write_base(path: Path, architecture: str = "llama", **tensors: np.ndarray) -> None:
    """A model of random weights over single bytes and one word."""
    chance = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Small")
    writer.add_string("general.license", "apache-2.0")
    writer.add_chat_template("{{ messages }}")
    writer.add_block_count(SHAPE.layers)
    writer.add_context_length(512)
    writer.add_embedding_length(SHAPE.width)
    writer.add_feed_forward_length(SHAPE.feed_forward)
    writer.add_head_count(SHAPE.heads)
    writer.add_head_count_kv(SHAPE.key_value_heads)
    writer.add_layer_norm_rms_eps(SHAPE.epsilon)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    words = tokenizer("a b")
    writer.add_token_list(list(words._ids))
    writer.add_token_types([CONTROL] * len(SPECIALS) + [1] * 257)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    for name, shape in base.tensor_shapes(SHAPE).items():
        values = chance.normal(1 if len(shape) == 1 else 0, 0.2, shape).astype(np.float32)
        writer.add_tensor(name, values)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Fixture(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.file = self.root / "base.gguf"
        write_base(self.file)
        recipe = config.read(RECIPES / "tiny.toml")
        self.config = replace(
            recipe,
            train=replace(
                recipe.train,
                rank=4,
                alpha=8,
                steps=6,
                evaluate_steps=3,
                rate=1e-2,
                sequence=256,
                evaluate_rows=2,
            ),
            data=replace(recipe.data, characters_per_sample=200, prompt_tokens=[40, 90], middle_tokens=90),
        )

    def base(self) -> Base:
        return Base(self.file)

    def trained(self) -> dict[str, np.ndarray]:
        """What a LoRA run might have learnt."""
        chance = np.random.default_rng(2)
        found = {"rows": chance.normal(size=(3, SHAPE.width))}
        for name, shape in base.tensor_shapes(SHAPE).items():
            if len(shape) == 2 and name.startswith("blk."):
                found[f"{name}.lora_a"] = chance.normal(size=(4, shape[1]))
                found[f"{name}.lora_b"] = chance.normal(size=(shape[0], 4))
        return {name: values.astype(np.float32) for name, values in found.items()}


class Reading(Fixture):
    def test_a_file_is_read(self) -> None:
        self.assertEqual(self.base().shape, SHAPE)
        self.assertEqual(self.base().tokenizer.encode("cab"), tokenizer("a b").encode("cab"))
        self.assertEqual(
            {name: values.shape for name, values in self.base().weights().items()}, base.tensor_shapes(SHAPE)
        )

    def test_quantised_weights_become_numbers(self) -> None:
        path = self.root / "small.gguf"
        values = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
        for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1):
            writer = gguf.GGUFWriter(path, "llama")
            writer.add_tensor("x", gguf.quantize(values, kind), raw_dtype=kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            with mock.patch.object(Base, "_refuse_others"):
                np.testing.assert_allclose(Base(path).weights()["x"], values, atol=0.1)

    def test_other_models_are_refused_by_name(self) -> None:
        def check(message: str, architecture: str = "llama", **tensors: np.ndarray) -> None:
            write_base(self.file, architecture, **tensors)
            with self.assertRaisesRegex(Refused, message):
                self.base()

        check("base.gguf is a model of the architecture qwen2;", "qwen2")
        row = np.zeros((1, 32), np.float32)
        check("a head of its own", **{"output.weight": row})
        check("does not know: blk.0.attn_q.bias", **{"blk.0.attn_q.bias": row})

    def test_what_is_no_model_is_refused(self) -> None:
        self.file.write_bytes(self.file.read_bytes()[:4_000])
        with self.assertRaisesRegex(Refused, "base.gguf is no whole GGUF file"):
            self.base().weights()
        self.file.unlink()
        with self.assertRaisesRegex(Refused, "there is no model .*base.gguf"):
            self.base()


class Converting(Fixture):
    def test_an_adapter_comes_back_with_its_rows(self) -> None:
        trained, out = self.trained(), self.root / "adapter.gguf"
        convert.adapter(self.config, self.base(), trained, out)
        found, before = convert.read_adapter(self.base(), out), self.base().weights()
        low, high = trained["blk.1.attn_k.weight.lora_a"], trained["blk.1.attn_k.weight.lora_b"]
        np.testing.assert_allclose(
            found["blk.1.attn_k.weight"], before["blk.1.attn_k.weight"] + 2 * high @ low, atol=0.05
        )
        np.testing.assert_array_equal(found["token_embd.weight"][[3, 4, 5]], trained["rows"])
        np.testing.assert_array_equal(found["token_embd.weight"][6:], before["token_embd.weight"][6:])
        reader = gguf.GGUFReader(out)
        self.assertEqual(reader.get_field("adapter.type").contents(), "lora")
        self.assertEqual(reader.get_field("general.license").contents(), "apache-2.0")
        self.assertEqual(reader.get_field("hearth.model.name").contents(), convert.NAME)
        end = self.base().tokenizer.special(convert.END)
        self.assertEqual(reader.get_field("hearth.end.token").contents(), end)
        self.assertEqual({tensor.tensor_type.name for tensor in reader.tensors}, {"F16"})

    def test_an_adapter_fits_its_base_alone(self) -> None:
        out = self.root / "adapter.gguf"
        convert.adapter(self.config, self.base(), self.trained(), out)
        write_base(self.file, **{})
        with self.file.open("ab") as file:
            file.write(b"\0")
        with self.assertRaisesRegex(Refused, "adapter.gguf was trained on another file than .*base.gguf"):
            convert.read_adapter(self.base(), out)

    def test_an_adapter_that_is_too_large_is_refused(self) -> None:
        with (
            mock.patch.object(convert, "ADAPTER_BYTES", 1_000),
            self.assertRaisesRegex(Refused, "lower `rank`"),
        ):
            convert.adapter(self.config, self.base(), self.trained(), self.root / "adapter.gguf")

    def test_weights_that_went_astray_are_named(self) -> None:
        trained = self.trained()
        trained["blk.0.ffn_up.weight.lora_b"][0, 0] = 1e6
        with self.assertRaisesRegex(Refused, "blk.0.ffn_up.weight.lora_b has values"):
            convert.adapter(self.config, self.base(), trained, self.root / "adapter.gguf")
        self.assertEqual([path.name for path in self.root.iterdir()], ["base.gguf"])

    def test_the_merged_file_is_a_model_that_fills_in_the_middle(self) -> None:
        for exact, kind in ((True, "F32"), (False, "F16")):
            out = self.root / "merged.gguf"
            convert.merged(self.config, self.base(), self.base().weights(), out, exact)
            found = Base(out)
            self.assertEqual(found.value("general.name"), convert.NAME)
            self.assertEqual(
                [found.value(f"tokenizer.ggml.fim_{part}_token_id") for part in ("pre", "suf", "mid")],
                [3, 4, 5],
            )
            self.assertIsNone(found.value("tokenizer.chat_template"))
            self.assertEqual(found.tokenizer.hash, self.base().tokenizer.hash)
            kinds = {tensor.name: tensor.tensor_type.name for tensor in found.reader.tensors}
            self.assertEqual(kinds["blk.0.attn_q.weight"], kind)
            self.assertEqual(kinds["output_norm.weight"], "F32")
            for name, values in self.base().weights().items():
                np.testing.assert_allclose(found.weights()[name], values, atol=0 if exact else 1e-3)


@needs_torch
class Model(Fixture):
    def test_samples_of_a_row_do_not_see_each_other(self) -> None:
        llama = model.from_numbers(SHAPE, self.base().weights(), [])
        one, two = [10, 11, 12, 13], [20, 21, 22]
        tokens = torch.tensor([one + two])
        positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2]])
        segments = torch.tensor([[1, 1, 1, 1, 2, 2, 2]])
        with torch.no_grad():
            together = llama(tokens, positions, segments)[0].numpy()
        np.testing.assert_allclose(together[:4], _logits(llama, one), atol=1e-5)
        np.testing.assert_allclose(together[4:], _logits(llama, two), atol=1e-5)

    def test_attention_and_positions_follow_their_definitions(self) -> None:
        weights = self.base().weights()
        llama = model.from_numbers(SHAPE, weights, [])
        tokens = [10, 200, 31, 7]
        np.testing.assert_allclose(_logits(llama, tokens), plain_llama(weights, tokens), rtol=2e-4, atol=2e-4)

    def test_an_adapter_starts_at_the_base_and_trains_alone(self) -> None:
        weights = self.base().weights()
        llama = model.from_numbers(SHAPE, weights, [3, 4, 5], rank=4, alpha=8)
        plain = model.from_numbers(SHAPE, weights, [])
        np.testing.assert_allclose(_logits(llama, [10, 3, 12]), _logits(plain, [10, 3, 12]), atol=1e-5)
        kinds = {name.rpartition(".")[2] for name in llama.trained()}
        self.assertEqual(kinds, {"rows", "lora_a", "lora_b"})
        self.assertEqual(set(plain.trained()), set(base.tensor_shapes(SHAPE)))


def plain_llama(weights: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """The architecture written down once more, token by token and pair by pair."""

    def norm(row: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return row / np.sqrt((row * row).mean() + SHAPE.epsilon) * weight

    def turned(row: np.ndarray, place: int) -> np.ndarray:
        found = row.copy()
        for pair in range(SHAPE.head_width // 2):
            angle = place * SHAPE.rope_base ** (-2 * pair / SHAPE.head_width)
            one, two = row[2 * pair], row[2 * pair + 1]
            found[2 * pair] = one * np.cos(angle) - two * np.sin(angle)
            found[2 * pair + 1] = one * np.sin(angle) + two * np.cos(angle)
        return found

    hidden = [weights["token_embd.weight"][token].astype(np.float64) for token in tokens]
    for layer in range(SHAPE.layers):
        part = {
            name.split(".")[2]: values.astype(np.float64)
            for name, values in weights.items()
            if name.startswith(f"blk.{layer}.")
        }
        keys, values, after = [], [], []
        for place, row in enumerate(hidden):
            normed = norm(row, part["attn_norm"])
            split = lambda name: (part[name] @ normed).reshape(-1, SHAPE.head_width)  # noqa: B023, E731
            keys.append([turned(key, place) for key in split("attn_k")])
            values.append(split("attn_v"))
            heads = []
            for head, query in enumerate(split("attn_q")):
                group = head // (SHAPE.heads // SHAPE.key_value_heads)
                scores = [turned(query, place) @ key[group] / SHAPE.head_width**0.5 for key in keys]
                shares = np.exp(scores) / np.exp(scores).sum()
                heads.append(sum(share * value[group] for share, value in zip(shares, values, strict=True)))
            row = row + part["attn_output"] @ np.concatenate(heads)
            normed = norm(row, part["ffn_norm"])
            gate = part["ffn_gate"] @ normed
            after.append(row + part["ffn_down"] @ (gate / (1 + np.exp(-gate)) * (part["ffn_up"] @ normed)))
        hidden = after
    return np.array(
        [weights["token_embd.weight"] @ norm(row, weights["output_norm.weight"]) for row in hidden]
    )


@needs_torch
class Training(Fixture):
    def setUp(self) -> None:
        super().setUp()
        text = "".join(f"def turn_{n}(value):\n    return value * {n}\n\n" for n in range(24))
        records = [
            {"package": f"p{n}", "path": "a.py", "language": "python", "text": text.replace("value", name)}
            for n, name in enumerate(("one", "two", "three"))
        ]
        words = self.base().tokenizer
        facts = {"tokenizer": words.hash, "family": self.config.family}
        writer = dataset.Writer(self.root / "data", ["python"], facts)
        encoder = Encoder(self.config, words, 0)
        for split in ("train", "development"):
            taking = writer.split(split)
            for sample in samples(self.config, records, split, parse=False):
                encoded = encoder.encode(sample, 60)
                if encoded:
                    taking.add(sample, encoded)
            taking.close()
        writer.finish()

    def run_(self, out: str, minutes: float | None = None, **train_numbers: object) -> train.State:
        recipe = replace(self.config, train=replace(self.config.train, **train_numbers))
        with mock.patch("sys.stderr"):
            return train.run(recipe, self.file, self.root / "data", self.root / out, minutes, "cpu")

    def weights(self, out: str) -> dict[str, torch.Tensor]:
        return train.read_checkpoint(self.root / out / train.CHECKPOINT)["trained"]

    def losses(self, out: str) -> list[float]:
        lines = (self.root / out / train.LOG).read_text("utf-8").splitlines()
        return [json.loads(line)["held_out"] for line in lines]

    def test_both_methods_learn(self) -> None:
        for method in ("lora", "full"):
            with self.subTest(method):
                state = self.run_(method, method=method, steps=16, evaluate_steps=16)
                first, last = self.losses(method)
                self.assertLess(last, first - 0.2)
                self.assertEqual(state.step, 16)

    def test_pieces_give_the_same_as_one_run(self) -> None:
        self.run_("whole")
        pieces = 0
        while self.run_("pieces", minutes=0).step < 6:
            pieces += 1
        self.assertGreater(pieces, 3)
        whole, pieced = self.weights("whole"), self.weights("pieces")
        for name, values in whole.items():
            self.assertTrue(torch.equal(values, pieced[name]), name)
        self.assertEqual(self.losses("whole"), self.losses("pieces"))

    def test_a_signal_keeps_a_checkpoint(self) -> None:
        real = train._Work.step

        def interrupted(work: train._Work, *arguments: object) -> float:
            # The handler runs before the next line of Python.
            os.kill(os.getpid(), signal.SIGTERM)
            return real(work, *arguments)

        self.assertIs(threading.current_thread(), threading.main_thread())
        with mock.patch.object(train._Work, "step", interrupted), self.assertRaises(SystemExit) as ended:
            self.run_("out")
        self.assertEqual(ended.exception.code, 128 + signal.SIGTERM)
        self.assertEqual(train.read_checkpoint(self.root / "out" / train.CHECKPOINT)["state"]["step"], 1)

    def test_the_end_of_a_stream_keeps_a_checkpoint(self) -> None:
        real, stream = train._Work.step, os.pipe()
        train.stop_at_end_of(stream[0])
        ended = threading.Event()

        def abandoned(work: train._Work, *arguments: object) -> float:
            if not ended.is_set():
                os.close(stream[1])
                ended.set()
            # The thread that watches the stream needs its turn.
            deadline = time.monotonic() + 60
            while signals.seen is None and time.monotonic() < deadline:
                time.sleep(0.001)
            return real(work, *arguments)

        signals = train._Signals()
        with (
            mock.patch.object(train, "_Signals", lambda: signals),
            mock.patch.object(train._Work, "step", abandoned),
            self.assertRaises(SystemExit),
        ):
            self.run_("out")
        os.close(stream[0])
        self.assertEqual(train.read_checkpoint(self.root / "out" / train.CHECKPOINT)["state"]["step"], 1)

    def test_the_speed_of_the_beginning_plans_the_rest(self) -> None:
        with mock.patch.object(train, "_MEASURED_SECONDS", 0.0):
            state = self.run_("out", steps=0, most_epochs=2.0)
        rows = len(dataset.epoch_rows(dataset.read(self.root / "data", "train"), 256, 1, 0))
        self.assertEqual(state.plan, 2 * (rows // 2))

    def test_what_does_not_belong_together_is_refused(self) -> None:
        self.run_("out")

        def check(message: str, **numbers: object) -> None:
            with self.assertRaisesRegex(Refused, message):
                self.run_("out", **numbers)

        check("was made with another recipe; train into another folder", rate=0.5)
        checkpoint = self.root / "out" / train.CHECKPOINT
        checkpoint.write_bytes(checkpoint.read_bytes()[:-900])
        check("checkpoint.pt cannot be read")
        if not torch.cuda.is_available():
            check("is for a GPU", precision="bf16")

    def test_damaged_data_are_named(self) -> None:
        shard = self.root / "data/train-000.tokens"
        shard.write_bytes(shard.read_bytes()[:-1])
        with self.assertRaisesRegex(Refused, "train-000.tokens is damaged"):
            self.run_("out")

    def test_the_merged_file_says_what_the_trained_model_says(self) -> None:
        self.run_("out", steps=12)
        trained = self.weights("out")
        llama = train.build(self.config, self.base())
        with torch.no_grad():
            for name, value in llama.trained().items():
                value.copy_(trained[name])
        adapter, merged = self.root / "adapter.gguf", self.root / "merged.gguf"
        convert.adapter(
            self.config, self.base(), {name: value.numpy() for name, value in trained.items()}, adapter
        )
        convert.merged(
            self.config, self.base(), convert.read_adapter(self.base(), adapter), merged, exact=True
        )
        again = model.from_numbers(SHAPE, Base(merged).weights(), [])
        tokens = [3, 40, 50, 60, 4, 70, 5, 80]
        np.testing.assert_allclose(_logits(llama, tokens), _logits(again, tokens), atol=0.02)
        plain = model.from_numbers(SHAPE, self.base().weights(), [])
        self.assertGreater(np.abs(_logits(plain, tokens) - _logits(again, tokens)).max(), 0.1)


if __name__ == "__main__":
    unittest.main()
