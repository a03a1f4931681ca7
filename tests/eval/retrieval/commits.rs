//! From what a commit says to the files that it changes, in the tree before it.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};
use retrieval::Hit;
use serde_json::{Value, json};

use crate::{
    corpus::{Corpus, Place, methods},
    described::table,
    measure::{self, Ranks},
    say,
};

/// Commits of a repository that are asked about: the newest that qualify.
const COMMITS: usize = 120;
/// A commit of more files is no answer to one question.
const MOST_FILES: usize = 3;
/// A message of fewer words, such as "fix typo" or a version, does not say what is changed.
const LEAST_WORDS: usize = 4;
/// How far back is looked for them.
const HISTORY: &str = "-2000";
/// For choosing numbers; the others are reported on.
pub const DEVELOPMENT: [&str; 2] = ["requests", "ripgrep"];
/// The answer counts when it is among this many files.
const FIRST: usize = 5;

struct Commit {
    parent: String,
    message: String,
    /// The files that it changes or removes.
    files: Vec<String>,
}

/// The repositories of a part in the folder `data`, by name.
pub fn repositories(data: &Path, part: &str) -> Result<BTreeMap<String, PathBuf>> {
    let folder = data.join("repositories");
    let mut found = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if DEVELOPMENT.contains(&name.as_str()) == (part == "development") {
            found.insert(name, fs::canonicalize(path)?);
        }
    }
    Ok(found)
}

/// The table of one repository.
pub fn run(name: &str, git: &Path, place: &Place) -> Result<Value> {
    let tree = place.cache.join("trees").join(name);
    let mut checkout = Checkout::new(git, &tree)?;
    let mut corpus = None;
    let mut found: BTreeMap<&str, Ranks> = BTreeMap::new();
    let (mut asked, mut not_indexed) = (0, 0);
    let mut times = Vec::new();
    // The signals are compared in the first tier: what each turns up would have to be embedded.
    let mut ways = methods(place, false);
    let with_model = place.model.is_some();
    if with_model {
        let fused = methods(place, true).into_iter().filter(|(name, _)| *name == "fused");
        ways.extend(fused);
    }
    for commit in checkout.commits()? {
        if asked == COMMITS {
            break;
        }
        checkout.take(&commit.parent)?;
        let corpus = match &corpus {
            Some(corpus) => {
                Corpus::update(corpus)?;
                corpus
            }
            None => corpus.insert(Corpus::open(&tree, place)?),
        };
        let index = corpus.snapshot();
        if !commit.files.iter().any(|file| index.file(file).is_some()) {
            not_indexed += 1;
            continue;
        }
        asked += 1;
        for (name, method) in &ways {
            if *name == "fused" {
                method.hits(&index, &commit.message);
                corpus.indexer.embed_found(&base::CancelToken::new())?;
            }
            let (hits, milliseconds) = method.hits(&index, &commit.message);
            found.entry(name).or_default().push(rank(&hits, &commit.files));
            if *name == "fused_first_tier" {
                times.push(milliseconds);
            }
        }
        if asked % 20 == 0 {
            say(&format!("   {name}: {asked} commits"));
        }
    }
    let mut facts = json!({
        "commits": asked,
        "not_indexed": not_indexed,
        "milliseconds": measure::times(times),
    });
    if let Some(corpus) = &corpus {
        let index = corpus.snapshot();
        facts["files"] = index.file_count().into();
        facts["chunks"] = index.chunk_count().into();
    }
    for (way, ranks) in &found {
        say(&format!("   {name} {way}: {:.3}", measure::share_within(ranks, FIRST)));
    }
    Ok(table(&found, facts))
}

/// The mean over repositories of what each method finds among the first five files.
pub fn mean(tables: &BTreeMap<String, Value>) -> Value {
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for methods in tables.values().filter_map(|table| table["methods"].as_object()) {
        for (name, scores) in methods {
            let sum = sums.entry(name.clone()).or_default();
            sum.0 += scores["in_first_5"].as_f64().unwrap_or_default();
            sum.1 += scores["mrr"].as_f64().unwrap_or_default();
        }
    }
    let count = tables.len().max(1) as f64;
    sums.into_iter()
        .map(|(name, (found, mrr))| {
            let scores = json!({
                "in_first_5": measure::rounded(found / count),
                "mrr": measure::rounded(mrr / count),
            });
            (name, scores)
        })
        .collect::<serde_json::Map<String, Value>>()
        .into()
}

/// The first of the distinct files found that is a right one.
fn rank(hits: &[Hit], right: &[String]) -> Option<usize> {
    let mut seen = HashSet::new();
    let files = hits.iter().map(|hit| hit.path.as_str()).filter(|path| seen.insert(*path));
    files.into_iter().position(|file| right.iter().any(|right| right == file))
}

/// The files of one commit after the other, in a folder of ours: nothing is written to the repository.
struct Checkout {
    git: PathBuf,
    tree: PathBuf,
    /// What lies in the folder: the object of each path.
    held: BTreeMap<String, String>,
}

impl Checkout {
    /// An empty folder at `tree`.
    fn new(git: &Path, tree: &Path) -> Result<Self> {
        if tree.is_dir() {
            fs::remove_dir_all(tree)?;
        }
        // A repository of its own over the same objects, in which each commit's parent is checked out in turn.
        let own = tree.join(".git");
        for folder in ["refs/heads", "objects/info"] {
            fs::create_dir_all(own.join(folder))?;
        }
        fs::write(own.join("config"), "[core]\n\trepositoryformatversion = 0\n")?;
        let objects = fs::canonicalize(git.join("objects"))?;
        fs::write(own.join("objects/info/alternates"), format!("{}\n", objects.display()))?;
        Ok(Self { git: git.to_owned(), tree: tree.to_owned(), held: BTreeMap::new() })
    }

    fn git(&self) -> Command {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&self.git);
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<String> {
        let done = self.git().args(arguments).output()?;
        if !done.status.success() {
            bail!("{}: {}", self.git.display(), String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Makes the folder hold what `commit` does: regular files, as they are stored. One that is not
    /// stored, as copies of repositories may lack the largest, is left out.
    fn take(&mut self, commit: &str) -> Result<()> {
        let listed = self.output(&["ls-tree", "-r", "-z", commit])?;
        let mut wanted = BTreeMap::new();
        for entry in listed.split('\0') {
            let Some((about, path)) = entry.split_once('\t') else { continue };
            let mut about = about.split(' ');
            let regular = about.next().is_some_and(|mode| mode.starts_with("100"));
            if let (true, Some(object)) = (regular, about.nth(1)) {
                wanted.insert(path.to_owned(), object.to_owned());
            }
        }
        let gone: Vec<String> =
            self.held.keys().filter(|path| !wanted.contains_key(*path)).cloned().collect();
        for path in gone {
            let file = self.tree.join(&path);
            if file.is_file() {
                fs::remove_file(file)?;
            }
            self.held.remove(&path);
        }
        let changed: Vec<(String, String)> = wanted
            .into_iter()
            .filter(|(path, object)| self.held.get(path) != Some(object))
            .collect();
        self.write(&changed)?;
        self.held.extend(changed);
        fs::write(self.tree.join(".git/HEAD"), format!("{commit}\n"))?;
        Ok(())
    }

    fn write(&self, files: &[(String, String)]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let mut batch = self.git();
        batch.args(["cat-file", "--batch"]).env("GIT_NO_LAZY_FETCH", "1");
        let mut child = batch.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(mut asked), Some(told)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("git has no pipes");
        };
        let mut told = BufReader::new(told);
        for (path, object) in files {
            writeln!(asked, "{object}")?;
            asked.flush()?;
            let mut head = String::new();
            told.read_line(&mut head)?;
            let Some(length) =
                head.trim_end().rsplit(' ').next().and_then(|it| it.parse::<usize>().ok())
            else {
                continue;
            };
            // The content ends with a line feed of git's own.
            let mut content = vec![0; length + 1];
            told.read_exact(&mut content)?;
            content.pop();
            let file = self.tree.join(path);
            // A file may stand where a folder was.
            if file.is_dir() {
                fs::remove_dir_all(&file)?;
            }
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(file, content)?;
        }
        drop(asked);
        child.wait()?;
        Ok(())
    }

    /// Commits that may be asked about, newest first.
    fn commits(&self) -> Result<Vec<Commit>> {
        let format = "--format=%x01%P%x02%an%x02%B%x03";
        let log = ["log", "--no-merges", "--no-renames", "--raw", HISTORY, format, "HEAD"];
        let log = self.output(&log)?;
        Ok(log.split('\u{1}').filter_map(commit).collect())
    }
}

fn commit(entry: &str) -> Option<Commit> {
    let (head, raw) = entry.split_once('\u{3}')?;
    let mut parts = head.splitn(3, '\u{2}');
    let (parents, author, message) = (parts.next()?, parts.next()?, parts.next()?);
    let parent = parents.split_whitespace().next()?;
    let bot = author.ends_with("[bot]") || author.ends_with("-bot") || author.ends_with("-ci");
    let changes: Vec<(&str, &str)> = raw
        .lines()
        .filter(|line| line.starts_with(':'))
        .filter_map(|line| {
            let (about, file) = line.split_once('\t')?;
            Some((about.rsplit(' ').next()?, file))
        })
        .collect();
    let files: Vec<String> = changes
        .iter()
        .filter(|(change, _)| matches!(*change, "M" | "D"))
        .map(|(_, file)| (*file).to_owned())
        .collect();
    let message = told(message);
    let told = message.split_whitespace().count() >= LEAST_WORDS;
    let qualifies = !bot && told && changes.len() <= MOST_FILES && !files.is_empty();
    qualifies.then(|| Commit { parent: parent.to_owned(), message, files })
}

/// A message without the lines that name people and without numbers of issues.
fn told(message: &str) -> String {
    let trailer = |line: &str| {
        line.split_once(": ").is_some_and(|(key, _)| {
            key.contains('-') && key.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
        })
    };
    let lines: Vec<&str> = message.lines().filter(|line| !trailer(line)).collect();
    let number = |word: &&str| {
        let word = word.trim_matches(|c: char| "()[],.:".contains(c));
        let digits = word.strip_prefix('#');
        !digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit()))
    };
    lines.join("\n").split_whitespace().filter(number).collect::<Vec<_>>().join(" ")
}
