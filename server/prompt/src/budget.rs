/// Bytes of source code per token, on the low side: code in the vocabularies of the families here
/// has 3.2 to 4.
const BYTES_PER_TOKEN: f32 = 3.2;

/// How many tokens `text` will have at most, roughly. For budgets that need no exact count.
pub fn estimate_tokens(text: &str) -> usize {
    estimate_tokens_of(text.len())
}

/// How many tokens a text of so many bytes will have at most, roughly.
pub fn estimate_tokens_of(bytes: usize) -> usize {
    (bytes as f32 / BYTES_PER_TOKEN).ceil() as usize
}

/// How many tokens a prompt may have, and how they are counted.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// Upper bound for the whole prompt.
    pub tokens: usize,
    /// Counts the tokens of a text.
    pub count: &'a dyn Fn(&str) -> usize,
}

impl Budget<'_> {
    /// A budget whose tokens are estimated from the number of bytes.
    pub fn estimated(tokens: usize) -> Self {
        Self { tokens, count: &estimate_tokens }
    }

    /// A part of the budget, in percent.
    #[must_use]
    pub fn share(self, percent: usize) -> Self {
        Self { tokens: self.tokens * percent / 100, ..self }
    }

    /// What is left after `text`.
    #[must_use]
    pub fn less(self, text: &str) -> Self {
        Self { tokens: self.tokens.saturating_sub((self.count)(text)), ..self }
    }

    /// Whether `text` fits.
    pub fn holds(self, text: &str) -> bool {
        (self.count)(text) <= self.tokens
    }
}

/// Lines by which [`keep_end`] moves its start, so that a growing text keeps the same start for many
/// keystrokes and the model's cached state stays valid.
const STEP: usize = 16;

/// The end of `text` that fits, from the beginning of a line. Lines are dropped in steps of 16 counted
/// from the start of the text, so the cut rarely moves as the text grows at its end.
pub fn keep_end<'t>(text: &'t str, budget: Budget<'_>) -> &'t str {
    if budget.holds(text) {
        return text;
    }
    let starts = line_starts(text);
    let steps: Vec<usize> = starts.iter().copied().step_by(STEP).collect();
    let fits = |start: &usize| budget.holds(text.get(*start..).unwrap_or_default());
    let step = steps.partition_point(|start| !fits(start));
    if let Some(kept) = steps.get(step).and_then(|start| text.get(*start..)) {
        return kept;
    }
    // Fewer than 16 lines fit: as many as do.
    let start = starts.partition_point(|start| !fits(start));
    starts.get(start).and_then(|start| text.get(*start..)).unwrap_or_default()
}

/// The beginning of `text` that fits, to the end of a line.
pub fn keep_start<'t>(text: &'t str, budget: Budget<'_>) -> &'t str {
    if budget.holds(text) {
        return text;
    }
    let starts = line_starts(text);
    let fits = |end: &usize| budget.holds(text.get(..*end).unwrap_or_default());
    let end = starts.partition_point(fits);
    end.checked_sub(1)
        .and_then(|index| starts.get(index))
        .and_then(|end| text.get(..*end))
        .unwrap_or_default()
}

/// Offsets at which lines begin; a text that ends with a line break has no last empty line.
fn line_starts(text: &str) -> Vec<usize> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let this = start;
            start += line.len();
            this
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(range: std::ops::Range<usize>) -> String {
        use std::fmt::Write as _;
        range.fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "line {line}");
            text
        })
    }

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn the_kept_end_starts_at_a_step_and_stays_there_while_the_text_grows() {
        let budget = Budget { tokens: 100, count: &words };
        let text = lines(0..90);
        assert_eq!(keep_end(&text, budget), lines(48..90));
        assert_eq!(keep_end(&format!("{text}typed"), budget), format!("{}typed", lines(48..90)));
        assert_eq!(keep_end(&lines(0..5), budget), lines(0..5));
    }

    #[test]
    fn fewer_lines_than_a_step_are_cut_line_by_line() {
        let budget = Budget { tokens: 6, count: &words };
        assert_eq!(keep_end(&lines(0..40), budget), lines(37..40));
        assert_eq!(keep_start(&lines(0..40), budget), lines(0..3));
        assert_eq!(keep_end("one line that is far too long to fit", budget), "");
        assert_eq!(keep_start("one line that is far too long to fit", budget), "");
    }
}
