//! The arguments of `schema`.

use clap::Args;

/// The arguments of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel schema manifest > .schemas/manifest.json
  evenkeel schema environment > .schemas/environment.json")]
pub struct SchemaArgs {
    /// The file that it is of
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// Files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaOf {
    /// Compose files: manifests, override files, compose.yaml
    Manifest,
    /// `environments/NAME/environment.yaml`
    Environment,
    /// evenkeel.yaml
    Project,
    /// agent.yaml, on a host
    Agent,
}
