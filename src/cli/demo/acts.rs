//! The chapters of the demonstration. Each does something as a person would, shows what the agent makes of it, and
//! checks that it is what was promised: a demonstration that shows anything else is an error.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{self, Instant};

use super::cleanup;
use super::origin::Origin;
use super::reference::Files;
use super::stage::{Heard, Stage, elapsed};
use crate::apply::machine::Machine;
use crate::apply::{Outcome, Report, StepFailure};
use crate::engine::Engine;
use crate::model::image::ImageRef;
use crate::model::live::Status;
use crate::model::name::{ContainerId, StackName};
use crate::plan::Plan;

/// After so long in which nothing is heard, something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that the story is told with.
pub(super) struct Play<'a, E> {
    pub(super) machine: &'a Machine<E>,
    pub(super) stack: &'a StackName,
    pub(super) origin: &'a Origin,
    pub(super) files: Files,
    pub(super) broken: &'a ImageRef,
    pub(super) heard: UnboundedReceiver<(Instant, Heard)>,
    pub(super) stage: Stage,
}

/// A deploy that has ended.
struct Ended {
    at: Instant,
    plan: Plan,
    outcome: Outcome,
}

type Containers = BTreeMap<String, ContainerId>;

impl<E: Engine> Play<'_, E> {
    /// All chapters.
    pub(super) async fn perform(mut self) -> anyhow::Result<()> {
        self.first_deploy().await?;
        self.change().await?;
        self.removed_by_hand().await?;
        let good = self.files.clone();
        let before = self.containers().await?;
        self.broken_image(&before).await?;
        self.files = good;
        self.revert(&before).await
    }

    async fn first_deploy(&mut self) -> anyhow::Result<()> {
        self.stage.chapter(
            "The first push",
            "13 services in three tiers, each started once what it needs is healthy",
        );
        let commit = self.push("Describe the platform").await?;
        let ended = self.until_ended().await?;
        let report = applied(&ended)?;
        let count = self.containers().await?.len();
        self.stage.at(
            ended.at,
            &format!("{} at {commit}: {count} containers, all gates passed", self.stage.good("committed")),
        );
        self.stage.below(&self.stage.dim(&format!("the deploy took {}", elapsed(report.took))));
        self.until_rests().await
    }

    async fn change(&mut self) -> anyhow::Result<()> {
        self.stage.chapter(
            "A push that changes two services",
            "a log level needs another container, a memory limit doesn't; nothing else is touched",
        );
        let before = self.containers().await?;
        let bridge = "manifests/apps/biometric-bridge.yaml";
        self.files.replace(bridge, "LOG_LEVEL: ${LOG_LEVEL:-info}", "LOG_LEVEL: warning")?;
        let limits = "environments/dev/limits.yaml";
        let (old, new) = (
            "auren-redis: {deploy: {resources: {limits: {memory: 512M}}}}",
            "auren-redis: {deploy: {resources: {limits: {memory: 640M}}}}",
        );
        self.files.replace(limits, old, new)?;
        let commit = self.push("Less talk from the bridge, more memory for Redis").await?;
        let ended = self.until_ended().await?;
        applied(&ended)?;
        let after = self.containers().await?;
        let same = after.iter().filter(|(name, id)| before.get(*name) == Some(id)).count();
        ensure!(same + 1 == after.len(), "{same} of {} containers are the same as before", after.len());
        self.stage.at(
            ended.at,
            &format!(
                "{} at {commit}: one new container, {same} are the same as before",
                self.stage.good("committed")
            ),
        );
        self.until_rests().await
    }

    async fn removed_by_hand(&mut self) -> anyhow::Result<()> {
        let name = format!("{}-grafana", self.stack);
        self.stage.chapter("Somebody removes a container", "the agent hears of it, and Git still wants it");
        let old = self.containers().await?.remove(&name).with_context(|| format!("{name} isn't there"))?;
        self.stage.reset();
        self.stage.at(Instant::now(), &self.stage.bold(&format!("$ docker rm -f {name}")));
        let engine = self.machine.engine();
        engine.discard_container(&old).await?;
        let back = loop {
            let ended = self.until_ended().await?;
            // The agent may have looked just while the container went away.
            if matches!(ended.outcome, Outcome::Applied(_)) {
                break ended;
            }
        };
        let new =
            self.containers().await?.remove(&name).with_context(|| format!("{name} did not come back"))?;
        ensure!(new != old, "{name} was never away");
        self.stage.at(back.at, &format!("{}, healthy, on its old volume", self.stage.good("back")));
        self.until_rests().await
    }

    async fn broken_image(&mut self, before: &Containers) -> anyhow::Result<()> {
        self.stage.chapter(
            "A push of a broken image",
            "it can't start, so the deploy goes back to the very container that ran before",
        );
        let neuros = "manifests/apps/neuros.yaml";
        let image = format!("image: {}", self.broken);
        self.files.replace(neuros, "image: ${STAND_IN_IMAGE:-neuros-advanced:final-v2}", &image)?;
        self.push("Release neuros-advanced, in a hurry").await?;
        let ended = self.until_ended().await?;
        let Outcome::RolledBack { failure, report } = &ended.outcome else {
            bail!("the broken image was not rolled back: {:?}", ended.outcome);
        };
        self.tell_rollback(&ended, failure, report, before).await?;
        let quarantined = self.machine.ledger().quarantined(self.stack, &ended.plan.desired)?;
        ensure!(quarantined.is_some(), "the broken commit is not quarantined");
        self.stage.below("quarantined: not tried again until its content changes; drift is still repaired");
        self.until_rests().await
    }

    async fn tell_rollback(
        &self,
        ended: &Ended,
        failure: &StepFailure,
        report: &Report,
        before: &Containers,
    ) -> anyhow::Result<()> {
        let after = self.containers().await?;
        ensure!(
            before.iter().all(|(name, id)| after.get(name) == Some(id)),
            "other containers serve than before"
        );
        let service = failure.instance.as_ref().map(|instance| instance.service.to_string());
        let name = format!("{}-{}-1", self.stack, service.unwrap_or_default());
        let id = after.get(&name).with_context(|| format!("{name} isn't there"))?;
        let took = elapsed(report.took);
        self.stage.at(
            ended.at,
            &format!(
                "{}: container {} serves again, {took} after the deploy began",
                self.stage.good("rolled back"),
                id.short()
            ),
        );
        Ok(())
    }

    async fn revert(&mut self, before: &Containers) -> anyhow::Result<()> {
        self.stage.chapter("git revert", "what the new commit wants is what runs: nothing is restarted");
        let commit = self.push("Revert \"Release neuros-advanced, in a hurry\"").await?;
        let ended = self.until_ended().await?;
        ensure!(ended.outcome == Outcome::Unchanged, "the revert changed something: {:?}", ended.outcome);
        ensure!(self.containers().await? == *before, "the revert changed a container");
        let count = before.len();
        self.stage.at(
            ended.at,
            &format!(
                "{} at {commit}: nothing to do, all {count} containers are the same",
                self.stage.good("in step")
            ),
        );
        Ok(())
    }

    /// Commits the files and pushes them. Returns the commit in short.
    async fn push(&mut self, message: &str) -> anyhow::Result<String> {
        let (origin, files, text) = (self.origin.clone(), self.files.clone(), message.to_owned());
        let commit = tokio::task::spawn_blocking(move || origin.commit(&files, &text)).await??;
        let short = commit.get(..7).unwrap_or(&commit).to_owned();
        self.stage.reset();
        let shown = self.stage.bold("$ git push");
        self.stage.at(Instant::now(), &format!("{shown}  {} {message}", self.stage.dim(&short)));
        let origin = self.origin.clone();
        tokio::task::spawn_blocking(move || origin.push()).await??;
        Ok(short)
    }

    /// Shows what is heard until a deploy has ended.
    async fn until_ended(&mut self) -> anyhow::Result<Ended> {
        let (mut tiers, mut goes_back) = (Tiers::default(), false);
        loop {
            let (at, heard) = self.next().await?;
            match heard {
                Heard::Deploys(plan) => {
                    tiers = self.planned(at, &plan);
                }
                Heard::Done { what, took } if goes_back => self.undone(at, &what, took),
                Heard::Done { what, took } => self.done(at, &what, took, &mut tiers),
                Heard::Fails(failure) => {
                    goes_back = true;
                    self.fails(at, failure.as_ref());
                }
                Heard::Committed | Heard::Rests => {}
                Heard::Ended(ended) => {
                    let (plan, outcome) = *ended;
                    return Ok(Ended { at, plan, outcome });
                }
            }
        }
    }

    /// Shows a plan. Returns the tiers of its services, where they are not shown with it.
    fn planned(&self, at: Instant, plan: &Plan) -> Tiers {
        // The first plan is all additions; nobody needs to read them one by one.
        if plan.outcome.len() == plan.changes.iter().filter(|change| change.service.is_some()).count() {
            let (count, steps) = (plan.changes.len(), plan.steps.len());
            self.stage.at(at, &format!("the agent has a plan: {count} objects to make, {steps} steps"));
            Tiers::of(plan)
        } else {
            self.stage.at(at, "the agent has a plan:");
            self.stage.plan(plan);
            Tiers::default()
        }
    }

    fn done(&self, at: Instant, what: &str, took: Duration, tiers: &mut Tiers) {
        if let Some(name) = what.strip_prefix("wait for ") {
            if let Some(tier) = tiers.enters(name) {
                self.stage.below(tier);
            }
            let text = format!("healthy {} after its start", elapsed(took));
            self.service(at, &self.stage.good("✓"), name, &text);
        } else if let Some(name) = what.strip_prefix("update ") {
            self.service(at, &self.stage.good("~"), name, "changed while it runs");
        } else if let Some(name) = what.strip_prefix("stop ") {
            self.service(at, "·", name, &format!("stopped and kept, in {}", elapsed(took)));
        }
    }

    /// A step of a way back.
    fn undone(&self, at: Instant, what: &str, took: Duration) {
        if let Some(name) = what.strip_prefix("wait for ") {
            let text = format!("the old one is healthy {} after its start", elapsed(took));
            self.service(at, &self.stage.good("✓"), name, &text);
        }
    }

    fn service(&self, at: Instant, sign: &str, name: &str, text: &str) {
        self.stage.at(at, &format!("{sign} {name:<22}{}", self.stage.dim(text)));
    }

    fn fails(&self, at: Instant, failure: Option<&StepFailure>) {
        let Some(failure) = failure else { return };
        let name = failure.instance.as_ref().map(|instance| instance.service.to_string());
        let name = name.unwrap_or_else(|| failure.what.clone());
        self.stage.at(at, &format!("{} {name:<22}{}", self.stage.bad("✗"), failure.cause));
        for line in &failure.log_tail {
            self.stage.below(&self.stage.dim(&format!("  │ {line}")));
        }
    }

    /// Waits until the agent has nothing more to do.
    async fn until_rests(&mut self) -> anyhow::Result<()> {
        while !matches!(self.next().await?.1, Heard::Rests) {}
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<(Instant, Heard)> {
        let heard = time::timeout(PATIENCE, self.heard.recv()).await;
        let heard = heard.with_context(|| format!("nothing has happened for {} s", PATIENCE.as_secs()))?;
        heard.context("the agent has ended")
    }

    /// The containers that run, by their name; those that are kept for a way back don't.
    async fn containers(&self) -> anyhow::Result<Containers> {
        let engine = self.machine.engine();
        let mut running = Containers::new();
        for listed in cleanup::containers(engine, self.stack).await? {
            let container = engine.inspect_container(&listed.id).await?;
            if container.state.status == Status::Running {
                running.insert(container.name.to_string(), container.id);
            }
        }
        Ok(running)
    }
}

fn applied(ended: &Ended) -> anyhow::Result<&Report> {
    match &ended.outcome {
        Outcome::Applied(report) => Ok(report),
        Outcome::Failed { failure, .. }
        | Outcome::RolledBack { failure, .. }
        | Outcome::Held { failure, .. }
        | Outcome::RollbackFailed { failure, .. } => {
            Err(anyhow::anyhow!(failure.clone()).context("the deploy failed"))
        }
        Outcome::Refused(findings) => {
            let found: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
            bail!("the deploy was refused: {}", found.join("; "))
        }
        Outcome::Unchanged => bail!("there was nothing to deploy"),
        Outcome::Interrupted(_) => bail!("the deploy was interrupted"),
    }
}

/// Which tier each service is of, and which one is being shown.
#[derive(Debug, Default)]
struct Tiers {
    of: BTreeMap<String, String>,
    shown: Option<String>,
}

impl Tiers {
    fn of(plan: &Plan) -> Self {
        let of = plan
            .changes
            .iter()
            .filter_map(|change| Some((change.name.clone(), change.tier.as_ref()?.to_string())));
        Self { of: of.collect(), shown: None }
    }

    /// The tier of `service`, if it is another one than that of the line before.
    fn enters(&mut self, service: &str) -> Option<&str> {
        let tier = self.of.get(service)?;
        if self.shown.as_ref() == Some(tier) {
            return None;
        }
        self.shown = Some(tier.clone());
        self.shown.as_deref()
    }
}
