use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak, atomic::Ordering},
};

use adaptation::Store;
use base::{CancelToken, Folders};
use indexer::{EmbeddingSource, IndexReport, Progress};
use pdf_text::{PdfReader, ProcessReader};
use serde::Deserialize;
use serde_json::Value;
use text::PositionEncoding;
use vfs::{Change, ChangeError, Documents, OpenDocument, Workspace};

use crate::{
    AssistantError, AssistantSnapshot, Config, EditorSettings, InstalledModels, Models,
    docs_folders::DocsFolders,
    index_service::{FindEmbedding, IndexService, OnChange},
    shared::Shared,
};

/// What an assistant needs to know before it opens.
pub struct AssistantOptions {
    /// The folders to work on.
    pub roots: Vec<PathBuf>,
    /// Where Hearth keeps its own files.
    pub folders: Folders,
    /// The program that runs models and reads PDFs.
    pub program: PathBuf,
    /// Whether the person trusts the workspace.
    pub trusted: bool,
    /// Never to open a connection. Nothing here does; kept for what is shown.
    pub offline: bool,
    /// Opens the index in the background and keeps it up to date. Otherwise it is brought up to
    /// date when asked.
    pub watch: bool,
    /// Models to use instead of the installed ones.
    pub models: Option<Arc<dyn Models>>,
    /// Called when the status may have changed, from any thread; must not block.
    pub on_change: Option<OnChange>,
}

impl AssistantOptions {
    /// An untrusted workspace with installed models, brought up to date when asked.
    pub fn new(roots: Vec<PathBuf>, folders: Folders, program: PathBuf) -> Self {
        Self {
            roots,
            folders,
            program,
            trusted: false,
            offline: false,
            watch: false,
            models: None,
            on_change: None,
        }
    }
}

/// What became of a suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CompletionEventKind {
    /// It was seen.
    Shown,
    /// It was taken whole.
    Accepted,
    /// A part of it was taken.
    PartlyAccepted,
    /// It was sent away.
    Rejected,
}

/// The host: owns what changes. It belongs to one thread; whoever answers reads a
/// [snapshot](Self::snapshot).
pub struct Assistant {
    documents: Documents,
    index: Arc<IndexService>,
    docs: Arc<DocsFolders>,
    shared: Arc<Shared>,
    encoding: PositionEncoding,
    watch: bool,
    pdf: Arc<dyn PdfReader>,
}

impl Assistant {
    /// Opens a workspace. Quick: with `watch` the index is opened on a thread of its own.
    pub fn open(options: AssistantOptions) -> Result<Self, AssistantError> {
        let workspace = Workspace::open(&options.roots)?;
        let (config, warnings) = load_config(&options.folders, &workspace);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let pdf: Arc<dyn PdfReader> =
            Arc::new(ProcessReader::new(options.program.clone(), &["worker", "--pdf"]));
        let models = options.models.unwrap_or_else(|| {
            let (folders, program) = (options.folders.clone(), options.program);
            Arc::new(InstalledModels::new(folders, program, (&config).into()))
        });
        let shared =
            Shared::new(options.folders, models, config, options.trusted, options.on_change);
        let shared = Arc::new(shared);
        let index = open_index(&shared, workspace.clone(), options.watch, Arc::clone(&pdf));
        let docs = docs_folders(&shared, options.watch, Arc::clone(&pdf));
        Ok(Self {
            documents: Documents::new(workspace),
            index,
            docs: Arc::new(docs),
            shared,
            encoding: PositionEncoding::default(),
            watch: options.watch,
            pdf,
        })
    }

    /// How the face counts characters; UTF-16 unless it says otherwise.
    pub fn set_encoding(&mut self, encoding: PositionEncoding) {
        self.encoding = encoding;
    }

    /// Takes over what an editor may set. Whatever could name a program, a server or a model is
    /// ignored.
    pub fn set_editor_settings(&mut self, settings: &Value) {
        *self.shared.editor_settings.write() = EditorSettings::read(settings);
    }

    /// The person granted or withdrew trust.
    pub fn set_trusted(&mut self, trusted: bool) {
        self.shared.trusted.store(trusted, Ordering::Release);
        self.shared.changed();
    }

    /// Goes on with other folders.
    pub fn set_roots(&mut self, roots: &[PathBuf]) -> Result<(), AssistantError> {
        let workspace = Workspace::open(roots)?;
        self.index.stop();
        self.documents.set_workspace(workspace.clone());
        self.shared.forget_workspace();
        self.index = open_index(&self.shared, workspace, self.watch, Arc::clone(&self.pdf));
        for document in self.documents.snapshot().open_documents() {
            self.index.document_changed(document);
        }
        Ok(())
    }

    /// Ends background work and workers.
    pub fn stop(&self) {
        self.index.stop();
        self.docs.stop();
        self.shared.models.stop();
    }

    /// The editor opened a document. `path` is canonical.
    pub fn open_document(&mut self, path: PathBuf, language_id: String, version: i32, text: &str) {
        let document = self.documents.open(OpenDocument::new(path, language_id, version, text));
        self.index.document_changed(&document);
    }

    /// The editor changed a document. Without a version it is the next one.
    pub fn change_document(
        &mut self,
        path: &Path,
        version: Option<i32>,
        changes: &[Change],
    ) -> Result<(), ChangeError> {
        let next = || {
            let snapshot = self.documents.snapshot();
            snapshot.open(path).map_or(0, |document| document.version.saturating_add(1))
        };
        let version = version.unwrap_or_else(next);
        let document = self.documents.change(path, version, changes, self.encoding)?;
        self.shared.activity.typed();
        self.index.document_changed(&document);
        Ok(())
    }

    /// The editor closed a document.
    pub fn close_document(&mut self, path: &Path) {
        if self.documents.close(path) {
            self.index.document_closed(path);
        }
    }

    /// Files were saved, or changed by others.
    pub fn files_changed(&self, paths: &[PathBuf]) {
        self.index.files_changed(paths);
    }

    /// The person saw, took or sent away a suggestion.
    pub fn completion_event(&self, item: &str, kind: CompletionEventKind, length: Option<usize>) {
        self.shared.completion_events.count(kind);
        let workspace = self.shared.instant.current();
        match kind {
            CompletionEventKind::Shown => {}
            CompletionEventKind::Accepted | CompletionEventKind::PartlyAccepted => {
                workspace.cache.accepted(item, length);
            }
            CompletionEventKind::Rejected => workspace.cache.rejected(item),
        }
    }

    /// Everything as it is now. Cheap.
    pub fn snapshot(&self) -> AssistantSnapshot {
        AssistantSnapshot {
            shared: self.shared.clone(),
            files: self.documents.snapshot(),
            index: self.index.clone(),
            docs: self.docs.clone(),
            encoding: self.encoding,
            watch: self.watch,
        }
    }

    /// Opens the index as it is stored, without looking whether the files have changed since.
    pub fn open_index(&self) -> Result<(), AssistantError> {
        self.index.open_stored()
    }

    /// Looks at what is stored of the index, on this thread; what is damaged is made anew.
    pub fn verify_index(&self) -> Result<(), AssistantError> {
        self.index.verify()
    }

    /// Brings the index up to date on this thread.
    pub fn update_index(
        &self,
        rebuild: bool,
        cancel: &CancelToken,
        progress: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<IndexReport, AssistantError> {
        self.index.update(rebuild, cancel, progress)
    }

    /// Makes the vectors that the index lacks, where an embedding model is installed. `progress` is
    /// told how many chunks have one, of how many.
    pub fn embed_index(
        &self,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(), AssistantError> {
        self.index.embed(cancel, progress)
    }
}

impl Drop for Assistant {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The installed embedding model. In the background it works for an editor only, whose process
/// stays, while nobody waits for anything and on power.
fn find_embedding(shared: Weak<Shared>, watch: bool) -> FindEmbedding {
    Box::new(move || {
        let strong = shared.upgrade()?;
        if !strong.config.read().index_vectors {
            return None;
        }
        let folder = strong.folders.cache().ok()?;
        let (embedder, model) = strong.models.embedder()?;
        let shared = shared.clone();
        let may_work = move || {
            let quiet = || shared.upgrade().is_some_and(|shared| shared.is_quiet());
            watch && quiet() && !base::on_battery()
        };
        Some(EmbeddingSource { embedder, model, folder, may_work: Arc::new(may_work) })
    })
}

fn load_config(folders: &Folders, workspace: &Workspace) -> (Config, Vec<String>) {
    let root = workspace.roots().first().map(PathBuf::as_path);
    Config::load(folders, root.unwrap_or(Path::new(".")))
}

/// The index of a workspace; with `watch` it starts at once and feeds the instant model.
fn open_index(
    shared: &Arc<Shared>,
    workspace: Workspace,
    watch: bool,
    pdf: Arc<dyn PdfReader>,
) -> Arc<IndexService> {
    shared.instant.open(Store::new(&shared.folders, &workspace.key()));
    let weak = Arc::downgrade(shared);
    let on_change: OnChange = Arc::new(move || {
        if let Some(shared) = weak.upgrade() {
            shared.index_changed();
        }
    });
    let folders = shared.folders.clone();
    let embedding = find_embedding(Arc::downgrade(shared), watch);
    let index = IndexService::new(workspace, folders, Some(on_change), embedding, pdf, watch);
    let index = Arc::new(index);
    if watch {
        shared.watch_instant(&index);
        index.start();
    }
    index
}

/// The folders of documentation that the person named. Their indexes feed neither completion nor the instant model.
fn docs_folders(shared: &Arc<Shared>, watch: bool, pdf: Arc<dyn PdfReader>) -> DocsFolders {
    let (weak, folders) = (Arc::downgrade(shared), shared.folders.clone());
    let make = move |workspace| {
        let changed = weak.clone();
        let on_change: OnChange = Arc::new(move || {
            if let Some(shared) = changed.upgrade() {
                shared.changed();
            }
        });
        let embedding = find_embedding(weak.clone(), watch);
        let (folders, pdf) = (folders.clone(), Arc::clone(&pdf));
        IndexService::new(workspace, folders, Some(on_change), embedding, pdf, watch)
    };
    DocsFolders::new(&shared.config.read().docs_folders, Box::new(make), watch)
}
