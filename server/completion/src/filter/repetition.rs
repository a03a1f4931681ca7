use super::Draft;
use crate::{Reason, place::Place};

/// Shorter lines may stand twice: closing brackets, `else`, `pass`.
const SHORT: usize = 8;
/// Equal lines in a row that are too many.
const EQUAL_LINES: usize = 3;

/// A line that says what the line above or below says is refused, and so is a text that goes in circles.
pub(super) fn check(place: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    let first = draft.text.lines().next().unwrap_or_default();
    let completed = format!("{}{first}{}", place.line, place.rest);
    let completed = completed.trim();
    let neighbours = place.line_above().into_iter().chain(place.lines_below().next());
    let same = |line: &str| line.trim() == completed;
    if completed.len() >= SHORT && neighbours.into_iter().any(same) {
        return Err(Reason::RepeatsLine);
    }
    let lines: Vec<&str> = draft.text.lines().map(str::trim).collect();
    let circles = lines.windows(EQUAL_LINES).any(|window| {
        let first = window.first().copied().unwrap_or_default();
        !first.is_empty() && window.iter().all(|line| *line == first)
    });
    if circles { Err(Reason::RepeatsLine) } else { Ok(()) }
}
