//! Models that are missing, damaged or too large, and model processes that die or hang: what the
//! person is told, that it costs one request, and that nothing else is lost.

use std::{
    fs::{self, File},
    path::Path,
};

use end_to_end::{
    Home,
    lsp::{Client, uri},
    workspace,
};
use inference::fake::{write_scripted_model, write_tiny_adapter, write_tiny_model};
use serde_json::{Value, json};

const GREETING: &str = "\
//- src/greeting.py
def greet_customer(name):
    return f\"Hello, {name}\"
";

/// What the scripted model says: the lines of [`GREETING`] with another name.
const RENAMED: [&str; 3] =
    ["def greet_customer(person):\n", "    return f\"Hello, {person}\"", "\n```"];

const QUESTION: &str = "how is a customer greeted?";
const EDIT: [&str; 5] =
    ["edit", "src/greeting.py", "--lines", "1:2", "rename the parameter name to person"];

fn chat(message: &str, token: &str) -> Value {
    json!({"message": message, "mentions": [], "partialResultToken": token})
}

fn edit(path: &Path) -> Value {
    json!({
        "textDocument": {"uri": uri(path), "version": 1},
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}},
        "instruction": "rename the parameter name to person",
        "partialResultToken": "edit",
    })
}

/// Replaces the value of a numeric key in the header of a GGUF file.
fn set_number(model: &Path, key: &str, value: u32) {
    let mut bytes = fs::read(model).expect("read");
    let at = bytes.windows(key.len()).position(|window| window == key.as_bytes());
    // The key, four bytes for its type, then the number.
    let at = at.expect("the key is there") + key.len() + 4;
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    fs::write(model, bytes).expect("written");
}

/// An edit and a question both tell what is wrong with the installed model once it was damaged; the
/// question is answered from the index, and the file that was to be edited stays as it is.
fn check_damage(told: &str, damage: impl Fn(&Path)) {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let model = home.install_scripted_model(&RENAMED);
    damage(&model);
    home.run(folder.path(), &["trust"]);
    let edited = home.run(folder.path(), &[&EDIT[..], &["--apply"]].concat());
    assert_eq!(edited.code, Some(1), "{told}: {edited:?}");
    assert!(edited.stderr.contains(told), "{told}: {edited:?}");
    assert!(edited.stderr.contains("scripted.gguf"), "{told}: {edited:?}");
    assert!(
        GREETING
            .ends_with(&fs::read_to_string(folder.path().join("src/greeting.py")).expect("read"))
    );
    let answer = home.run(folder.path(), &["ask", "--json", QUESTION]).json();
    let text = answer["answer"].as_str().expect("a text");
    assert!(text.contains(told) && text.contains("greet_customer"), "{told}: {answer}");
    assert_eq!(answer["model"], Value::Null, "{told}: {answer}");
    assert_eq!(answer["citations"][0]["path"], "src/greeting.py", "{told}: {answer}");
}

/// Changes a file's bytes behind the back of whoever looks at sizes and times.
fn change_secretly(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let modified = fs::metadata(path).and_then(|data| data.modified()).expect("a time");
    let mut bytes = fs::read(path).expect("read");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
    let file = File::options().write(true).open(path).expect("opened");
    file.set_modified(modified).expect("set");
}

#[test]
fn a_damaged_model_is_named_and_the_index_answers() {
    check_damage("bytes instead of", |model| {
        let half = fs::metadata(model).unwrap().len() / 2;
        File::options().write(true).open(model).unwrap().set_len(half).unwrap();
    });
    check_damage("has 0 bytes instead of", |model| fs::write(model, "").unwrap());
    check_damage("bytes instead of", |model| fs::write(model, "no model at all").unwrap());
    check_damage("cannot be read", |model| fs::remove_file(model).unwrap());
    check_damage("was changed after it was verified", |model| {
        let bytes = fs::read(model).unwrap();
        fs::write(model, bytes).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
        File::options().write(true).open(model).unwrap().set_modified(later).unwrap();
    });
}

#[test]
fn damage_that_changes_no_size_and_no_time_is_found_in_the_header() {
    check_damage("GGUF version 99", |model| change_secretly(model, |bytes| bytes[4] = 99));
    check_damage("not a GGUF file", |model| change_secretly(model, |bytes| bytes[0] = b'X'));
    check_damage("claims to have", |model| {
        change_secretly(model, |bytes| bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes()));
    });
}

#[test]
fn a_changed_weight_is_found_by_a_verification_and_refused_from_then_on() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let model = home.install_scripted_model(&RENAMED);
    change_secretly(&model, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let verified = home.run(folder.path(), &["models", "verify"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert!(verified.stderr.contains("hearth models remove scripted"), "{verified:?}");
    home.run(folder.path(), &["trust"]);
    let edited = home.run(folder.path(), &EDIT);
    assert_eq!(edited.code, Some(1), "{edited:?}");
    assert!(edited.stderr.contains("is not the file that was installed"), "{edited:?}");
}

#[test]
fn what_is_imported_is_whole_and_the_one_it_claims_to_be() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let whole = folder.path().join("whole.gguf");
    write_scripted_model(&whole, &RENAMED).unwrap();
    let bytes = fs::read(&whole).unwrap();
    let refused = |name: &str, bytes: &[u8], told: &str| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let refused = home.run(folder.path(), &["models", "import", file.to_str().unwrap()]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(told) && refused.stderr.contains(name), "{refused:?}");
    };
    refused("cut-in-the-weights.gguf", &bytes[..bytes.len() - 100], "ends inside its tensors");
    refused("cut-in-the-keys.gguf", &bytes[..1_000], "ends inside");
    refused("page.gguf", b"<!DOCTYPE html><html>Log in</html>", "a web page");
    // The file of a known model is held against its known hash.
    refused("qwen2.5-coder-1.5b-q8_0.gguf", &bytes, "SHA-256");
    let listed = home.run(folder.path(), &["models", "list", "--installed", "--json"]).json();
    assert_eq!(listed, json!([]), "nothing of them is left");
    let incoming = home.path().join("data/models/.incoming");
    let left = fs::read_dir(incoming).into_iter().flatten().flatten();
    let left: Vec<_> = left.filter(|entry| entry.path().is_dir()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_adapter_is_merged_into_its_base_and_the_result_is_a_model() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let file = |name: &str| folder.path().join(name);
    let (base, adapter) = (file("tiny.gguf"), file("adapter.gguf"));
    write_tiny_model(&base, 1).unwrap();
    home.import(&base);
    let list = || home.run(folder.path(), &["models", "list", "--installed", "--json"]).json();
    let before = list();
    write_tiny_adapter(&adapter, before[0]["sha256"].as_str().unwrap()).unwrap();
    let import = |options: &[&str]| {
        let words = ["models", "import", adapter.to_str().unwrap(), "--json"];
        home.run(folder.path(), &[&words, options].concat())
    };
    let incoming = home.path().join("data/models/.incoming");
    let refused = |options: &[&str], told: &str| {
        let refused = import(options);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(told), "{refused:?}");
        assert_eq!(list(), before, "{told}");
        let left = fs::read_dir(&incoming).unwrap().flatten();
        assert!(left.into_iter().all(|entry| !entry.path().is_dir()), "{told}");
    };
    let whole = fs::read(&adapter).unwrap();
    let other = file("other.gguf");
    write_tiny_model(&other, 2).unwrap();
    refused(&["--base", other.to_str().unwrap()], "other.gguf is another file");
    set_number(&adapter, "hearth.end.token", 100_000);
    refused(&[], "three tokens of its base");
    fs::write(&adapter, &whole[..whole.len() - 100]).unwrap();
    refused(&[], "ends inside its tensors");

    fs::write(&adapter, &whole).unwrap();
    let made = import(&["--base", base.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let made = &made.json()[0];
    assert_eq!((&made["id"], &made["quantization"]), (&json!("tiny-fim"), &json!("Q8_0")));
    assert_eq!(made["roles"], json!(["completion"]), "{made}");
    let text = file("text.txt");
    fs::write(&text, GREETING.repeat(20)).unwrap();
    let surprise = |model: &str| {
        let words = ["worker", "--perplexity", model, text.to_str().unwrap()];
        let measured = home.run(folder.path(), &words);
        measured.stdout.trim().parse::<f64>().unwrap_or_else(|_| panic!("{measured:?}"))
    };
    let (changed, own) =
        (surprise(made["path"].as_str().unwrap()), surprise(base.to_str().unwrap()));
    assert!((changed - own).abs() > 0.01 * own, "{changed} beside {own}");
}

#[test]
fn a_model_that_does_not_fit_into_memory_is_refused_with_numbers() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let model = folder.path().join("vast.gguf");
    write_scripted_model(&model, &RENAMED).unwrap();
    // So many heads that the keys and values of its context take terabytes.
    set_number(&model, "llama.attention.head_count_kv", 100_000_000);
    home.import(&model);
    home.run(folder.path(), &["trust"]);
    let edited = home.run(folder.path(), &EDIT);
    assert_eq!(edited.code, Some(1), "{edited:?}");
    assert!(edited.stderr.contains("MB are free"), "{edited:?}");
    let answer = home.run(folder.path(), &["ask", QUESTION]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stdout.contains("MB are free"), "{answer:?}");
    assert!(answer.stdout.contains("greet_customer"), "{answer:?}");

    let mut client = Client::start(&home, folder.path(), true);
    let path = folder.path().join("src/greeting.py");
    client.open(&path, "python", &fs::read_to_string(&path).unwrap());
    let error = client.refusal("hearth/edit", &edit(&path));
    assert_eq!(error["data"]["command"], "hearth models recommend", "{error}");
    #[cfg(target_os = "linux")]
    assert_eq!(end_to_end::process::children(client.process_id()), [0; 0], "none was started");
}

#[test]
fn a_model_that_crashes_the_engine_never_ends_the_daemon() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let model = folder.path().join("twice.gguf");
    write_scripted_model(&model, &["abcd", "abce"]).unwrap();
    // llama.cpp ends its process when a vocabulary has a token twice.
    let mut bytes = fs::read(&model).unwrap();
    let at = bytes.windows(4).position(|window| window == b"abce").unwrap();
    bytes[at..at + 4].copy_from_slice(b"abcd");
    fs::write(&model, bytes).unwrap();
    home.import(&model);
    let path = folder.path().join("src/greeting.py");
    let mut client = Client::start(&home, folder.path(), true);
    client.open(&path, "python", &fs::read_to_string(&path).unwrap());
    for told in ["GGML_ASSERT", "GGML_ASSERT", "GGML_ASSERT", "was not started again"] {
        let error = client.refusal("hearth/edit", &edit(&path));
        assert!(error["message"].as_str().unwrap().contains(told), "{told}: {error}");
    }
    let answer = client.request("hearth/chat", &chat(QUESTION, "chat"));
    assert!(answer["answer"].as_str().unwrap().contains("was not started again"), "{answer}");
    assert_eq!(answer["citations"][0]["path"], "src/greeting.py", "{answer}");
}

#[test]
fn without_a_model_the_editor_is_told_how_to_get_one() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let mut client = Client::start(&home, folder.path(), true);
    let path = folder.path().join("src/greeting.py");
    client.open(&path, "python", &fs::read_to_string(&path).unwrap());
    let error = client.refusal("hearth/edit", &edit(&path));
    assert_eq!(error["data"]["kind"], "noModel", "{error}");
    assert_eq!(error["data"]["command"], "hearth models pull default", "{error}");
    let answer = client.request("hearth/chat", &chat(QUESTION, "chat"));
    assert_eq!(answer["model"], Value::Null, "{answer}");
    assert_eq!(answer["citations"][0]["path"], "src/greeting.py", "{answer}");
    let status = client.request("hearth/status", &json!({}));
    assert_eq!(status["models"][0]["state"], "missing", "{status}");
}

#[test]
fn a_model_that_is_mended_is_used_again_without_a_restart() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let model = home.install_scripted_model(&RENAMED);
    let path = folder.path().join("src/greeting.py");
    let mut client = Client::start(&home, folder.path(), true);
    client.open(&path, "python", &fs::read_to_string(&path).unwrap());
    client.request("hearth/edit", &edit(&path));
    fs::write(&model, "").unwrap();
    let error = client.refusal("hearth/edit", &edit(&path));
    assert_eq!(error["data"]["command"], "hearth models verify", "{error}");
    home.install_scripted_model(&RENAMED);
    let reply = client.request("hearth/edit", &edit(&path));
    assert_eq!(reply["model"], "scripted", "{reply}");
}

#[test]
fn an_edit_is_proposed_resolved_and_undone() {
    let (home, folder) = (Home::with_scripted_model(&RENAMED), workspace(GREETING));
    let path = folder.path().join("src/greeting.py");
    let text = fs::read_to_string(&path).unwrap();
    let mut client = Client::start(&home, folder.path(), true);
    client.open(&path, "python", &text);
    let mut asked = edit(&path);
    asked["range"]["end"] = json!({"line": 2, "character": 0});
    let reply = client.request("hearth/edit", &asked);
    let hunks = reply["hunks"].as_array().unwrap();
    assert!(!hunks.is_empty() && reply["rounds"] == 1, "{reply}");
    let streamed = client.partial_results("edit");
    assert!(streamed.iter().any(|value| value["kind"] == "hunk"), "{streamed:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing is written before");

    let accepted: Vec<&Value> = hunks.iter().map(|hunk| &hunk["id"]).collect();
    let resolved = client.request(
        "hearth/edit/resolve",
        &json!({"editId": reply["editId"], "accepted": accepted, "version": 1}),
    );
    let after = "def greet_customer(person):\n    return f\"Hello, {person}\"\n";
    assert!(resolved.to_string().contains("person"), "{resolved}");
    client.notify(
        "textDocument/didChange",
        &json!({
            "textDocument": {"uri": uri(&path), "version": 2}, "contentChanges": [{"text": after}],
        }),
    );
    let undone = client.request("hearth/undo", &json!({"editId": reply["editId"]}));
    assert!(undone.to_string().contains("(name)"), "{undone}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "the editor applies it");
}

#[cfg(target_os = "linux")]
mod workers {
    use end_to_end::process::{Signal, children, is_running, send, wait_until, workers};

    use super::*;

    fn worker_of(client: &Client) -> u32 {
        let mut found = None;
        wait_until("a worker", || {
            found = workers(client.process_id()).first().copied();
            found.is_some()
        });
        found.expect("it was just found")
    }

    fn chat_state(status: &Value) -> &str {
        let models = status["models"].as_array().into_iter().flatten();
        let mut chat = models.filter(|model| model["role"] == "chat");
        chat.find_map(|model| model["state"].as_str()).unwrap_or_default()
    }

    /// A question with a text of its own, so that all that is said is said by the model.
    fn asked(message: &str, token: &str, notes: &str) -> Value {
        json!({
            "message": message,
            "mentions": [{"kind": "attachment", "name": "notes.txt", "text": notes}],
            "partialResultToken": token,
        })
    }

    /// The answer to a request whose model failed tells why, and the next question is answered by
    /// the model.
    fn check_failed(client: &mut Client, answer: &Value, told: &str) {
        assert!(answer["answer"].as_str().is_some_and(|text| text.contains(told)), "{answer}");
        assert_eq!(answer["model"], Value::Null, "{answer}");
        let again = client.request("hearth/chat", &chat(QUESTION, "again"));
        assert_ne!(again["model"], Value::Null, "{again}");
        let kept = client.request(
            "hearth/conversations",
            &json!({"action": "get", "conversationId": answer["conversationId"]}),
        );
        let state = |index: usize| &kept["messages"][index]["state"];
        assert_eq!((state(0), state(1)), (&json!("done"), &json!("failed")), "{kept}");
    }

    fn wait_for_text(client: &mut Client, token: &str) {
        client.wait_for("the first text", |message| {
            message["params"]["token"] == token && message["params"]["value"]["kind"] == "text"
        });
    }

    #[test]
    fn killed_while_it_loads() {
        let (home, folder) = (Home::with_scripted_model(&RENAMED), workspace(GREETING));
        // A machine may be so fast that the model is loaded before the test has seen its process.
        for _ in 0..20 {
            let mut client = Client::start(&home, folder.path(), true);
            let id = client.begin("hearth/chat", &chat(QUESTION, "loading"));
            let worker = worker_of(&client);
            send(worker, Signal::Stop);
            let status = client.request("hearth/status", &json!({}));
            let state = chat_state(&status).to_owned();
            send(worker, Signal::Kill);
            let answer = client.reply(id)["result"].take();
            if state == "loading" {
                check_failed(&mut client, &answer, "ended unexpectedly (signal 9");
                assert!(answer["answer"].to_string().contains("greet_customer"), "{answer}");
                return;
            }
        }
        panic!("no model was ever seen loading");
    }

    #[test]
    fn killed_in_the_prompt() {
        let (home, folder) = (Home::with_models(), workspace(GREETING));
        let mut client = Client::start(&home, folder.path(), true);
        let notes = "The shop opens at nine and closes at five. ".repeat(200);
        let id = client.begin("hearth/chat", &asked("Summarise these notes.", "long", &notes));
        client.wait_for_status("a loaded model", |status| chat_state(status) == "ready");
        send(worker_of(&client), Signal::Kill);
        let answer = client.reply(id)["result"].take();
        let said = client.partial_results("long");
        let texts = said.iter().filter(|value| value["kind"] == "text");
        let first = texts.map(|value| value["text"].as_str().unwrap_or_default()).next();
        assert!(first.is_some_and(|text| text.starts_with("> The model stopped")), "{said:?}");
        check_failed(&mut client, &answer, "ended unexpectedly (signal 9");
    }

    #[test]
    fn killed_while_it_streams() {
        let (home, folder) = (Home::with_models(), workspace(GREETING));
        let mut client = Client::start(&home, folder.path(), true);
        let story = asked("Write a long story about this shop.", "story", "A shop in a village.");
        let id = client.begin("hearth/chat", &story);
        wait_for_text(&mut client, "story");
        send(worker_of(&client), Signal::Kill);
        let answer = client.reply(id)["result"].take();
        let text = answer["answer"].as_str().unwrap_or_default();
        assert!(!text.starts_with('>'), "what was said is kept: {answer}");
        check_failed(&mut client, &answer, "ended unexpectedly (signal 9");
    }

    #[test]
    fn hung_while_it_streams() {
        let (home, folder) = (Home::with_models(), workspace(GREETING));
        let mut client = Client::start(&home, folder.path(), true);
        let story = asked("Write a long story about this shop.", "story", "A shop in a village.");
        let id = client.begin("hearth/chat", &story);
        wait_for_text(&mut client, "story");
        let worker = worker_of(&client);
        send(worker, Signal::Stop);
        let answer = client.reply(id)["result"].take();
        wait_until("the hung process to be gone", || !is_running(worker));
        check_failed(&mut client, &answer, "did not answer for 10 seconds");
    }

    #[test]
    fn a_daemon_killed_outright_leaves_no_worker_behind() {
        let (home, folder) = (Home::with_scripted_model(&RENAMED), workspace(GREETING));
        let mut client = Client::start(&home, folder.path(), true);
        client.request("hearth/chat", &chat(QUESTION, "first"));
        let left = children(client.process_id());
        assert!(!left.is_empty());
        send(client.process_id(), Signal::Kill);
        client.wait_for_exit();
        wait_until("the workers to end", || !left.iter().any(|process| is_running(*process)));
    }

    #[test]
    fn an_editor_killed_outright_leaves_no_process_behind() {
        let (home, folder) = (Home::with_scripted_model(&RENAMED), workspace(GREETING));
        let mut command = home.command(folder.path());
        command.arg("lsp");
        // The shell is the editor. Its pipe outlives it, as one that some child of an editor has
        // inherited: only the process number tells that the editor is gone.
        let editor = "exec 3<&0; \"$0\" \"$@\" <&3 3<&- & exec 3<&- <&-; wait";
        let mut client = Client::spawn_command(end_to_end::through_shell(&command, editor));
        let editor = client.process_id();
        client.initialize(folder.path(), true, editor);
        client.request("hearth/chat", &chat(QUESTION, "first"));
        let daemons = children(editor);
        let left: Vec<u32> =
            daemons.iter().flat_map(|daemon| children(*daemon)).chain(daemons.clone()).collect();
        assert!(left.len() >= 2, "the daemon and a worker: {left:?}");
        send(editor, Signal::Kill);
        client.wait_for_exit();
        wait_until("everything to end", || !left.iter().any(|process| is_running(*process)));
    }
}

#[test]
fn a_model_that_completes_is_started_by_typing() {
    let (home, folder) = (Home::without_models(), workspace(GREETING));
    let model = home.path().join("scripted.gguf");
    write_scripted_model(&model, &["meerkat_burrow", "(12)", "\n\n"]).unwrap();
    home.import(&model);
    let (path, text) = (folder.path().join("src/new.py"), "unheard_of = ");
    fs::write(&path, text).unwrap();
    let arguments = ["complete", "src/new.py", "--line", "0", "--character", "13", "--json"];
    let completed = home.run(folder.path(), &arguments);
    assert_eq!(completed.code, Some(0), "{completed:?}");
    assert!(completed.stdout.contains("meerkat_burrow(12)"), "{completed:?}");
    let mut client = Client::start(&home, folder.path(), false);
    client.open(&path, "python", text);
    let asked = json!({
        "textDocument": { "uri": uri(&path) },
        "position": { "line": 0, "character": 13 },
        "context": { "triggerKind": 1 },
    });
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    for version in 2.. {
        let reply = client.request("textDocument/inlineCompletion", &asked).to_string();
        if reply.contains("meerkat_burrow(12)") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{reply}");
        // Something else is typed: an answer from before the model was there is remembered.
        let changed = json!({
            "textDocument": { "uri": uri(&path), "version": version },
            "contentChanges": [{ "text": format!("unheard{version:03} = ") }],
        });
        client.notify("textDocument/didChange", &changed);
    }
}
