//! Numbers for tokens.

use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;

use crate::{
    lexer::{self, Indent, Kind, Token},
    prior::PriorsOfFile,
};

/// A token as it stands in a text: its number in the vocabulary, times four, plus the blanks before it.
pub(crate) type Code = u32;
/// A token without its blanks, as it counts in a context.
pub(crate) type Id = u32;

/// Before the first and after the last token of a file.
pub(crate) const BOUNDARY: Id = 0;
const LINE_SAME: Id = 1;
const LINE_DEEPER: Id = 2;
const LINE_SHALLOWER: Id = 3;
/// Any token too long to be worth remembering.
const OPAQUE: Id = 4;
const FIXED: [&str; 5] = ["", "\n", "\n", "\n", ""];

/// Longest token that has a number of its own, in bytes. What is longer is data.
const MAX_TOKEN: usize = 64;

pub(crate) fn id(code: Code) -> Id {
    code >> 2
}

pub(crate) fn spaces(code: Code) -> u32 {
    code & 3
}

/// The same token with the blanks of `code`.
pub(crate) fn code(id: Id, spaces: u32) -> Code {
    id << 2 | spaces
}

pub(crate) fn is_line_break(id: Id) -> bool {
    (LINE_SAME..=LINE_SHALLOWER).contains(&id)
}

pub(crate) fn leads_deeper(id: Id) -> bool {
    id == LINE_DEEPER
}

/// Whether a token can be part of a prediction.
pub(crate) fn is_text(id: Id) -> bool {
    id > OPAQUE
}

fn fixed(token: &Token<'_>) -> Option<Id> {
    match token.kind {
        Kind::Line(Indent::Same) => Some(LINE_SAME),
        Kind::Line(Indent::Deeper) => Some(LINE_DEEPER),
        Kind::Line(Indent::Shallower) => Some(LINE_SHALLOWER),
        Kind::Text => (token.text.len() > MAX_TOKEN).then_some(OPAQUE),
    }
}

/// Grows only: tokens of files that are gone stay, which costs less than finding out.
#[derive(Default)]
pub(crate) struct Vocabulary {
    ids: HashMap<Arc<str>, Id>,
    texts: Vec<Arc<str>>,
    text_bytes: usize,
}

impl Vocabulary {
    /// The tokens of a text, numbered; new ones are added.
    pub(crate) fn encode(&mut self, text: &str) -> Vec<Code> {
        let mut codes = Vec::new();
        for token in lexer::tokens(text) {
            let id = fixed(&token).unwrap_or_else(|| self.intern(token.text));
            codes.push(code(id, token.spaces));
        }
        codes
    }

    fn intern(&mut self, text: &str) -> Id {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = self.len() as Id;
        let text: Arc<str> = text.into();
        self.text_bytes += text.len();
        self.texts.push(text.clone());
        self.ids.insert(text, id);
        id
    }

    /// How many numbers are taken.
    pub(crate) fn len(&self) -> usize {
        FIXED.len() + self.texts.len()
    }

    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        self.texts.get((id as usize).checked_sub(FIXED.len())?).map(AsRef::as_ref)
    }

    /// Memory: two fat pointers, a number and a control byte in the table at 7/8 load, a header of two
    /// counts, the text.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.len() * (16 + 16 + 8 + 2 + 16) + self.text_bytes
    }
}

/// From here on a number is that of a prior's token which neither the workspace nor the document has:
/// the prior's place among the priors, times [`PER_PRIOR`], and the token's number there.
const OF_PRIOR: Id = 1 << 29;
/// More than a prior can have tokens.
const PER_PRIOR: Id = 1 << 16;

/// The shared vocabulary, the tokens that only the open document has, and those of the priors.
pub(crate) struct LocalVocabulary<'v, 't> {
    shared: &'v Vocabulary,
    priors: PriorsOfFile<'v>,
    ids: HashMap<&'t str, Id>,
    texts: Vec<&'t str>,
}

impl<'v, 't> LocalVocabulary<'v, 't> {
    pub(crate) fn new(shared: &'v Vocabulary, priors: PriorsOfFile<'v>) -> Self {
        Self { shared, priors, ids: HashMap::default(), texts: Vec::new() }
    }

    pub(crate) fn encode(&mut self, token: &Token<'t>) -> Code {
        let known = fixed(token).or_else(|| self.shared.ids.get(token.text).copied());
        let id = known.unwrap_or_else(|| {
            let next = (self.shared.len() + self.texts.len()) as Id;
            *self.ids.entry(token.text).or_insert_with(|| {
                self.texts.push(token.text);
                next
            })
        });
        code(id, token.spaces)
    }

    /// The number of a token of the prior at a place among the priors. Equal texts have one number.
    pub(crate) fn of_prior(&self, place: usize, token: usize) -> Id {
        let prior = |place: usize| self.priors.get(place).copied().flatten();
        let text = prior(place).and_then(|prior| prior.text(token)).unwrap_or_default();
        if let Some(id) = self.shared.ids.get(text).or_else(|| self.ids.get(text)) {
            return *id;
        }
        let first = (0..place).find_map(|place| Some((place, prior(place)?.token(text)?)));
        let (place, token) = first.unwrap_or((place, token));
        OF_PRIOR + place as Id * PER_PRIOR + token as Id
    }

    /// How many numbers are taken by the workspace and the document.
    pub(crate) fn len(&self) -> usize {
        self.shared.len() + self.texts.len()
    }

    pub(crate) fn text(&self, id: Id) -> &str {
        let local = || self.texts.get((id as usize).checked_sub(self.shared.len())?).copied();
        let of_prior = || {
            let id = id.checked_sub(OF_PRIOR)?;
            let prior = self.priors.get((id / PER_PRIOR) as usize).copied().flatten()?;
            prior.text((id % PER_PRIOR) as usize)
        };
        self.shared.text(id).or_else(local).or_else(of_prior).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documents_own_tokens_get_numbers_after_the_shared_ones() {
        let mut shared = Vocabulary::default();
        let codes = shared.encode("a  b\n    a");
        assert_eq!(
            codes.iter().map(|it| (id(*it), spaces(*it))).collect::<Vec<_>>(),
            [(5, 0), (6, 2), (LINE_DEEPER, 0), (5, 0)]
        );
        let mut local = LocalVocabulary::new(&shared, [None, None]);
        let own: Vec<Id> = lexer::tokens("b c d c").map(|token| id(local.encode(&token))).collect();
        assert_eq!(own, [6, 7, 8, 7]);
        assert_eq!([6, 7, 8, 9, 1].map(|id| local.text(id)), ["b", "c", "d", "", ""]);
    }

    #[test]
    fn data_has_no_numbers_of_its_own() {
        let mut vocabulary = Vocabulary::default();
        let codes = vocabulary.encode(&"x".repeat(1000));
        assert_eq!((codes, vocabulary.len()), (vec![code(OPAQUE, 0)], FIXED.len()));
    }
}
