//! Whether a new prior is better, on files that it has not seen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{CancelToken, Cancelled};
use completion::{
    CompletionCache, CompletionContext, CompletionOptions, CompletionParams, Masked, Random,
    complete, mask, maskable_lines,
};
use inference::LanguageModel;
use instant::{Instant, Judgement, Priors, Query};
use prompt::Excerpt;
use serde::{Deserialize, Serialize};

use crate::adapter::{AdapterComparison, Shown as Counted};

/// Lines that are tried.
const LINES: usize = 2000;
/// Lines that models are tried on: each costs a model's answer, on a slow machine some seconds.
const MODEL_LINES: usize = 500;
/// A model's answer is waited for so long: no slow machine should lose one.
const PATIENCE: Duration = Duration::from_mins(2);
/// Fewer lines than this cannot tell anything.
pub(crate) const LEAST_LINES: usize = 200;
/// Fewer files than this cannot either: the lines of a file resemble each other.
pub(crate) const LEAST_FILES: usize = 4;
/// From this probability on a suggestion counts as confident, as in `tests/eval/completion`.
const CONFIDENT: f32 = 0.3;
/// Less than this is not worth a file, in bits a token: a token costs two to four.
const LEAST_GAIN: f64 = 0.01;
/// How often the files are drawn anew for the interval.
const RESAMPLES: usize = 2000;
/// The normal distribution has a twentieth of its mass above so many standard deviations.
const ONE_SIDED: f64 = 1.645;
/// The interval leaves out this share at either end.
const OUTSIDE: f64 = 0.025;

/// How well lines were completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// Lines whose first suggestion was exactly what stood there.
    pub exact: usize,
    /// Lines whose first suggestion was given a probability of 0.3 or more.
    pub confident: usize,
    /// Those of them that were exact.
    pub confident_exact: usize,
    /// What a token that stood there costs on average, the binary logarithm of one over its probability:
    /// less is better.
    pub bits_per_token: f64,
}

/// Two scores on the same lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Lines that were tried.
    pub lines: usize,
    /// The files that they stand in.
    pub files: usize,
    /// Without the new prior.
    pub before: Score,
    /// With it.
    pub after: Score,
    /// Lines that are exact only with it.
    pub won: usize,
    /// Lines that are exact only without it.
    pub lost: usize,
    /// What it gains in bits per token: the 95 % interval of a bootstrap over files.
    pub gain: [f64; 2],
}

impl Comparison {
    /// The rule by which a prior is installed: what stood there has become more probable beyond chance and
    /// by as much as is worth anything,
    /// and the lines that are exact have not become fewer beyond chance (sign test).
    pub fn is_better(&self) -> bool {
        let [least, _] = self.gain;
        let changed = (self.won + self.lost) as f64;
        let fewer = self.lost as f64 - self.won as f64;
        least > LEAST_GAIN && fewer <= ONE_SIDED * changed.sqrt()
    }
}

/// One masked line.
struct Line<'t> {
    file: usize,
    masked: Masked<'t>,
}

/// What one line showed with one set of priors.
#[derive(Clone, Copy, Default)]
struct Shown {
    exact: bool,
    confident: bool,
    judgement: Judgement,
}

/// Completes lines of `held_out` as an editor would, with the priors `before` and `after`. The model
/// `instant` holds the whole workspace; of the file that is completed only the open text counts.
pub(crate) fn compare(
    instant: &Instant,
    held_out: &[&(String, Arc<str>)],
    [before, after]: [Priors; 2],
    cancel: &CancelToken,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Comparison, Cancelled> {
    let lines = draw(held_out, LINES);
    let mut run = |priors: Priors, done: usize| -> Result<Vec<Shown>, Cancelled> {
        instant.set_priors(priors);
        let mut shown = Vec::with_capacity(lines.len());
        for line in &lines {
            cancel.check()?;
            progress(done + shown.len(), 2 * lines.len());
            shown.push(show(instant, held_out, line));
        }
        Ok(shown)
    };
    let before = run(before, 0)?;
    let after = run(after, lines.len())?;
    Ok(compared(&lines, &before, &after))
}

/// How many lines can be masked in these files.
pub(crate) fn count_lines(files: &[&(String, Arc<str>)]) -> usize {
    files.iter().map(|(_, text)| maskable_lines(text).len()).sum()
}

/// The same lines each time, `most` of them or all.
fn draw<'t>(held_out: &[&'t (String, Arc<str>)], most: usize) -> Vec<Line<'t>> {
    let mut random = Random(1);
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (file, (_, text)) in held_out.iter().enumerate() {
        places.extend(maskable_lines(text).into_iter().map(|start| (file, start)));
    }
    let mut lines = Vec::new();
    while lines.len() < most && !places.is_empty() {
        let (file, start) = places.swap_remove(random.below(places.len()));
        let text = held_out.get(file).map(|(_, text)| text);
        let masked = text.and_then(|text| mask(text, start, &mut random));
        lines.extend(masked.map(|masked| Line { file, masked }));
    }
    lines
}

fn show(instant: &Instant, held_out: &[&(String, Arc<str>)], line: &Line<'_>) -> Shown {
    let Some((path, text)) = held_out.get(line.file).map(|(path, text)| (path, text)) else {
        return Shown::default();
    };
    let Masked { open, offset, tail } = &line.masked;
    let cache = CompletionCache::new();
    let context = CompletionContext { instant, model: None, excerpts: &[], cache: &cache };
    let options = CompletionOptions::default();
    let params = CompletionParams { path, text: open, offset: *offset, options };
    let answer = complete(&context, &params, &CancelToken::new());
    Shown {
        confident: answer.items.first().is_some_and(|item| item.confidence >= CONFIDENT),
        exact: answer.items.first().is_some_and(|item| item.insert_text == *tail),
        judgement: instant.judge(&Query { path, text, offset: *offset, alternatives: 1 }),
    }
}

fn compared(lines: &[Line<'_>], before: &[Shown], after: &[Shown]) -> Comparison {
    let score = |shown: &[Shown]| {
        let tokens: usize = shown.iter().map(|it| it.judgement.tokens).sum();
        let sum: f64 = shown.iter().map(|it| it.judgement.log_probability).sum();
        Score {
            exact: shown.iter().filter(|it| it.exact).count(),
            confident: shown.iter().filter(|it| it.confident).count(),
            confident_exact: shown.iter().filter(|it| it.confident && it.exact).count(),
            bits_per_token: -sum / std::f64::consts::LN_2 / tokens.max(1) as f64,
        }
    };
    let pairs = || before.iter().zip(after);
    // For each file what its tokens gained together, and their number.
    let mut files: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for (line, (before, after)) in lines.iter().zip(pairs()) {
        let file = files.entry(line.file).or_default();
        file.0 += after.judgement.log_probability - before.judgement.log_probability;
        file.1 += after.judgement.tokens;
    }
    let files: Vec<(f64, usize)> = files.into_values().collect();
    Comparison {
        lines: lines.len(),
        files: files.len(),
        before: score(before),
        after: score(after),
        won: pairs().filter(|(before, after)| after.exact && !before.exact).count(),
        lost: pairs().filter(|(before, after)| before.exact && !after.exact).count(),
        gain: interval(&files).map(|nats| nats / std::f64::consts::LN_2),
    }
}

/// The interval of the mean gain of what `files` have, by drawing the files anew: lines of a file are not
/// independent, files nearly are (paired bootstrap, Koehn 2004, over clusters, Field and Welsh 2007).
fn interval(files: &[(f64, usize)]) -> [f64; 2] {
    let mut random = Random(2);
    let mut means: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let (mut gain, mut tokens) = (0.0, 0);
        for _ in files {
            let drawn = files.get(random.below(files.len())).copied().unwrap_or_default();
            gain += drawn.0;
            tokens += drawn.1;
        }
        means.push(gain / tokens.max(1) as f64);
    }
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        means.get((share * (RESAMPLES - 1) as f64).round() as usize).copied().unwrap_or_default()
    };
    [at(OUTSIDE), at(1.0 - OUTSIDE)]
}

/// What is compared, all of it on one workspace.
#[derive(Clone, Copy)]
pub struct Contest<'a> {
    /// The live model with the priors that are in use there; it holds the whole workspace.
    pub instant: &'a Instant,
    /// The model that completes there today.
    pub before: Option<&'a dyn LanguageModel>,
    /// The one that was trained for it.
    pub after: &'a dyn LanguageModel,
    /// Whether a model that was not trained to fill in the middle is asked, too.
    pub unfit_model: bool,
    /// What a model sees of other files, by the path of the file and the text before the cursor.
    pub excerpts: &'a (dyn Fn(&str, &str) -> Arc<[Excerpt]> + 'a),
}

/// What one line showed.
#[derive(Clone, Copy, Default)]
struct Seen {
    shown: bool,
    exact: bool,
}

/// Completes lines of `held_out` as an editor would: without a model, with the one of today, with the new one.
pub(crate) fn compare_models(
    contest: &Contest<'_>,
    held_out: &[&(String, Arc<str>)],
    cancel: &CancelToken,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<AdapterComparison, Cancelled> {
    let lines = draw(held_out, MODEL_LINES);
    let mut seen: Vec<[Seen; 3]> = Vec::with_capacity(lines.len());
    for line in &lines {
        progress(seen.len(), lines.len());
        let Some((path, _)) = held_out.get(line.file) else { continue };
        let Masked { open, offset, tail } = &line.masked;
        let excerpts = (contest.excerpts)(path, open.get(..*offset).unwrap_or_default());
        let ask = |model: Option<&dyn LanguageModel>| -> Result<Seen, Cancelled> {
            let cache = CompletionCache::new();
            let (instant, excerpts) = (contest.instant, &*excerpts);
            let asked = CompletionContext { instant, model, excerpts, cache: &cache };
            let options = CompletionOptions {
                model_budget: PATIENCE,
                unfit_model: contest.unfit_model,
                ..CompletionOptions::default()
            };
            let params = CompletionParams { path, text: open, offset: *offset, options };
            let answer = complete(&asked, &params, cancel);
            cancel.check()?;
            let first = answer.items.first();
            let exact = first.is_some_and(|item| item.insert_text == *tail);
            Ok(Seen { shown: first.is_some(), exact })
        };
        let alone = ask(None)?;
        let before = if contest.before.is_some() { ask(contest.before)? } else { alone };
        seen.push([alone, before, ask(Some(contest.after))?]);
    }
    Ok(models_compared(&lines, &seen))
}

fn models_compared(lines: &[Line<'_>], seen: &[[Seen; 3]]) -> AdapterComparison {
    let count = |wanted: &dyn Fn(&[Seen; 3]) -> bool| seen.iter().filter(|it| wanted(it)).count();
    let counted = |at: fn(&[Seen; 3]) -> Seen| Counted {
        exact: count(&|it| at(it).exact),
        shown: count(&|it| at(it).shown),
    };
    // For each file how many lines more are exact, and how many there are.
    let over = |at: fn(&[Seen; 3]) -> Seen| {
        let mut files: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        for (line, it) in lines.iter().zip(seen) {
            let file = files.entry(line.file).or_default();
            file.0 += f64::from(it[2].exact) - f64::from(at(it).exact);
            file.1 += 1;
        }
        files.into_values().collect::<Vec<_>>()
    };
    let (over_before, over_instant) = (over(|it| it[1]), over(|it| it[0]));
    AdapterComparison {
        lines: seen.len(),
        files: over_before.len(),
        instant: counted(|it| it[0]),
        before: counted(|it| it[1]),
        after: counted(|it| it[2]),
        won: count(&|[_, before, after]| after.exact && !before.exact),
        lost: count(&|[_, before, after]| before.exact && !after.exact),
        gain: interval(&over_before),
        gain_over_instant: interval(&over_instant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_of_every_file_is_beyond_chance_and_one_of_a_single_file_is_not() {
        let even = vec![(2.0, 10); 8];
        let [low, high] = interval(&even);
        assert!((low - 0.2).abs() < 1e-9 && (high - 0.2).abs() < 1e-9, "{low} {high}");
        let mut lucky = vec![(-0.1, 10); 7];
        lucky.push((20.0, 10));
        let [low, high] = interval(&lucky);
        assert!(low < 0.0 && high > 0.2, "{low} {high}");
        let [low, high] = interval(&[]);
        assert!(low.abs() < 1e-9 && high.abs() < 1e-9, "{low} {high}");
    }

    #[test]
    fn a_model_is_held_against_today_and_against_none() {
        let text: Arc<str> = "let a = b;\n".repeat(10).into();
        let files: Vec<_> = (0..8).map(|it| (format!("{it}.rs"), Arc::clone(&text))).collect();
        let lines = draw(&files.iter().collect::<Vec<_>>(), 40);
        let seen = |exact| Seen { shown: true, exact };
        // The new model is right everywhere, today's on the lines of the first file alone.
        let shown = |line: &Line<'_>| [Seen::default(), seen(line.file == 0), seen(true)];
        let shown: Vec<_> = lines.iter().map(shown).collect();
        let first = lines.iter().filter(|line| line.file == 0).count();
        let compared = models_compared(&lines, &shown);
        assert_eq!((compared.lines, compared.won, compared.lost), (40, 40 - first, 0));
        assert_eq!(compared.instant, Counted::default());
        assert_eq!(compared.before, Counted { exact: first, shown: 40 });
        assert_eq!(compared.after, Counted { exact: 40, shown: 40 });
        assert!(compared.is_better() && compared.gain[0] < 1.0, "{compared:?}");
        assert!((compared.gain_over_instant[0] - 1.0).abs() < 1e-9, "{compared:?}");
        let swapped: Vec<_> =
            shown.iter().map(|[alone, before, after]| [*alone, *after, *before]).collect();
        let compared = models_compared(&lines, &swapped);
        assert!(!compared.is_better() && compared.lost == 40 - first, "{compared:?}");
    }

    #[test]
    fn more_probable_is_not_enough_when_fewer_lines_are_exact() {
        let better = Comparison { won: 5, lost: 8, gain: [0.02, 0.2], ..Comparison::default() };
        assert!(better.is_better());
        assert!(!Comparison { lost: 20, ..better }.is_better());
        assert!(Comparison { won: 0, lost: 0, ..better }.is_better());
        assert!(!Comparison { gain: [0.009, 0.2], ..better }.is_better());
        assert!(!Comparison { gain: [-0.1, 0.2], won: 50, ..better }.is_better());
    }
}
