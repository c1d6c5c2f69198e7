//! Whether files that decide or hide something are kept from others: agent.yaml, and the files of secrets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::finding::Finding;
use crate::agent::credential::{self, CredentialError};
use crate::manifest::Credential;

/// Judges who may write agent.yaml: what it follows is run as root.
pub(super) fn config(path: &Path, me: u32) -> Finding {
    const CHECK: &str = "agent.yaml";
    let shown = path.display();
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) => {
            return Finding::failed(CHECK, format!("{shown} can't be read")).why(error.to_string()).hint(
                "docs/agent.md says what it may have; `evenkeel schema agent` describes it for editors",
            );
        }
    };
    let why = "whoever writes it decides what runs on this host";
    // A folder that others may write lets them put another file there.
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok().map(|about| (folder, about)));
    for (path, about) in
        [(path, &about)].into_iter().chain(folder.as_ref().map(|(path, about)| (*path, about)))
    {
        let shown = path.display();
        if about.uid() != 0 && about.uid() != me {
            return Finding::failed(CHECK, format!("{shown} belongs to the user {}", about.uid()))
                .why(why)
                .hint(format!("chown root:root {shown}"));
        }
        // In a folder like /tmp only the owner may replace a file.
        let is_sticky = about.is_dir() && about.mode() & 0o1000 != 0;
        if about.mode() & 0o022 != 0 && !is_sticky {
            return Finding::failed(CHECK, format!("others may write to {shown}"))
                .why(why)
                .hint(format!("chmod go-w {shown}"));
        }
    }
    Finding::ok(CHECK, format!("{shown} is right, and nobody else may write it"))
}

/// Judges each secret that agent.yaml speaks of. Nothing of a secret is told.
pub(super) fn secrets(secrets: &[&Credential]) -> Vec<Finding> {
    const CHECK: &str = "secrets";
    let judged = secrets.iter().map(|secret| match (secret, credential::read(secret)) {
        (Credential::File(path), Ok(_)) => Finding::ok(CHECK, format!("{path} is kept from others")),
        (Credential::Systemd(name), Ok(_)) => Finding::ok(CHECK, format!("systemd gives `{name}`")),
        (_, Err(CredentialError::NotGiven(name))) => {
            Finding::skipped(CHECK, format!("systemd gives `{name}` only to the agent itself"))
        }
        (_, Err(error)) => Finding::of_error(CHECK, &error.into()),
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn only_its_owner_writes_the_file_of_an_agent() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("agent.yaml");
        let me = fs::metadata(temp.path()).unwrap().uid();
        assert_eq!(config(&path, me).verdict, Verdict::Failed);
        fs::write(&path, "").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for (of_file, of_folder, expected) in [
            (0o644, 0o755, Verdict::Ok),
            (0o600, 0o700, Verdict::Ok),
            (0o664, 0o755, Verdict::Failed),
            (0o646, 0o755, Verdict::Failed),
            (0o644, 0o775, Verdict::Failed),
            (0o644, 0o1777, Verdict::Ok),
        ] {
            mode(&path, of_file);
            mode(temp.path(), of_folder);
            assert_eq!(config(&path, me).verdict, expected, "{of_file:o} in {of_folder:o}");
        }
    }

    #[test]
    fn a_secret_that_others_may_read_is_told_and_never_shown() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("token");
        fs::write(&path, "hunter2").unwrap();
        let file = Credential::File(path.to_str().unwrap().to_owned());
        for (mode, expected) in [(0o600, Verdict::Ok), (0o644, Verdict::Failed)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let found = secrets(&[&file]);
            assert_eq!(found[0].verdict, expected);
            assert!(!format!("{found:?}").contains("hunter2"));
        }
        let given = Credential::Systemd("forge".to_owned());
        assert_eq!(secrets(&[&given])[0].verdict, Verdict::Skipped);
    }
}
