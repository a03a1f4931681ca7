//! Every command of the program, run as a person or a script runs it.

use std::{fs, path::Path};

use end_to_end::{Finished, Home, finish, foreign, workspace};
use pdf_text::fake;
use serde_json::Value;

const SHOP: &str = "\
//- src/cart.py
class ShoppingCart:
    \"\"\"Holds what a customer wants to buy.\"\"\"

    def add_item(self, item, quantity):
        self.items[item] = self.items.get(item, 0) + quantity

    def total_price(self, prices):
        return sum(prices[item] * count for item, count in self.items.items())
//- src/shipping.py
def shipping_cost(weight, distance):
    \"\"\"Cost of sending a parcel, in cents.\"\"\"
    return 500 + weight * distance // 100
//- README.md
# Shop

A small shop.
";

fn paths(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(|entry| entry["path"].as_str()).collect()
}

#[test]
fn index_counts_files_and_names_what_it_skipped() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    fs::write(shop.path().join("logo.bin"), [0_u8, 159, 146, 150, 0, 1]).unwrap();
    fs::write(shop.path().join("empty.py"), "").unwrap();
    let wide = format!("{}wide = \"{}\"\n", "\n".repeat(99), "x ".repeat(10_000));
    fs::write(shop.path().join("wide.py"), wide).unwrap();
    let report = home.run(shop.path(), &["index", "--json"]).json();
    assert!(report["files"].as_u64() >= Some(3), "{report}");
    assert_eq!(paths(&report["plain"]), ["wide.py"], "{report}");
    for (command, expected) in [
        ("index", "as plain text wide.py: line 100 is over"),
        ("status", "as text     wide.py: line 100 is over"),
    ] {
        let shown = home.run(shop.path(), &[command]);
        assert!(shown.stdout.contains(expected), "{shown:?}");
    }
    assert!(report["symbols"].as_u64() >= Some(4), "{report}");
    assert!(paths(&report["skipped"]).contains(&"logo.bin"), "{report}");
    for stage in ["scan", "parse", "lexical", "vectors", "total"] {
        assert!(report["seconds"][stage].is_number(), "{stage} in {report}");
    }
}

#[test]
fn search_finds_by_words_and_by_name() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let answer = home.run(shop.path(), &["search", "--json", "what does a parcel cost"]).json();
    assert_eq!(paths(&answer["results"]).first(), Some(&"src/shipping.py"), "{answer}");
    let answer = home.run(shop.path(), &["search", "--json", "--mode", "symbol", "addItem"]).json();
    assert_eq!(answer["results"][0]["symbol"], "add_item", "{answer}");
    assert_eq!(answer["results"][0]["range"]["start"]["line"], 3, "{answer}");
}

#[test]
fn search_sees_a_change_made_since_the_last_time() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    home.run(shop.path(), &["index"]);
    fs::write(shop.path().join("src/refund.py"), "def refund_customer(order):\n    pass\n")
        .unwrap();
    fs::remove_file(shop.path().join("src/shipping.py")).unwrap();
    let answer = home.run(shop.path(), &["search", "--json", "refund_customer"]).json();
    assert_eq!(paths(&answer["results"]).first(), Some(&"src/refund.py"), "{answer}");
    let answer = home.run(shop.path(), &["search", "--json", "shipping_cost parcel"]).json();
    assert!(!paths(&answer["results"]).contains(&"src/shipping.py"), "{answer}");
}

#[test]
fn symbols_list_the_definitions_of_a_file() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let symbols = home.run(shop.path(), &["symbols", "--json", "src/cart.py"]).json();
    let names: Vec<&str> =
        symbols.as_array().unwrap().iter().filter_map(|symbol| symbol["name"].as_str()).collect();
    assert_eq!(names, ["ShoppingCart", "add_item", "total_price"]);
    assert_eq!(symbols[1]["container"], "ShoppingCart", "{symbols}");
}

const STORE: &str = "\
//- store/rows.py
class RowTable:
    \"\"\"Keeps rows.\"\"\"

    def find_row(self, key):
        return self.rows[key]

    def unused_method(self):
        pass
//- store/parse.py
from .rows import RowTable

def parse_table(text):
    return RowTable(text)
//- main.py
from store.parse import parse_table

print(parse_table(input()).find_row(1))
//- report.py
from store.rows import RowTable

def print_report(table: RowTable):
    print(table.find_row(2))
";

#[test]
fn map_shows_what_others_use_most_and_keeps_to_its_budget() {
    let (home, store) = (Home::without_models(), workspace(STORE));
    let shown = home.run(store.path(), &["map"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let first = "store/rows.py\n  class RowTable\n    def find_row(self, key)\n";
    assert!(shown.stdout.starts_with(first), "{shown:?}");
    let map = home.run(store.path(), &["map", "--json", "--tokens", "12"]).json();
    assert_eq!(paths(&map["entries"]), ["store/rows.py"], "{map}");
    assert!(map["tokens"].as_u64().is_some_and(|tokens| 0 < tokens && tokens <= 12), "{map}");
    let symbol = &map["entries"][0]["symbols"][0];
    assert_eq!(
        (&symbol["name"], &symbol["range"]["start"]["line"]),
        (&"RowTable".into(), &0.into())
    );
}

#[test]
fn map_follows_the_focus_and_forgets_what_is_gone() {
    let (home, store) = (Home::without_models(), workspace(STORE));
    let focused = home.run(store.path(), &["map", "--json", "--focus", "report.py"]).json();
    let order = paths(&focused["entries"]);
    let place = |path: &str| order.iter().position(|known| *known == path);
    assert!(place("report.py") < place("store/parse.py"), "{focused}");
    let plain = home.run(store.path(), &["map", "--json"]).json();
    assert!(paths(&plain["entries"]).last() == Some(&"report.py"), "{plain}");
    fs::remove_file(store.path().join("store/parse.py")).unwrap();
    fs::rename(store.path().join("store/rows.py"), store.path().join("store/table.py")).unwrap();
    let map = home.run(store.path(), &["map", "--json"]).json();
    let mut known = paths(&map["entries"]);
    known.sort_unstable();
    assert_eq!(known, ["report.py", "store/table.py"], "{map}");
    let outside = home.run(store.path(), &["map", "--focus", "../elsewhere.py"]);
    assert_eq!(outside.code, Some(1), "{outside:?}");
}

#[test]
fn complete_continues_a_line_from_the_workspace() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let unsaved = "def shipping_cost(weight, distance):\n    return 500 + weight * ";
    let at = ["complete", "src/other.py", "--line", "1", "--character", "26", "--text-from", "-"];
    let answer = home.pipe(shop.path(), &[&at[..], &["--json"]].concat(), Some(unsaved)).json();
    let suggestion = answer["items"][0]["insertText"].as_str();
    assert!(suggestion.is_some_and(|text| text.starts_with("distance")), "{answer}");
    assert!(answer["timings"]["total_ms"].is_number(), "{answer}");
}

#[test]
fn complete_says_why_it_is_silent() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let inside_a_word = ["complete", "src/cart.py", "--line", "0", "--character", "8", "--json"];
    let answer = home.run(shop.path(), &inside_a_word).json();
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(0), "{answer}");
    assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains("word")), "{answer}");
}

#[test]
fn ask_without_a_model_answers_from_the_index() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let answer =
        home.run(shop.path(), &["ask", "--json", "what does it cost to send a parcel?"]).json();
    assert_eq!(answer["model"], Value::Null);
    assert_eq!(paths(&answer["citations"]).first(), Some(&"src/shipping.py"), "{answer}");
    assert!(answer["answer"].as_str().is_some_and(|text| text.contains("shipping_cost")));
}

#[test]
fn ask_cites_nothing_when_nothing_supports_an_answer() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let question = "how does the kubernetes operator rotate TLS certificates?";
    let answer = home.run(shop.path(), &["ask", "--json", question]).json();
    assert_eq!(answer["citations"].as_array().map(Vec::len), Some(0), "{answer}");
}

#[test]
fn documentation_is_asked_and_cited_by_the_page_of_a_pdf() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let root = shop.path();
    fs::create_dir(root.join("manual")).unwrap();
    let pages = [
        "The shop, a manual",
        "Parcels\nA parcel over thirty kilograms is refused by the carrier.\nIts cost is in cents.",
    ];
    fs::write(root.join("manual/parcels.pdf"), fake::pdf(&pages)).unwrap();
    // Unpacked these are 33 gigabytes; the process that reads it has one.
    let filters = "/Filter [/RunLengthDecode /RunLengthDecode /RunLengthDecode /RunLengthDecode]";
    let bomb = fake::with_contents(&[fake::stream(filters, &[0x81; 4000])]);
    fs::write(root.join("bomb.pdf"), bomb).unwrap();
    fs::write(root.join("scan.pdf"), fake::pdf(&[""])).unwrap();
    let report = home.run(root, &["index", "--json"]).json();
    for name in ["bomb.pdf", "scan.pdf"] {
        assert!(paths(&report["skipped"]).contains(&name), "{name}: {report}");
    }
    assert!(!paths(&report["skipped"]).contains(&"manual/parcels.pdf"), "{report}");

    let found = home.run(root, &["search", "--json", "carrier thirty kilograms"]).json();
    let first = &found["results"][0];
    assert_eq!(
        (&first["path"], &first["page"]),
        (&"manual/parcels.pdf".into(), &2.into()),
        "{found}"
    );

    let question = "what does a parcel cost, in cents?";
    let all = home.run(root, &["ask", "--json", question]).json();
    assert!(paths(&all["citations"]).contains(&"src/shipping.py"), "{all}");
    let docs = home.run(root, &["ask", "--json", &format!("@docs {question}")]).json();
    assert_eq!(paths(&docs["citations"]).first(), Some(&"manual/parcels.pdf"), "{docs}");
    assert!(!paths(&docs["citations"]).iter().any(|path| path.starts_with("src/")), "{docs}");
    assert_eq!(docs["citations"][0]["page"], 2, "{docs}");
    let quote = docs["citations"][0]["quote"].as_str().unwrap();
    assert!(quote.contains("refused by the carrier"), "{docs}");
    let shown = home.run(root, &["ask", &format!("@docs {question}")]);
    assert!(shown.stdout.contains("manual/parcels.pdf, page 2"), "{shown:?}");
    let file = home.run(root, &["ask", "--json", "--file", "manual/parcels.pdf", question]).json();
    assert_eq!(file["citations"][0]["page"], 1, "{file}");
}

const MANUAL: &str = "\
//- carrier/limits
Parcels of more than thirty kilograms are refused by the carrier.
//- carrier/.env
REFUSED_BY_CARRIER=\"thirty kilograms of parcels\"
";

#[test]
fn documentation_outside_is_searched_where_the_person_names_its_folder() {
    let (home, shop, manual) = (Home::without_models(), workspace(SHOP), workspace(MANUAL));
    let (root, folder) = (shop.path(), manual.path().canonicalize().unwrap());
    let place = folder.join("carrier/limits").to_str().unwrap().to_owned();
    let question = "@docs which parcels are refused by the carrier?";
    let settings = |folder: &str| format!("[docs]\nfolders = [{folder:?}, \"/no/such/folder\"]\n");
    let ask = |question: &str| home.run(root, &["ask", "--json", question]).json();

    // What a workspace names is not looked at.
    fs::write(root.join("hearth.toml"), settings(folder.to_str().unwrap())).unwrap();
    let answer = ask(question);
    assert!(!paths(&answer["citations"]).contains(&place.as_str()), "{answer}");
    assert_eq!(home.run(root, &["status", "--json"]).json()["docs"], Value::Array(Vec::new()));
    fs::remove_file(root.join("hearth.toml")).unwrap();

    let own = home.path().join("config/hearth.toml");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, settings(folder.to_str().unwrap())).unwrap();
    let answer = ask(question);
    assert_eq!(paths(&answer["citations"]).first(), Some(&place.as_str()), "{answer}");
    let quote = answer["citations"][0]["quote"].as_str();
    assert!(quote.is_some_and(|quote| quote.contains("thirty kilograms")), "{answer}");
    let shown = home.run(root, &["ask", question]);
    assert!(shown.stdout.contains(&format!("{place}:1-1")), "{shown:?}");
    let elsewhere = ask("which parcels are refused by the carrier?");
    assert!(!paths(&elsewhere["citations"]).contains(&place.as_str()), "{elsewhere}");

    let words = "thirty kilograms";
    let found = home.run(root, &["search", "--docs", "--json", words]).json();
    assert_eq!(paths(&found["results"]).first(), Some(&place.as_str()), "{found}");
    assert!(!found.to_string().contains("REFUSED_BY_CARRIER"), "{found}");
    let found = home.run(root, &["search", "--json", words]).json();
    assert!(!paths(&found["results"]).contains(&place.as_str()), "{found}");
    let symbols = home.run(root, &["symbols", "--json"]);
    assert!(!symbols.stdout.contains("carrier"), "{symbols:?}");

    // Only hits lead there.
    let refused = home.run(root, &["ask", "--file", &place, "what is in it?"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("lies outside the open folders"), "{refused:?}");

    let status = home.run(root, &["status"]);
    let named = format!("docs        {}: searched with @docs\n", folder.display());
    assert!(status.stdout.contains(&named), "{status:?}");
    let missing = "docs        /no/such/folder: cannot open the folder";
    assert!(status.stdout.contains(missing), "{status:?}");

    // It is as fresh as the workspace, and may lie below the home folder.
    fs::write(&own, settings("~/carrier")).unwrap();
    fs::write(&place, "Only live animals are turned away by the carrier.\n").unwrap();
    let mut command = home.command(root);
    command.env("HOME", &folder).args(["ask", "--json", "@docs are animals turned away?"]);
    let answer = finish(command, None).json();
    assert_eq!(paths(&answer["citations"]).first(), Some(&place.as_str()), "{answer}");
    let quote = answer["citations"][0]["quote"].as_str();
    assert!(quote.is_some_and(|quote| quote.starts_with("Only live animals")), "{answer}");
}

#[test]
fn a_piped_diff_is_reviewed_file_by_file() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let diff = "\
diff --git a/src/cart.py b/src/cart.py
--- a/src/cart.py
+++ b/src/cart.py
@@ -5 +5 @@
-        self.items[item] = self.items.get(item, 0) + quantity
+        self.items[item] = quantity
diff --git a/src/shipping.py b/src/shipping.py
--- a/src/shipping.py
+++ b/src/shipping.py
@@ -3 +3 @@
-    return 500 + weight * distance // 100
+    return 600 + weight * distance // 100
";
    let answer = home.pipe(shop.path(), &["ask", "review this change"], Some(diff));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    for path in ["src/cart.py", "src/shipping.py"] {
        assert!(answer.stdout.contains(path), "{path} in {answer:?}");
    }
}

#[test]
fn edit_without_a_model_names_the_command_that_gets_one() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let before = fs::read(shop.path().join("src/cart.py")).unwrap();
    let untrusted = home.run(shop.path(), &["edit", "src/cart.py", "--lines", "4:5", "rename it"]);
    assert_eq!(untrusted.code, Some(1), "{untrusted:?}");
    assert!(untrusted.stderr.contains("hearth trust"), "{untrusted:?}");
    home.run(shop.path(), &["trust"]);
    let refused = home.run(
        shop.path(),
        &["edit", "src/cart.py", "--lines", "4:5", "--apply", "rename quantity to count"],
    );
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("hearth models pull"), "{refused:?}");
    assert_eq!(fs::read(shop.path().join("src/cart.py")).unwrap(), before);
}

#[test]
fn edit_with_the_default_model_changes_only_the_selected_lines() {
    let (home, shop) = (Home::with_models(), workspace(SHOP));
    // CRLF, a byte order mark, no final newline: all of it has to survive.
    let before = "\u{feff}# Prices.\r\ndef price(x):\r\n    return x\r\n\r\nlast = 1";
    let file = shop.path().join("src/price.py");
    fs::write(&file, before).unwrap();
    home.run(shop.path(), &["trust"]);
    let arguments = ["edit", "src/price.py", "--lines", "2:3", "--json", "add a docstring"];
    let edited = home.run(shop.path(), &arguments);
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "a diff writes nothing");
    // A small model may fail; then it has to say so and to have written nothing.
    if edited.code == Some(0) {
        let diff = edited.json()["diff"].as_str().unwrap().to_owned();
        assert!(diff.contains("@@"), "{diff}");
        assert!(!diff.contains("-last = 1") && !diff.contains("-# Prices."), "{diff}");
    } else {
        assert!(!edited.stderr.is_empty(), "{edited:?}");
    }
}

#[test]
fn status_doctor_and_models_answer_without_any_model() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let status = home.run(shop.path(), &["status", "--json"]).json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["index"]["state"].is_string(), "{status}");
    let models = home.run(shop.path(), &["models", "list", "--json"]).json();
    assert!(models.as_array().is_some_and(|models| !models.is_empty()), "{models}");
    let doctor = home.run(shop.path(), &["doctor", "--json"]);
    let report: Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert!(report["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{report}");
}

#[test]
fn the_engine_s_cpu_kernels_use_simd() {
    let (home, shop) = (Home::with_models(), workspace(SHOP));
    let doctor = home.run(shop.path(), &["doctor", "--json"]);
    let report: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let kernels = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "cpu kernels")
        .unwrap_or_else(|| panic!("no kernels in {report}"));
    let detail = kernels["detail"].as_str().unwrap();
    assert!(["AVX", "NEON"].iter().any(|simd| detail.contains(simd)), "{detail}");
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let code = |arguments: &[&str]| home.run(shop.path(), arguments).code;
    assert_eq!(code(&["no-such-command"]), Some(2));
    assert_eq!(code(&["edit", "src/cart.py", "--lines", "0:9", "x"]), Some(2));
    assert_eq!(code(&["complete", "src/nothing.py", "--line", "0", "--character", "0"]), Some(1));
    assert_eq!(code(&["symbols", "../outside.py"]), Some(1));
}

#[test]
fn strange_workspaces_are_indexed_without_complaint() {
    let home = Home::without_models();
    let empty = workspace("");
    assert_eq!(home.run(empty.path(), &["index", "--json"]).json()["files"], 0);

    let odd = workspace("//- latin.py\nname = 1\n");
    fs::write(odd.path().join("latin.py"), b"caf\xe9 = 'na\xefve latin text'\r\n").unwrap();
    fs::write(odd.path().join("long.js"), "x".repeat(3_000_000)).unwrap();
    fs::write(odd.path().join("bom.py"), "\u{feff}def with_bom():\n    pass\n").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(odd.path(), odd.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("/etc", odd.path().join("outside")).unwrap();
    }
    let report = home.run(odd.path(), &["index", "--json"]).json();
    assert!(paths(&report["skipped"]).contains(&"long.js"), "{report}");
    let found = home.run(odd.path(), &["search", "--json", "with_bom"]).json();
    assert_eq!(paths(&found["results"]).first(), Some(&"bom.py"), "{found}");
    let outside = home.run(odd.path(), &["search", "--json", "root nologin passwd"]).json();
    assert!(paths(&outside["results"]).iter().all(|path| !path.starts_with("outside")));
}

#[test]
fn two_programs_on_one_workspace_both_answer() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let running: Vec<_> = (0..3)
        .map(|_| {
            home.command(shop.path())
                .args(["search", "--json", "parcel"])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(paths(&answer["results"]).first(), Some(&"src/shipping.py"), "{answer}");
    }
}

/// Imports `bytes` as a model and hands back the refusal.
fn import(home: &Home, folder: &Path, name: &str, bytes: &[u8]) -> Finished {
    let file = folder.join(name);
    fs::write(&file, bytes).expect("written");
    home.run(folder, &["models", "import", file.to_str().expect("a temporary path is UTF-8")])
}

#[test]
fn model_files_that_are_none_are_refused_by_name() {
    let (home, shop) = (Home::without_models(), workspace(SHOP));
    let newer = [b"GGUF".as_slice(), &99_u32.to_le_bytes(), &[0; 16]].concat();
    let truncated = [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &[0xff; 12]].concat();
    for (name, bytes) in [
        ("empty.gguf", [].as_slice()),
        ("text.gguf", b"not a model at all, just some text".as_slice()),
        ("newer.gguf", &newer),
        ("truncated.gguf", &truncated),
    ] {
        let refused = import(&home, shop.path(), name, bytes);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(name), "{refused:?}");
    }
}

#[test]
fn a_foreign_repository_is_searched_by_question() {
    let home = Home::without_models();
    let tantivy = foreign("tantivy-0.27.0");
    let answer = home
        .run(&tantivy, &["search", "--json", "where are segments merged by the merge policy"])
        .json();
    let found = paths(&answer["results"]);
    assert!(found.iter().take(5).any(|path| path.contains("merge")), "{found:?}");
}
