use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use base::CancelToken;
use rusqlite::{Connection, Transaction, params};

use crate::{
    database::{self, Durability, StoreError},
    rows::{Digests, FileRow, FileRows, Head},
    stored::{self, Stored, digest_of},
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
    "
DROP TABLE rows;
DELETE FROM files;
-- How much was found in a file, and digests of the rows that hold it, so that it can be left where it is.
ALTER TABLE files ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN symbols INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN contents_digest BLOB NOT NULL DEFAULT x'0000000000000000';
ALTER TABLE files ADD COLUMN vectors_digest BLOB NOT NULL DEFAULT x'0000000000000000';
-- Chunks and symbols, and links.
CREATE TABLE contents (file INTEGER PRIMARY KEY, packed BLOB NOT NULL, links BLOB NOT NULL);
-- The static vectors of the chunks, one after the other; no row where there are none.
CREATE TABLE vectors (
    file INTEGER PRIMARY KEY,
    dimensions INTEGER NOT NULL,
    vectors BLOB NOT NULL
);
",
];

/// The rows of one workspace's index. One process writes it; others may read beside it.
pub struct IndexStore {
    connection: Connection,
    path: PathBuf,
    /// What loaded rows read their contents through.
    stored: OnceLock<Arc<Stored>>,
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
        Ok(connection.map(|connection| Self { connection, path, stored: OnceLock::new() }))
    }

    fn open_sound(path: &Path) -> Result<Self, StoreError> {
        let connection = database::open(path, MIGRATIONS, Durability::Derived)?;
        Ok(Self { connection, path: path.to_owned(), stored: OnceLock::new() })
    }

    /// Throws everything away and begins anew; row ids are not used again.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute_batch(
                "INSERT OR IGNORE INTO lexical_pending SELECT id FROM files;
                 DELETE FROM files; DELETE FROM contents; DELETE FROM vectors;",
            )
        })
    }

    /// Reads the files in one snapshot and leaves their contents where they are until they are looked at. Each
    /// file is held against the digest written with it, its contents when they are read, so that a flipped bit
    /// costs one file's indexing and never a wrong answer.
    ///
    /// Contents are not kept as they were at this moment: before they are changed, [`FileRows::load`] them where
    /// they are still to be used.
    pub fn load(&self) -> Result<LoadedIndex, StoreError> {
        let stored = match self.stored.get() {
            Some(stored) => stored,
            None => match Stored::open(&self.path, MIGRATIONS.len())? {
                Some(stored) => self.stored.get_or_init(|| Arc::new(stored)),
                None => return Ok(LoadedIndex::default()),
            },
        };
        load(&self.connection, stored).map_err(StoreError::sqlite(&self.path))
    }

    /// Reads everything in one snapshot; files whose contents are damaged are among the damaged ones.
    pub fn load_whole(&self) -> Result<LoadedIndex, StoreError> {
        let fail = StoreError::sqlite(&self.path);
        let transaction = self.connection.unchecked_transaction().map_err(&fail)?;
        let mut loaded = self.load()?;
        let wanted = loaded.files.iter().map(|rows| (rows.file.id, rows)).collect();
        stored::read_packed(&transaction, &wanted).map_err(&fail)?;
        stored::read_vectors(&transaction, &wanted).map_err(&fail)?;
        let lacks = |rows: &mut FileRows| rows.lacks_packed() || rows.lacks_vectors();
        let damaged: Vec<FileRow> =
            loaded.files.extract_if(.., lacks).map(|rows| rows.file).collect();
        loaded.damaged.extend(damaged);
        Ok(loaded)
    }

    /// Whether contents that were read when they were looked at turned out to be damaged.
    pub fn noticed_damage(&self) -> bool {
        self.stored.get().is_some_and(|stored| stored.noticed_damage())
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
        if verdict == "ok" { Ok(()) } else { Err(self.damaged(verdict)) }
    }

    /// Holds the contents of all files against their digests, and keeps none of them. Fails when one is damaged;
    /// false when it was cancelled.
    pub fn check_contents(&self, cancel: &CancelToken) -> Result<bool, StoreError> {
        match first_damaged(&self.connection, cancel).map_err(StoreError::sqlite(&self.path))? {
            None => Ok(!cancel.is_cancelled()),
            Some(path) => Err(self.damaged(format!("what is known of {path} has changed"))),
        }
    }

    fn damaged(&self, reason: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), reason }
    }

    /// Moves the file of a damaged index out of the way; open it again afterwards.
    pub fn set_aside(self) -> Result<(), StoreError> {
        let Self { connection, path, stored } = self;
        drop(stored);
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
    for sql in ["DELETE FROM contents WHERE file = ?1", "DELETE FROM vectors WHERE file = ?1"] {
        transaction.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

fn put_file(transaction: &Transaction<'_>, rows: &mut FileRows) -> rusqlite::Result<()> {
    let head = rows.head();
    let (digest, file) = (head.digest(), &mut rows.file);
    file.id = transaction
        .prepare_cached(
            "INSERT INTO files
                 (path, size, mtime_ns, inode, hash, language, lines, skipped, digest, plain,
                  chunks, symbols, contents_digest, vectors_digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (path) DO UPDATE SET size = ?2, mtime_ns = ?3, inode = ?4, hash = ?5,
                 language = ?6, lines = ?7, skipped = ?8, digest = ?9, plain = ?10,
                 chunks = ?11, symbols = ?12, contents_digest = ?13, vectors_digest = ?14
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
                head.chunk_count,
                head.symbol_count,
                head.digests.packed,
                head.digests.vectors,
            ],
            |row| row.get(0),
        )?;
    Ok(())
}

fn put_rows(transaction: &Transaction<'_>, rows: &FileRows) -> rusqlite::Result<()> {
    let packed = rows.packed();
    transaction
        .prepare_cached("INSERT OR REPLACE INTO contents VALUES (?1, ?2, ?3)")?
        .execute(params![rows.file.id, &*packed.rows, packed.links.packed()])?;
    let vectors = rows.vectors();
    if vectors.is_empty() {
        let sql = "DELETE FROM vectors WHERE file = ?1";
        transaction.prepare_cached(sql)?.execute([rows.file.id])?;
    } else {
        let row = params![rows.file.id, vectors.dimensions() as i64, vectors.as_bytes()];
        let sql = "INSERT OR REPLACE INTO vectors VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

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

fn load(connection: &Connection, stored: &Arc<Stored>) -> rusqlite::Result<LoadedIndex> {
    let mut interner = Interner::default();
    let mut loaded = LoadedIndex::default();
    let mut statement = connection.prepare(
        "SELECT id, path, size, mtime_ns, inode, hash, language, lines, skipped, plain, digest,
                chunks, symbols, contents_digest, vectors_digest
         FROM files ORDER BY id",
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
            plain: row.get_ref(9)?.as_str_or_null()?.map(|reason| interner.get(reason)),
        };
        let digest: [u8; 8] = row.get(10)?;
        let digests = Digests { packed: row.get(13)?, vectors: row.get(14)? };
        let (chunk_count, symbol_count) = (row.get(11)?, row.get(12)?);
        let head = Head { file, chunk_count, symbol_count, digests };
        if head.digest() == digest {
            loaded.files.push(FileRows::of_stored(head, Arc::clone(stored)));
        } else {
            loaded.damaged.push(head.file);
        }
    }
    Ok(loaded)
}

/// The path of a file whose contents do not match their digests.
fn first_damaged(
    connection: &Connection,
    cancel: &CancelToken,
) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare(
        "SELECT path, contents_digest, vectors_digest, packed, links, vectors
         FROM files LEFT JOIN contents ON contents.file = files.id
             LEFT JOIN vectors ON vectors.file = files.id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()?.filter(|_| !cancel.is_cancelled()) {
        let blob = |at: usize| -> rusqlite::Result<&[u8]> {
            Ok(row.get_ref(at)?.as_blob_or_null()?.unwrap_or_default())
        };
        let found =
            Digests { packed: digest_of(&[blob(3)?, blob(4)?]), vectors: digest_of(&[blob(5)?]) };
        if found != (Digests { packed: row.get(1)?, vectors: row.get(2)? }) {
            return Ok(Some(row.get(0)?));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
