use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Instant};

use base::CancelToken;
use indexer::IndexSnapshot;
use pdf_text::{is_pdf, page_at};
use retrieval::{Hit, SearchMode, SearchQuery, SymbolHit};
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
#[derive(Clone, Debug, Serialize)]
pub struct SearchResult {
    /// Relative to the workspace, with `/`.
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
        let searching = Instant::now();
        let results = match query.mode {
            SearchMode::Symbol => self.definitions(&index, &query),
            _ => self.places(&index, &query, cancel),
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

    /// Chunks that fit a query.
    fn places(
        &self,
        index: &IndexSnapshot,
        query: &SearchQuery,
        cancel: &CancelToken,
    ) -> Vec<SearchResult> {
        let hits = retrieval::search(index, query, cancel).into_iter();
        let results = hits.map(|hit| SearchResult {
            range: Range::of_lines(&hit.lines, &hit.text, self.encoding),
            page: page_of(index, &hit),
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
fn page_of(index: &IndexSnapshot, hit: &Hit) -> Option<u32> {
    if !is_pdf(&hit.path) {
        return None;
    }
    let text = index.text(&hit.path)?;
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
