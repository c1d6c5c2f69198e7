//! Laws of reading manifests, tried on nearly good ones and on noise.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;

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
        let input = Input::Files(Given { files, default_project: "case".to_owned(), ..Given::default() });
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
