//! Who signed a commit, by real signatures of SSH and GPG.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::source::Repository;
use evenkeel::source::verify::Trust;
use git2::Oid;
use ssh_key::private::PrivateKey;
use tempfile::TempDir;

use super::upstream::{Upstream, allowed, commit, key};
use crate::common::docker::tell;

struct Scene {
    upstream: Upstream,
    folder: TempDir,
}

impl Scene {
    fn new(signers: &str) -> Self {
        let scene = Self { upstream: Upstream::new(), folder: tempfile::tempdir().unwrap() };
        fs::write(scene.signers(), signers).unwrap();
        scene
    }

    fn signers(&self) -> PathBuf {
        self.folder.path().join("allowed_signers")
    }

    fn trust(&self) -> Trust {
        Trust { every_commit: true, signers: Some(self.signers()), keyring: None }
    }

    fn commit(&self, parents: &[&str], key: Option<&PrivateKey>) -> String {
        let git = self.upstream.git();
        let tree = git.treebuilder(None).unwrap().write().unwrap();
        let parent = parents.first().map(|parent| Oid::from_str(parent).unwrap());
        commit(&git, "refs/heads/main", (tree, parent), key)
    }

    fn check(&self, trust: &Trust, commit: &str) -> Option<String> {
        let repository = Repository::open(&self.upstream.path()).unwrap();
        let found = trust.check(&repository, commit).unwrap()?;
        assert_eq!(found.commit, commit);
        Some(found.why)
    }

    fn since(&self, trust: &Trust, deployed: &str, head: &str) -> Option<String> {
        let repository = Repository::open(&self.upstream.path()).unwrap();
        trust.check_since(&repository, deployed, head).unwrap().map(|found| found.commit)
    }
}

#[test]
fn a_commit_counts_by_its_signature() {
    let scene = Scene::new(&allowed(1));
    let signed = scene.commit(&[], Some(&key(1)));
    let unsigned = scene.commit(&[&signed], None);
    let stranger = scene.commit(&[&signed], Some(&key(2)));
    let trust = scene.trust();
    assert_eq!(scene.check(&trust, &signed), None);
    assert_eq!(scene.check(&trust, &unsigned).unwrap(), "it is not signed");
    let why = scene.check(&trust, &stranger).unwrap();
    assert!(why.contains("SHA256:") && why.contains("not among the `signers`"), "{why}");
    // Whoever is taken out of the file may no longer deploy; and without the file nobody may.
    fs::write(scene.signers(), allowed(2)).unwrap();
    assert!(scene.check(&trust, &signed).is_some() && scene.check(&trust, &stranger).is_none());
    fs::write(scene.signers(), "nonsense").unwrap();
    assert!(scene.check(&trust, &stranger).unwrap().contains("line 1: it has no key"));
    fs::remove_file(scene.signers()).unwrap();
    assert!(scene.check(&trust, &stranger).unwrap().contains("can't be read"));
}

#[test]
fn every_commit_since_the_last_deployed_one_counts() {
    let scene = Scene::new(&allowed(1));
    let (one, two) = (key(1), key(2));
    let old = scene.commit(&[], None);
    let deployed = scene.commit(&[&old], Some(&one));
    let unsigned = scene.commit(&[&deployed], None);
    let between = scene.commit(&[&unsigned], Some(&one));
    let foreign = scene.commit(&[&deployed], Some(&two));
    let onto_foreign = scene.commit(&[&foreign], Some(&one));
    let fine = scene.commit(&[&deployed], Some(&one));
    let all = scene.trust();
    let head = Trust { every_commit: false, ..scene.trust() };
    for (commit, expected) in [
        (&fine, None),
        (&deployed, None),
        (&between, Some(unsigned.clone())),
        (&onto_foreign, Some(foreign.clone())),
    ] {
        assert_eq!(scene.since(&all, &deployed, commit), expected);
        assert_eq!(scene.since(&head, &deployed, commit), None);
    }
    // What was deployed before is not asked about again; what isn't known any more is no excuse.
    assert_eq!(scene.since(&all, &"0123456789".repeat(4), &fine), Some(old));
    // Both sides of a merge count.
    let git = scene.upstream.git();
    let read = |id: &str| git.find_commit(Oid::from_str(id).unwrap()).unwrap();
    let (left, right) = (read(&fine), read(&unsigned));
    let author = git2::Signature::now("Ada", "ada@example.org").unwrap();
    let content =
        git.commit_create_buffer(&author, &author, "merge", &left.tree().unwrap(), &[&left, &right]);
    let content = std::str::from_utf8(&content.unwrap()).unwrap().to_owned();
    let signature = one.sign("git", ssh_key::HashAlg::Sha256, content.as_bytes()).unwrap();
    let signature = signature.to_pem(ssh_key::LineEnding::LF).unwrap();
    let merge = git.commit_signed(&content, &signature, None).unwrap().to_string();
    assert_eq!(scene.check(&all, &merge), None);
    assert_eq!(scene.since(&all, &deployed, &merge), Some(unsigned));
}

/// What Git and `ssh-keygen` themselves sign is taken, so that it isn't only our own writing that is read.
#[test]
fn what_git_signs_with_ssh_is_taken() {
    let scene = Scene::new(&allowed(1));
    let path = scene.folder.path().join("key");
    fs::write(&path, key(1).to_openssh(ssh_key::LineEnding::LF).unwrap().as_bytes()).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let clone = scene.folder.path().join("clone");
    git(&scene, &["init", "-q", clone.to_str().unwrap()]);
    let signing = format!("user.signingkey={}", path.display());
    let at = ["-C", clone.to_str().unwrap(), "-c", "gpg.format=ssh", "-c", &signing];
    git(&scene, &[&at[..], &["commit", "-q", "-S", "--allow-empty", "-m", "change"]].concat());
    let repository = Repository::open(&clone).unwrap();
    let head = repository.resolve("HEAD").unwrap().id;
    assert_eq!(scene.trust().check(&repository, &head).unwrap(), None);
}

#[test]
fn what_git_signs_with_gpg_is_taken() {
    let scene = Scene::new("");
    let home = scene.folder.path().join("gnupg");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    if Command::new("gpg").arg("--version").output().is_err()
        || Command::new("gpgv").arg("--version").output().is_err()
    {
        assert!(std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none_or(|value| value != "1"), "no gpg");
        return tell("passed by without gpg and gpgv");
    }
    let gpg = |words: &[&str]| {
        let output = Command::new("gpg")
            .args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(words)
            .env("GNUPGHOME", &home)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for name in ["ada@example.org", "bob@example.org"] {
        gpg(&["--quick-generate-key", name, "ed25519", "sign", "never"]);
    }
    let keyring = scene.folder.path().join("keys.gpg");
    fs::write(&keyring, gpg(&["--export", "ada@example.org"])).unwrap();
    let clone = scene.folder.path().join("clone");
    git(&scene, &["init", "-q", clone.to_str().unwrap()]);
    let trust = Trust { every_commit: false, signers: None, keyring: Some(keyring.clone()) };
    for (signer, expected) in [("ada@example.org", None), ("bob@example.org", Some("not in the keyring"))] {
        let signing = format!("user.signingkey={signer}");
        let at = ["-C", clone.to_str().unwrap(), "-c", &signing];
        git(&scene, &[&at[..], &["commit", "-q", "-S", "--allow-empty", "-m", "change"]].concat());
        let repository = Repository::open(&clone).unwrap();
        let head = repository.resolve("HEAD").unwrap().id;
        let found = trust.check(&repository, &head).unwrap().map(|found| found.why);
        match (&found, expected) {
            (None, None) => {}
            (Some(why), Some(words)) => assert!(why.contains(words), "{why}"),
            _ => panic!("{signer}: {found:?}"),
        }
        // Its own kind of file is no substitute for the other.
        let by_ssh = Trust { keyring: None, signers: Some(scene.signers()), ..trust.clone() };
        let why = by_ssh.check(&repository, &head).unwrap().unwrap().why;
        assert!(why.contains("no `keyring` is said"), "{why}");
    }
    stop_agent(&home);
}

/// The agent that `gpg` started for this home.
fn stop_agent(home: &Path) {
    drop(Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", home).output());
}

fn git(scene: &Scene, words: &[&str]) {
    let output = Command::new("git")
        .args(words)
        .env("HOME", scene.folder.path())
        .env("GNUPGHOME", scene.folder.path().join("gnupg"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.org")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
