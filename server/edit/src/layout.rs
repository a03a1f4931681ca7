//! What the model is asked.

use std::fmt::Write as _;

use inference::{GenerateRequest, Priority, PromptPiece, Sampling, Sequence};
use prompt::{Capability, ChatMessage, Role, chat_prompt, estimate_tokens};

use crate::{EditError, Job};

/// Tokens that a prompt needs besides the code: the system message, markers, the instruction.
const OVERHEAD: usize = 160;
/// Lines of the document around the selection that a larger model sees.
const LINES_AROUND: usize = 30;

/// A request whose answer begins inside a code block.
pub(crate) struct Layout {
    pub request: GenerateRequest,
    /// What fences the block.
    pub fence: String,
}

/// Asks for `code`, the selected lines without their indentation, rewritten. `fault` is what was
/// wrong with the answer of the round before.
pub(crate) fn rewrite(
    job: &Job<'_>,
    code: &str,
    round: u32,
    fault: Option<&str>,
) -> Result<Layout, EditError> {
    let code_tokens = estimate_tokens(code);
    let limit = job.info.context;
    // The answer may be a good deal longer than the selection.
    let answer_tokens = code_tokens + code_tokens / 2 + 128;
    let needed = OVERHEAD + estimate_tokens(&job.request.instruction) + code_tokens + answer_tokens;
    if limit > 0 && needed > limit {
        return Err(EditError::SelectionTooLong {
            lines: job.lines.len(),
            tokens: needed,
            limit,
            model: job.info.id.clone(),
        });
    }
    let fence = fence_for(code);
    let tag = tag(job);
    let mut user = String::new();
    if Capability::of(&job.info) > Capability::Tiny {
        let room = if limit == 0 { 2_000 } else { (limit - needed) / 2 };
        user.push_str(&surroundings(job, room, &fence, &tag));
    }
    let _ = write!(user, "{fence}{tag}\n{code}\n{fence}\n\n{}", task(job));
    if let Some(fault) = fault {
        let _ = write!(user, "\nAn earlier answer was wrong: {fault}.");
    }
    let system = "You edit code. Answer with the whole changed code in one code block.";
    let opening = format!("{fence}{tag}\n");
    let mut layout = begin(job, system, user, &opening, round)?;
    layout.request.max_tokens = answer_tokens;
    layout.request.stop.push(format!("\n{fence}"));
    layout.fence = fence;
    Ok(layout)
}

/// Asks what `code` does, in one sentence that begins with `opening`.
pub(crate) fn describe(
    job: &Job<'_>,
    code: &str,
    kind: &str,
    name: &str,
    opening: &str,
    round: u32,
) -> Result<GenerateRequest, EditError> {
    let fence = fence_for(code);
    let tag = tag(job);
    let system = "You describe code in one short and exact sentence.";
    let user = format!("{fence}{tag}\n{code}\n{fence}\n\nWhat does the {kind} `{name}` do?");
    let mut request = begin(job, system, user, opening, round)?.request;
    request.max_tokens = 60;
    request.stop.push("\n".into());
    Ok(request)
}

/// A conversation of one question, whose answer is begun with `opening`: a model that has begun a
/// code block neither greets nor explains.
fn begin(
    job: &Job<'_>,
    system: &str,
    user: String,
    opening: &str,
    round: u32,
) -> Result<Layout, EditError> {
    let messages = [ChatMessage::new(Role::System, system), ChatMessage::new(Role::User, user)];
    let mut prompt = chat_prompt(&job.info, &messages)?;
    prompt.pieces.push(PromptPiece::Text(opening.to_owned()));
    // The likeliest answer first; after a bad one a little chance gives another.
    let sampling = match round {
        1 => Sampling::GREEDY,
        _ => {
            Sampling { temperature: 0.4, top_k: 40, top_p: 0.95, repeat_penalty: 1.0, seed: round }
        }
    };
    Ok(Layout {
        request: GenerateRequest {
            prompt: prompt.pieces,
            max_tokens: 0,
            sampling,
            stop: prompt.stop,
            priority: Priority::Edit,
            sequence: Sequence::Conversation,
            heal: false,
            grammar: None,
        },
        fence: String::new(),
    })
}

/// What to do, as a sentence after the code.
fn task(job: &Job<'_>) -> String {
    let instruction = job.request.instruction.trim();
    let mut task = String::new();
    if let Some(diagnostic) = &job.request.diagnostic {
        let source = diagnostic.source.as_deref().unwrap_or("The compiler");
        let line = job.index.line_of(diagnostic.range.start);
        let content = job.index.line_content(&job.request.text, line);
        let content = content.slice(&job.request.text).unwrap_or_default().trim();
        let message = diagnostic.message.trim();
        let _ = writeln!(task, "{source} says about the line `{content}`: {message}");
        task.push_str(if instruction.is_empty() { "Fix the code." } else { instruction });
    } else {
        task.push_str(instruction);
    }
    if !task.ends_with(['.', '!', '?', ':']) {
        task.push('.');
    }
    task.push_str(" Write the code again with this change.");
    task
}

/// The lines around the selection that fit into `room` tokens.
fn surroundings(job: &Job<'_>, room: usize, fence: &str, tag: &str) -> String {
    let text = &job.request.text;
    let before = job.lines.start.saturating_sub(LINES_AROUND)..job.lines.start;
    let after = job.lines.end..(job.lines.end + LINES_AROUND).min(job.index.line_count());
    let slice = |lines: std::ops::Range<usize>| {
        if lines.is_empty() {
            return "";
        }
        job.index.lines_range(lines.start, lines.end - 1).slice(text).unwrap_or_default().trim_end()
    };
    let half = prompt::Budget::estimated(room / 2);
    let before = prompt::keep_end(slice(before), half);
    let after = prompt::keep_start(slice(after), half);
    if before.trim().is_empty() && after.trim().is_empty() {
        return String::new();
    }
    format!(
        "From {path}, for orientation:\n{fence}{tag}\n{before}\n[the code to change stands here]\n\
         {after}\n{fence}\n\nThe code to change:\n",
        path = job.request.path
    )
}

/// The word after the fence that names the language.
fn tag(job: &Job<'_>) -> String {
    if let Some(language) = job.language {
        return language.name().to_owned();
    }
    let name = job.request.path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// A fence that does not stand in `code`.
fn fence_for(code: &str) -> String {
    let longest = code.split(|ch| ch != '`').map(str::len).max().unwrap_or_default();
    "`".repeat((longest + 1).max(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_any_in_the_code() {
        assert_eq!(fence_for("a `b` c"), "```");
        assert_eq!(fence_for("```sh\nls\n```"), "````");
    }
}
