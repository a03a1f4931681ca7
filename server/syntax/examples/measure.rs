//! Measures the grammars on real code: speed, and agreement with universal-ctags.
//!
//! `cargo run --release -p syntax --example measure -- FOLDER [LANGUAGE]`
//!
//! The second column of figures is megabytes a second; symbols and chunks are compared with the time
//! of parsing. Two definitions agree when they have the same file, name and line. What only one of the two
//! knows is counted by its kind, with an example.

#![expect(clippy::print_stdout, reason = "a report on the terminal is what this is for")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use base::CancelToken;
use syntax::{Language, ParseLimits, chunks, errors, parse, symbols};
use text::LineIndex;

type Definition = (PathBuf, u64, String);

#[derive(Default)]
struct Totals {
    files: usize,
    bytes: usize,
    failed: usize,
    with_errors: usize,
    chunks: usize,
    first_use: Duration,
    parse: Duration,
    symbols: Duration,
    chunk: Duration,
}

impl Totals {
    /// Nothing yet but the time to make the language ready.
    fn of(language: Language) -> Self {
        let started = processor_time();
        if let Ok(syntax) = parse(language, "", &ParseLimits::default(), &CancelToken::new()) {
            symbols(&syntax, "");
        }
        let first_use = processor_time().saturating_sub(started);
        Self { first_use, ..Self::default() }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().context("name a folder")?;
    let wanted = arguments.get(1).map(String::as_str);
    let mut totals: BTreeMap<&str, Totals> = BTreeMap::new();
    let mut ours: BTreeMap<Definition, String> = BTreeMap::new();
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let path = entry?.into_path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let Some(language) = Language::of_file(&path.to_string_lossy(), &text) else { continue };
        if wanted.is_some_and(|wanted| wanted != language.name()) {
            continue;
        }
        let totals = totals.entry(language.name()).or_insert_with(|| Totals::of(language));
        if measure(language, &path, &text, totals, &mut ours) {
            files.push(path);
        }
    }
    println!(
        "language      files     MB  failed  faulty   parse MB/s  symbols/parse  chunks/parse"
    );
    for (name, total) in &totals {
        let seconds = total.parse.as_secs_f64();
        println!(
            "{name:<12} {:>6} {:>6.1} {:>7} {:>7} {:>12.2} {:>14.2} {:>13.2} {:>12} {:>13}",
            total.files,
            total.bytes as f64 / 1e6,
            total.failed,
            total.with_errors,
            total.bytes as f64 / 1e6 / seconds,
            total.symbols.as_secs_f64() / seconds,
            total.chunk.as_secs_f64() / seconds,
            total.bytes / total.chunks.max(1),
            total.first_use.as_millis(),
        );
    }
    compare(&ours, &ctags(&files)?);
    Ok(())
}

/// Time that this thread has run, which other programs on the machine do not change. Only Linux
/// tells; elsewhere every figure is zero.
fn processor_time() -> Duration {
    let nanoseconds = fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|line| line.split_whitespace().next()?.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Adds one file to the totals; whether it could be parsed.
fn measure(
    language: Language,
    path: &Path,
    text: &str,
    totals: &mut Totals,
    ours: &mut BTreeMap<Definition, String>,
) -> bool {
    totals.files += 1;
    totals.bytes += text.len();
    let started = processor_time();
    let parsed = parse(language, text, &ParseLimits::default(), &CancelToken::new());
    totals.parse += processor_time().saturating_sub(started);
    let syntax = match parsed {
        Ok(syntax) => syntax,
        Err(error) => {
            println!("{}: {error}", path.display());
            totals.failed += 1;
            return false;
        }
    };
    totals.with_errors += usize::from(!errors(&syntax, text).is_empty());
    let started = processor_time();
    let symbols = symbols(&syntax, text);
    totals.symbols += processor_time().saturating_sub(started);
    let started = processor_time();
    totals.chunks += chunks(Some(language), text, Some(&syntax)).len();
    totals.chunk += processor_time().saturating_sub(started);
    let lines = LineIndex::new(text);
    for symbol in symbols {
        let line = lines.line_of(symbol.name_range.start) as u64 + 1;
        // ctags leaves out the mark of private names.
        let name = symbol.name.trim_start_matches('#').to_owned();
        ours.insert((path.to_owned(), line, name), symbol.kind.to_string());
    }
    true
}

/// What ctags finds in `files`, with its kinds.
fn ctags(files: &[PathBuf]) -> Result<BTreeMap<Definition, String>> {
    let mut found = BTreeMap::new();
    for batch in files.chunks(500) {
        let output = Command::new("ctags")
            .args(["--output-format=json", "--fields=+nK", "--kinds-c=+p", "--kinds-c++=+p"])
            .args(["-f", "-"])
            .args(batch)
            .output()
            .context("universal-ctags is needed to compare with it")?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let tag: serde_json::Value = serde_json::from_str(line)?;
            let (Some(name), Some(path)) = (tag["name"].as_str(), tag["path"].as_str()) else {
                continue;
            };
            let line = tag["line"].as_u64().unwrap_or(0);
            let kind = tag["kind"].as_str().unwrap_or_default().to_owned();
            found.insert((PathBuf::from(path), line, name.to_owned()), kind);
        }
    }
    Ok(found)
}

fn compare(ours: &BTreeMap<Definition, String>, theirs: &BTreeMap<Definition, String>) {
    let both = ours.keys().filter(|key| theirs.contains_key(*key)).count();
    println!("\nours {}, ctags {}, both {both}", ours.len(), theirs.len());
    for (title, own, other) in [("only ours", ours, theirs), ("only ctags", theirs, ours)] {
        let mut kinds: BTreeMap<&str, Vec<&Definition>> = BTreeMap::new();
        for (key, kind) in own.iter().filter(|(key, _)| !other.contains_key(*key)) {
            kinds.entry(kind).or_default().push(key);
        }
        println!("{title}:");
        for (kind, keys) in kinds {
            println!("  {kind:<14} {:>6}", keys.len());
            for (path, line, name) in keys.iter().step_by(keys.len().div_ceil(4).max(1)) {
                println!("      {name}  {}:{line}", path.display());
            }
        }
    }
}
