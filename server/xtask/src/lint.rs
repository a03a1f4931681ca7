use anyhow::Result;

use crate::{
    extension,
    process::{cargo, root, run, step},
    setup,
};

/// Every formatter, linter and type checker, with warnings as errors.
pub fn lint() -> Result<()> {
    setup::build_tools()?;
    setup::node()?;
    step("rustfmt", || run(cargo().args(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        run(cargo()
            .args(["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--"])
            .args(["--deny", "warnings"]))
    })?;
    let folder = root().join("extension");
    extension::install_packages(&folder)?;
    step("biome", || extension::npm_run(&folder, "lint"))?;
    step("tsc", || extension::npm_run(&folder, "check"))
}
