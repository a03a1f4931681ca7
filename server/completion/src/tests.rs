use std::{ops::ControlFlow, sync::Arc, time::Duration};

use base::CancelToken;
use inference::{
    FimTokens, GenerateRequest, Generation, InferenceError, LanguageModel, ModelInfo, PromptPiece,
    TextSink, fake::FakeLanguageModel,
};
use instant::{Instant, Priors};

use crate::{
    CompletionAnswer, CompletionCache, CompletionContext, CompletionOptions, CompletionParams,
    Reason, Source, complete,
};

fn instant(files: &[(&str, &str)]) -> Instant {
    let instant = Instant::with_priors(Priors::none());
    for (path, text) in files {
        instant.update_file(path, text);
    }
    instant
}

fn workspace() -> Instant {
    instant(&[(
        "other.py",
        "with open(path, encoding=\"utf-8\") as file:\n    return file.read()\n",
    )])
}

fn info(id: &str) -> ModelInfo {
    ModelInfo { id: id.into(), context: 2048, ..ModelInfo::default() }
}

fn fim_info() -> ModelInfo {
    let tokens = ["prefix", "suffix", "middle"].map(|name| format!("<|fim_{name}|>"));
    let [prefix, suffix, middle] = tokens;
    ModelInfo { fim: Some(FimTokens { prefix, suffix, middle }), ..info("qwen2.5-coder-0.5b") }
}

fn coder(replies: &[&str]) -> FakeLanguageModel {
    FakeLanguageModel::new(replies.iter().copied()).with_info(fim_info())
}

struct Scene<'a> {
    instant: &'a Instant,
    model: Option<&'a dyn LanguageModel>,
    cache: CompletionCache,
    path: &'static str,
    options: CompletionOptions,
}

impl<'a> Scene<'a> {
    fn new(instant: &'a Instant) -> Self {
        let (cache, options) = (CompletionCache::new(), CompletionOptions::default());
        Self { instant, model: None, cache, path: "open.py", options }
    }

    fn with_model(self, model: &'a dyn LanguageModel) -> Self {
        Self { model: Some(model), ..self }
    }

    fn at(&self, document: &str) -> CompletionAnswer {
        let offset = document.find("$0").unwrap();
        let text = document.replacen("$0", "", 1);
        let context = CompletionContext {
            instant: self.instant,
            model: self.model,
            excerpts: &[],
            cache: &self.cache,
        };
        let params =
            CompletionParams { path: self.path, text: &text, offset, options: self.options };
        let answer = complete(&context, &params, &CancelToken::new());
        assert_eq!(answer.items.is_empty(), answer.reason.is_some(), "{answer:?}");
        for item in &answer.items {
            assert_eq!((item.range.start, item.range.end), (offset, offset));
        }
        answer
    }
}

/// The first suggestion, or the reason in parentheses.
fn first(answer: &CompletionAnswer) -> String {
    let reason = || format!("({})", answer.reason.map_or("none", Reason::as_str));
    answer.items.first().map_or_else(reason, |item| item.insert_text.clone())
}

#[track_caller]
fn check(document: &str, expected: &str) {
    let instant = workspace();
    assert_eq!(first(&Scene::new(&instant).at(document)), expected, "{document}");
}

/// What comes of a text that a model which fills in the middle writes.
#[track_caller]
fn check_model(document: &str, written: &str, expected: &str) {
    let (instant, model) = (Instant::with_priors(Priors::none()), coder(&[written]));
    let answer = Scene::new(&instant).with_model(&model).at(document);
    assert_eq!(first(&answer), expected, "{document}");
}

#[test]
fn the_live_model_answers() {
    check("with open(path$0", ", encoding=\"utf-8\") as file:");
    check("with op$0\n\nx = 1\n", "en(path, encoding=\"utf-8\") as file:");
    check("    return $0", "file.read()");
}

#[test]
fn nothing_inside_a_word_in_secrets_or_in_huge_files() {
    check("with op$0en", "(insideWord)");
    check("with $0größe", "(insideWord)");
    let instant = workspace();
    let mut scene = Scene::new(&instant);
    scene.path = ".env";
    assert_eq!(first(&scene.at("with open(path$0")), "(secretFile)");
    scene.path = "open.py";
    scene.options.max_bytes = 10;
    assert_eq!(first(&scene.at("with open(path$0")), "(largeFile)");
}

#[test]
fn an_empty_answer_says_why() {
    let answer = Scene::new(&Instant::with_priors(Priors::none())).at("zzz_unheard_of.$0");
    assert_eq!(answer.reason, Some(Reason::NothingLikely));
    assert!(answer.reason.unwrap().to_string().contains("workspace"), "{answer:?}");
    let names: Vec<&str> = answer.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names, ["gate", "cache", "instant", "filter"]);
    assert!(answer.timings.total_ms >= answer.timings.context_ms);
}

#[test]
fn nothing_that_stands_after_the_cursor_comes_again() {
    check("with open(path$0) as file:", ", encoding=\"utf-8\"");
    check("with open(path$0, encoding=\"utf-8\") as file:", "(nothingLikely)");
    check_model("x = call(a$0)", ", b)", ", b");
    check_model("x = call($0)", ")", "(repeatsSuffix)");
    check_model("def f():\n    $0\n    return x\n", "x = 1\n    return x\n", "x = 1");
    check_model("x = [\n    1,\n    $0\n]\n", "2,\n]", "2,");
}

#[test]
fn the_line_above_and_below_is_not_repeated() {
    check("with open(path, encoding=\"utf-8\") as file:\nwith open(path$0", "(repeatsLine)");
    check("with open(path$0\nwith open(path, encoding=\"utf-8\") as file:\n", "(repeatsLine)");
    check_model(
        "def f():\n    $0\n",
        "go(on)\n    go(on)\n    go(on)\n    go(on)\n",
        "(repeatsLine)",
    );
}

#[test]
fn brackets_that_are_not_open_are_not_closed() {
    check_model("x = (a + $0", "b) * c)", "b) * c");
    check_model("x = a$0", ")", "(unbalancedBrackets)");
    check_model("x = f(\")\", $0", "a)", "a)");
    check_model("x = f(')', $0", "a, ']')", "a, ']')");
    let (instant, model) = (Instant::with_priors(Priors::none()), coder(&["'(', b)"]));
    let mut scene = Scene::new(&instant).with_model(&model);
    scene.path = "open.rs";
    assert_eq!(first(&scene.at("fn f<'a>(x: &'a T) { g(x, $0")), "'(', b)");
}

#[test]
fn markers_and_white_space_do_not_reach_the_person() {
    check_model("x = $0", "1<|cursor|>", "1");
    check_model("x = $0", "```python", "(markers)");
    check_model("x = $0", "   ", "(blank)");
    check_model("x = $0", "1   ", "1");
}

#[test]
fn a_block_is_proposed_where_one_begins_and_ends_with_it() {
    check_model(
        "def area(w, h):\n    $0\n\nprint(area(1, 2))\n",
        "size = w * h\n    return size\n\ndef other():\n",
        "size = w * h\n    return size",
    );
    check_model("def area(w, h):\n    size = $0\n", "w * h\n    return size\n", "w * h");
    check_model("def f():\n    $0\n", "x = 1\n    y = = 2\n", "(breaksSyntax)");
    let (instant, model) =
        (Instant::with_priors(Priors::none()), coder(&["size = w\n    return size\n"]));
    let mut scene = Scene::new(&instant).with_model(&model);
    scene.options.multi_line = false;
    assert_eq!(first(&scene.at("def area(w, h):\n    $0\n")), "size = w");
}

#[test]
fn only_a_fit_model_is_asked_and_only_when_the_live_one_is_not_sure() {
    let instant = workspace();
    let chat = FakeLanguageModel::new(["no"]).with_info(info("smollm2-135m-instruct"));
    let scene = Scene::new(&instant).with_model(&chat);
    assert_eq!(first(&scene.at("zzz = $0")), "(nothingLikely)");
    assert_eq!(chat.requests().len(), 0, "not fit");
    let mut scene = Scene::new(&instant).with_model(&chat);
    scene.options.unfit_model = true;
    assert_eq!(first(&scene.at("zzz = $0")), "no", "the person wants it");

    let model = coder(&["1"]);
    let scene = Scene::new(&instant).with_model(&model);
    let sure = scene.at("with open(path, encoding=$0");
    assert_eq!((sure.items[0].source, sure.model.as_deref()), (Source::Instant, Some("instant")));
    let asked = scene.at("zzz = $0");
    assert_eq!(
        (asked.items[0].source, asked.model.as_deref()),
        (Source::Model, Some("qwen2.5-coder-0.5b"))
    );
    assert_eq!(model.requests().len(), 1);
    assert_eq!(first(&scene.at("zzz = $0 + other_name")), "(nothingLikely)", "code follows");
}

#[test]
fn the_model_sees_both_sides_and_heals_the_last_token() {
    let (instant, model) = (Instant::with_priors(Priors::none()), coder(&["1"]));
    let mut scene = Scene::new(&instant).with_model(&model);
    scene.options.explain = true;
    let answer = scene.at("a = 0\nzzz = $0\nb = 2\n");
    let request = model.requests().remove(0);
    assert!(request.heal);
    assert_eq!(request.prompt.last(), Some(&PromptPiece::Text("zzz = ".into())));
    assert!(request.prompt.contains(&PromptPiece::Text("\nb = 2\n".into())), "{request:?}");
    assert!(request.stop.iter().any(|stop| stop == "<|fim_suffix|>"));
    assert!(answer.prompt.unwrap().contains("<|fim_middle|>zzz = "));
}

#[test]
fn a_failing_model_leaves_the_live_one() {
    let (instant, model) = (workspace(), coder(&[]));
    model.fail(InferenceError::WorkerDied { reason: "signal 6".into() });
    let answer = Scene::new(&instant).with_model(&model).at("with $0");
    assert_eq!(answer.items[0].source, Source::Instant);
    let stage = answer.stages.iter().find(|stage| stage.name == "model").unwrap();
    assert!(stage.detail.contains("signal 6"), "{stage:?}");
}

/// Writes for ever, or until it is cancelled.
struct Endless;

impl LanguageModel for Endless {
    fn load(&self, _: &CancelToken) -> Result<Arc<ModelInfo>, InferenceError> {
        Ok(Arc::new(fim_info()))
    }

    fn loaded(&self) -> Option<Arc<ModelInfo>> {
        Some(Arc::new(fim_info()))
    }

    fn generate(
        &self,
        _: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut TextSink<'_>,
    ) -> Result<Generation, InferenceError> {
        while sink("a ") == ControlFlow::Continue(()) {
            cancel.check()?;
        }
        Err(InferenceError::Cancelled)
    }

    fn count_tokens(&self, text: &str, _: &CancelToken) -> Result<usize, InferenceError> {
        Ok(text.len())
    }
}

#[test]
fn a_slow_model_is_cut_off_and_a_cancelled_request_is_empty() {
    let instant = workspace();
    let mut scene = Scene::new(&instant).with_model(&Endless);
    scene.options.model_budget = Duration::from_millis(1);
    assert_eq!(first(&scene.at("zzz = $0")), "(nothingLikely)");
    let cancel = CancelToken::new();
    cancel.cancel();
    let context = CompletionContext {
        instant: &instant,
        model: Some(&Endless),
        excerpts: &[],
        cache: &scene.cache,
    };
    let params = CompletionParams {
        path: "open.py",
        text: "with open(path",
        offset: 14,
        options: CompletionOptions::default(),
    };
    assert_eq!(complete(&context, &params, &cancel).reason, Some(Reason::Cancelled));
}

#[test]
fn typing_a_suggestion_is_answered_from_the_cache() {
    let (instant, model) =
        (Instant::with_priors(Priors::none()), coder(&["alpha + beta", "other"]));
    let scene = Scene::new(&instant).with_model(&model);
    let asked = scene.at("zzz = $0\n");
    assert_eq!(first(&asked), "alpha + beta");
    let typed = scene.at("zzz = alpha $0\n");
    assert_eq!((first(&typed), &typed.items[0].id), ("+ beta".into(), &asked.items[0].id));
    assert_eq!(model.requests().len(), 1);
    // Another change, before or after the cursor, makes it void.
    assert_eq!(first(&scene.at("zzz = alpha $0\nmore\n")), "other");
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn the_document_must_be_the_same_before_the_cursor() {
    let (instant, model) =
        (Instant::with_priors(Priors::none()), coder(&["alpha", "beta", "gamma"]));
    let mut scene = Scene::new(&instant).with_model(&model);
    assert_eq!(first(&scene.at("a\nzzz = $0\n")), "alpha");
    assert_eq!(first(&scene.at("b\nzzz = al$0\n")), "beta");
    scene.path = "second.py";
    assert_eq!(first(&scene.at("a\nzzz = $0\n")), "gamma");
}

#[test]
fn a_declined_suggestion_does_not_come_back_at_its_place() {
    let (instant, model) =
        (Instant::with_priors(Priors::none()), coder(&["alpha", "alpha", "alpha"]));
    let scene = Scene::new(&instant).with_model(&model);
    let answer = scene.at("zzz = $0\n");
    scene.cache.rejected(&answer.items[0].id);
    assert_eq!(first(&scene.at("zzz = $0\n")), "(declined)");
    assert_eq!(first(&scene.at("yyy = $0\n")), "alpha", "elsewhere it may");
}

#[test]
fn an_accepted_or_outdated_suggestion_is_asked_for_again() {
    let (instant, model) =
        (Instant::with_priors(Priors::none()), coder(&["alpha", "beta", "gamma"]));
    let scene = Scene::new(&instant).with_model(&model);
    let answer = scene.at("zzz = $0\n");
    scene.cache.accepted(&answer.items[0].id, Some(2));
    assert_eq!(first(&scene.at("zzz = al$0\n")), "pha", "accepted in part");
    scene.cache.accepted(&answer.items[0].id, None);
    assert_eq!(first(&scene.at("zzz = $0\n")), "beta");
    scene.cache.files_changed(&["open.py"]);
    assert_eq!(first(&scene.at("zzz = $0\n")), "beta", "its own text was compared");
    scene.cache.files_changed(&["open.py", "other.py"]);
    assert_eq!(first(&scene.at("zzz = $0\n")), "gamma");
}

#[test]
fn any_offset_is_fit() {
    let instant = workspace();
    let cache = CompletionCache::new();
    let context =
        CompletionContext { instant: &instant, model: None, excerpts: &[], cache: &cache };
    for offset in [0, 1, 2, 3, 4, 5, 99, usize::MAX] {
        let options = CompletionOptions::default();
        let params = CompletionParams { path: "a.py", text: "ö\r\n→", offset, options };
        let answer = complete(&context, &params, &CancelToken::new());
        assert_eq!(answer.items.is_empty(), answer.reason.is_some());
    }
}

#[test]
fn a_languages_idioms_are_known_in_an_empty_workspace() {
    let instant = Instant::new();
    let scene = Scene::new(&instant);
    let first = |document| {
        let answer = scene.at(document);
        answer.items.first().map(|item| item.insert_text.clone()).unwrap_or_default()
    };
    assert_eq!(first("if __name__ == $0"), "\"__main__\":");
    assert_eq!(first("if __name__ == $0:\n    main()\n"), "\"__main__\"");
    assert_eq!(first("if __name__$0 == \"__main__\":\n"), "");
    assert_eq!(scene.at("if __na$0me__").reason, Some(Reason::InsideWord));
}
