//! The language server from outside: what an editor does, and what no editor should.

use std::{fs, path::Path};

use end_to_end::{
    Home,
    lsp::{Client, uri},
    workspace,
};
use serde_json::{Value, json};

const GREETING: &str = "\
//- src/greeting.py
def greet_customer(name):
    return f\"Hello, {name}\"
//- src/main.py
from greeting import greet_customer

print(greet_customer(\"Ada\"))
";

fn document(path: &Path) -> Value {
    json!({"uri": uri(path)})
}

/// Asks something cheap, to see that the server is still at work.
fn assert_alive(client: &mut Client) {
    let status = client.request("hearth/status", &json!({}));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
}

/// Whether a process of this number exists and is not a zombie.
#[cfg(target_os = "linux")]
fn is_running(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')))
}

/// The processes that `parent` started.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn shutdown_and_exit_end_the_process_with_success() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    client.request("shutdown", &Value::Null);
    client.notify("exit", &Value::Null);
    assert_eq!(client.wait_for_exit().code(), Some(0));
}

#[test]
fn exit_without_shutdown_ends_the_process_with_failure() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    client.notify("exit", &Value::Null);
    assert_eq!(client.wait_for_exit().code(), Some(1));
}

#[test]
fn a_closed_pipe_ends_the_process() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    client.hang_up();
    client.wait_for_exit();
}

#[test]
fn malformed_messages_cost_themselves_only() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [&[u8]; 9] = [
        b"{",
        b"null",
        b"[]",
        b"{\"jsonrpc\":\"2.0\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"hearth/status\"}",
        b"{\"jsonrpc\":\"2.0\",\"method\":7}",
        b"\xff\xfe\x00",
        b"",
        deep.as_bytes(),
    ];
    for body in bodies {
        client.send_raw(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        client.send_raw(body);
        assert_alive(&mut client);
    }
}

#[test]
fn wrong_headers_are_skipped() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    for header in [
        "Content-Length: banana\r\n\r\n",
        "Content-Length: -5\r\n\r\n",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "X-Nothing: 1\r\n\r\n",
        "no header at all\r\n\r\n",
    ] {
        client.send_raw(header.as_bytes());
        assert_alive(&mut client);
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_and_the_next_one_served() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let text = "x".repeat(100_000_000);
    client.notify("textDocument/didOpen", &json!({"textDocument": {
        "uri": uri(&folder.path().join("huge.py")), "languageId": "python", "version": 1, "text": text,
    }}));
    assert_alive(&mut client);
}

#[test]
fn unknown_requests_are_answered_and_unknown_notifications_ignored() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let id = client.begin("hearth/noSuchThing", &json!({}));
    assert_eq!(client.reply(id)["error"]["code"], -32601);
    client.notify("$/noSuchThing", &json!({}));
    let id = client.begin("hearth/search", &json!({"query": 5}));
    assert_eq!(client.reply(id)["error"]["code"], -32602);
    assert_alive(&mut client);
}

#[test]
fn half_a_surrogate_pair_keeps_the_columns_after_it() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let path = folder.path().join("src/half.py");
    // A lone surrogate cannot be written by a JSON library, so the frame is made by hand.
    let body = format!(
        r#"{{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{{"textDocument":{{"uri":"{}","languageId":"python","version":1,"text":"a = '\ud83d'\ndef half_function():\n    pass\n"}}}}}}"#,
        uri(&path)
    );
    client.send_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    client.notify("textDocument/didChange", &json!({
        "textDocument": {"uri": uri(&path), "version": 2},
        "contentChanges": [{"range": {
            "start": {"line": 0, "character": 6}, "end": {"line": 0, "character": 7}}, "text": "' "}],
    }));
    let found =
        client.request("hearth/search", &json!({"query": "half_function", "mode": "symbol"}));
    assert_eq!(found["results"][0]["path"], "src/half.py", "{found}");
    assert_alive(&mut client);
}

#[test]
fn stale_versions_and_positions_past_the_end_do_no_harm() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), true);
    let path = folder.path().join("src/greeting.py");
    let text = fs::read_to_string(&path).unwrap();
    client.open(&path, "python", &text);
    let far = json!({"line": 100_000, "character": 100_000});
    let reply = client.request(
        "textDocument/inlineCompletion",
        &json!({"textDocument": document(&path), "position": far, "context": {"triggerKind": 2}}),
    );
    assert!(reply["items"].is_array() || reply.is_array() || reply.is_null(), "{reply}");
    let id = client.begin(
        "hearth/edit",
        &json!({
            "textDocument": {"uri": uri(&path), "version": 0},
            "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}},
            "instruction": "rename it",
            "partialResultToken": "stale",
        }),
    );
    let reply = client.reply(id);
    assert!(reply["error"]["message"].is_string(), "{reply}");
    assert_alive(&mut client);
}

#[test]
fn paths_outside_the_workspace_are_refused() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("innocent.txt")).unwrap();
    let mut client = Client::start(&home, folder.path(), true);
    for path in ["../../etc/passwd", "/etc/passwd", "innocent.txt"] {
        let id = client.begin(
            "hearth/chat",
            &json!({
                "message": "what is in this file?",
                "mentions": [{"kind": "file", "path": path}],
                "partialResultToken": "outside",
            }),
        );
        let reply = client.reply(id).to_string();
        assert!(!reply.contains("root:"), "{path}: {reply}");
        let partial = format!("{:?}", client.partial_results("outside"));
        assert!(!partial.contains("root:"), "{path}: {partial}");
    }
}

#[test]
fn typing_gets_ghost_text_and_each_request_one_reply() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let path = folder.path().join("src/other.py");
    client.open(&path, "python", "");
    client.wait_for("the index to be ready", |message| {
        message["method"] == "hearth/statusChanged"
            && message["params"]["index"]["state"] == "ready"
    });
    let mut version = 1;
    let mut requests = Vec::new();
    for (at, ch) in "def greet_customer(".chars().enumerate() {
        version += 1;
        let place = json!({"line": 0, "character": at});
        client.notify(
            "textDocument/didChange",
            &json!({
                "textDocument": {"uri": uri(&path), "version": version},
                "contentChanges": [{"range": {"start": place, "end": place}, "text": ch}],
            }),
        );
        requests.push(client.begin(
            "textDocument/inlineCompletion",
            &json!({
                "textDocument": document(&path),
                "position": {"line": 0, "character": at + 1},
                "context": {"triggerKind": 1},
            }),
        ));
        if at % 3 == 1 {
            let id = requests[requests.len() - 1];
            client.notify("$/cancelRequest", &json!({"id": id}));
        }
    }
    let replies: Vec<Value> = requests.iter().map(|id| client.reply(*id)).collect();
    assert!(replies.iter().all(|reply| reply["id"].is_number()), "{replies:?}");
    // The model of the workspace's code follows the index within a second or so.
    let place = json!({"line": 0, "character": 19});
    let asked = json!({
        "textDocument": document(&path), "position": place, "context": {"triggerKind": 1},
    });
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let reply = client.request("textDocument/inlineCompletion", &asked).to_string();
        if reply.contains("name):") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{reply}");
    }
}

#[test]
fn chat_streams_its_context_first_and_cites_what_exists() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let answer = client.request(
        "hearth/chat",
        &json!({
            "message": "how is a customer greeted?", "mentions": [], "partialResultToken": "chat",
        }),
    );
    assert_eq!(answer["citations"][0]["path"], "src/greeting.py", "{answer}");
    let partial = client.partial_results("chat");
    assert_eq!(partial.first().map(|value| &value["kind"]), Some(&json!("context")), "{partial:?}");
    let conversation = client.request(
        "hearth/conversations",
        &json!({"action": "get", "conversationId": answer["conversationId"]}),
    );
    assert_eq!(conversation["messages"].as_array().map(Vec::len), Some(2), "{conversation}");
}

#[test]
fn without_trust_nothing_is_edited() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let path = folder.path().join("src/greeting.py");
    client.open(&path, "python", &fs::read_to_string(&path).unwrap());
    let id = client.begin(
        "hearth/edit",
        &json!({
            "textDocument": {"uri": uri(&path), "version": 1},
            "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}},
            "instruction": "rename it", "partialResultToken": "edit",
        }),
    );
    let reply = client.reply(id);
    assert!(
        reply["error"]["message"].as_str().is_some_and(|text| text.contains("trust")),
        "{reply}"
    );
}

#[test]
fn a_workspace_names_no_binary_no_server_and_no_model() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let marker = folder.path().join("ran");
    fs::write(
        folder.path().join("hearth.toml"),
        format!(
            "[models]\nchat = \"/tmp/evil.gguf\"\n[worker]\nprogram = \"touch {0}\"\n\
             [remote]\nurl = \"http://127.0.0.1:9\"\n",
            marker.display()
        ),
    )
    .unwrap();
    let mut client = Client::start(&home, folder.path(), true);
    let answer = client.request(
        "hearth/chat",
        &json!({
            "message": "hello", "mentions": [], "partialResultToken": "evil",
        }),
    );
    assert_eq!(answer["model"], Value::Null);
    let status = client.request("hearth/status", &json!({}));
    assert_eq!(status["network"], "offline", "{status}");
    assert!(!marker.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_worker_costs_one_request() {
    let (home, folder) = (Home::with_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), true);
    let question = json!({
        "message": "how is a customer greeted?", "mentions": [], "partialResultToken": "first",
    });
    let id = client.begin("hearth/chat", &question);
    client.wait_for("the first text", |message| {
        message["params"]["token"] == "first" && message["params"]["value"]["kind"] == "text"
    });
    let workers = children(client.process_id());
    assert!(!workers.is_empty(), "the model runs in a process of its own");
    for worker in workers {
        let killed = std::process::Command::new("kill").arg("-9").arg(worker.to_string()).status();
        assert!(killed.unwrap().success());
    }
    client.reply(id);
    let mut again = question;
    again["partialResultToken"] = json!("second");
    let answer = client.request("hearth/chat", &again);
    assert!(answer["answer"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    assert_ne!(answer["model"], Value::Null, "{answer}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_editor_killed_outright_leaves_no_process_behind() {
    let (home, folder) = (Home::with_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), true);
    client.request(
        "hearth/chat",
        &json!({
            "message": "how is a customer greeted?", "mentions": [], "partialResultToken": "kill",
        }),
    );
    let workers = children(client.process_id());
    assert!(!workers.is_empty());
    client.hang_up();
    client.wait_for_exit();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while workers.iter().any(|worker| is_running(*worker)) {
        assert!(std::time::Instant::now() < deadline, "workers outlived the daemon");
        std::thread::yield_now();
    }
}

#[test]
fn cancelling_a_chat_ends_it() {
    let (home, folder) = (Home::with_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), true);
    let id = client.begin("hearth/chat", &json!({
        "message": "Write a long story about a customer.", "mentions": [], "partialResultToken": "long",
    }));
    client.wait_for("the first text", |message| {
        message["params"]["token"] == "long" && message["params"]["value"]["kind"] == "text"
    });
    client.notify("$/cancelRequest", &json!({"id": id}));
    let reply = client.reply(id);
    assert_eq!(reply["error"]["code"], -32800, "{reply}");
    assert_alive(&mut client);
}
