//! Questions and the conversations that they stand in.

use assistant::{ChatParams, ChatReply, ConversationsParams, Mention};
use serde::Deserialize;
use serde_json::Value;

use super::text_document::{Range, TextDocument};
use crate::{context::Context, failure::Failure};

/// Parameters of `hearth/chat`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatRequest {
    conversation_id: Option<String>,
    parent_message_id: Option<String>,
    message: String,
    #[serde(default)]
    mentions: Vec<Mention>,
    text_document: Option<TextDocument>,
    selection: Option<Range>,
}

/// `hearth/chat`
pub fn chat(context: &Context, params: &ChatRequest) -> Result<ChatReply, Failure> {
    // What the editor happens to show may lie outside the workspace; then it does not count.
    let path = params.text_document.as_ref().and_then(|document| context.path(&document.uri).ok());
    let request = ChatParams {
        conversation_id: params.conversation_id.clone(),
        parent_message_id: params.parent_message_id.clone(),
        message: params.message.clone(),
        mentions: params.mentions.clone(),
        path,
        selection: params.selection.map(|range| (range.start, range.end)),
    };
    let mut partial = |partial| context.stream.send(&partial, &context.cancel);
    Ok(context.assistant()?.chat(&request, &context.cancel, &mut partial)?)
}

/// `hearth/conversations`
pub fn conversations(context: &Context, params: &ConversationsParams) -> Result<Value, Failure> {
    Ok(context.assistant()?.conversations(params)?)
}
