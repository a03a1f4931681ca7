//! Finds the place of an edit again in a text that has changed since.

use text::{TextEdit, TextRange};

use crate::{ContentHash, Entry, InverseEdit, JournalError};

/// The edits that take `entry` back from `current`.
pub(crate) fn inverse(entry: &Entry, current: &str) -> Result<Vec<TextEdit>, JournalError> {
    let now = ContentHash::of(current);
    if now == entry.after {
        return Ok(entry.hunks.iter().map(|hunk| edit_at(hunk, hunk.start)).collect());
    }
    if now == entry.before {
        return Err(JournalError::AlreadyUndone { path: entry.path.clone() });
    }
    let mut edits: Vec<TextEdit> = Vec::with_capacity(entry.hunks.len());
    for hunk in &entry.hunks {
        // Hunks keep their order, so the search begins behind the one before.
        let from = edits.last().map_or(0, |edit| edit.range.end);
        let start = locate(hunk, current, from).ok_or_else(|| JournalError::ChangedSince {
            path: entry.path.clone(),
            line: hunk.line + 1,
        })?;
        edits.push(edit_at(hunk, start));
    }
    Ok(edits)
}

fn edit_at(hunk: &InverseEdit, start: usize) -> TextEdit {
    TextEdit::new(TextRange::new(start, start + hunk.written.len()), hunk.replaced.as_str())
}

/// The only place at or after `from` where the written lines stand, whole, recognised by as much
/// of their surroundings as is left: both sides, then one side, then none. `None` when they are
/// gone or the place is not certain.
fn locate(hunk: &InverseEdit, current: &str, from: usize) -> Option<usize> {
    let (before, after) = (hunk.before.as_str(), hunk.after.as_str());
    let nearest = |text: &'_ str| text.split_inclusive('\n').next().map_or(0, str::len);
    let line_before = before.rfind('\n').map_or(before, |_| {
        let trimmed = before.strip_suffix('\n').unwrap_or(before);
        trimmed.rfind('\n').map_or(before, |at| before.get(at + 1..).unwrap_or(before))
    });
    let line_after = after.get(..nearest(after)).unwrap_or(after);
    let mut attempts = vec![(before, after), (line_before, line_after)];
    if !hunk.written.is_empty() {
        attempts.extend([(before, ""), ("", after), (line_before, ""), ("", line_after)]);
        if !hunk.written.trim().is_empty() {
            attempts.push(("", ""));
        }
    }
    for (before, after) in attempts {
        match places(hunk, before, after, current, from).as_slice() {
            [] => {}
            [only] => return Some(*only),
            _ => {
                // Less context can only make more places fit.
                return None;
            }
        }
    }
    None
}

/// Up to two places where `written` stands between `before` and `after`, on line borders.
fn places(hunk: &InverseEdit, before: &str, after: &str, current: &str, from: usize) -> Vec<usize> {
    let needle = format!("{before}{}{after}", hunk.written);
    if needle.is_empty() {
        // An emptied file: only a file that is still empty fits.
        return if current.is_empty() { vec![0] } else { Vec::new() };
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = current.get(at..).and_then(|rest| rest.find(&needle)) {
        let place = at + offset;
        let start = place + before.len();
        let end = start + hunk.written.len();
        let at_line = |offset: usize| {
            offset == 0
                || offset == current.len()
                || matches!(current.as_bytes().get(offset - 1), Some(b'\n' | b'\r'))
        };
        if start >= from && at_line(place) && at_line(start) && at_line(end) {
            found.push(start);
            if found.len() == 2 {
                break;
            }
        }
        let step =
            current.get(place..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        at = place + step;
    }
    found
}
