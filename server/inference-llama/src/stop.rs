/// Ends text before the first of some strings, which may come in parts: text that may be the
/// beginning of one is held back until that is known.
pub struct StopFilter {
    stops: Vec<String>,
    held: String,
}

impl StopFilter {
    /// Empty strings stop nothing.
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new() }
    }

    /// Takes more text: what can be shown now, and whether a stop string followed it.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let first = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(start) = first {
            self.held.truncate(start);
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.held.split_off(self.safe());
        (std::mem::replace(&mut self.held, keep), false)
    }

    /// What was held back, once no more text comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Length of the longest beginning that is part of no stop string to come.
    fn safe(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        let from = self.held.ceil_char_boundary(from);
        let tail = self.held.get(from..).unwrap_or_default();
        let begins = |at: usize| {
            let end = tail.get(at..).unwrap_or_default();
            self.stops.iter().any(|stop| stop.starts_with(end))
        };
        tail.char_indices()
            .map(|(at, _)| at)
            .find(|at| begins(*at))
            .map_or(self.held.len(), |at| from + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces go in one by one; `|` marks in `expected` where each call's text ends.
    fn check(stops: &[&str], pieces: &[&str], expected: &str) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut filter = StopFilter::new(&stops);
        let mut shown = String::new();
        for piece in pieces {
            let (text, stopped) = filter.push(piece);
            shown += &text;
            shown += "|";
            if stopped {
                shown += "STOP";
                break;
            }
        }
        shown += &filter.finish();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_stop_string_may_be_spread_over_tokens() {
        check(&["\n\n"], &["a", "\n", "\n", "b"], "a|||STOP");
        check(&["</s>"], &["x<", "/", "s", ">y"], "x||||STOP");
    }

    #[test]
    fn what_only_looked_like_the_beginning_is_shown() {
        check(&["</s>"], &["x<", "/b>"], "x|</b>|");
        check(&["aab"], &["aa", "aab"], "|aa|STOP");
        check(&["</s>"], &["x<"], "x|<");
    }

    #[test]
    fn the_first_of_several_counts() {
        check(&["c", "b"], &["abc"], "a|STOP");
        check(&[""], &["abc"], "abc|");
    }

    #[test]
    fn characters_stay_whole() {
        check(&["€€"], &["ü€", "ü"], "ü|€ü|");
    }
}
