//! An adapter's weights on top of those of the model that it was trained on.
//!
//! W + α / r · B·A (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022), and the rows
//! of the markers of fill-in-the-middle, which llama.cpp's LoRA files cannot carry and which therefore stand
//! in the adapter's metadata (`models/pipeline/completion/convert.py`).

use std::{
    collections::HashMap,
    ffi::CStr,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::Path,
};

use inference::InferenceError;
use llama_cpp_sys_2 as sys;

use crate::gguf::{Gguf, Head, Tensor, halved, refused};

/// Rows that are read and written at once.
const ROWS: usize = 256;
/// What rounds to a number that 16 bits hold.
const LARGEST_HALF: f32 = 65_520.0;
/// Where the markers' rows go.
const EMBEDDING: &str = "token_embd.weight";
/// Keys of the markers before the text before the cursor, before that after it, and before the middle.
const MARKERS: [&CStr; 3] = [
    c"tokenizer.ggml.fim_pre_token_id",
    c"tokenizer.ggml.fim_suf_token_id",
    c"tokenizer.ggml.fim_mid_token_id",
];
/// Of the base's metadata, what is not true of the result or is written anew, by how it begins.
const LEFT_OUT: [&str; 7] = [
    "general.name",
    "general.finetune",
    "general.file_type",
    "general.quantization_version",
    "general.type",
    "tokenizer.chat_template",
    "tokenizer.ggml.eos_token_id",
];

/// Writes to `target` the model `base` with `adapter` merged into it, whole or not at all: matrices with 16
/// bits a number, vectors with 32, whatever the base has. Whether `base` is the very file that the adapter
/// was trained on is for the caller to know.
pub fn merge(base: &Path, adapter: &Path, target: &Path) -> Result<(), InferenceError> {
    let base = Gguf::open(base)?;
    let adapter = Adapter::read(&Gguf::open(adapter)?, adapter, &base)?;
    let part = target.with_extension("partial");
    let written = adapter.write(&base, &part).and_then(|()| {
        fs::rename(&part, target).map_err(|error| refused(target, &error.to_string()))
    });
    if written.is_err() {
        // What was written is of no use; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&part);
    }
    written
}

/// What an adapter says, held against the model that it is for.
struct Adapter {
    /// Name of what it makes of the base.
    name: String,
    base_sha256: String,
    /// Token that ends a middle.
    end: u32,
    markers: [u32; 3],
    /// A row of the embedding for each marker.
    rows: Vec<f32>,
    changes: HashMap<String, Change>,
}

/// The change of one matrix: scale · B·A.
struct Change {
    scale: f32,
    /// As many numbers for each step of the rank as a row of the matrix has.
    low: Vec<f32>,
    /// As many numbers for each row of the matrix as the rank is.
    high: Vec<f32>,
    rank: usize,
}

impl Adapter {
    fn read(file: &Gguf, path: &Path, base: &Gguf) -> Result<Self, InferenceError> {
        let refuse = |reason: String| refused(path, &reason);
        let missing = |key: &str| {
            refuse(format!("it lacks {key}: it is no adapter that this program's pipeline made"))
        };
        let text = |key: &str| file.text(key).ok_or_else(|| missing(key));
        for (key, wanted) in [("general.type", "adapter"), ("adapter.type", "lora")] {
            let found = text(key)?;
            if found != wanted {
                return Err(refuse(format!("its {key} is {found:?}, not {wanted:?}")));
            }
        }
        let (architecture, own) =
            (text("general.architecture")?, base.text("general.architecture"));
        if own.as_deref() != Some(architecture.as_str()) {
            let own = own.unwrap_or_default();
            return Err(refuse(format!(
                "it is for the architecture {architecture:?}, not {own:?}"
            )));
        }
        let alpha =
            file.float("adapter.lora.alpha").ok_or_else(|| missing("adapter.lora.alpha"))?;
        let end = file.number("hearth.end.token").ok_or_else(|| missing("hearth.end.token"))?;
        let embedding =
            base.tensor(EMBEDDING).ok_or_else(|| refuse(format!("its base has no {EMBEDDING}")))?;
        let key = "hearth.markers.tokens";
        let markers = file.integers(key).ok_or_else(|| missing(key))?;
        let token = |number: &i32| {
            u32::try_from(*number).ok().filter(|number| (*number as usize) < embedding.rows())
        };
        let (Some(markers), Some(end)) = (
            markers
                .iter()
                .map(token)
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.try_into().ok()),
            Some(end).filter(|end| (*end as usize) < embedding.rows()),
        ) else {
            return Err(refuse("its markers are not three tokens of its base and an end".into()));
        };
        let rows =
            file.floats("hearth.markers.rows").ok_or_else(|| missing("hearth.markers.rows"))?;
        if rows.is_empty() || rows.len() != MARKERS.len() * embedding.width() {
            return Err(refuse(format!("its markers' rows are {} numbers long", rows.len())));
        }
        let mut changes = HashMap::new();
        for tensor in &file.tensors {
            let Some(name) = tensor.name.strip_suffix(".lora_a") else {
                let pair = tensor.name.strip_suffix(".lora_b").map(|name| format!("{name}.lora_a"));
                if pair.is_none_or(|pair| file.tensor(&pair).is_none()) {
                    return Err(refuse(format!("its tensor {:?} changes nothing", tensor.name)));
                }
                continue;
            };
            let matrix = base.tensor(name).filter(|matrix| matrix.shape.len() == 2);
            let high = file.tensor(&format!("{name}.lora_b"));
            let (Some(matrix), Some(high)) = (matrix, high) else {
                return Err(refuse(format!(
                    "its base has no matrix {name:?}, or it has half a change"
                )));
            };
            let change = Change::read(file, alpha, tensor, high, matrix)?;
            changes.insert(
                name.to_owned(),
                change.ok_or_else(|| {
                    refuse(format!("its {name:?} has another shape than its base's"))
                })?,
            );
        }
        let adapter = Self {
            name: text("hearth.model.name")?,
            base_sha256: text("hearth.base.sha256")?,
            end,
            markers,
            rows,
            changes,
        };
        let all = adapter.changes.values().flat_map(|change| change.low.iter().chain(&change.high));
        if !all.chain(&adapter.rows).chain([&alpha]).all(|number| number.is_finite()) {
            return Err(refuse("it has numbers that are none: its training went astray".into()));
        }
        Ok(adapter)
    }

    fn write(&self, base: &Gguf, part: &Path) -> Result<(), InferenceError> {
        let mut head = Head::of(base, &LEFT_OUT);
        head.text(c"general.type", "model");
        head.text(c"general.name", &self.name);
        head.text(c"general.finetune", "fim");
        let description = format!("fills in the middle; trained on the file {}", self.base_sha256);
        head.text(c"general.description", &description);
        head.number(c"general.file_type", sys::LLAMA_FTYPE_MOSTLY_F16);
        for (key, token) in MARKERS.into_iter().zip(self.markers) {
            head.number(key, token);
        }
        head.number(c"tokenizer.ggml.eos_token_id", self.end);
        let kinds = head.tensors(base);

        let failed = |error: io::Error| refused(part, &format!("it cannot be written: {error}"));
        let mut file = BufWriter::new(File::create(part).map_err(failed)?);
        file.write_all(&head.bytes()).map_err(failed)?;
        for (tensor, kind) in base.tensors.iter().zip(kinds) {
            let mut length = 0;
            for first in (0..tensor.rows()).step_by(ROWS) {
                let count = ROWS.min(tensor.rows() - first);
                let numbers = self.rows(base, tensor, first, count)?;
                let bytes = if kind == sys::GGML_TYPE_F32 {
                    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
                } else if numbers.iter().all(|number| number.abs() < LARGEST_HALF) {
                    halved(&numbers)
                } else {
                    let reason =
                        format!("{} would have numbers that 16 bits cannot hold", tensor.name);
                    return Err(refused(part, &reason));
                };
                file.write_all(&bytes).map_err(failed)?;
                length += bytes.len();
            }
            let padding = length.next_multiple_of(head.alignment()) - length;
            file.write_all(&vec![0; padding]).map_err(failed)?;
        }
        file.flush().map_err(failed)
    }

    /// Rows of the result.
    fn rows(
        &self,
        base: &Gguf,
        tensor: &Tensor,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>, InferenceError> {
        let (mut numbers, width) = (base.rows(tensor, first, count)?, tensor.width());
        if let Some(change) = self.changes.get(&tensor.name) {
            let rows = numbers.chunks_exact_mut(width);
            for (row, high) in rows.zip(change.high.chunks_exact(change.rank).skip(first)) {
                change.add(row, high);
            }
        }
        if tensor.name == EMBEDDING {
            for (marker, new) in self.markers.iter().zip(self.rows.chunks_exact(width)) {
                let at = (*marker as usize).checked_sub(first);
                if let Some(row) = at.and_then(|at| numbers.chunks_exact_mut(width).nth(at)) {
                    row.copy_from_slice(new);
                }
            }
        }
        Ok(numbers)
    }
}

impl Change {
    /// The change of `matrix`; none where the shapes do not fit.
    fn read(
        file: &Gguf,
        alpha: f32,
        low: &Tensor,
        high: &Tensor,
        matrix: &Tensor,
    ) -> Result<Option<Self>, InferenceError> {
        let rank = low.rows();
        let fits = rank > 0
            && matrix.width() > 0
            && (low.width(), high.width(), high.rows()) == (matrix.width(), rank, matrix.rows());
        if !fits {
            return Ok(None);
        }
        let scale = (f64::from(alpha) / rank as f64) as f32;
        Ok(Some(Self { scale, low: file.numbers(low)?, high: file.numbers(high)?, rank }))
    }

    /// Adds the change of one row, of which `high` are the row's numbers of B.
    fn add(&self, row: &mut [f32], high: &[f32]) {
        let mut sum = vec![0.0_f32; row.len()];
        for (factor, low) in high.iter().zip(self.low.chunks_exact(row.len())) {
            for (sum, low) in sum.iter_mut().zip(low) {
                *sum += factor * low;
            }
        }
        for (number, sum) in row.iter_mut().zip(sum) {
            *number += self.scale * sum;
        }
    }
}

#[cfg(test)]
mod tests;
