use tracing_subscriber::EnvFilter;

/// Sends logs to standard error; standard output belongs to results and to the protocol.
/// `HEARTH_LOG` holds a filter such as `debug` or `indexer=trace`.
pub fn start(verbose: u8, server: bool) {
    let default = match (verbose, server) {
        (0, false) => "error",
        (0, true) => "info",
        (1, _) => "info,tantivy=warn",
        (2, _) => "debug,tantivy=info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("HEARTH_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
