//! Inline edits: an instruction on selected lines becomes hunks that a person accepts or rejects.
//!
//! The model rewrites the selected lines as a whole, which is the one edit format that a small
//! model can follow; the difference is computed here. What does not parse, says nothing or is cut
//! off is refused with the reason. Nothing is written: [`resolve`] gives the edits for the accepted
//! hunks, and `journal` or the editor applies them. Fixes are proposed, not proven: whether the
//! diagnostic is gone is not checked here.

mod answer;
mod document;
mod error;
mod indent;
mod layout;
mod lines;
mod resolve;
mod rewrite;
mod task;

use std::{ops::Range, sync::Arc, time::Instant};

use base::CancelToken;
use inference::{LanguageModel, ModelInfo, Usage};
use serde::{Deserialize, Serialize};
use syntax::Language;
use text::{LineIndex, TextRange};

pub use error::EditError;
pub use resolve::{merged, resolve};
pub use task::Task;

/// What is to be changed.
#[derive(Clone, Debug)]
pub struct EditRequest {
    /// Path relative to the workspace; names the language and stands in the prompt.
    pub path: String,
    /// The whole document.
    pub text: Arc<str>,
    /// The selected bytes; widened to whole lines. An empty selection means its line.
    pub selection: TextRange,
    /// What to do, in the person's words or from [`Task::instruction`].
    pub instruction: String,
    /// The diagnostic to be fixed.
    pub diagnostic: Option<Diagnostic>,
    /// The proposal that a follow-up instruction builds on. It must have been made for the same
    /// text.
    pub previous: Option<Arc<EditProposal>>,
}

/// A fault that some tool has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where, in bytes of the document.
    pub range: TextRange,
    /// What the tool says.
    pub message: String,
    /// Which tool, such as `rustc`, where it is known.
    pub source: Option<String>,
}

/// What happens while a proposal is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditEvent {
    /// A hunk. One with the same identifier as an earlier one replaces it; only those of the
    /// finished proposal count.
    Hunk(ProposedHunk),
    /// The model is asked again, because its answer could not be used.
    Retry {
        /// Number of the new round, from 2.
        round: u32,
        /// Why.
        reason: String,
    },
}

/// One place that the proposal changes, in whole lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedHunk {
    /// Names the hunk within its proposal.
    pub id: String,
    /// The bytes of the document that it replaces; empty for an insertion.
    pub range: TextRange,
    /// What stands there.
    pub old_text: String,
    /// What is proposed instead.
    pub new_text: String,
}

/// Something to know about a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// Who found it.
    pub tool: &'static str,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Information,
    /// Worth a look.
    Warning,
}

/// A finished proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditProposal {
    /// Names the proposal.
    pub id: String,
    /// The file, as in the request.
    pub path: String,
    /// What was asked for.
    pub instruction: String,
    /// The document that the hunks are relative to.
    pub base: Arc<str>,
    /// The selected lines in it.
    pub selection: TextRange,
    /// The hunks, in order of place; none when the model proposes no change.
    pub hunks: Vec<ProposedHunk>,
    /// The document with all hunks.
    pub new_text: String,
    /// What is known of its soundness.
    pub validation: Vec<Finding>,
    /// How often the model was asked.
    pub rounds: u32,
    /// The model.
    pub model: String,
    /// What it cost, all rounds together.
    pub usage: Usage,
    /// From request to proposal, in milliseconds.
    pub elapsed_ms: u64,
}

/// A request with everything that is derived from it.
pub(crate) struct Job<'a> {
    pub request: &'a EditRequest,
    pub model: &'a dyn LanguageModel,
    pub info: Arc<ModelInfo>,
    pub language: Option<Language>,
    pub index: LineIndex,
    /// The selected lines, zero-based and half-open.
    pub lines: Range<usize>,
    /// Their bytes.
    pub selection: TextRange,
    pub cancel: &'a CancelToken,
    pub started: Instant,
}

/// What one way of editing came to.
pub(crate) struct Outcome {
    pub hunks: Vec<ProposedHunk>,
    pub validation: Vec<Finding>,
    pub rounds: u32,
    pub usage: Usage,
}

/// Asks `model` for a change of the selected lines. Hunks reach `sink` as they become certain.
pub fn propose(
    model: &dyn LanguageModel,
    request: &EditRequest,
    cancel: &CancelToken,
    sink: &mut dyn FnMut(EditEvent),
) -> Result<EditProposal, EditError> {
    let started = Instant::now();
    let instruction = request.instruction.trim();
    if instruction.is_empty() && request.diagnostic.is_none() {
        return Err(EditError::NoInstruction);
    }
    if request.previous.as_ref().is_some_and(|previous| previous.base != request.text) {
        return Err(EditError::Moved { path: request.path.clone() });
    }
    let info = model.load(cancel)?;
    let index = LineIndex::new(&request.text);
    let lines = selected_lines(&index, &request.text, request.selection)?;
    let job = Job {
        request,
        model,
        info,
        language: Language::of_file(&request.path, &request.text),
        selection: index.lines_range(lines.start, lines.end - 1),
        index,
        lines,
        cancel,
        started,
    };
    let documented = match Task::of(instruction) {
        Some(Task::Document) if request.previous.is_none() => document::propose(&job, sink)?,
        _ => None,
    };
    let outcome = match documented {
        Some(outcome) => outcome,
        None => rewrite::propose(&job, sink)?,
    };
    Ok(job.finish(outcome))
}

impl Job<'_> {
    /// The selected lines as they stand in the document.
    pub fn selected(&self) -> &str {
        self.selection.slice(&self.request.text).unwrap_or_default()
    }

    fn finish(&self, outcome: Outcome) -> EditProposal {
        let Outcome { hunks, mut validation, rounds, usage } = outcome;
        if hunks.is_empty() {
            validation.push(Finding {
                severity: Severity::Information,
                message: "the model proposes no change".into(),
                tool: "hearth",
            });
        }
        if self.request.diagnostic.is_some() && !hunks.is_empty() {
            validation.push(Finding {
                severity: Severity::Information,
                message: "unchecked: whether this removes the diagnostic has not been tried".into(),
                tool: "hearth",
            });
        }
        EditProposal {
            id: uuid::Uuid::now_v7().to_string(),
            path: self.request.path.clone(),
            instruction: self.request.instruction.clone(),
            base: self.request.text.clone(),
            selection: self.selection,
            new_text: merged(&self.request.text, &hunks),
            hunks,
            validation,
            rounds,
            model: self.info.id.clone(),
            usage,
            elapsed_ms: self.started.elapsed().as_millis() as u64,
        }
    }
}

/// The whole lines that `selection` touches. A selection that ends at the very start of a line
/// does not mean that line.
fn selected_lines(
    index: &LineIndex,
    text: &str,
    selection: TextRange,
) -> Result<Range<usize>, EditError> {
    if selection.end > text.len() {
        return Err(EditError::OutOfBounds { end: selection.end, len: text.len() });
    }
    let first = index.line_of(selection.start);
    let mut last = index.line_of(selection.end);
    if last > first && index.line_range(last).start == selection.end {
        last -= 1;
    }
    Ok(first..last + 1)
}

/// Adds what a further generation cost.
pub(crate) fn add_usage(total: &mut Usage, more: Usage) {
    if total.first_token_ms == 0 {
        total.first_token_ms = more.first_token_ms;
    }
    total.prompt_tokens += more.prompt_tokens;
    total.cached_tokens += more.cached_tokens;
    total.generated_tokens += more.generated_tokens;
    total.total_ms += more.total_ms;
}

#[cfg(test)]
mod tests;
