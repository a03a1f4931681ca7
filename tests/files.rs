//! Strange files and workspaces, two windows on one, and disks that are full: what cannot be done is
//! said, and the person's files keep their bytes.

use std::{fs, path::Path};

use end_to_end::{
    Home,
    lsp::{Client, uri},
    workspace,
};
use serde_json::{Value, json};

const SHOP: &str = "\
//- src/cart.py
def total_price(prices):
    return sum(prices)
//- src/shipping.py
def shipping_cost(weight, distance):
    return 500 + weight * distance // 100
";

/// What the scripted model says: the first function of [`SHOP`] with another name.
const RENAMED: [&str; 3] = ["def total_price(amounts):\n", "    return sum(amounts)", "\n```"];

fn paths(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(|entry| entry["path"].as_str()).collect()
}

/// Edits the whole first function of a file and holds the bytes against what they must be then.
fn check_edit(home: &Home, folder: &Path, before: &[u8], lines: &str, after: &[u8]) {
    let file = folder.join("price.py");
    fs::write(&file, before).expect("written");
    let asked = ["edit", "price.py", "--lines", lines, "--apply", "rename prices to amounts"];
    let edited = home.run(folder, &asked);
    assert_eq!(edited.code, Some(0), "{edited:?}");
    let found = fs::read(&file).expect("read");
    assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(after));
    assert_eq!(found, after);
}

#[test]
fn an_edit_keeps_line_breaks_marks_and_encodings() {
    let (home, folder) = (Home::with_scripted_model(&RENAMED), workspace(""));
    home.run(folder.path(), &["trust"]);
    check_edit(
        &home,
        folder.path(),
        b"\xef\xbb\xbf# Prices.\r\ndef total_price(prices):\r\n    return sum(prices)\r\n\r\nlast = 1",
        "2:3",
        b"\xef\xbb\xbf# Prices.\r\ndef total_price(amounts):\r\n    return sum(amounts)\r\n\r\nlast = 1",
    );
    check_edit(
        &home,
        folder.path(),
        b"# caf\xe9\ndef total_price(prices):\n    return sum(prices)",
        "2:3",
        b"# caf\xe9\ndef total_price(amounts):\n    return sum(amounts)",
    );
    check_edit(
        &home,
        folder.path(),
        b"def total_price(prices):\n    return sum(prices)\n# one\r\n# two\n",
        "1:2",
        b"def total_price(amounts):\n    return sum(amounts)\n# one\r\n# two\n",
    );
}

#[test]
fn what_is_no_text_is_refused_by_every_command_and_left_as_it_is() {
    let (home, folder) = (Home::with_scripted_model(&RENAMED), workspace(SHOP));
    let root = folder.path();
    home.run(root, &["trust"]);
    fs::write(root.join("image.py"), [0_u8, 159, 146, 150, 0, 1, 10]).unwrap();
    fs::write(root.join("huge.py"), "x = 1\n".repeat(8_000_000)).unwrap();
    fs::create_dir(root.join("folder.py")).unwrap();
    let mut names = vec!["image.py", "huge.py", "folder.py", "absent.py"];
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo").arg(root.join("pipe.py")).status();
        assert!(made.unwrap().success());
        std::os::unix::fs::symlink("knot.py", root.join("knot.py")).unwrap();
        names.extend(["pipe.py", "knot.py"]);
    }
    let before = fs::read(root.join("image.py")).unwrap();
    for name in names {
        for command in [
            &["edit", name, "--lines", "1:1", "--apply", "rename x"][..],
            &["symbols", name],
            &["complete", name, "--line", "0", "--character", "0"],
        ] {
            let refused = home.run(root, command);
            // No suggestion is an answer too, when it says why.
            let silent = refused.stderr.contains("too large for suggestions");
            assert!(silent || refused.code == Some(1), "{command:?}: {refused:?}");
            assert!(silent || refused.stderr.contains(name), "{command:?}: {refused:?}");
        }
        // A question about it is answered all the same, and says what it does without.
        let asked = home.run(root, &["ask", "--json", "--file", name, "what does shipping cost?"]);
        let told = format!("{}{}", asked.stdout, asked.stderr);
        assert!(told.contains(name), "{asked:?}");
    }
    assert_eq!(fs::read(root.join("image.py")).unwrap(), before);
    assert_eq!(fs::metadata(root.join("huge.py")).unwrap().len(), 48_000_000);
    let report = home.run(root, &["index", "--json"]).json();
    let skipped = paths(&report["skipped"]);
    assert!(skipped.contains(&"image.py") && skipped.contains(&"huge.py"), "{report}");
}

#[cfg(target_os = "linux")]
#[test]
fn files_and_folders_that_may_not_be_read_are_named_and_passed_over() {
    use std::os::unix::fs::PermissionsExt as _;

    let (home, folder) = (Home::without_models(), workspace(SHOP));
    let root = folder.path();
    fs::write(root.join("locked.py"), "def locked():\n    pass\n").unwrap();
    fs::create_dir(root.join("closed")).unwrap();
    fs::write(root.join("closed/inside.py"), "def inside():\n    pass\n").unwrap();
    let set = |name: &str, mode| {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    set("locked.py", 0);
    set("closed", 0);
    // The administrator may read everything, unless that right is given up first.
    let run = |arguments: &[&str]| {
        let mut command = home.command(root);
        command.args(arguments);
        if fs::read(root.join("locked.py")).is_ok() {
            let script = "exec setpriv --bounding-set=-dac_override,-dac_read_search \"$0\" \"$@\"";
            command = end_to_end::through_shell(&command, script);
        }
        end_to_end::finish(command, None)
    };
    let report = run(&["index", "--json"]).json();
    let skipped = report["skipped"].as_array().unwrap();
    let reason = skipped.iter().find(|entry| entry["path"] == "locked.py").unwrap();
    assert!(reason["reason"].as_str().unwrap().contains("ermission"), "{report}");
    assert!(paths(&report["skipped"]).contains(&"closed"), "{report}");
    let found = run(&["search", "--json", "shipping_cost"]).json();
    assert_eq!(paths(&found["results"]).first(), Some(&"src/shipping.py"), "{found}");
    let refused = run(&["symbols", "locked.py"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("locked.py"), "{refused:?}");
    set("locked.py", 0o644);
    set("closed", 0o755);
    let found = run(&["search", "--json", "--mode", "symbol", "inside"]).json();
    assert_eq!(paths(&found["results"]).first(), Some(&"closed/inside.py"), "{found}");
}

#[test]
fn an_empty_workspace_answers_every_question() {
    let (home, folder) = (Home::without_models(), workspace(""));
    let mut client = Client::start(&home, folder.path(), true);
    client.wait_for_status("the index", |status| status["index"]["state"] == "ready");
    let found = client.request("hearth/search", &json!({"query": "anything at all"}));
    assert_eq!(found["results"], json!([]));
    assert_eq!(client.request("workspace/symbol", &json!({"query": "main"})), json!([]));
    let question = json!({"message": "what is this?", "mentions": [], "partialResultToken": "q"});
    let answer = client.request("hearth/chat", &question);
    assert_eq!(answer["citations"], json!([]), "{answer}");
    let path = folder.path().join("new.py");
    client.open(&path, "python", "import os\nprint(");
    let asked = json!({
        "textDocument": {"uri": uri(&path)},
        "position": {"line": 1, "character": 6},
        "context": {"triggerKind": 2},
    });
    let reply = client.request("textDocument/inlineCompletion", &asked);
    assert!(reply["items"].is_array(), "{reply}");
}

#[test]
fn a_workspace_that_is_not_there_is_said_and_ends_nothing() {
    let (home, folder) = (Home::without_models(), workspace(SHOP));
    let gone = folder.path().join("gone");
    let refused = home.run(folder.path(), &["--workspace", gone.to_str().unwrap(), "index"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    let mut client = Client::spawn(&home, folder.path());
    client.initialize(&gone, true, std::process::id());
    client.request("hearth/status", &json!({}));
}

#[cfg(target_os = "linux")]
#[test]
fn of_two_windows_one_writes_and_the_other_takes_over() {
    use end_to_end::process::{Signal, send};

    let (home, folder) = (Home::without_models(), workspace(SHOP));
    let state = |wanted: &'static str| move |status: &Value| status["index"]["state"] == wanted;
    let find = |client: &mut Client, name: &str| {
        let asked = json!({"query": name, "mode": "symbol"});
        let found = client.request("hearth/search", &asked);
        found["results"].as_array().is_some_and(|results| !results.is_empty())
    };
    let mut first = Client::start(&home, folder.path(), true);
    first.wait_for_status("the first index", state("ready"));
    let mut second = Client::start(&home, folder.path(), true);
    second.wait_for_status("the second index", state("readOnly"));
    assert!(find(&mut second, "shipping_cost"), "it reads what the other one wrote");

    fs::write(folder.path().join("refund.py"), "def refund_customer():\n    pass\n").unwrap();
    for client in [&mut first, &mut second] {
        client.wait_for_status("a file that was saved", |status| status["index"]["files"] == 3);
        assert!(find(client, "refund_customer"));
    }
    // Both keep what is said in them.
    let mut conversations = Vec::new();
    for client in [&mut first, &mut second] {
        let question = json!({"message": "hello", "mentions": [], "partialResultToken": "q"});
        conversations.push(client.request("hearth/chat", &question)["conversationId"].clone());
    }
    let listed = second.request("hearth/conversations", &json!({"action": "list"})).to_string();
    for id in &conversations {
        assert!(listed.contains(id.as_str().unwrap()), "{listed}");
    }

    send(first.process_id(), Signal::Kill);
    first.wait_for_exit();
    second.wait_for_status("the second window to take over", state("ready"));
    fs::write(folder.path().join("voucher.py"), "def redeem_voucher():\n    pass\n").unwrap();
    second.wait_for_status("a file that was saved", |status| status["index"]["files"] == 4);
    assert!(find(&mut second, "redeem_voucher"));
    let mut third = Client::start(&home, folder.path(), true);
    third.wait_for_status("a reader beside the new writer", state("readOnly"));
    assert!(find(&mut third, "shipping_cost"));
}

#[cfg(target_os = "linux")]
mod full_disk {
    use std::path::PathBuf;

    use end_to_end::write_workspace;

    use super::*;

    /// Bytes: a model is installed only where 100 MB stay free.
    const DISK: u64 = 128 << 20;

    /// A workspace on the home's own disk, named as programs there see it.
    fn workspace_on(home: &Home, fixture: &str) -> PathBuf {
        let folder = home.path().join("workspace");
        fs::create_dir(home.seen(&folder)).expect("made");
        write_workspace(&home.seen(&folder), fixture);
        folder
    }

    fn is_told(text: &str) -> bool {
        ["full", "o space left"].iter().any(|words| text.contains(words))
    }

    #[test]
    fn the_index_says_so_and_is_right_once_there_is_room() {
        let Some(home) = Home::on_small_disk(DISK) else { return };
        let folder = workspace(SHOP);
        for number in 0..200 {
            let text = format!("def function_number_{number}(argument):\n    return argument\n");
            fs::write(folder.path().join(format!("file{number}.py")), text.repeat(20)).unwrap();
        }
        // Nothing fits, then a little, then a part.
        for room in [0, 100_000, 300_000] {
            home.disk().fill_but(room);
            let indexed = home.run(folder.path(), &["index", "--json"]);
            assert_eq!(indexed.code, Some(1), "with {room} bytes: {indexed:?}");
            assert!(is_told(&indexed.stderr), "with {room} bytes: {indexed:?}");
        }
        home.disk().make_room();
        let report = home.run(folder.path(), &["index", "--json"]).json();
        assert_eq!(report["files"], 202, "{report}");
        for number in [0, 99, 199] {
            let name = format!("function_number_{number}");
            let found = home.run(folder.path(), &["search", "--json", &name]).json();
            let file = format!("file{number}.py");
            assert_eq!(paths(&found["results"]).first(), Some(&&*file), "{found}");
        }
    }

    #[test]
    fn an_edit_says_so_and_the_file_keeps_its_bytes() {
        let Some(home) = Home::on_small_disk(DISK) else { return };
        home.install_scripted_model(&RENAMED);
        let folder = workspace_on(&home, SHOP);
        let padding = "# padding\n".repeat(20_000);
        let text = format!("def total_price(prices):\n    return sum(prices)\n{padding}");
        let [plain, linked] = ["plain.py", "linked.py"].map(|name| home.seen(&folder.join(name)));
        fs::write(&plain, &text).unwrap();
        fs::write(&linked, &text).unwrap();
        // A file with two names is written in place, the other one is replaced.
        fs::hard_link(&linked, home.seen(&folder.join("other.py"))).unwrap();
        home.run(&folder, &["trust"]);
        let edit = |name: &str| {
            home.run(&folder, &["edit", name, "--lines", "1:2", "--apply", "rename prices"])
        };
        let files = || {
            let mut names: Vec<_> = fs::read_dir(home.seen(&folder))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        let before = files();
        // Not even the record fits; the record, but not the file.
        for room in [0, 100_000] {
            home.disk().fill_but(room);
            for (name, path) in [("plain.py", &plain), ("linked.py", &linked)] {
                let refused = edit(name);
                assert_eq!(refused.code, Some(1), "{name} with {room} bytes: {refused:?}");
                assert!(is_told(&refused.stderr), "{name} with {room} bytes: {refused:?}");
                assert_eq!(fs::read_to_string(path).unwrap(), text, "{name} with {room} bytes");
            }
            assert_eq!(files(), before, "nothing is left beside them");
        }
        home.disk().make_room();
        let renamed = text.replacen("(prices)", "(amounts)", 2);
        for (name, path) in [("plain.py", &plain), ("linked.py", &linked)] {
            let edited = edit(name);
            assert_eq!(edited.code, Some(0), "{name}: {edited:?}");
            assert_eq!(fs::read_to_string(path).unwrap(), renamed, "{name}");
        }
    }

    #[test]
    fn a_merge_that_finds_no_room_leaves_nothing() {
        let Some(home) = Home::on_small_disk(DISK) else { return };
        let folder = workspace(SHOP);
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (base, adapter) = (file("base.gguf"), file("adapter.gguf"));
        inference::fake::write_tiny_model(Path::new(&base), 1).unwrap();
        inference::fake::write_tiny_adapter(Path::new(&adapter), "").unwrap();
        let target = home.path().join("merged.gguf");
        let merge = ["worker", "--merge", &base, &adapter, target.to_str().unwrap()];
        home.disk().fill_but(100_000);
        let refused = home.run(folder.path(), &merge);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(is_told(&refused.stderr), "{refused:?}");
        assert!(!home.seen(&target).exists());
        assert!(!home.seen(&target.with_extension("partial")).exists());
        home.disk().make_room();
        let merged = home.run(folder.path(), &merge);
        assert_eq!(merged.code, Some(0), "{merged:?}");
    }

    #[test]
    fn a_model_is_neither_imported_nor_pulled_and_the_installed_one_stays() {
        let Some(home) = Home::on_small_disk(DISK) else { return };
        home.install_scripted_model(&RENAMED);
        let folder = workspace(SHOP);
        let other = folder.path().join("other.gguf");
        inference::fake::write_scripted_model(&other, &RENAMED).unwrap();
        home.disk().fill_but(100_000);
        let models = home.path().join("data/models");
        for command in [
            &["models", "import", other.to_str().unwrap()][..],
            &["models", "pull", "qwen2.5-coder-0.5b"],
        ] {
            let refused = home.run(folder.path(), command);
            assert_eq!(refused.code, Some(1), "{command:?}: {refused:?}");
            assert!(refused.stderr.contains("MB are needed"), "{command:?}: {refused:?}");
        }
        let left: Vec<_> = fs::read_dir(home.seen(&models.join(".incoming")))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let verified = home.run(folder.path(), &["models", "verify", "scripted"]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
    }

    #[test]
    fn an_editor_is_told_and_goes_on_once_there_is_room() {
        let Some(home) = Home::on_small_disk(DISK) else { return };
        home.install_scripted_model(&["Hello", " there."]);
        let folder = workspace(SHOP);
        let mut client = Client::start(&home, folder.path(), true);
        client.wait_for_status("the index", |status| status["index"]["state"] == "ready");
        let question = |text: &str, parent: &Value| {
            json!({
                "message": text, "mentions": [], "partialResultToken": "q",
                "conversationId": parent["conversationId"], "parentMessageId": parent["messageId"],
            })
        };
        let first = client.request("hearth/chat", &question("how is a price made?", &Value::Null));
        home.disk().fill_but(0);
        let long = "and what does shipping cost? ".repeat(5_000);
        let error = client.refusal("hearth/chat", &question(&long, &first));
        assert!(is_told(error["message"].as_str().unwrap()), "{error}");
        // Saved files are found although they cannot be stored.
        for number in 0..40 {
            let text = format!("def refund_customer_{number}():\n    pass\n").repeat(200);
            fs::write(folder.path().join(format!("refund{number}.py")), text).unwrap();
        }
        client.wait_for_status("the saved files", |status| {
            status["index"]["files"].as_u64() >= Some(42)
        });
        let find = json!({"query": "refund_customer_7", "mode": "symbol"});
        let found = client.request("hearth/search", &find);
        assert_eq!(paths(&found["results"]).first(), Some(&"refund7.py"), "{found}");
        let failed = client
            .wait_for_status("the index to say so", |status| status["index"]["state"] == "failed");
        assert!(is_told(failed["index"]["detail"].as_str().unwrap()), "{failed}");

        home.disk().make_room();
        let second = client.request("hearth/chat", &question("what does shipping cost?", &first));
        let kept = client.request(
            "hearth/conversations",
            &json!({"action": "get", "conversationId": second["conversationId"]}),
        );
        assert_eq!(kept["messages"].as_array().map(Vec::len), Some(4), "{kept}");
        client.wait_for_status("the index", |status| status["index"]["state"] == "ready");
        client.hang_up();
        client.wait_for_exit();
        let report = home.run(folder.path(), &["index", "--json"]).json();
        assert_eq!((&report["files"], &report["changed"]), (&json!(42), &json!(0)), "all stored");
    }

    #[test]
    fn an_editor_started_on_a_full_disk_works_once_there_is_room() {
        let Some(home) = Home::on_small_disk(DISK) else { return };
        let folder = workspace(SHOP);
        home.disk().fill_but(0);
        let mut client = Client::start(&home, folder.path(), true);
        client.wait_for_status("the index to fail", |status| status["index"]["state"] == "failed");
        let search = json!({"query": "shipping_cost"});
        let error = client.refusal("hearth/search", &search);
        assert!(is_told(error["message"].as_str().unwrap()), "{error}");
        let question = json!({"message": "hello", "mentions": [], "partialResultToken": "q"});
        let error = client.refusal("hearth/chat", &question);
        assert!(is_told(error["message"].as_str().unwrap()), "{error}");
        home.disk().make_room();
        client.wait_for_status("the index", |status| status["index"]["state"] == "ready");
        let found = client.request("hearth/search", &search);
        assert_eq!(paths(&found["results"]).first(), Some(&"src/shipping.py"), "{found}");
        client.request("hearth/chat", &question);
    }
}
