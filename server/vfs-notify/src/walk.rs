use std::{
    ffi::OsStr,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant, UNIX_EPOCH},
};

use base::{CancelToken, Cancelled};
use crossbeam_channel::{Sender, unbounded};
use ignore::{DirEntry, WalkBuilder, WalkState};
use vfs::{Workspace, looks_secret};

use crate::limits::generated_name;

/// Folders deeper than this are left out: a loop, or a trap.
const DEPTH: usize = 64;

/// Hidden names that hold what a person works on. All others are left out.
const VISIBLE: &[&str] = &[
    ".cargo",
    ".circleci",
    ".clang-format",
    ".clippy.toml",
    ".config",
    ".devcontainer",
    ".dockerignore",
    ".editorconfig",
    ".eslintrc.json",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".gitlab",
    ".gitlab-ci.yml",
    ".golangci.yml",
    ".pre-commit-config.yaml",
    ".rustfmt.toml",
];

/// What to leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkOptions {
    /// Larger files are skipped, in bytes; notebooks, which carry pictures, may be eight times as
    /// large, PDFs 32 times.
    pub max_bytes: u64,
    /// Threads that list folders.
    pub threads: usize,
}

impl Default for WalkOptions {
    /// A megabyte; two threads.
    fn default() -> Self {
        Self { max_bytes: 1 << 20, threads: 2 }
    }
}

/// A file that is to be indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// Where it is.
    pub absolute: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number, 0 where the system has none.
    pub inode: u64,
}

/// A file that is there and not indexed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// Why, for a person.
    pub reason: String,
}

/// What a walk found. Files that `.gitignore` and its kind exclude are in no list.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Files to index, sorted by path.
    pub files: Vec<FoundFile>,
    /// Files left out for a reason of ours, sorted by path.
    pub skipped: Vec<Skipped>,
    /// All folders that were entered: those to watch.
    pub directories: Vec<PathBuf>,
    /// How long it took.
    pub took: Duration,
}

enum Entry {
    File(FoundFile),
    Skipped(Skipped),
    Directory(PathBuf),
}

/// Lists the files of `workspace`. Ignore rules hold with and without a git repository; symbolic
/// links are not followed, so nothing outside the roots is reached and no loop is entered.
pub fn walk(
    workspace: &Workspace,
    options: &WalkOptions,
    cancel: &CancelToken,
) -> Result<Walk, Cancelled> {
    let begun = Instant::now();
    let mut found = Walk::default();
    for root in workspace.roots() {
        collect(&builder(root, options), workspace, options, cancel, &mut found);
        cancel.check()?;
    }
    found.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    found.skipped.sort_unstable();
    found.directories.sort_unstable();
    found.took = begun.elapsed();
    Ok(found)
}

/// Lists the files directly in `directory`, which must be one that a [walk] entered.
pub fn list(
    workspace: &Workspace,
    directory: &Path,
    options: &WalkOptions,
    cancel: &CancelToken,
) -> Result<Walk, Cancelled> {
    let mut found = Walk::default();
    let mut builder = builder(directory, options);
    builder.max_depth(Some(1)).threads(1);
    collect(&builder, workspace, options, cancel, &mut found);
    cancel.check()?;
    found.directories.clear();
    Ok(found)
}

fn builder(root: &Path, options: &WalkOptions) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(false)
        .require_git(false)
        .follow_links(false)
        .max_depth(Some(DEPTH))
        .threads(options.threads)
        .filter_entry(|entry| entry.depth() == 0 || is_visible(entry));
    builder
}

fn is_visible(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    !name.starts_with('.') || VISIBLE.contains(&name.as_ref())
}

fn collect(
    builder: &WalkBuilder,
    workspace: &Workspace,
    options: &WalkOptions,
    cancel: &CancelToken,
    found: &mut Walk,
) {
    let (sender, receiver) = unbounded();
    let entries = std::thread::scope(|scope| {
        // The walk has threads of its own; this one only waits, so that the entries can be taken
        // while they come.
        scope.spawn(|| {
            let sender = sender;
            builder.build_parallel().run(|| {
                let sender = sender.clone();
                Box::new(move |entry| visit(entry, workspace, options, cancel, &sender))
            });
        });
        receiver.into_iter().collect::<Vec<_>>()
    });
    for entry in entries {
        match entry {
            Entry::File(file) => found.files.push(file),
            Entry::Skipped(skipped) => found.skipped.push(skipped),
            Entry::Directory(path) => found.directories.push(path),
        }
    }
}

fn visit(
    entry: Result<DirEntry, ignore::Error>,
    workspace: &Workspace,
    options: &WalkOptions,
    cancel: &CancelToken,
    sender: &Sender<Entry>,
) -> WalkState {
    if cancel.is_cancelled() {
        return WalkState::Quit;
    }
    let send = |entry| {
        // The receiver lives until every sender is gone.
        drop(sender.send(entry));
    };
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => {
            if let Some(skipped) = unreadable(&error, workspace) {
                send(Entry::Skipped(skipped));
            }
            tracing::debug!(%error, "a folder or an ignore file cannot be read");
            return WalkState::Continue;
        }
    };
    let path = entry.path();
    let Some(kind) = entry.file_type() else { return WalkState::Continue };
    if kind.is_dir() {
        let Some(relative) = workspace.relative(path) else { return WalkState::Skip };
        if looks_secret(&format!("{relative}/_")) {
            return WalkState::Skip;
        }
        send(Entry::Directory(path.to_owned()));
        return WalkState::Continue;
    }
    if !kind.is_file() {
        // Links, pipes and devices: a link's target is listed where it stands, if it is ours.
        return WalkState::Continue;
    }
    let Some(relative) = workspace.relative(path) else {
        let path = path.to_string_lossy().into_owned();
        send(Entry::Skipped(Skipped { path, reason: "name is not valid Unicode".to_owned() }));
        return WalkState::Continue;
    };
    match entry.metadata() {
        Ok(metadata) => match facts(relative, path, &metadata, options) {
            Ok(file) => send(Entry::File(file)),
            Err(skipped) => send(Entry::Skipped(skipped)),
        },
        Err(error) => {
            send(Entry::Skipped(Skipped { path: relative, reason: error.to_string() }));
        }
    }
    WalkState::Continue
}

/// The folder or file of ours that could not be looked at; none that has gone meanwhile.
fn unreadable(error: &ignore::Error, workspace: &Workspace) -> Option<Skipped> {
    let reason = error.io_error().filter(|reason| reason.kind() != io::ErrorKind::NotFound)?;
    let path = workspace.relative(path_of(error)?)?;
    Some(Skipped { path, reason: reason.to_string() })
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}

/// What stands at a path now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// A file to index, unless an ignore rule excludes it.
    File(FoundFile),
    /// A file left out for a reason of ours.
    Skipped(Skipped),
    /// A folder.
    Directory,
    /// Nothing, or nothing that is indexed: a link, a pipe.
    Nothing,
}

/// Looks at one path of the workspace.
pub fn look(relative: &str, absolute: &Path, options: &WalkOptions) -> Look {
    let Ok(metadata) = absolute.symlink_metadata() else { return Look::Nothing };
    if metadata.is_dir() {
        return Look::Directory;
    }
    if !metadata.is_file() {
        return Look::Nothing;
    }
    match facts(relative.to_owned(), absolute, &metadata, options) {
        Ok(file) => Look::File(file),
        Err(skipped) => Look::Skipped(skipped),
    }
}

fn facts(
    relative: String,
    absolute: &Path,
    metadata: &Metadata,
    options: &WalkOptions,
) -> Result<FoundFile, Skipped> {
    let skip = |reason: String| Err(Skipped { path: relative.clone(), reason });
    if looks_secret(&relative) {
        return skip("may hold keys or passwords".to_owned());
    }
    if let Some(reason) = generated_name(&relative) {
        return skip(reason.to_owned());
    }
    let extension = absolute.extension().map(OsStr::to_ascii_lowercase);
    let factor = match extension.as_ref().and_then(|extension| extension.to_str()) {
        Some("ipynb") => 8,
        Some("pdf") => 32,
        _ => 1,
    };
    let limit = options.max_bytes * factor;
    if metadata.len() > limit {
        let (size, limit) = (metadata.len() >> 10, limit >> 10);
        return skip(format!("{size} KiB, more than the limit of {limit} KiB"));
    }
    Ok(FoundFile {
        path: relative,
        absolute: absolute.to_owned(),
        size: metadata.len(),
        mtime_ns: mtime_ns(metadata),
        inode: inode(metadata),
    })
}

fn mtime_ns(metadata: &Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else { return 1 };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX).max(1),
        Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str], skipped: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
        let options = WalkOptions { max_bytes: 100, ..WalkOptions::default() };
        let found = walk(&workspace, &options, &CancelToken::new()).unwrap();
        let paths: Vec<&str> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, expected);
        let paths: Vec<&str> = found.skipped.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, skipped);
    }

    #[test]
    fn ignore_rules_hold_without_a_repository() {
        check(
            &[
                (".gitignore", "target/\n*.o\n!keep.o\n"),
                ("a/.gitignore", "b.rs\n"),
                ("a/b.rs", ""),
                ("a/c.rs", ""),
                ("keep.o", ""),
                ("target/x.rs", ""),
                ("x.o", ""),
            ],
            &[".gitignore", "a/.gitignore", "a/c.rs", "keep.o"],
            &[],
        );
    }

    #[test]
    fn hidden_secret_large_and_generated_files_are_left_out() {
        check(
            &[
                (".env", "KEY=1"),
                (".git/config", ""),
                (".github/workflows/ci.yml", ""),
                (".idea/x.xml", ""),
                (".ssh/config", ""),
                ("Cargo.lock", ""),
                ("id_rsa", ""),
                ("large.rs", &"x".repeat(101)),
                ("main.rs", ""),
                ("server.pem", ""),
            ],
            &[".github/workflows/ci.yml", "main.rs"],
            &["Cargo.lock", "id_rsa", "large.rs", "server.pem"],
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.rs"), "").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        fs::write(folder.path().join("a.rs"), "").unwrap();
        let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
        let found = walk(&workspace, &WalkOptions::default(), &CancelToken::new()).unwrap();
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.directories, [folder.path().canonicalize().unwrap()]);
    }

    #[test]
    fn a_cancelled_walk_has_no_result() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
        let cancel = CancelToken::new();
        cancel.cancel();
        assert!(walk(&workspace, &WalkOptions::default(), &cancel).is_err());
    }
}
