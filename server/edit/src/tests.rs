use inference::fake::FakeLanguageModel;
use proptest::prelude::*;

use super::*;

/// The document and selection of a fixture in which `$0` marks both ends of the selection.
fn fixture(marked: &str) -> (Arc<str>, TextRange) {
    let mut parts = marked.split("$0");
    let (before, selected) = (parts.next().unwrap(), parts.next().unwrap());
    let after = parts.next().unwrap();
    let text = format!("{before}{selected}{after}");
    (text.into(), TextRange::new(before.len(), before.len() + selected.len()))
}

fn request(path: &str, marked: &str, instruction: &str) -> EditRequest {
    let (text, selection) = fixture(marked);
    EditRequest {
        path: path.into(),
        text,
        selection,
        instruction: instruction.into(),
        diagnostic: None,
        previous: None,
    }
}

fn run(model: &FakeLanguageModel, request: &EditRequest) -> Result<EditProposal, EditError> {
    propose(model, request, &CancelToken::new(), &mut |_| {})
}

fn prompt_of(model: &FakeLanguageModel, round: usize) -> String {
    let requests = model.requests();
    let pieces = &requests[round].prompt;
    pieces
        .iter()
        .map(|piece| match piece {
            inference::PromptPiece::Text(text)
            | inference::PromptPiece::Markup(text)
            | inference::PromptPiece::Special(text) => text.as_str(),
        })
        .collect()
}

#[test]
fn the_selected_lines_are_replaced_and_nothing_else() {
    let model = FakeLanguageModel::new(["if ready:\n    return 2\n```\nHere you are."]);
    let request =
        request("a.py", "def f():\r\n    $0if ready:\r\n        return 1$0\r\n", "return 2");
    let proposal = run(&model, &request).unwrap();
    assert_eq!(proposal.new_text, "def f():\r\n    if ready:\r\n        return 2\r\n");
    assert_eq!(proposal.hunks.len(), 1);
    assert_eq!(proposal.hunks[0].old_text, "        return 1\r\n");
    let prompt = prompt_of(&model, 0);
    assert!(prompt.contains("```python\nif ready:\n    return 1\n```\n\nreturn 2."), "{prompt}");
    assert!(prompt.ends_with("```python\n"), "{prompt}");
}

#[test]
fn hunks_stream_and_the_finished_ones_come_last() {
    let model = FakeLanguageModel::new(["let a = 10;\nlet b = 2;\nlet c = 30;\n```"]);
    let request = request(
        "a.rs",
        "fn f() {\n$0    let a = 1;\n    let b = 2;\n    let c = 3;\n$0}\n",
        "ten times",
    );
    let mut seen = Vec::new();
    let proposal =
        propose(&model, &request, &CancelToken::new(), &mut |event| seen.push(event)).unwrap();
    let EditEvent::Hunk(first) = &seen[0] else { panic!("a hunk") };
    assert_eq!((first.id.as_str(), first.new_text.as_str()), ("h1", "    let a = 10;\n"));
    let last: Vec<EditEvent> = proposal.hunks.iter().cloned().map(EditEvent::Hunk).collect();
    assert!(seen.ends_with(&last), "{seen:?}");
    assert_eq!(proposal.hunks.len(), 2);
}

#[test]
fn an_answer_that_does_not_parse_is_asked_for_again() {
    let model = FakeLanguageModel::new(["g(1\n```", "g(2)\n```"]);
    let request = request("a.py", "$0g(1)$0\n", "pass 2");
    let mut retries = Vec::new();
    let proposal = propose(&model, &request, &CancelToken::new(), &mut |event| {
        if let EditEvent::Retry { reason, .. } = event {
            retries.push(reason);
        }
    })
    .unwrap();
    assert_eq!((proposal.rounds, proposal.new_text.as_str()), (2, "g(2)\n"));
    assert_eq!(retries, ["it does not parse, unexpected `g(1` in line 1"]);
    assert!(prompt_of(&model, 1).contains("does not parse"), "{}", prompt_of(&model, 1));
    assert!(model.requests()[1].sampling.temperature > 0.0);
}

#[test]
fn it_stops_when_another_round_does_not_help() {
    let model = FakeLanguageModel::new(["g(1\n```", "g(2\n```", "g(3)\n```"]);
    let refused = run(&model, &request("a.py", "$0g(1)$0\n", "pass 2"));
    assert!(matches!(refused, Err(EditError::Unusable { rounds: 2, .. })), "{refused:?}");
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn empty_repeating_and_unchanged_answers() {
    let empty = FakeLanguageModel::new(["\n```", "Sorry\n"]);
    let request = request("a.txt", "$0one$0\n", "translate");
    assert_eq!(run(&empty, &request).unwrap().new_text, "Sorry\n");
    let looping = FakeLanguageModel::new(["again\n".repeat(9), "again\n".repeat(9)]);
    let refused = run(&looping, &request).unwrap_err().to_string();
    assert!(refused.contains("repeats itself"), "{refused}");
    let unchanged = FakeLanguageModel::new(["one\n```", "one\n```"]);
    let proposal = run(&unchanged, &request).unwrap();
    assert!(proposal.hunks.is_empty() && proposal.new_text == "one\n");
    assert_eq!(proposal.validation[0].message, "the model proposes no change");
}

#[test]
fn a_proposal_that_loses_lines_says_so() {
    let model = FakeLanguageModel::new(["a = 1\n```"]);
    let request = request("a.py", "$0a = 0\nb = 0\nc = 0\nd = 0\n$0", "set a to 1");
    let proposal = run(&model, &request).unwrap();
    assert_eq!(proposal.validation[0].severity, Severity::Warning);
    assert!(proposal.validation[0].message.starts_with("3 of 4 selected lines"));
}

#[test]
fn lines_can_be_removed_only_when_that_was_asked_for() {
    let asked = FakeLanguageModel::new(["\n```"]);
    let proposal = run(&asked, &request("a.py", "a\n$0b$0\nc\n", "Remove this line")).unwrap();
    assert_eq!(proposal.new_text, "a\nc\n");
    let not_asked = FakeLanguageModel::new(["\n```", "\n```"]);
    let refused = run(&not_asked, &request("a.py", "a\n$0b$0\nc\n", "rename it"));
    assert!(matches!(refused, Err(EditError::Unusable { .. })));
}

#[test]
fn a_selection_that_cannot_fit_is_refused_before_the_model_is_asked() {
    let model = FakeLanguageModel::new(["x\n```"]);
    let text = "a long line of code\n".repeat(200);
    let refused = run(&model, &request("a.py", &format!("$0{text}$0"), "shorten"));
    assert!(matches!(refused, Err(EditError::SelectionTooLong { lines: 200, .. })), "{refused:?}");
    assert!(model.requests().is_empty());
}

#[test]
fn a_diagnostic_stands_in_the_prompt_and_the_fix_is_unchecked() {
    let model = FakeLanguageModel::new(["let x: i32 = 1;\n```"]);
    let mut request = request("a.rs", "fn f() {\n$0    let x: i32 = \"1\";\n$0}\n", "");
    request.diagnostic = Some(Diagnostic {
        range: TextRange::new(26, 29),
        message: "mismatched types".into(),
        source: Some("rustc".into()),
    });
    let proposal = run(&model, &request).unwrap();
    assert!(proposal.validation.iter().any(|finding| finding.message.starts_with("unchecked")));
    let prompt = prompt_of(&model, 0);
    assert!(
        prompt.contains("rustc says about the line `let x: i32 = \"1\";`: mismatched types"),
        "{prompt}"
    );
}

#[test]
fn a_follow_up_goes_on_from_the_proposal_and_replaces_the_original() {
    let model = FakeLanguageModel::new(["b\n```", "c\n```"]);
    let mut request = request("a.txt", "$0a$0\n", "to b");
    let first = run(&model, &request).unwrap();
    request.previous = Some(Arc::new(first));
    request.instruction = "now to c".into();
    let second = run(&model, &request).unwrap();
    assert!(prompt_of(&model, 1).contains("```txt\nb\n```"), "{}", prompt_of(&model, 1));
    assert_eq!((second.hunks[0].old_text.as_str(), second.new_text.as_str()), ("a\n", "c\n"));
}

#[test]
fn documentation_leaves_the_code_alone() {
    let model = FakeLanguageModel::new([
        " adds the prices of all items. It is simple.",
        " reads a file and returns its text",
    ]);
    let source = "$0def total(items):\n    return sum(items)\n\n\ndef read(path,\n         mode):\n    \
                  return open(path, mode).read()\n$0";
    let proposal = run(&model, &request("a.py", source, Task::Document.instruction())).unwrap();
    assert_eq!(
        proposal.new_text,
        "def total(items):\n    \"\"\"Adds the prices of all items.\"\"\"\n    return sum(items)\n\n\n\
         def read(path,\n         mode):\n    \"\"\"Reads a file and returns its text.\"\"\"\n    \
         return open(path, mode).read()\n"
    );
    let model = FakeLanguageModel::new([" returns one more"]);
    let source =
        "impl A {\n    #[inline]\n    pub fn next(&self) -> u8 {\n        $01$0\n    }\n}\n";
    let proposal = run(&model, &request("a.rs", source, "Document this")).unwrap();
    assert_eq!(
        proposal.new_text,
        "impl A {\n    /// Returns one more.\n    #[inline]\n    pub fn next(&self) -> u8 {\n        \
         1\n    }\n}\n"
    );
}

#[test]
fn a_moved_selection_is_found_and_a_changed_one_refused() {
    let model = FakeLanguageModel::new(["B\nc\nD\n```"]);
    let request = request("a.txt", "a\n$0b\nc\nd\n$0e\n", "upper case");
    let proposal = run(&model, &request).unwrap();
    let applied = |accepted: &[&str], current: &str| {
        let accepted: Vec<String> = accepted.iter().map(|id| (*id).to_owned()).collect();
        let edits = resolve(&proposal, &accepted, current)?;
        Ok::<_, EditError>(text::apply_edits(current, &edits).unwrap())
    };
    assert_eq!(applied(&["h1"], "a\nb\nc\nd\ne\n").unwrap(), "a\nB\nc\nd\ne\n");
    assert_eq!(applied(&["h2"], "new\na\nb\nc\nd\n").unwrap(), "new\na\nb\nc\nD\n");
    assert_eq!(applied(&[], "anything").unwrap(), "anything");
    assert!(matches!(applied(&["h1"], "a\nb\nc!\nd\n"), Err(EditError::Moved { .. })));
    assert!(matches!(applied(&["h1"], "b\nc\nd\nb\nc\nd\n"), Err(EditError::Moved { .. })));
    assert!(matches!(applied(&["h9"], "a\n"), Err(EditError::UnknownHunk { .. })));
}

#[test]
fn cancelling_and_failures_are_passed_on() {
    let model = FakeLanguageModel::new(["x\n```"]);
    let cancel = CancelToken::new();
    cancel.cancel();
    let stopped = propose(&model, &request("a.py", "$0a$0", "b"), &cancel, &mut |_| {});
    assert!(stopped.unwrap_err().is_cancelled());
    let past_the_end =
        EditRequest { selection: TextRange::new(0, 99), ..request("a.py", "$0a$0", "b") };
    assert!(matches!(run(&model, &past_the_end), Err(EditError::OutOfBounds { .. })));
}

proptest! {
    /// Whatever the model answers, the bytes outside the selection stay, and refused hunks leave
    /// the document as it was.
    #[test]
    fn untouched_bytes_are_identical(
        lines in prop::collection::vec(("[ \t]{0,2}[a-cé]{0,3}", prop::bool::ANY), 1..8),
        ends in prop::bool::ANY,
        (from, to) in (0usize..30, 0usize..30),
        answer in prop::collection::vec("[ \t]{0,4}[a-d`é]{0,4}", 0..6),
        mark in prop::bool::ANY,
    ) {
        let mut text = if mark { "\u{FEFF}".to_owned() } else { String::new() };
        for (line, windows) in &lines {
            text.push_str(line);
            text.push_str(if *windows { "\r\n" } else { "\n" });
        }
        if !ends {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        let border = |offset: usize| (0..=offset.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let text: Arc<str> = text.as_str().into();
        let answer = answer.join("\n") + "\n```\n";
        let model = FakeLanguageModel::new([answer.clone(), answer]);
        let request = EditRequest {
            path: "a.txt".into(),
            text: text.clone(),
            selection: TextRange::new(border(from), border(to)),
            instruction: "change it".into(),
            diagnostic: None,
            previous: None,
        };
        if let Ok(proposal) = run(&model, &request) {
            let (head, tail) = (&text[..proposal.selection.start], &text[proposal.selection.end..]);
            prop_assert!(proposal.new_text.starts_with(head));
            prop_assert!(proposal.new_text.ends_with(tail));
            for hunk in &proposal.hunks {
                prop_assert!(proposal.selection.contains_range(hunk.range));
                prop_assert_eq!(hunk.range.slice(&text), Some(hunk.old_text.as_str()));
            }
            prop_assert_eq!(resolve(&proposal, &[], &text).unwrap(), vec![]);
            let all: Vec<String> = proposal.hunks.iter().map(|hunk| hunk.id.clone()).collect();
            let edits = resolve(&proposal, &all, &text).unwrap();
            prop_assert_eq!(text::apply_edits(&text, &edits).unwrap(), proposal.new_text);
        }
    }
}
