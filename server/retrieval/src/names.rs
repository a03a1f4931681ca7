/// A name without case and separators: `tree_sitter`, `treeSitter` and `Tree-Sitter` are one.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Splits `Type::method`, `module.function` or `Type#method` into what it stands in and its name.
pub(crate) fn qualified(name: &str) -> (Option<&str>, &str) {
    let name = name.trim_end_matches("()");
    let cut = ["::", "#", ".", "/"]
        .iter()
        .filter_map(|separator| name.rfind(separator).map(|at| (at, at + separator.len())))
        .max_by_key(|(_, end)| *end);
    match cut {
        Some((at, end)) if at > 0 && end < name.len() => (name.get(..at), &name[end..]),
        _ => (None, name),
    }
}

/// Whether one edit (a letter changed, added, left out, or two swapped) leads from `a` to `b`.
pub(crate) fn one_edit_apart(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    let same = short.iter().zip(long.iter()).take_while(|(a, b)| a == b).count();
    let (short, long) = (&short[same..], &long[same..]);
    match long.len() - short.len() {
        0 => {
            let after = short.len().min(1);
            let swapped = short.len() >= 2
                && short[0] == long[1]
                && short[1] == long[0]
                && short[2..] == long[2..];
            short[after..] == long[after..] || swapped
        }
        1 => *short == long[1..],
        _ => false,
    }
}

/// Whether a path is that of a test, a benchmark, an example or a list of changes: rarely what a
/// question is about, unless it says so.
pub(crate) fn is_beside_the_point(path: &str) -> bool {
    let lower = path.to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    let stem = name.split('.').next().unwrap_or(name);
    let folder = lower.split('/').rev().skip(1).any(|folder| {
        matches!(
            folder,
            "test"
                | "tests"
                | "__tests__"
                | "testing"
                | "testdata"
                | "fixtures"
                | "bench"
                | "benches"
                | "benchmarks"
                | "example"
                | "examples"
                | "vendor"
                | "third_party"
        )
    });
    folder
        || stem == "tests"
        || stem == "test"
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || name.contains(".test.")
        || name.contains(".spec.")
        || matches!(stem, "changelog" | "changes" | "history" | "releases" | "news")
}

/// Whether a definition is a test beside the code that it tests.
pub(crate) fn is_test(symbol: Option<&str>, container: Option<&str>) -> bool {
    let inner = container.is_some_and(|container| {
        container.split(['.', ':', '/']).any(|part| matches!(part, "test" | "tests"))
    });
    inner
        || symbol.is_some_and(|symbol| {
            matches!(symbol, "test" | "tests")
                || symbol.starts_with("test_")
                || symbol.ends_with("_test")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names_are_split_at_the_last_separator() {
        assert_eq!(qualified("a::B::c"), (Some("a::B"), "c"));
        assert_eq!(qualified("List.map()"), (Some("List"), "map"));
        assert_eq!(qualified("plain"), (None, "plain"));
        assert_eq!(qualified("::x"), (None, "::x"));
    }

    #[test]
    fn one_edit_is_told_from_two() {
        for (a, b) in [("write", "wriet"), ("write", "writ"), ("write", "writer"), ("a", "b")] {
            assert!(one_edit_apart(a, b) && one_edit_apart(b, a), "{a} {b}");
        }
        for (a, b) in [("write", "wr"), ("write", "reads"), ("write", "wtire1")] {
            assert!(!one_edit_apart(a, b) && !one_edit_apart(b, a), "{a} {b}");
        }
    }

    #[test]
    fn tests_and_changelogs_are_known_by_their_path() {
        for path in ["tests/a.rs", "src/parser_test.go", "a/b.spec.ts", "CHANGELOG.md"] {
            assert!(is_beside_the_point(path), "{path}");
        }
        for path in ["src/testing.rs", "src/latest.rs", "src/main.rs", "README.md"] {
            assert!(!is_beside_the_point(path), "{path}");
        }
    }
}
