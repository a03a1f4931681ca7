use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{OpenDocument, ReadError, Workspace, looks_secret, read_text};

/// Largest file that [`Snapshot::text`] reads: what VS Code still hands to extensions whole.
pub const MAX_TEXT_BYTES: u64 = 50 * 1024 * 1024;

/// The workspace at one moment: open documents laid over the disk. Cheap to clone; later changes
/// of documents do not reach it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    workspace: Workspace,
    open: Arc<HashMap<PathBuf, Arc<OpenDocument>>>,
}

impl Snapshot {
    /// A snapshot of these open documents, whose paths are canonical.
    pub fn new(
        workspace: Workspace,
        documents: impl IntoIterator<Item = Arc<OpenDocument>>,
    ) -> Self {
        let open: HashMap<_, _> =
            documents.into_iter().map(|document| (document.path.clone(), document)).collect();
        Self::of_map(workspace, Arc::new(open))
    }

    pub(crate) fn of_map(
        workspace: Workspace,
        open: Arc<HashMap<PathBuf, Arc<OpenDocument>>>,
    ) -> Self {
        Self { workspace, open }
    }

    /// The folders and the gate for paths.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The open document at a canonical path.
    pub fn open(&self, path: &Path) -> Option<&Arc<OpenDocument>> {
        self.open.get(path)
    }

    /// All open documents, in no order.
    pub fn open_documents(&self) -> impl Iterator<Item = &Arc<OpenDocument>> {
        self.open.values()
    }

    /// The text of a file of the workspace: that of the open document, else that on the disk. The
    /// path goes through the gate, and files that look secret are refused.
    pub fn text(&self, path: &Path) -> Result<Arc<str>, ReadError> {
        let path = self.workspace.resolve(path)?;
        let relative = self.workspace.relative(&path).unwrap_or_default();
        if looks_secret(&relative) {
            return Err(ReadError::Secret { path: relative });
        }
        match self.open(&path) {
            Some(document) => Ok(document.text()),
            None => Ok(read_text(&path, MAX_TEXT_BYTES)?.text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn open_text_lies_over_the_disk_and_secrets_stay_closed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in [("a", "disk"), ("b", "disk"), (".env", "KEY=1")] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let workspace = Workspace::open(&[folder.path().to_owned()]).expect("opens");
        let path = workspace.resolve(Path::new("a")).expect("inside");
        let document = Arc::new(OpenDocument::new(path, "plaintext".into(), 1, "editor"));
        let snapshot = Snapshot::new(workspace, [document]);
        assert_eq!(&*snapshot.text(Path::new("a")).expect("open"), "editor");
        assert_eq!(&*snapshot.text(Path::new("b")).expect("on disk"), "disk");
        assert!(matches!(snapshot.text(Path::new(".env")), Err(ReadError::Secret { .. })));
        assert!(matches!(snapshot.text(Path::new("/etc/passwd")), Err(ReadError::Refused(_))));
    }
}
