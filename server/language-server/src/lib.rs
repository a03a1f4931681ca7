//! The language server: what an editor says and hears, and nothing of what is thought in between.
//!
//! Its own framing takes any bytes without dying of them ([`frame`]); one thread owns the state and
//! takes every input in order ([`server`]); requests are answered elsewhere from snapshots by
//! handlers of a few lines that translate to and from the façade `assistant` ([`handlers`]). The
//! methods stand in one table ([`routes`]) and are described in `docs/protocol.md`.
//!
//! This crate decides nothing about content: no prompt, no ranking, no file is read or written
//! here.

mod context;
mod convert;
mod failure;
pub mod frame;
mod handlers;
pub mod message;
mod output;
mod pending;
pub mod routes;
mod server;
mod session;
mod stdio;
mod work_done;

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use assistant::Models;
use base::Folders;
use crossbeam_channel::{Sender, bounded};
use tower_lsp::jsonrpc::{ErrorCode, Id};

use crate::{
    frame::FrameReader,
    message::BadMessage,
    output::Client,
    server::{Ending, Event, Server},
    session::Launcher,
};

/// Events that may wait for the loop, which never blocks: enough for any burst.
const EVENTS: usize = 1024;

/// How long the last messages may take to be written when the program ends.
const GRACE: Duration = Duration::from_millis(500);

/// What the server needs to know before the editor says anything.
pub struct ServerOptions {
    /// Where Hearth keeps its own files.
    pub folders: Folders,
    /// The program that workers are started from.
    pub program: PathBuf,
    /// Whether the network is forbidden.
    pub offline: bool,
}

/// Serves one editor on standard input and output until it goes away. The process should end with
/// the code that comes back: 0 after `shutdown` and `exit`, else 1.
pub fn run(options: ServerOptions) -> ExitCode {
    let output = match stdio::take_stdout() {
        Ok(output) => output,
        Err(error) => {
            tracing::error!(%error, "standard output cannot be used");
            return ExitCode::FAILURE;
        }
    };
    let ServerOptions { folders, program, offline } = options;
    let launcher =
        Launcher { folders: Ok(folders), program, offline, models: None, owns_process: true };
    match serve(io::stdin(), output, launcher) {
        Ending::Orderly => ExitCode::SUCCESS,
        Ending::Abrupt => ExitCode::FAILURE,
    }
}

/// Serves one editor on any pair of streams, with these models; for tests.
pub fn serve_with_models(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    options: ServerOptions,
    models: Arc<dyn Models>,
) -> bool {
    let ServerOptions { folders, program, offline } = options;
    let launcher = Launcher {
        folders: Ok(folders),
        program,
        offline,
        models: Some(models),
        owns_process: false,
    };
    serve(input, output, launcher) == Ending::Orderly
}

fn serve(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    launcher: Launcher,
) -> Ending {
    let (events, receiver) = bounded(EVENTS);
    let failed = events.clone();
    let (client, writer) = Client::start(output, move || {
        let _ = failed.send(Event::OutputFailed);
    });
    let reader = events.clone();
    thread::Builder::new()
        .name("input".into())
        .spawn(move || read(input, &reader))
        .expect("the system starts a handful of threads");
    let ending = Server::new(client, events, launcher).run(&receiver);
    // Threads of pending requests may still hold the way out: the last answers get a moment, not
    // the time that their work takes.
    let deadline = Instant::now() + GRACE;
    while !writer.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    ending
}

/// Turns bytes into events until the input ends.
fn read(input: impl Read, events: &Sender<Event>) {
    let mut frames = FrameReader::new(input);
    loop {
        let event = match frames.next_frame() {
            Ok(Some(Ok(body))) => match message::parse(body) {
                Ok(message) => Event::Message(message),
                Err(bad) => Event::Malformed(bad),
            },
            Ok(Some(Err(skipped))) => Event::Malformed(BadMessage {
                id: Id::Null,
                code: ErrorCode::ParseError,
                reason: skipped.to_string(),
            }),
            Ok(None) => Event::InputEnded,
            Err(error) => {
                tracing::info!(%error, "the input failed");
                Event::InputEnded
            }
        };
        let ended = matches!(event, Event::InputEnded);
        if events.send(event).is_err() || ended {
            return;
        }
    }
}
