//! The program `hearth`: commands, logging and wiring.
//!
//! It decides nothing about code, models or editors: each command asks the [`assistant`] façade and
//! shows the answer, as text for a person or as one JSON document for a program.

mod commands;
mod global;
mod logging;
mod output;
mod session;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{commands::Command, global::Global};

/// A coding assistant that lives on your own machine.
#[derive(clap::Parser)]
#[command(name = "hearth", version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(arguments.global.verbose, arguments.command.is_server());
    match arguments.command.run(&arguments.global) {
        Ok(code) => code,
        Err(error) => {
            output::report(&error);
            output::exit_code(&error)
        }
    }
}
