//! Measures the code graph on a folder of real code.
//!
//! `cargo run --release -p code-graph --example measure-graph -- FOLDER [FILE]`
//!
//! Times are of one run each; FILE is the one that is edited, else the most important.

#![expect(clippy::print_stdout, reason = "a report on the terminal is what this is for")]

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use base::CancelToken;
use code_graph::CodeGraph;
use indexer::{IndexOptions, Indexer};
use vfs::Workspace;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("name a folder")?).canonicalize()?;
    let cache = tempfile::tempdir()?;
    let workspace = Workspace::open(std::slice::from_ref(&folder))?;
    let indexer = Indexer::open(workspace, cache.path(), IndexOptions::default())?;
    let report = indexer.update(&CancelToken::new(), &mut |_| {})?;
    println!("{} files, {} bytes, {:.2} s", report.files, report.bytes, report.seconds.total);
    let snapshot = indexer.snapshot();
    let mut graph = CodeGraph::default();
    time("graph from nothing", || graph.update(&snapshot));
    println!("{} files, {} links", graph.len(), graph.dump().len());
    time("nothing changed", || graph.update(&snapshot));
    let none: [&str; 0] = [];
    time("first rank", || graph.rank(&none));
    let ranks = time("rank", || graph.rank(&none));
    let map = time("map", || ranks.map(1024));
    let first = ranks.files().first().map(|(path, _)| (*path).to_owned()).unwrap_or_default();
    drop(ranks);
    println!("{}", map.outline());
    let path = arguments.next().unwrap_or(first);
    let text = snapshot.text(&path).context("the file has a text")?;
    for (what, text) in [
        ("an edit of a body", format!("{text}\n")),
        ("an edit that defines", format!("{text}\nfn entirely_new_name() {{}}\n")),
    ] {
        indexer.document_changed(&folder.join(&path), text.into());
        indexer.settle();
        let snapshot = indexer.snapshot();
        time(what, || graph.update(&snapshot));
        time("rank after it", || graph.rank(&none));
    }
    Ok(())
}

fn time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    println!("{what:<24} {:>9.2} ms", started.elapsed().as_secs_f64() * 1000.0);
    result
}
