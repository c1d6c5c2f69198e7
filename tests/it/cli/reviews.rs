//! `plan --against`, which needs neither Docker nor secrets, and what goes wrong with kept plans before Docker is asked.

use git2::{Repository, Signature, Time};
use serde_json::Value;

use super::{Place, Transcript};

const MANIFEST: &str = "\
services:
  web:
    image: nginx:1.27
    environment:
      LEVEL: ${LEVEL:-info}
      KEY: ${API_KEY:?}
      TOKEN: ${UNDECLARED:?}
    ports: [\"${PORT}:80\"]
";

fn shop() -> Place {
    let place = Place::with_repository(
        MANIFEST,
        &[
            ("dev", "variables: {API_KEY: {from: host}, PORT: {from: host}}\n"),
            ("prod", "variables: {API_KEY: {from: host}, LEVEL: warning, PORT: 80}\n"),
        ],
    );
    commit(&place, "first");
    place
}

/// Commits everything; the same files have the same id, always.
fn commit(place: &Place, message: &str) {
    let git = Repository::open(place.path()).unwrap_or_else(|_| {
        let mut options = git2::RepositoryInitOptions::new();
        Repository::init_opts(place.path(), options.initial_head("main").external_template(false)).unwrap()
    });
    let mut index = git.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    index.update_all(["*"], None).unwrap();
    index.write().unwrap();
    let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
    let ada = Signature::new("Ada", "ada@example.org", &Time::new(1_000_000_000, 0)).unwrap();
    let parent = git.head().ok().map(|head| head.peel_to_commit().unwrap());
    git.commit(Some("HEAD"), &ada, &ada, message, &tree, parent.as_ref().as_slice()).unwrap();
}

#[track_caller]
fn ended(transcript: &Transcript, status: i32) -> String {
    assert_eq!(transcript.status, Some(status), "{transcript}");
    transcript.to_string()
}

#[test]
fn two_revisions_are_compared_in_every_environment() {
    let place = shop();
    place.write("manifests/apps/shop.yaml", &MANIFEST.replace("1.27", "1.29").replace(":-info", ":-debug"));
    let before = place.files();
    insta::assert_snapshot!(ended(&place.run("plan --against HEAD"), 0));
    insta::assert_snapshot!(ended(&place.run("plan --against HEAD --format markdown"), 0));
    let json: Value =
        serde_json::from_str(&place.run("--json plan --against HEAD --env prod").stdout).unwrap();
    assert_eq!((&json["version"], &json["environments"][0]["replace"]), (&1.into(), &1.into()));
    assert_eq!(json["environments"][0]["plan"]["changes"][0]["fields"][0]["before"], "nginx:1.27");
    ended(&place.run("plan --against HEAD --detailed-exitcode"), 2);
    assert_eq!(place.files(), before, "something was written");
}

#[test]
fn what_only_a_host_knows_is_named_and_never_claimed() {
    const KNOWN: &str = "\
services:
  web:
    image: nginx:1.27
    environment: [HOME_TOWN=here]
    ports: [\"8080:80\"]
  pinned:
    image: redis@${DIGEST}
";
    let place =
        Place::with_repository(KNOWN, &[("dev", "variables: {DIGEST: {from: host}, PORT: {from: host}}\n")]);
    commit(&place, "first");
    place.write(
        "manifests/apps/shop.yaml",
        &KNOWN
            .replace("8080", "${PORT}")
            .replace("=here", "")
            .replace("  pinned:", "  pinned:\n    restart: always"),
    );
    insta::assert_snapshot!(ended(&place.run("plan --against HEAD"), 0));
}

#[test]
fn the_variables_of_the_process_count_for_nothing() {
    let place = shop();
    let plain = place.run("plan --against HEAD --full").stdout;
    let mut command = place.command(std::path::Path::new(env!("CARGO_BIN_EXE_evenkeel")));
    command.envs([("API_KEY", "hunter2"), ("UNDECLARED", "x"), ("PORT", "17"), ("LEVEL", "trace")]);
    let with = place.finish("", command.args(["plan", "--against", "HEAD", "--full"])).stdout;
    assert_eq!(with, plain);
    assert!(with.contains("2 unchanged") || with.contains("1 unchanged"), "{with}");
}

#[test]
fn a_wrong_head_is_the_result_and_a_wrong_base_is_said() {
    let place = shop();
    place.write("manifests/apps/shop.yaml", &MANIFEST.replace("image", "imago"));
    insta::assert_snapshot!(ended(&place.run("plan --against HEAD --format markdown"), 1));
    commit(&place, "broken");
    place.write("manifests/apps/shop.yaml", MANIFEST);
    insta::assert_snapshot!(ended(&place.run("plan --against HEAD --env prod"), 0));
}

#[test]
fn an_environment_that_is_new_or_dropped_is_said_to_be() {
    let place = shop();
    std::fs::remove_dir_all(place.path().join("environments/dev")).unwrap();
    place.write("environments/test/environment.yaml", "variables: {API_KEY: {from: host}, PORT: 1}\n");
    let text = ended(&place.run("plan --against HEAD --format markdown"), 0);
    assert!(
        text.contains("no longer there; what runs stays") && text.contains("the environment is new"),
        "{text}"
    );
}

#[test]
fn what_can_not_be_compared_is_refused() {
    let place = shop();
    place.write("live.json", "{}");
    for (words, says) in [
        ("plan --against nowhere", "fetch-depth: 0"),
        ("plan --against HEAD --env test", "environments here: dev, prod"),
        ("-f manifests/apps/shop.yaml plan --against HEAD", "lay one out from the file"),
        ("plan --against HEAD --live live.json", "evenkeel observe"),
        ("plan --live live.json", "--against"),
        ("plan --against HEAD --out x", "cannot be used with"),
        ("apply live.json", "this is no saved plan of Evenkeel"),
        ("apply nothing.plan", "can't be read"),
    ] {
        let transcript = place.run(words);
        let text = ended(&transcript, 1);
        assert!(text.contains(says) && transcript.stdout.is_empty(), "{text}");
    }
}

#[test]
fn a_base_that_went_on_is_said_to() {
    let place = shop();
    commit(&place, "second");
    let git = Repository::open(place.path()).unwrap();
    let first = git.head().unwrap().peel_to_commit().unwrap().parent(0).unwrap();
    git.branch("old", &first, false).unwrap();
    let text = place.run("plan --rev old --against main").stdout;
    assert!(text.contains("`main` has commits that this revision doesn't have"), "{text}");
    assert!(!place.run("plan --rev main --against old").stdout.contains("has commits"));
}
