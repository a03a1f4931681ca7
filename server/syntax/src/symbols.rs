use serde::{Deserialize, Serialize};
use text::TextRange;

use crate::Syntax;

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolKind {
    /// A function that belongs to no type.
    Function,
    /// A function of a type, constructors included.
    Method,
    /// A class.
    Class,
    /// A structure, record or union.
    Struct,
    /// An enumeration.
    Enum,
    /// One case of an enumeration.
    Variant,
    /// An interface.
    Interface,
    /// A trait or concept.
    Trait,
    /// A module, namespace or package.
    Module,
    /// A value that does not change.
    Constant,
    /// A variable that outlives a function.
    Variable,
    /// A field or property of a type.
    Field,
    /// Another name for a type.
    Type,
    /// A macro.
    Macro,
    /// A heading of a document; its range is the section.
    Heading,
}

impl SymbolKind {
    const ALL: [(Self, &'static str); 15] = [
        (Self::Function, "function"),
        (Self::Method, "method"),
        (Self::Class, "class"),
        (Self::Struct, "struct"),
        (Self::Enum, "enum"),
        (Self::Variant, "variant"),
        (Self::Interface, "interface"),
        (Self::Trait, "trait"),
        (Self::Module, "module"),
        (Self::Constant, "constant"),
        (Self::Variable, "variable"),
        (Self::Field, "field"),
        (Self::Type, "type"),
        (Self::Macro, "macro"),
        (Self::Heading, "heading"),
    ];

    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Whether functions in it are its methods.
    pub fn is_type(self) -> bool {
        matches!(self, Self::Class | Self::Struct | Self::Enum | Self::Interface | Self::Trait)
    }

    /// Whether its body runs, so that variables in it are its own.
    pub fn is_callable(self) -> bool {
        matches!(self, Self::Function | Self::Method | Self::Macro)
    }
}

impl std::fmt::Display for SymbolKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// The name alone, as written.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// The whole definition with its modifiers and decorators, without the comment before it.
    pub range: TextRange,
    /// Where the name stands.
    pub name_range: TextRange,
    /// Names of what it is defined in, outermost first, joined as the language joins them.
    pub container: Option<String>,
    /// The definition without its body, on one line, at most 240 bytes.
    pub signature: String,
    /// Its documentation without comment marks, at most 1,000 bytes.
    pub doc: Option<String>,
}

/// The definitions in `text`, which must be the text that was parsed, in the order of their names'
/// places. Variables and constants inside functions are left out.
pub fn symbols(syntax: &Syntax, text: &str) -> Vec<Symbol> {
    syntax.outline(text).symbols.clone()
}

/// The definitions around `offset`, outermost first. An offset at either end of a definition
/// counts as inside.
pub fn enclosing(syntax: &Syntax, text: &str, offset: usize) -> Vec<Symbol> {
    let mut around: Vec<Symbol> = syntax
        .outline(text)
        .symbols
        .iter()
        .filter(|symbol| symbol.range.touches(offset))
        .cloned()
        .collect();
    around.sort_by_key(|symbol| (symbol.range.start, std::cmp::Reverse(symbol.range.end)));
    around
}
