//! Hashing of tokens and their numbers: short keys, many of them, none chosen by an attacker who could
//! gain more than a slow suggestion in his own workspace.

use std::hash::{BuildHasherDefault, Hasher};

/// A map with [`Fast`] hashing.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Fast>>;

/// Multiply and rotate over eight bytes at a time, as in Firefox and rustc ("FxHash").
#[derive(Clone, Copy, Default)]
pub(crate) struct Fast(u64);

/// From rustc's `FxHasher`.
const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;

impl Fast {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.add(chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
        self.add(bytes.len() as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    /// The table takes its place from the low bits, which a multiplication mixes least.
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
