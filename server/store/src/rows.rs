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
    stored::{Stored, digest_of},
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

/// One file with everything found in it. What was found stays in the database until it is first looked at, and
/// chunks and symbols stay packed, as they are stored there, until one of them is.
#[derive(Clone)]
pub struct FileRows {
    /// The file.
    pub file: FileRow,
    chunk_count: u32,
    symbol_count: u32,
    /// Where the rest lies that is not here; without it all is here.
    stored: Option<Arc<Stored>>,
    digests: OnceLock<Digests>,
    packed: OnceLock<Packed>,
    vectors: OnceLock<Matrix>,
    content: OnceLock<Content>,
    /// For each symbol the letters of its name, and where in `packed` its name begins.
    names: OnceLock<Box<[(Letters, u32)]>>,
}

/// Chunks and symbols, and the links, as they are stored.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) rows: Arc<[u8]>,
    pub(crate) links: Links,
}

impl Packed {
    pub(crate) fn digest(&self) -> [u8; 8] {
        digest_of(&[&self.rows, self.links.packed()])
    }
}

/// What tells whether a row is as it was written, part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) packed: [u8; 8],
    pub(crate) vectors: [u8; 8],
}

/// What is known of a stored file before its contents are read.
pub(crate) struct Head {
    pub(crate) file: FileRow,
    pub(crate) chunk_count: u32,
    pub(crate) symbol_count: u32,
    pub(crate) digests: Digests,
}

impl Head {
    /// A digest of all this but for the row id.
    pub(crate) fn digest(&self) -> [u8; 8] {
        let FileRow { id: _, path, size, mtime_ns, inode, hash, language, lines, skipped, plain } =
            &self.file;
        let mut numbers = [0; 48];
        let values = [
            *size,
            mtime_ns.cast_unsigned(),
            *inode,
            u64::from(*lines),
            u64::from(self.chunk_count),
            u64::from(self.symbol_count),
        ];
        for (bytes, value) in numbers.chunks_exact_mut(8).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        let [language, skipped, plain] =
            [language, skipped, plain].map(|text| text.as_deref().unwrap_or("\u{1}").as_bytes());
        digest_of(&[
            path.as_bytes(),
            language,
            skipped,
            plain,
            &numbers,
            hash,
            &self.digests.packed,
            &self.digests.vectors,
        ])
    }
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
            chunk_count: content.chunks.len() as u32,
            symbol_count: content.symbols.len() as u32,
            stored: None,
            digests: OnceLock::new(),
            packed: OnceLock::from(Packed { rows: content.pack(), links: Links::default() }),
            vectors: OnceLock::from(Matrix::default()),
            content: OnceLock::from(content),
            names: OnceLock::new(),
        }
    }

    /// The same file with the names that it uses and what it imports.
    #[must_use]
    pub fn with_links(mut self, links: Links) -> Self {
        let rows = Arc::clone(&self.packed().rows);
        self.packed = OnceLock::from(Packed { rows, links });
        self.digests = OnceLock::new();
        self
    }

    /// The same file with a static vector for each chunk, in their order.
    #[must_use]
    pub fn with_vectors(mut self, vectors: Matrix) -> Self {
        self.vectors = OnceLock::from(vectors);
        self.digests = OnceLock::new();
        self
    }

    /// A file whose contents are left where they lie.
    pub(crate) fn of_stored(head: Head, stored: Arc<Stored>) -> Self {
        let Head { file, chunk_count, symbol_count, digests } = head;
        Self {
            file,
            chunk_count,
            symbol_count,
            stored: Some(stored),
            digests: OnceLock::from(digests),
            packed: OnceLock::new(),
            vectors: OnceLock::new(),
            content: OnceLock::new(),
            names: OnceLock::new(),
        }
    }

    /// Lays the vectors of many files behind each other in memory, as [`Matrix::gather`] does.
    pub fn gather<'all>(files: impl IntoIterator<Item = &'all mut Self>) {
        Matrix::gather(files.into_iter().filter_map(|rows| rows.vectors.get_mut()));
    }

    pub(crate) fn head(&self) -> Head {
        Head {
            file: self.file.clone(),
            chunk_count: self.chunk_count,
            symbol_count: self.symbol_count,
            digests: *self.digests(),
        }
    }

    pub(crate) fn digests(&self) -> &Digests {
        self.digests.get_or_init(|| Digests {
            packed: self.packed().digest(),
            vectors: digest_of(&[self.vectors().as_bytes()]),
        })
    }

    pub(crate) fn stored(&self) -> Option<&Stored> {
        self.stored.as_deref()
    }

    pub(crate) fn packed(&self) -> &Packed {
        self.packed.get_or_init(|| match (&self.stored, self.digests.get()) {
            (Some(stored), Some(digests)) => stored.packed(self.file.id, digests.packed),
            _ => Packed::default(),
        })
    }

    pub(crate) fn set_packed(&self, packed: Packed) {
        self.packed.get_or_init(|| packed);
    }

    #[cfg(test)]
    pub(crate) fn with_packed(mut self, rows: &[u8]) -> Self {
        self.packed = OnceLock::from(Packed { rows: rows.into(), links: Links::default() });
        self.content = OnceLock::new();
        self
    }

    pub(crate) fn lacks_packed(&self) -> bool {
        self.packed.get().is_none()
    }

    pub(crate) fn load_packed(&self) {
        self.packed();
    }

    pub(crate) fn set_vectors(&self, vectors: Matrix) {
        self.vectors.get_or_init(|| vectors);
    }

    pub(crate) fn lacks_vectors(&self) -> bool {
        self.vectors.get().is_none()
    }

    pub(crate) fn load_vectors(&self) {
        self.vectors();
    }

    /// Reads what is still left where it is stored, before it changes there.
    pub fn load(&self) {
        self.packed();
        self.vectors();
    }

    /// A static vector for each chunk, in their order.
    pub fn vectors(&self) -> &Matrix {
        self.vectors.get_or_init(|| match (&self.stored, self.digests.get()) {
            (Some(stored), Some(digests)) => stored.vectors(self.file.id, digests.vectors),
            _ => Matrix::default(),
        })
    }

    /// What tells these vectors from others, without looking at them.
    pub fn vectors_digest(&self) -> [u8; 8] {
        self.digests().vectors
    }

    /// The names that it uses and what it imports.
    pub fn links(&self) -> &Links {
        &self.packed().links
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
        self.chunk_count as usize
    }

    /// Number of its symbols, without looking at them.
    pub fn symbol_count(&self) -> usize {
        self.symbol_count as usize
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
            let mut reader = Reader(self.packed().rows.get(name.1 as usize..)?);
            Some((at, symbol_head(&mut reader)?))
        })
    }

    fn names(&self) -> Option<Box<[(Letters, u32)]>> {
        let (mut reader, chunks, symbols) = self.reader()?;
        (0..chunks).try_for_each(|_| chunk_hash(&mut reader).map(drop))?;
        let length = self.packed().rows.len();
        let mut names = Vec::with_capacity(symbols.min(length / 8));
        for _ in 0..symbols {
            read_span(&mut reader)?;
            read_range(&mut reader)?;
            let start = length - reader.0.len();
            let head = symbol_head(&mut reader)?;
            names.push((Letters::of(head.name), u32::try_from(start).ok()?));
        }
        Some(names.into())
    }

    /// Lets go of what can be unpacked again.
    pub fn compact(&mut self) {
        self.content = OnceLock::new();
    }

    /// What reads the first chunk, with the numbers of chunks and symbols.
    fn reader(&self) -> Option<(Reader<'_>, usize, usize)> {
        let mut reader = Reader(&self.packed().rows);
        let (chunks, symbols) = (reader.number()?, reader.number()?);
        Some((reader, chunks, symbols))
    }

    fn content(&self) -> &Content {
        self.content.get_or_init(|| Content::unpack(&self.packed().rows))
    }
}

impl PartialEq for FileRows {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file
            && self.packed() == other.packed()
            && self.vectors() == other.vectors()
    }
}

impl Eq for FileRows {}

impl fmt::Debug for FileRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRows")
            .field("file", &self.file)
            .field("chunks", &self.chunks())
            .field("symbols", &self.symbols())
            .field("vectors", self.vectors())
            .field("links", self.links())
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
