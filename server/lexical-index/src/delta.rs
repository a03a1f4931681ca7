use std::collections::{HashMap, HashSet};

use tantivy::fieldnorm::FieldNormReader;

use crate::{
    document::{Document, Field},
    tokens::Tokens,
};

/// What is newer than the committed index: texts not yet saved or not yet committed.
#[derive(Clone, Debug, Default)]
pub struct Delta<'index> {
    /// Files whose committed documents no longer hold.
    pub hidden: HashSet<u64>,
    /// The documents that take their place.
    pub documents: Vec<&'index DeltaDocument>,
}

/// A document in memory, ranked exactly as it will be once it is committed.
#[derive(Clone, Debug)]
pub struct DeltaDocument {
    /// Number of the file, as its finder knows it.
    pub file: u64,
    /// Number of the chunk in its file.
    pub ordinal: u64,
    /// How often each term occurs in each field.
    frequencies: HashMap<Box<str>, [u16; 5]>,
    /// Number of terms of each field.
    lengths: [u32; 5],
}

impl DeltaDocument {
    /// Takes the terms of `document`.
    pub fn new(document: &Document<'_>, tokens: &mut Tokens) -> Self {
        let mut frequencies = HashMap::<Box<str>, [u16; 5]>::new();
        let mut lengths = [0; 5];
        for field in Field::ALL {
            let number = field as usize;
            tokens.each(document.field(field), |term| {
                lengths[number] += 1;
                if let Some(known) = frequencies.get_mut(term) {
                    known[number] = known[number].saturating_add(1);
                } else {
                    let mut first = [0; 5];
                    first[number] = 1;
                    frequencies.insert(term.into(), first);
                }
            });
        }
        frequencies.shrink_to_fit();
        Self { file: document.file, ordinal: document.ordinal, frequencies, lengths }
    }

    pub(crate) fn frequency(&self, term: &str, field: Field) -> u16 {
        self.frequencies.get(term).map_or(0, |frequencies| frequencies[field as usize])
    }

    pub(crate) fn holds(&self, term: &str) -> bool {
        self.frequencies.contains_key(term)
    }

    /// The length as the committed index would remember it, in one byte.
    pub(crate) fn length_id(&self, field: Field) -> u8 {
        FieldNormReader::fieldnorm_to_id(self.lengths[field as usize])
    }

    /// The length that the one byte stands for.
    pub(crate) fn length(&self, field: Field) -> u32 {
        FieldNormReader::id_to_fieldnorm(self.length_id(field))
    }
}
