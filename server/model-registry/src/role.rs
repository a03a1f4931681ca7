use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a model is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Ghost text: a base model with fill-in-the-middle tokens.
    Completion,
    /// Answers in the chat: a model trained on instructions.
    Chat,
    /// Edits of a selection.
    Edit,
    /// Vectors for semantic search.
    Embedding,
    /// Order of search results: a cross-encoder.
    Rerank,
    /// Not a model but the library that runs the embedding model.
    Runtime,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Completion, Self::Chat, Self::Edit, Self::Embedding, Self::Rerank, Self::Runtime];

    /// The name in commands, files and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completion => "completion",
            Self::Chat => "chat",
            Self::Edit => "edit",
            Self::Embedding => "embedding",
            Self::Rerank => "rerank",
            Self::Runtime => "runtime",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|role| role.as_str()).collect();
            format!("{name:?} is none of {}", names.join(", "))
        })
    }
}

/// The roles as one phrase.
pub(crate) fn phrase(roles: &[Role]) -> String {
    let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
    names.join(", ")
}
