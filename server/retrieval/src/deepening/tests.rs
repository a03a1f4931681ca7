use std::sync::Arc;

use indexer::IndexSnapshot;
use inference::{
    InferenceError,
    fake::{FakeLanguageModel, FakeReranker},
};
use vfs::Workspace;

use super::*;
use crate::{Ranking, is_supported, search, search_deepened};

/// The second file has more words of the question than the first, but such as say nothing: the index
/// prefers the first, a model that counts words the second.
const FILES: &[(&str, &str)] = &[
    (
        "src/evict.rs",
        "/// Evict oldest entry.\npub fn evict_oldest_entry() {\n    drop_first();\n}\n",
    ),
    (
        "src/limits.rs",
        "/// What is it that we do here, and how is it that we do it to an oldest entry?\npub fn limit() {\n    shrink();\n}\n",
    ),
    (
        "src/http.rs",
        "/// Sends a request to a server.\npub fn send_request() {\n    connect();\n}\n",
    ),
    ("README.md", "# Notes\n\nHow the pieces fit together.\n"),
];

const QUESTION: &str = "how is it that we do evict an oldest entry and what is it that we do here";

fn find(query: &SearchQuery, deepening: &Deepening, cancel: &CancelToken) -> Vec<Hit> {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    for (path, text) in FILES {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let index = IndexSnapshot::of_texts(workspace, FILES);
    search_deepened(&index, query, &Ranking::default(), deepening, cancel)
}

fn ask(text: &str) -> SearchQuery {
    SearchQuery { text: text.to_owned(), ..SearchQuery::default() }
}

fn paths(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.path.as_str()).collect()
}

/// What is found without models.
fn fused(query: &SearchQuery) -> Vec<Hit> {
    find(query, &Deepening::default(), &CancelToken::new())
}

fn with_reranker(model: &Arc<FakeReranker>) -> Deepening {
    let reranker = Some((Arc::clone(model) as Arc<dyn Reranker>, "fake".to_owned()));
    Deepening { reranker, ..Deepening::default() }
}

fn with_expander(model: &Arc<FakeLanguageModel>) -> Deepening {
    let expander = Some(Arc::clone(model) as Arc<dyn LanguageModel>);
    Deepening { expander, ..Deepening::default() }
}

/// Asks and compares with what is found without models; says how many passages were scored.
fn check_unchanged(query: &SearchQuery, model: FakeReranker, waits: bool) -> usize {
    let model = Arc::new(model);
    let deepening = Deepening { waits, ..with_reranker(&model) };
    assert_eq!(find(query, &deepening, &CancelToken::new()), fused(query), "{query:?}");
    model.passages()
}

#[test]
fn the_reranker_orders_what_was_found() {
    let model = Arc::new(FakeReranker::new());
    let before = fused(&ask(QUESTION));
    assert_eq!(paths(&before)[0], "src/evict.rs");
    let after = find(&ask(QUESTION), &with_reranker(&model), &CancelToken::new());
    assert_eq!(paths(&after)[0], "src/limits.rs", "{after:#?}");
    assert!(after.is_sorted_by(|a, b| a.score >= b.score));
    let same = |hit: &Hit| {
        let known = before.iter().find(|known| known.path == hit.path).unwrap();
        *hit == Hit { score: hit.score, ..known.clone() }
    };
    assert!(after.len() == before.len() && after.iter().all(same));
}

#[test]
fn what_was_scored_before_is_not_scored_again() {
    let model = Arc::new(FakeReranker::new());
    let deepening = with_reranker(&model);
    let again = |question: &str, deepening: &Deepening| {
        let before = model.passages();
        let hits = find(&ask(question), deepening, &CancelToken::new());
        (hits, model.passages() - before)
    };
    let (first, asked) = again(QUESTION, &deepening);
    assert!(asked >= 2, "{asked}");
    assert_eq!(again(QUESTION, &deepening), (first, 0));
    let (_, asked) = again("how is a request sent to the server", &deepening);
    assert!(asked > 0, "another question");
    let other = Deepening {
        reranker: Some((Arc::clone(&model) as Arc<dyn Reranker>, "other".to_owned())),
        ..deepening
    };
    assert!(again(QUESTION, &other).1 > 0, "another model");
}

#[test]
fn fewer_are_handed_back_than_are_judged() {
    let model = Arc::new(FakeReranker::new());
    let query = SearchQuery { limit: 1, ..ask(QUESTION) };
    assert_eq!(paths(&fused(&query)), ["src/evict.rs"]);
    let hits = find(&query, &with_reranker(&model), &CancelToken::new());
    assert_eq!(paths(&hits), ["src/limits.rs"]);
    assert_eq!(check_unchanged(&SearchQuery { limit: 0, ..query }, FakeReranker::new(), true), 0);
}

#[test]
fn a_model_that_fails_or_is_not_there_leaves_the_order() {
    let failing = || FakeReranker::failing(InferenceError::Engine("broken".into()));
    assert!(check_unchanged(&ask(QUESTION), failing(), true) > 0);
    assert_eq!(check_unchanged(&ask(QUESTION), FakeReranker::unloaded(), false), 0);
    let waiting = Deepening { waits: true, ..with_reranker(&Arc::new(FakeReranker::unloaded())) };
    assert_ne!(find(&ask(QUESTION), &waiting, &CancelToken::new()), fused(&ask(QUESTION)));
}

#[test]
fn a_cancelled_reranking_leaves_the_order() {
    let (cancel, cache) = (CancelToken::new(), Mutex::new(LruCache::new(HYPOTHESES)));
    cancel.cancel();
    let hits = fused(&ask(QUESTION));
    let model = FakeReranker::new();
    let scores = reranking::scores((&model, "fake", true), QUESTION, &hits, &cache, &cancel);
    assert_eq!(scores, Err(InferenceError::Cancelled));
    let deepening = with_reranker(&Arc::new(model));
    let question = Question { brief: false, ..Question::default() };
    assert_eq!(deepening.rerank(&ask(QUESTION), &question, hits.clone(), &cancel), hits);
}

#[test]
fn what_is_named_stays_first_and_names_alone_are_not_asked_about() {
    for (question, first) in [
        (
            "what is it that we do to an entry, is it `evict_oldest_entry` that we do",
            "src/evict.rs",
        ),
        ("how is it that we do it to an entry in http.rs, what is it that we do", "src/http.rs"),
    ] {
        assert_eq!(paths(&fused(&ask(question)))[0], first, "{question}");
        let model = Arc::new(FakeReranker::new());
        let hits = find(&ask(question), &with_reranker(&model), &CancelToken::new());
        assert!(model.passages() > 0);
        assert_eq!(paths(&hits)[0], first, "{question}");
    }
    for names in ["evict_oldest_entry", "src/http.rs", "oldest entry"] {
        assert_eq!(check_unchanged(&ask(names), FakeReranker::new(), true), 0, "{names}");
        let model = Arc::new(FakeLanguageModel::new(["fn send_request()"]));
        find(&ask(names), &with_expander(&model), &CancelToken::new());
        assert!(model.requests().is_empty(), "{names}");
    }
    for mode in [SearchMode::Lexical, SearchMode::Symbol] {
        let query = SearchQuery { mode, ..ask(QUESTION) };
        assert_eq!(check_unchanged(&query, FakeReranker::new(), true), 0, "{mode:?}");
    }
}

#[test]
fn a_hypothetical_answer_finds_what_the_question_does_not_say() {
    let vague = ask("where do we talk to the outside world");
    assert_ne!(paths(&fused(&vague)).first(), Some(&"src/http.rs"));
    let answer = "/// Sends a request to the server.\nfn send_request() { connect(); }";
    let model = Arc::new(FakeLanguageModel::new([answer]));
    let deepening = with_expander(&model);
    let hits = find(&vague, &deepening, &CancelToken::new());
    assert_eq!(paths(&hits).first(), Some(&"src/http.rs"), "{hits:#?}");
    assert!(!is_supported(&hits), "what a model made up supports nothing");
    assert_eq!(find(&vague, &deepening, &CancelToken::new()), hits);
    let requests = model.requests();
    assert_eq!(requests.len(), 1, "it is asked once for one question");
    assert!(requests[0].max_tokens <= 128 && format!("{requests:?}").contains(&vague.text));
    // The script is at its end: the model fails.
    let other = ask("where do we wait for the outside world");
    assert_eq!(find(&other, &deepening, &CancelToken::new()), fused(&other));
}

#[test]
fn models_are_not_asked_unless_they_are_handed_in() {
    let off = Deepening::default();
    assert!(off.reranker.is_none() && off.expander.is_none() && !off.waits);
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    let index = IndexSnapshot::of_texts(workspace, FILES);
    let cancel = CancelToken::new();
    let query = ask(QUESTION);
    let hits = search_deepened(&index, &query, &Ranking::default(), &off, &cancel);
    assert_eq!(hits, search(&index, &query, &cancel));
}
