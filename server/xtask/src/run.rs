use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    build, extension,
    process::{daemon, find, root, run as run_command, say, step, target},
    setup,
};

/// From nothing to an assistant at work: sets up, builds, fetches the models and opens the folder.
pub fn run(args: &[String]) -> Result<()> {
    let folder = match args {
        [] => root(),
        [folder] => PathBuf::from(folder),
        _ => bail!("usage: cargo xtask run [FOLDER]"),
    };
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot open the folder {}", folder.display()))?;
    step("tools", || setup::build_tools().and_then(|()| setup::node()))?;
    step("daemon", build::build_daemon)?;
    step("models", build::pull_models)?;
    step("extension", extension::build_extension)?;
    open(&folder)
}

/// Opens the folder in the VS Code that is installed, otherwise in the workbench in the browser.
fn open(folder: &std::path::Path) -> Result<()> {
    let extension = root().join("extension");
    let browser_wanted = env::var_os("HEARTH_BROWSER").is_some();
    if let Some(code) = find("code").filter(|_| !browser_wanted) {
        say(&format!("opening {} in VS Code", folder.display()));
        return run_command(
            Command::new(code)
                .arg("--new-window")
                .arg(format!("--extensionDevelopmentPath={}", extension.display()))
                .arg(folder)
                .env("HEARTH_SERVER", daemon()),
        );
    }
    step("workbench tools", setup::workbench_tools)?;
    let workbench = root().join("tests/workbench");
    extension::install_packages(&workbench)?;
    run_command(
        Command::new("node")
            .arg(workbench.join("serve.mjs"))
            .arg(folder)
            .arg("--server")
            .arg(daemon())
            .env("HEARTH_WORKBENCH", workbench_folder()),
    )
}

/// Where the workbench in the browser is installed: beside what cargo builds, so that it is shared
/// by all tasks and removed with it.
pub fn workbench_folder() -> PathBuf {
    target().join("workbench")
}
