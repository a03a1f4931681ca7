use std::{collections::HashMap, sync::OnceLock};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    matrix::{Matrix, Vector},
    words,
};

const MAGIC: &[u8; 8] = b"HSEMB\0\0\x01";
const CHECKSUM: usize = 32;
/// BERT's limit: longer words are nothing that a vocabulary knows.
const WORD_CHARS: usize = 100;
/// Words whose tokens are remembered: most texts are made of a few thousand.
const REMEMBERED: usize = 50_000;

/// A table of token vectors.
///
/// The vector of a text is the sum over its distinct tokens of `(1 + ln count) * vector`; weights
/// are part of the vectors. The recipe and what it reaches: `docs/models/static-embedding.md`.
pub struct StaticEmbedding {
    id: String,
    dimensions: usize,
    tokens: HashMap<&'static str, u16>,
    scales: &'static [u8],
    rows: &'static [u8],
}

/// A table that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the embedding table is damaged: {0}")]
pub struct TableError(&'static str);

#[derive(Deserialize)]
struct Header {
    id: String,
    dimensions: usize,
    tokens: usize,
}

/// Memory that is used again from text to text.
#[derive(Default)]
pub struct Scratch {
    word: String,
    piece: String,
    known: HashMap<String, Box<[u16]>>,
    tokens: Vec<u16>,
    sum: Vec<f32>,
}

impl StaticEmbedding {
    /// The table that comes with the program.
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<StaticEmbedding> = OnceLock::new();
        SHIPPED.get_or_init(|| {
            let bytes = include_bytes!("../../../models/static-embedding.bin");
            Self::from_bytes(bytes).expect("a test reads the table that is built in")
        })
    }

    /// Reads a table: magic, then a header in JSON and the vocabulary, each after its length, then
    /// a scale for each token, the tokens' rows of a signed byte a dimension, and a SHA-256 of all
    /// that, which is for those who store the table and is not looked at here.
    pub fn from_bytes(bytes: &'static [u8]) -> Result<Self, TableError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(TableError("it has another format"))?;
        let header: Header = serde_json::from_slice(sized(&mut rest)?)
            .map_err(|_| TableError("its header cannot be read"))?;
        let vocabulary = std::str::from_utf8(sized(&mut rest)?)
            .map_err(|_| TableError("its vocabulary is not text"))?;
        let tokens: HashMap<&'static str, u16> = vocabulary.split('\n').zip(0..).collect();
        if tokens.len() != header.tokens || header.dimensions == 0 {
            return Err(TableError("its vocabulary does not fit its header"));
        }
        let scales = take(&mut rest, header.tokens.saturating_mul(4))?;
        let rows = take(&mut rest, header.tokens.saturating_mul(header.dimensions))?;
        if rest.len() != CHECKSUM {
            return Err(TableError("it has another length than its header says"));
        }
        Ok(Self { id: header.id, dimensions: header.dimensions, tokens, scales, rows })
    }

    /// Its name, which changes with its content: vectors of two tables cannot be compared.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Length of its vectors.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// One row for each text. A text is given in parts that count as one, such as a path, a name
    /// and a body.
    pub fn embed<'text, Parts>(
        &self,
        texts: impl IntoIterator<Item = Parts>,
        scratch: &mut Scratch,
    ) -> Matrix
    where
        Parts: IntoIterator<Item = &'text str>,
    {
        let mut sums = Vec::new();
        for parts in texts {
            self.sum(parts, scratch);
            sums.extend_from_slice(&scratch.sum);
        }
        Matrix::quantise(sums.chunks_exact(self.dimensions), self.dimensions)
    }

    /// The vector of what is looked for.
    pub fn query(&self, text: &str, scratch: &mut Scratch) -> Vector {
        self.sum([text], scratch);
        Vector::new(&scratch.sum)
    }

    /// Leaves the sum of the tokens' vectors in `scratch.sum`.
    fn sum<'text>(&self, parts: impl IntoIterator<Item = &'text str>, scratch: &mut Scratch) {
        let Scratch { word, piece, known, tokens, sum } = scratch;
        tokens.clear();
        sum.clear();
        sum.resize(self.dimensions, 0.0);
        for part in parts {
            words::each(part, word, |word| {
                if let Some(ids) = known.get(word) {
                    tokens.extend_from_slice(ids);
                    return;
                }
                let start = tokens.len();
                self.word_pieces(word, piece, tokens);
                if known.len() < REMEMBERED {
                    let ids = tokens.get(start..).unwrap_or_default();
                    known.insert(word.to_owned(), ids.into());
                }
            });
        }
        tokens.sort_unstable();
        for same in tokens.chunk_by(|a, b| a == b) {
            let Some(&token) = same.first() else { continue };
            self.add(usize::from(token), 1.0 + (same.len() as f32).ln(), sum);
        }
    }

    /// Adds `weight` times a token's vector.
    fn add(&self, token: usize, weight: f32, sum: &mut [f32]) {
        let scale =
            self.scales.get(token * 4..token * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        let row = self.rows.get(token * self.dimensions..(token + 1) * self.dimensions);
        let (Some(scale), Some(row)) = (scale, row) else { return };
        let weight = weight * f32::from_le_bytes(scale);
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += weight * f32::from(value.cast_signed());
        }
    }

    /// The longest known pieces of a word, from its beginning on; none when a part of it is not in
    /// the vocabulary (Wu et al. 2016, as BERT does it).
    fn word_pieces(&self, word: &str, piece: &mut String, tokens: &mut Vec<u16>) {
        if word.chars().nth(WORD_CHARS).is_some() {
            return;
        }
        let before = tokens.len();
        let mut rest = word;
        while !rest.is_empty() {
            let inner = rest.len() < word.len();
            let ends = rest.char_indices().rev().map(|(at, c)| at + c.len_utf8());
            let found = ends.into_iter().find_map(|end| {
                let head = rest.get(..end)?;
                let token = if inner {
                    piece.clear();
                    piece.push_str("##");
                    piece.push_str(head);
                    self.tokens.get(piece.as_str())
                } else {
                    self.tokens.get(head)
                };
                token.map(|token| (*token, end))
            });
            let Some((token, end)) = found else {
                tokens.truncate(before);
                return;
            };
            tokens.push(token);
            rest = rest.get(end..).unwrap_or_default();
        }
    }
}

fn sized<'bytes>(rest: &mut &'bytes [u8]) -> Result<&'bytes [u8], TableError> {
    let length = take(rest, 4)?.try_into().map_err(|_| TableError("it is cut off"))?;
    take(rest, u32::from_le_bytes(length) as usize)
}

fn take<'bytes>(rest: &mut &'bytes [u8], length: usize) -> Result<&'bytes [u8], TableError> {
    let (taken, after) = rest.split_at_checked(length).ok_or(TableError("it is cut off"))?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    const SHIPPED: &[u8] = include_bytes!("../../../models/static-embedding.bin");

    #[derive(Deserialize)]
    struct Reference {
        table: String,
        texts: Vec<ReferenceText>,
    }

    #[derive(Deserialize)]
    struct ReferenceText {
        text: String,
        vector: Vec<f32>,
    }

    #[test]
    fn shipped_table_is_whole() {
        let (content, checksum) = SHIPPED.split_at(SHIPPED.len() - CHECKSUM);
        assert_eq!(&Sha256::digest(content)[..], checksum);
        assert_eq!(StaticEmbedding::shipped().dimensions(), 256);
    }

    #[test]
    fn vectors_are_those_of_the_program_that_made_the_table() {
        let reference = include_str!("../../../models/static-embedding.reference.json");
        let reference: Reference = serde_json::from_str(reference).expect("the reference");
        let table = StaticEmbedding::shipped();
        assert_eq!(reference.table, table.id());
        let mut scratch = Scratch::default();
        for ReferenceText { text, vector } in &reference.texts {
            table.sum([text.as_str()], &mut scratch);
            let norm = scratch.sum.iter().map(|value| value * value).sum::<f32>().sqrt();
            let apart = scratch.sum.iter().zip(vector).map(|(a, b)| (a / norm - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-4, "the vector of {text:?}");
        }
    }

    #[test]
    fn parts_count_as_one_text_and_unknown_ones_have_no_direction() {
        let table = StaticEmbedding::shipped();
        let mut scratch = Scratch::default();
        let rows = table.embed([vec!["parse", "header"], vec!["header\nparse"]], &mut scratch);
        assert_eq!(rows.as_bytes()[..256], rows.as_bytes()[256..]);
        let query = table.query("parse header", &mut scratch);
        assert!(rows.cosines(&query).all(|cosine| cosine > 0.999));
        assert!(table.query("\u{e000} …", &mut scratch).is_zero());
    }

    #[test]
    fn a_damaged_table_is_refused() {
        let refused = |bytes: &'static [u8]| StaticEmbedding::from_bytes(bytes).is_err();
        assert!(refused(b""));
        assert!(refused(b"HSEMB\0\0\x02"));
        for length in [8, 11, 12, 100, 200_000, 1_000_000, SHIPPED.len() - 1] {
            assert!(refused(&SHIPPED[..length]), "cut at {length}");
        }
    }
}
