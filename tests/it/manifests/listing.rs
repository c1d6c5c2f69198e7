//! What a model tells about itself: the lists that `docker compose config` has options for, and what is not shown.

use std::collections::BTreeMap;

use evenkeel::manifest::{
    Given, Input, MissingVariables, Model, Request, Reveal, Show, compose, compose_uninterpolated, resolve,
};
use evenkeel::model::desired::Revision;
use evenkeel::model::tree::MemoryTree;

const TEXT: &str = r#"
services:
  a: {image: nginx}
  b:
    image: nginx
    environment: {A: "x<y&z", B: null}
    ports: ["80:80"]
    depends_on: [a]
    scale: 2
    deploy: {replicas: 2}
  built: {build: ., volumes: ["data:/data"], profiles: [tools]}
  other: {image: other, profiles: [never], networks: [net]}
volumes: {data: , unused: }
networks: {net: }
"#;

const SHOW: Show<'_> = Show { reveal: Reveal::Hidden, folder: "/srv", interpolated: true };

fn with<T>(text: &str, host: &[(&str, &str)], ask: impl FnOnce(&Request<'_>) -> T) -> T {
    let mut tree = MemoryTree::default();
    tree.insert("compose.yaml".parse().unwrap(), text);
    tree.insert("one.env".parse().unwrap(), "TAG=one\n");
    let host: BTreeMap<String, String> =
        host.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let given = Given {
        files: vec!["compose.yaml".parse().unwrap()],
        project: None,
        default_project: "t".to_owned(),
        folder: None,
        env_files: vec!["one.env".parse().unwrap()],
        profiles: vec!["tools".to_owned()],
    };
    ask(&Request {
        tree: &tree,
        input: Input::Files(given),
        host_variables: &host,
        missing: MissingVariables::Refuse,
        revision: Revision::Files,
    })
}

fn model(text: &str, host: &[(&str, &str)]) -> Model {
    with(text, host, |request| compose(request).unwrap())
}

#[test]
fn a_model_lists_what_compose_lists() {
    let model = model(TEXT, &[]);
    assert_eq!(model.project(), "t");
    assert_eq!(model.services(), ["a", "b", "built"]);
    assert_eq!(model.images(), ["nginx", "nginx", "t-built"]);
    assert_eq!(model.volumes(), ["data"]);
    assert_eq!(model.networks(), ["default"]);
    assert_eq!(model.profiles(), ["never", "tools"]);
}

#[test]
fn hashes_are_those_of_compose() {
    let hashes: BTreeMap<String, String> = model(TEXT, &[]).hashes(&SHOW).into_iter().collect();
    assert_eq!(hashes["a"], "daef7adc9ecc59d4881bd1ebc06f26a836d35656f8b5fb0adfdb95b2d856fbd3");
    assert_eq!(hashes["b"], "c63d7bd91535ca384ae187d56814c809b383a22d08aeb322c88c437457567c4e");
}

#[test]
fn a_value_from_outside_is_shown_only_when_asked_for() {
    let text =
        "services: {a: {image: 'a:${TAG}', environment: {S: }, labels: ['x=${S}'], command: [\"$S\"]}}";
    let model = model(text, &[("S", "hunter2")]);
    let hidden =
        model.to_json(&SHOW).to_string() + &model.to_yaml(&SHOW) + &format!("{:?}", model.services());
    assert!(!hidden.contains("hunter2") && hidden.contains("(sensitive)"), "{hidden}");
    let shown = model.to_json(&Show { reveal: Reveal::All, ..SHOW });
    assert_eq!(shown["services"]["a"]["environment"]["S"], "hunter2");
    assert_eq!(shown["services"]["a"]["image"], "a:one");
}

#[test]
fn variables_can_be_left_as_they_are() {
    let text = "services: {a: {image: 'a:${TAG}', mem_limit: '${M}', command: 'x $Y', ports: ['${P}:80']}}";
    let model = with(text, &[], |request| compose_uninterpolated(request).unwrap());
    let service = &model.to_json(&Show { interpolated: false, ..SHOW })["services"]["a"];
    assert_eq!(service["image"], "a:${TAG}");
    assert_eq!(service["mem_limit"], "${M}");
    assert_eq!(service["command"], "x $Y");
}

#[test]
fn what_can_be_rendered_and_not_deployed_is_refused_only_for_a_deploy() {
    let text = "services: {a: {image: a, isolation: process}}";
    assert_eq!(model(text, &[]).services(), ["a"]);
    let report = with(text, &[], |request| resolve(request).unwrap_err());
    let codes: Vec<_> = report.diagnostics().iter().map(|found| found.code).collect();
    assert_eq!(codes, ["not-honoured"]);
}
