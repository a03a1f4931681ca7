//! What the answer to one request is made from.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use assistant::{AssistantError, AssistantSnapshot, FileEdit};
use base::CancelToken;
use crossbeam_channel::Sender;
use serde::Serialize;
use serde_json::{Value, json};
use text::PositionEncoding;
use tower_lsp::jsonrpc::Id;

use crate::{convert, failure::Failure, output::Client, server::Event};

/// What the editor told about itself.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own")]
pub struct Editor {
    /// How it counts characters.
    pub encoding: PositionEncoding,
    /// Takes `documentChanges` in edits.
    pub versioned_edits: bool,
    /// Shows progress that the server begins.
    pub work_done_progress: bool,
    /// Shows ghost text, and so needs no plain completion.
    pub inline_completion: bool,
    /// Lets the server register `textDocument/inlineCompletion` later.
    pub dynamic_inline_completion: bool,
    /// Has commands of its own for Hearth's code actions (`hearth.proposeEdit`, `hearth.askChat`).
    pub client_commands: bool,
}

/// A snapshot of everything, taken in the order of messages, and the way back to the client.
pub struct Context {
    /// Everything that can be asked, as it was when the request came; or why nothing can be.
    pub assistant: Result<AssistantSnapshot, Arc<AssistantError>>,
    /// What the editor can do.
    pub editor: Arc<Editor>,
    /// The editor's own addresses of open documents.
    pub uris: Arc<HashMap<PathBuf, String>>,
    /// Tripped when the answer is not wanted any more.
    pub cancel: CancelToken,
    /// Partial results.
    pub stream: Stream,
}

impl Context {
    /// The assistant, or the reason why there is none.
    pub fn assistant(&self) -> Result<&AssistantSnapshot, Failure> {
        self.assistant
            .as_ref()
            .map_err(|error| Failure::Assistant(AssistantError::Unavailable(error.to_string())))
    }

    /// The canonical path of a document of the workspace.
    pub fn path(&self, uri: &str) -> Result<PathBuf, Failure> {
        let path = convert::path_of_uri(uri)
            .ok_or_else(|| Failure::InvalidParams(format!("{uri} is not a file")))?;
        Ok(self.assistant()?.resolve(&path)?)
    }

    /// The address under which the editor knows a file.
    pub fn uri(&self, path: &Path) -> String {
        self.uris.get(path).cloned().unwrap_or_else(|| convert::uri_of_path(path))
    }

    /// The editor's form of an edit.
    pub fn workspace_edit(&self, edits: &[FileEdit]) -> Value {
        convert::workspace_edit(edits, |path| self.uri(path), self.editor.versioned_edits)
    }
}

/// Sends the partial results of one request. Without a token of the client they are dropped.
pub struct Stream {
    /// The request.
    pub id: Id,
    /// The client's `partialResultToken`.
    pub token: Option<Value>,
    /// The event loop, which drops what comes after the answer.
    pub events: Sender<Event>,
    /// To wait for a client that reads slowly.
    pub client: Client,
}

impl Stream {
    /// Sends a partial result; waits when the client is far behind.
    pub fn send(&self, value: &impl Serialize, cancel: &CancelToken) {
        let Some(token) = &self.token else { return };
        self.client.wait_for_room(cancel);
        let params = json!({ "token": token, "value": value });
        // The loop is gone when the program ends.
        let _ = self.events.send(Event::Progress { id: self.id.clone(), params });
    }
}
