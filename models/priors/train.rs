//! Learns the language priors from the data that `python -m pipeline data` collects.
//!
//! `cargo run --release -p instant --example train-priors -- DATA OUTPUT [LANGUAGE...]` reads the training
//! shards `train-*.jsonl.gz` in the folder DATA and writes `LANGUAGE.bin` into the folder OUTPUT.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use base::CancelToken;
use flate2::read::GzDecoder;
use instant::{Prior, PriorLanguage, PriorOptions, PriorTrainer};
use serde_json::{Value, json};

/// With fewer packages than this, what two folders of one package share counts as usual, too.
const FEW_PACKAGES: usize = 50;
/// Less text than this makes no prior.
const LEAST_BYTES: usize = 1_000_000;

struct Record {
    package: String,
    folder: String,
    text: String,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [data, output, names @ ..] = words.as_slice() else {
        bail!("which folder of shards, and which folder to write to?");
    };
    for language in PriorLanguage::ALL {
        if names.is_empty() || names.iter().any(|name| name == language.name()) {
            train(language, Path::new(data), Path::new(output))?;
        }
    }
    Ok(())
}

fn train(language: PriorLanguage, data: &Path, output: &Path) -> Result<()> {
    let mut records = Vec::new();
    for shard in shards(language, data)? {
        read(&shard, &mut records)
            .with_context(|| format!("the shard {} is damaged", shard.display()))?;
    }
    let packages: BTreeSet<&str> = records.iter().map(|it| it.package.as_str()).collect();
    let packages = packages.len();
    let bytes: usize = records.iter().map(|it| it.text.len()).sum();
    let mut report = json!({
        "language": language.name(),
        "packages": packages,
        "files": records.len(),
        "bytes": bytes,
    });
    if bytes < LEAST_BYTES {
        report["skipped"] = json!("too little text");
    } else {
        let mut trainer = PriorTrainer::new(PriorOptions::default());
        for record in &records {
            let folder = if packages < FEW_PACKAGES { record.folder.as_str() } else { "" };
            trainer.add(&format!("{}/{folder}", record.package), &record.text);
        }
        report["tokens"] = json!(trainer.tokens());
        let prior =
            trainer.finish(&CancelToken::new(), &mut |done, all| told(language, done, all))?;
        report["prior_bytes"] = json!(prior.len());
        // What cannot be read again is not written.
        Prior::read(prior.clone())?;
        let path = output.join(language.name()).with_extension("bin");
        fs::write(&path, &prior).with_context(|| path.display().to_string())?;
    }
    #[expect(clippy::print_stdout, reason = "the figures are the program's result")]
    {
        println!("{report}");
    }
    Ok(())
}

/// Says how far the learning is: the orders of the n-grams one after the other.
fn told(language: PriorLanguage, done: usize, all: usize) {
    #[expect(clippy::print_stderr, reason = "a task's progress, for who waits at the terminal")]
    {
        eprintln!("   {}: {} %", language.name(), done * 100 / all.max(1));
    }
}

/// The training shards of a language in a fixed order.
fn shards(language: PriorLanguage, data: &Path) -> Result<Vec<PathBuf>> {
    let names: &[&str] = match language {
        PriorLanguage::Python => &["python"],
        PriorLanguage::Rust => &["rust"],
        PriorLanguage::TypeScript => &["javascript", "tsx", "typescript"],
        PriorLanguage::Go => &["go"],
    };
    let mut shards = Vec::new();
    for entry in fs::read_dir(data).with_context(|| data.display().to_string())? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let wanted = |name: &&str| file.starts_with(&format!("train-{name}-"));
        if file.ends_with(".jsonl.gz") && names.iter().any(wanted) {
            shards.push(path);
        }
    }
    shards.sort_unstable();
    Ok(shards)
}

fn read(shard: &Path, records: &mut Vec<Record>) -> Result<()> {
    for line in BufReader::new(GzDecoder::new(File::open(shard)?)).lines() {
        let record: Value = serde_json::from_str(&line?)?;
        let field =
            |name: &str| record[name].as_str().with_context(|| format!("a record has no {name}"));
        let folders = field("path")?.rsplit_once('/').map_or("", |(folder, _)| folder);
        let ends = folders.match_indices('/').map(|(end, _)| end);
        let end = ends.chain([folders.len()]).take(2).last().unwrap_or_default();
        records.push(Record {
            package: field("package")?.to_owned(),
            folder: folders.get(..end).unwrap_or_default().to_owned(),
            text: field("text")?.to_owned(),
        });
    }
    Ok(())
}
