use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    build, extension,
    process::{daemon, root, run, step, target},
    setup,
};

const USAGE: &str = "usage: cargo xtask bench [inference|index] [...]";

/// Measures speed and memory beside peers, interleaved in one run: the engine (`inference`, the usual one)
/// or the index.
pub fn bench(args: &[String]) -> Result<()> {
    let (what, rest) = match args.split_first() {
        Some((what, rest)) if !what.starts_with('-') => (what.as_str(), rest),
        _ => ("inference", args),
    };
    setup::build_tools()?;
    setup::node()?;
    step("daemon", build::build_daemon)?;
    let folder = root().join("tests/bench").join(what);
    match what {
        "inference" => {
            step("models", build::pull_models)?;
            extension::install_packages(&folder)?;
        }
        "index" => setup::index_bench_tools()?,
        _ => bail!(USAGE),
    }
    let mut node = Command::new("node");
    node.arg(folder.join("bench.mjs")).args(rest).env("HEARTH_SERVER", daemon());
    run(node.env("HEARTH_BENCH", target().join("bench")))
}
