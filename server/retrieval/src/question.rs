use lexical_index::{Query, QueryTerm, Tokens, is_stop_word};

use crate::words;

/// How much two neighbouring words count when code joins them into one identifier.
const JOINED: f32 = 0.6;
/// How much an identifier written as such counts.
const IDENTIFIER: f32 = 2.0;

/// What questions begin with.
const ASKING: [&str; 11] =
    ["how", "what", "where", "which", "who", "why", "when", "does", "is", "are", "can"];

/// What a question asks for, taken apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    /// Terms for the full text.
    pub(crate) query: Query,
    /// For each term whether the question rests on it: neither generic nor made up by us.
    pub(crate) essential: Vec<bool>,
    /// Words that are written as identifiers are: `parse_header`, `HTTPServer`, `a::b`, or in
    /// backticks; or the whole question when it is one or two words.
    pub(crate) identifiers: Vec<String>,
    /// The first word, if it is one of these.
    pub(crate) leading: Option<String>,
    /// Whether it is one or two words: a name rather than prose.
    pub(crate) brief: bool,
    /// Words that look like paths or file names.
    pub(crate) paths: Vec<String>,
    /// Whether it is a question, by its mark or its first word, rather than words or an instruction.
    pub(crate) asked: bool,
    /// Whether it has nothing but identifiers and paths: what is looked up rather than asked.
    pub(crate) names_only: bool,
}

impl Question {
    /// Takes `text` apart. `expand` adds what programmers write for the words.
    pub(crate) fn new(text: &str, expand: bool, tokens: &mut Tokens) -> Self {
        let mut question = Self::default();
        let words: Vec<&str> =
            text.split(|c: char| c.is_whitespace() || ",;?!\"'()[]{}<>".contains(c)).collect();
        let words: Vec<&str> =
            words.into_iter().map(|word| word.trim_matches(['.', ':', '/'])).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let brief = words.len() <= 2;
        question.brief = brief;
        question.asked = text.trim_end().ends_with('?')
            || words.first().is_some_and(|word| ASKING.contains(&word.to_lowercase().as_str()));
        for (number, word) in words.iter().enumerate() {
            let quoted = word.starts_with('`');
            let word = word.trim_matches('`');
            let identifier = quoted || brief || looks_like_identifier(word);
            if looks_like_path(word) {
                question.paths.push(word.to_owned());
            } else if identifier && word.chars().any(char::is_alphanumeric) {
                question.identifiers.push(word.to_owned());
                question.leading =
                    question.leading.or_else(|| (number == 0).then(|| word.to_owned()));
            }
            question.word(word, identifier, expand, tokens);
        }
        question.names_only = question.identifiers.len() + question.paths.len() >= words.len();
        if expand {
            question.joined(&words);
        }
        question
    }

    /// `factor` for a question with identifiers, 1 for another.
    pub(crate) fn if_named(&self, factor: f32) -> f32 {
        if self.identifiers.is_empty() { 1.0 } else { factor }
    }

    fn word(&mut self, word: &str, identifier: bool, expand: bool, tokens: &mut Tokens) {
        let prose = if identifier { 1.0 } else { words::weight(&word.to_lowercase()) };
        let terms = tokens.list(word);
        let whole = terms.len().saturating_sub(1);
        for (number, term) in terms.into_iter().enumerate() {
            let weight = if identifier && number == whole { IDENTIFIER } else { prose };
            let variants = if expand { words::variants(&term) } else { Vec::new() };
            self.term(QueryTerm { text: term, weight, variants }, prose >= 1.0);
        }
    }

    /// `index writer` may be written `IndexWriter`, `index_writer` or `index-writer`.
    fn joined(&mut self, words: &[&str]) {
        let plain: Vec<String> =
            words.iter().map(|word| word.trim_matches('`').to_lowercase()).collect();
        for pair in plain.windows(2) {
            let [first, second] = pair else { continue };
            let word = |word: &str| {
                word.len() > 1 && word.chars().all(char::is_alphabetic) && !is_stop_word(word)
            };
            if !word(first) || !word(second) {
                continue;
            }
            let text = format!("{first}{second}");
            let singular = second.strip_suffix('s').map(|second| (format!("{first}{second}"), 1.0));
            let variants = singular.into_iter().collect();
            self.term(QueryTerm { text, weight: JOINED, variants }, false);
        }
    }

    fn term(&mut self, term: QueryTerm, essential: bool) {
        if let Some(known) = self.query.terms.iter_mut().find(|known| known.text == term.text) {
            known.weight = known.weight.max(term.weight);
            return;
        }
        self.query.terms.push(term);
        self.essential.push(essential);
    }
}

fn looks_like_identifier(word: &str) -> bool {
    let inner_upper = word
        .chars()
        .zip(word.chars().skip(1))
        .any(|(before, now)| before.is_lowercase() && now.is_uppercase());
    let letters = word.chars().any(char::is_alphabetic);
    letters
        && (word.contains('_')
            || word.contains("::")
            || inner_upper
            || word
                .split_once('.')
                .is_some_and(|(head, tail)| !head.is_empty() && !tail.is_empty()))
}

fn looks_like_path(word: &str) -> bool {
    let extension = word.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && (1..=5).contains(&extension.len())
            && extension.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && extension.chars().any(|c| c.is_ascii_lowercase())
    });
    let folder = word.contains('/') && !word.contains("://");
    (folder || extension) && !word.contains("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, identifiers: &[&str], paths: &[&str]) {
        let question = Question::new(text, true, &mut Tokens::new());
        assert_eq!(question.identifiers, identifiers, "identifiers of {text:?}");
        assert_eq!(question.paths, paths, "paths of {text:?}");
    }

    #[test]
    fn identifiers_and_paths_are_told_from_prose() {
        check("Where does `commit` call prepare_commit?", &["commit", "prepare_commit"], &[]);
        check("what is in src/index/mod.rs and README.md", &[], &["src/index/mod.rs", "README.md"]);
        check("How are stale segments merged?", &[], &[]);
        check("IndexWriter", &["IndexWriter"], &[]);
        check("index writer", &["index", "writer"], &[]);
        check("why does HashMap::insert grow", &["HashMap::insert"], &[]);
    }

    #[test]
    fn an_identifier_at_the_beginning_leads() {
        let leading = |text| Question::new(text, true, &mut Tokens::new()).leading;
        assert_eq!(leading("`tailSort` pushes nodes to the end").as_deref(), Some("tailSort"));
        assert_eq!(leading("why does tailSort push nodes"), None);
        assert_eq!(leading("Sorts the tail of a list"), None);
    }

    #[test]
    fn questions_are_told_from_instructions() {
        let asked = |text: &str| Question::new(text, true, &mut Tokens::new()).asked;
        assert!(["Which file holds it", "it holds what? ", "is it held"].map(asked) == [true; 3]);
        assert!(["Hold it in a file", "isolate the writer", ""].map(asked) == [false; 3]);
    }

    #[test]
    fn a_question_is_more_than_names() {
        let names_only = |text: &str| Question::new(text, true, &mut Tokens::new()).names_only;
        assert!(
            ["IndexWriter", "index writer", "a::b src/a.rs c_d", ""].map(names_only) == [true; 4]
        );
        assert!(!names_only("where does index_writer wait"));
    }

    #[test]
    fn neighbours_are_joined_and_generic_words_count_little() {
        let question =
            Question::new("How does the index writer handle segments?", true, &mut Tokens::new());
        let find = |text: &str| question.query.terms.iter().position(|term| term.text == text);
        assert!(find("indexwriter").is_some());
        let handle = find("handl").expect("the word is kept");
        assert!(question.query.terms[handle].weight < 0.5 && !question.essential[handle]);
        let segment = find("segment").expect("the word is kept");
        assert!(question.essential[segment]);
    }
}
