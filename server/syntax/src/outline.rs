use std::cmp::Reverse;

use text::TextRange;
use tree_sitter::Tree;

use crate::{
    Import, Language, Reference, Symbol, SymbolKind,
    declarations::{Declared, Found},
    lost, references, signature,
};

/// What one walk over a tree tells: the definitions, what is used and imported, and where chunks may
/// be cut.
#[derive(Debug)]
pub(crate) struct Outline {
    /// In the order of their names.
    pub(crate) symbols: Vec<Symbol>,
    /// Ranges that may stand in a chunk of their own, sorted.
    pub(crate) units: Vec<TextRange>,
    /// Ranges that belong to no chunk where they are too long for one, sorted.
    pub(crate) omits: Vec<TextRange>,
    pub(crate) leads: Leads,
    /// In the order of the text.
    pub(crate) references: Vec<Reference>,
    /// In the order of the text.
    pub(crate) imports: Vec<Import>,
}

impl Outline {
    pub(crate) fn new(language: Language, tree: &Tree, text: &str) -> Self {
        let mut found = language.declarations().find(tree, text);
        let leads = Leads::new(std::mem::take(&mut found.leads), text);
        let mut units = std::mem::take(&mut found.units);
        units.sort_unstable();
        units.dedup();
        let mut omits = std::mem::take(&mut found.omits);
        omits.sort_unstable();
        let references = references::of(&mut found, text);
        let imports = references::imports_of(&mut found, language, text);
        let mut symbols = Nesting { language, text, leads: &leads }.symbols(found);
        symbols.extend(lost::functions(language, tree, text, &leads, &symbols));
        symbols.sort_by_key(|symbol| symbol.name_range);
        Self { symbols, units, omits, leads, references, imports }
    }

    /// Whether a node is one that may stand alone.
    pub(crate) fn is_unit(&self, range: TextRange) -> bool {
        self.units.binary_search(&range).is_ok()
    }

    /// Whether a node is one that is left out.
    pub(crate) fn is_omitted(&self, range: TextRange) -> bool {
        self.omits.binary_search(&range).is_ok()
    }
}

/// Comments and attributes, which belong to what follows them.
#[derive(Debug)]
pub(crate) struct Leads(Vec<TextRange>);

impl Leads {
    fn new(mut ranges: Vec<TextRange>, text: &str) -> Self {
        for range in &mut ranges {
            // Some grammars count the line break as part of a comment.
            let content = range.slice(text).unwrap_or_default();
            range.end = range.start + content.trim_end().len();
        }
        ranges.sort_unstable();
        ranges.dedup();
        Self(ranges)
    }

    /// The comments and attributes right before `start`: each on lines of its own, with no blank
    /// line between, in order.
    pub(crate) fn before(&self, text: &str, start: usize) -> &[TextRange] {
        let end = self.0.partition_point(|lead| lead.end <= start);
        let mut first = end;
        let mut at = start;
        while let Some(lead) = first.checked_sub(1).and_then(|index| self.0.get(index)) {
            let gap = text.get(lead.end..at).unwrap_or("\n\n");
            let adjacent = gap.trim().is_empty() && gap.matches('\n').count() <= 1;
            if !adjacent || !begins_its_line(text, lead.start) {
                break;
            }
            first -= 1;
            at = lead.start;
        }
        &self.0[first..end]
    }

    /// Where what begins at `start` begins with its comments and attributes.
    pub(crate) fn start_with_lead(&self, text: &str, start: usize) -> usize {
        self.before(text, start).first().map_or(start, |lead| lead.start)
    }
}

/// Whether nothing but blanks stands before `offset` on its line.
pub(crate) fn begins_its_line(text: &str, offset: usize) -> bool {
    let head = text.as_bytes().get(..offset).unwrap_or_default();
    let before = head.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
    before.is_none_or(|index| matches!(head[index], b'\n' | b'\r'))
}

/// Turns what the query found into symbols: finds for each what it is defined in.
struct Nesting<'a> {
    language: Language,
    text: &'a str,
    leads: &'a Leads,
}

/// A definition, scope or local region that is open at the present place.
struct Open {
    range: TextRange,
    /// Full name of what is defined in here, if that has one.
    path: Option<String>,
    /// `None` for a scope that is no definition and for a local region.
    kind: Option<SymbolKind>,
    local: bool,
}

impl Nesting<'_> {
    fn symbols(&self, found: Found<'_>) -> Vec<Symbol> {
        let Found { declared, locals, mut wrappers, .. } = found;
        wrappers.sort_unstable_by_key(|range| (range.end, range.start));
        let mut open: Vec<Open> = Vec::new();
        let mut symbols = Vec::new();
        for (range, item) in in_order(declared, locals) {
            // Two names of one declaration have the same range and are not in each other.
            while open.last().is_some_and(|o| o.range.end <= range.start || o.range == range) {
                open.pop();
            }
            let Some(item) = item else {
                let path = open.last().and_then(|outer| outer.path.clone());
                open.push(Open { range, path, kind: None, local: true });
                continue;
            };
            let (name, container) = self.name_and_container(&item, open.last());
            let path = match &container {
                Some(container) => format!("{container}{}{name}", self.language.separator()),
                None => name.to_owned(),
            };
            let kind = item.kind.and_then(|kind| effective_kind(kind, &item, open.last()));
            if let Some(kind) = kind.filter(|_| !matches!(name, "" | "_")) {
                let whole = item.statement.map_or(range, |node| node.byte_range().into());
                let range = unwrapped(&wrappers, self.text, whole);
                symbols.push(self.symbol(&item, kind, range, name, container));
            }
            open.push(Open { range, path: Some(path), kind: item.kind, local: false });
        }
        symbols.sort_by_key(|symbol| symbol.name_range);
        symbols
    }

    /// The name, and the full name of what it is defined in.
    fn name_and_container(
        &self,
        item: &Declared<'_>,
        outer: Option<&Open>,
    ) -> (&str, Option<String>) {
        let outer = outer.and_then(|scope| scope.path.as_deref());
        let separator = self.language.separator();
        let written = item.name.slice(self.text).unwrap_or_default();
        let (own, name) = if item.qualified {
            signature::split_qualified(written, separator)
        } else {
            let own = item.container.map(|node| TextRange::from(node.byte_range()));
            let name = if item.kind.is_none() { signature::bare_type(written) } else { written };
            (own.and_then(|range| range.slice(self.text)), name)
        };
        let container = match (outer, own) {
            (Some(outer), Some(own)) => Some(format!("{outer}{separator}{own}")),
            (outer, own) => own.or(outer).map(str::to_owned),
        };
        // Quotes around a key, the colon of a symbol and the marks behind a heading are no part of
        // the name.
        let name = match item.kind {
            Some(SymbolKind::Heading) => signature::without_closing_marks(name),
            _ => name.trim().trim_matches(['"', '\'']).trim_start_matches(':'),
        };
        (name, container)
    }

    fn symbol(
        &self,
        item: &Declared<'_>,
        kind: SymbolKind,
        range: TextRange,
        name: &str,
        container: Option<String>,
    ) -> Symbol {
        let at = item.name.slice(self.text).and_then(|written| written.rfind(name)).unwrap_or(0);
        let start = item.name.start + at;
        Symbol {
            name: name.to_owned(),
            kind,
            range,
            name_range: TextRange::new(start, start + name.len()),
            container,
            signature: signature::of(self.text, kind, item.node, range),
            doc: signature::doc(self.language, self.text, item.node, range, self.leads),
        }
    }
}

/// Definitions, scopes and local regions (`None`) in the order of their starts, outer before inner,
/// each name once: by the first of the patterns that found it.
fn in_order(
    mut declared: Vec<Declared<'_>>,
    locals: Vec<TextRange>,
) -> Vec<(TextRange, Option<Declared<'_>>)> {
    declared.sort_by_key(|item| (item.name.start, item.kind.is_none(), item.pattern));
    declared.dedup_by_key(|item| (item.name.start, item.kind.is_none()));
    let mut regions: Vec<_> = declared
        .into_iter()
        .map(|item| (TextRange::from(item.node.byte_range()), Some(item)))
        .chain(locals.into_iter().map(|local| (local, None)))
        .collect();
    // The sort is stable, so names of one declaration stay in order.
    regions.sort_by_key(|(range, _)| (range.start, Reverse(range.end)));
    regions
}

/// A function in a type is a method; a variable or constant in a function is nobody's business.
fn effective_kind(
    kind: SymbolKind,
    item: &Declared<'_>,
    around: Option<&Open>,
) -> Option<SymbolKind> {
    let in_type =
        around.is_some_and(|scope| !scope.local && scope.kind.is_none_or(SymbolKind::is_type));
    let hidden =
        around.is_some_and(|scope| scope.local || scope.kind.is_some_and(SymbolKind::is_callable));
    match kind {
        SymbolKind::Function if in_type || item.qualified || item.container.is_some() => {
            Some(SymbolKind::Method)
        }
        SymbolKind::Variable | SymbolKind::Constant if hidden => None,
        // Of a type without a name.
        SymbolKind::Field if around.is_some_and(|scope| scope.local) => None,
        // In a function, what looks like a declaration of another mostly is a variable of C++ with
        // the arguments of its constructor.
        SymbolKind::Function if hidden && signature::body(item.node).is_none() => None,
        SymbolKind::Variable if in_type => Some(SymbolKind::Field),
        _ => Some(kind),
    }
}

/// `range` extended to the outermost wrapper that ends with it, or with the semicolon after it.
/// `wrappers` are sorted by end, then start.
fn unwrapped(wrappers: &[TextRange], text: &str, range: TextRange) -> TextRange {
    let semicolon = text.as_bytes().get(range.end) == Some(&b';');
    let ends = [range.end + 1, range.end];
    for end in &ends[usize::from(!semicolon)..] {
        let first = wrappers.partition_point(|wrapper| wrapper.end < *end);
        if let Some(wrapper) = wrappers.get(first)
            && wrapper.end == *end
            && wrapper.start <= range.start
        {
            return *wrapper;
        }
    }
    range
}
