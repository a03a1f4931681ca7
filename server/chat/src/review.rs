//! Review of a diff: what changed in each file is counted and checked here, and the model adds a
//! remark about each. Every changed file is named, whatever the model says or does not say.

use std::{fmt::Write as _, ops::ControlFlow, time::Instant};

use base::CancelToken;
use inference::{
    GenerateRequest, InferenceError, LanguageModel, ModelInfo, Priority, PromptPiece, Sequence,
};
use prompt::{Budget, Capability, ChatMessage, Role, chat_prompt};

use crate::{
    AnswerState, ChatAnswer, ChatContext, ChatRequest, ChatTimings, Citation, Speaker, Writer, add,
    diff::{DiffHunk, FileChange, FileDiff, Sign},
    excerpt::File,
    layout, stream,
};

/// Most places that a review cites.
const MOST_CITED: usize = 20;
/// Most sections that are named for one file.
const MOST_SECTIONS: usize = 4;
/// Most findings that are shown for one file.
const MOST_FINDINGS: usize = 6;

/// Reviews `files`.
pub(crate) fn answer(
    context: &ChatContext<'_>,
    request: &ChatRequest,
    files: &[FileDiff],
    speaker: &Speaker<'_>,
    cancel: &CancelToken,
    writer: &mut Writer<'_>,
    started: Instant,
) -> ChatAnswer {
    let citations = citations(context, files, cancel);
    writer.context(&citations);
    let mut timings =
        ChatTimings { context_ms: started.elapsed().as_millis() as u64, ..ChatTimings::default() };
    writer.write(&overview(files));
    let mut failure = speaker.failure();
    for (number, file) in files.iter().enumerate() {
        if cancel.is_cancelled() {
            break;
        }
        writer.paragraph();
        writer.write(&facts(file));
        let Speaker::Model { model, info, capability } = speaker else { continue };
        let silent = failure.is_some() || file.hunks.is_empty();
        if silent || number >= most_remarks(*capability) {
            continue;
        }
        writer.step(&format!("Reading {}", file.path), false);
        match remark(*model, info, *capability, request, file, cancel, writer, &mut timings) {
            Ok(()) => writer.step(&format!("Reading {}", file.path), true),
            Err(InferenceError::Cancelled) => break,
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = &failure {
        writer.paragraph();
        writer.write(&format!("> The model cannot add remarks: {error}"));
    }
    timings.total_ms = started.elapsed().as_millis() as u64;
    ChatAnswer {
        answer: writer.text.clone(),
        citations,
        // The facts are counted; the remarks are a model's.
        confidence: if speaker.capability() == Some(Capability::Tiny) { 0.6 } else { 0.8 },
        model: if failure.is_none() { speaker.id() } else { None },
        state: match failure {
            _ if cancel.is_cancelled() => AnswerState::Stopped,
            Some(error) => AnswerState::Failed(error),
            None => AnswerState::Done,
        },
        timings,
    }
}

/// How many files a model is asked about: each takes a slow one seconds.
fn most_remarks(capability: Capability) -> usize {
    match capability {
        Capability::Tiny => 6,
        Capability::Small => 12,
        Capability::Full => 40,
    }
}

/// The changed lines that stand in the workspace as the diff says.
fn citations(context: &ChatContext<'_>, files: &[FileDiff], cancel: &CancelToken) -> Vec<Citation> {
    let mut citations = Vec::new();
    for file in files.iter().filter(|file| file.change != FileChange::Deleted) {
        if !File::exists(context.snapshot, &file.path) {
            continue;
        }
        let Ok(current) = File::open(context, &file.path, cancel) else { continue };
        for (lines, expected) in file.hunks.iter().filter_map(DiffHunk::added) {
            let Some(quote) = current.slice(&lines) else { continue };
            let found: Vec<&str> = quote.lines().collect();
            let same = found.len() == expected.len()
                && found.iter().zip(&expected).all(|(a, b)| a.trim_end() == b.trim_end());
            if same && citations.len() < MOST_CITED {
                citations.push(Citation {
                    path: current.path.clone(),
                    lines,
                    page: None,
                    quote: quote.to_owned(),
                });
            }
        }
    }
    citations
}

fn overview(files: &[FileDiff]) -> String {
    let added: usize = files.iter().map(|file| file.count(Sign::Added)).sum();
    let removed: usize = files.iter().map(|file| file.count(Sign::Removed)).sum();
    let noun = if files.len() == 1 { "file" } else { "files" };
    format!("The change touches {} {noun}: +{added} −{removed} lines.", files.len())
}

/// What is certain about a file: its name, what happened to it, where, and what a reviewer would
/// stumble over.
fn facts(file: &FileDiff) -> String {
    let mut text = format!(
        "### `{}` (+{} −{})\n\n",
        file.path,
        file.count(Sign::Added),
        file.count(Sign::Removed)
    );
    match (file.change, &file.old_path) {
        (FileChange::Added, _) => text.push_str("- New file\n"),
        (FileChange::Deleted, _) => text.push_str("- Deleted\n"),
        (FileChange::Renamed, Some(old)) => {
            let _ = writeln!(text, "- Renamed from `{old}`");
        }
        _ if file.binary => text.push_str("- Binary, not read\n"),
        _ if file.hunks.is_empty() => text.push_str("- Only its mode changed\n"),
        _ => {}
    }
    let mut sections: Vec<&str> = Vec::new();
    for hunk in &file.hunks {
        let section = hunk.section.trim_end_matches(['{', ' ']);
        if !section.is_empty() && !sections.contains(&section) {
            sections.push(section);
        }
    }
    if !sections.is_empty() {
        let more = sections.len().saturating_sub(MOST_SECTIONS);
        let named: Vec<String> =
            sections.iter().take(MOST_SECTIONS).map(|section| format!("`{section}`")).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(text, "- In {}{more}", named.join(", "));
    }
    for finding in findings(file) {
        let _ = writeln!(text, "- {finding}");
    }
    text
}

/// What added lines show without being understood.
fn findings(file: &FileDiff) -> Vec<String> {
    let mut findings = Vec::new();
    let mut total = 0;
    for hunk in &file.hunks {
        let mut line = hunk.new_start;
        for (sign, text) in &hunk.lines {
            if *sign == Sign::Added
                && let Some(what) = finding(text)
            {
                total += 1;
                if findings.len() < MOST_FINDINGS {
                    let shown: String = text.trim().chars().take(80).collect();
                    findings.push(format!("Line {line}: {what}: `{}`", shown.replace('`', "'")));
                }
            }
            line += usize::from(*sign != Sign::Removed);
        }
    }
    if total > findings.len() {
        findings.push(format!("{} more of this kind", total - findings.len()));
    }
    let tests = |sign| file.lines(sign).filter(|line| begins_test(line)).count();
    let (gone, new) = (tests(Sign::Removed), tests(Sign::Added));
    if gone > new {
        findings.push(format!("{} fewer tests", gone - new));
    }
    findings
}

fn finding(line: &str) -> Option<&'static str> {
    let code = line.trim();
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    let starts = |parts: &[&str]| parts.iter().any(|part| code.starts_with(part));
    if starts(&["<<<<<<< ", ">>>>>>> ", "||||||| "]) {
        return Some("conflict marker");
    }
    if has(&["-----BEGIN"]) || is_credential(code) {
        return Some("looks like a secret");
    }
    if starts(&[
        "dbg!(",
        "console.log(",
        "console.debug(",
        "debugger",
        "breakpoint()",
        "import pdb",
        "pdb.set_trace",
        "var_dump(",
    ]) || has(&["dbg!("])
    {
        return Some("debugging output");
    }
    if has(&["TODO", "FIXME", "XXX"]) {
        return Some("left to do");
    }
    if starts(&["except:", "except Exception: pass"]) || has(&["catch (e) {}", "catch {}"]) {
        return Some("swallows every error");
    }
    None
}

/// Whether a line assigns a long literal to something called a secret.
fn is_credential(code: &str) -> bool {
    let lower = code.to_lowercase();
    let Some((name, value)) = lower.split_once('=').or_else(|| lower.split_once(':')) else {
        return false;
    };
    let named =
        ["password", "passwd", "secret", "api_key", "apikey", "access_token", "private_key"]
            .iter()
            .any(|word| name.contains(word));
    let value = value.trim_start_matches(['=', ' ']);
    let literal = value.strip_prefix(['"', '\'']).unwrap_or_default();
    let length = literal.chars().take_while(|ch| !"\"' ".contains(*ch)).count();
    named && length >= 8
}

fn begins_test(line: &str) -> bool {
    let line = line.trim();
    ["#[test]", "def test_", "@Test", "func Test", "it(", "test("]
        .iter()
        .any(|start| line.starts_with(start))
}

/// Lets the model say something about a file.
#[expect(clippy::too_many_arguments, reason = "all of them are needed once")]
fn remark(
    model: &dyn LanguageModel,
    info: &ModelInfo,
    capability: Capability,
    request: &ChatRequest,
    file: &FileDiff,
    cancel: &CancelToken,
    writer: &mut Writer<'_>,
    timings: &mut ChatTimings,
) -> Result<(), InferenceError> {
    let (request, opening) = remark_request(info, capability, request, file)?;
    if opening.is_empty() {
        writer.paragraph();
        let usage = stream::speak(model, &request, 0, cancel, writer)?;
        add(timings, Some(usage));
        return Ok(());
    }
    // One sentence that is looked at before it is shown.
    let generation = model.generate(&request, cancel, &mut |_| ControlFlow::Continue(()))?;
    add(timings, Some(generation.usage));
    let sentence = first_sentence(&generation.text);
    if sentence.split_whitespace().count() >= 3 {
        writer.paragraph();
        // Set apart from the facts: this is what a small model makes of them.
        writer.write(&format!("> {opening}{sentence}"));
    }
    Ok(())
}

/// The first sentence of what the model said, marked when it was cut off.
fn first_sentence(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    match line.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None if line.ends_with(['.', '!', '?']) => line.to_owned(),
        None => format!("{line} …"),
    }
}

/// The prompt about one file, and how the answer begins.
fn remark_request(
    info: &ModelInfo,
    capability: Capability,
    request: &ChatRequest,
    file: &FileDiff,
) -> Result<(GenerateRequest, &'static str), InferenceError> {
    let (tokens, max_tokens, opening) = match capability {
        Capability::Tiny => (500, 60, "This change"),
        Capability::Small => (1_200, 160, ""),
        Capability::Full => (3_000, 300, ""),
    };
    let context = if info.context == 0 { 2_048 } else { info.context };
    let change = change_text(file);
    let change = prompt::keep_start(&change, Budget::estimated(tokens.min(context / 2)));
    let path = &file.path;
    let question = if capability == Capability::Tiny {
        format!("What does this change of {path} do?")
    } else {
        let asked = request.message.trim();
        let asked = if asked.is_empty() { "Review this change." } else { asked };
        format!(
            "{asked} This is the part in {path}. Name bugs, risks and missing tests in at most three \
             short points. If there is nothing to say, say so."
        )
    };
    let messages = [
        ChatMessage::new(Role::System, "You review changes of code, briefly and exactly."),
        ChatMessage::new(Role::User, format!("```diff\n{change}```\n\n{question}")),
    ];
    let mut prompt =
        chat_prompt(info, &messages).map_err(|error| InferenceError::Engine(error.to_string()))?;
    if !opening.is_empty() {
        prompt.pieces.push(PromptPiece::Text(opening.to_owned()));
        prompt.stop.push("\n".into());
    }
    let request = GenerateRequest {
        prompt: prompt.pieces,
        max_tokens,
        sampling: layout::sampling(capability),
        stop: prompt.stop,
        priority: Priority::Chat,
        sequence: Sequence::Conversation,
        heal: false,
        grammar: None,
    };
    Ok((request, opening))
}

/// The changed lines with one line around them.
fn change_text(file: &FileDiff) -> String {
    let mut text = String::new();
    for hunk in &file.hunks {
        let _ = writeln!(text, "@@ {}", hunk.section);
        for (sign, line) in &hunk.lines {
            let mark = match sign {
                Sign::Same => ' ',
                Sign::Added => '+',
                Sign::Removed => '-',
            };
            let _ = writeln!(text, "{mark}{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_of_the_model_is_kept() {
        assert_eq!(first_sentence(" adds a test. It is short."), " adds a test.");
        assert_eq!(first_sentence(" adds a\nb"), " adds a …");
        assert_eq!(first_sentence(" adds a test."), " adds a test.");
    }

    #[test]
    fn what_a_reviewer_stumbles_over_is_found() {
        for (line, expected) in [
            ("    dbg!(x);", Some("debugging output")),
            ("<<<<<<< HEAD", Some("conflict marker")),
            ("API_KEY = \"sk-0123456789\"", Some("looks like a secret")),
            ("password = read_password()", None),
            ("// TODO later", Some("left to do")),
            ("let total = 1;", None),
        ] {
            assert_eq!(finding(line), expected, "{line}");
        }
    }
}
