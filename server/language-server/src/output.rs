//! What goes to the client: one thread that writes, and a handle that never waits.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use base::CancelToken;
use crossbeam_channel::{Sender, unbounded};
use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use serde_json::{Value, json};
use tower_lsp::jsonrpc::{Error, Id, Response};

use crate::frame;

/// Bytes that may wait for a client that reads slowly before streams are held back.
const BACKLOG: usize = 4 * 1024 * 1024;

/// Sends messages to the client. Clones share the way out.
#[derive(Clone)]
pub struct Client {
    queue: Sender<Vec<u8>>,
    backlog: Arc<Backlog>,
    next_id: Arc<AtomicI64>,
}

#[derive(Default)]
struct Backlog {
    bytes: AtomicUsize,
    lock: Mutex<()>,
    written: Condvar,
}

impl Client {
    /// Starts the thread that writes to `output`. When that fails, the rest is dropped and `failed`
    /// runs once.
    pub fn start(
        mut output: impl Write + Send + 'static,
        failed: impl FnOnce() + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (queue, bodies) = unbounded::<Vec<u8>>();
        let backlog = Arc::new(Backlog::default());
        let shared = backlog.clone();
        let writer = move || {
            let mut failed = Some(failed);
            for body in bodies {
                if failed.is_some()
                    && let Err(error) = frame::write(&mut output, &body)
                {
                    tracing::info!(%error, "the client is gone");
                    if let Some(failed) = failed.take() {
                        failed();
                    }
                }
                shared.bytes.fetch_sub(body.len(), Ordering::AcqRel);
                let _guard = shared.lock.lock();
                shared.written.notify_all();
            }
        };
        let thread = thread::Builder::new()
            .name("output".into())
            .spawn(writer)
            .expect("the system starts a handful of threads");
        (Self { queue, backlog, next_id: Arc::default() }, thread)
    }

    /// Answers a request.
    pub fn respond(&self, id: Id, result: Result<Value, Error>) {
        self.send(&Response::from_parts(id, result));
    }

    /// Tells the client something.
    pub fn notify(&self, method: &str, params: &impl Serialize) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Asks the client something and hands back the id under which it will answer.
    pub fn request(&self, method: &str, params: &impl Serialize) -> Id {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        Id::from(id)
    }

    /// Waits until the client has taken most of what was sent, or `cancel`.
    pub fn wait_for_room(&self, cancel: &CancelToken) {
        let mut guard = self.backlog.lock.lock();
        while self.is_behind() && !cancel.is_cancelled() {
            // A cancelled request does not wake this thread: it looks for itself.
            self.backlog.written.wait_for(&mut guard, Duration::from_millis(100));
        }
    }

    /// Whether the client reads more slowly than we write.
    pub fn is_behind(&self) -> bool {
        self.backlog.bytes.load(Ordering::Acquire) > BACKLOG
    }

    fn send(&self, message: &impl Serialize) {
        let body = serde_json::to_vec(message).expect("our own messages are valid JSON");
        self.backlog.bytes.fetch_add(body.len(), Ordering::AcqRel);
        // The writer ends only when the last handle is dropped.
        let _ = self.queue.send(body);
    }
}
