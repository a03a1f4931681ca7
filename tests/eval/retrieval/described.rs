//! Questions with one right place: descriptions of functions, and CoSQA's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use retrieval::Hit;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    corpus::{Bm25, Corpus, Place, methods},
    measure::{self, Ranks},
    say,
};

/// The fusion with what models add to it.
pub const DEEPENED: [&str; 2] = ["fused_reranked", "fused_expanded"];

/// Questions and the folder that answers them.
pub struct Task {
    pub name: String,
    pub files: PathBuf,
    pub questions: Vec<Question>,
}

/// A question and the place that answers it.
#[derive(Deserialize)]
pub struct Question {
    ask: String,
    path: String,
    /// Counted from 0, the end excluded; everything when absent.
    lines: Option<Lines>,
}

#[derive(Clone, Copy, Deserialize)]
struct Lines(u32, u32);

#[derive(Deserialize)]
struct Questions {
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct CosqaEntry {
    doc: String,
    retrieval_idx: u32,
}

impl Task {
    /// What `derive.py` made; none when it left this out.
    pub fn derived(folder: &Path, name: &str) -> Result<Option<Self>> {
        let folder = folder.join(name);
        if !folder.is_dir() {
            return Ok(None);
        }
        let read = fs::read_to_string(folder.join("questions.json"))?;
        let Questions { questions } = serde_json::from_str(&read)?;
        Ok(Some(Self { name: name.to_owned(), files: folder.join("files"), questions }))
    }

    /// CoSQA's questions to Python functions, a file for each function.
    pub fn cosqa(data: &Path, part: &str, cache: &Path) -> Result<Option<Self>> {
        let folder = data.join("cosqa");
        if !folder.is_dir() {
            return Ok(None);
        }
        let codes: BTreeMap<String, u32> =
            serde_json::from_str(&fs::read_to_string(folder.join("code_idx_map.txt"))?)?;
        let files = cache.join("cosqa");
        if !files.is_dir() {
            let partial = cache.join("cosqa.partial");
            fs::create_dir_all(&partial)?;
            for (code, number) in &codes {
                fs::write(partial.join(cosqa_path(*number)), code)?;
            }
            fs::rename(&partial, &files)?;
        }
        let part = if part == "development" { "dev" } else { part };
        let entries = folder.join(format!("cosqa-retrieval-{part}-500.json"));
        let entries: Vec<CosqaEntry> =
            serde_json::from_str(&fs::read_to_string(&entries).context("CoSQA's questions")?)?;
        let question = |entry: CosqaEntry| Question {
            ask: entry.doc,
            path: cosqa_path(entry.retrieval_idx),
            lines: None,
        };
        let questions = entries.into_iter().map(question).collect();
        Ok(Some(Self { name: format!("cosqa-{part}"), files, questions }))
    }

    /// The table of this task.
    pub fn run(&self, place: &Place) -> Result<Value> {
        let corpus = Corpus::open(&self.files, place)?;
        let with_model = place.model.is_some();
        let mut shown = 0;
        corpus.embed(&mut |done, all| {
            if done >= shown + 500 {
                shown = done;
                say(&format!("   {}: {done} of {all} chunks embedded", self.name));
            }
        })?;
        let index = corpus.snapshot();
        let mut found: BTreeMap<&str, Ranks> = BTreeMap::new();
        let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut plain = Bm25::new(&index);
        let ranks = self.questions.iter().map(|question| question.rank(&plain.hits(&question.ask)));
        found.insert("bm25", ranks.collect());
        let product = if with_model { "fused" } else { "fused_first_tier" };
        for (name, method) in methods(place, with_model) {
            let mut ranks = Ranks::new();
            for question in &self.questions {
                let (hits, milliseconds) = method.hits(&index, &question.ask);
                ranks.push(question.rank(&hits));
                if name == product || DEEPENED.contains(&name) {
                    times.entry(name).or_default().push(milliseconds);
                }
            }
            say(&format!("   {} {name}: {:.3}", self.name, measure::reciprocal_rank(&ranks)));
            found.insert(name, ranks);
        }
        let mut facts = json!({
            "questions": self.questions.len(),
            "files": index.file_count(),
            "chunks": index.chunk_count(),
            "milliseconds": measure::times(times.remove(product).unwrap_or_default()),
        });
        for (name, times) in times {
            facts[format!("milliseconds_{name}")] = measure::times(times);
        }
        Ok(table(&found, facts))
    }
}

impl Question {
    /// The first hit that holds a part of the place.
    fn rank(&self, hits: &[Hit]) -> Option<usize> {
        hits.iter().position(|hit| {
            let meets = |Lines(start, end)| hit.lines.start < end && start < hit.lines.end;
            hit.path == self.path && self.lines.is_none_or(meets)
        })
    }
}

/// What all methods reached, what both fusions gain over each source that they are made of, and what
/// models gain over the better fusion.
pub fn table(found: &BTreeMap<&str, Ranks>, mut facts: Value) -> Value {
    let methods: serde_json::Map<String, Value> =
        found.iter().map(|(name, ranks)| ((*name).to_owned(), measure::summary(ranks))).collect();
    let mut gains = serde_json::Map::new();
    for fused in ["fused_first_tier", "fused"] {
        let Some(ranks) = found.get(fused) else { continue };
        let sources = ["bm25", "words", "first_tier", "second_tier"];
        for source in sources.iter().filter(|source| fused == "fused" || **source != "second_tier")
        {
            if let Some(base) = found.get(source) {
                gains.insert(format!("{fused}_over_{source}"), measure::gain(ranks, base));
            }
        }
    }
    let product = found.get("fused").or_else(|| found.get("fused_first_tier"));
    for deepened in DEEPENED {
        if let (Some(ranks), Some(base)) = (found.get(deepened), product) {
            gains.insert(format!("{deepened}_over_fused"), measure::gain(ranks, base));
        }
    }
    facts["methods"] = methods.into();
    facts["gains"] = gains.into();
    facts
}

fn cosqa_path(number: u32) -> String {
    format!("{number:05}.py")
}
