//! The selection's indentation: taken off before a model sees the lines, put back afterwards.

/// The white space that all lines with content begin with.
pub(crate) fn common<'a>(lines: impl Iterator<Item = &'a str>) -> &'a str {
    let mut common: Option<&str> = None;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let own = leading(line);
        let shared = common.map_or(own, |common| {
            let length = common.bytes().zip(own.bytes()).take_while(|(a, b)| a == b).count();
            common.get(..length).unwrap_or_default()
        });
        common = Some(shared);
    }
    common.unwrap_or_default()
}

/// Takes `indent` off a line that begins with it; a blank line becomes empty.
pub(crate) fn without<'a>(line: &'a str, indent: &str) -> &'a str {
    if line.trim().is_empty() { "" } else { line.strip_prefix(indent).unwrap_or(line) }
}

/// The model's lines at the place of the selection: whatever they are indented by in common is
/// replaced by `indent`, and deeper levels use the character that the selection uses.
pub(crate) fn place(lines: &[&str], indent: &str, style: Style) -> Vec<String> {
    let own = common(lines.iter().copied());
    let unit = unit(lines.iter().map(|line| without(line, own)));
    lines
        .iter()
        .map(|line| {
            let line = without(line.trim_end(), own);
            if line.is_empty() {
                return String::new();
            }
            let depth = leading(line);
            let rest = line.get(depth.len()..).unwrap_or_default();
            let depth = match style {
                Style::Tabs if !depth.contains('\t') => {
                    let unit = unit.unwrap_or(4);
                    "\t".repeat(depth.len() / unit) + &" ".repeat(depth.len() % unit)
                }
                Style::Spaces(width) => depth.replace('\t', &" ".repeat(width)),
                _ => depth.to_owned(),
            };
            format!("{indent}{depth}{rest}")
        })
        .collect()
}

/// What a text indents with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Tabs.
    Tabs,
    /// So many spaces a level.
    Spaces(usize),
    /// It indents nothing, or with both.
    Unknown,
}

impl Style {
    /// What `text` indents with.
    pub(crate) fn of(text: &str) -> Self {
        let indented = || text.lines().filter(|line| !line.trim().is_empty()).map(leading);
        let tabs = indented().filter(|indent| indent.contains('\t')).count();
        let spaces = indented().filter(|indent| indent.contains(' ')).count();
        match (tabs, spaces) {
            (0, 0) => Self::Unknown,
            (_, 0) => Self::Tabs,
            (0, _) => unit(text.lines()).map_or(Self::Unknown, Self::Spaces),
            _ => Self::Unknown,
        }
    }
}

/// The smallest indentation by spaces, between 2 and 8.
fn unit<'a>(lines: impl Iterator<Item = &'a str>) -> Option<usize> {
    lines
        .filter(|line| !line.trim().is_empty() && line.starts_with(' '))
        .map(|line| leading(line).len())
        .filter(|width| (2..=8).contains(width))
        .min()
}

/// The white space at the beginning of a line.
pub(crate) fn leading(line: &str) -> &str {
    line.get(..line.len() - line.trim_start().len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_at_the_depth_of_the_selection() {
        let placed = place(&["if a:", "    b()", "", "c()"], "\t", Style::Tabs);
        assert_eq!(placed, ["\tif a:", "\t\tb()", "", "\tc()"]);
        let placed = place(&["    if a:", "    \tb()"], "  ", Style::Spaces(2));
        assert_eq!(placed, ["  if a:", "    b()"]);
    }

    #[test]
    fn the_common_indentation_ignores_blank_lines() {
        assert_eq!(common("    a\n\n      b\n".lines()), "    ");
        assert_eq!(common("\ta\n    b\n".lines()), "");
        assert_eq!(common("\n".lines()), "");
    }

    #[test]
    fn the_style_is_told_from_the_lines() {
        assert_eq!(Style::of("a\n\tb\n"), Style::Tabs);
        assert_eq!(Style::of("a\n  b\n    c\n"), Style::Spaces(2));
        assert_eq!(Style::of("a\n"), Style::Unknown);
    }
}
