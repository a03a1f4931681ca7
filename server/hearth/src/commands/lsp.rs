use std::process::ExitCode;

use anyhow::Result;

use crate::global::Global;

/// Arguments of `hearth lsp`.
#[derive(clap::Args)]
pub struct LspArgs {
    /// Accepted for editors that insist on naming the transport
    #[arg(long, hide = true)]
    stdio: bool,
}

/// Serves an editor until it says goodbye or goes away.
pub fn run(args: &LspArgs, global: &Global) -> Result<ExitCode> {
    let LspArgs { stdio: _ } = args;
    let options = language_server::ServerOptions {
        folders: Global::folders()?,
        program: Global::program()?,
        offline: global.offline,
    };
    Ok(language_server::run(options))
}
