//! What is done about a difference that nobody wrote into the repository, and about a deploy that fails.

use std::collections::BTreeMap;

/// What is done about a difference that somebody made on the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// The host is put right.
    #[default]
    Repair,
    /// It is told, and nothing is done.
    Report,
    /// It is as if it were not there.
    Ignore,
}

impl Treatment {
    /// Every treatment by its word.
    pub const WORDS: [(&'static str, Self); 3] =
        [("repair", Self::Repair), ("report", Self::Report), ("ignore", Self::Ignore)];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Report => "report",
            Self::Ignore => "ignore",
        }
    }
}

/// What becomes of a deploy that fails after a service's new container has run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rollback {
    /// It returns to what ran before.
    #[default]
    Automatic,
    /// It stops where it is and tells: a return would harm the service's data.
    Hold,
}

impl Rollback {
    /// Every word.
    pub const WORDS: [(&'static str, Self); 2] = [("automatic", Self::Automatic), ("hold", Self::Hold)];
}

/// The pseudo-field of whether a container is there and runs.
pub const STATE: &str = "state";
/// The field of a container's own name.
pub const NAME: &str = "container_name";
/// The path that covers every field.
pub const ALL: &str = "*";

/// The treatment of drift, field by field. Without any rule everything is repaired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// By the path of a field, in its long form, or [`ALL`].
    rules: BTreeMap<String, Treatment>,
}

impl Drift {
    /// The same treatment for every field.
    pub fn all(treatment: Treatment) -> Self {
        Self { rules: BTreeMap::from([(ALL.to_owned(), treatment)]) }
    }

    /// Adds a rule for `path`, in the long form, and what lies below it.
    pub fn set(&mut self, path: impl Into<String>, treatment: Treatment) {
        self.rules.insert(path.into(), treatment);
    }

    /// These rules, with those of `inherited` for what they don't speak of. One that speaks of every field leaves
    /// nothing to inherit.
    #[must_use]
    pub fn over(self, inherited: &Self) -> Self {
        if self.rules.contains_key(ALL) {
            return self;
        }
        let mut rules = inherited.rules.clone();
        rules.extend(self.rules);
        Self { rules }
    }

    /// The treatment of the field at `path`: that of the longest rule that covers it.
    pub fn of(&self, path: &str) -> Treatment {
        let mut path = path;
        loop {
            if let Some(treatment) = self.rules.get(path) {
                return *treatment;
            }
            match path.rsplit_once('.') {
                Some((group, _)) => path = group,
                None => return self.rules.get(ALL).copied().unwrap_or_default(),
            }
        }
    }

    /// The rules by path.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Treatment)> {
        self.rules.iter().map(|(path, treatment)| (path.as_str(), *treatment))
    }
}

/// Fields of a container, as a plan calls them.
pub const FIELDS: [&str; 59] = [
    STATE,
    NAME,
    "image",
    "platform",
    "command",
    "entrypoint",
    "healthcheck.test",
    "healthcheck.interval",
    "healthcheck.timeout",
    "healthcheck.start_period",
    "healthcheck.retries",
    "user",
    "working_dir",
    "hostname",
    "restart",
    "stop_signal",
    "stop_grace_period",
    "init",
    "read_only",
    "tty",
    "stdin_open",
    "privileged",
    "cap_add",
    "cap_drop",
    "security_opt",
    "extra_hosts",
    "dns",
    "shm_size",
    "logging.driver",
    "deploy.resources.limits.memory",
    "deploy.resources.limits.cpus",
    "deploy.resources.limits.pids",
    "deploy.resources.reservations.memory",
    "domainname",
    "network_mode",
    "ipc",
    "pid",
    "uts",
    "userns_mode",
    "cgroup",
    "cgroup_parent",
    "dns_search",
    "dns_opt",
    "healthcheck.start_interval",
    "memswap_limit",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpuset",
    "blkio_config.weight",
    "device_cgroup_rules",
    "deploy.resources.reservations.devices",
    "runtime",
    "group_add",
    "oom_kill_disable",
    "oom_score_adj",
    "mem_swappiness",
];

/// Fields below which there are others, whose names are the user's own.
pub const OPEN_FIELDS: [&str; 15] = [
    "environment",
    "labels",
    "ports",
    "expose",
    "networks",
    "volumes",
    "sysctls",
    "ulimits",
    "logging.options",
    "configs",
    "secrets",
    "devices",
    "storage_opt",
    "annotations",
    "blkio_config",
];

/// Whether a plan may have a field at `path`, or fields below it.
pub fn is_field(path: &str) -> bool {
    let is_below = |path: &str, group: &str| {
        path.strip_prefix(group).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| !rest.is_empty())
    };
    let known = |field: &str| field == path || is_below(field, path);
    FIELDS.iter().chain(&OPEN_FIELDS).any(|field| known(field))
        || OPEN_FIELDS.iter().any(|group| is_below(path, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rule_wins_and_covers_what_is_below_it() {
        let mut drift = Drift::all(Treatment::Report);
        drift.set("environment", Treatment::Ignore);
        drift.set("environment.LOG_LEVEL", Treatment::Repair);
        drift.set("deploy.resources", Treatment::Repair);
        for (path, treatment) in [
            ("environment.LOG_LEVEL", Treatment::Repair),
            ("environment.LOG_LEVEL.more", Treatment::Repair),
            ("environment.LOG_LEVELS", Treatment::Ignore),
            ("environment", Treatment::Ignore),
            ("environments", Treatment::Report),
            ("deploy.resources.limits.memory", Treatment::Repair),
            ("deploy", Treatment::Report),
            ("restart", Treatment::Report),
        ] {
            assert_eq!(drift.of(path), treatment, "{path}");
        }
        assert_eq!(Drift::default().of("restart"), Treatment::Repair);
    }

    #[test]
    fn what_is_nearer_comes_first() {
        let inherited = {
            let mut drift = Drift::all(Treatment::Report);
            drift.set("restart", Treatment::Ignore);
            drift
        };
        let mut own = Drift::default();
        own.set("environment.A", Treatment::Ignore);
        let both = own.over(&inherited);
        assert_eq!(both.of("environment.A"), Treatment::Ignore);
        assert_eq!(both.of("environment.B"), Treatment::Report);
        assert_eq!(both.of("restart"), Treatment::Ignore);
        assert_eq!(Drift::all(Treatment::Repair).over(&inherited).of("restart"), Treatment::Repair);
    }

    #[test]
    fn only_what_a_plan_may_show_is_a_field() {
        for path in
            ["state", "deploy", "deploy.resources.limits", "environment", "environment.A.b", "volumes./data"]
        {
            assert!(is_field(path), "{path}");
        }
        for path in ["mem_limit", "deploy.replicas", "environment.", "image.tag", "env.A", "", "*"] {
            assert!(!is_field(path), "{path}");
        }
    }
}
