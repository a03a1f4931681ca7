use super::Draft;
use crate::{Reason, Source, place::Place};

/// Largest file that is parsed for a suggestion, in bytes: a few milliseconds.
const MAX_BYTES: usize = 64 << 10;

/// What a language model writes over several lines must not bring syntax errors that were not there. The
/// live model's single lines are copied from code that parses, and are due within a millisecond; a single
/// line is often half a statement.
pub(super) fn check(place: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    let Some(language) = place.language else { return Ok(()) };
    let cheap = place.before.len() + place.after.len() <= MAX_BYTES;
    if draft.source == Source::Instant || !cheap || !draft.text.contains('\n') {
        return Ok(());
    }
    let before = [place.before, place.after].concat();
    let after = [place.before, &draft.text, place.after].concat();
    let errors = syntax::introduces_errors(language, &before, &after);
    if errors.is_empty() { Ok(()) } else { Err(Reason::BreaksSyntax) }
}
