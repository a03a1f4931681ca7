"""From a training run to GGUF files: an adapter, and a whole model for the product.

The adapter is llama.cpp's kind of LoRA file. It cannot replace rows of the embedding, so the markers'
rows stand in its metadata, which llama.cpp passes over and the product's merging reads
(`server/inference-llama/src/merge.rs`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .base import Base, tensor_shapes
from .config import Config
from .errors import Refused, needs, whole_file
from .layout import Format

# What an adapter that ships may have.
ADAPTER_BYTES = 16_000_000
NAME = "SmolLM2 135M FIM"
_ROWS, _MARKERS, _BASE = "hearth.markers.rows", "hearth.markers.tokens", "hearth.base.sha256"
_MODEL, _END = "hearth.model.name", "hearth.end.token"
_ALPHA = "adapter.lora.alpha"
# The token that ends a middle, `<|endoftext|>`; the base's instruction tuning has another.
END = "<|endoftext|>"
# Of the base's metadata, what is not true of the result or is written anew.
_LEFT_OUT = (
    "GGUF.", "general.name", "general.finetune", "general.file_type", "general.quantization_version",
    "general.type", "general.architecture", "tokenizer.chat_template", "tokenizer.ggml.eos_token_id",
)  # fmt: skip


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise needs("gguf", error) from error
    return gguf


def adapter(config: Config, base: Base, trained: Mapping[str, np.ndarray], out: Path) -> None:
    """Writes what a LoRA run learnt, with 16 bits a number."""
    if config.train.method != "lora":
        raise Refused("a run over all weights has no adapter; convert it to a merged model")
    gguf = _gguf()

    def fill(writer: Any) -> None:
        writer.add_type("adapter")
        writer.add_name(f"{NAME} adapter")
        _describe(writer, base)
        writer.add_string("adapter.type", "lora")
        writer.add_float32(_ALPHA, float(config.train.alpha))
        writer.add_string(_BASE, base.sha256)
        writer.add_string(_MODEL, NAME)
        writer.add_uint32(_END, base.tokenizer.special(END))
        writer.add_array(
            _MARKERS, [base.tokenizer.special(name) for name in Format.of(config.family).markers]
        )
        writer.add_array(_ROWS, trained["rows"].astype(np.float32).ravel().tolist())
        for name, values in sorted(trained.items()):
            if name != "rows":
                writer.add_tensor(name, _halved(name, values))

    _write(gguf, out, fill)
    if out.stat().st_size >= ADAPTER_BYTES:
        raise Refused(
            f"{out} has {out.stat().st_size:,} bytes and an adapter that ships has under {ADAPTER_BYTES:,}; "
            "lower `rank`"
        )


def read_adapter(base: Base, path: Path) -> dict[str, np.ndarray]:
    """The weights of the base with an adapter's on top, as 32-bit floats."""
    gguf = _gguf()
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise Refused(f"{path} is no whole GGUF file: {error}") from error

    def value(key: str) -> Any:
        field = reader.get_field(key)
        if field is None:
            raise Refused(f"{path} has no {key}: it is no adapter that `convert` made")
        return field.contents()

    if (architecture := value("general.architecture")) != "llama":
        raise Refused(f"{path} is an adapter for the architecture {architecture}, not llama")
    if value(_BASE) != base.sha256:
        raise Refused(f"{path} was trained on another file than {base.path}")
    weights = base.weights()
    parts = {tensor.name: np.asarray(tensor.data, np.float32) for tensor in reader.tensors}
    for name in sorted({name.rpartition(".lora_")[0] for name in parts}):
        low, high = parts[f"{name}.lora_a"], parts[f"{name}.lora_b"]
        weights[name] = weights[name] + (value(_ALPHA) / len(low)) * (high @ low)
    markers = value(_MARKERS)
    weights["token_embd.weight"][markers] = np.array(value(_ROWS), np.float32).reshape(len(markers), -1)
    return weights


def merged(
    config: Config, base: Base, weights: Mapping[str, np.ndarray], out: Path, exact: bool = False
) -> None:
    """Writes a whole model that the product takes for one that fills in the middle: matrices with 16
    bits a number, or 32 where the outputs are to be compared `exact`ly."""
    gguf = _gguf()
    layout = Format.of(config.family)

    def fill(writer: Any) -> None:
        for key, field in base.reader.fields.items():
            if not key.startswith(_LEFT_OUT):
                kinds = field.types
                writer.add_key_value(key, field.contents(), kinds[0], kinds[-1] if len(kinds) > 1 else None)
        writer.add_type("model")
        writer.add_name(NAME)
        writer.add_string("general.finetune", "fim")
        writer.add_string("general.description", f"fills in the middle; trained on the file {base.sha256}")
        file_type = gguf.LlamaFileType.ALL_F32 if exact else gguf.LlamaFileType.MOSTLY_F16
        writer.add_file_type(file_type)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for part, name in zip(("pre", "suf", "mid"), layout.markers, strict=True):
            writer.add_uint32(f"tokenizer.ggml.fim_{part}_token_id", base.tokenizer.special(name))
        writer.add_uint32("tokenizer.ggml.eos_token_id", base.tokenizer.special(END))
        for name in tensor_shapes(base.shape):
            values = weights[name]
            wide = exact or values.ndim == 1
            writer.add_tensor(name, values.astype(np.float32) if wide else _halved(name, values))

    _write(gguf, out, fill)


def _describe(writer: Any, base: Base) -> None:
    if licence := base.value("general.license"):
        writer.add_string("general.license", licence)
    if name := base.value("general.name"):
        writer.add_string("general.base_model.0.name", name)


def _halved(name: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        found = values.astype(np.float16)
    if not np.isfinite(found).all():
        raise Refused(f"{name} has values that 16 bits cannot hold; the training went astray")
    return found


def _write(gguf: Any, out: Path, fill: Any) -> None:
    with whole_file(out) as file:
        # The writer opens its file by name; it gets the partial one.
        writer = gguf.GGUFWriter(file.name, "llama")
        fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def merge(hearth: Path, base: Path, adapter: Path, target: Path) -> None:
    """The base with an adapter on top, 16 bits a number, as the set-up makes it."""
    _work(hearth, f"{adapter} could not be merged into {base}", "--merge", base, adapter, target)


def quantise(hearth: Path, source: Path, target: Path, kind: str) -> None:
    """Another precision by llama.cpp's own quantiser, as the set-up runs it."""
    _work(hearth, f"{source} could not be made {kind}", "--quantize", source, target, kind)


def _work(hearth: Path, failed: str, *task: Path | str) -> None:
    command = [str(hearth), "worker", *map(str, task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise Refused(f"cannot start {hearth}: {error.strerror}; name the program with --hearth") from error
    if done.returncode:
        raise Refused(f"{failed}: {done.stderr.strip()[-400:]}")
