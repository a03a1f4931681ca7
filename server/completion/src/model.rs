//! The language model's part.

use std::{
    ops::ControlFlow,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant as Clock},
};

use base::CancelToken;
use inference::{
    GenerateRequest, InferenceError, LanguageModel, ModelInfo, Priority, PromptPiece, Sampling,
    Sequence, Usage,
};
use prompt::{Budget, Excerpt, FimContext, fim_prompt, fit_for_completion};

use crate::{
    place::Place,
    stop::{self, Extent},
};

/// Longest suggestion in tokens, for a line and for a block.
const LINE_TOKENS: usize = 48;
const BLOCK_TOKENS: usize = 160;
/// Longest prompt in tokens. On a CPU a cold prompt of this length takes some seconds; only what a
/// keystroke appends is evaluated after that.
const PROMPT_TOKENS: usize = 1024;

/// What a model made of a place.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub text: String,
    pub usage: Usage,
    /// Why there is nothing, for the explanation.
    pub problem: Option<String>,
    pub prompt: String,
}

/// The model's description, if it is there and may be asked.
pub(crate) fn usable(model: &dyn LanguageModel, unfit_too: bool) -> Result<Arc<ModelInfo>, String> {
    let info = model.loaded().ok_or("no model is loaded")?;
    if unfit_too || fit_for_completion(&info) {
        Ok(info)
    } else {
        Err(format!("{} was not trained to fill in the middle", info.id))
    }
}

pub(crate) struct Wish<'a> {
    pub path: &'a str,
    pub place: &'a Place<'a>,
    pub excerpts: &'a [Excerpt],
    pub multi_line: bool,
    pub budget: Duration,
}

/// Asks the model, at most for the time of the budget. A line that is not finished by then is dropped.
pub(crate) fn write(
    model: &dyn LanguageModel,
    info: &ModelInfo,
    wish: &Wish<'_>,
    cancel: &CancelToken,
) -> Written {
    let place = wish.place;
    let extent = Extent::at(place, wish.multi_line);
    let max_tokens = if extent == Extent::Block { BLOCK_TOKENS } else { LINE_TOKENS };
    let context = FimContext {
        path: wish.path,
        prefix: place.before,
        suffix: place.after,
        excerpts: wish.excerpts,
        line_comment: place.language.and_then(syntax::Language::line_comment).unwrap_or("#"),
    };
    let room = info.context.saturating_sub(max_tokens).min(PROMPT_TOKENS);
    let prompt = fim_prompt(info, &context, Budget::estimated(room));
    let shown = shown(&prompt.pieces);
    let request = GenerateRequest {
        prompt: prompt.pieces,
        max_tokens,
        sampling: Sampling::GREEDY,
        stop: prompt.stop,
        priority: Priority::Completion,
        sequence: Sequence::Completion,
        heal: prompt.heal,
        grammar: None,
    };
    let mut text = String::new();
    let mut complete = false;
    let generation = within(wish.budget, cancel, |cancel, deadline| {
        model.generate(&request, cancel, &mut |piece| {
            text.push_str(piece);
            complete = stop::cut(place, extent, &text).1;
            if complete || Clock::now() >= deadline {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    });
    let mut written = Written { prompt: shown, ..Written::default() };
    match generation {
        Ok(generation) => {
            let ended = complete
                || generation.finish == inference::FinishReason::EndOfText
                || generation.finish == inference::FinishReason::StopString;
            written.usage = generation.usage;
            if ended || extent == Extent::Block {
                finished(place, extent, &generation.text, ended).clone_into(&mut written.text);
            } else {
                written.problem = Some("the model did not finish the line in time".into());
            }
        }
        Err(InferenceError::Cancelled) => {
            written.problem = Some("the model did not answer in time".into());
        }
        Err(error) => written.problem = Some(error.to_string()),
    }
    written
}

/// What is kept of the model's text; of an unfinished block its whole lines.
fn finished<'t>(place: &Place<'_>, extent: Extent, text: &'t str, ended: bool) -> &'t str {
    let (kept, complete) = stop::cut(place, extent, text);
    if ended || complete {
        return kept;
    }
    kept.rfind('\n').and_then(|end| kept.get(..end)).unwrap_or_default()
}

/// Runs `work` with a token that is cancelled when the time is up.
fn within<T>(
    budget: Duration,
    cancel: &CancelToken,
    work: impl FnOnce(&CancelToken, Clock) -> T,
) -> T {
    let limited = cancel.child();
    let deadline = Clock::now() + budget;
    let (done, waiting) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let timer = limited.clone();
        scope.spawn(move || {
            // Nothing is ever sent: the channel closes when the work is done.
            if waiting.recv_timeout(budget) == Err(mpsc::RecvTimeoutError::Timeout) {
                timer.cancel();
            }
        });
        let result = work(&limited, deadline);
        drop(done);
        result
    })
}

/// The prompt for a person's eyes.
fn shown(pieces: &[PromptPiece]) -> String {
    let piece = |piece: &PromptPiece| match piece {
        PromptPiece::Text(text) | PromptPiece::Markup(text) | PromptPiece::Special(text) => {
            text.clone()
        }
    };
    pieces.iter().map(piece).collect()
}
