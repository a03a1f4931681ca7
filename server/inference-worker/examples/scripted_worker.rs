//! A worker whose engine does what the prompt says, for the tests of the supervision.
//!
//! `--load die|hang|refuse|busy` says how the model loads; `--garble` lets what it sends become
//! nonsense once a prompt asks for it; `--reranker` scores passages instead; `--orphan` makes it the parent of another that it leaves.

use std::{
    env,
    io::{self, Write},
    ops::ControlFlow,
    process::{abort, exit},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use base::CancelToken;
use inference::{
    FinishReason, GenerateRequest, Generation, InferenceError, LanguageModel, ModelInfo, Progress,
    PromptPiece, TextSink, Usage, fake::FakeReranker,
};
use inference_worker::{Engine, WorkerConfig, WorkerModel, serve, serve_stdio};

/// Set when the next message is to be nonsense.
static GARBLED: AtomicBool = AtomicBool::new(false);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--orphan") {
        leave_an_orphan();
    }
    let behaviour = arguments.iter().skip_while(|argument| *argument != "--load").nth(1);
    let behaviour = behaviour.cloned().unwrap_or_default();
    let load = move |progress: &Progress| load(&behaviour, progress);
    if has("--reranker") {
        serve_stdio(|_: &Progress| Ok(Engine::Reranker(Box::new(FakeReranker::new()))));
    }
    if has("--garble") {
        let served = serve(io::stdin(), Garbling(io::stdout()), load);
        exit(i32::from(served.is_err()));
    }
    serve_stdio(load)
}

/// Starts a worker, says which process it is, and dies.
#[expect(clippy::print_stdout, reason = "this process is not a worker")]
fn leave_an_orphan() -> ! {
    let program = env::current_exe().expect("the program has a path");
    let model = WorkerModel::new(WorkerConfig::new(program, "model"));
    model.load(&CancelToken::new()).expect("the worker starts");
    println!("{}", model.process_id().expect("it runs"));
    abort()
}

fn load(behaviour: &str, progress: &Progress) -> Result<Engine, InferenceError> {
    match behaviour {
        "die" => abort(),
        "hang" => hang(),
        "refuse" => {
            return Err(InferenceError::ModelFile { path: "model".into(), reason: "odd".into() });
        }
        "busy" => {
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(100));
                progress.step();
            }
        }
        _ => {}
    }
    let scripted = Scripted { progress: progress.clone(), cancelled: AtomicUsize::new(0) };
    Ok(Engine::Language(Box::new(scripted)))
}

fn hang() -> ! {
    loop {
        thread::park();
    }
}

struct Garbling(io::Stdout);

impl Write for Garbling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if GARBLED.load(Ordering::Acquire) {
            self.0.write_all(b"Segmentation fault, or so it says")?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

struct Scripted {
    progress: Progress,
    cancelled: AtomicUsize,
}

impl LanguageModel for Scripted {
    fn load(&self, _cancel: &CancelToken) -> Result<Arc<ModelInfo>, InferenceError> {
        Ok(Arc::new(ModelInfo { id: "scripted".into(), ..ModelInfo::default() }))
    }

    fn loaded(&self) -> Option<Arc<ModelInfo>> {
        self.load(&CancelToken::new()).ok()
    }

    /// Each word of the prompt is an order or said as it is.
    fn generate(
        &self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut TextSink<'_>,
    ) -> Result<Generation, InferenceError> {
        let Some(PromptPiece::Text(script)) = request.prompt.first() else {
            return Err(InferenceError::Engine("no script".into()));
        };
        let mut text = String::new();
        for word in script.split_inclusive(' ') {
            match word.trim() {
                "ABORT" => abort(),
                "EXIT" => exit(7),
                "PANIC" => panic!("the engine is confused"),
                "HANG" => hang(),
                "GARBLE" => GARBLED.store(true, Ordering::Release),
                "PRINT" => print(),
                "ENVIRONMENT" => {
                    let names: Vec<String> = env::vars().map(|(name, _)| name).collect();
                    text += &names.join(",");
                    if sink(&names.join(",")) == ControlFlow::Break(()) {
                        break;
                    }
                }
                "FOREVER" => self.wait(cancel, sink)?,
                "CANCELLED" => {
                    let count = self.cancelled.load(Ordering::Acquire).to_string();
                    text += &count;
                    let _ = sink(&count);
                }
                _ => {
                    text += word;
                    if sink(word) == ControlFlow::Break(()) {
                        break;
                    }
                }
            }
        }
        Ok(Generation { text, finish: FinishReason::EndOfText, usage: Usage::default() })
    }

    fn count_tokens(&self, text: &str, _cancel: &CancelToken) -> Result<usize, InferenceError> {
        Ok(text.split_whitespace().count())
    }
}

impl Scripted {
    /// Goes on until it is cancelled or stopped.
    fn wait(&self, cancel: &CancelToken, sink: &mut TextSink<'_>) -> Result<(), InferenceError> {
        loop {
            if cancel.is_cancelled() {
                self.cancelled.fetch_add(1, Ordering::AcqRel);
                return Err(InferenceError::Cancelled);
            }
            self.progress.step();
            if sink(".") == ControlFlow::Break(()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// As a native library would, past all precautions.
#[expect(clippy::print_stdout, reason = "that is what is tested")]
fn print() {
    println!("a library prints this");
}
