use inference::{InferenceError, MAX_BATCH};
use serde::Serialize;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::gguf::GgufHeader;

/// Code, tables and allocator of a worker process, in bytes. From the project's own bound on a
/// worker's memory: 60 MB over file and context.
pub(crate) const PROCESS_BYTES: u64 = 60_000_000;
/// Bytes of one number of a key or value: they are kept as 16-bit floats.
const KV_NUMBER: u64 = 2;

/// What the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hardware {
    /// Memory in bytes; that of the container where there is one.
    pub memory: u64,
    /// Memory that programs can have now, in bytes.
    pub available: u64,
    /// Physical cores, or threads where cores are not known.
    pub cores: usize,
    /// Vector instructions that matter to the engines.
    pub features: Vec<&'static str>,
}

impl Hardware {
    /// Measures this machine. Takes about a millisecond.
    pub fn measure() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (memory, available) = memory();
        Self {
            memory,
            available,
            cores: System::physical_core_count().map_or(threads, |cores| cores.min(threads)).max(1),
            features: features(),
        }
    }
}

/// Memory in all and free, in bytes; where it cannot be known, nothing and everything, so that the
/// smallest models are recommended and none is refused.
fn memory() -> (u64, u64) {
    let memory = MemoryRefreshKind::nothing().with_ram();
    let Ok(system) = System::new_with_specifics(RefreshKind::nothing().with_memory(memory)) else {
        return (0, u64::MAX);
    };
    let (total, available) = (system.total_memory(), system.available_memory());
    match system.cgroup_limits() {
        Some(limits) => (total.min(limits.total_memory), available.min(limits.free_memory)),
        None => (total, available),
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let mut features = Vec::new();
    if is_x86_feature_detected!("avx2") {
        features.push("avx2");
    }
    if is_x86_feature_detected!("fma") {
        features.push("fma");
    }
    if is_x86_feature_detected!("f16c") {
        features.push("f16c");
    }
    if is_x86_feature_detected!("avx512f") {
        features.push("avx512f");
    }
    if is_x86_feature_detected!("avx512vnni") {
        features.push("avx512vnni");
    }
    if is_x86_feature_detected!("avx512bf16") {
        features.push("avx512bf16");
    }
    features
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    let mut features = Vec::new();
    if std::arch::is_aarch64_feature_detected!("neon") {
        features.push("neon");
    }
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        features.push("dotprod");
    }
    if std::arch::is_aarch64_feature_detected!("i8mm") {
        features.push("i8mm");
    }
    features
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

/// What a model will take in memory, in bytes. An upper estimate: sliding windows and compressed
/// keys, which some architectures have, are counted as full ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryEstimate {
    /// The weights.
    pub weights: u64,
    /// Keys and values of the whole context.
    pub kv: u64,
    /// Working memory of one batch, and the process itself.
    pub compute: u64,
}

impl MemoryEstimate {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.kv).saturating_add(self.compute)
    }

    /// Refuses, with both numbers, if it does not fit into what is free.
    pub fn check(&self, hardware: &Hardware) -> Result<(), InferenceError> {
        if self.total() <= hardware.available {
            return Ok(());
        }
        Err(InferenceError::OutOfMemory {
            needed_mb: self.total().div_ceil(1_000_000),
            available_mb: hardware.available / 1_000_000,
        })
    }
}

/// Estimates what a model takes with `context` tokens. `file_bytes` is the size of its file.
pub fn estimate_memory(header: &GgufHeader, context: u64, file_bytes: u64) -> MemoryEstimate {
    let per_head =
        header.key_length.unwrap_or(128).saturating_add(header.value_length.unwrap_or(128));
    let heads = header.kv_heads_total.or(header.layers).unwrap_or(0);
    let width = header.embedding_length.unwrap_or(0);
    let inner = header.feed_forward_length.unwrap_or(width.saturating_mul(4));
    // For each token of a batch: scores of the vocabulary, three rows of the feed-forward layer, eight
    // of the hidden state, and the attention mask in both of its precisions.
    let row = header
        .vocabulary
        .saturating_add(inner.saturating_mul(3))
        .saturating_add(width.saturating_mul(8))
        .saturating_mul(4)
        .saturating_add(context.saturating_mul(6));
    MemoryEstimate {
        weights: header.tensor_bytes.max(file_bytes),
        kv: heads.saturating_mul(per_head).saturating_mul(KV_NUMBER).saturating_mul(context),
        compute: row.saturating_mul(MAX_BATCH as u64).saturating_add(PROCESS_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smollm2() -> GgufHeader {
        GgufHeader {
            embedding_length: Some(576),
            feed_forward_length: Some(1536),
            layers: Some(30),
            heads: Some(9),
            kv_heads_total: Some(90),
            key_length: Some(64),
            value_length: Some(64),
            vocabulary: 49_152,
            tensor_bytes: 96_000_000,
            ..GgufHeader::default()
        }
    }

    #[test]
    fn keys_and_values_are_counted_for_each_layer_and_token() {
        let estimate = estimate_memory(&smollm2(), 2048, 98_000_000);
        assert_eq!(estimate.weights, 98_000_000);
        assert_eq!(estimate.kv, 30 * 3 * (64 + 64) * 2 * 2048);
        assert!((110_000_000..200_000_000).contains(&estimate.compute), "{estimate:?}");
    }

    #[test]
    fn a_model_that_does_not_fit_is_refused_with_both_numbers() {
        let hardware = Hardware { available: 150_000_000, ..Hardware::default() };
        let error = estimate_memory(&smollm2(), 2048, 98_000_000).check(&hardware);
        let Err(InferenceError::OutOfMemory { needed_mb, available_mb }) = error else {
            panic!("{error:?}");
        };
        assert!(needed_mb > 250 && available_mb == 150, "{needed_mb} {available_mb}");
    }

    #[test]
    fn absurd_numbers_saturate() {
        let header = GgufHeader {
            kv_heads_total: Some(u64::MAX),
            key_length: Some(u64::MAX),
            feed_forward_length: Some(u64::MAX),
            ..smollm2()
        };
        assert_eq!(estimate_memory(&header, u64::MAX, u64::MAX).total(), u64::MAX);
    }

    #[test]
    fn this_machine_can_be_measured() {
        let hardware = Hardware::measure();
        assert!(hardware.memory > 100_000_000 && hardware.available <= hardware.memory);
        assert!(hardware.cores >= 1);
    }
}
