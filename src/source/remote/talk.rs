//! What is said with a server: it tells its references, is told what is wanted and what is there, and sends objects.
//!
//! This is the first version of Git's protocol, which every server speaks. It needs one question to find out whether
//! there is something new, and one more to get it. libgit2 has a client of its own; it keeps no deadline that can be cut
//! short, knows servers only by tables for the whole process, and brings OpenSSL along.

use std::collections::BTreeSet;
use std::io::Write;

use super::error::RemoteProblem;
use super::http::Http;
use super::packet::{self, FLUSH, Packet, Packets};
use super::ssh::{Share, Ssh};
use super::{Access, Network, Wanted};
use crate::model::address::{RemoteAddress, Scheme};
use crate::source::commit::clean;

/// What the objects of an empty place are.
const NOBODY: &str = "0000000000000000000000000000000000000000";
/// The most branches that an error names.
const BRANCHES_SHOWN: usize = 20;
/// What is asked for, as far as the server can do it.
const ABILITIES: [&str; 5] = ["multi_ack_detailed", "side-band-64k", "thin-pack", "no-progress", "ofs-delta"];

/// A server that has told its references.
pub(super) struct Talk {
    line: Line,
    packets: Packets,
    /// What the server can do.
    abilities: BTreeSet<String>,
    /// What is wanted.
    pub(super) target: Target,
}

enum Line {
    Http(Http),
    Ssh(Box<Ssh>),
}

/// What a server has in the place that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The object: a commit, or a tag that leads to one.
    pub(super) id: String,
}

impl Talk {
    /// Asks a server what it has. `share` says whether another connection is used, for SSH.
    pub(super) async fn open(
        address: &RemoteAddress,
        (access, network): (&Access, &Network),
        wanted: &Wanted,
        share: Share<'_>,
    ) -> Result<Self, RemoteProblem> {
        let (mut line, mut packets) = match (address.scheme, access) {
            (Scheme::Ssh, Access::Ssh { identity, known_hosts }) => {
                let (ssh, packets) = Ssh::open(address, (identity, known_hosts), share)?;
                (Line::Ssh(Box::new(ssh)), packets)
            }
            (Scheme::Ssh, Access::Anonymous | Access::Basic { .. }) => {
                return Err(RemoteProblem::CredentialWanted);
            }
            (Scheme::Http | Scheme::Https | Scheme::File, _) => {
                let (http, packets) = Http::open(address, access, network).await?;
                (Line::Http(http), packets)
            }
        };
        let mut told = Told::new(wanted);
        let heard = told.hear(&mut packets).await;
        if heard.is_err() && told.is_silent() {
            line = match line {
                Line::Ssh(ssh) => {
                    return Err(ssh.reason().await.or(heard.err()).unwrap_or(RemoteProblem::Empty));
                }
                Line::Http(_) => line,
            };
        }
        heard?;
        let abilities = std::mem::take(&mut told.abilities);
        if abilities.contains("object-format=sha256") {
            return Err(RemoteProblem::Protocol("a repository with SHA-256 can't be read yet"));
        }
        Ok(Self { line, packets, abilities, target: told.target()? })
    }

    /// Ends the talk where nothing is wanted.
    pub(super) async fn leave(mut self) {
        if let Line::Ssh(ssh) = &mut self.line {
            // Else the server would note that somebody hung up. Whether it hears it makes no difference.
            drop(ssh.ask(FLUSH).await);
        }
    }

    /// Gets the objects that `target` is made of and that don't come with `haves`, as one pack. Returns whether all came.
    pub(super) async fn fetch(
        mut self,
        haves: &[String],
        network: &Network,
        pack: &mut (impl Write + Send),
    ) -> Result<(), RemoteProblem> {
        let request = self.request(haves)?;
        match &mut self.line {
            Line::Http(http) => self.packets = http.ask(request, network.max_size).await?,
            Line::Ssh(ssh) => {
                self.packets.allow(network.max_size);
                ssh.ask(&request).await?;
            }
        }
        let received = receive(&mut self.packets, network, pack).await;
        match (received, self.line) {
            (Err(RemoteProblem::Protocol(why)), Line::Ssh(ssh)) => {
                Err(ssh.reason().await.unwrap_or(RemoteProblem::Protocol(why)))
            }
            (received, _) => received,
        }
    }

    fn request(&self, haves: &[String]) -> Result<Vec<u8>, RemoteProblem> {
        if !self.abilities.contains("side-band-64k") {
            return Err(RemoteProblem::Protocol("it is too old: it has no `side-band-64k`"));
        }
        let abilities = ABILITIES.into_iter().filter(|ability| self.abilities.contains(*ability));
        let abilities: Vec<_> = abilities.collect();
        let mut request = Vec::new();
        packet::write(&mut request, &format!("want {} {}\n", self.target.id, abilities.join(" ")));
        request.extend(FLUSH);
        for have in haves {
            packet::write(&mut request, &format!("have {have}\n"));
        }
        packet::write(&mut request, "done\n");
        Ok(request)
    }
}

/// Takes the objects out of the answer.
async fn receive(
    packets: &mut Packets,
    network: &Network,
    pack: &mut (impl Write + Send),
) -> Result<(), RemoteProblem> {
    let mut beginning = Vec::new();
    loop {
        let line = match packets.next().await? {
            Packet::Line(line) => line,
            Packet::Flush | Packet::End if beginning.len() < 12 => {
                return Err(RemoteProblem::Protocol("it sends no objects"));
            }
            // Whether anything is missing at the end is told by the checksum of the pack.
            Packet::Flush | Packet::End => return Ok(()),
        };
        match line.split_first() {
            Some((1, data)) => {
                if beginning.len() < 12 {
                    beginning.extend_from_slice(&data[..data.len().min(12 - beginning.len())]);
                    check_count(&beginning, network.max_objects)?;
                }
                pack.write_all(data).map_err(|error| RemoteProblem::io(&network.folder, &error))?;
            }
            Some((2, _)) => {}
            Some((3, words)) => return Err(RemoteProblem::Said(clean(words, 200))),
            _ if line.starts_with(b"ERR ") => return Err(RemoteProblem::Said(clean(&line[4..], 200))),
            _ if line.starts_with(b"NAK") || line.starts_with(b"ACK ") => {}
            _ => return Err(RemoteProblem::Protocol("this is no answer to what was asked")),
        }
    }
}

/// A pack says in its first twelve bytes how many objects it has.
fn check_count(beginning: &[u8], most: u64) -> Result<(), RemoteProblem> {
    let Some(count) = beginning.get(8..12).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) else {
        return Ok(());
    };
    let count = u64::from(u32::from_be_bytes(count));
    if count > most { Err(RemoteProblem::TooMany { count, most }) } else { Ok(()) }
}

/// What a server has told of its references.
struct Told<'w> {
    wanted: &'w Wanted,
    abilities: BTreeSet<String>,
    lines: usize,
    /// The one that is wanted, by name for a tag.
    found: Vec<(String, String)>,
    branches: Vec<String>,
}

impl<'w> Told<'w> {
    fn new(wanted: &'w Wanted) -> Self {
        Self { wanted, abilities: BTreeSet::new(), lines: 0, found: Vec::new(), branches: Vec::new() }
    }

    /// Whether not one line came.
    fn is_silent(&self) -> bool {
        self.lines == 0
    }

    async fn hear(&mut self, packets: &mut Packets) -> Result<(), RemoteProblem> {
        loop {
            match packets.next().await? {
                Packet::Flush => return Ok(()),
                Packet::End => return Err(RemoteProblem::Protocol("it ends before it has told what it has")),
                Packet::Line(line) => self.line(&line)?,
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), RemoteProblem> {
        if let Some(words) = line.strip_prefix(b"ERR ") {
            return Err(RemoteProblem::Said(clean(words, 200)));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (reference, abilities) = match line.iter().position(|byte| *byte == 0) {
            Some(zero) => (&line[..zero], Some(&line[zero + 1..])),
            None => (line, None),
        };
        self.lines += 1;
        if let Some(abilities) = abilities.filter(|_| self.lines == 1) {
            let words = String::from_utf8_lossy(abilities);
            self.abilities = words.split_whitespace().map(str::to_owned).collect();
        }
        // A name that is no text can't have been asked for.
        let Ok(reference) = std::str::from_utf8(reference) else { return Ok(()) };
        let Some((id, name)) = reference.split_once(' ') else {
            return Err(RemoteProblem::Protocol("this is not a list of references"));
        };
        if id == "shallow" {
            return Ok(());
        }
        let is_id = id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id || !matches!(id.len(), 40 | 64) {
            return Err(RemoteProblem::Protocol("this is not a list of references"));
        }
        if id != NOBODY && !name.ends_with("^{}") {
            self.reference(name, id);
        }
        Ok(())
    }

    fn reference(&mut self, name: &str, id: &str) {
        let branch = name.strip_prefix("refs/heads/");
        if let Some(branch) = branch.filter(|_| self.branches.len() < BRANCHES_SHOWN) {
            self.branches.push(clean(branch.as_bytes(), 100));
        }
        let is_wanted = match self.wanted {
            Wanted::Head => name == "HEAD",
            Wanted::Branch(wanted) => branch == Some(wanted),
            Wanted::Tag(pattern) => {
                name.strip_prefix("refs/tags/").is_some_and(|tag| pattern.version(tag).is_some())
            }
        };
        if is_wanted {
            self.found.push((name.to_owned(), id.to_owned()));
        }
    }

    fn target(self) -> Result<Target, RemoteProblem> {
        let Self { wanted, found, branches, .. } = self;
        let nothing = |problem| if branches.is_empty() { RemoteProblem::Empty } else { problem };
        let found = match wanted {
            Wanted::Head | Wanted::Branch(_) => found.into_iter().next(),
            Wanted::Tag(pattern) => {
                let names = found.iter().filter_map(|(name, _)| name.strip_prefix("refs/tags/"));
                let highest = pattern.highest(names).map(|tag| format!("refs/tags/{tag}"));
                found.into_iter().find(|(name, _)| Some(name) == highest.as_ref())
            }
        };
        match (found, wanted) {
            (Some((_, id)), _) => Ok(Target { id }),
            (None, Wanted::Head) => Err(nothing(RemoteProblem::NoBranch {
                branch: "HEAD".to_owned(),
                branches: branches.clone(),
            })),
            (None, Wanted::Branch(branch)) => {
                Err(nothing(RemoteProblem::NoBranch { branch: branch.clone(), branches: branches.clone() }))
            }
            (None, Wanted::Tag(pattern)) => Err(nothing(RemoteProblem::NoTag(pattern.to_string()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::Source;
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    async fn target(lines: &[String], wanted: &Wanted) -> Result<String, String> {
        let mut bytes = Vec::new();
        for line in lines {
            packet::write(&mut bytes, line);
        }
        bytes.extend(FLUSH);
        let mut told = Told::new(wanted);
        let mut packets = Packets::new(Source::Bytes(vec![bytes]), 1 << 20);
        told.hear(&mut packets).await.map_err(|error| error.to_string())?;
        told.target().map(|target| target.id).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_is_wanted_is_found_among_the_references() {
        let lines = [
            format!("{ONE} HEAD\0multi_ack side-band-64k symref=HEAD:refs/heads/main\n"),
            format!("{ONE} refs/heads/main\n"),
            format!("{TWO} refs/heads/staging\n"),
            format!("{TWO} refs/heads/refs/heads/main\n"),
            format!("{TWO} refs/tags/main\n"),
            format!("{ONE} refs/tags/v1.9.0\n"),
            format!("{TWO} refs/tags/v1.10.0\n"),
            format!("{ONE} refs/tags/v1.10.0^{{}}\n"),
        ];
        let tag = |pattern: &str| Wanted::Tag(pattern.parse().unwrap());
        let branch = |name: &str| Wanted::Branch(name.to_owned());
        for (wanted, expected) in [
            (Wanted::Head, Ok(ONE)),
            (branch("main"), Ok(ONE)),
            (branch("staging"), Ok(TWO)),
            (tag("v*"), Ok(TWO)),
            (tag("v1.9.*"), Ok(ONE)),
            (branch("prod"), Err("it has no branch `prod`; it has `main`, `staging`, `refs/heads/main`")),
            (tag("v2.*"), Err("it has no tag with a version that matches `v2.*`")),
        ] {
            let found = target(&lines, &wanted).await;
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{wanted:?}");
        }
    }

    #[tokio::test]
    async fn a_list_that_is_none_is_refused() {
        for (lines, words) in [
            (vec![format!("{NOBODY} capabilities^{{}}\0side-band-64k\n")], "has no commits yet"),
            (vec!["ERR access \x1b[2Jdenied\n".to_owned()], "the server says: access [2Jdenied"),
            (vec!["hello\n".to_owned()], "not a list of references"),
            (vec!["xyz refs/heads/main\n".to_owned()], "not a list of references"),
            (vec!["-h refs/heads/main\n".to_owned()], "not a list of references"),
        ] {
            let told = target(&lines, &Wanted::Head).await.unwrap_err();
            assert!(told.contains(words), "{told}");
        }
    }

    #[tokio::test]
    async fn objects_are_taken_out_of_an_answer() {
        let network = Network { max_objects: 3, ..Network::new("/tmp".into()) };
        let header = |count: u8| [b"\x01PACK\0\0\0\x02\0\0\0".as_slice(), &[count], b"rest"].concat();
        for (lines, expected) in [
            (vec![b"NAK\n".to_vec(), b"\x02counting".to_vec(), header(3)], Ok("rest")),
            (
                vec![
                    format!("ACK {ONE} common\n").into_bytes(),
                    format!("ACK {ONE}\n").into_bytes(),
                    header(1),
                ],
                Ok("rest"),
            ),
            (vec![b"NAK\n".to_vec(), header(4)], Err("it would bring 4 objects, and 3 are allowed")),
            (vec![b"\x03out of memory".to_vec()], Err("the server says: out of memory")),
            (vec![b"ERR no\n".to_vec()], Err("the server says: no")),
            (vec![b"NAK\n".to_vec()], Err("sends no objects")),
            (vec![b"what?".to_vec()], Err("no answer to what was asked")),
        ] {
            let bytes: Vec<u8> = lines
                .iter()
                .flat_map(|line| [format!("{:04x}", line.len() + 4).into_bytes(), line.clone()].concat())
                .chain(FLUSH.iter().copied())
                .collect();
            let mut packets = Packets::new(Source::Bytes(vec![bytes]), 1 << 20);
            let mut pack = Vec::new();
            match (receive(&mut packets, &network, &mut pack).await, expected) {
                (Ok(()), Ok(end)) => assert!(pack.starts_with(b"PACK") && pack.ends_with(end.as_bytes())),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (received, expected) => panic!("{received:?}, not {expected:?}"),
            }
        }
    }
}
