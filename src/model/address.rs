//! Where a repository is. An address is written by whoever runs the host, ends up in logs, and becomes arguments of a
//! program: so it has few forms, and no secret, option or command can hide in it.

use std::fmt;
use std::str::FromStr;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// A folder of this host.
    File,
    /// HTTP within TLS.
    Https,
    /// HTTP that everybody on the way can read and change.
    Http,
    /// SSH.
    Ssh,
}

impl Scheme {
    /// Every scheme, by its word.
    pub const ALL: [(&'static str, Self); 4] =
        [("file", Self::File), ("https", Self::Https), ("http", Self::Http), ("ssh", Self::Ssh)];

    /// The word of it.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
        }
    }
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// In a folder of this host: an absolute path.
    Local(String),
    /// On a server.
    Remote(RemoteAddress),
}

/// A repository on a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteAddress {
    /// How it is reached; never [`Scheme::File`].
    pub scheme: Scheme,
    /// Who asks, for SSH only.
    pub user: Option<String>,
    /// The server: a name or an address in lower case, one of IPv6 without brackets.
    pub host: String,
    /// Its port, where it isn't the usual one.
    pub port: Option<u16>,
    /// The path on the server. Without `/` at its beginning it is relative to the user's home.
    pub path: String,
}

/// Why a text is no address. Never tells the text, for a password may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is a relative path, or none of the known forms.
    #[error("this is neither an absolute path nor an address")]
    Unknown,
    /// Git would start a program for it.
    #[error("an address that names a program is never followed")]
    Helper,
    /// Its scheme is not known.
    #[error("an address begins with `https://`, `ssh://`, `http://` or `file:///`")]
    Scheme,
    /// It has a password, or a user where only a password would come with it.
    #[error("an address has no user and no password over HTTP")]
    Secret,
    /// A part of it is wrong.
    #[error("the {0} of this address is missing, or has characters that none has")]
    Part(&'static str),
}

impl Address {
    /// How it is reached.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Local(_) => Scheme::File,
            Self::Remote(remote) => remote.scheme,
        }
    }
}

impl RemoteAddress {
    /// Whether the server is this host itself.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The host as it stands in an address: one of IPv6 in brackets.
    pub fn host_text(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.starts_with('/') {
            return Ok(Self::Local(text.to_owned()));
        }
        if text.starts_with('-') {
            return Err(AddressError::Unknown);
        }
        // `ext::sh -c …`: Git takes what is before the colons for a program.
        let word = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        if text.get(word..).is_some_and(|rest| rest.starts_with("::")) {
            return Err(AddressError::Helper);
        }
        let Some((scheme, rest)) = text.split_once("://") else { return short_form(text) };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if path.starts_with('/') {
                    Ok(Self::Local(path.to_owned()))
                } else {
                    Err(AddressError::Part("path"))
                }
            }
            "https" => long_form(Scheme::Https, rest),
            "http" => long_form(Scheme::Http, rest),
            "ssh" => long_form(Scheme::Ssh, rest),
            _ => Err(AddressError::Scheme),
        }
    }
}

/// `user@host:path`, as `scp` writes it.
fn short_form(text: &str) -> Result<Address, AddressError> {
    let (place, path) = text.split_once(':').ok_or(AddressError::Unknown)?;
    if place.contains('/') {
        return Err(AddressError::Unknown);
    }
    let (user, host) = match place.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, place),
    };
    remote(Scheme::Ssh, user, (host, None), path)
}

/// `[user@]host[:port]/path`
fn long_form(scheme: Scheme, rest: &str) -> Result<Address, AddressError> {
    let slash = rest.find('/').ok_or(AddressError::Part("path"))?;
    let (place, path) = rest.split_at(slash);
    let (user, place) = match place.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, place),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']').ok_or(AddressError::Part("host"))?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or(AddressError::Part("port"))?)),
            }
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port {
        None => None,
        Some(port) => {
            let port = port.parse::<u16>().ok().filter(|port| *port != 0);
            Some(port.ok_or(AddressError::Part("port"))?)
        }
    };
    let usual = match scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
        Scheme::Ssh | Scheme::File => 22,
    };
    // A home is written `/~user` in this form.
    let path = if scheme == Scheme::Ssh && path.starts_with("/~") { &path[1..] } else { path };
    remote(scheme, user, (host, port.filter(|port| *port != usual)), path)
}

fn remote(
    scheme: Scheme,
    user: Option<&str>,
    (host, port): (&str, Option<u16>),
    path: &str,
) -> Result<Address, AddressError> {
    if scheme != Scheme::Ssh && user.is_some() || user.is_some_and(|user| user.contains(':')) {
        return Err(AddressError::Secret);
    }
    let is_name = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(fits)
    };
    if user.is_some_and(|user| !is_name(user)) {
        return Err(AddressError::Part("user"));
    }
    if !is_name(host) && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(AddressError::Part("host"));
    }
    // What a shell on the server, a proxy or a terminal could take for something else is in no path of a repository.
    let fits = |c: char| c.is_alphanumeric() || "/._-~+@,=%: ".contains(c);
    let path = path.trim_end_matches('/');
    if path.is_empty() || path.starts_with('-') || !path.chars().all(fits) {
        return Err(AddressError::Part("path"));
    }
    Ok(Address::Remote(RemoteAddress {
        scheme,
        user: user.map(str::to_owned),
        host: host.to_ascii_lowercase(),
        port,
        path: path.to_owned(),
    }))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => f.write_str(path),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

/// The address without the user: what it names is the same for all.
impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, user: _, host: _, port, path } = self;
        write!(f, "{}://{}", scheme.word(), self.host_text())?;
        if let Some(port) = port {
            write!(f, ":{port}")?;
        }
        if !path.starts_with('/') {
            f.write_str(if path.starts_with('~') { "/" } else { "/./" })?;
        }
        f.write_str(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, shown, scheme, user) in [
            ("/srv/infra.git", "/srv/infra.git", Scheme::File, None),
            ("file:///srv/infra.git", "/srv/infra.git", Scheme::File, None),
            ("file://localhost/srv/infra.git", "/srv/infra.git", Scheme::File, None),
            (
                "https://Git.Example.com:443/a/infra.git/",
                "https://git.example.com/a/infra.git",
                Scheme::Https,
                None,
            ),
            ("HTTPS://git.example.com:8443/a", "https://git.example.com:8443/a", Scheme::Https, None),
            ("http://127.0.0.1:8080/a.git", "http://127.0.0.1:8080/a.git", Scheme::Http, None),
            ("https://[2001:db8::1]:444/a", "https://[2001:db8::1]:444/a", Scheme::Https, None),
            (
                "ssh://git@git.example.com:22/srv/a.git",
                "ssh://git.example.com/srv/a.git",
                Scheme::Ssh,
                Some("git"),
            ),
            ("ssh://git.example.com/~ada/a.git", "ssh://git.example.com/~ada/a.git", Scheme::Ssh, None),
            (
                "git@git.example.com:a/infra.git",
                "ssh://git.example.com/./a/infra.git",
                Scheme::Ssh,
                Some("git"),
            ),
            ("git@git.example.com:/srv/a.git", "ssh://git.example.com/srv/a.git", Scheme::Ssh, Some("git")),
        ] {
            let address: Address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(address.scheme(), scheme, "{text}");
            if let Address::Remote(remote) = &address {
                assert_eq!(remote.user.as_deref(), user, "{text}");
            }
        }
    }

    #[test]
    fn nothing_hides_in_an_address() {
        for (text, expected) in [
            ("", AddressError::Unknown),
            ("infra.git", AddressError::Unknown),
            ("./infra.git", AddressError::Unknown),
            ("a/b:c", AddressError::Unknown),
            ("--upload-pack=touch /tmp/x", AddressError::Unknown),
            ("-oProxyCommand=x:y", AddressError::Unknown),
            ("ext::sh -c touch% /tmp/x", AddressError::Helper),
            ("fd::17/foo", AddressError::Helper),
            ("git://git.example.com/a", AddressError::Scheme),
            ("ftp://git.example.com/a", AddressError::Scheme),
            ("file://server/a", AddressError::Part("path")),
            ("https://ada:hunter2@git.example.com/a", AddressError::Secret),
            ("https://token@git.example.com/a", AddressError::Secret),
            ("ssh://git:hunter2@git.example.com/a", AddressError::Secret),
            ("https://git.example.com", AddressError::Part("path")),
            ("https://git.example.com/", AddressError::Part("path")),
            ("https:///a", AddressError::Part("host")),
            ("https://git.example.com:0/a", AddressError::Part("port")),
            ("https://git.example.com:x/a", AddressError::Part("port")),
            ("https://[::1/a", AddressError::Part("host")),
            ("ssh://-oProxyCommand=x/a", AddressError::Part("host")),
            ("ssh://-l@git.example.com/a", AddressError::Part("user")),
            ("git@-x:a", AddressError::Part("host")),
            ("git@git.example.com:--upload-pack=x", AddressError::Part("path")),
            ("git@git.example.com:a'; touch /tmp/x; '", AddressError::Part("path")),
            ("https://git.example.com/a?x=1", AddressError::Part("path")),
            ("https://git.example.com/a\n", AddressError::Part("path")),
            ("https://git.exam ple.com/a", AddressError::Part("host")),
        ] {
            assert_eq!(text.parse::<Address>(), Err(expected), "{text:?}");
            assert!(!expected.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn this_host_is_told_from_others() {
        for (host, expected) in
            [("localhost", true), ("127.8.8.8", true), ("[::1]", true), ("127.0.0.1.example.com", false)]
        {
            let Ok(Address::Remote(remote)) = format!("http://{host}/a").parse() else { panic!("{host}") };
            assert_eq!(remote.is_loopback(), expected, "{host}");
        }
    }
}
