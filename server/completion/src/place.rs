use syntax::Language;

/// The cursor's surroundings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Everything before the cursor.
    pub before: &'a str,
    /// Everything after the cursor.
    pub after: &'a str,
    /// The cursor's line up to the cursor.
    pub line: &'a str,
    /// The rest of the cursor's line, without white space at its end.
    pub rest: &'a str,
    pub language: Option<Language>,
}

impl<'a> Place<'a> {
    /// The surroundings of `offset`, which is moved back to a character's border and the text's end.
    pub(crate) fn new(path: &str, text: &'a str, offset: usize) -> Self {
        let (before, after) = text.split_at(text.floor_char_boundary(offset));
        Self {
            before,
            after,
            line: before.rsplit('\n').next().unwrap_or_default(),
            rest: after.lines().next().unwrap_or_default().trim_end(),
            language: Language::of_path(path),
        }
    }

    /// The nearest line above the cursor's that is not blank.
    pub(crate) fn line_above(&self) -> Option<&'a str> {
        let above = self.before.strip_suffix(self.line)?;
        above.lines().rev().find(|line| !line.trim().is_empty())
    }

    /// The lines below the cursor's that are not blank.
    pub(crate) fn lines_below(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.after.lines().skip(1).filter(|line| !line.trim().is_empty())
    }

    /// Whether the rest of the line is nothing, or closes what is open: brackets, quotes, separators.
    pub(crate) fn rest_is_closing(&self) -> bool {
        self.rest.chars().all(|char| {
            matches!(char, ')' | ']' | '}' | '>' | '"' | '\'' | '`' | ',' | ';' | ':' | ' ')
        })
    }

    /// Whether a block begins here: the cursor stands on an empty line below one that opens a block, or
    /// right after the opening.
    pub(crate) fn opens_block(&self) -> bool {
        let opens = |line: &str| line.trim_end().ends_with(['{', ':', '(', '[']);
        if self.line.trim().is_empty() {
            self.line_above().is_some_and(opens)
        } else {
            opens(self.line)
        }
    }
}

/// Whether a character belongs to a word.
pub(crate) fn is_word(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}
