//! Compares three states of one container: what is desired, what is live, what was last applied.

use std::collections::BTreeSet;

use super::attached;
use super::change::{Cause, FieldChange};
use super::fields::{DigestKey, FieldPath, FieldValue, Fields};
use super::images::Images;
use super::normal::machine::is_limit;
use super::normal::{self, Host};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::platform::Platform;
use crate::model::secret::{is_in_words, is_secret, password};
use crate::model::spec::{ContainerSpec, Resources};

/// What a container is to be made of, and of which images.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) spec: &'a ContainerSpec,
    pub(super) images: &'a Images,
}

/// The fields that differ between what is sought and `container`, sorted by path.
///
/// # Guarantees
/// - Last-applied ≠ desired is a change from Git; last-applied = desired ≠ live is drift.
/// - A key that was declared before and no longer is counts as changed, if its value is still live.
/// - What image or daemon filled in is never a difference.
pub(super) fn differences(
    Sought { spec, images }: Sought<'_>,
    container: &LiveContainer,
    applied: Option<&Fields>,
    live: &Live,
    host: Host<'_>,
) -> Vec<FieldChange> {
    let desired = normal::of_spec(spec, host);
    let image = live.images.get(&container.image);
    let mut seen = normal::of_live(&Images::as_declared(container, spec), host);
    match normal::words(normal::security_said(&container.spec, &spec.security_opt)) {
        Some(said) => seen.set("security_opt", said),
        None => seen.remove(&FieldPath::new("security_opt")),
    }
    let mut filled_in = normal::defaults(container, image, host);
    // Whoever changes the memory alone leaves the swap as Docker had filled it in.
    filled_in.set_some("memswap_limit", spec.resources.default_swap().map(FieldValue::from));
    let hidden =
        sensitive_paths(&desired).chain(applied.into_iter().flat_map(sensitive_paths)).cloned().collect();
    seen.hide(&hidden, host.key);
    filled_in.hide(&hidden, host.key);
    if let Some(wanted) = &spec.platform {
        seen.set_some("platform", platform(wanted, container, applied));
    }
    let sides = Sides {
        desired: &desired,
        seen: &seen,
        filled_in: &filled_in,
        applied,
        image_known: image.is_some(),
        runs: container.state.status == Status::Running,
        key: host.key,
    };
    let mut paths: BTreeSet<&FieldPath> = desired.paths().chain(seen.paths()).collect();
    // What an image is called tells too little.
    paths.retain(|path| path.as_str() != "image");
    let mut changes: Vec<FieldChange> = paths.into_iter().filter_map(|path| sides.difference(path)).collect();
    images.add_differences(&mut changes, (spec, container), applied, live);
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// What `container` was built for where `wanted` is declared: an image that serves it is no other. Of an image that is
/// gone only the record can tell, and without one nothing speaks against it.
fn platform(wanted: &Platform, container: &LiveContainer, applied: Option<&Fields>) -> Option<FieldValue> {
    match &container.spec.platform {
        Some(found) if found.serves(wanted) => Some(FieldValue::word(wanted)),
        Some(found) => Some(FieldValue::word(found)),
        None => match applied {
            Some(applied) => {
                applied.get(&FieldPath::new("platform")).cloned().or_else(|| Some(FieldValue::word(wanted)))
            }
            None => Some(FieldValue::word(wanted)),
        },
    }
}

struct Sides<'a> {
    desired: &'a Fields,
    seen: &'a Fields,
    filled_in: &'a Fields,
    applied: Option<&'a Fields>,
    image_known: bool,
    runs: bool,
    key: &'a DigestKey,
}

impl Sides<'_> {
    fn difference(&self, path: &FieldPath) -> Option<FieldChange> {
        let (before, after) = (self.seen.get(path), self.desired.get(path));
        if before == after {
            return None;
        }
        let last = self.applied.and_then(|applied| applied.get(path));
        let is_mac = path.as_str().starts_with("networks.") && path.as_str().ends_with(".mac_address");
        // What an image gives is declared again by it; a hardware address that was declared stays nobody's wish.
        let is_given = before == self.filled_in.get(path) && !(is_mac && last.is_some());
        if after.is_none() && (is_given || self.is_nobodys(path, last.is_some())) {
            return None;
        }
        // Docker doesn't show the hardware address of a container that doesn't run.
        if is_mac && before.is_none() && !self.runs && (last.is_none() || last == after) {
            return None;
        }
        let cause = match (self.applied, last, after) {
            (Some(_), Some(FieldValue::Sensitive(_)), Some(FieldValue::Sensitive(_))) if last != after => {
                Cause::Secret
            }
            (Some(_), ..) if last != after => Cause::Git,
            _ => Cause::Drift,
        };
        // A value that no manifest said may be a secret that somebody set by hand.
        let shown = |value: &FieldValue| {
            let undeclared = after.is_none() && last.is_none() && path.is_in("environment");
            let may_be_secret = undeclared || (last != Some(value) && looks_secret(path, value));
            if may_be_secret { value.clone().hidden(self.key) } else { value.clone() }
        };
        Some(FieldChange {
            path: path.clone(),
            before: before.map(shown),
            after: after.cloned(),
            cause,
            diff: None,
        })
    }

    /// Whether a live value that is not declared needs no explanation.
    fn is_nobodys(&self, path: &FieldPath, was_declared: bool) -> bool {
        if was_declared {
            return false;
        }
        match self.applied {
            // We made this container and did not declare it. Only what Docker lets people change afterwards can be
            // somebody's work; the rest is the daemon's.
            Some(_) => !is_changeable(path),
            None => {
                !self.image_known
                    || normal::DAEMON_FILLED.iter().any(|group| path.is_in(group))
                    || normal::is_proxy_variable(path)
            }
        }
    }
}

/// Fields of which the rest of the path names a value of somebody's choice.
const NAMED: [&str; 3] = ["environment.", "labels.", "logging.options."];

/// A value that no manifest said, hidden if it looks secret.
pub(super) fn discreet(path: &FieldPath, value: &FieldValue, key: &DigestKey) -> FieldValue {
    if looks_secret(path, value) { value.clone().hidden(key) } else { value.clone() }
}

/// Whether a value looks secret, by its name or by the words of a command.
fn looks_secret(path: &FieldPath, value: &FieldValue) -> bool {
    match (NAMED.iter().find_map(|group| path.as_str().strip_prefix(group)), value) {
        (Some(key), FieldValue::Quoted(text)) => is_secret(key, text) || password(text).is_some(),
        (None, FieldValue::List(items)) => is_in_words(items.iter().filter_map(|item| match item {
            FieldValue::Quoted(word) => Some(word.as_str()),
            _ => None,
        })),
        _ => false,
    }
}

fn sensitive_paths(fields: &Fields) -> impl Iterator<Item = &FieldPath> {
    fn is_sensitive(value: &FieldValue) -> bool {
        match value {
            FieldValue::Sensitive(_) => true,
            FieldValue::List(items) => items.iter().any(is_sensitive),
            FieldValue::Word(_)
            | FieldValue::Quoted(_)
            | FieldValue::Bytes(_)
            | FieldValue::Time(_)
            | FieldValue::Switch(_)
            | FieldValue::Content { .. } => false,
        }
    }
    fields.iter().filter(|(_, value)| is_sensitive(value)).map(|(path, _)| path)
}

/// Whether Docker lets people change the field of an existing container.
pub(super) fn is_changeable(path: &FieldPath) -> bool {
    path.is_in("restart") || is_limit(path) || path.is_in("networks")
}

/// Whether the change can be made, and unmade, while the container runs.
///
/// Docker can set a limit in place but not clear one, so a limit that is new or goes away means a replacement.
/// Networks are left and joined in place wherever Docker gives the container all of its attachment back.
pub(super) fn is_in_place(change: &FieldChange, spec: &ContainerSpec, live: &ContainerSpec) -> bool {
    if change.path.is_in("restart") {
        return true;
    }
    if is_limit(&change.path) {
        // Docker keeps it in mind that swap is to be unlimited, and doesn't tell the kernel.
        if change.path.is_in("memswap_limit") {
            let limited = |spec: &ContainerSpec| spec.resources.memory.is_some();
            // Where the memory is limited there is always one of swap: if none is declared, Docker's own.
            let bytes = change.after.as_ref().is_none_or(|after| matches!(after, FieldValue::Bytes(_)));
            return bytes && limited(spec) && limited(live);
        }
        return change.before.is_some() && change.after.is_some();
    }
    // One that joins again gets another hardware address, and on the way back it could not be given the old one.
    let is_mac = change.path.as_str().ends_with(".mac_address");
    change.path.is_in("networks") && !is_mac && attached::can_be_joined_live(spec, live)
}

/// The limits that `changes` speak of, as wanted.
pub(super) fn limits_of(changes: &[FieldChange], wanted: &Resources, live: &Resources) -> Resources {
    let means = |key: &str| changes.iter().any(|change| change.path.as_str() == key);
    let Resources {
        memory,
        memory_swap,
        memory_reservation,
        nano_cpus,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpuset,
        block_io_weight,
        pids,
    } = changed_limits(wanted, live);
    let of_memory = means("deploy.resources.limits.memory") || means("memswap_limit");
    Resources {
        memory: memory.filter(|_| of_memory),
        memory_swap: memory_swap.filter(|_| of_memory),
        memory_reservation: memory_reservation.filter(|_| means("deploy.resources.reservations.memory")),
        nano_cpus: nano_cpus.filter(|_| means("deploy.resources.limits.cpus")),
        cpu_shares: cpu_shares.filter(|_| means("cpu_shares")),
        cpu_period: cpu_period.filter(|_| means("cpu_period")),
        cpu_quota: cpu_quota.filter(|_| means("cpu_quota")),
        cpu_rt_period: cpu_rt_period.filter(|_| means("cpu_rt_period")),
        cpu_rt_runtime: cpu_rt_runtime.filter(|_| means("cpu_rt_runtime")),
        cpuset: cpuset.filter(|_| means("cpuset")),
        block_io_weight: block_io_weight.filter(|_| means("blkio_config.weight")),
        pids: pids.filter(|_| means("deploy.resources.limits.pids")),
    }
}

/// The limits that differ, as wanted. Memory and swap are set together: Docker refuses one that doesn't fit the other.
pub(super) fn changed_limits(wanted: &Resources, live: &Resources) -> Resources {
    fn changed<T: Clone + PartialEq>(wanted: Option<&T>, live: Option<&T>) -> Option<T> {
        wanted.filter(|_| wanted != live).cloned()
    }
    let Resources {
        memory,
        memory_swap,
        memory_reservation,
        nano_cpus,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpuset,
        block_io_weight,
        pids,
    } = wanted;
    let swap = memory_swap.or(wanted.default_swap());
    let both =
        memory.is_some() && (*memory != live.memory || swap != live.memory_swap.or(live.default_swap()));
    Resources {
        memory: memory.filter(|_| both),
        memory_swap: swap.filter(|_| both),
        memory_reservation: changed(memory_reservation.as_ref(), live.memory_reservation.as_ref()),
        nano_cpus: changed(nano_cpus.as_ref(), live.nano_cpus.as_ref()),
        cpu_shares: changed(cpu_shares.as_ref(), live.cpu_shares.as_ref()),
        cpu_period: changed(cpu_period.as_ref(), live.cpu_period.as_ref()),
        cpu_quota: changed(cpu_quota.as_ref(), live.cpu_quota.as_ref()),
        cpu_rt_period: changed(cpu_rt_period.as_ref(), live.cpu_rt_period.as_ref()),
        cpu_rt_runtime: changed(cpu_rt_runtime.as_ref(), live.cpu_rt_runtime.as_ref()),
        cpuset: changed(cpuset.as_ref(), live.cpuset.as_ref()),
        block_io_weight: changed(block_io_weight.as_ref(), live.block_io_weight.as_ref()),
        pids: changed(pids.as_ref(), live.pids.as_ref()),
    }
}
