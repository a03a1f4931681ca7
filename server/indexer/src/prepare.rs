use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base::CancelToken;
use lexical_index::{DeltaDocument, Document, Tokens};
use pdf_text::is_pdf;
use static_embedding::{Matrix, Scratch, StaticEmbedding};
use store::{ChunkRow, FileRow, FileRows, SymbolRow};
use syntax::{Chunk, Language, ParseFailure, ParseLimits, Syntax};
use text::{LineIndex, TextRange};
use vfs_notify::{FoundFile, generated_content};

use crate::{documents::Documents, links};

/// A file changed so shortly before it was read may change again within the same time stamp (FAT
/// counts in steps of two seconds), so its stamp is not trusted.
const RACY: Duration = Duration::from_secs(2);

/// Documentation is kept up to this length; what matters stands first.
const DOC_BYTES: usize = 400;

/// A file as it will stand in the index, with the text for its documents.
pub(crate) struct Prepared {
    /// The rows; the id is 0 until the store gives one.
    pub(crate) rows: FileRows,
    /// The text; empty for a file that is skipped.
    pub(crate) text: Arc<str>,
}

/// What became of a file that looked changed.
pub(crate) enum Outcome {
    /// It has these contents now.
    Changed(Box<Prepared>),
    /// Its bytes are those of the rows; only time, inode or size-on-disk facts differ.
    Same(FileRow),
    /// It is gone.
    Gone,
}

/// Reads and parses one file, unless its bytes have the hash `known`.
pub(crate) fn read(
    file: &FoundFile,
    known: Option<[u8; 16]>,
    documents: &Documents,
    cancel: &CancelToken,
) -> Outcome {
    let mut row = FileRow {
        id: 0,
        path: file.path.as_str().into(),
        size: file.size,
        mtime_ns: trusted_mtime(file.mtime_ns),
        inode: file.inode,
        hash: [0; 16],
        language: None,
        lines: 0,
        skipped: None,
        plain: None,
    };
    let bytes = match read_bytes(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Outcome::Gone,
        Err(error) => {
            row.mtime_ns = 0;
            return Outcome::Changed(Box::new(skipped(row, &error.to_string())));
        }
    };
    row.hash = hash(&bytes);
    if Some(row.hash) == known {
        return Outcome::Same(row);
    }
    if is_pdf(&row.path) {
        return Outcome::Changed(Box::new(read_pdf(row, &bytes, documents, cancel)));
    }
    let text = match vfs::decode(bytes) {
        Ok(file) => file.text,
        Err(error) => return Outcome::Changed(Box::new(skipped(row, &error.to_string()))),
    };
    let carries_data = || Language::of_file(&row.path, &text).is_some_and(Language::carries_data);
    if let Some(reason) = generated_content(&text).filter(|_| !carries_data()) {
        return Outcome::Changed(Box::new(skipped(row, reason)));
    }
    Outcome::Changed(Box::new(parse(row, text.into(), cancel)))
}

fn read_pdf(
    mut row: FileRow,
    bytes: &[u8],
    documents: &Documents,
    cancel: &CancelToken,
) -> Prepared {
    match documents.text(bytes, row.hash, cancel) {
        Ok(text) => Prepared { rows: rows(row, &text, None, None), text },
        Err(failure) => {
            if !failure.is_final() {
                // Read again the next time that somebody looks.
                (row.mtime_ns, row.hash) = (0, [0; 16]);
            }
            skipped(row, &failure.to_string())
        }
    }
}

/// The rows of a text that is in memory.
pub(crate) fn of_text(path: &str, text: Arc<str>, previous: Option<(&Syntax, &str)>) -> Parsed {
    let mut row = FileRow {
        id: 0,
        path: path.into(),
        size: text.len() as u64,
        mtime_ns: 0,
        inode: 0,
        hash: hash(text.as_bytes()),
        language: None,
        lines: 0,
        skipped: None,
        plain: None,
    };
    let language = Language::of_file(path, &text);
    let cancel = CancelToken::new();
    let limits = ParseLimits::default();
    let syntax = language.and_then(|language| {
        let parsed = match previous {
            Some((syntax, before)) if syntax.language() == language => {
                syntax::reparse(syntax, before, &text, &limits, &cancel)
            }
            _ => syntax::parse(language, &text, &limits, &cancel),
        };
        keep_reason(&mut row, parsed)
    });
    let rows = rows(row, &text, language, syntax.as_ref());
    Parsed { prepared: Prepared { rows, text }, syntax }
}

/// A text with its tree, from which the next version is parsed faster.
pub(crate) struct Parsed {
    pub(crate) prepared: Prepared,
    pub(crate) syntax: Option<Syntax>,
}

fn parse(mut row: FileRow, text: Arc<str>, cancel: &CancelToken) -> Prepared {
    let language = Language::of_file(&row.path, &text);
    let syntax = language.and_then(|language| {
        let parsed = syntax::parse(language, &text, &ParseLimits::default(), cancel);
        keep_reason(&mut row, parsed)
    });
    let rows = rows(row, &text, language, syntax.as_ref());
    Prepared { rows, text }
}

/// The tree; where there is none, the row says why its text is indexed without one.
fn keep_reason(row: &mut FileRow, parsed: Result<Syntax, ParseFailure>) -> Option<Syntax> {
    parsed.inspect_err(|failure| row.plain = Some(failure.to_string().into())).ok()
}

fn rows(
    mut row: FileRow,
    text: &str,
    language: Option<Language>,
    syntax: Option<&Syntax>,
) -> FileRows {
    let lines = LineIndex::new(text);
    row.lines = lines.line_count() as u32;
    row.language = language.map(|language| language.name().into());
    let span = |range: TextRange| {
        let last = lines.line_of(range.end.max(range.start + 1) - 1);
        lines.line_of(range.start) as u32..last as u32 + 1
    };
    let some = |value: String| (!value.is_empty()).then(|| value.into());
    let chunks = chunks(&row.path, language, text, syntax)
        .into_iter()
        .map(|chunk| ChunkRow {
            range: chunk.range,
            lines: span(chunk.range),
            hash: chunk.hash,
            symbol: chunk.symbol.map(Into::into),
            kind: chunk.kind.map(|kind| kind.as_str().into()),
            container: chunk.container.map(Into::into),
            signature: some(chunk.signature),
        })
        .collect();
    let symbols = syntax.map(|syntax| syntax::symbols(syntax, text)).unwrap_or_default();
    let symbols = symbols
        .into_iter()
        .map(|symbol| SymbolRow {
            name: symbol.name.into(),
            kind: symbol.kind.as_str().into(),
            range: symbol.range,
            name_range: symbol.name_range,
            lines: span(symbol.range),
            container: symbol.container.map(Into::into),
            signature: symbol.signature.into(),
            doc: symbol.doc.map(|doc| cut(&doc, DOC_BYTES).into()),
        })
        .collect();
    let used = syntax.map(|syntax| links::of(syntax, text)).unwrap_or_default();
    let rows = FileRows::new(row, chunks, symbols).with_links(used);
    let vectors = vectors_of(&rows, text);
    rows.with_vectors(vectors)
}

/// The chunks of a text; those of a PDF end with its pages.
fn chunks(
    path: &str,
    language: Option<Language>,
    text: &str,
    syntax: Option<&Syntax>,
) -> Vec<Chunk> {
    if !is_pdf(path) {
        return syntax::chunks(language, text, syntax);
    }
    let mut chunks = Vec::new();
    for page in pdf_text::pages(text) {
        let Some(content) = page.slice(text).filter(|content| !content.trim().is_empty()) else {
            continue;
        };
        chunks.extend(syntax::chunks(None, content, None).into_iter().map(|chunk| Chunk {
            range: TextRange::new(page.start + chunk.range.start, page.start + chunk.range.end),
            ..chunk
        }));
    }
    chunks
}

/// The static vectors of the chunks: of path, container, name and content.
fn vectors_of(rows: &FileRows, text: &str) -> Matrix {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    let texts = rows.chunks().iter().map(|chunk| {
        [
            Some(&*rows.file.path),
            chunk.container.as_deref(),
            chunk.symbol.as_deref(),
            chunk.range.slice(text),
        ]
        .into_iter()
        .flatten()
    });
    SCRATCH.with_borrow_mut(|scratch| StaticEmbedding::shipped().embed(texts, scratch))
}

impl Prepared {
    /// Hands the documents of the file to `sink`, under the number `file`.
    pub(crate) fn documents(&self, file: u64, mut sink: impl FnMut(&Document<'_>)) {
        let mut symbol = String::new();
        let mut docs = String::new();
        for (ordinal, chunk) in (0..).zip(self.rows.chunks()) {
            symbol.clear();
            docs.clear();
            for part in [&chunk.symbol, &chunk.container].into_iter().flatten() {
                symbol.push_str(part);
                symbol.push(' ');
            }
            // A chunk of several small definitions is found by each of their names.
            for row in self.rows.symbols().iter().filter(|row| {
                chunk.range.contains_range(row.name_range)
                    && chunk.symbol.as_ref() != Some(&row.name)
            }) {
                symbol.push_str(&row.name);
                symbol.push(' ');
            }
            for row in self.rows.symbols() {
                let Some(doc) = &row.doc else { continue };
                if chunk.range.contains_range(row.name_range) {
                    docs.push_str(doc);
                    docs.push('\n');
                }
            }
            sink(&Document {
                file,
                ordinal,
                path: &self.rows.file.path,
                symbol: &symbol,
                signature: chunk.signature.as_deref().unwrap_or_default(),
                docs: &docs,
                body: chunk.range.slice(&self.text).unwrap_or_default(),
            });
        }
    }

    /// The documents of the file in memory.
    pub(crate) fn delta(&self, file: u64, tokens: &mut Tokens) -> Vec<DeltaDocument> {
        let mut documents = Vec::with_capacity(self.rows.chunk_count());
        self.documents(file, |document| documents.push(DeltaDocument::new(document, tokens)));
        documents
    }
}

fn skipped(mut row: FileRow, reason: &str) -> Prepared {
    row.skipped = Some(reason.into());
    Prepared { rows: FileRows::empty(row), text: "".into() }
}

fn read_bytes(file: &FoundFile) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(file.size as usize + 1);
    // The file may have grown since it was listed; what was cut off is read at the next change.
    File::open(&file.absolute)?.take(file.size.max(1) * 2).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn trusted_mtime(mtime_ns: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let racy = (now.saturating_sub(RACY)).as_nanos() as i64;
    if mtime_ns >= racy { 0 } else { mtime_ns }
}

pub(crate) fn hash(bytes: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    hash
}

fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
