use std::{collections::HashMap, sync::Arc};

use indexer::{ChunkRow, FileRows, IndexSnapshot};

/// The current texts of files, each read once, with rows that describe exactly these texts.
pub(crate) struct Excerpts<'index> {
    index: &'index IndexSnapshot,
    files: HashMap<Arc<str>, Option<Current>>,
}

struct Current {
    text: Arc<str>,
    rows: Arc<FileRows>,
}

/// A chunk of a current text.
pub(crate) struct Excerpt<'files> {
    pub(crate) chunk: &'files ChunkRow,
    pub(crate) text: &'files str,
}

impl<'index> Excerpts<'index> {
    pub(crate) fn new(index: &'index IndexSnapshot) -> Self {
        Self { index, files: HashMap::new() }
    }

    /// The place in the current text that corresponds to a chunk of the index; `None` when the
    /// file is gone or nothing of the chunk is left.
    pub(crate) fn get(&mut self, rows: &Arc<FileRows>, chunk: usize) -> Option<Excerpt<'_>> {
        let path = &rows.file.path;
        if !self.files.contains_key(path) {
            let current = self.current(rows);
            self.files.insert(Arc::clone(path), current);
        }
        let current = self.files.get(path)?.as_ref()?;
        let chunk = if Arc::ptr_eq(&current.rows, rows) {
            current.rows.chunks().get(chunk)?
        } else {
            moved(rows.chunks().get(chunk)?, &current.rows)?
        };
        Some(Excerpt { chunk, text: chunk.range.slice(&current.text)? })
    }

    fn current(&self, rows: &Arc<FileRows>) -> Option<Current> {
        let text = self.index.text(&rows.file.path)?;
        let rows = if IndexSnapshot::is_current(rows, &text) {
            Arc::clone(rows)
        } else {
            Arc::new(self.index.rows_of(&rows.file.path, &text))
        };
        Some(Current { text, rows })
    }
}

/// Where a chunk of an older text stands now: the same text, else the same definition, nearest to
/// where it was.
fn moved<'rows>(chunk: &ChunkRow, rows: &'rows FileRows) -> Option<&'rows ChunkRow> {
    let distance = |other: &&ChunkRow| other.lines.start.abs_diff(chunk.lines.start);
    let same_text = rows.chunks().iter().filter(|other| other.hash == chunk.hash);
    same_text.min_by_key(distance).or_else(|| {
        let symbol = chunk.symbol.as_ref()?;
        rows.chunks()
            .iter()
            .filter(|other| {
                other.symbol.as_ref() == Some(symbol) && other.container == chunk.container
            })
            .min_by_key(distance)
    })
}
