//! The command line, as clap reads it. The comments here are the manual that `--help` prints.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod adopt;
mod operate;
mod host;
mod look;
mod plan;
mod schema;
mod token;

pub use adopt::AdoptArgs;
pub use host::{CompletionsArgs, DoctorArgs, ManArgs};
pub use look::{HistoryArgs, RollbackArgs, StatusArgs, WhyArgs};
pub use operate::{ApproveArgs, OfStack, PauseArgs, ReleaseArgs, ResumeArgs, SyncArgs};
pub use plan::{ApplyArgs, ObserveArgs, PlanArgs, PlanFormat};
pub use schema::{SchemaArgs, SchemaOf};
pub use token::{NewTokenArgs, TokenCommand, TokenRole};

/// Keeps Docker hosts on an even keel: what Git says is what runs
///
/// Evenkeel reads Compose manifests from a repository, compares them field by field with live Docker, and applies the
/// difference in order, behind health gates, with automatic rollback.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, after_help = EXAMPLES, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// The options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
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
  0  done, or nothing to do
  1  failed, nothing changed
  2  the plan has changes (only `plan --detailed-exitcode`)
  3  the deploy failed, and what ran before runs again
  4  the deploy failed, and so did the way back";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The configuration repository: bare, with a work tree, or a plain folder
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "EVENKEEL_REPO",
        hide_env_values = true,
        default_value = "."
    )]
    pub repo: PathBuf,

    /// The environment, a folder below `environments/`
    #[arg(long, global = true, value_name = "NAME", env = "EVENKEEL_ENV", hide_env_values = true)]
    pub env: Option<String>,

    /// A Compose file instead of a repository; several are merged in order
    #[arg(short = 'f', long = "file", global = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// With --file: a file of variables, instead of `.env` beside the first Compose file
    #[arg(long = "env-file", global = true, value_name = "FILE")]
    pub env_files: Vec<PathBuf>,

    /// With --file: a profile whose services are active
    #[arg(long = "profile", global = true, value_name = "NAME")]
    pub profiles: Vec<String>,

    /// With --file: the folder that relative paths are relative to [default: that of the first file]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub project_directory: Option<PathBuf>,

    /// With --file: what the project is called [default: its `name`, else the folder's]
    #[arg(short = 'p', long = "project-name", global = true, value_name = "NAME")]
    pub project_name: Option<String>,

    /// A commit, branch or tag instead of the work tree; `HEAD` in a bare repository
    #[arg(long, global = true, value_name = "REV", conflicts_with = "files")]
    pub rev: Option<String>,

    /// The engine's socket, as `unix:///PATH` [default: that of this machine's Docker]
    #[arg(long, global = true, value_name = "HOST", env = "DOCKER_HOST", hide_env_values = true)]
    pub docker: Option<String>,

    /// Who this host is, for `hosts` of environment.yaml [default: its host name]
    #[arg(long, global = true, value_name = "NAME", env = "EVENKEEL_HOST", hide_env_values = true)]
    pub host: Option<String>,

    /// What this host is besides, as in `role=web`; may be given several times
    #[arg(
        long = "label",
        global = true,
        value_name = "KEY=VALUE",
        env = "EVENKEEL_LABELS",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = super::place::label
    )]
    pub labels: Vec<(String, String)>,

    /// The folder for the ledger and laid down files [default: /var/lib/evenkeel as root, else ~/.local/state/evenkeel]
    #[arg(long, global = true, value_name = "DIR", env = "EVENKEEL_STATE", hide_env_values = true)]
    pub state: Option<PathBuf>,

    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// Print only data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Tell every step; twice, log what goes on inside
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lay out a configuration repository
    ///
    /// Writes evenkeel.yaml, a manifest and the environments dev and prod. No file that is there already is touched.
    Init(InitArgs),
    /// Find everything that is wrong with the manifests
    ///
    /// Checks every environment at once, or the one that --env names. Needs no Docker and none of the host's variables.
    Validate(ValidateArgs),
    /// Print the resolved desired state as one Compose file
    ///
    /// Values that come from the host are shown as `(sensitive)`.
    Render(RenderArgs),
    /// Print the JSON Schema of a file, for editors
    ///
    /// Completion and checks while you type: docs/editors.md says how an editor is told.
    Schema(SchemaArgs),
    /// Show what would change, field by field
    ///
    /// Compares what is desired with live Docker and with what was last applied, and writes nothing anywhere.
    Plan(PlanArgs),
    /// Tell what runs here, for the review of pull requests elsewhere
    ///
    /// Prints a JSON file for `evenkeel plan --against REV --live FILE`. A value is in it only if the repository says the
    /// same in the clear, or if it is of a kind that is never a secret, like a limit or a port. Writes nothing to Docker.
    Observe(ObserveArgs),
    /// Change the host to what is desired
    ///
    /// Shows the plan, asks, and carries it out: in order, behind health gates. If anything fails before the whole deploy
    /// has passed, what ran before runs again.
    Apply(ApplyArgs),
    /// Follow a branch: deploy its commits and repair drift, for ever
    ///
    /// Polls and watches the repository, listens to Docker, and keeps the host as the branch says. A commit that had to be
    /// rolled back is not tried again until its content changes. SIGTERM ends it at a safe point.
    Run(RunArgs),
    /// Show what runs
    ///
    /// Every container with its tier, state and image; which revision is applied and since when, how the last deploy ended,
    /// whether the manifests want something else by now, and what is quarantined. Ends with 4 while a failed deploy could
    /// not be rolled back.
    Status(StatusArgs),
    /// Show what was deployed, when and how it ended
    History(HistoryArgs),
    /// Say why something is as it is, or isn't
    ///
    /// Of a service, container, network or volume: its state, what it waits for, what changed it last and why, what differs
    /// now, and what is quarantined, held or watched.
    Why(WhyArgs),
    /// Return to what was deployed before
    ///
    /// Plans towards the last revision that was deployed well before the present one, or towards --to. Containers that ran
    /// it and are still kept are started again, without any pull. The revision left behind is quarantined: an agent does not
    /// deploy it again.
    Rollback(RollbackArgs),
    /// Let the agent look now
    ///
    /// Also where it waits to try something again.
    Sync(SyncArgs),
    /// Change nothing on a stack for a while
    ///
    /// Nothing is deployed, repaired or rolled back by the agent until the time is over. `apply` by hand still works.
    Pause(PauseArgs),
    /// End a pause
    Resume(ResumeArgs),
    /// Let what is quarantined be tried again
    Release(ReleaseArgs),
    /// Agree to a plan that waits for it
    ///
    /// A plan waits where the environment says `approval: required`, or where it removes many services. What is agreed to is
    /// that very plan: if the host or the branch changes before it is carried out, there is another one to agree to.
    Approve(ApproveArgs),
    /// Take over running containers without restarting them
    ///
    /// Finds the containers, networks and volumes of a Compose project, or the containers that are named, shows the plan as
    /// it would be with them, asks, and records that they belong to the stack. Nothing is done to them: what differs from
    /// the manifests, the next `apply` changes.
    Adopt(AdoptArgs),
    /// Check this host: what is wrong, why, and what to do
    ///
    /// Looks at Docker and its settings, the state folder, the clock, the repositories that are followed, the modes of
    /// files with secrets, ports that others hold, and other tools that change containers. Ends with 1 if something must be
    /// put right. Changes nothing but a file in the state folder, which it makes and removes.
    Doctor(DoctorArgs),
    /// Print the completions of a shell
    ///
    /// The package installs them. By hand: `evenkeel completions bash > /etc/bash_completion.d/evenkeel`.
    Completions(CompletionsArgs),
    /// Write the man pages
    #[command(hide = true)]
    Man(ManArgs),
    /// Make tokens for the agent's HTTP API
    #[command(subcommand)]
    Token(TokenCommand),
    /// See the whole story on this machine, in under a minute
    ///
    /// Makes a throw-away bare repository with the reference stack, starts the agent on it and shows, with real timings: the
    /// first deploy, a push that changes one service, a container removed by hand that comes back, and a push of a broken
    /// image that rolls back. Then it cleans up all that it made. Without Docker it runs on a simulated engine.
    Demo(DemoArgs),
}

/// The arguments of `init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel init                                  in this folder
  evenkeel init infra --from shop/compose.yaml   a new folder, from what there is")]
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

/// The arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel validate               every environment of the repository here
  evenkeel validate --rev main    as the branch has it
  evenkeel validate --format github    in a GitHub workflow: marks the lines of the pull request
  evenkeel -f compose.yaml validate --json")]
pub struct ValidateArgs {
    /// The form of the output; `--json` is short for json
    #[arg(long, value_enum, default_value = "text")]
    pub format: ValidateFormat,
}

/// Forms of `validate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ValidateFormat {
    /// For people, with the lines of the files
    Text,
    /// For programs
    Json,
    /// Annotations of a GitHub workflow, shown at the lines of a pull request
    Github,
}

/// The arguments of `render`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --env prod render
  evenkeel --env prod --rev HEAD~1 render --format json")]
pub struct RenderArgs {
    /// The form of the output
    #[arg(long, value_enum, default_value = "yaml")]
    pub format: RenderFormat,

    /// Print what is deployed: also tiers, gates and the digests of mounted files, which Compose has no words for
    #[arg(long, conflicts_with_all = ["no_interpolate", "reveal_variables", "only"])]
    pub desired: bool,

    /// Leave variables as they are written
    #[arg(long)]
    pub no_interpolate: bool,

    /// Print only the names of the services
    #[arg(long, group = "only")]
    pub services: bool,

    /// Print only the images
    #[arg(long, group = "only")]
    pub images: bool,

    /// Print only the names of the volumes
    #[arg(long, group = "only")]
    pub volumes: bool,

    /// Print only the names of the networks
    #[arg(long, group = "only")]
    pub networks: bool,

    /// Print only the names of the profiles, active or not
    #[arg(id = "list_profiles", long = "profiles", group = "only")]
    pub profiles: bool,

    /// Print only the digest of each service's settings, as Compose computes it; `*` means all services
    #[arg(long, group = "only", value_name = "SERVICES")]
    pub hash: Option<String>,

    /// Show the values of variables that come from outside of the repository, which may be secrets
    #[arg(long)]
    pub reveal_variables: bool,
}

/// Forms of `render`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RenderFormat {
    /// Compose YAML
    Yaml,
    /// The same as JSON
    Json,
}

/// The arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel --repo /srv/infra.git --env prod run --branch main
  evenkeel run --config /etc/evenkeel/agent.yaml")]
pub struct RunArgs {
    /// What to follow and who this host is, from a file; `evenkeel schema agent` describes it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The branch to follow [default: the repository's HEAD]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,

    /// Seconds between two looks at the repository, where no event told before [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub poll: Option<u64>,
}

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Use the simulated engine even where Docker answers
    #[arg(long)]
    pub simulate: bool,
}
