use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use base::CancelToken;
use inference::{
    Embedder, GenerateRequest, Generation, InferenceError, LanguageModel, ModelInfo, Reranker,
    TextSink,
};
use parking_lot::Mutex;

use crate::{
    Served, WorkerConfig,
    message::{ReplyBody, RequestBody},
    supervisor::Supervisor,
};

/// A language model in a process of its own, started with the first request.
pub struct WorkerModel {
    supervisor: Supervisor,
    /// Handed out as long as the worker says the same.
    info: Mutex<Option<Arc<ModelInfo>>>,
}

impl WorkerModel {
    /// Starts nothing yet.
    pub fn new(config: WorkerConfig) -> Self {
        Self { supervisor: Supervisor::new(config), info: Mutex::default() }
    }

    /// Frees the model's memory; what runs is cancelled. The next request loads it again.
    pub fn unload(&self) {
        self.supervisor.close();
    }

    /// The worker's process, while there is one.
    pub fn process_id(&self) -> Option<u32> {
        self.supervisor.process_id()
    }

    /// The most memory the worker has held so far, in bytes, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        peak_memory(self.process_id()?)
    }

    fn info(&self, served: Served) -> Result<Arc<ModelInfo>, InferenceError> {
        let Served::Language(info) = served else {
            return Err(InferenceError::Engine("the worker holds no language model".into()));
        };
        let mut kept = self.info.lock();
        match &*kept {
            Some(kept) if **kept == *info => Ok(kept.clone()),
            _ => Ok(kept.insert(Arc::from(info)).clone()),
        }
    }
}

impl LanguageModel for WorkerModel {
    fn load(&self, cancel: &CancelToken) -> Result<Arc<ModelInfo>, InferenceError> {
        let (_, served) = self.supervisor.ready(cancel)?;
        self.info(served)
    }

    fn loaded(&self) -> Option<Arc<ModelInfo>> {
        self.info(self.supervisor.loaded()?).ok()
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut TextSink<'_>,
    ) -> Result<Generation, InferenceError> {
        let (connection, _) = self.supervisor.ready(cancel)?;
        let mut text = String::new();
        let mut keep = |delta: &str| {
            text.push_str(delta);
            sink(delta)
        };
        match connection.call(RequestBody::Generate(request.clone()), cancel, &mut keep)? {
            ReplyBody::Generated(generation) => Ok(Generation { text, ..generation }),
            _ => Err(unexpected()),
        }
    }

    fn count_tokens(&self, text: &str, cancel: &CancelToken) -> Result<usize, InferenceError> {
        let (connection, _) = self.supervisor.ready(cancel)?;
        match connection.call(RequestBody::CountTokens(text.to_owned()), cancel, &mut ignore)? {
            ReplyBody::Count(count) => Ok(count),
            _ => Err(unexpected()),
        }
    }
}

/// An embedding model in a process of its own, started with the first request.
pub struct WorkerEmbedder {
    supervisor: Supervisor,
}

impl WorkerEmbedder {
    /// Starts nothing yet.
    pub fn new(config: WorkerConfig) -> Self {
        Self { supervisor: Supervisor::new(config) }
    }

    /// Loads the model if need be: the length of its vectors.
    pub fn load(&self, cancel: &CancelToken) -> Result<usize, InferenceError> {
        let (_, served) = self.supervisor.ready(cancel)?;
        dimensions(&served)
            .ok_or_else(|| InferenceError::Engine("the worker holds no embedding model".into()))
    }

    /// Frees the model's memory; what runs is cancelled. The next request loads it again.
    pub fn unload(&self) {
        self.supervisor.close();
    }

    /// The worker's process, while there is one.
    pub fn process_id(&self) -> Option<u32> {
        self.supervisor.process_id()
    }
}

impl Embedder for WorkerEmbedder {
    /// 0 before the model is loaded.
    fn dimensions(&self) -> usize {
        self.supervisor.loaded().as_ref().and_then(dimensions).unwrap_or(0)
    }

    fn embed(
        &self,
        texts: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, InferenceError> {
        let (connection, served) = self.supervisor.ready(cancel)?;
        let dimensions = dimensions(&served);
        match connection.call(RequestBody::Embed(texts.to_vec()), cancel, &mut ignore)? {
            ReplyBody::Embedded(vectors)
                if vectors.len() == texts.len()
                    && vectors.iter().all(|vector| Some(vector.len()) == dimensions) =>
            {
                Ok(vectors)
            }
            _ => Err(unexpected()),
        }
    }
}

/// A model that scores passages, in a process of its own, started with the first request.
pub struct WorkerReranker {
    inner: Arc<Preparing>,
}

struct Preparing {
    supervisor: Supervisor,
    /// Whether a thread waits for the model to be loaded.
    waits: AtomicBool,
}

impl WorkerReranker {
    /// Starts nothing yet.
    pub fn new(config: WorkerConfig) -> Self {
        let (supervisor, waits) = (Supervisor::new(config), AtomicBool::new(false));
        Self { inner: Arc::new(Preparing { supervisor, waits }) }
    }

    /// Loads the model if need be.
    pub fn load(&self, cancel: &CancelToken) -> Result<(), InferenceError> {
        match self.inner.supervisor.ready(cancel)? {
            (_, Served::Reranker) => Ok(()),
            _ => Err(InferenceError::Engine("the worker holds no reranker".into())),
        }
    }

    /// Frees the model's memory; what runs is cancelled. The next request loads it again.
    pub fn unload(&self) {
        self.inner.supervisor.close();
    }

    /// The worker's process, while there is one.
    pub fn process_id(&self) -> Option<u32> {
        self.inner.supervisor.process_id()
    }
}

impl Reranker for WorkerReranker {
    fn prepare(&self) -> bool {
        if self.inner.supervisor.loaded().is_some() {
            return true;
        }
        if !self.inner.waits.swap(true, Ordering::AcqRel) {
            let inner = Arc::clone(&self.inner);
            let work = move || {
                if let Err(error) = inner.supervisor.ready(&CancelToken::new()) {
                    tracing::warn!(%error, "the reranker cannot be loaded");
                }
                inner.waits.store(false, Ordering::Release);
            };
            if let Err(error) = thread::Builder::new().name("reranker".into()).spawn(work) {
                tracing::error!(%error, "no thread to load the reranker on");
                self.inner.waits.store(false, Ordering::Release);
            }
        }
        false
    }

    fn score(
        &self,
        question: &str,
        passages: &[String],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, InferenceError> {
        let (connection, _) = self.inner.supervisor.ready(cancel)?;
        let request = RequestBody::Score(question.to_owned(), passages.to_vec());
        match connection.call(request, cancel, &mut ignore)? {
            ReplyBody::Scored(scores) if scores.len() == passages.len() => Ok(scores),
            _ => Err(unexpected()),
        }
    }
}

/// Linux keeps the highest resident size of each process, in units of 1,024 bytes.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn dimensions(served: &Served) -> Option<usize> {
    match served {
        Served::Embedder { dimensions } => Some(*dimensions),
        Served::Language(_) | Served::Reranker => None,
    }
}

fn ignore(_: &str) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn unexpected() -> InferenceError {
    InferenceError::Engine("the worker answered something else; update both programs".into())
}
