//! Whether a model that fills in the middle is worth shipping: what it writes at held-out places, beside its
//! base from left to right with token healing, and beside and on top of the live model of the workspace.
//!
//! `cargo xtask models completion evaluate` prepares the places (`samples.jsonl`) and runs this; everything
//! goes through `completion` as in an editor, so layout, healing, limits and filters are the product's.
//! `lines` end with their line, `blocks` are what follows a line that opens one. `loss` is the mean surprise
//! (in nats) of the tokens of the middle, their own prompt before them. `parses` counts among the suggestions
//! those that bring no syntax error.
//!
//! `evaluate-models --samples FILE --packages DATA --base GGUF --model GGUF [--each N] [--show]`

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant as Clock},
};

use anyhow::{Context as _, Result, bail};
use base::CancelToken;
use completion::{
    CompletionCache, CompletionContext, CompletionOptions, CompletionParams, complete,
};
use flate2::read::GzDecoder;
use inference::{LanguageModel, Progress};
use inference_llama::{LlamaEngine, LlamaOptions};
use instant::{Instant, PriorLanguage, Priors};
use prompt::{Budget, Excerpt, FimContext, fim_prompt};
use serde::Deserialize;
use serde_json::{Value, json};
use syntax::Language;

mod shared;

use shared::{machine, rounded, similarity};

/// Longest prompt in tokens, as in `completion`.
const PROMPT_TOKENS: usize = 1024;
/// No slow machine should lose an answer here.
const PATIENCE: Duration = Duration::from_mins(2);
/// Standard errors of a difference that may be chance (95 %).
const CHANCE: f64 = 1.96;

/// Who is asked, in the order of the scores.
const ASKED: [&str; 4] = ["base", "model", "instant", "instant_and_model"];

#[derive(Deserialize)]
struct Sample {
    language: String,
    package: String,
    path: String,
    kind: String,
    prefix: String,
    middle: String,
    suffix: String,
    excerpts: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    path: String,
    text: String,
}

/// What came of one sample.
struct Trial {
    language: String,
    kind: String,
    answers: Vec<Answer>,
    /// Nats of the middle, and its tokens, for base and model.
    losses: [(f64, usize); 2],
}

#[derive(Clone, Copy)]
struct Answer {
    answered: bool,
    exact: bool,
    similarity: f64,
    parses: bool,
    ms: f64,
}

struct Arguments {
    samples: PathBuf,
    packages: PathBuf,
    base: PathBuf,
    model: PathBuf,
    each: usize,
    show: bool,
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
        let (mut each, mut show) = (500, false);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--show" => show = true,
                "--each" => each = words.next().context("--each wants a number")?.parse()?,
                "--samples" | "--packages" | "--base" | "--model" => {
                    let value = words.next().with_context(|| format!("{word} wants a path"))?;
                    named.insert(word, value.into());
                }
                _ => bail!("{word} is no argument of this evaluation"),
            }
        }
        let mut path =
            |name: &str| named.remove(name).with_context(|| format!("{name} is missing"));
        Ok(Self {
            samples: path("--samples")?,
            packages: path("--packages")?,
            base: path("--base")?,
            model: path("--model")?,
            each,
            show,
        })
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::read()?;
    let samples = read_samples(&arguments.samples, arguments.each)?;
    let base = load(&arguments.base)?;
    let model = load(&arguments.model)?;
    let packages = read_packages(&arguments.packages, &samples)?;
    let mut trials = Vec::new();
    let mut workspace: Option<(&str, Instant)> = None;
    for (number, sample) in samples.iter().enumerate() {
        if workspace.as_ref().is_none_or(|(package, _)| *package != sample.package) {
            let instant = Instant::with_priors(Priors::bundled());
            instant.update_files(packages.get(&sample.package).map_or(&[], Vec::as_slice));
            workspace = Some((&sample.package, instant));
        }
        let Some((_, instant)) = &workspace else { continue };
        trials.push(trial(sample, &base, &model, instant, arguments.show)?);
        tell(number + 1, samples.len());
    }
    let report = report(&arguments, &base, &model, &trials);
    #[expect(clippy::print_stdout, reason = "the scores are the program's result")]
    {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

fn load(path: &Path) -> Result<LlamaEngine> {
    let header = model_name(path);
    LlamaEngine::load(&LlamaOptions::new(path), &Progress::new())
        .with_context(|| format!("cannot load {header}"))
}

fn model_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The first samples of each language, those of one package behind each other.
fn read_samples(path: &Path, each: usize) -> Result<Vec<Sample>> {
    let file = File::open(path).with_context(|| {
        format!("{} is missing; `cargo xtask models completion prepare` makes it", path.display())
    })?;
    let mut samples = Vec::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for line in BufReader::new(file).lines() {
        let sample: Sample = serde_json::from_str(&line?).context("a line of the samples")?;
        let taken = taken.entry(sample.language.clone()).or_default();
        *taken += 1;
        if *taken <= each {
            samples.push(sample);
        }
    }
    samples.sort_by(|a, b| a.package.cmp(&b.package));
    Ok(samples)
}

type Packages = BTreeMap<String, Vec<(String, Arc<str>)>>;

/// The files of the packages that samples are from.
fn read_packages(data: &Path, samples: &[Sample]) -> Result<Packages> {
    let mut packages: Packages =
        samples.iter().map(|sample| (sample.package.clone(), Vec::new())).collect();
    let entries = fs::read_dir(data).with_context(|| data.display().to_string())?;
    let mut shards: Vec<PathBuf> = entries.map(|it| Ok(it?.path())).collect::<Result<_>>()?;
    shards.sort_unstable();
    for shard in shards {
        let name = model_name(&shard);
        if !name.starts_with("test-") || !name.ends_with(".jsonl.gz") {
            continue;
        }
        for line in BufReader::new(GzDecoder::new(File::open(&shard)?)).lines() {
            let record: Value = serde_json::from_str(&line?)?;
            let field = |name: &str| record[name].as_str().unwrap_or_default();
            if let Some(files) = packages.get_mut(field("package"))
                && PriorLanguage::of_path(field("path")).is_some()
            {
                files.push((field("path").to_owned(), field("text").into()));
            }
        }
    }
    Ok(packages)
}

fn trial(
    sample: &Sample,
    base: &LlamaEngine,
    model: &LlamaEngine,
    instant: &Instant,
    show: bool,
) -> Result<Trial> {
    let excerpts: Vec<Excerpt> = sample
        .excerpts
        .iter()
        .map(|place| Excerpt { path: place.path.clone(), text: place.text.clone() })
        .collect();
    let silent = Instant::with_priors(Priors::none());
    let asked: [(&Instant, Option<&dyn LanguageModel>); 4] =
        [(&silent, Some(base)), (&silent, Some(model)), (instant, None), (instant, Some(model))];
    let mut answers = Vec::new();
    for (name, (instant, model)) in ASKED.iter().zip(asked) {
        let (text, ms) = propose(sample, &excerpts, instant, model);
        if show {
            #[expect(clippy::print_stderr, reason = "asked for, and apart from the scores")]
            {
                eprintln!("{name:17} {:?} {:?}", sample.middle, text);
            }
        }
        answers.push(judge(sample, text.as_deref(), ms));
    }
    let loss = |engine: &LlamaEngine| -> Result<(f64, usize)> {
        let info = engine.loaded().context("a loaded model")?;
        let context = FimContext {
            path: &sample.path,
            prefix: &sample.prefix,
            suffix: &sample.suffix,
            excerpts: &excerpts,
            line_comment: line_comment(&sample.path),
        };
        let pieces = fim_prompt(&info, &context, Budget::estimated(PROMPT_TOKENS)).pieces;
        let continuation = engine.continuation(&pieces, &sample.middle)?;
        let count = continuation.tokens.len().saturating_sub(continuation.from.max(1));
        Ok((engine.surprise(&continuation)?, count))
    };
    Ok(Trial {
        language: sample.language.clone(),
        kind: format!("{}s", sample.kind),
        answers,
        losses: [loss(base)?, loss(model)?],
    })
}

fn line_comment(path: &str) -> &'static str {
    Language::of_path(path).and_then(Language::line_comment).unwrap_or("#")
}

/// The first suggestion at the place, and how long it took in milliseconds.
fn propose(
    sample: &Sample,
    excerpts: &[Excerpt],
    instant: &Instant,
    model: Option<&dyn LanguageModel>,
) -> (Option<String>, f64) {
    let cache = CompletionCache::default();
    let open = [sample.prefix.as_str(), &sample.suffix].concat();
    let options = CompletionOptions {
        model_budget: PATIENCE,
        // The base was not trained to fill in the middle, and is asked all the same.
        unfit_model: true,
        ..CompletionOptions::default()
    };
    let params =
        CompletionParams { path: &sample.path, text: &open, offset: sample.prefix.len(), options };
    let clock = Clock::now();
    let context = CompletionContext { instant, model, excerpts, cache: &cache };
    let answer = complete(&context, &params, &CancelToken::new());
    let ms = clock.elapsed().as_secs_f64() * 1000.0;
    (answer.items.into_iter().next().map(|item| item.insert_text), ms)
}

fn judge(sample: &Sample, proposed: Option<&str>, ms: f64) -> Answer {
    let text = proposed.unwrap_or_default();
    let whole = [sample.prefix.as_str(), &sample.middle, &sample.suffix].concat();
    let with = [sample.prefix.as_str(), text, &sample.suffix].concat();
    let parses = Language::of_path(&sample.path)
        .is_none_or(|language| syntax::introduces_errors(language, &whole, &with).is_empty());
    Answer {
        answered: proposed.is_some(),
        exact: text == sample.middle,
        similarity: similarity(text, &sample.middle).into(),
        parses,
        ms,
    }
}

fn report(
    arguments: &Arguments,
    base: &LlamaEngine,
    model: &LlamaEngine,
    trials: &[Trial],
) -> Value {
    let mut languages: BTreeMap<&str, Value> = BTreeMap::new();
    for language in trials.iter().map(|trial| trial.language.as_str()) {
        let own: Vec<&Trial> = trials.iter().filter(|trial| trial.language == language).collect();
        languages.entry(language).or_insert_with(|| by_kind(&own));
    }
    let lines: Vec<&Trial> = trials.iter().filter(|trial| trial.kind == "lines").collect();
    let over_base = gain(&lines, 1, 0);
    let over_instant = gain(&lines, 3, 2);
    let wins = |gain: &Gain| gain.mean - CHANCE * gain.error > 0.0;
    let name = |engine: &LlamaEngine, path: &Path| {
        let name = engine.loaded().and_then(|info| info.name.clone()).unwrap_or_default();
        json!({ "file": model_name(path), "name": name })
    };
    json!({
        "machine": machine(),
        "each": arguments.each,
        "base": name(base, &arguments.base),
        "model": name(model, &arguments.model),
        "all": by_kind(&trials.iter().collect::<Vec<_>>()),
        "languages": languages,
        "decision": {
            "lines": lines.len(),
            "exact_over_base": over_base.shown(),
            "exact_over_instant": over_instant.shown(),
            "ships": wins(&over_base) && wins(&over_instant),
        },
    })
}

fn by_kind(trials: &[&Trial]) -> Value {
    let mut kinds: BTreeMap<&str, Vec<&Trial>> = BTreeMap::new();
    for trial in trials {
        kinds.entry(&trial.kind).or_default().push(trial);
    }
    let scores = |trials: &Vec<&Trial>| {
        let mut scores = json!({ "samples": trials.len() });
        for (place, name) in ASKED.iter().enumerate() {
            let answers = trials.iter().filter_map(|trial| trial.answers.get(place));
            scores[*name] = asked(&answers.copied().collect::<Vec<_>>());
        }
        for (name, place) in [("base", 0), ("model", 1)] {
            let losses = trials.iter().filter_map(|trial| trial.losses.get(place));
            let (nats, tokens) =
                losses.fold((0.0, 0), |sum, loss| (sum.0 + loss.0, sum.1 + loss.1));
            scores[name]["loss"] = json!(rounded(nats / tokens.max(1) as f64));
        }
        scores
    };
    kinds.iter().map(|(kind, trials)| ((*kind).to_owned(), scores(trials))).collect()
}

fn asked(answers: &[Answer]) -> Value {
    let share = |wanted: &dyn Fn(&Answer) -> bool, of: usize| {
        rounded(answers.iter().filter(|answer| wanted(answer)).count() as f64 / of.max(1) as f64)
    };
    let answered = answers.iter().filter(|answer| answer.answered).count();
    let mut times: Vec<f64> = answers.iter().map(|answer| answer.ms).collect();
    times.sort_by(f64::total_cmp);
    let similarity = answers.iter().map(|answer| answer.similarity).sum::<f64>();
    json!({
        "exact": share(&|answer| answer.exact, answers.len()),
        "similarity": rounded(similarity / answers.len().max(1) as f64),
        "answered": share(&|answer| answer.answered, answers.len()),
        "parses": share(&|answer| answer.answered && answer.parses, answered),
        "p50_ms": rounded(times.get(times.len() / 2).copied().unwrap_or_default()),
    })
}

/// What one has more of exact answers than the other, in the same places.
struct Gain {
    mean: f64,
    /// Standard error of the mean.
    error: f64,
}

impl Gain {
    fn shown(&self) -> Value {
        json!({
            "mean": rounded(self.mean),
            "low": rounded(self.mean - CHANCE * self.error),
            "high": rounded(self.mean + CHANCE * self.error),
        })
    }
}

fn gain(trials: &[&Trial], one: usize, other: usize) -> Gain {
    let exact =
        |trial: &Trial, place: usize| trial.answers.get(place).is_some_and(|answer| answer.exact);
    let gains: Vec<f64> = trials
        .iter()
        .map(|trial| f64::from(exact(trial, one)) - f64::from(exact(trial, other)))
        .collect();
    let count = gains.len().max(1) as f64;
    let mean = gains.iter().sum::<f64>() / count;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / count;
    Gain { mean, error: (variance / count).sqrt() }
}

fn tell(done: usize, all: usize) {
    if done.is_multiple_of(10) || done == all {
        #[expect(clippy::print_stderr, reason = "progress, apart from the scores")]
        {
            eprintln!("   {done} of {all}");
        }
    }
}
