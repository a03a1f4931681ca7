//! What happens around the documents: registration, settings, folders, trust.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    convert,
    server::{Server, registration},
    session::WorkspaceFolder,
};

/// `InitializedParams`: nothing of it matters.
#[derive(Deserialize)]
pub struct Initialized {}

/// `DidChangeConfigurationParams`.
#[derive(Deserialize)]
pub struct DidChangeConfiguration {
    #[serde(default)]
    settings: Value,
}

/// `DidChangeWorkspaceFoldersParams`.
#[derive(Deserialize)]
pub struct DidChangeWorkspaceFolders {
    event: WorkspaceFoldersChange,
}

#[derive(Deserialize)]
struct WorkspaceFoldersChange {
    added: Vec<WorkspaceFolder>,
    removed: Vec<WorkspaceFolder>,
}

/// `DidChangeWatchedFilesParams`.
#[derive(Deserialize)]
pub struct DidChangeWatchedFiles {
    changes: Vec<FileEvent>,
}

#[derive(Deserialize)]
struct FileEvent {
    uri: String,
}

/// `WorkDoneProgressCancelParams`: the index has no button to stop it but `hearth/index`.
#[derive(Deserialize)]
pub struct WorkDoneProgressCancel {}

/// Parameters of `hearth/trustChanged`.
#[derive(Deserialize)]
pub struct TrustChanged {
    trusted: bool,
}

/// Parameters of `hearth/completionEvent`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletionEvent {
    item_id: String,
    kind: assistant::CompletionEventKind,
    length: Option<usize>,
}

impl Server {
    pub(crate) fn initialized(&mut self, _params: &Initialized) {
        let Some(session) = &self.session else { return };
        if session.editor.dynamic_inline_completion {
            let options = json!({ "documentSelector": [
                { "scheme": "file" }, { "scheme": "untitled" },
            ] });
            self.client.request(
                "client/registerCapability",
                &registration("textDocument/inlineCompletion", &options),
            );
        }
        if let Err(error) = &session.assistant {
            let message = format!("Hearth cannot work here: {error}");
            self.client.notify("window/showMessage", &json!({ "type": 1, "message": message }));
        }
    }

    pub(crate) fn did_change_configuration(&mut self, params: &DidChangeConfiguration) {
        if let Some(Ok(assistant)) = self.session.as_mut().map(|session| &mut session.assistant) {
            let settings = params.settings.get("hearth").unwrap_or(&params.settings);
            assistant.set_editor_settings(settings);
        }
    }

    pub(crate) fn did_change_workspace_folders(&mut self, params: &DidChangeWorkspaceFolders) {
        if let Some(session) = &mut self.session {
            session.change_folders(&params.event.added, &params.event.removed);
        }
    }

    pub(crate) fn did_change_watched_files(&mut self, params: &DidChangeWatchedFiles) {
        if let Some(Ok(assistant)) = self.session.as_ref().map(|session| &session.assistant) {
            let paths: Vec<PathBuf> = params
                .changes
                .iter()
                .filter_map(|change| convert::path_of_uri(&change.uri))
                .collect();
            assistant.files_changed(&paths);
        }
    }

    #[expect(clippy::unused_self, reason = "all notifications have this form")]
    pub(crate) fn work_done_progress_cancel(&mut self, _params: &WorkDoneProgressCancel) {}

    pub(crate) fn trust_changed(&mut self, params: &TrustChanged) {
        if let Some(Ok(assistant)) = self.session.as_mut().map(|session| &mut session.assistant) {
            assistant.set_trusted(params.trusted);
        }
    }

    pub(crate) fn completion_event(&mut self, params: &CompletionEvent) {
        if let Some(Ok(assistant)) = self.session.as_ref().map(|session| &session.assistant) {
            assistant.completion_event(&params.item_id, params.kind, params.length);
        }
    }
}
