//! Documentation: the model says in a sentence what a definition does, and the sentence is put
//! where the language wants it. No code can be damaged on the way.

use std::ops::ControlFlow;

use inference::Usage;
use syntax::{Language, ParseLimits, Symbol, SymbolKind, introduces_errors, parse, symbols};
use text::{LineEnding, TextRange};

use crate::{EditError, EditEvent, Job, Outcome, ProposedHunk, add_usage, indent, layout, merged};

/// Most definitions that are documented at once.
const MAX_SYMBOLS: usize = 8;
/// Lines of a definition that the model sees.
const MAX_LINES: usize = 40;
/// Columns of a line of documentation.
const WIDTH: usize = 88;

/// Where and how one definition is documented.
struct Place {
    offset: usize,
    indent: String,
}

/// Documents the definitions in the selection that are not yet documented. `None` when there are
/// none that this way can serve.
pub(crate) fn propose(
    job: &Job<'_>,
    sink: &mut dyn FnMut(EditEvent),
) -> Result<Option<Outcome>, EditError> {
    let Some(language) = job.language else { return Ok(None) };
    let text = &job.request.text;
    let Ok(syntax) = parse(language, text, &ParseLimits::default(), job.cancel) else {
        return Ok(None);
    };
    let targets = targets(job, &symbols(&syntax, text), language);
    if targets.is_empty() {
        return Ok(None);
    }
    let mut usage = Usage::default();
    let mut hunks: Vec<ProposedHunk> = Vec::new();
    for (symbol, place) in targets {
        let Some(sentence) = describe(job, &symbol, &mut usage)? else { continue };
        let ending = LineEnding::of(text);
        let comment = ending.apply(&comment(language, &symbol.name, &sentence, &place.indent));
        let hunk = ProposedHunk {
            id: format!("h{}", hunks.len() + 1),
            range: TextRange::empty(place.offset),
            old_text: String::new(),
            new_text: comment,
        };
        sink(EditEvent::Hunk(hunk.clone()));
        hunks.push(hunk);
    }
    let reason = if hunks.is_empty() {
        "it describes nothing"
    } else if introduces_errors(language, text, &merged(text, &hunks)).is_empty() {
        return Ok(Some(Outcome { hunks, validation: Vec::new(), rounds: 1, usage }));
    } else {
        "it does not parse"
    };
    Err(EditError::Unusable { reason: reason.into(), rounds: 1 })
}

/// The definitions that begin in the selection, or the innermost one around it.
fn targets(job: &Job<'_>, symbols: &[Symbol], language: Language) -> Vec<(Symbol, Place)> {
    let text = &job.request.text;
    let documentable = |symbol: &&Symbol| {
        symbol.doc.is_none()
            && (symbol.kind.is_callable()
                || symbol.kind.is_type()
                || matches!(symbol.kind, SymbolKind::Constant | SymbolKind::Type))
    };
    let inside = |symbol: &&Symbol| {
        job.selection.start <= symbol.name_range.start
            && symbol.name_range.start < job.selection.end
    };
    let mut chosen: Vec<&Symbol> = symbols.iter().filter(inside).filter(documentable).collect();
    if chosen.is_empty() {
        chosen = symbols
            .iter()
            .filter(|symbol| symbol.range.contains_range(job.selection))
            .filter(documentable)
            .min_by_key(|symbol| symbol.range.len())
            .into_iter()
            .collect();
    }
    chosen
        .into_iter()
        .take(MAX_SYMBOLS)
        .filter_map(|symbol| Some((symbol.clone(), place(job, text, symbol, language)?)))
        .collect()
}

/// Before the definition, or as the first line of its body in Python.
fn place(job: &Job<'_>, text: &str, symbol: &Symbol, language: Language) -> Option<Place> {
    let line_start = |offset: usize| job.index.line_range(job.index.line_of(offset)).start;
    if language.name() != "python" {
        let start = line_start(symbol.range.start);
        let head = text.get(start..symbol.range.start)?;
        let line = text.get(start..)?.lines().next()?;
        // `export` and the like may stand before the definition; other code may not.
        let own = head.trim().is_empty()
            || head.trim().split(' ').all(|word| {
                ["export", "default", "pub", "static", "async", "const"].contains(&word)
            });
        let indent = indent::leading(line).to_owned();
        return own.then(|| Place { offset: before_attributes(job, text, start), indent });
    }
    let header_end = python_header_end(text, symbol)?;
    let line = job.index.line_range(job.index.line_of(header_end));
    let rest = text.get(header_end + 1..line.end)?.trim();
    if !(rest.is_empty() || rest.starts_with('#')) {
        return None;
    }
    let body = text.get(line.end..symbol.range.end)?;
    let first = body.lines().find(|line| !line.trim().is_empty())?;
    Some(Place { offset: line.end, indent: indent::leading(first).to_owned() })
}

/// The start of the attributes and annotations right above the line that begins at `start`.
fn before_attributes(job: &Job<'_>, text: &str, mut start: usize) -> usize {
    while start > 0 {
        let above = job.index.line_range(job.index.line_of(start - 1));
        let line = above.slice(text).unwrap_or_default().trim();
        let attribute = line.starts_with("#[") && line.ends_with(']') || line.starts_with('@');
        if !attribute {
            break;
        }
        start = above.start;
    }
    start
}

/// The colon that ends the header of a Python definition.
fn python_header_end(text: &str, symbol: &Symbol) -> Option<usize> {
    let mut depth = 0_i32;
    let rest = text.get(symbol.name_range.end..symbol.range.end)?;
    rest.char_indices().find_map(|(at, ch)| {
        match ch {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ':' if depth == 0 => return Some(symbol.name_range.end + at),
            _ => {}
        }
        None
    })
}

/// The model's sentence about a definition, cleaned; `None` when it says nothing.
fn describe(
    job: &Job<'_>,
    symbol: &Symbol,
    usage: &mut Usage,
) -> Result<Option<String>, EditError> {
    let text = symbol.range.slice(&job.request.text).unwrap_or_default();
    let lines: Vec<&str> = text.lines().take(MAX_LINES).collect();
    let indent = indent::common(lines.iter().copied().skip(1));
    let code: Vec<&str> = lines.iter().map(|line| indent::without(line, indent)).collect();
    let kind = symbol.kind.as_str();
    let opening = format!("The {kind} `{}`", symbol.name);
    let request = layout::describe(job, &code.join("\n"), kind, &symbol.name, &opening, 1)?;
    let generation =
        job.model.generate(&request, job.cancel, &mut |_| ControlFlow::Continue(()))?;
    add_usage(usage, generation.usage);
    Ok(sentence(&generation.text, &symbol.name))
}

/// The first sentence of what follows "The function `name`", as documentation says it.
fn sentence(answer: &str, name: &str) -> Option<String> {
    let line = answer.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.trim_start_matches([' ', ',', ':']);
    let mut end = line.len();
    for (at, _) in line.match_indices(". ") {
        // Not after `e.g.` and the like.
        if line.get(..at).unwrap_or_default().chars().rev().nth(1) != Some('.') {
            end = at;
            break;
        }
    }
    let line = line.get(..end)?.trim_end_matches(['.', ' ', '`', ',', ';']);
    let mut line = line.to_owned();
    for prefix in
        ["is used to ", "is a function that ", "is a method that ", "function ", "method "]
    {
        if let Some(rest) = line.strip_prefix(prefix) {
            line = String::from(rest);
        }
    }
    let unsafe_marks = ["*/", "\"\"\"", "'''", "/*", "```"];
    if line.split_whitespace().count() < 3 || unsafe_marks.iter().any(|mark| line.contains(mark)) {
        return None;
    }
    if line.matches('`').count() % 2 == 1 {
        line = line.replace('`', "");
    }
    let mut letters = line.chars();
    let first = letters.next()?;
    // A name keeps its case.
    let line = if line.split(' ').next() == Some(name) {
        line
    } else {
        first.to_uppercase().chain(letters).collect()
    };
    Some(line + ".")
}

/// The comment with its line breaks.
fn comment(language: Language, name: &str, sentence: &str, indent: &str) -> String {
    let width = WIDTH.saturating_sub(indent.len()).max(40);
    let lines = |text: &str, mark: &str| -> String {
        let wrapped = wrap(text, width);
        wrapped.iter().map(|line| format!("{indent}{mark}{line}\n")).collect::<Vec<_>>().concat()
    };
    match language.name() {
        "rust" => lines(sentence, "/// "),
        "go" => {
            // Documentation in Go begins with the name.
            let mut letters = sentence.chars();
            let first = letters.next().map(|ch| ch.to_lowercase().to_string()).unwrap_or_default();
            let sentence = if sentence.starts_with(name) {
                sentence.to_owned()
            } else {
                format!("{name} {first}{}", letters.as_str())
            };
            lines(&sentence, "// ")
        }
        "python" => {
            let wrapped = wrap(sentence, width);
            match wrapped.as_slice() {
                [only] => format!("{indent}\"\"\"{only}\"\"\"\n"),
                _ => format!("{indent}\"\"\"\n{}{indent}\"\"\"\n", lines(sentence, "")),
            }
        }
        _ if language.block_comment().is_some_and(|(open, _)| open == "/*") => {
            let wrapped = wrap(sentence, width);
            match wrapped.as_slice() {
                [only] => format!("{indent}/** {only} */\n"),
                _ => format!("{indent}/**\n{}{indent} */\n", lines(sentence, " * ")),
            }
        }
        _ => lines(sentence, &format!("{} ", language.line_comment().unwrap_or("#"))),
    }
}

/// Words in lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clean_sentence_is_kept() {
        let check = |answer: &str, expected: Option<&str>| {
            assert_eq!(sentence(answer, "total").as_deref(), expected, "{answer}");
        };
        check(
            " returns the sum, e.g. of prices. It is fast.",
            Some("Returns the sum, e.g. of prices."),
        );
        check(" is used to add the `prices", Some("Add the prices."));
        check(" total of all values", Some("total of all values."));
        check(" ends */ the comment", None);
        check("", None);
    }

    #[test]
    fn each_language_gets_its_own_comment() {
        let check = |language: &str, expected: &str| {
            let language = Language::of_name(language).expect("a known language");
            assert_eq!(comment(language, "Sum", "Adds numbers.", "  "), expected);
        };
        check("rust", "  /// Adds numbers.\n");
        check("go", "  // Sum adds numbers.\n");
        check("python", "  \"\"\"Adds numbers.\"\"\"\n");
        check("typescript", "  /** Adds numbers. */\n");
    }
}
