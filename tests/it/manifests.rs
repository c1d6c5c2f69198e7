//! Golden cases: each folder below `tests/data/manifests/good` resolves to its `resolved.yaml`, each below `bad` is
//! refused with the text of its `report.txt`. `EVENKEEL_UPDATE=1` writes these files anew; the diff is the review.
//!
//! A case with a `compose.yaml` is read as single files (`compose.*.yaml` are merged over it, by name); any other is
//! a repository, read as its environment `prod`. `host.env` is the host's process environment.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod attributes;
mod listing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::manifest::{Input, MissingVariables, Report, Request, Resolved, environments, resolve};
use evenkeel::model::desired::Revision;
use evenkeel::model::tree::{MemoryTree, RepoPath};
use proptest::prelude::*;

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

fn resolve_tree(
    tree: &MemoryTree,
    input: Input,
    host: &BTreeMap<String, String>,
) -> Result<Resolved, Report> {
    resolve(&Request {
        tree,
        input,
        host_variables: host,
        missing: MissingVariables::Refuse,
        revision: Revision::WorkTree(None),
    })
}

fn resolve_case(case: &Path) -> Result<Resolved, Report> {
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
        Input::Files { files, default_project: "Case!".to_owned() }
    } else {
        Input::Repository { environment: "prod".parse().unwrap() }
    };
    resolve_tree(&tree, input, &host)
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
    resolve_tree(&tree, Input::Files { files, default_project: "case".to_owned() }, &host)
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
        let text = resolved.to_yaml();
        // What isn't in the rendering: secrets and the files of the repository.
        if text.contains("(sensitive)")
            || text.contains("x-evenkeel-content")
            || resolved.desired.tiers.len() > 1
        {
            continue;
        }
        let again = compose(text, &[]).unwrap();
        assert_eq!(again.desired.services, resolved.desired.services);
        assert_eq!(again.desired.networks, resolved.desired.networks);
        assert_eq!(again.desired.volumes, resolved.desired.volumes);
    }
}

// === laws ===

/// Texts that are nearly manifests: a good one with some characters replaced, cut out or doubled.
fn nearly_a_manifest() -> impl Strategy<Value = String> {
    let good: Vec<char> = fs::read_to_string(data("good/everything/compose.yaml")).unwrap().chars().collect();
    let length = good.len();
    let chars: Vec<char> =
        "{}[]:,-&*!|>'\"#%@`$? \n\r\t~0aZ<\u{e9}\u{20ac}\u{85}\u{2028}\u{feff}\0".chars().collect();
    prop::collection::vec((0..length, 0..4_u8, prop::sample::select(chars)), 1..8).prop_map(move |changes| {
        let mut text = good.clone();
        for (at, kind, c) in changes {
            let at = at.min(text.len());
            match kind {
                0 | 1 => text.insert(at, c),
                2 if at < text.len() => drop(text.splice(at..=at, [c])),
                _ => drop(text.drain(at..(at + 3).min(text.len()))),
            }
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(report) = compose(bytes, &[]) {
            prop_assert!(!report.render(true).is_empty());
        }
    }

    #[test]
    fn mutated_manifests_never_panic(text in nearly_a_manifest()) {
        if let Err(report) = compose(text, &[]) {
            prop_assert!(!report.render(false).is_empty());
            prop_assert!(report.diagnostics().iter().all(|found| found.code != "internal"), "{}", report);
        }
    }

    #[test]
    fn mutated_overrides_never_panic(text in nearly_a_manifest()) {
        let mut tree = MemoryTree::default();
        fill(&mut tree, &data("good/everything"), &data("good/everything"));
        tree.insert("compose.over.yaml".parse().unwrap(), text);
        let files = vec!["compose.yaml".parse().unwrap(), "compose.over.yaml".parse().unwrap()];
        let input = Input::Files { files, default_project: "case".to_owned() };
        if let Err(report) = resolve_tree(&tree, input, &BTreeMap::new()) {
            prop_assert!(!report.render(false).is_empty());
        }
    }

    #[test]
    fn our_own_files_never_panic(text in "[-a-z{}:,&*!<\\[\\] \n'\"]{0,60}", which in 0..2_usize) {
        let mut tree = MemoryTree::default();
        let paths = ["evenkeel.yaml", "environments/dev/environment.yaml"];
        let good = ["project: shop\n", "variables: {a: b}\n"];
        for (place, path) in paths.iter().enumerate() {
            let text = if place == which { format!("{}{text}", good[place]) } else { good[place].to_owned() };
            tree.insert(path.parse().unwrap(), text);
        }
        tree.insert("manifests/a.yaml".parse().unwrap(), "services: {web: {image: web}}");
        let input = Input::Repository { environment: "dev".parse().unwrap() };
        if let Err(report) = resolve_tree(&tree, input, &BTreeMap::new()) {
            prop_assert!(report.diagnostics().iter().all(|found| found.code != "internal"), "{}", report);
        }
    }

    #[test]
    fn interpolation_never_panics_and_never_tells(template in "[${}:?+A-C\\-é ]{0,24}") {
        let quoted = template.replace('\'', "''");
        let text = format!("services: {{web: {{image: web, hostname: '{quoted}', mem_limit: '{quoted}', restart: '{quoted}'}}}}");
        if let Err(report) = compose(text, &[("A", "hunter2"), ("B", "")]) {
            prop_assert!(!report.render(false).contains("hunter2"), "{}", report);
        }
    }

    #[test]
    fn the_names_of_files_do_not_change_the_result(order in Just(vec![0, 1, 2, 3]).prop_shuffle()) {
        let parts = [
            "services: {a: {image: a, networks: [n]}}\nnetworks: {n: }",
            "services: {b: {image: b, depends_on: [a], networks: [n]}}\nnetworks: {n: {driver: bridge}}",
            "services: {c: {image: c, volumes: ['data:/v']}}\nvolumes: {data: }",
            "services: {d: {image: d}}\nnetworks: {n: {driver: bridge}}",
        ];
        let resolved = |order: &[usize]| {
            let mut tree = MemoryTree::default();
            tree.insert("evenkeel.yaml".parse().unwrap(), "project: shop");
            tree.insert("environments/dev/environment.yaml".parse().unwrap(), "");
            for (part, place) in parts.iter().zip(order) {
                tree.insert(format!("manifests/{place}.yaml").parse().unwrap(), *part);
            }
            let input = Input::Repository { environment: "dev".parse().unwrap() };
            resolve_tree(&tree, input, &BTreeMap::new()).unwrap().desired
        };
        prop_assert_eq!(resolved(&order), resolved(&[0, 1, 2, 3]));
    }
}

#[test]
fn so_many_mistakes_are_counted_and_not_all_shown() {
    let lines = |line: fn(u32) -> String| (0..2_000).map(line).collect::<String>();
    let keys = lines(|number| format!("    wrong{number}: x\n"));
    let report = compose(format!("services:\n  web:\n    image: web\n{keys}"), &[]).unwrap_err();
    assert_eq!(report.diagnostics().len(), 501);
    assert!(report.diagnostics().iter().any(|diagnostic| diagnostic.message.starts_with("1500 more")));
    // Nor do that many warnings hide an error.
    let numbers = lines(|number| format!("      N{number}: 1.10\n"));
    let text = format!("services:\n  web:\n    environment:\n{numbers}    image: WEB\n");
    assert!(compose(text, &[]).unwrap_err().diagnostics().iter().any(|found| found.code == "bad-image"));
}
