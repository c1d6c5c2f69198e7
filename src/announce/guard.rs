//! Which addresses are asked at all.
//!
//! Only those that the host's own file names, by https, or by http on this host. Never those that a machine of a cloud
//! answers with its own credentials, and no others of the link, also where a name turns out to mean one.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is no address of http.
    NotHttp,
    /// It would be asked without encryption.
    Plain,
    /// It holds a name or password, which would end up in logs.
    Login,
    /// It, or what its name means, is an address of the link.
    Link(IpAddr),
    /// Its name means another host than it says.
    NotHere(IpAddr),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("this is no address that begins with `https://`"),
            Self::Plain => f.write_str("without encryption only this host is asked; use `https://`"),
            Self::Login => f.write_str("an address holds no name or password"),
            Self::Link(address) => {
                write!(
                    f,
                    "{address} is an address of the link or of a cloud's metadata, which is never asked"
                )
            }
            Self::NotHere(address) => write!(f, "`localhost` means {address} here, which is another host"),
        }
    }
}

impl Error for Refused {}

/// An address that may be asked.
pub fn checked_url(text: &str) -> Result<Url, Refused> {
    let url = Url::parse(text.trim()).map_err(|_| Refused::NotHttp)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Login);
    }
    let host = url.host_str().ok_or(Refused::NotHttp)?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    if let Some(address) = address.filter(|address| is_forbidden(*address)) {
        return Err(Refused::Link(address));
    }
    let is_here = host == "localhost" || address.is_some_and(|address| canonical(address).is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err(Refused::Plain),
        _ => Err(Refused::NotHttp),
    }
}

/// Whether an address is never asked, whoever names it.
pub fn is_forbidden(address: IpAddr) -> bool {
    // Where clouds answer with credentials outside of the link's own range.
    const METADATA: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
    const METADATA_6: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    match canonical(address) {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || METADATA.contains(&v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast() || METADATA_6.contains(&v6)
        }
    }
}

/// The IPv4 address that an IPv6 address stands for, where it does: mapped, or translated on the way (RFC 6052, 6to4).
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => address,
    }
}

/// The addresses of a host, none of which is forbidden: whoever has one of them has all, for it may answer otherwise the
/// next time.
pub(super) async fn resolved(host: &str, port: u16) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    for address in found.iter().map(SocketAddr::ip) {
        if is_forbidden(address) {
            return Err(Refused::Link(address).into());
        }
        if host == "localhost" && !canonical(address).is_loopback() {
            return Err(Refused::NotHere(address).into());
        }
    }
    Ok(found)
}

/// Looks names up for the HTTP client, which then connects to just what was looked at here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = resolved(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_asked_is_asked() {
        let link = |address: &str| Err(Refused::Link(address.parse().unwrap()));
        for (text, expected) in [
            ("https://hooks.example.com/a", Ok(())),
            ("https://10.0.0.7:8443/a", Ok(())),
            ("http://127.0.0.1:8080/a", Ok(())),
            ("http://[::1]:8080/a", Ok(())),
            ("http://localhost/a", Ok(())),
            ("http://hooks.example.com/a", Err(Refused::Plain)),
            ("http://10.0.0.7/a", Err(Refused::Plain)),
            ("http://localhost.evil.example/a", Err(Refused::Plain)),
            ("http://127.0.0.1.evil.example/a", Err(Refused::Plain)),
            ("ftp://example.com/a", Err(Refused::NotHttp)),
            ("file:///etc/passwd", Err(Refused::NotHttp)),
            ("unix:///run/docker.sock", Err(Refused::NotHttp)),
            ("hooks.example.com/a", Err(Refused::NotHttp)),
            ("", Err(Refused::NotHttp)),
            ("https://me:pw@example.com/a", Err(Refused::Login)),
            ("https://me@169.254.169.254/a", Err(Refused::Login)),
            ("http://169.254.169.254/latest/meta-data/", link("169.254.169.254")),
            ("https://169.254.169.254/latest/meta-data/", link("169.254.169.254")),
            ("https://2852039166/", link("169.254.169.254")),
            ("https://0xa9.0xfe.0xa9.0xfe/", link("169.254.169.254")),
            ("https://0251.0376.0251.0376/", link("169.254.169.254")),
            ("https://169.254.43518/", link("169.254.169.254")),
            ("https://[fe80::1]/", link("fe80::1")),
            ("https://[::ffff:169.254.169.254]/", link("::ffff:169.254.169.254")),
            ("https://[64:ff9b::a9fe:a9fe]/", link("64:ff9b::a9fe:a9fe")),
            ("https://[2002:a9fe:a9fe::]/", link("2002:a9fe:a9fe::")),
            ("https://[::a9fe:a9fe]/", link("::a9fe:a9fe")),
            ("https://[fd00:ec2::254]/", link("fd00:ec2::254")),
            ("https://100.100.100.200/", link("100.100.100.200")),
            ("https://168.63.129.16/", link("168.63.129.16")),
            ("https://0.0.0.0/", link("0.0.0.0")),
            ("https://[::]/", link("::")),
            ("https://224.0.0.1/", link("224.0.0.1")),
        ] {
            assert_eq!(checked_url(text).map(drop), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_a_name_means_counts() {
        assert!(resolved("localhost", 80).await.unwrap().iter().all(|found| found.ip().is_loopback()));
        let told = resolved("169.254.169.254", 80).await.unwrap_err().to_string();
        assert!(told.contains("never asked"), "{told}");
    }
}
