//! How well the index finds what is asked for: `retrieval-tables --derived DIR --cache DIR --hearth FILE
//! [--data DIR] [--part test|development] [--only NAME,...] [--methods NAME,...] [--ranking JSON] [--json FILE]`.
//!
//! Each table compares the sources of candidates alone, both tiers fused, and every signal switched off
//! in turn. DERIVED is what `derive.py` made of the pinned packages. The folder DATA holds what cannot be
//! fetched with a package manager: `cosqa/` with `code_idx_map.txt` and `cosqa-retrieval-{dev,test}-500.json`,
//! and `repositories/NAME`, each a git directory; what is missing there is named and left out. The second tier
//! needs the embedding model (`hearth models pull default`) and the program that serves it. Where a
//! cross-encoder is installed, `fused_reranked` is compared too, and where `--methods` names it,
//! `fused_expanded` with the installed chat model.

use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use retrieval::{Deepening, Ranking};
use serde_json::{Value, json};

mod commits;
mod corpus;
mod described;
mod measure;

use corpus::{Model, Place};
use described::Task;

const DERIVED: [&str; 5] = ["python", "python-functions", "rust", "typescript", "go"];

#[derive(Default)]
struct Arguments {
    derived: PathBuf,
    cache: PathBuf,
    hearth: Option<PathBuf>,
    data: Option<PathBuf>,
    part: String,
    only: Option<Vec<String>>,
    ranking: Ranking,
    methods: Option<Vec<String>>,
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::read()?;
    let model = match &arguments.hearth {
        Some(program) => Model::installed(program)?,
        None => None,
    };
    if model.is_none() {
        say("without the second tier: no embedding model is installed, or no --hearth is given");
    }
    let mut left_out = Vec::new();
    let deepened = deepened(&arguments, &mut left_out)?;
    let place = Place {
        cache: arguments.cache.clone(),
        model,
        deepened,
        ranking: arguments.ranking.clone(),
        methods: arguments.methods.clone(),
    };
    fs::create_dir_all(&place.cache)?;
    let mut scores = Scores::read(&arguments)?;
    for task in tasks(&arguments, &mut left_out)? {
        say(&format!("── {}: {} questions", task.name, task.questions.len()));
        scores.described.insert(task.name.clone(), task.run(&place)?);
        scores.write(&arguments, &place)?;
    }
    let repositories = match &arguments.data {
        Some(data) => commits::repositories(data, &arguments.part)?,
        None => BTreeMap::new(),
    };
    if repositories.is_empty() && arguments.wants("commits") {
        left_out.push("commits: no repositories; give --data DIR".to_owned());
    }
    for (name, git) in repositories {
        if arguments.wants(&name) || arguments.wants("commits") {
            say(&format!("── commits of {name}"));
            scores.histories.insert(name.clone(), commits::run(&name, &git, &place)?);
            scores.write(&arguments, &place)?;
        }
    }
    scores.report();
    for reason in &left_out {
        say(&format!("left out: {reason}"));
    }
    Ok(())
}

/// The fusion with what installed models add to it.
fn deepened(
    arguments: &Arguments,
    left_out: &mut Vec<String>,
) -> Result<Vec<(&'static str, Deepening)>> {
    let mut deepened = Vec::new();
    let program = arguments.hearth.as_deref().filter(|_| arguments.compares("fused_reranked"));
    match program.map(corpus::reranker).transpose()?.flatten() {
        Some(reranker) => deepened.push(("fused_reranked", reranker)),
        None => left_out.push(
            "fused_reranked: no cross-encoder is installed (`hearth models import FOLDER`), or no \
             --hearth is given"
                .to_owned(),
        ),
    }
    // Every set-up has a chat model, and it writes for seconds for each question.
    let named = arguments.methods.is_some() && arguments.compares("fused_expanded");
    let program = arguments.hearth.as_deref().filter(|_| named);
    match program.map(corpus::expander).transpose()?.flatten() {
        Some(expander) => deepened.push(("fused_expanded", expander)),
        None => left_out.push(
            "fused_expanded: not named in --methods, no chat model is installed, or no --hearth is \
             given"
                .to_owned(),
        ),
    }
    Ok(deepened)
}

/// What the tables hold. One that is not made in a run keeps what an earlier run wrote.
struct Scores {
    described: BTreeMap<String, Value>,
    histories: BTreeMap<String, Value>,
}

impl Scores {
    fn read(arguments: &Arguments) -> Result<Self> {
        let known = arguments.json.as_ref().filter(|file| file.is_file());
        let known: Value = match known {
            Some(file) => serde_json::from_str(&fs::read_to_string(file)?)?,
            None => Value::Null,
        };
        let tables = |value: &Value| -> BTreeMap<String, Value> {
            let tables = value.as_object().into_iter().flatten();
            tables.map(|(name, table)| (name.clone(), table.clone())).collect()
        };
        Ok(Self {
            described: tables(&known["described"]),
            histories: tables(&known["commits"]["repositories"]),
        })
    }

    fn write(&self, arguments: &Arguments, place: &Place) -> Result<()> {
        let scores = json!({
            "part": arguments.part,
            "machine": machine(),
            "second_tier": place.model.as_ref().map(|(_, name)| name),
            "ranking": arguments.ranking,
            "described": self.described,
            "commits": { "mean": commits::mean(&self.histories), "repositories": self.histories },
        });
        let printed = serde_json::to_string_pretty(&scores)? + "\n";
        match &arguments.json {
            Some(file) => fs::write(file, printed)?,
            None => std::io::stdout().write_all(printed.as_bytes())?,
        }
        Ok(())
    }

    /// The sources and both fusions, for reading.
    fn report(&self) {
        say("                                 bm25   words  tier 1  tier 2 fused 1 fused 2");
        for (name, table) in &self.described {
            row(name, &table["methods"], "mrr");
        }
        for (name, table) in &self.histories {
            row(name, &table["methods"], "in_first_5");
        }
        row("mean of commits", &commits::mean(&self.histories), "in_first_5");
    }
}

fn row(name: &str, methods: &Value, key: &str) {
    let column = |method: &str| {
        let score = methods[method][key].as_f64();
        format!("{:>8}", score.map_or("–".to_owned(), |score| format!("{score:.3}")))
    };
    let columns = ["bm25", "words", "first_tier", "second_tier", "fused_first_tier", "fused"];
    say(&format!("{name:28} {}", columns.map(column).concat()));
}

/// The tasks that there is everything for.
fn tasks(arguments: &Arguments, left_out: &mut Vec<String>) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for kind in DERIVED.into_iter().filter(|kind| arguments.wants(kind)) {
        match Task::derived(&arguments.derived, &format!("{kind}-{}", arguments.part))? {
            Some(task) => tasks.push(task),
            None => left_out.push(format!("{kind}: its packages could not be fetched")),
        }
    }
    if arguments.wants("cosqa") {
        let cosqa = match &arguments.data {
            Some(data) => Task::cosqa(data, &arguments.part, &arguments.cache)?,
            None => None,
        };
        match cosqa {
            Some(task) => tasks.push(task),
            None => left_out.push("cosqa: not found; give --data DIR".to_owned()),
        }
    }
    Ok(tasks)
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut read = Self { part: "test".to_owned(), ..Self::default() };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            let list = || value.split(',').map(str::to_owned).collect();
            match name.as_str() {
                "--derived" => read.derived = value.into(),
                "--cache" => read.cache = value.into(),
                "--hearth" => read.hearth = Some(value.into()),
                "--data" => read.data = Some(value.into()),
                "--part" => read.part = value,
                "--only" => read.only = Some(list()),
                "--ranking" => read.ranking = serde_json::from_str(&value)?,
                "--methods" => read.methods = Some(list()),
                "--json" => read.json = Some(value.into()),
                _ => bail!("{name} is no argument"),
            }
        }
        if read.cache.as_os_str().is_empty() {
            bail!("--cache DIR: where are indexes and vectors to be kept?");
        }
        Ok(read)
    }

    fn compares(&self, method: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|one| one == method))
    }

    fn wants(&self, table: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|one| one == table))
    }
}

/// The processor and its cores: speed and the last digit of a vector depend on it.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    format!("{model}, {cores} cores, {}", std::env::consts::OS)
}

/// Progress, for the person who waits.
fn say(line: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}
