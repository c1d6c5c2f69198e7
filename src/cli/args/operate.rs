//! The arguments of the commands by which an operator guides the agent of a host.

use clap::Args;

/// Which stack is meant.
#[derive(Debug, Clone, Args)]
pub struct OfStack {
    /// The stack [default: the only one on this host, else that of the manifests]
    #[arg(long, value_name = "STACK")]
    pub stack: Option<String>,
}

/// The arguments of `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Which stack.
    #[command(flatten)]
    pub of: OfStack,
}

/// The arguments of `pause`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel pause --for 2h --reason 'moving the database'
  evenkeel pause --stack shop-prod --for 30m --reason 'looking into #42'")]
pub struct PauseArgs {
    /// Which stack.
    #[command(flatten)]
    pub of: OfStack,

    /// How long, as in `2h` or `45m`; 30 days at most
    #[arg(long = "for", value_name = "DURATION")]
    pub lasts: String,

    /// Why, for whoever finds it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// The arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Which stack.
    #[command(flatten)]
    pub of: OfStack,
}

/// The arguments of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Which stack.
    #[command(flatten)]
    pub of: OfStack,
}

/// The arguments of `approve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel approve d1c2e922a51b")]
pub struct ApproveArgs {
    /// Which stack.
    #[command(flatten)]
    pub of: OfStack,

    /// The plan, as `status` and the log name it
    #[arg(value_name = "PLAN")]
    pub plan: String,
}
