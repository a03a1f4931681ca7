//! One child process and the conversation with it.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufReader, Read, Write},
    ops::ControlFlow,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use base::CancelToken;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use inference::InferenceError;
use parking_lot::Mutex;

use crate::{
    Served, frame,
    message::{Reply, ReplyBody, Request, RequestBody},
    supervisor::WorkerLimits,
};

/// Bytes of the child's error output that are kept for messages.
const TAIL_BYTES: usize = 8 * 1024;
/// Longest part of it that a message quotes.
const QUOTE_BYTES: usize = 300;
/// How long a child that closed its output is given to end, so that its exit status can be told.
const GRACE: Duration = Duration::from_millis(250);

/// Why a connection ended.
#[derive(Clone, Debug)]
pub enum End {
    /// The child died, or what it said made no sense.
    Died(String),
    /// The child was silent for so many seconds while it had something to do, and was killed.
    Hung(u64),
    /// It was not needed any more.
    Closed,
}

impl End {
    fn error(&self) -> InferenceError {
        match self {
            Self::Died(reason) => InferenceError::WorkerDied { reason: reason.clone() },
            Self::Hung(seconds) => InferenceError::WorkerHung { seconds: *seconds },
            Self::Closed => InferenceError::Cancelled,
        }
    }
}

/// Told once how a connection ended, before any request on it learns of it.
pub type EndListener = Box<dyn Fn(&End) + Send + Sync>;

/// A child process, alive or ended.
pub struct Connection {
    limits: WorkerLimits,
    outgoing: Sender<Vec<u8>>,
    pending: Mutex<Pending>,
    ended: AtomicBool,
    listener: EndListener,
    next_id: AtomicU64,
    loaded: OnceLock<Served>,
    last_heard: Mutex<Instant>,
    child: Mutex<Child>,
    tail: Mutex<VecDeque<u8>>,
    errors_end: Receiver<()>,
}

#[derive(Default)]
struct Pending {
    requests: HashMap<u64, Sender<Event>>,
    end: Option<End>,
}

enum Event {
    Reply(ReplyBody),
    Cancelled,
    Ended,
}

impl Connection {
    /// Starts `command`. Its thread starts the child and stays as long as the child: the system
    /// ends the child with the thread that started it.
    pub fn start(
        command: Command,
        limits: WorkerLimits,
        listener: EndListener,
    ) -> io::Result<Arc<Self>> {
        let (sender, receiver) = bounded(1);
        thread::Builder::new().name("worker".into()).spawn(move || {
            match Self::spawn(command, limits, listener) {
                Ok((connection, output)) => {
                    // The starter waits for this; should it be gone, the child is not needed.
                    if sender.send(Ok(connection.clone())).is_err() {
                        connection.close();
                    }
                    connection.listen(output);
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        })?;
        receiver.recv().unwrap_or_else(|_| Err(io::Error::other("the starting thread failed")))
    }

    fn spawn(
        mut command: Command,
        limits: WorkerLimits,
        listener: EndListener,
    ) -> io::Result<(Arc<Self>, ChildStdout)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = streams else {
            return Err(io::Error::other("the child has no pipes"));
        };
        let (outgoing, requests) = unbounded();
        let (errors_ended, errors_end) = bounded(1);
        let connection = Arc::new(Self {
            limits,
            outgoing,
            pending: Mutex::default(),
            ended: AtomicBool::new(false),
            listener,
            next_id: AtomicU64::new(1),
            loaded: OnceLock::new(),
            last_heard: Mutex::new(Instant::now()),
            child: Mutex::new(child),
            tail: Mutex::default(),
            errors_end,
        });
        let helpers = thread::Builder::new()
            .name("worker-input".into())
            .spawn(move || write_requests(&requests, input))
            .and_then(|_| {
                let listening = connection.clone();
                thread::Builder::new().name("worker-errors".into()).spawn(move || {
                    listening.keep_errors(errors);
                    drop(errors_ended);
                })
            });
        if let Err(error) = helpers {
            connection.close();
            return Err(error);
        }
        Ok((connection, output))
    }

    /// Whether a request can be sent.
    pub fn is_live(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// What the child has loaded, once it has.
    pub fn loaded(&self) -> Option<&Served> {
        self.loaded.get().filter(|_| self.is_live())
    }

    /// The child's process id.
    pub fn process_id(&self) -> u32 {
        self.child.lock().id()
    }

    /// Ends the child; what runs on it is cancelled.
    pub fn close(&self) {
        self.end(End::Closed);
    }

    /// Sends one request and waits for its one answer. Every delta goes to `sink`; after a
    /// `Break` the child is asked to stop and what it still says is dropped.
    pub fn call(
        &self,
        body: RequestBody,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ReplyBody, InferenceError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = unbounded();
        self.register(id, sender.clone())?;
        // A child of the token, so that nothing of this request is left on it afterwards.
        let cancelled = cancel.child();
        cancelled.on_cancel(move || drop(sender.send(Event::Cancelled)));
        let answer = self.send(id, body).and_then(|()| self.wait(id, &events, sink));
        self.pending.lock().requests.remove(&id);
        answer
    }

    fn register(&self, id: u64, sender: Sender<Event>) -> Result<(), InferenceError> {
        let mut pending = self.pending.lock();
        if let Some(end) = &pending.end {
            return Err(end.error());
        }
        pending.requests.insert(id, sender);
        Ok(())
    }

    fn wait(
        &self,
        id: u64,
        events: &Receiver<Event>,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ReplyBody, InferenceError> {
        let began = Instant::now();
        let mut stopped = false;
        loop {
            let patience = self.patience();
            let silent_since = began.max(*self.last_heard.lock());
            match events.recv_deadline(silent_since + patience) {
                Ok(Event::Reply(ReplyBody::Delta(text))) => {
                    if !stopped && sink(&text) == ControlFlow::Break(()) {
                        stopped = true;
                        self.send(id, RequestBody::Stop)?;
                    }
                }
                Ok(Event::Reply(ReplyBody::Failed(error))) => return Err(error),
                Ok(Event::Reply(body)) => return Ok(body),
                Ok(Event::Cancelled) => {
                    self.send(id, RequestBody::Cancel)?;
                    return Err(InferenceError::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) => {
                    // Another message or a heartbeat may have come meanwhile.
                    if self.last_heard.lock().max(began).elapsed() >= self.patience() {
                        self.end(End::Hung(self.patience().as_secs()));
                    }
                }
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.ending());
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.loaded.get().is_some() { self.limits.silence } else { self.limits.loading }
    }

    fn ending(&self) -> InferenceError {
        let pending = self.pending.lock();
        let end = pending.end.as_ref();
        end.map_or(InferenceError::Engine("the request was given up".into()), End::error)
    }

    /// Fails for a message that is too long. That the writing thread has ended is no failure
    /// here: the reading thread learns why.
    fn send(&self, id: u64, body: RequestBody) -> Result<(), InferenceError> {
        let bytes = frame::encode(&Request { id, body })
            .map_err(|error| InferenceError::Engine(error.to_string()))?;
        let _ = self.outgoing.send(bytes);
        Ok(())
    }

    /// Reads what the child says until it ends.
    fn listen(&self, output: ChildStdout) {
        let mut output = BufReader::new(output);
        loop {
            match frame::read::<Reply>(&mut output) {
                Ok(Some(reply)) => self.take(reply),
                Ok(None) => break self.end(End::Died(self.obituary())),
                Err(error) => {
                    break self.end(End::Died(format!("it sent something strange: {error}")));
                }
            }
        }
        let mut child = self.child.lock();
        if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
            tracing::debug!(%error, "the worker was gone already");
        }
    }

    fn take(&self, reply: Reply) {
        *self.last_heard.lock() = Instant::now();
        if let ReplyBody::Loaded(served) = &reply.body {
            // The same each time it is asked for.
            let _ = self.loaded.set(served.clone());
        }
        let mut pending = self.pending.lock();
        let event = match reply.body {
            ReplyBody::Alive => return,
            body @ ReplyBody::Delta(_) => {
                if let Some(sender) = pending.requests.get(&reply.id) {
                    let _ = sender.send(Event::Reply(body));
                }
                return;
            }
            body => Event::Reply(body),
        };
        // Taken out, so that a second answer finds nobody. One that was cancelled is gone already.
        if let Some(sender) = pending.requests.remove(&reply.id) {
            let _ = sender.send(event);
        }
    }

    /// Ends the connection once: tells the listener, kills the child, fails what runs.
    fn end(&self, end: End) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        (self.listener)(&end);
        if let Err(error) = self.child.lock().kill() {
            tracing::debug!(%error, "the worker was gone already");
        }
        let requests = {
            let mut pending = self.pending.lock();
            pending.end = Some(end);
            std::mem::take(&mut pending.requests)
        };
        for sender in requests.into_values() {
            let _ = sender.send(Event::Ended);
        }
    }

    /// How the child ended, and its last words.
    fn obituary(&self) -> String {
        let deadline = Instant::now() + GRACE;
        let status = loop {
            match self.child.lock().try_wait() {
                Ok(None) if Instant::now() < deadline => {}
                Ok(Some(status)) => break describe(status),
                Ok(None) | Err(_) => break "it closed its output".to_owned(),
            }
            thread::sleep(Duration::from_millis(2));
        };
        // Closed by the child's end; what came before is in the tail then.
        let _ = self.errors_end.recv_deadline(deadline);
        match self.last_words() {
            Some(words) => format!("{status}: {words}"),
            None => status,
        }
    }

    fn last_words(&self) -> Option<String> {
        let tail: Vec<u8> = self.tail.lock().iter().copied().collect();
        let tail = String::from_utf8_lossy(&tail);
        let line = tail.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        let end = line.floor_char_boundary(QUOTE_BYTES);
        Some(line.get(..end).unwrap_or(line).to_owned())
    }

    fn keep_errors(&self, mut errors: ChildStderr) {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = errors.read(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default();
            tracing::debug!(target: "worker", "{}", String::from_utf8_lossy(bytes).trim_end());
            let mut tail = self.tail.lock();
            tail.extend(bytes);
            let excess = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..excess);
        }
    }
}

/// Ends with the connection, and then closes the pipe, or with the child.
fn write_requests(requests: &Receiver<Vec<u8>>, mut input: ChildStdin) {
    for bytes in requests {
        if let Err(error) = input.write_all(&bytes) {
            tracing::debug!(%error, "the worker does not read");
            return;
        }
    }
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let meaning = match signal {
            libc::SIGABRT => " (it gave up on an internal error)",
            libc::SIGKILL => " (killed, perhaps for want of memory)",
            libc::SIGSEGV | libc::SIGBUS => " (it crashed)",
            libc::SIGILL => " (this processor lacks an instruction that it was built for)",
            _ => "",
        };
        return format!("signal {signal}{meaning}");
    }
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => "it ended".to_owned(),
    }
}
