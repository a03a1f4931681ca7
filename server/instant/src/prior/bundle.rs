//! The priors of all languages: those that come with the program, and those that were learnt for the
//! workspace.

use std::{borrow::Cow, sync::OnceLock};

use super::{Prior, PriorError};

/// Languages that may have a prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorLanguage {
    /// Python.
    Python,
    /// Rust.
    Rust,
    /// TypeScript and JavaScript.
    TypeScript,
    /// Go.
    Go,
}

impl PriorLanguage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Python, Self::Rust, Self::TypeScript, Self::Go];

    /// The language of a file by the end of its path.
    pub fn of_path(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        match extension {
            "py" | "pyi" => Some(Self::Python),
            "rs" => Some(Self::Rust),
            "ts" | "tsx" | "mts" | "cts" | "js" | "jsx" | "mjs" | "cjs" => Some(Self::TypeScript),
            "go" => Some(Self::Go),
            _ => None,
        }
    }

    /// Its name in lower case, which is that of its file, too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Rust => "rust",
            Self::TypeScript => "typescript",
            Self::Go => "go",
        }
    }
}

/// The priors for one document: the language's, and the workspace's.
pub(crate) type PriorsOfFile<'p> = [Option<&'p Prior>; 2];
/// The place of the workspace's among them.
pub(crate) const ADAPTED: usize = 1;

/// A prior for each language that has one, read when it is first asked for, and those that were learnt
/// for the workspace.
#[derive(Clone, Default)]
pub struct Priors {
    files: [Option<Cow<'static, [u8]>>; PriorLanguage::ALL.len()],
    read: [OnceLock<Result<Prior, PriorError>>; PriorLanguage::ALL.len()],
    adapted: [Option<Prior>; PriorLanguage::ALL.len()],
}

impl Priors {
    /// Those that come with the program.
    pub fn bundled() -> Self {
        Self::none()
            .with(
                PriorLanguage::Python,
                include_bytes!("../../../../models/priors/python.bin").as_slice(),
            )
            .with(
                PriorLanguage::Rust,
                include_bytes!("../../../../models/priors/rust.bin").as_slice(),
            )
            .with(
                PriorLanguage::TypeScript,
                include_bytes!("../../../../models/priors/typescript.bin").as_slice(),
            )
    }

    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with another file for a language, given as its bytes.
    #[must_use]
    pub fn with(mut self, language: PriorLanguage, file: impl Into<Cow<'static, [u8]>>) -> Self {
        let index = language as usize;
        if let (Some(slot), Some(read)) = (self.files.get_mut(index), self.read.get_mut(index)) {
            *slot = Some(file.into());
            *read = OnceLock::new();
        }
        self
    }

    /// The same with a prior that was learnt for the workspace; it is mixed with the language's own.
    #[must_use]
    pub fn with_adapted(mut self, language: PriorLanguage, prior: Prior) -> Self {
        if let Some(slot) = self.adapted.get_mut(language as usize) {
            *slot = Some(prior);
        }
        self
    }

    /// The program's prior of a language; `Ok(None)` when there is none. One that cannot be used says why, and once in
    /// the log.
    pub fn get(&self, language: PriorLanguage) -> Result<Option<&Prior>, &PriorError> {
        let index = language as usize;
        let (Some(Some(file)), Some(read)) = (self.files.get(index), self.read.get(index)) else {
            return Ok(None);
        };
        let read = read.get_or_init(|| {
            let prior = Prior::read(file.clone());
            if let Err(error) = &prior {
                tracing::warn!(language = language.name(), %error, "completing without a prior");
            }
            prior
        });
        read.as_ref().map(Some)
    }

    /// The priors for a file, without one that cannot be used.
    pub(crate) fn of_path(&self, path: &str) -> PriorsOfFile<'_> {
        let Some(language) = PriorLanguage::of_path(path) else { return [None, None] };
        let adapted = self.adapted.get(language as usize).and_then(Option::as_ref);
        [self.get(language).ok().flatten(), adapted]
    }
}
