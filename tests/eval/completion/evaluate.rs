//! How often ghost text is right: masks the ends of lines of foreign code and compares what
//! `completion` proposes there with what stood there.
//!
//! A line is drawn at random and masked by the rule of `completion`. The open text is the file without the
//! masked tail; the stored text of the file does not count, as in an editor. `exact` is the share of lines whose first suggestion equals the tail.
//!
//! `cargo run --release -p completion --example evaluate [-- [--lines N] [--seed N] [--show] [NAME EXTENSION FOLDER]]`
//! prints the scores as JSON. Without a folder the two corpora of the committed scores are used.
//!
//! `--packages DATA [--split test|development]` takes instead the packages that `cargo xtask models data`
//! left out of all training, each as a workspace of its own, and tries the same lines with and without
//! the language's prior: over all packages, over the small ones (under 20 files) and over the tiny ones
//! (of these, under 1000 lines).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant as Clock,
};

use anyhow::{Context as _, Result, bail};
use base::CancelToken;
use completion::{
    CompletionCache, CompletionContext, CompletionOptions, CompletionParams, Masked, Random,
    complete, mask, maskable_lines,
};
use flate2::read::GzDecoder;
use instant::{Instant, PriorLanguage, Priors};
use serde_json::{Value, json};
use syntax::{Language, ParseLimits, is_in_comment_or_string, parse};

mod shared;

use shared::{machine, rounded, similarity};

/// From this confidence on a suggestion counts as confident.
const CONFIDENT: f32 = 0.3;

fn main() -> Result<()> {
    let mut lines = 300;
    let mut seed = 1;
    let mut show = false;
    let mut corpus = Vec::new();
    let mut data = None;
    let mut split = "test".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--lines" => lines = arguments.next().context("--lines wants a number")?.parse()?,
            "--seed" => seed = arguments.next().context("--seed wants a number")?.parse()?,
            "--show" => show = true,
            "--packages" => data = Some(arguments.next().context("--packages wants a folder")?),
            "--split" => split = arguments.next().context("--split wants a name")?,
            _ => corpus.push(argument),
        }
    }
    let random = Random(seed);
    let scores = match (&data, corpus.as_slice()) {
        (Some(data), []) => held_out(Path::new(data), &split, lines, random, show)?,
        (None, []) => {
            let corpora = default_corpora()?;
            let scores = corpora.iter().map(|corpus| corpus.evaluate(lines, random, show));
            scores.collect::<Result<Vec<_>>>()?
        }
        (None, [name, extension, folder]) => {
            let (name, extension) = (name.clone(), extension.clone());
            vec![Corpus { name, extension, folder: folder.into() }.evaluate(lines, random, show)?]
        }
        _ => bail!("a corpus is a name, an extension and a folder"),
    };
    let report = json!({ "machine": machine(), "lines": lines, "seed": seed, "corpora": scores });
    #[expect(clippy::print_stdout, reason = "the scores are the program's result")]
    {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

struct Corpus {
    name: String,
    extension: String,
    folder: PathBuf,
}

/// The standard library of the Python on this machine, and tantivy from cargo's source cache.
fn default_corpora() -> Result<Vec<Corpus>> {
    let script = "import os, platform; print(platform.python_version()); print(os.path.dirname(os.__file__))";
    let python = Command::new("python3").args(["-c", script]).output().context("python3")?;
    let python = String::from_utf8(python.stdout)?;
    let mut python = python.lines();
    let version = python.next().context("python3 told no version")?;
    let library = python.next().context("python3 told no folder")?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.context("no folder of cargo's")?.join("registry/src");
    let tantivy = fs::read_dir(&sources)
        .with_context(|| sources.display().to_string())?
        .filter_map(|registry| Some(registry.ok()?.path().join("tantivy-0.27.0")))
        .find(|folder| folder.is_dir())
        .context("tantivy 0.27.0 is not in cargo's source cache; `cargo fetch` brings it")?;
    Ok(vec![
        Corpus {
            name: format!("Python {version} standard library"),
            extension: "py".into(),
            folder: library.into(),
        },
        Corpus { name: "tantivy 0.27.0".into(), extension: "rs".into(), folder: tantivy },
    ])
}

/// What was tried at one place and what came.
struct Trial {
    exact: bool,
    answered: bool,
    similarity: f32,
    confidence: f32,
    ms: f64,
    code: bool,
}

impl Corpus {
    fn evaluate(&self, lines: usize, random: Random, show: bool) -> Result<Value> {
        let mut files = Vec::new();
        read(&self.folder, &self.folder, &self.extension, &mut files)?;
        let instant = Instant::new();
        let clock = Clock::now();
        instant.update_files(&files);
        let build_ms = clock.elapsed().as_secs_f64() * 1000.0;
        let workspace = Workspace { files: &files, instant };
        let trials = trials(std::slice::from_ref(&workspace), lines, random, show)?;
        let Workspace { instant, .. } = workspace;
        let size = instant.size();
        let source: usize = files.iter().map(|(_, text)| text.lines().count()).sum();
        let code: Vec<&Trial> = trials.iter().filter(|trial| trial.code).collect();
        Ok(json!({
            "corpus": self.name,
            "files": size.files,
            "source_lines": source,
            "build_ms": build_ms.round(),
            "memory_mb": rounded(size.bytes as f64 / 1e6),
            "all": scores(&trials.iter().collect::<Vec<_>>()),
            "code": scores(&code),
        }))
    }
}

type Files = [(String, Arc<str>)];

/// Files that are open together, and the model of them.
struct Workspace<'f> {
    files: &'f Files,
    instant: Instant,
}

/// Scores on held-out packages with and without priors.
fn held_out(
    data: &Path,
    split: &str,
    lines: usize,
    random: Random,
    show: bool,
) -> Result<Vec<Value>> {
    const SMALL_FILES: usize = 20;
    const TINY_LINES: usize = 1000;
    let count = |files: &Files| files.iter().map(|(_, text)| text.lines().count()).sum::<usize>();
    let mut scores = Vec::new();
    for language in PriorLanguage::ALL {
        let packages = packages(data, split, language)?;
        for size in ["all", "small", "tiny"] {
            let wanted = |files: &&Files| match size {
                "all" => true,
                "small" => files.len() < SMALL_FILES,
                _ => files.len() < SMALL_FILES && count(files) < TINY_LINES,
            };
            let chosen: Vec<&Files> = packages.values().map(Vec::as_slice).filter(wanted).collect();
            if chosen.is_empty() {
                continue;
            }
            let mut report = json!({
                "corpus": format!("{} packages, {size}", language.name()),
                "packages": chosen.len(),
                "files": chosen.iter().map(|it| it.len()).sum::<usize>(),
                "source_lines": chosen.iter().map(|it| count(it)).sum::<usize>(),
            });
            for (name, with) in [("without_prior", false), ("with_prior", true)] {
                let workspaces: Vec<Workspace<'_>> = chosen
                    .iter()
                    .map(|files| {
                        let priors = if with { Priors::bundled() } else { Priors::none() };
                        let instant = Instant::with_priors(priors);
                        instant.update_files(files);
                        Workspace { files, instant }
                    })
                    .collect();
                let trials = trials(&workspaces, lines, random, show)?;
                let code: Vec<&Trial> = trials.iter().filter(|trial| trial.code).collect();
                report[name] = json!({
                    "all": self::scores(&trials.iter().collect::<Vec<_>>()),
                    "code": self::scores(&code),
                });
            }
            scores.push(report);
        }
    }
    Ok(scores)
}

type Packages = BTreeMap<String, Vec<(String, Arc<str>)>>;

/// The files of a split by package.
fn packages(data: &Path, split: &str, language: PriorLanguage) -> Result<Packages> {
    let mut packages = Packages::new();
    let entries = fs::read_dir(data).with_context(|| data.display().to_string())?;
    let mut shards: Vec<PathBuf> = entries.map(|it| Ok(it?.path())).collect::<Result<_>>()?;
    shards.sort_unstable();
    for shard in shards {
        let name = shard.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&format!("{split}-")) || !name.ends_with(".jsonl.gz") {
            continue;
        }
        for line in BufReader::new(GzDecoder::new(File::open(&shard)?)).lines() {
            let record: Value = serde_json::from_str(&line?)?;
            let field = |name: &str| record[name].as_str().unwrap_or_default();
            let path = field("path").to_owned();
            if PriorLanguage::of_path(&path) == Some(language) {
                let files = packages.entry(field("package").to_owned()).or_default();
                files.push((path, field("text").into()));
            }
        }
    }
    Ok(packages)
}

fn trials(
    workspaces: &[Workspace<'_>],
    lines: usize,
    mut random: Random,
    show: bool,
) -> Result<Vec<Trial>> {
    let all = workspaces.iter().map(|workspace| places(workspace.files)).enumerate();
    let all = all.flat_map(|(number, places)| places.into_iter().map(move |it| (number, it)));
    let all: Vec<(usize, (usize, usize))> = all.collect();
    let mut trials = Vec::new();
    while trials.len() < lines {
        let (number, (file, line)) = *all.get(random.below(all.len())).context("no lines")?;
        let workspace = workspaces.get(number).context("a workspace")?;
        let (path, text) = workspace.files.get(file).context("a file")?;
        trials.extend(trial(&workspace.instant, path, text, line, &mut random, show));
    }
    Ok(trials)
}

/// The lines that can be masked: the number of the file and the line's offset.
fn places(files: &Files) -> Vec<(usize, usize)> {
    let files = files.iter().enumerate();
    files
        .flat_map(|(file, (_, text))| maskable_lines(text).into_iter().map(move |at| (file, at)))
        .collect()
}

fn trial(
    instant: &Instant,
    path: &str,
    text: &str,
    start: usize,
    random: &mut Random,
    show: bool,
) -> Option<Trial> {
    let Masked { open, offset, tail } = mask(text, start, random)?;
    let cache = CompletionCache::new();
    let context = CompletionContext { instant, model: None, excerpts: &[], cache: &cache };
    let params =
        CompletionParams { path, text: &open, offset, options: CompletionOptions::default() };
    let answer = complete(&context, &params, &CancelToken::new());
    let first = answer.items.first();
    let proposed = first.map(|item| item.insert_text.as_str()).unwrap_or_default();
    let exact = proposed == tail;
    if show {
        let before = text.get(start..offset)?.trim_start();
        let confidence = first.map_or(0.0, |item| item.confidence);
        let mark = if exact { '=' } else { '/' };
        #[expect(clippy::print_stderr, reason = "asked for, and apart from the scores")]
        {
            eprintln!(
                "{mark} {confidence:.2} {before:?} {tail:?} {proposed:?} {:?}",
                answer.reason
            );
        }
    }
    Some(Trial {
        exact,
        answered: first.is_some(),
        similarity: similarity(proposed, tail),
        confidence: first.map_or(0.0, |item| item.confidence),
        ms: answer.timings.total_ms,
        code: is_code(path, text, offset),
    })
}

fn is_code(path: &str, text: &str, offset: usize) -> bool {
    Language::of_path(path)
        .and_then(|language| {
            parse(language, text, &ParseLimits::default(), &CancelToken::new()).ok()
        })
        .is_none_or(|syntax| is_in_comment_or_string(&syntax, text, offset).is_none())
}

fn scores(trials: &[&Trial]) -> Value {
    let count =
        |wanted: &dyn Fn(&Trial) -> bool| trials.iter().filter(|it| wanted(it)).count() as f64;
    let all = trials.len().max(1) as f64;
    let confident = count(&|it| it.confidence >= CONFIDENT);
    let mut times: Vec<f64> = trials.iter().map(|it| it.ms).collect();
    times.sort_by(f64::total_cmp);
    let percentile = |share: f64| {
        times
            .get(((times.len() as f64 - 1.0) * share).round() as usize)
            .copied()
            .unwrap_or_default()
    };
    let similarity = trials.iter().map(|it| f64::from(it.similarity)).sum::<f64>();
    json!({
        "lines": trials.len(),
        "exact": rounded(count(&|it| it.exact) / all),
        "similarity": rounded(similarity / all),
        "answered": rounded(count(&|it| it.answered) / all),
        "confident": rounded(confident / all),
        "confident_exact": rounded(count(&|it| it.exact && it.confidence >= CONFIDENT) / confident.max(1.0)),
        "p50_ms": rounded(percentile(0.5)),
        "p95_ms": rounded(percentile(0.95)),
    })
}

/// Every file with the extension that is UTF-8, tests of the Python library and foreign packages apart.
fn read(
    root: &Path,
    folder: &Path,
    extension: &str,
    files: &mut Vec<(String, Arc<str>)>,
) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries.map(|it| Ok(it?.path())).collect::<Result<_>>()?;
    paths.sort_unstable();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir()
            && !["site-packages", "test", "tests", "target", "__pycache__"].contains(&&*name)
        {
            read(root, &path, extension, files)?;
        } else if path.extension().is_some_and(|it| it == extension)
            && let Ok(text) = fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            files.push((relative, text.into()));
        }
    }
    Ok(())
}
