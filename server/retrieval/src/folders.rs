//! Documentation that lies outside the workspace.

use std::{
    collections::HashSet,
    path::{MAIN_SEPARATOR, Path, PathBuf},
    sync::Arc,
};

use base::CancelToken;
use indexer::IndexSnapshot;
use lexical_index::Tokens;

use crate::{
    deepening::Deepening,
    hit::{Hit, SearchMode, SearchQuery},
    question::Question,
    ranking::Ranking,
    search::{search_deepened, support_of},
};

/// The folders that the person named as documentation, whatever their files are called.
#[derive(Clone, Default)]
pub struct DocumentationFolders {
    /// Those in the workspace, relative to it.
    pub within: Vec<String>,
    /// Those outside, each with an index of its own.
    pub outside: Vec<IndexSnapshot>,
}

impl DocumentationFolders {
    /// The present text of a file that a hit outside the workspace names; `None` for any other path.
    pub fn text(&self, path: &str) -> Option<Arc<str>> {
        if !Path::new(path).is_absolute() {
            return None;
        }
        self.outside.iter().find_map(|index| {
            let relative = index.workspace().relative(Path::new(path))?;
            // Only what was indexed is handed out: neither secrets nor what is ignored there.
            index.file(&relative)?;
            index.text(&relative)
        })
    }
}

/// The places in documentation that `query` is about, best first: in that of the workspace and in `folders`. Hits in
/// those outside carry absolute paths.
///
/// The scores of two indexes cannot be compared: each spreads what its signals found from its best to its worst. So the
/// best of each index is as good as its hits [answer](support_of), and the others as much less as they were.
pub fn search_documentation(
    index: &IndexSnapshot,
    folders: &DocumentationFolders,
    query: &SearchQuery,
    ranking: &Ranking,
    deepening: &Deepening,
    cancel: &CancelToken,
) -> Vec<Hit> {
    let mut query = SearchQuery { documentation: true, ..query.clone() };
    query.within.extend(folders.within.iter().cloned());
    if folders.outside.is_empty() {
        return search_deepened(index, &query, ranking, deepening, cancel);
    }
    let question = Question::new(&query.text, ranking.expansion, &mut Tokens::new());
    let limit = deepening.breadth(&query, &question);
    // The reranker judges the hits of all indexes together.
    let alone = Deepening { reranker: None, ..deepening.clone() };
    let inside = SearchQuery { limit, ..query.clone() };
    let mut lists = vec![search_deepened(index, &inside, ranking, &alone, cancel)];
    let anywhere =
        SearchQuery { within: Vec::new(), documentation: false, near: Vec::new(), ..inside };
    let roots = index.workspace().roots();
    for folder in &folders.outside {
        let found = search_deepened(folder, &anywhere, ranking, &alone, cancel).into_iter();
        let named = found.filter_map(|hit| {
            let path = absolute(folder, &hit.path)?;
            // The workspace may lie in the folder; its own index knows its files better.
            let inside = roots.iter().any(|root| Path::new(&path).starts_with(root));
            (!inside).then_some(Hit { path, ..hit })
        });
        lists.push(named.collect());
    }
    if query.mode != SearchMode::Symbol {
        for hits in &mut lists {
            weigh(hits);
        }
    }
    let mut hits = merged(lists);
    hits.truncate(limit);
    deepening.rerank(&query, &question, hits, cancel)
}

/// The absolute path of an indexed file, with `/`; `None` where the folder's name is not Unicode.
fn absolute(index: &IndexSnapshot, relative: &str) -> Option<String> {
    let root: &PathBuf = index.workspace().roots().first()?;
    let path = root.join(relative).into_os_string().into_string().ok()?;
    // The system's own form of a long path says the same without its mark.
    let plain = path.strip_prefix(r"\\?\").unwrap_or(&path);
    Some(plain.replace(MAIN_SEPARATOR, "/"))
}

/// Has the best of these hits score what they answer together.
fn weigh(hits: &mut [Hit]) {
    let support = support_of(hits);
    let best = hits.first().map_or(0.0, |hit| hit.score).max(f32::EPSILON);
    for hit in hits {
        hit.score *= support / best;
    }
}

/// All hits, best first; of copies of a text the first.
fn merged(lists: Vec<Vec<Hit>>) -> Vec<Hit> {
    let mut hits: Vec<Hit> = lists.into_iter().flatten().collect();
    // The sort is stable: of equals the workspace's own comes first.
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut seen = HashSet::new();
    hits.retain(|hit| seen.insert(*blake3::hash(hit.text.as_bytes()).as_bytes()));
    hits
}

#[cfg(test)]
mod tests {
    use std::fs;

    use inference::fake::FakeReranker;
    use tempfile::TempDir;
    use vfs::Workspace;

    use super::*;

    const COPY: &str = "# Licence\n\nAll of this may be copied by whoever wants to.\n";

    /// A folder of these files with an index of them.
    fn index(folder: &Path, files: &[(&str, &str)]) -> IndexSnapshot {
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        IndexSnapshot::of_texts(Workspace::open(&[folder.to_owned()]).unwrap(), files)
    }

    struct Fixture {
        folder: TempDir,
        index: IndexSnapshot,
        folders: DocumentationFolders,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let workspace = [
                ("src/parcel.rs", "/// Weighs a parcel before it is sent.\nfn weigh_parcel() {}\n"),
                ("README.md", "# Shop\n\nParcels are weighed in the yard.\n"),
                ("manual/notes", "Invoices are printed on Mondays.\n"),
                ("docs/licence.md", COPY),
            ];
            let book = [
                ("ownership.md", "# Ownership\n\nEach value has one owner, which drops it.\n"),
                ("lifetimes", "Lifetimes tell how long a borrowed value lives.\n"),
                ("licence.md", COPY),
            ];
            let outside = vec![index(&folder.path().join("book"), &book)];
            let index = index(&folder.path().join("shop"), &workspace);
            let folders = DocumentationFolders { within: vec!["manual".into()], outside };
            Self { folder, index, folders }
        }

        fn search(&self, text: &str, deepening: &Deepening) -> Vec<Hit> {
            let query = SearchQuery { text: text.to_owned(), ..SearchQuery::default() };
            let ranking = Ranking::default();
            let cancel = CancelToken::new();
            search_documentation(&self.index, &self.folders, &query, &ranking, deepening, &cancel)
        }

        fn book(&self, path: &str) -> String {
            let root = self.folder.path().canonicalize().unwrap();
            root.join("book").join(path).to_str().unwrap().to_owned()
        }

        /// The best hit of a question is that of `path`.
        fn check(&self, text: &str, path: &str) {
            let hits = self.search(text, &Deepening::default());
            let first = hits.first().map(|hit| hit.path.as_str());
            assert_eq!(first, Some(path), "{text}: {hits:#?}");
            let falling = hits.windows(2).all(|pair| pair[0].score >= pair[1].score);
            assert!(falling, "{text}: {hits:#?}");
            assert!(hits.iter().all(|hit| !hit.path.starts_with("src/")), "{text}: {hits:#?}");
        }
    }

    #[test]
    fn the_best_answer_comes_first_wherever_it_lies() {
        let fixture = Fixture::new();
        fixture.check("where is a parcel weighed?", "README.md");
        fixture.check("which owner drops a value?", &fixture.book("ownership.md"));
        fixture.check("how long does a borrowed value live?", &fixture.book("lifetimes"));
        fixture.check("when are invoices printed?", "manual/notes");
    }

    #[test]
    fn copies_are_told_once_as_the_workspace_has_them() {
        let fixture = Fixture::new();
        let hits = fixture.search("may this be copied?", &Deepening::default());
        let copies: Vec<&str> = hits
            .iter()
            .filter(|hit| hit.path.ends_with("licence.md"))
            .map(|hit| hit.path.as_str())
            .collect();
        assert_eq!(copies, ["docs/licence.md"], "{hits:#?}");
    }

    #[test]
    fn a_folder_around_the_workspace_adds_what_is_outside() {
        let mut fixture = Fixture::new();
        let files = [
            ("shop/README.md", "# Shop\n\nParcels are weighed by night.\n"),
            ("yard.md", "# Yard\n\nParcels are weighed by two people.\n"),
        ];
        fixture.folders.outside = vec![index(fixture.folder.path(), &files)];
        let hits = fixture.search("where are parcels weighed?", &Deepening::default());
        let paths: Vec<&str> = hits.iter().map(|hit| hit.path.as_str()).collect();
        assert!(paths.contains(&"README.md"), "{paths:?}");
        assert!(paths.iter().any(|path| path.ends_with("/yard.md")), "{paths:?}");
        assert!(!paths.iter().any(|path| path.ends_with("/shop/README.md")), "{paths:?}");
    }

    #[test]
    fn the_reranker_judges_all_together() {
        let fixture = Fixture::new();
        let reranker = Arc::new(FakeReranker::default());
        let deepening = Deepening {
            reranker: Some((Arc::clone(&reranker) as Arc<_>, "fake".to_owned())),
            waits: true,
            ..Deepening::default()
        };
        let text = "which owner drops a value?";
        let plain = fixture.search(text, &Deepening::default());
        let hits = fixture.search(text, &deepening);
        assert_eq!(hits.len(), plain.len());
        assert_eq!(reranker.passages(), plain.len());
    }

    #[test]
    fn only_indexed_files_of_the_folders_are_read() {
        let fixture = Fixture::new();
        let text = |path: &str| fixture.folders.text(path);
        assert_eq!(text(&fixture.book("licence.md")).as_deref(), Some(COPY));
        fs::write(fixture.book("later.md"), "not indexed").unwrap();
        let shop = fixture.folder.path().canonicalize().unwrap().join("shop/README.md");
        for path in [
            &fixture.book("later.md"),
            &fixture.book("../shop/README.md"),
            shop.to_str().unwrap(),
            "licence.md",
            "../book/licence.md",
            "/etc/passwd",
        ] {
            assert_eq!(text(path), None, "{path}");
        }
    }
}
