//! The words of a question that matter, and how much of them a text covers.

use std::collections::HashSet;

use crate::ChatRequest;

/// Words that say nothing about where an answer is.
const STOP_WORDS: &[&str] = &[
    "a", "about", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been", "between",
    "but", "by", "can", "could", "did", "do", "does", "done", "each", "every", "explain", "find",
    "first", "for", "from", "get", "give", "has", "have", "here", "how", "i", "if", "in", "into",
    "is", "it", "its", "just", "kind", "know", "let", "like", "list", "look", "made", "main",
    "make", "many", "me", "mean", "means", "my", "need", "new", "no", "not", "of", "on", "one",
    "only", "or", "other", "our", "out", "please", "say", "see", "should", "show", "so", "some",
    "such", "take", "tell", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "thing", "this", "those", "to", "under", "up", "us", "use", "used", "uses", "using",
    "very", "want", "was", "way", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "work", "works", "would", "you", "your",
];

/// Words that any code has something of.
const GENERIC_WORDS: &[&str] = &[
    "class",
    "code",
    "codebase",
    "defined",
    "definition",
    "file",
    "files",
    "folder",
    "function",
    "functions",
    "handle",
    "handled",
    "happen",
    "happens",
    "implement",
    "implementation",
    "implemented",
    "method",
    "methods",
    "module",
    "place",
    "project",
    "repo",
    "repository",
    "set",
    "source",
    "struct",
    "test",
    "tests",
    "type",
    "types",
    "value",
    "values",
    "workspace",
];

/// Words for everything that is there.
const WHOLE_WORDS: &[&str] = &[
    "app",
    "application",
    "architecture",
    "codebase",
    "crate",
    "library",
    "overview",
    "package",
    "program",
    "project",
    "repo",
    "repository",
    "workspace",
];

/// What one asks about everything that is there.
const OVERVIEW_WORDS: &[&str] = &[
    "begin",
    "big",
    "built",
    "central",
    "components",
    "consist",
    "consists",
    "describe",
    "design",
    "designed",
    "entire",
    "entry",
    "folders",
    "general",
    "important",
    "key",
    "laid",
    "layout",
    "modules",
    "most",
    "organisation",
    "organised",
    "organization",
    "organized",
    "parts",
    "picture",
    "pieces",
    "point",
    "points",
    "purpose",
    "read",
    "reading",
    "start",
    "structure",
    "structured",
    "summarise",
    "summarize",
    "summary",
    "together",
    "understand",
    "whole",
];

/// Whether a question is about the workspace as a whole and about nothing in it.
pub(crate) fn is_about_workspace(message: &str) -> bool {
    let mut names_it = false;
    for token in message.split(|ch: char| !(ch.is_alphanumeric() || ch == '_')) {
        let lower = token.to_lowercase();
        let word = lower.as_str();
        if WHOLE_WORDS.contains(&word) {
            names_it = true;
        } else if token.chars().count() >= 2
            && ![STOP_WORDS, GENERIC_WORDS, OVERVIEW_WORDS]
                .iter()
                .any(|words| words.contains(&word))
        {
            return false;
        }
    }
    names_it
}

/// The words of a question, with their weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Terms {
    words: Vec<(String, f32)>,
    /// What retrieval is asked.
    pub(crate) query: String,
}

impl Terms {
    /// The words of a request. A follow-up that says little by itself takes the last question's
    /// words along.
    pub(crate) fn of_question(request: &ChatRequest) -> Self {
        let message = request.message.trim();
        let own = Self::of(message);
        match request.history.last() {
            Some(last) if own.words.len() < 2 => {
                Self::of(&format!("{message}\n{}", last.question.trim()))
            }
            _ => own,
        }
    }

    /// The words of a text.
    pub(crate) fn of(text: &str) -> Self {
        let mut words: Vec<(String, f32)> = Vec::new();
        for token in text.split(|ch: char| !(ch.is_alphanumeric() || ch == '_')) {
            let lower = token.to_lowercase();
            if token.chars().count() < 2 || STOP_WORDS.contains(&lower.as_str()) {
                continue;
            }
            let parts = parts(token);
            let weight = if GENERIC_WORDS.contains(&lower.as_str()) {
                0.2
            } else if parts.len() > 1 {
                // Somebody who writes an identifier means it.
                2.0
            } else {
                1.0
            };
            let share = weight / parts.len() as f32;
            for part in parts {
                let stem = stem(&part);
                if !words.iter().any(|(known, _)| *known == stem) {
                    words.push((stem, share));
                }
            }
        }
        Self { words, query: text.to_owned() }
    }

    /// Whether the question says nothing to search for.
    pub(crate) fn is_vague(&self) -> bool {
        self.words.iter().map(|(_, weight)| weight).sum::<f32>() < 0.5
    }

    /// The share of the question's weight whose words stand in `text`, from 0 to 1.
    pub(crate) fn coverage(&self, text: &str) -> f32 {
        let total: f32 = self.words.iter().map(|(_, weight)| weight).sum();
        if total == 0.0 {
            return 0.0;
        }
        let stems = stems(text);
        let found = self.words.iter().filter(|(word, _)| is_in(word, &stems));
        found.map(|(_, weight)| weight).sum::<f32>() / total
    }

    /// The number of the question's words in one line.
    pub(crate) fn hits_in(&self, line: &str) -> usize {
        let stems = stems(line);
        self.words.iter().filter(|(word, weight)| *weight >= 0.5 && is_in(word, &stems)).count()
    }
}

/// Whether a word, or one that begins like it, is among `stems`.
fn is_in(word: &str, stems: &HashSet<String>) -> bool {
    const SAME_BEGINNING: usize = 5;
    stems.contains(word)
        || (word.len() >= SAME_BEGINNING
            && stems.iter().any(|stem| {
                stem.len() >= SAME_BEGINNING
                    && (stem.starts_with(word) || word.starts_with(stem.as_str()))
            }))
}

/// The stems of all words and parts of identifiers in `text`.
fn stems(text: &str) -> HashSet<String> {
    text.split(|ch: char| !(ch.is_alphanumeric() || ch == '_'))
        .flat_map(parts)
        .map(|part| stem(&part))
        .collect()
}

/// The words that an identifier is made of, in lower case.
fn parts(token: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut previous: Option<char> = None;
    let mut letters = token.chars().peekable();
    while let Some(ch) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|next| next.is_lowercase());
        let begins = match previous {
            None | Some('_') => true,
            Some(last) => {
                ch.is_uppercase() && (last.is_lowercase() || (last.is_uppercase() && next_is_lower))
                    || ch.is_numeric() != last.is_numeric()
            }
        };
        previous = Some(ch);
        if ch == '_' {
            continue;
        }
        if begins || parts.is_empty() {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut() {
            last.extend(ch.to_lowercase());
        }
    }
    parts
}

/// A word without its English ending. Rough, but the same on both sides.
fn stem(word: &str) -> String {
    let mut stem = word;
    for (ending, least) in [
        ("ization", 5),
        ("ations", 4),
        ("ation", 4),
        ("ings", 4),
        ("ing", 4),
        ("ments", 4),
        ("ment", 4),
        ("izers", 3),
        ("izer", 3),
        ("izes", 3),
        ("ized", 3),
        ("ize", 3),
        ("ers", 4),
        ("ies", 3),
        ("er", 4),
        ("es", 4),
        ("ed", 4),
        ("s", 3),
        ("e", 4),
        ("y", 4),
    ] {
        if let Some(rest) = stem.strip_suffix(ending)
            && rest.chars().count() >= least
            && !(ending == "s" && rest.ends_with('s'))
        {
            stem = rest;
            break;
        }
    }
    // `indexing` and `index`, `merging` and `merge`, `splitting` and `split`.
    let stem = stem.strip_suffix('e').filter(|rest| rest.len() >= 4).unwrap_or(stem);
    let mut letters = stem.chars().rev();
    match (letters.next(), letters.next()) {
        (Some(last), Some(before))
            if last == before && stem.len() > 4 && !"aeiouls".contains(last) =>
        {
            stem.strip_suffix(last).unwrap_or(stem).to_owned()
        }
        _ => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_split() {
        let check = |token: &str, expected: &[&str]| assert_eq!(parts(token), expected);
        check("parseHTTPRequest", &["parse", "http", "request"]);
        check("segment_reader2", &["segment", "reader", "2"]);
        check("_x", &["x"]);
        check("", &[]);
    }

    #[test]
    fn words_meet_their_other_forms() {
        for (word, other) in [
            ("merging", "merges"),
            ("tokenizer", "tokenized"),
            ("splitting", "split"),
            ("queries", "query"),
            ("indexing", "index"),
        ] {
            assert_eq!(stem(word), stem(other), "{word} {other}");
        }
    }

    #[test]
    fn coverage_counts_what_matters() {
        let terms = Terms::of("How does the MergePolicy choose segments?");
        let full = terms.coverage("struct LogMergePolicy; fn choose(segment_ids)");
        let half = terms.coverage("fn merge_policy() {}");
        let none = terms.coverage("fn main() { how_does_the() }");
        assert!((full - 1.0).abs() < 1e-6, "{full}");
        assert!(half > none && full > half);
        assert!(none.abs() < 1e-6, "{none}");
        assert!(Terms::of("Explain what this code does.").is_vague());
    }

    #[test]
    fn questions_about_the_whole_workspace_are_told_from_others() {
        for question in [
            "What does this project do?",
            "How is the codebase organised?",
            "Give me an overview.",
            "Explain the architecture of this repository",
            "What are the most important files in this workspace?",
            "Where should I start reading this project?",
        ] {
            assert!(is_about_workspace(question), "{question}");
        }
        for question in [
            "What does this code do?",
            "Where are the tests?",
            "How does the project parse headers?",
            "Explain the architecture of the lexer",
            "Which package sends mail?",
            "",
        ] {
            assert!(!is_about_workspace(question), "{question}");
        }
    }

    #[test]
    fn no_question_of_the_evaluation_is_about_everything() {
        let mut count = 0;
        for file in ["questions", "development"] {
            let path = format!("../../tests/eval/retrieval/{file}.toml");
            let text = std::fs::read_to_string(path).expect("the questions are there");
            for line in text.lines().filter(|line| line.contains('"')) {
                let question = line.split('"').nth(1).unwrap_or_default();
                assert!(!is_about_workspace(question), "{question}");
                count += 1;
            }
        }
        assert!(count > 30, "{count}");
    }

    #[test]
    fn a_short_follow_up_takes_the_last_question_along() {
        let turn = crate::Turn { question: "Where is the lexer?".into(), answer: String::new() };
        let request = ChatRequest {
            message: "and why?".into(),
            history: vec![turn],
            ..ChatRequest::default()
        };
        assert!(Terms::of_question(&request).query.contains("lexer"));
    }
}
