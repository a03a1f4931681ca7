use std::fs;

use inference::fake::FakeLanguageModel;
use tempfile::TempDir;
use vfs::{Documents, Workspace};

use super::*;

const POLICY: &str = "\
/// Merges segments of about the same size.
///
/// Larger ones are left alone.
pub struct LogMergePolicy {
    min_num_segments: usize,
}

impl LogMergePolicy {
    /// Chooses which segments are merged.
    pub fn compute_merge_candidates(&self, segments: &[Segment]) -> Vec<Candidate> {
        segments.chunks(self.min_num_segments).map(Candidate::of).collect()
    }
}
";
const TOKENIZER: &str = "\
/// Splits a text at white space.
pub fn tokenize_words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}
";

/// A workspace of a few files with an index of them.
struct Fixture {
    _folder: TempDir,
    snapshot: Snapshot,
    index: IndexSnapshot,
}

impl Fixture {
    fn new() -> Self {
        let files = [
            ("src/policy.rs", POLICY),
            ("src/tokenizer.rs", TOKENIZER),
            ("docs/readme.md", "# Readme\n\nNothing to see.\n"),
        ];
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
        Self {
            _folder: folder,
            snapshot: Documents::new(workspace.clone()).snapshot(),
            index: IndexSnapshot::of_texts(workspace, &files),
        }
    }

    fn ask(&self, model: Option<&FakeLanguageModel>, request: &ChatRequest) -> ChatAnswer {
        self.ask_and_watch(model, request).0
    }

    /// The answer and the events that led to it. The text events must make the answer.
    fn ask_and_watch(
        &self,
        model: Option<&FakeLanguageModel>,
        request: &ChatRequest,
    ) -> (ChatAnswer, Vec<ChatEvent>) {
        let context = ChatContext {
            snapshot: &self.snapshot,
            index: Some(&self.index),
            model: model.map(|model| model as &dyn LanguageModel),
            failure: None,
            deepening: None,
            documentation: None,
            prompt_speed: None,
        };
        let mut events = Vec::new();
        let answer =
            answer(&context, request, &CancelToken::new(), &mut |event| events.push(event));
        let answer = answer.unwrap();
        let mut streamed = String::new();
        for event in &events {
            if let ChatEvent::Text(text) = event {
                streamed.push_str(text);
            }
        }
        assert_eq!(streamed, answer.answer);
        (answer, events)
    }
}

fn question(message: &str) -> ChatRequest {
    ChatRequest { message: message.into(), ..ChatRequest::default() }
}

fn tiny(replies: &[&str]) -> FakeLanguageModel {
    let info =
        inference::ModelInfo { id: "SmolLM2-135M".into(), context: 2048, ..Default::default() };
    FakeLanguageModel::new(replies.iter().copied()).with_info(info)
}

fn prompt_of(model: &FakeLanguageModel, number: usize) -> String {
    model.requests()[number]
        .prompt
        .iter()
        .map(|piece| match piece {
            inference::PromptPiece::Text(text)
            | inference::PromptPiece::Markup(text)
            | inference::PromptPiece::Special(text) => text.as_str(),
        })
        .collect()
}

#[test]
fn an_answer_cites_lines_that_exist() {
    let fixture = Fixture::new();
    let model = FakeLanguageModel::new(["It is chosen there [1], not in [9]."]);
    let (answer, events) =
        fixture.ask_and_watch(Some(&model), &question("Where are merge candidates computed?"));
    assert_eq!(answer.answer, "It is chosen there [1], not in .");
    let first = &answer.citations[0];
    assert_eq!(first.path, "src/policy.rs");
    let lines: Vec<&str> = POLICY
        .split_inclusive('\n')
        .skip(first.lines.start as usize)
        .take(first.lines.len())
        .collect();
    assert_eq!(first.quote, lines.concat());
    assert_eq!(events[0], ChatEvent::Context(answer.citations.clone()));
    assert!(prompt_of(&model, 0).contains("[1] src/policy.rs:"), "{}", prompt_of(&model, 0));
    assert_eq!((answer.model.as_deref(), &answer.state), (Some("fake"), &AnswerState::Done));
}

#[test]
fn a_question_about_the_whole_workspace_is_answered_from_its_map() {
    let fixture = Fixture::new();
    let request = question("What does this project do and how is it organised?");
    let answer = fixture.ask(None, &request);
    assert!(
        answer.answer.contains("src/policy.rs\n  pub struct LogMergePolicy"),
        "{}",
        answer.answer
    );
    let cited: Vec<&str> = answer.citations.iter().map(|place| place.path.as_str()).collect();
    assert!(cited.contains(&"src/policy.rs") && cited.contains(&"src/tokenizer.rs"), "{cited:?}");
    let model = FakeLanguageModel::new(["It merges segments [1]."]);
    fixture.ask(Some(&model), &request);
    let prompt = prompt_of(&model, 0);
    assert!(prompt.contains("The most important files and definitions:"), "{prompt}");
    assert!(prompt.contains("[1] src/"), "{prompt}");
}

#[test]
fn without_a_model_the_index_answers() {
    let fixture = Fixture::new();
    let answer = fixture.ask(None, &question("What does LogMergePolicy do?"));
    assert!(
        answer.answer.contains("**`LogMergePolicy`**, struct, `src/policy.rs:"),
        "{}",
        answer.answer
    );
    assert!(answer.answer.contains("Merges segments of about the same size."));
    assert_eq!(answer.model, None);
    assert_eq!(answer.citations[0].path, "src/policy.rs");
}

#[test]
fn nothing_is_cited_where_nothing_supports_the_answer() {
    let fixture = Fixture::new();
    let request = question("Which planet is the largest in the solar system?");
    let answer = fixture.ask(None, &request);
    assert!(answer.citations.is_empty());
    assert_eq!(answer.answer, "Nothing in this workspace seems to be about that.");
    assert!(answer.confidence <= 0.2);
    let model = FakeLanguageModel::new(["Jupiter."]);
    let answer = fixture.ask(Some(&model), &request);
    assert!(answer.answer.starts_with("*Nothing in this workspace supports this answer.*"));
    assert!(answer.answer.ends_with("Jupiter."));
}

#[test]
fn docs_keeps_the_search_to_documentation() {
    let fixture = Fixture::new();
    let cited = |message: &str, mentions: &[Mention]| -> Vec<String> {
        let request = ChatRequest { mentions: mentions.to_vec(), ..question(message) };
        fixture.ask(None, &request).citations.into_iter().map(|place| place.path).collect()
    };
    let merging = "Which segments does the merge policy choose?";
    assert_eq!(cited(merging, &[]).first().map(String::as_str), Some("src/policy.rs"));
    assert!(cited(merging, &[Mention::Docs]).is_empty());
    assert!(cited(&format!("@docs {merging}"), &[]).is_empty());
    let answer = fixture.ask(None, &question(&format!("@docs {merging}")));
    assert_eq!(answer.answer, "Nothing in this workspace's documentation seems to be about that.");
    // A question that says nothing shows what documentation there is.
    assert_eq!(cited("@docs what is there?", &[]), ["docs/readme.md"]);
    // What else is mentioned counts besides.
    let file = Mention::File { path: "src/policy.rs".into() };
    assert_eq!(cited(&format!("@docs {merging}"), &[file]), ["src/policy.rs"]);
}

#[test]
fn a_tiny_model_speaks_after_the_places() {
    let fixture = Fixture::new();
    let model = tiny(&["It splits. It splits. It splits. It splits. It splits."]);
    let answer = fixture.ask(Some(&model), &question("How does tokenize_words split a text?"));
    assert!(answer.answer.starts_with("**`tokenize_words`**, function"), "{}", answer.answer);
    assert_eq!(answer.answer.matches("It splits.").count(), 3, "{}", answer.answer);
}

#[test]
fn what_the_person_points_at_comes_first() {
    let fixture = Fixture::new();
    let model = FakeLanguageModel::new(["Yes."; 4]);
    let mut request = question("Explain what this code does.");
    let start = TOKENIZER.find("text.split").unwrap();
    request.selection = Some(Selection {
        path: "src/tokenizer.rs".into(),
        range: TextRange::new(start, start + 4),
    });
    let answer = fixture.ask(Some(&model), &request);
    assert_eq!((answer.citations[0].lines.clone(), answer.citations.len()), (2..3, 1));

    request.selection = None;
    request.mentions = vec![
        Mention::Symbol { name: "LogMergePolicy".into(), path: Some("src/policy.rs".into()) },
        Mention::File { path: "src/tokenizer.rs".into() },
        Mention::Attachment { name: "log.txt".into(), text: "panicked at line 7".into() },
    ];
    let answer = fixture.ask(Some(&model), &request);
    let places: Vec<(&str, u32)> = answer
        .citations
        .iter()
        .map(|citation| (citation.path.as_str(), citation.lines.start))
        .collect();
    assert_eq!(places, [("src/policy.rs", 0), ("src/tokenizer.rs", 0)]);
    assert!(prompt_of(&model, 1).contains("log.txt:\n```\npanicked at line 7\n```"));
}

#[test]
fn a_folder_limits_the_search() {
    let fixture = Fixture::new();
    let mut request = question("Where are merge candidates computed?");
    request.mentions = vec![Mention::Folder { path: "docs".into() }];
    assert!(fixture.ask(None, &request).citations.is_empty());
    request.mentions = vec![Mention::Folder { path: "src".into() }];
    assert_eq!(fixture.ask(None, &request).citations[0].path, "src/policy.rs");
}

#[test]
fn what_cannot_be_read_is_said() {
    let fixture = Fixture::new();
    let mut request = question("What is wrong here?");
    request.mentions =
        vec![Mention::File { path: "gone.rs".into() }, Mention::File { path: "../x".into() }];
    let answer = fixture.ask(None, &request);
    assert_eq!(answer.answer.matches("> Not taken into account: ").count(), 2, "{}", answer.answer);
}

#[test]
fn a_failing_model_leaves_what_was_found() {
    let fixture = Fixture::new();
    let model = FakeLanguageModel::new(Vec::<String>::new());
    model.fail(InferenceError::WorkerDied { reason: "signal 11".into() });
    let answer = fixture.ask(Some(&model), &question("What does LogMergePolicy do?"));
    assert!(matches!(answer.state, AnswerState::Failed(InferenceError::WorkerDied { .. })));
    assert!(answer.answer.contains("signal 11") && answer.answer.contains("`LogMergePolicy`"));
    assert_eq!(answer.model, None);
    assert!(!answer.citations.is_empty());
}

#[test]
fn stopping_keeps_what_had_come() {
    let fixture = Fixture::new();
    let model = FakeLanguageModel::new(["One two three."]);
    let cancel = CancelToken::new();
    let context = ChatContext {
        snapshot: &fixture.snapshot,
        index: None,
        model: Some(&model),
        failure: None,
        deepening: None,
        documentation: None,
        prompt_speed: None,
    };
    let stop = cancel.clone();
    let answer = answer(&context, &question("hello there"), &cancel, &mut |event| {
        if matches!(&event, ChatEvent::Text(text) if text.contains("One")) {
            stop.cancel();
        }
    });
    let answer = answer.unwrap();
    assert_eq!(answer.state, AnswerState::Stopped);
    assert!(answer.answer.ends_with("One "), "{}", answer.answer);
}

#[test]
fn earlier_turns_are_in_the_prompt() {
    let fixture = Fixture::new();
    let model = FakeLanguageModel::new(["Seven."]);
    let mut request = question("And how many?");
    request.history = vec![Turn { question: "Are there merges?".into(), answer: "Yes.".into() }];
    fixture.ask(Some(&model), &request);
    let prompt = prompt_of(&model, 0);
    let places = ["Are there merges?", "Yes.", "And how many?"].map(|text| prompt.find(text));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{prompt}");
}

#[test]
fn a_piped_diff_is_reviewed_file_by_file() {
    let fixture = Fixture::new();
    let diff = "\
diff --git a/src/tokenizer.rs b/src/tokenizer.rs
--- a/src/tokenizer.rs
+++ b/src/tokenizer.rs
@@ -1,4 +1,4 @@ pub fn tokenize_words
 /// Splits a text at white space.
 pub fn tokenize_words(text: &str) -> Vec<&str> {
-    text.split(' ').collect()
+    text.split_whitespace().collect()
 }
diff --git a/src/gone.rs b/src/gone.rs
deleted file mode 100644
--- a/src/gone.rs
+++ /dev/null
@@ -1 +0,0 @@
-fn gone() {}
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1,2 @@
+breakpoint()
+x = 1
";
    let mut request = question("review this change");
    request.input = Some(diff.into());
    let model = tiny(&[" uses another split.", "", " adds a variable."]);
    let answer = fixture.ask(Some(&model), &request);
    for part in [
        "The change touches 3 files: +3 −2 lines.",
        "### `src/tokenizer.rs` (+1 −1)\n\n- In `pub fn tokenize_words`\n\n> This change uses another split.",
        "### `src/gone.rs` (+0 −1)\n\n- Deleted",
        "### `new.py` (+2 −0)\n\n- New file\n- Line 1: debugging output: `breakpoint()`",
    ] {
        assert!(answer.answer.contains(part), "{part}\nin\n{}", answer.answer);
    }
    assert_eq!(answer.citations.len(), 1);
    assert_eq!(answer.citations[0].quote, "    text.split_whitespace().collect()\n");
    let silent = fixture.ask(None, &request);
    assert!(
        ["src/tokenizer.rs", "src/gone.rs", "new.py"]
            .iter()
            .all(|path| silent.answer.contains(path))
    );
}

#[test]
fn an_empty_question_is_refused() {
    let fixture = Fixture::new();
    let context = ChatContext {
        snapshot: &fixture.snapshot,
        index: None,
        model: None,
        failure: None,
        deepening: None,
        documentation: None,
        prompt_speed: None,
    };
    let refused = answer(&context, &question(" \n"), &CancelToken::new(), &mut |_| {});
    assert_eq!(refused, Err(ChatError::Empty));
}

#[test]
fn documentation_elsewhere_is_cited_where_docs_are_asked_for_and_only_there() {
    let fixture = Fixture::new();
    let book = tempfile::tempdir().unwrap();
    let text = "Each value has one owner, which drops it at the end of its scope.\n";
    fs::write(book.path().join("ownership"), text).unwrap();
    let workspace = Workspace::open(&[book.path().to_owned()]).unwrap();
    let place = workspace.roots()[0].join("ownership").to_str().unwrap().replace('\\', "/");
    let folders = DocumentationFolders {
        within: Vec::new(),
        outside: vec![IndexSnapshot::of_texts(workspace, &[("ownership", text)])],
    };
    let context = ChatContext {
        snapshot: &fixture.snapshot,
        index: Some(&fixture.index),
        model: None,
        failure: None,
        deepening: None,
        documentation: Some(&folders),
        prompt_speed: None,
    };
    let cited = |request: &ChatRequest| {
        let answer = answer(&context, request, &CancelToken::new(), &mut |_| {}).unwrap();
        let places: Vec<(String, String)> =
            answer.citations.into_iter().map(|place| (place.path, place.quote)).collect();
        (places, answer.answer)
    };
    let asked = "which owner drops a value?";
    let (places, answer) = cited(&question(&format!("@docs {asked}")));
    assert_eq!(places, [(place.clone(), text.to_owned())], "{answer}");
    assert!(answer.contains(&place), "{answer}");
    assert_eq!(cited(&question(asked)).0, []);
    let (places, answer) = cited(&question("@docs where are invoices printed?"));
    assert!(places.is_empty() && answer.contains("your folders of documentation"), "{answer}");
    let file = vec![Mention::File { path: place }];
    let (places, answer) = cited(&ChatRequest { mentions: file, ..question("what is in it?") });
    assert!(places.is_empty() && answer.contains("lies outside the open folders"), "{answer}");
}

#[test]
fn a_model_that_cannot_be_used_is_told_of() {
    let fixture = Fixture::new();
    let failure = InferenceError::OutOfMemory { needed_mb: 9_000, available_mb: 4_000 };
    let context = ChatContext {
        snapshot: &fixture.snapshot,
        index: Some(&fixture.index),
        model: None,
        failure: Some(&failure),
        deepening: None,
        documentation: None,
        prompt_speed: None,
    };
    let question = question("how are segments merged?");
    let answer = answer(&context, &question, &CancelToken::new(), &mut |_| {}).unwrap();
    assert_eq!(answer.state, AnswerState::Failed(failure));
    assert!(answer.answer.contains("9000 MB"), "{}", answer.answer);
    assert!(!answer.citations.is_empty());
}
