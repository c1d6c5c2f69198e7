//! What a Docker daemon says of itself and of what else runs on it, for whoever checks a host. No plan follows from it.

use bollard::models::SystemInfo;
use bollard::query_parameters::ListContainersOptions;

use super::error::Asked;
use super::{Docker, deadline, within};
use crate::engine::{EngineError, clean};

/// A daemon's settings. Texts are without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its version: `20.10.24`.
    pub version: String,
    /// The version of the API in use: `1.41`.
    pub api: String,
    /// What it runs on: `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// The name of its host.
    pub host: String,
    /// Its clock, in RFC 3339.
    pub time: Option<String>,
    /// Where it keeps images and volumes, on its host.
    pub folder: Option<String>,
    /// How it stores the file systems of containers: `overlay2`.
    pub storage: String,
    /// Where containers' output goes unless they say otherwise: `json-file`.
    pub logging: String,
    /// Whether containers run on while it restarts.
    pub live_restore: bool,
    /// Whether it is part of a swarm.
    pub swarm: bool,
    /// What protects containers: `seccomp`, `userns`, `rootless`.
    pub security: Vec<String>,
    /// What it warns of by itself.
    pub warnings: Vec<String>,
}

/// A running container and its image, by the names that people gave them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    /// The container's name.
    pub name: String,
    /// The image, as it was named when the container was made.
    pub image: String,
    /// The command that it runs.
    pub command: String,
}

impl Docker {
    /// What the daemon says of itself.
    pub async fn about(&self) -> Result<About, EngineError> {
        let operation = "look at the Docker daemon".to_owned();
        let info = within(operation, deadline::QUICK, Asked::Plain, self.client.info()).await?;
        let (major, minor) = self.api;
        Ok(about(info, format!("{major}.{minor}")))
    }

    /// Every running container, whoever made it.
    pub async fn running(&self) -> Result<Vec<Running>, EngineError> {
        let call = self.client.list_containers(None::<ListContainersOptions>);
        let all = within("list the containers".to_owned(), deadline::QUICK, Asked::Plain, call).await?;
        let mut found: Vec<Running> = all
            .into_iter()
            .map(|one| Running {
                name: named(one.names.unwrap_or_default().first()),
                image: clean::clean(&one.image.unwrap_or_default()),
                command: clean::clean(&one.command.unwrap_or_default()),
            })
            .collect();
        found.sort();
        Ok(found)
    }
}

fn named(name: Option<&String>) -> String {
    name.map(|name| clean::clean(name.trim_start_matches('/'))).unwrap_or_default()
}

fn about(info: SystemInfo, api: String) -> About {
    let text = |text: Option<String>| clean::clean(&text.unwrap_or_default());
    // `name=seccomp,profile=default`
    let security =
        info.security_options.unwrap_or_default().into_iter().filter_map(|option| {
            option.split(',').find_map(|part| part.strip_prefix("name=").map(clean::clean))
        });
    let in_swarm = info.swarm.and_then(|swarm| swarm.node_id).is_some_and(|node| !node.is_empty());
    About {
        version: text(info.server_version),
        api,
        system: text(info.operating_system),
        host: text(info.name),
        time: info.system_time,
        folder: info.docker_root_dir,
        storage: text(info.driver),
        logging: text(info.logging_driver),
        live_restore: info.live_restore_enabled == Some(true),
        swarm: in_swarm,
        security: security.collect(),
        warnings: info.warnings.unwrap_or_default().iter().map(|warning| clean::clean(warning)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_read_as_it_answers() {
        let answer = serde_json::json!({
            "ServerVersion": "20.10.24", "OperatingSystem": "Debian", "Name": "web-1", "Driver": "overlay2",
            "SystemTime": "2026-11-20T17:58:23.8Z", "LoggingDriver": "json-file", "LiveRestoreEnabled": true,
            "DockerRootDir": "/var/lib/docker", "Swarm": {"NodeID": "", "LocalNodeState": "inactive"},
            "SecurityOptions": ["name=seccomp,profile=default", "name=userns"],
            "Warnings": ["WARNING: a\u{1b}[2Jb"],
        });
        let read = about(serde_json::from_value(answer).unwrap(), "1.41".to_owned());
        assert_eq!((read.version.as_str(), read.live_restore, read.swarm), ("20.10.24", true, false));
        assert_eq!(read.security, ["seccomp", "userns"]);
        assert!(!read.warnings[0].contains('\u{1b}'), "{:?}", read.warnings);
        assert_eq!(about(SystemInfo::default(), String::new()), About::default());
    }
}
