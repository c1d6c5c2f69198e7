//! OpenSSH's `sshd` on loopback, with keys of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::source::remote::{Access, Identity};
use ssh_key::LineEnding;

use super::upstream::key;
use crate::common::docker::tell;

/// What has not happened after so long doesn't happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Sshd {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Sshd {
    /// Starts it, with its files in `folder`. Where there is none the test passes by and says so, unless
    /// `EVENKEEL_REQUIRE_DOCKER=1` makes that a failure.
    pub fn start(folder: &Path) -> Option<Self> {
        let program = Path::new("/usr/sbin/sshd");
        if !program.exists() {
            assert!(std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none_or(|value| value != "1"), "no sshd");
            tell("passed by without sshd: it is in Debian's package openssh-server");
            return None;
        }
        // Where it runs as root it wants this folder for its unprivileged half; where not, it doesn't.
        drop(fs::create_dir_all("/run/sshd"));
        write_key(folder, "host", 100);
        write_key(folder, "client", 101);
        write_key(folder, "stranger", 102);
        let public = |seed: u8| key(seed).public_key().to_openssh().unwrap();
        fs::write(folder.join("authorized_keys"), public(101)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let known = |seed: u8| format!("[127.0.0.1]:{port} {}\n", public(seed));
        fs::write(folder.join("known_hosts"), known(100)).unwrap();
        fs::write(folder.join("wrong_hosts"), known(103)).unwrap();
        fs::write(folder.join("no_hosts"), "").unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized_keys\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\n",
            folder.display()
        );
        fs::write(folder.join("sshd_config"), config).unwrap();
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.join("sshd.log")).unwrap())
            .spawn()
            .unwrap();
        let sshd = Self { child, folder: folder.to_owned(), port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "{}", sshd.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(sshd)
    }

    /// The address of a repository of this host.
    pub fn address(&self, path: &Path) -> String {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        format!("ssh://{}@127.0.0.1:{}{}", String::from_utf8(user).unwrap().trim(), self.port, path.display())
    }

    /// A key and known hosts by the names of their files.
    pub fn access(&self, key: &str, known_hosts: &str) -> Access {
        let identity = Identity::File(self.folder.join(key));
        Access::Ssh { identity, known_hosts: self.folder.join(known_hosts) }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What it says.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn write_key(folder: &Path, name: &str, seed: u8) {
    let path = folder.join(name);
    fs::write(&path, key(seed).to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}
