use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    process::{cargo, root, run, step, target},
    setup,
};

/// Measures quality on the committed questions and samples and writes the scores beside them.
pub fn eval(args: &[String]) -> Result<()> {
    let names: Vec<&str> = match args {
        [] => vec!["completion", "retrieval"],
        [name] if ["completion", "retrieval"].contains(&name.as_str()) => vec![name.as_str()],
        _ => bail!("usage: cargo xtask eval [completion|retrieval]"),
    };
    setup::build_tools()?;
    step("build", || {
        run(cargo().args(["build", "--release", "--quiet", "--workspace", "--examples"]))
    })?;
    let examples = target().join("release/examples");
    let folder = root().join("tests/eval");
    for name in names {
        let mut command = match name {
            "completion" => Command::new(examples.join("evaluate")),
            _ => {
                let mut command = Command::new(examples.join("retrieval-eval"));
                command
                    .arg(folder.join("retrieval/questions.toml"))
                    .arg("--json")
                    .arg(folder.join("retrieval/questions.scores.json"));
                command
            }
        };
        step(name, || run(command.current_dir(root())))?;
    }
    Ok(())
}
