use super::Draft;
use crate::{Reason, place::Place};

/// Nothing that stands after the cursor is suggested again: an end that equals the rest of the line is
/// cut, and so are last lines that equal the lines below.
pub(super) fn check(place: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    cut_rest(place.rest, &mut draft.text);
    cut_lines(place, &mut draft.text);
    let all = draft.text.trim();
    let repeats = all.is_empty() || place.rest.trim_start().starts_with(all);
    if repeats { Err(Reason::RepeatsSuffix) } else { Ok(()) }
}

/// Cuts the longest end of the first line that the rest of the line begins with.
fn cut_rest(rest: &str, text: &mut String) {
    if rest.is_empty() || text.contains('\n') {
        return;
    }
    let rest = rest.trim_start();
    let starts = text.char_indices().map(|(start, _)| start);
    let overlap = starts.into_iter().find(|start| {
        text.get(*start..)
            .is_some_and(|end| !end.trim().is_empty() && rest.starts_with(end.trim_start()))
    });
    if let Some(start) = overlap {
        text.truncate(start);
    }
}

/// Cuts the lines from the first one on that the lines below the cursor begin with.
fn cut_lines(place: &Place<'_>, text: &mut String) {
    let below: Vec<&str> = place.lines_below().take(3).map(str::trim).collect();
    let mut start = 0;
    let mut starts = Vec::new();
    for line in text.split_inclusive('\n') {
        starts.push((start, line.trim()));
        start += line.len();
    }
    // The first line goes on from the cursor's and is no line of its own.
    for (index, (start, _)) in starts.iter().enumerate().skip(1) {
        let rest = starts.get(index..).unwrap_or_default().iter().map(|(_, line)| *line);
        let mut rest = rest.filter(|line| !line.is_empty()).peekable();
        if rest.peek().is_some()
            && rest.zip(&below).all(|(line, other)| line == *other)
            && !below.is_empty()
        {
            text.truncate(*start);
            return;
        }
    }
}
