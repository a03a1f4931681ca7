use inference::{ModelInfo, PromptPiece};

use crate::{
    Budget, Fim, Format, Order,
    budget::{keep_end, keep_start},
    format::ExcerptPlace,
};

/// A piece of another place of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Path relative to the workspace.
    pub path: String,
    /// The text.
    pub text: String,
}

/// What surrounds the cursor.
#[derive(Clone, Copy, Debug)]
pub struct FimContext<'a> {
    /// Path of the current file, relative to the workspace; empty when it has none.
    pub path: &'a str,
    /// Text before the cursor.
    pub prefix: &'a str,
    /// Text after the cursor.
    pub suffix: &'a str,
    /// Other places that help. The order is kept, so the ones that change least should come first.
    pub excerpts: &'a [Excerpt],
    /// What begins a line comment in the file's language.
    pub line_comment: &'a str,
}

/// A prompt that a model continues at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FimPrompt {
    /// The prompt, without the vocabulary's start token. Stable parts come first and the current line
    /// last, so that a keystroke only appends.
    pub pieces: Vec<PromptPiece>,
    /// Markers that end the text.
    pub stop: Vec<String>,
    /// Whether the prompt ends in text, so that its last token may be half a word.
    pub heal: bool,
    /// Whether the model sees the text after the cursor.
    pub fills_middle: bool,
}

/// Shares of the budget in percent: other places, text after the cursor; the rest is for the text
/// before it. Between those of Cody (30 and 10) and Copilot (50 and 15).
const EXCERPT_SHARE: usize = 30;
const SUFFIX_SHARE: usize = 15;

/// Lays out what surrounds the cursor for this model: fill-in-the-middle where its family was trained
/// on that, left to right otherwise.
pub fn fim_prompt(info: &ModelInfo, context: &FimContext<'_>, budget: Budget<'_>) -> FimPrompt {
    let format = Format::of(info);
    let fim = format.fim(info);
    let stop = format.stop_strings(info);
    let layout = fim.as_ref();
    let mut parts = Parts::default();
    let excerpts = fitting(context.excerpts, budget.share(EXCERPT_SHARE));
    let suffix_budget = budget.share(if layout.is_some() { SUFFIX_SHARE } else { 0 });
    let suffix = first_lines(context.suffix, suffix_budget);
    let used: usize = excerpts.iter().map(|excerpt| (budget.count)(&excerpt.text)).sum();
    let left = budget.tokens.saturating_sub(used + (budget.count)(suffix));
    let prefix = keep_end(context.prefix, Budget { tokens: left, ..budget });
    let line_start = prefix.rfind('\n').map_or(0, |newline| newline + 1);
    let (lines, line) = prefix.split_at(line_start);
    let before = Before { context, excerpts: &excerpts, lines };
    match layout {
        None => parts.left_to_right(&before),
        Some(fim) if fim.order == Order::Psm => parts.prefix_first(fim, &before, suffix),
        Some(fim) => parts.suffix_first(fim, &before, suffix),
    }
    parts.text(line);
    let heal = matches!(parts.0.last(), Some(PromptPiece::Text(_)));
    FimPrompt { pieces: parts.0, stop, heal, fills_middle: fim.is_some() }
}

/// As many excerpts, in their order, as fit.
fn fitting<'e>(excerpts: &'e [Excerpt], mut budget: Budget<'_>) -> Vec<&'e Excerpt> {
    let mut kept = Vec::new();
    for excerpt in excerpts {
        if budget.holds(&excerpt.text) {
            budget = budget.less(&excerpt.text);
            kept.push(excerpt);
        }
    }
    kept
}

/// The beginning of the text after the cursor; at least the rest of the line, however small the budget.
fn first_lines<'t>(suffix: &'t str, budget: Budget<'_>) -> &'t str {
    let kept = keep_start(suffix, budget);
    if budget.tokens > 0 && kept.is_empty() {
        return suffix.lines().next().unwrap_or_default();
    }
    kept
}

struct Before<'a> {
    context: &'a FimContext<'a>,
    excerpts: &'a [&'a Excerpt],
    lines: &'a str,
}

/// Pieces under construction; neighbouring texts become one.
#[derive(Default)]
struct Parts(Vec<PromptPiece>);

impl Parts {
    fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(PromptPiece::Text(last)) => last.push_str(text),
            _ => self.0.push(PromptPiece::Text(text.to_owned())),
        }
    }

    fn special(&mut self, name: &str) {
        if !name.is_empty() {
            self.0.push(PromptPiece::Special(name.to_owned()));
        }
    }

    /// Parts of a format file, filled in one pass so that a file's text is never taken for a pattern.
    fn filled(&mut self, parts: &[String], path: &str, text: &str, comment: &str) {
        for part in parts {
            if let Some(name) = part.strip_prefix('!') {
                self.special(name);
            } else if let Some(rest) = part.strip_prefix("{text}") {
                self.text(text);
                // The excerpt's own line break serves.
                self.text(if text.ends_with('\n') { rest.trim_start_matches('\n') } else { rest });
            } else {
                self.text(&part.replace("{comment}", comment).replace("{path}", path));
            }
        }
    }

    fn files(&mut self, fim: &Fim, before: &Before<'_>) {
        let Before { context, excerpts, .. } = before;
        for excerpt in *excerpts {
            self.filled(&fim.file, &excerpt.path, &excerpt.text, context.line_comment);
        }
        // With other files around, the current one needs its name too.
        if !context.path.is_empty() {
            self.filled(&fim.current, context.path, "", context.line_comment);
        }
    }

    fn prefix_first(&mut self, fim: &Fim, before: &Before<'_>, suffix: &str) {
        if fim.excerpts == ExcerptPlace::Before {
            self.filled(&fim.repository, "", "", "");
            self.files(fim, before);
        }
        self.special(&fim.prefix);
        if fim.excerpts == ExcerptPlace::Inside {
            self.files(fim, before);
        }
        self.text(&fim.head.replace("{path}", before.context.path));
        self.text(before.lines);
        self.special(&fim.suffix);
        self.text(suffix);
        self.special(&fim.middle);
    }

    fn suffix_first(&mut self, fim: &Fim, before: &Before<'_>, suffix: &str) {
        self.special(&fim.suffix);
        self.text(suffix);
        self.special(&fim.prefix);
        self.files(fim, before);
        self.text(before.lines);
    }

    fn left_to_right(&mut self, before: &Before<'_>) {
        let Before { context, excerpts, lines } = before;
        for excerpt in *excerpts {
            self.text(&format!("{} {}\n", context.line_comment, excerpt.path));
            self.text(excerpt.text.trim_end_matches('\n'));
            self.text("\n\n");
        }
        if !context.path.is_empty() {
            self.text(&format!("{} {}\n", context.line_comment, context.path));
        }
        self.text(lines);
    }
}

#[cfg(test)]
mod tests;
