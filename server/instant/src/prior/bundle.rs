//! The priors that come with the program.

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

/// A prior for each language that has one, read when it is first asked for.
#[derive(Default)]
pub struct Priors {
    files: [Option<Cow<'static, [u8]>>; PriorLanguage::ALL.len()],
    read: [OnceLock<Result<Prior, PriorError>>; PriorLanguage::ALL.len()],
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
    pub fn with(self, language: PriorLanguage, file: impl Into<Cow<'static, [u8]>>) -> Self {
        let (mut files, mut read) = (self.files, self.read);
        let index = language as usize;
        if let (Some(slot), Some(read)) = (files.get_mut(index), read.get_mut(index)) {
            *slot = Some(file.into());
            *read = OnceLock::new();
        }
        Self { files, read }
    }

    /// The prior of a language; `Ok(None)` when there is none. One that cannot be used says why, and once in
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

    /// The prior for a file; none when there is none or it cannot be used.
    pub(crate) fn of_path(&self, path: &str) -> Option<&Prior> {
        self.get(PriorLanguage::of_path(path)?).ok().flatten()
    }
}
