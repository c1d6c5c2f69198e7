//! Our model beside Compose's, over the corpus of `tests/compose`.
//!
//! Compose's answers are kept in the corpus, so that no Compose is needed here; `tests/compose/compare.py` asks a real
//! one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

/// What Compose accepts and we refuse, or print otherwise, each with the reason.
const DIFFERENT: [(&str, &str); 3] = [
    ("utf-16", "a file that is not UTF-8 is refused by name"),
    ("yaml-binary-and-timestamp", "`!!binary` is not decoded"),
    ("yaml-quoted-merge-key", "a quoted `<<` is taken as a merge key"),
];

/// What Compose refuses and we accept.
const ACCEPTED: [(&str, &str); 1] = [("yaml-1-2-directive", "a file may say that it is YAML 1.2")];

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
        .args(["-q", "render", "--format", "json", "--reveal-variables"])
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
        let is_known = DIFFERENT.iter().any(|(known, _)| *known == name(&case));
        if found.is_empty() == is_known {
            wrong.push(format!("{} (known to differ: {is_known}): {}", name(&case), found.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_compose_refuses_is_refused() {
    let mut wrong = Vec::new();
    for case in cases("refused") {
        let status = render(&case).status.code();
        let is_known = ACCEPTED.iter().any(|(known, _)| *known == name(&case));
        if (status == Some(1)) == is_known {
            wrong.push(format!("{} ended with {status:?}", name(&case)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
