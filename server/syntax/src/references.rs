use std::collections::HashSet;

use text::TextRange;

use crate::{Language, Syntax, declarations::Found};

/// How deep import trees are followed; what people write stays below four.
const MAX_DEPTH: usize = 16;

/// How a name is used. The first of those that apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// A type is derived from it: a base class, an interface, a trait.
    Implement,
    /// It is called, or an object of it is made.
    Call,
    /// It is used as a type.
    Type,
    /// It is used in another way: as a value, a field, a part of a path.
    Use,
}

impl ReferenceKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 4] = [Self::Implement, Self::Call, Self::Type, Self::Use];

    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Implement => "implement",
            Self::Call => "call",
            Self::Type => "type",
            Self::Use => "use",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for ReferenceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One use of a name that the place itself does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where the name stands.
    pub range: TextRange,
    /// How it is used.
    pub kind: ReferenceKind,
}

/// What is taken in from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module, file or package as written, without quotes.
    pub path: String,
    /// What of it is named; empty when it is taken as a whole.
    pub names: Vec<String>,
}

/// The names that are used in `text`, which must be the text that was parsed, in order. Left out are
/// definitions, and plain uses of what a function of the file calls its parameters and variables.
pub fn references<'a>(syntax: &'a Syntax, text: &str) -> &'a [Reference] {
    &syntax.outline(text).references
}

/// What `text`, which must be the text that was parsed, imports, in order.
pub fn imports<'a>(syntax: &'a Syntax, text: &str) -> &'a [Import] {
    &syntax.outline(text).imports
}

/// A piece of an import as the query found it.
pub(crate) struct ImportPart {
    range: TextRange,
    role: Part,
    /// Start of the statement that it belongs to.
    statement: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Name,
    Tree,
    Module,
}

impl ImportPart {
    pub(crate) fn path(range: TextRange) -> Self {
        Self::new(range, Part::Path)
    }

    pub(crate) fn name(range: TextRange) -> Self {
        Self::new(range, Part::Name)
    }

    pub(crate) fn tree(range: TextRange) -> Self {
        Self::new(range, Part::Tree)
    }

    pub(crate) fn module(range: TextRange) -> Self {
        Self::new(range, Part::Module)
    }

    fn new(range: TextRange, role: Part) -> Self {
        Self { range, role, statement: range.start }
    }

    /// Joins it with the other pieces of the statement that begins at `start`.
    pub(crate) fn of_statement(self, start: Option<usize>) -> Self {
        Self { statement: start.unwrap_or(self.statement), ..self }
    }
}

/// The references among what was found.
pub(crate) fn of(found: &mut Found<'_>, text: &str) -> Vec<Reference> {
    let mut references = std::mem::take(&mut found.references);
    references.sort_unstable_by_key(|(range, kind)| (range.start, *kind));
    references.dedup_by_key(|(range, _)| range.start);
    // A qualified name ends with what it defines.
    let mut defined: Vec<usize> = found
        .declared
        .iter()
        .filter(|item| item.kind.is_some())
        .map(|item| item.name.end)
        .collect();
    defined.sort_unstable();
    let bound: HashSet<&str> =
        found.bindings.iter().filter_map(|binding| binding.slice(text)).collect();
    references.retain(|(range, kind)| match kind {
        ReferenceKind::Implement => true,
        _ if defined.binary_search(&range.end).is_ok() => false,
        ReferenceKind::Use => range.slice(text).is_some_and(|name| !bound.contains(name)),
        _ => true,
    });
    references.into_iter().map(|(range, kind)| Reference { range, kind }).collect()
}

/// The imports among what was found.
pub(crate) fn imports_of(found: &mut Found<'_>, language: Language, text: &str) -> Vec<Import> {
    let mut parts = std::mem::take(&mut found.imports);
    parts.sort_by_key(|part| (part.statement, part.role != Part::Path, part.range));
    parts.dedup_by_key(|part| part.range);
    let mut imports: Vec<Import> = Vec::new();
    let mut open = None;
    for part in parts {
        let written = part.range.slice(text).unwrap_or_default();
        match part.role {
            Part::Path => {
                let path = unquoted(written);
                open = (!path.is_empty()).then_some(part.statement);
                if open.is_some() {
                    imports.push(Import { path: path.to_owned(), names: Vec::new() });
                }
            }
            // A statement without a path exports what is the file's own.
            Part::Name if open == Some(part.statement) => {
                if let Some(import) = imports.last_mut() {
                    import.names.push(written.to_owned());
                }
            }
            Part::Name => {}
            Part::Tree => {
                let separator = if written.contains('\\') { "\\" } else { language.separator() };
                Branches { separator, imports: &mut imports }.read("", statement(written), 0);
            }
            Part::Module => {
                let path = format!("self{}{written}", language.separator());
                imports.push(Import { path, names: Vec::new() });
            }
        }
    }
    imports
}

fn unquoted(written: &str) -> &str {
    written
        .trim_matches(|ch: char| matches!(ch, '"' | '\'' | '`' | '<' | '>') || ch.is_whitespace())
}

/// What a `use` statement says behind its keywords.
fn statement(written: &str) -> &str {
    let mut rest = written.trim_end_matches(';').trim();
    for keyword in ["use ", "function ", "const "] {
        rest = rest.strip_prefix(keyword).unwrap_or(rest).trim_start();
    }
    rest
}

/// Reads `a::{b, c::{d, e as f}}`.
struct Branches<'a> {
    separator: &'a str,
    imports: &'a mut Vec<Import>,
}

impl Branches<'_> {
    fn read(&mut self, prefix: &str, written: &str, depth: usize) {
        for branch in branches(written) {
            let (head, inner) = match branch.split_once('{') {
                Some((head, inner)) => (head, Some(inner.strip_suffix('}').unwrap_or(inner))),
                None => (branch, None),
            };
            let head = head.trim().trim_start_matches(self.separator);
            let head = head.trim_end_matches(self.separator);
            match inner {
                Some(inner) if depth < MAX_DEPTH => {
                    self.read(&self.join(prefix, head), inner, depth + 1);
                }
                Some(_) => {}
                None => self.leaf(prefix, head),
            }
        }
    }

    fn join(&self, prefix: &str, rest: &str) -> String {
        match (prefix, rest) {
            ("", rest) => rest.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, rest) => format!("{prefix}{}{rest}", self.separator),
        }
    }

    fn leaf(&mut self, prefix: &str, written: &str) {
        let name = written.split_whitespace().next().unwrap_or_default();
        let rest = if matches!(name, "*" | "self") { "" } else { name };
        let rest = rest.strip_suffix('*').unwrap_or(rest).trim_end_matches(self.separator);
        let whole = rest.len() < name.len();
        let path = self.join(prefix, rest);
        let (path, name) = match path.rsplit_once(self.separator) {
            Some((path, name)) if !whole => (path.to_owned(), Some(name.to_owned())),
            _ => (path, None),
        };
        if path.is_empty() {
            return;
        }
        match self.imports.last_mut() {
            Some(last) if last.path == path && !last.names.is_empty() && name.is_some() => {
                last.names.extend(name);
            }
            _ => self.imports.push(Import { path, names: name.into_iter().collect() }),
        }
    }
}

/// The parts of `written` between the commas that are in no braces.
fn branches(written: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    written
        .split(move |ch| {
            match ch {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            ch == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|branch| !branch.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, expected: &[&str]) {
        let mut imports = Vec::new();
        let separator = if written.contains('\\') { "\\" } else { "::" };
        Branches { separator, imports: &mut imports }.read("", statement(written), 0);
        let found: Vec<String> = imports
            .iter()
            .map(|import| format!("{} {}", import.path, import.names.join(" ")).trim().to_owned())
            .collect();
        assert_eq!(found, expected, "{written}");
    }

    #[test]
    fn import_trees_are_read_to_their_leaves() {
        check("std", &["std"]);
        check("std::fmt", &["std fmt"]);
        check("std::fmt::{self, Write as _}", &["std::fmt", "std::fmt Write"]);
        check("a::{b, c::{d, e as f}, g::*}", &["a b", "a::c d e", "a::g"]);
        check("::a::b::*", &["a::b"]);
        check("use App\\{Models\\User, Web as W};", &["App\\Models User", "App Web"]);
        check("use function App\\run;", &["App run"]);
        check("{", &[]);
        check("a::{{{{,}", &[]);
    }
}
