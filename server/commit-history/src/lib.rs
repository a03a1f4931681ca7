//! What the commits of a repository say, and which files each of them changed.
//!
//! Reads the repository's own files with gix: no program is started, no configuration but the repository's is read, and
//! nothing is written. A repository is somebody else's data: what cannot be read is an error, whatever it
//! does to the library, and what is read is bounded.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use base::{CancelToken, Cancelled};
use gix::{
    ObjectId, Repository,
    bstr::{BStr, ByteSlice as _},
    diff::tree::{Recorder, State, recorder::Change},
    objs::TreeRefIter,
    open::Options,
    revision::walk::Sorting,
    sec::Trust,
    traverse::commit::simple::CommitTimeOrder::NewestFirst,
};
use thiserror::Error;

/// Most commits that are read, the newest. With five hundred the right files came up a little less
/// often, with four thousand as often (commits of requests and ripgrep).
const MOST_COMMITS: usize = 1000;
/// Merges and commits of too many files are passed over, at most so many in all.
const MOST_SEEN: usize = 4 * MOST_COMMITS;
/// A commit of more files, a renaming or a new licence, says nothing about one of them.
const MOST_FILES: usize = 15;
/// Bytes of a message that are kept.
const MOST_MESSAGE: usize = 1000;
/// Bytes of decoded objects that are kept for the next commit, which shares most of its folders.
const OBJECT_CACHE: usize = 4 << 20;

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

/// The commits that led to the one that is checked out, newest first, merges left out, of the
/// repository that holds `folder`: up to a thousand that changed a file below the folder and few others.
/// Where history ends early, as in a shallow clone, so does the list.
pub fn commits(folder: &Path, cancel: &CancelToken) -> Result<Vec<Commit>, HistoryError> {
    cancel.check()?;
    let commits = guarded(folder, || {
        let Some(mut repository) = open(folder)? else { return Ok(Vec::new()) };
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

/// The repository that holds `folder`, if there is one with a working tree.
fn open(folder: &Path) -> Result<Option<Repository>, gix::Error> {
    let Ok((found, _)) = gix::discover::upwards(folder) else { return Ok(None) };
    // As one of somebody else: no more is decoded than is sensible, and no configuration of the person's is used.
    let options = Options::isolated().with(Trust::Reduced);
    let (git, _) = found.into_repository_and_work_tree_directories();
    let repository = gix::open_opts(git, options)?;
    Ok(repository.workdir().is_some().then_some(repository))
}

fn head_of(repository: &Repository) -> Option<ObjectId> {
    repository.head_id().ok().map(gix::Id::detach)
}

fn read(
    repository: &Repository,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<Vec<Commit>, gix::Error> {
    let mut commits = Vec::new();
    let Some(head) = head_of(repository) else { return Ok(commits) };
    let Some(below) = below(repository, folder) else { return Ok(commits) };
    let walk = repository.rev_walk([head]).sorting(Sorting::ByCommitTime(NewestFirst)).all()?;
    let mut state = State::default();
    for commit in walk.take(MOST_SEEN) {
        if commits.len() == MOST_COMMITS || cancel.is_cancelled() {
            break;
        }
        // Where objects are missing, as in a partial clone, what was read so far is all there is.
        let Ok(commit) = commit else { break };
        if commit.parent_ids.len() > 1 {
            continue;
        }
        let Ok(object) = commit.object() else { break };
        let Some(changed) = changed(repository, &object, &mut state) else { continue };
        let paths: Vec<String> = changed
            .iter()
            .filter_map(|path| path.strip_prefix(below.as_str()).map(str::to_owned))
            .collect();
        if !paths.is_empty() {
            let message = object.message_raw().map(message).unwrap_or_default();
            commits.push(Commit { message, paths });
        }
    }
    Ok(commits)
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

/// The files that a commit changed against its parent; none if they are too many or cannot be told.
fn changed(
    repository: &Repository,
    commit: &gix::Commit<'_>,
    state: &mut State,
) -> Option<Vec<String>> {
    let after = commit.tree().ok()?;
    let before = match commit.parent_ids().next() {
        Some(parent) => repository.find_commit(parent).ok()?.tree().ok()?,
        None => repository.empty_tree(),
    };
    let mut recorder = Recorder::default();
    let [before, after] = [before, after].map(gix::Tree::detach);
    let [before, after] =
        [&before, &after].map(|tree| TreeRefIter::from_bytes(&tree.data, tree.id.kind()));
    gix::diff::tree(before, after, state, &repository.objects, &mut recorder).ok()?;
    let files = recorder.records.into_iter().filter_map(|change| {
        let (Change::Addition { entry_mode, path, .. }
        | Change::Deletion { entry_mode, path, .. }
        | Change::Modification { entry_mode, path, .. }) = change;
        entry_mode.is_blob().then_some(path)
    });
    let files: Vec<_> = files.take(MOST_FILES + 1).collect();
    let few = files.len() <= MOST_FILES;
    few.then(|| files.into_iter().filter_map(|path| String::from_utf8(path.into()).ok()).collect())
}

/// A message without the lines at its end that name people (`Signed-off-by: …`), cut to its limit.
fn message(raw: &BStr) -> String {
    let text = raw.to_str_lossy();
    let trailer = |line: &str| {
        line.split_once(": ").is_some_and(|(key, _)| {
            key.contains('-') && key.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
        })
    };
    let mut message = String::new();
    for line in text.lines().filter(|line| !trailer(line)) {
        if message.len() + line.len() > MOST_MESSAGE {
            break;
        }
        message.push_str(line);
        message.push('\n');
    }
    message.truncate(message.trim_end().len());
    message
}
