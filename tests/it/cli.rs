//! The program as a user meets it: what it prints and how it ends, in an environment with nothing in it.
//!
//! Nothing here needs Docker; the commands that do are in `docker.rs`. Each transcript is a snapshot: a change of
//! words is seen in review as what it is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

mod bad_input;
mod commands;
mod help;
mod reviews;
mod sockets;

/// A folder to run the program in.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder with one Compose file, `compose.yaml`.
    pub fn with_compose(text: &str) -> Self {
        let place = Self::new();
        place.write("compose.yaml", text);
        place
    }

    /// A configuration repository without Git: one manifest, environments as they are named.
    pub fn with_repository(manifest: &str, environments: &[(&str, &str)]) -> Self {
        let place = Self::new();
        place.write("evenkeel.yaml", "project: shop\ntiers: [apps]\n");
        place.write("manifests/apps/shop.yaml", manifest);
        for (name, text) in environments {
            place.write(&format!("environments/{name}/environment.yaml"), text);
        }
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// Every file below the folder, in order.
    pub fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), found);
                } else {
                    found.push(entry.path());
                }
            }
        }
        let mut found = Vec::new();
        walk(self.path(), &mut found);
        let mut names: Vec<String> = found
            .iter()
            .map(|path| path.strip_prefix(self.path()).unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Runs the program here. Words are separated by blanks; no argument of these tests has one.
    pub fn run(&self, words: &str) -> Transcript {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_evenkeel")));
        self.finish(words, command.args(words.split_whitespace()))
    }

    /// The program at `path`, to be run here: no variable of the caller reaches it, and no Docker.
    pub fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        command
            .current_dir(self.path())
            .env_clear()
            .env("TZ", "UTC")
            .env("EVENKEEL_STATE", self.path().join("state"))
            .env("DOCKER_HOST", format!("unix://{}", self.path().join("no-docker.sock").display()))
            .stdin(Stdio::null());
        command
    }

    pub fn finish(&self, words: &str, command: &mut Command) -> Transcript {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            // The folder's own name becomes a project's where there is none.
            let name = self.path().file_name().unwrap().to_str().unwrap();
            text.replace(self.path().to_str().unwrap(), "<folder>").replace(name, "<name>")
        };
        Transcript {
            words: words.to_owned(),
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// What a run of the program came to.
pub struct Transcript {
    words: String,
    /// The exit status; absent if a signal ended it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl std::fmt::Display for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("$ evenkeel {}\n", self.words);
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                let _ = write!(text, "── {name}\n{stream}");
                if !stream.ends_with('\n') {
                    text.push_str("(no line end)\n");
                }
            }
        }
        let status = self.status.map_or("by a signal".to_owned(), |status| status.to_string());
        write!(f, "{text}── status {status}")
    }
}
