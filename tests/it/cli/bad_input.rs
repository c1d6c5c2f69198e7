//! What goes wrong before any Docker is asked: each says what, where, why and what to do, and changes nothing.

use super::Place;

/// The transcript of `-f compose.yaml apply --yes`, which must have changed nothing.
#[track_caller]
fn refused(compose: &str) -> String {
    let place = Place::with_compose(compose);
    let transcript = place.run("-f compose.yaml apply --yes");
    assert_eq!(transcript.status, Some(1), "{transcript}");
    assert_eq!(transcript.stdout, "");
    assert_eq!(place.files(), ["compose.yaml"], "something was written");
    transcript.to_string()
}

#[test]
fn wrong_yaml() {
    insta::assert_snapshot!(refused("services:\n  web:\n    image: [nginx\n"));
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(refused("services:\n  web:\n    image: nginx\n    prots: [\"80:80\"]\n"));
}

#[test]
fn a_missing_variable() {
    insta::assert_snapshot!(refused(
        "services:\n  web:\n    image: nginx\n    environment:\n      KEY: ${API_KEY:?}\n"
    ));
}

#[test]
fn a_cycle() {
    insta::assert_snapshot!(refused(
        "services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: x\n    depends_on: [a]\n"
    ));
}

#[test]
fn two_services_on_one_port_of_the_host() {
    insta::assert_snapshot!(refused(
        "services:\n  a:\n    image: x\n    ports: [\"8080:80\"]\n  b:\n    image: x\n    ports: [\"8080:81\"]\n"
    ));
}

#[test]
fn a_file_without_services() {
    insta::assert_snapshot!(refused("services: {}\n"));
}

#[test]
fn files_that_cant_be_read() {
    let place = Place::with_compose(
        "include: [other.yaml]\nservices:\n  web:\n    image: nginx\n    env_file: gone.env\n    configs: [pointer, \
         gone]\n    secrets: [link, folder]\n  more:\n    extends: {file: gone.yaml, service: web}\nconfigs:\n  \
         pointer: {file: pointer}\n  gone: {file: gone}\nsecrets:\n  link: {file: link}\n  folder: {file: .}\n",
    );
    place.write("pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    std::os::unix::fs::symlink("/etc/hostname", place.path().join("link")).unwrap();
    let composed = place.run("-f compose.yaml validate").to_string();
    place.write("other.yaml", "services: {}\n");
    place.write("gone.yaml", "services: {web: {image: nginx}}\n");
    place.write("gone.env", "");
    let transcript = format!("{composed}\n{}", place.run("-f compose.yaml validate"));
    // The tree is the host's, from its root: no message tells a path as if that were a folder of somebody.
    assert!(!transcript.contains("`tmp/"), "{transcript}");
    insta::assert_snapshot!(transcript);
}

#[test]
fn an_unknown_tier() {
    let place = Place::with_repository("services: {}\n", &[("dev", "")]);
    place.write("manifests/backend/api.yaml", "services:\n  api:\n    image: x\n");
    let transcript = place.run("--env dev plan");
    assert_eq!(transcript.status, Some(1));
    insta::assert_snapshot!(transcript);
}

#[test]
fn a_file_that_is_not_there() {
    insta::assert_snapshot!(Place::new().run("-f compose.yaml plan"));
}

#[test]
fn a_repository_that_is_not_there() {
    insta::assert_snapshot!(Place::new().run("--repo nowhere plan"));
}

#[test]
fn a_folder_that_is_no_repository() {
    insta::assert_snapshot!(Place::new().run("plan"));
}

#[test]
fn a_repository_without_manifests_removes_nothing() {
    let place = Place::new();
    place.write("evenkeel.yaml", "project: shop\n");
    place.write("environments/dev/environment.yaml", "");
    insta::assert_snapshot!(place.run("--env dev apply --yes"));
}

#[test]
fn a_repository_without_commits() {
    let place = Place::new();
    git2::Repository::init_bare(place.path().join("shop.git")).unwrap();
    insta::assert_snapshot!(place.run("--repo shop.git --env dev plan"));
}

#[test]
fn a_revision_that_is_not_there() {
    let place = Place::with_repository("services: {web: {image: nginx}}\n", &[("dev", "")]);
    let git = git2::Repository::init(place.path()).unwrap();
    let mut index = git.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
    let author = git2::Signature::now("Test", "test@example.org").unwrap();
    git.commit(Some("refs/heads/main"), &author, &author, "Begin", &tree, &[]).unwrap();
    insta::assert_snapshot!(place.run("--env dev --rev v2 plan"));
}

#[test]
fn an_environment_that_is_not_chosen_or_not_there() {
    let place = Place::with_repository("services: {web: {image: nginx}}\n", &[("dev", ""), ("prod", "")]);
    let transcripts = ["plan", "--env stagging plan", "--env dev -f manifests/apps/shop.yaml plan"];
    insta::assert_snapshot!(transcripts.map(|words| place.run(words).to_string()).join("\n\n"));
}

#[test]
fn a_rollback_of_files() {
    let place = Place::with_compose("services: {web: {image: nginx}}\n");
    insta::assert_snapshot!(place.run("-f compose.yaml rollback"));
}

#[test]
fn a_secret_of_the_host_is_in_no_error() {
    let place =
        Place::with_compose("services:\n  web:\n    image: \"nginx:${TAG}\"\n    ports: [\"${PORT}:80\"]\n");
    let mut command = place.command(env!("CARGO_BIN_EXE_evenkeel").as_ref());
    command.env("TAG", "s3cret value").env("PORT", "s3cret-port");
    let transcript = place.finish("-f compose.yaml plan", command.args(["-f", "compose.yaml", "plan"]));
    assert_eq!(transcript.status, Some(1));
    assert!(!transcript.to_string().contains("s3cret"), "{transcript}");
}

#[test]
fn a_file_to_be_written_that_is_there() {
    let place = Place::with_compose("services: {web: {image: x}}\n");
    for (words, expected) in [
        ("adopt --write compose.yaml web", "compose.yaml is there already"),
        ("-f compose.yaml adopt --write other.yaml web", "--write reads no manifests"),
        ("adopt --write other.yaml --dry-run web", "cannot be used with"),
        ("adopt --force web", "--write"),
        ("adopt --write other.yaml -p Bad! web", "the stack can't be called that"),
    ] {
        let transcript = place.run(words);
        assert_ne!(transcript.status, Some(0), "{transcript}");
        assert!(transcript.to_string().contains(expected), "{transcript}");
        assert_eq!(place.files(), ["compose.yaml"], "something was written");
    }
}
