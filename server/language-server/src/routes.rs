//! Every method that the server answers, and how long each may make others wait. `docs/protocol.md`
//! describes the same methods; a test compares the two.

use base::Latency;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    context::Context,
    failure::Failure,
    handlers::{chat, code_action, completion, edit, index, symbol},
    server::Server,
};

/// A method that wants an answer.
pub struct Route {
    /// Its name.
    pub method: &'static str,
    /// Which threads answer it.
    pub latency: Latency,
    /// Whether it may hold its thread for long, waiting for a model.
    pub slow: bool,
    /// Whether a newer request of the method makes an older one needless.
    pub latest_wins: bool,
    /// Answers it from a snapshot.
    pub handle: fn(&Context, Value) -> Result<Value, Failure>,
}

/// A method that wants none and changes the state at once, in the order of the messages.
pub struct NotificationRoute {
    /// Its name.
    pub method: &'static str,
    /// Changes the state.
    pub handle: fn(&mut Server, Value) -> Result<(), Failure>,
}

macro_rules! route {
    ($method:literal, $latency:ident $(, $flag:ident)*; $handler:path) => {
        Route {
            $($flag: true,)*
            ..Route::new($method, Latency::$latency, |context, params| {
                answer(context, params, $handler)
            })
        }
    };
}

impl Route {
    const fn new(
        method: &'static str,
        latency: Latency,
        handle: fn(&Context, Value) -> Result<Value, Failure>,
    ) -> Self {
        Self { method, latency, slow: false, latest_wins: false, handle }
    }
}

/// The methods that are answered on other threads from a snapshot taken in the order of messages.
/// `initialize` and `shutdown` are the event loop's own.
pub static REQUESTS: &[Route] = &[
    route!("textDocument/inlineCompletion", Keystroke, latest_wins; completion::inline_completion),
    route!("textDocument/completion", Keystroke, latest_wins; completion::completion),
    route!("textDocument/codeAction", Interactive; code_action::code_action),
    route!("codeAction/resolve", Interactive, slow; code_action::resolve),
    route!("workspace/symbol", Interactive, latest_wins; symbol::workspace_symbol),
    route!("workspace/executeCommand", Interactive, slow; code_action::execute_command),
    route!("hearth/chat", Interactive, slow; chat::chat),
    route!("hearth/conversations", Interactive; chat::conversations),
    route!("hearth/edit", Interactive, slow; edit::edit),
    route!("hearth/edit/resolve", Interactive; edit::resolve),
    route!("hearth/undo", Interactive; edit::undo),
    route!("hearth/index", Interactive; index::index),
    route!("hearth/search", Interactive; symbol::search),
    route!("hearth/map", Interactive; symbol::map),
    route!("hearth/status", Interactive; index::status),
    route!("hearth/explainCompletion", Interactive; completion::explain_completion),
];

macro_rules! notification {
    ($method:literal, $handler:expr) => {
        NotificationRoute {
            method: $method,
            handle: |server, params| {
                $handler(server, &parse(params)?);
                Ok(())
            },
        }
    };
}

/// The notifications that are taken. `$/cancelRequest` and `exit` are the event loop's own; others
/// that begin with `$/` are ignored, as the protocol asks.
pub static NOTIFICATIONS: &[NotificationRoute] = &[
    notification!("initialized", Server::initialized),
    notification!("textDocument/didOpen", Server::did_open),
    notification!("textDocument/didChange", Server::did_change),
    notification!("textDocument/didSave", Server::did_save),
    notification!("textDocument/didClose", Server::did_close),
    notification!("workspace/didChangeConfiguration", Server::did_change_configuration),
    notification!("workspace/didChangeWorkspaceFolders", Server::did_change_workspace_folders),
    notification!("workspace/didChangeWatchedFiles", Server::did_change_watched_files),
    notification!("window/workDoneProgress/cancel", Server::work_done_progress_cancel),
    notification!("hearth/completionEvent", Server::completion_event),
    notification!("hearth/trustChanged", Server::trust_changed),
];

fn answer<P: DeserializeOwned, R: Serialize>(
    context: &Context,
    params: Value,
    handler: fn(&Context, &P) -> Result<R, Failure>,
) -> Result<Value, Failure> {
    let result = handler(context, &parse(params)?)?;
    serde_json::to_value(result).map_err(|error| {
        tracing::error!(%error, "a result is not valid JSON");
        Failure::Internal
    })
}

/// Parameters that are missing count as empty.
fn parse<P: DeserializeOwned>(params: Value) -> Result<P, Failure> {
    let params = if params.is_null() { Value::Object(Map::new()) } else { params };
    serde_json::from_value(params).map_err(|error| Failure::InvalidParams(error.to_string()))
}
