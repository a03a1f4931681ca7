use std::collections::HashSet;

use super::*;
use crate::{Delta, DeltaDocument, LexicalHit, Query, QueryTerm, Tokens};

const TEXTS: &[(u64, &str, &str)] = &[
    (1, "src/parser.rs", "fn parse_header(input: &str) -> Header { split(input) }"),
    (2, "src/writer.rs", "fn write_header(header: &Header) { output(header) }"),
    (3, "docs/guide.md", "How the parser reads a file and its header, line by line."),
    (4, "src/cache.rs", "struct Cache { entries: Vec<Entry> }"),
];

fn document(number: u64, path: &'static str, body: &'static str) -> Document<'static> {
    Document { file: number, ordinal: 0, path, body, ..Document::default() }
}

fn add_all(index: &mut LexicalIndex) {
    for (file, path, body) in TEXTS {
        index.add(&document(*file, path, body)).unwrap();
    }
}

fn query(text: &str) -> Query {
    let terms = Tokens::new().list(text).into_iter().map(|text| QueryTerm {
        text,
        weight: 1.0,
        variants: Vec::new(),
    });
    Query { terms: terms.collect() }
}

fn search(index: &LexicalIndex, text: &str, delta: &Delta<'_>) -> Vec<LexicalHit> {
    index.reader().unwrap().search(&query(text), delta, None, 10).unwrap().0
}

fn files(hits: &[LexicalHit]) -> Vec<u64> {
    hits.iter().map(|hit| hit.file).collect()
}

#[test]
fn rarer_terms_and_paths_decide() {
    let folder = tempfile::tempdir().unwrap();
    let (mut index, opened) = LexicalIndex::open(&folder.path().join("full"), false).unwrap();
    assert_eq!(opened, Opened::Created);
    add_all(&mut index);
    assert!(search(&index, "header", &Delta::default()).is_empty(), "not committed yet");
    index.commit(1).unwrap();
    assert_eq!(files(&search(&index, "parsing the header", &Delta::default()))[0], 1);
    assert_eq!(files(&search(&index, "writeHeader", &Delta::default()))[0], 2);
    assert_eq!(files(&search(&index, "entries", &Delta::default())), [4]);
    assert!(search(&index, "absent", &Delta::default()).is_empty());
    let reader = index.reader().unwrap();
    let (_, rarities) =
        reader.search(&query("header entries absent"), &Delta::default(), None, 1).unwrap();
    assert!(rarities[1] > rarities[0] && rarities[2] == 0.0, "{rarities:?}");
}

#[test]
fn deleting_a_file_takes_its_documents_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (mut index, _) = LexicalIndex::open(folder.path(), false).unwrap();
    add_all(&mut index);
    index.commit(1).unwrap();
    index.delete(1).unwrap();
    index.add(&document(1, "src/parser.rs", "fn nothing() {}")).unwrap();
    index.commit(2).unwrap();
    let mut found = files(&search(&index, "header", &Delta::default()));
    found.sort_unstable();
    assert_eq!(found, [2, 3]);
    assert_eq!(index.stamp().unwrap(), Some(2));
}

#[test]
fn ranking_does_not_depend_on_history() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut fresh, _) = LexicalIndex::open(one.path(), false).unwrap();
    add_all(&mut fresh);
    fresh.commit(1).unwrap();
    let (mut worn, _) = LexicalIndex::open(two.path(), false).unwrap();
    for round in 0..5 {
        for (file, ..) in TEXTS {
            worn.delete(*file).unwrap();
            worn.add(&document(*file, "src/other.rs", "header header parser cache")).unwrap();
        }
        worn.commit(round).unwrap();
    }
    for (file, ..) in TEXTS {
        worn.delete(*file).unwrap();
    }
    add_all(&mut worn);
    worn.commit(9).unwrap();
    for text in ["header", "parser file", "cache entry header"] {
        let delta = Delta::default();
        assert_eq!(search(&fresh, text, &delta), search(&worn, text, &delta), "{text}");
    }
    let documents = |index: &LexicalIndex| index.reader().unwrap().documents().unwrap();
    assert_eq!(documents(&fresh), documents(&worn));
}

#[test]
fn the_delta_ranks_as_the_committed_documents_will() {
    let folder = tempfile::tempdir().unwrap();
    let (mut index, _) = LexicalIndex::open(folder.path(), false).unwrap();
    add_all(&mut index);
    index.commit(1).unwrap();
    let text = "fn entries_of_header() -> Vec<Header> { Vec::new() }";
    let newer = DeltaDocument::new(&document(4, "src/cache.rs", text), &mut Tokens::new());
    let delta = Delta { hidden: HashSet::from([4]), documents: vec![&newer] };
    let before = search(&index, "header entries", &delta);
    assert!(before.iter().any(|hit| hit.file == 4 && hit.fresh));
    index.delete(4).unwrap();
    index.add(&document(4, "src/cache.rs", text)).unwrap();
    index.commit(2).unwrap();
    let after = search(&index, "header entries", &Delta::default());
    let plain = |hits: Vec<LexicalHit>| {
        hits.into_iter().map(|hit| (hit.file, hit.ordinal, hit.score)).collect::<Vec<_>>()
    };
    assert_eq!(plain(before), plain(after));
}

#[test]
fn a_damaged_folder_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (mut index, _) = LexicalIndex::open(folder.path(), false).unwrap();
    add_all(&mut index);
    index.commit(1).unwrap();
    index.finish().unwrap();
    let (index, opened) = LexicalIndex::open(folder.path(), false).unwrap();
    assert_eq!((opened, index.reader().unwrap().len()), (Opened::Existing, TEXTS.len()));
    index.finish().unwrap();

    let names: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let segment = names.iter().find(|path| path.extension().is_some_and(|end| end == "term"));
    let mut bytes = fs::read(segment.unwrap()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(segment.unwrap()).unwrap();
    fs::write(segment.unwrap(), bytes).unwrap();
    let (mut index, opened) = LexicalIndex::open(folder.path(), true).unwrap();
    assert_eq!(opened, Opened::Existing, "trusted");
    // Whatever it finds, it does no harm.
    drop(index.reader().unwrap().search(&query("header"), &Delta::default(), None, 9));
    assert!(
        matches!(index.delete(1), Err(LexicalError::Damaged { .. })),
        "verified before writing"
    );
    assert!(matches!(index.verify(), Err(LexicalError::Damaged { .. })));
    index.finish().unwrap();
    let (index, opened) = LexicalIndex::open(folder.path(), false).unwrap();
    assert!(matches!(opened, Opened::Replaced(_)), "{opened:?}");
    assert!(index.reader().unwrap().is_empty());
    index.finish().unwrap();

    fs::write(folder.path().join("meta.json"), "{}").unwrap();
    let (_, opened) = LexicalIndex::open(folder.path(), false).unwrap();
    assert!(matches!(opened, Opened::Replaced(_)), "{opened:?}");
}

#[test]
fn a_reader_beside_the_writer_sees_its_commits() {
    let folder = tempfile::tempdir().unwrap();
    assert!(LexicalIndex::open_to_read(folder.path()).unwrap().is_none());
    let (mut index, _) = LexicalIndex::open(folder.path(), false).unwrap();
    index.commit(1).unwrap();
    let mut beside = LexicalIndex::open_to_read(folder.path()).unwrap().unwrap();
    assert!(matches!(beside.delete(1), Err(LexicalError::ReadOnly)));
    add_all(&mut index);
    index.commit(2).unwrap();
    beside.reload().unwrap();
    assert_eq!(beside.reader().unwrap().len(), TEXTS.len());
}

#[test]
fn a_rollback_forgets_what_was_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut index, _) = LexicalIndex::open(folder.path(), false).unwrap();
    add_all(&mut index);
    index.rollback().unwrap();
    index.add(&document(7, "a.rs", "only")).unwrap();
    index.commit(1).unwrap();
    assert_eq!(index.reader().unwrap().len(), 1);
}
