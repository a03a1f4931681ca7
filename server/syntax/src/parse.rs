use std::{
    ops::ControlFlow,
    sync::OnceLock,
    time::{Duration, Instant},
};

use base::CancelToken;
use thiserror::Error;
use tree_sitter::{InputEdit, ParseOptions, Parser, Point, Tree};

use crate::{Language, outline::Outline};

/// Bounds of one parse. The defaults leave out what no person wrote by hand: generated tables,
/// minified scripts, dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// Longest text, in bytes; eight times as long where a language [carries
    /// data](Language::carries_data).
    pub bytes: usize,
    /// Longest line, in bytes; any where a language carries data.
    pub line_bytes: usize,
    /// Longest time. Looked at about every 100 steps of the parser, so it is overrun by little.
    pub time: Duration,
}

impl Default for ParseLimits {
    /// 1 MiB, lines of 16 KiB, 2 seconds (a megabyte of ordinary code takes a quarter of one).
    fn default() -> Self {
        Self { bytes: 1 << 20, line_bytes: 16 << 10, time: Duration::from_secs(2) }
    }
}

/// Why a text has no syntax tree. Broken code is no reason: it has a tree with errors in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseFailure {
    /// The text is longer than the limit.
    #[error("text of {bytes} bytes is over the limit of {limit} for parsing")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A line is longer than the limit, as in minified code.
    #[error("line {line} is over the limit of {limit} bytes for parsing")]
    LineTooLong {
        /// The first such line, counted from one.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// The parser took too long.
    #[error("parsing took longer than {} ms", limit.as_millis())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The work was cancelled.
    #[error("parsing was cancelled")]
    Cancelled,
}

/// A syntax tree and what has been read from it. Functions that take one together with a text
/// expect the text that was parsed.
#[derive(Debug)]
pub struct Syntax {
    tree: Tree,
    language: Language,
    outline: OnceLock<Outline>,
}

impl Syntax {
    /// The language of the text.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Whether some part of the text does not fit the grammar.
    pub fn has_errors(&self) -> bool {
        self.tree.root_node().has_error()
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Definitions and units, computed at the first use.
    pub(crate) fn outline(&self, text: &str) -> &Outline {
        self.outline.get_or_init(|| Outline::new(self.language, &self.tree, text))
    }
}

/// Parses `text`.
pub fn parse(
    language: Language,
    text: &str,
    limits: &ParseLimits,
    cancel: &CancelToken,
) -> Result<Syntax, ParseFailure> {
    check_size(language, text, limits)?;
    run_parser(language, text, None, limits, cancel)
}

/// Parses `after`, which is `before` with one place changed, keeping what did not change. `previous`
/// must be a tree of `before`. Costs little where the change is small.
pub fn reparse(
    previous: &Syntax,
    before: &str,
    after: &str,
    limits: &ParseLimits,
    cancel: &CancelToken,
) -> Result<Syntax, ParseFailure> {
    check_size(previous.language, after, limits)?;
    let mut tree = previous.tree.clone();
    tree.edit(&input_edit(before, after));
    run_parser(previous.language, after, Some(&tree), limits, cancel)
}

fn check_size(language: Language, text: &str, limits: &ParseLimits) -> Result<(), ParseFailure> {
    let limit = if language.carries_data() { limits.bytes * 8 } else { limits.bytes };
    if text.len() > limit {
        return Err(ParseFailure::TooLarge { bytes: text.len(), limit });
    }
    if language.carries_data() {
        return Ok(());
    }
    let long = text.lines().position(|line| line.len() > limits.line_bytes);
    match long {
        Some(index) => Err(ParseFailure::LineTooLong { line: index + 1, limit: limits.line_bytes }),
        None => Ok(()),
    }
}

fn run_parser(
    language: Language,
    text: &str,
    old: Option<&Tree>,
    limits: &ParseLimits,
    cancel: &CancelToken,
) -> Result<Syntax, ParseFailure> {
    let mut parser = Parser::new();
    parser.set_language(language.parser()).expect("the registry's parsers fit the library");
    let started = Instant::now();
    let mut watch = |_: &tree_sitter::ParseState| {
        if cancel.is_cancelled() || started.elapsed() > limits.time {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let bytes = text.as_bytes();
    let tree = parser.parse_with_options(
        &mut |offset, _| bytes.get(offset..).unwrap_or_default(),
        old,
        Some(ParseOptions::new().progress_callback(&mut watch)),
    );
    match tree {
        Some(tree) => Ok(Syntax { tree, language, outline: OnceLock::new() }),
        None if cancel.is_cancelled() => Err(ParseFailure::Cancelled),
        None => Err(ParseFailure::TimedOut { limit: limits.time }),
    }
}

/// The one edit that turns `before` into `after`: what is left between their common start and
/// their common end.
fn input_edit(before: &str, after: &str) -> InputEdit {
    let (start, old_end, new_end) = changed_bytes(before, after);
    InputEdit {
        start_byte: start,
        old_end_byte: old_end,
        new_end_byte: new_end,
        start_position: point(before, start),
        old_end_position: point(before, old_end),
        new_end_position: point(after, new_end),
    }
}

/// Start of the bytes that differ, and their end in each text. All three are character borders.
pub(crate) fn changed_bytes(before: &str, after: &str) -> (usize, usize, usize) {
    let (old, new) = (before.as_bytes(), after.as_bytes());
    let mut start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    while !before.is_char_boundary(start) || !after.is_char_boundary(start) {
        start -= 1;
    }
    let pairs = old[start..].iter().rev().zip(new[start..].iter().rev());
    let mut tail = pairs.take_while(|(a, b)| a == b).count();
    while !before.is_char_boundary(old.len() - tail) || !after.is_char_boundary(new.len() - tail) {
        tail -= 1;
    }
    (start, old.len() - tail, new.len() - tail)
}

/// Row and column in bytes, as the parser counts them.
fn point(text: &str, offset: usize) -> Point {
    let head = &text.as_bytes()[..offset];
    let row = head.split(|byte| *byte == b'\n').count() - 1;
    let line = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    Point { row, column: offset - line }
}
