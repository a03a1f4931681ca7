//! How much the use of a name says about where it leads. Chosen by hand after the repository map of
//! aider; what is rare, long and put together from several words says more.

use indexer::Uses;
use syntax::SymbolKind;

/// A name that more files define leads nowhere, even sooner where nothing says that the file knows
/// one of them.
pub(crate) const MOST_DEFINITIONS: usize = 12;
pub(crate) const MOST_STRANGERS: usize = 4;
/// The rank of a file goes to so many others at most: those that it uses most.
pub(crate) const MOST_EDGES: usize = 64;
/// Of a name that more files define only those that are imported are looked at.
pub(crate) const LOOKED_AT: usize = 256;
/// A name of a file that is imported, or of one in a package that is imported.
pub(crate) const IMPORTED: f32 = 4.0;
pub(crate) const OF_PACKAGE: f32 = 2.0;
/// The import itself.
pub(crate) const IMPORT: f32 = 1.0;

const COMPOUND: f32 = 3.0;
const SHORT: f32 = 0.3;
const PRIVATE: f32 = 0.1;
const SHORT_LETTERS: usize = 4;
// Standard libraries have `is_empty`, `into_iter` and `to_string`.
const COMPOUND_LETTERS: usize = 10;

/// Languages whose files use each other's names are one family.
pub(crate) fn family(language: &str) -> &str {
    match language {
        "cpp" => "c",
        "tsx" | "typescript" | "html" => "javascript",
        other => other,
    }
}

/// Whether files of one folder see each other's names without an import.
pub(crate) fn folder_is_package(language: &str) -> bool {
    matches!(language, "go" | "java" | "csharp")
}

/// Whether a language's files take part: prose and data define no names that code uses.
pub(crate) fn takes_part(language: &str) -> bool {
    !matches!(language, "markdown" | "json" | "toml" | "yaml")
}

/// What is left of a use where nothing says that the file knows the definition: in these languages
/// functions and types must be imported, while a method comes with its object.
pub(crate) fn of_stranger(language: &str, kind: SymbolKind) -> f32 {
    match language {
        "rust" | "python" | "javascript" | "typescript" | "tsx" => match kind {
            SymbolKind::Method | SymbolKind::Field | SymbolKind::Variant => 0.4,
            _ => 0.15,
        },
        _ => 1.0,
    }
}

/// How much of a definition is left to others by what it says of itself.
pub(crate) fn of_exposure(language: &str, kind: SymbolKind, name: &str, signature: &str) -> f32 {
    const HIDDEN: f32 = 0.05;
    const PERHAPS: f32 = 0.3;
    let says = |word: &str| signature.split_whitespace().any(|known| known == word);
    match language {
        // What a trait asks for, and gives, is never called public.
        "rust" if !signature.starts_with("pub") => match kind {
            SymbolKind::Method => PERHAPS,
            SymbolKind::Macro | SymbolKind::Variant => 1.0,
            _ => HIDDEN,
        },
        "c" | "cpp" if kind == SymbolKind::Function && says("static") => HIDDEN,
        "java" | "csharp" | "typescript" | "tsx" | "php" if says("private") => HIDDEN,
        "go" if name.starts_with(char::is_lowercase) => PERHAPS,
        _ => 1.0,
    }
}

/// How telling a name is by its looks.
pub(crate) fn of_name(name: &str) -> f32 {
    let bare = name.trim_start_matches(['_', '#', '$', '@']);
    let mut weight = 1.0;
    if bare.len() < SHORT_LETTERS {
        weight *= SHORT;
    } else if bare.len() >= COMPOUND_LETTERS && is_compound(bare) {
        weight *= COMPOUND;
    }
    if name.starts_with(['_', '#']) {
        weight *= PRIVATE;
    }
    weight
}

fn is_compound(name: &str) -> bool {
    let inner = name.get(1..).unwrap_or_default();
    inner.contains(['_', '-'])
        || inner
            .as_bytes()
            .windows(2)
            .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

/// How much a definition of this kind attracts; nothing where it is no target.
pub(crate) fn of_kind(kind: SymbolKind, name: &str) -> f32 {
    match kind {
        SymbolKind::Function
        | SymbolKind::Class
        | SymbolKind::Struct
        | SymbolKind::Enum
        | SymbolKind::Interface
        | SymbolKind::Trait
        | SymbolKind::Type
        | SymbolKind::Macro => 1.0,
        // `map`, `filter` and `join` are methods of everything.
        SymbolKind::Method if !is_compound(name) => 0.15,
        SymbolKind::Method | SymbolKind::Constant => 0.6,
        SymbolKind::Variable => 0.3,
        SymbolKind::Variant | SymbolKind::Field => 0.15,
        SymbolKind::Module => 0.1,
        SymbolKind::Heading => 0.0,
    }
}

/// How often the uses can mean a definition of this kind.
pub(crate) fn fitting(uses: Uses, kind: SymbolKind) -> u32 {
    let Uses { implements, calls, types, others } = uses;
    match kind {
        SymbolKind::Class | SymbolKind::Struct => uses.total(),
        SymbolKind::Enum | SymbolKind::Interface | SymbolKind::Trait | SymbolKind::Type => {
            implements + types + others
        }
        SymbolKind::Function | SymbolKind::Macro | SymbolKind::Variant => calls + others,
        SymbolKind::Method => calls,
        SymbolKind::Field => others,
        SymbolKind::Constant | SymbolKind::Variable => calls + types + others,
        SymbolKind::Module => types + others,
        SymbolKind::Heading => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_of_several_words_say_most() {
        assert!(of_name("parse_header") > of_name("header"));
        assert!(of_name("parseHeader") > of_name("PARSEHEADER"));
        assert!(of_name("header") > of_name("new"));
        assert!(of_name("_private_header") < of_name("header"));
        assert!(of_name("é").is_finite());
    }

    #[test]
    fn what_is_hidden_attracts_little() {
        let check = |language, kind, signature, expected: f32| {
            let found = of_exposure(language, kind, "name", signature);
            assert!((found - expected).abs() < 1e-6, "{signature}: {found}");
        };
        check("rust", SymbolKind::Function, "pub(crate) fn name()", 1.0);
        check("rust", SymbolKind::Function, "fn name()", 0.05);
        check("rust", SymbolKind::Method, "fn name(&self)", 0.3);
        check("c", SymbolKind::Function, "static int name(void)", 0.05);
        check("typescript", SymbolKind::Method, "private name()", 0.05);
        check("go", SymbolKind::Function, "func name()", 0.3);
        check("python", SymbolKind::Function, "def name()", 1.0);
    }

    #[test]
    fn a_type_is_not_meant_by_a_method_call() {
        let call = Uses { calls: 2, ..Uses::default() };
        assert_eq!(fitting(call, SymbolKind::Trait), 0);
        assert_eq!(fitting(call, SymbolKind::Method), 2);
        assert_eq!(fitting(call, SymbolKind::Class), 2, "it may be a constructor");
    }
}
