"""Makes an ONNX model of the sentence embedder all-MiniLM-L6-v2.

    python export_minilm.py SOURCE TARGET

SOURCE holds model.safetensors, config.json, tokenizer.json, tokenizer_config.json and
special_tokens_map.json; model.onnx and the four JSON files that fastembed reads go to TARGET. The
graph is built node by node, so the bytes are the same on every run and every machine. Before
anything is written the graph is run by ONNX's reference evaluator, and its similarities are
compared with those that the model's makers publish and with a forward pass in plain numpy.

The graph gives one vector for each token. Averaging and scaling them to length 1 is the caller's.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

# 17 is the first set of operators with LayerNormalization; 10 is the file version that goes with
# ONNX Runtime 1.18 and later.
OPSET, IR_VERSION = 17, 10
# Longer texts were not trained on (sentence_bert_config.json of the model).
MAX_TOKENS = 256
# Far enough below every score that the softmax gives exactly zero.
MASKED = np.float32(-1e9)

# Sentences and cosine similarities from the model's documentation (sbert.net, "Quickstart").
SENTENCES = [
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
]
PUBLISHED = np.array([[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]])
TOLERANCE = 1e-4

# A factor and what is added to the product.
Affine = tuple[np.ndarray, np.ndarray]


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file; those of 32-bit floats only."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return tensors


class Weights:
    """The model's tensors under short names."""

    def __init__(self, source: Path) -> None:
        self.config = json.loads((source / "config.json").read_text("utf-8"))
        self.tensors = read_safetensors(source / "model.safetensors")
        self.layers: int = self.config["num_hidden_layers"]
        self.heads: int = self.config["num_attention_heads"]
        self.width: int = self.config["hidden_size"]
        self.head_width = self.width // self.heads
        self.epsilon: float = self.config["layer_norm_eps"]

    def get(self, name: str) -> np.ndarray:
        return self.tensors[name]

    def norm(self, name: str) -> Affine:
        return self.get(f"{name}.LayerNorm.weight"), self.get(f"{name}.LayerNorm.bias")

    def linear(self, name: str) -> Affine:
        """Weights laid out for `x @ weights + bias`."""
        return np.ascontiguousarray(self.get(f"{name}.weight").T), self.get(f"{name}.bias")


class Graph:
    """An ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def linear(self, x: str, weights: Affine, name: str) -> str:
        matrix = self.constant(f"{name}.weight", weights[0])
        bias = self.constant(f"{name}.bias", weights[1])
        return self.add("Add", [self.add("MatMul", [x, matrix], f"{name}.product"), bias], name)

    def norm(self, x: str, weights: Affine, epsilon: float, name: str) -> str:
        scale = self.constant(f"{name}.scale", weights[0])
        bias = self.constant(f"{name}.bias", weights[1])
        return self.add("LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=epsilon)


def build(weights: Weights) -> onnx.ModelProto:
    graph = Graph()
    hidden = embed(graph, weights)
    mask = attention_mask(graph)
    for layer in range(weights.layers):
        hidden = encoder_layer(graph, weights, hidden, mask, layer)
    graph.add("Identity", [hidden], "last_hidden_state")

    tokens = ["batch", "sequence"]
    names = ["input_ids", "attention_mask", "token_type_ids"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in names]
    shape = [*tokens, weights.width]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, shape)]
    body = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, graph.constants)
    model = helper.make_model(
        body,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="hearth",
        producer_version="1",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def embed(graph: Graph, weights: Weights) -> str:
    """Words, positions and token types, added and normalised."""
    prefix = "embeddings"
    words = graph.constant(f"{prefix}.words", weights.get(f"{prefix}.word_embeddings.weight"))
    types = weights.get(f"{prefix}.token_type_embeddings.weight")
    types = graph.constant(f"{prefix}.types", types)
    positions = weights.get(f"{prefix}.position_embeddings.weight")
    positions = graph.constant(f"{prefix}.positions", positions)
    word = graph.add("Gather", [words, "input_ids"], f"{prefix}.word", axis=0)
    kind = graph.add("Gather", [types, "token_type_ids"], f"{prefix}.type", axis=0)

    shape = graph.add("Shape", ["input_ids"], f"{prefix}.shape")
    one = graph.constant("one", np.array([1], np.int64))
    zero = graph.constant("zero", np.array([0], np.int64))
    two = graph.constant("two", np.array([2], np.int64))
    length = graph.add("Slice", [shape, one, two], f"{prefix}.length")
    position = graph.add("Slice", [positions, zero, length], f"{prefix}.position")

    total = graph.add("Add", [word, kind], f"{prefix}.word_and_type")
    total = graph.add("Add", [total, position], f"{prefix}.sum")
    return graph.norm(total, weights.norm(prefix), weights.epsilon, f"{prefix}.norm")


def attention_mask(graph: Graph) -> str:
    """Zero for tokens, MASKED for padding, shaped to be added to the scores."""
    axes = graph.constant("mask.axes", np.array([1, 2], np.int64))
    mask = graph.add("Unsqueeze", ["attention_mask", axes], "mask.wide")
    mask = graph.add("Cast", [mask], "mask.float", to=TensorProto.FLOAT)
    one = graph.constant("mask.one", np.array(1, np.float32))
    scale = graph.constant("mask.scale", np.array(MASKED, np.float32))
    return graph.add("Mul", [graph.add("Sub", [one, mask], "mask.padding"), scale], "mask")


def encoder_layer(graph: Graph, weights: Weights, hidden: str, mask: str, layer: int) -> str:
    source, prefix = f"encoder.layer.{layer}", f"layer.{layer}"

    def linear(x: str, part: str, name: str) -> str:
        return graph.linear(x, weights.linear(f"{source}.{part}"), f"{prefix}.{name}")

    def norm(x: str, part: str, name: str) -> str:
        affine = weights.norm(f"{source}.{part}")
        return graph.norm(x, affine, weights.epsilon, f"{prefix}.{name}")

    attended = attention(graph, weights, hidden, mask, (f"{source}.attention", prefix))
    attended = linear(attended, "attention.output.dense", "attended")
    attended = graph.add("Add", [attended, hidden], f"{prefix}.attention.sum")
    attended = norm(attended, "attention.output", "attention.norm")

    inner = gelu(graph, linear(attended, "intermediate.dense", "inner"), f"{prefix}.gelu")
    outer = linear(inner, "output.dense", "outer")
    outer = graph.add("Add", [outer, attended], f"{prefix}.sum")
    return norm(outer, "output", "norm")


def attention(
    graph: Graph, weights: Weights, hidden: str, mask: str, names: tuple[str, str]
) -> str:
    source, prefix = names
    heads, width = weights.heads, weights.head_width
    split = np.array([0, 0, heads, width], np.int64)

    def project(part: str, order: list[int]) -> str:
        name = f"{prefix}.{part}"
        x = graph.linear(hidden, weights.linear(f"{source}.self.{part}"), name)
        x = graph.add("Reshape", [x, graph.constant(f"{name}.shape", split)], f"{name}.heads")
        return graph.add("Transpose", [x], f"{name}.turned", perm=order)

    query = project("query", [0, 2, 1, 3])
    key = project("key", [0, 2, 3, 1])
    value = project("value", [0, 2, 1, 3])
    scale = graph.constant(f"{prefix}.scale", np.array(math.sqrt(width), np.float32))
    scores = graph.add("MatMul", [query, key], f"{prefix}.products")
    scores = graph.add("Div", [scores, scale], f"{prefix}.scores")
    scores = graph.add("Add", [scores, mask], f"{prefix}.masked")
    shares = graph.add("Softmax", [scores], f"{prefix}.shares", axis=-1)
    mixed = graph.add("MatMul", [shares, value], f"{prefix}.mixed")
    mixed = graph.add("Transpose", [mixed], f"{prefix}.mixed.turned", perm=[0, 2, 1, 3])
    joined = graph.constant(f"{prefix}.joined", np.array([0, 0, weights.width], np.int64))
    return graph.add("Reshape", [mixed, joined], f"{prefix}.attention")


def gelu(graph: Graph, x: str, name: str) -> str:
    """The exact form, by the error function, in the shape that ONNX Runtime fuses."""
    root = graph.constant(f"{name}.root", np.array(math.sqrt(2), np.float32))
    one = graph.constant(f"{name}.one", np.array(1, np.float32))
    half = graph.constant(f"{name}.half", np.array(0.5, np.float32))
    error = graph.add("Erf", [graph.add("Div", [x, root], f"{name}.divided")], f"{name}.erf")
    raised = graph.add("Add", [error, one], f"{name}.raised")
    return graph.add("Mul", [graph.add("Mul", [x, raised], f"{name}.product"), half], name)


def forward(weights: Weights, ids: np.ndarray) -> np.ndarray:
    """The vectors of one text's tokens, in plain numpy: what the graph is compared with."""
    erf = np.vectorize(math.erf, otypes=[np.float32])

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scale, bias = weights.norm(name)
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(centred.var(-1, keepdims=True) + weights.epsilon) * scale + bias

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        matrix, bias = weights.linear(name)
        return x @ matrix + bias

    x = weights.get("embeddings.word_embeddings.weight")[ids]
    x = x + weights.get("embeddings.position_embeddings.weight")[: len(ids)]
    x = norm(x + weights.get("embeddings.token_type_embeddings.weight")[0], "embeddings")
    for layer in range(weights.layers):
        name = f"encoder.layer.{layer}"
        parts = [linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
        shape = (len(ids), weights.heads, weights.head_width)
        query, key, value = (part.reshape(shape).swapaxes(0, 1) for part in parts)
        scores = query @ key.swapaxes(1, 2) / math.sqrt(weights.head_width)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ value).swapaxes(0, 1).reshape(len(ids), weights.width)
        x = norm(linear(mixed, f"{name}.attention.output.dense") + x, f"{name}.attention.output")
        inner = linear(x, f"{name}.intermediate.dense")
        inner = inner * (erf(inner / math.sqrt(2)) + 1) / 2
        x = norm(linear(inner, f"{name}.output.dense") + x, f"{name}.output")
    return x


def tokenize(vocabulary: dict[str, int], text: str) -> list[int]:
    """WordPiece for the plain sentences of the check: words and punctuation in ASCII."""
    words, word = [], ""
    for ch in text.lower():
        if ch.isalnum():
            word += ch
            continue
        words += [word] * bool(word) + [ch] * (not ch.isspace())
        word = ""
    ids = [vocabulary["[CLS]"]]
    for word in words + [word] * bool(word):
        start = 0
        while start < len(word):
            mark = "##" * (start > 0)
            pieces = [(mark + word[start:end], end) for end in range(len(word), start, -1)]
            piece, start = next((piece, end) for piece, end in pieces if piece in vocabulary)
            ids.append(vocabulary[piece])
    return [*ids, vocabulary["[SEP]"]]


def check(weights: Weights, model: onnx.ModelProto, source: Path) -> None:
    """Stops the program unless the graph gives the published similarities."""
    vocabulary = json.loads((source / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    texts = [tokenize(vocabulary, sentence) for sentence in SENTENCES]
    longest = max(len(text) for text in texts)
    ids = np.array([text + [0] * (longest - len(text)) for text in texts], np.int64)
    mask = np.array([[1] * len(text) + [0] * (longest - len(text)) for text in texts], np.int64)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (hidden,) = ReferenceEvaluator(model).run(None, inputs)
    means = []
    for row, text in zip(hidden, texts):
        reference = forward(weights, np.array(text))
        difference = float(np.abs(row[: len(text)] - reference).max())
        if difference > TOLERANCE:
            sys.exit(f"the graph differs from the reference by {difference}")
        mean = row[: len(text)].mean(0)
        means.append(mean / np.linalg.norm(mean))
    similarities = np.array(means) @ np.array(means).T
    difference = float(np.abs(similarities - PUBLISHED).max())
    if difference > TOLERANCE:
        sys.exit(f"the similarities differ from the published by {difference}:\n{similarities}")


def write_tokenizer(source: Path, target: Path) -> None:
    """The files that fastembed reads, with the fields that it needs."""
    config = json.loads((source / "tokenizer_config.json").read_text("utf-8"))
    config.update(model_max_length=MAX_TOKENS, pad_token="[PAD]")
    tokenizer = json.loads((source / "tokenizer.json").read_text("utf-8"))
    # The caller pads to the longest text of a batch and cuts at the model's own limit.
    tokenizer.update(truncation=None, padding=None)
    texts = {
        "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")),
        "tokenizer_config.json": json.dumps(config, indent=2, sort_keys=True),
        "config.json": (source / "config.json").read_text("utf-8"),
        "special_tokens_map.json": (source / "special_tokens_map.json").read_text("utf-8"),
    }
    for name, text in texts.items():
        (target / name).write_bytes(text.rstrip("\n").encode("utf-8") + b"\n")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: export_minilm.py SOURCE TARGET")
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    weights = Weights(source)
    model = build(weights)
    check(weights, model, source)
    write_tokenizer(source, target)
    (target / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
