//! What lives from `initialize` on: the assistant, and what the editor told about itself.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use assistant::{Assistant, AssistantError, AssistantOptions, AssistantSnapshot, Models};
use base::Folders;
use crossbeam_channel::Sender;
use serde::Deserialize;
use serde_json::{Value, json};
use text::PositionEncoding;

use crate::{
    context::Editor,
    convert,
    handlers::code_action,
    server::{Ending, Event},
    stdio,
};

/// How often the parent process is looked for.
const PARENT_INTERVAL: Duration = Duration::from_secs(1);

/// How long putting things away may take at the end.
const LAST_RESORT: Duration = Duration::from_secs(2);

/// What is needed to open an assistant besides the folders that the editor names.
pub struct Launcher {
    /// Where Hearth keeps its own files; `Err` says why there is no such place.
    pub folders: Result<Folders, String>,
    /// The program that workers are started from.
    pub program: PathBuf,
    /// Whether the network is forbidden.
    pub offline: bool,
    /// Other models than the installed ones.
    pub models: Option<Arc<dyn Models>>,
    /// Whether the process ends with the connection, whatever still runs.
    pub owns_process: bool,
}

impl Launcher {
    /// Sees to it that the process ends soon, even when something hangs while it is put away.
    pub fn leave(&self, ending: Ending) {
        if !self.owns_process {
            return;
        }
        let code = i32::from(ending != Ending::Orderly);
        let last_resort = move || {
            thread::sleep(LAST_RESORT);
            std::process::exit(code);
        };
        if thread::Builder::new().name("exit".into()).spawn(last_resort).is_err() {
            std::process::exit(code);
        }
    }
}

/// `InitializeParams`, as far as it matters here. Anything else in it may be of any form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeParams {
    process_id: Option<u32>,
    root_uri: Option<String>,
    root_path: Option<String>,
    workspace_folders: Option<Vec<WorkspaceFolder>>,
    #[serde(default)]
    client_info: Value,
    #[serde(default)]
    initialization_options: Value,
    #[serde(default)]
    capabilities: Value,
}

/// A folder that the editor has open.
#[derive(Clone, Deserialize)]
pub struct WorkspaceFolder {
    /// Its address.
    pub uri: String,
}

/// What lives from `initialize` on.
pub struct Session {
    /// The editor's side.
    pub editor: Arc<Editor>,
    /// Everything that can be asked, or why nothing can be.
    pub assistant: Result<Assistant, Arc<AssistantError>>,
    /// Paths of open documents by the editor's addresses, so that a keystroke follows no links.
    pub paths: HashMap<String, PathBuf>,
    /// The editor's addresses of open documents.
    pub uris: Arc<HashMap<PathBuf, String>>,
    /// The folders as the editor names them.
    folders: Vec<PathBuf>,
    /// A folder to stand in when the editor has none open.
    fallback: Option<PathBuf>,
}

impl Session {
    /// Opens the assistant for the editor's folders and hands back the result of `initialize`.
    pub fn open(
        launcher: &Launcher,
        params: &InitializeParams,
        on_change: Arc<dyn Fn() + Send + Sync>,
        events: &Sender<Event>,
    ) -> (Self, Value) {
        let options = &params.initialization_options;
        let trusted = options["trusted"].as_bool().unwrap_or(false);
        let editor = Arc::new(editor(params));
        let folders = folders(params);
        let fallback = launcher.folders.as_ref().ok().and_then(empty_folder);
        let assistant = open_assistant(launcher, roots(&folders, fallback.as_ref()), |options| {
            AssistantOptions { trusted, on_change: Some(on_change), ..options }
        })
        .map(|mut assistant| {
            assistant.set_encoding(editor.encoding);
            assistant.set_editor_settings(&options["settings"]);
            assistant
        });
        if let Err(error) = &assistant {
            tracing::error!(%error, "the workspace cannot be opened");
        }
        if let Some(process) = params.process_id {
            watch_parent(process, events.clone());
        }
        let result = json!({
            "capabilities": capabilities(&editor),
            "serverInfo": { "name": "hearth", "version": env!("CARGO_PKG_VERSION") },
        });
        let (paths, uris) = (HashMap::new(), Arc::default());
        (Self { editor, assistant, paths, uris, folders, fallback }, result)
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> Result<AssistantSnapshot, Arc<AssistantError>> {
        self.assistant.as_ref().map(Assistant::snapshot).map_err(Clone::clone)
    }

    /// Goes on with other folders.
    pub fn change_folders(&mut self, added: &[WorkspaceFolder], removed: &[WorkspaceFolder]) {
        let path = |folder: &WorkspaceFolder| convert::path_of_uri(&folder.uri);
        let removed: Vec<PathBuf> = removed.iter().filter_map(path).collect();
        self.folders.retain(|folder| !removed.contains(folder));
        for folder in added.iter().filter_map(path) {
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
            }
        }
        let roots = roots(&self.folders, self.fallback.as_ref());
        if let Ok(assistant) = &mut self.assistant
            && let Err(error) = assistant.set_roots(&roots)
        {
            tracing::error!(%error, "the folders cannot be opened");
        }
    }

    /// The canonical path of a document that the editor has open.
    pub fn open_path(&self, uri: &str) -> Option<&Path> {
        self.paths.get(uri).map(PathBuf::as_path)
    }

    /// Stops what runs in the background.
    pub fn stop(&self) {
        if let Ok(assistant) = &self.assistant {
            assistant.stop();
        }
    }
}

fn open_assistant(
    launcher: &Launcher,
    roots: Vec<PathBuf>,
    complete: impl FnOnce(AssistantOptions) -> AssistantOptions,
) -> Result<Assistant, Arc<AssistantError>> {
    let folders = launcher.folders.clone().map_err(AssistantError::Unavailable)?;
    let mut options = AssistantOptions::new(roots, folders, launcher.program.clone());
    options.offline = launcher.offline;
    options.watch = true;
    options.models.clone_from(&launcher.models);
    Assistant::open(complete(options)).map_err(Arc::new)
}

fn folders(params: &InitializeParams) -> Vec<PathBuf> {
    let named = params.workspace_folders.iter().flatten();
    let named: Vec<PathBuf> =
        named.filter_map(|folder| convert::path_of_uri(&folder.uri)).collect();
    if !named.is_empty() {
        return named;
    }
    let root = params.root_uri.as_deref().and_then(convert::path_of_uri);
    root.or_else(|| params.root_path.clone().map(PathBuf::from)).into_iter().collect()
}

/// The editor's folders that exist, or the empty one.
fn roots(folders: &[PathBuf], fallback: Option<&PathBuf>) -> Vec<PathBuf> {
    let roots: Vec<PathBuf> = folders.iter().filter(|folder| folder.is_dir()).cloned().collect();
    if roots.is_empty() { fallback.cloned().into_iter().collect() } else { roots }
}

/// A folder of ours with nothing in it: an editor without a folder can still chat.
fn empty_folder(folders: &Folders) -> Option<PathBuf> {
    let folder = folders.data().ok()?.join("no-folder");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

fn editor(params: &InitializeParams) -> Editor {
    let capability = |pointer: &str| params.capabilities.pointer(pointer);
    let is_set = |pointer: &str| capability(pointer).and_then(Value::as_bool) == Some(true);
    let offers_utf8 = capability("/general/positionEncodings")
        .and_then(Value::as_array)
        .is_some_and(|encodings| encodings.iter().any(|encoding| encoding == "utf-8"));
    let commands = params.initialization_options.get("clientCommands").and_then(Value::as_bool);
    let name = params.client_info["name"].as_str().unwrap_or_default();
    Editor {
        encoding: if offers_utf8 { PositionEncoding::Utf8 } else { PositionEncoding::Utf16 },
        versioned_edits: is_set("/workspace/workspaceEdit/documentChanges"),
        work_done_progress: is_set("/window/workDoneProgress"),
        inline_completion: capability("/textDocument/inlineCompletion").is_some(),
        dynamic_inline_completion: is_set("/textDocument/inlineCompletion/dynamicRegistration"),
        // The extension for VS Code and its relatives registers them; no other editor has them.
        client_commands: commands.unwrap_or_else(|| is_vscode(name)),
    }
}

fn is_vscode(name: &str) -> bool {
    ["visual studio code", "code-server", "vscodium", "code - oss"]
        .iter()
        .any(|known| name.to_lowercase().contains(known))
}

/// `ServerCapabilities`. Inline completion stands here only for editors that cannot have it
/// registered later, plain completion only for those without ghost text.
fn capabilities(editor: &Editor) -> Value {
    let encoding = match editor.encoding {
        PositionEncoding::Utf8 => "utf-8",
        PositionEncoding::Utf16 => "utf-16",
        PositionEncoding::Utf32 => "utf-32",
    };
    let mut capabilities = json!({
        "positionEncoding": encoding,
        "textDocumentSync": {
            "openClose": true, "change": 2, "save": { "includeText": false },
        },
        "codeActionProvider": {
            "codeActionKinds": ["quickfix", "refactor.rewrite"], "resolveProvider": true,
        },
        "workspaceSymbolProvider": true,
        "executeCommandProvider": { "commands": code_action::COMMANDS },
        "workspace": {
            "workspaceFolders": { "supported": true, "changeNotifications": true },
        },
    });
    if !editor.inline_completion {
        capabilities["completionProvider"] = json!({ "triggerCharacters": ["."] });
    }
    if !editor.dynamic_inline_completion {
        capabilities["inlineCompletionProvider"] = json!(true);
    }
    capabilities
}

/// Tells the event loop when the process that started us is gone, for editors whose pipe stays
/// open in some other process.
fn watch_parent(process: u32, events: Sender<Event>) {
    let watch = move || {
        while stdio::is_alive(process) {
            thread::sleep(PARENT_INTERVAL);
        }
        tracing::info!(process, "the editor's process is gone");
        let _ = events.send(Event::ParentDied);
    };
    if let Err(error) = thread::Builder::new().name("parent".into()).spawn(watch) {
        tracing::warn!(%error, "the editor's process is not watched");
    }
}
