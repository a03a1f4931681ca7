use store::{Links, Uses};
use syntax::{ReferenceKind, Syntax};

/// A shorter name says nothing of where it comes from; a longer one was made by a machine.
const SHORTEST: usize = 2;
const LONGEST: usize = 100;

/// The names that `text` uses and what it imports.
pub(crate) fn of(syntax: &Syntax, text: &str) -> Links {
    let mut names: Vec<(&str, ReferenceKind)> = syntax::references(syntax, text)
        .iter()
        .filter_map(|reference| Some((reference.range.slice(text)?, reference.kind)))
        .filter(|(name, _)| (SHORTEST..=LONGEST).contains(&name.len()))
        .collect();
    names.sort_unstable();
    let mut uses: Vec<(&str, Uses)> = Vec::new();
    for (name, kind) in names {
        if uses.last().is_none_or(|(last, _)| *last != name) {
            uses.push((name, Uses::default()));
        }
        let Some((_, uses)) = uses.last_mut() else { continue };
        match kind {
            ReferenceKind::Implement => uses.implements += 1,
            ReferenceKind::Call => uses.calls += 1,
            ReferenceKind::Type => uses.types += 1,
            ReferenceKind::Use => uses.others += 1,
        }
    }
    let imports: Vec<(&str, Vec<&str>)> = syntax::imports(syntax, text)
        .iter()
        .map(|import| (import.path.as_str(), import.names.iter().map(String::as_str).collect()))
        .collect();
    Links::new(&uses, &imports)
}
