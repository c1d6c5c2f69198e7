//! Brings specifications into the normal form.
//!
//! [`of_spec`] serves the desired and the live side alike; `defaults` says what image and daemon would fill in for
//! a container that declares nothing, so that the comparison can leave that out.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{DigestKey, FieldValue, Fields};
use crate::model::live::{LiveContainer, LiveImage};
use crate::model::name::NetworkName;
use crate::model::spec::{
    Attachment, ContainerPort, ContainerSpec, HealthTest, Healthcheck, HostPort, Logging, Mount, MountSource,
    PublishedPort, Resources, Ulimit,
};
use crate::model::text::Text;
use crate::model::{label, spec::ContentDigest};

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
pub(super) const DAEMON_FILLED: [&str; 11] = [
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
];

/// Docker's default for `/dev/shm`, in bytes.
const SHM_BYTES: u64 = 64 << 20;

/// The fields of a specification of a manifest. Only what is declared is there; empty lists and switches that are off count as not
/// declared.
#[expect(clippy::too_many_lines, reason = "half of it is the list of all fields, exhaustive on purpose")]
pub fn of_spec(spec: &ContainerSpec, host: Host<'_>) -> Fields {
    // Exhaustive on purpose: a new field must be thought about here.
    let ContainerSpec {
        image,
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
        sysctls,
        ulimits,
        shm_size,
        logging,
        resources,
    } = spec;
    let mut fields = Fields::default();
    fields.set("image", FieldValue::word(image));
    set_resources(&mut fields, resources);
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
    set_networks(&mut fields, networks);
    for (target, mount) in mounts {
        fields.set(format!("volumes.{target}"), mount_value(mount, host.files));
    }
    if let Some(healthcheck) = healthcheck {
        set_healthcheck(&mut fields, healthcheck, host.key);
    }
    fields.set_some("user", word(user.as_deref()));
    fields.set_some("working_dir", word(working_dir.as_deref().map(clean_path).as_deref()));
    fields.set_some("hostname", word(hostname.as_deref()));
    fields.set("restart", FieldValue::word(restart));
    fields.set_some("stop_signal", word(stop_signal.as_deref()));
    fields.set_some("stop_grace_period", stop_grace.map(FieldValue::Time));
    fields.set_some("init", init.map(FieldValue::Switch));
    fields.set_some(
        "extra_hosts",
        words(extra_hosts.iter().map(|(name, address)| format!("{name}={address}"))),
    );
    fields.set_some("dns", words(dns));
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
    of_spec(&spec, host)
}

/// What image and daemon give to `container` where it declares nothing.
pub(super) fn defaults(container: &LiveContainer, image: Option<&LiveImage>, host: Host<'_>) -> Fields {
    let mut spec = ContainerSpec::of_image(container.spec.image.clone());
    spec.hostname = Some(container.id.short().to_owned());
    spec.shm_size = Some(SHM_BYTES);
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
        spec.mounts = image
            .volumes
            .iter()
            .map(|target| (target.clone(), Mount { source: MountSource::Anonymous, read_only: false }))
            .collect();
    }
    let mut fields = of_live(&spec, host);
    for port in image.iter().flat_map(|image| &image.exposed_ports) {
        fields.set(format!("expose.{port}"), FieldValue::Switch(true));
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

fn words<W: ToString>(items: impl IntoIterator<Item = W>) -> Option<FieldValue> {
    let items: Vec<_> = items.into_iter().map(|item| FieldValue::word(&item.to_string())).collect();
    (!items.is_empty()).then_some(FieldValue::List(items))
}

fn texts(items: &[Text], key: &DigestKey) -> Option<FieldValue> {
    (!items.is_empty()).then(|| FieldValue::texts(items, key))
}

/// A path as the daemon keeps it: without a slash at its end, doubled slashes and single dots.
fn clean_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

fn set_ports<'a>(fields: &mut Fields, ports: impl Iterator<Item = &'a PublishedPort>) {
    let mut by_port: BTreeMap<ContainerPort, Vec<FieldValue>> = BTreeMap::new();
    for port in ports {
        // Docker lists "every address" as 0.0.0.0 or as nothing, depending on who asked for it.
        let address =
            port.host_ip.filter(|ip| !ip.is_unspecified()).map(|ip| format!("{ip}:")).unwrap_or_default();
        let host = match port.host {
            HostPort::Any => "any".to_owned(),
            HostPort::One(number) => number.to_string(),
            HostPort::OneOf(first, last) => format!("{first}-{last}"),
        };
        by_port.entry(port.container).or_default().push(FieldValue::Word(format!("{address}{host}")));
    }
    for (port, mut hosts) in by_port {
        hosts.sort_by_key(ToString::to_string);
        hosts.dedup();
        fields.set(format!("ports.{port}"), FieldValue::List(hosts));
    }
}

fn set_networks(fields: &mut Fields, networks: &BTreeMap<NetworkName, Attachment>) {
    for (name, attachment) in networks {
        let Attachment { aliases, ipv4, ipv6 } = attachment;
        fields.set(format!("networks.{name}"), FieldValue::word(&"joined"));
        fields.set_some(format!("networks.{name}.aliases"), words(aliases));
        fields.set_some(format!("networks.{name}.ipv4_address"), ipv4.map(|ip| FieldValue::word(&ip)));
        fields.set_some(format!("networks.{name}.ipv6_address"), ipv6.map(|ip| FieldValue::word(&ip)));
    }
}

fn mount_value(mount: &Mount, files: &str) -> FieldValue {
    let Mount { source, read_only } = mount;
    let content =
        |digest: &ContentDigest| FieldValue::Content { digest: digest.0.clone(), read_only: *read_only };
    let source = match source {
        MountSource::Volume(name) => format!("volume {name}"),
        MountSource::Anonymous => "anonymous volume".to_owned(),
        MountSource::Bind(path) => match laid_down(path, files) {
            Some(digest) => return content(&digest),
            None => format!("bind {}", clean_path(path)),
        },
        MountSource::Repository(digest) => return content(digest),
        MountSource::Tmpfs { size, mode } => {
            let size = size.map(|size| format!(" size {}", FieldValue::Bytes(size))).unwrap_or_default();
            let mode = mode.map(|mode| format!(" mode {mode:o}")).unwrap_or_default();
            format!("tmpfs{size}{mode}")
        }
    };
    FieldValue::Word(if *read_only { format!("{source}, read-only") } else { source })
}

/// The content that is laid down at `path`, if the path lies in the folder for that: `<files>/<digest>/<name>`.
pub(super) fn laid_down(path: &str, files: &str) -> Option<ContentDigest> {
    let below = path.strip_prefix(files)?.strip_prefix('/')?;
    below.split_once('/').map(|(digest, _)| ContentDigest(digest.to_owned()))
}

fn set_healthcheck(fields: &mut Fields, healthcheck: &Healthcheck, key: &DigestKey) {
    let Healthcheck { test, interval, timeout, start_period, retries } = healthcheck;
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
    fields.set_some("healthcheck.retries", retries.map(|retries| FieldValue::word(&retries)));
}

fn set_resources(fields: &mut Fields, resources: &Resources) {
    let Resources { memory, memory_reservation, nano_cpus, pids } = resources;
    fields.set_some("deploy.resources.limits.memory", memory.map(FieldValue::Bytes));
    fields.set_some("deploy.resources.reservations.memory", memory_reservation.map(FieldValue::Bytes));
    fields.set_some("deploy.resources.limits.cpus", nano_cpus.map(|nano| FieldValue::Word(cpus(nano))));
    fields.set_some("deploy.resources.limits.pids", pids.map(|pids| FieldValue::word(&pids)));
}

/// Billionths of a core as a decimal number, exact.
fn cpus(nano: u64) -> String {
    const BILLION: u64 = 1_000_000_000;
    let text = format!("{}.{:09}", nano / BILLION, nano % BILLION);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_exact() {
        assert_eq!(cpus(500_000_000), "0.5");
        assert_eq!(cpus(2_000_000_000), "2");
        assert_eq!(cpus(1), "0.000000001");
    }

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
