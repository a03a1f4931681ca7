//! Ghost text, its plain form for editors without it, and why there is none.

use assistant::{CompleteAnswer, CompleteItem, CompleteRequest, Explanation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use text::Position;

use super::text_document::TextDocument;
use crate::{context::Context, failure::Failure};

/// What all position requests have; trigger and context change nothing in the answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionParams {
    text_document: TextDocument,
    position: Position,
}

/// `InlineCompletionList`.
#[derive(Default, Serialize)]
pub struct InlineCompletionList {
    items: Vec<InlineCompletionItem>,
}

/// `InlineCompletionItem`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InlineCompletionItem {
    insert_text: String,
    range: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Value>,
}

/// `CompletionList`.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionList {
    is_incomplete: bool,
    items: Vec<Value>,
}

/// `textDocument/inlineCompletion`
pub fn inline_completion(
    context: &Context,
    params: &PositionParams,
) -> Result<InlineCompletionList, Failure> {
    let item = |item: CompleteItem| {
        InlineCompletionItem {
        insert_text: item.insert_text,
        range: json!(item.range),
        // The editor runs it when the person accepts the suggestion.
        command: context.editor.client_commands.then(|| {
            json!({ "title": "", "command": "hearth.completionAccepted", "arguments": [item.id] })
        }),
    }
    };
    let answer = suggestions(context, params)?;
    Ok(InlineCompletionList { items: answer.items.into_iter().map(item).collect() })
}

/// `textDocument/completion`
pub fn completion(context: &Context, params: &PositionParams) -> Result<CompletionList, Failure> {
    let position = params.position;
    let answer = suggestions(context, params)?;
    // An edit of a plain completion stands on one line and begins at or before the cursor, and the
    // editor filters it by the text that it replaces.
    let plain = |item: CompleteItem| {
        let single_line =
            item.range.start.line == position.line && item.range.end.line == position.line;
        single_line.then(|| {
            let lines = item.insert_text.lines().map(str::trim);
            let label = lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
            json!({
                "label": label,
                "kind": 15,
                "detail": "Hearth",
                "documentation": item.insert_text,
                "insertTextFormat": 1,
                "insertTextMode": 1,
                "preselect": false,
                "textEdit": { "range": item.range, "newText": item.insert_text },
            })
        })
    };
    // What fits changes with every keystroke, so the editor must ask again.
    Ok(CompletionList {
        is_incomplete: true,
        items: answer.items.into_iter().filter_map(plain).collect(),
    })
}

/// `hearth/explainCompletion`
pub fn explain_completion(
    context: &Context,
    params: &PositionParams,
) -> Result<Explanation, Failure> {
    let path = context.path(&params.text_document.uri)?;
    let request = CompleteRequest { path, position: params.position, text: None };
    Ok(context.assistant()?.explain_completion(&request, &context.cancel)?)
}

/// The suggestions at a place. A newer request, a document outside the workspace or a workspace
/// that cannot be opened mean none: an error at every keystroke would help nobody.
fn suggestions(context: &Context, params: &PositionParams) -> Result<CompleteAnswer, Failure> {
    let Ok(path) = context.path(&params.text_document.uri) else {
        return Ok(CompleteAnswer::default());
    };
    let request = CompleteRequest { path, position: params.position, text: None };
    match context.assistant()?.complete(&request, &context.cancel).map_err(Failure::from) {
        Err(Failure::Cancelled) => Ok(CompleteAnswer::default()),
        answer => answer,
    }
}
