//! An index of a very large workspace is made, searched, changed and opened again, in bounded memory.
//! `cargo xtask test --long` takes a million files.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use base::CancelToken;
use indexer::{IndexOptions, IndexReport, IndexSnapshot, Indexer};
use retrieval::{SearchQuery, search, symbols};
use tempfile::TempDir;
use vfs::Workspace;

/// Files of one folder, and folders of one package.
const IN_FOLDER: usize = 30;
const IN_PACKAGE: usize = 40;
/// Every so many files of all is edited, and as many are removed and renamed each.
const CHANGED: usize = 200;

/// Kibibytes that a process may have resident at its peak, for a start and for each thousand files: twice what was
/// measured with 20,000, 100,000 and 1,000,000.
const MEMORY: (usize, usize) = (200_000, 4_500);

const WORDS: [&str; 8] =
    ["parcels", "invoices", "carriers", "customers", "refunds", "orders", "labels", "prices"];

/// A folder of so many tiny files in five languages, each with a definition that no other has.
struct Tree {
    folder: TempDir,
    files: usize,
}

impl Tree {
    fn new(files: usize) -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap(), files };
        for number in 0..files {
            let path = tree.path(number);
            if number % IN_FOLDER == 0 {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
            }
            fs::write(path, source(number)).unwrap();
        }
        tree
    }

    fn path(&self, number: usize) -> PathBuf {
        let folder = number / IN_FOLDER;
        let package = folder / IN_PACKAGE;
        let extension = ["rs", "py", "ts", "go", "md"][number % 5];
        let relative = format!("packages/p{package}/src/m{folder}/f{number}.{extension}");
        self.folder.path().join(relative)
    }

    /// The numbers of the files of which `what`, below five, is done to.
    fn chosen(&self, what: usize) -> impl Iterator<Item = usize> {
        let step = (self.files / CHANGED).max(5);
        (what..self.files).step_by(step).take(CHANGED)
    }
}

fn source(number: usize) -> String {
    let word = WORDS[number % 7];
    let says = format!("Counts the {word} of part {number}.");
    match number % 5 {
        0 => format!(
            "/// {says}\npub fn count_{number}(value: u32) -> u32 {{\n    value + {number}\n}}\n"
        ),
        1 => format!(
            "def count_{number}(value):\n    \"\"\"{says}\"\"\"\n    return value + {number}\n"
        ),
        2 => format!(
            "/** {says} */\nexport function count_{number}(value: number) {{\n  return value + {number};\n}}\n"
        ),
        3 => format!(
            "package m\n\n// {says}\nfunc count_{number}(value int) int {{\n\treturn value + {number}\n}}\n"
        ),
        _ => format!("# count_{number}\n\n{says}\n"),
    }
}

/// The highest that this process had resident since the last call, in kibibytes; 0 where the system does not tell.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    // A system without this file says 0 above.
    let _ = fs::write("/proc/self/clear_refs", "5");
    peak.unwrap_or(0)
}

/// Past what holds back the output of tests that pass.
fn say(text: &str) {
    io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
}

fn update(indexer: &Indexer) -> IndexReport {
    indexer.update(&CancelToken::new(), &mut |_| {}).unwrap()
}

fn open(tree: &Tree, cache: &Path) -> (Indexer, mpsc::Receiver<()>) {
    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    let on_change = move || drop(sender.lock().map(|sender| sender.send(())));
    let options = IndexOptions { on_change: Some(Arc::new(on_change)), ..IndexOptions::default() };
    let workspace = Workspace::open(&[tree.folder.path().to_owned()]).unwrap();
    (Indexer::open(workspace, cache, options).unwrap(), changes)
}

/// The paths that define exactly this name.
fn defined(index: &IndexSnapshot, name: &str) -> Vec<String> {
    let found = symbols(index, name, 5).into_iter().filter(|hit| hit.name == name);
    found.map(|hit| hit.path).collect()
}

fn is_found(index: &IndexSnapshot, text: &str, path: &str) -> bool {
    let query = SearchQuery { text: text.to_owned(), ..SearchQuery::default() };
    search(index, &query, &CancelToken::new()).iter().any(|hit| hit.path == path)
}

fn check(files: usize) {
    let tree = Tree::new(files);
    let cache = tempfile::tempdir().unwrap();
    let relative =
        |path: &Path| path.strip_prefix(tree.folder.path()).unwrap().to_str().unwrap().to_owned();
    peak();
    let mut times = Vec::new();
    let mut begun = Instant::now();
    let mut lap = |what: &str| {
        times.push(format!("{what} {:.1} s", begun.elapsed().as_secs_f64()));
        begun = Instant::now();
    };

    let (indexer, _) = open(&tree, cache.path());
    let report = update(&indexer);
    lap("from nothing");
    assert_eq!((report.files, report.changed, report.removed), (files, files, 0));
    assert_eq!((report.chunks, report.symbols), (files, files));
    assert_eq!((report.skipped.len(), report.plain.len()), (0, 0));
    let middle = files / 2;
    let index = indexer.snapshot();
    let path = relative(&tree.path(middle));
    assert_eq!(defined(&index, &format!("count_{middle}")), [path.as_str()]);
    lap("a symbol");
    let question = format!("what counts the {} of part {middle}?", WORDS[middle % 7]);
    assert!(is_found(&index, &question, &path));
    lap("the first search");
    assert!(is_found(&index, &question, &path));
    lap("the second");

    for number in tree.chosen(0) {
        fs::write(tree.path(number), source(number) + &source(files + number)).unwrap();
    }
    for number in tree.chosen(1) {
        fs::remove_file(tree.path(number)).unwrap();
    }
    for number in tree.chosen(2) {
        let path = tree.path(number);
        fs::rename(&path, path.with_file_name(format!("renamed{number}.ts"))).unwrap();
    }
    lap("changing files");
    let report = update(&indexer);
    lap("what changed");
    assert_eq!((report.changed, report.removed), (2 * CHANGED, 2 * CHANGED));
    assert_eq!(report.files, files - CHANGED);
    drop((index, indexer));
    lap("the end");

    let (indexer, changes) = open(&tree, cache.path());
    let report = update(&indexer);
    lap("opened again");
    assert_eq!((report.changed, report.removed), (0, 0));
    assert_eq!(report.files, files - CHANGED);
    let index = indexer.snapshot();
    let edited = tree.chosen(0).last().unwrap();
    let added = format!("count_{}", files + edited);
    assert_eq!(defined(&index, &added), [relative(&tree.path(edited))]);
    let removed = tree.chosen(1).last().unwrap();
    assert_eq!(defined(&index, &format!("count_{removed}")), [""; 0]);
    let renamed = tree.chosen(2).last().unwrap();
    let path = relative(&tree.path(renamed).with_file_name(format!("renamed{renamed}.ts")));
    assert_eq!(defined(&index, &format!("count_{renamed}")), [path]);
    assert!(is_found(&index, &added, &relative(&tree.path(edited))));
    lap("symbols and a search");

    indexer.watch();
    indexer.settle();
    lap("watching");
    let saved = tree.path(middle);
    fs::write(&saved, "pub fn saved_while_watched() {}\n").unwrap();
    let deadline = Instant::now() + Duration::from_mins(2);
    while defined(&indexer.snapshot(), "saved_while_watched") != [relative(&saved)] {
        let left = deadline.saturating_duration_since(Instant::now());
        changes.recv_timeout(left).expect("the save is found");
    }
    lap("a save");
    let status = indexer.status();
    assert_eq!(status.files, files - CHANGED);
    drop((index, indexer));
    let (peak, bound) = (peak(), MEMORY.0 + MEMORY.1 * files / 1000);
    let detail = status.detail.unwrap_or_default();
    say(&format!("{files} files: {}; peak {} MB {detail}", times.join(", "), peak / 1000));
    assert!(peak < bound, "{peak} kB at the peak, {bound} are allowed for {files} files");
}

#[test]
fn of_many_thousand_files() {
    check(20_000);
    if std::env::var_os("HEARTH_LONG").is_some() {
        check(100_000);
        check(1_000_000);
    }
}
