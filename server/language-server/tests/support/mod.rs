//! An editor in memory: speaks to a server over pipes and, when it goes away, fails the test if
//! the server said anything that the test did not look at.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use assistant::fake::FixedModels;
use base::Folders;
use inference::LanguageModel;
use language_server::{ServerOptions, serve_with_models};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a server is started.
#[derive(Default)]
pub struct Setup {
    /// Files as `//- path` followed by text.
    pub files: &'static str,
    /// The editor's `capabilities`.
    pub capabilities: Value,
    /// The editor's `initializationOptions`.
    pub options: Value,
    /// The model of every role.
    pub model: Option<Arc<dyn LanguageModel>>,
}

/// A connected editor.
pub struct Editor {
    /// The workspace.
    pub folder: TempDir,
    /// The server's capabilities.
    pub offered: Value,
    input: Option<PipeWriter>,
    messages: Receiver<Value>,
    unread: RefCell<Vec<Value>>,
    server: Option<JoinHandle<bool>>,
    next_id: i64,
    shut_down: bool,
    _home: TempDir,
}

impl Setup {
    /// Starts a server and shakes hands.
    pub fn start(self) -> Editor {
        let mut params = json!({
            "processId": null,
            "capabilities": self.capabilities.clone(),
            "initializationOptions": self.options.clone(),
        });
        let mut editor = self.connect();
        params["workspaceFolders"] =
            json!([{ "uri": uri(editor.folder.path()), "name": "workspace" }]);
        editor.offered = editor.request("initialize", &params)["capabilities"].take();
        editor.notify("initialized", &json!({}));
        editor
    }

    /// Starts a server and says nothing.
    pub fn connect(self) -> Editor {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = tempfile::tempdir().expect("a temporary folder");
        write_files(folder.path(), self.files);
        let (server_input, input) = std::io::pipe().expect("a pipe");
        let (output, server_output) = std::io::pipe().expect("a pipe");
        let options = ServerOptions {
            folders: Folders::under(home.path()),
            program: PathBuf::from("no-such-program"),
            offline: true,
        };
        let models = self.model.map_or_else(FixedModels::none, FixedModels::new);
        let server = thread::spawn(move || {
            serve_with_models(server_input, server_output, options, Arc::new(models))
        });
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Editor {
            folder,
            offered: Value::Null,
            input: Some(input),
            messages,
            unread: RefCell::default(),
            server: Some(server),
            next_id: 0,
            shut_down: false,
            _home: home,
        }
    }
}

impl Editor {
    /// The address of a file of the workspace.
    pub fn uri(&self, relative: &str) -> String {
        uri(&self.folder.path().join(relative))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the pipe is open");
        input.write_all(bytes).expect("the server reads");
    }

    /// Sends a body with its header.
    pub fn send_body(&mut self, body: &[u8]) {
        let head = format!("Content-Length: {}\r\n\r\n", body.len());
        self.send_raw(&[head.as_bytes(), body].concat());
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.send_body(message.to_string().as_bytes());
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request and hands back its id.
    pub fn begin(&mut self, method: &str, params: &Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The result of a request; an error fails the test.
    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params);
        let mut reply = self.reply(id);
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].take()
    }

    /// The error of a request; a result fails the test.
    pub fn refused(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params);
        let mut reply = self.reply(id);
        assert!(reply.get("error").is_some(), "{method}: {reply}");
        reply["error"].take()
    }

    /// Waits for the reply to a request.
    pub fn reply(&self, id: i64) -> Value {
        self.next(&format!("a reply to {id}"), |message| {
            message.get("method").is_none() && message["id"] == id
        })
    }

    /// Waits for an error about a message whose id could not be read.
    pub fn expect_error(&self) -> Value {
        let mut reply = self.next("an error without an id", |message| {
            message["id"].is_null() && message.get("error").is_some()
        });
        reply["error"].take()
    }

    /// Waits for a notification or request of the server.
    pub fn expect(&self, method: &str) -> Value {
        self.next(method, |message| message["method"] == method)
    }

    /// Asks again and again until the answer is as `wanted` has it: for what follows the index in
    /// its own time.
    pub fn ask_until(
        &mut self,
        method: &str,
        params: &Value,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.request(method, params);
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{method} stays at {answer}");
            thread::yield_now();
        }
    }

    /// Opens a document.
    pub fn open(&mut self, relative: &str, text: &str) {
        let document = json!({
            "uri": self.uri(relative), "languageId": "plaintext", "version": 1, "text": text,
        });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }));
    }

    /// Takes the values of all partial results that came for a token.
    pub fn partial_results(&self, token: &str) -> Vec<Value> {
        let mut unread = self.unread.borrow_mut();
        let (found, rest): (Vec<Value>, Vec<Value>) = unread.drain(..).partition(|message| {
            message["method"] == "$/progress" && message["params"]["token"] == token
        });
        *unread = rest;
        found.into_iter().map(|mut message| message["params"]["value"].take()).collect()
    }

    /// Goes away without a word; whether the server calls that orderly.
    pub fn hang_up(&mut self) -> bool {
        self.input = None;
        self.wait_for_end()
    }

    /// Waits until the server has ended; whether it calls that orderly.
    pub fn wait_for_end(&mut self) -> bool {
        let server = self.server.take().expect("it runs until now");
        server.join().expect("the server does not panic")
    }

    /// Sends `shutdown`.
    pub fn shut_down(&mut self) {
        self.request("shutdown", &Value::Null);
        self.shut_down = true;
    }

    /// The first message, waiting or new, that `wanted` takes; the others wait.
    fn next(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut unread = self.unread.borrow_mut();
        if let Some(at) = unread.iter().position(&wanted) {
            return unread.remove(at);
        }
        loop {
            let message = self
                .messages
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("{what} did not come: {error}; {unread:?}"));
            if wanted(&message) {
                return message;
            }
            unread.push(message);
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        if self.server.is_some() {
            if !self.shut_down {
                self.shut_down();
            }
            self.notify("exit", &Value::Null);
            assert!(self.wait_for_end(), "shutdown and exit are an orderly end");
        }
        let mut unread = self.unread.take();
        unread.extend(self.messages.iter());
        // The state changes by itself; what tests look at is asked for.
        unread.retain(|message| message["method"] != "hearth/statusChanged");
        assert!(unread.is_empty(), "the server said more than was asked: {unread:?}");
    }
}

fn write_files(folder: &Path, files: &str) {
    for file in files.split("//- ").skip(1) {
        let (path, text) = file.split_once('\n').expect("a path stands on its own line");
        let path = folder.join(path.trim());
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("made");
        fs::write(path, text).expect("written");
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn read(output: &mut BufReader<PipeReader>) -> Option<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse::<usize>().ok(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length?];
    output.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
