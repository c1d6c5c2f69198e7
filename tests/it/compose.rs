//! Our model beside Compose's, over the corpus of `tests/compose`.
//!
//! Compose's answers are kept in the corpus, so that no Compose is needed here; `tests/compose/compare.py` asks a real
//! one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

/// What means something else as YAML, or can't be read again: Compose's own YAML says no more.
const LOST: [&str; 20] = [
    // What isn't active, or isn't printed, can still be referred to.
    "depends-on-profile-optional",
    "models",
    "models-override",
    "profiles-one",
    // A `$` in a key is printed twice, though keys are not filled in.
    "interpolation-everywhere-plain",
    // Variables are left in, and then they are filled.
    "no-interpolate",
    "no-interpolate-long",
    // An empty config; a group as a number and as a text.
    "accepted-config-not-external",
    "numbers-as-compose-reads-them",
    // Two ports that differ only in how their number is written.
    "ports-order-and-merge",
    // An empty text, which is left out.
    "unset-in-build",
    "unset-in-build-context",
    "unset-in-config-content",
    "unset-in-device",
    "unset-in-environment-list",
    "unset-in-labels",
    "unset-in-network-external",
    "unset-in-network-mode",
    "unset-in-network-name",
    "unset-in-volume-name",
];

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose").join(kind);
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn name(case: &Path) -> &str {
    case.file_name().and_then(|name| name.to_str()).unwrap()
}

/// Renders a case as Compose was asked to.
fn render(case: &Path) -> Output {
    render_as(case, "json")
}

fn render_as(case: &Path, format: &str) -> Output {
    let options = fs::read_to_string(case.join("options")).unwrap_or_default();
    let mut options: Vec<&str> = options.lines().flat_map(|line| line.split_whitespace()).collect();
    if !options.contains(&"-f") {
        options.extend(["-f", "compose.yaml"]);
    }
    let variables = fs::read_to_string(case.join("variables")).unwrap_or_default();
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .current_dir(case)
        .env_clear()
        .env("HOME", "/root")
        .envs(variables)
        .args(["-q", "render", "--format", format, "--reveal-variables"])
        .args(options)
        .output()
        .unwrap()
}

/// The places at which two models differ.
fn differences(path: &str, wanted: &Json, found: &Json, into: &mut Vec<String>) {
    match (wanted, found) {
        (Json::Object(wanted), Json::Object(found)) => {
            let keys: std::collections::BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
            for key in keys {
                let absent = Json::String("(absent)".to_owned());
                let (wanted, found) = (wanted.get(key).unwrap_or(&absent), found.get(key).unwrap_or(&absent));
                differences(&format!("{path}.{key}"), wanted, found, into);
            }
        }
        (Json::Array(wanted), Json::Array(found)) if wanted.len() == found.len() => {
            for (at, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                differences(&format!("{path}[{at}]"), wanted, found, into);
            }
        }
        (wanted, found) if wanted != found => into.push(format!("{path}: {wanted} ≠ {found}")),
        _ => {}
    }
}

#[test]
fn what_compose_accepts_has_the_model_that_compose_prints() {
    let mut wrong = Vec::new();
    for case in cases("cases") {
        let output = render(&case);
        let expected = fs::read_to_string(case.join("expected.json")).unwrap();
        let expected = expected.replace("@FOLDER@", case.to_str().unwrap());
        let mut found = Vec::new();
        match serde_json::from_slice(&output.stdout) {
            Ok(model) => differences("", &serde_json::from_str(&expected).unwrap(), &model, &mut found),
            Err(_) => found.push(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
        if !found.is_empty() {
            wrong.push(format!("{}: {}", name(&case), found.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_compose_refuses_is_refused() {
    let mut wrong = Vec::new();
    for case in cases("refused") {
        let status = render(&case).status.code();
        if status != Some(1) {
            wrong.push(format!("{} ended with {status:?}", name(&case)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_model_as_yaml_is_read_as_the_same_model() {
    let mut wrong = Vec::new();
    for case in cases("cases") {
        let (yaml, json) = (render_as(&case, "yaml"), render(&case));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("compose.yaml");
        fs::write(&file, &yaml.stdout).unwrap();
        let again = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .current_dir(&case)
            .env_clear()
            .env("HOME", "/root")
            .args(["-q", "render", "--format", "json", "--reveal-variables", "--profile", "*", "-f"])
            .arg(&file)
            .output()
            .unwrap();
        let mut found = Vec::new();
        let read = |output: &Output| serde_json::from_slice::<Json>(&output.stdout).ok();
        match (read(&json), read(&again)) {
            (Some(json), Some(again)) => differences("", &json, &again, &mut found),
            (_, None) => found.push(String::from_utf8_lossy(&again.stderr).into_owned()),
            (None, _) => {}
        }
        if found.is_empty() == LOST.contains(&name(&case)) {
            wrong.push(format!("{}: {}", name(&case), found.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
