use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    build,
    process::{cargo, run, step, target},
    setup,
};

/// Measures quality on the committed questions and samples and compares with the committed scores.
pub fn eval(args: &[String]) -> Result<()> {
    let names: Vec<&str> = match args {
        [] => vec!["completion", "retrieval"],
        [name] if ["completion", "retrieval"].contains(&name.as_str()) => vec![name.as_str()],
        _ => bail!("usage: cargo xtask eval [completion|retrieval]"),
    };
    setup::build_tools()?;
    step("daemon", build::build_daemon)?;
    for name in names {
        step(name, || {
            run(cargo()
                .args(["run", "--release", "--quiet", "--package", "end-to-end"])
                .args(["--bin", &format!("eval-{name}")]))
        })?;
    }
    Ok(())
}
