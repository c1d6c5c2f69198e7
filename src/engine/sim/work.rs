//! Calls of a simulated engine that take time: pulls, stops, commands in containers. And imports.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::container::Phase;
use super::image::image_id;
use super::world::Refusal;
use super::{Reply, Sim, SimImage};
use crate::engine::clean::clean;
use crate::engine::{ExecResult, ImportConfig, PullProgress};
use crate::model::image::ImageRef;
use crate::model::live::LiveImage;
use crate::model::name::ContainerId;
use crate::model::platform::Platform;
use crate::model::text::Text;

impl Sim {
    pub(super) async fn pull(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<(), Refusal> {
        const TOTAL_BYTES: u64 = 100 << 20;
        let (content, takes, ends) = {
            let world = self.world();
            let (content, takes) = world.at_registry(image)?;
            world.check_disk()?;
            (content, takes, world.daemon.ends)
        };
        if !content.is_for(platform) {
            let wanted = platform.map(ToString::to_string).unwrap_or_default();
            let message = format!("no matching manifest for {wanted} in the manifest list entries");
            return Err(Refusal::NotFound(message));
        }
        for quarter in 0..4 {
            progress(PullProgress { done_bytes: TOTAL_BYTES / 4 * quarter, total_bytes: TOTAL_BYTES });
            tokio::time::sleep(takes / 4).await;
        }
        progress(PullProgress { done_bytes: TOTAL_BYTES, total_bytes: TOTAL_BYTES });
        let mut world = self.world();
        world.check_disk()?;
        if world.daemon.ends == ends {
            world.pulled(image, content);
        }
        Ok(())
    }

    pub(super) async fn stop(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), Refusal> {
        let (takes, code, ends) = {
            let world = self.world();
            let (takes, code) = world.stopping(id, grace)?;
            (takes, code, world.daemon.ends)
        };
        let sim = self.clone();
        let id = id.clone();
        // Docker goes on with a stop whose caller went away, so this one isn't bound to the caller either.
        let stop = tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            let mut world = sim.world();
            // A daemon that has ended since stops nothing any more.
            if world.daemon.ends == ends { world.stopped(&id, code) } else { Ok(()) }
        });
        match stop.await {
            Ok(result) => result,
            Err(error) => Err(Refusal::Rejected(format!("the simulated stop broke: {error}"))),
        }
    }

    pub(super) async fn run_in(
        &self,
        id: &ContainerId,
        command: &[Text],
        within: Duration,
    ) -> Result<ExecResult, Refusal> {
        let reply = {
            let world = self.world();
            let container = world.container(id)?;
            let Phase::Running { since } = container.phase else {
                return Err(Refusal::Conflict(format!("Container {id} is not running")));
            };
            let words: Vec<String> = command.iter().map(|word| word.expose().to_owned()).collect();
            let known = container.behaviour.commands.get(&words).cloned();
            let healthy = since.elapsed() >= container.behaviour.healthy_after;
            let probe = || Reply { code: i64::from(!healthy), ..Reply::default() };
            known.or_else(|| container.is_probe(command).then(probe))
        };
        let Some(Reply { code, output, takes }) = reply else {
            let output = "no such executable in the simulated container".to_owned();
            return Ok(ExecResult { code: Some(127), output });
        };
        tokio::time::sleep(takes.min(within)).await;
        if takes > within {
            return Ok(ExecResult { code: None, output: String::new() });
        }
        Ok(ExecResult { code: Some(code), output: output.lines().map(clean).collect::<Vec<_>>().join("\n") })
    }
}

/// The image that an import makes.
pub(super) fn imported(layer: &[u8], config: &ImportConfig) -> SimImage {
    let mut image = SimImage::of("");
    let ImportConfig { entrypoint, command, environment, labels, exposed_ports, volumes, user, working_dir } =
        config.clone();
    let content = hex::encode(Sha256::digest(layer));
    image.defaults = LiveImage {
        command,
        entrypoint,
        environment,
        labels,
        exposed_ports: exposed_ports.into_iter().collect(),
        volumes: volumes.into_iter().collect(),
        user: user.unwrap_or_default(),
        working_dir: working_dir.unwrap_or_default(),
        ..LiveImage::bare(image_id(&format!("{content} {config:?}")))
    };
    image
}
