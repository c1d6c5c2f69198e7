//! What is logged, and how: to standard error, by the wishes of `-v` and `EVENKEEL_LOG`.

use tracing_subscriber::EnvFilter;

use super::args::{Cli, Command};
use super::output::Output;

/// Starts logging. The agent logs what it decides, as JSON lines with `--json`; other commands say what they do, and
/// their log is for finding out why.
pub(super) fn start(cli: &Cli) {
    let is_agent = matches!(cli.command, Command::Run(_));
    let level = match (is_agent, cli.global.verbose) {
        (true, 0) => "info",
        (false, 0) => "error",
        (false, 1) => "warn",
        (true, 1) | (_, 2) => "debug",
        (_, 3..) => "trace",
    };
    let wish = std::env::var("EVENKEEL_LOG").unwrap_or_else(|_| format!("evenkeel={level}"));
    // Whatever is wished, bollard stays at info: below that it logs whole requests, the environment of containers
    // included.
    let filter = EnvFilter::new(format!("{wish},bollard=info,hyper=info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(Output::is_stderr_coloured());
    let _ = if is_agent && cli.global.json { log.json().try_init() } else { log.try_init() };
}
