//! `doctor`: checks a host before an agent is trusted with it, and whenever something is odd.
//!
//! Each file beside this one judges one thing, from values that are handed in. Here they are gathered. It changes nothing,
//! but for a file that is made and removed in the state folder.

mod clock;
mod engine;
mod finding;
mod keys;
mod mounts;
mod ports;
mod rivals;
mod sources;
mod state;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::{DoctorArgs, Global};
use super::failure::{ExitStatus, hinted};
use super::output::Output;
use super::{place, run, select};
use crate::engine::docker::Docker;
use crate::engine::{Engine, ListedContainer};
use crate::manifest::{AgentFile, Credential, Followed, GitCredential, GitSettings};
use crate::model::address::Address;
use crate::model::name::StackName;
use finding::{Finding, Verdict};
use sources::{Opener, Source};

/// Where the packaged agent has its file.
const CONFIG: &str = "/etc/evenkeel/agent.yaml";

/// Where units of a host are that somebody wrote.
const UNITS: [&str; 2] = ["/etc/systemd/system", "/usr/local/lib/systemd/system"];

pub(super) async fn doctor(global: &Global, args: &DoctorArgs, output: Output) -> anyhow::Result<ExitStatus> {
    if !global.files.is_empty() {
        let error = anyhow::anyhow!("doctor checks a host and what its agent follows, not files");
        return Err(hinted(error, "drop `--file`, or use `evenkeel -f FILE validate`"));
    }
    let mut findings = Vec::new();
    let patient = Patient::found(global, args, &mut findings);
    let docker = patient.docker(&mut findings).await;
    findings.extend(clock::synchronised().await);
    // Files and repositories block.
    let rest = tokio::task::spawn_blocking(move || patient.rest(&docker)).await??;
    findings.extend(rest);
    if output.json {
        output.value(&finding::to_json(&findings));
    } else {
        output.data(&finding::to_text(&findings, output.colour));
    }
    Ok(match finding::verdict(&findings) {
        Verdict::Ok | Verdict::Skipped | Verdict::Warning => ExitStatus::Done,
        Verdict::Failed => ExitStatus::Failed,
    })
}

/// What is checked.
struct Patient {
    /// The options, with what agent.yaml says where they say nothing.
    global: Global,
    follow: Vec<Followed>,
    secrets: Vec<Credential>,
    credentials: BTreeMap<String, GitCredential>,
    git: GitSettings,
    /// The user of this process.
    me: u32,
}

impl Patient {
    /// What the options and agent.yaml name. A file that is wrong is told, and the rest is checked without it.
    fn found(global: &Global, args: &DoctorArgs, findings: &mut Vec<Finding>) -> Self {
        // Whose files are those of this process, without asking the system by an unsafe call.
        let me = fs::metadata("/proc/self").map(|process| process.uid()).unwrap_or_default();
        let mut patient = Self {
            global: global.clone(),
            follow: Vec::new(),
            secrets: Vec::new(),
            credentials: BTreeMap::new(),
            git: GitSettings::default(),
            me,
        };
        let named = global.repo != Path::new(".");
        let usual = || (!named && Path::new(CONFIG).exists()).then(|| PathBuf::from(CONFIG));
        if let Some(path) = args.config.clone().or_else(usual) {
            let finding = keys::config(&path, me);
            match fs::exists(&path).unwrap_or(true).then(|| run::read(&path)) {
                Some(Ok(file)) => patient.take(file),
                Some(Err(error)) => findings.push(Finding::of_error("agent.yaml", &error)),
                None => {}
            }
            if finding.verdict != Verdict::Ok || findings.is_empty() {
                findings.push(finding);
            }
        } else if named || global.env.is_some() {
            let repository = std::path::absolute(&global.repo).unwrap_or_else(|_| global.repo.clone());
            let environment = global.env.as_ref().and_then(|name| name.parse().ok());
            patient.follow.push(Followed {
                repository: Address::Local(repository.to_string_lossy().into_owned()),
                environment,
                branch: None,
                tag: None,
                poll: None,
                credential: None,
                verify: None,
            });
        } else {
            let what = "no repository is named, and there is no agent.yaml";
            let hint = format!("write {CONFIG}, or say `--config FILE`, or `--repo PATH --env NAME`");
            findings.push(Finding::skipped("repository", what).hint(hint));
        }
        patient
    }

    fn take(&mut self, file: AgentFile) {
        self.secrets = file.secrets().into_iter().cloned().collect();
        let AgentFile { host, labels, docker, state, follow, credentials, git, .. } = file;
        let global = &mut self.global;
        global.host = global.host.take().or(host);
        global.docker = global.docker.take().or(docker);
        global.state = global.state.take().or_else(|| state.map(PathBuf::from));
        if global.labels.is_empty() {
            global.labels = labels.into_iter().collect();
        }
        (self.follow, self.credentials, self.git) = (follow, credentials, git);
    }

    /// Checks Docker and what runs on it. Gives the containers, as far as they can be listed.
    async fn docker(&self, findings: &mut Vec<Finding>) -> Host {
        let socket = self.global.docker.as_deref().unwrap_or("unix:///var/run/docker.sock");
        findings.extend(socket.strip_prefix("unix://").and_then(|path| engine::socket(Path::new(path))));
        match self.asked(findings).await {
            Ok(host) => host,
            Err(error) => {
                findings.push(Finding::of_error("docker", &error));
                Host::default()
            }
        }
    }

    async fn asked(&self, findings: &mut Vec<Finding>) -> anyhow::Result<Host> {
        let docker: Docker = select::docker(&self.global).await?;
        let about = docker.about().await?;
        findings.extend(engine::examine(&about));
        findings.extend(clock::compared(about.time.as_deref(), Timestamp::now()));
        findings.extend(rivals::containers(&docker.running().await?));
        let listed = docker.list_containers().await?;
        Ok(Host { listed, folder: about.folder.map(PathBuf::from) })
    }

    /// Checks what is in files.
    fn rest(&self, host: &Host) -> anyhow::Result<Vec<Finding>> {
        let state = select::state_folder(&self.global)?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut findings = rivals::units(&UNITS.map(Path::new));
        findings.extend(state::examine(&state, self.me, &mounts));
        if mounts::is_in_container() {
            findings.push(mounts::same_on_host(&state, &mounts));
        }
        if let Some(folder) = &host.folder
            && let Ok(room) = rustix::fs::statvfs(folder)
        {
            findings.push(state::enough("docker-disk", folder, &room));
        }
        findings.extend(keys::secrets(&self.secrets.iter().collect::<Vec<_>>()));
        findings.extend(sources::programs(&self.follow, std::env::var_os("PATH").as_deref()));
        let identity = place::identity(&self.global);
        let opener = Opener::new(self.credentials.clone(), &self.git)?;
        for followed in &self.follow {
            let Source { findings: found, desired } =
                sources::examine(followed, &opener, &self.global, &identity);
            findings.extend(found);
            if let Some(desired) = desired {
                findings.extend(ports::examine(&desired, &host.listed, &state));
                findings.extend(host.has_agent_in(&desired.stack, mounts::own_container(&mounts)));
            }
        }
        Ok(findings)
    }
}

/// What Docker told of the host; nothing where it didn't answer.
#[derive(Default)]
struct Host {
    listed: Vec<ListedContainer>,
    /// Where Docker keeps its data.
    folder: Option<PathBuf>,
}

impl Host {
    /// Whether the container `own`, in which this runs, belongs to `stack`.
    fn has_agent_in(&self, stack: &StackName, own: Option<&str>) -> Option<Finding> {
        let own = self.listed.iter().find(|listed| Some(listed.id.as_str()) == own)?;
        let what = format!("the container `{}`, in which this runs, belongs to {stack}", own.summary.name);
        let finding = Finding::failed("container", what)
            .why("a deploy that changes it would stop the agent that carries it out")
            .hint("take the agent out of the manifests, and start it by itself");
        (own.summary.stack.as_ref() == Some(stack)).then_some(finding)
    }
}
