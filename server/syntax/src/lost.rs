//! Functions of a shell script that an error has swallowed.
//!
//! Where the grammar misreads a quote (`${1:~0}`, quotes in a regular expression, backquotes in
//! backquotes), it takes the code up to the next quote for a string, and so on through a long script.
//! The lines that a function begins and ends with tell it all the same, as they do for people.

use text::TextRange;
use tree_sitter::Tree;

use crate::{Language, Symbol, SymbolKind, outline::Leads, signature};

/// The functions in `text` that are not among `known`, the symbols of its tree in the order of their
/// names; none where the tree has no error. A function reaches to the line that closes it at its
/// indentation; where there is none, it is the line that it begins with.
pub(crate) fn functions(
    language: Language,
    tree: &Tree,
    text: &str,
    leads: &Leads,
    known: &[Symbol],
) -> Vec<Symbol> {
    let root = tree.root_node();
    if language.name() != "bash" || !root.has_error() {
        return Vec::new();
    }
    let is_written = |range: TextRange| {
        root.descendant_for_byte_range(range.start, range.end)
            .is_some_and(|node| node.kind().starts_with("heredoc_"))
    };
    let mut found: Vec<Symbol> = Vec::new();
    // The functions that are not closed, each deeper than the one before, with their place in `found`.
    let mut open: Vec<(Head, Option<usize>)> = Vec::new();
    let mut start = 0;
    for written in text.split_inclusive('\n') {
        let line = written.trim_end();
        let code = line.trim_start();
        let indentation = line.len() - code.len();
        let end = start + line.len();
        if let Some(head) = Head::of(line) {
            open.retain(|(outer, _)| outer.indentation < indentation);
            let name_range = TextRange::new(start + head.name.start, start + head.name.end);
            let is_known = known
                .binary_search_by_key(&name_range.start, |symbol| symbol.name_range.start)
                .is_ok();
            let lost = (!is_known && !is_written(name_range)).then(|| {
                found.push(Symbol {
                    name: line[head.name.start..head.name.end].to_owned(),
                    kind: SymbolKind::Function,
                    range: TextRange::new(start + indentation, end),
                    name_range,
                    container: None,
                    signature: signature::on_one_line(&line[..head.body]),
                    doc: signature::comments(language, text, start + indentation, leads),
                });
                found.len() - 1
            });
            if !line.ends_with(head.close) {
                open.push((head, lost));
            }
        } else if code.starts_with(['}', ')']) {
            open.retain(|(head, _)| head.indentation <= indentation);
            if let Some((head, lost)) = open.last()
                && head.indentation == indentation
                && code.starts_with(head.close)
            {
                if let Some(symbol) = lost.and_then(|index| found.get_mut(index)) {
                    symbol.range.end = end;
                }
                open.pop();
            }
        }
        start += written.len();
    }
    found
}

/// The line that a function begins with: `name() {`, `function name`.
struct Head {
    /// Bytes of blanks before it.
    indentation: usize,
    /// Where the name stands in the line.
    name: TextRange,
    /// Where the body begins in the line.
    body: usize,
    /// What ends the body.
    close: char,
}

impl Head {
    fn of(line: &str) -> Option<Self> {
        let bare = line.trim_start();
        let (named, keyword) = match bare.strip_prefix("function ") {
            Some(named) => (named.trim_start(), true),
            None => (bare, false),
        };
        let is_name = |ch: char| ch.is_alphanumeric() || "_-.:+?@".contains(ch);
        let length = named.find(|ch| !is_name(ch)).unwrap_or(named.len());
        let after = named.get(length..)?;
        let parentheses = after.trim_start().strip_prefix('(').map(str::trim_start);
        let body = match parentheses.and_then(|inside| inside.strip_prefix(')')) {
            Some(body) => body.trim_start(),
            None if keyword => after.trim_start(),
            None => return None,
        };
        // Words behind it are no body: it is a sentence of somebody's text.
        if length == 0 || !(body.is_empty() || body.starts_with(['{', '('])) {
            return None;
        }
        let start = line.len() - named.len();
        Some(Self {
            indentation: line.len() - bare.len(),
            name: TextRange::new(start, start + length),
            body: line.len() - body.len(),
            close: if body.starts_with('(') { ')' } else { '}' },
        })
    }
}

#[cfg(test)]
mod tests {
    use base::CancelToken;

    use crate::{Language, ParseLimits, parse, symbols};

    /// Checks the functions of a script with errors in it: their first and last lines, counted from
    /// one, and their signatures.
    fn check(text: &str, expected: &[(usize, usize, &str)]) {
        let language = Language::of_name("bash").expect("a known language");
        let syntax = parse(language, text, &ParseLimits::default(), &CancelToken::new())
            .expect("a small text");
        assert!(syntax.has_errors(), "{text}");
        let lines = text::LineIndex::new(text);
        let line = |offset: usize| lines.line_of(offset) + 1;
        let found = symbols(&syntax, text);
        let found: Vec<_> = found
            .iter()
            .map(|symbol| {
                (line(symbol.range.start), line(symbol.range.end), symbol.signature.as_str())
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn functions_after_a_misread_quote_are_found() {
        check(
            "last() {\n  echo \"${1:~0}\"  # \"${1: -1}\" too\n}\n\
             # Doc.\nfunction second {\n  echo \"$1\"\n}\n\
             sub() ( echo \"$2\" )\n\
             if [[ $a == \"b\" ]]; then\n  inner() {\n    echo\n  }\nfi\n\
             open ()\n{\n  deeper() {\n    echo \"a\"\n}\n",
            &[
                (1, 3, "last()"),
                (5, 7, "function second"),
                (8, 8, "sub()"),
                (10, 12, "inner()"),
                (14, 18, "open ()"),
                (16, 16, "deeper()"),
            ],
        );
    }

    #[test]
    fn text_that_is_no_code_has_no_functions() {
        check(
            "cat <<EOF\nwritten() {\n  $a\n}\nEOF\nf() { echo \"${1:~0}\"; }\n\
             # g() does nothing\necho \"\nh() is a sentence\"\n",
            &[(6, 6, "f()")],
        );
    }
}
