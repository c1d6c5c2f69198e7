//! `evenkeel doctor` as a user meets it: on a host without Docker, with files that are wrong, and on real Docker.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use serde_json::Value as Json;

use crate::cli::{Place, Transcript};
use crate::common::docker::{docker, host};
use crate::common::names::unique_stack;

fn json(transcript: &Transcript) -> Json {
    serde_json::from_str(&transcript.stdout).unwrap_or_else(|error| panic!("{error}: {transcript}"))
}

/// What was found by a check: its verdict, what it says and the rest.
fn found<'a>(json: &'a Json, check: &str) -> Vec<&'a Json> {
    json["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check).collect()
}

#[track_caller]
fn only<'a>(json: &'a Json, check: &str) -> (&'a str, &'a str) {
    let all = found(json, check);
    let [one] = all.as_slice() else { panic!("{check}: {json:#}") };
    (one["verdict"].as_str().unwrap(), one["what"].as_str().unwrap())
}

fn only_for_me(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
}

/// A repository with these files in one commit, or without any commit.
fn repository(place: &Place, name: &str, files: &[(&str, &str)]) {
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main").external_template(false);
    let git = Repository::init_opts(place.path().join(name), &options).unwrap();
    for (path, text) in files {
        place.write(&format!("{name}/{path}"), text);
    }
    if files.is_empty() {
        return;
    }
    let mut index = git.index().unwrap();
    index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
    let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
    let author = Signature::now("Ada", "ada@example.org").unwrap();
    git.commit(Some("HEAD"), &author, &author, "one", &tree, &[]).unwrap();
}

#[test]
fn a_host_without_docker_is_told_so_and_nothing_is_made() {
    let place = Place::new();
    only_for_me(place.path());
    repository(
        &place,
        "shop",
        &[
            ("evenkeel.yaml", "project: shop\ntiers: [apps]\n"),
            ("manifests/apps/web.yaml", "services: {web: {image: nginx}}\n"),
            ("environments/prod/environment.yaml", "hosts: [web-1]\n"),
        ],
    );
    repository(&place, "empty", &[]);
    let folder = place.path().display();
    let text = format!(
        "host: web-1\nfollow:\n- {{repository: {folder}/shop, environment: prod}}\n\
         - {{repository: {folder}/shop, environment: dev}}\n- {{repository: {folder}/empty}}\n\
         - {{repository: {folder}/nowhere}}\n"
    );
    place.write("agent.yaml", &text);
    let transcript = place.run("doctor --config agent.yaml --json");
    assert_eq!(transcript.status, Some(1), "{transcript}");
    let told = json(&transcript);
    assert_eq!(told["verdict"], "failed");
    assert_eq!(only(&told, "agent.yaml").0, "ok");
    let (verdict, what) = only(&told, "docker");
    assert_eq!((verdict, what), ("failed", "Docker can't be reached"));
    assert!(found(&told, "docker")[0]["hint"].as_str().unwrap().contains("systemctl start docker"));
    assert!(only(&told, "state").1.contains("not there yet"));
    let repositories = found(&told, "repository");
    let verdicts: Vec<_> = repositories.iter().map(|finding| finding["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["ok", "ok", "warning", "failed"], "{told:#}");
    let (verdict, what) = only(&told, "manifests");
    assert_eq!((verdict, what), ("failed", "there is no environment `dev`"));
    assert!(found(&told, "host").is_empty(), "it is for this host: {told:#}");
    assert!(!place.path().join("state").exists());

    let transcript = place.run("doctor --config agent.yaml --host web-2");
    assert!(transcript.stdout.contains("is not for this host"), "{transcript}");
    assert!(transcript.stdout.contains("failed   docker"), "{transcript}");
}

#[test]
fn a_wrong_file_is_told_by_line_and_without_its_lines() {
    let place = Place::new();
    only_for_me(place.path());
    place.write("agent.yaml", "follow:\n- {repository: /srv/a.git, token: hunter2}\n");
    let transcript = place.run("doctor --config agent.yaml");
    assert_eq!(transcript.status, Some(1));
    assert!(transcript.stdout.contains("agent.yaml:2:28"), "{transcript}");
    assert!(!transcript.to_string().contains("hunter2"), "{transcript}");

    place.write("agent.yaml", "follow: [{repository: /srv/a.git}]\n");
    fs::set_permissions(place.path().join("agent.yaml"), Permissions::from_mode(0o666)).unwrap();
    let told = json(&place.run("doctor --config agent.yaml --json"));
    let (verdict, what) = only(&told, "agent.yaml");
    assert!(verdict == "failed" && what.contains("others may write"), "{told:#}");

    let told = json(&place.run("doctor --config nowhere.yaml --json"));
    let (verdict, what) = only(&told, "agent.yaml");
    assert!(verdict == "failed" && what.contains("can't be read"), "{told:#}");
}

#[test]
fn a_state_folder_that_others_may_look_into_is_a_failure() {
    let place = Place::new();
    fs::create_dir(place.path().join("state")).unwrap();
    fs::set_permissions(place.path().join("state"), Permissions::from_mode(0o755)).unwrap();
    let told = json(&place.run("--repo . doctor --json"));
    let (verdict, what) = only(&told, "state");
    assert!(verdict == "failed" && what.contains("its mode is 0755"), "{told:#}");
    only_for_me(&place.path().join("state"));
    assert_eq!(only(&json(&place.run("doctor --json")), "state").0, "ok");
    assert_eq!(place.files(), Vec::<String>::new(), "what is made is removed");
}

#[test]
fn files_are_nothing_for_a_doctor() {
    let transcript = Place::with_compose("services: {}").run("-f compose.yaml doctor");
    assert_eq!(transcript.status, Some(1));
    assert!(transcript.stderr.contains("validate"), "{transcript}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_real_docker_a_port_that_somebody_holds_is_found() {
    if docker().await.is_none() {
        return;
    }
    let place = Place::new();
    only_for_me(place.path());
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let web = format!("services: {{web: {{image: nginx, ports: [\"127.0.0.1:{port}:80\"]}}}}\n");
    repository(
        &place,
        "shop",
        &[
            ("evenkeel.yaml", "project: shop\ntiers: [apps]\n"),
            ("manifests/apps/web.yaml", &web),
            ("environments/prod/environment.yaml", &format!("stack: {}\n", unique_stack())),
        ],
    );
    let socket = host().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    let words = format!("--docker {socket} --repo shop --env prod doctor --json");
    let told = json(&place.run(&words));
    let docker = found(&told, "docker");
    assert!(docker[0]["what"].as_str().unwrap().starts_with("Docker "), "{told:#}");
    for check in ["live-restore", "log-limit", "userns", "clock", "rivals", "state-disk", "docker-disk"] {
        assert!(!found(&told, check).is_empty(), "no {check}: {told:#}");
    }
    assert_eq!(only(&told, "clock").0, "ok", "{told:#}");
    let (verdict, what) = only(&told, "ports");
    assert!(verdict == "failed" && what.contains(&port.to_string()), "{told:#}");
    drop(holder);
    assert_eq!(only(&json(&place.run(&words)), "ports").0, "ok");
}
