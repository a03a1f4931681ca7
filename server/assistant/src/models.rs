use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base::Folders;
use inference::{Embedder, InferenceError, LanguageModel, Reranker};
use inference_worker::{WorkerConfig, WorkerEmbedder, WorkerModel, WorkerReranker};
use model_registry::{Hardware, Installed, Registry, Role, estimate_memory, gguf};
use parking_lot::Mutex;
use serde::Serialize;

use crate::Config;

/// The embedding worker lets everything else go first, so on a busy machine one text can take long.
const EMBEDDING_SILENCE: Duration = Duration::from_mins(2);

/// Where the models come from. The product asks the registry and starts workers; a test hands in
/// models of its own.
pub trait Models: Send + Sync {
    /// The model of a role, started or not.
    fn model(&self, role: Role) -> Result<Arc<dyn LanguageModel>, InferenceError>;

    /// The model of a role if it is loaded; never waits and starts nothing.
    fn loaded(&self, role: Role) -> Option<Arc<dyn LanguageModel>>;

    /// An installed model by its name, started or not.
    fn named(&self, id: &str) -> Result<Arc<dyn LanguageModel>, InferenceError> {
        Err(InferenceError::Engine(format!("no model is called {id}")))
    }

    /// The model that makes vectors, not started yet, with a name that changes with the model.
    fn embedder(&self) -> Option<(Arc<dyn Embedder>, String)> {
        None
    }

    /// The model that orders hits, not started yet, with a name that changes with the model.
    fn reranker(&self) -> Option<(Arc<dyn Reranker>, String)> {
        None
    }

    /// How each role stands.
    fn status(&self) -> Vec<RoleStatus>;

    /// Ends every worker.
    fn stop(&self);
}

/// How the model of a role stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleStatus {
    /// The model's name, or an empty one.
    pub id: String,
    /// The role.
    pub role: Role,
    /// `missing`, `unloaded`, `loading`, `ready` or `failed`.
    pub state: &'static str,
    /// Why it failed or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The models that the person installed, each in a worker of its own that several roles may share.
pub struct InstalledModels {
    folders: Folders,
    program: PathBuf,
    settings: Mutex<LoadSettings>,
    workers: Mutex<HashMap<PathBuf, Arc<WorkerModel>>>,
    embedder: Mutex<Option<Arc<WorkerEmbedder>>>,
    /// With the model that it runs.
    reranker: Mutex<Option<(Installed, Arc<WorkerReranker>)>>,
}

/// How models are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSettings {
    /// Tokens of context.
    pub context: usize,
    /// Threads; 0 chooses by the machine.
    pub threads: usize,
}

impl From<&Config> for LoadSettings {
    fn from(config: &Config) -> Self {
        Self { context: config.inference_context, threads: config.inference_threads }
    }
}

impl InstalledModels {
    /// Nothing is started until a model is used.
    pub fn new(folders: Folders, program: PathBuf, settings: LoadSettings) -> Self {
        let (settings, workers) = (Mutex::new(settings), Mutex::default());
        let (embedder, reranker) = (Mutex::default(), Mutex::default());
        Self { folders, program, settings, workers, embedder, reranker }
    }

    fn installed(&self, role: Role) -> Result<Installed, InferenceError> {
        let registry = Registry::open(&self.folders)
            .map_err(|error| InferenceError::Engine(error.to_string()))?;
        registry.find(role)
    }

    /// The worker of a model, refused before it starts when the model would not fit.
    fn worker(&self, installed: &Installed) -> Result<Arc<WorkerModel>, InferenceError> {
        let mut workers = self.workers.lock();
        if let Some(worker) = workers.get(&installed.path) {
            return Ok(worker.clone());
        }
        let settings = *self.settings.lock();
        check_memory(installed, settings)?;
        let worker = Arc::new(language_model(&self.program, installed, settings));
        workers.insert(installed.path.clone(), worker.clone());
        Ok(worker)
    }
}

impl Models for InstalledModels {
    fn model(&self, role: Role) -> Result<Arc<dyn LanguageModel>, InferenceError> {
        Ok(self.worker(&self.installed(role)?)?)
    }

    fn named(&self, id: &str) -> Result<Arc<dyn LanguageModel>, InferenceError> {
        Ok(self.worker(&Registry::open(&self.folders)?.installed(id)?)?)
    }

    fn loaded(&self, role: Role) -> Option<Arc<dyn LanguageModel>> {
        let installed = self.installed(role).ok()?;
        let worker = self.workers.lock().get(&installed.path)?.clone();
        worker.loaded().is_some().then_some(worker as Arc<dyn LanguageModel>)
    }

    fn status(&self) -> Vec<RoleStatus> {
        let roles = [Role::Chat, Role::Edit, Role::Completion, Role::Embedding];
        roles.map(|role| self.role_status(role)).into()
    }

    fn embedder(&self) -> Option<(Arc<dyn Embedder>, String)> {
        let model = self.installed(Role::Embedding).ok()?;
        let runtime = self.installed(Role::Runtime).ok()?;
        let mut kept = self.embedder.lock();
        let embedder = kept.get_or_insert_with(|| {
            let mut config = onnx_worker(&self.program, "--embedding", &model, &runtime);
            config.limits.silence = EMBEDDING_SILENCE;
            Arc::new(WorkerEmbedder::new(config))
        });
        Some((Arc::clone(embedder) as Arc<dyn Embedder>, version(&model)))
    }

    fn reranker(&self) -> Option<(Arc<dyn Reranker>, String)> {
        let model = self.installed(Role::Rerank).ok()?;
        let runtime = self.installed(Role::Runtime).ok()?;
        let mut kept = self.reranker.lock();
        let worker = match &*kept {
            Some((held, worker)) if *held == model => Arc::clone(worker),
            _ => {
                let config = onnx_worker(&self.program, "--reranker", &model, &runtime);
                let worker = Arc::new(WorkerReranker::new(config));
                *kept = Some((model.clone(), Arc::clone(&worker)));
                worker
            }
        };
        Some((worker, version(&model)))
    }

    fn stop(&self) {
        for (_, worker) in self.workers.lock().drain() {
            worker.unload();
        }
        if let Some(embedder) = self.embedder.lock().take() {
            embedder.unload();
        }
        if let Some((_, reranker)) = self.reranker.lock().take() {
            reranker.unload();
        }
    }
}

impl InstalledModels {
    fn role_status(&self, role: Role) -> RoleStatus {
        match self.installed(role) {
            Ok(installed) => {
                let worker = self.workers.lock().get(&installed.path).cloned();
                let state = match worker {
                    Some(worker) if worker.loaded().is_some() => "ready",
                    Some(worker) if worker.process_id().is_some() => "loading",
                    _ => "unloaded",
                };
                RoleStatus { id: installed.id, role, state, detail: None }
            }
            Err(error @ InferenceError::NoModel { .. }) => RoleStatus {
                id: String::new(),
                role,
                state: "missing",
                detail: Some(error.to_string()),
            },
            Err(error) => RoleStatus {
                id: String::new(),
                role,
                state: "failed",
                detail: Some(error.to_string()),
            },
        }
    }
}

/// How a worker that runs an installed model on ONNX Runtime is started.
fn onnx_worker(program: &Path, kind: &str, model: &Installed, runtime: &Installed) -> WorkerConfig {
    WorkerConfig::new(program, &model.path)
        .with_argument(kind)
        .with_argument("--runtime")
        .with_argument(&runtime.path)
}

/// A name that changes with the model.
fn version(model: &Installed) -> String {
    format!("{}-{}", model.id, model.sha256.get(..12).unwrap_or_default())
}

/// A worker for an installed model; not started yet.
pub fn language_model(
    program: &Path,
    installed: &Installed,
    settings: LoadSettings,
) -> WorkerModel {
    let mut config = WorkerConfig::new(program, &installed.path)
        .with_argument("--id")
        .with_argument(&installed.id)
        .with_argument("--context")
        .with_argument(context(installed, settings).to_string());
    if settings.threads > 0 {
        config = config.with_argument("--threads").with_argument(settings.threads.to_string());
    }
    WorkerModel::new(config)
}

/// The context to load with: what the person wants, but no more than the model was trained for.
fn context(installed: &Installed, settings: LoadSettings) -> u64 {
    let wanted = settings.context as u64;
    installed.context.map_or(wanted, |trained| wanted.min(trained.max(512)))
}

/// Refuses, with numbers, a model that would not fit into the memory that is free now. What the
/// header does not tell is left to the engine.
fn check_memory(installed: &Installed, settings: LoadSettings) -> Result<(), InferenceError> {
    let refused =
        |reason: String| InferenceError::ModelFile { path: installed.path.clone(), reason };
    let header = gguf::inspect(&installed.path).map_err(|error| refused(error.to_string()))?;
    let estimate = estimate_memory(&header, context(installed, settings), installed.bytes);
    estimate.check(&Hardware::measure())
}

pub mod fake {
    //! Models for the tests of the faces.

    use super::{Arc, InferenceError, LanguageModel, Models, Role, RoleStatus};

    /// One model for every role, or none.
    pub struct FixedModels {
        model: Option<Arc<dyn LanguageModel>>,
    }

    impl FixedModels {
        /// This model for every role.
        pub fn new(model: Arc<dyn LanguageModel>) -> Self {
            Self { model: Some(model) }
        }

        /// No model at all.
        pub fn none() -> Self {
            Self { model: None }
        }
    }

    impl Models for FixedModels {
        fn model(&self, role: Role) -> Result<Arc<dyn LanguageModel>, InferenceError> {
            self.model.clone().ok_or_else(|| InferenceError::NoModel {
                role: role.to_string(),
                command: "hearth models pull default".into(),
            })
        }

        fn loaded(&self, _role: Role) -> Option<Arc<dyn LanguageModel>> {
            self.model.clone().filter(|model| model.loaded().is_some())
        }

        fn status(&self) -> Vec<RoleStatus> {
            let (id, state) = match &self.model {
                Some(model) => (model.loaded().map(|info| info.id.clone()), "ready"),
                None => (None, "missing"),
            };
            let id = id.unwrap_or_default();
            vec![RoleStatus { id, role: Role::Chat, state, detail: None }]
        }

        fn stop(&self) {}
    }
}
