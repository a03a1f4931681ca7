use serde::{Deserialize, Serialize};

/// How the lines of a text end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LineEnding {
    /// `\n`.
    #[default]
    Lf,
    /// `\r\n`.
    CrLf,
}

impl LineEnding {
    /// The more frequent one of `text`; `\n` for a text without line breaks or with as many of both.
    pub fn of(text: &str) -> Self {
        let breaks = text.bytes().filter(|byte| *byte == b'\n').count();
        let pairs = text.matches("\r\n").count();
        if pairs * 2 > breaks { Self::CrLf } else { Self::Lf }
    }

    /// The one that every line of `text` has; `None` when it has no line break or both kinds.
    pub fn only_one_of(text: &str) -> Option<Self> {
        let breaks = text.bytes().filter(|byte| *byte == b'\n').count();
        let pairs = text.matches("\r\n").count();
        match (breaks, pairs) {
            (0, _) => None,
            (_, 0) => Some(Self::Lf),
            _ if breaks == pairs => Some(Self::CrLf),
            _ => None,
        }
    }

    /// Its characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
        }
    }

    /// `text` with this ending on every line. A lone `\r` stays what it is.
    pub fn apply(self, text: &str) -> String {
        let plain = text.replace("\r\n", "\n");
        match self {
            Self::Lf => plain,
            Self::CrLf => plain.replace('\n', "\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_frequent_ending_wins_and_a_mixture_has_no_single_one() {
        assert_eq!(LineEnding::of("a\r\nb\r\nc\n"), LineEnding::CrLf);
        assert_eq!(LineEnding::of("a\nb\r\n"), LineEnding::Lf);
        assert_eq!(LineEnding::only_one_of("a\nb\r\n"), None);
        assert_eq!(LineEnding::only_one_of("a\r\nb"), Some(LineEnding::CrLf));
        assert_eq!(LineEnding::only_one_of("a"), None);
    }

    #[test]
    fn applying_an_ending_twice_changes_nothing_more() {
        let once = LineEnding::CrLf.apply("a\nb\r\nc");
        assert_eq!(once, "a\r\nb\r\nc");
        assert_eq!(LineEnding::CrLf.apply(&once), once);
        assert_eq!(LineEnding::Lf.apply(&once), "a\nb\nc");
    }
}
