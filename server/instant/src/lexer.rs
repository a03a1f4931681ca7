//! Splits any text into lexical tokens, without knowing its language.

/// What a line break says of the next line that is not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indent {
    Same,
    Deeper,
    Shallower,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word, a number or an operator.
    Text,
    /// A line break, with the blank lines and the indentation that follow.
    Line(Indent),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    pub kind: Kind,
    /// The text; for a line break the break alone.
    pub text: &'t str,
    /// Blanks before it on its line, at most [`MAX_SPACES`].
    pub spaces: u32,
}

/// Two blanks stand after a full stop or before a comment; more are alignment.
pub(crate) const MAX_SPACES: u32 = 2;

/// Operators of more than one character in any of the common languages, longer ones first.
const OPERATORS: [&str; 46] = [
    "\"\"\"", "'''", "...", "..=", "<<=", ">>=", "===", "!==", "**=", "//=", "///", "//!", "->",
    "=>", "::", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=", "%=", "..", "**", "//",
    "<<", ">>", "++", "--", "/*", "*/", "|=", "&=", "^=", ":=", "?.", "??", "<-", "#!", "#[", "${",
    "|>",
];

/// Whether a character belongs to a word.
pub(crate) fn is_word(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

/// The tokens of `text` in order. Blanks at the start of the text count as its first indentation.
pub(crate) fn tokens(text: &str) -> Tokens<'_> {
    let indent = text.len() - text.trim_start_matches(BLANKS).len();
    Tokens { text, at: indent, indent }
}

const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// The blanks at the start of `text`, as many as count. For [`tokens`] they are its first indentation.
pub(crate) fn blanks_before(text: &str) -> u32 {
    ((text.len() - text.trim_start_matches(BLANKS).len()) as u32).min(MAX_SPACES)
}

pub(crate) struct Tokens<'t> {
    text: &'t str,
    at: usize,
    indent: usize,
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        let text = self.text;
        let rest = text.get(self.at..)?;
        let spaces = rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        let start = self.at + spaces;
        let rest = rest.get(spaces..)?;
        let first = rest.chars().next()?;
        if first == '\n' {
            return Some(self.line_break(start));
        }
        let length = if first.is_ascii_digit() {
            number(rest)
        } else if is_word(first) {
            rest.find(|char| !is_word(char)).unwrap_or(rest.len())
        } else if first.is_ascii() {
            operator(rest)
        } else {
            first.len_utf8()
        };
        self.at = start + length;
        let spaces = (spaces as u32).min(MAX_SPACES);
        Some(Token { kind: Kind::Text, text: rest.get(..length)?, spaces })
    }
}

impl<'t> Tokens<'t> {
    fn line_break(&mut self, start: usize) -> Token<'t> {
        let bytes = self.text.as_bytes();
        let (mut line, mut at) = (start + 1, start + 1);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b' ' | b'\t' | b'\r' => at += 1,
                b'\n' => {
                    at += 1;
                    line = at;
                }
                _ => break,
            }
        }
        let indent = at - line;
        let change = match indent.cmp(&self.indent) {
            std::cmp::Ordering::Less => Indent::Shallower,
            std::cmp::Ordering::Equal => Indent::Same,
            std::cmp::Ordering::Greater => Indent::Deeper,
        };
        self.indent = indent;
        self.at = at;
        Token { kind: Kind::Line(change), text: "\n", spaces: 0 }
    }
}

/// Length of an operator.
fn operator(text: &str) -> usize {
    // Most stand alone; only a run of punctuation is looked up.
    if !text.as_bytes().get(1).is_some_and(u8::is_ascii_punctuation) {
        return 1;
    }
    OPERATORS.iter().find(|operator| text.starts_with(**operator)).map_or(1, |it| it.len())
}

/// Length of a number: digits, letters, and points that a digit follows.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        let point = *byte == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_alphanumeric() || *byte == b'_' || point) {
            break;
        }
        at += 1;
    }
    at
}

/// Whether more characters could make a longer token of `token`.
pub(crate) fn can_grow(token: &str) -> bool {
    token.chars().next_back().is_some_and(is_word)
        || OPERATORS
            .iter()
            .any(|operator| operator.len() > token.len() && operator.starts_with(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let token = |token: Token<'_>| match token.kind {
            Kind::Text => format!("{}{}", "·".repeat(token.spaces as usize), token.text),
            Kind::Line(Indent::Same) => "⏎".into(),
            Kind::Line(Indent::Deeper) => "⏎>".into(),
            Kind::Line(Indent::Shallower) => "⏎<".into(),
        };
        tokens(text).map(token).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_numbers_operators_and_lines() {
        assert_eq!(
            shown("if x_1 >= 0x1f:\n    return a[1.5]..b  # größe\n\n\nelse"),
            "if ·x_1 ·>= ·0x1f : ⏎> return ·a [ 1.5 ] .. b ··# ·größe ⏎< else"
        );
        assert_eq!(shown("  a\n  b\r\n"), "a ⏎ b ⏎<");
        assert_eq!(shown("x = 1..2"), "x ·= ·1 .. 2");
        assert_eq!(shown("→a"), "→ a");
        assert_eq!(shown(""), "");
    }

    #[test]
    fn words_and_beginnings_of_operators_can_grow() {
        assert!(can_grow("na") && can_grow(":") && can_grow("\"\""));
        assert!(!can_grow("(") && !can_grow("::") && !can_grow(")"));
    }
}
