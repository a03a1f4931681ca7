use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use base::CancelToken;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use inference::{
    FinishReason, GenerateRequest, Generation, InferenceError, LanguageModel, ModelInfo, Progress,
    TextSink, Usage,
};

use crate::{
    backend::{load_model, system_info},
    grammar::Grammars,
    job::{Event, Job, Ticket},
    runner::Runner,
    slot::SlotOptions,
    tokenize::Tokenizer,
};

/// Tokens of a context where nobody says otherwise; a model that was trained with fewer has fewer.
const DEFAULT_CONTEXT: usize = 4096;

/// What to load, and how.
#[derive(Clone, Debug)]
pub struct LlamaOptions {
    /// The GGUF file. Its header should have been checked before: llama.cpp trusts it.
    pub model: PathBuf,
    /// What the model is called in answers; the file's name where nobody says otherwise.
    pub id: Option<String>,
    /// Tokens of a context; 4096 or what the model was trained with if that is less.
    pub context: Option<usize>,
    /// Threads that compute; as many as there are processors, less one from four on.
    pub threads: Option<usize>,
}

impl LlamaOptions {
    /// A file with the usual options.
    pub fn new(model: impl Into<PathBuf>) -> Self {
        Self { model: model.into(), id: None, context: None, threads: None }
    }

    fn threads(&self) -> usize {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        // One is left to the editor where there are some.
        let default = if processors >= 4 { processors - 1 } else { processors };
        // More threads than processors wait for each other: ten times slower.
        self.threads.unwrap_or(default).clamp(1, processors)
    }
}

/// A loaded model and its thread. Calls from several threads are served by priority, then in
/// order; dropping it frees the memory.
pub struct LlamaEngine {
    info: Arc<ModelInfo>,
    tokenizer: Arc<Tokenizer>,
    grammars: Grammars,
    /// Taken when the engine is dropped, which ends the thread.
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    next_id: AtomicU64,
}

impl LlamaEngine {
    /// Loads the model, which takes seconds, and starts its thread. `progress` counts on while
    /// the engine works.
    pub fn load(options: &LlamaOptions, progress: &Progress) -> Result<Self, InferenceError> {
        let tokenizer = Arc::new(Tokenizer::new(load_model(&options.model, false, progress)?));
        let trained = tokenizer.model().n_ctx_train() as usize;
        let trained = if trained == 0 { DEFAULT_CONTEXT } else { trained };
        let context = options.context.unwrap_or(DEFAULT_CONTEXT).min(trained).max(1);
        let info = Arc::new(describe(options, &tokenizer, context)?);
        let (queue, jobs) = unbounded();
        let (ready, started) = bounded(1);
        let slots = SlotOptions { context, threads: options.threads() };
        let (shared, progress) = (tokenizer.clone(), progress.clone());
        let thread = thread::Builder::new()
            .name("engine".into())
            .spawn(move || match Runner::new(&shared, slots, progress) {
                Ok(runner) => {
                    // Whoever loads waits for it.
                    let _ = ready.send(Ok(()));
                    runner.run(&jobs);
                }
                Err(error) => drop(ready.send(Err(error))),
            })
            .map_err(|error| InferenceError::Engine(error.to_string()))?;
        started.recv().unwrap_or_else(|_| Err(ended()))?;
        Ok(Self {
            info,
            tokenizer,
            grammars: Grammars::default(),
            queue: Some(queue),
            thread: Some(thread),
            next_id: AtomicU64::new(0),
        })
    }

    /// What the model is.
    pub fn info(&self) -> &Arc<ModelInfo> {
        &self.info
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn submit(
        &self,
        request: &GenerateRequest,
        ticket: Ticket,
    ) -> Result<Receiver<Event>, InferenceError> {
        let prompt = self.tokenizer.prompt(&request.prompt)?;
        let (tokens, limit) = (prompt.tokens.len(), self.info.context);
        if tokens == 0 {
            return Err(InferenceError::Engine("the prompt is empty".into()));
        }
        if tokens >= limit {
            return Err(InferenceError::ContextTooLong { tokens, limit });
        }
        let grammar = request.grammar.as_deref();
        let grammar = grammar
            .map(|grammar| self.grammars.matcher(self.tokenizer.model(), grammar))
            .transpose()?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = unbounded();
        let job = Job::new(id, request, prompt, grammar, &self.tokenizer, (ticket, sender));
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(job).map_err(|_| ended())?;
        Ok(events)
    }
}

impl LanguageModel for LlamaEngine {
    fn load(&self, _cancel: &CancelToken) -> Result<Arc<ModelInfo>, InferenceError> {
        Ok(self.info.clone())
    }

    fn loaded(&self) -> Option<Arc<ModelInfo>> {
        Some(self.info.clone())
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut TextSink<'_>,
    ) -> Result<Generation, InferenceError> {
        let ticket = Ticket { cancel: cancel.clone(), ..Ticket::default() };
        let events = self.submit(request, ticket.clone())?;
        let mut text = String::new();
        let mut stopped = false;
        for event in events {
            match event {
                Event::Text(more) if !stopped => {
                    text.push_str(&more);
                    if sink(&more) == ControlFlow::Break(()) {
                        stopped = true;
                        ticket.stop.store(true, Ordering::Release);
                    }
                }
                Event::Text(_) => {}
                Event::Done(result) => {
                    let (finish, usage): (FinishReason, Usage) = result?;
                    let finish = if stopped { FinishReason::Stopped } else { finish };
                    return Ok(Generation { text, finish, usage });
                }
            }
        }
        Err(ended())
    }

    fn count_tokens(&self, text: &str, cancel: &CancelToken) -> Result<usize, InferenceError> {
        cancel.check()?;
        Ok(self.tokenizer.count(text))
    }
}

impl Drop for LlamaEngine {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the engine's thread failed");
        }
    }
}

fn ended() -> InferenceError {
    InferenceError::Engine("the engine has stopped; try again".into())
}

fn describe(
    options: &LlamaOptions,
    tokenizer: &Tokenizer,
    context: usize,
) -> Result<ModelInfo, InferenceError> {
    let model = tokenizer.model();
    let vocab = tokenizer.vocab();
    let template = model.chat_template(None).ok();
    let file_name = || options.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(ModelInfo {
        id: options.id.clone().unwrap_or_else(file_name),
        architecture: model.meta_val_str("general.architecture").unwrap_or_default(),
        name: model.meta_val_str("general.name").ok(),
        context,
        chat_template: template.and_then(|template| template.to_string().ok()),
        bos_token: tokenizer.name(vocab.bos()).unwrap_or_default(),
        eos_token: tokenizer.name(vocab.eos()).unwrap_or_default(),
        fim: tokenizer.fim(),
        system_info: system_info()?,
    })
}
