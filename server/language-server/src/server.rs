//! The event loop: one thread owns the state, and every input is one [`Event`].
//!
//! Notifications change the state at once, in the order of the messages. Requests are answered on
//! other threads from a snapshot taken in that same order, and their results come back as events;
//! here it is decided, last of all, whether they are still wanted. The loop itself never waits for
//! anything but the next event.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base::{CancelToken, Latency, ThreadPool};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tower_lsp::jsonrpc::{Error, Id};

use crate::{
    context::{Context, Stream},
    failure::Failure,
    message::{BadMessage, Message},
    output::Client,
    pending::{Claim, Entry, Pending},
    routes::{NOTIFICATIONS, REQUESTS, Route},
    session::{InitializeParams, Launcher, Session},
    work_done::WorkDone,
};

/// Shortest time between two `hearth/statusChanged`.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// A turn of the loop that takes longer is worth a line in the log.
const LONG_TURN: Duration = Duration::from_millis(100);

/// Everything that can wake the server.
pub enum Event {
    /// The client sent a message.
    Message(Message),
    /// The client sent something that is none.
    Malformed(BadMessage),
    /// A request has a partial result.
    Progress {
        /// The request.
        id: Id,
        /// The parameters of `$/progress`.
        params: Value,
    },
    /// The work on a request has ended.
    Reply {
        /// The request.
        id: Id,
        /// What came of it.
        result: Result<Value, Failure>,
    },
    /// What `hearth/status` shows may have changed.
    Changed,
    /// A new status was put together.
    Status(Value),
    /// The client's end of the input is closed.
    InputEnded,
    /// The client takes no more output.
    OutputFailed,
    /// The process that started us is gone.
    ParentDied,
}

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fresh,
    Running,
    ShutDown,
}

/// How the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By `shutdown` and `exit`.
    Orderly,
    /// By anything else.
    Abrupt,
}

/// The state, owned by the thread that runs the loop.
pub struct Server {
    pub(crate) client: Client,
    pub(crate) session: Option<Session>,
    pub(crate) work_done: WorkDone,
    events: Sender<Event>,
    pool: ThreadPool,
    pending: Pending,
    phase: Phase,
    launcher: Launcher,
    status: StatusClock,
}

/// When the status was sent and whether it has to be again.
#[derive(Default)]
struct StatusClock {
    sent_at: Option<Instant>,
    last: Option<Value>,
    wanted: bool,
    in_work: bool,
    /// Set between a change and the event that tells of it, so that a burst is one event.
    announced: Arc<AtomicBool>,
}

impl Server {
    /// A server that waits for `initialize`. `events` leads to the receiver that [`run`](Self::run)
    /// gets.
    pub fn new(client: Client, events: Sender<Event>, launcher: Launcher) -> Self {
        Self {
            client,
            session: None,
            work_done: WorkDone::default(),
            events,
            pool: ThreadPool::new(),
            pending: Pending::default(),
            phase: Phase::Fresh,
            launcher,
            status: StatusClock::default(),
        }
    }

    /// Serves until the connection ends.
    pub fn run(mut self, events: &Receiver<Event>) -> Ending {
        loop {
            let event = match self.next_status() {
                None => events.recv().unwrap_or(Event::InputEnded),
                Some(at) => match events.recv_deadline(at) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) => {
                        self.collect_status();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => Event::InputEnded,
                },
            };
            let start = Instant::now();
            let ending = self.handle(event);
            let turn = start.elapsed();
            if turn > LONG_TURN {
                tracing::warn!(?turn, "the event loop was held up");
            }
            if let Some(ending) = ending {
                self.pending.cancel_all();
                self.launcher.leave(ending);
                return ending;
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Message(Message::Request { id, method, params }) => {
                self.request(id, &method, params);
            }
            Event::Message(Message::Notification { method, params }) => {
                if method == "exit" {
                    let orderly = self.phase == Phase::ShutDown;
                    return Some(if orderly { Ending::Orderly } else { Ending::Abrupt });
                }
                self.notification(&method, params);
            }
            Event::Message(Message::Response { id, result }) => self.response(&id, result.as_ref()),
            Event::Malformed(BadMessage { id, code, reason }) => {
                tracing::warn!(reason, "a message was refused");
                let mut error = Error::new(code);
                error.message = reason.into();
                self.client.respond(id, Err(error));
            }
            Event::Progress { id, params } => {
                if self.pending.is_wanted(&id) {
                    self.client.notify("$/progress", &params);
                }
            }
            Event::Reply { id, result } => self.reply(&id, result),
            Event::Changed => {
                self.status.announced.store(false, Ordering::Release);
                self.status.wanted = true;
            }
            Event::Status(status) => self.show_status(status),
            Event::InputEnded | Event::OutputFailed | Event::ParentDied => {
                let orderly = self.phase == Phase::ShutDown;
                return Some(if orderly { Ending::Orderly } else { Ending::Abrupt });
            }
        }
        None
    }

    fn request(&mut self, id: Id, method: &str, params: Value) {
        if self.pending.contains(&id) {
            let error = Failure::InvalidRequest("a request of this id is still being answered");
            self.client.respond(id, Err(error.into()));
            return;
        }
        let now = match (method, self.phase) {
            ("initialize", Phase::Fresh) => Some(self.initialize(&params)),
            ("initialize", _) => Some(Err(Failure::InvalidRequest("initialize comes only once"))),
            (_, Phase::Fresh) => Some(Err(Failure::NotInitialized)),
            (_, Phase::ShutDown) => {
                Some(Err(Failure::InvalidRequest("the server has been shut down")))
            }
            ("shutdown", Phase::Running) => Some(Ok(self.shutdown())),
            _ => None,
        };
        if let Some(result) = now {
            self.client.respond(id, result.map_err(Error::from));
            return;
        }
        let refused = match REQUESTS.iter().find(|route| route.method == method) {
            None => Failure::UnknownMethod(method.to_owned()),
            Some(route) if !self.pending.has_room(route.slow) => Failure::Busy,
            Some(route) => return self.start(id, route, params),
        };
        self.client.respond(id, Err(refused.into()));
    }

    /// Hands a request to the threads of its class, with the state as it is now.
    fn start(&mut self, id: Id, route: &'static Route, params: Value) {
        let Some(session) = &self.session else {
            self.client.respond(id, Err(Failure::NotInitialized.into()));
            return;
        };
        if route.latest_wins {
            self.pending.supersede(route.method);
        }
        let (cancel, claim) = (CancelToken::new(), Claim::default());
        let context = Context {
            assistant: session.snapshot(),
            editor: session.editor.clone(),
            uris: session.uris.clone(),
            cancel: cancel.clone(),
            stream: Stream {
                id: id.clone(),
                token: params.get("partialResultToken").cloned().filter(|token| !token.is_null()),
                events: self.events.clone(),
                client: self.client.clone(),
            },
        };
        let entry = Entry {
            method: route.method,
            cancel,
            cancelled: false,
            claim: claim.clone(),
            slow: route.slow,
        };
        self.pending.insert(id.clone(), entry);
        let events = self.events.clone();
        self.pool.spawn(route.latency, move || {
            if !claim.take() {
                return;
            }
            let work = AssertUnwindSafe(|| (route.handle)(&context, params));
            let result = catch_unwind(work).unwrap_or_else(|_| {
                tracing::error!(method = route.method, "a handler panicked");
                Err(Failure::Internal)
            });
            // The loop is gone when the program ends.
            let _ = events.send(Event::Reply { id, result });
        });
    }

    /// Answers a request whose work has ended, if that has not happened yet.
    fn reply(&mut self, id: &Id, result: Result<Value, Failure>) {
        let Some(entry) = self.pending.complete(id) else { return };
        let result = if entry.cancelled { Err(Failure::Cancelled) } else { result };
        if let Err(error) = &result
            && !matches!(error, Failure::Cancelled)
        {
            tracing::info!(method = entry.method, %error, "a request failed");
        }
        self.client.respond(id.clone(), result.map_err(Error::from));
    }

    fn notification(&mut self, method: &str, params: Value) {
        if method == "$/cancelRequest" {
            let id = params.get("id").and_then(|id| serde_json::from_value::<Id>(id.clone()).ok());
            if let Some(id) = id
                && self.pending.cancel(&id)
            {
                self.reply(&id, Err(Failure::Cancelled));
            }
            return;
        }
        if self.phase != Phase::Running {
            tracing::debug!(method, "a notification out of place was dropped");
            return;
        }
        match NOTIFICATIONS.iter().find(|route| route.method == method) {
            Some(route) => {
                if let Err(error) = (route.handle)(self, params) {
                    tracing::warn!(method, %error, "a notification was refused");
                }
            }
            None if method.starts_with("$/") => {}
            None => tracing::debug!(method, "an unknown notification was ignored"),
        }
    }

    fn response(&mut self, id: &Id, result: Result<&Value, &Value>) {
        if let Err(error) = result {
            tracing::warn!(%id, %error, "the client refused a request");
        }
        self.work_done.answered(&self.client, id, result.is_ok());
    }

    fn initialize(&mut self, params: &Value) -> Result<Value, Failure> {
        let params = InitializeParams::deserialize(params)
            .map_err(|error| Failure::InvalidParams(error.to_string()))?;
        let (session, result) =
            Session::open(&self.launcher, &params, self.on_change(), &self.events);
        self.session = Some(session);
        self.phase = Phase::Running;
        Ok(result)
    }

    /// Stops all work; what is still pending is answered as cancelled.
    fn shutdown(&mut self) -> Value {
        self.phase = Phase::ShutDown;
        for id in self.pending.cancel_all() {
            self.client.respond(id, Err(Failure::Cancelled.into()));
        }
        if let Some(session) = &self.session {
            session.stop();
        }
        Value::Null
    }

    /// Called from any thread when the status may have changed; never waits.
    fn on_change(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (events, announced) = (self.events.clone(), self.status.announced.clone());
        Arc::new(move || {
            if !announced.swap(true, Ordering::AcqRel) && events.try_send(Event::Changed).is_err() {
                announced.store(false, Ordering::Release);
            }
        })
    }

    /// When the status is to be put together next; `None` while nothing changed.
    fn next_status(&self) -> Option<Instant> {
        let due = self.status.wanted && !self.status.in_work && self.phase == Phase::Running;
        due.then(|| self.status.sent_at.map_or_else(Instant::now, |sent| sent + STATUS_INTERVAL))
    }

    /// Puts the status together on another thread: it reads locks that the loop must not wait for.
    fn collect_status(&mut self) {
        self.status.wanted = false;
        let Some(Ok(assistant)) = self.session.as_ref().map(Session::snapshot) else { return };
        self.status.in_work = true;
        let events = self.events.clone();
        self.pool.spawn(Latency::Interactive, move || {
            let status = serde_json::to_value(assistant.status()).unwrap_or_default();
            let _ = events.send(Event::Status(status));
        });
    }

    fn show_status(&mut self, status: Value) {
        self.status.in_work = false;
        let editor = self.session.as_ref().map(|session| session.editor.clone());
        if editor.is_some_and(|editor| editor.work_done_progress) {
            self.work_done.show(&self.client, &status);
        }
        if self.status.last.as_ref() != Some(&status) && !self.client.is_behind() {
            self.status.sent_at = Some(Instant::now());
            self.client.notify("hearth/statusChanged", &status);
            self.status.last = Some(status);
        }
    }
}

/// The parameters of a `Registration`.
pub fn registration(method: &str, options: &Value) -> Value {
    json!({ "registrations": [{ "id": method, "method": method, "registerOptions": options }] })
}
