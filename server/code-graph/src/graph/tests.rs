use std::{collections::BTreeMap, fmt::Write as _};

use vfs::Workspace;

use super::*;

const SHOP: &[(&str, &str)] = &[
    (
        "src/cart.py",
        "from .price import total_price\nfrom .base import Container\n\n\
         class ShoppingCart(Container):\n    def checkout_all(self):\n        return total_price(self)\n",
    ),
    ("src/price.py", "def total_price(cart):\n    return 0\n"),
    ("src/base.py", "class Container:\n    pass\n"),
    ("src/other.py", "def total_price(order):\n    return 1\n"),
    ("main.py", "from src.cart import ShoppingCart\n\nShoppingCart().checkout_all()\n"),
    ("notes.md", "# total_price\n"),
    ("web/app.js", "total_price();\n"),
];

struct Fixture {
    workspace: Workspace,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let workspace = Workspace::open(&[folder.path().to_owned()]).expect("a workspace");
        Self { workspace, _folder: folder }
    }

    fn snapshot(&self, files: &[(&str, &str)]) -> IndexSnapshot {
        IndexSnapshot::of_texts(self.workspace.clone(), files)
    }

    fn graph(&self, files: &[(&str, &str)]) -> CodeGraph {
        CodeGraph::new(&self.snapshot(files))
    }
}

fn targets(graph: &CodeGraph, path: &str) -> Vec<String> {
    let mut found: Vec<String> =
        graph.uses(path).into_iter().map(|(path, _)| path.to_string()).collect();
    found.sort_unstable();
    found
}

#[test]
fn a_use_means_what_is_imported() {
    let graph = Fixture::new().graph(SHOP);
    assert_eq!(targets(&graph, "src/cart.py"), ["src/base.py", "src/price.py"]);
    assert_eq!(targets(&graph, "main.py"), ["src/cart.py"]);
    assert!(targets(&graph, "web/app.js").is_empty(), "of another language");
    assert_eq!(graph.len(), 6, "prose takes no part");
    let used: Vec<Arc<str>> = graph.used_by("src/cart.py");
    assert_eq!(used, ["main.py".into()]);
}

#[test]
fn callers_and_implementers_are_found() {
    let graph = Fixture::new().graph(SHOP);
    let paths = |users: Vec<User>| -> Vec<String> {
        users.into_iter().map(|user| user.path.to_string()).collect()
    };
    assert_eq!(paths(graph.callers("src/price.py", "total_price")), ["src/cart.py"]);
    assert!(graph.callers("src/other.py", "total_price").is_empty());
    assert_eq!(paths(graph.callers("src/cart.py", "checkout_all")), ["main.py"]);
    assert_eq!(paths(graph.implementers("src/base.py", "Container")), ["src/cart.py"]);
    assert!(graph.callers("src/gone.py", "total_price").is_empty());
}

#[test]
fn without_an_import_all_definitions_share_a_use() {
    let files: Vec<(&str, &str)> = SHOP
        .iter()
        .map(|(path, text)| match *path {
            "src/cart.py" => (*path, "total_price(1)\n"),
            _ => (*path, *text),
        })
        .collect();
    let graph = Fixture::new().graph(&files);
    let uses = graph.uses("src/cart.py");
    assert_eq!(uses.len(), 2, "{uses:?}");
    assert!((uses[0].1 - 0.5).abs() < 1e-6, "{uses:?}");
}

#[test]
fn what_is_used_most_ranks_first() {
    let fixture = Fixture::new();
    let files: &[(&str, &str)] = &[
        ("a.rs", "use crate::core::run_engine;\nfn first_user() { run_engine(); }\n"),
        ("b.rs", "use crate::core::run_engine;\nfn second_user() { run_engine(); first_user() }\n"),
        ("c.rs", "fn lonely_one() {}\n"),
        ("core.rs", "pub fn run_engine() { helper_part() }\n"),
        ("part.rs", "pub fn helper_part() {}\n"),
    ];
    let graph = fixture.graph(files);
    let none: [&str; 0] = [];
    let ranks = graph.rank(&none);
    let order: Vec<&str> = ranks.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(order, ["part.rs", "core.rs", "a.rs", "b.rs", "c.rs"]);
    let all: f64 = ranks.files().iter().map(|(_, rank)| rank).sum();
    assert!((all - 1.0).abs() < 1e-4, "{all}");
    let focused = graph.rank(&["c.rs", "unknown.rs"]);
    assert_eq!(focused.files()[0].0, "c.rs");
    let near = graph.rank(&["core.rs"]);
    assert!(near.of("a.rs") > near.of("c.rs"), "users of what is in focus matter too");
}

#[test]
fn a_map_keeps_to_its_budget_and_shows_what_is_used() {
    let graph = Fixture::new().graph(SHOP);
    let none: [&str; 0] = [];
    let map = graph.rank(&none).map(1000);
    let outline = map.outline();
    assert!(
        outline
            .contains("src/cart.py\n  class ShoppingCart(Container)\n    def checkout_all(self)\n"),
        "{outline}"
    );
    assert!(prompt::estimate_tokens(&outline) <= map.tokens);
    for budget in [0, 1, 10, 20, 30, 60] {
        let map = graph.rank(&none).map(budget);
        assert!(map.tokens <= budget, "{budget}: {map:?}");
        assert!(prompt::estimate_tokens(&map.outline()) <= budget);
    }
    let first = graph.rank(&none).map(12);
    assert_eq!(first.entries.len(), 1, "{first:?}");
}

/// A small generator of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn source(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.next(3) {
            let _ = writeln!(text, "from .m{} import part_{}", self.next(12), self.next(9));
        }
        for _ in 0..self.next(4) {
            let (own, used) = (self.next(9), self.next(9));
            let _ =
                writeln!(text, "def part_{own}():\n    return part_{used}(Kind{})", self.next(5));
        }
        if self.next(3) == 0 {
            let _ = writeln!(text, "class Kind{}(Kind{}):\n    pass", self.next(5), self.next(5));
        }
        text
    }
}

#[test]
fn a_graph_kept_up_to_date_equals_a_new_one() {
    for seed in [1, 77, 4_242] {
        let (fixture, mut numbers) = (Fixture::new(), Numbers(seed));
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut kept = CodeGraph::default();
        // As in an index, the rows of a file that has not changed are the same ones.
        let mut rows: HashMap<(String, String), Arc<FileRows>> = HashMap::new();
        let mut links = 0;
        for round in 0..40 {
            for _ in 0..=numbers.next(3) {
                let path = format!("pack/m{}.py", numbers.next(12));
                match numbers.next(5) {
                    0 => drop(files.remove(&path)),
                    1 => {
                        // A rename.
                        if let Some(text) = files.remove(&path) {
                            files.insert(format!("pack/m{}.py", numbers.next(12)), text);
                        }
                    }
                    _ => drop(files.insert(path, numbers.source())),
                }
            }
            let texts: Vec<(&str, &str)> =
                files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            let snapshot = fixture.snapshot(&texts);
            let current: Vec<Arc<FileRows>> = files
                .iter()
                .map(|(path, text)| {
                    let known = rows.entry((path.clone(), text.clone()));
                    let made = || Arc::clone(snapshot.file(path).expect("just indexed"));
                    Arc::clone(known.or_insert_with(made))
                })
                .collect();
            kept.update_to(current.iter());
            assert!(!kept.update_to(current.iter()), "nothing has changed");
            let fresh = CodeGraph::new(&snapshot);
            let found = kept.dump();
            links += found.len();
            assert_eq!(found, fresh.dump(), "seed {seed}, round {round}");
            assert!(!found.iter().any(|line| line.contains("nowhere")), "no link dangles");
            let focus = ["pack/m1.py"];
            assert_eq!(kept.rank(&focus).files(), fresh.rank(&focus).files(), "to the last bit");
            assert_eq!(kept.rank(&focus).map(200), fresh.rank(&focus).map(200));
        }
        assert!(links > 100, "the texts use each other: {links}");
    }
}

#[test]
fn an_edit_of_one_file_relinks_those_that_use_its_names() {
    let fixture = Fixture::new();
    let mut files: Vec<(&str, &str)> = SHOP.to_vec();
    let mut graph = fixture.graph(&files);
    files[2].1 = "class Renamed:\n    pass\n";
    graph.update(&fixture.snapshot(&files));
    assert!(graph.implementers("src/base.py", "Container").is_empty());
    assert_eq!(targets(&graph, "src/cart.py"), ["src/base.py", "src/price.py"], "still imported");
}
