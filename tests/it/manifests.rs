//! Golden cases: each folder below `tests/data/manifests/good` resolves to its `resolved.yaml`, each below `bad` is
//! refused with the text of its `report.txt`. `EVENKEEL_UPDATE=1` writes these files anew; the diff is the review.
//!
//! A case with a `compose.yaml` is read as single files (`compose.*.yaml` are merged over it, by name); any other is
//! a repository, read as its environment `prod`. `host.env` is the host's process environment.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod attributes;
mod laws;
mod listing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::manifest::{
    Given, Input, MissingVariables, Model, Report, Request, Resolved, Reveal, Show, environments, resolve,
};
use evenkeel::model::desired::Revision;
use evenkeel::model::tree::{MemoryTree, RepoPath};

fn data(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/manifests").join(kind)
}

fn cases(kind: &str) -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs::read_dir(data(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn fill(tree: &mut MemoryTree, root: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fill(tree, root, &path);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            tree.insert(name.parse().unwrap(), fs::read(&path).unwrap());
        }
    }
}

fn request<'a>(tree: &'a MemoryTree, input: Input, host: &'a BTreeMap<String, String>) -> Request<'a> {
    let revision = Revision::WorkTree(None);
    Request { tree, input, host_variables: host, missing: MissingVariables::Refuse, revision }
}

fn resolve_tree(
    tree: &MemoryTree,
    input: Input,
    host: &BTreeMap<String, String>,
) -> Result<Resolved, Report> {
    resolve(&request(tree, input, host))
}

fn resolve_case(case: &Path) -> Result<Resolved, Report> {
    let (tree, input, host) = read_case(case);
    resolve_tree(&tree, input, &host)
}

fn model_of_case(case: &Path) -> Result<Model, Report> {
    let (tree, input, host) = read_case(case);
    evenkeel::manifest::compose(&request(&tree, input, &host))
}

fn read_case(case: &Path) -> (MemoryTree, Input, BTreeMap<String, String>) {
    let mut tree = MemoryTree::default();
    fill(&mut tree, case, case);
    let host = fs::read_to_string(case.join("host.env")).unwrap_or_default();
    let host = host.lines().filter_map(|line| line.split_once('='));
    let host = host.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let input = if case.join("compose.yaml").exists() {
        let mut files: Vec<RepoPath> = fs::read_dir(case)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("compose.") && name != "compose.yaml")
            .map(|name| name.parse().unwrap())
            .collect();
        files.sort();
        files.insert(0, "compose.yaml".parse().unwrap());
        Input::Files(Given { files, default_project: "Case!".to_owned(), ..Given::default() })
    } else {
        Input::Repository { environment: "prod".parse().unwrap() }
    };
    (tree, input, host)
}

fn compare(file: &Path, text: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("EVENKEEL_UPDATE").is_some() {
        fs::write(file, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected != text {
        wrong.push(format!("=== {}\n--- expected\n{expected}\n+++ found\n{text}", file.display()));
    }
}

#[test]
fn good_cases_resolve() {
    let mut wrong = Vec::new();
    for case in cases("good") {
        match resolve_case(&case) {
            Ok(resolved) => {
                compare(&case.join("resolved.yaml"), &resolved.to_yaml(), &mut wrong);
                let warnings: Vec<_> =
                    resolved.warnings.iter().map(|warning| warning.render(false)).collect();
                if !warnings.is_empty() || case.join("warnings.txt").exists() {
                    compare(&case.join("warnings.txt"), &(warnings.join("\n\n") + "\n"), &mut wrong);
                }
            }
            Err(report) => wrong.push(format!("=== {} is refused\n{report}", case.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bad_cases_are_refused_with_a_helpful_text() {
    let mut wrong = Vec::new();
    for case in cases("bad") {
        match resolve_case(&case) {
            Ok(resolved) => wrong.push(format!("=== {} is accepted\n{}", case.display(), resolved.to_yaml())),
            Err(report) => {
                compare(&case.join("report.txt"), &report.render(false), &mut wrong);
                for diagnostic in report.diagnostics() {
                    if diagnostic.hint.as_ref().is_some_and(String::is_empty) {
                        wrong.push(format!("=== {}: an empty hint", case.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// === what no folder of text files can hold ===

fn compose(text: impl Into<Vec<u8>>, host: &[(&str, &str)]) -> Result<Resolved, Report> {
    let mut tree = MemoryTree::default();
    tree.insert("compose.yaml".parse().unwrap(), text);
    let host = host.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let files = vec!["compose.yaml".parse().unwrap()];
    resolve_tree(
        &tree,
        Input::Files(Given { files, default_project: "case".to_owned(), ..Given::default() }),
        &host,
    )
}

fn code_of(text: impl Into<Vec<u8>>) -> String {
    match compose(text, &[]) {
        Ok(_) => "accepted".to_owned(),
        Err(report) => report.diagnostics()[0].code.to_owned(),
    }
}

#[test]
fn hostile_input_is_refused_by_the_limit_that_it_breaks() {
    let nested = |open: &str, times: usize| format!("services: {}", open.repeat(times));
    let mut quadratic = "a: &a [".to_owned() + &"x,".repeat(5_000) + "]\nb: [";
    quadratic.push_str(&"*a,".repeat(5_000));
    quadratic.push(']');
    let long = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), "*a,".repeat(5_000));
    let merges =
        format!("a: &a {{{}}}\n", "k: v, l: w, ".replace('k', "k1")) + &"b: {<<: [*a, *a]}\n".repeat(2);
    for (input, code) in [
        (vec![b' '; (1 << 20) + 1], "too-large"),
        (b"services: \xff".to_vec(), "not-utf8"),
        (b"services: \0".to_vec(), "control-character"),
        (b"services: \x1b[31m".to_vec(), "control-character"),
        (nested("{a: ", 50_000).into_bytes(), "too-deep"),
        (nested("[", 50_000).into_bytes(), "too-deep"),
        ("- ".repeat(100_000).into_bytes(), "too-deep"),
        (quadratic.into_bytes(), "alias-budget"),
        (long.into_bytes(), "alias-budget"),
        (merges.into_bytes(), "duplicate-key"),
        (b"a: &a [*a]".to_vec(), "cyclic-alias"),
        (b"services: {a: &a {<<: *a}}".to_vec(), "cyclic-alias"),
        (b"services: {: x}".to_vec(), "empty-key"),
        (Vec::new(), "empty-file"),
        (b"\xef\xbb\xbf".to_vec(), "empty-file"),
    ] {
        let start = String::from_utf8_lossy(&input[..input.len().min(40)]).into_owned();
        assert_eq!(code_of(input), code, "{start}");
    }
}

#[test]
fn a_value_from_the_host_is_marked_and_one_of_the_file_is_not() {
    let text = "services:\n  web:\n    image: web:${TAG}\n    environment: {A: 'x${S}', B: plain, S: }\n    \
                command: [a, '${S}']\n    healthcheck: {test: 'curl ${S}'}\n";
    let resolved = compose(text, &[("S", "hunter2"), ("TAG", "1")]).unwrap();
    let service = resolved.desired.services.values().next().unwrap();
    let environment = &service.spec.environment;
    assert!(
        environment["A"].is_sensitive()
            && environment["S"].is_sensitive()
            && !environment["B"].is_sensitive()
    );
    assert_eq!(environment["A"].expose(), "xhunter2");
    let command = service.spec.command.as_ref().unwrap();
    assert!(!command[0].is_sensitive() && command[1].is_sensitive());
    assert_eq!(service.spec.image.to_string(), "web:1");
    for shown in [resolved.to_yaml(), resolved.to_json().to_string(), format!("{resolved:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_look_without_secrets_puts_placeholders_in_their_place() {
    let mut tree = MemoryTree::default();
    for (path, text) in [
        ("evenkeel.yaml", "project: shop"),
        ("environments/dev/environment.yaml", "variables: {S: {from: host}}"),
        ("manifests/web.yaml", "services: {web: {image: web, environment: {A: $S, B: '${T:-t}'}}}"),
    ] {
        tree.insert(path.parse().unwrap(), text);
    }
    let host = BTreeMap::new();
    let request = |missing| Request {
        tree: &tree,
        input: Input::Repository { environment: "dev".parse().unwrap() },
        host_variables: &host,
        missing,
        revision: Revision::Commit("a".repeat(40)),
    };
    assert!(resolve(&request(MissingVariables::Refuse)).is_err());
    let resolved = resolve(&request(MissingVariables::Placeholder)).unwrap();
    let service = resolved.desired.services.values().next().unwrap();
    assert!(service.spec.environment["A"].is_sensitive());
    assert_eq!(service.tier.as_str(), "services");
    assert_eq!(resolved.desired.stack.as_str(), "shop-dev");
}

#[test]
fn nothing_is_said_of_a_value_that_only_the_host_has() {
    let found = |service: &str| {
        let mut tree = MemoryTree::default();
        for (path, text) in [
            ("evenkeel.yaml", "project: shop".to_owned()),
            ("environments/dev/environment.yaml", "variables: {S: {from: host}, P: 80}".to_owned()),
            ("manifests/web.yaml", format!("services: {{web: {{image: web, {service}}}}}")),
        ] {
            tree.insert(path.parse().unwrap(), text);
        }
        let codes = |missing| {
            let resolved = resolve(&Request {
                tree: &tree,
                input: Input::Repository { environment: "dev".parse().unwrap() },
                host_variables: &BTreeMap::new(),
                missing,
                revision: Revision::Commit("a".repeat(40)),
            });
            let report = resolved.err().map(|report| report.diagnostics().to_vec()).unwrap_or_default();
            report.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(MissingVariables::Placeholder), codes(MissingVariables::Outside), "{service}");
        codes(MissingVariables::Placeholder)
    };
    for good in
        ["ports: ['${S}:80']", "mem_limit: $S", "init: $S", "healthcheck: {test: [CMD, a], interval: $S}"]
    {
        assert_eq!(found(good), [""; 0], "{good}");
    }
    assert_eq!(found("ports: ['${P}x:80']"), ["bad-port"], "what the repository says is checked");
    assert_eq!(found("labels: {a: $S}"), ["sensitive-label"], "no value would be right");
}

#[test]
fn environments_are_the_folders() {
    let mut tree = MemoryTree::default();
    assert!(environments(&tree).is_err());
    for path in ["environments/prod/environment.yaml", "environments/dev/x.yaml", "environments/README.md"] {
        tree.insert(path.parse().unwrap(), "");
    }
    let names: Vec<_> = environments(&tree).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["dev", "prod"]);
}

#[test]
fn a_file_that_cannot_be_read_causes_no_complaints_elsewhere() {
    let mut tree = MemoryTree::default();
    for (path, text) in [
        ("evenkeel.yaml", "project: shop"),
        ("environments/dev/environment.yaml", ""),
        ("manifests/db.yaml", "services: {db: {image: db}"),
        ("manifests/web.yaml", "services: {web: {image: web, depends_on: [db]}}"),
    ] {
        tree.insert(path.parse().unwrap(), text);
    }
    let input = Input::Repository { environment: "dev".parse().unwrap() };
    let report = resolve_tree(&tree, input, &BTreeMap::new()).unwrap_err();
    let codes: Vec<_> = report.diagnostics().iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes, ["yaml-syntax"]);
}

#[test]
fn a_report_is_also_json() {
    let report = compose("services:\n  web: {imge: x}\n", &[]).unwrap_err();
    let json = report.to_json();
    assert_eq!(json[0]["code"], "no-image");
    assert_eq!(json[1]["place"]["path"], "compose.yaml");
    assert_eq!(json[1]["place"]["line"], 2);
    assert_eq!(json[1]["place"]["column"], 9);
    assert_eq!(json[1]["hint"], "did you mean `image`?");
    assert!(report.render(true).contains("\u{1b}["));
}

#[test]
fn what_is_rendered_resolves_to_the_same() {
    for case in cases("good") {
        let resolved = resolve_case(&case).unwrap();
        if resolved.desired.environment.is_some() {
            continue; // What is in a repository is not in a single file: tiers, gates, contents.
        }
        let model = model_of_case(&case).unwrap();
        let show = |reveal| Show { reveal, folder: "/", interpolated: true };
        let text = model.to_yaml(&show(Reveal::All));
        // What is sensitive is so because of where it came from, and a rendering comes from elsewhere.
        if text != model.to_yaml(&show(Reveal::Hidden)) {
            continue;
        }
        let again = compose(text, &[]).unwrap();
        assert_eq!(again.desired.services, resolved.desired.services);
        assert_eq!(again.desired.networks, resolved.desired.networks);
        assert_eq!(again.desired.volumes, resolved.desired.volumes);
    }
}
