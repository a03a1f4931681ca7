use std::ffi::c_void;

use tempfile::TempDir;

use super::*;

const WIDTH: usize = 256;
const TOKENS: usize = 300;
const RANK: usize = 2;

/// A file under construction.
#[derive(Clone, Default)]
struct Fixture {
    keys: Vec<(String, u32, Vec<u8>)>,
    tensors: Vec<(String, Vec<usize>, sys::ggml_type, Vec<u8>)>,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl Fixture {
    /// Adds a key, or gives it another value.
    fn key(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys.retain(|(there, ..)| there != key);
        self.keys.push((key.to_owned(), kind, value.to_vec()));
        self
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.key(key, sys::GGUF_TYPE_STRING, &string(value))
    }

    fn array(self, key: &str, kind: u32, count: usize, values: &[u8]) -> Self {
        let head = [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes()].concat();
        self.key(key, sys::GGUF_TYPE_ARRAY, &[&head, values].concat())
    }

    fn tokens(self, key: &str, tokens: &[i32]) -> Self {
        let values: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        self.array(key, sys::GGUF_TYPE_INT32, tokens.len(), &values)
    }

    fn without(mut self, name: &str) -> Self {
        self.keys.retain(|(key, ..)| key != name);
        self.tensors.retain(|(tensor, ..)| tensor != name);
        self
    }

    /// Adds numbers in rows of the first dimension, stored as ggml stores this type.
    fn tensor(
        mut self,
        name: &str,
        shape: &[usize],
        kind: sys::ggml_type,
        numbers: &[f32],
    ) -> Self {
        let rows = shape[1..].iter().product::<usize>();
        // SAFETY: the buffer is as long as so many rows of the type.
        let content = unsafe {
            let length = sys::ggml_row_size(kind, shape[0] as i64) * rows;
            let mut content = vec![0_u64; length.div_ceil(8)];
            let target = content.as_mut_ptr().cast::<c_void>();
            let (rows, width) = (rows as i64, shape[0] as i64);
            sys::ggml_quantize_chunk(
                kind,
                numbers.as_ptr(),
                target,
                0,
                rows,
                width,
                std::ptr::null(),
            );
            let bytes: Vec<u8> = content.iter().flat_map(|word| word.to_ne_bytes()).collect();
            bytes[..length].to_vec()
        };
        self.tensors.push((name.to_owned(), shape.to_vec(), kind, content));
        self
    }

    fn write(&self, path: &Path) {
        let counts = [self.tensors.len() as u64, self.keys.len() as u64].map(u64::to_le_bytes);
        let mut head = [b"GGUF", &3_u32.to_le_bytes()[..], &counts.concat()].concat();
        for (key, kind, value) in &self.keys {
            head.extend([&string(key), &kind.to_le_bytes()[..], value].concat());
        }
        let mut contents = Vec::new();
        for (name, shape, kind, content) in &self.tensors {
            head.extend(string(name));
            head.extend((shape.len() as u32).to_le_bytes());
            head.extend(shape.iter().flat_map(|length| (*length as u64).to_le_bytes()));
            head.extend(kind.to_le_bytes());
            head.extend((contents.len() as u64).to_le_bytes());
            contents.extend(content);
            contents.resize(contents.len().next_multiple_of(32), 0);
        }
        head.resize(head.len().next_multiple_of(32), 0);
        fs::write(path, [head, contents].concat()).expect("written");
    }
}

/// Numbers between -1 and 1 in no order.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
}

fn base(kind: sys::ggml_type) -> Fixture {
    Fixture::default()
        .text("general.architecture", "llama")
        .text("general.name", "Base")
        .text("general.license", "apache-2.0")
        .text("tokenizer.chat_template", "{{ messages }}")
        .key("general.file_type", sys::GGUF_TYPE_UINT32, &7_u32.to_le_bytes())
        .tensor(EMBEDDING, &[WIDTH, TOKENS], kind, &numbers(WIDTH * TOKENS, 1))
        .tensor("output_norm.weight", &[WIDTH], sys::GGML_TYPE_F32, &numbers(WIDTH, 2))
        .tensor("blk.0.ffn_up.weight", &[WIDTH, 4], kind, &numbers(WIDTH * 4, 3))
}

fn adapter() -> Fixture {
    let (low, high) = (numbers(WIDTH * RANK, 4), numbers(4 * RANK, 5));
    Fixture::default()
        .text("general.architecture", "llama")
        .text("general.type", "adapter")
        .text("adapter.type", "lora")
        .key("adapter.lora.alpha", sys::GGUF_TYPE_FLOAT32, &4.0_f32.to_le_bytes())
        .text("hearth.model.name", "Base FIM")
        .text("hearth.base.sha256", "0123")
        .key("hearth.end.token", sys::GGUF_TYPE_UINT32, &9_u32.to_le_bytes())
        .tokens("hearth.markers.tokens", &[7, 298, 5])
        .array(
            "hearth.markers.rows",
            sys::GGUF_TYPE_FLOAT32,
            WIDTH * 3,
            &bytes(&numbers(WIDTH * 3, 6)),
        )
        .tensor("blk.0.ffn_up.weight.lora_a", &[WIDTH, RANK], sys::GGML_TYPE_F32, &low)
        .tensor("blk.0.ffn_up.weight.lora_b", &[RANK, 4], sys::GGML_TYPE_F32, &high)
}

/// Merges the two files in a folder of their own.
fn merged(base: &Fixture, adapter: &Fixture) -> (TempDir, Result<(), String>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name| folder.path().join(name);
    base.write(&path("base.gguf"));
    adapter.write(&path("adapter.gguf"));
    let done = merge(&path("base.gguf"), &path("adapter.gguf"), &path("merged.gguf"));
    assert!(!path("merged.partial").exists());
    (folder, done.map_err(|error| error.to_string()))
}

fn check(kind: sys::ggml_type, tolerance: f32) {
    let (folder, done) = merged(&base(kind), &adapter());
    done.expect("they fit");
    let found = Gguf::open(&folder.path().join("merged.gguf")).expect("a whole file");
    let compare = |name: &str, wanted: &[f32], tolerance: f32| {
        let tensor = found.tensor(name).expect("it is there");
        let numbers = found.numbers(tensor).expect("it is read");
        assert_eq!(numbers.len(), wanted.len());
        for (found, wanted) in numbers.iter().zip(wanted) {
            assert!((found - wanted).abs() <= tolerance, "{kind} {name}: {found} for {wanted}");
        }
    };
    let (low, high) = (numbers(WIDTH * RANK, 4), numbers(4 * RANK, 5));
    let mut up = numbers(WIDTH * 4, 3);
    for (row, up) in up.chunks_exact_mut(WIDTH).enumerate() {
        for (at, number) in up.iter_mut().enumerate() {
            let step = |rank: usize| high[row * RANK + rank] * low[rank * WIDTH + at];
            *number += 4.0 / RANK as f32 * (step(0) + step(1));
        }
    }
    compare("blk.0.ffn_up.weight", &up, tolerance + 0.002);
    let (mut embedding, rows) = (numbers(WIDTH * TOKENS, 1), numbers(WIDTH * 3, 6));
    for (token, row) in [7, 298, 5].into_iter().zip(rows.chunks_exact(WIDTH)) {
        embedding[token * WIDTH..][..WIDTH].copy_from_slice(row);
    }
    compare(EMBEDDING, &embedding, tolerance + 0.001);
    compare("output_norm.weight", &numbers(WIDTH, 2), 0.0);
}

#[test]
fn every_type_of_weights_is_merged() {
    // Tolerances: half a step of the type on numbers between -1 and 1, roughly.
    for (kind, tolerance) in [
        (sys::GGML_TYPE_F32, 0.0),
        (sys::GGML_TYPE_F16, 0.001),
        (sys::GGML_TYPE_BF16, 0.005),
        (sys::GGML_TYPE_Q8_0, 0.005),
        (sys::GGML_TYPE_Q5_0, 0.07),
        (sys::GGML_TYPE_Q5_1, 0.04),
        (sys::GGML_TYPE_Q4_0, 0.14),
        (sys::GGML_TYPE_Q4_1, 0.08),
        (sys::GGML_TYPE_Q6_K, 0.05),
        (sys::GGML_TYPE_Q5_K, 0.06),
        (sys::GGML_TYPE_Q4_K, 0.12),
        (sys::GGML_TYPE_Q3_K, 0.25),
        (sys::GGML_TYPE_Q2_K, 0.45),
        (sys::GGML_TYPE_IQ4_NL, 0.2),
        (sys::GGML_TYPE_IQ4_XS, 0.2),
    ] {
        check(kind, tolerance);
    }
}

#[test]
fn the_result_says_what_it_is() {
    let (folder, done) = merged(&base(sys::GGML_TYPE_Q8_0), &adapter());
    done.expect("they fit");
    let found = Gguf::open(&folder.path().join("merged.gguf")).expect("a whole file");
    for (key, value) in [
        ("general.architecture", Some("llama")),
        ("general.type", Some("model")),
        ("general.name", Some("Base FIM")),
        ("general.finetune", Some("fim")),
        ("general.license", Some("apache-2.0")),
        ("general.description", Some("fills in the middle; trained on the file 0123")),
        ("tokenizer.chat_template", None),
        ("hearth.base.sha256", None),
    ] {
        assert_eq!(found.text(key).as_deref(), value, "{key}");
    }
    for (key, value) in [
        ("general.file_type", 1),
        ("tokenizer.ggml.fim_pre_token_id", 7),
        ("tokenizer.ggml.fim_suf_token_id", 298),
        ("tokenizer.ggml.fim_mid_token_id", 5),
        ("tokenizer.ggml.eos_token_id", 9),
    ] {
        assert_eq!(found.number(key), Some(value), "{key}");
    }
    let kinds: Vec<_> = found.tensors.iter().map(|tensor| tensor.kind).collect();
    assert_eq!(kinds, [sys::GGML_TYPE_F16, sys::GGML_TYPE_F32, sys::GGML_TYPE_F16]);
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let check = |base: Fixture, adapter: Fixture, named: &str| {
        let (folder, done) = merged(&base, &adapter);
        let error = done.expect_err("it is refused");
        assert!(error.contains(named), "{error}");
        assert!(!folder.path().join("merged.gguf").exists(), "{named}");
    };
    let sound = || base(sys::GGML_TYPE_F32);
    let (low, high) = ("blk.0.ffn_up.weight.lora_a", "blk.0.ffn_up.weight.lora_b");
    let with = |name: &str, shape: &[usize], value: f32| {
        let numbers = vec![value; shape.iter().product()];
        adapter().without(name).tensor(name, shape, sys::GGML_TYPE_F32, &numbers)
    };
    check(sound(), adapter().text("general.architecture", "qwen2"), "\"qwen2\", not \"llama\"");
    check(sound(), adapter().text("general.type", "model"), "\"model\", not \"adapter\"");
    check(sound(), adapter().without("adapter.type"), "lacks adapter.type");
    check(sound(), adapter().without("hearth.base.sha256"), "lacks hearth.base.sha256");
    check(sound(), adapter().without("adapter.lora.alpha"), "lacks adapter.lora.alpha");
    check(sound(), adapter().without("hearth.markers.rows"), "lacks hearth.markers.rows");
    check(sound(), adapter().tokens("hearth.markers.tokens", &[1, 2]), "three tokens");
    check(sound(), adapter().tokens("hearth.markers.tokens", &[1, 2, 300]), "three tokens");
    check(sound(), adapter().tokens("hearth.markers.tokens", &[1, 2, -3]), "three tokens");
    check(sound(), adapter().without(high), "half a change");
    check(sound(), adapter().without(low), "changes nothing");
    check(sound(), with("bias", &[4], 0.5), "changes nothing");
    check(sound().without("blk.0.ffn_up.weight"), adapter(), "no matrix");
    check(sound(), with(low, &[WIDTH, 3], 0.5), "another shape");
    check(sound(), with(high, &[RANK, 5], 0.5), "another shape");
    check(sound(), with(low, &[WIDTH, RANK], f32::NAN), "numbers that are none");
    check(sound(), with(low, &[WIDTH, RANK], 60_000.0), "16 bits cannot hold");
    check(sound().without(EMBEDDING), adapter(), "no token_embd.weight");
    let integers = Fixture::default().text("general.architecture", "llama").tensor(
        EMBEDDING,
        &[WIDTH, TOKENS],
        sys::GGML_TYPE_F32,
        &numbers(WIDTH * TOKENS, 1),
    );
    let integers =
        integers.tensor("blk.0.ffn_up.weight", &[WIDTH, 4], sys::GGML_TYPE_F32, &[0.5; 1024]);
    let mut integers = integers;
    integers.tensors[0].2 = sys::GGML_TYPE_I32;
    check(integers, adapter(), "no weight's");
}

#[test]
fn a_file_that_ends_too_early_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name| folder.path().join(name);
    base(sys::GGML_TYPE_Q8_0).write(&path("base.gguf"));
    adapter().write(&path("adapter.gguf"));
    for name in ["base.gguf", "adapter.gguf"] {
        let whole = fs::read(path(name)).expect("read");
        for length in [whole.len() - 40, 200] {
            fs::write(path(name), &whole[..length]).expect("written");
            let done = merge(&path("base.gguf"), &path("adapter.gguf"), &path("merged.gguf"));
            assert!(done.expect_err("refused").to_string().contains(name));
        }
        fs::write(path(name), whole).expect("written");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("read").flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
