//! `hearth models adapt`: what a workspace's dependencies teach, what does not get installed, and how it is
//! taken back.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use end_to_end::{Finished, Home, finish, workspace};
use serde_json::Value;
use tempfile::TempDir;

/// Files of the workspace, and lines of each.
const FILES: usize = 12;
const LINES: usize = 30;

/// One function with lines that stand in no other file.
fn function(name: &str, file: usize) -> String {
    let mut text = format!("pub fn {name}() {{\n");
    for line in 0..LINES {
        let end = format!("{file}_{line}");
        let _ = writeln!(text, "    let handle_{end} = connect_{end};");
    }
    text + "}\n"
}

/// A workspace whose every file does what one module of its dependency does, and cargo's folder with that
/// dependency. Nothing in the workspace tells what a file will say; the dependency does, if `useful`.
struct Project {
    folder: TempDir,
    home: Home,
}

impl Project {
    fn new(useful: bool) -> Self {
        let folder = workspace("");
        let write = |path: String, text: String| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        for file in 0..FILES {
            write(format!("ws/src/part_{file}.rs"), function(&format!("part_{file}"), file));
            let other = if useful { file } else { file + FILES };
            let uses = ["open", "again", "test"].map(|name| function(name, other)).concat();
            write(format!("cargo/registry/src/index/net-1.0.0/src/part_{file}.rs"), uses);
        }
        let lock = "[[package]]\nname = \"shop\"\nversion = \"0.1.0\"\ndependencies = [\"net\"]\n\
                    [[package]]\nname = \"net\"\nversion = \"1.0.0\"\nsource = \"registry+here\"\n";
        write("ws/Cargo.lock".into(), lock.into());
        Self { folder, home: Home::without_models() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("ws")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(&self.root());
        let home = self.folder.path();
        command.env("CARGO_HOME", home.join("cargo")).env("HOME", home).args(arguments);
        for name in ["GOMODCACHE", "GOPATH", "VIRTUAL_ENV"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments), None)
    }

    fn adapt(&self) -> Value {
        self.run(&["models", "adapt", "--json"]).json()
    }

    /// What is proposed after `let handle_0_0 = ` in a new file.
    fn proposed(&self) -> Finished {
        let mut command = self.command(&["complete", "src/new.rs", "--line", "1"]);
        command.args(["--character", "21", "--text-from", "-"]);
        finish(command, Some("fn new() {\n    let handle_0_0 = \n}\n"))
    }

    /// The installed file.
    fn installed(&self) -> Option<PathBuf> {
        let workspaces = fs::read_dir(self.home.path().join("data/workspaces")).ok()?;
        let mut files = workspaces.flatten().map(|it| it.path().join("priors/rust.bin"));
        files.find(|file| file.exists())
    }
}

const LEARNT: &str = "connect_0_0;";

#[test]
fn what_dependencies_teach_is_used_until_it_is_removed() {
    let project = Project::new(true);
    // The file that says it is left out of the index here, so that only the dependency can know.
    fs::remove_file(project.root().join("src/part_0.rs")).expect("removed");
    assert!(!project.proposed().stdout.contains(LEARNT));
    let report = project.adapt();
    let rust = &report["languages"][0];
    assert_eq!((&rust["language"], &rust["installed"]), (&"rust".into(), &true.into()), "{report}");
    let comparison = &rust["comparison"];
    assert!(
        comparison["after"]["exact"].as_u64() > comparison["before"]["exact"].as_u64(),
        "{report}"
    );
    assert!(comparison["gain"][0].as_f64() > Some(0.0), "{report}");
    assert!(comparison["lines"].as_u64() >= Some(200), "{report}");
    assert_eq!((&rust["packages"], &rust["missing"]), (&1.into(), &0.into()), "{report}");

    let proposed = project.proposed();
    assert!(proposed.stdout.contains(LEARNT), "{proposed:?}");
    let listed = project.run(&["models", "adapt", "--status", "--json"]).json();
    assert_eq!(listed["priors"][0]["language"], "rust", "{listed}");
    assert_eq!(&listed["priors"][0]["measured"]["comparison"], comparison, "{listed}");
    let status = project.run(&["status", "--json"]).json();
    assert_eq!(status["priors"], serde_json::json!(["rust"]), "{status}");

    let removed = project.run(&["models", "adapt", "--remove", "--json"]).json();
    assert_eq!(removed["removed"], serde_json::json!(["rust"]), "{removed}");
    assert_eq!(removed["priors"], serde_json::json!([]), "{removed}");
    assert!(!project.proposed().stdout.contains(LEARNT));
    assert_eq!(project.installed(), None);
}

#[test]
fn what_is_not_better_is_not_installed_and_leaves_the_earlier_one() {
    let project = Project::new(false);
    let report = project.adapt();
    let rust = &report["languages"][0];
    assert_eq!(rust["outcome"], "notBetter", "{report}");
    assert_eq!(rust["installed"], false, "{report}");
    assert_eq!(project.installed(), None);
    let told = project.run(&["models", "adapt"]);
    assert!(told.code == Some(0) && told.stdout.contains("not better"), "{told:?}");
}

#[test]
fn an_editor_that_is_open_takes_up_what_was_learnt() {
    use end_to_end::lsp::{Client, uri};
    use serde_json::json;

    let project = Project::new(true);
    fs::remove_file(project.root().join("src/part_0.rs")).expect("removed");
    let mut client = Client::start(&project.home, &project.root(), true);
    client.wait_for_status("the index", |status| status["index"]["state"] == "ready");
    assert_eq!(project.adapt()["languages"][0]["installed"], true);
    let path = project.root().join("src/new.rs");
    client.open(&path, "rust", "fn new() {\n    let handle_0_0 = \n}\n");
    let asked = json!({
        "textDocument": {"uri": uri(&path)},
        "position": {"line": 1, "character": 21},
        "context": {"triggerKind": 2},
    });
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let reply = client.request("textDocument/inlineCompletion", &asked).to_string();
        if reply.contains(LEARNT) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{reply}");
    }
}

#[test]
fn a_damaged_file_is_named_and_left_out() {
    let project = Project::new(true);
    assert_eq!(project.adapt()["languages"][0]["installed"], true);
    let file = project.installed().expect("it was installed");
    let mut bytes = fs::read(&file).expect("read");
    bytes.truncate(bytes.len() / 2);
    fs::write(&file, bytes).expect("written");
    let mut command = project.command(&["complete", "src/part_1.rs", "--line", "2"]);
    command.args(["--character", "25", "--json"]).env("HEARTH_LOG", "warn");
    let answer = finish(command, None);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("rust.bin"), "{answer:?}");
    let listed = project.run(&["models", "adapt", "--status"]);
    assert!(listed.stdout.contains("checksum"), "{listed:?}");
    assert_eq!(project.adapt()["languages"][0]["installed"], true);
    assert!(project.run(&["models", "adapt", "--status"]).stdout.contains("in use"));
}

#[test]
fn what_cannot_be_learnt_is_said() {
    let home = Home::without_models();
    let nothing = workspace("//- README.md\nNothing to see.\n");
    let adapt = |folder: &Path| {
        let mut command = home.command(folder);
        command.env("HOME", folder).env_remove("CARGO_HOME").args(["models", "adapt", "--json"]);
        finish(command, None)
    };
    let refused = adapt(nothing.path());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("no file of Python, Rust"), "{refused:?}");

    let small = workspace(
        "//- main.go\npackage main\n\nfunc main() { println(1, 2) }\n//- go.mod\nmodule a\nrequire b.example/c v1.0.0\n",
    );
    let report = adapt(small.path()).json();
    let go = &report["languages"][0];
    assert_eq!(
        (&go["language"], &go["outcome"]),
        (&"go".into(), &"tooFewLines".into()),
        "{report}"
    );
    assert_eq!((&go["missing"], &go["installed"]), (&1.into(), &false.into()), "{report}");

    let gone = home.run(small.path(), &["models", "adapt", "gone"]);
    assert!(gone.code == Some(1) && gone.stderr.contains("gone"), "{gone:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_interruption_leaves_everything_as_it_was() {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };

    use end_to_end::process::{Signal, send};

    let project = Project::new(true);
    let mut command = project.command(&["models", "adapt", "--json"]);
    command.env("HEARTH_LOG", "adaptation=info").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
    let mut line = String::new();
    while !line.contains("measuring") {
        line.clear();
        assert!(stderr.read_line(&mut line).expect("read") > 0, "it ended before it measured");
    }
    send(child.id(), Signal::Interrupt);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).expect("read");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{rest}");
    assert!(output.stdout.is_empty() && rest.contains("cancelled"), "{rest}");
    assert!(!project.home.path().join("data/workspaces").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_the_earlier_one_stays() {
    let Some(home) = Home::on_small_disk(64 << 20) else { return };
    let project = Project { home, ..Project::new(true) };
    assert_eq!(project.adapt()["languages"][0]["installed"], true);
    let data = project.home.path().join("data/workspaces");
    let installed = || {
        let workspaces = fs::read_dir(project.home.seen(&data)).expect("listed").flatten();
        let folder = workspaces.map(|it| it.path().join("priors")).next().expect("one workspace");
        let mut files: Vec<_> = fs::read_dir(folder).expect("listed").flatten().collect();
        files.sort_by_key(fs::DirEntry::file_name);
        files
            .iter()
            .map(|file| (file.file_name(), file.metadata().expect("measured").len()))
            .collect::<Vec<_>>()
    };
    let before = installed();
    project.home.disk().fill_but(50_000);
    let refused = project.run(&["models", "adapt"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("space") && refused.stderr.contains("rust.bin"), "{refused:?}");
    project.home.disk().make_room();
    assert_eq!(installed(), before);
    let listed = project.run(&["models", "adapt", "--status", "--json"]).json();
    assert_eq!(listed["priors"][0]["problem"], Value::Null, "{listed}");
    assert!(listed["priors"][0]["measured"].is_object(), "{listed}");
}
