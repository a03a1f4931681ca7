use super::Draft;
use crate::{Reason, place::Place};

/// How far back open brackets are looked for, in bytes: some hundred lines.
const REACH: usize = 8 << 10;

/// A suggestion must not close a bracket that is not open, counting the ones that the rest of the line
/// will close. Brackets in strings are counted too, so the count before the cursor is taken as it is and
/// only what has no partner at all is refused: the text ends before it.
pub(super) fn check(place: &Place<'_>, draft: &mut Draft) -> Result<(), Reason> {
    let start = place.before.ceil_char_boundary(place.before.len().saturating_sub(REACH));
    let whole = start == 0;
    let mut open: Vec<char> = Vec::new();
    for char in place.before.get(start..).unwrap_or_default().chars() {
        step(&mut open, char);
    }
    // What the rest of the line closes is not the suggestion's to close.
    for char in place.rest.chars() {
        step(&mut open, char);
    }
    for (at, char) in draft.text.char_indices() {
        if !step(&mut open, char) && (whole || opener(char) == Some('(')) {
            draft.text.truncate(at);
            let nothing = draft.text.trim().is_empty();
            return if nothing { Err(Reason::UnbalancedBrackets) } else { Ok(()) };
        }
    }
    Ok(())
}

/// Follows one character; `false` for a closing bracket whose partner is nowhere open. A partner further
/// out closes what is inside, as when a string held an opening bracket.
fn step(open: &mut Vec<char>, char: char) -> bool {
    if matches!(char, '(' | '[' | '{') {
        open.push(char);
    } else if let Some(opener) = opener(char) {
        let Some(partner) = open.iter().rposition(|other| *other == opener) else { return false };
        open.truncate(partner);
    }
    true
}

fn opener(closing: char) -> Option<char> {
    match closing {
        ')' => Some('('),
        ']' => Some('['),
        '}' => Some('{'),
        _ => None,
    }
}
