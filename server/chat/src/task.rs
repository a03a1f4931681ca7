/// What the chat is asked about selected code without the person having to word it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatTask {
    /// What the selected code does.
    Explain,
    /// A test of the selected code, to be copied or inserted.
    Test,
}

impl ChatTask {
    /// The message that stands for the task.
    pub fn message(self) -> &'static str {
        match self {
            Self::Explain => "Explain what this code does.",
            Self::Test => "Write a test for this code.",
        }
    }

    /// The title of the task in a list of actions.
    pub fn title(self) -> &'static str {
        match self {
            Self::Explain => "Explain",
            Self::Test => "Write a test",
        }
    }

    /// The message that asks what a diagnostic means. `source` is the tool that it comes from.
    pub fn explain_diagnostic(message: &str, source: Option<&str>) -> String {
        let source = source.unwrap_or("the compiler");
        format!("What does this message of {source} mean here, and how is it fixed?\n\n> {message}")
    }
}
