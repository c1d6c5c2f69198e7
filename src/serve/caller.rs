//! Who asks, and what they may. Nobody may anything that isn't said here.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;

use super::problem::Problem;
use super::token;
use crate::manifest::{Role, Token};
use crate::model::name::StackName;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The socket in the state folder. Whoever may open it is the operator.
    Socket {
        /// The user, as the kernel says.
        uid: u32,
    },
    /// The network.
    Network {
        /// The other end.
        peer: IpAddr,
        /// Whether both ends are on this host, and only this host can reach the listener.
        is_local: bool,
    },
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// Nobody known.
    Nobody,
    /// A program on this host without a token.
    Local,
    /// The bearer of a token.
    Token {
        /// Its name.
        name: String,
        /// What it may do.
        role: Role,
        /// The stacks that it is for; empty for all.
        stacks: BTreeSet<StackName>,
        /// When it ends.
        expires: Option<Timestamp>,
    },
    /// A user of this host who may open the socket.
    User(u32),
}

impl Caller {
    /// Whether they may look.
    pub(super) fn may_read(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Local | Self::Token { .. } | Self::User(_) => true,
        }
    }

    /// Whether they may ask for changes.
    pub(super) fn may_operate(&self) -> bool {
        match self {
            Self::Nobody | Self::Local | Self::Token { role: Role::Read, .. } => false,
            Self::Token { role: Role::Operate, .. } | Self::User(_) => true,
        }
    }

    /// Whether they see all stacks.
    pub(super) fn sees_all(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Local | Self::User(_) => true,
            Self::Token { stacks, .. } => stacks.is_empty(),
        }
    }

    /// Whether they see this stack. What they don't see is for them as if it were not there.
    pub(super) fn sees(&self, stack: &str) -> bool {
        match self {
            Self::Token { stacks, .. } if !stacks.is_empty() => {
                stacks.iter().any(|one| one.as_str() == stack)
            }
            Self::Nobody | Self::Local | Self::Token { .. } | Self::User(_) => self.sees_all(),
        }
    }
}

/// As the audit log names them.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Local => f.write_str("this host"),
            Self::Token { name, .. } => write!(f, "token {name}"),
            Self::User(uid) => write!(f, "uid {uid}"),
        }
    }
}

/// Says who asks.
///
/// # Errors
/// A token that was presented is none, or has expired: whoever presents one doesn't mean to ask without.
pub(super) fn identify(
    origin: Origin,
    headers: &HeaderMap,
    tokens: &[Token],
    now: Timestamp,
) -> Result<Caller, Problem> {
    let is_local = match origin {
        Origin::Socket { uid } => return Ok(Caller::User(uid)),
        Origin::Network { is_local, .. } => is_local,
    };
    let mut presented = headers.get_all(header::AUTHORIZATION).iter();
    match (presented.next(), presented.next()) {
        (None, _) if is_local && is_meant_for_this_host(headers) => Ok(Caller::Local),
        (None, _) => Ok(Caller::Nobody),
        (Some(value), None) => {
            let bearer = value.to_str().ok().and_then(bearer).ok_or_else(Problem::unauthorized)?;
            let found = token::find(tokens, bearer, now).ok_or_else(Problem::unauthorized)?;
            let Token { name, role, hash: _, stacks, expires } = found.clone();
            Ok(Caller::Token { name, role, stacks, expires })
        }
        (Some(_), Some(_)) => Err(Problem::unauthorized()),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a request was meant for this host by a program on it: no proxy says that it comes from elsewhere, and it names
/// this host. A page that lets its own name point here, to read what only this host may, names itself.
fn is_meant_for_this_host(headers: &HeaderMap) -> bool {
    let is_forwarded =
        headers.keys().any(|name| name == header::FORWARDED || name.as_str().starts_with("x-forwarded-"));
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None, false) = (hosts.next(), hosts.next(), is_forwarded) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(said: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_program_on_this_host_may_look_if_it_means_this_host() {
        let now = Timestamp::UNIX_EPOCH;
        for (said, is_local, expected) in [
            (&[("host", "127.0.0.1:7070")][..], true, Caller::Local),
            (&[("host", "localhost")], true, Caller::Local),
            (&[("host", "[::1]:7070")], true, Caller::Local),
            (&[("host", "127.0.0.1")], false, Caller::Nobody),
            (&[], true, Caller::Nobody),
            (&[("host", "rebound.example.com:7070")], true, Caller::Nobody),
            (&[("host", "localhost.example.com")], true, Caller::Nobody),
            (&[("host", "localhost"), ("host", "evil")], true, Caller::Nobody),
            (&[("host", "localhost"), ("x-forwarded-for", "10.0.0.1")], true, Caller::Nobody),
            (&[("host", "localhost"), ("forwarded", "for=10.0.0.1")], true, Caller::Nobody),
        ] {
            let peer = IpAddr::from([127, 0, 0, 1]);
            let found = identify(Origin::Network { peer, is_local }, &headers(said), &[], now);
            assert_eq!(found, Ok(expected), "{said:?}");
        }
    }

    #[test]
    fn a_wrong_token_is_worse_than_none() {
        let peer = IpAddr::from([127, 0, 0, 1]);
        let origin = Origin::Network { peer, is_local: true };
        for said in [
            &[("host", "localhost"), ("authorization", "Bearer ek_x")][..],
            &[("host", "localhost"), ("authorization", "Basic eDp5")],
            &[("host", "localhost"), ("authorization", "")],
            &[("host", "localhost"), ("authorization", "Bearer a"), ("authorization", "Bearer b")],
        ] {
            let found = identify(origin, &headers(said), &[], Timestamp::UNIX_EPOCH);
            assert_eq!(found, Err(Problem::unauthorized()), "{said:?}");
        }
    }

    #[test]
    fn nobody_sees_nothing() {
        assert!(!Caller::Nobody.sees("shop") && !Caller::Nobody.may_read() && !Caller::Nobody.may_operate());
        assert!(Caller::Local.sees("shop") && !Caller::Local.may_operate());
    }
}
