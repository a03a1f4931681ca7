//! Every language against its examples: each `grammars/<language>/tests/<name>` is a source file
//! and beside it `<name>.symbols` lists the definitions that must be found there, `<name>.references`
//! the names that are used (with their lines) and imported, `<name>.chunks` the chunks. Run with `UPDATE_EXPECTED=1` to write the listings anew, and read the difference.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use base::CancelToken;
use syntax::{Language, ParseLimits, chunks, errors, imports, parse, references, symbols};
use text::LineIndex;

/// Compares what is found in `source` with the listings beside it.
fn check(language: Language, source: &Path) -> Vec<String> {
    let text = fs::read_to_string(source).expect("an example is UTF-8");
    let syntax = parse(language, &text, &ParseLimits::default(), &CancelToken::new())
        .expect("an example is small");
    assert_eq!(errors(&syntax, &text), [], "{} fits its grammar", source.display());
    let lines = LineIndex::new(&text);
    let line = |offset: usize| lines.line_of(offset) + 1;

    let mut found = String::new();
    for symbol in symbols(&syntax, &text) {
        let last = line(symbol.range.end.saturating_sub(1).max(symbol.range.start));
        let container = symbol.container.map(|name| format!(" in {name}")).unwrap_or_default();
        let doc = symbol.doc.map(|doc| format!(" | {}", doc.replace('\n', " / ")));
        writeln!(
            found,
            "{}-{last} {} {}{container}\n    {}{}",
            line(symbol.range.start),
            symbol.kind,
            symbol.name,
            symbol.signature,
            doc.unwrap_or_default()
        )
        .expect("writing to a string");
        assert_eq!(symbol.name_range.slice(&text), Some(symbol.name.as_str()));
        assert!(symbol.range.contains_range(symbol.name_range), "{}", symbol.name);
    }
    let mut cut = String::new();
    for chunk in chunks(Some(language), &text, Some(&syntax)) {
        let kind = chunk.kind.map_or("-", |kind| kind.as_str());
        let (first, last) = (line(chunk.range.start), line(chunk.range.end - 1));
        let symbol = chunk.symbol.as_deref().unwrap_or("-");
        writeln!(cut, "{first}-{last} {} bytes {kind} {symbol}", chunk.range.len())
            .expect("writing to a string");
    }
    let mut used: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for reference in references(&syntax, &text) {
        let name = reference.range.slice(&text).expect("references lie in the text");
        let lines = used.entry((reference.kind, name)).or_default();
        lines.push(line(reference.range.start).to_string());
    }
    let mut refers = String::new();
    for import in imports(&syntax, &text) {
        writeln!(refers, "import {} {}", import.path, import.names.join(" ").trim_end())
            .expect("writing to a string");
    }
    let refers = refers.replace(" \n", "\n");
    let used = used.iter().fold(refers, |mut listing, ((kind, name), lines)| {
        writeln!(listing, "{kind} {name} {}", lines.join(" ")).expect("writing to a string");
        listing
    });
    [("symbols", found), ("references", used), ("chunks", cut)]
        .into_iter()
        .filter_map(|(kind, listing)| compare(source, kind, &listing))
        .collect()
}

/// What differs from the listing beside the source, if it is there or has to be.
fn compare(source: &Path, kind: &str, listing: &str) -> Option<String> {
    let expected = source.with_extension(kind);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&expected, listing).expect("the listing can be written");
        return None;
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    (wanted != listing).then(|| {
        let difference = text::unified_diff(
            &source.file_name().unwrap_or_default().to_string_lossy(),
            &wanted,
            listing,
        );
        format!("{difference}\n(UPDATE_EXPECTED=1 writes the listing anew)")
    })
}

#[test]
fn examples_have_the_listed_symbols_references_and_chunks() {
    let grammars = Path::new("../../grammars");
    let mut differences = Vec::new();
    for language in Language::all() {
        let folder = grammars.join(language.name()).join("tests");
        let mut sources: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| {
                let listing = |end: &str| matches!(end, "symbols" | "references" | "chunks");
                !path.extension().is_some_and(|end| listing(&end.to_string_lossy()))
            })
            .collect();
        sources.sort();
        assert!(!sources.is_empty(), "{} has an example", language.name());
        for source in sources {
            differences.extend(check(language, &source));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
