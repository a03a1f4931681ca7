use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

/// How long one process waits for another one's short write before it gives up.
const BUSY: Duration = Duration::from_secs(5);

/// Why a database cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite refused a statement.
    #[error("database {}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file cannot be made, renamed or given its permissions.
    #[error("database {}: {source}", path.display())]
    File {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The structure of the file is damaged.
    #[error("database {} is damaged: {reason}", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite found first.
        reason: String,
    },
    /// A later version of Hearth wrote the file; it is left as it is.
    #[error(
        "database {} has schema {found}, this version of Hearth knows {known}; use the newer \
         version or move the file away",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema version in the file.
        found: u32,
        /// The newest schema version known here.
        known: u32,
    },
}

impl StoreError {
    /// Whether the file itself is at fault, so that trying again cannot help.
    pub fn is_damage(&self) -> bool {
        let source = match self {
            Self::Sqlite { source, .. } => source,
            Self::Damaged { .. } => return true,
            Self::File { .. } | Self::Newer { .. } => return false,
        };
        matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch)
        ) || matches!(
            source,
            // No statement of ours is wrong: a table or a column has lost its name.
            rusqlite::Error::SqlInputError { .. }
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
        )
    }

    pub(crate) fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self + '_ {
        |source| Self::Sqlite { path: path.to_owned(), source }
    }
}

/// How much a committed transaction must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A crash of the program; after a power cut the latest commits may be gone, never torn.
    Derived,
    /// A power cut as well.
    Kept,
}

/// Opens or makes the database at `path`, readable by its owner only, in WAL mode, and brings its
/// schema up to date: `migrations[n]` leads from schema version `n` to `n + 1`.
pub(crate) fn open(
    path: &Path,
    migrations: &[&str],
    durability: Durability,
) -> Result<Connection, StoreError> {
    create_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    let fail = StoreError::sqlite(path);
    let mut connection = Connection::open(path).map_err(&fail)?;
    connection.busy_timeout(BUSY).map_err(&fail)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(&fail)?;
    let synchronous = if durability == Durability::Derived { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous).map_err(&fail)?;
    connection.pragma_update(None, "foreign_keys", "ON").map_err(&fail)?;
    let known = u32::try_from(migrations.len()).expect("a handful of migrations");
    let found = schema_version(&connection).map_err(&fail)?;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for (version, migration) in (1..=known).zip(migrations).skip(found as usize) {
        let transaction = connection.transaction().map_err(&fail)?;
        transaction.execute_batch(migration).map_err(&fail)?;
        transaction.pragma_update(None, "user_version", version).map_err(&fail)?;
        transaction.commit().map_err(&fail)?;
    }
    Ok(connection)
}

/// Opens the database at `path` for reading, beside a process that may be writing it. `None` when
/// there is none yet, or one of another schema version.
pub(crate) fn open_to_read(path: &Path, known: usize) -> Result<Option<Connection>, StoreError> {
    if !path.is_file() {
        return Ok(None);
    }
    let fail = StoreError::sqlite(path);
    // Not SQLITE_OPEN_READ_ONLY: a reader of a WAL database may have to create its shared memory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&fail)?;
    connection.busy_timeout(BUSY).map_err(&fail)?;
    connection.pragma_update(None, "query_only", "ON").map_err(&fail)?;
    let found = schema_version(&connection).map_err(&fail)?;
    Ok((found as usize == known).then_some(connection))
}

/// Moves a database out of the way, with its journal, so that a new one can take its place. One
/// such copy is kept for whoever wants to look into it.
pub(crate) fn set_aside(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let from = with_suffix(path, suffix);
        let to = with_suffix(path, &format!(".damaged{suffix}"));
        match fs::rename(&from, &to) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::File { path: from, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn schema_version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// SQLite gives its journals the permissions of the database file, so that is made first.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "CREATE TABLE a (x INTEGER);";
    const TWO: &str = "ALTER TABLE a ADD COLUMN y INTEGER;";

    #[test]
    fn migrations_run_once_and_a_newer_file_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.db");
        let first = open(&path, &[ONE], Durability::Derived).expect("opened");
        first.execute("INSERT INTO a VALUES (1)", []).expect("written");
        drop(first);
        let second = open(&path, &[ONE, TWO], Durability::Derived).expect("migrated");
        let row: (i64, Option<i64>) = second
            .query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("read");
        assert_eq!(row, (1, None));
        drop(second);
        let older = open(&path, &[ONE], Durability::Derived);
        assert!(matches!(older, Err(StoreError::Newer { found: 2, known: 1, .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_files_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.db");
        let connection = open(&path, &[ONE], Durability::Derived).expect("opened");
        connection.execute("INSERT INTO a VALUES (1)", []).expect("written");
        for entry in fs::read_dir(folder.path()).expect("listed") {
            let mode = entry.expect("an entry").metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_is_not_a_database_counts_as_damage() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.db");
        fs::write(&path, vec![7; 4096]).expect("written");
        let error = open(&path, &[ONE], Durability::Derived).expect_err("refused");
        assert!(error.is_damage(), "{error}");
        set_aside(&path).expect("moved");
        open(&path, &[ONE], Durability::Derived).expect("opened anew");
    }
}
