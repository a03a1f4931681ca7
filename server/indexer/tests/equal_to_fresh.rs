//! Whatever happened to the files or to the stored index, it ends up holding what an index made
//! from nothing holds.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use base::CancelToken;
use indexer::{IndexOptions, IndexSnapshot, Indexer};
use tempfile::TempDir;
use vfs::Workspace;

/// A small generator of numbers; a failing test prints its seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn source(&mut self) -> String {
        let words = ["parse", "header", "cache", "index", "token", "query", "write", "merge"];
        let mut text = format!("//! A module.\nuse crate::{}::make;\n", words[self.next(8)]);
        for _ in 0..=self.next(6) {
            let (one, two) = (words[self.next(8)], words[self.next(8)]);
            let number = self.next(1000);
            let function = format!(
                "/// Makes a {one} of the {two}.\npub fn {one}_{two}_{number}(value: u32) -> u32 {{\n    \
                 let {two} = value + make_{one}({number});\n    {two}\n}}\n\n"
            );
            text.push_str(&function);
        }
        text
    }
}

/// A folder of files that change at random.
struct Tree {
    folder: TempDir,
    numbers: Numbers,
    files: Vec<PathBuf>,
}

impl Tree {
    fn new(seed: u64, files: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "ignored/\n*.tmp\n").unwrap();
        let mut tree = Self { folder, numbers: Numbers(seed | 1), files: Vec::new() };
        for _ in 0..files {
            tree.create();
        }
        tree
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn create(&mut self) {
        let folders = ["src", "src/deep/er", "docs", "ignored", "lib"];
        let names = ["rs", "py", "md", "tmp", "ts"];
        let folder = folders[self.numbers.next(5)];
        let name = format!("f{}.{}", self.numbers.next(100_000), names[self.numbers.next(5)]);
        let path = self.folder.path().join(folder).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, self.numbers.source()).unwrap();
        self.files.push(path);
    }

    fn change(&mut self) {
        if self.files.is_empty() {
            return self.create();
        }
        let at = self.numbers.next(self.files.len());
        match self.numbers.next(6) {
            0 => self.create(),
            1 => fs::remove_file(self.files.swap_remove(at)).unwrap(),
            2 => {
                let to =
                    self.files[at].with_file_name(format!("r{}.rs", self.numbers.next(100_000)));
                fs::rename(&self.files[at], &to).unwrap();
                self.files[at] = to;
            }
            3 => {
                let to = self.folder.path().join(format!("moved{}", self.numbers.next(100_000)));
                let from = self.files[at].parent().unwrap().to_owned();
                if from != self.folder.path() {
                    fs::rename(&from, &to).unwrap();
                    for file in &mut self.files {
                        if let Ok(rest) = file.strip_prefix(&from) {
                            *file = to.join(rest);
                        }
                    }
                }
            }
            4 => fs::write(&self.files[at], [0, 159, 146, 150, 0, 1]).unwrap(),
            _ => fs::write(&self.files[at], self.numbers.source()).unwrap(),
        }
    }

    fn workspace(&self) -> Workspace {
        Workspace::open(&[self.path().to_owned()]).unwrap()
    }

    fn open(&self, cache: &Path) -> Indexer {
        Indexer::open(self.workspace(), cache, IndexOptions::default()).unwrap()
    }

    fn updated(&self, cache: &Path) -> Indexer {
        let indexer = self.open(cache);
        update(&indexer);
        indexer
    }

    /// What an index made from nothing holds.
    fn fresh(&self) -> Vec<String> {
        let cache = tempfile::tempdir().unwrap();
        self.updated(cache.path()).snapshot().dump()
    }

    fn check(&self, snapshot: &IndexSnapshot, what: &str) {
        let (found, fresh) = (snapshot.dump(), self.fresh());
        let missing: Vec<_> = fresh.iter().filter(|line| !found.contains(line)).collect();
        let extra: Vec<_> = found.iter().filter(|line| !fresh.contains(line)).collect();
        assert!(found == fresh, "{what}\nmissing: {missing:#?}\nextra: {extra:#?}");
    }
}

fn update(indexer: &Indexer) {
    indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
}

#[test]
fn after_random_changes() {
    for seed in [3, 1_000_003] {
        let mut tree = Tree::new(seed, 25);
        let cache = tempfile::tempdir().unwrap();
        let mut indexer = tree.updated(cache.path());
        for round in 0..12 {
            for _ in 0..tree.numbers.next(12) {
                tree.change();
            }
            if round % 4 == 3 {
                drop(indexer);
                indexer = tree.open(cache.path());
            }
            update(&indexer);
            tree.check(&indexer.snapshot(), &format!("seed {seed}, round {round}"));
        }
    }
}

#[test]
fn when_told_of_each_change() {
    let mut tree = Tree::new(77, 25);
    let cache = tempfile::tempdir().unwrap();
    let indexer = tree.updated(cache.path());
    for round in 0..8 {
        let before = tree.files.clone();
        for _ in 0..=tree.numbers.next(6) {
            tree.change();
        }
        let mut touched = before;
        touched.extend(tree.files.iter().cloned());
        touched.push(tree.path().to_owned());
        indexer.mark_dirty(&touched);
        indexer.store();
        tree.check(&indexer.snapshot(), &format!("round {round}"));
    }
    drop(indexer);
    tree.check(&tree.open(cache.path()).snapshot(), "stored");
}

#[test]
fn after_a_cancelled_update() {
    let tree = Tree::new(5, 300);
    let cache = tempfile::tempdir().unwrap();
    let indexer = tree.open(cache.path());
    let cancel = CancelToken::new();
    let stopped = indexer.update(&cancel, &mut |progress| {
        if progress.done == 20 {
            cancel.cancel();
        }
    });
    assert!(stopped.is_err());
    update(&indexer);
    tree.check(&indexer.snapshot(), "cancelled at the twentieth file");
}

/// Every file of the stored index, deepest first.
fn stored_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| path.metadata().unwrap().len() > 0);
    files.sort();
    files
}

#[test]
fn after_damage_to_any_stored_file() {
    let tree = Tree::new(11, 30);
    let fresh = tree.fresh();
    let mut numbers = Numbers(99);
    let count = {
        let cache = tempfile::tempdir().unwrap();
        drop(tree.updated(cache.path()));
        stored_files(cache.path()).len()
    };
    for at in 0..count {
        for kind in ["a flipped bit", "a truncation", "zeroes"] {
            let cache = tempfile::tempdir().unwrap();
            drop(tree.updated(cache.path()));
            let files = stored_files(cache.path());
            let Some(path) = files.get(at) else { continue };
            let mut bytes = fs::read(path).unwrap();
            let place = numbers.next(bytes.len());
            match kind {
                "a flipped bit" => bytes[place] ^= 1 << numbers.next(8),
                "a truncation" => bytes.truncate(place),
                _ => bytes[place..].fill(0),
            }
            fs::remove_file(path).unwrap();
            fs::write(path, bytes).unwrap();
            let indexer = tree.updated(cache.path());
            let found = indexer.snapshot().dump();
            assert!(found == fresh, "{kind} at {place} of {}", path.display());
        }
    }
}

/// Not a test: what [`after_being_killed`] kills. Does nothing unless it is told where.
#[test]
fn process_that_is_killed() {
    let told = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(folder), Some(cache)) = (told("INDEX_FOLDER"), told("INDEX_CACHE")) else { return };
    let workspace = Workspace::open(&[folder]).unwrap();
    let indexer = Indexer::open(workspace, &cache, IndexOptions::default()).unwrap();
    update(&indexer);
}

#[test]
fn after_being_killed() {
    let mut tree = Tree::new(21, 400);
    let cache = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    for round in 0..12 {
        let mut child = Command::new(&program)
            .args(["--exact", "process_that_is_killed"])
            .env("INDEX_FOLDER", tree.path())
            .env("INDEX_CACHE", cache.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment is the point of the test; none is wrong.
        std::thread::sleep(Duration::from_millis(tree.numbers.next(400) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 3 == 2 {
            tree.check(&tree.updated(cache.path()).snapshot(), &format!("round {round}"));
        }
        for _ in 0..30 {
            tree.change();
        }
    }
    tree.check(&tree.updated(cache.path()).snapshot(), "at the end");
}
