//! A prior, seen from one document.

use std::cell::RefCell;

use super::{
    Prior,
    symbols::{ContextHash, Meaning, Next, Shape, Slots, Symbol, WINDOW, is_new, meaning},
};
use crate::{
    hash::HashMap,
    mixture::Candidate,
    vocabulary::{BOUNDARY, Code, Id, LocalVocabulary, code, id, is_line_break, is_text, spaces},
};

/// A prior with the numbers that its tokens have in one query.
pub(crate) struct View<'v, 't> {
    prior: &'v Prior,
    vocabulary: &'v LocalVocabulary<'v, 't>,
    symbols: RefCell<HashMap<Id, Symbol>>,
    ids: RefCell<HashMap<usize, Id>>,
}

/// What a prior expects at a place.
#[derive(Default)]
pub(crate) struct Guess {
    /// Length of the longest context that the prior knows, in tokens.
    pub order: usize,
    /// How many tokens back the nearest word stands that is not frequent in the language.
    pub unknown: Option<usize>,
    /// Shares of the next token, in parts: a token may stand here more than once. Their sum is at most
    /// about 1.
    pub shares: Vec<(Code, f32)>,
}

/// Shares below this are not worth the time.
const LEAST_SHARE: f32 = 1e-4;

impl<'v, 't> View<'v, 't> {
    pub(crate) fn new(prior: &'v Prior, vocabulary: &'v LocalVocabulary<'v, 't>) -> Self {
        Self { prior, vocabulary, symbols: RefCell::default(), ids: RefCell::default() }
    }

    /// What is expected after `context`. Where that is any new word of a certain shape, `live` tells which.
    pub(crate) fn guess(&self, context: &[Id], live: &[Candidate]) -> Guess {
        let mut slots = Slots::default();
        let mut name = ContextHash::NOTHING;
        let mut guess = Guess::default();
        let mut expected: Vec<(Next, f32)> = Vec::new();
        let back = context.iter().rev().take_while(|id| **id != BOUNDARY).take(WINDOW);
        for (distance, id) in back.enumerate() {
            let symbol = self.symbol(*id);
            if is_new(symbol) {
                guess.unknown.get_or_insert(distance + 1);
            }
            let symbol = slots.back(symbol, *id);
            if distance >= self.prior.max_order() {
                continue;
            }
            name = name.back(symbol);
            let Some(entry) = self.prior.entry(name) else { continue };
            guess.order = distance + 1;
            for (_, share) in &mut expected {
                *share *= entry.back_off;
            }
            for (next, share) in entry.next() {
                match expected.iter_mut().find(|it| it.0 == next) {
                    Some(same) => same.1 = share,
                    None => expected.push((next, share)),
                }
            }
        }
        let mut new = Vec::new();
        for (next, share) in expected {
            if share < LEAST_SHARE {
            } else if is_new(next >> 2) {
                new.push((next, share, 0.0_f32));
            } else {
                self.spell_out(next, share, &slots, &mut guess.shares);
            }
        }
        if !new.is_empty() {
            self.fill_in(&mut new, live, &mut guess.shares);
        }
        guess
    }

    /// Shares out what is expected of new words among the words that are expected without the prior.
    fn fill_in(
        &self,
        new: &mut [(Next, f32, f32)],
        live: &[Candidate],
        shares: &mut Vec<(Code, f32)>,
    ) {
        let next = |candidate: &Candidate| {
            self.symbol(id(candidate.code)) << 2 | spaces(candidate.code) as Next
        };
        for candidate in live {
            let next = next(candidate);
            if let Some(class) = new.iter_mut().find(|it| it.0 == next) {
                class.2 += candidate.probability;
            }
        }
        for candidate in live {
            let next = next(candidate);
            let Some((_, share, total)) = new.iter().find(|it| it.0 == next) else { continue };
            let share = share * candidate.probability / total;
            if share >= LEAST_SHARE {
                shares.push((candidate.code, share));
            }
        }
    }

    /// Adds the tokens that an expected symbol stands for.
    fn spell_out(&self, next: Next, share: f32, slots: &Slots, shares: &mut Vec<(Code, f32)>) {
        let blanks = spaces(Code::from(next));
        let mut add = |id: Id, share: f32| shares.push((code(id, blanks), share));
        match meaning(next >> 2) {
            Meaning::Fixed if is_line_break(Id::from(next >> 2)) => add(Id::from(next >> 2), share),
            Meaning::Fixed | Meaning::New(_) => {}
            Meaning::Slot(slot, wanted) => {
                if let Some(name) = slots.name(slot)
                    && Shape::of(self.vocabulary.text(name)) == wanted
                {
                    add(name, share);
                }
            }
            Meaning::Text(token) => add(self.id(token), share),
        }
    }

    fn symbol(&self, id: Id) -> Symbol {
        if !is_text(id) {
            return id as Symbol;
        }
        let symbol = || self.prior.symbol(self.vocabulary.text(id));
        *self.symbols.borrow_mut().entry(id).or_insert_with(symbol)
    }

    fn id(&self, token: usize) -> Id {
        let id = || self.vocabulary.of_prior(token);
        *self.ids.borrow_mut().entry(token).or_insert_with(id)
    }
}
