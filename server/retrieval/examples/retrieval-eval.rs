//! Scores retrieval on the committed questions: `retrieval-eval QUESTIONS.toml [--sources DIR]
//! [--cache DIR] [--json FILE] [--ranking JSON] [-v]`. The sources are unpacked crates as in cargo's source cache;
//! without the option that cache is used, with the versions of this project's Cargo.lock. A cache
//! keeps the indexes for the next run.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use base::CancelToken;
use indexer::{IndexOptions, IndexSnapshot, Indexer};
use retrieval::{Hit, Ranking, SearchQuery, is_supported, search_ranked};
use serde::{Deserialize, Serialize};
use vfs::Workspace;

/// The answer counts when it is among this many distinct files.
const FIRST: usize = 5;
/// Hits asked for, as chat does.
const LIMIT: usize = 12;

#[derive(Deserialize)]
struct Questions {
    repository: Vec<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    #[serde(rename = "crate")]
    name: String,
    questions: Vec<Question>,
    /// Questions that nothing in the repository answers.
    #[serde(default)]
    absent: Vec<String>,
}

#[derive(Deserialize)]
struct Question {
    ask: String,
    files: Vec<String>,
}

/// What is committed beside the questions.
#[derive(Default, Serialize)]
struct Scores {
    questions: usize,
    /// Share with a right file among the first five.
    found_in_first_5: f64,
    /// Share with a right file among the first five that an answer cites: it cites nothing when
    /// it takes the question for one that the repository does not answer.
    cited_in_first_5: f64,
    /// Share with a right file first.
    found_first: f64,
    /// Mean of 1 / rank of the first right file, by distinct files.
    mean_reciprocal_rank: f64,
    /// Share of answerable questions with a supported hit.
    supported: f64,
    absent: usize,
    /// Share of unanswerable questions without any supported hit.
    absent_without_support: f64,
    milliseconds_median: f64,
    milliseconds_p95: f64,
    repositories: BTreeMap<String, f64>,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut questions = None;
    let (mut sources, mut cache, mut json, mut verbose) = (None, None, None, false);
    let mut ranking = Ranking::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--sources" => sources = arguments.next().map(PathBuf::from),
            "--cache" => cache = arguments.next().map(PathBuf::from),
            "--json" => json = arguments.next().map(PathBuf::from),
            "--ranking" => {
                ranking = serde_json::from_str(&arguments.next().ok_or("--ranking JSON")?)?;
            }
            "-v" => verbose = true,
            _ => questions = Some(PathBuf::from(argument)),
        }
    }
    let questions = questions.ok_or("which questions?")?;
    let questions: Questions = toml::from_str(&fs::read_to_string(questions)?)?;
    let sources = match sources {
        Some(sources) => sources,
        None => cargo_sources()?,
    };
    let mut scores = Scores::default();
    let mut ranks = Vec::new();
    let mut times = Vec::new();
    let mut report = String::new();
    for repository in &questions.repository {
        let folder = unpacked(&sources, &repository.name)?;
        let workspace = Workspace::open(std::slice::from_ref(&folder))?;
        let temporary = tempfile::tempdir()?;
        let place = cache.as_deref().unwrap_or(temporary.path()).join(workspace.key());
        fs::create_dir_all(&place)?;
        let indexer = Indexer::open(workspace, &place, IndexOptions::default())?;
        let begun = Instant::now();
        let held = indexer.update(&CancelToken::new(), &mut |_| {})?;
        indexer.read_history(&CancelToken::new());
        writeln!(
            report,
            "{}: {} files, {} chunks, {} symbols, {:.1} MB in {:.2} s",
            folder.file_name().unwrap_or_default().to_string_lossy(),
            held.files,
            held.chunks,
            held.symbols,
            held.bytes as f64 / 1e6,
            begun.elapsed().as_secs_f64(),
        )?;
        let index = indexer.snapshot();
        let mut found = 0;
        for question in &repository.questions {
            let hits = timed(&index, &question.ask, &ranking, &mut times);
            let files = distinct(&hits);
            let rank =
                files.iter().position(|file| question.files.iter().any(|right| right == file));
            ranks.push(rank);
            found += usize::from(rank.is_some_and(|rank| rank < FIRST));
            let supported = is_supported(&hits);
            scores.supported += f64::from(u8::from(supported));
            let cited = supported && rank.is_some_and(|rank| rank < FIRST);
            scores.cited_in_first_5 += f64::from(u8::from(cited));
            let rank = rank.map_or("–".to_owned(), |rank| (rank + 1).to_string());
            let silent = if supported { "" } else { "  (cites nothing)" };
            writeln!(report, "  {rank:>2}  {}{silent}", question.ask)?;
            if verbose && rank != "1" {
                for hit in hits.iter().take(7) {
                    writeln!(report, "          {:.2} {} {:?}", hit.score, hit.path, hit.symbol)?;
                }
            }
        }
        for ask in &repository.absent {
            let supported = is_supported(&timed(&index, ask, &ranking, &mut times));
            scores.absent += 1;
            scores.absent_without_support += f64::from(u8::from(!supported));
            let cites = if supported { "cites" } else { "no" };
            writeln!(report, "  {cites:>2}  {ask}")?;
        }
        let share = found as f64 / repository.questions.len().max(1) as f64;
        scores.repositories.insert(repository.name.clone(), round(share));
    }
    finish(&mut scores, &ranks, &mut times);
    let scores = serde_json::to_string_pretty(&scores)?;
    writeln!(report, "{scores}")?;
    std::io::stdout().write_all(report.as_bytes())?;
    if let Some(json) = json {
        fs::write(json, scores + "\n")?;
    }
    Ok(())
}

fn timed(index: &IndexSnapshot, ask: &str, ranking: &Ranking, times: &mut Vec<f64>) -> Vec<Hit> {
    let query = SearchQuery { text: ask.to_owned(), limit: LIMIT, ..SearchQuery::default() };
    let begun = Instant::now();
    let hits = search_ranked(index, &query, ranking, &CancelToken::new());
    times.push(begun.elapsed().as_secs_f64() * 1e3);
    hits
}

fn distinct(hits: &[Hit]) -> Vec<&str> {
    let mut files: Vec<&str> = Vec::new();
    for hit in hits {
        if !files.contains(&hit.path.as_str()) {
            files.push(&hit.path);
        }
    }
    files
}

fn finish(scores: &mut Scores, ranks: &[Option<usize>], times: &mut [f64]) {
    let share = |count: usize| round(count as f64 / ranks.len().max(1) as f64);
    scores.questions = ranks.len();
    scores.found_in_first_5 = share(ranks.iter().flatten().filter(|rank| **rank < FIRST).count());
    scores.found_first = share(ranks.iter().flatten().filter(|rank| **rank == 0).count());
    let reciprocal: f64 = ranks.iter().flatten().map(|rank| 1.0 / (*rank as f64 + 1.0)).sum();
    scores.mean_reciprocal_rank = round(reciprocal / ranks.len().max(1) as f64);
    scores.cited_in_first_5 = round(scores.cited_in_first_5 / ranks.len().max(1) as f64);
    scores.supported = round(scores.supported / ranks.len().max(1) as f64);
    scores.absent_without_support =
        round(scores.absent_without_support / scores.absent.max(1) as f64);
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied();
    scores.milliseconds_median = round(at(0.5).unwrap_or_default());
    scores.milliseconds_p95 = round(at(0.95).unwrap_or_default());
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The folder of unpacked crates in cargo's home.
fn cargo_sources() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registries = home.ok_or("no cargo home")?.join("registry/src");
    for entry in fs::read_dir(&registries)? {
        let path = entry?.path();
        if path.is_dir() {
            return Ok(path);
        }
    }
    Err(format!("{} holds no sources; run `cargo fetch`", registries.display()).into())
}

/// The one version of a crate that this project's Cargo.lock names.
fn unpacked(sources: &Path, name: &str) -> Result<PathBuf> {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let lock: toml::Table = toml::from_str(&fs::read_to_string(lock)?)?;
    let packages = lock.get("package").and_then(toml::Value::as_array).ok_or("no packages")?;
    let text = |package: &toml::Value, key: &str| Some(package.get(key)?.as_str()?.to_owned());
    for package in packages.iter().filter(|package| text(package, "name").as_deref() == Some(name))
    {
        let version = text(package, "version").unwrap_or_default();
        let folder = sources.join(format!("{name}-{version}"));
        if folder.is_dir() {
            return Ok(folder);
        }
    }
    Err(format!("{name} is not in {}; run `cargo fetch`", sources.display()).into())
}
