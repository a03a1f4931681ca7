//! Chunks come to have vectors of the embedding model: once for each content, and only when there
//! is time.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    fs,
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use base::CancelToken;
use indexer::{EmbeddingSource, IndexOptions, IndexSnapshot, Indexer};
use inference::{Embedder, InferenceError, fake::FakeEmbedder};
use parking_lot::Mutex;
use static_embedding::Vector;
use tempfile::TempDir;
use vfs::Workspace;

const FILE: &str = "fn parse_header(text: &str) -> Header {\n    Header::read(text)\n}\n";
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells which texts it is asked to embed.
struct Recorder {
    inner: FakeEmbedder,
    texts: Mutex<mpsc::Sender<String>>,
}

impl Embedder for Recorder {
    fn dimensions(&self) -> usize {
        self.inner.dimensions()
    }

    fn embed(
        &self,
        texts: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, InferenceError> {
        for text in texts {
            self.texts.lock().send(text.clone()).map_err(|_| InferenceError::Cancelled)?;
        }
        self.inner.embed(texts, cancel)
    }
}

/// An index of `workspace` whose vectors are kept in `vectors`, and the texts that are embedded.
fn open(
    workspace: &Path,
    vectors: &Path,
    may_work: bool,
) -> (Indexer, mpsc::Receiver<String>, TempDir) {
    let (texts, received) = mpsc::channel();
    let embedder = Recorder { inner: FakeEmbedder::new(64), texts: Mutex::new(texts) };
    let embedding = EmbeddingSource {
        embedder: Arc::new(embedder),
        model: "fake".into(),
        folder: vectors.to_owned(),
        may_work: Arc::new(move || may_work),
    };
    let cache = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&[workspace.to_owned()]).unwrap();
    let options = IndexOptions { embedding: Some(embedding), ..IndexOptions::default() };
    let indexer = Indexer::open(workspace, cache.path(), options).unwrap();
    indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    (indexer, received, cache)
}

fn complete(indexer: &Indexer) {
    indexer.embed(&CancelToken::new(), &mut |_, _| {}).unwrap();
}

/// How near the first chunk of `path` is to a question.
fn cosine(snapshot: &IndexSnapshot, path: &str, question: &str) -> Option<f32> {
    let embeddings = snapshot.embeddings().unwrap();
    let query: Vector = embeddings.query(question, &CancelToken::new()).unwrap();
    let rows = snapshot.file(path).unwrap();
    embeddings.cosine(&rows.chunks()[0], &query)
}

#[test]
fn vectors_are_made_in_the_background_and_found_by_content() {
    let (folder, vectors) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("a.rs"), FILE).unwrap();
    let (indexer, embedded, _cache) = open(folder.path(), vectors.path(), true);
    let text = embedded.recv_timeout(PATIENCE).unwrap();
    assert_eq!(text, format!("parse_header\n{FILE}"));
    complete(&indexer);
    let snapshot = indexer.snapshot();
    let near = cosine(&snapshot, "a.rs", "parse header text").unwrap();
    let far = cosine(&snapshot, "a.rs", "draw a yellow circle").unwrap();
    assert!(near > far, "{near} against {far}");
    assert_eq!(indexer.status().unembedded, Some(0));
}

#[test]
fn nothing_is_embedded_while_there_is_no_time() {
    let (folder, vectors) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("a.rs"), FILE).unwrap();
    let (indexer, embedded, _cache) = open(folder.path(), vectors.path(), false);
    assert!(cosine(&indexer.snapshot(), "a.rs", "parse").is_none());
    assert_eq!(embedded.try_iter().collect::<Vec<_>>(), ["parse"], "only the question");
    complete(&indexer);
    assert!(cosine(&indexer.snapshot(), "a.rs", "parse").is_some(), "unless it is waited for");
}

#[test]
fn the_same_content_is_embedded_once_for_all_workspaces() {
    let vectors = tempfile::tempdir().unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(first.path().join("a.rs"), FILE).unwrap();
    fs::write(second.path().join("renamed.rs"), FILE).unwrap();
    let (indexer, embedded, _cache) = open(first.path(), vectors.path(), false);
    complete(&indexer);
    assert_eq!(embedded.try_iter().count(), 1);
    drop(indexer);

    let (indexer, embedded, _cache) = open(second.path(), vectors.path(), false);
    complete(&indexer);
    assert_eq!(embedded.try_iter().count(), 0);
    assert!(cosine(&indexer.snapshot(), "renamed.rs", "parse").is_some());

    fs::write(second.path().join("other.rs"), "fn other() {\n    1\n}\n").unwrap();
    indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    complete(&indexer);
    let texts: Vec<String> = embedded.try_iter().collect();
    assert_eq!(texts, ["parse", "other\nfn other() {\n    1\n}\n"]);
}

#[test]
fn making_vectors_can_be_cancelled() {
    let (folder, vectors) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("a.rs"), FILE).unwrap();
    let (indexer, _embedded, _cache) = open(folder.path(), vectors.path(), false);
    let cancel = CancelToken::new();
    cancel.cancel();
    let outcome = indexer.embed(&cancel, &mut |_, _| {});
    assert!(matches!(outcome, Err(InferenceError::Cancelled)), "{outcome:?}");
}
