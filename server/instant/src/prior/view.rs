//! Priors, seen from one document.

use std::{cell::RefCell, cmp::Ordering};

use super::{
    Prior,
    bundle::ADAPTED,
    symbols::{ContextHash, Meaning, Next, Shape, Slots, Symbol, WINDOW, is_new, meaning},
};
use rustc_hash::FxHashMap as HashMap;

use crate::{
    mixture::Candidate,
    vocabulary::{BOUNDARY, Code, Id, LocalVocabulary, code, id, is_line_break, is_text, spaces},
};

/// A prior with the numbers that its tokens have in one query.
pub(crate) struct View<'v, 't> {
    prior: &'v Prior,
    /// Its place among the document's priors.
    place: usize,
    vocabulary: &'v LocalVocabulary<'v, 't>,
    symbols: RefCell<HashMap<Id, Symbol>>,
    ids: RefCell<HashMap<usize, Id>>,
}

/// What a prior expects at a place.
#[derive(Default)]
pub(crate) struct Guess {
    /// Length of the longest context that the prior knows, in tokens.
    pub order: usize,
    /// The same of the workspace's own prior alone.
    pub adapted_order: usize,
    /// How many tokens back the nearest word stands that is not frequent in the language.
    pub unknown: Option<usize>,
    /// Shares of the next token, in parts: a token may stand here more than once. Their sum is at most
    /// about 1.
    pub shares: Vec<(Code, f32)>,
}

/// Share of the workspace's own prior in the mixture with the language's, by whether it knows a shorter, an
/// equal or a longer context, by how sure the language's is, and by how sure it is itself. Fitted on Flask,
/// Celery, ureq and tantivy with their dependencies.
const ADAPTED_SHARES: [[[f32; 3]; 3]; 3] = [
    [[0.3, 0.4, 0.8], [0.05, 0.1, 0.5], [0.0, 0.05, 0.25]],
    [[0.55, 0.6, 0.7], [0.4, 0.5, 0.7], [0.0, 0.25, 0.55]],
    [[0.65, 0.9, 0.75], [0.3, 0.6, 0.9], [0.3, 0.6, 0.85]],
];
/// From these shares of its likeliest token on a prior is fairly sure, and sure.
const FAIRLY_SURE: f32 = 0.2;
const SURE: f32 = 0.6;

impl Guess {
    /// The row or column in [`ADAPTED_SHARES`].
    fn sureness(&self) -> usize {
        let best = self.shares.iter().map(|it| it.1).fold(0.0, f32::max);
        usize::from(best >= FAIRLY_SURE) + usize::from(best >= SURE)
    }
}

/// What the priors of a document expect together, in their order: the language's, the workspace's.
pub(crate) fn mixed(guesses: Vec<Guess>) -> Guess {
    let guesses: Vec<Guess> = guesses.into_iter().filter(|it| !it.shares.is_empty()).collect();
    let [bundled, adapted] = guesses.as_slice() else {
        return guesses.into_iter().next().unwrap_or_default();
    };
    let longer = match adapted.order.cmp(&bundled.order) {
        Ordering::Less => 0,
        Ordering::Equal => 1,
        Ordering::Greater => 2,
    };
    let by_sureness = ADAPTED_SHARES.get(longer).and_then(|it| it.get(bundled.sureness()));
    let share = by_sureness.and_then(|it| it.get(adapted.sureness()));
    let share = share.copied().unwrap_or_default();
    let mut shares: HashMap<Code, f32> = HashMap::default();
    for (guess, weight) in [(bundled, 1.0 - share), (adapted, share)] {
        for (code, expected) in &guess.shares {
            *shares.entry(*code).or_default() += weight * expected;
        }
    }
    let mut shares: Vec<(Code, f32)> = shares.into_iter().collect();
    shares.sort_unstable_by_key(|(code, _)| *code);
    let order = adapted.order.max(bundled.order);
    let Guess { unknown, .. } = *bundled;
    Guess { order, adapted_order: adapted.adapted_order, unknown, shares }
}

/// Shares below this are not worth the time.
const LEAST_SHARE: f32 = 1e-4;

impl<'v, 't> View<'v, 't> {
    pub(crate) fn new(
        prior: &'v Prior,
        place: usize,
        vocabulary: &'v LocalVocabulary<'v, 't>,
    ) -> Self {
        Self { prior, place, vocabulary, symbols: RefCell::default(), ids: RefCell::default() }
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
            guess.adapted_order = if self.place == ADAPTED { guess.order } else { 0 };
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
        let id = || self.vocabulary.of_prior(self.place, token);
        *self.ids.borrow_mut().entry(token).or_insert_with(id)
    }
}
