//! Parts of files as an answer uses them.

use std::{ops::Range, path::Path, sync::Arc};

use base::CancelToken;
use pdf_text::{is_pdf, page_at};
use syntax::{Language, ParseLimits, Symbol, parse, symbols};
use text::LineIndex;
use vfs::Snapshot;

use crate::{ChatContext, Citation, terms::Terms};

/// Why an excerpt is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The person pointed at it.
    Given,
    /// The index found it.
    Found,
    /// It is no file of the workspace.
    Attached,
}

/// Lines of a file, or an attached text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Excerpt {
    /// Relative to the workspace, absolute in a folder of documentation outside of it, or the name of an attachment.
    pub path: String,
    /// Zero-based and half-open.
    pub lines: Range<u32>,
    /// The page of a PDF that the lines begin on, counted from one.
    pub page: Option<u32>,
    /// The text of these lines.
    pub text: String,
    /// The definition that it is about.
    pub symbol: Option<Symbol>,
    pub origin: Origin,
    /// Share of the question that it covers, from 0 to 1.
    pub coverage: f32,
}

impl Excerpt {
    /// The place, for whoever asks where this was.
    pub(crate) fn citation(&self) -> Option<Citation> {
        (self.origin != Origin::Attached).then(|| Citation {
            path: self.path.clone(),
            lines: self.lines.clone(),
            page: self.page,
            quote: self.text.clone(),
        })
    }

    /// `path:first-last`, one-based and inclusive; of a PDF `path, page n`, for nobody sees its lines.
    pub(crate) fn place(&self) -> String {
        if let Some(page) = self.page {
            return format!("{}, page {page}", self.path);
        }
        let (first, last) = (self.lines.start + 1, self.lines.end.max(self.lines.start + 1));
        if first == last {
            format!("{}:{first}", self.path)
        } else {
            format!("{}:{first}-{last}", self.path)
        }
    }

    /// At most `most` lines of it: the part that has most of the question's words, with the first
    /// line, which says what it is a part of.
    pub(crate) fn shortened(&self, terms: &Terms, most: usize) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        if lines.len() <= most || most == 0 {
            return self.text.trim_end().to_owned();
        }
        let hits: Vec<usize> = lines.iter().map(|line| terms.hits_in(line)).collect();
        let score = |start: usize| -> usize { hits.iter().skip(start).take(most).sum() };
        // Later parts must be clearly better: the beginning has documentation and signature.
        let start = (0..=lines.len() - most)
            .max_by_key(|start| (score(*start) * 4 + usize::from(*start == 0), usize::MAX - start))
            .unwrap_or(0);
        let mut shown: Vec<&str> = Vec::with_capacity(most + 2);
        if start > 0 {
            shown.push(lines.first().copied().unwrap_or_default());
            shown.push("…");
        }
        shown.extend(lines.iter().skip(start).take(most));
        if start + most < lines.len() {
            shown.push("…");
        }
        shown.join("\n")
    }
}

/// A file of the workspace, or of a folder of documentation, as it is now.
pub(crate) struct File {
    pub path: String,
    pub text: Arc<str>,
    pub index: LineIndex,
    /// Its definitions; none in a language that is not known.
    pub symbols: Vec<Symbol>,
}

impl File {
    /// Reads and outlines a file; the error is for the person.
    pub(crate) fn open(
        context: &ChatContext<'_>,
        path: &str,
        cancel: &CancelToken,
    ) -> Result<Self, String> {
        let snapshot = context.snapshot;
        let absolute =
            snapshot.workspace().absolute(path).map_err(|error| format!("`{path}`: {error}"))?;
        let named = path;
        let path = snapshot.workspace().relative(&absolute).unwrap_or_else(|| path.to_owned());
        let text = if is_pdf(&path) {
            // Its text is not what stands in the file. The index knows only files that may be read.
            let index = context.index.filter(|index| index.file(&path).is_some());
            let text = index.and_then(|index| index.text(&path));
            text.ok_or_else(|| format!("`{named}`: the text of this PDF cannot be read"))?
        } else {
            snapshot.text(&absolute).map_err(|error| format!("`{named}`: {error}"))?
        };
        Ok(Self::of_text(path, text, cancel))
    }

    /// Outlines a file with this text.
    pub(crate) fn of_text(path: String, text: Arc<str>, cancel: &CancelToken) -> Self {
        let symbols = Language::of_file(&path, &text)
            .and_then(|language| parse(language, &text, &ParseLimits::default(), cancel).ok())
            .map(|syntax| symbols(&syntax, &text))
            .unwrap_or_default();
        Self { index: LineIndex::new(&text), path, text, symbols }
    }

    /// Whether the path exists as a file below the workspace.
    pub(crate) fn exists(snapshot: &Snapshot, path: &str) -> bool {
        snapshot.workspace().absolute(path).is_ok_and(|path| Path::is_file(&path))
    }

    /// The number of lines with something on them or behind them.
    pub(crate) fn line_count(&self) -> u32 {
        let count = self.index.line_count();
        let empty_end = self.text.is_empty() || self.text.ends_with('\n');
        (count - usize::from(empty_end)) as u32
    }

    /// The text of these lines; `None` when the file does not have them.
    pub(crate) fn slice(&self, lines: &Range<u32>) -> Option<&str> {
        if lines.is_empty() || lines.end > self.line_count() {
            return None;
        }
        self.index.lines_range(lines.start as usize, lines.end as usize - 1).slice(&self.text)
    }

    /// An excerpt of these lines.
    pub(crate) fn excerpt(
        &self,
        lines: Range<u32>,
        origin: Origin,
        terms: &Terms,
    ) -> Option<Excerpt> {
        let text = self.slice(&lines)?.to_owned();
        let symbol = self.symbol_of(&lines, terms).cloned();
        let coverage = terms.coverage(&format!("{} {text}", self.path));
        let start = self.index.line_range(lines.start as usize).start;
        let page = is_pdf(&self.path).then(|| page_at(&self.text, start));
        Some(Excerpt { path: self.path.clone(), lines, page, text, symbol, origin, coverage })
    }

    /// The lines that a definition takes, with the comment before it.
    pub(crate) fn lines_of(&self, symbol: &Symbol) -> Range<u32> {
        let first = self.index.line_of(symbol.range.start);
        let last = self.index.line_of(symbol.range.end.saturating_sub(1).max(symbol.range.start));
        let mut start = first;
        while start > 0 && self.is_comment(start - 1) {
            start -= 1;
        }
        start as u32..last as u32 + 1
    }

    fn is_comment(&self, line: usize) -> bool {
        let content =
            self.index.line_content(&self.text, line).slice(&self.text).unwrap_or_default();
        let content = content.trim_start();
        ["//", "/*", "*", "#", "--", ";;"].iter().any(|mark| content.starts_with(mark))
    }

    /// The definition that these lines are about: of those that begin in them, the one with most of
    /// the question's words in name and documentation; else the innermost around them.
    fn symbol_of(&self, lines: &Range<u32>, terms: &Terms) -> Option<&Symbol> {
        let line = |symbol: &Symbol| self.index.line_of(symbol.name_range.start) as u32;
        let words = |symbol: &Symbol| {
            let doc = symbol.doc.as_deref().unwrap_or_default();
            terms.hits_in(&symbol.name) * 2 + terms.hits_in(doc)
        };
        let inside = self.symbols.iter().filter(|symbol| lines.contains(&line(symbol)));
        // The first of equals: what contains comes before what is contained.
        inside.rev_max_by_key(|symbol| words(symbol)).or_else(|| {
            let range = self.index.lines_range(lines.start as usize, lines.end as usize - 1);
            self.symbols
                .iter()
                .filter(|symbol| {
                    symbol.range.start <= range.start && range.end <= symbol.range.end + 1
                })
                .min_by_key(|symbol| symbol.range.len())
        })
    }
}

/// `max_by_key` that keeps the first of equals.
trait FirstMax: Iterator + Sized {
    fn rev_max_by_key<K: Ord>(self, key: impl Fn(&Self::Item) -> K) -> Option<Self::Item> {
        let mut best: Option<(K, Self::Item)> = None;
        for item in self {
            let this = key(&item);
            if best.as_ref().is_none_or(|(key, _)| this > *key) {
                best = Some((this, item));
            }
        }
        best.map(|(_, item)| item)
    }
}

impl<I: Iterator> FirstMax for I {}
