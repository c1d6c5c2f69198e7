//! The arguments of what concerns a host and the installation there.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel doctor                                      what /etc/evenkeel/agent.yaml says, if it is there
  evenkeel doctor --config agent.yaml
  evenkeel --repo /srv/infra.git --env prod doctor --json")]
pub struct DoctorArgs {
    /// The agent's file [default: /etc/evenkeel/agent.yaml, where it is there and no --repo is given]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel completions zsh > \"${fpath[1]}/_evenkeel\"")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// The arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder for them; made if it isn't there
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}
