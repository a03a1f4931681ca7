use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, OnceLock},
};

use lexical_index::{Delta, DeltaDocument, LexicalReader, Query, Tokens};
use pdf_text::is_pdf;
use rustc_hash::FxHashMap;
use static_embedding::{Matrix, Vector};
use store::FileRows;
use vfs::Workspace;

use crate::{
    approximate::Approximate,
    documents::Documents,
    embeddings::Embeddings,
    history::History,
    prepare::{self, Prepared},
    report::SkippedFile,
};

/// Numbers of files that the store does not know yet have this bit.
const UNSTORED: u64 = 1 << 63;

/// The index at one moment: committed rows and full text, with what is newer laid over them.
/// Cheap to clone; never changes.
#[derive(Clone)]
pub struct IndexSnapshot {
    inner: Arc<Parts>,
}

/// What a snapshot is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) generation: u64,
    pub(crate) workspace: Workspace,
    pub(crate) base: Arc<Base>,
    pub(crate) approximate: Option<Approximate>,
    pub(crate) overlay: Overlay,
    pub(crate) embeddings: Option<Arc<Embeddings>>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) history: Arc<History>,
}

/// What is committed.
pub(crate) struct Base {
    pub(crate) files: HashMap<Arc<str>, Arc<FileRows>>,
    by_id: FxHashMap<u64, Arc<FileRows>>,
    /// Number of files that are indexed.
    indexed: usize,
    chunks: usize,
    /// The files that are indexed as plain text for a reason.
    plain: Vec<Arc<FileRows>>,
    /// The vectors of all files, as they lie in memory; read when they are first searched.
    vectors: OnceLock<Vec<(Matrix, Arc<FileRows>)>>,
    /// The contents of all files were read.
    loaded: OnceLock<()>,
    lexical: LexicalReader,
}

/// What is newer than the base, by path.
#[derive(Clone, Default)]
pub(crate) struct Overlay {
    pub(crate) files: HashMap<Arc<str>, Arc<Fresh>>,
}

/// The newer state of one file.
pub(crate) struct Fresh {
    /// Its number in the documents.
    number: u64,
    /// Its rows; none when it is gone or skipped.
    pub(crate) rows: Option<Arc<FileRows>>,
    /// Hash of its bytes; none when it is gone.
    pub(crate) hash: Option<[u8; 16]>,
    /// Its text where that is not on disk.
    text: Option<Arc<str>>,
    documents: Vec<DeltaDocument>,
}

/// A chunk found by its words.
#[derive(Clone, Debug)]
pub struct Found {
    /// The file.
    pub rows: Arc<FileRows>,
    /// Index into its chunks.
    pub chunk: usize,
    /// BM25F over path, symbol, signature, documentation and body.
    pub score: f32,
}

impl Base {
    pub(crate) fn new(files: HashMap<Arc<str>, Arc<FileRows>>, lexical: LexicalReader) -> Self {
        let by_id =
            files.values().map(|rows| (rows.file.id.cast_unsigned(), Arc::clone(rows))).collect();
        let (mut indexed, mut chunks, mut plain) = (0, 0, Vec::new());
        for rows in files.values().filter(|rows| is_indexed(rows)) {
            indexed += 1;
            chunks += rows.chunk_count();
            if rows.file.plain.is_some() {
                plain.push(Arc::clone(rows));
            }
        }
        let (vectors, loaded) = (OnceLock::new(), OnceLock::new());
        Self { files, by_id, indexed, chunks, plain, vectors, loaded, lexical }
    }

    /// The rows of the file with this row id.
    pub(crate) fn rows(&self, id: u64) -> Option<&Arc<FileRows>> {
        self.by_id.get(&id)
    }

    /// Number of chunks of all files.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks
    }

    pub(crate) fn vectors(&self) -> &[(Matrix, Arc<FileRows>)] {
        self.vectors.get_or_init(|| {
            let files = || self.files.values().filter(|rows| rows.chunk_count() > 0);
            store::load_vectors(files().map(|rows| &**rows));
            let mut vectors: Vec<(Matrix, Arc<FileRows>)> =
                files().map(|rows| (rows.vectors().clone(), Arc::clone(rows))).collect();
            vectors.retain(|(matrix, _)| !matrix.is_empty());
            vectors.sort_unstable_by_key(|(matrix, _)| matrix.place());
            vectors
        })
    }

    pub(crate) fn empty() -> Self {
        Self::new(HashMap::new(), LexicalReader::empty())
    }

    fn hash(&self, path: &str) -> Option<[u8; 16]> {
        self.files.get(path).map(|rows| rows.file.hash)
    }
}

impl Overlay {
    /// Drops what the base has come to know as well.
    pub(crate) fn settle(&mut self, base: &Base) {
        self.files.retain(|path, fresh| fresh.hash != base.hash(path));
    }
}

impl Fresh {
    /// The state of a file with these contents; `unsaved` says that they are not on disk.
    pub(crate) fn of(prepared: &Prepared, base: &Base, unsaved: bool, tokens: &mut Tokens) -> Self {
        let path = &prepared.rows.file.path;
        let number = number(path, base);
        let rows = prepared.rows.file.skipped.is_none().then(|| Arc::new(prepared.rows.clone()));
        Self {
            number,
            rows,
            hash: Some(prepared.rows.file.hash),
            text: unsaved.then(|| Arc::clone(&prepared.text)),
            documents: prepared.delta(number, tokens),
        }
    }

    /// The state of a file that is gone.
    pub(crate) fn gone(path: &str, base: &Base) -> Self {
        let number = number(path, base);
        Self { number, rows: None, hash: None, text: None, documents: Vec::new() }
    }
}

/// Whether a file has rows to be found, rather than a reason why it was left out.
fn is_indexed(rows: &FileRows) -> bool {
    rows.file.skipped.is_none()
}

/// A number that no other file has: that of the store, or one made from the path.
fn number(path: &str, base: &Base) -> u64 {
    if let Some(rows) = base.files.get(path) {
        return rows.file.id.cast_unsigned();
    }
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&prepare::hash(path.as_bytes())[..8]);
    u64::from_le_bytes(bytes) | UNSTORED
}

/// A chunk with its cosine.
type Near<'rows> = (f32, &'rows Arc<FileRows>, usize);

fn nearest_first(a: &Near<'_>, b: &Near<'_>) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| (&a.1.file.path, a.2).cmp(&(&b.1.file.path, b.2)))
}

/// The best chunks so far, of those that have any likeness.
struct Nearest<'rows> {
    /// At least 1.
    limit: usize,
    /// Thinned out whenever there are many more than are wanted.
    found: Vec<Near<'rows>>,
    /// What a chunk has to exceed.
    least: f32,
}

impl<'rows> Nearest<'rows> {
    fn new(limit: usize) -> Self {
        Self { limit, found: Vec::new(), least: 0.0 }
    }

    fn add(&mut self, cosine: f32, rows: &'rows Arc<FileRows>, chunk: usize) {
        if cosine > self.least {
            self.found.push((cosine, rows, chunk));
        }
    }

    /// Adds the chunks of a file where it `holds` them, which is asked of those few files that come near.
    fn scan(
        &mut self,
        vectors: &Matrix,
        rows: &'rows Arc<FileRows>,
        query: &Vector,
        holds: impl Fn() -> bool,
    ) {
        let mut held = None;
        for (chunk, cosine) in vectors.cosines(query).enumerate() {
            if cosine > self.least && *held.get_or_insert_with(&holds) {
                self.found.push((cosine, rows, chunk));
            }
        }
        if self.found.len() >= self.limit.saturating_mul(4).max(1024) {
            self.found.select_nth_unstable_by(self.limit - 1, nearest_first);
            self.found.truncate(self.limit);
            self.least = self.found.last().map_or(0.0, |worst| worst.0);
        }
    }

    fn found(mut self) -> Vec<Found> {
        self.found.sort_unstable_by(nearest_first);
        self.found.truncate(self.limit);
        let found = self.found.into_iter();
        found.map(|(score, rows, chunk)| Found { rows: Arc::clone(rows), chunk, score }).collect()
    }
}

impl IndexSnapshot {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { inner: Arc::new(parts) }
    }

    /// An index of these texts alone, by relative path: for tests and for what is not on disk.
    pub fn of_texts(workspace: Workspace, texts: &[(&str, &str)]) -> Self {
        let base = Base::empty();
        let mut tokens = Tokens::new();
        let files = texts.iter().map(|(path, text)| {
            let parsed = prepare::of_text(path, (*text).into(), None);
            let fresh = Fresh::of(&parsed.prepared, &base, true, &mut tokens);
            (Arc::from(*path), Arc::new(fresh))
        });
        let overlay = Overlay { files: files.collect() };
        Self::new(Parts {
            generation: 0,
            workspace,
            base: Arc::new(base),
            approximate: None,
            overlay,
            embeddings: None,
            documents: Arc::default(),
            history: Arc::default(),
        })
    }

    /// The same index with these commits as its history, newest first, each a message and the paths of its files: for
    /// tests.
    #[must_use]
    pub fn with_history(&self, commits: &[(&str, &[&str])]) -> Self {
        let commits = commits.iter().map(|(message, paths)| {
            ((*message).to_owned(), paths.iter().map(|path| Arc::from(*path)).collect())
        });
        Self::new(Parts { history: Arc::new(History::new(commits)), ..Parts::clone(&self.inner) })
    }

    /// What was said when files of the workspace were changed; empty without a repository, and until it was read.
    pub fn history(&self) -> &History {
        &self.inner.history
    }

    /// The second tier of vectors, where a model for it is installed.
    pub fn embeddings(&self) -> Option<&Arc<Embeddings>> {
        self.inner.embeddings.as_ref()
    }

    /// Whether the text of a file is in memory because it is being edited.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        self.inner.overlay.files.get(path).is_some_and(|fresh| fresh.text.is_some())
    }

    /// Grows with every change.
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// The workspace that is indexed.
    pub fn workspace(&self) -> &Workspace {
        &self.inner.workspace
    }

    /// The indexed files, in no order.
    pub fn files(&self) -> impl Iterator<Item = &Arc<FileRows>> {
        let Parts { base, overlay, .. } = &*self.inner;
        let committed = base
            .files
            .iter()
            .filter(|(path, rows)| is_indexed(rows) && !overlay.files.contains_key(*path))
            .map(|(_, rows)| rows);
        committed.chain(overlay.files.values().filter_map(|fresh| fresh.rows.as_ref()))
    }

    /// Reads what is in all files where it was left where it is stored: for whoever looks at it file by file.
    pub fn load_contents(&self) {
        let Base { files, loaded, .. } = &*self.inner.base;
        loaded.get_or_init(|| store::load_contents(files.values().map(|rows| &**rows)));
    }

    /// The rows of one indexed file.
    pub fn file(&self, path: &str) -> Option<&Arc<FileRows>> {
        if let Some(fresh) = self.inner.overlay.files.get(path) {
            return fresh.rows.as_ref();
        }
        self.inner.base.files.get(path).filter(|rows| is_indexed(rows))
    }

    /// The files that are indexed as plain text because they could not be parsed, with the reason,
    /// sorted by path.
    pub fn plain_files(&self) -> Vec<SkippedFile> {
        let Parts { base, overlay, .. } = &*self.inner;
        let committed =
            base.plain.iter().filter(|rows| !overlay.files.contains_key(&rows.file.path));
        let newer = overlay.files.values().filter_map(|fresh| fresh.rows.as_ref());
        let plain = committed.chain(newer).filter_map(|rows| {
            let reason = rows.file.plain.as_ref()?;
            Some(SkippedFile { path: rows.file.path.to_string(), reason: reason.to_string() })
        });
        let mut plain: Vec<SkippedFile> = plain.collect();
        plain.sort_unstable();
        plain
    }

    /// Number of indexed files.
    pub fn file_count(&self) -> usize {
        self.counted(self.inner.base.indexed, |_| 1)
    }

    /// Number of their chunks.
    pub fn chunk_count(&self) -> usize {
        self.counted(self.inner.base.chunks, FileRows::chunk_count)
    }

    /// The sum of `count` over all indexed files, of which those of the base make up `committed`.
    fn counted(&self, committed: usize, count: impl Fn(&FileRows) -> usize) -> usize {
        let Parts { base, overlay, .. } = &*self.inner;
        let hidden = overlay.files.keys().filter_map(|path| base.files.get(path));
        let hidden: usize = hidden.filter(|rows| is_indexed(rows)).map(|rows| count(rows)).sum();
        let newer = overlay.files.values().filter_map(|fresh| fresh.rows.as_ref());
        committed - hidden + newer.map(|rows| count(rows)).sum::<usize>()
    }

    /// The text of an indexed file as it is now: what is being typed, else what is on disk, which
    /// may be newer than its rows. That of a PDF is read out of it, unless it was lately.
    pub fn text(&self, path: &str) -> Option<Arc<str>> {
        if let Some(text) = self.inner.overlay.files.get(path).and_then(|fresh| fresh.text.as_ref())
        {
            return Some(Arc::clone(text));
        }
        let absolute = self.inner.workspace.absolute(path).ok()?;
        if is_pdf(path) {
            return self.inner.documents.text_of(Path::new(&absolute));
        }
        let file = vfs::read_text(Path::new(&absolute), vfs::MAX_TEXT_BYTES).ok()?;
        Some(file.text.into())
    }

    /// Rows of a text that is not the indexed one, such as that of a file that has just changed.
    pub fn rows_of(&self, path: &str, text: &Arc<str>) -> FileRows {
        prepare::of_text(path, Arc::clone(text), None).prepared.rows
    }

    /// Whether `text` is what the rows describe.
    pub fn is_current(rows: &FileRows, text: &str) -> bool {
        if is_pdf(&rows.file.path) {
            // Its hash is that of the bytes, not of the text in them.
            return rows.chunks().iter().all(|chunk| {
                chunk
                    .range
                    .slice(text)
                    .is_some_and(|part| prepare::hash(part.as_bytes()) == chunk.hash)
            });
        }
        rows.file.hash == prepare::hash(text.as_bytes())
    }

    /// The best chunks for `query` in files that `accept` lets through, if it is given, best first, and the rarity
    /// of each of its terms (0 for one that occurs nowhere). A damaged full text finds nothing and
    /// is reported in the log; the next update makes it anew.
    pub fn find(
        &self,
        query: &Query,
        accept: Option<&dyn Fn(&str) -> bool>,
        limit: usize,
    ) -> (Vec<Found>, Vec<f32>) {
        let Parts { base, overlay, .. } = &*self.inner;
        let by_number: FxHashMap<u64, &Arc<Fresh>> =
            overlay.files.values().map(|fresh| (fresh.number, fresh)).collect();
        let delta = Delta {
            hidden: by_number.keys().copied().filter(|number| number & UNSTORED == 0).collect(),
            documents: overlay.files.values().flat_map(|fresh| &fresh.documents).collect(),
        };
        let rows_of = |number: u64| match by_number.get(&number) {
            Some(fresh) => fresh.rows.as_ref(),
            None => base.by_id.get(&number),
        };
        let by_path = accept.map(|accept| {
            move |number: u64| rows_of(number).is_some_and(|rows| accept(&rows.file.path))
        });
        let accept = by_path.as_ref().map(|accept| accept as &dyn Fn(u64) -> bool);
        let (hits, rarities) = match base.lexical.search(query, &delta, accept, limit) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the full text cannot be searched");
                return (Vec::new(), vec![0.0; query.terms.len()]);
            }
        };
        let found = hits.into_iter().filter_map(|hit| {
            let rows = rows_of(hit.file)?;
            let chunk = usize::try_from(hit.ordinal).ok()?;
            // Between two commits of another process rows and full text may differ for a moment.
            rows.chunks().get(chunk)?;
            Some(Found { rows: Arc::clone(rows), chunk, score: hit.score })
        });
        let mut found: Vec<Found> = found.collect();
        found.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| (&a.rows.file.path, a.chunk).cmp(&(&b.rows.file.path, b.chunk)))
        });
        (found, rarities)
    }

    /// Number of chunks that are found through an approximate index; 0 where all vectors are looked at.
    pub fn approximate_chunks(&self) -> usize {
        self.inner.approximate.as_ref().map_or(0, Approximate::covered)
    }

    /// The chunks nearest in meaning to `query` in files that `accept` lets through, nearest first;
    /// their score is the cosine. In a large workspace a few of the farther ones may be missing.
    pub fn nearest(
        &self,
        query: &Vector,
        accept: &dyn Fn(&str) -> bool,
        limit: usize,
    ) -> Vec<Found> {
        let limit = limit.max(1);
        self.nearest_candidates(query, accept, limit)
            .unwrap_or_else(|| self.nearest_of_all(query, accept, limit))
    }

    /// The nearest among what an approximate index finds and what it does not know. `None` where that is not enough to
    /// tell, and where there is no such index.
    fn nearest_candidates(
        &self,
        query: &Vector,
        accept: &dyn Fn(&str) -> bool,
        limit: usize,
    ) -> Option<Vec<Found>> {
        let Parts { base, overlay, approximate, .. } = &*self.inner;
        let approximate = approximate.as_ref()?;
        let candidates = approximate.candidates(base, query, limit)?;
        let holds = |path: &str| !overlay.files.contains_key(path) && accept(path);
        let mut nearest = Nearest::new(limit);
        let mut held = 0;
        for (rows, chunk) in candidates.chunks {
            if holds(&rows.file.path)
                && let Some(cosine) = rows.vectors().cosine(chunk, query)
            {
                held += 1;
                nearest.add(cosine, rows, chunk);
            }
        }
        if held < limit && !candidates.all {
            return None;
        }
        store::load_vectors(approximate.uncovered().iter().map(|rows| &**rows));
        for rows in approximate.uncovered() {
            nearest.scan(rows.vectors(), rows, query, || holds(&rows.file.path));
        }
        self.scan_overlay(&mut nearest, query, accept);
        Some(nearest.found())
    }

    /// An exact scan: a million lines of code are some 10 MB of vectors.
    fn nearest_of_all(
        &self,
        query: &Vector,
        accept: &dyn Fn(&str) -> bool,
        limit: usize,
    ) -> Vec<Found> {
        let Parts { base, overlay, .. } = &*self.inner;
        let mut nearest = Nearest::new(limit);
        self.scan_overlay(&mut nearest, query, accept);
        for (vectors, rows) in base.vectors() {
            let path = &rows.file.path;
            nearest
                .scan(vectors, rows, query, || !overlay.files.contains_key(path) && accept(path));
        }
        nearest.found()
    }

    fn scan_overlay<'here>(
        &'here self,
        nearest: &mut Nearest<'here>,
        query: &Vector,
        accept: &dyn Fn(&str) -> bool,
    ) {
        let fresh = self.inner.overlay.files.values().filter_map(|fresh| fresh.rows.as_ref());
        for rows in fresh {
            nearest.scan(rows.vectors(), rows, query, || accept(&rows.file.path));
        }
    }

    /// Everything that the index holds, in an order and form that do not depend on its history:
    /// equal for two indexes of equal files.
    pub fn dump(&self) -> Vec<String> {
        let Parts { base, overlay, .. } = &*self.inner;
        let mut lines: Vec<String> = self
            .files()
            .map(|rows| {
                // What it leaves where it is stored is known there by its id.
                rows.load();
                let mut rows = FileRows::clone(rows);
                (rows.file.id, rows.file.mtime_ns, rows.file.inode) = (0, 0, 0);
                format!("{rows:?}")
            })
            .collect();
        let documents = base.lexical.documents().unwrap_or_default();
        let hidden: HashSet<u64> = overlay.files.values().map(|fresh| fresh.number).collect();
        lines.extend(documents.iter().filter(|document| !hidden.contains(&document.file)).map(
            |document| {
                let path = base.by_id.get(&document.file).map_or("?", |rows| &rows.file.path);
                format!("document {path} {} {:016x}", document.ordinal, document.digest)
            },
        ));
        lines.sort_unstable();
        lines
    }
}
