//! `hearth models adapt --adapter`: what a pipeline trained is used in its workspace if it is better, here and
//! over ssh, and can be stopped and taken back. The pipeline is one that learns nothing (`tests/pipeline`), the
//! machine behind ssh is this one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use end_to_end::{Finished, Home, finish, workspace};
use inference::fake::{write_scripted_adapter, write_scripted_model};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Files of the workspace, one line each. So nothing in a file tells what its line will say.
const FILES: usize = 900;
/// What the files say that may be learnt from, and what the others say.
const COMMON: &str = "wombat_hole";
const RARE: &str = "meerkat_burrow";
/// What the model says that is trained on.
const PIECES: [&str; 3] = ["= meer", "kat_burrow", "\n\n"];

/// A workspace, the pipeline with its adapter, and a home with the model that is trained on.
struct Project {
    folder: TempDir,
    home: Home,
    held_out: BTreeSet<String>,
}

impl Project {
    /// The model that completes today says `today`.
    fn new(today: &[&str]) -> Self {
        let (folder, home) = (workspace(""), Home::without_models());
        let paths: Vec<String> = (0..FILES).map(|file| format!("src/part_{file}.py")).collect();
        // The rule of docs/models/adapt.md: the first quarter in the order of the paths' hashes.
        let mut order = paths.clone();
        order.sort_by_key(|path| *blake3::hash(path.as_bytes()).as_bytes());
        let held_out: BTreeSet<String> = order.drain(..FILES / 4).collect();
        fs::create_dir_all(folder.path().join("ws/src")).expect("made");
        for (file, path) in paths.iter().enumerate() {
            let says = if held_out.contains(path) { RARE } else { COMMON };
            let text = format!("place_{file} = {says}\n");
            fs::write(folder.path().join("ws").join(path), text).expect("written");
        }
        let project = Self { folder, home, held_out };
        let base = project.path("base.gguf");
        write_scripted_model(&base, &PIECES).expect("written");
        project.home.import(&base);
        let model = project.path("today.gguf");
        write_scripted_model(&model, today).expect("written");
        project.home.import(&model);
        project.run(&["models", "use", "today", "--role", "completion"]);
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pipeline")), &project.path("models"));
        let installed = project.run(&["models", "list", "--installed", "--json"]).json();
        let of_base = |it: &&Value| it["id"] == "base";
        let base = installed.as_array().expect("a list").iter().find(of_base).expect("imported");
        let adapter = project.path("models/pipeline/completion/adapter.gguf");
        let sha256 = base["sha256"].as_str().expect("a hash");
        write_scripted_adapter(&adapter, sha256, PIECES.len()).expect("written");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(&self.path("ws"));
        command.env("PIPELINE_LOG", self.path("log")).env("PIPELINE_GPU", "yes").args(arguments);
        for name in ["PIPELINE_HOLDS", "PYTHONPATH"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments), None)
    }

    /// The command that trains, with these options beside.
    fn training(&self, options: &[&str]) -> Command {
        let mut command = self.command(&["models", "adapt", "--adapter", "--base", "base"]);
        command.arg("--pipeline").arg(self.path("models")).args(options).arg("--json");
        command
    }

    fn train(&self, options: &[&str]) -> Value {
        finish(self.training(options), None).json()
    }

    /// What the pipeline's tasks told.
    fn log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    fn tasks(&self) -> Vec<String> {
        self.log().iter().map(|it| it["task"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What is proposed for a new file of a workspace, and by which model.
    fn completed(&self, workspace: &Path) -> (String, String) {
        let mut command = self.home.command(workspace);
        command.args(["complete", "new.py", "--line", "0", "--character", "9"]);
        command.args(["--text-from", "-", "--json"]);
        let answer = finish(command, Some("place_xy \n")).json();
        let text = answer["items"][0]["insertText"].as_str().unwrap_or_default();
        (text.to_owned(), answer["model"].as_str().unwrap_or_default().to_owned())
    }

    /// The models that were made for workspaces.
    fn adapted(&self) -> Vec<Value> {
        let list = self.run(&["models", "list", "--installed", "--json"]).json();
        let list = list.as_array().cloned().unwrap_or_default();
        list.into_iter().filter(|it| it["workspace"].is_string()).collect()
    }

    /// Folders of trainings that are not over.
    fn under_way(&self) -> usize {
        let workspaces = fs::read_dir(self.home.path().join("cache/workspaces"));
        let works = workspaces.into_iter().flatten().flatten().map(|it| it.path().join("adapter"));
        works.map(|it| fs::read_dir(it).into_iter().flatten().count()).sum()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// What a model says that is of no use in the workspace.
const USELESS: [&str; 2] = ["= nothing_here", "\n\n"];

#[test]
fn what_is_better_completes_in_its_workspace_until_it_is_removed() {
    let project = Project::new(&USELESS);
    let report = project.train(&[]);
    assert_eq!(report["outcome"], "better", "{report}");
    assert_eq!(report["heldOutFiles"], FILES / 4, "{report}");
    let comparison = &report["comparison"];
    assert_eq!(
        (&comparison["lines"], &comparison["after"]["exact"]),
        (&json!(225), &json!(225)),
        "{report}"
    );
    assert_eq!((&comparison["won"], &comparison["lost"]), (&json!(225), &json!(0)), "{report}");

    let log = project.log();
    assert_eq!(project.tasks(), ["prepare", "train", "convert"]);
    let seen: BTreeSet<String> = ["train", "development"]
        .iter()
        .flat_map(|split| log[0]["paths"][split].as_array().expect("paths"))
        .map(|path| path.as_str().expect("a path").to_owned())
        .collect();
    assert_eq!(seen.len(), FILES - FILES / 4);
    assert!(seen.is_disjoint(&project.held_out), "a held-out file reached the training");
    assert!(log[1]["config"].as_str().is_some_and(|it| it.ends_with("workspace.toml")), "{log:?}");
    assert_eq!(project.under_way(), 0);

    let id = report["model"].as_str().expect("a name").to_owned();
    assert_eq!(project.completed(&project.path("ws")), (format!("= {RARE}"), id.clone()));
    let other = workspace("//- a.py\nprint(1)\n");
    assert_eq!(project.completed(other.path()).1, "today", "other workspaces keep theirs");
    let status = project.run(&["status", "--json"]).json();
    assert_eq!(status["adapter"], id, "{status}");
    let listed = project.run(&["models", "adapt", "--status", "--json"]).json();
    assert_eq!(listed["adapter"]["model"], id, "{listed}");
    assert_eq!(&listed["adapter"]["comparison"], comparison, "{listed}");

    // The same once more changes nothing.
    let again = project.train(&[]);
    assert_eq!((&again["outcome"], &again["model"]), (&json!("unchanged"), &json!(id)), "{again}");

    let removed = project.run(&["models", "adapt", "--remove", "--json"]).json();
    assert_eq!(removed["removedAdapter"], id, "{removed}");
    assert_eq!(removed["adapter"], Value::Null, "{removed}");
    assert_eq!(project.adapted(), [Value::Null; 0]);
    assert_eq!(project.completed(&project.path("ws")).1, "today");
}

#[test]
fn what_is_not_better_is_not_installed() {
    // What completes today says the same already.
    let project = Project::new(&PIECES);
    let report = project.train(&[]);
    assert_eq!(report["outcome"], "notBetter", "{report}");
    assert!(report["comparison"]["gainOverInstant"][0].as_f64() > Some(0.5), "{report}");
    assert_eq!((project.adapted(), project.under_way()), (vec![], 0));
    assert_eq!(project.completed(&project.path("ws")).1, "today");
    let told = project.run(&["models", "adapt", "--status"]);
    assert!(told.stdout.contains("nothing was learnt"), "{told:?}");
}

#[test]
fn a_model_that_is_gone_or_a_damaged_choice_is_named_and_left_out() {
    let project = Project::new(&USELESS);
    assert_eq!(project.train(&[])["outcome"], "better");
    let id = project.adapted()[0]["id"].as_str().expect("a name").to_owned();
    let completed = || {
        let mut command =
            project.command(&["complete", "new.py", "--line", "0", "--character", "9"]);
        command.args(["--text-from", "-"]).env("HEARTH_LOG", "warn");
        finish(command, Some("place_xy \n"))
    };
    project.run(&["models", "remove", &id]);
    let left = completed();
    assert!(left.stderr.contains(&id) && left.stdout.contains("nothing_here"), "{left:?}");
    let listed = project.run(&["models", "adapt", "--status"]);
    assert!(listed.stdout.contains("no model is called"), "{listed:?}");
    let workspaces = fs::read_dir(project.home.path().join("data/workspaces")).expect("listed");
    let choice = workspaces.flatten().next().expect("one").path().join("adapter.json");
    fs::write(choice, "{").expect("written");
    let left = completed();
    assert!(
        left.stderr.contains("adapter.json") && left.stdout.contains("nothing_here"),
        "{left:?}"
    );
    let listed = project.run(&["models", "adapt", "--status"]);
    assert!(listed.stdout.contains("adapter.json is damaged"), "{listed:?}");
    assert_eq!(project.run(&["models", "adapt", "--remove"]).code, Some(0));
    assert!(!completed().stderr.contains("adapter.json"));
}

#[test]
fn what_is_missing_is_named_with_what_gets_it() {
    let project = Project::new(&USELESS);
    let missing = |mut command: Command, told: &[&str]| {
        command.env("PIPELINE_GPU", "no");
        let refused = finish(command, None);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(told.iter().all(|told| refused.stderr.contains(told)), "{refused:?}");
        assert!(project.log().is_empty(), "nothing was begun");
    };
    missing(project.training(&[]), &["sees no GPU", "--host", "--device cpu"]);
    missing(project.command(&["models", "adapt", "--adapter", "--base", "base"]), &["--pipeline"]);
    missing(
        project.command(&["models", "adapt", "--adapter", "--pipeline", "."]),
        &["there is no ./pipeline/completion"],
    );
    missing(project.training(&["--host", "me@gpu", "--offline"]), &["--offline"]);
    fs::remove_file(project.path("models/torch.py")).expect("removed");
    missing(project.training(&[]), &["PyTorch is not installed", "train-requirements.txt"]);
    let mut plain = project.command(&["models", "adapt", "--adapter"]);
    plain.arg("--pipeline").arg(project.path("models"));
    missing(plain, &["hearth models pull smollm2-135m-instruct"]);
    // Nothing in a workspace names a program or a machine.
    let settings = format!("[models]\npipeline = {:?}\nhost = \"evil\"\n", project.path("models"));
    fs::write(project.path("ws/hearth.toml"), settings).expect("written");
    missing(project.command(&["models", "adapt", "--adapter", "--base", "base"]), &["--pipeline"]);
    let odd = project.run(&["models", "adapt", "--host", "me@gpu"]);
    assert_eq!(odd.code, Some(2), "only with --adapter: {odd:?}");
}

#[test]
fn a_cpu_shows_the_way_where_it_is_asked_for() {
    let project = Project::new(&USELESS);
    let mut command = project.training(&["--device", "cpu"]);
    command.env("PIPELINE_GPU", "no");
    assert_eq!(finish(command, None).json()["outcome"], "better");
    let train = &project.log()[1];
    assert!(train["config"].as_str().is_some_and(|it| it.ends_with("tiny.toml")), "{train}");
    assert_eq!(train["device"], "cpu", "{train}");
}

#[test]
fn too_few_files_are_told_before_anything_is_trained() {
    let project = Project::new(&USELESS);
    for file in fs::read_dir(project.path("ws/src")).expect("listed").flatten().skip(20) {
        fs::remove_file(file.path()).expect("removed");
    }
    assert_eq!(project.train(&[])["outcome"], "tooFewLines");
    assert!(project.log().is_empty());
}

#[cfg(target_os = "linux")]
mod stopped {
    use std::{
        io::{BufRead as _, BufReader, Read as _},
        process::Stdio,
    };

    use end_to_end::process::{Signal, send};

    use super::*;

    /// Stops a training after its first step, as Ctrl-C does.
    pub(super) fn stop(mut command: Command) {
        command.env("PIPELINE_HOLDS", "yes").env("HEARTH_LOG", "hearth=info");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let mut said = String::new();
        while !said.contains(" of 3: loss") {
            assert!(stderr.read_line(&mut said).expect("read") > 0, "it ended before: {said}");
        }
        send(child.id(), Signal::Interrupt);
        stderr.read_to_string(&mut said).expect("read");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(output.stdout.is_empty() && said.contains("the same command goes on"), "{said}");
    }

    #[test]
    fn an_interrupted_training_goes_on_where_it_was() {
        let project = Project::new(&USELESS);
        stop(project.training(&[]));
        assert_eq!(project.tasks(), ["prepare", "train", "stopped"]);
        assert_eq!((project.adapted(), project.under_way()), (vec![], 1));
        assert_eq!(project.train(&[])["outcome"], "better");
        assert_eq!(project.tasks()[3..], ["train", "convert"]);
        assert_eq!(project.log()[3]["after"], 1, "it went on after the checkpoint");
        assert_eq!(project.under_way(), 0);
    }

    #[test]
    fn what_was_begun_with_other_texts_is_begun_anew_and_can_be_removed() {
        let project = Project::new(&USELESS);
        stop(project.training(&[]));
        let trained = project.log()[0]["paths"]["train"][0].as_str().expect("a path").to_owned();
        fs::write(project.path("ws").join(trained), "place = another\n").expect("written");
        stop(project.training(&[]));
        assert_eq!(project.log()[4]["after"], 0);
        assert_eq!(project.under_way(), 1);
        project.run(&["models", "adapt", "--remove"]);
        assert_eq!(project.under_way(), 0);
    }
}

#[cfg(target_os = "linux")]
mod over_ssh {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What stands in for ssh: notes the machine, and runs the command in another home, whose Python has PyTorch.
    const SSH: &str = "#!/bin/sh\n\
        while [ \"$1\" != -- ]; do shift; done\n\
        echo \"$2\" >> \"$HOSTS\"\n\
        export HOME=\"$HOST_HOME\" PYTHONPATH=\"$HOST_PYTHON\"\n\
        cd \"$HOME\" && exec sh -c \"$3\"\n";

    struct Machine {
        project: Project,
    }

    impl Machine {
        fn new() -> Self {
            let project = Project::new(&USELESS);
            for folder in ["bin", "remote", "python"] {
                fs::create_dir(project.path(folder)).expect("made");
            }
            let ssh = project.path("bin/ssh");
            fs::write(&ssh, SSH).expect("written");
            fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("set");
            // This machine has no PyTorch, the other one has.
            fs::rename(project.path("models/torch.py"), project.path("python/torch.py"))
                .expect("moved");
            Self { project }
        }

        fn training(&self, options: &[&str]) -> Command {
            let mut command = self.project.training(options);
            let path = std::env::var("PATH").unwrap_or_default();
            let path = format!("{}:{path}", self.project.path("bin").display());
            command.env("PATH", path).env("HOSTS", self.project.path("hosts"));
            command.env("HOST_HOME", self.project.path("remote"));
            command.env("HOST_PYTHON", self.project.path("python"));
            command
        }

        /// What is left in the other machine's home.
        fn left(&self) -> Vec<PathBuf> {
            let cache = fs::read_dir(self.project.path("remote/.cache"));
            cache.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        }

        fn hosts(&self) -> BTreeSet<String> {
            let hosts = fs::read_to_string(self.project.path("hosts")).expect("it was asked");
            hosts.lines().map(str::to_owned).collect()
        }
    }

    #[test]
    fn the_other_machine_trains_in_pieces_and_keeps_nothing() {
        let machine = Machine::new();
        let project = &machine.project;
        let report = finish(machine.training(&["--host", "me@gpu"]), None).json();
        assert_eq!(report["outcome"], "better", "{report}");
        assert_eq!(machine.hosts(), BTreeSet::from(["me@gpu".to_owned()]));
        let pieces = ["train", "train", "train"];
        assert_eq!(project.tasks(), [&["prepare", "pack"], &pieces[..], &["convert"]].concat());
        let remote = project.path("remote");
        for (piece, log) in project.log()[2..5].iter().enumerate() {
            assert_eq!(log["after"], piece, "{log}");
            let folder = Path::new(log["folder"].as_str().expect("a folder"));
            assert!(folder.starts_with(&remote), "{log}");
        }
        assert!(machine.left().is_empty(), "{:?}", machine.left());
    }

    #[test]
    fn the_machine_of_the_persons_own_settings_is_taken() {
        let machine = Machine::new();
        let config = machine.project.home.path().join("config");
        fs::create_dir_all(&config).expect("made");
        fs::write(config.join("hearth.toml"), "[models]\nhost = \"gpu.lan\"\n").expect("written");
        assert_eq!(finish(machine.training(&[]), None).json()["outcome"], "better");
        assert_eq!(machine.hosts(), BTreeSet::from(["gpu.lan".to_owned()]));
    }

    #[test]
    fn a_stopped_training_stops_there_too_and_nothing_is_left() {
        let machine = Machine::new();
        let project = &machine.project;
        // One piece comes back; the second is stopped.
        let mut first = machine.training(&["--host", "me@gpu"]);
        first.env("PIPELINE_FAILS_AFTER", "1");
        let failed = finish(first, None);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(failed.stderr.contains("training on me@gpu failed"), "{failed:?}");
        assert!(machine.left().is_empty(), "{:?}", machine.left());
        stopped::stop(machine.training(&["--host", "me@gpu"]));
        assert_eq!(project.tasks().last().map(String::as_str), Some("stopped"));
        assert!(machine.left().is_empty(), "{:?}", machine.left());
        let report = finish(machine.training(&["--host", "me@gpu"]), None).json();
        assert_eq!(report["outcome"], "better", "{report}");
        let log = project.log();
        let trained: Vec<_> = log.iter().filter(|it| it["task"] == "train").collect();
        let after: Vec<_> = trained.iter().map(|it| it["after"].as_u64()).collect();
        assert_eq!(
            after,
            [0, 1, 1, 1, 2].map(Some),
            "each goes on after the last checkpoint that came back"
        );
    }

    #[test]
    fn a_machine_that_is_not_reached_is_a_failure_and_says_why() {
        let machine = Machine::new();
        fs::write(
            machine.project.path("bin/ssh"),
            "#!/bin/sh\necho no route to host >&2\nexit 255\n",
        )
        .expect("written");
        let refused = finish(machine.training(&["--host", "me@gpu"]), None);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("me@gpu") && refused.stderr.contains("no route"),
            "{refused:?}"
        );
        let refused = finish(machine.training(&["--host", "-oProxyCommand=evil"]), None);
        assert!(!machine.project.path("hosts").exists(), "{refused:?}");
    }
}
