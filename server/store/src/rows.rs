use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use static_embedding::Matrix;
use text::TextRange;

use crate::{
    links::Links,
    packed::{Reader, Writer},
};

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

/// What a definition is looked for by, read from a packed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolHead<'a> {
    /// Name as written.
    pub name: &'a str,
    /// Kind, such as `function`.
    pub kind: &'a str,
    /// What it stands in, such as the type of a method.
    pub container: Option<&'a str>,
}

/// One file with everything found in it. Chunks and symbols stay packed, as they are stored, until they are
/// first looked at.
#[derive(Clone)]
pub struct FileRows {
    /// The file.
    pub file: FileRow,
    /// A static vector for each chunk, in their order.
    pub vectors: Matrix,
    /// The names that it uses and what it imports.
    pub links: Links,
    packed: Arc<[u8]>,
    content: OnceLock<Content>,
    /// For each symbol the letters of its name, and where in `packed` its name begins.
    names: OnceLock<Box<[(Letters, u32)]>>,
}

/// The letters and digits that a text consists of, in any case: what is found fuzzily in a name, or is the name
/// but for case and separators, has no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Letters(u64);

impl Letters {
    /// Those of `text`.
    pub fn of(text: &str) -> Self {
        let mut letters = 0;
        let alphanumeric = text.chars().filter(|character| character.is_alphanumeric());
        for character in alphanumeric.flat_map(char::to_lowercase) {
            letters |= match character {
                'a'..='z' => 1 << (character as u32 - 'a' as u32),
                '0'..='9' => 1 << (26 + character as u32 - '0' as u32),
                // All others share some bits: that a letter is missing stays certain.
                _ => 1 << (36 + character as u32 % 28),
            };
        }
        Self(letters)
    }

    /// How many of these `other` lacks, at least.
    pub fn missing_in(self, other: Self) -> u32 {
        (self.0 & !other.0).count_ones()
    }
}

#[derive(Clone, Default)]
struct Content {
    chunks: Vec<ChunkRow>,
    symbols: Vec<SymbolRow>,
}

impl FileRows {
    /// A file in which nothing was found.
    pub fn empty(file: FileRow) -> Self {
        Self::new(file, Vec::new(), Vec::new())
    }

    /// A file with these chunks and symbols, both in the order of the text, and neither vectors nor links.
    pub fn new(file: FileRow, chunks: Vec<ChunkRow>, symbols: Vec<SymbolRow>) -> Self {
        let content = Content { chunks, symbols };
        Self {
            file,
            vectors: Matrix::default(),
            links: Links::default(),
            packed: content.pack(),
            content: OnceLock::from(content),
            names: OnceLock::new(),
        }
    }

    /// From what [`packed`](Self::packed) gave.
    pub(crate) fn of_packed(file: FileRow, packed: &[u8], vectors: Matrix, links: Links) -> Self {
        let packed = packed.into();
        Self { file, vectors, links, packed, content: OnceLock::new(), names: OnceLock::new() }
    }

    /// Its chunks in the order of the text; the index in this list is the chunk's ordinal.
    pub fn chunks(&self) -> &[ChunkRow] {
        &self.content().chunks
    }

    /// Its definitions in the order of the text.
    pub fn symbols(&self) -> &[SymbolRow] {
        &self.content().symbols
    }

    /// Number of its chunks, without looking at them.
    pub fn chunk_count(&self) -> usize {
        self.counts().map_or(0, |(chunks, _)| chunks)
    }

    /// Number of its symbols, without looking at them.
    pub fn symbol_count(&self) -> usize {
        self.counts().map_or(0, |(_, symbols)| symbols)
    }

    /// The hashes of its chunks in their order, without unpacking the file.
    pub fn chunk_hashes(&self) -> impl Iterator<Item = [u8; 16]> {
        let (mut reader, count) =
            self.reader().map_or_else(Default::default, |parts| (parts.0, parts.1));
        (0..count).map_while(move |_| chunk_hash(&mut reader))
    }

    /// The symbols in whose names no more than `missing` of `letters` do not occur, each with its place among
    /// the symbols; in their order and without unpacking the file. Some others may be among them.
    pub fn symbols_with(
        &self,
        letters: Letters,
        missing: u32,
    ) -> impl Iterator<Item = (usize, SymbolHead<'_>)> {
        let names = self.names.get_or_init(|| self.names().unwrap_or_default());
        let fits = move |name: &(Letters, u32)| letters.missing_in(name.0) <= missing;
        names.iter().enumerate().filter(move |(_, name)| fits(name)).filter_map(|(at, name)| {
            let mut reader = Reader(self.packed.get(name.1 as usize..)?);
            Some((at, symbol_head(&mut reader)?))
        })
    }

    fn names(&self) -> Option<Box<[(Letters, u32)]>> {
        let (mut reader, chunks, symbols) = self.reader()?;
        (0..chunks).try_for_each(|_| chunk_hash(&mut reader).map(drop))?;
        let mut names = Vec::with_capacity(symbols.min(self.packed.len() / 8));
        for _ in 0..symbols {
            read_span(&mut reader)?;
            read_range(&mut reader)?;
            let start = self.packed.len() - reader.0.len();
            let head = symbol_head(&mut reader)?;
            names.push((Letters::of(head.name), u32::try_from(start).ok()?));
        }
        Some(names.into())
    }

    /// Lets go of what can be unpacked again.
    pub fn compact(&mut self) {
        self.content = OnceLock::new();
    }

    /// Chunks and symbols as they are stored.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    fn counts(&self) -> Option<(usize, usize)> {
        self.reader().map(|(_, chunks, symbols)| (chunks, symbols))
    }

    /// What reads the first chunk, with the numbers of chunks and symbols.
    fn reader(&self) -> Option<(Reader<'_>, usize, usize)> {
        let mut reader = Reader(&self.packed);
        let (chunks, symbols) = (reader.number()?, reader.number()?);
        Some((reader, chunks, symbols))
    }

    fn content(&self) -> &Content {
        self.content.get_or_init(|| Content::unpack(&self.packed))
    }

    /// A digest of everything but the row id, to notice a damaged row when it is read back.
    pub(crate) fn digest(&self) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        let FileRow { id: _, path, size, mtime_ns, inode, hash, language, lines, skipped, plain } =
            &self.file;
        bytes(path.as_bytes());
        for text in [language, skipped, plain] {
            bytes(text.as_deref().unwrap_or("\u{1}").as_bytes());
        }
        for number in [*size, *mtime_ns as u64, *inode, u64::from(*lines)] {
            bytes(&number.to_le_bytes());
        }
        bytes(hash);
        bytes(&self.packed);
        bytes(self.vectors.as_bytes());
        bytes(self.links.packed());
        let mut digest = [0; 8];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        digest
    }
}

impl PartialEq for FileRows {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file
            && self.packed == other.packed
            && self.vectors == other.vectors
            && self.links == other.links
    }
}

impl Eq for FileRows {}

impl fmt::Debug for FileRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRows")
            .field("file", &self.file)
            .field("chunks", &self.chunks())
            .field("symbols", &self.symbols())
            .field("vectors", &self.vectors)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl Content {
    fn pack(&self) -> Arc<[u8]> {
        let mut writer = Writer::default();
        writer.number(self.chunks.len());
        writer.number(self.symbols.len());
        for chunk in &self.chunks {
            span(&mut writer, chunk.range, &chunk.lines);
            writer.bytes(&chunk.hash);
            for text in [&chunk.symbol, &chunk.kind, &chunk.container, &chunk.signature] {
                writer.optional(text.as_deref());
            }
        }
        for symbol in &self.symbols {
            span(&mut writer, symbol.range, &symbol.lines);
            writer.number(symbol.name_range.start);
            writer.number(symbol.name_range.len());
            for text in [&symbol.name, &symbol.kind, &symbol.signature] {
                writer.text(text);
            }
            writer.optional(symbol.container.as_deref());
            writer.optional(symbol.doc.as_deref());
        }
        writer.0.into()
    }

    /// What was packed; of damaged bytes what comes before the damage.
    fn unpack(bytes: &[u8]) -> Self {
        let mut reader = Reader(bytes);
        let mut content = Self::default();
        let (Some(chunks), Some(symbols)) = (reader.number(), reader.number()) else {
            return content;
        };
        // Damaged counts ask for no more room than there could be rows.
        content.chunks.reserve_exact(chunks.min(bytes.len() / 16));
        content.symbols.reserve_exact(symbols.min(bytes.len() / 8));
        let mut kinds = Kinds::default();
        content.chunks.extend((0..chunks).map_while(|_| chunk(&mut reader, &mut kinds)));
        content.symbols.extend((0..symbols).map_while(|_| symbol(&mut reader, &mut kinds)));
        content
    }
}

fn span(writer: &mut Writer, range: TextRange, lines: &Range<u32>) {
    writer.number(range.start);
    writer.number(range.len());
    writer.number(lines.start as usize);
    writer.number(lines.end.saturating_sub(lines.start) as usize);
}

fn read_range(reader: &mut Reader<'_>) -> Option<TextRange> {
    let start = reader.number()?;
    Some(TextRange::new(start, start.checked_add(reader.number()?)?))
}

fn read_span(reader: &mut Reader<'_>) -> Option<(TextRange, Range<u32>)> {
    let range = read_range(reader)?;
    let first = u32::try_from(reader.number()?).ok()?;
    let count = u32::try_from(reader.number()?).ok()?;
    Some((range, first..first.checked_add(count)?))
}

fn chunk(reader: &mut Reader<'_>, kinds: &mut Kinds) -> Option<ChunkRow> {
    let (range, lines) = read_span(reader)?;
    Some(ChunkRow {
        range,
        lines,
        hash: reader.array()?,
        symbol: reader.optional()?.map(Into::into),
        kind: reader.optional()?.map(|kind| kinds.get(kind)),
        container: reader.optional()?.map(Into::into),
        signature: reader.optional()?.map(Into::into),
    })
}

fn symbol(reader: &mut Reader<'_>, kinds: &mut Kinds) -> Option<SymbolRow> {
    let (range, lines) = read_span(reader)?;
    Some(SymbolRow {
        range,
        lines,
        name_range: read_range(reader)?,
        name: reader.text()?.into(),
        kind: kinds.get(reader.text()?),
        signature: reader.text()?.into(),
        container: reader.optional()?.map(Into::into),
        doc: reader.optional()?.map(Into::into),
    })
}

/// Passes a chunk but for its hash.
fn chunk_hash(reader: &mut Reader<'_>) -> Option<[u8; 16]> {
    read_span(reader)?;
    let hash = reader.array()?;
    (0..4).try_for_each(|_| reader.pass_optional())?;
    Some(hash)
}

/// Reads a symbol from its name on, and passes what is not its head.
fn symbol_head<'a>(reader: &mut Reader<'a>) -> Option<SymbolHead<'a>> {
    let (name, kind) = (reader.text()?, reader.text()?);
    reader.pass_text()?;
    let container = reader.optional()?;
    reader.pass_optional()?;
    Some(SymbolHead { name, kind, container })
}

/// Shares the few kinds that repeat.
#[derive(Default)]
struct Kinds(Vec<Arc<str>>);

impl Kinds {
    fn get(&mut self, kind: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == kind) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = kind.into();
        self.0.push(Arc::clone(&shared));
        shared
    }
}
