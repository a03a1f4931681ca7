use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::process::{quietly, root, run, say};

/// Installs the Node packages of `folder` when its lock file changed since the last time.
pub fn install_packages(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("cannot read {}/package-lock.json", folder.display()))?;
    let stamp = folder.join("node_modules/.hearth-lock");
    if fs::read(&stamp).is_ok_and(|seen| seen == lock) {
        return Ok(());
    }
    say(&format!("installing Node packages in {}", folder.display()));
    // Not `npm ci`: it refuses a lock file without packages for other platforms, and where a
    // registry does not hold those, no lock file can name them. The versions are the lock file's
    // all the same.
    quietly(
        Command::new("npm")
            .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--loglevel=error")
            .current_dir(folder),
    )?;
    fs::write(stamp, lock)?;
    Ok(())
}

/// Builds the extension into `extension/dist`.
pub fn build_extension() -> Result<()> {
    let folder = root().join("extension");
    install_packages(&folder)?;
    npm_run(&folder, "build")
}

/// Runs a script of the `package.json` in `folder`.
pub fn npm_run(folder: &Path, script: &str) -> Result<()> {
    run(Command::new("npm").args(["run", "--silent", script]).current_dir(folder))
}
