use streaming_iterator::StreamingIterator;
use text::TextRange;
use tree_sitter::{Node, Query, QueryCursor, QueryError, Tree};

use crate::{ReferenceKind, SymbolKind, declarator, references::ImportPart};

/// How many matches of a query may be in progress at once. Beyond it the earliest are given up,
/// which bounds memory on hostile input; real code stays far below.
const MATCH_LIMIT: u32 = 4096;

/// The compiled `tags.scm`, `references.scm` and `chunks.scm` of a language: one query, so that one
/// walk over the tree answers them all.
///
/// Captures of `tags.scm`:
/// - `@definition.<kind>`: the whole definition, with `@name` (or `@qualified`, whose last part is
///   the name and whose rest is the container). Where several patterns name one node, the first in
///   the file wins.
///   A name of several nodes reaches from the first to the last.
/// - `@assigned`: a name with the `=` and the value behind it, where the grammar keeps them in one word.
/// - `@declarator`: instead of a name, a declarator of the C family, in which the name lies.
/// - `@statement`: the range of the definition, where that is more than what it contains.
/// - `@container`: the name of the container, where nesting does not tell it.
/// - `@scope`: a container that is no definition itself, with its `@name`.
/// - `@local`: variables and constants in here are seen by nobody outside.
/// - `@wrapper`: belongs to the definition that it ends with (`export`, decorators, `template`).
/// - `@comment`, `@attribute`: belong to what follows them.
/// - `@_…`: for predicates only.
///
/// Captures of `references.scm`:
/// - `@reference.<kind>`: a name that is used. Where several patterns find one name, the kind that
///   says most counts.
/// - `@binding`: the name of a parameter or of a variable in a function. Where such a name is used
///   as a plain value, nothing outside the file is meant.
/// - `@import.path`, `@import.name`: what is imported from where; `@import` is the statement that
///   joins them.
/// - `@import.tree`: a statement that imports several paths with a common beginning.
/// - `@import.module`: a part of the same module that stands in a file of its own.
///
/// Captures of `chunks.scm`: `@unit`, what may stand in a chunk of its own; `@omit`, what is too long to be
/// read and says nothing, such as a picture in a notebook.
pub(crate) struct Declarations {
    query: Query,
    roles: Vec<Role>,
}

/// What a capture says of its node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Definition(SymbolKind),
    Name,
    Assigned,
    Qualified,
    Declarator,
    Statement,
    Container,
    Scope,
    Local,
    Wrapper,
    Lead,
    Unit,
    Omit,
    Reference(ReferenceKind),
    Binding,
    Import,
    ImportPath,
    ImportName,
    ImportTree,
    ImportModule,
    Predicate,
}

/// One definition or scope as the query found it.
pub(crate) struct Declared<'tree> {
    /// The whole node.
    pub(crate) node: Node<'tree>,
    /// `None` for a scope that is no definition.
    pub(crate) kind: Option<SymbolKind>,
    pub(crate) name: TextRange,
    /// Whether `name` holds the container too.
    pub(crate) qualified: bool,
    /// The statement that it is declared by, where other names are too.
    pub(crate) statement: Option<Node<'tree>>,
    pub(crate) container: Option<Node<'tree>>,
    /// Position of the pattern in its query: the smaller wins.
    pub(crate) pattern: usize,
}

/// All that the queries find in one tree, in no particular order.
#[derive(Default)]
pub(crate) struct Found<'tree> {
    pub(crate) declared: Vec<Declared<'tree>>,
    pub(crate) locals: Vec<TextRange>,
    pub(crate) wrappers: Vec<TextRange>,
    pub(crate) leads: Vec<TextRange>,
    pub(crate) units: Vec<TextRange>,
    pub(crate) omits: Vec<TextRange>,
    pub(crate) references: Vec<(TextRange, ReferenceKind)>,
    pub(crate) bindings: Vec<TextRange>,
    pub(crate) imports: Vec<ImportPart>,
}

impl Declarations {
    /// Compiles the queries. Fails on a query that does not fit the parser.
    pub(crate) fn compile(
        parser: &tree_sitter::Language,
        sources: &[&str],
    ) -> Result<Self, QueryError> {
        let query = Query::new(parser, &sources.join("\n"))?;
        let roles = query.capture_names().iter().map(|name| Role::of(name)).collect();
        Ok(Self { query, roles })
    }

    /// Runs the queries over a tree of `text`.
    pub(crate) fn find<'tree>(&self, tree: &'tree Tree, text: &str) -> Found<'tree> {
        let mut found = Found::default();
        let mut cursor = QueryCursor::new();
        cursor.set_match_limit(MATCH_LIMIT);
        let mut matches = cursor.matches(&self.query, tree.root_node(), text.as_bytes());
        while let Some(item) = matches.next() {
            let mut whole = None;
            let (mut name, mut qualified) = (None, false);
            let (mut statement, mut container, mut is_function) = (None, None, false);
            let (mut import, mut part) = (None, None);
            for capture in item.captures() {
                let range = || TextRange::from(capture.node.byte_range());
                match self.roles[capture.index as usize] {
                    Role::Definition(kind) => whole = Some((capture.node, Some(kind))),
                    Role::Scope => whole = Some((capture.node, None)),
                    Role::Name => {
                        let start = name.map_or(range().start, |first: TextRange| first.start);
                        name = Some(TextRange::new(start, range().end));
                    }
                    Role::Assigned => {
                        let word = range().slice(text).unwrap_or_default();
                        let end = word.find('=').map(|length| range().start + length);
                        name = end.map(|end| TextRange::new(range().start, end));
                    }
                    Role::Qualified => (name, qualified) = (Some(range()), true),
                    Role::Declarator => {
                        let Some(declared) = declarator::name(capture.node) else { continue };
                        (name, qualified) = (Some(declared.range), declared.qualified);
                        is_function = declared.is_function;
                    }
                    Role::Statement => statement = Some(capture.node),
                    Role::Container => container = Some(capture.node),
                    Role::Local => found.locals.push(range()),
                    Role::Wrapper => found.wrappers.push(range()),
                    Role::Lead => found.leads.push(range()),
                    Role::Unit => found.units.push(range()),
                    Role::Omit => found.omits.push(range()),
                    Role::Reference(kind) => found.references.push((range(), kind)),
                    Role::Binding => found.bindings.push(range()),
                    Role::Import => import = Some(capture.node.start_byte()),
                    Role::ImportPath => part = Some(ImportPart::path(range())),
                    Role::ImportName => part = Some(ImportPart::name(range())),
                    Role::ImportTree => part = Some(ImportPart::tree(range())),
                    Role::ImportModule => part = Some(ImportPart::module(range())),
                    Role::Predicate => {}
                }
            }
            if let Some(part) = part {
                found.imports.push(part.of_statement(import));
            }
            if let (Some((node, kind)), Some(name)) = (whole, name) {
                let kind = match kind {
                    Some(SymbolKind::Variable | SymbolKind::Field) if is_function => {
                        Some(SymbolKind::Function)
                    }
                    kind => kind,
                };
                let pattern = item.pattern_index;
                found.declared.push(Declared {
                    node,
                    kind,
                    name,
                    qualified,
                    statement,
                    container,
                    pattern,
                });
            }
        }
        found
    }
}

impl Role {
    fn of(capture: &str) -> Self {
        match capture {
            "name" => Self::Name,
            "assigned" => Self::Assigned,
            "qualified" => Self::Qualified,
            "declarator" => Self::Declarator,
            "statement" => Self::Statement,
            "container" => Self::Container,
            "scope" => Self::Scope,
            "local" => Self::Local,
            "wrapper" => Self::Wrapper,
            "comment" | "attribute" => Self::Lead,
            "unit" => Self::Unit,
            "omit" => Self::Omit,
            "binding" => Self::Binding,
            "import" => Self::Import,
            "import.path" => Self::ImportPath,
            "import.name" => Self::ImportName,
            "import.tree" => Self::ImportTree,
            "import.module" => Self::ImportModule,
            other if other.starts_with('_') => Self::Predicate,
            other => other
                .strip_prefix("definition.")
                .and_then(SymbolKind::of_name)
                .map(Self::Definition)
                .or_else(|| {
                    let kind = other.strip_prefix("reference.")?;
                    ReferenceKind::of_name(kind).map(Self::Reference)
                })
                .expect("each query is tested to use the captures listed here"),
        }
    }
}
