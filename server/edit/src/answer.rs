//! Reads the code block out of what a model writes, also while it is still writing.

/// The lines of the answer's code block so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// Whole lines, without their line breaks. The last one may still grow unless `closed`.
    pub lines: Vec<&'a str>,
    /// Whether the block has ended.
    pub closed: bool,
}

/// Reads an answer that begins inside a code block fenced by `fence`, since the prompt opened it.
/// A model that opens one again, or closes this one empty and starts over, is understood.
pub(crate) fn read<'a>(answer: &'a str, fence: &str) -> Answer<'a> {
    let lines: Vec<&str> =
        after_thinking(answer).lines().skip_while(|line| line.trim().is_empty()).collect();
    let Some(rest) = lines.first().and_then(|line| line.trim_start().strip_prefix(fence)) else {
        return block(lines.into_iter(), fence);
    };
    let ended = block(lines.iter().copied(), fence);
    if rest.trim().is_empty() && ended.lines.is_empty() {
        // A bare fence ended the empty block, or it opened another one.
        let again = block(lines.iter().skip(1).copied(), fence);
        return if again.closed { again } else { ended };
    }
    ended
}

/// The first block with anything in it.
fn block<'a>(lines: impl Iterator<Item = &'a str>, fence: &str) -> Answer<'a> {
    let mut block = Answer::default();
    for line in lines {
        let Some(info) = line.trim_start().strip_prefix(fence) else {
            // Prose between an empty block and the next one is none of the code.
            if !block.closed {
                block.lines.push(line);
            }
            continue;
        };
        if block.closed || !info.trim().is_empty() {
            // A fence that names a language only ever opens; what came before was prose.
            block = Answer::default();
        } else {
            block.closed = true;
            if block.lines.iter().any(|line| !line.trim().is_empty()) {
                return block;
            }
            block.lines.clear();
        }
    }
    block
}

/// What follows the model's thinking, which is not part of any answer.
fn after_thinking(answer: &str) -> &str {
    if let Some((_, rest)) = answer.split_once("</think>") {
        return rest;
    }
    if answer.trim_start().starts_with("<think>") { "" } else { answer }
}

/// Whether the model goes round in circles: the last line has come much more often than in the
/// text that it rewrites.
pub(crate) fn is_looping(lines: &[&str], original: &str) -> bool {
    let Some(last) = lines.last().map(|line| line.trim()) else {
        return false;
    };
    // Brackets repeat in any code.
    if last.len() < 4 {
        return false;
    }
    let count = lines.iter().filter(|line| line.trim() == last).count();
    count > 3 + 2 * original.lines().filter(|line| line.trim() == last).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, lines: &[&str], closed: bool) {
        assert_eq!(read(answer, "```"), Answer { lines: lines.to_vec(), closed }, "{answer:?}");
    }

    #[test]
    fn a_block_that_the_prompt_opened() {
        check("fn f() {}\n```\nDone.", &["fn f() {}"], true);
        check("a\n\n  b", &["a", "", "  b"], false);
    }

    #[test]
    fn a_block_that_is_opened_again() {
        check("```rust\nfn f() {}\n```\n", &["fn f() {}"], true);
        check("\n```\nSure:\n```rust\nfn f() {}\n", &["fn f() {}"], false);
        check("```\n", &[], true);
        check("Sure:\n```rust\na\n```", &["a"], true);
        check("```\nSure:\n```rust\n", &[], false);
        check("```\na\n```\n", &["a"], true);
    }

    #[test]
    fn thinking_is_left_out() {
        check("<think>\nwell, ```a```\n</think>\n```py\nx\n```", &["x"], true);
        check("<think>\nwell", &[], false);
    }

    #[test]
    fn a_longer_fence_holds_shorter_ones() {
        let answer = read("# Title\n```sh\nls\n```\n````\n", "````");
        assert_eq!(answer.lines, ["# Title", "```sh", "ls", "```"]);
        assert!(answer.closed);
    }

    #[test]
    fn repetition_is_noticed_unless_the_original_repeats_as_well() {
        let lines = ["x = 1;"; 4];
        assert!(is_looping(&lines, "y = 2;"));
        assert!(!is_looping(&lines, "x = 1;\nx = 1;\nx = 1;"));
        assert!(!is_looping(&["}"; 9], ""));
    }
}
