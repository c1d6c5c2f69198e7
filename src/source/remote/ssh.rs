//! Git over SSH, by the program `ssh`: it knows every kind of key, agents and known hosts, and is kept up by the host's
//! distribution. It is given words and never a shell, and nothing of the environment or of a user's settings.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time;

use super::error::RemoteProblem;
use super::packet::{FLUSH, Packets, Source};
use super::{ADVERTISED_MAX, Identity, shelf};
use crate::model::address::RemoteAddress;
use crate::source::commit::clean;

/// Where programs of the system are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most of what `ssh` and the server write beside the answer.
const STDERR_MAX: usize = 8 * 1024;

/// A server that tells its references. Ends when it is dropped.
pub(super) struct Ssh {
    // Killed when it is dropped.
    _child: Child,
    input: ChildStdin,
    errors: JoinHandle<Vec<u8>>,
    known_hosts: PathBuf,
}

/// Whether a connection is shared.
#[derive(Clone, Copy)]
pub(super) enum Share<'p> {
    /// It is for one talk.
    Alone,
    /// It is the one that others go over, by this socket.
    Offer(&'p Path),
    /// It goes over the one with this socket; where that is gone, it makes its own.
    Use(&'p Path),
}

/// A connection that stands for a while, so that the next talks needn't shake hands again: that takes longer than all the
/// rest. It is a talk in which nothing is wanted, so that it ends with this process, however that ends.
#[derive(Debug)]
pub(super) struct Standing {
    // Killed when it is dropped.
    child: Child,
    input: ChildStdin,
    socket: PathBuf,
    _folder: TempDir,
    /// With what it was made. Another key or other known servers want another one.
    made_with: (Identity, PathBuf),
    since: Instant,
}

/// So long a connection is used again. A key that was taken away counts no longer than that.
const STANDS: Duration = Duration::from_secs(300);
/// The longest path that a socket can have, with what `ssh` appends while it makes it.
const SOCKET_PATH_MAX: usize = 85;

impl Standing {
    /// Begins to make one; nobody waits for it. None where that can't be done here.
    pub(super) fn begin(
        address: &RemoteAddress,
        (identity, known_hosts): (&Identity, &Path),
        folder: &Path,
    ) -> Option<Self> {
        let folder = shelf::passing(folder).ok()?;
        let socket = folder.path().join("s");
        let text = socket.to_str()?;
        // `ssh` takes some characters of this path for something else.
        let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        if !is_plain || text.len() > SOCKET_PATH_MAX {
            return None;
        }
        let mut command = command(words(address, (identity, known_hosts), Share::Offer(&socket)), identity);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let input = child.stdin.take()?;
        let made_with = (identity.clone(), known_hosts.to_owned());
        Some(Self { child, input, socket, _folder: folder, made_with, since: Instant::now() })
    }

    /// Whether it may be used by who asks with these.
    pub(super) fn is_fit(&mut self, identity: &Identity, known_hosts: &Path) -> bool {
        let is_alive = matches!(self.child.try_wait(), Ok(None));
        let (made_with, known) = &self.made_with;
        is_alive && self.since.elapsed() < STANDS && made_with == identity && known == known_hosts
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it in good order.
    pub(super) async fn leave(mut self) {
        drop(self.input.write_all(FLUSH).await);
    }
}

impl Ssh {
    /// Starts `ssh`. The references come as packets.
    pub(super) fn open(
        address: &RemoteAddress,
        (identity, known_hosts): (&Identity, &Path),
        share: Share<'_>,
    ) -> Result<(Self, Packets), RemoteProblem> {
        let mut command = command(words(address, (identity, known_hosts), share), identity);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| RemoteProblem::NoSsh(error.to_string()))?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(RemoteProblem::NoSsh("it has no streams".to_owned()));
        };
        let errors = tokio::spawn(listen(errors));
        let ssh = Self { _child: child, input, errors, known_hosts: known_hosts.to_owned() };
        Ok((ssh, Packets::new(Source::Program(output), ADVERTISED_MAX)))
    }

    /// Sends what is wanted; the answer follows in the same packets.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<(), RemoteProblem> {
        let sent = async {
            self.input.write_all(request).await?;
            self.input.flush().await
        };
        sent.await.map_err(|error| RemoteProblem::Unreachable(error.to_string()))
    }

    /// Why the answer ended too early, where `ssh` or the server tell it.
    pub(super) async fn reason(self) -> Option<RemoteProblem> {
        let Self { _child, input, errors, known_hosts } = self;
        drop(input);
        let told = time::timeout(Duration::from_secs(2), errors).await.ok()?.ok()?;
        why(&String::from_utf8_lossy(&told), &known_hosts)
    }
}

/// `ssh` with these words, and nothing of the environment.
fn command(words: Vec<String>, identity: &Identity) -> Command {
    let mut command = Command::new("ssh");
    command.args(words).env_clear().env("PATH", PATH).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).kill_on_drop(true);
    if let Identity::Agent(socket) = identity {
        command.env("SSH_AUTH_SOCK", socket);
    }
    command
}

/// The words that `ssh` is given.
fn words(
    address: &RemoteAddress,
    (identity, known_hosts): (&Identity, &Path),
    share: Share<'_>,
) -> Vec<String> {
    let mut words: Vec<String> = ["-F", "none", "-T", "-a", "-x"].map(str::to_owned).into();
    let mut option = |text: String| words.extend(["-o".to_owned(), text]);
    for fixed in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "IdentitiesOnly=yes",
        "PreferredAuthentications=publickey",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ConnectTimeout=15",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "LogLevel=ERROR",
    ] {
        // An agent's keys are no files, so that none of them would be left.
        if fixed != "IdentitiesOnly=yes" || matches!(identity, Identity::File(_)) {
            option(fixed.to_owned());
        }
    }
    let (master, path) = match share {
        Share::Alone => ("no", None),
        Share::Offer(path) => ("yes", Some(path)),
        Share::Use(path) => ("no", Some(path)),
    };
    option(format!("ControlMaster={master}"));
    option(format!("ControlPath={}", path.map_or_else(|| "none".into(), Path::to_string_lossy)));
    option(format!("UserKnownHostsFile={}", known_hosts.display()));
    match identity {
        Identity::File(key) => {
            option("IdentityAgent=none".to_owned());
            words.extend(["-i".to_owned(), key.display().to_string()]);
        }
        Identity::Agent(_) => option("IdentityFile=none".to_owned()),
    }
    if let Some(port) = address.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = &address.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    // No address has a quotation mark, see `model::address`. What begins with `~` is for the server's Git.
    let ask = format!("git-upload-pack '{}'", address.path);
    words.extend(["--".to_owned(), address.host.clone(), ask]);
    words
}

/// Reads all, and keeps its end.
async fn listen(mut errors: ChildStderr) -> Vec<u8> {
    let (mut kept, mut chunk) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = errors.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        let surplus = kept.len().saturating_sub(STDERR_MAX);
        kept.drain(..surplus);
    }
    kept
}

/// What the words of `ssh` mean.
fn why(told: &str, known_hosts: &Path) -> Option<RemoteProblem> {
    let has = |words: &str| told.contains(words);
    if has("Host key verification failed") || has("HOST IDENTIFICATION HAS CHANGED") {
        return Some(RemoteProblem::HostKey(known_hosts.to_owned()));
    }
    if has("Permission denied") {
        return Some(RemoteProblem::Denied);
    }
    if has("does not appear to be a git repository") || has("epository not found") {
        return Some(RemoteProblem::NotFound);
    }
    let last = told.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let last = clean(last.as_bytes(), 200);
    let is_network =
        ["onnection", "resolve hostname", "No route", "timed out"].iter().any(|words| has(words));
    Some(if is_network { RemoteProblem::Unreachable(last) } else { RemoteProblem::Said(last) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::Address;

    fn words_of(text: &str, identity: &Identity) -> Vec<String> {
        let Ok(Address::Remote(address)) = text.parse() else { panic!("{text}") };
        words(&address, (identity, Path::new("/etc/known")), Share::Alone)
    }

    #[test]
    fn the_host_and_the_path_are_words_of_their_own() {
        let key = Identity::File("/etc/key".into());
        let words = words_of("ssh://git@git.example.com:2222/srv/in fra.git", &key);
        let end: Vec<_> = words.iter().skip(words.len() - 7).map(String::as_str).collect();
        assert_eq!(
            end,
            ["-p", "2222", "-l", "git", "--", "git.example.com", "git-upload-pack '/srv/in fra.git'"]
        );
        for needed in
            ["StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none"]
        {
            assert!(words.iter().any(|word| word == needed), "{needed}");
        }
        let words = words_of("git@git.example.com:a.git", &Identity::Agent("/run/agent".into()));
        assert!(!words.iter().any(|word| word == "IdentitiesOnly=yes"));
        assert_eq!(words.last().unwrap(), "git-upload-pack 'a.git'");
    }

    #[test]
    fn what_ssh_says_is_understood() {
        let known = Path::new("/etc/known");
        for (told, expected) in [
            (
                "No ED25519 host key is known for x\r\nHost key verification failed.\r\n",
                "the server's key is not",
            ),
            ("git@x: Permission denied (publickey).\r\n", "refuses the credential"),
            ("fatal: '/a' does not appear to be a git repository\n", "no such repository"),
            ("ERROR: Repository not found.\n", "no such repository"),
            ("ssh: connect to host x port 22: Connection refused\r\n", "can't be reached: ssh: connect"),
            ("fatal: \x1b[2Jlow memory\n\n", "the server says: fatal: [2Jlow memory"),
        ] {
            let problem = why(told, known).unwrap().to_string();
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(why("\n", known).is_none());
    }
}
