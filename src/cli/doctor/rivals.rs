//! Other tools that change containers by themselves. Two that keep one container in order undo each other's work.

use std::fs;
use std::path::Path;

use super::finding::Finding;
use crate::engine::docker::about::Running;

const CHECK: &str = "rivals";

/// A tool, by the last part of the name of its image.
struct Rival {
    image: &'static str,
    does: &'static str,
    hint: &'static str,
}

const UPDATES: &str =
    "it replaces containers when their image's tag moves, and Evenkeel sees that as drift and puts it back";
const MANAGES: &str =
    "whoever uses it may change containers, and Evenkeel sees that as drift and puts it back";
const LEAVE: &str =
    "let only one of the two look after a container: remove it, or tell it to leave those of Evenkeel alone";

// Tools that only tell, such as diun, are none.
const RIVALS: [Rival; 13] = [
    Rival {
        image: "watchtower",
        does: UPDATES,
        hint: "remove it, or run it with --monitor-only or --label-enable; Evenkeel itself follows tags with \
               `pull_policy: always`",
    },
    Rival { image: "ouroboros", does: UPDATES, hint: "remove it; it is no longer maintained" },
    Rival { image: "tugtainer", does: UPDATES, hint: LEAVE },
    Rival { image: "wud", does: UPDATES, hint: "remove its `docker` trigger, or tell it to watch by label" },
    Rival {
        image: "whats-up-docker",
        does: UPDATES,
        hint: "remove its `docker` trigger, or tell it to watch by label",
    },
    Rival { image: "doco-cd", does: MANAGES, hint: LEAVE },
    Rival { image: "periphery", does: MANAGES, hint: LEAVE },
    Rival { image: "komodo-periphery", does: MANAGES, hint: LEAVE },
    Rival { image: "dockge", does: MANAGES, hint: "keep stacks of Evenkeel out of its folder" },
    Rival { image: "coolify", does: MANAGES, hint: LEAVE },
    Rival { image: "dokploy", does: MANAGES, hint: LEAVE },
    Rival {
        image: "portainer-ce",
        does: MANAGES,
        hint: "use it to look only; its GitOps updates must be off",
    },
    Rival {
        image: "portainer-ee",
        does: MANAGES,
        hint: "use it to look only; its GitOps updates must be off",
    },
];

/// The agent of Portainer has too plain a name for the last part alone.
const PORTAINER_AGENT: &str = "portainer/agent";

/// Judges what runs.
pub(super) fn containers(running: &[Running]) -> Vec<Finding> {
    let found = running.iter().filter_map(|container| {
        let repository = repository(&container.image);
        let last = repository.rsplit('/').next().unwrap_or_default();
        let is_agent = repository.ends_with(PORTAINER_AGENT);
        let rival =
            RIVALS.iter().find(|rival| rival.image == last || (is_agent && rival.image == "portainer-ce"))?;
        let only_tells =
            ["--monitor-only", "--label-enable"].iter().any(|flag| container.command.contains(flag));
        (!only_tells).then(|| {
            let what = format!("the container `{}` runs {repository}", container.name);
            Finding::warning(CHECK, what).why(rival.does).hint(rival.hint)
        })
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return vec![Finding::ok(CHECK, "no other tool that changes containers runs in one")];
    }
    found
}

/// The name of an image without tag and digest: `ghcr.io/a/b`.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        // A port of a registry has a path behind it.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

/// Looks for units of systemd below `folders` that start containers.
pub(super) fn units(folders: &[&Path]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "service")) {
            // Anything else than a small text is no unit.
            let Some(text) = fs::read(path).ok().filter(|bytes| bytes.len() < 1 << 20) else { continue };
            if starts_containers(&String::from_utf8_lossy(&text)) {
                let what = format!("the unit {} starts containers", path.display());
                let why = "after a restart of the host it may bring back what was replaced since";
                let hint = "`systemctl disable --now` it once `evenkeel adopt` has taken over what it starts";
                findings.push(Finding::warning(CHECK, what).why(why).hint(hint));
            }
        }
    }
    findings
}

fn starts_containers(unit: &str) -> bool {
    unit.lines().filter_map(|line| line.trim().strip_prefix("ExecStart=")).any(|command| {
        let words: Vec<&str> = command.split_whitespace().collect();
        let is = |word: &&str, name: &str| {
            word.trim_start_matches(['-', '@', '+', '!']).rsplit('/').next() == Some(name)
        };
        let docker = words.iter().any(|word| is(word, "docker"));
        let compose =
            words.iter().any(|word| is(word, "docker-compose")) || docker && words.contains(&"compose");
        let starts = |names: &[&str]| words.iter().any(|word| names.contains(word));
        compose && starts(&["up", "start"]) || docker && starts(&["run", "start"])
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn running(image: &str, command: &str) -> Running {
        Running { name: "x".to_owned(), image: image.to_owned(), command: command.to_owned() }
    }

    #[test]
    fn a_tool_is_known_by_the_name_of_its_image() {
        for (image, expected) in [
            ("containrrr/watchtower", true),
            ("ghcr.io/nicholas-fedor/watchtower:1.9.0", true),
            ("registry.example.com:5000/mirror/watchtower@sha256:abc", true),
            ("pyouroboros/ouroboros", true),
            ("portainer/agent:2.21", true),
            ("portainer/portainer-ce:lts", true),
            ("ghcr.io/moghtech/komodo-periphery:latest", true),
            ("louislam/dockge:1", true),
            ("crazymax/diun", false),
            ("datadog/agent", false),
            ("registry:5000/agent", false),
            ("watchtower-docs", false),
            ("postgres:16", false),
            ("sha256:0123", false),
        ] {
            let findings = containers(&[running(image, "/start")]);
            assert_eq!(findings[0].verdict == Verdict::Warning, expected, "{image}");
        }
        let findings = containers(&[running("containrrr/watchtower", "/watchtower --monitor-only")]);
        assert_eq!(findings[0].verdict, Verdict::Ok);
        assert_eq!(containers(&[])[0].verdict, Verdict::Ok);
    }

    #[test]
    fn a_unit_that_starts_containers_is_told() {
        let temp = tempfile::tempdir().unwrap();
        for (name, command) in [
            ("a.service", "/usr/bin/docker compose -f /srv/a.yaml up -d"),
            ("b.service", "-/usr/local/bin/docker-compose up"),
            ("c.service", "/usr/bin/docker run --rm x"),
            ("d.service", "/usr/bin/dockerd -H fd://"),
            ("e.service", "/usr/bin/docker system prune -f"),
            ("f.timer", "/usr/bin/docker run x"),
        ] {
            fs::write(temp.path().join(name), format!("[Service]\nExecStart={command}\n")).unwrap();
        }
        let found = units(&[temp.path(), Path::new("/nowhere")]);
        let names: Vec<_> = ["a", "b", "c"].iter().map(|name| format!("{name}.service")).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        for (finding, name) in found.iter().zip(names) {
            assert!(finding.what.contains(&name), "{finding:?}");
        }
    }
}
