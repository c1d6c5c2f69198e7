//! What a container, a network and a volume are made of.
//!
//! [`ContainerSpec`] serves both sides: the manifest resolves to one, and the engine reads one back from
//! `docker inspect`. An absent value means "not declared" on the desired side; on the live side nothing is absent
//! that Docker filled in, and `plan::normal` subtracts what came from the image or the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::image::ImageRef;
use super::name::{NetworkName, VolumeName};
use super::text::Text;

/// Everything that decides what the engine creates and runs. Policy around it (gates, order, replicas) is in
/// [`super::desired::Service`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image to run.
    pub image: ImageRef,
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
}

impl ContainerSpec {
    /// A container of `image` that declares nothing else.
    pub fn of_image(image: ImageRef) -> Self {
        Self {
            image,
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
            sysctls: BTreeMap::new(),
            ulimits: BTreeMap::new(),
            shm_size: None,
            logging: None,
            resources: Resources::default(),
        }
    }
}

/// Limits that `POST /containers/{id}/update` changes in place. An absent limit means none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Most memory, in bytes.
    pub memory: Option<u64>,
    /// Memory that is kept available under pressure, in bytes.
    pub memory_reservation: Option<u64>,
    /// CPU time in billionths of a core.
    pub nano_cpus: Option<u64>,
    /// Most processes and threads.
    pub pids: Option<u64>,
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

/// How a container joins a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Further names under which others on the network find the container. The engine adds the service's and the
    /// container's own.
    pub aliases: BTreeSet<String>,
    /// A fixed IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

/// What is mounted at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where its content comes from.
    pub source: MountSource,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// Where the content of a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A named volume.
    Volume(VolumeName),
    /// A volume without a name, made for this container. The engine names it.
    Anonymous,
    /// A path of the host.
    Bind(String),
    /// A file or folder of the configuration repository, by the digest of its content.
    Repository(ContentDigest),
    /// Memory, with its greatest size in bytes and its mode.
    Tmpfs {
        /// Most bytes; absent means no limit.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
    },
}

/// SHA-256 over the content of a file or folder of the repository, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentDigest(pub String);

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A health check as Docker runs it. An absent value means the image's own or Docker's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// The command; absent means the image's own.
    pub test: Option<HealthTest>,
    /// Time between two probes. Docker's default: 30 s.
    pub interval: Option<Duration>,
    /// Longest time of one probe. Docker's default: 30 s.
    pub timeout: Option<Duration>,
    /// Time from the start in which a failed probe doesn't count. Docker's default: none.
    pub start_period: Option<Duration>,
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

/// A network of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Docker's name of it.
    pub name: NetworkName,
    /// Whether it exists outside of the stack and is only used.
    pub external: bool,
    /// The driver; absent means the daemon's default, `bridge`.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Address ranges; empty means that the daemon chooses.
    pub pools: Vec<AddressPool>,
    /// Whether the network has no way out.
    pub internal: bool,
    /// Whether single containers may join it, for drivers that forbid it otherwise.
    pub attachable: bool,
    /// Whether it has IPv6.
    pub ipv6: bool,
    /// Labels that the manifest declares.
    pub labels: BTreeMap<String, String>,
}

/// An address range of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    /// The subnet, in CIDR form.
    pub subnet: String,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// The part of the subnet from which containers get addresses.
    pub ip_range: Option<String>,
}

/// A volume of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Docker's name of it.
    pub name: VolumeName,
    /// Whether it exists outside of the stack and is only used.
    pub external: bool,
    /// The driver; absent means `local`.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels that the manifest declares.
    pub labels: BTreeMap<String, String>,
}
