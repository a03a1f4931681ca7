//! What must hold for any text, broken or not: chunks cover it, nothing panics, and a tree that was
//! kept up to date says what a new one says.

use base::CancelToken;
use proptest::prelude::*;
use syntax::{
    CHUNK_BYTES, CHUNK_LINES, Chunk, Language, ParseLimits, Syntax, chunks, enclosing, errors,
    is_in_comment_or_string, parse, reparse, symbols,
};

fn parsed(language: Language, text: &str) -> Syntax {
    parse(language, text, &ParseLimits::default(), &CancelToken::new()).expect("a small text")
}

fn check_chunks(text: &str, chunks: &[Chunk]) {
    let mut at = 0;
    for chunk in chunks {
        assert_eq!(chunk.range.start, at, "no gap and no overlap");
        assert!(chunk.range.end > at, "no empty chunk");
        let content = chunk.range.slice(text).expect("cut between characters");
        let one_line = content.trim_end_matches(['\n', '\r']).lines().count() <= 1;
        assert!(content.len() <= CHUNK_BYTES || one_line, "{} bytes", content.len());
        assert!(content.lines().count() <= CHUNK_LINES);
        at = chunk.range.end;
    }
    assert_eq!(at, text.len(), "chunks cover the text");
}

/// Any language but the notebook's, whose pictures are in no chunk.
fn covered() -> impl Strategy<Value = Language> {
    language().prop_filter("chunks cover the text", |language| language.name() != "notebook")
}

/// A language, by its place in the registry.
fn language() -> impl Strategy<Value = Language> {
    (0..Language::all().count()).prop_map(|index| Language::all().nth(index).expect("in range"))
}

/// Something like code: pieces that mean something in one language or another, on long and short
/// lines.
fn code() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "def f(x):",
        "class A:",
        "fn f() {",
        "impl A for B {",
        "func (a *A) F() {",
        "f() {",
        "\"${1:~0}\"",
        "}",
        "{",
        "(",
        ")",
        "// c",
        "# h",
        "/* ",
        "*/",
        "\"",
        "'''",
        "\"\"\"",
        "`${",
        "let x = 1;",
        "int x = 1;",
        "export const a = () => {",
        "struct S {",
        "#define A \\",
        "\n",
        "\n\n",
        "\r\n",
        "    ",
        "\t",
        "é",
        "🦀",
        "a::b",
        "template <typename T>",
        "@x",
        "#[derive(A)]",
        "x = [1, 2]",
        "<div>",
        "---",
        "- a",
        "```",
        "if a:",
        "return 1",
        ";",
        "\u{0}",
        "namespace a {",
        "typedef struct {",
    ]);
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_has_chunks_that_cover_it(language in covered(), text in code()) {
        let syntax = parsed(language, &text);
        check_chunks(&text, &chunks(Some(language), &text, Some(&syntax)));
        check_chunks(&text, &chunks(None, &text, None));
    }

    #[test]
    fn long_texts_are_cut_within_the_limits(lines in prop::collection::vec("[a-zé ]{0,300}", 0..80)) {
        let text = lines.join("\n");
        check_chunks(&text, &chunks(None, &text, None));
        let language = Language::of_name("python").expect("a known language");
        check_chunks(&text, &chunks(Some(language), &text, Some(&parsed(language, &text))));
    }

    #[test]
    fn symbols_lie_in_the_text_and_around_their_names(language in language(), text in code()) {
        let syntax = parsed(language, &text);
        for symbol in symbols(&syntax, &text) {
            prop_assert_eq!(symbol.name_range.slice(&text), Some(symbol.name.as_str()));
            prop_assert!(symbol.range.contains_range(symbol.name_range));
            let around = enclosing(&syntax, &text, symbol.name_range.start);
            prop_assert!(around.contains(&symbol));
        }
        for error in errors(&syntax, &text) {
            prop_assert!(error.range.slice(&text).is_some());
        }
        for offset in 0..=text.len() {
            is_in_comment_or_string(&syntax, &text, offset);
        }
    }

    #[test]
    fn a_tree_kept_up_to_date_equals_a_new_one(
        language in language(),
        text in code(),
        insert in code(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let place = |index: prop::sample::Index| {
            let mut at = index.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (a, b) = (place(from), place(to));
        let after = [&text[..a.min(b)], &insert, &text[a.max(b)..]].concat();
        let before = parsed(language, &text);
        let limits = ParseLimits::default();
        let kept = reparse(&before, &text, &after, &limits, &CancelToken::new())
            .expect("a small text");
        let new = parsed(language, &after);
        // Recovery from errors may differ; what is sound must not.
        if !new.has_errors() {
            prop_assert_eq!(symbols(&kept, &after), symbols(&new, &after));
        }
        check_chunks(&after, &chunks(Some(language), &after, Some(&kept)));
    }
}

#[test]
fn limits_are_kept() {
    use syntax::ParseFailure;
    let language = Language::of_name("c").expect("a known language");
    let check = |text: &str, limits: ParseLimits| {
        parse(language, text, &limits, &CancelToken::new()).expect_err("over a limit")
    };
    let limits = ParseLimits { bytes: 10, ..ParseLimits::default() };
    assert_eq!(check("int x = 1;\n", limits), ParseFailure::TooLarge { bytes: 11, limit: 10 });
    let limits = ParseLimits { line_bytes: 5, ..ParseLimits::default() };
    assert_eq!(check("int\nlong x;\n", limits), ParseFailure::LineTooLong { line: 2, limit: 5 });
    let limits = ParseLimits { time: std::time::Duration::ZERO, ..ParseLimits::default() };
    let long = "int x = 1;\n".repeat(10_000);
    assert_eq!(check(&long, limits), ParseFailure::TimedOut { limit: limits.time });
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let failure = parse(language, &long, &ParseLimits::default(), &cancelled);
    assert_eq!(failure.err(), Some(ParseFailure::Cancelled));
}

#[test]
fn deep_nesting_is_survived() {
    for (name, open) in [("javascript", "["), ("python", "("), ("rust", "{"), ("cpp", "a<")] {
        let language = Language::of_name(name).expect("a known language");
        let text = format!("{open}\n").repeat(10_000);
        let limits = ParseLimits { time: std::time::Duration::from_mins(1), ..Default::default() };
        let syntax = parse(language, &text, &limits, &CancelToken::new()).expect("time enough");
        check_chunks(&text, &chunks(Some(language), &text, Some(&syntax)));
        symbols(&syntax, &text);
        assert!(!errors(&syntax, &text).is_empty());
    }
}
