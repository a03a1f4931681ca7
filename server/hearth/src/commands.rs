mod adapt;
mod ask;
mod bench;
mod complete;
mod doctor;
mod edit;
mod index;
mod lsp;
mod map;
mod models;
mod search;
mod status;
mod symbols;
mod trust;
mod worker;

use std::process::ExitCode;

use anyhow::Result;

use crate::global::Global;

/// What can be done, one variant a command.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The language server, on standard input and output
    Lsp(lsp::LspArgs),
    /// Bring the index of the workspace up to date
    Index(index::IndexArgs),
    /// Find code
    Search(search::SearchArgs),
    /// List definitions
    Symbols(symbols::SymbolsArgs),
    /// Show the most important files and definitions as an outline
    Map(map::MapArgs),
    /// Show what ghost text would show at a place
    Complete(complete::CompleteArgs),
    /// Ask about the workspace; a pipe on standard input is context
    Ask(ask::AskArgs),
    /// Change lines of a file by an instruction; shows a diff unless told to apply it
    Edit(edit::EditArgs),
    /// Manage the models on this machine
    Models(models::ModelsArgs),
    /// Grant or withdraw trust in a workspace
    Trust(trust::TrustArgs),
    /// Show the state of index and models
    Status(status::StatusArgs),
    /// Measure the speed of a model file on this machine
    Bench(bench::BenchArgs),
    /// Say what is wrong on this machine and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Run one model in a process of its own (started by the other commands)
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
}

impl Command {
    /// Whether the command serves an editor, so that its log is worth keeping.
    pub fn is_server(&self) -> bool {
        matches!(self, Self::Lsp(_))
    }

    /// Runs the command to its end.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Lsp(args) => lsp::run(&args, global),
            Self::Index(args) => index::run(&args, global),
            Self::Search(args) => search::run(&args, global),
            Self::Symbols(args) => symbols::run(&args, global),
            Self::Map(args) => map::run(&args, global),
            Self::Complete(args) => complete::run(&args, global),
            Self::Ask(args) => ask::run(&args, global),
            Self::Edit(args) => edit::run(&args, global),
            Self::Models(args) => models::run(args, global),
            Self::Trust(args) => trust::run(&args, global),
            Self::Status(args) => status::run(&args, global),
            Self::Bench(args) => bench::run(&args, global),
            Self::Doctor(args) => doctor::run(&args, global),
            Self::Worker(args) => worker::run(args),
        }
    }
}
