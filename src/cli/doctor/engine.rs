//! Whether Docker is set up for services that nobody watches.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde_json::Value as Json;

use super::finding::Finding;
use crate::engine::docker::about::About;

/// Where the daemon's settings are, unless somebody starts it otherwise.
const SETTINGS: &str = "/etc/docker/daemon.json";

/// Judges what the daemon says of itself.
pub(super) fn examine(about: &About) -> Vec<Finding> {
    let settings = std::fs::read(SETTINGS).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    judge(about, &settings.unwrap_or(Json::Null))
}

fn judge(about: &About, settings: &Json) -> Vec<Finding> {
    let About { version, api, system, security, warnings, .. } = about;
    let mut findings = vec![Finding::ok("docker", format!("Docker {version}, API {api}, on {system}"))];
    findings.push(live_restore(about));
    findings.push(log_limit(about, settings));
    if !security.iter().any(|name| name == "seccomp") {
        findings.push(
            Finding::warning("seccomp", "containers may make any system call")
                .why("the daemon has no seccomp profile, which takes away what no service needs")
                .hint("install libseccomp, and remove `seccomp-profile: unconfined` from daemon.json"),
        );
    }
    if security.iter().any(|name| name == "userns" || name == "rootless") {
        findings.push(
            Finding::warning("userns", "users in containers are other users of the host")
                .why("files of `secrets` belong to root of the host, which is nobody in a container here")
                .hint("say `uid` and `gid` of the mapped user, or `mode: 0444`, where a service mounts a secret"),
        );
    } else {
        findings.push(Finding::ok("userns", "users in containers are the users of the host"));
    }
    if about.storage == "vfs" {
        findings.push(
            Finding::warning("storage", "the storage driver `vfs` copies the whole image for each container")
                .hint("use overlay2: https://docs.docker.com/engine/storage/drivers/"),
        );
    }
    if about.swarm {
        findings.push(
            Finding::warning("swarm", "the daemon is part of a swarm")
                .why("the swarm replaces the containers of its own services by itself; they are never touched here")
                .hint("deploy a service either to the swarm or with Evenkeel"),
        );
    }
    findings.extend(warnings.iter().map(|warning| own_warning(warning)));
    findings
}

fn live_restore(about: &About) -> Finding {
    if about.live_restore || about.swarm {
        return Finding::ok("live-restore", "containers run on while Docker restarts");
    }
    Finding::warning("live-restore", "containers stop while Docker restarts")
        .why("an upgrade of Docker is an outage of everything on this host")
        .hint(format!("write `\"live-restore\": true` into {SETTINGS}, then `systemctl reload docker`"))
}

/// The API doesn't tell the options of the logging driver, so they are read where they are written.
fn log_limit(about: &About, settings: &Json) -> Finding {
    let option = |name: &str| settings.get("log-opts").and_then(|options| options.get(name)).is_some();
    match about.logging.as_str() {
        "json-file" if !option("max-size") => {
            Finding::warning("log-limit", "the logs of containers grow without a limit")
                .why(format!("the logging driver is json-file, and {SETTINGS} says no `max-size`"))
                .hint(format!(
                    "write `\"log-driver\": \"local\"` into {SETTINGS}, or \
                     `\"log-opts\": {{\"max-size\": \"10m\", \"max-file\": \"3\"}}`, and restart Docker; or say it \
                     under `logging` of each service"
                ))
        }
        "none" => Finding::warning("log-limit", "what containers write is thrown away")
            .why("when a deploy fails, its last lines are what tells why")
            .hint(format!("write `\"log-driver\": \"local\"` into {SETTINGS}, and restart Docker")),
        driver => Finding::ok("log-limit", format!("the logging driver is {driver}")),
    }
}

/// What the daemon warns of by itself.
fn own_warning(warning: &str) -> Finding {
    let text = warning.trim_start_matches("WARNING: ").trim();
    if text.contains("accessible on") && text.contains("without encryption") {
        return Finding::failed("docker-api", text)
            .why("whoever reaches Docker's API is root on this host")
            .hint("remove `-H tcp://…` from the unit of Docker, and `hosts` from daemon.json");
    }
    Finding::warning("docker", text).why("Docker says so by itself (`docker info`)")
}

/// Judges who may use the socket.
pub(super) fn socket(path: &Path) -> Option<Finding> {
    let about = std::fs::metadata(path).ok().filter(|about| about.file_type().is_socket())?;
    Some(if about.mode() & 0o002 == 0 {
        Finding::ok("socket", format!("{} is for its owner and its group", path.display()))
    } else {
        Finding::failed("socket", format!("everybody on this host may use {}", path.display()))
            .why("whoever may use Docker is root on this host")
            .hint(format!("chmod 0660 {}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use serde_json::json;

    use super::super::finding::Verdict;
    use super::*;

    fn good() -> About {
        About {
            version: "28.2.2".to_owned(),
            api: "1.50".to_owned(),
            system: "Debian".to_owned(),
            logging: "local".to_owned(),
            storage: "overlay2".to_owned(),
            live_restore: true,
            security: vec!["seccomp".to_owned()],
            ..About::default()
        }
    }

    fn wrong(about: &About, settings: &Json) -> Vec<(&'static str, Verdict)> {
        let findings = judge(about, settings);
        let wrong = findings.iter().filter(|finding| finding.verdict != Verdict::Ok);
        wrong.map(|finding| (finding.check, finding.verdict)).collect()
    }

    #[test]
    fn a_daemon_that_is_set_up_well_is_ok() {
        assert_eq!(wrong(&good(), &Json::Null), []);
        let limited = About { logging: "json-file".to_owned(), ..good() };
        assert_eq!(wrong(&limited, &json!({"log-opts": {"max-size": "10m"}})), []);
    }

    #[test]
    fn each_setting_that_may_do_harm_is_told() {
        let warning = |check| vec![(check, Verdict::Warning)];
        let with = |change: fn(&mut About)| {
            let mut about = good();
            change(&mut about);
            about
        };
        for (about, expected) in [
            (with(|about| about.live_restore = false), warning("live-restore")),
            (with(|about| about.logging = "json-file".to_owned()), warning("log-limit")),
            (with(|about| about.logging = "none".to_owned()), warning("log-limit")),
            (with(|about| about.security.clear()), warning("seccomp")),
            (with(|about| about.security.push("userns".to_owned())), warning("userns")),
            (with(|about| about.storage = "vfs".to_owned()), warning("storage")),
            (with(|about| about.swarm = true), warning("swarm")),
            (
                with(|about| about.warnings = vec!["WARNING: No swap limit support".to_owned()]),
                warning("docker"),
            ),
            (
                with(|about| {
                    about.warnings = vec![
                        "WARNING: API is accessible on http://0.0.0.0:2375 without encryption.".to_owned(),
                    ];
                }),
                vec![("docker-api", Verdict::Failed)],
            ),
        ] {
            assert_eq!(wrong(&about, &Json::Null), expected);
        }
    }

    #[test]
    fn a_socket_for_everybody_is_root_for_everybody() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("docker.sock");
        assert_eq!(socket(&path), None);
        let _listener = UnixListener::bind(&path).unwrap();
        for (mode, expected) in
            [(0o660, Verdict::Ok), (0o666, Verdict::Failed), (0o664, Verdict::Ok), (0o662, Verdict::Failed)]
        {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(socket(&path).unwrap().verdict, expected, "{mode:o}");
        }
    }
}
