//! What the commits of a repository say, and which files each of them changed.
//!
//! Reads the repository's own files with gix: no program is started, no configuration but the repository's is read, and
//! nothing is written. A repository may be somebody's trap: one of another user's is left alone as git leaves it alone, what
//! is not a regular file of a sensible size is not opened, a comparison ends where it grows, and a panic of
//! the library is an error.

use std::{
    any::Any,
    collections::VecDeque,
    fs,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use base::{CancelToken, Cancelled};
use gix::{
    ObjectId, Repository,
    bstr::{BStr, ByteSlice as _},
    diff::tree::{
        State, Visit,
        visit::{Action, Change},
    },
    objs::TreeRefIter,
    open::Options,
    revision::walk::Sorting,
    sec::Trust,
    traverse::commit::simple::CommitTimeOrder::NewestFirst,
};
use thiserror::Error;

/// Changes whenever the same repository would be read otherwise: for those who keep what was read.
pub const VERSION: u32 = 2;

/// Most commits that are read, the newest. With five hundred the right files came up a little less
/// often, with four thousand as often (commits of requests and ripgrep).
const MOST_COMMITS: usize = 1000;
/// Merges and commits of too many files are passed over, at most so many in all.
const MOST_SEEN: usize = 4 * MOST_COMMITS;
/// A commit of more files, a renaming or a new licence, says nothing about one of them.
const MOST_FILES: usize = 15;
/// Files and folders that a comparison looks at; one of few files in deep folders needs far fewer.
const MOST_ENTRIES: usize = 2000;
/// Bytes of a message that are kept.
const MOST_MESSAGE: usize = 1000;
/// Bytes of decoded objects that are kept for the next commit, which shares most of its folders.
const OBJECT_CACHE: usize = 4 << 20;
/// Most bytes of a file that holds one name.
const SMALL: u64 = 4 << 10;
/// How often a name may stand for another, as git has it.
const NAMES: usize = 5;
/// The files of a repository that are read whole before any object is, and how long they may be.
const READ_WHOLE: [(&str, u64); 7] = [
    ("HEAD", SMALL),
    ("commondir", SMALL),
    ("config", 1 << 20),
    ("config.worktree", 1 << 20),
    ("objects/info/alternates", 64 << 10),
    ("packed-refs", 256 << 20),
    ("shallow", 64 << 20),
];

/// A commit that changed few files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// What it says, without the lines at its end that name people; up to a kilobyte.
    pub message: String,
    /// The files below the folder that was asked about, relative to it, with `/`. Names that are not Unicode are left out.
    pub paths: Vec<String>,
}

/// A repository's history cannot be read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// What the library says about the repository.
    #[error("the history of {folder} cannot be read: {reason}")]
    Unreadable {
        /// The folder that was asked about.
        folder: PathBuf,
        /// In words.
        reason: String,
    },
}

/// The commit that is checked out in the repository that holds `folder`, in hexadecimal; none without
/// a repository, or without a commit in it.
pub fn head(folder: &Path) -> Result<Option<String>, HistoryError> {
    guarded(folder, || {
        let Some(repository) = open(folder)? else { return Ok(None) };
        Ok(head_of(&repository).map(|id| id.to_string()))
    })
}

/// What was read of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Newest first.
    pub commits: Vec<Commit>,
    /// Whether nothing was left out because it could not be read.
    pub whole: bool,
}

/// The commits that led to the one that is checked out, merges left out, of the repository that
/// holds `folder`: up to a thousand that changed a file below the folder and few others.
/// Where history ends early, as in a shallow clone, so does the list.
pub fn commits(folder: &Path, cancel: &CancelToken) -> Result<Commits, HistoryError> {
    cancel.check()?;
    let commits = guarded(folder, || {
        let Some(mut repository) = open(folder)? else {
            return Ok(Commits { commits: Vec::new(), whole: true });
        };
        repository.object_cache_size(OBJECT_CACHE);
        read(&repository, folder, cancel)
    })?;
    cancel.check()?;
    Ok(commits)
}

/// What `work` gives; an error or a panic of the library becomes an error that names the folder.
fn guarded<T>(
    folder: &Path,
    work: impl FnOnce() -> Result<T, gix::Error>,
) -> Result<T, HistoryError> {
    let unreadable =
        |reason: String| HistoryError::Unreadable { folder: folder.to_owned(), reason };
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| unreadable(error.to_string())),
        Err(panic) => Err(unreadable(said(panic.as_ref()))),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it breaks the library that reads it").to_owned()
}

/// The repository that holds `folder`, if there is one with a working tree that is this user's.
fn open(folder: &Path) -> Result<Option<Repository>, gix::Error> {
    let found = folder.ancestors().find(|above| above.join(".git").symlink_metadata().is_ok());
    let Some(top) = found else { return Ok(None) };
    let Some(git) = git_folder(top).filter(|git| is_ours(top) && is_ours(git)) else {
        return Ok(None);
    };
    if !is_plain(&git) {
        return Ok(None);
    }
    // As one of somebody else: no more is decoded than is sensible, and no configuration of the person's is used.
    let repository = gix::open_opts(top, Options::isolated().with(Trust::Reduced))?;
    Ok(repository.workdir().is_some().then_some(repository))
}

/// The folder of git's own files for the working tree `top`: `.git`, or what the file of that name says.
fn git_folder(top: &Path) -> Option<PathBuf> {
    let git = top.join(".git");
    let metadata = git.metadata().ok()?;
    if metadata.is_dir() {
        return Some(git);
    }
    if !metadata.is_file() || metadata.len() > SMALL {
        return None;
    }
    let text = fs::read_to_string(git).ok()?;
    Some(top.join(text.strip_prefix("gitdir:")?.trim()))
}

/// As git has it: what another user owns is not looked at, so that nobody's `/tmp/.git` speaks for all below.
fn is_ours(path: &Path) -> bool {
    Trust::from_path_ownership(path).is_ok_and(|trust| trust == Trust::Full)
}

/// Whether what is read are regular files, and where they are read whole of a sensible size, or missing: a pipe would be
/// waited for, and some devices never end.
fn is_plain(git: &Path) -> bool {
    let is_file = |path: &Path, most: u64| match path.metadata() {
        Ok(metadata) => metadata.is_file() && metadata.len() <= most,
        Err(_) => true,
    };
    let mut folders = vec![git.to_owned()];
    if is_file(&git.join("commondir"), SMALL)
        && let Ok(common) = fs::read_to_string(git.join("commondir"))
    {
        folders.push(git.join(common.trim()));
    }
    let are_files =
        |name: &str, most| folders.iter().all(|folder| is_file(&folder.join(name), most));
    if !READ_WHOLE.iter().all(|(name, most)| are_files(name, *most)) {
        return false;
    }
    // What is checked out may be named by a name, which may have a file of its own.
    let mut named = fs::read_to_string(git.join("HEAD")).unwrap_or_default();
    for _ in 0..NAMES {
        let Some(name) = named.strip_prefix("ref:").map(|name| name.trim().to_owned()) else {
            break;
        };
        if !are_files(&name, SMALL) {
            return false;
        }
        let texts = folders.iter().map(|folder| fs::read_to_string(folder.join(&name)));
        named = texts.flatten().next().unwrap_or_default();
    }
    folders.iter().all(|folder| are_objects(&folder.join("objects")))
}

/// Whether all that lies in a store of objects and in its folders are files and folders.
fn are_objects(store: &Path) -> bool {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let is_usual =
        |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir());
    entries(store)
        .all(|entry| is_usual(&entry) && entries(&entry.path()).all(|object| is_usual(&object)))
}

fn head_of(repository: &Repository) -> Option<ObjectId> {
    repository.head_id().ok().map(gix::Id::detach)
}

fn read(
    repository: &Repository,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<Commits, gix::Error> {
    let mut found = Commits { commits: Vec::new(), whole: true };
    let Some(head) = head_of(repository) else { return Ok(found) };
    let Some(below) = below(repository, folder) else { return Ok(found) };
    let walk = repository.rev_walk([head]).sorting(Sorting::ByCommitTime(NewestFirst)).all()?;
    let mut state = State::default();
    for commit in walk.take(MOST_SEEN) {
        if found.commits.len() == MOST_COMMITS || cancel.is_cancelled() {
            break;
        }
        let Ok((object, commit)) = commit.and_then(|commit| Ok((commit.object()?, commit))) else {
            // Its objects are missing, as in a partial clone, and so are the ways to what came before.
            found.whole = false;
            break;
        };
        // Where a shallow clone ends there is a parent in name only.
        let parents = &commit.parent_ids;
        if parents.len() > 1 {
            continue;
        }
        let parent = parents.first().copied();
        let mut files = Files::new(cancel);
        if changed(repository, &object, parent, &mut state, &mut files).is_err() {
            found.whole = false;
        }
        if files.ended || files.paths.is_empty() {
            continue;
        }
        let below = below.as_str();
        let paths =
            files.paths.iter().filter_map(|path| Some(path.strip_prefix(below)?.to_owned()));
        let paths: Vec<String> = paths.collect();
        if !paths.is_empty() {
            let message = object.message_raw().map(message).unwrap_or_default();
            found.commits.push(Commit { message, paths });
        }
    }
    Ok(found)
}

/// What the paths of files below `folder` begin with in its repository: nothing, or something that ends with `/`.
fn below(repository: &Repository, folder: &Path) -> Option<String> {
    let top = repository.workdir()?.canonicalize().ok()?;
    let folder = folder.canonicalize().ok()?;
    let parts: Option<Vec<&str>> =
        folder.strip_prefix(&top).ok()?.iter().map(std::ffi::OsStr::to_str).collect();
    let mut below = parts?.join("/");
    if !below.is_empty() {
        below.push('/');
    }
    Some(below)
}

/// Lets `files` see what a commit changed against its parent.
fn changed(
    repository: &Repository,
    commit: &gix::Commit<'_>,
    parent: Option<ObjectId>,
    state: &mut State,
    files: &mut Files<'_>,
) -> Result<(), gix::Error> {
    let after = commit.tree()?.detach();
    let before = match parent {
        Some(parent) => repository.find_commit(parent)?.tree()?.detach(),
        None => repository.empty_tree().detach(),
    };
    let [before, after] =
        [&before, &after].map(|tree| TreeRefIter::from_bytes(&tree.data, tree.id.kind()));
    match gix::diff::tree(before, after, state, &repository.objects, files) {
        Err(_) if files.ended => Ok(()),
        Err(error) => Err(gix::Error::from_error(error)),
        Ok(()) => Ok(()),
    }
}

/// Collects the paths of changed files. Ends a comparison that grows: gix walks whole folders that came or went,
/// and a handful of objects can make a tree without end.
struct Files<'cancel> {
    cancel: &'cancel CancelToken,
    path: Vec<u8>,
    folders: VecDeque<Vec<u8>>,
    paths: Vec<String>,
    entries: usize,
    /// There are too many files, or the work was cancelled.
    ended: bool,
}

impl<'cancel> Files<'cancel> {
    fn new(cancel: &'cancel CancelToken) -> Self {
        let (path, folders, paths) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { cancel, path, folders, paths, entries: 0, ended: false }
    }

    fn push(&mut self, component: &BStr) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(component);
    }
}

impl Visit for Files<'_> {
    fn pop_front_tracked_path_and_set_current(&mut self) {
        self.path = self.folders.pop_front().unwrap_or_default();
    }

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.push(component);
        self.folders.push_back(self.path.clone());
    }

    fn push_path_component(&mut self, component: &BStr) {
        self.push(component);
    }

    fn pop_path_component(&mut self) {
        let end = self.path.rfind_byte(b'/').unwrap_or(0);
        self.path.truncate(end);
    }

    fn visit(&mut self, change: Change) -> Action {
        let (Change::Addition { entry_mode, .. }
        | Change::Deletion { entry_mode, .. }
        | Change::Modification { entry_mode, .. }) = change;
        if entry_mode.is_blob()
            && let Ok(path) = self.path.to_str()
        {
            self.paths.push(path.to_owned());
        }
        self.entries += 1;
        self.ended = self.paths.len() > MOST_FILES
            || self.entries > MOST_ENTRIES
            || self.cancel.is_cancelled();
        if self.ended { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// A message without the lines at its end that name people and numbers (`Signed-off-by: …`), cut to its limit.
fn message(raw: &BStr) -> String {
    let text = raw.to_str_lossy();
    let text = text.trim_end();
    let trailer = |line: &str| {
        line.split_once(": ").is_some_and(|(key, _)| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
        })
    };
    let said = match text.rsplit_once("\n\n") {
        Some((said, end)) if end.lines().all(trailer) => said,
        _ => text,
    };
    let cut = said.floor_char_boundary(MOST_MESSAGE);
    said.get(..cut).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use gix::{hash::Kind, objs::tree::EntryKind};

    use super::*;

    /// How many of these entries a comparison sees.
    fn seen(cancel: &CancelToken, kind: EntryKind, entries: usize) -> usize {
        let mut files = Files::new(cancel);
        let change = || Change::Addition {
            entry_mode: kind.into(),
            oid: ObjectId::null(Kind::Sha1),
            relation: None,
        };
        let goes_on = |_: &usize| files.visit(change()).is_continue();
        (0..entries).take_while(goes_on).count()
    }

    #[test]
    fn a_comparison_ends_where_it_grows_or_is_cancelled() {
        let cancel = CancelToken::new();
        assert_eq!(seen(&cancel, EntryKind::Blob, 9), 9);
        assert_eq!(seen(&cancel, EntryKind::Blob, 99), MOST_FILES);
        assert_eq!(seen(&cancel, EntryKind::Tree, 2 * MOST_ENTRIES), MOST_ENTRIES);
        cancel.cancel();
        assert_eq!(seen(&cancel, EntryKind::Blob, 9), 0);
    }
}
