//! The stand-in image: one small program that takes the place of every service of the reference stack.
//!
//! Where images can't be pulled, the variable `STAND_IN_IMAGE` swaps all of them for [`IMAGE`], which is made on the
//! spot from a program that Evenkeel carries in itself. What that program does is told in `stand-in/main.rs`;
//! `build.rs` compiles it. Only `demo` and tests make the image, and only when asked.

use std::collections::BTreeMap;

use super::ImportConfig;
use crate::model::image::ImageRef;

/// The name of the image.
pub const IMAGE: &str = "evenkeel/stand-in:1";

/// The program, statically linked; empty where Evenkeel was built without a static C library.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stand-in"));

/// Where the program is in the image.
const PROGRAM_PATH: &str = "/usr/local/bin/stand-in";

/// What health checks of the reference stack call: each is a link to the program.
const TOOLS: [&str; 7] = [
    "/opt/bitnami/kafka/bin/kafka-topics.sh",
    "/usr/local/bin/curl",
    "/usr/local/bin/pg_isready",
    "/usr/local/bin/python",
    "/usr/local/bin/redis-cli",
    "/usr/local/bin/wget",
    "/usr/local/bin/zkServer.sh",
];

/// The reference of [`IMAGE`].
pub fn reference() -> ImageRef {
    match IMAGE.parse() {
        Ok(image) => image,
        Err(error) => unreachable!("BUG: {error}"),
    }
}

/// The one layer of the image, a tar archive; the same bytes from each call.
///
/// Absent where Evenkeel was built without a static C library (`libc6-dev` on Debian has one): the image can't be made
/// then, and `cargo build` has warned of it.
pub fn layer() -> Option<Vec<u8>> {
    if PROGRAM.is_empty() {
        return None;
    }
    archive().ok()
}

/// The configuration of the image.
pub fn config() -> ImportConfig {
    let title = ("org.opencontainers.image.title".to_owned(), "Evenkeel's stand-in".to_owned());
    ImportConfig {
        entrypoint: vec![PROGRAM_PATH.to_owned()],
        labels: BTreeMap::from([title]),
        // No service needs more, and numbers need no /etc/passwd.
        user: Some("65534:65534".to_owned()),
        ..ImportConfig::default()
    }
}

fn archive() -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut program = header(tar::EntryType::Regular);
    program.set_size(PROGRAM.len() as u64);
    archive.append_data(&mut program, relative(PROGRAM_PATH), PROGRAM)?;
    for tool in TOOLS {
        archive.append_link(&mut header(tar::EntryType::Symlink), relative(tool), PROGRAM_PATH)?;
    }
    archive.into_inner()
}

/// A header that is the same whoever makes it and whenever.
fn header(kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn the_layer_has_the_program_and_a_link_for_each_tool() {
        let Some(layer) = layer() else { panic!("built without a static C library: install libc6-dev") };
        assert_eq!(Some(&layer), super::layer().as_ref(), "the archive must not depend on when it is made");
        let mut archive = tar::Archive::new(layer.as_slice());
        let mut links = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = format!("/{}", entry.path().unwrap().display());
            if let Some(target) = entry.link_name().unwrap() {
                assert_eq!(target.to_str(), Some(PROGRAM_PATH));
                links.push(path);
            } else {
                assert_eq!(path, PROGRAM_PATH);
                assert_eq!(entry.header().mode().unwrap(), 0o755);
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                assert!(bytes == PROGRAM, "another program than the one compiled");
            }
        }
        assert_eq!(links, TOOLS);
    }

    #[test]
    fn every_health_check_of_the_reference_stack_has_its_tool() {
        let mut checks = 0;
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
        for tier in fs::read_dir(manifests).unwrap() {
            for file in fs::read_dir(tier.unwrap().path()).unwrap().map(|file| file.unwrap().path()) {
                if !file.is_file() {
                    continue;
                }
                let text = fs::read_to_string(&file).unwrap();
                for rest in text.split("test: [\"CMD\", \"").skip(1) {
                    let tool = rest.split('"').next().unwrap_or_default();
                    let known = TOOLS.iter().any(|path| *path == tool || path.ends_with(&format!("/{tool}")));
                    assert!(known, "{}: no `{tool}` in the stand-in", file.display());
                    checks += 1;
                }
            }
        }
        assert_eq!(checks, 13, "each service of the reference stack has a health check of the form CMD");
    }

    /// The program in a folder of its own, as a container would have it.
    struct Installed {
        folder: tempfile::TempDir,
        port: u16,
    }

    impl Installed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            // Links to what the build left, no copy: a program that was just written can't be run while another
            // test's child still has it open.
            for path in TOOLS.iter().chain([&PROGRAM_PATH]) {
                let name = Path::new(path).file_name().unwrap();
                symlink(concat!(env!("OUT_DIR"), "/stand-in"), folder.path().join(name)).unwrap();
            }
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            Self { folder, port: free.local_addr().unwrap().port() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn serve(&self, fail: &str) -> Running {
            let mut command = Command::new(self.path("stand-in"));
            command.env("STAND_IN_PORTS", self.port.to_string()).env("STAND_IN_FAIL", fail);
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "stand-in: ready\n");
            Running(child)
        }

        fn probe(&self, tool: &str, arguments: &[&str]) -> bool {
            let port = self.port.to_string();
            let arguments = arguments.iter().map(|argument| argument.replace("PORT", &port));
            Command::new(self.path(tool)).args(arguments).output().unwrap().status.success()
        }
    }

    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    const PROBES: [(&str, &[&str]); 6] = [
        ("pg_isready", &["-h", "127.0.0.1", "-p", "PORT", "-U", "auren"]),
        ("redis-cli", &["-p", "PORT", "-e", "ping"]),
        ("kafka-topics.sh", &["--bootstrap-server", "localhost:PORT", "--list"]),
        ("curl", &["--fail", "--silent", "http://localhost:PORT/health"]),
        ("wget", &["-q", "-O", "/dev/null", "http://127.0.0.1:PORT/-/ready"]),
        ("python", &["-c", "import urllib.request as r; r.urlopen('http://localhost:PORT/x', timeout=3)"]),
    ];

    #[test]
    fn probes_pass_only_while_a_healthy_service_runs() {
        let installed = Installed::new();
        let outcomes = || PROBES.map(|(tool, arguments)| installed.probe(tool, arguments));
        assert_eq!(outcomes(), [false; 6], "nothing runs yet");
        let running = installed.serve("");
        assert_eq!(outcomes(), [true; 6]);
        drop(running);
        let _running = installed.serve("health");
        assert_eq!(outcomes(), [false; 6], "it runs but isn't well");
    }

    #[test]
    fn a_start_that_is_to_fail_says_why() {
        let installed = Installed::new();
        let mut command = Command::new(installed.path("stand-in"));
        let output = command.env("STAND_IN_FAIL", "start").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("STAND_IN_FAIL"));
    }

    #[test]
    fn it_ends_when_it_is_asked_to() {
        let installed = Installed::new();
        let mut running = installed.serve("");
        let kill = format!("kill -TERM {}", running.0.id());
        let asked = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(asked.success());
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
    }
}
