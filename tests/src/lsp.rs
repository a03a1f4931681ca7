//! A language client that speaks to the real program over pipes.

use std::{
    collections::VecDeque,
    io::{BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::Home;

/// How long an answer may take before the test fails: generous, since machines are slow and shared.
const PATIENCE: Duration = Duration::from_mins(2);

/// A started language server and the messages that it sent.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    kept: VecDeque<Value>,
    next_id: i64,
}

impl Client {
    /// Starts `hearth lsp` and does nothing else.
    pub fn spawn(home: &Home, workspace: &Path) -> Self {
        let mut command: Command = home.command(workspace);
        command.arg("lsp");
        Self::spawn_command(command)
    }

    /// Starts a command that runs `hearth lsp` in its own way.
    pub fn spawn_command(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the program starts");
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            while let Some(message) = read_message(&mut stdout) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, messages, kept: VecDeque::new(), next_id: 0 }
    }

    /// Starts it and shakes hands, with the workspace trusted or not.
    pub fn start(home: &Home, workspace: &Path, trusted: bool) -> Self {
        let mut client = Self::spawn(home, workspace);
        client.initialize(workspace, trusted, std::process::id());
        client
    }

    /// Shakes hands for an editor that is this process.
    pub fn initialize(&mut self, workspace: &Path, trusted: bool, editor: u32) {
        let folder = json!({"uri": uri(workspace), "name": "workspace"});
        self.request(
            "initialize",
            &json!({
                "processId": editor,
                "rootUri": uri(workspace),
                "workspaceFolders": [folder],
                "capabilities": {"window": {"workDoneProgress": true}},
                "initializationOptions": {"trusted": trusted},
            }),
        );
        self.notify("initialized", &json!({}));
    }

    /// The operating system's number of the server's process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the pipe is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the server reads");
    }

    /// Sends a framed message.
    pub fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Sends a request and hands back its number.
    pub fn begin(&mut self, method: &str, params: &Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Waits for the whole reply to a request.
    pub fn reply(&mut self, id: i64) -> Value {
        self.wait_for(&format!("a reply to request {id}"), |message| {
            message.get("method").is_none() && message["id"] == id
        })
    }

    /// Sends a request and waits for its result; an error reply fails the test.
    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params);
        let mut reply = self.reply(id);
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].take()
    }

    /// Sends a request and waits for the error that it must end with.
    pub fn refusal(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params);
        let mut reply = self.reply(id);
        assert!(reply["error"]["message"].is_string(), "{method}: {reply}");
        reply["error"].take()
    }

    /// Opens a document.
    pub fn open(&mut self, path: &Path, language: &str, text: &str) {
        self.notify(
            "textDocument/didOpen",
            &json!({"textDocument":
                {"uri": uri(path), "languageId": language, "version": 1, "text": text}}),
        );
    }

    /// The first message, kept or new, that `wanted` accepts. Requests of the server are answered
    /// with null on the way, as an editor would.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at).expect("the position was just found");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self
                .messages
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("{what} did not come: {error}"));
            if message.get("method").is_some() && message.get("id").is_some() {
                let id = message["id"].clone();
                self.send(&json!({"jsonrpc": "2.0", "id": id, "result": null}));
            }
            if wanted(&message) {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    /// The partial results of a token that have come so far.
    pub fn partial_results(&self, token: &str) -> Vec<&Value> {
        self.kept
            .iter()
            .filter(|message| {
                message["method"] == "$/progress" && message["params"]["token"] == token
            })
            .map(|message| &message["params"]["value"])
            .collect()
    }

    /// Closes the pipe to the server, as an editor that goes away.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Asks for the status until `wanted` accepts it.
    pub fn wait_for_status(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.request("hearth/status", &json!({}));
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} did not come: {status}");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until the process has ended.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not end");
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `file:` address of a path.
pub fn uri(path: &Path) -> String {
    format!("file://{}", path.display().to_string().replace(' ', "%20"))
}

/// Reads one framed message; `None` at the end of the stream. Anything that is not a frame fails:
/// standard output belongs to the protocol.
fn read_message(stream: &mut impl std::io::BufRead) -> Option<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line}"));
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let mut body = vec![0; length.expect("every frame says its length")];
    stream.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("every frame holds JSON"))
}
