use tree_sitter::Node;

use crate::Syntax;

/// Text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inert {
    /// A comment.
    Comment,
    /// A string or another literal of text.
    String,
}

/// What a cursor at `offset` types into, when that is not code. Between the quotes counts as inside
/// a string, behind the closing one does not; the end of a line comment counts as inside. Code that
/// is embedded in a string is code.
pub fn is_in_comment_or_string(syntax: &Syntax, text: &str, offset: usize) -> Option<Inert> {
    let root = syntax.tree().root_node();
    let before = offset.checked_sub(1)?;
    let mut node = root.descendant_for_byte_range(before, offset)?;
    if node == root {
        node = root.descendant_for_byte_range(before, before)?;
    }
    let kinds = &syntax.language().config().nodes;
    let is = |kinds: &[String], node: Node<'_>| kinds.iter().any(|kind| kind == node.kind());
    loop {
        let inside = node.start_byte() < offset && offset < node.end_byte();
        if is(&kinds.interpolations, node) && inside {
            return None;
        }
        if is(&kinds.strings, node) && inside {
            return Some(Inert::String);
        }
        if is(&kinds.comments, node) && (inside || goes_on(syntax, text, node, offset)) {
            return Some(Inert::Comment);
        }
        node = node.parent()?;
    }
}

/// Whether what is typed at `offset`, the end of a comment, becomes part of it: so it is for a line
/// comment and for a block comment that was never closed.
fn goes_on(syntax: &Syntax, text: &str, comment: Node<'_>, offset: usize) -> bool {
    let written = text.get(comment.byte_range()).unwrap_or_default();
    let closed = match syntax.language().block_comment() {
        Some((open, close)) if written.starts_with(open) => written.ends_with(close),
        _ => written.ends_with('\n'),
    };
    offset == comment.end_byte() && !closed
}

#[cfg(test)]
mod tests {
    use base::CancelToken;

    use super::*;
    use crate::{Language, ParseLimits, parse};

    /// Checks each place marked `^c` (comment), `^s` (string) and `^0` (code).
    fn check(name: &str, marked: &str) {
        let language = Language::of_name(name).expect("a known language");
        let mut text = String::new();
        let mut places = Vec::new();
        let mut rest = marked;
        while let Some((head, tail)) = rest.split_once('^') {
            text.push_str(head);
            let (mark, tail) = tail.split_at(1);
            places.push((text.len(), mark));
            rest = tail;
        }
        text.push_str(rest);
        let syntax = parse(language, &text, &ParseLimits::default(), &CancelToken::new())
            .expect("a small text");
        assert!(!places.is_empty());
        for (offset, mark) in places {
            let expected = match mark {
                "c" => Some(Inert::Comment),
                "s" => Some(Inert::String),
                _ => None,
            };
            let found = is_in_comment_or_string(&syntax, &text, offset);
            assert_eq!(found, expected, "{name}: at {offset} of {text:?}");
        }
    }

    #[test]
    fn comments() {
        check("rust", "^0// a^c b^c\n^0fn f() {^0} /* ^c */^0\n/// doc^c\n^0fn g() {}\n");
        check("python", "^0# a^c\n^0x = 1^0  # b^c");
        check("c", "int x;^0 /* a ^c */ int y; // ^c");
        check("typescript", "let x = 1 // a^c\n^0");
    }

    #[test]
    fn strings() {
        check("rust", "const A: &str = ^0\"a^sb^s\"^0;");
        check("python", "x = f\"a^s{b^0 + c} d^s\"^0\ny = '^s'\n");
        check("javascript", "let x = `a^s${b^0}c^s`^0;");
        check("ruby", "x = \"a^s#{b^0}\"^0\n");
        check("csharp", "var x = $\"a^s{b^0}c^s\"^0;");
        check("bash", "echo \"a^s$(b^0)\"^0 'c^s' # d^c\n");
        check("json", "{\"a^s\":^0 1}");
        check("go", "package p\nvar x = \"a^s\"^0\nvar y = `a^s\nb^s`\n");
    }
}
