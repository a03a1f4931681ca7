//! Text that is put together from what was found, without a model.

use std::fmt::Write as _;

use inference::InferenceError;
use prompt::Capability;

use crate::{Writer, evidence::Evidence, excerpt::Excerpt, terms::Terms};

/// Places that an answer without a model tells about.
const PLACES: usize = 5;
/// Places that stand before what a tiny model says.
const LEADING_PLACES: usize = 3;
/// Characters of documentation that are shown.
const DOC_CHARACTERS: usize = 280;
/// Lines that are shown of a place without a definition.
const PLAIN_LINES: usize = 6;

/// What stands before a model's words: what could not be read, that nothing was found, and for a
/// tiny model, whose words are weak, the places themselves.
pub(crate) fn lead(
    evidence: &Evidence,
    terms: &Terms,
    capability: Capability,
    writer: &mut Writer<'_>,
) {
    notes(evidence, writer);
    if evidence.is_empty() && !terms.is_vague() {
        writer.write(&format!("*Nothing in {} supports this answer.*", evidence.searched()));
        writer.paragraph();
    } else if capability == Capability::Tiny && !evidence.has_given() {
        places(evidence, terms, LEADING_PLACES, writer);
    }
}

/// A whole answer without a model; `failure` is why there is none, where one was expected.
pub(crate) fn from_index(
    evidence: &Evidence,
    terms: &Terms,
    failure: Option<&InferenceError>,
    writer: &mut Writer<'_>,
) {
    notes(evidence, writer);
    if let Some(failure) = failure {
        writer.write(&format!("> The model cannot answer: {failure}"));
        writer.paragraph();
    }
    if evidence.cited.is_empty() {
        if evidence.attached.is_empty() {
            let searched = evidence.searched();
            writer.write(&format!("Nothing in {searched} seems to be about that."));
        } else {
            writer.write("Without a chat model an attached text cannot be judged.");
        }
    } else {
        if failure.is_none() {
            writer.write("Without a chat model, this is what the index holds:");
            writer.paragraph();
        }
        places(evidence, terms, PLACES, writer);
        if let Some(map) = &evidence.map {
            writer.write("What the rest builds on most:");
            writer.paragraph();
            writer.write(&format!("```text\n{}\n```", map.trim_end()));
        }
    }
}

/// What is added when the model failed on the way.
pub(crate) fn after_failure(
    evidence: &Evidence,
    terms: &Terms,
    error: &InferenceError,
    writer: &mut Writer<'_>,
) {
    let empty = writer.text.trim().is_empty();
    writer.paragraph();
    writer.write(&format!("> The model stopped: {error}"));
    writer.paragraph();
    if empty {
        places(evidence, terms, PLACES, writer);
    }
}

fn notes(evidence: &Evidence, writer: &mut Writer<'_>) {
    for note in &evidence.notes {
        writer.write(&format!("> Not taken into account: {note}\n"));
    }
    writer.paragraph();
}

fn places(evidence: &Evidence, terms: &Terms, most: usize, writer: &mut Writer<'_>) {
    for excerpt in evidence.cited.iter().take(most) {
        writer.write(&place(excerpt, terms));
        writer.paragraph();
    }
}

/// A place in words: what it defines, where, its documentation and signature.
fn place(excerpt: &Excerpt, terms: &Terms) -> String {
    let mut text = String::new();
    let tag = tag(&excerpt.path);
    // What an element of a page is called says nothing of what stands in it.
    match excerpt.symbol.as_ref().filter(|_| tag != "html") {
        Some(symbol) => {
            let container = symbol.container.as_deref().unwrap_or_default();
            let within =
                if container.is_empty() { String::new() } else { format!(" in `{container}`") };
            let _ = write!(
                text,
                "**`{}`**, {}{within}, `{}`",
                symbol.name,
                symbol.kind.as_str(),
                excerpt.place()
            );
            if let Some(doc) = symbol.doc.as_deref().map(summary).filter(|doc| !doc.is_empty()) {
                let _ = write!(text, "  \n{doc}");
            }
            if tag != "markdown" && !symbol.signature.trim().is_empty() {
                let _ = write!(text, "\n\n```{tag}\n{}\n```", symbol.signature.trim());
            }
        }
        None => {
            let shown = excerpt.shortened(terms, PLAIN_LINES);
            let _ = write!(text, "`{}`\n\n```{tag}\n{shown}\n```", excerpt.place());
        }
    }
    text
}

/// The first paragraph, at most so many characters, cut at a sentence or a word.
fn summary(doc: &str) -> String {
    let paragraph: Vec<&str> =
        doc.trim().lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    if paragraph.chars().count() <= DOC_CHARACTERS {
        return paragraph;
    }
    let cut: String = paragraph.chars().take(DOC_CHARACTERS).collect();
    match cut.rsplit_once(". ") {
        Some((head, _)) => format!("{head}."),
        None => format!("{}…", cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head)),
    }
}

/// The word after a fence that names the language of a file.
pub(crate) fn tag(path: &str) -> String {
    match syntax::Language::of_path(path) {
        Some(language) => language.name().to_owned(),
        None if pdf_text::is_pdf(path) => "text".to_owned(),
        None => {
            let name = path.rsplit('/').next().unwrap_or_default();
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            extension.chars().filter(char::is_ascii_alphanumeric).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_is_cut_at_a_sentence() {
        assert_eq!(summary("One\ntwo.\n\nThree."), "One two.");
        let long = format!("First sentence. {}", "word ".repeat(100));
        assert_eq!(summary(&long), "First sentence.");
    }
}
