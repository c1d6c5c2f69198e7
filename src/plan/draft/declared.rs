//! A container without what image and daemon give it: what somebody must have declared.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::image::ImageRef;
use crate::model::live::{Beyond, Live, LiveContainer, Server, Status};
use crate::model::name::{ContainerId, NetworkName};
use crate::model::spec::{
    Attachment, ContainerSpec, Healthcheck, HostPort, Logging, Namespace, Namespaces, Peer, PublishedPort,
    Resources, Runtime,
};
use crate::model::text::Text;
use crate::plan::fields::{FieldPath, FieldValue, Fields};
use crate::plan::normal::{self, Host};

/// What Docker writes to where nobody has configured another driver.
const LOGGING: &str = "json-file";
/// The runtime of Docker's own.
const RUNTIME: &str = "runc";
/// What differs between a container and one that declares nothing.
struct Said {
    seen: Fields,
    given: Fields,
}

impl Said {
    fn of(container: &LiveContainer, live: &Live, host: Host<'_>) -> Self {
        let image = live.images.get(&container.image);
        let mut given = normal::defaults(container, image, host);
        usual(&mut given, &live.server);
        Self { seen: normal::of_live(&container.spec, host), given }
    }

    fn has(&self, path: &str) -> bool {
        let path = FieldPath::new(path);
        self.seen.get(&path).is_some_and(|seen| self.given.get(&path) != Some(seen))
    }

    fn has_any(&self, group: &str) -> bool {
        self.seen.iter().any(|(path, seen)| path.is_in(group) && self.given.get(path) != Some(seen))
    }
}

/// What the daemon gives. The comparison needs none of it, since it takes nothing of this for anybody's wish.
fn usual(given: &mut Fields, server: &Server) {
    let defaults = &server.defaults;
    let word = |said: Option<&String>, usual: &str| FieldValue::word(&said.map_or(usual, String::as_str));
    given.set("logging.driver", word(defaults.logging.as_ref(), LOGGING));
    given.set("runtime", word(defaults.runtime.as_ref(), RUNTIME));
    given.set("ipc", FieldValue::word(&Namespace::Private));
    given.set_some("cgroup", defaults.cgroup.as_ref().map(FieldValue::word));
    if defaults.counts_swap {
        given.remove(&FieldPath::new("memswap_limit"));
    }
}

/// What a file has to say of `container`, one of `own`, and what it can't.
pub(super) fn spec(
    container: &LiveContainer,
    own: &[&LiveContainer],
    live: &Live,
    host: Host<'_>,
) -> (ContainerSpec, Vec<String>) {
    let said = Said::of(container, live, host);
    let mut notes = Vec::new();
    let seen = &container.spec;
    let namespaces = namespaces(container, own, live, &said, &mut notes);
    let shares_network = matches!(namespaces.network, Some(Namespace::Host | Namespace::Of(_)));
    let shares_name = shares_network || namespaces.uts == Some(Namespace::Host);
    let entrypoint = entrypoint(container, live, &said);
    let spec = ContainerSpec {
        image: image(container, live, &mut notes),
        // Nobody can tell whether it was asked for.
        platform: None,
        // An entrypoint of one's own takes the image's arguments away.
        command: seen
            .command
            .clone()
            .filter(|words| !words.is_empty() && (said.has("command") || entrypoint.is_some())),
        entrypoint,
        environment: kept(&seen.environment, |name| said.has(&format!("environment.{name}"))),
        labels: kept(&super::own_labels(&seen.labels), |name| said.has(&format!("labels.{name}"))),
        ports: seen.ports.clone(),
        expose: seen.expose.iter().filter(|port| said.has(&format!("expose.{port}"))).copied().collect(),
        networks: networks(container, &namespaces, &mut notes),
        mounts: kept(&seen.mounts, |target| said.has_any(&format!("volumes.{target}"))),
        healthcheck: seen.healthcheck.as_ref().and_then(|check| healthcheck(check, &said)),
        user: seen.user.clone().filter(|_| said.has("user")),
        working_dir: seen.working_dir.clone().filter(|_| said.has("working_dir")),
        hostname: seen.hostname.clone().filter(|_| !shares_name && said.has("hostname")),
        domainname: seen.domainname.clone().filter(|_| !shares_name && said.has("domainname")),
        restart: seen.restart,
        stop_signal: seen.stop_signal.clone().filter(|_| said.has("stop_signal")),
        stop_grace: seen.stop_grace.filter(|_| said.has("stop_grace_period")),
        init: seen.init.filter(|_| said.has("init")),
        security_opt: normal::security_said(seen, &BTreeSet::new()),
        shm_size: seen.shm_size.filter(|_| said.has("shm_size")),
        logging: seen.logging.as_ref().and_then(|logging| written_logging(logging, &said)),
        resources: resources(&seen.resources, &said),
        runtime: Runtime {
            name: seen.runtime.name.clone().filter(|_| said.has("runtime")),
            ..seen.runtime.clone()
        },
        namespaces,
        // All of these are nothing where nobody has declared them.
        ..seen.clone()
    };
    (spec, notes)
}

fn kept<V: Clone>(map: &BTreeMap<String, V>, is_said: impl Fn(&str) -> bool) -> BTreeMap<String, V> {
    map.iter().filter(|(name, _)| is_said(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The entrypoint that somebody gave, be it none where the image has one.
fn entrypoint(container: &LiveContainer, live: &Live, said: &Said) -> Option<Vec<Text>> {
    let words = container.spec.entrypoint.clone().unwrap_or_default();
    let of_image = live.images.get(&container.image).is_some_and(|image| !image.entrypoint.is_empty());
    let is_said = if words.is_empty() { of_image } else { said.has("entrypoint") };
    is_said.then_some(words)
}

/// The name of the image, pinned where that name means another one by now.
fn image(container: &LiveContainer, live: &Live, notes: &mut Vec<String>) -> ImageRef {
    let named = &container.spec.image;
    let means = live.references.get(named);
    if named.digest().is_some() || means.is_none_or(|id| *id == container.image) {
        return named.clone();
    }
    let known = live.images.get(&container.image).into_iter().flat_map(|image| &image.repo_digests);
    let digest = { known }.find(|known| known.repository() == named.repository()).and_then(ImageRef::digest);
    let name = &container.name;
    let Some(digest) = digest else {
        notes.push(format!(
            "{name} runs an older image than `{named}` means by now, and no registry has it: an `apply` takes the \
             newer one"
        ));
        return named.clone();
    };
    notes.push(format!("{name} runs an older image than `{named}` means by now: it is pinned to that"));
    named.pinned(digest)
}

fn healthcheck(check: &Healthcheck, said: &Said) -> Option<Healthcheck> {
    let Healthcheck { test, interval, timeout, start_period, start_interval, retries } = check;
    let has = |key: &str| said.has(&format!("healthcheck.{key}"));
    let own = Healthcheck {
        test: test.clone().filter(|_| has("test")),
        interval: interval.filter(|_| has("interval")),
        timeout: timeout.filter(|_| has("timeout")),
        start_period: start_period.filter(|_| has("start_period")),
        start_interval: start_interval.filter(|_| has("start_interval")),
        retries: retries.filter(|_| has("retries")),
    };
    (own != Healthcheck::default()).then_some(own)
}

fn written_logging(logging: &Logging, said: &Said) -> Option<Logging> {
    said.has_any("logging").then(|| logging.clone())
}

fn resources(seen: &Resources, said: &Said) -> Resources {
    Resources { memory_swap: seen.memory_swap.filter(|_| said.has("memswap_limit")), ..seen.clone() }
}

/// The namespaces that are shared, by names instead of ids.
fn namespaces(
    container: &LiveContainer,
    own: &[&LiveContainer],
    live: &Live,
    said: &Said,
    notes: &mut Vec<String>,
) -> Namespaces {
    let mut namespaces = container.spec.namespaces.clone();
    for (key, namespace) in namespaces.by_key_mut() {
        let is_peer = matches!(namespace, Some(Namespace::Of(_)));
        if !is_peer && !said.has(key) {
            *namespace = None;
        }
        if let Some(Namespace::Of(Peer::Id(id))) = namespace {
            let peer = named(id, own, live);
            if peer.is_none() {
                let name = &container.name;
                notes.push(format!("{name} shares its `{key}` with a container that is gone: not written"));
            }
            *namespace = peer.map(Namespace::Of);
        }
    }
    namespaces
}

fn named(id: &ContainerId, own: &[&LiveContainer], live: &Live) -> Option<Peer> {
    let service = own.iter().find(|own| own.id == *id).map(|own| Peer::Service(own.instance.service.clone()));
    service.or_else(|| live.others.get(id).map(|other| Peer::Container(other.name.to_string())))
}

fn networks(
    container: &LiveContainer,
    namespaces: &Namespaces,
    notes: &mut Vec<String>,
) -> BTreeMap<NetworkName, Attachment> {
    let seen = &container.spec;
    if let Some(mode) = &namespaces.network {
        notes.extend(seen.networks.keys().map(|network| {
            let name = &container.name;
            format!("{name} is on the network `{network}` too: a service can't say that beside `network_mode: {mode}`")
        }));
        return BTreeMap::new();
    }
    let (service, name) = (&container.instance.service, &container.name);
    let is_known =
        |found: &Attachment| service.as_str() == name.as_str() || found.aliases.contains(service.as_str());
    let unknown = seen.networks.iter().filter(|(_, found)| !is_known(found));
    notes.extend(unknown.map(|(network, _)| {
        format!("nobody on `{network}` finds {name} as `{service}`: the first `apply` lets it join that anew")
    }));
    // Nothing says which is the first, unless it isn't the one that the engine would take by itself.
    let usual = seen.networks.keys().next();
    let own = [container.instance.service.as_str(), container.name.as_str()];
    let attachment = |(name, found): (&NetworkName, &Attachment)| {
        let is_usual =
            |alias: &&String| own.contains(&alias.as_str()) || Some(*alias) == seen.hostname.as_ref();
        let attachment = Attachment {
            first: found.first && usual != Some(name),
            aliases: found.aliases.iter().filter(|alias| !is_usual(alias)).cloned().collect(),
            // Nobody can tell whether it was asked for.
            mac: None,
            ..found.clone()
        };
        (name.clone(), attachment)
    };
    seen.networks.iter().map(attachment).collect()
}

/// What people should know of a container before they rely on what is written.
pub(super) fn notes(container: &LiveContainer, live: &Live) -> Vec<String> {
    let name = &container.name;
    let mut notes = Vec::new();
    if !live.images.contains_key(&container.image) {
        notes.push(format!(
            "the image that {name} was made from is gone: what it gave can't be told from what was declared"
        ));
    }
    match container.state.status {
        Status::Running => {}
        status @ (Status::Created
        | Status::Paused
        | Status::Restarting
        | Status::Exited { .. }
        | Status::Dead) => notes.push(format!("{name} does not run: {status}")),
    }
    notes.extend(container.beyond.iter().map(|beyond| match beyond {
        Beyond::RemovedOnStop => format!(
            "{name} was made with `--rm`: Docker removes it as soon as it stops, so it can't be adopted. Stop it, and let \
             `apply` make another one"
        ),
        Beyond::AllPorts => format!("{name} was made with `--publish-all`: say under `ports` what is to be published"),
        Beyond::Links => format!("{name} was made with `--link`, which only the default network has: let both join one"),
    }));
    for (network, attachment) in &container.spec.networks {
        if let Some(mac) = attachment.mac.filter(|mac| !is_made(&mac.to_string(), live)) {
            notes.push(format!(
                "{name} has the hardware address {mac} on `{network}`; nobody can tell whether that was asked for: if \
                 it was, add `mac_address`"
            ));
        }
    }
    if container.spec.ports.iter().any(|port: &PublishedPort| port.host == HostPort::Any) {
        notes.push(format!(
            "{name} publishes a port on any that is free: it is another one after a replacement"
        ));
    }
    notes
}

/// Whether Docker makes such hardware addresses by itself: newer engines make them at random.
fn is_made(mac: &str, live: &Live) -> bool {
    let minor = live.server.api_version.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 48) || mac.starts_with("02:42:")
}
