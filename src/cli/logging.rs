//! What is logged, and how: to standard error, by the wishes of `-v` and `EVENKEEL_LOG`.

use tracing_subscriber::EnvFilter;

use super::args::{Cli, Command};

/// Starts logging. The agent logs what it decides; other commands only warnings, for they say what they do.
pub(super) fn start(cli: &Cli) {
    let level = match (&cli.command, cli.global.verbose) {
        (_, 2..) => "debug",
        (_, 1) | (Command::Run(_), 0) => "info",
        (_, 0) => "error",
    };
    let wish = std::env::var("EVENKEEL_LOG").unwrap_or_else(|_| format!("evenkeel={level}"));
    // Whatever is wished, bollard stays at info: below that it logs whole requests, the environment of containers
    // included.
    let filter = format!("{wish},bollard=info,hyper=info");
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none(),
        )
        .with_target(false)
        .try_init();
}
