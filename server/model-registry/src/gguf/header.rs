use std::{collections::HashMap, io::Read};

use serde::Serialize;

use super::{
    GgufError,
    read::{Reader, Value},
    tensors::Tensors,
};

/// Most keys of one file. Models have a few dozen.
const MAX_KEYS: u64 = 1 << 14;
/// Tensors begin at multiples of this, unless the file says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// Token numbers that mark the parts of a fill-in-the-middle prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FimIds {
    /// Before the text before the cursor.
    pub prefix: u32,
    /// Before the text after the cursor.
    pub suffix: u32,
    /// Where the model begins to write.
    pub middle: u32,
}

/// What an adapter (LoRA) says of the model that it was trained on and of the one that it makes of it. The
/// keys are those that `models/pipeline/completion/convert.py` writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdapterHeader {
    /// SHA-256 of the file that it was trained on.
    pub base_sha256: Option<String>,
    /// Name of that model.
    pub base_name: Option<String>,
    /// Name of the model that the two make.
    pub model_name: Option<String>,
}

/// What a GGUF file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GgufHeader {
    /// Version of the format, 2 or 3.
    pub version: u32,
    /// `general.architecture`, such as `llama` or `qwen2`.
    pub architecture: String,
    /// `general.name`.
    pub name: Option<String>,
    /// What an adapter says; none where the file is a model.
    pub adapter: Option<AdapterHeader>,
    /// `general.license`.
    pub license: Option<String>,
    /// Tokens of context that the model was trained for.
    pub context_length: Option<u64>,
    /// Width of the model's hidden state.
    pub embedding_length: Option<u64>,
    /// Width of the feed-forward layers; the largest where they differ.
    pub feed_forward_length: Option<u64>,
    /// Number of layers.
    pub layers: Option<u64>,
    /// Attention heads of a layer; the largest number where layers differ.
    pub heads: Option<u64>,
    /// Heads that keep keys and values, summed over all layers.
    pub kv_heads_total: Option<u64>,
    /// Numbers kept for one token, head and layer as key.
    pub key_length: Option<u64>,
    /// The same as value.
    pub value_length: Option<u64>,
    /// Quantisation, such as `Q4_K_M`, or the type of most of the weights.
    pub quantization: Option<String>,
    /// `tokenizer.ggml.model`.
    pub tokenizer_model: Option<String>,
    /// `tokenizer.ggml.pre`.
    pub tokenizer_pre: Option<String>,
    /// Number of tokens in the vocabulary.
    pub vocabulary: u64,
    /// The tokens of fill-in-the-middle, named by the file or found in its vocabulary.
    pub fim: Option<FimIds>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
    /// Number of this part and of all parts, where the model is split into several files.
    pub split: Option<(u64, u64)>,
    /// Number of tensors.
    pub tensors: u64,
    /// Number of weights.
    pub parameters: u64,
    /// Bytes of all tensors.
    pub tensor_bytes: u64,
}

/// Names that model families gave the three tokens: prefix, suffix, middle. Checked against the
/// vocabularies of Qwen2.5-Coder, StarCoder, DeepSeek-Coder, CodeGemma and CodeLlama.
const FIM_NAMES: [[&str; 4]; 3] = [
    ["<|fim_prefix|>", "<fim_prefix>", "<｜fim▁begin｜>", "▁<PRE>"],
    ["<|fim_suffix|>", "<fim_suffix>", "<｜fim▁hole｜>", "▁<SUF>"],
    ["<|fim_middle|>", "<fim_middle>", "<｜fim▁end｜>", "▁<MID>"],
];

/// Keys that name the three tokens, newest spelling first.
const FIM_KEYS: [[&str; 2]; 3] = [
    ["tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"],
    ["tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"],
    ["tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"],
];

/// Names of `general.file_type` (llama.h, `llama_ftype`).
const FILE_TYPES: &[(u64, &str)] = &[
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4_MOE"),
    (39, "NVFP4"),
    (40, "Q1_0"),
    (41, "Q2_0"),
];

pub(super) fn parse(input: &mut dyn Read, file_bytes: u64) -> Result<GgufHeader, GgufError> {
    let mut reader = Reader::new(input);
    let version = preamble(&mut reader, file_bytes)?;
    reader.enter("its header");
    let tensor_count = reader.u64()?;
    let key_count = reader.u64()?;
    if key_count > MAX_KEYS {
        return Err(GgufError::Damaged(format!("it claims to have {key_count} keys")));
    }
    let (keys, vocabulary) = keys(&mut reader, key_count)?;
    let alignment = match keys.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(value) => value
            .as_u64()
            .filter(|value| value.is_power_of_two() && *value <= 1 << 20)
            .ok_or_else(|| GgufError::Damaged("its alignment is not a power of two".into()))?,
    };
    let tensors = Tensors::read(&mut reader, tensor_count, alignment)?;
    let start = reader.position().next_multiple_of(alignment);
    tensors.check_within(start, file_bytes)?;
    GgufHeader::new(version, &keys, &vocabulary, &tensors)
}

/// Reads the magic number and the version.
fn preamble(reader: &mut Reader<'_>, file_bytes: u64) -> Result<u32, GgufError> {
    if file_bytes == 0 {
        return Err(GgufError::NotGguf {
            found: "empty",
            advice: "the download or copy failed; get the file again",
        });
    }
    let magic = reader.bytes::<4>()?;
    if &magic != b"GGUF" {
        return Err(foreign(magic));
    }
    let version = reader.u32()?;
    match version {
        2 | 3 => Ok(version),
        1 => Err(GgufError::Version {
            version,
            advice: "convert the model again or get a newer file of it",
        }),
        // A file in the byte order of another machine has its version in the upper bytes.
        _ if version.trailing_zeros() >= 16 => Err(GgufError::Version {
            version: version.swap_bytes(),
            advice: "the file is big-endian: get the usual little-endian one",
        }),
        _ => Err(GgufError::Version { version, advice: "update Hearth" }),
    }
}

/// Says what a file with these first bytes is.
fn foreign(magic: [u8; 4]) -> GgufError {
    let (found, advice) = match &magic {
        b"<!DO" | b"<htm" | b"<HTM" | b"<?xm" => {
            ("a web page", "the address leads to a page or a log-in; download the file itself")
        }
        b"vers" => ("a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
        b"lmgg" | b"tjgg" | b"fmgg" | b"algg" => {
            ("a model in a format older than GGUF", "get the model as GGUF")
        }
        b"PK\x03\x04" => ("a ZIP archive or a PyTorch model", "get the model as GGUF"),
        [0x1f, 0x8b, ..] => ("a gzip archive", "unpack it first"),
        [b'{', ..] | [_, _, _, 0] => {
            ("possibly safetensors or other data", "get the model as GGUF")
        }
        _ => ("something else", "get the model as GGUF"),
    };
    GgufError::NotGguf { found, advice }
}

/// The vocabulary's size and those of its tokens that matter here.
#[derive(Default)]
struct Vocabulary {
    size: u64,
    fim: [Option<u32>; 3],
}

impl Vocabulary {
    fn see(&mut self, index: u64, token: &[u8]) {
        self.size = index + 1;
        for (names, found) in FIM_NAMES.iter().zip(&mut self.fim) {
            if names.iter().any(|name| name.as_bytes() == token) {
                *found = u32::try_from(index).ok();
            }
        }
    }
}

fn keys(
    reader: &mut Reader<'_>,
    count: u64,
) -> Result<(HashMap<String, Value>, Vocabulary), GgufError> {
    let mut keys = HashMap::new();
    let mut vocabulary = Vocabulary::default();
    for _ in 0..count {
        reader.enter("its keys");
        let key = reader.string()?;
        let kind = reader.u32()?;
        let value = if key == "tokenizer.ggml.tokens" {
            reader.enter("its vocabulary");
            reader.value(kind, &mut |index, token| vocabulary.see(index, token))?
        } else {
            reader.value(kind, &mut |_, _| {})?
        };
        if let Some(value) = keys.insert(key, value) {
            drop(value);
            return Err(GgufError::Damaged("it names a key twice".into()));
        }
    }
    Ok((keys, vocabulary))
}

impl GgufHeader {
    fn new(
        version: u32,
        keys: &HashMap<String, Value>,
        vocabulary: &Vocabulary,
        tensors: &Tensors,
    ) -> Result<Self, GgufError> {
        let text = |key: &str| keys.get(key).and_then(Value::as_text).map(str::to_owned);
        let architecture = text("general.architecture")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| GgufError::Damaged("it does not name its architecture".into()))?;
        let value = |key: &str| keys.get(&format!("{architecture}.{key}"));
        let number = |key: &str| value(key).and_then(Value::as_u64);
        let largest = |key: &str| match value(key)? {
            Value::Integers { max, .. } => Some(*max),
            value => value.as_u64(),
        };
        let layers = number("block_count");
        let heads = largest("attention.head_count");
        let kv_heads_total = match value("attention.head_count_kv") {
            Some(Value::Integers { sum, .. }) => Some(*sum),
            Some(value) => {
                value.as_u64().zip(layers).map(|(heads, layers)| heads.saturating_mul(layers))
            }
            None => heads.zip(layers).map(|(heads, layers)| heads.saturating_mul(layers)),
        };
        let embedding_length = number("embedding_length");
        let head_length =
            embedding_length.zip(heads).and_then(|(width, heads)| width.checked_div(heads));
        Ok(Self {
            version,
            name: text("general.name"),
            adapter: (text("general.type").as_deref() == Some("adapter")).then(|| AdapterHeader {
                base_sha256: text("hearth.base.sha256"),
                base_name: text("general.base_model.0.name"),
                model_name: text("hearth.model.name"),
            }),
            license: text("general.license"),
            context_length: number("context_length"),
            embedding_length,
            feed_forward_length: largest("feed_forward_length"),
            layers,
            heads,
            kv_heads_total,
            key_length: number("attention.key_length").or(head_length),
            value_length: number("attention.value_length").or(head_length),
            quantization: file_type(keys).or(tensors.main_type).map(str::to_owned),
            tokenizer_model: text("tokenizer.ggml.model"),
            tokenizer_pre: text("tokenizer.ggml.pre"),
            vocabulary: vocabulary.size,
            fim: fim(keys, vocabulary),
            chat_template: text("tokenizer.chat_template"),
            split: keys
                .get("split.count")
                .and_then(Value::as_u64)
                .filter(|count| *count > 1)
                .map(|count| (keys.get("split.no").and_then(Value::as_u64).unwrap_or(0), count)),
            tensors: tensors.count,
            parameters: tensors.parameters,
            tensor_bytes: tensors.bytes,
            architecture,
        })
    }
}

fn file_type(keys: &HashMap<String, Value>) -> Option<&'static str> {
    let number = keys.get("general.file_type")?.as_u64()?;
    FILE_TYPES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

fn fim(keys: &HashMap<String, Value>, vocabulary: &Vocabulary) -> Option<FimIds> {
    let named = |part: usize| {
        let key = FIM_KEYS.get(part)?.iter().find_map(|key| keys.get(*key))?;
        u32::try_from(key.as_u64()?).ok().filter(|id| u64::from(*id) < vocabulary.size)
    };
    let found = |part: usize| named(part).or_else(|| *vocabulary.fim.get(part)?);
    Some(FimIds { prefix: found(0)?, suffix: found(1)?, middle: found(2)? })
}
