//! The repository on the server, and how a test gets commits into it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel::model::address::{Address, RemoteAddress};
use evenkeel::source::remote::{Access, Mirror, Mirrors, Network, RemoteError, Updated, Wanted};
use git2::{Oid, Repository, RepositoryInitOptions, Signature};
use ssh_key::private::{Ed25519Keypair, PrivateKey};
use ssh_key::{HashAlg, LineEnding};
use tempfile::TempDir;

/// A folder with the repository of a server, `shop.git`, and the mirrors of a host.
pub struct Upstream {
    pub folder: TempDir,
}

impl Upstream {
    pub fn new() -> Self {
        let upstream = Self { folder: tempfile::tempdir().unwrap() };
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main").external_template(false);
        Repository::init_opts(upstream.path(), &options).unwrap();
        upstream
    }

    /// The repository on the server.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("shop.git")
    }

    pub fn git(&self) -> Repository {
        Repository::open(self.path()).unwrap()
    }

    /// Where the mirrors of the host are.
    pub fn mirrors_folder(&self) -> PathBuf {
        self.folder.path().join("state/repositories")
    }

    /// A commit of one file on top of the branch.
    pub fn commit(&self, text: &str) -> String {
        let head = self.git().refname_to_id("refs/heads/main").ok();
        self.commit_on("refs/heads/main", text, head)
    }

    /// A commit of one file on top of `parent`, to which `reference` is moved.
    pub fn commit_on(&self, reference: &str, text: &str, parent: Option<Oid>) -> String {
        let git = self.git();
        let mut tree = git.treebuilder(None).unwrap();
        tree.insert("web.yaml", git.blob(text.as_bytes()).unwrap(), 0o100_644).unwrap();
        let tree = tree.write().unwrap();
        commit(&git, reference, (tree, parent), None)
    }

    /// A network with the usual limits.
    pub fn network(&self) -> Network {
        Network::new(self.mirrors_folder())
    }

    /// The files below the folder of mirrors, without the objects of Git itself.
    pub fn litter(&self) -> BTreeSet<String> {
        let mut litter = BTreeSet::new();
        let mut folders = vec![self.mirrors_folder()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let is_whole = ["idx", "pack"].iter().all(|ending| path.with_extension(ending).is_file());
                let is_litter = name.starts_with(".passing")
                    || path.extension().is_some_and(|ending| ending == "lock")
                    || path.parent().unwrap().ends_with("pack") && !is_whole;
                if is_litter {
                    litter.insert(path.display().to_string());
                }
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        litter
    }
}

/// Commits a tree, signed by a key if there is one.
pub fn commit(
    git: &Repository,
    reference: &str,
    (tree, parent): (Oid, Option<Oid>),
    key: Option<&PrivateKey>,
) -> String {
    let author = Signature::now("Ada", "ada@example.org").unwrap();
    let parent = parent.map(|parent| git.find_commit(parent).unwrap());
    let tree = git.find_tree(tree).unwrap();
    let parents = parent.as_ref();
    let id = match key {
        None => git.commit(None, &author, &author, "change", &tree, parents.as_slice()).unwrap(),
        Some(key) => {
            let content =
                git.commit_create_buffer(&author, &author, "change", &tree, parents.as_slice()).unwrap();
            let content = std::str::from_utf8(&content).unwrap().to_owned();
            let signature = key.sign("git", HashAlg::Sha512, content.as_bytes()).unwrap();
            git.commit_signed(&content, &signature.to_pem(LineEnding::LF).unwrap(), None).unwrap()
        }
    };
    git.reference(reference, id, true, "test").unwrap();
    id.to_string()
}

/// A key that is the same each time.
pub fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// A line of `allowed_signers` for it.
pub fn allowed(seed: u8) -> String {
    format!("ada@example.org namespaces=\"git\" {}\n", key(seed).public_key().to_openssh().unwrap())
}

pub fn address(text: &str) -> RemoteAddress {
    match text.parse() {
        Ok(Address::Remote(address)) => address,
        other => panic!("{text}: {other:?}"),
    }
}

/// The mirror of an address, in a process that has just started.
pub fn mirror(network: Network, address: &str) -> Arc<Mirror> {
    Mirrors::open(network).unwrap().of(&self::address(address))
}

pub fn main() -> Wanted {
    Wanted::Branch("main".to_owned())
}

/// Updates the mirror and says which commit it has then.
pub async fn updated(mirror: &Arc<Mirror>, access: &Access) -> Result<(Updated, String), RemoteError> {
    let updated = mirror.update(&main(), access).await?;
    Ok((updated, newest(mirror, &main())))
}

pub fn newest(mirror: &Mirror, wanted: &Wanted) -> String {
    mirror.open().unwrap().newest(wanted).unwrap()
}

/// What a commit's file says, read from the mirror.
pub fn content(mirror: &Mirror, commit: &str) -> String {
    use evenkeel::model::tree::FileTree;
    let tree = mirror.open().unwrap().commit_tree(commit).unwrap();
    String::from_utf8(tree.read(&"web.yaml".parse().unwrap()).unwrap().bytes).unwrap()
}

/// The files of a folder, with all below it.
pub fn size(folder: &Path) -> u64 {
    let mut total = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        total += if about.is_dir() { size(&entry.path()) } else { about.len() };
    }
    total
}
