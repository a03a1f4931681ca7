/// What a selection is offered without the person having to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Documentation for the definitions in the selection.
    Document,
    /// The same behaviour in better code.
    Refactor,
}

impl Task {
    /// The instruction that stands for the task.
    pub fn instruction(self) -> &'static str {
        match self {
            Self::Document => "Document this code",
            Self::Refactor => {
                "Refactor this code: make it simpler and easier to read, and keep its behaviour"
            }
        }
    }

    /// The title of the task in a list of actions.
    pub fn title(self) -> &'static str {
        match self {
            Self::Document => "Document",
            Self::Refactor => "Refactor",
        }
    }

    /// The task that an instruction stands for, also in a person's own words.
    pub fn of(instruction: &str) -> Option<Self> {
        if instruction == Self::Refactor.instruction() {
            return Some(Self::Refactor);
        }
        let words: Vec<String> = instruction
            .split(|ch: char| !ch.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let is = |index: usize, names: &[&str]| {
            words.get(index).is_some_and(|word| names.contains(&word.as_str()))
        };
        let documentation = [
            "docstring",
            "docstrings",
            "documentation",
            "doc",
            "docs",
            "docblock",
            "javadoc",
            "jsdoc",
            "rustdoc",
            "godoc",
        ];
        let starts = is(0, &["document"]) && words.len() <= 6;
        let adds = is(0, &["add", "write", "generate", "create"])
            && words.len() <= 8
            && words.iter().any(|word| documentation.contains(&word.as_str()));
        (starts || adds).then_some(Self::Document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_is_recognised_in_common_words() {
        for words in ["document this", "Add a docstring", "write doc comments for this function"] {
            assert_eq!(Task::of(words), Some(Task::Document), "{words}");
        }
        for task in [Task::Document, Task::Refactor] {
            assert_eq!(Task::of(task.instruction()), Some(task));
        }
        for words in ["add a parameter", "rename document to page", "", "add a print"] {
            assert_eq!(Task::of(words), None, "{words}");
        }
    }
}
