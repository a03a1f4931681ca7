use tantivy::fieldnorm::FieldNormReader;

use crate::document::Field;

/// A term of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryTerm {
    /// The term as [`Tokens`](crate::Tokens) makes it.
    pub text: String,
    /// How much it counts beside the others; 1 is usual.
    pub weight: f32,
    /// Other spellings that stand for it, such as abbreviations, each with its share of the weight.
    pub variants: Vec<(String, f32)>,
}

/// What to look for, all terms being optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The terms; a text that holds more of the rarer ones stands higher.
    pub terms: Vec<QueryTerm>,
}

/// How BM25F weighs a field: a term in it counts `weight` times one in the body, and `length` says
/// how much a longer text dilutes it (BM25's b).
pub(crate) struct FieldWeight {
    pub(crate) weight: f32,
    pub(crate) length: f32,
}

/// How much the score of a file counts for each of its chunks. What a question asks is often said
/// in one place of a file and done in another.
pub(crate) const SHARE_OF_FILE: f32 = 0.6;

/// No term counts as rarer than this in ranking: of the words of a question, those that code hardly
/// uses are not those that it is about.
const RAREST: f32 = 5.0;

/// Saturation of term frequency (BM25's k1). Chunks are short and their fields are added up, so it
/// is higher than for long texts.
pub(crate) const SATURATION: f32 = 2.5;

impl Field {
    pub(crate) fn weight(self) -> FieldWeight {
        match self {
            Self::Path => FieldWeight { weight: 1.5, length: 0.4 },
            Self::Symbol => FieldWeight { weight: 2.5, length: 0.4 },
            Self::Signature => FieldWeight { weight: 0.8, length: 0.4 },
            Self::Docs => FieldWeight { weight: 1.2, length: 0.5 },
            Self::Body => FieldWeight { weight: 1.0, length: 0.75 },
        }
    }

    /// What one occurrence adds to the weighted frequency, by the length of the field in the one byte that the
    /// index remembers of it.
    pub(crate) fn factors(self, average: f32) -> [f32; 256] {
        let FieldWeight { weight, length: b } = self.weight();
        std::array::from_fn(|id| {
            let length = FieldNormReader::id_to_fieldnorm(id as u8) as f32;
            let relative = if average > 0.0 { length / average } else { 1.0 };
            weight / (1.0 - b + b * relative)
        })
    }
}

/// How rare a term is, from the number of documents with it among all.
pub(crate) fn rarity(with: usize, all: usize) -> f32 {
    let (with, all) = (with as f32, all.max(with) as f32);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}

/// The score of a weighted frequency.
pub(crate) fn score(rarity: f32, frequency: f32) -> f32 {
    rarity.min(RAREST) * frequency * (SATURATION + 1.0) / (SATURATION + frequency)
}
