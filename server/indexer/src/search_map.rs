//! The map that is laid over the vectors of the embedding model, so that questions about code lie nearer to the code
//! that answers them. docs/models/search-map.md tells how it is made and what it gains.

use std::{array, sync::OnceLock};

use sha2::{Digest as _, Sha256};
use static_embedding::Vector;

/// What a file begins with.
const MAGIC: &[u8; 8] = b"HSMAP1\0\0";
/// Bytes of a SHA-256.
const HASH: usize = 32;
/// More dimensions than any embedding model has.
const MOST_DIMENSIONS: usize = 4096;

/// One matrix for questions and one for code. Vectors are kept as the model made them, so that another map needs no
/// new ones.
#[derive(Debug)]
pub(crate) struct SearchMap {
    dimensions: usize,
    /// SHA-256 of the model's file, in hexadecimal digits.
    model: String,
    question: Matrix,
    code: Matrix,
}

/// Row i is what each 1 of input i adds to the outputs.
#[derive(Debug)]
struct Matrix(Vec<f32>);

impl SearchMap {
    /// The map that comes with the program, where it was made for the model called `model`: its name, a hyphen and
    /// the beginning of the hash of its file.
    pub(crate) fn shipped(model: &str) -> Option<&'static Self> {
        static SHIPPED: OnceLock<Option<SearchMap>> = OnceLock::new();
        let shipped = SHIPPED.get_or_init(|| {
            Self::parse(include_bytes!("../../../models/search-map.bin"))
                .inspect_err(|problem| tracing::warn!(problem, "models/search-map.bin is left out"))
                .ok()
        });
        shipped.as_ref().filter(|map| {
            model
                .rsplit_once('-')
                .is_some_and(|(_, hash)| !hash.is_empty() && map.model.starts_with(hash))
        })
    }

    /// Magic, dimensions as four bytes, the model's hash, both matrices as 16-bit floats, row by row, and the SHA-256
    /// of all that; numbers are little-endian.
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (content, checksum) =
            bytes.split_last_chunk::<HASH>().ok_or("it is too short to be a map")?;
        if Sha256::digest(content).as_slice() != checksum {
            return Err("it does not match its checksum");
        }
        let rest = content.strip_prefix(MAGIC).ok_or("it is no map, or one of another version")?;
        let (dimensions, rest) = rest.split_first_chunk::<4>().ok_or("it ends too early")?;
        let dimensions = u32::from_le_bytes(*dimensions) as usize;
        let (model, numbers) = rest.split_first_chunk::<HASH>().ok_or("it ends too early")?;
        if dimensions == 0
            || dimensions > MOST_DIMENSIONS
            || numbers.len() != 2 * 2 * dimensions * dimensions
        {
            return Err("its matrices have another size than it says");
        }
        let (question, code) = numbers.split_at(numbers.len() / 2);
        Ok(Self {
            dimensions,
            model: hexadecimal(model),
            question: Matrix::read(question),
            code: Matrix::read(code),
        })
    }

    /// The vector to compare with those of code, of what the model made of a question.
    pub(crate) fn question(&self, vector: &[f32]) -> Vector {
        if vector.len() != self.dimensions {
            return Vector::new(vector);
        }
        Vector::new(&self.question.times(vector.iter().copied()))
    }

    /// The vector to compare with those of questions, of what the model made of code.
    pub(crate) fn code(&self, vector: &Vector) -> Vector {
        let bytes = vector.as_bytes();
        if bytes.len() != self.dimensions {
            return vector.clone();
        }
        Vector::new(&self.code.times(bytes.iter().map(|byte| f32::from(byte.cast_signed()))))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Matrix {
    fn read(bytes: &[u8]) -> Self {
        let (numbers, _) = bytes.as_chunks::<2>();
        Self(numbers.iter().map(|bytes| half(u16::from_le_bytes(*bytes))).collect())
    }

    fn times(&self, vector: impl ExactSizeIterator<Item = f32>) -> Vec<f32> {
        let mut product = vec![0.0_f32; vector.len()];
        for (row, input) in self.0.chunks_exact(product.len().max(1)).zip(vector) {
            for (sum, weight) in product.iter_mut().zip(row) {
                *sum += weight * input;
            }
        }
        product
    }
}

/// The number that 16 bits stand for in IEEE 754's binary16.
fn half(bits: u16) -> f32 {
    let [sign, exponent, fraction] =
        array::from_fn(|part| u32::from([bits >> 15, (bits >> 10) & 31, bits & 1023][part]));
    let magnitude = match exponent {
        0 => fraction as f32 / (1 << 24) as f32,
        31 => f32::from_bits(0xff << 23 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of two dimensions: questions are turned by a quarter, code is left as it is.
    fn turning() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend([0xab; HASH]);
        let (zero, one, minus) = (0x0000_u16, 0x3c00, 0xbc00);
        for number in [zero, one, minus, zero, one, zero, zero, one] {
            bytes.extend(number.to_le_bytes());
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }

    #[test]
    fn questions_and_code_are_mapped_apart() {
        let map = SearchMap::parse(&turning()).expect("a sound map");
        let code = map.code(&Vector::new(&[0.0, 1.0]));
        assert!((map.question(&[1.0, 0.0]).cosine(&code) - 1.0).abs() < 1e-3);
        assert!(map.question(&[0.0, 1.0]).cosine(&code).abs() < 1e-3);
        assert_eq!(map.question(&[1.0, 0.0, 0.0]), Vector::new(&[1.0, 0.0, 0.0]));
        assert_eq!(map.model, "ab".repeat(HASH));
    }

    #[test]
    fn a_damaged_map_is_refused() {
        let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
            let mut bytes = turning();
            change(&mut bytes);
            assert_eq!(SearchMap::parse(&bytes).map(|_| ()), Err(expected));
        };
        check(&|bytes| bytes.clear(), "it is too short to be a map");
        check(&|bytes| bytes[50] ^= 1, "it does not match its checksum");
        let sealed = |bytes: &mut Vec<u8>| {
            let content = bytes.len() - HASH;
            let checksum = Sha256::digest(&bytes[..content]);
            bytes[content..].copy_from_slice(&checksum);
        };
        check(
            &|bytes| {
                bytes[5] = b'2';
                sealed(bytes);
            },
            "it is no map, or one of another version",
        );
        check(
            &|bytes| {
                bytes[8] = 3;
                sealed(bytes);
            },
            "its matrices have another size than it says",
        );
    }

    #[test]
    fn the_shipped_map_is_for_the_default_model_alone() {
        assert!(SearchMap::shipped("all-minilm-l6-v2-17f5a66cb32a").is_some());
        assert!(SearchMap::shipped("all-minilm-l6-v2-000000000000").is_none());
        assert!(SearchMap::shipped("another-").is_none());
    }

    #[test]
    fn sixteen_bits_are_read_as_numbers() {
        let check = |bits: u16, number: f32| assert_eq!(half(bits).to_bits(), number.to_bits());
        check(0x3c00, 1.0);
        check(0xc000, -2.0);
        check(0x0001, 2.0_f32.powi(-24));
        check(0x3555, 0.333_251_95);
        check(0x7c00, f32::INFINITY);
        check(0x8000, -0.0);
    }
}
