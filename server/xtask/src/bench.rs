use std::process::Command;

use anyhow::Result;

use crate::{
    build, extension,
    process::{daemon, root, run, step},
    setup,
};

/// Measures speed and memory beside a peer on the same model file, interleaved in one run.
pub fn bench(args: &[String]) -> Result<()> {
    setup::build_tools()?;
    setup::node()?;
    step("daemon", build::build_daemon)?;
    step("models", build::pull_models)?;
    let peer = root().join("tests/bench/inference");
    extension::install_packages(&peer)?;
    run(Command::new("node").arg(peer.join("bench.mjs")).args(args).env("HEARTH_SERVER", daemon()))
}
