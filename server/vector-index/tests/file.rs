//! What is found, and what becomes of an index whose file is not what was saved.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use base::CancelToken;
use static_embedding::Vector;
use tempfile::TempDir;
use vector_index::{Exact, Hnsw, VectorIndex, VectorIndexError};

const DIMENSIONS: usize = 64;
const STAMP: u64 = 7;
const MANIFEST: &[u8] = b"made of these rows";

/// Vectors around a few centres, as texts are about a few things, and queries among them.
fn vectors(seed: u64, count: usize) -> Vec<Vector> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 2001) as f32 / 1000.0 - 1.0
    };
    let mut one = |scale: f32| (0..DIMENSIONS).map(|_| next() * scale).collect::<Vec<f32>>();
    let centres: Vec<Vec<f32>> = (0..40).map(|_| one(1.0)).collect();
    let around = |centre: &Vec<f32>, noise: Vec<f32>| {
        Vector::new(&centre.iter().zip(noise).map(|(a, b)| a + b).collect::<Vec<f32>>())
    };
    (0..count).map(|at| around(&centres[at % centres.len()], one(0.8))).collect()
}

fn keyed(vectors: &[Vector]) -> impl Iterator<Item = (u64, &[u8])> {
    vectors.iter().enumerate().map(|(key, vector)| (key as u64 * 3, vector.as_bytes()))
}

fn built(vectors: &[Vector]) -> Hnsw {
    Hnsw::build(DIMENSIONS, vectors.len(), keyed(vectors), &CancelToken::new()).unwrap()
}

fn open(path: &Path) -> Result<Option<Hnsw>, VectorIndexError> {
    Hnsw::open(path, STAMP, &CancelToken::new())
}

struct Saved {
    folder: TempDir,
    vectors: Vec<Vector>,
}

impl Saved {
    fn new(count: usize) -> Self {
        let saved = Self { folder: tempfile::tempdir().unwrap(), vectors: vectors(3, count) };
        built(&saved.vectors).save(&saved.path(), STAMP, MANIFEST).unwrap();
        saved
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vectors.hnsw")
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// At least `share` of the `limit` nearest of `count` vectors are found, by an index that was built and by one that
/// was saved and opened, and both find the same.
#[track_caller]
fn check(count: usize, limit: usize, share: f32) {
    let saved = Saved::new(count);
    let exact = Exact::new(DIMENSIONS, keyed(&saved.vectors));
    let (built, opened) = (built(&saved.vectors), open(&saved.path()).unwrap().unwrap());
    assert_eq!((built.len(), opened.len(), exact.len()), (count, count, count));
    assert_eq!(opened.manifest(), MANIFEST);
    let (mut found, mut wanted) = (0, 0);
    for query in vectors(99, 40) {
        let nearest = exact.search(&query, limit).unwrap();
        let near = built.search(&query, limit).unwrap();
        assert_eq!(near, opened.search(&query, limit).unwrap());
        assert_eq!(near.len(), nearest.len());
        assert!(near.is_sorted_by(|a, b| a.1 >= b.1), "{near:?}");
        for (key, cosine) in &near {
            let vector = &saved.vectors[*key as usize / 3];
            assert!((vector.cosine(&query) - cosine).abs() < 1e-4);
        }
        let keys: HashSet<u64> = near.iter().map(|near| near.0).collect();
        assert_eq!(keys.len(), near.len(), "nothing is found twice");
        found += nearest.iter().filter(|nearest| keys.contains(&nearest.0)).count();
        wanted += nearest.len();
    }
    assert!(found as f32 >= share * wanted as f32, "{found} of {wanted}");
}

#[test]
fn few_vectors_are_all_found_and_of_many_almost_all() {
    check(0, 10, 1.0);
    check(1, 10, 1.0);
    check(300, 1000, 1.0);
    check(5000, 400, 0.95);
}

#[test]
fn another_query_finds_nothing_and_a_search_for_nothing_neither() {
    let index = built(&vectors(3, 50));
    assert!(index.search(&Vector::new(&[1.0, 2.0]), 10).unwrap().is_empty());
    assert!(index.search(&vectors(3, 1)[0], 0).unwrap().is_empty());
}

#[test]
fn searches_at_the_same_time_wait_for_each_other() {
    let saved = Saved::new(500);
    let index = open(&saved.path()).unwrap().unwrap();
    let query = &vectors(5, 1)[0];
    let alone = index.search(query, 20).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(index.search(query, 20).unwrap(), alone));
        }
    });
}

/// A file that was changed by `damage` is refused as useless.
#[track_caller]
fn check_refused(what: &str, damage: impl FnOnce(&mut Vec<u8>)) {
    let saved = Saved::new(200);
    let mut bytes = fs::read(saved.path()).unwrap();
    damage(&mut bytes);
    // Not in place: an index may be mapped.
    fs::remove_file(saved.path()).unwrap();
    fs::write(saved.path(), bytes).unwrap();
    let error = open(&saved.path()).map(drop).unwrap_err();
    assert!(error.is_useless_file(), "{what}: {error}");
}

#[test]
fn a_file_that_is_not_what_was_saved_is_not_shown_to_usearch() {
    let length = fs::metadata(Saved::new(200).path()).unwrap().len() as usize;
    for at in (0..length).step_by(length / 60).chain(length - 70..length) {
        check_refused(&format!("byte {at} flipped"), |bytes| bytes[at] ^= 0x10);
    }
    for kept in [0, 1, 40, 63, 64, 65, 72, length / 2, length - 1] {
        check_refused(&format!("cut to {kept}"), |bytes| bytes.truncate(kept));
    }
    check_refused("lengthened", |bytes| bytes.push(0));
    check_refused("emptied", |bytes| bytes.fill(0));
}

#[test]
fn a_file_of_another_stamp_is_refused_and_a_missing_one_is_none() {
    let saved = Saved::new(20);
    let error = Hnsw::open(&saved.path(), STAMP + 1, &CancelToken::new()).map(drop).unwrap_err();
    assert!(matches!(error, VectorIndexError::OtherStamp { .. }), "{error}");
    Hnsw::remove(&saved.path()).unwrap();
    Hnsw::remove(&saved.path()).unwrap();
    assert!(open(&saved.path()).unwrap().is_none());
    assert!(saved.files().is_empty());
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_index_and_its_rest_goes() {
    let saved = Saved::new(20);
    let rest = saved.path().with_extension("unfinished");
    fs::write(&rest, b"half of an index").unwrap();
    assert_eq!(open(&saved.path()).unwrap().unwrap().len(), 20);
    built(&vectors(3, 30)).save(&saved.path(), STAMP, MANIFEST).unwrap();
    assert_eq!(open(&saved.path()).unwrap().unwrap().len(), 30);
    assert_eq!(saved.files(), ["vectors.hnsw"]);
    fs::write(&rest, b"half of an index").unwrap();
    Hnsw::remove(&saved.path()).unwrap();
    assert!(saved.files().is_empty());
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(Saved::new(10).path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_index_in_use_outlives_its_file() {
    let saved = Saved::new(100);
    let index = open(&saved.path()).unwrap().unwrap();
    let query = &vectors(5, 1)[0];
    let before = index.search(query, 10).unwrap();
    built(&vectors(8, 10)).save(&saved.path(), STAMP, MANIFEST).unwrap();
    assert_eq!(index.search(query, 10).unwrap(), before);
    // Windows keeps the name of a file that is mapped.
    #[cfg(unix)]
    Hnsw::remove(&saved.path()).unwrap();
    assert_eq!(index.search(query, 10).unwrap(), before);
}

#[test]
fn what_cannot_be_written_is_told_and_leaves_nothing() {
    let saved = Saved::new(10);
    let path = saved.folder.path().join("missing").join("vectors.hnsw");
    assert!(built(&saved.vectors).save(&path, STAMP, MANIFEST).is_err());
    assert_eq!(saved.files(), ["vectors.hnsw"]);
}

#[test]
fn building_and_opening_end_when_they_are_cancelled() {
    let saved = Saved::new(10);
    let cancel = CancelToken::new();
    cancel.cancel();
    let result = Hnsw::build(DIMENSIONS, 10, keyed(&saved.vectors), &cancel);
    assert!(matches!(result.map(drop), Err(VectorIndexError::Cancelled(_))));
    let result = Hnsw::open(&saved.path(), STAMP, &cancel);
    assert!(matches!(result.map(drop), Err(VectorIndexError::Cancelled(_))));
}
