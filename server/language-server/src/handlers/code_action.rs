//! What the light bulb offers: fixes and explanations of diagnostics, and work on a selection.
//!
//! Editors with Hearth's own commands get those: they show a proposal as a diff, or open the chat.
//! Other editors get an action whose edit is made when it is chosen (`codeAction/resolve`), and an
//! explanation in a message.

use std::cmp::Ordering;

use assistant::{ActionKind, AssistantSnapshot, ChatParams, DiagnosticText, EditParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use text::Position;

use super::text_document::{Range, TextDocument};
use crate::{context::Context, failure::Failure};

const EXPLAIN: &str = "hearth.server.explain";

/// The commands that the server itself runs.
pub const COMMANDS: &[&str] = &[EXPLAIN];

/// Diagnostics that get actions at a time; a longer list helps nobody.
const MAX_DIAGNOSTICS: usize = 8;

/// `CodeActionParams`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeActionParams {
    text_document: TextDocument,
    range: Range,
    context: CodeActionContext,
}

#[derive(Deserialize)]
struct CodeActionContext {
    #[serde(default)]
    diagnostics: Vec<Value>,
    only: Option<Vec<String>>,
}

/// `ExecuteCommandParams`
#[derive(Deserialize)]
pub struct ExecuteCommandParams {
    command: String,
    #[serde(default)]
    arguments: Vec<Value>,
}

/// What an action needs to be made when it is chosen.
#[derive(Serialize, Deserialize)]
struct Task {
    uri: String,
    range: WireRange,
    instruction: String,
    version: Option<i32>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct WireRange {
    start: Position,
    end: Position,
}

impl From<Range> for WireRange {
    fn from(range: Range) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// `textDocument/codeAction`
pub fn code_action(context: &Context, params: &CodeActionParams) -> Result<Vec<Value>, Failure> {
    // Other schemes and files outside the workspace get no actions rather than an error.
    let Ok(path) = context.path(&params.text_document.uri) else { return Ok(Vec::new()) };
    let assistant = context.assistant()?;
    let wanted = |kind: &str| {
        params.context.only.as_ref().is_none_or(|only| {
            only.iter().any(|prefix| {
                kind.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('.') || prefix.is_empty()
                })
            })
        })
    };
    let version = assistant.document_version(&path);
    let offer = Offer { context, uri: &params.text_document.uri, version };
    let mut actions = Vec::new();
    if wanted("quickfix") {
        let touching = params.context.diagnostics.iter().filter(|diagnostic| {
            range_of(diagnostic).is_some_and(|range| touches(range, params.range))
        });
        for diagnostic in touching.take(MAX_DIAGNOSTICS) {
            actions.extend(offer.for_diagnostic(diagnostic));
        }
    }
    let has_selection = params.range.start != params.range.end;
    if has_selection && wanted("refactor.rewrite") {
        actions.extend(offer.for_selection(params.range));
    }
    Ok(actions)
}

/// `codeAction/resolve`
pub fn resolve(context: &Context, action: &Value) -> Result<Value, Failure> {
    let mut action = action.clone();
    let Some(data) = action.get("data").cloned() else { return Ok(action) };
    let task: Task =
        serde_json::from_value(data).map_err(|error| Failure::InvalidParams(error.to_string()))?;
    let request = EditParams {
        path: context.path(&task.uri)?,
        version: task.version,
        range: (task.range.start, task.range.end),
        instruction: task.instruction,
        previous_edit_id: None,
    };
    let reply = context.assistant()?.edit(&request, &context.cancel, &mut |_| {})?;
    // The person chose the action: that is the acceptance, and the editor's own undo takes it back.
    let accepted: Vec<String> = reply.hunks.iter().map(|hunk| hunk.id.clone()).collect();
    let edit = context.assistant()?.resolve_edit(&reply.edit_id, &accepted, reply.edit.version)?;
    action["edit"] = context.workspace_edit(&[edit]);
    Ok(action)
}

/// `workspace/executeCommand`
pub fn execute_command(context: &Context, params: &ExecuteCommandParams) -> Result<Value, Failure> {
    if params.command != EXPLAIN {
        return Err(Failure::InvalidParams(format!("there is no command {}", params.command)));
    }
    let argument = params.arguments.first().cloned().unwrap_or_default();
    let task: Task = serde_json::from_value(argument)
        .map_err(|error| Failure::InvalidParams(error.to_string()))?;
    let question = ChatParams {
        message: task.instruction,
        path: Some(context.path(&task.uri)?),
        selection: Some((task.range.start, task.range.end)),
        ..ChatParams::default()
    };
    let reply = context.assistant()?.chat(&question, &context.cancel, &mut |_| {})?;
    let message = json!({ "type": 3, "message": reply.answer });
    context.stream.client.notify("window/showMessage", &message);
    Ok(json!({ "answer": reply.answer }))
}

/// Makes actions for one document.
struct Offer<'a> {
    context: &'a Context,
    uri: &'a str,
    version: Option<i32>,
}

impl Offer<'_> {
    fn for_diagnostic(&self, diagnostic: &Value) -> Vec<Value> {
        let Some(range) = range_of(diagnostic) else { return Vec::new() };
        let text = |key: &str| match &diagnostic[key] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let problem = DiagnosticText {
            message: text("message").unwrap_or_default(),
            source: text("source"),
            code: text("code"),
        };
        let mut actions = vec![
            self.action("Fix with Hearth", "quickfix", &ActionKind::Fix(problem.clone()), range),
            self.action(
                "Explain with Hearth",
                "quickfix",
                &ActionKind::Explain(Some(problem)),
                range,
            ),
        ];
        for action in actions.iter_mut().flatten() {
            action["diagnostics"] = json!([diagnostic]);
        }
        actions.into_iter().flatten().collect()
    }

    fn for_selection(&self, range: Range) -> Vec<Value> {
        [
            ("Hearth: Explain", ActionKind::Explain(None)),
            ("Hearth: Document", ActionKind::Document),
            ("Hearth: Write a test", ActionKind::WriteTest),
            ("Hearth: Refactor", ActionKind::Refactor),
        ]
        .iter()
        .filter_map(|(title, kind)| self.action(title, "refactor.rewrite", kind, range))
        .collect()
    }

    /// One action, or `None` where trust is missing for it or the editor has no way to run it.
    fn action(&self, title: &str, kind: &str, action: &ActionKind, range: Range) -> Option<Value> {
        let trusted = self.context.assistant.as_ref().is_ok_and(AssistantSnapshot::is_trusted);
        if action.changes_files() && !trusted {
            return None;
        }
        let instruction = action.instruction();
        let range = WireRange::from(range);
        let (uri, version) = (self.uri.to_owned(), self.version);
        let mut offered = json!({ "title": title, "kind": kind });
        if self.context.editor.client_commands {
            offered["command"] = if action.changes_files() {
                json!({ "title": title, "command": "hearth.proposeEdit", "arguments": [
                    { "uri": uri, "range": range, "instruction": instruction, "title": title },
                ] })
            } else {
                json!({ "title": title, "command": "hearth.askChat", "arguments": [
                    { "message": instruction, "uri": uri, "range": range },
                ] })
            };
            return Some(offered);
        }
        let task = Task { uri, range, instruction, version };
        if action.changes_files() {
            offered["data"] = json!(task);
        } else {
            offered["command"] = json!({ "title": title, "command": EXPLAIN, "arguments": [task] });
        }
        Some(offered)
    }
}

fn range_of(diagnostic: &Value) -> Option<Range> {
    serde_json::from_value(diagnostic.get("range")?.clone()).ok()
}

/// Whether two ranges share a character or a border.
fn touches(one: Range, other: Range) -> bool {
    let before = |a: Position, b: Position| a.cmp(&b) != Ordering::Greater;
    before(one.start, other.end) && before(other.start, one.end)
}
