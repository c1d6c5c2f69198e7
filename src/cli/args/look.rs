//! The arguments of the commands that look at what was deployed, and go back.

use clap::Args;

use super::OfStack;

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {}

/// The arguments of `history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --env prod history -n 5")]
pub struct HistoryArgs {
    /// Which stack.
    #[command(flatten)]
    pub of: OfStack,

    /// At most so many deploys, the latest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub most: u32,
}

/// The arguments of `why`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --env prod why web
  evenkeel --env prod why shop-prod-web-1")]
pub struct WhyArgs {
    /// A service, container, network or volume
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// The arguments of `rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --env prod rollback              to what was deployed before
  evenkeel --env prod rollback --to v1.3")]
pub struct RollbackArgs {
    /// Which stack.
    #[command(flatten)]
    pub of: OfStack,

    /// The revision to return to [default: the one before]
    #[arg(long, value_name = "REV")]
    pub to: Option<String>,

    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}
