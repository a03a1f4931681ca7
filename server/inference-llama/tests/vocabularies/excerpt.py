"""Cuts a vocabulary down to what the golden token sequences in `../golden.rs` need.

A tokenizer of merges gives the same tokens for a text when every token and merge that can arise in the
text is kept, so a few hundred tokens stand for the whole vocabulary. Their numbers in the whole one are
kept beside, in `NAME.ids`.

    pip install gguf==0.19.0
    python excerpt.py NAME FULL.gguf            # writes NAME.gguf and NAME.ids here
    python excerpt.py NAME FULL.gguf FOLDER     # writes the whole vocabulary there, named as below

Sources: `vendor/llama.cpp/models/ggml-vocab-*.gguf` in the sdist of llama-cpp-python 0.3.36 (MIT), of
which excerpts are kept here where the model is free as well: Qwen2 (Apache-2.0) and Phi-3 (MIT).
"""

import sys
from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter

# Everything that the golden tests tokenise.
TEXT = """\
def area(w, h):
    return w * h

print(area(2, 3))
A = 1
a.py
#a.py
#shapes/area.py
shapes/area.py
workspace
Be brief.
Hi.
Hello.
1 + 1? <|im_end|>
system
user
assistant
<|im_end|><|end|><|eot_id|><fim_prefix><｜fim▁begin｜>
"""

LISTS = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges", "tokenizer.ggml.scores")
NORMAL, CONTROL = 1, 3

# Tokens that the source leaves without a name and the family's own configuration names.
NAMED = {
    "qwen2.5-coder": {
        151659: "<|fim_prefix|>",
        151660: "<|fim_middle|>",
        151661: "<|fim_suffix|>",
        151662: "<|fim_pad|>",
        151663: "<|repo_name|>",
        151664: "<|file_sep|>",
    },
}


def byte_letters() -> dict[int, str]:
    """The letters that stand for bytes in GPT-2's vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    others = (byte for byte in range(256) if byte not in letters)
    return letters | {byte: chr(256 + index) for index, byte in enumerate(others)}


def main(name: str, source: str, whole: str | None = None) -> None:
    reader = GGUFReader(source)
    fields = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    for index, token in NAMED.get(name, {}).items():
        tokens[index], types[index] = token, CONTROL
    by_merges = fields["tokenizer.ggml.model"] == "gpt2"
    letters = byte_letters()
    text = "".join(letters[byte] for byte in TEXT.encode()) if by_merges else " " + TEXT
    text = text if by_merges else text.replace(" ", "▁").replace("\n", "\n▁")

    def kept(index: int) -> bool:
        if whole:
            return True
        token = tokens[index]
        single = len(token) == 1 and by_merges
        return single or (
            token in text if types[index] == NORMAL else not any(word in token for word in ("reserved", "[PAD"))
        )

    ids = [index for index in range(len(tokens)) if kept(index)]
    number = {index: place for place, index in enumerate(ids)}
    folder = Path(whole or ".")
    writer = GGUFWriter(folder / f"{name}.gguf", fields["general.architecture"])
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture" or key in LISTS:
            continue
        value, kind = fields[key], field.types[0]
        if key.endswith("_token_id"):
            if value not in number:
                continue
            value = number[value]
        elif key.endswith("vocab_size"):
            value = len(ids)
        writer.add_key_value(key, value, kind, sub_type=field.types[-1] if kind == GGUFValueType.ARRAY else None)
    writer.add_token_list([tokens[index] for index in ids])
    writer.add_token_types([types[index] for index in ids])
    if "tokenizer.ggml.scores" in fields:
        writer.add_token_scores([fields["tokenizer.ggml.scores"][index] for index in ids])
    if by_merges:
        known = {tokens[index] for index in ids}
        merges = fields["tokenizer.ggml.merges"]
        possible = [merge for merge in merges if merge.replace(" ", "") in known]
        writer.add_token_merges([merge for merge in possible if set(merge.split(" ")) <= known])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    if not whole:
        Path(f"{name}.ids").write_text(" ".join(map(str, ids)) + "\n")


main(*sys.argv[1:])
