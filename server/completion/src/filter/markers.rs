use super::Draft;
use crate::{Reason, Source, place::Place};

/// Beginnings of what a model says around code instead of code: its prompt's markers, fences, thoughts.
const MARKERS: [&str; 12] = [
    "<|",
    "<｜",
    "<fim_",
    "<file_sep>",
    "<repo_name>",
    "<PRE>",
    "<SUF>",
    "<MID>",
    "<EOT>",
    "[SUFFIX]",
    "```",
    "<think>",
];

/// The text ends before the first marker that a model leaked. What the live model says stands in some file
/// of the workspace, where it may be code.
pub(super) fn check(_: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    if draft.source == Source::Instant {
        return Ok(());
    }
    if let Some(end) = MARKERS.iter().filter_map(|marker| draft.text.find(marker)).min() {
        draft.text.truncate(end);
        if draft.text.trim().is_empty() {
            return Err(Reason::Markers);
        }
    }
    Ok(())
}
