/// Folders whose files are documentation, whatever they are.
const FOLDERS: [&str; 3] = ["doc", "docs", "documentation"];

/// Extensions of what people write to be read; notebooks hold it between their code.
const EXTENSIONS: [&str; 9] =
    ["adoc", "asciidoc", "ipynb", "markdown", "md", "mdx", "pdf", "rst", "txt"];

/// Whether a file is documentation, by its place and name: it lies in a folder such as `docs/`, or is
/// Markdown, reStructuredText, AsciiDoc, plain text, a notebook or a PDF. Lists that build tools read are
/// plain text and no documentation.
pub fn is_documentation(path: &str) -> bool {
    let lower = path.to_lowercase();
    let (folders, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    if folders.split('/').any(|folder| FOLDERS.contains(&folder)) {
        return true;
    }
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let list = extension == "txt"
        && (stem == "cmakelists"
            || stem == "robots"
            || stem.contains("requirements")
            || stem.contains("constraints"));
    EXTENSIONS.contains(&extension) && !list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(documentation: bool, paths: &[&str]) {
        for path in paths {
            assert_eq!(is_documentation(path), documentation, "{path}");
        }
    }

    #[test]
    fn documentation_is_known_by_its_place_and_name() {
        check(true, &["README.md", "server/Notes.RST", "manual.pdf", "a/guide.adoc", "x.ipynb"]);
        check(
            true,
            &["docs/conf.py", "server/doc/internals.html", "Documentation/x", "LICENSE.txt"],
        );
        check(false, &["src/docs.rs", "documents/a.rs", "md", "src/main.py", "a.md.rs"]);
        check(false, &["CMakeLists.txt", "dev-requirements.txt", "web/robots.txt"]);
    }
}
