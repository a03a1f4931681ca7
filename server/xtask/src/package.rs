use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    extension,
    process::{cargo, daemon, root, run, say, step, target},
    setup,
};

/// Packs the extension with the daemon inside.
///
/// Without `--here` the daemon carries llama.cpp's kernels for every x86-64 CPU as libraries beside
/// it and uses nothing newer itself, so that the package travels; it is built in a folder of its
/// own. With `--here` the daemon that is already built for this machine is packed.
pub fn package(args: &[String]) -> Result<()> {
    let here = match args {
        [] => false,
        [flag] if flag == "--here" => true,
        _ => bail!("usage: cargo xtask package [--here]"),
    };
    setup::build_tools()?;
    setup::node()?;
    let folder = root().join("extension");
    let server = folder.join("server");
    if server.exists() {
        fs::remove_dir_all(&server)?;
    }
    fs::create_dir_all(&server)?;
    if here {
        step("daemon", crate::build::build_daemon)?;
        copy(&daemon(), &server)?;
    } else {
        step("portable daemon", || portable(&server))?;
    }
    step("extension", extension::build_extension)?;
    let platform = platform()?;
    let vsix = target().join(format!("hearth-{platform}.vsix"));
    step("vsix", || {
        run(Command::new("npx")
            .args([
                "--no-install",
                "vsce",
                "package",
                "--no-dependencies",
                "--target",
                platform,
                "--allow-package-all-secrets",
            ])
            .arg("--out")
            .arg(&vsix)
            .current_dir(&folder))
    })?;
    let bytes = fs::metadata(&vsix)?.len();
    say(&format!("{} ({} MB)", vsix.display(), bytes / 1_000_000));
    Ok(())
}

/// Builds for any CPU of this architecture and puts the program and its libraries into `server`.
fn portable(server: &std::path::Path) -> Result<()> {
    let target = target().join("portable");
    run(cargo()
        .args(["build", "--release", "--package", "hearth", "--features", "portable"])
        .env("CARGO_TARGET_DIR", &target)
        // The libraries lie beside the program, wherever it is installed.
        .env("CARGO_ENCODED_RUSTFLAGS", "-Clink-arg=-Wl,-rpath,$ORIGIN"))?;
    let release = target.join("release");
    copy(&release.join("hearth"), server)?;
    let build = release.join("build");
    let mut libraries = 0;
    for entry in fs::read_dir(&build).with_context(|| build.display().to_string())?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("llama-cpp-sys-2-") {
            continue;
        }
        for folder in ["out/build/bin", "out/lib", "out/lib64"] {
            let Ok(files) = fs::read_dir(entry.path().join(folder)) else { continue };
            for file in files.flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                if name.starts_with("lib") && name.contains(".so") {
                    copy(&file.path(), server)?;
                    libraries += 1;
                }
            }
        }
    }
    if libraries == 0 {
        bail!("no llama.cpp libraries were built below {}", build.display());
    }
    Ok(())
}

fn copy(file: &std::path::Path, folder: &std::path::Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, folder.join(name))
        .with_context(|| format!("cannot copy {} to {}", file.display(), folder.display()))?;
    Ok(())
}

/// VS Code's name of this platform.
fn platform() -> Result<&'static str> {
    Ok(match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        ("windows", "x86_64") => "win32-x64",
        (os, arch) => bail!("no VS Code package exists for {os} on {arch}"),
    })
}
