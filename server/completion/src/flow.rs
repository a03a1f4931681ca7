use std::time::{Duration, Instant as Clock};

use base::CancelToken;
use inference::LanguageModel;
use instant::{Instant, Query};
use prompt::Excerpt;
use text::TextRange;

use crate::{
    CompletionAnswer, CompletionCache, Item, Reason, Source, Stage,
    filter::{self, Draft},
    gate,
    model::{self, Wish},
    place::Place,
};

/// What a completion is made with.
#[derive(Clone, Copy)]
pub struct CompletionContext<'a> {
    /// The live model of the workspace.
    pub instant: &'a Instant,
    /// A language model, where there is one. It is asked only when it is loaded and fit.
    pub model: Option<&'a dyn LanguageModel>,
    /// Other places of the workspace for the model's prompt, those that change least first.
    pub excerpts: &'a [Excerpt],
    /// Earlier suggestions.
    pub cache: &'a CompletionCache,
}

/// Where a completion is wanted.
#[derive(Clone, Copy, Debug)]
pub struct CompletionParams<'a> {
    /// Path relative to the workspace, with `/`.
    pub path: &'a str,
    /// The whole text as it stands in the editor.
    pub text: &'a str,
    /// Offset of the cursor in bytes; past the end counts as the end.
    pub offset: usize,
    /// How it is wanted.
    pub options: CompletionOptions,
}

/// How a completion is wanted.
#[derive(Clone, Copy, Debug)]
pub struct CompletionOptions {
    /// Several lines where a block begins, from models that fill in the middle.
    pub multi_line: bool,
    /// How long a language model may take.
    pub model_budget: Duration,
    /// The person wants the model asked even if it was not trained to fill in the middle.
    pub unfit_model: bool,
    /// Largest file with suggestions, in bytes.
    pub max_bytes: usize,
    /// Keep the model's prompt in the answer.
    pub explain: bool,
}

impl Default for CompletionOptions {
    fn default() -> Self {
        Self {
            multi_line: true,
            model_budget: Duration::from_millis(1500),
            unfit_model: false,
            max_bytes: 1 << 20,
            explain: false,
        }
    }
}

/// Suggestions from the live model that are considered and at most shown.
const ALTERNATIVES: usize = 3;
/// Below this probability the live model's suggestion is more often a nuisance than a help.
const LEAST_PROBABILITY: f32 = 0.02;
/// From this probability and agreement on, the live model's answer is not worth a wait for another.
const SURE: f32 = 0.7;
const SURE_ORDER: usize = 4;
/// Confidence in a line of a language model, which gives none itself: a middling value, chosen and not
/// measured.
const MODEL_CONFIDENCE: f32 = 0.5;

/// What to propose at the cursor. Never fails: an empty answer says why it is empty.
pub fn complete(
    context: &CompletionContext<'_>,
    params: &CompletionParams<'_>,
    cancel: &CancelToken,
) -> CompletionAnswer {
    let place = Place::new(params.path, params.text, params.offset);
    let mut flow =
        Flow { context, params, place, started: Clock::now(), answer: CompletionAnswer::default() };
    flow.run(cancel);
    let mut answer = flow.answer;
    if cancel.is_cancelled() {
        answer.items.clear();
        answer.reason = Some(Reason::Cancelled);
    }
    answer.timings.total_ms = milliseconds(flow.started);
    answer
}

struct Flow<'a> {
    context: &'a CompletionContext<'a>,
    params: &'a CompletionParams<'a>,
    place: Place<'a>,
    started: Clock,
    answer: CompletionAnswer,
}

impl Flow<'_> {
    fn run(&mut self, cancel: &CancelToken) {
        let (path, options) = (self.params.path, self.params.options);
        let clock = Clock::now();
        let refusal = gate::refuse(path, &self.place, options.max_bytes);
        self.stage("gate", clock, refusal.map_or("open", Reason::as_str));
        if refusal.is_some() {
            self.answer.reason = refusal;
            return;
        }
        let clock = Clock::now();
        let earlier = self.context.cache.get(path, &self.place);
        self.stage("cache", clock, if earlier.is_empty() { "miss" } else { "hit" });
        if let Some(first) = earlier.first() {
            self.answer.model = Some(self.author(first.source));
            self.answer.items = earlier;
            return;
        }
        let (instant, sure) = self.ask_instant();
        self.answer.timings.context_ms = milliseconds(self.started);
        let written = if sure || cancel.is_cancelled() { None } else { self.ask_model(cancel) };
        self.filter(written.into_iter().chain(instant));
        if !cancel.is_cancelled() && !self.answer.items.is_empty() {
            self.context.cache.put(path, &self.place, &self.answer.items);
        }
    }

    fn stage(&mut self, name: &'static str, clock: Clock, detail: impl Into<String>) {
        self.answer.stages.push(Stage { name, ms: milliseconds(clock), detail: detail.into() });
    }

    fn author(&self, source: Source) -> String {
        let model = || self.context.model?.loaded().map(|info| info.id.clone());
        match source {
            Source::Instant => "instant".to_owned(),
            Source::Model => model().unwrap_or_else(|| "model".to_owned()),
        }
    }

    /// The live model's suggestions, and whether they need no second opinion.
    fn ask_instant(&mut self) -> (Vec<(Draft, f32)>, bool) {
        let clock = Clock::now();
        let found = self.context.instant.predict(&Query {
            path: self.params.path,
            text: self.params.text,
            offset: self.place.before.len(),
            alternatives: ALTERNATIVES,
        });
        let detail = found.first().map_or_else(
            || "nothing".to_owned(),
            |best| format!("probability {:.2}, order {}", best.probability, best.order),
        );
        self.stage("instant", clock, detail);
        let sure = found.first().is_some_and(|it| it.probability >= SURE && it.order >= SURE_ORDER);
        let likely = found.into_iter().filter(|it| it.probability >= LEAST_PROBABILITY);
        let draft = |text| Draft { text, source: Source::Instant };
        (likely.map(|it| (draft(it.text), it.probability)).collect(), sure)
    }

    /// The language model's suggestion, where there is a model that is fit and the rest of the line leaves
    /// room for one.
    fn ask_model(&mut self, cancel: &CancelToken) -> Option<(Draft, f32)> {
        let model = self.context.model?;
        let clock = Clock::now();
        let options = self.params.options;
        let info = match model::usable(model, options.unfit_model) {
            Ok(info) if self.place.rest_is_closing() => info,
            Ok(_) => {
                self.stage("model", clock, "code follows on the line");
                return None;
            }
            Err(problem) => {
                self.stage("model", clock, problem);
                return None;
            }
        };
        let wish = Wish {
            path: self.params.path,
            place: &self.place,
            excerpts: self.context.excerpts,
            multi_line: options.multi_line,
            budget: options.model_budget,
        };
        let written = model::write(model, &info, &wish, cancel);
        let timings = &mut self.answer.timings;
        timings.prompt_tokens = written.usage.prompt_tokens;
        timings.cached_tokens = written.usage.cached_tokens;
        timings.first_token_ms = written.usage.first_token_ms as f64;
        if options.explain {
            self.answer.prompt = Some(written.prompt);
        }
        let detail = written.problem.clone().unwrap_or_else(|| format!("{} answered", info.id));
        self.stage("model", clock, detail);
        let draft = Draft { text: written.text, source: Source::Model };
        written.problem.is_none().then_some((draft, MODEL_CONFIDENCE))
    }

    /// Keeps what passes the filters, in order and once; the first refusal is the reason when nothing does.
    fn filter(&mut self, drafts: impl Iterator<Item = (Draft, f32)>) {
        let clock = Clock::now();
        let mut refusal = None;
        let mut refused = 0;
        for (mut draft, confidence) in drafts {
            let checked =
                filter::check(&self.place, &mut draft).and_then(|()| self.declined(&draft));
            if let Err(reason) = checked {
                refusal.get_or_insert(reason);
                refused += 1;
                continue;
            }
            if self.answer.items.iter().any(|item| item.insert_text == draft.text) {
                continue;
            }
            self.answer.items.push(Item {
                id: self.context.cache.new_id(),
                insert_text: draft.text,
                range: TextRange::empty(self.place.before.len()),
                confidence,
                source: draft.source,
            });
        }
        self.answer.model = self.answer.items.first().map(|item| self.author(item.source));
        if self.answer.items.is_empty() {
            self.answer.reason = Some(refusal.unwrap_or(Reason::NothingLikely));
        }
        self.stage("filter", clock, format!("{} kept, {refused} refused", self.answer.items.len()));
    }

    fn declined(&self, draft: &Draft) -> Result<(), Reason> {
        let declined = self.context.cache.is_declined(self.params.path, &self.place, &draft.text);
        if declined { Err(Reason::Declined) } else { Ok(()) }
    }
}

fn milliseconds(since: Clock) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
