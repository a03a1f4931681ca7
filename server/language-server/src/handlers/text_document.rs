//! The editor's documents, followed keystroke by keystroke.

use std::sync::Arc;

use serde::Deserialize;
use text::Position;
use vfs::Change;

use crate::{convert, server::Server};

/// A document by its address.
#[derive(Debug, Deserialize)]
pub struct TextDocument {
    /// The address.
    pub uri: String,
}

/// A version of a document.
#[derive(Debug, Deserialize)]
pub struct VersionedTextDocument {
    /// The address.
    pub uri: String,
    /// The editor's number; some send none.
    pub version: Option<i32>,
}

/// A range in the editor's units.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Range {
    /// First character inside.
    pub start: Position,
    /// First character after.
    pub end: Position,
}

/// `DidOpenTextDocumentParams`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DidOpen {
    text_document: TextDocumentItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TextDocumentItem {
    uri: String,
    language_id: String,
    version: i32,
    text: String,
}

/// `DidChangeTextDocumentParams`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DidChange {
    text_document: VersionedTextDocument,
    content_changes: Vec<ContentChange>,
}

#[derive(Deserialize)]
struct ContentChange {
    range: Option<Range>,
    text: String,
}

/// The parameters of what happens to a document as a whole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentParams {
    text_document: TextDocument,
}

impl Server {
    pub(crate) fn did_open(&mut self, params: &DidOpen) {
        let Some(session) = &mut self.session else { return };
        let Ok(assistant) = &mut session.assistant else { return };
        let TextDocumentItem { uri, language_id, version, text } = &params.text_document;
        let resolved = convert::path_of_uri(uri).map(|path| assistant.snapshot().resolve(&path));
        match resolved {
            Some(Ok(path)) => {
                assistant.open_document(path.clone(), language_id.clone(), *version, text);
                Arc::make_mut(&mut session.uris).insert(path.clone(), uri.clone());
                session.paths.insert(uri.clone(), path);
            }
            Some(Err(error)) => tracing::info!(uri, %error, "a document is not followed"),
            None => tracing::debug!(uri, "a document that is no file is not followed"),
        }
    }

    pub(crate) fn did_change(&mut self, params: &DidChange) {
        let Some(session) = &mut self.session else { return };
        let Some(path) = session.paths.get(&params.text_document.uri) else { return };
        let Ok(assistant) = &mut session.assistant else { return };
        let changes: Vec<Change> = params
            .content_changes
            .iter()
            .map(|change| Change {
                range: change.range.map(|range| (range.start, range.end)),
                text: change.text.clone(),
            })
            .collect();
        if let Err(error) = assistant.change_document(path, params.text_document.version, &changes)
        {
            tracing::warn!(%error, "a change was refused");
        }
    }

    pub(crate) fn did_save(&mut self, params: &DocumentParams) {
        let Some(session) = &mut self.session else { return };
        let Some(path) = session.open_path(&params.text_document.uri) else { return };
        if let Ok(assistant) = &session.assistant {
            assistant.files_changed(&[path.to_owned()]);
        }
    }

    pub(crate) fn did_close(&mut self, params: &DocumentParams) {
        let Some(session) = &mut self.session else { return };
        let Some(path) = session.paths.remove(&params.text_document.uri) else { return };
        Arc::make_mut(&mut session.uris).remove(&path);
        if let Ok(assistant) = &mut session.assistant {
            assistant.close_document(&path);
        }
    }
}
