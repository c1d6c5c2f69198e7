//! What is shared with the host or another container, both ways.

use bollard::models::{HostConfig, HostConfigCgroupnsModeEnum as Cgroup};

use super::Unreadable;
use crate::model::name::NetworkId;
use crate::model::spec::{Namespace, Namespaces, Peer};

/// Says `namespaces` in `host`. Without a mode of its own the network is `first`, and without that there is none.
pub(super) fn to_api(
    namespaces: &Namespaces,
    first: Option<&NetworkId>,
    host: &mut HostConfig,
) -> Result<(), Unreadable> {
    let Namespaces { network, ipc, pid, uts, users, cgroup } = namespaces;
    let said = |namespace: &Option<Namespace>| namespace.as_ref().map(word).transpose();
    host.network_mode = match network {
        Some(network) => Some(word(network)?),
        None => Some(first.map_or_else(|| "none".to_owned(), ToString::to_string)),
    };
    host.ipc_mode = said(ipc)?;
    host.pid_mode = said(pid)?;
    host.uts_mode = said(uts)?;
    host.userns_mode = said(users)?;
    host.cgroupns_mode = match cgroup {
        None => None,
        Some(Namespace::Host) => Some(Cgroup::HOST),
        Some(Namespace::Private) => Some(Cgroup::PRIVATE),
        Some(other) => return Err(format!("the control groups can't be `{other}`")),
    };
    Ok(())
}

fn word(namespace: &Namespace) -> Result<String, Unreadable> {
    match namespace {
        Namespace::Of(Peer::Id(id)) => Ok(format!("container:{id}")),
        Namespace::Of(peer @ (Peer::Service(_) | Peer::Container(_))) => Err(format!("`{peer}` has no id")),
        Namespace::None | Namespace::Private | Namespace::Shareable | Namespace::Bridge | Namespace::Host => {
            Ok(namespace.to_string())
        }
    }
}

/// Reads the namespaces of a container.
pub(super) fn from_api(host: &HostConfig) -> Result<Namespaces, Unreadable> {
    let read = |mode: &Option<String>| mode.as_deref().and_then(namespace).transpose();
    Ok(Namespaces {
        network: host.network_mode.as_deref().and_then(network),
        ipc: read(&host.ipc_mode)?,
        pid: read(&host.pid_mode)?,
        uts: read(&host.uts_mode)?,
        users: read(&host.userns_mode)?,
        cgroup: match host.cgroupns_mode {
            Some(Cgroup::HOST) => Some(Namespace::Host),
            Some(Cgroup::PRIVATE) => Some(Namespace::Private),
            Some(Cgroup::EMPTY) | None => None,
        },
    })
}

/// The network's mode. Every other word is the name or id of a network, which is among those that are joined.
fn network(mode: &str) -> Option<Namespace> {
    match mode {
        "none" => Some(Namespace::None),
        "host" => Some(Namespace::Host),
        // Engines before 26.1 call the default network so.
        "bridge" | "default" => Some(Namespace::Bridge),
        mode => mode.strip_prefix("container:").map(|of| Namespace::Of(peer(of))),
    }
}

fn namespace(mode: &str) -> Option<Result<Namespace, Unreadable>> {
    let known = match mode {
        "" => return None,
        "none" => Namespace::None,
        "private" => Namespace::Private,
        "shareable" => Namespace::Shareable,
        "host" => Namespace::Host,
        mode => match mode.strip_prefix("container:") {
            Some(of) => Namespace::Of(peer(of)),
            None => return Some(Err(format!("`{mode}` is no namespace"))),
        },
    };
    Some(Ok(known))
}

/// Engines write the id, whatever they were given; only the network's mode stays as whoever made the container wrote it.
fn peer(of: &str) -> Peer {
    match of.parse() {
        Ok(id) if of.len() == 64 => Peer::Id(id),
        _ => Peer::Container(of.to_owned()),
    }
}
