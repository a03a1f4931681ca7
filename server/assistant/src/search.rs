use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Instant};

use base::CancelToken;
use indexer::IndexSnapshot;
use pdf_text::{is_pdf, page_at};
use retrieval::{
    DocumentationFolders, Hit, Ranking, SearchMode, SearchQuery, SymbolHit, search_deepened,
    search_documentation,
};
use serde::{Deserialize, Serialize};
use text::LineIndex;

use crate::{AssistantError, AssistantSnapshot, wire::Range};

/// Places that a search hands back when it is not told how many.
const DEFAULT_LIMIT: usize = 10;

/// What to look for, as a face sends it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchParams {
    /// Words, a question, a name or a path.
    pub query: String,
    /// How many places at most.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Which kind of search.
    #[serde(default)]
    pub mode: Option<SearchMode>,
    /// Only documentation: that of the workspace, and that of the person's folders.
    #[serde(default)]
    pub docs: bool,
}

/// What a search found.
#[derive(Clone, Debug, Serialize)]
pub struct SearchAnswer {
    /// The query.
    pub query: String,
    /// Which kind of search it was.
    pub mode: SearchMode,
    /// How long it took.
    pub elapsed_ms: f64,
    /// The places, best first.
    pub results: Vec<SearchResult>,
}

/// One place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchResult {
    /// Relative to the workspace, with `/`; absolute in a folder of documentation outside of it.
    pub path: String,
    /// Where in the text as it is now.
    pub range: Range,
    /// The page of a PDF, counted from one; `range` is then of the text that was read from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The definition that the place belongs to.
    pub symbol: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// How well it fits; comparable within one answer only.
    pub score: f32,
    /// Which signals found it.
    pub sources: Vec<&'static str>,
    /// Its text.
    pub text: String,
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SymbolEntry {
    /// Its name.
    pub name: String,
    /// Its kind, such as `function`.
    pub kind: String,
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// The whole definition.
    pub range: Range,
    /// Its name, where it was looked up.
    #[serde(skip)]
    pub name_range: Option<Range>,
    /// What it is defined in.
    pub container: Option<String>,
}

impl AssistantSnapshot {
    /// Finds code.
    pub fn search(
        &self,
        params: &SearchParams,
        cancel: &CancelToken,
    ) -> Result<SearchAnswer, AssistantError> {
        let start = Instant::now();
        let query = SearchQuery {
            text: params.query.clone(),
            limit: params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, 1000),
            mode: params.mode.unwrap_or_default(),
            near: self.open_paths(),
            ..SearchQuery::default()
        };
        let index = self.index.current(cancel)?;
        let documentation = if params.docs { Some(self.documentation(cancel)?) } else { None };
        let searching = Instant::now();
        let results = match (query.mode, &documentation) {
            (SearchMode::Symbol, None) => self.definitions(&index, &query),
            (_, documentation) => self.places(&index, documentation.as_ref(), &query, cancel),
        };
        cancel.check()?;
        self.shared.timings.record("search", searching.elapsed());
        Ok(SearchAnswer {
            query: query.text,
            mode: query.mode,
            results,
            elapsed_ms: start.elapsed().as_secs_f64() * 1000.0,
        })
    }

    /// Definitions whose name fits `query`, best first.
    pub fn workspace_symbols(
        &self,
        query: &str,
        limit: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<SymbolEntry>, AssistantError> {
        let index = self.index.current(cancel)?;
        let mut texts: HashMap<String, Option<(Arc<str>, LineIndex)>> = HashMap::new();
        let hits = retrieval::symbols(&index, query, limit).into_iter();
        let entries = hits.map(|hit| {
            let text = texts.entry(hit.path.clone()).or_insert_with(|| {
                let text = index.text(&hit.path)?;
                let lines = LineIndex::new(&text);
                Some((text, lines))
            });
            // A file that has changed since it was read may have something else there.
            let is_name = |text: &str| hit.name_range.slice(text) == Some(&hit.name);
            let text = text.as_ref().filter(|(text, _)| is_name(text));
            let name =
                text.map(|(text, lines)| Range::of(hit.name_range, text, lines, self.encoding));
            SymbolEntry { name_range: name, ..symbol_entry(hit) }
        });
        Ok(entries.collect())
    }

    /// The definitions of these files, or of all, in order of place. A named file that is not
    /// indexed is an error.
    pub fn symbols(
        &self,
        files: &[PathBuf],
        cancel: &CancelToken,
    ) -> Result<Vec<SymbolEntry>, AssistantError> {
        let index = self.index.current(cancel)?;
        let mut paths = Vec::new();
        for file in files {
            let path = self.relative(file)?;
            if index.file(&path).is_none_or(|rows| rows.file.skipped.is_some()) {
                // Says what is wrong with the file itself, if anything is.
                self.text(file)?;
                return Err(AssistantError::Invalid(format!(
                    "{path} is not indexed: it is excluded, generated or too large; \
                     `hearth index --json` lists what is left out and why"
                )));
            }
            paths.push(path);
        }
        if files.is_empty() {
            paths.extend(index.files().map(|rows| rows.file.path.to_string()));
            paths.sort_unstable();
        }
        let symbols = paths.iter().flat_map(|path| retrieval::file_symbols(&index, path));
        Ok(symbols.map(symbol_entry).collect())
    }

    /// Chunks that fit a query, where it is given in documentation alone.
    fn places(
        &self,
        index: &IndexSnapshot,
        documentation: Option<&DocumentationFolders>,
        query: &SearchQuery,
        cancel: &CancelToken,
    ) -> Vec<SearchResult> {
        let (ranking, deepening) = (Ranking::default(), self.deepening());
        let hits = match documentation {
            Some(folders) => {
                search_documentation(index, folders, query, &ranking, &deepening, cancel)
            }
            None => search_deepened(index, query, &ranking, &deepening, cancel),
        };
        let text = |path: &str| {
            documentation.and_then(|folders| folders.text(path)).or_else(|| index.text(path))
        };
        let results = hits.into_iter().map(|hit| SearchResult {
            range: Range::of_lines(&hit.lines, &hit.text, self.encoding),
            page: page_of(&hit, text),
            path: hit.path,
            symbol: hit.symbol,
            kind: hit.kind,
            score: hit.score,
            sources: hit.sources,
            text: hit.text,
        });
        results.collect()
    }

    /// Definitions whose name fits a query, each with its own lines.
    fn definitions(&self, index: &IndexSnapshot, query: &SearchQuery) -> Vec<SearchResult> {
        let hits = retrieval::symbols(index, &query.text, query.limit).into_iter();
        let results = hits.filter_map(|hit| {
            let file = index.text(&hit.path)?;
            let text = hit.range.slice(&file)?;
            Some(SearchResult {
                range: Range::of_lines(&hit.lines, text, self.encoding),
                page: None,
                path: hit.path,
                symbol: Some(hit.name),
                kind: Some(hit.kind),
                score: hit.score,
                sources: vec!["symbol"],
                text: text.to_owned(),
            })
        });
        results.collect()
    }

    /// Paths of the open documents, which searches prefer a little.
    pub(crate) fn open_paths(&self) -> Vec<String> {
        let workspace = self.files.workspace();
        let open = self.files.open_documents();
        open.filter_map(|document| workspace.relative(&document.path)).collect()
    }
}

/// The page that a hit in a PDF begins on.
fn page_of(hit: &Hit, text: impl Fn(&str) -> Option<Arc<str>>) -> Option<u32> {
    if !is_pdf(&hit.path) {
        return None;
    }
    let text = text(&hit.path)?;
    Some(page_at(&text, hit.range.start))
}

fn symbol_entry(hit: SymbolHit) -> SymbolEntry {
    SymbolEntry {
        range: Range {
            start: text::Position::new(hit.lines.start, 0),
            end: text::Position::new(hit.lines.end, 0),
        },
        name: hit.name,
        name_range: None,
        kind: hit.kind,
        path: hit.path,
        container: hit.container,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base::Folders;
    use inference::{
        InferenceError, LanguageModel, Reranker,
        fake::{FakeLanguageModel, FakeReranker},
    };
    use model_registry::Role;

    use super::*;
    use crate::{Assistant, AssistantOptions, Models, RoleStatus};

    #[derive(Default)]
    struct Fakes {
        chat: Arc<FakeLanguageModel>,
        reranker: Arc<FakeReranker>,
    }

    impl Models for Fakes {
        fn model(&self, _role: Role) -> Result<Arc<dyn LanguageModel>, InferenceError> {
            Ok(Arc::clone(&self.chat) as Arc<dyn LanguageModel>)
        }

        fn loaded(&self, role: Role) -> Option<Arc<dyn LanguageModel>> {
            self.model(role).ok()
        }

        fn reranker(&self) -> Option<(Arc<dyn Reranker>, String)> {
            Some((Arc::clone(&self.reranker) as Arc<dyn Reranker>, "fake".to_owned()))
        }

        fn status(&self) -> Vec<RoleStatus> {
            Vec::new()
        }

        fn stop(&self) {}
    }

    /// Searches twice with these settings of the person and of the workspace: whether hits were
    /// reranked, once, and whether the question was expanded, once.
    fn check(person: &str, workspace: &str, reranked: bool, expanded: bool) {
        let (home, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = Folders::under(home.path());
        folders.config().unwrap();
        fs::write(folders.config_file(), person).unwrap();
        fs::write(root.path().join("hearth.toml"), workspace).unwrap();
        let text = "/// Throws out the oldest entry.\nfn evict() {}\n";
        fs::write(root.path().join("cache.rs"), text).unwrap();
        let fakes = Arc::new(Fakes {
            chat: Arc::new(FakeLanguageModel::new(["fn evict()"])),
            ..Fakes::default()
        });
        let assistant = Assistant::open(AssistantOptions {
            models: Some(Arc::clone(&fakes) as Arc<dyn Models>),
            ..AssistantOptions::new(vec![root.path().to_owned()], folders, "hearth".into())
        });
        let assistant = assistant.unwrap();
        let cancel = CancelToken::new();
        assistant.update_index(false, &cancel, &mut |_| {}).unwrap();
        let query = "how is the oldest entry thrown out".to_owned();
        let params = SearchParams { query, ..SearchParams::default() };
        let search = || assistant.snapshot().search(&params, &cancel).unwrap().results;
        let found = search();
        assert!(found.iter().any(|place| place.path == "cache.rs"), "{found:?}");
        let passages = fakes.reranker.passages();
        assert_eq!(passages > 0, reranked, "{person:?}, {workspace:?}");
        assert_eq!(search(), found);
        assert_eq!(fakes.reranker.passages(), passages, "known from before");
        let requests = fakes.chat.requests().len();
        assert_eq!(requests, usize::from(expanded), "{person:?}, {workspace:?}");
    }

    #[test]
    fn models_are_asked_only_where_the_person_wants_it() {
        let both = "[search]\nrerank = true\nexpand = true\n";
        check("", "", false, false);
        check("", both, false, false);
        check("[search]\nrerank = true\n", "", true, false);
        check("[search]\nexpand = true\n", "", false, true);
        check(both, "", true, true);
    }
}
