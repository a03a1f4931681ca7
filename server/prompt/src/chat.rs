use inference::{ModelInfo, PromptPiece};
use minijinja::Error as TemplateError;
use thiserror::Error;

use crate::{
    Format,
    template::{TemplateMessage, render},
};

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the program.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that chat templates use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who says it.
    pub role: Role,
    /// What is said. Markers in it stay text.
    pub content: String,
}

impl ChatMessage {
    /// A turn.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A conversation laid out for a model, up to where it writes its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatPrompt {
    /// Markup from the template and plain text from the messages. A start token that the template
    /// writes is the first piece's beginning, once.
    pub pieces: Vec<PromptPiece>,
    /// Markers that end the turn.
    pub stop: Vec<String>,
}

/// Why a conversation could not be laid out.
#[derive(Debug, Error)]
pub enum PromptError {
    /// There is nothing to answer.
    #[error("the conversation has no message to answer")]
    Empty,
    /// Neither the model's template nor that of its family took the conversation.
    #[error(
        "the chat template of {model} refused the conversation: {reason}; choose another model for chat"
    )]
    Template {
        /// The model.
        model: String,
        /// What the template's engine said.
        reason: String,
    },
}

/// Lays out a conversation with the model's own chat template, or that of its family when the file
/// carries none or it fails. System messages go into the first turn of the person where the template
/// knows no system role, and neighbouring turns of one role become one.
pub fn chat_prompt(info: &ModelInfo, messages: &[ChatMessage]) -> Result<ChatPrompt, PromptError> {
    let format = Format::of(info);
    let merged = merge_neighbours(messages);
    if !merged.iter().any(|message| message.role == Role::User) {
        return Err(PromptError::Empty);
    }
    let templates = info.chat_template.as_deref().into_iter().chain([format.chat_template()]);
    let mut reason = String::new();
    for template in templates {
        for attempt in [merged.clone(), without_system(&merged)] {
            match lay_out(template, info, &attempt) {
                Ok(Some(pieces)) => {
                    return Ok(ChatPrompt { pieces, stop: format.stop_strings(info) });
                }
                Ok(None) => {
                    if reason.is_empty() {
                        reason = "it leaves out messages".into();
                    }
                }
                Err(error) => {
                    if reason.is_empty() {
                        reason = error.to_string();
                    }
                }
            }
        }
    }
    Err(PromptError::Template { model: info.id.clone(), reason })
}

fn merge_neighbours(messages: &[ChatMessage]) -> Vec<ChatMessage> {
    let mut merged: Vec<ChatMessage> = Vec::new();
    for message in messages {
        match merged.last_mut() {
            Some(last) if last.role == message.role => {
                last.content.push_str("\n\n");
                last.content.push_str(&message.content);
            }
            _ => merged.push(message.clone()),
        }
    }
    merged
}

/// The same conversation with what the system says at the beginning of the next turn of the person.
fn without_system(messages: &[ChatMessage]) -> Vec<ChatMessage> {
    let mut system = String::new();
    let mut kept: Vec<ChatMessage> = Vec::new();
    for message in messages {
        match message.role {
            Role::System => {
                system.push_str(&message.content);
                system.push_str("\n\n");
            }
            Role::User => {
                let content = std::mem::take(&mut system) + &message.content;
                kept.push(ChatMessage::new(Role::User, content));
            }
            Role::Assistant => kept.push(message.clone()),
        }
    }
    // What the system says after the last turn of the person has no later turn to go to.
    if let Some(last) = kept.iter_mut().rev().find(|message| message.role == Role::User)
        && !system.is_empty()
    {
        last.content = format!("{}\n\n{}", last.content, system.trim_end());
    }
    merge_neighbours(&kept)
}

/// A white space that no template writes: where it is gone, the template trims the content there.
const EDGE: char = '\u{2003}';

/// Stands for message `index` while the template is rendered. The contents themselves never pass
/// through the template, so nothing in them can be taken for markup or for a placeholder.
fn placeholder(index: usize) -> String {
    format!("\u{e000}{index}\u{e001}")
}

/// Renders with placeholders and puts the contents in their places; `None` when the template left a
/// message out or wrote one twice.
fn lay_out(
    template: &str,
    info: &ModelInfo,
    messages: &[ChatMessage],
) -> Result<Option<Vec<PromptPiece>>, TemplateError> {
    let stand_ins: Vec<TemplateMessage> = messages
        .iter()
        .enumerate()
        .map(|(index, message)| TemplateMessage {
            role: message.role.as_str(),
            content: format!("{EDGE}{}{EDGE}", placeholder(index)),
        })
        .collect();
    let rendered = render(template, info, &stand_ins)?;
    let mut rest = rendered.as_str();
    let mut pieces = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let mark = placeholder(index);
        let Some((before, after)) = rest.split_once(&mark) else { return Ok(None) };
        if after.contains(&mark) {
            return Ok(None);
        }
        let mut content = message.content.as_str();
        let markup = before.strip_suffix(EDGE).unwrap_or_else(|| {
            content = content.trim_start();
            before
        });
        rest = after.strip_prefix(EDGE).unwrap_or_else(|| {
            content = content.trim_end();
            after
        });
        push(&mut pieces, PromptPiece::Markup(markup.to_owned()));
        push(&mut pieces, PromptPiece::Text(content.to_owned()));
    }
    push(&mut pieces, PromptPiece::Markup(rest.to_owned()));
    if let Some(PromptPiece::Markup(first)) = pieces.first_mut() {
        let twice = info.bos_token.repeat(2);
        while !info.bos_token.is_empty() && first.starts_with(&twice) {
            first.drain(..info.bos_token.len());
        }
    }
    Ok(Some(pieces))
}

fn push(pieces: &mut Vec<PromptPiece>, piece: PromptPiece) {
    let (PromptPiece::Text(text) | PromptPiece::Markup(text) | PromptPiece::Special(text)) = &piece;
    if !text.is_empty() {
        pieces.push(piece);
    }
}

#[cfg(test)]
mod tests;
