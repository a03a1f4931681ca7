use std::collections::{BTreeMap, HashSet};

use super::{GgufError, read::Reader};

/// Most tensors of one file. The largest models have a few thousand.
const MAX_TENSORS: u64 = 1 << 17;
/// Longest name and most dimensions that ggml takes (`GGML_MAX_NAME`, `GGML_MAX_DIMS`).
const MAX_NAME: usize = 63;
const MAX_DIMENSIONS: u32 = 4;

/// A type of tensor: its name, and how many values stand in how many bytes. From ggml's
/// `type_traits` (0.26); types that left the file format are absent.
struct Kind {
    number: u32,
    name: &'static str,
    values: u64,
    bytes: u64,
}

const fn kind(number: u32, name: &'static str, values: u64, bytes: u64) -> Kind {
    Kind { number, name, values, bytes }
}

const KINDS: &[Kind] = &[
    kind(0, "F32", 1, 4),
    kind(1, "F16", 1, 2),
    kind(2, "Q4_0", 32, 18),
    kind(3, "Q4_1", 32, 20),
    kind(6, "Q5_0", 32, 22),
    kind(7, "Q5_1", 32, 24),
    kind(8, "Q8_0", 32, 34),
    kind(9, "Q8_1", 32, 36),
    kind(10, "Q2_K", 256, 84),
    kind(11, "Q3_K", 256, 110),
    kind(12, "Q4_K", 256, 144),
    kind(13, "Q5_K", 256, 176),
    kind(14, "Q6_K", 256, 210),
    kind(15, "Q8_K", 256, 292),
    kind(16, "IQ2_XXS", 256, 66),
    kind(17, "IQ2_XS", 256, 74),
    kind(18, "IQ3_XXS", 256, 98),
    kind(19, "IQ1_S", 256, 50),
    kind(20, "IQ4_NL", 32, 18),
    kind(21, "IQ3_S", 256, 110),
    kind(22, "IQ2_S", 256, 82),
    kind(23, "IQ4_XS", 256, 136),
    kind(24, "I8", 1, 1),
    kind(25, "I16", 1, 2),
    kind(26, "I32", 1, 4),
    kind(27, "I64", 1, 8),
    kind(28, "F64", 1, 8),
    kind(29, "IQ1_M", 256, 56),
    kind(30, "BF16", 1, 2),
    kind(34, "TQ1_0", 256, 54),
    kind(35, "TQ2_0", 256, 66),
    kind(39, "MXFP4", 32, 17),
    kind(40, "NVFP4", 64, 36),
    kind(41, "Q1_0", 128, 18),
    kind(42, "Q2_0", 64, 18),
];

/// Types that were in GGUF files once.
const WITHDRAWN: &[u32] = &[4, 5, 31, 32, 33, 36, 37, 38];

/// What the tensors amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tensors {
    pub(super) count: u64,
    pub(super) parameters: u64,
    pub(super) bytes: u64,
    /// The type that holds the most values, by ggml's name.
    pub(super) main_type: Option<&'static str>,
    /// Where the contents must end, counted from their start.
    end: u64,
}

impl Tensors {
    /// Reads `count` descriptions.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        count: u64,
        alignment: u64,
    ) -> Result<Self, GgufError> {
        if count > MAX_TENSORS {
            return Err(GgufError::Damaged(format!("it claims to have {count} tensors")));
        }
        let mut tensors = Self { count, ..Self::default() };
        let mut names = HashSet::new();
        let mut by_type: BTreeMap<&'static str, u64> = BTreeMap::new();
        for _ in 0..count {
            reader.enter("the list of its tensors");
            let tensor = Tensor::read(reader, alignment)?;
            tensors.parameters = tensors.parameters.saturating_add(tensor.values);
            tensors.bytes = tensors.bytes.saturating_add(tensor.bytes);
            tensors.end = tensors.end.max(tensor.end);
            *by_type.entry(tensor.kind).or_default() += tensor.values;
            if let Some(name) = names.replace(tensor.name) {
                return Err(GgufError::Damaged(format!("it has two tensors named {name:?}")));
            }
        }
        tensors.main_type =
            by_type.into_iter().max_by_key(|(_, values)| *values).map(|(name, _)| name);
        Ok(tensors)
    }

    /// Checks that the contents, which begin at `start`, lie within the file.
    pub(super) fn check_within(&self, start: u64, file_bytes: u64) -> Result<(), GgufError> {
        let end = start.checked_add(self.end);
        if self.count > 0 && end.is_none_or(|end| end > file_bytes) {
            return Err(GgufError::Truncated { within: "its tensors" });
        }
        Ok(())
    }
}

struct Tensor {
    name: String,
    kind: &'static str,
    values: u64,
    bytes: u64,
    end: u64,
}

impl Tensor {
    fn read(reader: &mut Reader<'_>, alignment: u64) -> Result<Self, GgufError> {
        let name = reader.string()?;
        if name.len() > MAX_NAME {
            return Err(GgufError::Damaged("a tensor's name is too long".into()));
        }
        let dimensions = reader.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(GgufError::Damaged(format!("tensor {name:?} has {dimensions} dimensions")));
        }
        let mut values = 1_u64;
        let mut row = 1;
        for dimension in 0..dimensions {
            let length = reader.u64()?;
            if dimension == 0 {
                row = length;
            }
            values = values
                .checked_mul(length)
                .filter(|values| i64::try_from(*values).is_ok())
                .ok_or_else(|| {
                    GgufError::Damaged(format!("tensor {name:?} is impossibly large"))
                })?;
        }
        let number = reader.u32()?;
        let offset = reader.u64()?;
        let Some(kind) = KINDS.iter().find(|kind| kind.number == number) else {
            let advice = if WITHDRAWN.contains(&number) {
                "the type is no longer used: get a newer file of this model, such as Q4_0"
            } else {
                "a newer version of Hearth may know it"
            };
            return Err(GgufError::TensorType { tensor: name, kind: number, advice });
        };
        if row % kind.values != 0 {
            return Err(GgufError::Damaged(format!(
                "tensor {name:?} has rows of {row} values, not a multiple of {}",
                kind.values
            )));
        }
        let bytes = (values / kind.values).checked_mul(kind.bytes);
        let end = bytes.and_then(|bytes| bytes.checked_add(offset));
        let (Some(bytes), Some(end)) = (bytes, end.filter(|_| offset % alignment == 0)) else {
            return Err(GgufError::Damaged(format!("tensor {name:?} lies at a wrong place")));
        };
        Ok(Self { name, kind: kind.name, values, bytes, end })
    }
}
