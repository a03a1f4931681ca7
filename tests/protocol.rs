//! The language server from outside: what an editor does, and what no editor should.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

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
fn wrong_lengths_cost_one_message() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let body = r#"{"jsonrpc":"2.0","method":"$/noSuchThing","params":{}}"#;
    for declared in [0, 1, body.len() - 1, body.len() + 1, body.len() + 50, 40_000_000] {
        client.send_raw(format!("Content-Length: {declared}\r\n\r\n{body}").as_bytes());
        assert_alive(&mut client);
    }
    // One that never comes whole, and then nobody is there any more.
    client.send_raw(format!("Content-Length: 1000\r\n\r\n{body}").as_bytes());
    client.hang_up();
    client.wait_for_exit();
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
fn a_change_with_a_stale_version_changes_nothing() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    let path = folder.path().join("src/new.py");
    let change = |client: &mut Client, version: i32, name: &str| {
        client.notify(
            "textDocument/didChange",
            &json!({
                "textDocument": {"uri": uri(&path), "version": version},
                "contentChanges": [{"text": format!("def {name}():\n    pass\n")}],
            }),
        );
        let found = client.request("hearth/search", &json!({"query": name, "mode": "symbol"}));
        found["results"][0]["symbol"] == *name
    };
    client.open(&path, "python", "");
    assert!(change(&mut client, 7, "current_function"));
    assert!(!change(&mut client, 7, "repeated_function"));
    assert!(!change(&mut client, 3, "outdated_function"));
    assert!(!change(&mut client, i32::MIN, "ancient_function"));
    assert!(change(&mut client, 8, "newest_function"));
    let unopened = json!({
        "textDocument": {"uri": uri(&folder.path().join("src/main.py")), "version": 2},
        "contentChanges": [{"text": ""}],
    });
    client.notify("textDocument/didChange", &unopened);
    let found = client.request("hearth/search", &json!({"query": "greet_customer"}));
    assert!(found.to_string().contains("src/main.py"), "{found}");
}

#[test]
fn positions_past_the_end_mean_the_end_and_an_edit_of_a_stale_version_is_refused() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), true);
    let path = folder.path().join("src/greeting.py");
    let text = fs::read_to_string(&path).unwrap();
    client.open(&path, "python", &text);
    let far = json!({"line": 4_294_967_295_u32, "character": 4_294_967_295_u32});
    let beyond = json!({"start": {"line": 100_000, "character": 0}, "end": far});
    let reversed = json!({"start": far, "end": {"line": 0, "character": 0}});
    let reply = client.request(
        "textDocument/inlineCompletion",
        &json!({"textDocument": document(&path), "position": far, "context": {"triggerKind": 2}}),
    );
    assert!(reply["items"].is_array(), "{reply}");
    let place = json!({"textDocument": document(&path), "position": far});
    let reply = client.request("hearth/explainCompletion", &place);
    assert!(reply["stages"].is_array(), "{reply}");
    for range in [&beyond, &reversed] {
        let asked = json!({
            "textDocument": document(&path), "range": range, "context": {"diagnostics": []},
        });
        let reply = client.request("textDocument/codeAction", &asked);
        assert!(reply.is_array() || reply.is_null(), "{reply}");
        let question = json!({
            "message": "what is this?", "mentions": [], "partialResultToken": "chat",
            "textDocument": document(&path), "selection": range,
        });
        client.request("hearth/chat", &question);
    }
    let edit = |version: i32, range: &Value| {
        json!({
            "textDocument": {"uri": uri(&path), "version": version}, "range": range,
            "instruction": "rename it", "partialResultToken": "stale",
        })
    };
    let error = client.refusal("hearth/edit", &edit(0, &beyond));
    assert_eq!(error["data"]["kind"], "stale", "{error}");
    client.refusal("hearth/edit", &edit(1, &beyond));
    client.notify(
        "textDocument/didChange",
        &json!({
            "textDocument": {"uri": uri(&path), "version": 2},
            "contentChanges": [{"range": beyond, "text": "def appended_function():\n    pass\n"}],
        }),
    );
    let found =
        client.request("hearth/search", &json!({"query": "appended_function", "mode": "symbol"}));
    assert_eq!(found["results"][0]["path"], "src/greeting.py", "{found}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
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
fn chat_about_the_docs_cites_documentation_alone() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let guide = "# Greeting\n\nA customer is greeted by name, in the language of the shop.\n";
    fs::write(folder.path().join("guide.md"), guide).unwrap();
    let mut client = Client::start(&home, folder.path(), false);
    let mut cited = |message: &str, mentions: Value| -> Vec<String> {
        let params = json!({"message": message, "mentions": mentions});
        let answer = client.request("hearth/chat", &params);
        let citations = answer["citations"].as_array().unwrap().iter();
        citations.map(|place| place["path"].as_str().unwrap().to_owned()).collect()
    };
    let question = "how is a customer greeted?";
    assert!(cited(question, json!([])).contains(&"src/greeting.py".to_owned()));
    assert_eq!(cited(question, json!([{"kind": "docs"}])), ["guide.md"]);
    assert_eq!(cited(&format!("@docs {question}"), json!([])), ["guide.md"]);
}

#[test]
fn chat_about_the_docs_cites_folders_that_the_person_named_and_follows_them() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let manual = workspace("//- names\nA customer without a name is greeted as a stranger.\n");
    let manual_root = manual.path().canonicalize().unwrap();
    let settings = format!("[docs]\nfolders = [{manual_root:?}]\n");
    fs::create_dir_all(home.path().join("config")).unwrap();
    fs::write(home.path().join("config/hearth.toml"), settings).unwrap();
    let mut client = Client::start(&home, folder.path(), false);
    let status = client.request("hearth/status", &json!({}));
    let unasked = json!([{"folder": manual_root, "state": null, "files": 0, "detail": null}]);
    assert_eq!(status["docs"], unasked);
    let mut cited = |message: &str| -> Vec<String> {
        let params = json!({"message": message, "mentions": [{"kind": "docs"}]});
        let answer = client.request("hearth/chat", &params);
        let citations = answer["citations"].as_array().unwrap().iter();
        citations.map(|place| place["path"].as_str().unwrap().to_owned()).collect()
    };
    let place = |name: &str| manual_root.join(name).to_str().unwrap().to_owned();
    assert_eq!(cited("how is a stranger greeted?"), [place("names")]);
    fs::write(manual_root.join("languages"), "Greetings in Welsh are left to the mayor.\n")
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while cited("who greets in Welsh, the mayor?").first() != Some(&place("languages")) {
        assert!(Instant::now() < deadline, "the new file is not found");
    }
    let status = client.request("hearth/status", &json!({}));
    assert_eq!(status["docs"][0]["files"], 2, "{status}");
    assert_eq!(status["index"]["files"], 2, "{status}");

    // Hits lead there, parameters do not.
    let outside = json!({"kind": "file", "path": place("names")});
    let params = json!({"message": "what is in it?", "mentions": [outside]});
    let error = client.refusal("hearth/chat", &params);
    assert_eq!(error["data"]["kind"], "outside", "{error}");
    let found = client.request("hearth/search", &json!({"query": "stranger", "docs": true}));
    assert_eq!(found["results"][0]["path"], place("names"), "{found}");
    let found = client.request("workspace/symbol", &json!({"query": "names"}));
    assert_eq!(found, json!([]));
}

#[test]
fn conversations_are_found_by_words_and_by_meaning() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), false);
    for message in ["how is a customer greeted?", "Where is the database connection opened?"] {
        client.request("hearth/chat", &json!({"message": message, "mentions": []}));
    }
    let mut titles = |query: &str| -> Vec<String> {
        let params = json!({"action": "search", "query": query});
        let found = client.request("hearth/conversations", &params);
        let found = found["conversations"].as_array().unwrap().iter();
        found.map(|entry| entry["title"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(titles("customer gree"), ["how is a customer greeted?"]);
    assert_eq!(titles("SQL connections"), ["Where is the database connection opened?"]);
    assert!(titles("the weather tomorrow").is_empty());
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
fn an_editor_that_hangs_up_leaves_no_process_behind() {
    use end_to_end::process::{children, is_running, wait_until};

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
    wait_until("the workers to end", || !workers.iter().any(|worker| is_running(*worker)));
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
