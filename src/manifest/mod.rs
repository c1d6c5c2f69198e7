//! Compose files → [`Desired`]: what the repository says, fully resolved, or everything that is wrong with it.
//!
//! ```text
//! bytes ─ load ─► node tree ─ language ─► one tree in the long form ─► Model, for people and tools
//!                                                   └─ lower ─► typed ─ rules ─► Desired, for hosts
//! ```
//!
//! Every node knows where it was written, through all of these steps, so that even an error that only shows after
//! merging points at the very characters. Nothing here stops at the first mistake, and nothing here touches a file
//! system, an environment or a clock: files come from a [`FileTree`], variables from the caller. No key is ignored in
//! silence, and a missing folder or an empty result is an error, so that it can never remove a stack.

mod source;
mod diagnostic;
mod problem;
mod node;
mod tokens;
mod weight;
mod load;
mod tags;
mod text;
mod syntax;
mod merge_keys;
mod keys;
mod read;
mod units;
mod policy;
mod project;
mod admission;
mod agent_file;
mod variables;
mod template;
mod dotenv;
mod interpolate;
mod language;
mod compose_file;
mod folders;
mod collect;
mod repository;
mod given_files;
mod content;
mod lower;
mod rules;
mod render;
pub mod schema;
#[doc(hidden)]
pub mod fuzzing;

use std::collections::BTreeMap;

pub use language::model::{Model, Reveal, Show};

pub use render::draft::{Variable, Written, written};

pub use agent_file::{
    AgentChanges, AgentFile, Api, Chat, Credential, Email, EmailTls, Followed, Forge, GitCredential,
    GitSettings, HASH_PREFIX, Notify, Receiver, Role, Routing, SshKey, Tls, Token, Urgency, Verify, Webhook,
    WebhookKind, agent_file, is_loopback,
};
pub use diagnostic::{Diagnostic, Place, Related, Report, Severity, Spot};

use crate::model::desired::{Desired, FromOutside, Revision};
use crate::model::name::EnvironmentName;
use crate::model::tree::{FileTree, RepoPath};
use problem::Problems;

/// What is to be resolved, and from what.
pub struct Request<'a> {
    /// The files.
    pub tree: &'a dyn FileTree,
    /// Which of them.
    pub input: Input,
    /// The process environment of the host. Its values are sensitive.
    pub host_variables: &'a BTreeMap<String, String>,
    /// What becomes of a variable that only the host has, and doesn't.
    pub missing: MissingVariables,
    /// Where the files came from.
    pub revision: Revision,
}

/// Which files of a tree make the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A configuration repository, as one environment has it.
    Repository {
        /// The environment.
        environment: EnvironmentName,
    },
    /// Compose files with the options that Compose has. The tree is the host's own, from its root: what is mounted from
    /// it is mounted as it is.
    Files(Given),
}

/// Compose files with everything else that Compose lets one say about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The files, at least one, the later merged over the earlier.
    pub files: Vec<RepoPath>,
    /// What the stack is called whatever the files say.
    pub project: Option<String>,
    /// What the stack is called when nothing else says it; made fit as Compose does.
    pub default_project: String,
    /// What relative paths are relative to: the folder of the first file unless said.
    pub folder: Option<RepoPath>,
    /// Files of variables, the later over the earlier: `.env` in the folder unless said.
    pub env_files: Vec<RepoPath>,
    /// Profiles to activate, instead of those of the variable `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
}

/// What becomes of a variable that is declared `{from: host}` when the host doesn't have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingVariables {
    /// It is an error.
    Refuse,
    /// Some text stands for it, sensitive as the value would be: for a look without secrets, never for a deploy.
    Placeholder,
    /// A text made of its name stands for it and for every other variable without a value, and nothing is said of what
    /// only the value could tell. For comparing two revisions where the host's variables aren't known.
    Outside,
}

/// A stack, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What is to run.
    pub desired: Desired,
    /// What else the repository says.
    pub settings: Settings,
    /// What is worth a look.
    pub warnings: Vec<Diagnostic>,
    /// Variables whose values come from outside of the repository and were not there, with what stands for each; only
    /// with [`MissingVariables::Outside`].
    pub outside: BTreeMap<String, String>,
    /// The keys of services into which such a value went.
    pub from_outside: FromOutside,
}

/// What the repository says besides what is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The project.
    pub project: String,
    /// Profiles that are active, by name.
    pub profiles: Vec<String>,
}

/// Composes a project: the whole language, whether or not all of it can be deployed.
///
/// # Errors
/// Everything that is wrong, across all files.
pub fn compose(request: &Request<'_>) -> Result<Model, Report> {
    composed(request, true)
}

/// As [`compose`], with variables left as they are written.
///
/// # Errors
/// Everything that is wrong, across all files.
pub fn compose_uninterpolated(request: &Request<'_>) -> Result<Model, Report> {
    composed(request, false)
}

fn composed(request: &Request<'_>, interpolate: bool) -> Result<Model, Report> {
    let mut problems = Problems::default();
    let composed = collect::collect(&mut problems, request, interpolate);
    match (composed, problems.finish()) {
        (_, Err(report)) => Err(report),
        (Some(mut composed), Ok(warnings)) => {
            let profiles = language::model::profiles(&composed.root);
            language::model::prune(&mut composed.root, &composed.active);
            let project = composed.stack.to_string();
            composed.root.remove("name");
            let name = language::short::text_node(&project, language::model::NOWHERE, None);
            composed.root.entries.insert(0, language::short::entry("name", name));
            Ok(Model { root: composed.root, unread: composed.unread, profiles, project, warnings })
        }
        // Whoever gives nothing has noted why, so this says only that it was forgotten.
        (None, Ok(_)) => Err(Report::internal("nothing was composed, and no reason was noted")),
    }
}

/// Resolves a stack: composes it, and refuses what can't be honoured.
///
/// # Errors
/// Everything that is wrong, across all files.
pub fn resolve(request: &Request<'_>) -> Result<Resolved, Report> {
    let mut problems = Problems::default();
    let resolved = try_resolve(&mut problems, request);
    let outside = problems.outside().map(|name| (name.to_owned(), variables::stand_in(name))).collect();
    match (resolved, problems.finish()) {
        (_, Err(report)) => Err(report),
        (Some((desired, settings, from_outside)), Ok(warnings)) => {
            Ok(Resolved { desired, settings, warnings, outside, from_outside })
        }
        // Whoever gives nothing has noted why, so this says only that it was forgotten.
        (None, Ok(_)) => Err(Report::internal("nothing was resolved, and no reason was noted")),
    }
}

/// The path of every attribute of a Compose file, with `*` for keys of the user's own and for the items of lists, as in
/// `services.*.ports.*.target`: the set that the manual and the tests are held against.
pub fn attributes() -> Vec<String> {
    language::table::paths()
}

/// The path of every key that is ours: in Compose files, as in `services.*.x-evenkeel.gate.tcp`, and in our own files,
/// as in `evenkeel.yaml:tiers`.
pub fn own_attributes() -> Vec<String> {
    keys::own_paths()
}

/// The environments of a repository, by name.
///
/// # Errors
/// When there is none, or the folder can't be read.
pub fn environments(tree: &dyn FileTree) -> Result<Vec<EnvironmentName>, Report> {
    project::environments(tree)
}

fn try_resolve(problems: &mut Problems, request: &Request<'_>) -> Option<(Desired, Settings, FromOutside)> {
    let composed = collect::collect(problems, request, true)?;
    let lowered = lower::lower(problems, request.tree, &composed);
    rules::check(problems, &composed, &lowered);
    let settings =
        Settings { project: composed.project.clone(), profiles: composed.profiles.keys().cloned().collect() };
    let from_outside = match request.missing {
        MissingVariables::Outside => lower::from_outside(problems, &composed),
        MissingVariables::Refuse | MissingVariables::Placeholder => FromOutside::new(),
    };
    Some((lower::desired(composed, lowered, request.revision.clone()), settings, from_outside))
}
