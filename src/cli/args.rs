//! The command line, as clap reads it. The comments here are the manual that `--help` prints.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Keeps Docker hosts on an even keel: what Git says is what runs
///
/// Evenkeel reads Compose manifests from a repository, compares them field by field with live Docker, and applies the
/// difference in order, behind health gates, with automatic rollback.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  evenkeel demo                          the whole story in under a minute
  evenkeel init                          lay out a repository here
  evenkeel validate                      everything that is wrong, in every environment
  evenkeel --env prod plan               what would change on this host, field by field
  evenkeel --env prod apply              change it, or return to what ran before
  evenkeel -f compose.yaml apply         the same for a bare Compose file
  evenkeel --env prod run --branch main  follow a branch for ever

Exit status:
  0 done or nothing to do   1 failed, nothing changed   2 the plan has changes (plan --detailed-exitcode)
  3 rolled back             4 the rollback failed too";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration repository: bare, with a work tree, or a plain folder
    #[arg(long, global = true, value_name = "PATH", env = "EVENKEEL_REPO", default_value = ".")]
    pub repo: PathBuf,

    /// The environment, a folder below `environments/`
    #[arg(long, global = true, value_name = "NAME", env = "EVENKEEL_ENV")]
    pub env: Option<String>,

    /// A Compose file instead of a repository; several are merged in order
    #[arg(short = 'f', long = "file", global = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// A commit, branch or tag instead of the work tree
    #[arg(long, global = true, value_name = "REV", conflicts_with = "files")]
    pub rev: Option<String>,

    /// The engine's socket: <unix:///var/run/docker.sock>
    #[arg(long, global = true, value_name = "HOST", env = "DOCKER_HOST")]
    pub docker: Option<String>,

    /// The folder for the ledger and laid down files [default: /var/lib/evenkeel as root, else ~/.local/state/evenkeel]
    #[arg(long, global = true, value_name = "DIR", env = "EVENKEEL_STATE")]
    pub state: Option<PathBuf>,

    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// Print only data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Tell more of what happens; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(InitArgs),
    Validate(ValidateArgs),
    Render(RenderArgs),
    Plan(PlanArgs),
    Apply(ApplyArgs),
    Run(RunArgs),
    Status(StatusArgs),
    History(HistoryArgs),
    Rollback(RollbackArgs),
    Demo(DemoArgs),
}

/// Lay out a configuration repository
///
/// Writes evenkeel.yaml, a manifest and the environments dev and prod. No file that is there already is touched.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to lay out
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,

    /// Begin with this Compose file as the manifest
    #[arg(long, value_name = "COMPOSE_FILE")]
    pub from: Option<PathBuf>,

    /// The project's name [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
}

/// Find everything that is wrong with the manifests
///
/// Checks every environment at once, or the one that --env names. Needs no Docker and none of the host's variables.
#[derive(Debug, Args)]
pub struct ValidateArgs {}

/// Print the resolved desired state as one Compose file
///
/// Values that come from the host are shown as `(sensitive)`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The form of the output
    #[arg(long, value_enum, default_value = "yaml")]
    pub format: RenderFormat,
}

/// Forms of `render`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RenderFormat {
    /// Compose YAML
    Yaml,
    /// The same as JSON
    Json,
}

/// Show what would change, field by field
///
/// Compares what is desired with live Docker and with what was last applied, and writes nothing anywhere.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// End with status 2 if the plan has changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Change the host to what is desired
///
/// Shows the plan, asks, and carries it out: in order, behind health gates. If anything fails before the whole deploy
/// has passed, what ran before runs again.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,

    /// Agree to a plan that removes many services, by its id
    #[arg(long, value_name = "PLAN")]
    pub accept: Option<String>,
}

/// Follow a branch: deploy its commits and repair drift, for ever
///
/// Polls and watches the repository, listens to Docker, and keeps the host as the branch says. A commit that had to be
/// rolled back is not tried again until its content changes. SIGTERM ends it at a safe point.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The branch to follow [default: the repository's HEAD]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,

    /// Seconds between two looks at the repository, where no event told before
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub poll: u64,
}

/// Show what runs
#[derive(Debug, Args)]
pub struct StatusArgs {}

/// Show what was deployed, when and how it ended
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// At most so many deploys, the latest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub most: u32,
}

/// Return to what was deployed before
///
/// Plans towards the last revision that was deployed well before the present one, or towards --to. Containers that ran
/// it and are still kept are started again, without any pull. The revision left behind is quarantined: an agent does not
/// deploy it again.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The revision to return to [default: the one before]
    #[arg(long, value_name = "REV")]
    pub to: Option<String>,

    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

/// See the whole story on this machine, in under a minute
///
/// Makes a throw-away bare repository with the reference stack, starts the agent on it and shows, with real timings: the
/// first deploy, a push that changes one service, a container removed by hand that comes back, and a push of a broken
/// image that rolls back. Then it cleans up all that it made. Without Docker it runs on a simulated engine.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Use the simulated engine even where Docker answers
    #[arg(long)]
    pub simulate: bool,
}
