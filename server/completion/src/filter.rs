//! What is wrong with a suggestion. Each file holds one rule, which may shorten the text or refuse it.

mod blank;
mod brackets;
mod markers;
mod overlap;
mod repetition;
mod syntax;

use crate::{Reason, Source, place::Place};

/// A suggestion on its way out.
pub(crate) struct Draft {
    pub text: String,
    pub source: Source,
}

type Filter = fn(&Place<'_>, &mut Draft) -> Result<(), Reason>;

/// Cheapest first; the text only gets shorter, so the last one sees what will be shown.
const FILTERS: [Filter; 7] = [
    markers::check,
    blank::check,
    overlap::check,
    repetition::check,
    brackets::check,
    // What the others left may be blank.
    blank::check,
    syntax::check,
];

/// Passes a suggestion through all filters.
pub(crate) fn check(place: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    FILTERS.iter().try_for_each(|filter| filter(place, draft))
}
