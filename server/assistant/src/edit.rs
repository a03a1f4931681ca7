use std::{ops::Range as Lines, path::PathBuf, sync::Arc, time::Instant};

use ::edit::{EditEvent, EditProposal, EditRequest, Finding, ProposedHunk};
use base::CancelToken;
use journal::{Cause, ContentHash, EditorChange, Entry, FileChange, MessageReference};
use model_registry::Role;
use serde::{Deserialize, Serialize};
use text::{LineIndex, Position, TextRange, apply_edits, unified_diff};

use crate::{
    AssistantError, AssistantSnapshot,
    shared::Activity,
    wire::{FileEdit, Range},
};

/// An edit that is asked for in an editor.
#[derive(Clone, Debug)]
pub struct EditParams {
    /// Canonical path.
    pub path: PathBuf,
    /// The version that the person sees; refused when it is not the one held.
    pub version: Option<i32>,
    /// The selection.
    pub range: (Position, Position),
    /// What to do.
    pub instruction: String,
    /// The proposal that the instruction follows up.
    pub previous_edit_id: Option<String>,
}

/// An edit that is asked for in the terminal.
#[derive(Clone, Debug)]
pub struct FileEditRequest {
    /// The file.
    pub path: PathBuf,
    /// Its lines, zero-based and half-open.
    pub lines: Lines<usize>,
    /// What to do.
    pub instruction: String,
}

/// What is shown while a proposal is made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum EditPartial {
    /// A hunk; one of the same identifier replaces an earlier one.
    Hunk {
        /// The hunk.
        hunk: WireHunk,
    },
    /// The model is asked again.
    Step {
        /// Why, for a person.
        title: String,
        /// Always `running`.
        state: &'static str,
    },
}

/// One place that a proposal changes, in whole lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WireHunk {
    /// Names the hunk within its proposal.
    pub id: String,
    /// The lines that it replaces; empty for an insertion.
    pub range: Range,
    /// What stands there.
    pub old_text: String,
    /// What is proposed instead.
    pub new_text: String,
}

/// What a proposal cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct EditTimings {
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Those of them that needed no evaluation.
    pub cached_tokens: usize,
    /// Tokens that were generated.
    pub generated_tokens: usize,
    /// To the first token.
    pub first_token_ms: u64,
    /// All of it.
    pub total_ms: u64,
}

/// A proposal.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EditReply {
    /// Names the proposal.
    pub edit_id: String,
    /// All hunks as one edit.
    pub edit: FileEdit,
    /// The hunks, in order of place.
    pub hunks: Vec<WireHunk>,
    /// What is known of its soundness.
    pub validation: Vec<Finding>,
    /// How often the model was asked.
    pub rounds: u32,
    /// The model.
    pub model: String,
    /// What it cost.
    pub timings: EditTimings,
}

/// A proposal for a file, as the terminal shows it.
#[derive(Clone, Debug, Serialize)]
pub struct FileEditAnswer {
    /// Names the proposal.
    #[serde(skip)]
    pub edit_id: String,
    /// Unified diff.
    pub diff: String,
    /// The hunks, in order of place.
    pub hunks: Vec<WireHunk>,
    /// What is known of its soundness.
    pub validation: Vec<Finding>,
    /// How often the model was asked.
    pub rounds: u32,
    /// The model.
    pub model: String,
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum UndoParams {
    /// One edit.
    #[serde(rename_all = "camelCase")]
    Edit {
        /// Its name.
        edit_id: String,
    },
    /// Everything that one chat message changed.
    #[serde(rename_all = "camelCase")]
    Message {
        /// The conversation.
        conversation_id: String,
        /// The message.
        message_id: String,
    },
}

impl AssistantSnapshot {
    /// Proposes an edit of a selection. Nothing is written.
    pub fn edit(
        &self,
        params: &EditParams,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(EditPartial),
    ) -> Result<EditReply, AssistantError> {
        let text = self.text(&params.path)?;
        let current = self.document_version(&params.path);
        if let (Some(given), Some(current)) = (params.version, current)
            && given != current
        {
            return Err(AssistantError::Stale { path: params.path.clone(), current, given });
        }
        let index = LineIndex::new(&text);
        let offset = |position| index.offset(&text, position, self.encoding);
        let selection = TextRange::new(offset(params.range.0), offset(params.range.1));
        let previous = params.previous_edit_id.as_deref();
        let request = EditRequest {
            path: self.relative(&params.path)?,
            text: text.clone(),
            selection,
            instruction: params.instruction.clone(),
            diagnostic: None,
            previous: previous.map(|id| self.shared.edits.get(id)).transpose()?,
        };
        let proposal = self.propose(&request, cancel, &mut |event| {
            sink(match event {
                EditEvent::Hunk(hunk) => {
                    EditPartial::Hunk { hunk: self.wire_hunk(&hunk, &text, &index) }
                }
                EditEvent::Retry { reason, .. } => {
                    EditPartial::Step { title: format!("Trying again: {reason}"), state: "running" }
                }
            });
        })?;
        let all: Vec<String> = proposal.hunks.iter().map(|hunk| hunk.id.clone()).collect();
        let edits = ::edit::resolve(&proposal, &all, &text)?;
        Ok(EditReply {
            edit_id: proposal.id.clone(),
            edit: FileEdit::new(params.path.clone(), current, &text, &edits, self.encoding),
            hunks: proposal.hunks.iter().map(|hunk| self.wire_hunk(hunk, &text, &index)).collect(),
            validation: proposal.validation.clone(),
            rounds: proposal.rounds,
            model: proposal.model.clone(),
            timings: EditTimings {
                prompt_tokens: proposal.usage.prompt_tokens,
                cached_tokens: proposal.usage.cached_tokens,
                generated_tokens: proposal.usage.generated_tokens,
                first_token_ms: proposal.usage.first_token_ms,
                total_ms: proposal.elapsed_ms,
            },
        })
    }

    /// The edit that brings the accepted hunks into the document as it is now, recorded so that it
    /// can be undone. The editor applies it.
    pub fn resolve_edit(
        &self,
        edit_id: &str,
        accepted: &[String],
        version: Option<i32>,
    ) -> Result<FileEdit, AssistantError> {
        let proposal = self.shared.edits.get(edit_id)?;
        let path = self.resolve(&self.files.workspace().absolute(&proposal.path)?)?;
        let current = self.document_version(&path);
        if let (Some(given), Some(current)) = (version, current)
            && given != current
        {
            return Err(AssistantError::Stale { path, current, given });
        }
        let text = self.text(&path)?;
        let edits = ::edit::resolve(&proposal, accepted, &text)?;
        if !edits.is_empty() {
            self.require_trust("editing")?;
            let after = apply_edits(&text, &edits)
                .map_err(|error| AssistantError::Invalid(error.to_string()))?;
            self.shared.journal(self.files.workspace())?.record(&EditorChange {
                path: &path,
                before: &text,
                after: &after,
                cause: cause_of(&proposal),
            })?;
        }
        Ok(FileEdit::new(path, current, &text, &edits, self.encoding))
    }

    /// The edits that take back what was applied, for the editor to apply. What the person changed
    /// since stays.
    pub fn undo(&self, params: &UndoParams) -> Result<Vec<FileEdit>, AssistantError> {
        let journal = self.shared.journal(self.files.workspace())?;
        let entries: Vec<Entry> = match params {
            UndoParams::Edit { edit_id } => journal.entries_of_edit(edit_id),
            UndoParams::Message { conversation_id, message_id } => {
                journal.entries_of_message(&MessageReference {
                    conversation: conversation_id.clone(),
                    message: message_id.clone(),
                })
            }
        };
        let mut undone: Vec<FileEdit> = Vec::new();
        for entry in &entries {
            // The editor applies all edits at once to one text, so only the newest of a file can
            // be taken back in one go.
            if undone.iter().any(|edit| edit.path == entry.path) {
                continue;
            }
            let text = self.text(&entry.path)?;
            let edits = journal.inverse(&entry.id, &text)?;
            let version = self.document_version(&entry.path);
            undone.push(FileEdit::new(entry.path.clone(), version, &text, &edits, self.encoding));
            journal.mark_undone(&entry.id)?;
        }
        if undone.is_empty() { Err(AssistantError::NothingToUndo) } else { Ok(undone) }
    }

    /// Proposes an edit of whole lines of a file on disk. Nothing is written.
    pub fn edit_file(
        &self,
        request: &FileEditRequest,
        cancel: &CancelToken,
    ) -> Result<FileEditAnswer, AssistantError> {
        let path = self.resolve(&request.path)?;
        let text = self.text(&path)?;
        let index = LineIndex::new(&text);
        if request.lines.end > index.line_count() {
            return Err(AssistantError::Invalid(format!(
                "{} has {} lines, so lines {}:{} do not exist",
                request.path.display(),
                index.line_count(),
                request.lines.start + 1,
                request.lines.end
            )));
        }
        let relative = self.relative(&path)?;
        let selection = index.lines_range(request.lines.start, request.lines.end.saturating_sub(1));
        let proposal = self.propose(
            &EditRequest {
                path: relative.clone(),
                text: text.clone(),
                selection,
                instruction: request.instruction.clone(),
                diagnostic: None,
                previous: None,
            },
            cancel,
            &mut |_| {},
        )?;
        Ok(FileEditAnswer {
            edit_id: proposal.id.clone(),
            diff: unified_diff(&relative, &text, &proposal.new_text),
            hunks: proposal.hunks.iter().map(|hunk| self.wire_hunk(hunk, &text, &index)).collect(),
            validation: proposal.validation.clone(),
            rounds: proposal.rounds,
            model: proposal.model.clone(),
        })
    }

    /// Writes all hunks of a proposal to its file, through the journal.
    pub fn apply_edit(&self, edit_id: &str) -> Result<(), AssistantError> {
        self.require_trust("writing a file")?;
        let proposal = self.shared.edits.get(edit_id)?;
        let all: Vec<String> = proposal.hunks.iter().map(|hunk| hunk.id.clone()).collect();
        let edits = ::edit::resolve(&proposal, &all, &proposal.base)?;
        if edits.is_empty() {
            return Ok(());
        }
        let path = self.files.workspace().absolute(&proposal.path)?;
        self.shared.journal(self.files.workspace())?.apply(&FileChange {
            path,
            expected: ContentHash::of(&proposal.base),
            edits,
            cause: cause_of(&proposal),
            allow_protected: false,
        })?;
        Ok(())
    }

    fn propose(
        &self,
        request: &EditRequest,
        cancel: &CancelToken,
        sink: &mut dyn FnMut(EditEvent),
    ) -> Result<Arc<EditProposal>, AssistantError> {
        self.require_trust("editing")?;
        let _busy = self.shared.busy(Activity::Editing);
        let start = Instant::now();
        let model = self.shared.models.model(Role::Edit)?;
        let proposal = ::edit::propose(model.as_ref(), request, cancel, sink)?;
        self.shared.timings.record("edit", start.elapsed());
        Ok(self.shared.edits.hold(proposal))
    }

    pub(crate) fn require_trust(&self, what: &'static str) -> Result<(), AssistantError> {
        if self.is_trusted() { Ok(()) } else { Err(AssistantError::Untrusted { what }) }
    }

    fn wire_hunk(&self, hunk: &ProposedHunk, text: &str, index: &LineIndex) -> WireHunk {
        WireHunk {
            id: hunk.id.clone(),
            range: Range::of(hunk.range, text, index, self.encoding),
            old_text: hunk.old_text.clone(),
            new_text: hunk.new_text.clone(),
        }
    }
}

fn cause_of(proposal: &EditProposal) -> Cause {
    Cause {
        label: proposal.instruction.clone(),
        edit: Some(proposal.id.clone()),
        ..Cause::default()
    }
}
