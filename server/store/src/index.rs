use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, Transaction, params};
use static_embedding::Matrix;

use crate::{
    database::{self, Durability, StoreError},
    links::Links,
    rows::{FileRow, FileRows},
};

const FILE_NAME: &str = "index.db";

const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    hash BLOB NOT NULL,
    language TEXT,
    lines INTEGER NOT NULL,
    skipped TEXT,
    digest BLOB NOT NULL
);
CREATE TABLE chunks (
    file INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    end_line INTEGER NOT NULL,
    hash BLOB NOT NULL,
    symbol TEXT,
    kind TEXT,
    container TEXT,
    signature TEXT,
    PRIMARY KEY (file, ordinal)
) WITHOUT ROWID;
CREATE TABLE symbols (
    file INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    name_start INTEGER NOT NULL,
    name_end INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    end_line INTEGER NOT NULL,
    container TEXT,
    signature TEXT NOT NULL,
    doc TEXT,
    PRIMARY KEY (file, ordinal)
) WITHOUT ROWID;
-- Files whose documents in the lexical index are older than their rows.
CREATE TABLE lexical_pending (file INTEGER PRIMARY KEY);
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
",
    "
-- The static vectors of a file's chunks, one after the other.
CREATE TABLE static_vectors (
    file INTEGER PRIMARY KEY,
    dimensions INTEGER NOT NULL,
    vectors BLOB NOT NULL
);
CREATE TABLE links (file INTEGER PRIMARY KEY, packed BLOB NOT NULL);
",
    "
DROP TABLE chunks;
DROP TABLE symbols;
DROP TABLE static_vectors;
DROP TABLE links;
DELETE FROM files;
-- What was found in a file: chunks and symbols, links, and the static vectors one after the other.
CREATE TABLE rows (
    file INTEGER PRIMARY KEY,
    packed BLOB NOT NULL,
    links BLOB NOT NULL,
    dimensions INTEGER NOT NULL,
    vectors BLOB NOT NULL
);
",
    "ALTER TABLE files ADD COLUMN plain TEXT;",
];

/// The rows of one workspace's index. One process writes it; others may read beside it.
pub struct IndexStore {
    connection: Connection,
    path: PathBuf,
}

/// In what state an index was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was none.
    Created,
    /// It was there and whole.
    Existing,
    /// It was damaged, for the given reason; it was set aside and an empty one begun.
    Replaced(String),
}

/// Everything that was read back from an index.
#[derive(Debug, Default)]
pub struct LoadedIndex {
    /// Files with their chunks and symbols, ordered by id.
    pub files: Vec<FileRows>,
    /// Rows that do not match their digest: to be indexed again. Their files are not in `files`.
    pub damaged: Vec<FileRow>,
}

/// Changes that are committed together.
#[derive(Debug, Default)]
pub struct IndexBatch {
    /// Files to insert or replace; an id of 0 asks for a new one, which is filled in.
    pub put: Vec<FileRows>,
    /// Files whose text is the same and whose other facts changed.
    pub touch: Vec<FileRows>,
    /// Ids of files to remove.
    pub remove: Vec<i64>,
}

impl IndexBatch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.touch.is_empty() && self.remove.is_empty()
    }
}

impl IndexStore {
    /// Opens the index in `folder` for writing, making it if need be. Damage is no error: the file
    /// is set aside and an empty one begun, as everything in it can be derived again.
    pub fn open(folder: &Path) -> Result<(Self, Opened), StoreError> {
        let path = folder.join(FILE_NAME);
        let existed = path.is_file();
        match Self::open_sound(&path) {
            Ok(store) if existed => Ok((store, Opened::Existing)),
            Ok(store) => Ok((store, Opened::Created)),
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "the index is damaged and is made anew");
                database::set_aside(&path)?;
                Ok((Self::open_sound(&path)?, Opened::Replaced(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the index in `folder` for reading beside its writer; `None` when there is none that
    /// this version can read.
    pub fn open_to_read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE_NAME);
        let connection = database::open_to_read(&path, MIGRATIONS.len())?;
        Ok(connection.map(|connection| Self { connection, path }))
    }

    fn open_sound(path: &Path) -> Result<Self, StoreError> {
        let connection = database::open(path, MIGRATIONS, Durability::Derived)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Throws everything away and begins anew; row ids are not used again.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute_batch(
                "INSERT OR IGNORE INTO lexical_pending SELECT id FROM files;
                 DELETE FROM files; DELETE FROM rows;",
            )
        })
    }

    /// Reads everything in one snapshot. Each file's rows are held against the digest written with
    /// them, so that a flipped bit costs one file's indexing and never a wrong answer.
    pub fn load(&self) -> Result<LoadedIndex, StoreError> {
        let fail = StoreError::sqlite(&self.path);
        let transaction = self.connection.unchecked_transaction().map_err(&fail)?;
        let loaded = load(&transaction).map_err(&fail)?;
        Ok(loaded)
    }

    /// Commits `batch` in one transaction and marks its files as pending for the lexical index.
    /// New ids are filled into `batch.put`.
    pub fn write(&mut self, batch: &mut IndexBatch) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            for id in &batch.remove {
                remove_rows(transaction, *id)?;
                transaction.prepare_cached("DELETE FROM files WHERE id = ?1")?.execute([id])?;
                mark_pending(transaction, *id)?;
            }
            for rows in &mut batch.put {
                put_file(transaction, rows)?;
                put_rows(transaction, rows)?;
                mark_pending(transaction, rows.file.id)?;
            }
            for rows in &mut batch.touch {
                put_file(transaction, rows)?;
            }
            Ok(())
        })
    }

    /// Ids whose documents in the lexical index are older than their rows, or should be gone.
    pub fn pending(&self) -> Result<Vec<i64>, StoreError> {
        let read = || {
            let mut statement =
                self.connection.prepare_cached("SELECT file FROM lexical_pending ORDER BY file")?;
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()
        };
        read().map_err(StoreError::sqlite(&self.path))
    }

    /// Marks every file as pending, for a lexical index that is made anew.
    pub fn all_pending(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute_batch(
                "DELETE FROM lexical_pending; INSERT INTO lexical_pending SELECT id FROM files;",
            )
        })
    }

    /// Records that the lexical index has committed everything under `stamp`, but for the files
    /// that are `still_pending`.
    pub fn lexical_committed(
        &mut self,
        stamp: u64,
        still_pending: &[i64],
    ) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute("DELETE FROM lexical_pending", [])?;
            for id in still_pending {
                mark_pending(transaction, *id)?;
            }
            put_meta(transaction, "lexical_stamp", stamp)
        })
    }

    /// A number kept under `key`.
    pub fn meta(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let read = || {
            let mut statement =
                self.connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
            let mut rows = statement.query([key])?;
            rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()
        };
        let value: Option<i64> = read().map_err(StoreError::sqlite(&self.path))?;
        Ok(value.map(|value| value as u64))
    }

    /// Keeps `value` under `key`.
    pub fn set_meta(&mut self, key: &str, value: u64) -> Result<(), StoreError> {
        self.transaction(|transaction| put_meta(transaction, key, value))
    }

    /// A number that changes whenever another connection commits.
    pub fn data_version(&self) -> Result<i64, StoreError> {
        self.connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(StoreError::sqlite(&self.path))
    }

    /// Has SQLite look at the structure of the whole file, which takes a second for a gigabyte. Fails when it
    /// is damaged.
    pub fn check(&self) -> Result<(), StoreError> {
        let verdict: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(StoreError::sqlite(&self.path))?;
        if verdict == "ok" {
            return Ok(());
        }
        Err(StoreError::Damaged { path: self.path.clone(), reason: verdict })
    }

    /// Moves the file of a damaged index out of the way; open it again afterwards.
    pub fn set_aside(self) -> Result<(), StoreError> {
        let Self { connection, path } = self;
        // The error would say that the damaged file cannot be closed properly, which is expected.
        drop(connection.close());
        database::set_aside(&path)
    }

    fn transaction(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let fail = StoreError::sqlite(&self.path);
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(&fail)?;
        work(&transaction).map_err(&fail)?;
        transaction.commit().map_err(&fail)
    }
}

fn put_meta(transaction: &Transaction<'_>, key: &str, value: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?
        .execute(params![key, value.cast_signed()])?;
    Ok(())
}

fn mark_pending(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO lexical_pending VALUES (?1)")?
        .execute([id])?;
    Ok(())
}

fn remove_rows(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM rows WHERE file = ?1")?.execute([id])?;
    Ok(())
}

fn put_file(transaction: &Transaction<'_>, rows: &mut FileRows) -> rusqlite::Result<()> {
    let digest = rows.digest();
    let file = &mut rows.file;
    file.id = transaction
        .prepare_cached(
            "INSERT INTO files
                 (path, size, mtime_ns, inode, hash, language, lines, skipped, digest, plain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (path) DO UPDATE SET size = ?2, mtime_ns = ?3, inode = ?4, hash = ?5,
                 language = ?6, lines = ?7, skipped = ?8, digest = ?9, plain = ?10
             RETURNING id",
        )?
        .query_row(
            params![
                &*file.path,
                file.size.cast_signed(),
                file.mtime_ns,
                file.inode.cast_signed(),
                file.hash,
                file.language.as_deref(),
                file.lines,
                file.skipped.as_deref(),
                digest,
                file.plain.as_deref(),
            ],
            |row| row.get(0),
        )?;
    Ok(())
}

fn put_rows(transaction: &Transaction<'_>, rows: &FileRows) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO rows VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            rows.file.id,
            rows.packed(),
            rows.links.packed(),
            rows.vectors.dimensions() as i64,
            rows.vectors.as_bytes()
        ])?;
    Ok(())
}

/// The vectors of so many files lie together in memory.
const GATHERED: usize = 1024;

/// Shares the strings that repeat in every file: kinds and languages.
#[derive(Default)]
struct Interner(HashMap<String, Arc<str>>);

impl Interner {
    fn get(&mut self, value: &str) -> Arc<str> {
        if let Some(known) = self.0.get(value) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = value.into();
        self.0.insert(value.to_owned(), Arc::clone(&shared));
        shared
    }
}

fn load(transaction: &Transaction<'_>) -> rusqlite::Result<LoadedIndex> {
    let mut interner = Interner::default();
    let mut loaded = LoadedIndex::default();
    let mut statement = transaction.prepare(
        "SELECT id, path, size, mtime_ns, inode, hash, language, lines, skipped, digest,
                packed, links, dimensions, vectors, plain
         FROM files LEFT JOIN rows ON rows.file = files.id ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let file = FileRow {
            id: row.get(0)?,
            path: row.get_ref(1)?.as_str()?.into(),
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            mtime_ns: row.get(3)?,
            inode: row.get::<_, i64>(4)?.cast_unsigned(),
            hash: row.get(5)?,
            language: row.get_ref(6)?.as_str_or_null()?.map(|language| interner.get(language)),
            lines: row.get(7)?,
            skipped: row.get_ref(8)?.as_str_or_null()?.map(|reason| interner.get(reason)),
            plain: row.get_ref(14)?.as_str_or_null()?.map(|reason| interner.get(reason)),
        };
        let digest: [u8; 8] = row.get(9)?;
        let Some(packed) = row.get_ref(10)?.as_blob_or_null()? else {
            loaded.damaged.push(file);
            continue;
        };
        let links = Links::of_packed(row.get_ref(11)?.as_blob()?);
        let dimensions = usize::try_from(row.get::<_, i64>(12)?).unwrap_or(0);
        let vectors = Matrix::from_bytes(row.get_ref(13)?.as_blob()?, dimensions);
        let rows = FileRows::of_packed(file, packed, vectors, links);
        if rows.digest() == digest {
            loaded.files.push(rows);
        } else {
            loaded.damaged.push(rows.file);
        }
    }
    for files in loaded.files.chunks_mut(GATHERED) {
        Matrix::gather(files.iter_mut().map(|rows| &mut rows.vectors));
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests;
