//! Reads the header of a GGUF file in Rust, so that nothing malformed reaches native code.
//!
//! The file may be hostile: every count, length and offset is bounded before it is used, nothing is
//! allocated in proportion to a number that the file merely claims, and the tensors must lie inside
//! the file. The tensors' contents are not looked at.

mod header;
mod read;
mod tensors;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use thiserror::Error;

pub use header::{AdapterHeader, FimIds, GgufHeader};

/// Why a file is not a model that the engine may see.
#[derive(Debug, Error)]
pub enum GgufError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is something else.
    #[error("it is not a GGUF file but {found}; {advice}")]
    NotGguf {
        /// What its first bytes look like.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The version of the format is not known.
    #[error("it is GGUF version {version} and this program reads 2 and 3; {advice}")]
    Version {
        /// The file's version.
        version: u32,
        /// What to do.
        advice: &'static str,
    },
    /// A tensor has a type that is unknown or was withdrawn.
    #[error("its tensor {tensor:?} has the type {kind}, which this program cannot run; {advice}")]
    TensorType {
        /// The tensor's name.
        tensor: String,
        /// Number of the type in ggml.
        kind: u32,
        /// What to do.
        advice: &'static str,
    },
    /// The file ends too early.
    #[error("it ends inside {within}: the download or copy was cut short; get the file again")]
    Truncated {
        /// What was being read.
        within: &'static str,
    },
    /// A number or name makes no sense.
    #[error("it is damaged: {0}; get the file again")]
    Damaged(String),
}

/// Reads and checks the header of the file at `path`. Costs milliseconds, whatever the file's size.
pub fn inspect(path: &Path) -> Result<GgufHeader, GgufError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(GgufError::NotGguf {
            found: "a folder or a device",
            advice: "name the .gguf file itself",
        });
    }
    header::parse(&mut BufReader::with_capacity(1 << 18, file), metadata.len())
}

/// Reads a header from bytes that stand for a file of `file_bytes`.
pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<GgufHeader, GgufError> {
    header::parse(&mut io::Cursor::new(bytes), file_bytes)
}
