//! What a container, a network and a volume are made of.
//!
//! [`ContainerSpec`] serves both sides: the manifest resolves to one, and the engine reads one back from
//! `docker inspect`. An absent value means "not declared" on the desired side; on the live side nothing is absent
//! that Docker filled in, and `plan::normal` subtracts what came from the image or the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::image::ImageRef;
use super::name::NetworkName;
use super::platform::Platform;
use super::text::Text;

mod devices;
mod limits;
mod mounts;
mod namespaces;
mod networks;
mod runtime;
mod subnet;

pub use devices::{Device, DeviceRequest, Devices};
pub use limits::{BlockIo, Resources, Swap};
pub use mounts::{
    ContentDigest, Mount, MountOptions, MountSource, Propagation, Recursive, Relabel, VolumeSpec,
};
pub use namespaces::{Namespace, Namespaces, Peer};
pub use networks::{AddressPool, Attachment, INTERFACE_NAME, MacAddress, MacError, NetworkSpec};
pub use runtime::Runtime;
pub use subnet::{Subnet, SubnetError};

/// Everything that decides what the engine creates and runs. Policy around it (gates, order, replicas) is in
/// [`super::desired::Service`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image to run.
    pub image: ImageRef,
    /// What the image is to be built for; absent means whatever of it the host has or prefers.
    pub platform: Option<Platform>,
    /// Arguments; absent means the image's own.
    pub command: Option<Vec<Text>>,
    /// Executable and first arguments; absent means the image's own, empty means none.
    pub entrypoint: Option<Vec<Text>>,
    /// Environment variables.
    pub environment: BTreeMap<String, Text>,
    /// Labels that the manifest declares. Evenkeel's own and Compose's are added when the container is created.
    pub labels: BTreeMap<String, String>,
    /// Ports published on the host.
    pub ports: BTreeSet<PublishedPort>,
    /// Ports that are opened to other containers only; documentation for Docker.
    pub expose: BTreeSet<ContainerPort>,
    /// Networks to join, by Docker's name of the network.
    pub networks: BTreeMap<NetworkName, Attachment>,
    /// Mounts by their target, an absolute path in the container.
    pub mounts: BTreeMap<String, Mount>,
    /// How Docker probes the container; absent means the image's own way.
    pub healthcheck: Option<Healthcheck>,
    /// User and group of the process.
    pub user: Option<String>,
    /// Working directory, an absolute path.
    pub working_dir: Option<String>,
    /// Host name; absent means the short container id.
    pub hostname: Option<String>,
    /// The domain that the host name is in.
    pub domainname: Option<String>,
    /// When Docker restarts the container by itself.
    pub restart: RestartPolicy,
    /// The signal that asks the process to end; absent means the image's own or `SIGTERM`.
    pub stop_signal: Option<String>,
    /// How long the process has between that signal and `SIGKILL`; absent means Docker's 10 s.
    pub stop_grace: Option<Duration>,
    /// Whether an init process reaps zombies; absent means the daemon's default.
    pub init: Option<bool>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Whether the process gets a terminal.
    pub tty: bool,
    /// Whether standard input stays open.
    pub stdin_open: bool,
    /// Whether the container has all privileges of the host.
    pub privileged: bool,
    /// Capabilities added, upper case, without `CAP_`.
    pub cap_add: BTreeSet<String>,
    /// Capabilities dropped, upper case, without `CAP_`.
    pub cap_drop: BTreeSet<String>,
    /// Options for the security modules of the host.
    pub security_opt: BTreeSet<String>,
    /// Further lines of `/etc/hosts`: name and address.
    pub extra_hosts: BTreeSet<(String, String)>,
    /// Name servers, in order.
    pub dns: Vec<String>,
    /// Domains in which short names are looked up, in order.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_options: BTreeSet<String>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of the processes by their name (`nofile`).
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Size of `/dev/shm` in bytes; absent means the daemon's default.
    pub shm_size: Option<u64>,
    /// Where the output of the process goes; absent means the daemon's default.
    pub logging: Option<Logging>,
    /// Limits that can be changed while the container runs.
    pub resources: Resources,
    /// Limits for single block devices.
    pub block_io: BlockIo,
    /// What is shared with the host or with other containers.
    pub namespaces: Namespaces,
    /// Devices of the host.
    pub devices: Devices,
    /// How it is run.
    pub runtime: Runtime,
}

impl ContainerSpec {
    /// The network that Docker keeps as a part of the container: the one that says so, else the first by name.
    pub fn first_network(&self) -> Option<(&NetworkName, &Attachment)> {
        self.networks.iter().find(|(_, joined)| joined.first).or_else(|| self.networks.iter().next())
    }

    /// Every image that the host must have for it: its own, and those that it mounts.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        std::iter::once(&self.image).chain(self.mounted_images().map(|(_, image)| image))
    }

    /// The images that it mounts, with their targets.
    pub fn mounted_images(&self) -> impl Iterator<Item = (&String, &ImageRef)> {
        self.mounts.iter().filter_map(|(target, mount)| match &mount.source {
            MountSource::Image(image) => Some((target, image)),
            _ => None,
        })
    }

    /// A container of `image` that declares nothing else.
    pub fn of_image(image: ImageRef) -> Self {
        Self {
            image,
            platform: None,
            command: None,
            entrypoint: None,
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            ports: BTreeSet::new(),
            expose: BTreeSet::new(),
            networks: BTreeMap::new(),
            mounts: BTreeMap::new(),
            healthcheck: None,
            user: None,
            working_dir: None,
            hostname: None,
            domainname: None,
            restart: RestartPolicy::No,
            stop_signal: None,
            stop_grace: None,
            init: None,
            read_only: false,
            tty: false,
            stdin_open: false,
            privileged: false,
            cap_add: BTreeSet::new(),
            cap_drop: BTreeSet::new(),
            security_opt: BTreeSet::new(),
            extra_hosts: BTreeSet::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: BTreeSet::new(),
            sysctls: BTreeMap::new(),
            ulimits: BTreeMap::new(),
            shm_size: None,
            logging: None,
            resources: Resources::default(),
            block_io: BlockIo::default(),
            namespaces: Namespaces::default(),
            devices: Devices::default(),
            runtime: Runtime::default(),
        }
    }
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A port inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerPort {
    /// Its number, from 1.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// A port of a container that the host publishes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// The port inside the container.
    pub container: ContainerPort,
    /// The address of the host; absent means every address.
    pub host_ip: Option<IpAddr>,
    /// The port of the host.
    pub host: HostPort,
}

/// Which port of the host is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPort {
    /// Any free one, chosen by Docker at each start.
    Any,
    /// This one.
    One(u16),
    /// A free one of this range, both ends included, chosen by Docker at each start.
    OneOf(u16, u16),
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            None => {}
        }
        match self.host {
            HostPort::Any => write!(f, "(any):{}", self.container),
            HostPort::One(port) => write!(f, "{port}:{}", self.container),
            HostPort::OneOf(first, last) => write!(f, "{first}-{last}:{}", self.container),
        }
    }
}

/// A health check as Docker runs it. An absent value means the image's own or Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// The command; absent means the image's own.
    pub test: Option<HealthTest>,
    /// Time between two probes. Docker's default: 30 s.
    pub interval: Option<Duration>,
    /// Longest time of one probe. Docker's default: 30 s.
    pub timeout: Option<Duration>,
    /// Time from the start in which a failed probe doesn't count. Docker's default: none.
    pub start_period: Option<Duration>,
    /// Time between two probes in that time. Docker's default: 5 s.
    pub start_interval: Option<Duration>,
    /// So many failed probes in a row make the container unhealthy. Docker's default: 3.
    pub retries: Option<u32>,
}

/// The command of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthTest {
    /// No probe at all, not even the image's own.
    Disabled,
    /// An executable and its arguments.
    Exec(Vec<Text>),
    /// A line for the container's shell.
    Shell(Text),
}

/// When Docker restarts a container by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RestartPolicy {
    /// Never.
    No,
    /// Whenever it ended, and when the daemon starts.
    Always,
    /// As `Always`, except after it was stopped by hand.
    UnlessStopped,
    /// When it failed, at most so many times in a row if a number is given.
    OnFailure(Option<u32>),
}

impl RestartPolicy {
    /// The policy that is shown as this word.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "no" => Some(Self::No),
            "always" => Some(Self::Always),
            "unless-stopped" => Some(Self::UnlessStopped),
            "on-failure" => Some(Self::OnFailure(None)),
            _ => word.strip_prefix("on-failure:")?.parse().ok().map(|most| Self::OnFailure(Some(most))),
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(most)) => write!(f, "on-failure:{most}"),
        }
    }
}

/// A limit of the processes of a container; -1 means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// The limit that is enforced.
    pub soft: i64,
    /// How far the process may raise it.
    pub hard: i64,
}

/// Where the output of a container goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// The logging driver.
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_policy_is_known_by_its_word() {
        let counted = RestartPolicy::OnFailure(Some(3));
        let plain = [RestartPolicy::No, RestartPolicy::Always, RestartPolicy::UnlessStopped];
        for policy in plain.into_iter().chain([RestartPolicy::OnFailure(None), counted]) {
            assert_eq!(RestartPolicy::of_word(&policy.to_string()), Some(policy));
        }
        for word in ["", "never", "on-failure:", "on-failure:x"] {
            assert_eq!(RestartPolicy::of_word(word), None, "{word}");
        }
    }
}
