use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Numbers in an embedding of the tiny model.
const WIDTH: u64 = 64;
const FEED_FORWARD: u64 = 128;
const HEADS: u32 = 4;
const KEY_HEADS: u32 = 2;
const LAYERS: u32 = 2;
/// Tokens that the tiny model says it was trained with.
const CONTEXT: u32 = 1024;
/// Rank of the tiny adapter.
const ADAPTER_RANK: u64 = 2;
/// Alignment of tensor data, the format's default.
const ALIGNMENT: usize = 32;

/// Texts of special tokens; the file names the first two as start and end, the rest as
/// fill-in-the-middle tokens or chat marks.
const SPECIALS: [&str; 7] = [
    "<|start|>",
    "<|end|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
];

/// Pairs of tokens that are one token together, in order of priority.
const MERGES: [(&str, &str); 8] = [
    ("s", "e"),
    ("l", "f"),
    ("se", "lf"),
    ("a", "s"),
    ("as", "se"),
    ("asse", "r"),
    ("asser", "t"),
    ("E", "q"),
];

/// Values of the format's `gguf_metadata_value_type`.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Values of `llama_token_type`.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Writes a language model of half a megabyte with random weights: architecture `llama`, a
/// vocabulary of bytes, a few merged words and special tokens, and a chat template. The same
/// `seed` gives the same file. What it says makes no sense, but it is an engine's real work.
pub fn write_tiny_model(path: &Path, seed: u64) -> io::Result<()> {
    let mut random = seed;
    write_model(path, "tiny", &[], &mut |name, shape, _| {
        let scale = 2.0 / (shape.first().copied().unwrap_or(1) as f32).sqrt();
        if name.ends_with("norm.weight") { 1.0 } else { uniform(&mut random) * scale }
    })
}

/// Writes a model of the same form that says `pieces`, one token each, whatever it is asked, and
/// ends its turn: an engine's real work with a known outcome, at any temperature in use. At most
/// 62 pieces, all different and none a single byte: no vocabulary may have a token twice.
pub fn write_scripted_model(path: &Path, pieces: &[&str]) -> io::Result<()> {
    let vocabulary = vocabulary(pieces);
    let different: HashSet<&str> = vocabulary.iter().map(|(text, _)| text.as_str()).collect();
    if different.len() < vocabulary.len() || pieces.len() > WIDTH as usize - 2 {
        let error = "a piece is a token already, or there are too many";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    let first = vocabulary.len() - SPECIALS.len() - pieces.len();
    let end_of_turn = first + pieces.len() + 3;
    // Each token is a direction of its own: the pieces by their place, all others the first one.
    let direction = |token: usize| match token.checked_sub(first) {
        Some(place) if place < pieces.len() => place + 1,
        _ => 0,
    };
    let next = |direction: usize| {
        if direction < pieces.len() { first + direction } else { end_of_turn }
    };
    write_model(path, "scripted", pieces, &mut |name, _, at| {
        let (row, column) = (at / WIDTH as usize, at % WIDTH as usize);
        let is_one = match name {
            "token_embd.weight" => column == direction(row),
            "output.weight" => column <= pieces.len() && row == next(column),
            _ => name.ends_with("norm.weight"),
        };
        // Four, and eight of the norm: far above the other logits, which are zero.
        let weight = if name == "output.weight" { 4.0 } else { 1.0 };
        if is_one { weight } else { 0.0 }
    })
}

/// Writes an adapter (LoRA) as `models/pipeline/completion/convert.py` does: for the model of
/// [`write_tiny_model`] in the file with this hash, a change of one matrix and a row for each marker of
/// fill-in-the-middle.
pub fn write_tiny_adapter(path: &Path, base_sha256: &str) -> io::Result<()> {
    write_adapter(path, base_sha256, 0)
}

/// The same for a model of [`write_scripted_model`] with so many pieces, which says the same with it.
pub fn write_scripted_adapter(path: &Path, base_sha256: &str, pieces: usize) -> io::Result<()> {
    write_adapter(path, base_sha256, pieces)
}

fn write_adapter(path: &Path, base_sha256: &str, pieces: usize) -> io::Result<()> {
    let mut head = Head::default();
    head.text("general.architecture", "llama");
    head.text("general.type", "adapter");
    head.text("general.base_model.0.name", "tiny");
    head.text("adapter.type", "lora");
    head.key("adapter.lora.alpha", F32);
    head.bytes.extend(4.0_f32.to_le_bytes());
    head.text("hearth.base.sha256", base_sha256);
    head.text("hearth.model.name", "Tiny FIM");
    let specials = vocabulary(&[]).len() - SPECIALS.len() + pieces;
    head.number("hearth.end.token", specials as u32 + 1);
    head.array("hearth.markers.tokens", I32, 3);
    for marker in specials + 4..specials + 7 {
        head.bytes.extend((marker as i32).to_le_bytes());
    }
    let (mut random, numbers) = (1, WIDTH as usize * 3);
    head.array("hearth.markers.rows", F32, numbers);
    for _ in 0..numbers {
        head.bytes.extend(uniform(&mut random).to_le_bytes());
    }
    let matrix = "blk.1.ffn_up.weight";
    let tensors = [
        (format!("{matrix}.lora_a"), vec![WIDTH, ADAPTER_RANK]),
        (format!("{matrix}.lora_b"), vec![ADAPTER_RANK, FEED_FORWARD]),
    ];
    write_file(path, head, &tensors, &mut |_, _, _| uniform(&mut random))
}

/// Writes a model; `weight` gives each number by its tensor's name and shape and its place.
fn write_model(
    path: &Path,
    name: &str,
    pieces: &[&str],
    weight: &mut dyn FnMut(&str, &[u64], usize) -> f32,
) -> io::Result<()> {
    let vocabulary = vocabulary(pieces);
    let mut head = Head::default();
    head.metadata(name, &vocabulary);
    write_file(path, head, &tensors(vocabulary.len() as u64), weight)
}

fn write_file(
    path: &Path,
    mut head: Head,
    tensors: &[(String, Vec<u64>)],
    weight: &mut dyn FnMut(&str, &[u64], usize) -> f32,
) -> io::Result<()> {
    let mut offset = 0;
    for (name, shape) in tensors {
        head.tensor(name, shape, offset);
        offset += (count(shape) * 4).next_multiple_of(ALIGNMENT) as u64;
    }
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"GGUF")?;
    file.write_all(&3_u32.to_le_bytes())?;
    file.write_all(&(tensors.len() as u64).to_le_bytes())?;
    file.write_all(&head.entries.to_le_bytes())?;
    file.write_all(&head.bytes)?;
    let before = 24 + head.bytes.len();
    file.write_all(&vec![0; before.next_multiple_of(ALIGNMENT) - before])?;
    for (name, shape) in tensors {
        let length = count(shape);
        for at in 0..length {
            file.write_all(&weight(name, shape, at).to_le_bytes())?;
        }
        file.write_all(&vec![0; (length * 4).next_multiple_of(ALIGNMENT) - length * 4])?;
    }
    file.into_inner()?.sync_all()
}

fn count(shape: &[u64]) -> usize {
    shape.iter().product::<u64>() as usize
}

/// Between -1 and 1: the upper bits of splitmix64.
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
}

/// GPT-2's way to write bytes as printable characters.
fn byte_text(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !printable(*other)).count() as u32;
    char::from_u32(256 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Bytes, words, `pieces`, special tokens. No merge leads to a piece, so no text is read as one.
fn vocabulary(pieces: &[&str]) -> Vec<(String, i32)> {
    let bytes = (0..=u8::MAX).map(|byte| (byte_text(byte).to_string(), NORMAL));
    let merged = MERGES.iter().map(|(left, right)| (format!("{left}{right}"), NORMAL));
    let pieces = pieces.iter().map(|piece| (piece.bytes().map(byte_text).collect(), NORMAL));
    let specials = SPECIALS.iter().map(|text| ((*text).to_owned(), CONTROL));
    bytes.chain(merged).chain(pieces).chain(specials).collect()
}

fn tensors(vocabulary: u64) -> Vec<(String, Vec<u64>)> {
    let keys = WIDTH * u64::from(KEY_HEADS) / u64::from(HEADS);
    let mut tensors = vec![("token_embd.weight".to_owned(), vec![WIDTH, vocabulary])];
    for layer in 0..LAYERS {
        let parts: [(&str, &[u64]); 9] = [
            ("attn_norm", &[WIDTH]),
            ("attn_q", &[WIDTH, WIDTH]),
            ("attn_k", &[WIDTH, keys]),
            ("attn_v", &[WIDTH, keys]),
            ("attn_output", &[WIDTH, WIDTH]),
            ("ffn_norm", &[WIDTH]),
            ("ffn_gate", &[WIDTH, FEED_FORWARD]),
            ("ffn_up", &[WIDTH, FEED_FORWARD]),
            ("ffn_down", &[FEED_FORWARD, WIDTH]),
        ];
        for (name, shape) in parts {
            tensors.push((format!("blk.{layer}.{name}.weight"), shape.to_vec()));
        }
    }
    tensors.push(("output_norm.weight".to_owned(), vec![WIDTH]));
    tensors.push(("output.weight".to_owned(), vec![WIDTH, vocabulary]));
    tensors
}

/// Metadata and tensor descriptions as they stand in the file.
#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    entries: u64,
}

impl Head {
    fn metadata(&mut self, name: &str, vocabulary: &[(String, i32)]) {
        self.text("general.architecture", "llama");
        self.text("general.name", name);
        self.number("llama.context_length", CONTEXT);
        self.number("llama.embedding_length", WIDTH as u32);
        self.number("llama.block_count", LAYERS);
        self.number("llama.feed_forward_length", FEED_FORWARD as u32);
        self.number("llama.attention.head_count", HEADS);
        self.number("llama.attention.head_count_kv", KEY_HEADS);
        self.number("llama.rope.dimension_count", WIDTH as u32 / HEADS);
        self.key("llama.attention.layer_norm_rms_epsilon", F32);
        self.bytes.extend(1e-5_f32.to_le_bytes());
        self.text("tokenizer.ggml.model", "gpt2");
        self.text("tokenizer.ggml.pre", "gpt-2");
        self.array("tokenizer.ggml.tokens", STRING, vocabulary.len());
        for (text, _) in vocabulary {
            self.string(text);
        }
        self.array("tokenizer.ggml.token_type", I32, vocabulary.len());
        for (_, kind) in vocabulary {
            self.bytes.extend(kind.to_le_bytes());
        }
        self.array("tokenizer.ggml.merges", STRING, MERGES.len());
        for (left, right) in MERGES {
            self.string(&format!("{left} {right}"));
        }
        let specials = (vocabulary.len() - SPECIALS.len()) as u32;
        self.number("tokenizer.ggml.bos_token_id", specials);
        self.number("tokenizer.ggml.eos_token_id", specials + 1);
        self.number("tokenizer.ggml.eot_token_id", specials + 3);
        self.number("tokenizer.ggml.fim_pre_token_id", specials + 4);
        self.number("tokenizer.ggml.fim_suf_token_id", specials + 5);
        self.number("tokenizer.ggml.fim_mid_token_id", specials + 6);
        self.key("tokenizer.ggml.add_bos_token", 7);
        self.bytes.push(1);
        self.text(
            "tokenizer.chat_template",
            "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}\n\
             {{ message.content }}<|im_end|>\n{% endfor %}\
             {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        );
    }

    fn tensor(&mut self, name: &str, shape: &[u64], offset: u64) {
        self.string(name);
        self.bytes.extend((shape.len() as u32).to_le_bytes());
        for length in shape {
            self.bytes.extend(length.to_le_bytes());
        }
        // Type 0: 32-bit numbers.
        self.bytes.extend(0_u32.to_le_bytes());
        self.bytes.extend(offset.to_le_bytes());
    }

    fn key(&mut self, key: &str, kind: u32) {
        self.entries += 1;
        self.string(key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, U32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, STRING);
        self.string(value);
    }

    fn array(&mut self, key: &str, kind: u32, length: usize) {
        self.key(key, ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((length as u64).to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.bytes.extend((text.len() as u64).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }
}
