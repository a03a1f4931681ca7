use std::{
    collections::HashMap,
    io::{self, Read, Write},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use base::CancelToken;
use inference::{
    Embedder, GenerateRequest, Generation, InferenceError, LanguageModel, ModelInfo, Progress,
    Reranker,
};
use parking_lot::{Condvar, Mutex};

use crate::{
    Served, frame,
    message::{Reply, ReplyBody, Request, RequestBody},
};

/// How often the child says that its engine goes on. A tenth of the parent's patience at most.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Texts that are embedded or scored between two looks at the cancellation.
const TEXTS_PER_STEP: usize = 1;

/// What a child serves.
pub enum Engine {
    /// A language model, which does its own queueing.
    Language(Box<dyn LanguageModel>),
    /// An embedding model.
    Embedder(Box<dyn Embedder>),
    /// A model that scores passages.
    Reranker(Box<dyn Reranker>),
}

/// Serves one engine until `input` ends. `load` runs at once, on a thread of its own; requests
/// that come before it is done wait, and fail with its error if it fails.
///
/// An engine may still be working when this returns; the process should then end without waiting.
pub fn serve(
    mut input: impl Read,
    output: impl Write + Send + 'static,
    load: impl FnOnce(&Progress) -> Result<Engine, InferenceError> + Send + 'static,
) -> io::Result<()> {
    let server = Arc::new(Server {
        engine: Slot::default(),
        progress: Progress::new(),
        output: Mutex::new(Box::new(output)),
        running: Mutex::default(),
        ended: Mutex::new(false),
        ending: Condvar::new(),
    });
    let loading = server.clone();
    start("load", move || {
        let loaded = caught(|| load(&loading.progress));
        loading.engine.fill(loaded);
    })?;
    let beating = server.clone();
    start("heartbeat", move || beating.beat())?;
    let result = loop {
        match frame::read::<Request>(&mut input) {
            Ok(Some(request)) => server.accept(request)?,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    *server.ended.lock() = true;
    server.ending.notify_all();
    result
}

fn start(name: &str, task: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(task).map(drop)
}

/// A panic of an engine is an answer like any other error.
fn caught<T>(work: impl FnOnce() -> Result<T, InferenceError>) -> Result<T, InferenceError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(InferenceError::Engine(format!("the engine failed: {}", message.unwrap_or("panic"))))
    })
}

struct Server {
    engine: Slot<Result<Engine, InferenceError>>,
    progress: Progress,
    output: Mutex<Box<dyn Write + Send>>,
    running: Mutex<HashMap<u64, Running>>,
    ended: Mutex<bool>,
    ending: Condvar,
}

/// How a request that runs can be ended.
#[derive(Clone, Default)]
struct Running {
    cancel: CancelToken,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn accept(self: &Arc<Self>, request: Request) -> io::Result<()> {
        let id = request.id;
        match request.body {
            RequestBody::Cancel => {
                if let Some(running) = self.running.lock().get(&id) {
                    running.cancel.cancel();
                }
            }
            RequestBody::Stop => {
                if let Some(running) = self.running.lock().get(&id) {
                    running.stop.store(true, Ordering::Release);
                }
            }
            body => {
                let running = Running::default();
                self.running.lock().insert(id, running.clone());
                let server = self.clone();
                start("request", move || {
                    let answer = caught(|| server.answer(id, body, &running));
                    server.running.lock().remove(&id);
                    server.send(id, answer.unwrap_or_else(ReplyBody::Failed));
                })?;
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        id: u64,
        body: RequestBody,
        running: &Running,
    ) -> Result<ReplyBody, InferenceError> {
        let engine = self.engine.wait().as_ref().map_err(Clone::clone)?;
        let cancel = &running.cancel;
        cancel.check()?;
        match (body, engine) {
            (RequestBody::Load, Engine::Language(model)) => {
                let info = ModelInfo::clone(&*model.load(cancel)?);
                Ok(ReplyBody::Loaded(Served::Language(Box::new(info))))
            }
            (RequestBody::Load, Engine::Embedder(model)) => {
                Ok(ReplyBody::Loaded(Served::Embedder { dimensions: model.dimensions() }))
            }
            (RequestBody::Load, Engine::Reranker(_)) => Ok(ReplyBody::Loaded(Served::Reranker)),
            (RequestBody::Generate(request), Engine::Language(model)) => {
                self.generate(id, &request, running, &**model).map(ReplyBody::Generated)
            }
            (RequestBody::CountTokens(text), Engine::Language(model)) => {
                model.count_tokens(&text, cancel).map(ReplyBody::Count)
            }
            (RequestBody::Embed(texts), Engine::Embedder(model)) => {
                let mut vectors = Vec::with_capacity(texts.len());
                for texts in texts.chunks(TEXTS_PER_STEP) {
                    vectors.extend(model.embed(texts, cancel)?);
                    self.progress.step();
                }
                Ok(ReplyBody::Embedded(vectors))
            }
            (RequestBody::Score(question, passages), Engine::Reranker(model)) => {
                let mut scores = Vec::with_capacity(passages.len());
                for passages in passages.chunks(TEXTS_PER_STEP) {
                    scores.extend(model.score(&question, passages, cancel)?);
                    self.progress.step();
                }
                Ok(ReplyBody::Scored(scores))
            }
            _ => Err(InferenceError::Engine("this model is of another kind".into())),
        }
    }

    fn generate(
        &self,
        id: u64,
        request: &GenerateRequest,
        running: &Running,
        model: &dyn LanguageModel,
    ) -> Result<Generation, InferenceError> {
        let mut sink = |text: &str| {
            if running.stop.load(Ordering::Acquire) {
                return ControlFlow::Break(());
            }
            self.send(id, ReplyBody::Delta(text.to_owned()));
            ControlFlow::Continue(())
        };
        let mut generation = model.generate(request, &running.cancel, &mut sink)?;
        generation.text.clear();
        Ok(generation)
    }

    /// A parent that no longer reads is gone or going: the end of `input` follows.
    fn send(&self, id: u64, body: ReplyBody) {
        let mut output = self.output.lock();
        if let Err(error) = frame::write(&mut *output, &Reply { id, body }) {
            tracing::debug!(%error, "the parent does not read");
        }
    }

    fn beat(&self) {
        let mut seen = self.progress.steps();
        let mut ended = self.ended.lock();
        while !*ended {
            self.ending.wait_for(&mut ended, HEARTBEAT);
            let steps = self.progress.steps();
            if steps != seen {
                seen = steps;
                self.send(0, ReplyBody::Alive);
            }
        }
    }
}

/// A place that is filled once and waited for.
struct Slot<T> {
    value: OnceLock<T>,
    lock: Mutex<()>,
    filled: Condvar,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: OnceLock::new(), lock: Mutex::default(), filled: Condvar::new() }
    }
}

impl<T> Slot<T> {
    fn fill(&self, value: T) {
        let _guard = self.lock.lock();
        // Only the loading thread fills, once.
        let _ = self.value.set(value);
        self.filled.notify_all();
    }

    fn wait(&self) -> &T {
        let mut guard = self.lock.lock();
        loop {
            if let Some(value) = self.value.get() {
                return value;
            }
            self.filled.wait(&mut guard);
        }
    }
}
