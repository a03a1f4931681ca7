use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    process::{cargo, root, run, say, step},
    test::output,
};

/// The layers of docs/architecture.md, lowest first: a crate uses only crates of lower rows.
const LAYERS: [&[&str]; 10] = [
    &["text", "base"],
    &["vfs", "syntax", "inference", "prompt", "model-registry", "static-embedding", "pdf-text"],
    &[
        "vfs-notify",
        "lexical-index",
        "vector-index",
        "commit-history",
        "store",
        "journal",
        "inference-llama",
        "inference-embed",
        "inference-worker",
    ],
    &["indexer"],
    &["retrieval", "code-graph", "instant"],
    &["completion", "chat", "edit"],
    &["adaptation"],
    &["assistant"],
    &["language-server"],
    &["hearth"],
];

/// Pairs of one layer that may see each other all the same: a trait crate below its users.
const SAME_LAYER: [(&str, &str); 5] = [
    ("prompt", "inference"),
    ("model-registry", "inference"),
    ("syntax", "vfs"),
    ("inference-embed", "inference-worker"),
    ("inference-llama", "inference-worker"),
];

/// The one crate that may use a heavy library.
const OWNERS: [(&str, &[&str]); 17] = [
    ("tantivy", &["lexical-index"]),
    ("usearch", &["vector-index"]),
    ("gix", &["commit-history"]),
    ("rusqlite", &["store"]),
    ("notify", &["vfs-notify"]),
    ("ignore", &["vfs-notify"]),
    ("llama-cpp-2", &["inference-llama"]),
    ("llama-cpp-sys-2", &["inference-llama"]),
    ("fastembed", &["inference-embed"]),
    ("ort", &["inference-embed"]),
    ("tree-sitter", &["syntax"]),
    ("ureq", &["model-registry"]),
    ("minijinja", &["prompt"]),
    ("tower-lsp-server", &["language-server"]),
    ("tokio", &["language-server"]),
    ("clap", &["hearth"]),
    ("hayro-interpret", &["pdf-text"]),
];

/// Checks what would otherwise rot: layers, owners, crate heads, the map, generated files.
pub fn tidy() -> Result<()> {
    let mut problems = Vec::new();
    let crates = crates()?;
    check_layers(&crates, &mut problems);
    check_owners(&crates, &mut problems);
    check_heads(&crates, &mut problems)?;
    check_top_level(&mut problems)?;
    if !problems.is_empty() {
        for problem in &problems {
            say(&format!("  {problem}"));
        }
        bail!("{} things are out of order", problems.len());
    }
    say(&format!("tidy: {} crates, {} owners", crates.len(), OWNERS.len()));
    Ok(())
}

/// Rewrites the files that are made from the code; their tests fail when they are out of date.
pub fn generate() -> Result<()> {
    step("generated files", || {
        run(cargo()
            .args(["test", "--release", "--quiet", "--package", "assistant"])
            .args(["--package", "language-server", "--", "generated"])
            .env("HEARTH_GENERATE", "1"))
    })
}

/// Dependencies of each crate by name, dev-dependencies left out.
fn crates() -> Result<BTreeMap<String, Vec<String>>> {
    let json =
        output(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]))?;
    let metadata: Value = serde_json::from_str(&json).context("cargo metadata is JSON")?;
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let dependencies = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
            .collect();
        crates.insert(name, dependencies);
    }
    Ok(crates)
}

fn check_layers(crates: &BTreeMap<String, Vec<String>>, problems: &mut Vec<String>) {
    let layer = |name: &str| LAYERS.iter().position(|row| row.contains(&name));
    for (name, dependencies) in crates {
        if name == "xtask" || name == "end-to-end" {
            continue;
        }
        let Some(own) = layer(name) else {
            problems.push(format!("{name} stands in no layer of server/xtask/src/tidy.rs"));
            continue;
        };
        for dependency in dependencies {
            let Some(other) = layer(dependency) else { continue };
            let excepted = SAME_LAYER.contains(&(name.as_str(), dependency.as_str()));
            if other >= own && !excepted {
                problems.push(format!("{name} (layer {own}) uses {dependency} (layer {other})"));
            }
        }
    }
}

fn check_owners(crates: &BTreeMap<String, Vec<String>>, problems: &mut Vec<String>) {
    for (library, owners) in OWNERS {
        for (name, dependencies) in crates {
            let uses = dependencies.iter().any(|dependency| dependency == library);
            if uses && !owners.contains(&name.as_str()) {
                problems.push(format!("{name} uses {library}, which belongs to {}", owners[0]));
            }
        }
    }
}

/// Every crate begins by saying what it is for, and the map names it.
fn check_heads(crates: &BTreeMap<String, Vec<String>>, problems: &mut Vec<String>) -> Result<()> {
    let map = fs::read_to_string(root().join("docs/architecture.md"))
        .context("docs/architecture.md is the map of the project")?;
    for name in crates.keys() {
        if !map.contains(&format!("`{name}`")) {
            problems.push(format!("docs/architecture.md does not name `{name}`"));
        }
        let folder = if name == "end-to-end" {
            root().join("tests/src")
        } else {
            root().join("server").join(name).join("src")
        };
        let head = ["lib.rs", "main.rs"]
            .iter()
            .find_map(|file| fs::read_to_string(folder.join(file)).ok());
        if !head.is_some_and(|head| head.starts_with("//!")) {
            problems.push(format!("{name} does not begin with what it is for (`//!`)"));
        }
    }
    Ok(())
}

/// The visible top level is fixed, so that a newcomer finds the same few folders always.
fn check_top_level(problems: &mut Vec<String>) -> Result<()> {
    const VISIBLE: [&str; 9] = [
        "Cargo.toml",
        "Cargo.lock",
        "server",
        "extension",
        "grammars",
        "models",
        "tests",
        "docs",
        "README.md",
    ];
    let tracked = output(std::process::Command::new("git").arg("ls-files").current_dir(root()))?;
    let mut seen: Vec<&str> = tracked.lines().filter_map(|path| path.split('/').next()).collect();
    seen.dedup();
    for name in seen {
        if !name.starts_with('.') && !VISIBLE.contains(&name) {
            problems.push(format!("{name} does not belong at the top level"));
        }
    }
    Ok(())
}
