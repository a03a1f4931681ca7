//! The conversion scripts that are part of the program. No other script is ever run.

use std::{fs, path::Path, process::Command};

use crate::{
    RegistryError,
    manifest::Member,
    process::{self, Environment},
    progress::{Step, Task},
};

/// A script, with the packages that it needs.
pub(crate) struct Script {
    name: &'static str,
    text: &'static str,
    requirements: &'static str,
}

const SCRIPTS: &[Script] = &[Script {
    name: "export_minilm",
    text: include_str!("../../../models/export_minilm.py"),
    requirements: include_str!("../../../models/requirements.txt"),
}];

/// The script of this name.
pub(crate) fn find(name: &str) -> Option<&'static Script> {
    SCRIPTS.iter().find(|script| script.name == name)
}

impl Script {
    /// Installs what the script needs into `environment` and runs it as `SCRIPT SOURCE TARGET`, both
    /// folders. All it leaves elsewhere is under `scratch`, which the caller removes.
    pub(crate) fn run(
        &self,
        environment: &Environment,
        (source, target): (&Path, &Path),
        scratch: &Path,
        outputs: &[Member],
        task: &mut Task<'_>,
    ) -> Result<(), RegistryError> {
        let list = scratch.join("requirements.txt");
        fs::write(&list, self.requirements).map_err(RegistryError::file("write", &list))?;
        let mut command = environment.pip(scratch);
        command.args(["install", "--no-deps", "--require-hashes", "--only-binary", ":all:"]);
        command.args(["--no-compile", "--progress-bar", "off", "--requirement"]).arg(&list);
        let what = "installing the tools that convert models";
        process::run(command, what, &environment.folder, |done| {
            task.report(Step::InstallingTools, done, None);
            task.cancel.is_cancelled()
        })?;
        let script = scratch.join(self.name).with_extension("py");
        fs::write(&script, self.text).map_err(RegistryError::file("write", &script))?;
        let total = outputs.iter().map(|output| output.bytes).sum();
        let mut command = Command::new(&environment.python);
        command.arg("-I").arg(&script).arg(source).arg(target);
        process::run(command, &format!("converting {}", task.id), target, |done| {
            task.report(Step::Converting, done.min(total), Some(total));
            task.cancel.is_cancelled()
        })
    }
}
