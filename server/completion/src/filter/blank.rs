use super::Draft;
use crate::{Reason, place::Place};

/// White space alone is no help. White space at the end of a suggestion goes.
pub(super) fn check(_: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    draft.text.truncate(draft.text.trim_end().len());
    if draft.text.trim().is_empty() { Err(Reason::Blank) } else { Ok(()) }
}
