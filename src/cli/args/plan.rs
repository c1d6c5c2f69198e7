//! The arguments of what plans and carries plans out.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --env prod plan
  evenkeel --env prod --rev feature plan            what a branch would change
  evenkeel --env prod plan --out prod.plan         keep it, for `evenkeel apply prod.plan`
  evenkeel plan --against main                     what differs from a branch, without Docker or secrets
  evenkeel plan --against main --format markdown   the same as a comment for a pull request
  evenkeel --env prod plan --detailed-exitcode     for scripts: 2 if there is something to do")]
pub struct PlanArgs {
    /// Compare with what this commit, branch or tag says instead of with live Docker
    ///
    /// Needs no Docker and no secret. All environments are compared, or those that --env names, separated by commas.
    #[arg(long, value_name = "REV")]
    pub against: Option<String>,

    /// The form of the output
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,

    /// Keep the plan in this file, for `evenkeel apply FILE`
    ///
    /// Nobody else can read the file, and no secret is in it. Makes the state folder, whose key the file depends on.
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    pub out: Option<PathBuf>,

    /// With --against: compare with this observation of a host too, which `evenkeel observe` made; repeatable
    #[arg(long, value_name = "FILE", requires = "against")]
    pub live: Vec<PathBuf>,

    /// List what stays as it is, too
    #[arg(long)]
    pub full: bool,

    /// End with status 2 if the plan has changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// The arguments of `observe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --env prod observe --out prod.live.json")]
pub struct ObserveArgs {
    /// Write it to this file, which nobody else can read, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Forms of `plan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// For programs, as with --json
    Json,
    /// For a comment in a pull request: at most 60,000 characters, harmless whatever the manifests say
    Markdown,
}

/// The arguments of `apply`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --env prod apply               show the plan, ask, apply
  evenkeel --env prod --rev v1.4 apply    exactly that tag
  evenkeel apply prod.plan                a plan that `plan --out prod.plan` kept, or nothing
  evenkeel --env prod apply --watch       stay while it is watched, where no agent does
  evenkeel -f compose.yaml apply --yes    a bare Compose file, without asking")]
pub struct ApplyArgs {
    /// A plan that `evenkeel plan --out FILE` kept: it is applied without asking, if nothing has moved since
    #[arg(value_name = "FILE", conflicts_with = "accept")]
    pub plan: Option<PathBuf>,

    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,

    /// Agree to a plan that removes many services, by its id
    #[arg(long, value_name = "PLAN")]
    pub accept: Option<String>,

    /// Stay until the watch that `x-evenkeel.watch` asks for has passed, and go back if it fails, as an agent does
    #[arg(long)]
    pub watch: bool,
}
