use std::fmt::Write as _;

/// A problem that another tool reported, in that tool's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiagnosticText {
    /// What is wrong.
    pub message: String,
    /// The tool, such as `rustc`.
    pub source: Option<String>,
    /// The tool's name for the problem, such as `E0308`.
    pub code: Option<String>,
}

/// What an editor's light bulb offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Remove a problem.
    Fix(DiagnosticText),
    /// Explain a problem, or the selection.
    Explain(Option<DiagnosticText>),
    /// Write documentation comments.
    Document,
    /// Write a test: an answer in the chat, since where it belongs is the person's choice.
    WriteTest,
    /// Improve without changing behaviour.
    Refactor,
}

impl ActionKind {
    /// Whether its outcome is a change of the document, and so needs trust.
    pub fn changes_files(&self) -> bool {
        matches!(self, Self::Fix(_) | Self::Document | Self::Refactor)
    }

    /// The instruction for the edit, or the question for the chat. Small models follow short
    /// sentences best.
    pub fn instruction(&self) -> String {
        match self {
            Self::Fix(problem) => format!("Fix this problem: {}", problem.sentence()),
            Self::Explain(Some(problem)) => {
                format!("Explain this problem and how to solve it: {}", problem.sentence())
            }
            Self::Explain(None) => "Explain what the selected code does.".into(),
            Self::Document => {
                "Add documentation comments to this code. Leave the code as it is.".into()
            }
            Self::WriteTest => "Write a test for the selected code.".into(),
            Self::Refactor => "Make this code simpler and clearer. Keep what it does.".into(),
        }
    }
}

impl DiagnosticText {
    fn sentence(&self) -> String {
        let mut text = self.message.trim().to_owned();
        let (source, code) = (self.source.as_deref(), self.code.as_deref());
        let tool: Vec<&str> = source.into_iter().chain(code).filter(|it| !it.is_empty()).collect();
        if !tool.is_empty() {
            let _ = write!(text, " ({})", tool.join(" "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_the_words_of_its_tool() {
        let problem = DiagnosticText {
            message: " mismatched types\n".into(),
            source: Some("rustc".into()),
            code: Some("E0308".into()),
        };
        let fix = ActionKind::Fix(problem);
        assert_eq!(fix.instruction(), "Fix this problem: mismatched types (rustc E0308)");
        assert!(fix.changes_files());
        let bare = DiagnosticText { message: "unused".into(), ..DiagnosticText::default() };
        let explain = ActionKind::Explain(Some(bare));
        assert!(explain.instruction().ends_with(": unused") && !explain.changes_files());
    }
}
