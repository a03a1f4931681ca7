//! The general way of editing: the model writes the selected lines again.

use std::ops::ControlFlow;

use inference::{FinishReason, Usage};
use syntax::introduces_errors;
use text::LineIndex;

use crate::{
    EditError, EditEvent, Finding, Job, Outcome, ProposedHunk, Severity, add_usage, answer,
    indent::{self, Style},
    layout,
    lines::Selected,
    merged,
};

/// Most rounds: the first and two with the fault told.
const MAX_ROUNDS: u32 = 3;

/// Why an answer is not good enough.
struct Fault {
    /// For the next prompt and for the person.
    reason: String,
    /// How bad, to see whether another round is worth while.
    weight: usize,
}

/// One answer, judged.
enum Judged {
    Good(Vec<ProposedHunk>),
    Unchanged,
    Faulty(Fault),
}

pub(crate) fn propose(
    job: &Job<'_>,
    sink: &mut dyn FnMut(EditEvent),
) -> Result<Outcome, EditError> {
    let selected = Selected::new(&job.request.text, job.selection);
    let source = Source::new(job, &selected);
    let mut usage = Usage::default();
    let mut last: Option<Fault> = None;
    let mut round = 0;
    loop {
        round += 1;
        let fault = last.as_ref().map(|fault| fault.reason.as_str());
        let judged = source.ask(round, fault, &mut usage, sink)?;
        let fault = match judged {
            Judged::Good(hunks) => {
                hunks.iter().cloned().for_each(|hunk| sink(EditEvent::Hunk(hunk)));
                let validation = source.findings(&hunks);
                return Ok(Outcome { hunks, validation, rounds: round, usage });
            }
            Judged::Unchanged if round > 1 => {
                return Ok(Outcome {
                    hunks: Vec::new(),
                    validation: Vec::new(),
                    rounds: round,
                    usage,
                });
            }
            Judged::Unchanged => {
                Fault { reason: "the code came back unchanged".into(), weight: usize::MAX }
            }
            Judged::Faulty(fault) => fault,
        };
        let improving = last.as_ref().is_none_or(|last| fault.weight < last.weight);
        if round == MAX_ROUNDS || !improving {
            return Err(EditError::Unusable { reason: fault.reason, rounds: round });
        }
        sink(EditEvent::Retry { round: round + 1, reason: fault.reason.clone() });
        last = Some(fault);
    }
}

/// The selection as the model sees it, and what is needed to put its answer back.
struct Source<'j> {
    job: &'j Job<'j>,
    selected: &'j Selected<'j>,
    /// The lines that the model is shown: without common indentation and outer blank lines.
    code: String,
    indent: String,
    style: Style,
    /// Blank lines before and after, which the model does not see.
    blank: (Vec<String>, Vec<String>),
}

impl<'j> Source<'j> {
    fn new(job: &'j Job<'j>, selected: &'j Selected<'j>) -> Self {
        let old: Vec<&str> = selected.contents().collect();
        let is_blank = |line: &&&str| line.trim().is_empty();
        let head = old.iter().take_while(is_blank).count();
        let tail = old.iter().skip(head).rev().take_while(is_blank).count();
        let strings = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let blank = (
            strings(old.get(..head).unwrap_or_default()),
            strings(old.get(old.len() - tail..).unwrap_or_default()),
        );
        let before: String;
        let shown: Vec<&str> = match &job.request.previous {
            // A follow-up goes on from what was proposed.
            Some(previous) => {
                before = previous_lines(previous);
                before.lines().collect()
            }
            None => old.get(head..old.len() - tail).unwrap_or_default().to_vec(),
        };
        let mut indent = indent::common(shown.iter().copied()).to_owned();
        let code: Vec<&str> = shown.iter().map(|line| indent::without(line, &indent)).collect();
        let code = code.join("\n").trim_matches('\n').to_owned();
        if code.is_empty() {
            indent = indent_of_neighbours(job);
        }
        let style = match Style::of(job.selected()) {
            Style::Unknown => Style::of(&job.request.text),
            known => known,
        };
        Self { job, selected, code, indent, style, blank }
    }

    /// One round: asks, streams what is certain, judges.
    fn ask(
        &self,
        round: u32,
        fault: Option<&str>,
        usage: &mut Usage,
        sink: &mut dyn FnMut(EditEvent),
    ) -> Result<Judged, EditError> {
        let layout = layout::rewrite(self.job, &self.code, round, fault)?;
        let mut so_far = String::new();
        let mut shown: Vec<ProposedHunk> = Vec::new();
        let mut looping = false;
        let generation =
            self.job.model.generate(&layout.request, self.job.cancel, &mut |piece| {
                so_far.push_str(piece);
                if !piece.contains('\n') {
                    return ControlFlow::Continue(());
                }
                let mut answer = answer::read(&so_far, &layout.fence);
                if !answer.closed && !so_far.ends_with('\n') {
                    answer.lines.pop();
                }
                looping = answer::is_looping(&answer.lines, &self.code);
                if answer.closed || looping {
                    return ControlFlow::Break(());
                }
                let hunks = self.selected.hunks_so_far(&self.placed(&answer.lines, false));
                for hunk in &hunks {
                    if !shown.contains(hunk) {
                        sink(EditEvent::Hunk(hunk.clone()));
                    }
                }
                shown = hunks;
                ControlFlow::Continue(())
            })?;
        add_usage(usage, generation.usage);
        let answer = answer::read(&generation.text, &layout.fence);
        let cut_off = generation.finish == FinishReason::MaxTokens && !answer.closed;
        Ok(self.judge(&answer.lines, cut_off, looping))
    }

    fn judge(&self, lines: &[&str], cut_off: bool, looping: bool) -> Judged {
        let faulty = |reason: String, weight| Judged::Faulty(Fault { reason, weight });
        if looping {
            return faulty("it repeats itself".into(), 1_000);
        }
        if cut_off {
            return faulty("it is too long and was cut off".into(), 1_000);
        }
        let new = self.placed(lines, true);
        if new.iter().all(|line| line.trim().is_empty()) && !self.asks_for_removal() {
            return faulty("it holds no code".into(), 1_000);
        }
        let hunks = self.selected.hunks(&new);
        if hunks.is_empty() {
            return Judged::Unchanged;
        }
        let after = merged(&self.job.request.text, &hunks);
        let errors = self
            .job
            .language
            .map(|language| introduces_errors(language, &self.job.request.text, &after))
            .unwrap_or_default();
        let Some(first) = errors.first() else {
            return Judged::Good(hunks);
        };
        let line = LineIndex::new(&after).line_of(first.range.start);
        faulty(format!("it does not parse, {} in line {}", first.message, line + 1), errors.len())
    }

    /// The answer at the place of the selection, with the blank lines around it once it is whole.
    fn placed(&self, lines: &[&str], whole: bool) -> Vec<String> {
        let is_blank = |line: &&&str| line.trim().is_empty();
        let head = lines.iter().take_while(is_blank).count();
        let tail = lines.iter().skip(head).rev().take_while(is_blank).count();
        let lines = lines.get(head..lines.len() - tail).unwrap_or_default();
        let mut placed = self.blank.0.clone();
        placed.extend(indent::place(lines, &self.indent, self.style));
        if whole && !lines.is_empty() {
            placed.extend(self.blank.1.iter().cloned());
        }
        placed
    }

    fn asks_for_removal(&self) -> bool {
        let words = self.job.request.instruction.to_lowercase();
        ["remove", "delete", "drop"].iter().any(|word| words.trim_start().starts_with(word))
    }

    fn findings(&self, hunks: &[ProposedHunk]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let lines = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
        let old: usize = hunks.iter().map(|hunk| lines(&hunk.old_text)).sum();
        let new: usize = hunks.iter().map(|hunk| lines(&hunk.new_text)).sum();
        let selected = lines(self.job.selected());
        if selected >= 4 && (old - old.min(new)) * 3 > selected && !self.asks_for_removal() {
            findings.push(Finding {
                severity: Severity::Warning,
                message: format!(
                    "{} of {selected} selected lines would be gone: look whether something is missing",
                    old - new
                ),
                tool: "hearth",
            });
        }
        if self.job.language.is_none() {
            findings.push(Finding {
                severity: Severity::Information,
                message: "the syntax was not checked: no grammar for this kind of file".into(),
                tool: "hearth",
            });
        }
        findings
    }
}

/// The selected lines with all hunks of an earlier proposal.
fn previous_lines(previous: &crate::EditProposal) -> String {
    let tail = previous.base.len() - previous.selection.end;
    previous
        .new_text
        .get(previous.selection.start..previous.new_text.len() - tail)
        .unwrap_or_default()
        .to_owned()
}

/// The indentation of the last line with content before the selection.
fn indent_of_neighbours(job: &Job<'_>) -> String {
    let own = job.selected().lines().map(indent::leading).max_by_key(|indent| indent.len());
    if let Some(own) = own.filter(|own| !own.is_empty()) {
        return own.to_owned();
    }
    let head = job.request.text.get(..job.selection.start).unwrap_or_default();
    let line = head.lines().rev().find(|line| !line.trim().is_empty());
    line.map(indent::leading).unwrap_or_default().to_owned()
}
