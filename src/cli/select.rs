//! Finds what the options speak of: the repository or files, the environment, the host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};

use super::args::Global;
use super::failure::{Hint, LaidOut, hinted};
use super::outcome::unusable_state;
use super::output::Output;
use super::place;
use crate::apply;
use crate::apply::ledger::Ledger;
use crate::apply::machine::Machine;
use crate::engine::EngineError;
use crate::engine::docker::Docker;
use crate::engine::meter::Meter;
use crate::manifest::{self, Diagnostic, Given, Input, MissingVariables, Model, Report, Request, Resolved};
use crate::model::desired::Revision;
use crate::model::name::EnvironmentName;
use crate::model::tree::{FileTree, RepoPath};
use crate::source::{Repository, SourceError, folder_tree};

/// The files that were chosen, ready to be resolved.
pub(super) struct Selection {
    tree: Box<dyn FileTree>,
    revision: Revision,
    /// Where the tree lies on this host.
    folder: String,
    /// The variables of this process.
    variables: BTreeMap<String, String>,
    given: Option<Given>,
    /// The folder that this process works in, where the tree is the host's own.
    here: Option<RepoPath>,
}

impl Selection {
    /// Opens what the options name. Blocks.
    pub(super) fn open(global: &Global) -> anyhow::Result<Self> {
        if !global.files.is_empty() {
            return Self::of_files(global);
        }
        only_for_repository(global)?;
        let repository = Repository::open(&global.repo).map_err(explained)?;
        let has_work_tree = repository.kind() != crate::source::Kind::Bare;
        match &global.rev {
            None if has_work_tree => {
                let (tree, revision) = repository.work_tree().map_err(explained)?;
                let folder = repository.root().to_string_lossy().into_owned();
                Ok(Self {
                    tree: Box::new(tree),
                    revision,
                    folder,
                    variables: process(),
                    given: None,
                    here: None,
                })
            }
            rev => Self::at(&repository, rev.as_deref().unwrap_or("HEAD")),
        }
    }

    /// The tree of one revision of a repository.
    pub(super) fn at(repository: &Repository, rev: &str) -> anyhow::Result<Self> {
        let commit = repository.resolve(rev).map_err(explained)?;
        let tree = repository.commit_tree(&commit.id).map_err(explained)?;
        Ok(Self {
            tree: Box::new(tree),
            revision: Revision::Commit(commit.id),
            folder: repository.root().to_string_lossy().into_owned(),
            variables: process(),
            given: None,
            here: None,
        })
    }

    /// Compose files of this host. They may refer to any other file of it, as with Compose: whoever names them may read
    /// those as well.
    fn of_files(global: &Global) -> anyhow::Result<Self> {
        let paths =
            |files: &[PathBuf]| files.iter().map(|file| host_path(file)).collect::<anyhow::Result<Vec<_>>>();
        let files = paths(&global.files)?;
        let folder = global.project_directory.as_deref().map(host_path).transpose()?;
        let first = files.first().context("no file is given")?;
        let home = folder.clone().unwrap_or_else(|| first.parent());
        let default_project =
            if home.file_name().is_empty() { "evenkeel" } else { home.file_name() }.to_owned();
        let given = Given {
            files,
            project: global.project_name.clone(),
            default_project,
            folder,
            env_files: paths(&global.env_files)?,
            profiles: global.profiles.clone(),
        };
        Ok(Self {
            tree: Box::new(folder_tree(Path::new("/"))),
            revision: Revision::Files,
            folder: "/".to_owned(),
            variables: process(),
            given: Some(given),
            here: host_path(Path::new(".")).ok(),
        })
    }

    /// The same without any variable of this process: what comes out depends on the repository alone.
    pub(super) fn without_host(self) -> Self {
        Self { variables: BTreeMap::new(), ..self }
    }

    /// Where the manifests come from.
    pub(super) fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The environments of the repository.
    pub(super) fn known_environments(&self) -> Result<Vec<EnvironmentName>, Report> {
        manifest::environments(self.tree.as_ref())
    }

    /// The environments to look at: the one that is named, else all of them; none where there are only files.
    pub(super) fn environments(&self, global: &Global) -> anyhow::Result<Vec<Option<EnvironmentName>>> {
        if self.given.is_some() {
            return match &global.env {
                None => Ok(vec![None]),
                Some(_) => Err(hinted(
                    anyhow!("--env goes with a repository, not with --file"),
                    "drop one of the two",
                )),
            };
        }
        let all = manifest::environments(self.tree.as_ref()).map_err(|report| laid_out(&report))?;
        match &global.env {
            None => Ok(all.into_iter().map(Some).collect()),
            Some(name) => {
                let found = all.iter().find(|known| known.as_str() == name);
                let names: Vec<&str> = all.iter().map(EnvironmentName::as_str).collect();
                let found = found.with_context(|| format!("there is no environment `{name}`"));
                Ok(vec![Some(found.hint(format!("environments here: {}", names.join(", ")))?.clone())])
            }
        }
    }

    /// The one environment that is meant.
    pub(super) fn environment(&self, global: &Global) -> anyhow::Result<Option<EnvironmentName>> {
        let mut all = self.environments(global)?;
        if all.len() > 1 {
            let names: Vec<&str> = all.iter().flatten().map(EnvironmentName::as_str).collect();
            return Err(hinted(
                anyhow!("the repository has several environments and none is chosen"),
                format!("say which with `--env NAME`: {}", names.join(", ")),
            ));
        }
        Ok(all.pop().flatten())
    }

    /// Resolves one environment, or the files.
    pub(super) fn resolve(
        &self,
        environment: Option<EnvironmentName>,
        missing: MissingVariables,
    ) -> Result<Resolved, Report> {
        let mut resolved =
            manifest::resolve(&self.request(environment, missing)).map_err(|report| self.seen(report))?;
        for warning in &mut resolved.warnings {
            self.see(warning);
        }
        Ok(resolved)
    }

    /// Composes one environment, or the files: the whole language, whether or not all of it can be deployed.
    fn compose(
        &self,
        environment: Option<EnvironmentName>,
        missing: MissingVariables,
        interpolate: bool,
    ) -> Result<Model, Report> {
        let request = self.request(environment, missing);
        let composed = if interpolate {
            manifest::compose(&request)
        } else {
            manifest::compose_uninterpolated(&request)
        };
        composed.map_err(|report| self.seen(report))
    }

    /// Paths are told as people see them: files that are given by name as seen from where they are.
    fn seen(&self, report: Report) -> Report {
        match &self.here {
            Some(here) => report.seen_from(here),
            None => report,
        }
    }

    /// The same for a single diagnostic.
    fn see(&self, diagnostic: &mut Diagnostic) {
        if let Some(here) = &self.here {
            diagnostic.see_from(here);
        }
    }

    fn request(&self, environment: Option<EnvironmentName>, missing: MissingVariables) -> Request<'_> {
        let input = match (&self.given, environment) {
            (Some(given), _) => Input::Files(given.clone()),
            (None, Some(environment)) => Input::Repository { environment },
            // A repository without environments doesn't get here: that is an error of `environments`.
            (None, None) => Input::Files(Given::default()),
        };
        let revision = self.revision.clone();
        Request { tree: self.tree.as_ref(), input, host_variables: &self.variables, missing, revision }
    }
}

/// The variables of this process.
fn process() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

/// Refuses options that mean nothing for a repository.
fn only_for_repository(global: &Global) -> anyhow::Result<()> {
    let given = [
        ("--env-file", !global.env_files.is_empty()),
        ("--profile", !global.profiles.is_empty()),
        ("--project-name", global.project_name.is_some()),
        ("--project-directory", global.project_directory.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => Err(hinted(
            anyhow!("{option} goes with --file, not with a repository"),
            "say it in the repository: `evenkeel.yaml` and `environment.yaml`",
        )),
    }
}

/// The path of a file from the root of this host, with the links of its folder resolved. A link to the file itself is
/// kept: it is read as what it is, and refused.
pub(super) fn host_path(file: &Path) -> anyhow::Result<RepoPath> {
    let path =
        std::path::absolute(file).with_context(|| format!("{} has no absolute path", file.display()))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let folder =
        folder.canonicalize().with_context(|| format!("the folder {} can't be read", folder.display()))?;
    let path = folder.join(path.file_name().unwrap_or_default());
    let text = path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))?;
    Ok(text.trim_start_matches('/').parse::<RepoPath>()?)
}

/// Composes what the options name, with the folder of its tree on this host. Warnings are told.
pub(super) async fn model(
    global: &Global,
    missing: MissingVariables,
    interpolate: bool,
    output: Output,
) -> anyhow::Result<(Model, String)> {
    let global = global.clone();
    let (model, warnings, folder) = tokio::task::spawn_blocking(move || {
        let selection = Selection::open(&global)?;
        let environment = selection.environment(&global)?;
        let model =
            selection.compose(environment, missing, interpolate).map_err(|report| laid_out(&report))?;
        let mut warnings = model.warnings().to_vec();
        for warning in &mut warnings {
            selection.see(warning);
        }
        Ok::<_, anyhow::Error>((model, warnings, selection.folder))
    })
    .await??;
    for warning in &warnings {
        output.say(&warning.render(true));
    }
    Ok((model, folder))
}

/// Resolves what the options name, for a deploy: every variable must be there. Warnings are told.
pub(super) async fn desired(global: &Global, output: Output) -> anyhow::Result<Resolved> {
    resolved(global, MissingVariables::Refuse, output).await
}

/// Resolves what the options name. Warnings are told.
pub(super) async fn resolved(
    global: &Global,
    missing: MissingVariables,
    output: Output,
) -> anyhow::Result<Resolved> {
    let global = global.clone();
    let resolved = tokio::task::spawn_blocking(move || {
        let selection = Selection::open(&global)?;
        let environment = selection.environment(&global)?;
        selection.resolve(environment, missing).map_err(|report| laid_out(&report))
    })
    .await??;
    for warning in &resolved.warnings {
        output.say(&warning.render(true));
    }
    Ok(resolved)
}

/// The report of everything that is wrong, as an error.
pub(super) fn laid_out(report: &Report) -> anyhow::Error {
    anyhow::Error::new(LaidOut(report.render(true)))
}

/// An error of the repository with what to do about it.
pub(super) fn explained(error: SourceError) -> anyhow::Error {
    let hint = match &error {
        SourceError::Missing { .. } | SourceError::NotAFolder { .. } => {
            "say where the repository is with `--repo PATH`, or name a Compose file with `-f FILE`".to_owned()
        }
        SourceError::NoCommits { .. } => "commit something first, or push to it".to_owned(),
        SourceError::NoSuchRevision { branches, .. } if !branches.is_empty() => {
            format!("branches here: {}", branches.join(", "))
        }
        SourceError::ForeignOwner { path } => {
            format!("allow it with `git config --global --add safe.directory {}`", path.display())
        }
        _ => return error.into(),
    };
    hinted(error, hint)
}

/// Connects to Docker.
pub(super) async fn docker(global: &Global) -> anyhow::Result<Docker> {
    Docker::connect(global.docker.as_deref()).await.map_err(unreachable_engine)
}

/// An error of the engine with what to do about it.
pub(super) fn unreachable_engine(error: EngineError) -> anyhow::Error {
    let hint = match &error {
        EngineError::Denied { .. } => "run it as root, or join the group `docker` and log in again",
        EngineError::Unavailable { .. } | EngineError::NotFound { .. } => {
            "start Docker: `systemctl start docker`; another socket is named with `--docker unix:///PATH`"
        }
        EngineError::TimedOut { .. } => {
            "the socket is there, but nobody answers: see `systemctl status docker`"
        }
        EngineError::Conflict { .. } | EngineError::Rejected { .. } | EngineError::Unexpected { .. } => {
            return anyhow::Error::new(error).context("Docker can't be used");
        }
    };
    hinted(anyhow::Error::new(error).context("Docker can't be reached"), hint)
}

/// The state folder that the options name, or the usual one.
pub(super) fn state_folder(global: &Global) -> anyhow::Result<PathBuf> {
    if let Some(path) = &global.state {
        return std::path::absolute(path).with_context(|| format!("{} has no absolute path", path.display()));
    }
    if is_root() {
        return Ok(PathBuf::from("/var/lib/evenkeel"));
    }
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(".local/state"));
    match base.or_else(home) {
        Some(base) => Ok(base.join("evenkeel")),
        None => bail!("there is no home folder for the state; say where with `--state DIR`"),
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of what belongs to this process, without asking the system by an unsafe call.
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Opens the host for writing.
pub(super) async fn machine(global: &Global) -> anyhow::Result<Machine<Docker>> {
    let (docker, state) = (docker(global).await?, state_folder(global)?);
    let machine = Machine::open(docker, &state, apply::Host::This).map_err(unusable_state)?;
    Ok(machine.with_identity(place::identity(global)))
}

/// The same, which tells `meter` of every call of Docker.
pub(super) async fn metered(global: &Global, meter: Arc<dyn Meter>) -> anyhow::Result<Machine<Docker>> {
    let docker =
        Docker::connect_metered(global.docker.as_deref(), meter).await.map_err(unreachable_engine)?;
    let machine = Machine::open(docker, &state_folder(global)?, apply::Host::This).map_err(unusable_state)?;
    Ok(machine.with_identity(place::identity(global)))
}

/// Opens the host for looking.
pub(super) async fn machine_to_look(global: &Global) -> anyhow::Result<Machine<Docker>> {
    let (docker, state) = (docker(global).await?, state_folder(global)?);
    let machine = Machine::open_to_look(docker, &state, apply::Host::This).map_err(unusable_state)?;
    Ok(machine.with_identity(place::identity(global)))
}

/// Opens the ledger alone, for looking; absent where nothing has ever been deployed.
pub(super) fn ledger_to_look(global: &Global) -> anyhow::Result<Option<Ledger>> {
    let path = state_folder(global)?.join("ledger.db");
    // Made by the first deploy, and not by a look.
    if !path.try_exists().with_context(|| format!("{} can't be looked at", path.display()))? {
        return Ok(None);
    }
    Ledger::open(&path).map(Some).map_err(|error| unusable_state(error.into()))
}
