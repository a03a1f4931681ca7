//! Mentions that are written in a message.

use std::borrow::Cow;

use crate::{ChatRequest, Mention};

const DOCS: &str = "@docs";

/// The request with `@docs` as a mention where the message has it as a word, which is then not asked for.
pub(crate) fn with_typed(request: &ChatRequest) -> Cow<'_, ChatRequest> {
    let Some(message) = without_docs(&request.message) else { return Cow::Borrowed(request) };
    // A message of nothing else asks what there is.
    let message = if message.trim().is_empty() { "documentation".to_owned() } else { message };
    let mut request = ChatRequest { message, ..request.clone() };
    if !request.mentions.contains(&Mention::Docs) {
        request.mentions.push(Mention::Docs);
    }
    Cow::Owned(request)
}

/// `message` without the words `@docs`; `None` when it has none.
fn without_docs(message: &str) -> Option<String> {
    let mut rest = String::with_capacity(message.len());
    let mut start = 0;
    for (at, found) in message.match_indices(DOCS) {
        let before = message[..at].chars().next_back();
        let mut after = message[at + found.len()..].chars();
        let (next, second) = (after.next(), after.next());
        let begins = before.is_none_or(|ch| ch.is_whitespace() || ch == '(');
        // A full stop ends a sentence, not the name of a file.
        let goes_on = |ch: char| ch.is_alphanumeric() || matches!(ch, '_' | '-' | '/' | '@');
        let ends = match next {
            Some('.') => second.is_none_or(|ch| !goes_on(ch)),
            next => next.is_none_or(|ch| !goes_on(ch)),
        };
        if begins && ends {
            rest.push_str(message[start..at].trim_end_matches(' '));
            start = at + found.len();
        }
    }
    (start > 0).then(|| rest + &message[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: Option<&str>) {
        let request = ChatRequest { message: message.into(), ..ChatRequest::default() };
        let found = with_typed(&request);
        assert_eq!(found.mentions.contains(&Mention::Docs), expected.is_some(), "{message}");
        assert_eq!(found.message.trim(), expected.unwrap_or(message), "{message}");
    }

    #[test]
    fn docs_is_taken_out_where_it_is_a_word() {
        check("@docs how are limits set?", Some("how are limits set?"));
        check("how are limits set, (@docs)", Some("how are limits set, ()"));
        check("limits in @docs. Which?", Some("limits in. Which?"));
        check("@docs", Some("documentation"));
        check("why is @docs/guide.md empty?", None);
        check("me@docs", None);
        check("@docstring parser", None);
        check("@docs.rs?", None);
        check("docs", None);
    }

    #[test]
    fn a_mention_that_is_there_is_kept_once() {
        let mentions = vec![Mention::Docs];
        let request = ChatRequest { message: "@docs x".into(), mentions, ..ChatRequest::default() };
        assert_eq!(with_typed(&request).mentions, [Mention::Docs]);
    }
}
