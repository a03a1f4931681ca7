use std::fs;

use super::*;
use static_embedding::Matrix;
use text::TextRange;

use crate::{
    links::{Links, Uses},
    load_contents, load_vectors,
    rows::{ChunkRow, Letters, SymbolRow},
};

fn rows(path: &str, symbols: &[&str]) -> FileRows {
    let span = |at: usize| TextRange::new(at * 10, at * 10 + 9);
    let file = FileRow {
        id: 0,
        path: path.into(),
        size: 100,
        mtime_ns: 1_700_000_000_000_000_000,
        inode: u64::MAX,
        hash: [3; 16],
        language: Some("rust".into()),
        lines: 7,
        skipped: None,
        plain: None,
    };
    let chunks = symbols
        .iter()
        .enumerate()
        .map(|(at, name)| ChunkRow {
            range: span(at),
            lines: at as u32..at as u32 + 1,
            hash: [at as u8; 16],
            symbol: Some((*name).into()),
            kind: Some("function".into()),
            container: None,
            signature: Some(format!("fn {name}()").into()),
        })
        .collect();
    let definitions = symbols
        .iter()
        .enumerate()
        .map(|(at, name)| SymbolRow {
            name: (*name).into(),
            kind: "function".into(),
            range: span(at),
            name_range: span(at),
            lines: at as u32..at as u32 + 1,
            container: Some("Type".into()),
            signature: format!("fn {name}()").into(),
            doc: Some("What it does.".into()),
        })
        .collect();
    FileRows::new(file, chunks, definitions)
        .with_vectors(Matrix::quantise(symbols.iter().map(|_| &[0.5, -1.0][..]), 2))
        .with_links(links(symbols))
}

/// The file uses each of these once.
fn links(names: &[&str]) -> Links {
    let mut names = names.to_vec();
    names.sort_unstable();
    let one = |name| (name, Uses { calls: 1, ..Uses::default() });
    Links::new(&names.iter().copied().map(one).collect::<Vec<_>>(), &[])
}

fn put(store: &mut IndexStore, files: Vec<FileRows>) -> IndexBatch {
    let mut batch = IndexBatch { put: files, ..IndexBatch::default() };
    store.write(&mut batch).unwrap();
    batch
}

#[test]
fn rows_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, opened) = IndexStore::open(folder.path()).unwrap();
    assert_eq!(opened, Opened::Created);
    let mut plain = rows("b/ü.rs", &[]);
    plain.file.plain = Some("line 3 is too long".into());
    let batch = put(&mut store, vec![rows("a.rs", &["one", "two"]), plain]);
    let again = put(&mut store, vec![rows("a.rs", &["three"])]);
    assert_eq!(again.put[0].file.id, batch.put[0].file.id, "a file keeps its id");
    drop(store);

    let (store, opened) = IndexStore::open(folder.path()).unwrap();
    assert_eq!(opened, Opened::Existing);
    let loaded = store.load().unwrap();
    assert!(loaded.damaged.is_empty());
    store.check().unwrap();
    assert_eq!(loaded.files, [again.put[0].clone(), batch.put[1].clone()]);
    assert_eq!(store.pending().unwrap(), [batch.put[0].file.id, batch.put[1].file.id]);
}

#[test]
fn heads_and_hashes_are_read_from_the_packed_row() {
    let mut rows = rows("a.rs", &["one", "two"]);
    rows.compact();
    let heads: Vec<_> = rows
        .symbols_with(Letters::default(), 0)
        .map(|(_, head)| (head.name, head.kind, head.container))
        .collect();
    assert_eq!(heads, [("one", "function", Some("Type")), ("two", "function", Some("Type"))]);
    assert!(rows.chunk_hashes().eq([[0; 16], [1; 16]]));
    assert_eq!((rows.chunk_count(), rows.symbol_count()), (2, 2));
    assert!(rows.chunks().iter().map(|chunk| chunk.hash).eq(rows.chunk_hashes()));
    assert!(rows.symbols().iter().map(|symbol| &*symbol.name).eq(heads.iter().map(|head| head.0)));

    let whole = rows.packed().rows.to_vec();
    for end in 0..whole.len() {
        let cut = FileRows::empty(rows.file.clone()).with_packed(&whole[..end]);
        assert!(cut.symbols_with(Letters::default(), 0).count() <= 2 && cut.symbols().len() <= 2);
        assert!(cut.chunk_hashes().count() <= 2 && cut.chunks().len() <= 2);
    }
}

#[test]
fn removed_files_stay_pending_until_the_lexical_index_has_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = IndexStore::open(folder.path()).unwrap();
    let id = put(&mut store, vec![rows("a.rs", &["one"])]).put[0].file.id;
    store.lexical_committed(3, &[id]).unwrap();
    assert_eq!(store.pending().unwrap(), [id]);
    store.lexical_committed(4, &[]).unwrap();
    assert_eq!((store.pending().unwrap(), store.meta("lexical_stamp").unwrap()), (vec![], Some(4)));
    store.write(&mut IndexBatch { remove: vec![id], ..IndexBatch::default() }).unwrap();
    assert_eq!(store.pending().unwrap(), [id]);
    assert!(store.load().unwrap().files.is_empty());
    let anew = put(&mut store, vec![rows("a.rs", &["one"])]).put[0].file.id;
    assert_ne!(anew, id, "an id names one file for ever");
}

#[test]
fn a_changed_row_is_noticed_and_costs_only_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = IndexStore::open(folder.path()).unwrap();
    put(&mut store, vec![rows("a.rs", &["one"]), rows("b.rs", &["two"])]);
    store
        .connection
        .execute(
            "UPDATE contents SET packed = CAST(replace(CAST(packed AS TEXT), 'two', 'twq') AS BLOB)
             WHERE file = 2",
            [],
        )
        .unwrap();
    check_damaged(&store, "b.rs");
    let loaded = store.load().unwrap();
    assert!(!store.noticed_damage());
    assert_eq!(loaded.files[1].symbols(), []);
    assert!(store.noticed_damage());
    assert_eq!(loaded.files[0].symbols().len(), 1);
}

/// What is known of this file alone is damaged, whichever way it is read.
fn check_damaged(store: &IndexStore, path: &str) {
    let loaded = store.load_whole().unwrap();
    let damaged: Vec<&str> = loaded.damaged.iter().map(|file| &*file.path).collect();
    assert_eq!((loaded.files.len(), damaged.as_slice()), (1, &[path][..]));
    let checked = store.check_contents(&CancelToken::new());
    assert!(checked.is_err_and(|error| error.is_damage()));
}

#[test]
fn a_changed_file_or_vector_is_noticed() {
    for sql in [
        "UPDATE files SET symbols = 2 WHERE path = 'b.rs'",
        "UPDATE files SET size = 101 WHERE path = 'b.rs'",
        "UPDATE vectors SET vectors = x'0102' WHERE file = 2",
        "DELETE FROM vectors WHERE file = 2",
        "DELETE FROM contents WHERE file = 2",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = IndexStore::open(folder.path()).unwrap();
        put(&mut store, vec![rows("a.rs", &["one"]), rows("b.rs", &["two"])]);
        store.connection.execute(sql, []).unwrap();
        let loaded = store.load_whole().unwrap();
        assert_eq!(&*loaded.damaged[0].path, "b.rs", "{sql}");
    }
}

#[test]
fn a_changed_name_in_the_schema_counts_as_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = IndexStore::open(folder.path()).unwrap();
    put(&mut store, vec![rows("a.rs", &["one"])]);
    store
        .connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'links', 'lynks') WHERE name = 'contents';",
        )
        .unwrap();
    drop(store);
    let (store, opened) = IndexStore::open(folder.path()).unwrap();
    assert_eq!(opened, Opened::Existing);
    assert!(store.load_whole().is_err_and(|error| error.is_damage()));
    let checked = store.check_contents(&CancelToken::new());
    assert!(checked.is_err_and(|error| error.is_damage()));
}

#[test]
fn what_was_loaded_before_a_change_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = IndexStore::open(folder.path()).unwrap();
    put(&mut store, vec![rows("a.rs", &["one", "two"])]);
    let before = store.load().unwrap();
    before.files[0].load();
    put(&mut store, vec![rows("a.rs", &["three"])]);
    assert_eq!(before.files[0].symbols().len(), 2);
    assert_eq!(store.load().unwrap().files[0].symbols().len(), 1);
    assert!(!store.noticed_damage());
}

#[test]
fn many_files_are_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = IndexStore::open(folder.path()).unwrap();
    let path = |at: usize| format!("{at:03}.rs");
    let batch =
        put(&mut store, (0..100).map(|at| rows(&path(at), &["one", "two"][..at % 3])).collect());
    let loaded = store.load().unwrap();
    load_contents(&loaded.files);
    load_vectors(&loaded.files);
    assert!(loaded.files.iter().all(|rows| !rows.lacks_packed() && !rows.lacks_vectors()));
    assert_eq!(loaded.files, batch.put);
}

#[test]
fn symbols_are_found_by_the_letters_of_their_names() {
    let rows = rows("a.rs", &["readUtf8", "write_all", "größe"]);
    let check = |letters: &str, missing: u32, expected: &[usize]| {
        let found = rows.symbols_with(Letters::of(letters), missing).map(|(at, _)| at);
        assert!(found.eq(expected.iter().copied()), "{letters:?} but for {missing}");
    };
    check("", 0, &[0, 1, 2]);
    check("READ", 0, &[0]);
    check("read_utf8", 0, &[0]);
    check("wall", 0, &[1]);
    check("wale9", 1, &[1]);
    check("GRÖßE", 0, &[2]);
    check("z", 0, &[]);
}

#[test]
fn a_changed_link_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = IndexStore::open(folder.path()).unwrap();
    put(&mut store, vec![rows("a.rs", &["one"]), rows("b.rs", &["two"])]);
    let other = links(&["twq"]);
    store
        .connection
        .execute("UPDATE contents SET links = ?1 WHERE file = 2", [other.packed()])
        .unwrap();
    check_damaged(&store, "b.rs");
}

#[test]
fn a_damaged_file_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE_NAME), "this is no database at all".repeat(100)).unwrap();
    let (mut store, opened) = IndexStore::open(folder.path()).unwrap();
    assert!(matches!(opened, Opened::Replaced(_)));
    put(&mut store, vec![rows("a.rs", &["one"])]);
    assert!(folder.path().join("index.db.damaged").is_file());
}

#[test]
fn a_reader_sees_what_the_writer_commits() {
    let folder = tempfile::tempdir().unwrap();
    assert!(IndexStore::open_to_read(folder.path()).unwrap().is_none());
    let (mut store, _) = IndexStore::open(folder.path()).unwrap();
    let mut reader = IndexStore::open_to_read(folder.path()).unwrap().unwrap();
    let before = reader.data_version().unwrap();
    put(&mut store, vec![rows("a.rs", &["one"])]);
    assert_ne!(reader.data_version().unwrap(), before);
    assert_eq!(reader.load().unwrap().files.len(), 1);
    assert!(reader.clear().is_err(), "a reader cannot write");
}
