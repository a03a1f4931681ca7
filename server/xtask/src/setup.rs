use std::{fs, path::Path, process::Command};

use anyhow::{Result, bail};

use crate::process::{has, quietly, say};

/// Something the system must have before the build can start.
struct Tool {
    /// What it is for, in the message that names it.
    purpose: &'static str,
    /// Debian's packages that bring it.
    packages: &'static [&'static str],
    present: fn() -> bool,
}

const BUILD: [Tool; 4] = [
    Tool { purpose: "cmake (llama.cpp)", packages: &["cmake"], present: || has("cmake") },
    Tool {
        purpose: "a C++ compiler",
        packages: &["g++", "make"],
        present: || (has("c++") || has("g++")) && (has("make") || has("ninja")),
    },
    Tool {
        purpose: "libclang (bindings to llama.cpp)",
        packages: &["libclang-dev", "clang"],
        present: has_libclang,
    },
    Tool {
        purpose: "Python 3 with pip and venv (default models)",
        packages: &["python3", "python3-pip", "python3-venv"],
        present: || {
            Command::new("python3")
                .args(["-c", "import pip, venv, ensurepip"])
                .output()
                .is_ok_and(|output| output.status.success())
        },
    },
];

const NODE: [Tool; 1] = [Tool {
    purpose: "Node.js 20 or newer with npm (VS Code extension)",
    packages: &["nodejs", "npm"],
    present: has_node,
}];

const WORKBENCH: [Tool; 2] = [
    Tool {
        purpose: "Kerberos headers (a native part of the browser workbench)",
        packages: &["libkrb5-dev", "pkg-config"],
        present: || {
            ["/usr/include/krb5.h", "/usr/include/krb5/krb5.h", "/usr/local/include/krb5.h"]
                .iter()
                .any(|header| Path::new(header).exists())
        },
    },
    Tool { purpose: "ripgrep", packages: &["ripgrep"], present: || has("rg") },
];

const INDEX_BENCH: [Tool; 2] = [
    Tool { purpose: "universal-ctags", packages: &["universal-ctags"], present: || has("ctags") },
    Tool { purpose: "ripgrep", packages: &["ripgrep"], present: || has("rg") },
];

const BROWSER: [Tool; 1] = [Tool {
    purpose: "Chromium (tests of the workbench)",
    packages: &["chromium"],
    present: || has("chromium") || has("chromium-browser") || has("google-chrome"),
}];

/// What compiling the daemon needs.
pub fn build_tools() -> Result<()> {
    ensure(&BUILD)
}

/// The peers that the index is measured beside.
pub fn index_bench_tools() -> Result<()> {
    ensure(&INDEX_BENCH)
}

/// What building the extension needs.
pub fn node() -> Result<()> {
    ensure(&NODE)?;
    if has_node() {
        return Ok(());
    }
    bail!("Node.js is older than 20; install version 20 or newer, then run this again")
}

/// What the workbench in the browser needs.
pub fn workbench_tools() -> Result<()> {
    ensure(&WORKBENCH)
}

/// What the tests of the workbench need besides.
pub fn browser() -> Result<()> {
    ensure(&BROWSER)
}

/// Installs what is missing where that is possible without a question, or fails with the command
/// that does.
fn ensure(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !(tool.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let purposes: Vec<&str> = missing.iter().map(|tool| tool.purpose).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
    if !(has("apt-get") && is_root()) {
        let command = if has("apt-get") {
            format!("sudo apt-get install -y {}", packages.join(" "))
        } else {
            format!("your system's package manager (on Debian: {})", packages.join(" "))
        };
        bail!("missing: {}\n  install with: {command}\n  then run this again", purposes.join(", "));
    }
    say(&format!("installing {} ({})", purposes.join(", "), packages.join(" ")));
    let install = |update: bool| -> Result<()> {
        if update {
            quietly(Command::new("apt-get").args(["update", "-q"]))?;
        }
        quietly(
            Command::new("apt-get")
                .args(["install", "-y", "-q", "--no-install-recommends"])
                .args(&packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    // A fresh image has no package lists; an old list may name versions that are gone.
    install(true)?;
    let still: Vec<&str> =
        missing.iter().filter(|tool| !(tool.present)()).map(|tool| tool.purpose).collect();
    if !still.is_empty() {
        bail!("still missing after installing {}: {}", packages.join(" "), still.join(", "));
    }
    Ok(())
}

fn is_root() -> bool {
    // SAFETY: geteuid reads a number of the process and cannot fail.
    #[cfg(unix)]
    return unsafe { libc::geteuid() } == 0;
    #[cfg(not(unix))]
    false
}

fn has_node() -> bool {
    let version = Command::new("node").arg("--version").output().ok();
    let major = version.and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim().trim_start_matches('v').split('.').next()?.parse::<u32>().ok()
    });
    major.is_some_and(|major| major >= 20) && has("npm")
}

/// Looks where bindgen looks: `LIBCLANG_PATH`, then LLVM's folders.
fn has_libclang() -> bool {
    let holds_libclang = |folder: &Path| {
        fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| is_libclang(&entry.file_name().to_string_lossy()))
        })
    };
    if std::env::var_os("LIBCLANG_PATH").is_some_and(|path| holds_libclang(Path::new(&path))) {
        return true;
    }
    let llvm = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<_> = llvm
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("llvm"))
        })
        .map(|path| path.join("lib"))
        .collect();
    folders.extend(
        [
            "/usr/lib",
            "/usr/lib64",
            "/usr/local/lib",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
        ]
        .map(Into::into),
    );
    folders.iter().any(|folder| holds_libclang(folder))
}

/// Whether a file of this name is the C interface to clang; `libclang-cpp` beside it is another library, which
/// systems bring without the former.
fn is_libclang(name: &str) -> bool {
    let versioned = name.strip_prefix("libclang-").is_some_and(|rest| !rest.starts_with("cpp"));
    name.starts_with("libclang.so")
        || versioned && name.contains(".so")
        || name == "libclang.dylib"
        || name == "libclang.dll"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clangs_library_for_cpp_is_not_its_c_interface() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.1", "libclang.dylib"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so", "libclang-cpp.so.14", "libclang-14.a", "libclang_rt.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
