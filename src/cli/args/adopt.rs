//! The arguments of `adopt`.

use std::path::PathBuf;

use clap::Args;

use crate::plan::adopt::Named;

/// The arguments of `adopt`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel -f compose.yaml adopt                       what `docker compose up` has made of that file
  evenkeel --env prod adopt --dry-run                  what would be taken over, and what would differ then
  evenkeel --env prod adopt db=old-postgres web=nginx  single containers, each as a service
  evenkeel --env prod adopt --compose-project shop     the name of the project, where it isn't the stack's
  evenkeel adopt --write compose.yaml web old-db       no manifests yet: write them from what runs")]
pub struct AdoptArgs {
    /// A container to take over, by its name or id, as SERVICE=CONTAINER or where its labels or name say the service
    /// [default: all containers of the Compose project]
    #[arg(value_name = "[SERVICE=]CONTAINER", value_parser = named)]
    pub containers: Vec<Named>,

    /// The Compose project to take over [default: the stack's name]
    #[arg(long, value_name = "NAME", conflicts_with = "containers")]
    pub compose_project: Option<String>,

    /// Write a Compose file from what runs, `-` for standard output, instead of taking anything over
    ///
    /// Needs no manifests and changes nothing. Values that look secret are left to variables.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["dry_run", "yes"])]
    pub write: Option<PathBuf>,

    /// With --write: write over a file that is there
    #[arg(long, requires = "write")]
    pub force: bool,

    /// Show what would be taken over and the plan as it would be then, and write nothing
    #[arg(short = 'n', long, conflicts_with = "yes")]
    pub dry_run: bool,

    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

fn named(text: &str) -> Result<Named, String> {
    let (service, container) = match text.split_once('=') {
        Some((service, container)) => (Some(service.parse().map_err(|error| format!("{error}"))?), container),
        None => (None, text),
    };
    if container.is_empty() {
        return Err("the name of a container is missing".to_owned());
    }
    Ok(Named { container: container.to_owned(), service })
}
