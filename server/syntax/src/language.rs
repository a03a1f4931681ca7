use std::sync::OnceLock;

use serde::Deserialize;

use crate::declarations::Declarations;

/// A language of the registry. Copies freely; all data behind it is static.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language(usize);

/// What is built into the program for one language.
struct Source {
    /// `language.toml`.
    toml: &'static str,
    /// `tags.scm` of the language, after those that it builds on.
    tags: &'static [&'static str],
    /// `references.scm`, likewise.
    references: &'static [&'static str],
    /// `chunks.scm`, likewise.
    chunks: &'static [&'static str],
    /// The generated parser.
    parser: fn() -> tree_sitter::Language,
}

macro_rules! query_files {
    ($file:literal: $($folder:literal)*) => {
        &[$(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../../grammars/", $folder, "/", $file
        ))),*]
    };
}

/// One line for each language: its folder, the folders whose queries it builds on, its parser.
macro_rules! languages {
    ($($folder:literal $(on $base:literal)*: $parser:expr;)*) => {
        &[$(Source {
            toml: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/../../grammars/", $folder, "/language.toml"
            )),
            tags: query_files!("tags.scm": $($base)* $folder),
            references: query_files!("references.scm": $($base)* $folder),
            chunks: query_files!("chunks.scm": $($base)* $folder),
            parser: || $parser.into(),
        }),*]
    };
}

static SOURCES: &[Source] = languages! {
    "bash": tree_sitter_bash::LANGUAGE;
    "c": tree_sitter_c::LANGUAGE;
    "cpp" on "c": tree_sitter_cpp::LANGUAGE;
    "csharp": tree_sitter_c_sharp::LANGUAGE;
    "css": tree_sitter_css::LANGUAGE;
    "go": tree_sitter_go::LANGUAGE;
    "html": tree_sitter_html::LANGUAGE;
    "java": tree_sitter_java::LANGUAGE;
    "javascript" on "ecma": tree_sitter_javascript::LANGUAGE;
    "json": tree_sitter_json::LANGUAGE;
    "markdown": tree_sitter_md::LANGUAGE;
    "notebook": tree_sitter_json::LANGUAGE;
    "php": tree_sitter_php::LANGUAGE_PHP;
    "python": tree_sitter_python::LANGUAGE;
    "ruby": tree_sitter_ruby::LANGUAGE;
    "rust": tree_sitter_rust::LANGUAGE;
    "toml": tree_sitter_toml_ng::LANGUAGE;
    "tsx" on "ecma" on "typescript": tree_sitter_typescript::LANGUAGE_TSX;
    "typescript" on "ecma": tree_sitter_typescript::LANGUAGE_TYPESCRIPT;
    "yaml": tree_sitter_yaml::LANGUAGE;
};

/// The contents of a `language.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    name: String,
    /// File name extensions without the dot, in lower case.
    extensions: Vec<String>,
    /// Whole file names.
    #[serde(default)]
    files: Vec<String>,
    /// Programs that a `#!` line may name.
    #[serde(default)]
    shebangs: Vec<String>,
    /// Language identifiers of the language server protocol.
    language_ids: Vec<String>,
    line_comment: Option<String>,
    /// Opening and closing token of a comment that may span lines.
    block_comment: Option<(String, String)>,
    /// What stands between a container and its member in a qualified name.
    pub(crate) separator: String,
    /// Whether documentation is the first string of a body, not the comment before it.
    #[serde(default)]
    pub(crate) docstrings: bool,
    /// Whether files carry data between what people wrote, such as the pictures of a notebook.
    #[serde(default)]
    carries_data: bool,
    pub(crate) nodes: NodeKinds,
}

/// Kinds of syntax nodes that carry no code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeKinds {
    pub(crate) comments: Vec<String>,
    pub(crate) strings: Vec<String>,
    /// Code inside a string.
    #[serde(default)]
    pub(crate) interpolations: Vec<String>,
}

/// Everything known of a language once it has been used.
struct Entry {
    config: Config,
    parser: OnceLock<tree_sitter::Language>,
    declarations: OnceLock<Declarations>,
}

fn registry() -> &'static [Entry] {
    static REGISTRY: OnceLock<Vec<Entry>> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        SOURCES
            .iter()
            .map(|source| Entry {
                config: toml::from_str(source.toml).expect("each language.toml is tested"),
                parser: OnceLock::new(),
                declarations: OnceLock::new(),
            })
            .collect()
    })
}

impl Language {
    /// All languages, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SOURCES.len()).map(Self)
    }

    /// The language called `name` in the registry, such as `python`.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::all().find(|language| language.name() == name)
    }

    /// The language of a file by its name alone. Only the last part of the path is looked at.
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        Self::all()
            .find(|language| language.config().files.iter().any(|file| file == name))
            .or_else(|| {
                let extension = extension?;
                Self::all().find(|language| language.config().extensions.contains(&extension))
            })
    }

    /// The language of a file by its name and, where the name says nothing or too little, by its
    /// first lines: a `#!` line, and C++ in a header called `.h`.
    pub fn of_file(path: &str, text: &str) -> Option<Self> {
        match Self::of_path(path) {
            None => Self::of_shebang(text),
            Some(language) if language.name() == "c" && looks_like_cpp(text) => {
                Self::of_name("cpp").or(Some(language))
            }
            found => found,
        }
    }

    /// The language that an editor calls `id`, such as `typescriptreact`.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::all().find(|language| language.config().language_ids.iter().any(|known| known == id))
    }

    fn of_shebang(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("#!")?;
        let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
        let program = words.find(|word| *word != "env" && !word.starts_with('-'))?;
        let bare = program.trim_end_matches(|ch: char| ch.is_ascii_digit() || ch == '.');
        Self::all().find(|language| language.config().shebangs.iter().any(|known| known == bare))
    }

    /// The name in the registry: lower case, no spaces, never changes.
    pub fn name(self) -> &'static str {
        &self.config().name
    }

    /// File name extensions without the dot, in lower case.
    pub fn extensions(self) -> &'static [String] {
        &self.config().extensions
    }

    /// What the language server protocol calls the language; the first is the usual one.
    pub fn language_ids(self) -> &'static [String] {
        &self.config().language_ids
    }

    /// What begins a comment that ends with its line.
    pub fn line_comment(self) -> Option<&'static str> {
        self.config().line_comment.as_deref()
    }

    /// What begins and what ends a comment that may span lines.
    pub fn block_comment(self) -> Option<(&'static str, &'static str)> {
        let (open, close) = self.config().block_comment.as_ref()?;
        Some((open, close))
    }

    /// What stands between a container and its member in a qualified name.
    pub fn separator(self) -> &'static str {
        &self.config().separator
    }

    /// Whether files carry data between what people wrote, such as the pictures of a notebook: long
    /// lines and megabytes are no sign of a file that nobody wrote.
    pub fn carries_data(self) -> bool {
        self.config().carries_data
    }

    pub(crate) fn config(self) -> &'static Config {
        &self.entry().config
    }

    pub(crate) fn parser(self) -> &'static tree_sitter::Language {
        self.entry().parser.get_or_init(SOURCES[self.0].parser)
    }

    /// The compiled queries. Compiling takes milliseconds and happens once.
    pub(crate) fn declarations(self) -> &'static Declarations {
        self.entry().declarations.get_or_init(|| {
            let source = &SOURCES[self.0];
            let files = [source.tags, source.references, source.chunks].concat();
            Declarations::compile(self.parser(), &files)
                .expect("each query is tested against its parser")
        })
    }

    fn entry(self) -> &'static Entry {
        &registry()[self.0]
    }
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Language").field(&self.name()).finish()
    }
}

/// Whether a header uses what C does not have. Only the first 200 lines are looked at, which is
/// past the licence and the includes of any common header.
fn looks_like_cpp(text: &str) -> bool {
    const STARTS: [&str; 9] = [
        "class ",
        "namespace ",
        "template<",
        "template <",
        "using ",
        "public:",
        "private:",
        "protected:",
        "constexpr ",
    ];
    text.lines().take(200).any(|line| {
        let line = line.trim_start();
        STARTS.iter().any(|start| line.starts_with(start)) || line.contains("std::")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: Option<&str>) {
        assert_eq!(Language::of_file(path, text).map(Language::name), expected, "{path}");
    }

    #[test]
    fn languages_are_in_order_and_their_queries_compile() {
        let names: Vec<&str> = Language::all().map(Language::name).collect();
        assert!(names.is_sorted());
        for language in Language::all() {
            language.declarations();
            assert_eq!(Language::of_name(language.name()), Some(language));
            for id in language.language_ids() {
                assert_eq!(Language::of_id(id), Some(language));
            }
        }
    }

    #[test]
    fn a_file_is_known_by_its_extension() {
        check("src/main.rs", "", Some("rust"));
        check("a/b/Component.TSX", "", Some("tsx"));
        check("windows\\path\\x.py", "", Some("python"));
        check("README.md", "", Some("markdown"));
        check("rs", "", None);
        check("dir.rs/file", "", None);
    }

    #[test]
    fn a_script_is_known_by_its_first_line() {
        check("bin/tool", "#!/usr/bin/env python3\n", Some("python"));
        check("bin/tool", "#!/usr/bin/python3.11 -u\n", Some("python"));
        check("bin/tool", "#!/usr/bin/env -S node --flag\n", Some("javascript"));
        check("bin/tool", "#!", None);
    }

    #[test]
    fn a_header_is_cpp_when_it_uses_cpp() {
        check("x.h", "#pragma once\nint f(void);\n", Some("c"));
        check("x.h", "#pragma once\n  class Foo {\n", Some("cpp"));
    }
}
