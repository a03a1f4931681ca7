use std::{path::PathBuf, time::Instant};

use ::chat::{
    AnswerState, ChatAnswer, ChatContext, ChatEvent, ChatRequest, ChatTimings, Citation, Selection,
    Turn,
};
use base::CancelToken;
use inference::{InferenceError, LanguageModel};
use model_registry::Role;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Author, Conversations, MessageState, NewMessage};
use text::{LineIndex, Position, TextRange};

use crate::{AssistantError, AssistantSnapshot, shared::Activity, wire::Range};

/// A message of the person in an editor.
#[derive(Clone, Debug, Default)]
pub struct ChatParams {
    /// The conversation that goes on; `None` begins one.
    pub conversation_id: Option<String>,
    /// The message that this one follows; `None` for a first one. A question asked again hangs
    /// under the same parent.
    pub parent_message_id: Option<String>,
    /// What the person says.
    pub message: String,
    /// What they point at.
    pub mentions: Vec<Mention>,
    /// The document in front of them, canonical.
    pub path: Option<PathBuf>,
    /// What is selected in it.
    pub selection: Option<(Position, Position)>,
}

/// Something that a person points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Mention {
    /// A file of the workspace.
    File {
        /// Relative to the workspace, or absolute.
        path: String,
    },
    /// A folder of the workspace.
    Folder {
        /// Relative to the workspace, or absolute.
        path: String,
    },
    /// The workspace's documentation, and the person's folders of it.
    Docs,
    /// A definition.
    Symbol {
        /// Its name.
        name: String,
        /// The file that it is in, where it is known.
        #[serde(default)]
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

/// One place that an answer rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WireCitation {
    /// Relative to the workspace; absolute in a folder of documentation outside of it.
    pub path: String,
    /// Where in the text as it is now.
    pub range: Range,
    /// The page of a PDF, counted from one; `range` is then of the text that was read from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// What stands there.
    pub quote: String,
}

/// What is shown while an answer is made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum ChatPartial {
    /// What was found.
    Context {
        /// The places.
        items: Vec<WireCitation>,
    },
    /// The next part of the answer.
    Text {
        /// The part.
        text: String,
    },
    /// A step of longer work.
    Step {
        /// What is done.
        title: String,
        /// `running` or `done`.
        state: &'static str,
    },
}

/// A finished answer that was kept.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatReply {
    /// The conversation.
    pub conversation_id: String,
    /// The answer's message.
    pub message_id: String,
    /// The question's message.
    pub user_message_id: String,
    /// Markdown.
    pub answer: String,
    /// What it rests on.
    pub citations: Vec<WireCitation>,
    /// How sure it is of being about the right places, from 0 to 1.
    pub confidence: f32,
    /// The model that spoke, if one did.
    pub model: Option<String>,
    /// What it cost.
    pub timings: ChatTimings,
}

/// A question in the terminal. It is not kept.
#[derive(Clone, Debug, Default)]
pub struct AskRequest {
    /// The question.
    pub question: String,
    /// Files to take into account.
    pub files: Vec<PathBuf>,
    /// What was piped in.
    pub input: Option<String>,
}

/// An answer in the terminal.
#[derive(Clone, Debug, Serialize)]
pub struct AskAnswer {
    /// Markdown.
    pub answer: String,
    /// What it rests on.
    pub citations: Vec<WireCitation>,
    /// How sure it is of being about the right places, from 0 to 1.
    pub confidence: f32,
    /// The model that spoke, if one did.
    pub model: Option<String>,
    /// What it cost.
    pub timings: ChatTimings,
}

impl AssistantSnapshot {
    /// Answers a message and keeps both. The question is kept before the work begins, and what had
    /// come of a stopped answer is kept too.
    pub fn chat(
        &self,
        params: &ChatParams,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(ChatPartial),
    ) -> Result<ChatReply, AssistantError> {
        let request = self.chat_request(params)?;
        let conversations = self.shared.conversations()?;
        let conversation = self.conversation(&conversations, params)?;
        let history = match &params.parent_message_id {
            Some(parent) => turns(&conversations, &conversation, parent)?,
            None => Vec::new(),
        };
        let question = conversations.append(&NewMessage {
            conversation: conversation.clone(),
            parent: params.parent_message_id.clone(),
            author: Author::User,
            state: MessageState::Done,
            text: params.message.clone(),
            citations: Value::Null,
            model: Value::Null,
            context: json!({ "mentions": params.mentions }),
        })?;
        let request = ChatRequest { history, ..request };
        let answer = self.answer(&request, cancel, sink)?;
        let citations = self.wire_citations(&answer.citations);
        let message = conversations.append(&NewMessage {
            conversation: conversation.clone(),
            parent: Some(question.id.clone()),
            author: Author::Assistant,
            state: match &answer.state {
                AnswerState::Done => MessageState::Done,
                AnswerState::Stopped => MessageState::Stopped,
                AnswerState::Failed(_) => MessageState::Failed,
            },
            text: answer.answer.clone(),
            citations: json!(citations),
            model: json!(answer.model),
            context: Value::Null,
        })?;
        if answer.state == AnswerState::Stopped {
            return Err(AssistantError::Cancelled);
        }
        Ok(ChatReply {
            conversation_id: conversation,
            message_id: message.id,
            user_message_id: question.id,
            answer: answer.answer,
            citations,
            confidence: answer.confidence,
            model: answer.model,
            timings: answer.timings,
        })
    }

    /// Answers one question of the terminal.
    pub fn ask(
        &self,
        request: &AskRequest,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(ChatPartial),
    ) -> Result<AskAnswer, AssistantError> {
        let mut mentions = Vec::new();
        for file in &request.files {
            mentions.push(::chat::Mention::File { path: self.relative(file)? });
        }
        let request = ChatRequest {
            message: request.question.clone(),
            mentions,
            input: request.input.clone(),
            ..ChatRequest::default()
        };
        let answer = self.answer(&request, cancel, sink)?;
        if answer.state == AnswerState::Stopped {
            return Err(AssistantError::Cancelled);
        }
        Ok(AskAnswer {
            citations: self.wire_citations(&answer.citations),
            answer: answer.answer,
            confidence: answer.confidence,
            model: answer.model,
            timings: answer.timings,
        })
    }

    fn answer(
        &self,
        request: &ChatRequest,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(ChatPartial),
    ) -> Result<ChatAnswer, AssistantError> {
        let _busy = self.shared.busy(Activity::Thinking);
        let start = Instant::now();
        let index = self.current_index(cancel)?;
        let (model, failure) = match self.shared.models.model(Role::Chat) {
            Ok(model) => (Some(model), None),
            // Nothing is installed: the index answers alone.
            Err(InferenceError::NoModel { .. }) => (None, None),
            Err(error) => {
                tracing::warn!(%error, "the chat model cannot be used");
                (None, Some(error))
            }
        };
        let documentation = if ::chat::is_about_documentation(request) {
            let mut step = |state| {
                let title = "Looking through your folders of documentation".to_owned();
                sink(ChatPartial::Step { title, state });
            };
            let waits = !self.docs.is_empty();
            if waits {
                step("running");
            }
            let found = self.documentation(cancel)?;
            if waits {
                step("done");
            }
            Some(found)
        } else {
            None
        };
        let known = model.as_ref().and_then(|model| model.loaded());
        let deepening = self.deepening();
        let context = ChatContext {
            snapshot: &self.files,
            index: Some(&index),
            model: model.as_deref().map(|model| model as &dyn LanguageModel),
            failure: failure.as_ref(),
            deepening: Some(&deepening),
            documentation: documentation.as_ref(),
            prompt_speed: known.and_then(|info| self.shared.prompt_speeds.of(&info.id)),
        };
        let answer = ::chat::answer(&context, request, cancel, &mut |event| {
            sink(match event {
                ChatEvent::Context(citations) => {
                    ChatPartial::Context { items: self.wire_citations(&citations) }
                }
                ChatEvent::Text(text) => ChatPartial::Text { text },
                ChatEvent::Step { title, done } => {
                    ChatPartial::Step { title, state: if done { "done" } else { "running" } }
                }
            });
        })
        .map_err(AssistantError::Chat)?;
        self.shared.timings.record("chat", start.elapsed());
        if let Some(model) = &answer.model {
            let ChatTimings { prompt_tokens, cached_tokens, first_token_ms, .. } = answer.timings;
            let evaluated = prompt_tokens.saturating_sub(cached_tokens);
            self.shared.prompt_speeds.record(model, evaluated, first_token_ms);
        }
        Ok(answer)
    }

    /// The request without its history; paths go through the gate.
    fn chat_request(&self, params: &ChatParams) -> Result<ChatRequest, AssistantError> {
        let mut mentions = Vec::new();
        for mention in &params.mentions {
            mentions.push(match mention {
                Mention::File { path } => ::chat::Mention::File { path: self.mentioned(path)? },
                Mention::Folder { path } => ::chat::Mention::Folder { path: self.mentioned(path)? },
                Mention::Docs => ::chat::Mention::Docs,
                Mention::Symbol { name, path } => ::chat::Mention::Symbol {
                    name: name.clone(),
                    path: path.as_deref().map(|path| self.mentioned(path)).transpose()?,
                },
                Mention::Attachment { name, text } => {
                    ::chat::Mention::Attachment { name: name.clone(), text: text.clone() }
                }
            });
        }
        let document = params.path.as_deref().map(|path| self.relative(path)).transpose()?;
        let selection = match (&params.path, &document, params.selection) {
            (Some(path), Some(relative), Some((start, end))) if start != end => {
                let text = self.text(path)?;
                let index = LineIndex::new(&text);
                let offset = |position| index.offset(&text, position, self.encoding);
                let range = TextRange::new(offset(start), offset(end));
                Some(Selection { path: relative.clone(), range })
            }
            _ => None,
        };
        Ok(ChatRequest {
            message: params.message.clone(),
            mentions,
            history: Vec::new(),
            document,
            selection,
            input: None,
        })
    }

    /// The path of something mentioned, as the workspace knows it.
    fn mentioned(&self, path: &str) -> Result<String, AssistantError> {
        self.relative(&self.files.workspace().absolute(path)?)
    }

    /// The conversation that goes on, or a new one.
    fn conversation(
        &self,
        conversations: &Conversations,
        params: &ChatParams,
    ) -> Result<String, AssistantError> {
        match &params.conversation_id {
            Some(id) if conversations.get(id)?.is_some() => Ok(id.clone()),
            Some(id) => Err(AssistantError::UnknownConversation { id: id.clone() }),
            None => Ok(conversations.create(&self.files.workspace().key(), &params.message)?),
        }
    }

    fn wire_citations(&self, citations: &[Citation]) -> Vec<WireCitation> {
        let citation = |citation: &Citation| WireCitation {
            path: citation.path.clone(),
            range: Range::of_lines(&citation.lines, &citation.quote, self.encoding),
            page: citation.page,
            quote: citation.quote.clone(),
        };
        citations.iter().map(citation).collect()
    }
}

/// Questions and answers up to and with the message `last`.
fn turns(
    conversations: &Conversations,
    conversation: &str,
    last: &str,
) -> Result<Vec<Turn>, AssistantError> {
    let mut turns = Vec::new();
    let mut question = None;
    for message in conversations.branch(conversation, last)? {
        match (message.role, question.take()) {
            (Author::User, _) => question = Some(message.text),
            (Author::Assistant, Some(question)) => {
                turns.push(Turn { question, answer: message.text });
            }
            (Author::Assistant, None) => {}
        }
    }
    Ok(turns)
}
