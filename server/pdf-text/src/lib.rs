//! The text of PDF files, page by page (owns the PDF library).
//!
//! A PDF may be damaged or made to do harm: unpacked it may fill any memory, and interpreting it may
//! never end. So a program reads it in a [child process](ProcessReader) with bounds on time and
//! memory, which [`serve_stdio`] is the other end of; [`extract`] itself runs there and in tests.
//!
//! Nothing here looks at pictures: a scanned page has no text. Layout is not kept; columns and tables
//! come in the order in which the file draws them.

mod extract;
pub mod fake;
mod lines;
mod pages;
mod process;
mod serve;

use std::time::Duration;

use base::CancelToken;
use thiserror::Error;

pub use extract::extract;
pub use pages::{is_pdf, page_at, pages};
pub use process::ProcessReader;
pub use serve::serve_stdio;

/// Bounds of reading one PDF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PdfLimits {
    /// Longest time. It is looked at where something is drawn; a process also has it as a limit of
    /// processor time.
    pub time: Duration,
    /// Longest text, in bytes.
    pub text_bytes: usize,
}

impl Default for PdfLimits {
    /// 10 seconds (a printed page takes a millisecond or two) and 4 MiB, some 2,000 printed pages.
    fn default() -> Self {
        Self { time: Duration::from_secs(10), text_bytes: 4 << 20 }
    }
}

/// Why a PDF has no text, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PdfFailure {
    /// It is no PDF, or nothing in it can be found.
    #[error("this PDF is damaged")]
    Damaged,
    /// A password is needed.
    #[error("this PDF is encrypted")]
    Encrypted,
    /// There are pages and no text on them.
    #[error("no text is found on the pages of this PDF; they may be pictures")]
    NoText,
    /// Its fonts do not say which characters they show.
    #[error("the fonts of this PDF do not say which characters they show")]
    Unmapped,
    /// Its text is longer than the limit.
    #[error("the text of this PDF is over the limit of {} KiB", limit >> 10)]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Reading it took too long.
    #[error("reading this PDF took longer than {} s", limit.as_secs())]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The process that read it died: it needs too much memory, or met an error of the library.
    #[error("reading this PDF failed: it needs too much memory or is damaged")]
    Died,
    /// The process that reads PDFs cannot be started or talked to.
    #[error("PDFs cannot be read: {0}")]
    Unavailable(String),
    /// The work was cancelled.
    #[error("reading was cancelled")]
    Cancelled,
}

impl PdfFailure {
    /// Whether the file itself is at fault, so that reading it again gives the same.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Unavailable(_) | Self::Cancelled)
    }
}

/// Something that reads PDFs.
pub trait PdfReader: Send + Sync {
    /// The text of a PDF. Each page ends with a form feed at the end of its last line; see
    /// [`pages`].
    fn read(&self, bytes: &[u8], cancel: &CancelToken) -> Result<String, PdfFailure>;
}

/// Reads PDFs in this process: for tests, whose files do no harm.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl PdfReader for InProcess {
    fn read(&self, bytes: &[u8], _cancel: &CancelToken) -> Result<String, PdfFailure> {
        extract(bytes.to_vec(), &PdfLimits::default())
    }
}
