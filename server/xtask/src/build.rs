use anyhow::Result;

use crate::process::{cargo, daemon, quietly, run};

/// Builds the optimised daemon; cargo shows its own progress. The whole workspace is selected, as
/// by the tests: another selection can mean other features of a build dependency, and then
/// llama.cpp is compiled again.
pub fn build_daemon() -> Result<()> {
    run(cargo().args(["build", "--release", "--workspace"]))
}

/// Fetches, checks and prepares the default models; does nothing when they are there.
pub fn pull_models() -> Result<()> {
    run(std::process::Command::new(daemon()).args(["models", "pull", "default"]))
}

/// Asks the built daemon for its version, to fail early when it cannot even start.
pub fn check_daemon() -> Result<()> {
    quietly(std::process::Command::new(daemon()).arg("--version"))
}
