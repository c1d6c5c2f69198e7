//! `demo`: tells the whole story on this machine, with the same agent that `run` starts, and cleans up after itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::args::{DemoArgs, Global};
use super::failure::{ExitStatus, hinted};
use super::output::Output;
use crate::agent::desk::Bell;
use crate::agent::{self, Follow};
use crate::apply::Host;
use crate::apply::machine::Machine;
use crate::engine::docker::Docker;
use crate::engine::{Engine, stand_in};
use crate::model::image::ImageRef;
use crate::model::name::StackName;

mod reference;
mod free;
mod origin;
mod simulated;
mod stage;
mod acts;
mod cleanup;

use acts::Play;
use origin::Origin;
use reference::Files;
use stage::{Ear, Stage, elapsed};

/// An image that can't start.
const BROKEN: &str = "evenkeel/stand-in:broken";

/// The stack, where nothing on the host has such a name.
const STACK: &str = "evenkeel-demo";

const NEXT: &str = "\
Where to go next:
  evenkeel init                      lay out a repository of your own
  evenkeel --env prod plan           what would change on this host, field by field
  evenkeel --env prod apply          change it, or return to what ran before
  evenkeel --env prod run            follow a branch for ever, as you have just seen";

pub(super) async fn demo(global: &Global, args: &DemoArgs, output: Output) -> anyhow::Result<ExitStatus> {
    if global.json {
        return Err(hinted(anyhow::anyhow!("the demo has no JSON form"), "drop `--json`: it is for people"));
    }
    let broken: ImageRef = BROKEN.parse()?;
    let folder = tempfile::Builder::new().prefix("evenkeel-demo-").tempdir();
    let folder = folder.context("no folder for the demo can be made")?;
    let told = match real(global, args).await {
        Ok(docker) => {
            let name = docker.server().await?.name;
            let machine = Machine::open(docker, &folder.path().join("state"), Host::This)?;
            let demo = Demo { machine, folder: folder.path(), broken, output };
            Box::pin(demo.show(&name)).await
        }
        Err(why) => {
            let state = folder.path().join("state");
            let machine = Machine::open(simulated::host(&broken), &state, Host::Other)?;
            let machine = machine.with_prober(Box::new(simulated::Answerer));
            let demo = Demo { machine, folder: folder.path(), broken, output };
            Box::pin(demo.show(&format!("a simulated engine, as {why}"))).await
        }
    };
    folder.close().context("the folder of the demo can't be removed")?;
    told.map(|()| ExitStatus::Done)
}

/// The Docker of this machine, or why the simulated engine must do.
async fn real(global: &Global, args: &DemoArgs) -> Result<Docker, String> {
    if args.simulate {
        return Err("you asked for it".to_owned());
    }
    if stand_in::layer().is_none() {
        return Err("this Evenkeel was built without the image that stands in for all services".to_owned());
    }
    let unusable = |error| format!("Docker can't be used: {error}");
    let docker = Docker::connect(global.docker.as_deref()).await.map_err(unusable)?;
    docker.server().await.map_err(unusable)?;
    Ok(docker)
}

/// A demonstration on one host.
struct Demo<'a, E> {
    machine: Machine<E>,
    folder: &'a Path,
    broken: ImageRef,
    output: Output,
}

impl<E: Engine> Demo<'_, E> {
    /// Prepares, tells the story, and cleans up, whatever became of the story.
    async fn show(&self, engine_name: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        let engine = self.machine.engine();
        let stop = super::apply::stop_on_signal();
        let stack = self.stack().await?;
        let mut images = Vec::new();
        for image in [&self.broken, &stand_in::reference()] {
            if engine.inspect_image(&image.to_string()).await?.is_none() {
                images.push(image.clone());
            }
        }
        let told = stop.run_until_cancelled(self.prepare(&stack, &images)).await;
        let told = match told {
            Some(Ok((origin, files))) => {
                self.open(engine_name, &origin);
                self.tell(&stack, &origin, files, &stop).await
            }
            Some(Err(error)) => Err(error),
            None => Err(stopped()),
        };
        let took = elapsed(began.elapsed());
        let cleaning = Instant::now();
        let cleaned = cleanup::clean(engine, &stack, &images).await;
        if let (Err(_), Err(error)) = (&told, &cleaned) {
            self.output.error(error);
        }
        told?;
        let cleanup::Removed { containers, networks, volumes, images } = cleaned?;
        let removed =
            [(containers, "container"), (networks, "network"), (volumes, "volume"), (images, "image")];
        let shown = |(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let removed: Vec<String> = removed.into_iter().filter(|(count, _)| *count > 0).map(shown).collect();
        let stage = Stage::new(self.output);
        stage.say(&format!(
            "\n{} in {took}. Removed again, in {}: {}, and the repository.\n\n{NEXT}",
            stage.good("That was it"),
            elapsed(cleaning.elapsed()),
            removed.join(", "),
        ));
        Ok(())
    }

    fn open(&self, engine_name: &str, origin: &Origin) {
        let stage = Stage::new(self.output);
        stage.say(&format!(
            "{} on {engine_name}\n\nThe agent follows {}, a bare repository made for this.\n\
             Everything is removed at the end; ^C ends it early, and cleans up as well.",
            stage.bold("Evenkeel"),
            origin.bare().display(),
        ));
    }

    /// A name that nothing on the host bears.
    async fn stack(&self) -> anyhow::Result<StackName> {
        let stack: StackName = STACK.parse()?;
        if cleanup::is_used(self.machine.engine(), &stack).await? {
            return Ok(format!("{STACK}-{}", std::process::id()).parse()?);
        }
        Ok(stack)
    }

    /// Makes the image that fails, and the repositories.
    async fn prepare(&self, stack: &StackName, images: &[ImageRef]) -> anyhow::Result<(Origin, Files)> {
        let engine = self.machine.engine();
        if images.contains(&self.broken) {
            let mut config = stand_in::config();
            config.environment.insert("STAND_IN_FAIL".to_owned(), "start".to_owned());
            let layer = stand_in::layer().context("the image that fails can't be made")?;
            engine.import_image(&self.broken, layer, &config).await?;
        }
        let mut luck = [0; 4];
        getrandom::fill(&mut luck).context("the system gives no random bytes")?;
        let [a, b, c, d] = luck;
        let mut files = Files::of_reference_stack();
        let names = files.port_variables();
        let ports = free::ports(engine, names.len(), u16::from_le_bytes([a, b])).await?;
        let mut variables: BTreeMap<String, String> =
            names.into_iter().zip(ports.iter().map(ToString::to_string)).collect();
        let subnet = free::subnet(engine, u16::from_le_bytes([c, d])).await?;
        variables.insert("AUREN_SUBNET".to_owned(), subnet);
        files.settle(stack.as_str(), &variables)?;
        let folder = self.folder.to_owned();
        let origin = tokio::task::spawn_blocking(move || Origin::make(&folder)).await??;
        Ok((origin, files))
    }

    /// Runs the agent and the story beside it, in this one task.
    async fn tell(
        &self,
        stack: &StackName,
        origin: &Origin,
        files: Files,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let follow = Follow {
            repository: origin.bare().to_owned().into(),
            branch: Some("main".to_owned()),
            environment: "dev".parse()?,
            host_variables: BTreeMap::new(),
            poll: Duration::from_secs(60),
            look: Duration::from_secs(300),
        };
        let (ear, heard) = mpsc::unbounded_channel();
        let (ear, end) = (Ear(ear), CancellationToken::new());
        let bell = Bell::default();
        agent::recover(&self.machine, &ear).await;
        let agent = agent::run(&self.machine, &follow, &ear, &bell, &end);
        let mut agent = std::pin::pin!(agent);
        let play = Play {
            machine: &self.machine,
            stack,
            origin,
            files,
            broken: &self.broken,
            heard,
            stage: Stage::new(self.output),
        };
        let told = tokio::select! {
            biased;
            // Cancel-safe: a cancelled token stays cancelled.
            () = stop.cancelled() => Err(stopped()),
            // It ends only when it is told to.
            () = &mut agent => return Err(anyhow::anyhow!("the agent has ended by itself")),
            // Dropped only on the way to the end: what it made is cleaned up.
            told = play.perform() => told,
        };
        end.cancel();
        // A deploy that is under way is undone first.
        agent.await;
        told
    }
}

fn stopped() -> anyhow::Error {
    anyhow::anyhow!("the demo was stopped; all that it made is removed")
}
