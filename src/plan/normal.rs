//! Brings specifications into the normal form.
//!
//! [`of_spec`] serves the desired and the live side alike; `defaults` says what image and daemon would fill in for
//! a container that declares nothing, so that the comparison can leave that out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attached;
use super::fields::{DigestKey, FieldValue, Fields};
use super::grants::{self, Place};
use crate::model::grant::FileAccess;
use crate::model::live::{LiveContainer, LiveImage};
use crate::model::spec::{
    Attachment, ContainerPort, ContainerSpec, HealthTest, Healthcheck, HostPort, Logging, Mount, MountSource,
    Namespace, PublishedPort, Swap, Ulimit,
};
use crate::model::text::Text;
use crate::model::{label, spec::ContentDigest};

mod added;
pub(super) mod machine;

pub(super) use added::{is_proxy_variable, security_said};

/// What the projection needs to know of this host.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// The key for digests of sensitive values.
    pub key: &'a DigestKey,
    /// The folder below which files of the repository are laid down, as an absolute path.
    pub files: &'a str,
}

/// Fields that the daemon may fill in for itself. What nobody declared there and nobody had declared before is no
/// difference.
pub(super) const DAEMON_FILLED: [&str; 15] = [
    "logging",
    "hostname",
    "init",
    "shm_size",
    "ulimits",
    "security_opt",
    "stop_signal",
    "stop_grace_period",
    "working_dir",
    "dns",
    "healthcheck",
    "ipc",
    "cgroup",
    "runtime",
    "oom_score_adj",
];

/// Docker's default for `/dev/shm`, in bytes.
const SHM_BYTES: u64 = 64 << 20;

/// The fields of a specification of a manifest. Only what is declared is there; empty lists and switches that are off count as not
/// declared.
pub fn of_spec(spec: &ContainerSpec, host: Host<'_>) -> Fields {
    let mut fields = project(spec, host);
    if spec.networks.is_empty() && spec.namespaces.network.is_none() {
        // That is what the engine makes of it. A live container that somebody detached from its networks is another
        // matter, so this holds for what is declared alone.
        fields.set("network_mode", FieldValue::word(&Namespace::None));
    }
    fields
}

#[expect(clippy::too_many_lines, reason = "half of it is the list of all fields, exhaustive on purpose")]
fn project(spec: &ContainerSpec, host: Host<'_>) -> Fields {
    // Exhaustive on purpose: a new field must be thought about here.
    let ContainerSpec {
        image,
        platform,
        command,
        entrypoint,
        environment,
        labels,
        ports,
        expose,
        networks,
        mounts,
        healthcheck,
        user,
        working_dir,
        hostname,
        domainname,
        restart,
        stop_signal,
        stop_grace,
        init,
        read_only,
        tty,
        stdin_open,
        privileged,
        cap_add,
        cap_drop,
        security_opt,
        extra_hosts,
        dns,
        dns_search,
        dns_options,
        sysctls,
        ulimits,
        shm_size,
        logging,
        resources,
        block_io,
        namespaces,
        devices,
        runtime,
    } = spec;
    let mut fields = Fields::default();
    fields.set("image", FieldValue::word(image));
    fields.set_some("platform", platform.as_ref().map(FieldValue::word));
    machine::set_resources(&mut fields, resources);
    machine::set_block_io(&mut fields, block_io);
    machine::set_namespaces(&mut fields, namespaces);
    machine::set_devices(&mut fields, devices);
    machine::set_runtime(&mut fields, runtime);
    set_switches(
        &mut fields,
        [("read_only", *read_only), ("tty", *tty), ("stdin_open", *stdin_open), ("privileged", *privileged)],
    );
    set_security(&mut fields, [("cap_add", cap_add), ("cap_drop", cap_drop), ("security_opt", security_opt)]);
    set_kernel(&mut fields, sysctls, ulimits);
    set_logging(&mut fields, logging.as_ref());
    fields.set_some("command", command.as_deref().and_then(|words| texts(words, host.key)));
    fields.set_some("entrypoint", entrypoint.as_deref().and_then(|words| texts(words, host.key)));
    for (name, value) in environment {
        fields.set(format!("environment.{name}"), FieldValue::text(value, host.key));
    }
    for (name, value) in labels.iter().filter(|(name, _)| !label::is_reserved(name)) {
        fields.set(format!("labels.{name}"), FieldValue::Quoted(value.clone()));
    }
    set_ports(&mut fields, ports.iter());
    for port in expose {
        fields.set(format!("expose.{port}"), FieldValue::Switch(true));
    }
    attached::set_networks(&mut fields, networks, hostname.as_deref());
    for (target, mount) in mounts {
        set_mount(&mut fields, target, mount, host);
    }
    if let Some(healthcheck) = healthcheck {
        set_healthcheck(&mut fields, healthcheck, host.key);
    }
    fields.set_some("user", word(user.as_deref()));
    fields.set_some("working_dir", word(working_dir.as_deref().map(clean_path).as_deref()));
    fields.set_some("hostname", word(hostname.as_deref()));
    fields.set_some("domainname", word(domainname.as_deref()));
    fields.set("restart", FieldValue::word(restart));
    fields.set_some("stop_signal", word(stop_signal.as_deref()));
    fields.set_some("stop_grace_period", stop_grace.map(FieldValue::Time));
    fields.set_some("init", init.map(FieldValue::Switch));
    fields.set_some(
        "extra_hosts",
        words(extra_hosts.iter().map(|(name, address)| format!("{name}={address}"))),
    );
    fields.set_some("dns", words(dns));
    fields.set_some("dns_search", words(dns_search));
    fields.set_some("dns_opt", words(dns_options));
    fields.set_some("shm_size", shm_size.map(FieldValue::Bytes));
    fields
}

/// The fields of what is live. The engine can't know which of its texts are sensitive, so all of them are taken as
/// plain here; the comparison hides those that are sensitive on the other side.
pub(super) fn of_live(spec: &ContainerSpec, host: Host<'_>) -> Fields {
    let plain = |text: &Text| Text::plain(text.expose());
    let plain_all = |texts: &Vec<Text>| texts.iter().map(plain).collect::<Vec<_>>();
    let healthcheck = spec.healthcheck.clone().map(|healthcheck| Healthcheck {
        test: healthcheck.test.map(|test| match test {
            HealthTest::Disabled => HealthTest::Disabled,
            HealthTest::Exec(words) => HealthTest::Exec(plain_all(&words)),
            HealthTest::Shell(line) => HealthTest::Shell(plain(&line)),
        }),
        ..healthcheck
    });
    let spec = ContainerSpec {
        command: spec.command.as_ref().map(plain_all),
        entrypoint: spec.entrypoint.as_ref().map(plain_all),
        environment: spec.environment.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        healthcheck,
        ..spec.clone()
    };
    project(&spec, host)
}

/// What image and daemon give to `container` where it declares nothing.
pub(super) fn defaults(container: &LiveContainer, image: Option<&LiveImage>, host: Host<'_>) -> Fields {
    let mut spec = ContainerSpec::of_image(container.spec.image.clone());
    // Some platform every container has.
    spec.platform.clone_from(&container.spec.platform);
    spec.hostname = Some(container.id.short().to_owned());
    spec.shm_size = Some(SHM_BYTES);
    // Where the kernel can't count swap, Docker makes every limit of it none.
    spec.resources.memory_swap = container.spec.resources.memory_swap.filter(|swap| *swap == Swap::Unlimited);
    // A published port is always exposed as well.
    spec.expose = container.spec.ports.iter().map(|port| port.container).collect();
    if let Some(image) = image {
        let plain = |words: &[String]| {
            Some(words.iter().map(|word| Text::plain(word.clone())).collect::<Vec<_>>())
                .filter(|words| !words.is_empty())
        };
        spec.command = plain(&image.command);
        spec.entrypoint = plain(&image.entrypoint);
        spec.environment = image
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), Text::plain(value.clone())))
            .collect();
        spec.labels.clone_from(&image.labels);
        spec.healthcheck.clone_from(&image.healthcheck);
        spec.user = Some(image.user.clone()).filter(|user| !user.is_empty());
        spec.working_dir = Some(image.working_dir.clone()).filter(|folder| !folder.is_empty());
        spec.stop_signal.clone_from(&image.stop_signal);
        spec.mounts =
            image.volumes.iter().map(|target| (target.clone(), Mount::of(MountSource::Anonymous))).collect();
    }
    let mut fields = of_live(&spec, host);
    for port in image.iter().flat_map(|image| &image.exposed_ports) {
        fields.set(format!("expose.{port}"), FieldValue::Switch(true));
    }
    // One network is always the first, and each endpoint has some hardware address.
    for (name, attachment) in &container.spec.networks {
        let Attachment { first, mac, .. } = attachment;
        let given = Attachment { first: *first, mac: *mac, ..Attachment::default() };
        attached::set_attachment(&mut fields, name, &given);
    }
    fields
}

fn set_switches<const N: usize>(fields: &mut Fields, switches: [(&str, bool); N]) {
    for (name, on) in switches {
        fields.set_some(name, on.then_some(FieldValue::Switch(true)));
    }
}

fn set_security<const N: usize>(fields: &mut Fields, options: [(&str, &BTreeSet<String>); N]) {
    for (name, set) in options {
        fields.set_some(name, words(set));
    }
}

fn set_kernel(fields: &mut Fields, sysctls: &BTreeMap<String, String>, ulimits: &BTreeMap<String, Ulimit>) {
    for (name, value) in sysctls {
        fields.set(format!("sysctls.{name}"), FieldValue::word(value));
    }
    for (name, Ulimit { soft, hard }) in ulimits {
        fields.set(format!("ulimits.{name}"), FieldValue::Word(format!("{soft}:{hard}")));
    }
}

fn set_logging(fields: &mut Fields, logging: Option<&Logging>) {
    if let Some(Logging { driver, options }) = logging {
        fields.set("logging.driver", FieldValue::word(driver));
        for (name, value) in options {
            fields.set(format!("logging.options.{name}"), FieldValue::Quoted(value.clone()));
        }
    }
}

fn word(text: Option<&str>) -> Option<FieldValue> {
    text.map(|text| FieldValue::word(&text))
}

pub(super) fn words<W: ToString>(items: impl IntoIterator<Item = W>) -> Option<FieldValue> {
    let items: Vec<_> = items.into_iter().map(|item| FieldValue::word(&item.to_string())).collect();
    (!items.is_empty()).then_some(FieldValue::List(items))
}

fn texts(items: &[Text], key: &DigestKey) -> Option<FieldValue> {
    (!items.is_empty()).then(|| FieldValue::texts(items, key))
}

/// A path as the daemon keeps it: without a slash at its end, doubled slashes and single dots.
pub(super) fn clean_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

fn set_ports<'a>(fields: &mut Fields, ports: impl Iterator<Item = &'a PublishedPort>) {
    let mut by_port: BTreeMap<ContainerPort, BTreeSet<(HostPort, Option<IpAddr>)>> = BTreeMap::new();
    for PublishedPort { container, host_ip, host } in ports {
        by_port.entry(*container).or_default().insert((*host, *host_ip));
    }
    for (port, hosts) in by_port {
        let mut hosts: Vec<_> = on_every_address(&hosts).into_iter().map(binding).collect();
        hosts.sort_by_key(ToString::to_string);
        fields.set(format!("ports.{port}"), FieldValue::List(hosts));
    }
}

/// Every address of either family is the same as no address, which older tools write so.
fn on_every_address(hosts: &BTreeSet<(HostPort, Option<IpAddr>)>) -> BTreeSet<(HostPort, Option<IpAddr>)> {
    let four = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let six = Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let has = |host, address| hosts.contains(&(host, address));
    let every = |host| has(host, None) || (has(host, four) && has(host, six));
    hosts
        .iter()
        .map(|(host, address)| {
            let is_part = *address == four || *address == six;
            (*host, address.filter(|_| !(is_part && every(*host))))
        })
        .collect()
}

fn binding((host, address): (HostPort, Option<IpAddr>)) -> FieldValue {
    let address = match address {
        Some(IpAddr::V6(ip)) => format!("[{ip}]:"),
        Some(IpAddr::V4(ip)) => format!("{ip}:"),
        None => String::new(),
    };
    FieldValue::Word(match host {
        HostPort::Any => format!("{address}any"),
        HostPort::One(number) => format!("{address}{number}"),
        HostPort::OneOf(first, last) => format!("{address}{first}-{last}"),
    })
}

fn set_mount(fields: &mut Fields, target: &str, mount: &Mount, host: Host<'_>) {
    let place = match &mount.source {
        MountSource::Grant(grant) => Some(Place::of(grant, host.key)),
        MountSource::Bind(path) if mount.read_only => granted(path, host.files),
        MountSource::Bind(_)
        | MountSource::Volume(_)
        | MountSource::Anonymous
        | MountSource::Repository(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    };
    match place {
        Some(place) => set_grant(fields, target, place),
        None => fields.set_some(format!("volumes.{target}"), attached::mount_value(mount, host.files)),
    }
}

fn set_grant(fields: &mut Fields, target: &str, place: Place) {
    let Place { kind, sensitive, digest, access: FileAccess { mode, uid, gid } } = place;
    let path = format!("{}.{target}", kind.section());
    let usual = FileAccess::default().mode;
    fields.set_some(format!("{path}.mode"), (mode != usual).then(|| FieldValue::Word(format!("{mode:04o}"))));
    fields.set_some(format!("{path}.uid"), uid.map(|uid| FieldValue::word(&uid)));
    fields.set_some(format!("{path}.gid"), gid.map(|gid| FieldValue::word(&gid)));
    let value = if sensitive {
        FieldValue::Sensitive(digest)
    } else {
        FieldValue::Content { digest, read_only: true }
    };
    fields.set(path, value);
}

/// The place of the config or secret that is laid down at `path`, if it is one.
fn granted(path: &str, files: &str) -> Option<Place> {
    Place::parse(path.strip_prefix(files)?.strip_prefix('/')?)
}

/// The content that is laid down at `path`, if the path lies in the folder for that: `<files>/<digest>/<name>`.
pub(super) fn laid_down(path: &str, files: &str) -> Option<ContentDigest> {
    let below = path.strip_prefix(files)?.strip_prefix('/')?;
    let (digest, _) = below.split_once('/')?;
    grants::is_digest(digest).then(|| ContentDigest(digest.to_owned()))
}

fn set_healthcheck(fields: &mut Fields, healthcheck: &Healthcheck, key: &DigestKey) {
    let Healthcheck { test, interval, timeout, start_period, start_interval, retries } = healthcheck;
    let test = test.as_ref().map(|test| match test {
        HealthTest::Disabled => FieldValue::word(&"disabled"),
        HealthTest::Exec(words) => {
            let words: Vec<Text> = std::iter::once(Text::plain("CMD")).chain(words.iter().cloned()).collect();
            FieldValue::texts(&words, key)
        }
        HealthTest::Shell(line) => FieldValue::texts(&[Text::plain("CMD-SHELL"), line.clone()], key),
    });
    fields.set_some("healthcheck.test", test);
    fields.set_some("healthcheck.interval", interval.map(FieldValue::Time));
    fields.set_some("healthcheck.timeout", timeout.map(FieldValue::Time));
    fields.set_some("healthcheck.start_period", start_period.map(FieldValue::Time));
    fields.set_some("healthcheck.start_interval", start_interval.map(FieldValue::Time));
    fields.set_some("healthcheck.retries", retries.map(|retries| FieldValue::word(&retries)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_the_files_folder_is_repository_content() {
        let files = "/var/lib/evenkeel/files";
        let digest = laid_down("/var/lib/evenkeel/files/abc/prometheus.yml", files);
        assert_eq!(digest, Some(ContentDigest("abc".to_owned())));
        assert_eq!(laid_down("/var/lib/evenkeel/filesystem/abc/x", files), None);
    }

    #[test]
    fn a_path_is_kept_as_the_daemon_keeps_it() {
        assert_eq!(clean_path("/app/"), "/app");
        assert_eq!(clean_path("//app/./x"), "/app/x");
        assert_eq!(clean_path("/"), "/");
    }
}
