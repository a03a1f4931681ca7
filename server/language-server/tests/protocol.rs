//! The protocol, by an editor in memory against models that follow a script.

mod support;

use std::{
    ops::ControlFlow,
    sync::{Arc, Condvar, Mutex, mpsc},
};

use base::CancelToken;
use inference::{
    FimTokens, GenerateRequest, Generation, InferenceError, LanguageModel, ModelInfo, TextSink,
    fake::FakeLanguageModel,
};
use language_server::routes::{NOTIFICATIONS, REQUESTS};
use serde_json::{Value, json};
use support::{Editor, Setup};

const GREETING: &str = "\
//- src/greeting.py
def greet_customer(name):
    return f\"Hello, {name}\"
//- src/main.py
from greeting import greet_customer

print(greet_customer(\"Ada\"))
";

fn plain() -> Setup {
    Setup { files: GREETING, ..Setup::default() }
}

fn trusted() -> Value {
    json!({ "trusted": true })
}

fn position(line: u32, character: u32) -> Value {
    json!({ "line": line, "character": character })
}

fn range(from: (u32, u32), to: (u32, u32)) -> Value {
    json!({ "start": position(from.0, from.1), "end": position(to.0, to.1) })
}

fn code(error: &Value) -> i64 {
    error["code"].as_i64().expect("an error has a code")
}

/// A model that says one word and then waits until it is stopped.
struct Endless {
    started: Mutex<mpsc::Sender<()>>,
}

impl Endless {
    fn new() -> (Arc<Self>, mpsc::Receiver<()>) {
        let (started, receiver) = mpsc::channel();
        (Arc::new(Self { started: Mutex::new(started) }), receiver)
    }
}

impl LanguageModel for Endless {
    fn load(&self, _: &CancelToken) -> Result<Arc<ModelInfo>, InferenceError> {
        Ok(Arc::new(ModelInfo { id: "endless".into(), context: 4096, ..ModelInfo::default() }))
    }

    fn loaded(&self) -> Option<Arc<ModelInfo>> {
        self.load(&CancelToken::new()).ok()
    }

    fn generate(
        &self,
        _: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut TextSink<'_>,
    ) -> Result<Generation, InferenceError> {
        if sink("Once ") == ControlFlow::Break(()) {
            return Err(InferenceError::Cancelled);
        }
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = stopped.clone();
        cancel.on_cancel(move || {
            *signal.0.lock().expect("not poisoned") = true;
            signal.1.notify_all();
        });
        // Nobody may be listening.
        let _ = self.started.lock().expect("not poisoned").send(());
        let mut is_stopped = stopped.0.lock().expect("not poisoned");
        while !*is_stopped {
            is_stopped = stopped.1.wait(is_stopped).expect("not poisoned");
        }
        Err(InferenceError::Cancelled)
    }

    fn count_tokens(&self, text: &str, _: &CancelToken) -> Result<usize, InferenceError> {
        Ok(text.len().div_ceil(4))
    }
}

#[test]
fn requests_have_their_time() {
    let mut editor = plain().connect();
    assert_eq!(code(&editor.refused("hearth/status", &json!({}))), -32002);
    editor.notify("textDocument/didOpen", &json!({}));
    let folder = json!({ "uri": editor.uri(""), "name": "workspace" });
    let params = json!({ "processId": null, "workspaceFolders": [folder], "capabilities": {} });
    let result = editor.request("initialize", &params);
    assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(result["capabilities"]["inlineCompletionProvider"], true);
    assert!(result["capabilities"]["completionProvider"].is_object());
    assert_eq!(code(&editor.refused("initialize", &params)), -32600);
    editor.shut_down();
    assert_eq!(code(&editor.refused("hearth/status", &json!({}))), -32600);
}

#[test]
fn unknown_methods_and_wrong_parameters_are_answered() {
    let mut editor = plain().start();
    assert_eq!(code(&editor.refused("hearth/nothing", &json!({}))), -32601);
    assert_eq!(code(&editor.refused("hearth/search", &json!({ "query": 5 }))), -32602);
    assert_eq!(code(&editor.refused("hearth/chat", &json!([]))), -32602);
    editor.notify("hearth/nothing", &json!({}));
    editor.notify("$/nothing", &json!({}));
    editor.notify("textDocument/didChange", &json!({ "textDocument": 1 }));
    assert_eq!(editor.request("hearth/status", &json!({}))["trusted"], false);
}

#[test]
fn a_malformed_message_costs_itself() {
    let mut editor = plain().start();
    let deep = "[".repeat(100_000);
    for (body, expected) in [
        (&b"{"[..], -32700),
        (b"", -32700),
        (b"\xff\xfe\x00", -32700),
        (deep.as_bytes(), -32700),
        (b"null", -32600),
        (b"[]", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"method\":7}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"hearth/status\"}", -32600),
    ] {
        editor.send_body(body);
        let error = editor.expect_error();
        assert_eq!(code(&error), expected, "{}", String::from_utf8_lossy(body));
        editor.request("hearth/status", &json!({}));
    }
    for header in ["Content-Length: five\r\n\r\n{}", "Nonsense\r\n\r\n"] {
        editor.send_raw(header.as_bytes());
        assert_eq!(code(&editor.expect_error()), -32700);
        editor.request("hearth/status", &json!({}));
    }
}

#[test]
fn an_id_is_answered_once() {
    let (model, started) = Endless::new();
    let mut editor = Setup { model: Some(model), ..plain() }.start();
    let id = editor.begin("hearth/chat", &json!({ "message": "a story" }));
    started.recv().expect("the model is asked");
    let again = json!({ "jsonrpc": "2.0", "id": id, "method": "hearth/status", "params": {} });
    editor.send(&again);
    assert_eq!(code(&editor.reply(id)["error"]), -32600);
    editor.notify("$/cancelRequest", &json!({ "id": id }));
    assert_eq!(code(&editor.reply(id)["error"]), -32800);
    // A request that is answered already, or never was, is no matter.
    editor.notify("$/cancelRequest", &json!({ "id": id }));
    editor.notify("$/cancelRequest", &json!({ "id": "other" }));
}

#[test]
fn many_requests_for_a_model_are_refused_and_quick_ones_served() {
    let (model, started) = Endless::new();
    let mut editor = Setup { model: Some(model), ..plain() }.start();
    let ids: Vec<i64> =
        (0..6).map(|_| editor.begin("hearth/chat", &json!({ "message": "a story" }))).collect();
    for _ in &ids {
        started.recv().expect("the model is asked");
    }
    let error = editor.refused("hearth/chat", &json!({ "message": "one more" }));
    assert_eq!(error["data"]["kind"], "busy", "{error}");
    editor.request("hearth/status", &json!({}));
    for id in &ids {
        editor.notify("$/cancelRequest", &json!({ "id": id }));
        assert_eq!(code(&editor.reply(*id)["error"]), -32800);
    }
}

#[test]
fn shutdown_answers_what_is_open() {
    let (model, started) = Endless::new();
    let mut editor = Setup { model: Some(model), ..plain() }.start();
    let id = editor.begin("hearth/chat", &json!({ "message": "a story" }));
    started.recv().expect("the model is asked");
    editor.shut_down();
    assert_eq!(code(&editor.reply(id)["error"]), -32800);
}

#[test]
fn endings_without_shutdown_are_abrupt() {
    let mut editor = plain().start();
    editor.notify("exit", &Value::Null);
    assert!(!editor.wait_for_end());
    let mut editor = plain().start();
    assert!(!editor.hang_up());
    let (model, started) = Endless::new();
    let mut editor = Setup { model: Some(model), ..plain() }.start();
    editor.begin("hearth/chat", &json!({ "message": "a story" }));
    started.recv().expect("the model is asked");
    assert!(!editor.hang_up());
}

#[test]
fn changes_apply_in_order_and_searches_see_them() {
    let mut editor = plain().start();
    editor.open("src/new.py", "");
    for (at, ch) in (0..).zip("zebra_crossing_count = 1".chars()) {
        let change = json!({
            "textDocument": { "uri": editor.uri("src/new.py"), "version": at + 2 },
            "contentChanges": [{ "range": range((0, at), (0, at)), "text": ch }],
        });
        editor.notify("textDocument/didChange", &change);
    }
    let found = editor.request("hearth/search", &json!({ "query": "zebra_crossing_count" }));
    assert_eq!(found["results"][0]["path"], "src/new.py", "{found}");
    let document = json!({ "textDocument": { "uri": editor.uri("src/new.py") } });
    editor.notify("textDocument/didClose", &document);
    let found = editor.request("hearth/search", &json!({ "query": "zebra_crossing_count" }));
    assert!(!found.to_string().contains("src/new.py"), "{found}");
}

#[test]
fn columns_are_counted_as_agreed() {
    for (encoding, after) in [("utf-16", 5), ("utf-8", 8)] {
        let capabilities = json!({ "general": { "positionEncodings": [encoding] } });
        let mut editor = Setup { capabilities, ..plain() }.start();
        editor.open("a.py", "a😀é = 1\n");
        let change = json!({
            "textDocument": { "uri": editor.uri("a.py"), "version": 2 },
            "contentChanges": [
                { "range": range((0, after - 1), (0, after)), "text": "_quokka_height" },
            ],
        });
        editor.notify("textDocument/didChange", &change);
        let found = editor.request("hearth/search", &json!({ "query": "quokka_height" }));
        let text = found["results"][0]["text"].as_str().unwrap_or_default();
        assert!(text.starts_with("a😀é_quokka_height="), "{encoding}: {found}");
    }
}

#[test]
fn half_a_surrogate_pair_keeps_the_columns_after_it() {
    let mut editor = plain().start();
    let uri = editor.uri("half.py");
    let body = format!(
        r#"{{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{{"textDocument":{{"uri":"{uri}","languageId":"python","version":1,"text":"'\ud83d' x"}}}}}}"#
    );
    editor.send_body(body.as_bytes());
    let change = json!({
        "textDocument": { "uri": uri, "version": 2 },
        "contentChanges": [{ "range": range((0, 4), (0, 5)), "text": "wombat_burrow" }],
    });
    editor.notify("textDocument/didChange", &change);
    let found = editor.request("hearth/search", &json!({ "query": "wombat_burrow" }));
    assert_eq!(found["results"][0]["text"], "'\u{fffd}' wombat_burrow", "{found}");
}

#[test]
fn stale_changes_and_far_positions_do_no_harm() {
    let mut editor = plain().start();
    editor.open("a.py", "first_meerkat = 1\n");
    for version in [1, 0, -7] {
        let change = json!({
            "textDocument": { "uri": editor.uri("a.py"), "version": version },
            "contentChanges": [{ "text": "second_meerkat = 2\n" }],
        });
        editor.notify("textDocument/didChange", &change);
    }
    let found = editor.request("hearth/search", &json!({ "query": "meerkat", "mode": "lexical" }));
    assert!(found.to_string().contains("first_meerkat"), "{found}");
    assert!(!found.to_string().contains("second_meerkat"), "{found}");
    let far = json!({
        "textDocument": { "uri": editor.uri("a.py") }, "position": position(9_999, 9_999),
    });
    for method in ["textDocument/inlineCompletion", "textDocument/completion"] {
        assert!(editor.request(method, &far)["items"].is_array());
    }
    editor.request("hearth/explainCompletion", &far);
}

#[test]
fn a_completion_model_sees_the_same_other_places_from_line_to_line() {
    let info = ModelInfo {
        id: "qwen2.5-coder-0.5b".into(),
        architecture: "qwen2".into(),
        context: 4096,
        fim: Some(FimTokens {
            prefix: "<|fim_prefix|>".into(),
            suffix: "<|fim_suffix|>".into(),
            middle: "<|fim_middle|>".into(),
        }),
        ..ModelInfo::default()
    };
    let model = Arc::new(FakeLanguageModel::new(["\"Bob\")", "\"Eve\")"]).with_info(info));
    let mut editor = Setup { model: Some(model), ..plain() }.start();
    let text =
        "from greeting import greet_customer\n\n\nshow(greet_customer, \ntell(greet_customer, ";
    editor.open("src/new.py", text);
    // Waits for the index.
    editor.request("hearth/search", &json!({ "query": "greet" }));
    let mut beginning = |line| {
        let at = json!({
            "textDocument": { "uri": editor.uri("src/new.py") }, "position": position(line, 21),
        });
        let seen = editor.request("hearth/explainCompletion", &at);
        let prompt =
            seen["prompt"].as_str().unwrap_or_else(|| panic!("no prompt: {seen}")).to_owned();
        let (beginning, _) = prompt.split_once("src/new.py").expect("the open file's path");
        beginning.to_owned()
    };
    let first = beginning(3);
    assert!(first.contains("src/greeting.py\ndef greet_customer(name):"), "{first}");
    assert_eq!(beginning(4), first);
}

#[test]
fn every_keystroke_gets_one_answer() {
    let mut editor = plain().start();
    editor.open("src/learned.py", "def greet_customer(");
    let learned = json!({
        "textDocument": { "uri": editor.uri("src/learned.py") }, "position": position(0, 19),
    });
    let has_items = |answer: &Value| answer["items"].get(0).is_some();
    editor.ask_until("textDocument/inlineCompletion", &learned, has_items);
    editor.open("src/other.py", "");
    let mut requests = Vec::new();
    for (at, ch) in (0..).zip("def greet_customer(".chars()) {
        let uri = editor.uri("src/other.py");
        let change = json!({
            "textDocument": { "uri": uri, "version": at + 2 },
            "contentChanges": [{ "range": range((0, at), (0, at)), "text": ch }],
        });
        editor.notify("textDocument/didChange", &change);
        let params = json!({ "textDocument": { "uri": uri }, "position": position(0, at + 1) });
        requests.push(editor.begin("textDocument/inlineCompletion", &params));
    }
    let mut last = Value::Null;
    for id in requests {
        last = editor.reply(id);
        assert!(last["result"]["items"].is_array(), "{last}");
    }
    assert!(last["result"]["items"].get(0).is_some(), "{last}");
}

#[test]
fn inline_completion_is_registered_where_the_editor_can() {
    let capabilities =
        json!({ "textDocument": { "inlineCompletion": { "dynamicRegistration": true } } });
    let editor = Setup { capabilities, ..plain() }.start();
    assert_eq!(editor.offered["inlineCompletionProvider"], Value::Null);
    assert_eq!(editor.offered["completionProvider"], Value::Null);
    let request = editor.expect("client/registerCapability");
    assert_eq!(
        request["params"]["registrations"][0]["method"], "textDocument/inlineCompletion",
        "{request}"
    );
}

#[test]
fn a_chat_streams_and_is_kept() {
    let model = FakeLanguageModel::new(["It says hello to Ada."]);
    let mut editor = Setup { model: Some(Arc::new(model)), ..plain() }.start();
    let question = json!({
        "message": "how is a customer greeted?", "mentions": [], "partialResultToken": "chat",
    });
    let answer = editor.request("hearth/chat", &question);
    assert_eq!(answer["model"], "fake", "{answer}");
    let partial = editor.partial_results("chat");
    let text: String = partial.iter().filter_map(|value| value["text"].as_str()).collect();
    assert_eq!(Value::String(text), answer["answer"]);
    assert!(partial.iter().any(|value| value["kind"] == "context"), "{partial:?}");
    let get = json!({ "action": "get", "conversationId": answer["conversationId"] });
    let conversation = editor.request("hearth/conversations", &get);
    assert_eq!(conversation["messages"][1]["id"], answer["messageId"], "{conversation}");
}

#[test]
fn a_chat_without_a_model_cites_the_index() {
    let mut editor = plain().start();
    let answer = editor.request("hearth/chat", &json!({ "message": "where is greet_customer?" }));
    assert_eq!(answer["model"], Value::Null);
    assert_eq!(answer["citations"][0]["path"], "src/greeting.py", "{answer}");
}

#[test]
fn paths_outside_the_workspace_are_refused() {
    let mut editor = plain().start();
    for path in ["../../etc/passwd", "/etc/passwd"] {
        let mention = json!({ "message": "what is this?", "mentions": [
            { "kind": "file", "path": path },
        ] });
        assert_eq!(editor.refused("hearth/chat", &mention)["data"]["kind"], "outside");
    }
    let elsewhere = json!({
        "textDocument": { "uri": "file:///etc/passwd" }, "position": position(0, 0),
    });
    let items = editor.request("textDocument/inlineCompletion", &elsewhere);
    assert_eq!(items["items"], json!([]));
    assert_eq!(editor.refused("hearth/explainCompletion", &elsewhere)["data"]["kind"], "outside");
}

/// Starts an editor with a model that answers an edit by another greeting.
fn editing(options: Value) -> Editor {
    let model = FakeLanguageModel::new(["def greet_customer(name):\n    return f\"Hi, {name}\"\n"]);
    let capabilities = json!({ "workspace": { "workspaceEdit": { "documentChanges": true } } });
    let setup = Setup { model: Some(Arc::new(model)), options, capabilities, files: GREETING };
    let mut editor = setup.start();
    editor.open("src/greeting.py", "def greet_customer(name):\n    return f\"Hello, {name}\"\n");
    editor
}

fn edit_params(editor: &Editor, version: i32) -> Value {
    json!({
        "textDocument": { "uri": editor.uri("src/greeting.py"), "version": version },
        "range": range((0, 0), (2, 0)),
        "instruction": "say Hi instead",
        "partialResultToken": "edit",
    })
}

#[test]
fn an_edit_needs_trust_and_the_version_that_is_held() {
    let mut editor = editing(json!({}));
    let error = editor.refused("hearth/edit", &edit_params(&editor, 1));
    assert_eq!(error["data"]["kind"], "untrusted", "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("trust")), "{error}");
    editor.notify("hearth/trustChanged", &json!({ "trusted": true }));
    let error = editor.refused("hearth/edit", &edit_params(&editor, 0));
    assert_eq!(error["data"]["kind"], "stale", "{error}");
}

#[test]
fn an_edit_is_proposed_accepted_and_undone() {
    let mut editor = editing(trusted());
    let proposal = editor.request("hearth/edit", &edit_params(&editor, 1));
    let hunk = &proposal["hunks"][0];
    assert!(hunk["newText"].as_str().is_some_and(|text| text.contains("Hi,")), "{proposal}");
    assert!(!editor.partial_results("edit").is_empty());
    let accept = json!({
        "editId": proposal["editId"], "accepted": [hunk["id"]], "version": 1,
    });
    let resolved = editor.request("hearth/edit/resolve", &accept);
    let change = &resolved["edit"]["documentChanges"][0];
    assert_eq!(change["textDocument"]["uri"], editor.uri("src/greeting.py"), "{resolved}");
    let edits = change["edits"].clone();
    let applied = json!({
        "textDocument": { "uri": editor.uri("src/greeting.py"), "version": 2 },
        "contentChanges": [{ "range": edits[0]["range"], "text": edits[0]["newText"] }],
    });
    editor.notify("textDocument/didChange", &applied);
    let undone = editor.request("hearth/undo", &json!({ "editId": proposal["editId"] }));
    assert!(undone.to_string().contains("Hello,"), "{undone}");
    let error = editor.refused("hearth/edit/resolve", &json!({ "editId": "x", "accepted": [] }));
    assert_eq!(error["data"]["kind"], "unknown", "{error}");
}

#[test]
fn the_light_bulb_offers_what_trust_and_the_editor_allow() {
    let titles = |options: Value| -> Vec<Value> {
        let mut editor = editing(options);
        let problem = json!({
            "range": range((1, 0), (1, 4)), "message": "wrong", "source": "lint", "code": 7,
        });
        let elsewhere = json!({ "range": range((0, 0), (0, 1)), "message": "not here" });
        let params = json!({
            "textDocument": { "uri": editor.uri("src/greeting.py") },
            "range": range((1, 2), (1, 4)),
            "context": { "diagnostics": [problem, elsewhere] },
        });
        let actions = editor.request("textDocument/codeAction", &params);
        actions.as_array().expect("a list").clone()
    };
    let title = |action: &Value| action["title"].as_str().unwrap_or_default().to_owned();
    let untrusted: Vec<String> = titles(json!({})).iter().map(title).collect();
    assert_eq!(untrusted, ["Explain with Hearth", "Hearth: Explain", "Hearth: Write a test"]);
    let all = titles(json!({ "trusted": true, "clientCommands": true }));
    assert_eq!(title(&all[0]), "Fix with Hearth");
    assert_eq!(all[0]["command"]["command"], "hearth.proposeEdit");
    let instruction = &all[0]["command"]["arguments"][0]["instruction"];
    assert_eq!(instruction, "Fix this problem: wrong (lint 7)");
    assert_eq!(all[0]["diagnostics"][0]["message"], "wrong");
    assert_eq!(all.len(), 6, "{all:?}");
}

#[test]
fn an_action_is_made_when_it_is_chosen() {
    let mut editor = editing(trusted());
    let params = json!({
        "textDocument": { "uri": editor.uri("src/greeting.py") },
        "range": range((0, 0), (2, 0)),
        "context": { "diagnostics": [], "only": ["refactor"] },
    });
    let actions = editor.request("textDocument/codeAction", &params);
    let refactor = actions
        .as_array()
        .and_then(|actions| actions.iter().find(|action| action["title"] == "Hearth: Refactor"))
        .unwrap_or_else(|| panic!("{actions}"));
    let resolved = editor.request("codeAction/resolve", refactor);
    assert!(resolved["edit"].to_string().contains("Hi,"), "{resolved}");
}

#[test]
fn symbols_have_the_protocols_numbers_and_addresses() {
    let mut editor = plain().start();
    let found = editor.request("workspace/symbol", &json!({ "query": "greet_customer" }));
    assert_eq!(found[0]["name"], "greet_customer", "{found}");
    assert_eq!(found[0]["kind"], 12);
    assert_eq!(found[0]["location"]["uri"], editor.uri("src/greeting.py"));
    // The name itself, so that an editor puts its cursor there.
    let (start, end) = (json!({"line": 0, "character": 4}), json!({"line": 0, "character": 18}));
    assert_eq!(found[0]["location"]["range"], json!({"start": start, "end": end}));
}

#[test]
fn folders_come_and_go() {
    let mut editor = plain().start();
    let other = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(other.path().join("b.py"), "def axolotl_gills():\n    pass\n").expect("written");
    let added = json!({ "event": {
        "added": [{ "uri": format!("file://{}", other.path().display()), "name": "other" }],
        "removed": [],
    } });
    editor.notify("workspace/didChangeWorkspaceFolders", &added);
    let found = editor.request("hearth/search", &json!({ "query": "axolotl_gills" }));
    let path = found["results"][0]["path"].as_str().unwrap_or_default();
    assert!(path.ends_with("/b.py"), "{found}");
}

#[test]
fn the_document_describes_every_method() {
    let path = "../../docs/protocol.md";
    let text = std::fs::read_to_string(path).expect("docs/protocol.md");
    let mut described: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let mut known = vec!["initialize", "shutdown", "exit", "$/cancelRequest"];
    known.extend(REQUESTS.iter().map(|route| route.method));
    known.extend(NOTIFICATIONS.iter().map(|route| route.method));
    described.sort_unstable();
    known.sort_unstable();
    assert_eq!(described, known);
}
