//! What the model is sent.

use inference::{GenerateRequest, ModelInfo, Priority, Sampling, Sequence};
use prompt::{Budget, Capability, ChatMessage, PromptError, Role, chat_prompt, estimate_tokens};

use crate::{
    ChatRequest,
    compose::tag,
    evidence::Evidence,
    excerpt::{Excerpt, Origin},
    terms::Terms,
};

/// Context of a model that does not say how long its own is.
const DEFAULT_CONTEXT: usize = 2_048;
/// Found places that a tiny model is shown: more only distracts it.
const PLACES_OF_TINY: usize = 2;
/// Seconds that reading the excerpts may take, where the model's speed is known.
const PATIENCE: f32 = 4.0;

/// A prompt and how many of the cited places stand in it.
pub(crate) struct Layout {
    pub request: GenerateRequest,
    pub shown: usize,
}

/// How many tokens each part may have.
struct Budgets {
    excerpts: usize,
    history: usize,
    answer: usize,
    /// Lines of one excerpt.
    lines: usize,
}

impl Budgets {
    fn of(info: &ModelInfo, capability: Capability, speed: Option<f32>) -> Self {
        let context = if info.context == 0 { DEFAULT_CONTEXT } else { info.context };
        let (mut excerpts, answer, lines) = match capability {
            // Short prompts: what such a model does not see first it does not use.
            Capability::Tiny => (700, 200, 24),
            Capability::Small => (1_600, 512, 40),
            Capability::Full => (4_000, 1_024, 80),
        };
        if let Some(speed) = speed {
            excerpts = excerpts.min(((speed * PATIENCE) as usize).max(400));
        }
        let history = if capability == Capability::Tiny { 160 } else { context / 6 };
        Self {
            excerpts: excerpts.min(context * 2 / 5),
            history: history.min(context / 6),
            answer: answer.min(context / 4),
            lines,
        }
    }
}

/// Lays out a question with what was gathered for it.
pub(crate) fn request(
    request: &ChatRequest,
    evidence: &Evidence,
    terms: &Terms,
    info: &ModelInfo,
    capability: Capability,
    speed: Option<f32>,
) -> Result<Layout, PromptError> {
    let budgets = Budgets::of(info, capability, speed);
    let mut messages = vec![ChatMessage::new(Role::System, system(capability, evidence))];
    messages.extend(history(request, budgets.history));
    let (excerpts, shown) = excerpts(evidence, terms, capability, &budgets);
    let question =
        prompt::keep_start(request.message.trim(), Budget::estimated(budgets.history.max(200)));
    let user =
        if excerpts.is_empty() { question.to_owned() } else { format!("{excerpts}{question}") };
    messages.push(ChatMessage::new(Role::User, user));
    let prompt = chat_prompt(info, &messages)?;
    Ok(Layout {
        request: GenerateRequest {
            prompt: prompt.pieces,
            max_tokens: budgets.answer,
            sampling: sampling(capability),
            stop: prompt.stop,
            priority: Priority::Chat,
            sequence: Sequence::Conversation,
            heal: false,
            grammar: None,
        },
        shown,
    })
}

/// How a chat answer is sampled. A tiny model at its likeliest goes round in circles, so repeating
/// costs it a little.
pub(crate) fn sampling(capability: Capability) -> Sampling {
    match capability {
        Capability::Tiny => Sampling { repeat_penalty: 1.1, ..Sampling::GREEDY },
        _ => Sampling { temperature: 0.2, top_k: 40, top_p: 0.9, repeat_penalty: 1.0, seed: 1 },
    }
}

fn system(capability: Capability, evidence: &Evidence) -> String {
    let mut text = String::from("You are Hearth, an assistant for programmers.");
    if evidence.is_empty() {
        text.push_str(" Answer briefly.");
    } else if capability == Capability::Tiny {
        text.push_str(" Answer in a few sentences from the code that you are shown.");
    } else {
        text.push_str(
            " Answer from the numbered excerpts of the user's workspace and cite them like [1]. If \
             they do not hold the answer, say so.",
        );
    }
    text
}

/// The last turns that fit, oldest first.
fn history(request: &ChatRequest, tokens: usize) -> Vec<ChatMessage> {
    let mut left = tokens;
    let mut turns = Vec::new();
    for turn in request.history.iter().rev() {
        let budget = Budget::estimated(left / 2);
        let question = prompt::keep_start(turn.question.trim(), budget);
        let answer = prompt::keep_start(turn.answer.trim(), budget);
        let cost = estimate_tokens(question) + estimate_tokens(answer) + 8;
        if question.is_empty() || cost > left {
            break;
        }
        left -= cost;
        turns.push(ChatMessage::new(Role::Assistant, answer));
        turns.push(ChatMessage::new(Role::User, question));
    }
    turns.reverse();
    turns
}

/// The excerpts that fit, and how many of the cited places are among them.
fn excerpts(
    evidence: &Evidence,
    terms: &Terms,
    capability: Capability,
    budgets: &Budgets,
) -> (String, usize) {
    let mut text = String::new();
    let mut left = budgets.excerpts;
    for attached in &evidence.attached {
        let head = format!("{}:\n", attached.path);
        let room = Budget::estimated(left.saturating_sub(24));
        let kept = prompt::keep_start(&attached.text, room);
        let part = format!("{head}```\n{}\n```\n\n", kept.trim_end());
        left = left.saturating_sub(estimate_tokens(&part));
        text.push_str(&part);
    }
    // A tiny model takes a list of names for something to go on with.
    if let Some(map) = evidence.map.as_deref().filter(|_| capability != Capability::Tiny) {
        let kept = prompt::keep_start(map, Budget::estimated(left / 2));
        let part = format!("The most important files and definitions:\n```\n{kept}```\n\n");
        left = left.saturating_sub(estimate_tokens(&part));
        text.push_str(&part);
    }
    let mut shown = 0;
    for (index, excerpt) in evidence.cited.iter().enumerate() {
        // What the person pointed at is all that a tiny model can keep in mind.
        let most = if evidence.has_given() { 0 } else { PLACES_OF_TINY };
        if capability == Capability::Tiny && excerpt.origin == Origin::Found && index >= most {
            break;
        }
        let lines = if excerpt.origin == Origin::Given { budgets.lines * 4 } else { budgets.lines };
        let Some(part) = fitting(excerpt, index + 1, terms, lines, left) else { break };
        left -= estimate_tokens(&part);
        text.push_str(&part);
        shown = index + 1;
    }
    (text, shown)
}

/// An excerpt with its number and place, shortened until it fits; `None` when not even a few lines
/// do.
fn fitting(
    excerpt: &Excerpt,
    number: usize,
    terms: &Terms,
    mut lines: usize,
    tokens: usize,
) -> Option<String> {
    const FEWEST_LINES: usize = 4;
    let mark = "`".repeat(3);
    loop {
        let code = excerpt.shortened(terms, lines);
        let (place, tag) = (excerpt.place(), tag(&excerpt.path));
        let part = format!("[{number}] {place}\n{mark}{tag}\n{code}\n{mark}\n\n");
        if estimate_tokens(&part) <= tokens {
            return Some(part);
        }
        if lines <= FEWEST_LINES {
            return None;
        }
        lines = (lines * 2 / 3).max(FEWEST_LINES).min(code.lines().count().max(FEWEST_LINES));
        if code.lines().count() <= FEWEST_LINES {
            return None;
        }
    }
}
