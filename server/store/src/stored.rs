use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row};
use static_embedding::Matrix;

use crate::{
    database::{self, StoreError},
    links::Links,
    rows::{FileRows, Packed},
};

/// So many rows are quicker read one by one than with all others.
const FEW: usize = 64;
/// The vectors of so many files lie together in memory.
const GATHERED: usize = 1024;

/// Where rows lie whose contents were left out when they were loaded. Whatever cannot be read there, or is not
/// what it was written as, counts as empty, and is [noticed](Stored::noticed_damage).
pub(crate) struct Stored {
    path: PathBuf,
    connection: Mutex<Connection>,
    damage: AtomicBool,
}

impl Stored {
    /// A connection of its own to the database at `path`, which must be there.
    pub(crate) fn open(path: &Path, schema: usize) -> Result<Option<Self>, StoreError> {
        let connection = database::open_to_read(path, schema)?;
        Ok(connection.map(|connection| Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            damage: AtomicBool::new(false),
        }))
    }

    /// Whether something could not be read as it was written.
    pub(crate) fn noticed_damage(&self) -> bool {
        self.damage.load(Ordering::Relaxed)
    }

    /// Chunks, symbols and links of a file.
    pub(crate) fn packed(&self, file: i64, digest: [u8; 8]) -> Packed {
        let read = |connection: &Connection| {
            let sql = "SELECT packed, links FROM contents WHERE file = ?1";
            connection.prepare_cached(sql)?.query_row([file], |row| packed(row, 0)).optional()
        };
        let packed = self.read(read).flatten().unwrap_or_default();
        if packed.digest() == digest { packed } else { self.damaged(file) }
    }

    /// The vectors of a file.
    pub(crate) fn vectors(&self, file: i64, digest: [u8; 8]) -> Matrix {
        let read = |connection: &Connection| {
            let sql = "SELECT dimensions, vectors FROM vectors WHERE file = ?1";
            connection.prepare_cached(sql)?.query_row([file], |row| vectors(row, 0)).optional()
        };
        let vectors = self.read(read).flatten().unwrap_or_default();
        if digest_of(&[vectors.as_bytes()]) == digest { vectors } else { self.damaged(file) }
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        let result = work(&self.connection.lock());
        result
            .inspect_err(|error| {
                tracing::error!(path = %self.path.display(), %error, "the index cannot be read");
                self.damage.store(true, Ordering::Relaxed);
            })
            .ok()
    }

    fn damaged<T: Default>(&self, file: i64) -> T {
        tracing::error!(path = %self.path.display(), file, "a row of the index is damaged");
        self.damage.store(true, Ordering::Relaxed);
        T::default()
    }
}

/// Reads the chunks, symbols and links of these files where they were left where they are stored: all at once is
/// faster than one by one.
pub fn load_contents<'rows>(files: impl IntoIterator<Item = &'rows FileRows>) {
    load(files, FileRows::lacks_packed, read_packed, FileRows::load_packed);
}

/// The same for their vectors.
pub fn load_vectors<'rows>(files: impl IntoIterator<Item = &'rows FileRows>) {
    load(files, FileRows::lacks_vectors, read_vectors, FileRows::load_vectors);
}

fn load<'rows>(
    files: impl IntoIterator<Item = &'rows FileRows>,
    lacks: impl Fn(&FileRows) -> bool,
    read: impl Fn(&Connection, &Wanted<'_>) -> rusqlite::Result<()>,
    one: impl Fn(&FileRows),
) {
    let lacking: Vec<&FileRows> = files.into_iter().filter(|rows| lacks(rows)).collect();
    if lacking.len() > FEW
        && let Some(stored) = lacking.iter().find_map(|rows| rows.stored())
    {
        let wanted = lacking.iter().map(|rows| (rows.file.id, *rows)).collect();
        stored.read(|connection| read(connection, &wanted));
    }
    // Those that were not found are looked for once more, and then missed.
    lacking.into_iter().for_each(one);
}

/// Files by their ids.
pub(crate) type Wanted<'rows> = HashMap<i64, &'rows FileRows>;

/// Fills in chunks, symbols and links, but for those that are not what they were written as.
pub(crate) fn read_packed(connection: &Connection, wanted: &Wanted<'_>) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT file, packed, links FROM contents ORDER BY file")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let Some(rows) = wanted.get(&row.get(0)?) else { continue };
        let packed = packed(row, 1)?;
        if packed.digest() == rows.digests().packed {
            rows.set_packed(packed);
        }
    }
    Ok(())
}

/// The same for vectors.
pub(crate) fn read_vectors(connection: &Connection, wanted: &Wanted<'_>) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT file, dimensions, vectors FROM vectors ORDER BY file")?;
    let mut found = statement.query([])?;
    let mut block: Vec<(&FileRows, Matrix)> = Vec::new();
    let flush = |block: &mut Vec<(&FileRows, Matrix)>| {
        Matrix::gather(block.iter_mut().map(|(_, vectors)| vectors));
        for (rows, vectors) in block.drain(..) {
            rows.set_vectors(vectors);
        }
    };
    while let Some(row) = found.next()? {
        let Some(rows) = wanted.get(&row.get(0)?) else { continue };
        let vectors = vectors(row, 1)?;
        if digest_of(&[vectors.as_bytes()]) == rows.digests().vectors {
            block.push((rows, vectors));
        }
        if block.len() == GATHERED {
            flush(&mut block);
        }
    }
    flush(&mut block);
    let none = digest_of(&[&[]]);
    for rows in wanted.values().filter(|rows| rows.digests().vectors == none) {
        rows.set_vectors(Matrix::default());
    }
    Ok(())
}

/// What tells whether parts of a row are as they were written.
pub(crate) fn digest_of(parts: &[&[u8]]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut digest = [0; 8];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    digest
}

fn packed(row: &Row<'_>, at: usize) -> rusqlite::Result<Packed> {
    let links = Links::of_packed(row.get_ref(at + 1)?.as_blob()?);
    Ok(Packed { rows: row.get_ref(at)?.as_blob()?.into(), links })
}

fn vectors(row: &Row<'_>, at: usize) -> rusqlite::Result<Matrix> {
    let dimensions = usize::try_from(row.get::<_, i64>(at)?).unwrap_or(0);
    Ok(Matrix::from_bytes(row.get_ref(at + 1)?.as_blob()?, dimensions))
}
