//! What whoever may push could put into a repository, fetched from a server: each with the answer that it gets. Nothing is
//! ever checked out, so that most of it has nothing to work on.

use std::collections::BTreeMap;
use std::fs;

use evenkeel::manifest::{self, Input, MissingVariables, Request};
use evenkeel::model::desired::Revision;
use evenkeel::source::remote::Access;
use git2::Oid;

use super::forge::Forge;
use super::upstream::{Upstream, commit, mirror, updated};

const FILE: i32 = 0o100_644;
const FOLDER: i32 = 0o040_000;
const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;

/// What lies at a path of a hostile tree.
enum Thing<'t> {
    Text(&'t str),
    Link(&'t str),
    Submodule,
}

/// What it is called, what lies there, and what is said of it.
type Case<'t> = (&'t str, &'t [(&'t str, Thing<'t>)], Option<&'t str>);

/// Makes a tree of a good repository with these things in it.
fn tree(upstream: &Upstream, things: &[(&str, Thing<'_>)]) -> Oid {
    let git = upstream.git();
    let blob = |text: &str| git.blob(text.as_bytes()).unwrap();
    let mut files = BTreeMap::from([
        ("evenkeel.yaml".to_owned(), (blob("project: shop\ntiers: [apps]\n"), FILE)),
        ("environments/dev/environment.yaml".to_owned(), (blob("variables: {}\n"), FILE)),
        ("manifests/apps/web.yaml".to_owned(), (blob("services: {web: {image: 'app:1'}}\n"), FILE)),
    ]);
    for (path, thing) in things {
        let entry = match thing {
            Thing::Text(text) => (blob(text), FILE),
            Thing::Link(target) => (blob(target), LINK),
            Thing::Submodule => (Oid::from_str(&"1".repeat(40)).unwrap(), SUBMODULE),
        };
        // A link or a submodule has nothing below it.
        files.retain(|known, _| !known.starts_with(&format!("{path}/")));
        files.insert((*path).to_owned(), entry);
    }
    folder(&git, &files)
}

/// Git's own commands and libgit2's index refuse some names; whoever is hostile writes objects by hand.
fn folder(git: &git2::Repository, files: &BTreeMap<String, (Oid, i32)>) -> Oid {
    let mut entries: BTreeMap<String, (Oid, i32)> = BTreeMap::new();
    let mut below: BTreeMap<String, BTreeMap<String, (Oid, i32)>> = BTreeMap::new();
    for (path, entry) in files {
        match path.split_once('/') {
            None => {
                entries.insert(path.clone(), *entry);
            }
            Some((folder, rest)) => {
                below.entry(folder.to_owned()).or_default().insert(rest.to_owned(), *entry);
            }
        }
    }
    entries.extend(below.into_iter().map(|(name, files)| (name, (folder(git, &files), FOLDER))));
    let mut sorted: Vec<_> = entries.into_iter().collect();
    // Git sorts a folder as if its name ended with a slash.
    sorted.sort_by_key(|(name, (_, mode))| if *mode == FOLDER { format!("{name}/") } else { name.clone() });
    let mut bytes = Vec::new();
    for (name, (id, mode)) in sorted {
        bytes.extend(format!("{mode:o} {name}\0").into_bytes());
        bytes.extend(id.as_bytes());
    }
    git.odb().unwrap().write(git2::ObjectType::Tree, &bytes).unwrap()
}

#[tokio::test]
async fn hostile_content_gets_its_answer_and_runs_nothing() {
    let upstream = Upstream::new();
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    let canary = upstream.folder.path().join("canary");
    let evil = format!("#!/bin/sh\ntouch {}\n", canary.display());
    let filter = format!("[filter \"evil\"]\n\tsmudge = touch {0}\n\tclean = touch {0}\n", canary.display());
    let modules = "[submodule \"m\"]\n\tpath = manifests/apps/m\n\turl = ext::sh -c touch%20canary\n";
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let web = "manifests/apps/web.yaml";
    let cases: [Case<'_>; 8] = [
        ("a link to a secret file", &[(web, Thing::Link("/etc/shadow"))], Some("a link, a submodule")),
        (
            "links in a circle",
            &[("manifests/apps", Thing::Link("../manifests"))],
            Some("a link, a submodule"),
        ),
        (
            "a submodule in the place of manifests",
            &[("manifests/apps", Thing::Submodule), (".gitmodules", Thing::Text(modules))],
            Some("a link, a submodule"),
        ),
        ("a pointer of Git LFS", &[(web, Thing::Text(pointer))], Some("Git LFS pointer")),
        (
            "filters and hooks",
            &[
                (".gitattributes", Thing::Text("* filter=evil\n")),
                ("hooks/post-checkout", Thing::Text(&evil)),
                ("hooks/reference-transaction", Thing::Text(&evil)),
                ("config", Thing::Text(&filter)),
            ],
            None,
        ),
        (
            "settings of Git",
            &[(".git/config", Thing::Text(&filter)), (".GIT/config", Thing::Text(&filter))],
            None,
        ),
        (
            "names that differ by case only",
            &[("manifests/apps/WEB.yaml", Thing::Text("services: {web: {image: 'app:2'}}\n"))],
            Some("web"),
        ),
        ("nothing", &[], None),
    ];
    for (what, things, expected) in cases {
        let whole = tree(&upstream, things);
        let head = upstream.git().refname_to_id("refs/heads/main").ok();
        commit(&upstream.git(), "refs/heads/main", (whole, head), None);
        let (_, commit) =
            updated(&mirror, &Access::Anonymous).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        let opened = mirror.open().unwrap();
        let files = opened.commit_tree(&commit).unwrap();
        let request = Request {
            tree: &files,
            input: Input::Repository { environment: "dev".parse().unwrap() },
            host_variables: &BTreeMap::new(),
            missing: MissingVariables::Refuse,
            revision: Revision::Commit(commit),
        };
        let told = manifest::resolve(&request).err().map(|report| report.render(false));
        match (&told, expected) {
            (None, None) => {}
            (Some(told), Some(words)) => {
                assert!(told.contains(words) && !told.contains("root:"), "{what}: {told}");
            }
            _ => panic!("{what}: {told:?}, not {expected:?}"),
        }
        assert!(!canary.exists(), "{what}");
    }
}

#[tokio::test]
async fn a_commit_with_a_huge_message_is_refused() {
    let upstream = Upstream::new();
    let good = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    updated(&mirror, &Access::Anonymous).await.unwrap();
    let git = upstream.git();
    let parent = git.find_commit(Oid::from_str(&good).unwrap()).unwrap();
    let author = git2::Signature::now("Ada", "ada@example.org").unwrap();
    let message = "x".repeat(2 << 20);
    let tree = parent.tree().unwrap();
    let id = git.commit(Some("refs/heads/main"), &author, &author, &message, &tree, &[&parent]).unwrap();
    // It is fetched, for nobody knows before; and then not read.
    let told = updated(&mirror, &Access::Anonymous).await;
    assert!(told.is_ok(), "{told:?}");
    let told = mirror.open().unwrap().resolve(&id.to_string()).unwrap_err().to_string();
    assert!(told.contains("bytes of text; at most 1048576 are read"), "{told}");
    assert!(mirror.open().unwrap().resolve(&good).is_ok());
}

#[tokio::test]
async fn nothing_of_the_hosts_own_settings_gets_into_a_mirror() {
    let upstream = Upstream::new();
    upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    updated(&mirror, &Access::Anonymous).await.unwrap();
    // At most a text that says what the folder is for.
    for entry in fs::read_dir(mirror.path().join("hooks")).into_iter().flatten() {
        assert_eq!(entry.unwrap().file_name(), "README.sample");
    }
    let config = fs::read_to_string(mirror.path().join("config")).unwrap();
    assert!(!config.contains("remote") && !config.contains(&forge.base), "{config}");
}
