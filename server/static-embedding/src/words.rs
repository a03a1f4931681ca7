use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Calls `sink` with each word of `text`, lower-case and without accents: runs of letters and
/// digits, cut where identifiers join words (`parseHTTPHeader2` is `parse http header 2`).
/// `word` is overwritten.
pub(crate) fn each(text: &str, word: &mut String, mut sink: impl FnMut(&str)) {
    let mut rest = text;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        let run = rest.get(start..).unwrap_or_default();
        let end = run.find(|c: char| !c.is_alphanumeric() && !is_combining_mark(c));
        let end = end.unwrap_or(run.len());
        let (run, after) = run.split_at(end);
        rest = after;
        let mut from = 0;
        let mut before: Option<char> = None;
        let mut chars = run.char_indices().peekable();
        while let Some((at, now)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if before.is_some_and(|before| is_boundary(before, now, next)) {
                normalise(run.get(from..at).unwrap_or_default(), word);
                sink(word);
                from = at;
            }
            before = Some(now);
        }
        normalise(run.get(from..).unwrap_or_default(), word);
        sink(word);
    }
}

/// Whether a word begins at `now`.
fn is_boundary(before: char, now: char, next: Option<char>) -> bool {
    if before.is_numeric() != now.is_numeric() {
        return true;
    }
    now.is_uppercase()
        && (before.is_lowercase() || before.is_uppercase() && next.is_some_and(char::is_lowercase))
}

fn normalise(piece: &str, word: &mut String) {
    word.clear();
    if piece.is_ascii() {
        word.push_str(piece);
        word.make_ascii_lowercase();
    } else {
        word.extend(piece.to_lowercase().nfd().filter(|c| !is_combining_mark(*c)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut words = Vec::new();
        each(text, &mut String::new(), |word| words.push(word.to_owned()));
        assert_eq!(words, expected, "of {text:?}");
    }

    #[test]
    fn identifiers_are_cut_where_words_meet() {
        check("parse_HTTPHeader2(x)", &["parse", "http", "header", "2", "x"]);
        check("utf8 sha256sum IOError", &["utf", "8", "sha", "256", "sum", "io", "error"]);
        check("getURL ABC aB", &["get", "url", "abc", "a", "b"]);
    }

    #[test]
    fn accents_go_and_scripts_stay() {
        check("Übergröße café ЁЛКА", &["ubergroße", "cafe", "елка"]);
        check("", &[]);
        check("--- \u{301}", &[]);
        check("cafe\u{301}s", &["cafes"]);
    }
}
