//! What is installed: the unit of systemd, completions, man pages, the container image, the Debian package; and that an
//! upgrade of the agent leaves every container alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::cli::Place;
use crate::common::docker::{docker, tell};

mod install;
mod upgrade;

const PROGRAM: &str = env!("CARGO_BIN_EXE_evenkeel");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn packaged(name: &str) -> String {
    fs::read_to_string(root().join("packaging").join(name)).unwrap()
}

/// Whether there is no such program; then it is told, unless all must be there.
fn is_missing(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        let must = std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_some_and(|value| value == "1");
        assert!(!must, "there is no {program}");
        tell(&format!("passed by without {program}"));
    }
    !found
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What the unit says of a key, the last time.
fn said<'u>(unit: &'u str, key: &str) -> Option<&'u str> {
    unit.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn the_unit_is_right_and_hardened() {
    let unit = packaged("evenkeel.service");
    assert_eq!(said(&unit, "Type"), Some("notify"));
    assert_eq!(said(&unit, "StateDirectoryMode"), Some("0700"));
    let config = said(&unit, "ConditionPathExists").unwrap();
    assert_eq!(said(&unit, "ExecStart").unwrap(), format!("/usr/bin/evenkeel run --config {config}"));
    if is_missing("systemd-analyze") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("evenkeel.service");
    // It looks whether the program is there.
    fs::write(&path, unit.replace("/usr/bin/evenkeel", PROGRAM)).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let complaints = String::from_utf8_lossy(&verified.stderr);
    let complaints: Vec<_> = complaints.lines().filter(|line| line.contains("evenkeel.service")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=25", "--no-pager"])
        .arg(&path)
        .output()
        .unwrap();
    succeeded(&security);
}

#[test]
fn completions_are_there_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let transcript = place.run(&format!("completions {shell}"));
        assert_eq!(transcript.status, Some(0), "{transcript}");
        for word in ["rollback", "doctor", "detailed-exitcode"] {
            assert!(transcript.stdout.contains(word), "{shell} has no `{word}`");
        }
    }
    place.write("bash", &place.run("completions bash").stdout);
    succeeded(&Command::new("bash").arg("-n").arg(place.path().join("bash")).output().unwrap());
    assert_eq!(place.run("completions csh").status, Some(1));
}

#[test]
fn every_command_has_a_man_page() {
    let place = Place::new();
    let transcript = place.run("man --out pages/man1");
    assert_eq!(transcript.status, Some(0), "{transcript}");
    let mut pages = place.files();
    for command in ["", "-plan", "-apply", "-run", "-doctor", "-completions", "-rollback"] {
        let page = format!("pages/man1/evenkeel{command}.1");
        let text = place.read(&page);
        assert!(text.contains(".TH evenkeel"), "{page}: {text}");
        pages.retain(|known| *known != page);
    }
    assert!(!pages.iter().any(|page| page.contains("-man.")), "a hidden command has a page: {pages:?}");
}

#[test]
fn the_container_has_its_folders_where_the_host_has_them() {
    let place = Place::new();
    place.write("compose.yaml", &packaged("compose.yaml"));
    let transcript = place.run("-f compose.yaml validate");
    assert_eq!(transcript.status, Some(0), "{transcript}");
    let compose: serde_json::Value = serde_yaml::from_str(&packaged("compose.yaml")).unwrap();
    let agent = &compose["services"]["agent"];
    let mounts = agent["volumes"].as_array().unwrap();
    for mount in mounts.iter().map(|mount| mount.as_str().unwrap()) {
        let parts: Vec<_> = mount.split(':').collect();
        assert_eq!(parts[0], parts[1], "{mount}");
    }
    let version = format!("evenkeel:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(agent["image"], version.as_str(), "the image of this version");
    let command: Vec<_> =
        agent["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(
        packaged("Dockerfile").contains(&format!("CMD {}", serde_json::json!(command)).replace(',', ", "))
    );
}

/// Runs `packaging/build` with the program of this test, so that nothing is compiled.
fn build(program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(root().join("packaging/build"));
    // The plain builder needs no further program.
    command.args(arguments).env("EVENKEEL_PROGRAM", program).env("DOCKER_BUILDKIT", "0");
    command.output().unwrap()
}

/// The files that the Debian package is made of, as Cargo.toml names them.
fn assets() -> Vec<(String, String)> {
    let cargo = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, list) = cargo.split_once("\nassets = [\n").unwrap();
    let (list, _) = list.split_once("\n]").unwrap();
    let words = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    list.lines().map(words).map(|words| (words[0].clone(), words[1].clone())).collect()
}

/// All of it in one test: they write into the same folder.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_installed_is_made() {
    // With its symbols it has ten times the size, and takes that much longer to pack.
    let temp = tempfile::tempdir().unwrap();
    let program = temp.path().join("evenkeel");
    succeeded(&Command::new("strip").arg("-o").arg(&program).arg(PROGRAM).output().unwrap());
    succeeded(&build(&program, &[]));
    for (asset, _) in assets() {
        let path = root().join(asset.trim_end_matches('*'));
        let is_there = if asset.ends_with('*') {
            fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some())
        } else {
            path.is_file()
        };
        assert!(is_there, "{asset} is not there");
    }
    let wrong = build(&program, &["rpm"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("packaging/build deb"));
    if docker().await.is_some() && !is_missing("docker") {
        image(&program);
    }
    debian(&program);
}

/// The image: the program and nothing else.
fn image(program: &Path) {
    succeeded(&build(program, &["image"]));
    let name = format!("evenkeel:{}", env!("CARGO_PKG_VERSION"));
    let format = "{{json .Config.Entrypoint}} {{json .Config.Cmd}} {{len .RootFS.Layers}}";
    let inspect =
        Command::new("docker").args(["image", "inspect", &name, "--format", format]).output().unwrap();
    let removed = Command::new("docker").args(["image", "rm", &name]).output().unwrap();
    assert_eq!(
        succeeded(&inspect).trim(),
        r#"["/usr/bin/evenkeel"] ["run","--config","/etc/evenkeel/agent.yaml"] 1"#
    );
    succeeded(&removed);
}

/// The Debian package, where `cargo deb` is installed: its files, and that nothing is enabled or started.
fn debian(program: &Path) {
    // Not asked for by the gate: to compile it takes longer than all other tools together.
    if Command::new("cargo-deb").arg("--version").output().is_err() {
        return tell("passed by without cargo-deb: no Debian package is made");
    }
    let made = succeeded(&build(program, &["deb", "--fast"]));
    let package = made.lines().last().unwrap().trim().to_owned();
    let list = Command::new("dpkg-deb").args(["--contents", &package]).output().unwrap();
    let list = succeeded(&list);
    for file in [
        "./usr/bin/evenkeel",
        "/systemd/system/evenkeel.service",
        "./usr/share/bash-completion/completions/evenkeel",
        "./usr/share/man/man1/evenkeel-plan.1.gz",
        "./usr/share/evenkeel/agent.yaml",
        "./usr/share/doc/evenkeel/install.md",
    ] {
        assert!(list.contains(file), "{file} is not in {package}:\n{list}");
    }
    assert!(!list.contains("./etc/evenkeel/agent.yaml"), "nobody has said yet what to follow");
    let temp = tempfile::tempdir().unwrap();
    let control = Command::new("dpkg-deb").arg("--control").arg(&package).arg(temp.path()).output().unwrap();
    succeeded(&control);
    let script = fs::read_to_string(temp.path().join("postinst")).unwrap();
    // An upgrade restarts an agent that runs. Nothing else is started, and only what was enabled before is enabled.
    assert!(script.contains("deb-systemd-invoke try-restart evenkeel.service"), "{script}");
    assert!(!script.contains("deb-systemd-invoke start") && !script.contains("systemctl start"), "{script}");
    let before = script.split("deb-systemd-helper enable").next().unwrap();
    assert!(before.trim_end().lines().rev().nth(1).unwrap().contains("was-enabled"), "{script}");
    assert!(!script.contains("#DEBHELPER#"), "{script}");
}
