use std::{collections::HashMap, path::Path, path::PathBuf};

use rusqlite::{Connection, params};
use static_embedding::Vector;

use crate::database::{self, Durability, StoreError};

const FILE_NAME: &str = "vectors.db";

const MIGRATIONS: &[&str] = &["
CREATE TABLE vectors (
    id INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    hash BLOB NOT NULL,
    vector BLOB NOT NULL,
    checksum BLOB NOT NULL,
    UNIQUE (model, hash)
);
"];

/// Rows that are kept, some 200 MB of them; beyond that the oldest go.
const MOST: i64 = 500_000;

/// The vectors that embedding models made of contents, by the contents' hashes: one cache for all
/// workspaces, so that no content is embedded twice, whatever branch or checkout it is in.
pub struct VectorStore {
    connection: Connection,
    path: PathBuf,
}

impl VectorStore {
    /// Opens the cache in `folder`, making it if need be. A damaged one is set aside and an empty
    /// one begun.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let open = || database::open(&path, MIGRATIONS, Durability::Derived);
        let connection = match open() {
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "the cache of vectors is damaged and is made anew");
                database::set_aside(&path)?;
                open()?
            }
            other => other?,
        };
        Ok(Self { connection, path })
    }

    /// The vectors of `model` that are known for these hashes. A row that does not match its
    /// checksum is not known.
    pub fn get(
        &self,
        model: &str,
        hashes: &[[u8; 16]],
    ) -> Result<HashMap<[u8; 16], Vector>, StoreError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT vector, checksum FROM vectors WHERE model = ?1 AND hash = ?2",
            )?;
            let mut found = HashMap::new();
            for hash in hashes {
                let mut rows = statement.query(params![model, hash])?;
                let Some(row) = rows.next()? else { continue };
                let bytes = row.get_ref(0)?.as_blob()?;
                if row.get_ref(1)?.as_blob()? == checksum(hash, bytes) {
                    found.insert(*hash, Vector::from_bytes(bytes));
                }
            }
            Ok(found)
        };
        read().map_err(StoreError::sqlite(&self.path))
    }

    /// Keeps vectors of `model` under the hashes of what they were made of.
    pub fn put(&mut self, model: &str, vectors: &[([u8; 16], Vector)]) -> Result<(), StoreError> {
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            for (hash, vector) in vectors {
                let bytes = vector.as_bytes();
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO vectors (model, hash, vector, checksum)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![model, hash, bytes, checksum(hash, bytes)])?;
            }
            transaction.execute(
                "DELETE FROM vectors WHERE id <= (SELECT max(id) FROM vectors) - ?1",
                [MOST],
            )?;
            transaction.commit()
        };
        write(&mut self.connection).map_err(StoreError::sqlite(&self.path))
    }
}

fn checksum(hash: &[u8; 16], bytes: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(hash).update(bytes);
    let mut checksum = [0; 8];
    checksum.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_by_model_and_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let vector = Vector::new(&[0.5, -1.0, 0.25]);
        let mut store = VectorStore::open(folder.path()).expect("made");
        store.put("a", &[([1; 16], vector.clone())]).expect("kept");
        store.put("a", &[([1; 16], vector.clone())]).expect("kept once");
        drop(store);
        let store = VectorStore::open(folder.path()).expect("opened");
        let found = store.get("a", &[[1; 16], [2; 16]]).expect("read");
        assert_eq!(found, HashMap::from([([1; 16], vector)]));
        assert!(store.get("b", &[[1; 16]]).expect("read").is_empty());
    }

    #[test]
    fn a_damaged_row_is_not_known_and_a_damaged_file_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = VectorStore::open(folder.path()).expect("made");
        store.put("a", &[([1; 16], Vector::new(&[1.0, 0.5]))]).expect("kept");
        store.connection.execute("UPDATE vectors SET vector = x'7f7f'", []).expect("damaged");
        assert!(store.get("a", &[[1; 16]]).expect("read").is_empty());
        drop(store);
        std::fs::write(folder.path().join(FILE_NAME), [7; 5000]).expect("damaged");
        let store = VectorStore::open(folder.path()).expect("made anew");
        assert!(store.get("a", &[[1; 16]]).expect("read").is_empty());
    }
}
