//! What another agent.yaml would change: what counts at once, and what only after a restart.

use std::fmt;

use super::{AgentFile, Followed};

/// How agent.yaml has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentChanges<'a> {
    /// What is followed from now on.
    pub begins: Vec<&'a Followed>,
    /// What is no longer followed. What was deployed of it goes on running.
    pub ends: Vec<&'a Followed>,
    /// What is followed otherwise, by another branch or at another pace: before and now.
    pub turns: Vec<(&'a Followed, &'a Followed)>,
    /// Other keys that have changed and count at once.
    pub at_once: Vec<&'static str>,
    /// Keys that have changed and count only after a restart: everything that is open hangs on them.
    pub after_restart: Vec<&'static str>,
}

impl AgentFile {
    /// What is otherwise in `newer`.
    pub fn changes<'a>(&'a self, newer: &'a Self) -> AgentChanges<'a> {
        // A new key must be said to belong to one of the two.
        let Self { host, labels, docker, state, follow, credentials, git, api, webhooks, notify } = self;
        let mut changes = of_follow(follow, &newer.follow);
        let at_once = [
            ("host", *host != newer.host),
            ("labels", *labels != newer.labels),
            ("credentials", *credentials != newer.credentials),
            ("api", *api != newer.api),
            ("webhooks", *webhooks != newer.webhooks),
            ("notify", *notify != newer.notify),
        ];
        let after_restart = [
            ("docker", *docker != newer.docker),
            ("state", *state != newer.state),
            ("git", *git != newer.git),
        ];
        let names = |keys: &[(&'static str, bool)]| {
            keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
        };
        changes.at_once = names(&at_once);
        changes.after_restart = names(&after_restart);
        changes
    }
}

fn of_follow<'a>(before: &'a [Followed], now: &'a [Followed]) -> AgentChanges<'a> {
    let mut changes = AgentChanges::default();
    for one in now {
        match before.iter().find(|other| same_stack(other, one)) {
            None => changes.begins.push(one),
            Some(other) if other != one => changes.turns.push((other, one)),
            Some(_) => {}
        }
    }
    changes.ends = before.iter().filter(|one| !now.iter().any(|other| same_stack(one, other))).collect();
    changes
}

fn same_stack(one: &Followed, other: &Followed) -> bool {
    one.repository == other.repository && one.environment == other.environment
}

impl AgentChanges<'_> {
    /// Whether nothing has changed but perhaps comments and order.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// In one line, for a log.
impl fmt::Display for AgentChanges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.begins.iter().map(|one| format!("{} is followed from now on", shown(one))));
        parts.extend(self.ends.iter().map(|one| format!("{} is no longer followed", shown(one))));
        parts.extend(self.turns.iter().map(|(_, now)| format!("{} is followed otherwise", shown(now))));
        if !self.at_once.is_empty() {
            parts.push(format!("{} changed", keys(&self.at_once)));
        }
        if !self.after_restart.is_empty() {
            parts.push(format!("{} changed, which counts after a restart", keys(&self.after_restart)));
        }
        f.write_str(if parts.is_empty() { "nothing changed" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

fn shown(followed: &Followed) -> String {
    match &followed.environment {
        Some(environment) => format!("`{environment}` of {}", followed.repository),
        None => followed.repository.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    #[test]
    fn a_reload_says_what_counts_at_once_and_what_after_a_restart() {
        let before = "host: a\ndocker: unix:///a\nstate: /a\nfollow:\n- {repository: /a, environment: prod}\n\
                      - {repository: /a, environment: dev, branch: main}\n";
        for (now, expected) in [
            (before, "nothing changed"),
            (
                "host: a\ndocker: unix:///a\nstate: /a\nfollow:\n- {repository: /a, environment: dev, branch: main}\n\
                 - {repository: /a, environment: prod}\n",
                "nothing changed",
            ),
            (
                "host: b\nlabels: {x: y}\ndocker: unix:///b\nstate: /b\nfollow:\n- {repository: /a, environment: prod}\n\
                 - {repository: /a, environment: dev, branch: main}\n",
                "`host`, `labels` changed; `docker`, `state` changed, which counts after a restart",
            ),
            (
                "host: a\ndocker: unix:///a\nstate: /a\nfollow:\n- {repository: /a, environment: dev, branch: next}\n\
                 - {repository: /b}\n",
                "/b is followed from now on; `prod` of /a is no longer followed; `dev` of /a is followed otherwise",
            ),
        ] {
            let (old, new) = (read(before).unwrap(), read(now).unwrap());
            let changes = old.changes(&new);
            assert_eq!(changes.to_string(), expected, "{now}");
            assert_eq!(changes.is_empty(), expected == "nothing changed", "{now}");
        }
    }
}
