//! Answers about a workspace, with the places that they rest on.
//!
//! [`answer`] gathers what the person pointed at and what the index finds, lets a model speak about
//! it, and cites only lines that exist as quoted. Without a model, or when it fails, the answer is
//! put together from the index alone. A piped diff is reviewed file by file.
//!
//! Nothing is changed or run here, conversations are kept elsewhere, and proposals of edits are the
//! crate `edit`'s.

mod compose;
mod diff;
mod evidence;
mod excerpt;
mod layout;
mod mention;
mod review;
mod stream;
mod task;
mod terms;

use std::{ops::Range, time::Instant};

use base::CancelToken;
use indexer::IndexSnapshot;
use inference::{InferenceError, LanguageModel, Usage};
use prompt::Capability;
use retrieval::{Deepening, DocumentationFolders};
use serde::Serialize;
use text::TextRange;
use thiserror::Error;
use vfs::Snapshot;

pub use task::ChatTask;

use crate::{evidence::Evidence, terms::Terms};

/// What an answer can draw on.
#[derive(Clone, Copy)]
pub struct ChatContext<'a> {
    /// Files and open documents.
    pub snapshot: &'a Snapshot,
    /// The index; without one only what was mentioned is known.
    pub index: Option<&'a IndexSnapshot>,
    /// The model; `None` answers from the index alone.
    pub model: Option<&'a dyn LanguageModel>,
    /// Why there is no model although one is installed; the answer tells it.
    pub failure: Option<&'a InferenceError>,
    /// The models that the search for excerpts may ask.
    pub deepening: Option<&'a Deepening>,
    /// The folders that the person named as documentation; looked at only where the question
    /// [is about](is_about_documentation) that.
    pub documentation: Option<&'a DocumentationFolders>,
    /// Prompt tokens a second that the model was measured at, where it was.
    pub prompt_speed: Option<f32>,
}

/// A question.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// What the person says.
    pub message: String,
    /// What they point at.
    pub mentions: Vec<Mention>,
    /// The turns before, oldest first.
    pub history: Vec<Turn>,
    /// The file in front of them, relative to the workspace.
    pub document: Option<String>,
    /// The code that they have selected.
    pub selection: Option<Selection>,
    /// What was piped in.
    pub input: Option<String>,
}

/// Something that a person points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    /// A file of the workspace.
    File {
        /// Relative to the workspace.
        path: String,
    },
    /// A folder of the workspace: only what is in it is searched.
    Folder {
        /// Relative to the workspace.
        path: String,
    },
    /// The workspace's documentation and [that elsewhere](ChatContext::documentation): only that is searched, besides
    /// what else was mentioned.
    Docs,
    /// A definition.
    Symbol {
        /// Its name, or the name with its container.
        name: String,
        /// The file that it is in, relative to the workspace, where it is known.
        path: Option<String>,
    },
    /// A text from elsewhere.
    Attachment {
        /// What it is called.
        name: String,
        /// The text.
        text: String,
    },
}

/// Selected code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The file, relative to the workspace.
    pub path: String,
    /// The selected bytes of its present text.
    pub range: TextRange,
}

/// One turn of the conversation so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What the person said.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

/// What happens while an answer is made.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// What was found; comes once, before any text.
    Context(Vec<Citation>),
    /// A step of longer work.
    Step {
        /// What is done.
        title: String,
        /// Whether it is finished.
        done: bool,
    },
    /// The next part of the answer.
    Text(String),
}

/// A place in the workspace or in documentation elsewhere. Its lines existed as quoted when the answer was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Citation {
    /// Relative to the workspace; absolute outside of it.
    pub path: String,
    /// Zero-based and half-open.
    pub lines: Range<u32>,
    /// The page that they begin on, counted from one, where the file is a PDF.
    pub page: Option<u32>,
    /// The text of these lines.
    pub quote: String,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerState {
    /// It is whole.
    Done,
    /// The person stopped it; the answer holds what had come by then.
    Stopped,
    /// The model failed, for this reason; the answer says so and holds what was found.
    Failed(InferenceError),
}

/// A finished answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatAnswer {
    /// Markdown.
    pub answer: String,
    /// What it rests on, the most important first; empty when nothing in the workspace supports it.
    pub citations: Vec<Citation>,
    /// How sure the answer is of being about the right places, from 0 to 1.
    pub confidence: f32,
    /// The model that spoke, if one did.
    pub model: Option<String>,
    /// How it ended.
    pub state: AnswerState,
    /// What it cost.
    pub timings: ChatTimings,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChatTimings {
    /// Gathering of the excerpts.
    pub context_ms: u64,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that needed no evaluation.
    pub cached_tokens: usize,
    /// Tokens that the model wrote.
    pub generated_tokens: usize,
    /// From the start of the model's work to its first token.
    pub first_token_ms: u64,
    /// From the question to the end of the answer.
    pub total_ms: u64,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChatError {
    /// There is no question.
    #[error("ask something")]
    Empty,
}

/// Whether only documentation is searched for an answer: `@docs` is mentioned, or written in the message.
pub fn is_about_documentation(request: &ChatRequest) -> bool {
    mention::with_typed(request).mentions.contains(&Mention::Docs)
}

/// Answers a question. Parts of the answer reach `sink` as they are made; together the text parts
/// are the answer. Failures of the model are part of the answer, not errors.
pub fn answer(
    context: &ChatContext<'_>,
    request: &ChatRequest,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(ChatEvent),
) -> Result<ChatAnswer, ChatError> {
    let started = Instant::now();
    if request.message.trim().is_empty() && request.input.is_none() {
        return Err(ChatError::Empty);
    }
    let request = &*mention::with_typed(request);
    let speaker = Speaker::of(context, cancel);
    let mut writer = Writer { sink, text: String::new() };
    if let Some(files) = request.input.as_deref().and_then(diff::parse) {
        return Ok(review::answer(
            context,
            request,
            &files,
            &speaker,
            cancel,
            &mut writer,
            started,
        ));
    }
    let terms = Terms::of_question(request);
    let evidence = Evidence::gather(context, request, &terms, cancel);
    let citations = evidence.citations();
    (writer.sink)(ChatEvent::Context(citations.clone()));
    let mut timings =
        ChatTimings { context_ms: started.elapsed().as_millis() as u64, ..ChatTimings::default() };
    let spoken = match &speaker {
        Speaker::Silent { failure: None } if context.model.is_some() => Ok(None),
        Speaker::Silent { failure } => {
            compose::from_index(&evidence, &terms, failure.as_ref(), &mut writer);
            Ok(None)
        }
        Speaker::Model { model, info, capability } => {
            compose::lead(&evidence, &terms, *capability, &mut writer);
            let speed = context.prompt_speed;
            layout::request(request, &evidence, &terms, info, *capability, speed)
                .map_err(|error| InferenceError::Engine(error.to_string()))
                .and_then(|layout| {
                    stream::speak(*model, &layout.request, layout.shown, cancel, &mut writer)
                })
                .map(Some)
        }
    };
    let (usage, state) =
        finish_state(spoken, speaker.failure(), &evidence, &terms, cancel, &mut writer);
    add(&mut timings, usage);
    timings.total_ms = started.elapsed().as_millis() as u64;
    Ok(ChatAnswer {
        confidence: evidence.confidence(speaker.capability()),
        citations,
        answer: writer.text,
        model: match &state {
            AnswerState::Failed(_) => None,
            _ => speaker.id(),
        },
        state,
        timings,
    })
}

/// How the answer ended, after telling the person about a failure.
fn finish_state(
    spoken: Result<Option<Usage>, InferenceError>,
    earlier: Option<InferenceError>,
    evidence: &Evidence,
    terms: &Terms,
    cancel: &CancelToken,
    writer: &mut Writer<'_>,
) -> (Option<Usage>, AnswerState) {
    match spoken {
        _ if cancel.is_cancelled() => (None, AnswerState::Stopped),
        Ok(usage) => (usage, earlier.map_or(AnswerState::Done, AnswerState::Failed)),
        Err(error) => {
            compose::after_failure(evidence, terms, &error, writer);
            (None, AnswerState::Failed(error))
        }
    }
}

fn add(timings: &mut ChatTimings, usage: Option<Usage>) {
    let Some(usage) = usage else { return };
    timings.prompt_tokens += usage.prompt_tokens;
    timings.cached_tokens += usage.cached_tokens;
    timings.generated_tokens += usage.generated_tokens;
    if timings.first_token_ms == 0 {
        timings.first_token_ms = usage.first_token_ms;
    }
}

/// Who speaks.
enum Speaker<'a> {
    /// Nobody: there is no model, or it cannot be loaded.
    Silent { failure: Option<InferenceError> },
    Model {
        model: &'a dyn LanguageModel,
        info: std::sync::Arc<inference::ModelInfo>,
        capability: Capability,
    },
}

impl<'a> Speaker<'a> {
    fn of(context: &ChatContext<'a>, cancel: &CancelToken) -> Self {
        let Some(model) = context.model else {
            return Self::Silent { failure: context.failure.cloned() };
        };
        match model.load(cancel) {
            Ok(info) => Self::Model { model, capability: Capability::of(&info), info },
            Err(InferenceError::Cancelled) => Self::Silent { failure: None },
            Err(error) => Self::Silent { failure: Some(error) },
        }
    }

    fn id(&self) -> Option<String> {
        match self {
            Self::Silent { .. } => None,
            Self::Model { info, .. } => Some(info.id.clone()),
        }
    }

    fn capability(&self) -> Option<Capability> {
        match self {
            Self::Silent { .. } => None,
            Self::Model { capability, .. } => Some(*capability),
        }
    }

    fn failure(&self) -> Option<InferenceError> {
        match self {
            Self::Silent { failure } => failure.clone(),
            Self::Model { .. } => None,
        }
    }
}

/// The answer as it grows.
pub(crate) struct Writer<'s> {
    sink: &'s mut dyn FnMut(ChatEvent),
    text: String,
}

impl Writer<'_> {
    /// Adds to the answer and passes it on.
    pub(crate) fn write(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.push_str(text);
            (self.sink)(ChatEvent::Text(text.to_owned()));
        }
    }

    /// Begins a paragraph, unless the answer is still empty.
    pub(crate) fn paragraph(&mut self) {
        let breaks = self.text.chars().rev().take_while(|ch| *ch == '\n').count();
        if !self.text.is_empty() && breaks < 2 {
            self.write(&"\n".repeat(2 - breaks));
        }
    }

    /// Tells about a step.
    pub(crate) fn step(&mut self, title: &str, done: bool) {
        (self.sink)(ChatEvent::Step { title: title.to_owned(), done });
    }

    /// Tells what was found.
    pub(crate) fn context(&mut self, citations: &[Citation]) {
        (self.sink)(ChatEvent::Context(citations.to_vec()));
    }
}

#[cfg(test)]
mod tests;
