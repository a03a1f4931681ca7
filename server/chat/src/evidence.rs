//! What an answer rests on: what the person pointed at, then what the index finds for the question.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use base::CancelToken;
use code_graph::CodeGraph;
use prompt::Capability;
use retrieval::{
    Deepening, Hit, Ranking, SearchMode, SearchQuery, search_deepened, search_documentation,
};
use syntax::{Language, Symbol};

use crate::{
    ChatContext, ChatRequest, Citation, Mention, Selection,
    excerpt::{Excerpt, File, Origin},
    terms::{self, Terms},
};

/// Tokens of the map of a workspace, and how many of its files are cited, each with the head of its
/// most used definition.
const MAP_TOKENS: usize = 700;
const MAP_CITED: usize = 5;
const HEAD_LINES: u32 = 12;
/// Lines of a README that say what a workspace is for.
const README_LINES: u32 = 40;
/// How well such places answer a question about everything.
const OVERVIEW_COVERAGE: f32 = 0.5;

/// Hits that are looked at.
const HITS: usize = 24;
/// Places that are cited at most.
const MOST_CITED: usize = 8;
/// Files up to this many lines are given whole.
const WHOLE_FILE_LINES: u32 = 60;
/// Parts of a larger file that are given.
const PARTS_OF_FILE: usize = 3;

/// Everything that was gathered for a question.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// Places of the workspace, numbered from 1 in this order.
    pub(crate) cited: Vec<Excerpt>,
    /// Texts from elsewhere.
    pub(crate) attached: Vec<Excerpt>,
    /// The most important files and definitions, where the question is about the whole workspace.
    pub(crate) map: Option<String>,
    /// What could not be taken into account, for the person.
    pub(crate) notes: Vec<String>,
    /// Whether the person asked for documentation.
    documentation: bool,
    /// Whether that lies in other folders too.
    elsewhere: bool,
}

/// Gathers for one question.
struct Gatherer<'a> {
    context: &'a ChatContext<'a>,
    terms: &'a Terms,
    cancel: &'a CancelToken,
    files: HashMap<String, Option<Arc<File>>>,
    evidence: Evidence,
}

impl Evidence {
    /// Gathers what the question is about. Never fails: what cannot be had is noted.
    pub(crate) fn gather(
        context: &ChatContext<'_>,
        request: &ChatRequest,
        terms: &Terms,
        cancel: &CancelToken,
    ) -> Self {
        let documentation = request.mentions.contains(&Mention::Docs);
        let elsewhere = context.documentation.is_some_and(|folders| !folders.outside.is_empty());
        let evidence = Self { documentation, elsewhere, ..Self::default() };
        let mut gatherer = Gatherer { context, terms, cancel, files: HashMap::new(), evidence };
        if let Some(selection) = &request.selection {
            gatherer.selection(selection);
        }
        let mut within = Vec::new();
        for mention in &request.mentions {
            gatherer.mention(mention, &mut within);
        }
        if let Some(input) = request.input.as_deref().filter(|input| !input.trim().is_empty()) {
            gatherer.attach("standard input", input);
        }
        let points_at_nothing =
            gatherer.evidence.cited.is_empty() && gatherer.evidence.attached.is_empty();
        let somewhere = !within.is_empty() || documentation;
        if points_at_nothing && !somewhere && terms::is_about_workspace(&request.message) {
            gatherer.workspace();
            return gatherer.evidence;
        }
        if points_at_nothing
            && !documentation
            && terms.is_vague()
            && let Some(document) = &request.document
        {
            // "What does this file do?" means the one in front of the person.
            gatherer.file(document);
        }
        if !terms.is_vague() || somewhere {
            gatherer.search(request, within);
        }
        gatherer.evidence
    }

    /// The places as they are cited.
    pub(crate) fn citations(&self) -> Vec<Citation> {
        self.cited.iter().filter_map(Excerpt::citation).collect()
    }

    /// What was searched, for a person.
    pub(crate) fn searched(&self) -> &'static str {
        match (self.documentation, self.elsewhere) {
            (true, true) => "this workspace's documentation and your folders of documentation",
            (true, false) => "this workspace's documentation",
            (false, _) => "this workspace",
        }
    }

    /// Whether anything was found or given.
    pub(crate) fn is_empty(&self) -> bool {
        self.cited.is_empty() && self.attached.is_empty()
    }

    /// Whether the person pointed at something.
    pub(crate) fn has_given(&self) -> bool {
        !self.attached.is_empty() || self.cited.iter().any(|place| place.origin == Origin::Given)
    }

    /// How sure it is that these are the right places, from 0 to 1, less a bit for a speaker that is
    /// known to err.
    pub(crate) fn confidence(&self, speaker: Option<Capability>) -> f32 {
        let best = self.cited.iter().map(|place| place.coverage).fold(0.0, f32::max);
        let places = if self.is_empty() {
            0.1
        } else if self.has_given() {
            0.75
        } else {
            0.2 + 0.7 * best
        };
        let trust = match speaker {
            Some(Capability::Tiny) => 0.7,
            Some(Capability::Small) => 0.85,
            Some(Capability::Full) | None => 1.0,
        };
        (places * trust * 100.0).round() / 100.0
    }
}

impl Gatherer<'_> {
    fn open(&mut self, path: &str) -> Option<Arc<File>> {
        if let Some(known) = self.files.get(path) {
            return known.clone();
        }
        let file = match File::open(self.context, path, self.cancel) {
            Ok(file) => Some(Arc::new(file)),
            Err(reason) => {
                self.evidence.notes.push(reason);
                None
            }
        };
        self.files.insert(path.to_owned(), file.clone());
        file
    }

    /// The file of a hit, which alone may lie in a folder of documentation outside the workspace; `None` once it is gone.
    fn found(&mut self, path: &str) -> Option<Arc<File>> {
        if let Some(known) = self.files.get(path) {
            return known.clone();
        }
        if let Some(text) = self.context.documentation.and_then(|folders| folders.text(path)) {
            let file = Arc::new(File::of_text(path.to_owned(), text, self.cancel));
            self.files.insert(path.to_owned(), Some(Arc::clone(&file)));
            return Some(file);
        }
        if File::exists(self.context.snapshot, path) { self.open(path) } else { None }
    }

    fn give(&mut self, file: &File, lines: Range<u32>) {
        let excerpt = file.excerpt(lines, Origin::Given, self.terms);
        if let Some(excerpt) = excerpt.filter(|excerpt| !self.covers(excerpt)) {
            self.evidence.cited.push(excerpt);
        }
    }

    /// Whether a place is among the cited ones already.
    fn covers(&self, excerpt: &Excerpt) -> bool {
        self.evidence.cited.iter().any(|known| {
            known.path == excerpt.path
                && known.lines.start < excerpt.lines.end
                && excerpt.lines.start < known.lines.end
        })
    }

    fn selection(&mut self, selection: &Selection) {
        let Some(file) = self.open(&selection.path) else { return };
        let range = selection.range;
        let first = file.index.line_of(range.start);
        let mut last = file.index.line_of(range.end);
        if last > first && file.index.line_range(last).start == range.end {
            last -= 1;
        }
        let lines = first as u32..(last as u32 + 1).min(file.line_count());
        self.give(&file, lines);
    }

    fn mention(&mut self, mention: &Mention, within: &mut Vec<String>) {
        match mention {
            Mention::File { path } => self.file(path),
            Mention::Folder { path } => {
                let path = path.trim_matches('/');
                if path == "." || path.is_empty() {
                    return;
                }
                within.push(format!("{path}/"));
            }
            // Says where to search, not what with.
            Mention::Docs => {}
            Mention::Symbol { name, path } => self.symbol(name, path.as_deref()),
            Mention::Attachment { name, text } => self.attach(name, text),
        }
    }

    /// A whole file when it is short, else the parts that the question is about.
    fn file(&mut self, path: &str) {
        let Some(file) = self.open(path) else { return };
        let count = file.line_count();
        if count <= WHOLE_FILE_LINES {
            return self.give(&file, 0..count);
        }
        let language = Language::of_file(&file.path, &file.text);
        let syntax = language.and_then(|language| {
            syntax::parse(language, &file.text, &syntax::ParseLimits::default(), self.cancel).ok()
        });
        let mut parts: Vec<(f32, Range<u32>)> =
            syntax::chunks(language, &file.text, syntax.as_ref())
                .into_iter()
                .map(|chunk| {
                    let coverage =
                        self.terms.coverage(chunk.range.slice(&file.text).unwrap_or_default());
                    let first = file.index.line_of(chunk.range.start) as u32;
                    let last = file.index.line_of(chunk.range.end.saturating_sub(1)) as u32;
                    (coverage, first..last + 1)
                })
                .filter(|(coverage, _)| *coverage > 0.0)
                .collect();
        // The sort is stable: of equals the first in the file.
        parts.sort_by(|a, b| b.0.total_cmp(&a.0));
        if parts.is_empty() {
            return self.give(&file, 0..WHOLE_FILE_LINES);
        }
        for (_, lines) in parts.into_iter().take(PARTS_OF_FILE) {
            self.give(&file, lines);
        }
    }

    fn symbol(&mut self, name: &str, path: Option<&str>) {
        if let Some(file) = path.and_then(|path| self.open(path)) {
            let lines = file
                .symbols
                .iter()
                .find(|symbol| symbol.name == name || qualified(symbol, name))
                .map(|symbol| file.lines_of(symbol));
            if let Some(lines) = lines {
                return self.give(&file, lines);
            }
        }
        let hits = self.hits(&SearchQuery {
            text: name.to_owned(),
            limit: 3,
            mode: SearchMode::Symbol,
            ..SearchQuery::default()
        });
        if hits.is_empty() {
            self.evidence.notes.push(format!("`{name}`: no such definition is known"));
        }
        for hit in hits.iter().take(1) {
            if let Some((file, lines)) = self.current(hit) {
                self.give(&file, lines);
            }
        }
    }

    fn attach(&mut self, name: &str, text: &str) {
        let coverage = self.terms.coverage(text);
        self.evidence.attached.push(Excerpt {
            path: name.to_owned(),
            lines: 0..text.lines().count() as u32,
            page: None,
            text: text.to_owned(),
            symbol: None,
            origin: Origin::Attached,
            coverage,
        });
    }

    /// What the whole workspace is about: its README, and the files that the others rest on.
    fn workspace(&mut self) {
        let Some(index) = self.context.index else { return };
        let readme = index
            .files()
            .map(|rows| &rows.file.path)
            .filter(|path| path.to_lowercase().starts_with("readme"))
            .min()
            .map(ToString::to_string);
        if let Some(file) = readme.and_then(|path| self.open(&path)) {
            self.add_overview(&file, 0..file.line_count().min(README_LINES));
        }
        let nothing: [&str; 0] = [];
        let map = CodeGraph::new(index).rank(&nothing).map(MAP_TOKENS);
        for entry in map.entries.iter().take(MAP_CITED) {
            let Some(symbol) = entry.symbols.first() else { continue };
            let Some(file) = self.open(&entry.path) else { continue };
            // The text may be newer than the map.
            let now = file.symbols.iter().find(|known| known.name == symbol.name);
            if let Some(lines) = now.map(|known| file.lines_of(known)) {
                self.add_overview(&file, lines.start..lines.end.min(lines.start + HEAD_LINES));
            }
        }
        self.evidence.map = (!map.entries.is_empty()).then(|| map.outline());
    }

    fn add_overview(&mut self, file: &File, lines: Range<u32>) {
        if let Some(mut excerpt) = file.excerpt(lines, Origin::Found, self.terms) {
            excerpt.coverage = OVERVIEW_COVERAGE;
            self.evidence.cited.push(excerpt);
        }
    }

    fn search(&mut self, request: &ChatRequest, within: Vec<String>) {
        let mut near: Vec<String> = request.document.iter().cloned().collect();
        near.extend(self.evidence.cited.iter().map(|place| place.path.clone()));
        let in_folder = !within.is_empty() || self.evidence.documentation;
        let hits = self.hits(&SearchQuery {
            text: self.terms.query.clone(),
            limit: HITS,
            mode: SearchMode::Hybrid,
            within,
            documentation: self.evidence.documentation,
            near,
        });
        // In a place that was named, what is there counts even for a vague question.
        let in_folder = in_folder && self.terms.is_vague();
        if !in_folder && !retrieval::is_supported(&hits) {
            return;
        }
        let mut found: Vec<Excerpt> = Vec::new();
        for hit in &hits {
            let Some((file, lines)) = self.current(hit) else { continue };
            let Some(mut excerpt) = file.excerpt(lines, Origin::Found, self.terms) else {
                continue;
            };
            excerpt.coverage = hit.support;
            if !self.covers(&excerpt) {
                found.push(excerpt);
            }
        }
        let room = MOST_CITED.saturating_sub(self.evidence.cited.len());
        self.evidence.cited.extend(one_of_each_file_first(found).into_iter().take(room));
    }

    fn hits(&self, query: &SearchQuery) -> Vec<Hit> {
        let Some(index) = self.context.index else { return Vec::new() };
        let none = Deepening::default();
        let (ranking, deepening) = (Ranking::default(), self.context.deepening.unwrap_or(&none));
        match self.context.documentation.filter(|_| query.documentation) {
            Some(folders) => {
                let cancel = self.cancel;
                search_documentation(index, folders, query, &ranking, deepening, cancel)
            }
            None => search_deepened(index, query, &ranking, deepening, self.cancel),
        }
    }

    /// The place of a hit in the file as it is now; `None` when its text is no longer there.
    fn current(&mut self, hit: &Hit) -> Option<(Arc<File>, Range<u32>)> {
        let file = self.found(&hit.path)?;
        if file.slice(&hit.lines).is_some_and(|text| text.trim() == hit.text.trim()) {
            return Some((file, hit.lines.clone()));
        }
        let wanted = hit.text.trim();
        let at = file.text.find(wanted).filter(|_| !wanted.is_empty())?;
        let first = file.index.line_of(at) as u32;
        let last = file.index.line_of(at + wanted.len() - 1) as u32;
        Some((file, first..last + 1))
    }
}

/// Whether `name` is the symbol's name with its container.
fn qualified(symbol: &Symbol, name: &str) -> bool {
    name.ends_with(symbol.name.as_str())
        && symbol.container.as_deref().is_some_and(|container| name.starts_with(container))
}

/// The best place of each file, in order, then the others.
fn one_of_each_file_first(found: Vec<Excerpt>) -> Vec<Excerpt> {
    let mut seen: HashSet<String> = HashSet::new();
    let (mut first, rest): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|excerpt| seen.insert(excerpt.path.clone()));
    first.extend(rest);
    first
}
