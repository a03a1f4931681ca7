use std::fs;

use vfs::Workspace;

use super::*;

const FILES: &[(&str, &str)] = &[
    (
        "src/cache.rs",
        "/// Keeps parsed files until memory runs short.\npub struct ParseCache {\n    entries: Vec<u8>,\n}\n\nimpl ParseCache {\n    /// Throws out the entry that was not used for longest.\n    pub fn evict_oldest(&mut self) {\n        self.entries.remove(0);\n    }\n}\n",
    ),
    (
        "src/http/client.rs",
        "/// Sends a request and waits for its response.\npub fn send_request(url: &str) -> Response {\n    connect(url).send()\n}\n",
    ),
    (
        "tests/cache.rs",
        "#[test]\nfn evict_oldest_works() {\n    let oldest = cache().evict_oldest();\n}\n",
    ),
    ("README.md", "# Example\n\nA client for a small protocol.\n"),
];

fn index(folder: &std::path::Path) -> IndexSnapshot {
    for (path, text) in FILES {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    IndexSnapshot::of_texts(Workspace::open(&[folder.to_owned()]).unwrap(), FILES)
}

fn find(text: &str, change: impl FnOnce(&mut SearchQuery)) -> Vec<Hit> {
    let folder = tempfile::tempdir().unwrap();
    let index = index(folder.path());
    let mut query = SearchQuery { text: text.to_owned(), ..SearchQuery::default() };
    change(&mut query);
    search(&index, &query, &CancelToken::new())
}

fn check(text: &str, first: &str) -> Vec<Hit> {
    let hits = find(text, |_| {});
    assert_eq!(hits.first().map(|hit| hit.path.as_str()), Some(first), "{text}: {hits:#?}");
    hits
}

#[test]
fn questions_find_the_code_they_are_about() {
    check("Which entry is thrown out when the cache is full?", "src/cache.rs");
    check("how do we send a request to a server", "src/http/client.rs");
    check("small protocol", "README.md");
}

#[test]
fn files_come_up_whose_commits_said_what_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let index = index(folder.path());
    let query = SearchQuery { text: "proxies are ignored".to_owned(), ..SearchQuery::default() };
    let first = |index: &IndexSnapshot, query: &SearchQuery| {
        let hits = search(index, query, &CancelToken::new());
        hits.first().map(|hit| (hit.path.clone(), hit.sources.contains(&"history")))
    };
    let client = ("src/http/client.rs".to_owned(), true);
    assert_ne!(first(&index, &query), Some(client.clone()));
    let commits: &[(&str, &[&str])] = &[
        ("No longer ignore proxies", &["src/http/client.rs", "src/gone.rs"]),
        ("Say how to build it", &["README.md"]),
    ];
    let index = index.with_history(commits);
    assert_eq!(first(&index, &query), Some(client));
    let elsewhere = SearchQuery { within: vec!["tests".to_owned()], ..query.clone() };
    assert!(first(&index, &elsewhere).is_none_or(|(path, _)| path == "tests/cache.rs"));
    let lexical = SearchQuery { mode: SearchMode::Lexical, ..query };
    assert_eq!(first(&index, &lexical), None);
}

#[test]
fn what_is_named_comes_up_beside_what_commits_said() {
    let folder = tempfile::tempdir().unwrap();
    let others: Vec<String> = (0..12).map(|number| format!("src/retry_{number}.rs")).collect();
    let text = "/// Tries a request again.\npub fn again() {}\n";
    let mut files: Vec<(&str, &str)> = others.iter().map(|path| (path.as_str(), text)).collect();
    files.push(("src/http/client.rs", "pub fn open_socket() {}\n"));
    for (path, text) in &files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    let paths: Vec<[&str; 1]> = others.iter().map(|path| [path.as_str()]).collect();
    let commits: Vec<(&str, &[&str])> =
        paths.iter().map(|path| ("Retry failed requests", path.as_slice())).collect();
    let index = IndexSnapshot::of_texts(workspace, &files).with_history(&commits);
    for text in ["Retry failed requests in http/client.rs", "Retry failed requests of open_socket"]
    {
        let query = SearchQuery { text: text.to_owned(), ..SearchQuery::default() };
        let hits = search(&index, &query, &CancelToken::new());
        assert!(hits.iter().any(|hit| hit.path == "src/http/client.rs"), "{text}: {hits:#?}");
    }
}

#[test]
fn identifiers_and_paths_always_come_up() {
    let hits = check("evict_oldest", "src/cache.rs");
    assert!(hits[0].sources.contains(&"symbol") && hits[0].sources.contains(&"lexical"));
    check("evictOldest", "src/cache.rs");
    let hits =
        check("what does http/client.rs have to do with the cache entries", "src/http/client.rs");
    assert!(hits[0].sources.contains(&"path"));
}

#[test]
fn excerpts_are_those_of_the_text() {
    for hit in find("evict the oldest entry", |_| {}) {
        let (_, text) = FILES.iter().find(|(path, _)| *path == hit.path).unwrap();
        assert_eq!(hit.range.slice(text), Some(hit.text.as_str()));
        let first = text[..hit.range.start].matches('\n').count() as u32;
        assert_eq!(hit.lines.start, first);
        assert_eq!(
            (hit.lines.end - hit.lines.start) as usize,
            hit.text.trim_end_matches('\n').matches('\n').count() + 1
        );
    }
}

#[test]
fn a_file_that_has_changed_is_cited_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    let old = "fn alpha() {}\n\nfn handshake() {\n    first_step();\n}\n";
    let stale = IndexSnapshot::of_texts(workspace.clone(), &[("a.rs", old)]);
    let now = format!("// A line.\n// Another line.\n{old}");
    let current = IndexSnapshot::of_texts(workspace, &[("a.rs", &now)]);
    let rows = stale.file("a.rs").unwrap();
    let mut excerpts = Excerpts::new(&current);
    let chunk = rows
        .chunks()
        .iter()
        .position(|chunk| chunk.range.slice(old).is_some_and(|text| text.contains("handshake")));
    let excerpt = excerpts.get(rows, chunk.unwrap());
    if let Some(excerpt) = excerpt {
        assert_eq!(excerpt.chunk.range.slice(&now), Some(excerpt.text));
        assert!(excerpt.text.contains("handshake"));
    }
}

#[test]
fn a_search_can_be_kept_to_a_folder_and_to_a_mode() {
    let hits = find("evict oldest", |query| query.within = vec!["tests/".to_owned()]);
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit.path == "tests/cache.rs"));
    let hits = find("ParseCahce", |query| query.mode = SearchMode::Symbol);
    assert_eq!(hits[0].symbol.as_deref(), Some("ParseCache"), "{hits:?}");
    assert!(find("evict", |query| query.limit = 0).is_empty());
}

#[test]
fn what_is_absent_has_no_support() {
    let supported = |text: &str| is_supported(&find(text, |_| {}));
    assert!(supported("Where is the oldest cache entry evicted?"));
    assert!(!supported("Where are invoices printed for the accounting department?"));
    assert!(!supported("kubernetes"));
    assert!(!is_supported(&[]));
}

#[test]
fn a_cancelled_search_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    let query = SearchQuery { text: "cache".to_owned(), ..SearchQuery::default() };
    assert!(search(&index(folder.path()), &query, &cancel).is_empty());
}

#[test]
fn symbols_are_found_by_name_place_and_letters() {
    let folder = tempfile::tempdir().unwrap();
    let index = index(folder.path());
    let names = |query: &str| -> Vec<String> {
        symbols::symbols(&index, query, 5).into_iter().map(|hit| hit.name).collect()
    };
    assert_eq!(names("ParseCache::evict_oldest")[0], "evict_oldest");
    assert_eq!(names("parsecache")[0], "ParseCache");
    assert_eq!(names("send")[0], "send_request");
    assert_eq!(names("sndrq")[0], "send_request");
    assert_eq!(names("send_requset")[0], "send_request");
    assert!(names("").is_empty() && names("zzzzzz").is_empty());
    let listed = symbols::file_symbols(&index, "src/cache.rs");
    assert_eq!(listed[0].name, "ParseCache");
    assert!(symbols::file_symbols(&index, "missing.rs").is_empty());
}

/// The paths that are found in these texts, with the weights of the program but for `change`.
fn ranked(texts: &[(&str, &str)], text: &str, change: impl FnOnce(&mut Ranking)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    let index = IndexSnapshot::of_texts(workspace, texts);
    let mut ranking = Ranking::default();
    change(&mut ranking);
    let query = SearchQuery { text: text.to_owned(), ..SearchQuery::default() };
    let hits = search_ranked(&index, &query, &ranking, &CancelToken::new());
    hits.into_iter().map(|hit| hit.path).collect()
}

#[test]
fn a_definition_named_with_words_of_the_question_stands_higher() {
    let scores = |names: f32| -> HashMap<String, f32> {
        let folder = tempfile::tempdir().unwrap();
        let index = index(folder.path());
        let query = SearchQuery { text: "send the request".to_owned(), ..SearchQuery::default() };
        let ranking = Ranking { names, ..Ranking::default() };
        let hits = search_ranked(&index, &query, &ranking, &CancelToken::new());
        hits.into_iter().map(|hit| (hit.path, hit.score)).collect()
    };
    let (with, without) = (scores(0.2), scores(0.0));
    assert!(with["src/http/client.rs"] > without["src/http/client.rs"] + 0.05, "{with:?}");
    assert_eq!(with.get("README.md"), without.get("README.md"));
}

#[test]
fn many_places_of_one_file_leave_room_for_others() {
    let function = |name: usize| {
        let lines = "    merge_segments(left, right);\n".repeat(16);
        format!("fn merge_{name}() {{\n{lines}}}\n\n")
    };
    let many: String = (0..6).map(function).collect();
    let texts =
        [("many.rs", many.as_str()), ("one.rs", "fn once() {\n    merge_segments(all);\n}\n")];
    let place = |further: f32| {
        let found = ranked(&texts, "merge segments", |ranking| ranking.further = further);
        found.iter().position(|path| path == "one.rs").unwrap()
    };
    assert!(place(0.1) < place(1.0), "{} against {}", place(0.1), place(1.0));
    assert!(place(0.1) >= PER_FILE);
    let found = ranked(&texts, "merge segments", |ranking| ranking.further = 0.0);
    assert_eq!(found.iter().filter(|path| *path == "many.rs").count(), PER_FILE);
}

#[test]
fn the_usual_language_is_not_what_a_question_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&[folder.path().to_owned()]).unwrap();
    let index = IndexSnapshot::of_texts(
        workspace,
        &[("a.py", "x = 1\n"), ("b.py", "y = 2\n"), ("c.rs", "fn z() {}\n")],
    );
    assert_eq!(said(&index, "how to sort a list in Python?"), "how to sort a list in");
    assert_eq!(said(&index, "call it from Rust"), "call it from Rust");
    assert_eq!(said(&index, "python"), "python");
    assert_eq!(said(&index, "the `python` command"), "the `python` command");
}
