use text::{TextEdit, TextRange, apply_edits};

use crate::{EditError, EditProposal, ProposedHunk};

/// The edits that bring the hunks named in `accepted` into `current`, the document as it is now.
/// A document that changed elsewhere since the proposal is no obstacle; one in which the selected
/// lines were changed, or stand more than once, is.
pub fn resolve(
    proposal: &EditProposal,
    accepted: &[String],
    current: &str,
) -> Result<Vec<TextEdit>, EditError> {
    let known = |id: &String| proposal.hunks.iter().any(|hunk| hunk.id == *id);
    if let Some(id) = accepted.iter().find(|id| !known(id)) {
        return Err(EditError::UnknownHunk { id: id.clone() });
    }
    let chosen: Vec<&ProposedHunk> =
        proposal.hunks.iter().filter(|hunk| accepted.contains(&hunk.id)).collect();
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let moved = || EditError::Moved { path: proposal.path.clone() };
    let start = locate(proposal, current).ok_or_else(moved)?;
    Ok(chosen
        .into_iter()
        .map(|hunk| {
            let from = start + (hunk.range.start - proposal.selection.start);
            TextEdit::new(TextRange::new(from, from + hunk.range.len()), hunk.new_text.as_str())
        })
        .collect())
}

/// `text` with all of these hunks.
pub fn merged(text: &str, hunks: &[ProposedHunk]) -> String {
    let edits: Vec<TextEdit> =
        hunks.iter().map(|hunk| TextEdit::new(hunk.range, hunk.new_text.as_str())).collect();
    apply_edits(text, &edits).expect("hunks are ordered, disjoint and end at line borders")
}

/// Where the selected lines begin in `current`.
fn locate(proposal: &EditProposal, current: &str) -> Option<usize> {
    if *proposal.base == *current {
        return Some(proposal.selection.start);
    }
    let lines = proposal.selection.slice(&proposal.base)?;
    if lines.trim().is_empty() {
        return None;
    }
    // A selection up to the end of a file without a last line break is still a whole line only at
    // the end of the file.
    let whole = |at: usize| {
        let starts = at == 0 || current.as_bytes().get(at - 1) == Some(&b'\n');
        let end = at + lines.len();
        starts && (lines.ends_with('\n') || end == current.len())
    };
    let mut places = current.match_indices(lines).map(|(at, _)| at).filter(|at| whole(*at));
    let place = places.next()?;
    places.next().is_none().then_some(place)
}
