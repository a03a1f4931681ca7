//! What is typed, saved, deleted or written by others is found without an update being asked for.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use base::CancelToken;
use indexer::{IndexOptions, IndexSnapshot, IndexState, Indexer, SkippedFile};
use lexical_index::{Query, QueryTerm};
use pdf_text::{InProcess, PdfFailure, PdfReader, fake};
use store::IndexStore;
use tempfile::TempDir;
use vfs::Workspace;

struct Setup {
    folder: TempDir,
    cache: TempDir,
}

impl Setup {
    fn new(files: &[(&str, &str)]) -> Self {
        let setup =
            Self { folder: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() };
        for (path, text) in files {
            setup.write(path, text);
        }
        setup
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(path)
    }

    fn open(&self, options: IndexOptions) -> Indexer {
        let workspace = Workspace::open(&[self.folder.path().to_owned()]).unwrap();
        Indexer::open(workspace, self.cache.path(), options).unwrap()
    }

    fn updated(&self) -> Indexer {
        let indexer = self.open(IndexOptions::default());
        indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
        indexer
    }
}

/// The files in which `term` is found.
fn find(snapshot: &IndexSnapshot, term: &str) -> Vec<String> {
    let query = Query {
        terms: vec![QueryTerm { text: term.to_owned(), weight: 1.0, variants: Vec::new() }],
    };
    let (found, _) = snapshot.find(&query, None, 10);
    let mut paths: Vec<String> =
        found.iter().map(|found| found.rows.file.path.to_string()).collect();
    paths.sort();
    paths.dedup();
    paths
}

fn has_symbol(snapshot: &IndexSnapshot, path: &str, name: &str) -> bool {
    snapshot.file(path).is_some_and(|rows| rows.symbols().iter().any(|row| &*row.name == name))
}

#[test]
fn text_that_is_typed_is_found_and_forgotten_when_the_document_closes() {
    let setup = Setup::new(&[("a.rs", "fn alpha() {}\n"), ("b.rs", "fn beta() {}\n")]);
    let indexer = setup.updated();
    let path = setup.path("a.rs");
    indexer.document_changed(&path, "fn gamma() {}\n".into());
    indexer.settle();
    let snapshot = indexer.snapshot();
    assert_eq!((find(&snapshot, "gamma"), find(&snapshot, "alpha")), (vec!["a.rs".into()], vec![]));
    assert!(has_symbol(&snapshot, "a.rs", "gamma"));
    assert_eq!(snapshot.text("a.rs").as_deref(), Some("fn gamma() {}\n"));
    assert_eq!(find(&snapshot, "beta"), ["b.rs"]);

    indexer.document_closed(&path);
    indexer.settle();
    let snapshot = indexer.snapshot();
    assert_eq!((find(&snapshot, "gamma"), find(&snapshot, "alpha")), (vec![], vec!["a.rs".into()]));
    assert_eq!(snapshot.text("a.rs").as_deref(), Some("fn alpha() {}\n"));
}

#[test]
fn a_save_is_found_before_it_is_stored_and_after() {
    let setup = Setup::new(&[("a.rs", "fn alpha() {}\n"), ("old.rs", "fn old() {}\n")]);
    let indexer = setup.updated();
    let changed = setup.write("a.rs", "fn delta() {}\n");
    let new = setup.write("sub/new.rs", "fn epsilon() {}\n");
    fs::remove_file(setup.path("old.rs")).unwrap();
    indexer.mark_dirty(&[changed, new, setup.path("old.rs")]);
    indexer.settle();
    let check = |snapshot: &IndexSnapshot| {
        assert_eq!(find(snapshot, "delta"), ["a.rs"]);
        assert_eq!(find(snapshot, "epsilon"), ["sub/new.rs"]);
        assert!(find(snapshot, "old").is_empty() && find(snapshot, "alpha").is_empty());
    };
    check(&indexer.snapshot());
    indexer.store();
    check(&indexer.snapshot());
    drop(indexer);
    check(&setup.open(IndexOptions::default()).snapshot());
}

#[test]
fn what_a_file_uses_and_imports_follows_its_text() {
    let setup = Setup::new(&[("a.rs", "use crate::b::beta;\nfn alpha() { beta(); }\n")]);
    let indexer = setup.updated();
    let links = |snapshot: &IndexSnapshot| {
        let rows = snapshot.file("a.rs").unwrap();
        let imports = rows.links().imports().map(|import| import.path.to_owned());
        (rows.links().uses_of("beta").calls, rows.links().uses_of("gamma").calls, imports.collect())
    };
    assert_eq!(links(&indexer.snapshot()), (1, 0, vec!["crate::b".to_owned()]));
    indexer.document_changed(&setup.path("a.rs"), "fn alpha() { gamma(); }\n".into());
    indexer.settle();
    assert_eq!(links(&indexer.snapshot()), (0, 1, vec![]));
    indexer.document_closed(&setup.path("a.rs"));
    drop(indexer);
    let stored = setup.open(IndexOptions::default()).snapshot();
    assert_eq!(links(&stored), (1, 0, vec!["crate::b".to_owned()]));
}

#[test]
fn ignored_files_are_not_found_however_they_are_told() {
    let setup = Setup::new(&[(".gitignore", "out/\n*.gen.rs\n"), ("a.rs", "fn alpha() {}\n")]);
    let indexer = setup.updated();
    let paths = [
        setup.write("out/x.rs", "fn zeta() {}\n"),
        setup.write("b.gen.rs", "fn zeta() {}\n"),
        setup.write("id_rsa", "zeta\n"),
    ];
    indexer.mark_dirty(&paths);
    for path in &paths {
        indexer.document_changed(path, "fn zeta() {}\n".into());
    }
    indexer.settle();
    let snapshot = indexer.snapshot();
    assert!(snapshot.file("out/x.rs").is_none() && snapshot.file("id_rsa").is_none());
    indexer.store();
    assert_eq!(indexer.snapshot().file_count(), 3, "with the open document in a known folder");
}

#[test]
fn a_second_process_reads_and_then_takes_over() {
    let setup = Setup::new(&[("a.rs", "fn alpha() {}\n")]);
    let writer = setup.updated();
    let reader = setup.open(IndexOptions::default());
    assert_eq!(reader.status().state, IndexState::ReadOnly);
    assert_eq!(find(&reader.snapshot(), "alpha"), ["a.rs"]);
    setup.write("b.rs", "fn beta() {}\n");
    reader.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(find(&reader.snapshot(), "beta"), ["b.rs"], "from memory");
    writer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    reader.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(reader.snapshot().dump(), writer.snapshot().dump());
    drop(writer);
    setup.write("c.rs", "fn kappa() {}\n");
    reader.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(reader.status().state, IndexState::Ready);
    assert_eq!(find(&reader.snapshot(), "kappa"), ["c.rs"]);
}

/// Waits until what the watcher brings makes `done` true.
fn wait(indexer: &Indexer, changes: &mpsc::Receiver<()>, done: impl Fn(&IndexSnapshot) -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !done(&indexer.snapshot()) {
        let left = deadline.saturating_duration_since(Instant::now());
        changes.recv_timeout(left).expect("the index follows the files");
    }
}

#[test]
fn changes_by_others_are_followed() {
    let setup = Setup::new(&[("a.rs", "fn alpha() {}\n")]);
    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    let on_change = move || drop(sender.lock().map(|sender| sender.send(())));
    let options = IndexOptions { on_change: Some(Arc::new(on_change)), ..IndexOptions::default() };
    let indexer = setup.open(options);
    indexer.watch();
    wait(&indexer, &changes, |snapshot| !find(snapshot, "alpha").is_empty());
    setup.write("new/folder/b.rs", "fn beta() {}\n");
    wait(&indexer, &changes, |snapshot| !find(snapshot, "beta").is_empty());
    setup.write("a.rs", "fn gamma() {}\n");
    wait(&indexer, &changes, |snapshot| {
        !find(snapshot, "gamma").is_empty() && find(snapshot, "alpha").is_empty()
    });
    fs::rename(setup.path("new"), setup.path("renamed")).unwrap();
    wait(&indexer, &changes, |snapshot| find(snapshot, "beta") == ["renamed/folder/b.rs"]);
    fs::remove_dir_all(setup.path("renamed")).unwrap();
    wait(&indexer, &changes, |snapshot| find(snapshot, "beta").is_empty());
}

#[test]
fn a_pause_keeps_what_is_told_for_later() {
    let setup = Setup::new(&[("a.rs", "fn alpha() {}\n")]);
    let indexer = setup.updated();
    indexer.pause(true);
    assert_eq!(indexer.status().state, IndexState::Paused);
    indexer.mark_dirty(&[setup.write("a.rs", "fn beta() {}\n")]);
    indexer.settle();
    assert!(find(&indexer.snapshot(), "beta").is_empty());
    assert_eq!(indexer.status().pending, 1);
    indexer.pause(false);
    indexer.settle();
    assert_eq!(find(&indexer.snapshot(), "beta"), ["a.rs"]);
}

#[test]
fn skipped_files_are_reported_with_their_reasons() {
    let setup = Setup::new(&[
        ("a.rs", "fn alpha() {}\n"),
        ("Cargo.lock", "[[package]]\n"),
        ("bundle.js", &"var a=1;".repeat(2000)),
        ("data.bin", "\0\0\0"),
        ("key.pem", "secret"),
    ]);
    let indexer = setup.open(IndexOptions::default());
    let report = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    let skipped: Vec<&str> = report.skipped.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(skipped, ["Cargo.lock", "bundle.js", "data.bin", "key.pem"]);
    assert!(report.skipped.iter().all(|file| !file.reason.is_empty()));
    assert_eq!((report.files, report.symbols), (1, 1));
    let again = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!((again.changed, again.skipped), (0, report.skipped));
}

#[test]
fn files_that_cannot_be_parsed_are_indexed_as_text_and_named() {
    let long = format!("{}fn alpha() {{}}\n// {}\n", "\n".repeat(99), "omega ".repeat(4000));
    let setup = Setup::new(&[("a.rs", "fn beta() {}\n"), ("long.rs", &long)]);
    let indexer = setup.open(IndexOptions::default());
    let check = |plain: &[SkippedFile]| {
        let paths: Vec<&str> = plain.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["long.rs"]);
        assert!(plain[0].reason.contains("line 101"), "{}", plain[0].reason);
    };
    let report = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    check(&report.plain);
    assert_eq!((report.files, report.symbols, report.skipped), (2, 1, vec![]));
    assert_eq!(find(&indexer.snapshot(), "alpha"), ["long.rs"]);
    drop(indexer);

    let indexer = setup.open(IndexOptions::default());
    check(&indexer.status().plain);
    let report = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(report.changed, 0);
    check(&report.plain);
    let open = setup.path("long.rs");
    indexer.document_changed(&open, "fn alpha() {}\n".into());
    indexer.settle();
    assert_eq!(indexer.status().plain, [], "what is being typed can be parsed");
    indexer.document_changed(&open, long.as_str().into());
    indexer.settle();
    check(&indexer.status().plain);
}

#[test]
fn rebuilding_makes_the_same_index() {
    let setup = Setup::new(&[("a.rs", "fn alpha() {}\n"), ("b.md", "# Beta\n\nText.\n")]);
    let indexer = setup.updated();
    let before = indexer.snapshot().dump();
    indexer.rebuild(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(indexer.snapshot().dump(), before);
    let lexical = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("lexical");
    let folders = fs::read_dir(Path::new(setup.cache.path())).unwrap();
    assert_eq!(folders.filter(|entry| lexical(entry.as_ref().unwrap())).count(), 1);
}

#[test]
fn an_index_that_another_version_made_is_made_anew() {
    let setup = Setup::new(&[("a.rs", "fn one() {}"), ("b.rs", "fn two() {}")]);
    let fresh = setup.updated().snapshot().dump();
    let (mut store, _) = IndexStore::open(setup.cache.path()).unwrap();
    store.set_meta("derivation", 1).unwrap();
    drop(store);
    let indexer = setup.open(IndexOptions::default());
    assert_eq!(indexer.snapshot().file_count(), 0, "its rows are not used");
    indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(indexer.snapshot().dump(), fresh);
}

fn with_pdfs() -> IndexOptions {
    IndexOptions { pdf: Some(Arc::new(InProcess)), ..IndexOptions::default() }
}

#[test]
fn a_pdf_is_found_by_the_text_of_its_pages() {
    let setup = Setup::new(&[("a.rs", "fn alpha() {}\n")]);
    let pages = ["Introduction\nWhat the retry budget is for.", "", "Its omega is five."];
    fs::write(setup.path("guide.pdf"), fake::pdf(&pages)).unwrap();
    fs::write(setup.path("broken.pdf"), "%PDF-1.7 and nothing more").unwrap();
    let indexer = setup.open(with_pdfs());
    let report = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    let skipped: Vec<&str> = report.skipped.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(skipped, ["broken.pdf"]);
    assert!(report.skipped[0].reason.contains("damaged"), "{:?}", report.skipped);
    let snapshot = indexer.snapshot();
    assert_eq!(find(&snapshot, "omega"), ["guide.pdf"]);
    let rows = snapshot.file("guide.pdf").unwrap();
    let text = snapshot.text("guide.pdf").unwrap();
    assert!(IndexSnapshot::is_current(rows, &text));
    let on_pages: Vec<u32> =
        rows.chunks().iter().map(|chunk| pdf_text::page_at(&text, chunk.range.start)).collect();
    assert_eq!(on_pages, [1, 3], "an empty page has no chunk and no chunk has two pages");
    assert_eq!(snapshot.rows_of("guide.pdf", &text).chunks(), rows.chunks());
    drop(indexer);

    let indexer = setup.open(with_pdfs());
    let report = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!((report.changed, report.skipped.len()), (0, 1), "what is damaged is not read again");
    assert_eq!(indexer.snapshot().text("guide.pdf"), Some(text), "read anew for an excerpt");
    fs::write(setup.path("guide.pdf"), fake::pdf(&["Now sigma."])).unwrap();
    indexer.mark_dirty(&[setup.path("guide.pdf")]);
    indexer.settle();
    assert_eq!(find(&indexer.snapshot(), "sigma"), ["guide.pdf"]);
    assert!(find(&indexer.snapshot(), "omega").is_empty());
}

/// Reads nothing until it is told to.
#[derive(Default)]
struct Unavailable(AtomicBool);

impl PdfReader for Unavailable {
    fn read(&self, bytes: &[u8], cancel: &CancelToken) -> Result<String, PdfFailure> {
        if self.0.load(Ordering::Relaxed) {
            InProcess.read(bytes, cancel)
        } else {
            Err(PdfFailure::Unavailable("no memory for a process".into()))
        }
    }
}

#[test]
fn a_pdf_that_could_not_be_read_is_tried_again() {
    let setup = Setup::new(&[]);
    fs::write(setup.path("guide.pdf"), fake::pdf(&["Its omega is five."])).unwrap();
    let reader = Arc::new(Unavailable::default());
    let pdf: Arc<dyn PdfReader> = Arc::<Unavailable>::clone(&reader);
    let indexer = setup.open(IndexOptions { pdf: Some(pdf), ..IndexOptions::default() });
    let report = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert!(report.skipped[0].reason.contains("no memory"), "{:?}", report.skipped);
    reader.0.store(true, Ordering::Relaxed);
    let report = indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(report.skipped, []);
    assert_eq!(find(&indexer.snapshot(), "omega"), ["guide.pdf"]);
}

#[test]
fn damage_that_opening_does_not_meet_is_mended_in_the_background() {
    let setup = Setup::new(&[("a.rs", "fn one() {}"), ("b.rs", "fn two() {}")]);
    let fresh = setup.updated().snapshot().dump();
    let file = setup.cache.path().join("index.db");
    let mut bytes = fs::read(&file).unwrap();
    // Of SQLite's pages, leaves of indexes begin with a ten: this one is that of the paths.
    let is_paths = |page: &&mut [u8]| page[0] == 10 && page.windows(4).any(|part| part == b"b.rs");
    bytes.chunks_mut(4096).find(is_paths).unwrap().fill(0);
    fs::write(&file, bytes).unwrap();

    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    let on_change = move || drop(sender.lock().map(|sender| sender.send(())));
    let indexer = setup
        .open(IndexOptions { on_change: Some(Arc::new(on_change)), ..IndexOptions::default() });
    assert_eq!(indexer.snapshot().dump(), fresh, "opening does not look there");
    indexer.watch();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !setup.cache.path().join("index.db.damaged").exists() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(changes.recv_timeout(left).is_ok(), "nobody looks");
    }
    indexer.settle();
    assert_eq!(indexer.snapshot().dump(), fresh);
}

#[test]
fn a_notebook_is_found_by_its_cells_and_not_by_its_pictures() {
    let notebook = include_str!("../../../grammars/notebook/tests/guards.ipynb");
    let (_, picture) = notebook.split_once("\"image/png\": \"").unwrap();
    let (picture, _) = picture.split_once('"').unwrap();
    let large = notebook.replace(picture, &picture.repeat(200));
    let setup = Setup::new(&[("guards.ipynb", &large)]);
    let snapshot = setup.updated().snapshot();
    for term in ["summer", "plot", "display"] {
        assert_eq!(find(&snapshot, term), ["guards.ipynb"], "{term}");
    }
    let chunks = snapshot.file("guards.ipynb").unwrap().chunks();
    assert!(chunks.len() > 1);
    for chunk in chunks {
        let content = chunk.range.slice(&large).unwrap();
        assert!(!content.contains(&picture[..60]), "{content}");
    }
}
