use proptest::prelude::*;

use super::*;

/// Bytes of a GGUF header under construction.
struct Fixture {
    keys: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    version: u32,
    contents: usize,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Fixture {
    /// Keys of a small model of the architecture `llama`, and one tensor.
    fn new() -> Self {
        Self { keys: Vec::new(), tensors: Vec::new(), version: 3, contents: 4096 }
            .text("general.architecture", "llama")
            .text("general.name", "Tiny")
            .number("general.file_type", 7)
            .number("llama.context_length", 2048)
            .number("llama.embedding_length", 64)
            .number("llama.block_count", 2)
            .number("llama.attention.head_count", 4)
            .number("llama.attention.head_count_kv", 2)
            .strings(
                "tokenizer.ggml.tokens",
                &["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
            )
            .tensor("token_embd.weight", &[64, 3], 8, 0)
    }

    fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys.push([&string(key), &kind.to_le_bytes()[..], value].concat());
        self
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, &string(value))
    }

    fn number(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    fn strings(self, key: &str, values: &[&str]) -> Self {
        let mut bytes = [&8_u32.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        bytes.extend(values.iter().flat_map(|value| string(value)));
        self.raw(key, 9, &bytes)
    }

    fn tensor(mut self, name: &str, shape: &[u64], kind: u32, offset: u64) -> Self {
        let mut bytes = [&string(name), &(shape.len() as u32).to_le_bytes()[..]].concat();
        bytes.extend(shape.iter().flat_map(|length| length.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        self.tensors.push(bytes);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let counts = [self.tensors.len() as u64, self.keys.len() as u64].map(u64::to_le_bytes);
        let head = [b"GGUF", &self.version.to_le_bytes()[..], counts.concat().as_slice()].concat();
        let mut bytes = [head, self.keys.concat(), self.tensors.concat()].concat();
        bytes.resize(bytes.len() + self.contents, 0);
        bytes
    }

    fn parse(&self) -> Result<GgufHeader, GgufError> {
        let bytes = self.bytes();
        super::parse(&bytes, bytes.len() as u64)
    }
}

/// The message with which these bytes are refused.
fn refusal(bytes: &[u8]) -> String {
    super::parse(bytes, bytes.len() as u64).expect_err("it is refused").to_string()
}

#[test]
fn a_header_says_what_the_model_is() {
    let header = Fixture::new().parse().expect("a sound header");
    assert_eq!(header.architecture, "llama");
    assert_eq!(header.name.as_deref(), Some("Tiny"));
    assert_eq!(header.quantization.as_deref(), Some("Q8_0"));
    assert_eq!(header.context_length, Some(2048));
    assert_eq!((header.layers, header.heads, header.kv_heads_total), (Some(2), Some(4), Some(4)));
    assert_eq!((header.key_length, header.value_length), (Some(16), Some(16)));
    assert_eq!(header.fim, Some(FimIds { prefix: 0, suffix: 1, middle: 2 }));
    assert_eq!((header.tensors, header.parameters, header.tensor_bytes), (1, 192, 2 * 3 * 34));
}

#[test]
fn the_engines_own_test_model_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tiny.gguf");
    inference::fake::write_tiny_model(&path, 1).expect("written");
    let header = inspect(&path).expect("a sound file");
    assert_eq!(header.architecture, "llama");
    assert_eq!(header.quantization.as_deref(), Some("F32"));
    assert!(header.chat_template.is_some() && header.vocabulary > 256, "{header:?}");
    assert!(header.tensor_bytes > 100_000);
}

#[test]
fn keys_name_the_tokens_of_fill_in_the_middle_before_their_texts_do() {
    let header = Fixture::new()
        .number("tokenizer.ggml.fim_pre_token_id", 2)
        .number("tokenizer.ggml.suffix_token_id", 0)
        .number("tokenizer.ggml.fim_mid_token_id", 99)
        .parse()
        .expect("a sound header");
    // 99 is outside the vocabulary, so its text decides.
    assert_eq!(header.fim, Some(FimIds { prefix: 2, suffix: 0, middle: 2 }));
}

#[test]
fn heads_may_differ_between_layers() {
    let mut fixture = Fixture::new();
    fixture.keys.retain(|key| !key.windows(13).any(|part| part == b"head_count_kv"));
    let layers = [4_u32.to_le_bytes(), 2_u32.to_le_bytes()].concat();
    let value = [&4_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &layers].concat();
    let header = fixture.raw("llama.attention.head_count_kv", 9, &value).parse();
    assert_eq!(header.expect("a sound header").kv_heads_total, Some(6));
}

#[test]
fn every_truncation_is_refused_as_one() {
    let bytes = Fixture::new().bytes();
    for length in 4..bytes.len() {
        let Some(cut) = bytes.get(..length) else { continue };
        let within = super::parse(cut, length as u64);
        // The contents are longer than the tensor, so cutting a part of them off is no damage.
        if length < bytes.len() - 4096 + 204 {
            assert!(matches!(within, Err(GgufError::Truncated { .. })), "{length}: {within:?}");
        }
    }
}

#[test]
fn what_is_no_gguf_file_is_named() {
    for (bytes, named) in [
        (&b""[..], "empty"),
        (b"<!DOCTYPE html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"tjgg\x03\0\0\0", "older than GGUF"),
        (b"PK\x03\x04....", "ZIP"),
        (b"\x10\x02\0\0\0\0\0\0{\"a\":1}", "safetensors"),
        (b"random bytes", "something else"),
        (b"GG", "its first bytes"),
    ] {
        assert!(refusal(bytes).contains(named), "{}", refusal(bytes));
    }
}

#[test]
fn versions_that_cannot_be_read_say_what_to_do() {
    let of = |version| refusal(&Fixture { version, ..Fixture::new() }.bytes());
    assert!(of(1).contains("version 1") && of(1).contains("newer file"));
    assert!(of(4).contains("version 4") && of(4).contains("update Hearth"));
    assert!(
        of(3_u32.swap_bytes()).contains("version 3")
            && of(3_u32.swap_bytes()).contains("big-endian")
    );
}

#[test]
fn absurd_claims_are_refused_before_memory_is_used() {
    let huge = u64::MAX.to_le_bytes();
    let check = |fixture: Fixture, named: &str| {
        let error = fixture.parse().expect_err("it is refused").to_string();
        assert!(error.contains(named), "{error}");
    };
    check(Fixture::new().raw("a", 8, &huge), "a string of");
    check(Fixture::new().raw("a", 9, &[&4_u32.to_le_bytes()[..], &huge].concat()), "an array of");
    let nested = |depth: usize| {
        let step = [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat();
        [step.repeat(depth), [&4_u32.to_le_bytes()[..], &0_u64.to_le_bytes()].concat()].concat()
    };
    check(Fixture::new().raw("a", 9, &nested(3)), "at depth");
    assert!(Fixture::new().raw("a", 9, &nested(2)).parse().is_ok());
    check(Fixture::new().raw("a", 77, &[]), "unknown type 77");
    check(Fixture::new().number("general.name", 1), "twice");
    check(Fixture::new().number("general.alignment", 24), "power of two");
    let mut many = Fixture::new().bytes();
    many[8..16].copy_from_slice(&huge);
    assert!(refusal(&many).contains("tensors"));
    many[8..16].copy_from_slice(&1_u64.to_le_bytes());
    many[16..24].copy_from_slice(&huge);
    assert!(refusal(&many).contains("keys"));
}

#[test]
fn tensors_must_be_possible_and_lie_within_the_file() {
    let check = |fixture: Fixture, named: &str| {
        let error = fixture.parse().expect_err("it is refused").to_string();
        assert!(error.contains(named), "{error}");
    };
    check(Fixture::new().tensor("x", &[32, 1_000_000], 8, 0), "its tensors");
    check(Fixture::new().tensor("x", &[32], 8, u64::MAX - 31), "wrong place");
    check(Fixture::new().tensor("x", &[32], 8, 7), "wrong place");
    check(Fixture::new().tensor("x", &[33], 8, 0), "not a multiple of 32");
    check(Fixture::new().tensor("x", &[u64::MAX, 32], 0, 0), "impossibly large");
    check(Fixture::new().tensor("x", &[1; 5], 0, 0), "5 dimensions");
    check(Fixture::new().tensor("token_embd.weight", &[32], 0, 0), "two tensors");
    check(Fixture::new().tensor(&"x".repeat(64), &[32], 0, 0), "too long");
    check(Fixture::new().tensor("x", &[32], 31, 0), "no longer used");
    check(Fixture::new().tensor("x", &[32], 500, 0), "newer version of Hearth");
}

#[test]
fn a_part_of_a_split_model_says_so() {
    let header = Fixture::new().number("split.no", 1).number("split.count", 3).parse();
    assert_eq!(header.expect("a sound header").split, Some((1, 3)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// No change of a few bytes makes the parser panic, and what it accepts lies within the file.
    #[test]
    fn mutated_headers_are_refused_or_read(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = Fixture::new().bytes();
        // Most of the file is contents; the header is what matters.
        let header = bytes.len() - 4096;
        for (index, value) in &changes {
            bytes[index.index(header)] = *value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(header) = super::parse(&bytes, bytes.len() as u64) {
            prop_assert!(header.tensor_bytes <= bytes.len() as u64 * header.tensors);
        }
    }

    /// The same for numbers written over any eight bytes: lengths, counts and offsets.
    #[test]
    fn mutated_numbers_are_refused_or_read(
        at in any::<prop::sample::Index>(),
        number in prop_oneof![
            any::<u64>(),
            (0_u32..64).prop_map(|shift| 1_u64 << shift),
            (0_u64..4).prop_map(|less| u64::MAX - less),
        ],
    ) {
        let mut bytes = Fixture::new().bytes();
        let start = 4 + at.index(bytes.len() - 4096 - 12);
        bytes[start..start + 8].copy_from_slice(&number.to_le_bytes());
        let _ = super::parse(&bytes, bytes.len() as u64);
    }

    /// And for bytes without any order.
    #[test]
    fn noise_is_refused_or_read(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        bytes.splice(0..0, *b"GGUF\x03\0\0\0");
        let _ = super::parse(&bytes, bytes.len() as u64);
    }
}
