use std::{collections::VecDeque, fs::File, io::Read as _, path::Path, sync::Arc};

use base::CancelToken;
use parking_lot::Mutex;
use pdf_text::{PdfFailure, PdfReader};

use crate::prepare;

/// Texts that were read lately are kept up to this many bytes: a search shows parts of a few files,
/// again and again.
const KEPT_BYTES: usize = 16 << 20;

/// The largest PDF, in bytes.
pub(crate) const MAX_PDF_BYTES: u64 = 32 << 20;

/// Reads files whose text is not what stands in them, and keeps the latest texts by the hash of the
/// content.
#[derive(Default)]
pub(crate) struct Documents {
    reader: Option<Arc<dyn PdfReader>>,
    kept: Mutex<VecDeque<([u8; 16], Arc<str>)>>,
}

impl Documents {
    pub(crate) fn new(reader: Option<Arc<dyn PdfReader>>) -> Self {
        Self { reader, kept: Mutex::default() }
    }

    /// The text of a PDF with this hash.
    pub(crate) fn text(
        &self,
        bytes: &[u8],
        hash: [u8; 16],
        cancel: &CancelToken,
    ) -> Result<Arc<str>, PdfFailure> {
        if let Some(text) = self.kept(hash) {
            return Ok(text);
        }
        let reader = self.reader.as_ref();
        let reader = reader.ok_or_else(|| PdfFailure::Unavailable("no reader is set".into()))?;
        let text: Arc<str> = reader.read(bytes, cancel)?.into();
        self.keep(hash, &text);
        Ok(text)
    }

    /// The text of a PDF on disk; `None` when it is gone or cannot be read.
    pub(crate) fn text_of(&self, path: &Path) -> Option<Arc<str>> {
        let mut bytes = Vec::new();
        let file = File::open(path).ok()?;
        file.take(MAX_PDF_BYTES).read_to_end(&mut bytes).ok()?;
        self.text(&bytes, prepare::hash(&bytes), &CancelToken::new()).ok()
    }

    fn kept(&self, hash: [u8; 16]) -> Option<Arc<str>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(known, _)| *known == hash)?;
        let found = kept.remove(at)?;
        let text = Arc::clone(&found.1);
        kept.push_back(found);
        Some(text)
    }

    fn keep(&self, hash: [u8; 16], text: &Arc<str>) {
        let mut kept = self.kept.lock();
        kept.push_back((hash, Arc::clone(text)));
        let mut bytes: usize = kept.iter().map(|(_, text)| text.len()).sum();
        while bytes > KEPT_BYTES && kept.len() > 1 {
            bytes -= kept.pop_front().map_or(0, |(_, text)| text.len());
        }
    }
}
