use std::{ops::Range, sync::Arc};

use static_embedding::Matrix;
use text::TextRange;

use crate::links::Links;

/// What is known about one file of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Row id: names the file in the lexical index; stays the same while the file exists.
    pub id: i64,
    /// Workspace-relative path with `/`.
    pub path: Arc<str>,
    /// Size on disk in bytes.
    pub size: u64,
    /// Time of the last change in nanoseconds since 1970; 0 forces the file to be read again.
    pub mtime_ns: i64,
    /// Inode number, 0 where the system has none.
    pub inode: u64,
    /// BLAKE3 of the bytes, cut to 16.
    pub hash: [u8; 16],
    /// Name of its language, if it is known.
    pub language: Option<Arc<str>>,
    /// Number of lines of the text.
    pub lines: u32,
    /// Why its content is not indexed.
    pub skipped: Option<Arc<str>>,
    /// Why it is indexed as plain text though its language is known.
    pub plain: Option<Arc<str>>,
}

/// A piece of a file that is found as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// Bytes of the text.
    pub range: TextRange,
    /// Zero-based lines, the end not included.
    pub lines: Range<u32>,
    /// Hash of the content; the key of its vector.
    pub hash: [u8; 16],
    /// The symbol that it defines.
    pub symbol: Option<Arc<str>>,
    /// The kind of that symbol, such as `function`.
    pub kind: Option<Arc<str>>,
    /// What the symbol stands in.
    pub container: Option<Arc<str>>,
    /// The head of the definition.
    pub signature: Option<Arc<str>>,
}

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolRow {
    /// Name as written.
    pub name: Arc<str>,
    /// Kind, such as `function`.
    pub kind: Arc<str>,
    /// Bytes of the whole definition.
    pub range: TextRange,
    /// Bytes of the name.
    pub name_range: TextRange,
    /// Zero-based lines of the definition, the end not included.
    pub lines: Range<u32>,
    /// What it stands in, such as the type of a method.
    pub container: Option<Arc<str>>,
    /// The head of the definition on one line.
    pub signature: Arc<str>,
    /// The documentation written at it.
    pub doc: Option<Arc<str>>,
}

/// One file with everything found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRows {
    /// The file.
    pub file: FileRow,
    /// Its chunks in the order of the text; the index in this list is the chunk's ordinal.
    pub chunks: Vec<ChunkRow>,
    /// Its definitions in the order of the text.
    pub symbols: Vec<SymbolRow>,
    /// A static vector for each chunk, in their order.
    pub vectors: Matrix,
    /// The names that it uses and what it imports.
    pub links: Links,
}

impl FileRows {
    /// A file in which nothing was found.
    pub fn empty(file: FileRow) -> Self {
        Self {
            file,
            chunks: Vec::new(),
            symbols: Vec::new(),
            vectors: Matrix::default(),
            links: Links::default(),
        }
    }

    /// A digest of everything but the row id, to notice a damaged row when it is read back.
    pub(crate) fn digest(&self) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new();
        let mut text = |value: Option<&str>| {
            let value = value.map_or("\u{1}", |value| value);
            hasher.update(&(value.len() as u64).to_le_bytes());
            hasher.update(value.as_bytes());
        };
        let FileRow { id: _, path, size, mtime_ns, inode, hash, language, lines, skipped, plain } =
            &self.file;
        text(Some(path));
        text(language.as_deref());
        text(skipped.as_deref());
        text(plain.as_deref());
        for chunk in &self.chunks {
            text(chunk.symbol.as_deref());
            text(chunk.kind.as_deref());
            text(chunk.container.as_deref());
            text(chunk.signature.as_deref());
        }
        for symbol in &self.symbols {
            text(Some(&symbol.name));
            text(Some(&symbol.kind));
            text(symbol.container.as_deref());
            text(Some(&symbol.signature));
            text(symbol.doc.as_deref());
        }
        let mut number = |value: u64| {
            hasher.update(&value.to_le_bytes());
        };
        number(*size);
        number(*mtime_ns as u64);
        number(*inode);
        number(u64::from(*lines));
        let mut span = |range: TextRange, lines: &Range<u32>| {
            number(range.start as u64);
            number(range.end as u64);
            number(u64::from(lines.start) << 32 | u64::from(lines.end));
        };
        for chunk in &self.chunks {
            span(chunk.range, &chunk.lines);
        }
        for symbol in &self.symbols {
            span(symbol.range, &symbol.lines);
            span(symbol.name_range, &(0..0));
        }
        hasher.update(hash);
        for chunk in &self.chunks {
            hasher.update(&chunk.hash);
        }
        hasher.update(&self.vectors.as_bytes());
        hasher.update(self.links.packed());
        let mut digest = [0; 8];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        digest
    }
}
