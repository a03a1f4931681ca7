//! A folder whose files change at random, and what an index of it must hold.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test program uses a part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use base::CancelToken;
use indexer::{IndexOptions, IndexSnapshot, Indexer};
use tempfile::TempDir;
use vfs::Workspace;

/// A small generator of numbers; a failing test prints its seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    pub fn source(&mut self) -> String {
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
pub struct Tree {
    folder: TempDir,
    pub numbers: Numbers,
    pub files: Vec<PathBuf>,
}

impl Tree {
    pub fn new(seed: u64, files: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "ignored/\n*.tmp\n").unwrap();
        let mut tree = Self { folder, numbers: Numbers(seed | 1), files: Vec::new() };
        for _ in 0..files {
            tree.create();
        }
        tree
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn create(&mut self) {
        let folders = ["src", "src/deep/er", "docs", "ignored", "lib"];
        let names = ["rs", "py", "md", "tmp", "ts"];
        let folder = folders[self.numbers.next(5)];
        let name = format!("f{}.{}", self.numbers.next(100_000), names[self.numbers.next(5)]);
        let path = self.folder.path().join(folder).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, self.numbers.source()).unwrap();
        self.files.push(path);
    }

    pub fn change(&mut self) {
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

    pub fn workspace(&self) -> Workspace {
        Workspace::open(&[self.path().to_owned()]).unwrap()
    }

    pub fn open(&self, cache: &Path) -> Indexer {
        Indexer::open(self.workspace(), cache, IndexOptions::default()).unwrap()
    }

    pub fn updated(&self, cache: &Path) -> Indexer {
        let indexer = self.open(cache);
        update(&indexer);
        indexer
    }

    /// What an index made from nothing holds.
    pub fn fresh(&self) -> Vec<String> {
        let cache = tempfile::tempdir().unwrap();
        self.updated(cache.path()).snapshot().dump()
    }

    pub fn check(&self, snapshot: &IndexSnapshot, what: &str) {
        let (found, fresh) = (snapshot.dump(), self.fresh());
        let missing: Vec<_> = fresh.iter().filter(|line| !found.contains(line)).collect();
        let extra: Vec<_> = found.iter().filter(|line| !fresh.contains(line)).collect();
        assert!(found == fresh, "{what}\nmissing: {missing:#?}\nextra: {extra:#?}");
        assert_eq!(snapshot.file_count(), snapshot.files().count(), "{what}");
        let chunks: usize = snapshot.files().map(|rows| rows.chunk_count()).sum();
        assert_eq!(snapshot.chunk_count(), chunks, "{what}");
    }
}

/// Brings an index up to date with the files.
pub fn update(indexer: &Indexer) {
    indexer.update(&CancelToken::new(), &mut |_| {}).unwrap();
}

/// How often something is tried: `few` times, or `many` with `cargo xtask test --long`.
pub fn rounds(few: usize, many: usize) -> usize {
    if std::env::var_os("HEARTH_LONG").is_some() { many } else { few }
}
