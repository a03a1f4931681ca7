use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use base::CancelToken;
use indexer::IndexSnapshot;
use model_registry::Role;
use retrieval::{Deepening, DocumentationFolders};
use text::PositionEncoding;
use vfs::Snapshot;

use crate::{
    AssistantError, docs_folders::DocsFolders, index_service::IndexService, shared::Shared,
};

/// The read side: everything that can be asked, over the documents as they were when it was taken.
/// Cheap to clone; used from any thread.
#[derive(Clone)]
pub struct AssistantSnapshot {
    pub(crate) shared: Arc<Shared>,
    pub(crate) files: Snapshot,
    pub(crate) index: Arc<IndexService>,
    pub(crate) docs: Arc<DocsFolders>,
    pub(crate) encoding: PositionEncoding,
    /// Whether background threads keep everything up to date; otherwise it is done when asked.
    pub(crate) watch: bool,
}

impl AssistantSnapshot {
    /// The canonical path of a file of the workspace; refused outside of it.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, AssistantError> {
        Ok(self.files.workspace().resolve(path)?)
    }

    /// The canonical path of a file by its name in results, which in a workspace of several folders
    /// begins with that of the folder.
    pub fn absolute(&self, relative: &str) -> Result<PathBuf, AssistantError> {
        Ok(self.files.workspace().absolute(relative)?)
    }

    /// The version of an open document.
    pub fn document_version(&self, path: &Path) -> Option<i32> {
        self.files.open(path).map(|document| document.version)
    }

    /// Whether the person trusts the workspace.
    pub fn is_trusted(&self) -> bool {
        self.shared.trusted.load(Ordering::Acquire)
    }

    /// The text of a file of the workspace, as it is in the editor or else on the disk.
    pub(crate) fn text(&self, path: &Path) -> Result<Arc<str>, AssistantError> {
        self.files.text(path).map_err(AssistantError::reading(path))
    }

    /// The path of a file of the workspace as it is shown.
    pub(crate) fn relative(&self, path: &Path) -> Result<String, AssistantError> {
        let path = self.resolve(path)?;
        let outside = || vfs::WorkspaceError::Outside { path: path.clone() };
        Ok(self.files.workspace().relative(&path).ok_or_else(outside)?)
    }

    /// The models that a search may ask, as the person set it. In an editor it waits for none to be
    /// loaded, and the chat model is not started for it.
    pub(crate) fn deepening(&self) -> Deepening {
        let (rerank, expand) = {
            let config = self.shared.config.read();
            (config.search_rerank, config.search_expand)
        };
        let models = &self.shared.models;
        let chat =
            || if self.watch { models.loaded(Role::Chat) } else { models.model(Role::Chat).ok() };
        Deepening {
            reranker: if rerank { models.reranker() } else { None },
            expander: if expand { chat() } else { None },
            waits: !self.watch,
            cache: Arc::clone(&self.shared.deepening),
        }
    }

    /// The index with every change made before this snapshot.
    pub(crate) fn current_index(
        &self,
        cancel: &CancelToken,
    ) -> Result<IndexSnapshot, AssistantError> {
        self.index.current(cancel)
    }

    /// The folders of documentation that the person named, indexed as they are now.
    pub(crate) fn documentation(
        &self,
        cancel: &CancelToken,
    ) -> Result<DocumentationFolders, AssistantError> {
        self.docs.current(self.files.workspace(), cancel)
    }
}
