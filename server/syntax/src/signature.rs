use text::TextRange;
use tree_sitter::Node;

use crate::{Language, SymbolKind, outline::Leads};

/// Longest signature, in bytes.
const SIGNATURE_BYTES: usize = 240;

/// Longest documentation, in bytes.
const DOC_BYTES: usize = 1000;

/// The definition `node` up to its body, on one line. `range` is the node with what wraps it.
pub(crate) fn of(text: &str, kind: SymbolKind, node: Node<'_>, range: TextRange) -> String {
    // What is in parentheses (a tuple's fields) is no body but tells what the definition is.
    let body = body(node).filter(|body| text.as_bytes().get(body.start_byte()) != Some(&b'('));
    let end = body.map_or(range.end, |body| body.start_byte());
    let head = text.get(range.start..end.max(range.start)).unwrap_or_default();
    // Without a body of its own, what opens a block at the end of a line begins one. Data is told by
    // its first line.
    let ends: &[&str] = match kind {
        SymbolKind::Heading
        | SymbolKind::Module
        | SymbolKind::Field
        | SymbolKind::Variable
        | SymbolKind::Constant => &["\n"],
        _ => &["{\n", "{\r\n", "\\\n"],
    };
    let end = ends.iter().filter_map(|end| head.find(end)).min();
    on_one_line(end.map_or(head, |end| &head[..end]))
}

/// The head of a definition on one line, without what opens its body.
pub(crate) fn on_one_line(head: &str) -> String {
    let mut line = String::with_capacity(head.len().min(SIGNATURE_BYTES + 1));
    for word in head.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > SIGNATURE_BYTES {
            break;
        }
    }
    cut(&mut line, SIGNATURE_BYTES);
    let kept = line.trim_end_matches([' ', '{', '[', '(', '=', ';', ',', ':', '\\']).len();
    line.truncate(kept);
    line
}

/// The node that holds what the definition does: its own body, or that of its value.
pub(crate) fn body(node: Node<'_>) -> Option<Node<'_>> {
    node.child_by_field_name("body").or_else(|| {
        ["value", "right"]
            .iter()
            .find_map(|field| node.child_by_field_name(field))
            .and_then(|value| value.child_by_field_name("body"))
    })
}

/// The documentation of the definition `node`: the comments right before `range`, or in a language
/// with docstrings the string that the body begins with.
pub(crate) fn doc(
    language: Language,
    text: &str,
    node: Node<'_>,
    range: TextRange,
    leads: &Leads,
) -> Option<String> {
    match docstring(language, text, node) {
        Some(string) => shortened(&string),
        None => comments(language, text, range.start, leads),
    }
}

/// What the comments right before `start` say.
pub(crate) fn comments(
    language: Language,
    text: &str,
    start: usize,
    leads: &Leads,
) -> Option<String> {
    let lines: Vec<_> = leads
        .before(text, start)
        .iter()
        .filter_map(|lead| comment_text(language, lead.slice(text)?))
        .collect();
    shortened(&lines.join("\n"))
}

fn shortened(doc: &str) -> Option<String> {
    let mut doc = doc.trim().to_owned();
    cut(&mut doc, DOC_BYTES);
    Some(doc).filter(|doc| !doc.is_empty())
}

fn docstring(language: Language, text: &str, node: Node<'_>) -> Option<String> {
    if !language.config().docstrings {
        return None;
    }
    let first = node.child_by_field_name("body")?.named_child(0)?;
    let string = if first.kind() == "string" { first } else { first.named_child(0)? };
    if first.kind() != "expression_statement" && first.kind() != "string"
        || string.kind() != "string"
    {
        return None;
    }
    let written = text.get(string.byte_range())?;
    let inner = written.trim_start_matches(|ch: char| ch.is_ascii_alphabetic());
    let quote = if inner.starts_with("\"\"\"") || inner.starts_with("'''") { 3 } else { 1 };
    Some(lines(inner.get(quote..inner.len().checked_sub(quote)?)?.lines().map(str::trim)))
}

/// What a comment says, without its marks; `None` for what is no comment (an attribute).
fn comment_text(language: Language, comment: &str) -> Option<String> {
    if let Some((open, close)) = language.block_comment()
        && let Some(inner) = comment.strip_prefix(open)
    {
        let inner = inner.strip_suffix(close).unwrap_or(inner);
        return Some(lines(
            inner.lines().map(|line| line.trim().trim_start_matches(['*', '!']).trim()),
        ));
    }
    let inner = comment.strip_prefix(language.line_comment()?)?;
    let marks = inner.trim_start_matches(['/', '!', '#', ':']);
    Some(marks.strip_prefix(' ').unwrap_or(marks).trim_end().to_owned())
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Shortens `text` to at most `bytes`, at a character border.
fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let mut end = bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

/// Splits `A<x::y>::B::f` into what comes before the last separator outside of brackets, and the
/// rest.
pub(crate) fn split_qualified<'a>(name: &'a str, separator: &str) -> (Option<&'a str>, &'a str) {
    let mut depth = 0_usize;
    let mut last = None;
    for (at, ch) in name.char_indices() {
        match ch {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 && name[at..].starts_with(separator) => last = Some(at),
            _ => {}
        }
    }
    match last {
        Some(at) => {
            let container = name[..at].trim();
            (Some(container).filter(|name| !name.is_empty()), &name[at + separator.len()..])
        }
        None => (None, name),
    }
}

/// The name of the type in `&'a mut path::Name<T>`.
pub(crate) fn bare_type(written: &str) -> &str {
    let mut name = written.trim_start_matches(['&', '*', ' ']);
    while let Some((first, rest)) = name.split_once(' ')
        && (first.starts_with('\'') || matches!(first, "mut" | "const" | "dyn"))
    {
        name = rest.trim_start();
    }
    let name = name.split('<').next().unwrap_or(name);
    let name = name.rsplit("::").next().unwrap_or(name).trim();
    if name.is_empty() { written } else { name }
}

/// A heading without the blanks around it and the `##` that may close it.
pub(crate) fn without_closing_marks(heading: &str) -> &str {
    let heading = heading.trim();
    let open = heading.trim_end_matches('#');
    if open.ends_with([' ', '\t']) { open.trim_end() } else { heading }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_ends_before_the_marks_that_close_it() {
        for (written, name) in [
            ("Use it ##", "Use it"),
            ("C#", "C#"),
            ("a # b", "a # b"),
            (" \"On\" Linux", "\"On\" Linux"),
        ] {
            assert_eq!(without_closing_marks(written), name);
        }
    }

    #[test]
    fn a_qualified_name_is_split_outside_of_brackets() {
        let check = |name, container, last| {
            assert_eq!(split_qualified(name, "::"), (container, last), "{name}");
        };
        check("f", None, "f");
        check("A::f", Some("A"), "f");
        check("a::B<c::D>::f", Some("a::B<c::D>"), "f");
        check("A::operator<<", Some("A"), "operator<<");
        check("::f", None, "f");
    }

    #[test]
    fn a_type_is_named_without_its_dress() {
        for (written, name) in [
            ("Vec<T>", "Vec"),
            ("&'a mut fmt::Formatter<'a>", "Formatter"),
            ("dyn Any + Send", "Any + Send"),
            ("[T]", "[T]"),
        ] {
            assert_eq!(bare_type(written), name);
        }
    }
}
