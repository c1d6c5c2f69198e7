//! What people see of a plan: one change for each object, with its reasons.

use std::fmt;

use super::fields::{FieldPath, FieldValue};
use crate::model::live::Status;
use crate::model::name::{NetworkName, ServiceName, TierName};
use crate::model::spec::PublishedPort;
use crate::model::update::UpdateOrder;

/// One object that the plan changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The tier of a service; absent for networks, volumes and what no longer is in any manifest.
    pub tier: Option<TierName>,
    /// What kind of object it is.
    pub kind: Kind,
    /// Its name for people: the service, with its number where there are several; the key of a network or volume.
    pub name: String,
    /// The service, where it is a container.
    pub service: Option<ServiceName>,
    /// What the service was called until now, where it gets a new name.
    pub was: Option<ServiceName>,
    /// What happens to it.
    pub operation: Operation,
    /// Why.
    pub reason: Reason,
    /// Why it is replaced stop-first, where it is.
    pub not_start_first: Vec<Hindrance>,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
}

impl Change {
    /// Why it is changed: the fields with their causes, without any value.
    pub fn why(&self) -> String {
        let fields = self.fields.iter().map(|field| format!("{} ({})", field.path.as_str(), field.cause));
        let reason = (self.reason != Reason::Differs).then(|| self.reason.to_string());
        reason.into_iter().chain(fields).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Change {
    /// What it is about and why, without any value, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.kind, self.name)?;
        let fields = self.fields.iter().map(|field| field.path.as_str());
        let reason = (self.reason != Reason::Differs).then(|| self.reason.to_string());
        f.write_str(&reason.as_deref().into_iter().chain(fields).collect::<Vec<_>>().join(", "))
    }
}

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A container of a service.
    Service,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Service => "service",
        })
    }
}

/// What happens to an object, which is also what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed while it runs.
    InPlace,
    /// The network is removed and made anew. Who is attached leaves it for a moment and isn't restarted.
    Recreate,
    /// Another container takes the place of this one. Stop-first that costs an outage, start-first none.
    Replace(UpdateOrder),
    /// The container that ran before this one takes its place again.
    Revive(UpdateOrder),
    /// The container is there and is started.
    Start,
    /// It is stopped and removed.
    Remove,
    /// Nothing: it is only told.
    Report,
}

impl Operation {
    /// Its mark at the beginning of a line.
    pub fn symbol(self) -> char {
        match self {
            Self::Create => '+',
            Self::InPlace => '~',
            Self::Recreate | Self::Replace(_) | Self::Revive(_) => '±',
            Self::Start => '>',
            Self::Remove => '-',
            Self::Report => '!',
        }
    }

    /// Its cost in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::InPlace => "in place",
            Self::Recreate => "re-create",
            Self::Replace(UpdateOrder::StopFirst) => "replace, stop-first",
            Self::Replace(UpdateOrder::StartFirst) => "replace, start-first",
            Self::Revive(UpdateOrder::StopFirst) => "revive, stop-first",
            Self::Revive(UpdateOrder::StartFirst) => "revive, start-first",
            Self::Start => "start",
            Self::Remove => "remove",
            Self::Report => "reported, not repaired",
        }
    }

    /// Who goes first, where one container takes the place of another.
    pub fn order(self) -> Option<UpdateOrder> {
        match self {
            Self::Replace(order) | Self::Revive(order) => Some(order),
            Self::Create | Self::InPlace | Self::Recreate | Self::Start | Self::Remove | Self::Report => None,
        }
    }

    /// The word in the JSON form of a plan.
    pub fn code(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::InPlace => "in-place",
            Self::Recreate => "re-create",
            Self::Replace(_) => "replace",
            Self::Revive(_) => "revive",
            Self::Start => "start",
            Self::Remove => "remove",
            Self::Report => "report",
        }
    }
}

/// Why a container is replaced stop-first although start-first costs no outage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// Nobody asked for the other order.
    NotAsked,
    /// It does its work once and ends; nobody is served by it.
    Task,
    /// The old one doesn't run.
    NotRunning(Status),
    /// A failed deploy of it isn't rolled back, so that it can't be tried beside the old one.
    Held,
    /// Both would need the same port of the host.
    HostPort(PublishedPort),
    /// Both would need the same address on this network.
    Address(NetworkName),
    /// Its host name is a name on its networks from the start, before it is ready.
    Hostname(String),
    /// Both would listen in the network of the host.
    HostNetwork,
    /// It lives in namespaces of another container: those of this key.
    Shares(&'static str),
    /// Another service lives in its namespaces.
    SharedBy(ServiceName),
    /// Both would write to the same volume or path of the host.
    Writes(String),
    /// Another container of the plan needs what the old one has, and starts before.
    MakesWay,
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("`deploy.update_config.order` doesn't say so"),
            Self::Task => f.write_str("it does its work once and ends"),
            Self::NotRunning(status) => write!(f, "the old one doesn't run: {status}"),
            Self::Held => f.write_str("it is not rolled back when it fails"),
            Self::HostPort(port) => write!(f, "both would publish {port}"),
            Self::Address(network) => write!(f, "both would have the same address on {network}"),
            Self::Hostname(name) => write!(f, "its host name {name} would be found before it is ready"),
            Self::HostNetwork => f.write_str("both would listen on the host's own network"),
            Self::Shares(key) => write!(f, "its `{key}` is that of another container"),
            Self::SharedBy(service) => write!(f, "{service} lives in its namespaces"),
            Self::Writes(what) => write!(f, "both would write to {what}"),
            Self::MakesWay => f.write_str("another service takes over what the old one has"),
        }
    }
}

/// Why an object is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A manifest wants it and it has never been there.
    New,
    /// It was there and is gone: somebody removed it on the host.
    Gone,
    /// It differs in the fields of the change.
    Differs,
    /// Its container doesn't run.
    NotRunning(Status),
    /// No manifest wants it any more.
    NotWanted,
}

/// Where a difference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The repository changed.
    Git,
    /// The host was changed.
    Drift,
    /// The image's tag means another image now.
    Image,
    /// A sensitive value is another one.
    Secret,
    /// A container that it shares something with is another one.
    Dependency,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Git => "git",
            Self::Drift => "drift",
            Self::Image => "image",
            Self::Secret => "secret",
            Self::Dependency => "dependency",
        })
    }
}

impl Reason {
    /// Where the difference comes from; absent where the fields say it, each for itself.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::New | Self::NotWanted => Some(Cause::Git),
            Self::Gone | Self::NotRunning(_) => Some(Cause::Drift),
            Self::Differs => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new in the manifests"),
            Self::Gone => f.write_str("gone from the host"),
            Self::Differs => f.write_str("differs"),
            Self::NotRunning(status) => write!(f, "{status}"),
            Self::NotWanted => f.write_str("in no manifest"),
        }
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The field, as a path in the manifest's terms.
    pub path: FieldPath,
    /// What is live; absent if nothing is.
    pub before: Option<FieldValue>,
    /// What is desired; absent if nothing is.
    pub after: Option<FieldValue>,
    /// Where the difference comes from.
    pub cause: Cause,
    /// How the text of a mounted file changes, line by line, if that is known.
    pub diff: Option<String>,
}
