//! Proposals, what the person accepts of them, and the way back.

use assistant::{EditParams, EditReply, UndoParams};
use serde::Deserialize;
use serde_json::{Value, json};

use super::text_document::{Range, VersionedTextDocument};
use crate::{context::Context, failure::Failure};

/// Parameters of `hearth/edit`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditRequest {
    text_document: VersionedTextDocument,
    range: Range,
    instruction: String,
    previous_edit_id: Option<String>,
}

/// Parameters of `hearth/edit/resolve`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolveRequest {
    edit_id: String,
    accepted: Vec<String>,
    version: Option<i32>,
}

/// `hearth/edit`
pub fn edit(context: &Context, params: &EditRequest) -> Result<Value, Failure> {
    let request = EditParams {
        path: context.path(&params.text_document.uri)?,
        version: params.text_document.version,
        range: (params.range.start, params.range.end),
        instruction: params.instruction.clone(),
        previous_edit_id: params.previous_edit_id.clone(),
    };
    let mut partial = |partial| context.stream.send(&partial, &context.cancel);
    let reply = context.assistant()?.edit(&request, &context.cancel, &mut partial)?;
    result(context, reply)
}

/// `hearth/edit/resolve`
pub fn resolve(context: &Context, params: &ResolveRequest) -> Result<Value, Failure> {
    let ResolveRequest { edit_id, accepted, version } = params;
    let edit = context.assistant()?.resolve_edit(edit_id, accepted, *version)?;
    Ok(json!({ "edit": context.workspace_edit(&[edit]) }))
}

/// `hearth/undo`
pub fn undo(context: &Context, params: &UndoParams) -> Result<Value, Failure> {
    let edits = context.assistant()?.undo(params)?;
    Ok(json!({ "edit": context.workspace_edit(&edits) }))
}

/// The reply with its edit in the editor's form.
fn result(context: &Context, reply: EditReply) -> Result<Value, Failure> {
    let edit = context.workspace_edit(std::slice::from_ref(&reply.edit));
    let mut value = serde_json::to_value(reply).map_err(|_| Failure::Internal)?;
    value["edit"] = edit;
    Ok(value)
}
