use std::{ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};
use text::TextRange;
use thiserror::Error;

use crate::documentation::is_documentation;

/// Which signals take part in a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// All that there are.
    #[default]
    Hybrid,
    /// Words alone.
    Lexical,
    /// Meaning: words with their common variants, and vectors where there are any.
    Semantic,
    /// Names of definitions alone.
    Symbol,
}

/// A mode that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown search mode {0:?}; use hybrid, lexical, semantic or symbol")]
pub struct UnknownMode(String);

impl SearchMode {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Hybrid, "hybrid"),
        (Self::Lexical, "lexical"),
        (Self::Semantic, "semantic"),
        (Self::Symbol, "symbol"),
    ];

    /// Its name on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for SearchMode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(mode, _)| *mode).ok_or_else(|| UnknownMode(name.to_owned()))
    }
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    /// A question, words, an identifier or a path.
    pub text: String,
    /// Most hits wanted.
    pub limit: usize,
    /// Which signals take part.
    pub mode: SearchMode,
    /// Only files under these relative paths; all when empty.
    pub within: Vec<String>,
    /// Only [documentation](crate::is_documentation), and what is `within`.
    pub documentation: bool,
    /// Files that are open or mentioned: they and their neighbours stand a little higher.
    pub near: Vec<String>,
}

impl Default for SearchQuery {
    fn default() -> Self {
        Self {
            text: String::new(),
            limit: 10,
            mode: SearchMode::Hybrid,
            within: Vec::new(),
            documentation: false,
            near: Vec::new(),
        }
    }
}

impl SearchQuery {
    /// Whether not every file may be found.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.within.is_empty() || self.documentation
    }

    /// Whether a file may be found.
    pub(crate) fn accepts(&self, path: &str) -> bool {
        if !self.is_filtered() {
            return true;
        }
        self.within.iter().any(|folder| is_under(path, folder))
            || self.documentation && is_documentation(path)
    }
}

/// Whether a path is that of a folder or lies in it.
pub(crate) fn is_under(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A place that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The file, relative to the workspace; absolute, with `/`, in a folder of
    /// [documentation](crate::DocumentationFolders) outside of it.
    pub path: String,
    /// Its bytes in the current text.
    pub range: TextRange,
    /// Its zero-based lines, the end not included.
    pub lines: Range<u32>,
    /// What is defined there.
    pub symbol: Option<String>,
    /// The kind of that.
    pub kind: Option<String>,
    /// What that is defined in.
    pub container: Option<String>,
    /// Rank within this answer; comparable in one answer only.
    pub score: f32,
    /// Which signals found it: `lexical`, `symbol`, `path`.
    pub sources: Vec<&'static str>,
    /// The text at `range`.
    pub text: String,
    /// How much of what is rare in the question occurs here, from 0 to 1.
    pub support: f32,
    /// How near it is in meaning by the first tier of vectors: a cosine.
    pub nearness: f32,
}
