use text::TextRange;

/// Ends a page, before the line break, as `pdftotext` has it.
pub(crate) const PAGE_END: char = '\u{c}';

/// Whether a file is a PDF by its name.
pub fn is_pdf(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("pdf"))
}

/// The pages of a PDF's text, in order and without a gap; empty pages are among them.
pub fn pages(text: &str) -> Vec<TextRange> {
    let mut pages = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(PAGE_END) {
        let end = at + PAGE_END.len_utf8();
        let end = end + usize::from(text[end..].starts_with('\n'));
        pages.push(TextRange::new(start, end));
        start = end;
    }
    if start < text.len() {
        pages.push(TextRange::new(start, text.len()));
    }
    pages
}

/// The page that an offset of a PDF's text is on, counted from one.
pub fn page_at(text: &str, offset: usize) -> u32 {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].matches(PAGE_END).count() as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = pages(text).iter().filter_map(|page| page.slice(text)).collect();
        assert_eq!(found, expected);
        assert_eq!(found.concat(), text, "without a gap");
        for (number, page) in (1..).zip(pages(text)) {
            assert_eq!(page_at(text, page.start), number);
        }
    }

    #[test]
    fn pages_end_with_their_form_feed() {
        check("", &[]);
        check("one\ntwo\u{c}\nthree\u{c}\n", &["one\ntwo\u{c}\n", "three\u{c}\n"]);
        check("\u{c}\n\u{c}\nlast\u{c}\n", &["\u{c}\n", "\u{c}\n", "last\u{c}\n"]);
        check("no end", &["no end"]);
        assert_eq!(page_at("one\u{c}\ntwo\u{c}\n", 100), 3);
    }

    #[test]
    fn a_pdf_is_known_by_its_name() {
        assert!(is_pdf("docs/Manual.PDF") && is_pdf("a.pdf"));
        assert!(!is_pdf("pdf") && !is_pdf("a.pdf.rs"));
    }
}
