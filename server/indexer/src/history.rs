//! Which files were changed by commits whose messages resemble a question.

use std::{
    collections::HashMap,
    fs, io,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use base::CancelToken;
use commit_history::{Commit, HistoryError};
use lexical_index::{Query, Tokens};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use vfs::Workspace;

use crate::indexer::Shared;

/// BM25's saturation and its share of length normalisation, as usual (Robertson and Zaragoza 2009).
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// How many commits that resemble a question say which files it is about.
const MOST_ALIKE: usize = 50;
/// How many files they propose at most: fewer than an answer shows, so that what is named comes up beside them.
const MOST_FILES: usize = 8;

/// The messages of a workspace's commits, with the files that each changed. That a text resembles what was
/// said about earlier changes tells which files it is about: the recipe for finding the files that a report of a
/// fault concerns (Zhou, Zhang and Lo, "Where should the bugs be fixed?", ICSE 2012).
#[derive(Default)]
pub struct History {
    paths: Vec<Arc<str>>,
    commits: Vec<Entry>,
    /// For each term the commits that say it, and how often.
    said: FxHashMap<Box<str>, Vec<(u32, f32)>>,
}

struct Entry {
    /// Indexes into the paths.
    files: Box<[u32]>,
    /// Number of terms, beside the mean of all.
    length: f32,
}

impl History {
    /// The history that these messages make, each with the paths of its files in the workspace.
    pub(crate) fn new(commits: impl IntoIterator<Item = (String, Vec<Arc<str>>)>) -> Self {
        let mut history = Self::default();
        let mut numbers: HashMap<Arc<str>, u32> = HashMap::new();
        let mut tokens = Tokens::new();
        let mut counts: FxHashMap<Box<str>, f32> = FxHashMap::default();
        for (message, files) in commits {
            let Ok(commit) = u32::try_from(history.commits.len()) else { break };
            let mut length = 0.0;
            tokens.each(&message, |term| {
                length += 1.0;
                match counts.get_mut(term) {
                    Some(count) => *count += 1.0,
                    None => _ = counts.insert(term.into(), 1.0),
                }
            });
            for (term, count) in counts.drain() {
                history.said.entry(term).or_default().push((commit, count));
            }
            let files = files.into_iter().map(|path| {
                *numbers.entry(Arc::clone(&path)).or_insert_with(|| {
                    history.paths.push(path);
                    history.paths.len() as u32 - 1
                })
            });
            let files = files.collect();
            history.commits.push(Entry { files, length });
        }
        let sum: f32 = history.commits.iter().map(|commit| commit.length).sum();
        let mean = (sum / history.commits.len().max(1) as f32).max(1.0);
        history.commits.iter_mut().for_each(|commit| commit.length /= mean);
        history
    }

    /// The files that commits changed which say what `query` does, of those that are `wanted`, best first: from 1 for a file
    /// whose commit says all of it in few words down to 0.
    pub fn files(&self, query: &Query, wanted: impl Fn(&str) -> bool) -> Vec<(Arc<str>, f32)> {
        let mut alike = vec![0.0_f32; self.commits.len()];
        // What a message would have that is as short as can be and says every term once.
        let mut most = 0.0;
        for term in &query.terms {
            let said = self.said.get(term.text.as_str()).map_or(&[][..], Vec::as_slice);
            let (all, with) = (self.commits.len() as f32, said.len() as f32);
            let rarity = term.weight * (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            most += rarity / (1.0 + K1 * (1.0 - B));
            for (commit, count) in said {
                let commit = *commit as usize;
                let Some(entry) = self.commits.get(commit) else { continue };
                let saturated = count / (count + K1 * (1.0 - B + B * entry.length));
                if let Some(alike) = alike.get_mut(commit) {
                    *alike += rarity * saturated;
                }
            }
        }
        let mut best: Vec<(f32, &Entry)> = alike
            .into_iter()
            .zip(&self.commits)
            .filter(|(alike, _)| *alike > 0.0)
            .map(|(alike, commit)| (alike / most, commit))
            .collect();
        // A stable order: of a repository's commits that are as much alike the newer ones count.
        best.sort_by(|a, b| b.0.total_cmp(&a.0));
        best.truncate(MOST_ALIKE);
        let mut shares: FxHashMap<u32, f32> = FxHashMap::default();
        for (alike, commit) in &best {
            // Squared: a few that are much alike say more than many that share a word.
            let share = alike * alike / (commit.files.len() as f32).sqrt();
            for file in &commit.files {
                *shares.entry(*file).or_default() += share;
            }
        }
        // Many are gone by now, or have another name.
        shares.retain(|file, _| self.paths.get(*file as usize).is_some_and(|path| wanted(path)));
        let most = shares.values().copied().fold(f32::MIN_POSITIVE, f32::max);
        let nearest = best.first().map_or(0.0, |(alike, _)| alike.min(1.0));
        let mut files: Vec<(Arc<str>, f32)> = shares
            .into_iter()
            .filter_map(|(file, share)| {
                let path = self.paths.get(file as usize)?;
                Some((Arc::clone(path), nearest * share / most))
            })
            .collect();
        files.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        files.truncate(MOST_FILES);
        files
    }
}

/// What is known of the repositories of a workspace.
#[derive(Default)]
pub(crate) struct Known {
    /// The commit that was checked out, for each root, when the history was read.
    heads: Option<Vec<Option<String>>>,
}

/// What is kept beside the index, for the next process. Behind a hash of its bytes: what is damaged is read anew.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Of how it was read; another number makes it anew.
    version: u32,
    heads: Vec<Option<String>>,
    commits: Commits,
}

/// Its name in the index's folder.
pub(crate) const KEPT: &str = "history.json";

impl Known {
    /// Has the history read again the next time.
    pub(crate) fn forget(&mut self) {
        self.heads = None;
    }

    /// The history, where other commits are checked out than when it was last read. What cannot be read
    /// leaves everything as it was.
    fn refresh(
        &mut self,
        shared: &Shared,
        cancel: &CancelToken,
    ) -> Result<Option<History>, HistoryError> {
        let roots = shared.workspace.roots().iter();
        let heads: Vec<Option<String>> =
            roots.map(|root| commit_history::head(root)).collect::<Result<_, _>>()?;
        if self.heads.as_ref() == Some(&heads) {
            return Ok(None);
        }
        let path = shared.folder.join(KEPT);
        let kept = match Kept::load(&path) {
            Some(kept) if kept.heads == heads => kept,
            _ => {
                let (commits, whole) = read(&shared.workspace, cancel)?;
                let kept = Kept { version: commit_history::VERSION, heads, commits };
                if whole
                    && !shared.is_read_only()
                    && let Err(error) = kept.save(&path)
                {
                    tracing::debug!(%error, "the history is read again next time");
                }
                kept
            }
        };
        self.heads = Some(kept.heads);
        Ok(Some(History::new(kept.commits)))
    }
}

/// Messages with the paths of their files in the workspace.
type Commits = Vec<(String, Vec<Arc<str>>)>;

/// The commits of all roots, and whether none was left out that could not be read.
fn read(workspace: &Workspace, cancel: &CancelToken) -> Result<(Commits, bool), HistoryError> {
    let (mut commits, mut whole) = (Commits::new(), true);
    for root in workspace.roots() {
        let of_root = commit_history::commits(root, cancel)?;
        whole &= of_root.whole;
        let mut paths: HashMap<String, Option<Arc<str>>> = HashMap::new();
        commits.extend(of_root.commits.into_iter().map(|Commit { message, paths: files }| {
            let files = files.into_iter().filter_map(|path| {
                let absolute = root.join(&path);
                let known = paths.entry(path);
                known.or_insert_with(|| Some(workspace.relative(&absolute)?.into())).clone()
            });
            (message, files.collect())
        }));
    }
    Ok((commits, whole))
}

impl Kept {
    fn load(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let (hash, json) = bytes.split_first_chunk::<{ blake3::OUT_LEN }>()?;
        if blake3::hash(json) != *hash {
            return None;
        }
        let kept: Self = serde_json::from_slice(json).ok()?;
        (kept.version == commit_history::VERSION).then_some(kept)
    }

    fn save(&self, path: &Path) -> io::Result<()> {
        let json = serde_json::to_vec(self)?;
        let mut bytes = blake3::hash(&json).as_bytes().to_vec();
        bytes.extend(json);
        base::write_atomic(path, &bytes)
    }
}

impl Shared {
    /// Takes up the history of the workspace's repositories where it has moved on.
    pub(crate) fn refresh_history(&self, cancel: &CancelToken) {
        match self.history.lock().refresh(self, cancel) {
            Ok(Some(history)) => self.publish_history(Arc::new(history)),
            Ok(None) | Err(HistoryError::Cancelled(_)) => {}
            Err(error) => tracing::debug!(%error, "searches do with the history that is known"),
        }
    }
}

/// Starts the thread that takes up commits while the workspace is watched.
pub(crate) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("history".to_owned()).spawn(move || {
        base::stand_back();
        while shared.history_changed.take().is_some() {
            if shared.queue.is_watched() && !shared.is_paused() {
                shared.refresh_history(&shared.cancel);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use lexical_index::QueryTerm;

    use super::*;

    /// The files that the commits propose for these words.
    fn check(commits: &[(&str, &[&str])], words: &str, expected: &[&str]) -> Vec<f32> {
        let commits = commits.iter().map(|(message, paths)| {
            ((*message).to_owned(), paths.iter().map(|path| Arc::from(*path)).collect())
        });
        let terms = Tokens::new().list(words).into_iter();
        let terms = terms.map(|text| QueryTerm { text, weight: 1.0, variants: Vec::new() });
        let found = History::new(commits)
            .files(&Query { terms: terms.collect() }, |path| path != "gone.rs");
        let files: Vec<&str> = found.iter().map(|(path, _)| &**path).collect();
        assert_eq!(files, expected, "for {words:?}");
        let shares: Vec<f32> = found.iter().map(|(_, share)| *share).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
        shares
    }

    #[test]
    fn files_come_up_whose_commits_say_the_same() {
        let commits: &[(&str, &[&str])] = &[
            ("Retry when the connection is reset", &["net.rs", "retry.rs"]),
            ("Reset the counter after a retry", &["retry.rs"]),
            ("Fix a typo", &["README.md", "gone.rs"]),
        ];
        check(commits, "connection retries", &["retry.rs", "net.rs"]);
        check(commits, "typos", &["README.md"]);
        check(commits, "colour", &[]);
        check(commits, "", &[]);
        check(&[], "retry", &[]);
    }

    #[test]
    fn what_is_said_in_part_counts_less() {
        let commits: &[(&str, &[&str])] =
            &[("Cache parsed headers", &["headers.rs"]), ("Cache answers", &["answers.rs"])];
        let whole = check(commits, "cache parsed headers", &["headers.rs", "answers.rs"]);
        let part = check(commits, "cache parsed images for later", &["headers.rs", "answers.rs"]);
        assert!(whole[0] > 2.0 * part[0], "{whole:?} {part:?}");
    }

    #[test]
    fn a_commit_of_one_file_says_more_about_it() {
        let commits: &[(&str, &[&str])] =
            &[("Cache answers", &["a.rs", "b.rs", "c.rs"]), ("Cache answers", &["d.rs"])];
        let shares = check(commits, "cache answers", &["d.rs", "a.rs", "b.rs", "c.rs"]);
        assert!(shares[0] > 1.5 * shares[1], "{shares:?}");
    }
}
