//! Every attribute of the Compose Specification, in the forms that are accepted and in some that are refused.
//!
//! `tests/data/manifests/attributes/services.txt` holds what a service may say, `files.txt` whole files. A line that
//! begins with `+` is accepted, and below it stands the model that `docker compose config` prints for it; one that
//! begins with `-` is refused by Compose and by us, and below it stands how. `EVENKEEL_UPDATE=1` writes the refusals
//! anew, never the models, and never turns one into the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use evenkeel::manifest::{
    Given, Input, MissingVariables, Report, Request, Reveal, Severity, Show, attributes, compose,
};
use evenkeel::model::desired::Revision;
use evenkeel::model::tree::MemoryTree;
use serde_json::Value as Json;

const SHOW: Show<'_> = Show { reveal: Reveal::All, folder: "/@", interpolated: true };

struct Case {
    accepted: bool,
    text: String,
    expected: String,
}

fn cases(file: &str) -> Vec<Case> {
    let text = fs::read_to_string(super::data("attributes").join(file)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let of = |pair: &[&str]| Case {
        accepted: pair[0].starts_with('+'),
        text: pair[0][2..].replace("\\n", "\n"),
        expected: pair[1][2..].to_owned(),
    };
    lines.chunks(2).map(of).collect()
}

fn model(text: &str) -> Result<Json, Report> {
    let mut tree = MemoryTree::default();
    tree.insert("compose.yaml".parse().unwrap(), text);
    let host = BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]);
    let files = vec!["compose.yaml".parse().unwrap()];
    let request = Request {
        tree: &tree,
        input: Input::Files(Given { files, default_project: "t".to_owned(), ..Given::default() }),
        host_variables: &host,
        missing: MissingVariables::Refuse,
        revision: Revision::Files,
    };
    compose(&request).map(|model| model.to_json(&SHOW))
}

/// The errors of a report in one line: where, and what.
fn told(report: &Report) -> String {
    let errors = report.diagnostics().iter().filter(|found| found.severity == Severity::Error);
    let one = |found: &evenkeel::manifest::Diagnostic| {
        let spot = found.place.spot.as_ref();
        let place = spot.map_or(String::new(), |spot| format!("{}:{} ", spot.line, spot.column));
        format!("{place}{}: {}", found.code, found.message)
    };
    errors.map(one).collect::<Vec<_>>().join(" | ")
}

/// A service with what a case says, and what is expected of it besides.
fn in_service(text: &str) -> String {
    format!("name: t\nservices:\n  w:\n    image: i\n    {text}\n")
}

fn of_service(model: &Json) -> Json {
    let mut service = model["services"]["w"].clone();
    if let Some(map) = service.as_object_mut() {
        map.remove("image");
        for key in ["command", "entrypoint"] {
            if map.get(key).is_some_and(Json::is_null) {
                map.remove(key);
            }
        }
        if map.get("networks").is_some_and(|networks| *networks == serde_json::json!({"default": null})) {
            map.remove("networks");
        }
    }
    if service.is_null() { serde_json::json!({}) } else { service }
}

fn check(file: &str, whole: fn(&str) -> String, part: fn(&Json) -> Json) {
    let mut wrong = String::new();
    let mut written = String::new();
    for Case { accepted, text, expected } in cases(file) {
        let sign = if accepted { '+' } else { '-' };
        let line = text.replace('\n', "\\n");
        let mut said = expected.clone();
        match model(&whole(&text)) {
            Ok(model) if accepted => {
                let found = part(&model);
                if found != serde_json::from_str::<Json>(&expected).unwrap() {
                    writeln!(wrong, "{line}\n  Compose {expected}\n  we      {found}").unwrap();
                }
            }
            Ok(_) => writeln!(wrong, "{line}\n  is accepted").unwrap(),
            Err(report) if accepted => writeln!(wrong, "{line}\n  is refused: {}", told(&report)).unwrap(),
            Err(report) => {
                said = told(&report);
                if std::env::var_os("EVENKEEL_UPDATE").is_none() && said != expected {
                    writeln!(wrong, "{line}\n  expected {expected}\n  found    {said}").unwrap();
                }
            }
        }
        writeln!(written, "{sign} {line}\n  {said}").unwrap();
    }
    if std::env::var_os("EVENKEEL_UPDATE").is_some() {
        fs::write(super::data("attributes").join(file), written).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_a_service_says_means_what_compose_makes_of_it() {
    check("services.txt", in_service, of_service);
}

#[test]
fn what_a_file_says_means_what_compose_makes_of_it() {
    check(
        "files.txt",
        |text| if text.starts_with("name") { text.to_owned() } else { format!("name: t\n{text}") },
        Json::clone,
    );
}

/// The paths of attributes that a value says something about.
fn said(value: &serde_yaml::Value, path: &str, known: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    match value {
        serde_yaml::Value::Mapping(map) => {
            for (key, value) in map {
                let own = format!("{path}.{}", key.as_str().unwrap_or_default());
                let own = own.trim_start_matches('.').to_owned();
                let next = if known.contains(&own) { own } else { format!("{path}.*") };
                found.insert(next.clone());
                said(value, &next, known, found);
            }
        }
        serde_yaml::Value::Sequence(items) => {
            for item in items {
                said(item, &format!("{path}.*"), known, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_attribute_has_an_accepted_form() {
    let known: BTreeSet<String> = attributes().into_iter().collect();
    let mut found = BTreeSet::new();
    for (file, whole) in [("services.txt", in_service as fn(&str) -> String), ("files.txt", str::to_owned)] {
        for case in cases(file).into_iter().filter(|case| case.accepted) {
            for document in serde_yaml::Deserializer::from_str(&whole(&case.text)) {
                if let Ok(value) = serde::Deserialize::deserialize(document) {
                    said(&value, "", &known, &mut found);
                }
            }
        }
    }
    // These need other files, which the corpus of `tests/compose` has.
    let elsewhere = ["include", "extends.file", "services.*.label_file", "version"];
    let missing: Vec<&String> = known
        .difference(&found)
        .filter(|path| !elsewhere.iter().any(|known| path.starts_with(known) || path.ends_with(known)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
