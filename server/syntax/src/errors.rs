use base::CancelToken;
use serde::{Deserialize, Serialize};
use text::TextRange;
use tree_sitter::Node;

use crate::{
    Language, ParseFailure, ParseLimits, Syntax, parse,
    parse::{changed_bytes, reparse},
};

/// Most errors that are reported for one text. A text with more is no text in its language.
const MAX_ERRORS: usize = 100;

/// A place that does not fit the grammar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntaxError {
    /// The unexpected text; empty where something is missing.
    pub range: TextRange,
    /// What is wrong, in a few words.
    pub message: String,
}

/// The places in `text`, which must be the text that was parsed, that do not fit the grammar: in
/// order, at most 100.
pub fn errors(syntax: &Syntax, text: &str) -> Vec<SyntaxError> {
    let mut found = Vec::new();
    let mut cursor = syntax.tree().walk();
    loop {
        let node = cursor.node();
        let faulty = node.is_error() || node.is_missing();
        if faulty {
            found.push(describe(node, text));
        }
        if found.len() == MAX_ERRORS {
            return found;
        }
        if !faulty && node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return found;
            }
        }
    }
}

fn describe(node: Node<'_>, text: &str) -> SyntaxError {
    let range = TextRange::from(node.byte_range());
    if node.is_missing() {
        return SyntaxError { range, message: format!("missing {}", node.kind()) };
    }
    let line = range.slice(text).unwrap_or_default().lines().next().unwrap_or_default();
    let start: String = line.trim().chars().take(40).collect();
    SyntaxError { range, message: format!("unexpected `{start}`") }
}

/// The errors of `after` that `before` did not have, when a text changes in one place. Empty when
/// the change breaks nothing, and when either text cannot be parsed within the default limits:
/// what cannot be judged is not held against anyone.
pub fn introduces_errors(language: Language, before: &str, after: &str) -> Vec<SyntaxError> {
    let (limits, cancel) = (ParseLimits::default(), CancelToken::new());
    parse(language, before, &limits, &cancel)
        .and_then(|syntax| introduced_errors(&syntax, before, after, &limits, &cancel))
        .unwrap_or_default()
}

/// The errors of `after` that `before`, whose tree is `syntax`, did not have. Costs little where the
/// change is small.
///
/// An error outside of the change is the same error when it is at the same place, moved with its
/// text. Of the others as many are forgiven as have gone, because recovery from one fault may be
/// reported at another place after any edit.
pub fn introduced_errors(
    syntax: &Syntax,
    before: &str,
    after: &str,
    limits: &ParseLimits,
    cancel: &CancelToken,
) -> Result<Vec<SyntaxError>, ParseFailure> {
    let changed = reparse(syntax, before, after, limits, cancel)?;
    let mut new = errors(&changed, after);
    if new.is_empty() {
        return Ok(new);
    }
    let (start, old_end, new_end) = changed_bytes(before, after);
    let moved = |offset: usize| {
        if offset >= old_end { Some(offset - old_end + new_end) } else { Some(offset) }
            .filter(|_| offset <= start || offset >= old_end)
    };
    let mut gone = 0;
    for old in errors(syntax, before) {
        let place = moved(old.range.start).zip(moved(old.range.end));
        let same = place.and_then(|(start, end)| {
            new.iter().position(|error| error.range == TextRange::new(start, end))
        });
        match same {
            Some(index) => drop(new.remove(index)),
            None => gone += 1,
        }
    }
    if new.len() <= gone {
        new.clear();
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors that replacing `old` by `new` in a text brings in.
    fn check(name: &str, text: &str, old: &str, new: &str, expected: &[&str]) {
        let language = Language::of_name(name).expect("a known language");
        let after = text.replacen(old, new, 1);
        assert_ne!(text, after, "the edit changes the text");
        let found = introduces_errors(language, text, &after);
        let found: Vec<&str> = found.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(found, expected, "{after}");
    }

    #[test]
    fn a_sound_edit_brings_no_error() {
        check("rust", "fn f() { 1 }\n", "1", "g(2)", &[]);
        check("python", "def f():\n    pass\n", "pass", "return [1, 2]", &[]);
    }

    #[test]
    fn a_broken_edit_is_found() {
        check("rust", "fn f() { g() }\n", "g()", "g(", &["unexpected `(`"]);
        check("rust", "fn f() { g(1) }\n", "1", "h(1", &["missing )"]);
        check("python", "def f():\n    return 1\n", "1", "(1", &["unexpected `return (1`"]);
    }

    #[test]
    fn an_error_that_was_there_is_not_blamed_on_the_edit() {
        check("rust", "fn f() { g( }\nfn h() { 1 }\n", "1", "22", &[]);
        check("rust", "fn f() { 1 }\nfn h() { g( }\n", "1", "a_longer_text()", &[]);
        check("rust", "fn f() { g( }\n", "g(", "hh(", &[]);
    }

    #[test]
    fn an_edit_that_mends_is_sound() {
        check("rust", "fn f() { g( }\n", "g(", "g()", &[]);
    }
}
