//! When a worker is started, and when not.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use base::CancelToken;
use inference::InferenceError;
use parking_lot::Mutex;

use crate::{
    Served,
    connection::{Connection, End},
    message::{ReplyBody, RequestBody},
};

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The program, which ends up in [`serve_stdio`](crate::serve_stdio).
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All of its environment: nothing is inherited. At first what makes native threads behave.
    pub environment: Vec<(OsString, OsString)>,
    /// The model's file. When it changes, what was held against it is forgotten.
    pub model: PathBuf,
    /// Patience.
    pub limits: WorkerLimits,
}

/// How much a worker is allowed.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// Silence while the model loads and a request waits, after which it counts as hung.
    pub loading: Duration,
    /// Silence while a request runs, after which it counts as hung.
    pub silence: Duration,
    /// So many deaths within `period` and it is not started again.
    pub deaths: usize,
    /// See `deaths`.
    pub period: Duration,
    /// Time between a death and the next start, quadrupled with each further death in `period`.
    pub delay: Duration,
}

/// How often threads of llama.cpp look for each other before they sleep, some 50 µs in all. By
/// default they spin for 17 ms, which on a busy machine is time that those waited for do not get:
/// with two threads on two processors and 14 other tasks 384 tokens of prompt and 64 of answer
/// took more than 100 s, with this 9 to 15 s.
const SPIN_COUNT: &str = "1000";

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            loading: Duration::from_mins(1),
            silence: Duration::from_secs(10),
            deaths: 3,
            period: Duration::from_mins(5),
            delay: Duration::from_millis(100),
        }
    }
}

impl WorkerConfig {
    /// `program worker --model <model>` with the usual limits. More arguments can be added.
    pub fn new(program: impl Into<PathBuf>, model: impl Into<PathBuf>) -> Self {
        let model = model.into();
        Self {
            program: program.into(),
            arguments: vec!["worker".into(), "--model".into(), model.clone().into()],
            environment: vec![
                ("GOMP_SPINCOUNT".into(), SPIN_COUNT.into()),
                // Else a debugger, where there is one, is attached to a process that gives up: for
                // seconds it neither ends nor answers, and its last words are the debugger's.
                ("GGML_NO_BACKTRACE".into(), "1".into()),
            ],
            model,
            limits: WorkerLimits::default(),
        }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn with_argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    fn command(&self) -> Command {
        let program = std::path::absolute(&self.program).unwrap_or_else(|_| self.program.clone());
        let mut command = Command::new(program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        // The system's own libraries are found through it.
        #[cfg(windows)]
        command.env("SystemRoot", r"C:\Windows");
        command
    }
}

/// Starts workers of one kind, at most one at a time.
pub struct Supervisor {
    config: WorkerConfig,
    state: Mutex<State>,
    deaths: Arc<Mutex<Deaths>>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// The file as it was when it was refused, and why.
    refused: Option<(Stamp, InferenceError)>,
}

#[derive(Default)]
struct Deaths {
    times: VecDeque<Instant>,
    reason: String,
    /// The file that they are held against.
    stamp: Option<Stamp>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp(Option<(u64, Option<SystemTime>)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|data| (data.len(), data.modified().ok())))
    }
}

/// Whether a worker may be started now.
enum Verdict {
    Start,
    After(Duration),
}

impl Supervisor {
    pub fn new(config: WorkerConfig) -> Self {
        Self { config, state: Mutex::default(), deaths: Arc::default() }
    }

    /// What the running worker has loaded, if it is ready.
    pub fn loaded(&self) -> Option<Served> {
        self.state.lock().connection.as_ref()?.loaded().cloned()
    }

    pub fn process_id(&self) -> Option<u32> {
        let state = self.state.lock();
        let connection = state.connection.as_ref().filter(|connection| connection.is_live())?;
        Some(connection.process_id())
    }

    /// Ends the worker; what runs is cancelled. The next request starts another.
    pub fn close(&self) {
        let connection = self.state.lock().connection.take();
        if let Some(connection) = connection {
            connection.close();
        }
    }

    /// A worker whose model is loaded, started if need be.
    pub fn ready(&self, cancel: &CancelToken) -> Result<(Arc<Connection>, Served), InferenceError> {
        let connection = self.connect(cancel)?;
        if let Some(served) = connection.loaded() {
            let served = served.clone();
            return Ok((connection, served));
        }
        match connection
            .call(RequestBody::Load, cancel, &mut |_| std::ops::ControlFlow::Continue(()))
        {
            Ok(ReplyBody::Loaded(served)) => Ok((connection, served)),
            Ok(_) => Err(InferenceError::Engine("the worker answered something else".into())),
            Err(error) => {
                if matches!(error, InferenceError::ModelFile { .. }) {
                    let stamp = Stamp::of(&self.config.model);
                    self.state.lock().refused = Some((stamp, error.clone()));
                }
                // A worker that could not load is of no use; one that nobody waits for any more
                // goes on loading for the next.
                if error != InferenceError::Cancelled {
                    connection.close();
                }
                Err(error)
            }
        }
    }

    fn connect(&self, cancel: &CancelToken) -> Result<Arc<Connection>, InferenceError> {
        loop {
            cancel.check()?;
            let mut state = self.state.lock();
            if let Some(connection) = state.connection.as_ref().filter(|it| it.is_live()) {
                return Ok(connection.clone());
            }
            let stamp = Stamp::of(&self.config.model);
            if let Some((refused, error)) = &state.refused {
                if *refused == stamp {
                    return Err(error.clone());
                }
                state.refused = None;
            }
            match self.deaths.lock().verdict(stamp, &self.config.limits)? {
                Verdict::Start => {
                    let connection = self.start()?;
                    state.connection = Some(connection.clone());
                    return Ok(connection);
                }
                Verdict::After(delay) => {
                    drop(state);
                    // Whether it was cancelled is seen at the top.
                    cancel.wait(delay);
                }
            }
        }
    }

    fn start(&self) -> Result<Arc<Connection>, InferenceError> {
        let deaths = self.deaths.clone();
        let model = self.config.model.clone();
        let listener = move |end: &End| {
            let reason = match end {
                End::Died(reason) => reason.clone(),
                End::Hung(seconds) => format!("silent for {seconds} seconds"),
                End::Closed => return,
            };
            tracing::warn!(model = %model.display(), %reason, "a model's process ended");
            deaths.lock().add(reason);
        };
        Connection::start(self.config.command(), self.config.limits, Box::new(listener)).map_err(
            |error| {
                let program = self.config.program.display();
                InferenceError::Engine(format!("cannot start {program}: {error}"))
            },
        )
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.close();
    }
}

impl Deaths {
    fn add(&mut self, reason: String) {
        self.times.push_back(Instant::now());
        self.reason = reason;
    }

    fn verdict(&mut self, stamp: Stamp, limits: &WorkerLimits) -> Result<Verdict, InferenceError> {
        if self.stamp.replace(stamp).is_some_and(|before| before != stamp) {
            self.times.clear();
        }
        while self.times.front().is_some_and(|time| time.elapsed() >= limits.period) {
            self.times.pop_front();
        }
        let Some(last) = self.times.back() else { return Ok(Verdict::Start) };
        let count = self.times.len();
        if count >= limits.deaths {
            return Err(InferenceError::WorkerGaveUp {
                deaths: count as u32,
                reason: self.reason.clone(),
            });
        }
        let delay = limits.delay * 4_u32.saturating_pow(count as u32 - 1);
        let left = delay.saturating_sub(last.elapsed());
        Ok(if left.is_zero() { Verdict::Start } else { Verdict::After(left) })
    }
}
