//! The supervision, against a child that does what it is told: `examples/scripted_worker.rs`.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use base::CancelToken;
use crossbeam_channel::unbounded;
use inference::{
    FinishReason, GenerateRequest, Generation, InferenceError, LanguageModel, Priority,
    PromptPiece, Reranker, Sampling, Sequence,
};
use inference_worker::{WorkerConfig, WorkerLimits, WorkerModel, WorkerReranker};

/// Cargo puts examples beside the folder of the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let folder = test.parent().and_then(Path::parent).expect("a folder of builds");
    folder.join("examples").join(format!("scripted_worker{}", std::env::consts::EXE_SUFFIX))
}

fn config(arguments: &[&str]) -> WorkerConfig {
    let mut config = WorkerConfig::new(program(), "no such file");
    config.arguments = arguments.iter().map(Into::into).collect();
    config.limits.delay = Duration::from_millis(1);
    config
}

fn worker(arguments: &[&str]) -> WorkerModel {
    WorkerModel::new(config(arguments))
}

/// With so little patience that a silent child is given up soon.
fn impatient(arguments: &[&str]) -> WorkerModel {
    let mut config = config(arguments);
    config.limits.silence = Duration::from_secs(1);
    config.limits.loading = Duration::from_secs(1);
    WorkerModel::new(config)
}

fn request(script: &str) -> GenerateRequest {
    GenerateRequest {
        prompt: vec![PromptPiece::Text(script.into())],
        max_tokens: 16,
        sampling: Sampling::GREEDY,
        stop: Vec::new(),
        priority: Priority::Chat,
        sequence: Sequence::Conversation,
        heal: false,
        grammar: None,
    }
}

/// The streamed text and the answer.
fn generate(model: &WorkerModel, script: &str) -> (String, Result<Generation, InferenceError>) {
    let mut streamed = String::new();
    let answer = model.generate(&request(script), &CancelToken::new(), &mut |text| {
        streamed += text;
        ControlFlow::Continue(())
    });
    (streamed, answer)
}

fn check_works(model: &WorkerModel) {
    let (streamed, answer) = generate(model, "all is well");
    assert_eq!(answer.expect("an answer").text, "all is well");
    assert_eq!(streamed, "all is well");
}

/// A request that kills its worker fails for that reason, with the text that came before, and the
/// next one works.
fn check_death(arguments: &[&str], script: &str, before: &str, reason: &str) {
    let model = worker(arguments);
    let (streamed, answer) = generate(&model, script);
    let Err(InferenceError::WorkerDied { reason: told }) = answer else {
        panic!("the request did not fail: {answer:?}");
    };
    assert!(told.contains(reason), "{told}");
    assert_eq!(streamed, before);
    assert_eq!(model.loaded(), None);
    check_works(&model);
}

#[test]
fn text_is_streamed_and_tokens_are_counted() {
    let model = worker(&[]);
    assert_eq!(model.loaded(), None, "nothing is started before it is needed");
    let info = model.load(&CancelToken::new()).expect("loaded");
    assert_eq!(info.id, "scripted");
    assert!(model.loaded().is_some_and(|loaded| Arc::ptr_eq(&loaded, &info)));
    check_works(&model);
    assert_eq!(model.count_tokens("one two three", &CancelToken::new()), Ok(3));
    let process = model.process_id();
    check_works(&model);
    assert_eq!(model.process_id(), process, "it stays loaded");
}

#[cfg(unix)]
#[test]
fn a_death_costs_one_request() {
    check_death(&[], "ABORT", "", "signal 6");
    check_death(&[], "EXIT", "", "exit status 7");
    check_death(&[], "some text ABORT more", "some text ", "signal 6");
}

#[test]
fn nonsense_on_the_pipe_is_a_death() {
    check_death(&["--garble"], "some GARBLE text", "some ", "something strange");
}

#[test]
fn a_panic_is_an_error_and_no_death() {
    let model = worker(&[]);
    model.load(&CancelToken::new()).expect("loaded");
    let process = model.process_id();
    let (_, answer) = generate(&model, "PANIC");
    let error = answer.expect_err("failed").to_string();
    assert!(error.contains("the engine is confused"), "{error}");
    check_works(&model);
    assert_eq!(model.process_id(), process);
}

#[test]
fn silence_is_a_hang() {
    let model = impatient(&[]);
    let (streamed, answer) = generate(&model, "a HANG b");
    assert_eq!(answer, Err(InferenceError::WorkerHung { seconds: 1 }));
    assert_eq!(streamed, "a ");
    check_works(&model);
    let model = impatient(&["--load", "hang"]);
    assert_eq!(model.load(&CancelToken::new()), Err(InferenceError::WorkerHung { seconds: 1 }));
}

#[test]
fn a_model_that_loads_slowly_but_steadily_is_waited_for() {
    let model = impatient(&["--load", "busy"]);
    check_works(&model);
}

#[test]
fn what_a_library_prints_does_not_disturb() {
    let (streamed, answer) = generate(&worker(&[]), "one PRINT two");
    assert_eq!(answer.expect("an answer").text, "one two");
    assert_eq!(streamed, "one two");
}

#[test]
fn no_environment_is_inherited() {
    let mut config = config(&[]);
    config.environment = vec![("HEARTH_TEST".into(), "1".into())];
    let (streamed, _) = generate(&WorkerModel::new(config), "ENVIRONMENT");
    assert_eq!(streamed, "HEARTH_TEST");
}

#[test]
fn cancelling_reaches_the_child() {
    let model = worker(&[]);
    let cancel = CancelToken::new();
    let answer = model.generate(&request("FOREVER"), &cancel, &mut |_| {
        cancel.cancel();
        ControlFlow::Continue(())
    });
    assert_eq!(answer, Err(InferenceError::Cancelled));
    // Its own word for it comes after a round or two.
    while generate(&model, "CANCELLED").0 != "1" {
        thread::yield_now();
    }
    let cancelled = CancelToken::new();
    cancelled.cancel();
    assert_eq!(model.load(&cancelled), Err(InferenceError::Cancelled));
}

#[test]
fn a_sink_that_has_enough_stops_the_child() {
    let model = worker(&[]);
    let mut count = 0;
    let answer = model.generate(&request("FOREVER"), &CancelToken::new(), &mut |_| {
        count += 1;
        if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(answer.expect("an answer").text, "...");
    assert_eq!(count, 3, "nothing comes after the end");
    check_works(&model);
}

#[test]
fn every_request_gets_its_own_answer() {
    let model = worker(&[]);
    let (sender, answers) = unbounded();
    thread::scope(|scope| {
        for number in 0..20 {
            let (model, sender) = (&model, sender.clone());
            scope.spawn(move || {
                let text = format!("request {number} says this");
                let (streamed, answer) = generate(model, &text);
                let whole = answer.expect("an answer").text;
                sender.send((text, streamed, whole)).expect("the receiver lives");
            });
        }
    });
    drop(sender);
    let answers: Vec<_> = answers.iter().collect();
    assert_eq!(answers.len(), 20);
    for (text, streamed, whole) in answers {
        assert!(text == streamed && text == whole);
    }
}

#[test]
fn all_that_runs_fails_with_the_worker() {
    let model = worker(&[]);
    let (started, running) = unbounded();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let (model, started) = (&model, started.clone());
                scope.spawn(move || {
                    let mut first = Some(started);
                    model.generate(&request("FOREVER"), &CancelToken::new(), &mut |_| {
                        if let Some(started) = first.take() {
                            started.send(()).expect("the receiver lives");
                        }
                        ControlFlow::Continue(())
                    })
                })
            })
            .collect();
        (0..4).for_each(|_| running.recv().expect("it runs"));
        let (_, answer) = generate(&model, "EXIT");
        assert!(matches!(answer, Err(InferenceError::WorkerDied { .. })));
        for waiting in waiting {
            let answer = waiting.join().expect("no panic");
            assert!(matches!(answer, Err(InferenceError::WorkerDied { .. })));
        }
    });
    check_works(&model);
}

#[test]
fn after_three_deaths_it_is_left_alone_until_its_file_changes() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut config = config(&["--load", "die"]);
    file.path().clone_into(&mut config.model);
    let model = WorkerModel::new(config);
    let cancel = CancelToken::new();
    let died = |answer: &Result<_, _>| matches!(answer, Err(InferenceError::WorkerDied { .. }));
    for _ in 0..3 {
        assert!(died(&model.load(&cancel)));
    }
    for _ in 0..2 {
        let Err(InferenceError::WorkerGaveUp { deaths: 3, reason }) = model.load(&cancel) else {
            panic!("it was started a fourth time");
        };
        assert!(reason.contains("signal") || reason.contains("exit"), "{reason}");
    }
    fs::write(file.path(), "another model").expect("written");
    assert!(died(&model.load(&cancel)));
}

#[test]
fn deaths_are_forgotten_after_a_while() {
    let mut config = config(&[]);
    config.limits = WorkerLimits { deaths: 1, period: Duration::ZERO, ..config.limits };
    let model = WorkerModel::new(config);
    for _ in 0..3 {
        assert!(generate(&model, "EXIT").1.is_err());
        check_works(&model);
    }
}

#[test]
fn a_refused_file_is_not_tried_again_until_it_changes() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut config = config(&["--load", "refuse"]);
    file.path().clone_into(&mut config.model);
    let model = WorkerModel::new(config);
    let refused = InferenceError::ModelFile { path: "model".into(), reason: "odd".into() };
    for _ in 0..5 {
        assert_eq!(generate(&model, "text").1, Err(refused.clone()), "no death is counted");
    }
    assert_eq!(model.process_id(), None);
}

#[test]
fn a_program_that_does_not_start_is_named() {
    let mut config = config(&[]);
    config.program = "/no/such/program".into();
    let error = WorkerModel::new(config).load(&CancelToken::new()).expect_err("refused");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
}

#[test]
fn unloading_cancels_what_runs_and_loading_works_again() {
    let model = worker(&[]);
    let mut unloaded = false;
    let answer = model.generate(&request("FOREVER"), &CancelToken::new(), &mut |_| {
        if !unloaded {
            model.unload();
            unloaded = true;
        }
        ControlFlow::Continue(())
    });
    assert_eq!(answer, Err(InferenceError::Cancelled));
    assert_eq!(model.loaded(), None);
    check_works(&model);
}

#[test]
fn a_message_that_is_too_long_is_an_error() {
    let model = worker(&[]);
    let (_, answer) = generate(&model, &"x".repeat(40 * 1024 * 1024));
    assert!(matches!(answer, Err(InferenceError::Engine(_))), "{answer:?}");
    check_works(&model);
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_does_not_outlive_its_parent() {
    let output = Command::new(program()).arg("--orphan").output().expect("it runs");
    let process = String::from_utf8(output.stdout).expect("a number");
    let process = PathBuf::from("/proc").join(process.trim());
    assert!(process != Path::new("/proc"), "{}", String::from_utf8_lossy(&output.stderr));
    // Nobody tells when another's child is gone. A zombie may wait for the init process.
    let gone = || {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    };
    while !gone() {
        thread::yield_now();
    }
}

#[test]
fn passages_are_scored_and_nobody_waits_for_loading() {
    let model = WorkerReranker::new(config(&["--reranker"]));
    assert_eq!(model.process_id(), None, "nothing is started before it is needed");
    assert!(!model.prepare(), "it is started, and not waited for");
    model.load(&CancelToken::new()).expect("loaded");
    assert!(model.prepare());
    let passages = ["two three", "", "one, two!"].map(String::from);
    let score = |cancel: &CancelToken| model.score("one two", &passages, cancel);
    assert_eq!(score(&CancelToken::new()), Ok(vec![1.0, 0.0, 2.0]));
    let cancelled = CancelToken::new();
    cancelled.cancel();
    assert_eq!(score(&cancelled), Err(InferenceError::Cancelled));
    model.unload();
    assert_eq!(score(&CancelToken::new()), Ok(vec![1.0, 0.0, 2.0]), "it is loaded again");
}

#[test]
fn a_language_model_is_no_reranker() {
    let model = WorkerReranker::new(config(&[]));
    let refused = model.load(&CancelToken::new()).expect_err("refused").to_string();
    assert!(refused.contains("no reranker"), "{refused}");
    assert!(model.score("one", &["two".into()], &CancelToken::new()).is_err());
}

#[test]
fn the_end_of_a_generation_is_told() {
    let (_, answer) = generate(&worker(&[]), "text");
    assert_eq!(answer.expect("an answer").finish, FinishReason::EndOfText);
}
