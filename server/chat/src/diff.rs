//! Reads unified diffs, as `git diff` and `diff -u` write them.

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileChange {
    Modified,
    Added,
    Deleted,
    Renamed,
}

/// One file of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileDiff {
    /// Its path now; for a deleted file, the old one.
    pub path: String,
    /// Its path before, where that is another one.
    pub old_path: Option<String>,
    pub change: FileChange,
    pub binary: bool,
    pub hunks: Vec<DiffHunk>,
}

/// One changed place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiffHunk {
    /// One-based first line in the new file; 0 when it is empty there.
    pub new_start: usize,
    /// What the diff says it is in, such as a function's header.
    pub section: String,
    pub lines: Vec<(Sign, String)>,
}

/// What happened to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Same,
    Added,
    Removed,
}

impl FileDiff {
    fn new(path: &str, old_path: Option<String>) -> Self {
        let old_path = old_path.filter(|old| old != path);
        Self {
            path: path.to_owned(),
            change: if old_path.is_some() { FileChange::Renamed } else { FileChange::Modified },
            old_path,
            binary: false,
            hunks: Vec::new(),
        }
    }

    /// Number of lines with this sign.
    pub(crate) fn count(&self, sign: Sign) -> usize {
        self.lines(sign).count()
    }

    /// The lines with this sign.
    pub(crate) fn lines(&self, sign: Sign) -> impl Iterator<Item = &str> {
        self.hunks
            .iter()
            .flat_map(|hunk| &hunk.lines)
            .filter(move |(found, _)| *found == sign)
            .map(|(_, line)| line.as_str())
    }
}

impl DiffHunk {
    /// The changed lines of the new file, zero-based and half-open, and what should stand there;
    /// `None` when the hunk only removes.
    pub(crate) fn added(&self) -> Option<(std::ops::Range<u32>, Vec<&str>)> {
        let mut line = self.new_start.saturating_sub(1);
        let (mut first, mut last) = (None, 0);
        let mut new: Vec<(usize, &str)> = Vec::new();
        for (sign, text) in &self.lines {
            if *sign == Sign::Removed {
                continue;
            }
            if *sign == Sign::Added {
                first.get_or_insert(line);
                last = line;
            }
            new.push((line, text));
            line += 1;
        }
        let first = first?;
        let lines = new
            .into_iter()
            .filter(|(line, _)| (first..=last).contains(line))
            .map(|(_, text)| text)
            .collect();
        Some((first as u32..last as u32 + 1, lines))
    }
}

/// The files of a diff; `None` when `input` is none.
pub(crate) fn parse(input: &str) -> Option<Vec<FileDiff>> {
    let mut reader = Reader { files: Vec::new(), old_name: None, left: (0, 0) };
    let mut lines = input.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        reader.line(line, next);
    }
    let is_diff = reader
        .files
        .iter()
        .any(|file| !file.hunks.is_empty() || file.binary || file.change != FileChange::Modified);
    // A change of mode alone has no hunk, yet it is one of several files.
    (is_diff || input.lines().any(|line| line.starts_with("diff --git "))).then_some(reader.files)
}

struct Reader {
    files: Vec<FileDiff>,
    /// Of a `---` line whose `+++` line is next.
    old_name: Option<String>,
    /// Lines of the open hunk that are still to come, old and new.
    left: (usize, usize),
}

impl Reader {
    fn line(&mut self, line: &str, next: &str) {
        if self.left != (0, 0) && self.hunk_line(line) {
            return;
        }
        self.left = (0, 0);
        if let Some(names) = line.strip_prefix("diff --git ") {
            let (old, new) = git_names(names);
            self.files.push(FileDiff::new(&new, Some(old)));
        } else if let Some(old) = line.strip_prefix("--- ").filter(|_| next.starts_with("+++ ")) {
            self.old_name = Some(name_of(old));
        } else if let (Some(new), Some(old)) = (line.strip_prefix("+++ "), self.old_name.take()) {
            self.names(&old, &name_of(new));
        } else if let Some(header) = line.strip_prefix("@@ ") {
            self.hunk(header);
        } else if let Some(file) = self.files.last_mut() {
            if line.starts_with("new file mode") {
                file.change = FileChange::Added;
            } else if line.starts_with("deleted file mode") {
                file.change = FileChange::Deleted;
            } else if let Some(old) = line.strip_prefix("rename from ") {
                file.old_path = Some(unquote(old));
                file.change = FileChange::Renamed;
            } else if let Some(new) = line.strip_prefix("rename to ") {
                file.path = unquote(new);
            } else if line.starts_with("Binary files ") || line == "GIT binary patch" {
                file.binary = true;
            }
        }
    }

    /// Takes the names of a `---` and `+++` pair, which begins a file where no `diff --git` did.
    fn names(&mut self, old: &str, new: &str) {
        let (old, new) = (without_side(old, "a/"), without_side(new, "b/"));
        let begun = self.files.last().is_some_and(|file| {
            file.hunks.is_empty()
                && (file.path == new || file.old_path.as_deref() == Some(old) || file.path == old)
        });
        if !begun {
            let path = if new == "/dev/null" { old } else { new };
            let old_path = (old != "/dev/null" && new != "/dev/null").then(|| old.to_owned());
            self.files.push(FileDiff::new(path, old_path));
        }
        if let Some(file) = self.files.last_mut() {
            if old == "/dev/null" {
                file.change = FileChange::Added;
            } else if new == "/dev/null" {
                file.change = FileChange::Deleted;
            }
        }
    }

    /// Begins a hunk: `-1,3 +1,4 @@ section`.
    fn hunk(&mut self, header: &str) {
        let Some((ranges, section)) = header.split_once("@@") else { return };
        let mut numbers = ranges.split_whitespace().map(|range| {
            let (start, count) = range
                .get(1..)
                .unwrap_or_default()
                .split_once(',')
                .unwrap_or((range.get(1..).unwrap_or_default(), "1"));
            (start.parse().unwrap_or(0), count.parse().unwrap_or(0))
        });
        let (_, old_count): (usize, usize) = numbers.next().unwrap_or_default();
        let (new_start, new_count) = numbers.next().unwrap_or_default();
        if let Some(file) = self.files.last_mut() {
            file.hunks.push(DiffHunk {
                new_start,
                section: section.trim().to_owned(),
                lines: Vec::new(),
            });
            self.left = (old_count, new_count);
        }
    }

    /// Takes a line of the open hunk; `false` when it is none.
    fn hunk_line(&mut self, line: &str) -> bool {
        let (sign, text) = match line.chars().next() {
            Some('+') => (Sign::Added, line.get(1..)),
            Some('-') => (Sign::Removed, line.get(1..)),
            Some(' ') => (Sign::Same, line.get(1..)),
            // Mailers and editors strip the blank of an empty line.
            None => (Sign::Same, Some("")),
            Some('\\') => return true,
            Some(_) => return false,
        };
        if sign != Sign::Added {
            self.left.0 = self.left.0.saturating_sub(1);
        }
        if sign != Sign::Removed {
            self.left.1 = self.left.1.saturating_sub(1);
        }
        if let Some(hunk) = self.files.last_mut().and_then(|file| file.hunks.last_mut()) {
            hunk.lines.push((sign, text.unwrap_or_default().to_owned()));
        }
        true
    }
}

/// The two names of a `diff --git` line. Unquoted names with blanks are told apart by being equal.
fn git_names(names: &str) -> (String, String) {
    if names.starts_with('"') {
        let end = names.get(1..).and_then(|rest| rest.find("\" ")).map_or(names.len(), |at| at + 2);
        let (old, new) = names.split_at(end);
        return (side(&unquote(old), "a/"), side(&unquote(new.trim()), "b/"));
    }
    let halves = names.match_indices(' ').map(|(at, _)| names.split_at(at));
    for (old, new) in halves {
        let new = new.trim_start();
        if without_side(old, "a/") == without_side(new, "b/") {
            return (side(old, "a/"), side(new, "b/"));
        }
    }
    let (old, new) = names.split_once(" b/").unwrap_or((names, names));
    (side(old, "a/"), side(new, "b/"))
}

/// The name on a `---` or `+++` line, without the time that `diff -u` adds.
fn name_of(line: &str) -> String {
    unquote(line.split('\t').next().unwrap_or(line))
}

fn side(name: &str, prefix: &str) -> String {
    without_side(name, prefix).to_owned()
}

fn without_side<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// Takes git's quotes off: `"a\303\244"`.
fn unquote(name: &str) -> String {
    let trimmed = name.trim();
    let Some(inner) = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return trimmed.to_owned();
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    if let Some(digit) = rest.next_if(u8::is_ascii_digit) {
                        value = value * 8 + u32::from(digit - b'0');
                    }
                }
                bytes.push((value & 0xff) as u8);
            }
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIT: &str = "\
diff --git a/src/a.rs b/src/a.rs
index 1..2 100644
--- a/src/a.rs
+++ b/src/a.rs
@@ -1,3 +1,4 @@ fn main() {
 one
-two
+2
+--- not a name
 three
@@ -10 +11 @@
-x
+y
\\ No newline at end of file
diff --git a/old name.txt b/new name.txt
similarity index 100%
rename from old name.txt
rename to new name.txt
diff --git \"a/\\303\\244.md\" \"b/\\303\\244.md\"
new file mode 100644
--- /dev/null
+++ \"b/\\303\\244.md\"
@@ -0,0 +1 @@
+hello
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/logo.png b/logo.png
Binary files a/logo.png and b/logo.png differ
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
";

    #[test]
    fn every_file_of_a_git_diff_is_named() {
        let files = parse(GIT).unwrap();
        let named: Vec<(&str, FileChange)> =
            files.iter().map(|file| (file.path.as_str(), file.change)).collect();
        assert_eq!(
            named,
            [
                ("src/a.rs", FileChange::Modified),
                ("new name.txt", FileChange::Renamed),
                ("ä.md", FileChange::Added),
                ("gone.py", FileChange::Deleted),
                ("logo.png", FileChange::Modified),
                ("run.sh", FileChange::Modified),
            ]
        );
        assert_eq!(files[1].old_path.as_deref(), Some("old name.txt"));
        assert!(files[4].binary);
    }

    #[test]
    fn hunks_are_read_by_their_counts() {
        let files = parse(GIT).unwrap();
        let file = &files[0];
        assert_eq!((file.count(Sign::Added), file.count(Sign::Removed)), (3, 2));
        assert_eq!(file.hunks[0].section, "fn main() {");
        assert_eq!(file.hunks[0].added(), Some((1..3, vec!["2", "--- not a name"])));
        assert_eq!(file.hunks[1].added(), Some((10..11, vec!["y"])));
        assert_eq!(files[3].hunks[0].added(), None);
    }

    #[test]
    fn plain_diffs_are_read_too() {
        let files = parse("--- x/a.c\t2026-01-01\n+++ y/a.c\t2026-01-02\n@@ -1 +1 @@\n-a\n+b\n");
        let files = files.unwrap();
        assert_eq!((files.len(), files[0].path.as_str()), (1, "y/a.c"));
    }

    #[test]
    fn other_text_is_no_diff() {
        assert_eq!(parse("error: --- something\n+++ a\n"), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("# Title\n\n--- \ntext\n"), None);
    }
}
