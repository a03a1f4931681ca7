//! `cargo xtask`: sets the project up, runs it, tests it, measures it and packs it.
//!
//! Each task installs what it needs, or names it together with the command that gets it, and does
//! nothing the second time. No product code lives here: what a user needs at run time is in the
//! program itself.

mod bench;
mod build;
mod eval;
mod extension;
mod lint;
mod models;
mod package;
mod process;
mod run;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK

  run [FOLDER]       set up, build and open FOLDER (default: this repository) in VS Code
  test [--long]      set up and pass every test; --long adds the slow ones
  lint               rustfmt, clippy, biome, tsc
  tidy               layers, owners and generated files
  generate           rewrite the generated files that tidy checks
  eval [NAME]        quality: completion, retrieval [--data DIR], symbols
  models TASK        makes what the daemon carries: all, data, embedding, priors, evaluate, completion, test
  bench [NAME]       speed beside peers, as ratios from one run: inference, index
  package [--here]   a VSIX with the daemon inside; --here builds for this machine's CPU only
";

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let task = if args.is_empty() { String::new() } else { args.remove(0) };
    let result = match task.as_str() {
        "run" => run::run(&args),
        "test" => test::test(&args),
        "lint" => lint::lint(),
        "tidy" => tidy::tidy(),
        "generate" => tidy::generate(),
        "eval" => eval::eval(&args),
        "models" => models::models(&args),
        "bench" => bench::bench(&args),
        "package" => package::package(&args),
        _ => {
            process::say(HELP);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("\ncargo xtask {task} failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
