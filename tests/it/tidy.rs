//! The house rules that neither the compiler nor clippy checks, as tests over the source tree.
//!
//! Each rule is a function from files to complaints, and each has a second test that feeds it a bad text: a rule that
//! can't fail protects nothing.

use std::collections::BTreeMap;

use source::{Source, names_below, tree};

mod source;

#[track_caller]
fn assert_holds(rule: fn(&[Source]) -> Vec<String>, what_to_do: &str) {
    let complaints = rule(&tree());
    assert!(complaints.is_empty(), "{what_to_do}:\n  {}", complaints.join("\n  "));
}

#[track_caller]
fn assert_catches(rule: fn(&[Source]) -> Vec<String>, path: &str, bad: &str) {
    assert!(!rule(&[Source::new(path, bad)]).is_empty(), "the rule let this pass in {path}: {bad}");
}

#[track_caller]
fn assert_allows(rule: fn(&[Source]) -> Vec<String>, path: &str, good: &str) {
    assert_eq!(rule(&[Source::new(path, good)]), Vec::<String>::new(), "in {path}: {good}");
}

/// What each folder of `src` may use of the others.
const LAYERS: [(&str, &[&str]); 11] = [
    ("model", &[]),
    ("manifest", &["model"]),
    ("plan", &["model"]),
    ("engine", &["model"]),
    ("source", &["model"]),
    ("apply", &["model", "plan", "engine"]),
    ("agent", &["model", "manifest", "plan", "engine", "source", "apply"]),
    ("serve", &["model", "manifest", "plan", "apply", "agent"]),
    ("announce", &["model", "manifest", "plan", "engine", "source", "apply", "agent"]),
    ("metrics", &["model", "manifest", "plan", "engine", "source", "apply", "agent"]),
    (
        "cli",
        &["model", "manifest", "plan", "engine", "source", "apply", "agent", "serve", "announce", "metrics"],
    ),
];

fn layers_point_down(files: &[Source]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = LAYERS.into_iter().collect();
    let mut complaints = Vec::new();
    for file in files {
        let Some(layer) = file.layer().filter(|layer| !matches!(*layer, "lib" | "main")) else { continue };
        let Some(below) = allowed.get(layer) else {
            complaints.push(format!("{}: `{layer}` has no place in LAYERS of tests/it/tidy.rs", file.path));
            continue;
        };
        for (line, name) in names_below(&file.code, "crate") {
            if name != layer && !below.contains(&name.as_str()) {
                complaints.push(format!("{}:{line}: `{layer}` uses `crate::{name}`", file.path));
            }
        }
        // `super` reaches the crate's root, and with it any layer, after as many steps as the file is deep.
        let depth = file.path.matches('/').count() - usize::from(file.path.ends_with("/mod.rs"));
        let escape = "super::".repeat(depth);
        complaints.extend(
            file.places_of(&escape).map(|place| format!("{place}: `{escape}` leaves the layer `{layer}`")),
        );
    }
    complaints
}

#[test]
fn a_layer_uses_only_what_is_below_it() {
    assert_holds(layers_point_down, "move the code up, or the noun that it needs down to `model`");
}

#[test]
fn a_use_of_a_higher_layer_is_caught() {
    assert_catches(layers_point_down, "src/plan/mod.rs", "use crate::manifest::X;");
    assert_catches(layers_point_down, "src/plan/mod.rs", "use crate::{model::live::Live, engine::{A, B}};");
    assert_catches(layers_point_down, "src/plan/diff.rs", "use super::super::engine::Engine;");
    assert_catches(layers_point_down, "src/plan/mod.rs", "fn f(x: super::engine::X) {}");
    assert_catches(layers_point_down, "src/new/mod.rs", "");
    assert_allows(layers_point_down, "src/engine/sim/mod.rs", "use super::Engine; use crate::model::X;");
    assert_allows(
        layers_point_down,
        "src/plan/mod.rs",
        "// crate::engine\n#[cfg(test)] mod tests { use super::*; }",
    );
}

/// Crates that do something to the world, and who may use them.
const EFFECTS: [(&str, &[&str]); 3] =
    [("bollard", &["engine"]), ("git2", &["source", "cli"]), ("rusqlite", &["apply"])];

fn effects_have_one_home(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (effect, homes) in EFFECTS {
            if file.layer().is_some_and(|layer| !homes.contains(&layer)) {
                complaints.extend(file.places_of(effect).map(|place| format!("{place}: `{effect}`")));
            }
        }
    }
    complaints
}

#[test]
fn each_effect_has_one_home() {
    assert_holds(effects_have_one_home, "use the layer that wraps it (EFFECTS in tests/it/tidy.rs)");
}

#[test]
fn an_effect_away_from_home_is_caught() {
    assert_catches(effects_have_one_home, "src/agent/mod.rs", "use bollard::Docker;");
    assert_allows(effects_have_one_home, "src/engine/docker/mod.rs", "use bollard::Docker;");
}

fn pure_layers_are_pure(files: &[Source]) -> Vec<String> {
    const WORDS: [&str; 12] = [
        "async",
        "tokio",
        "bollard",
        "git2",
        "tracing",
        "Instant",
        "SystemTime",
        "HashMap",
        "HashSet",
        "TcpStream",
        "TcpListener",
        "UnixStream",
    ];
    // Not `net`: an address is a plain value.
    const PARTS_OF_STD: [&str; 5] = ["fs", "env", "os", "process", "thread"];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| matches!(file.layer(), Some("model" | "manifest" | "plan"))) {
        for word in WORDS {
            complaints.extend(file.places_of(word).map(|place| format!("{place}: `{word}`")));
        }
        for (line, name) in names_below(&file.code, "std") {
            if PARTS_OF_STD.contains(&name.as_str()) {
                complaints.push(format!("{}:{line}: `std::{name}`", file.path));
            }
        }
    }
    complaints
}

#[test]
fn pure_layers_have_no_effects() {
    assert_holds(
        pure_layers_are_pure,
        "model, manifest and plan are functions of their arguments: take the value as a parameter",
    );
}

#[test]
fn an_effect_in_a_pure_layer_is_caught() {
    assert_catches(pure_layers_are_pure, "src/plan/mod.rs", "pub async fn plan() {}");
    assert_catches(pure_layers_are_pure, "src/manifest/mod.rs", "use std::{fmt, fs::read};");
    assert_catches(pure_layers_are_pure, "src/model/live.rs", "let now = std::time::Instant::now();");
    assert_catches(pure_layers_are_pure, "src/model/live.rs", "use std::collections::HashMap;");
    assert_allows(pure_layers_are_pure, "src/plan/mod.rs", "/// No async.\nconst A: &str = \"tokio\";");
    assert_allows(pure_layers_are_pure, "src/plan/mod.rs", "#[cfg(test)]\nmod tests { use std::fs; }\n");
    assert_allows(pure_layers_are_pure, "src/engine/mod.rs", "async fn f() {}");
}

/// Most lines of a file without its tests, and with them.
const MOST_LINES: (usize, usize) = (400, 600);

fn files_are_short(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let (most, most_with_tests) = MOST_LINES;
        let all = file.text.lines().count();
        let own = all - file.test_lines;
        if own > most || all > most_with_tests {
            complaints.push(format!("{}: {own} lines, {all} with tests", file.path));
        }
    }
    complaints
}

#[test]
fn a_file_is_read_in_one_sitting() {
    assert_holds(files_are_short, "split it where the subject changes (400 lines, 600 with in-file tests)");
}

#[test]
fn a_long_file_is_caught() {
    assert_catches(files_are_short, "src/a.rs", &"fn f() {}\n".repeat(401));
    let tests = |lines: usize| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(lines));
    assert_catches(files_are_short, "src/a.rs", &tests(601));
    assert_allows(files_are_short, "src/a.rs", &("fn f() {}\n".repeat(390) + &tests(200)));
}

fn files_say_what_they_are(files: &[Source]) -> Vec<String> {
    let silent = files.iter().filter(|file| !file.text.starts_with("//! "));
    silent.map(|file| file.path.clone()).collect()
}

#[test]
fn a_file_begins_with_what_it_is() {
    assert_holds(
        files_say_what_they_are,
        "begin the file with `//!`: what is it, why, what does it never do",
    );
}

#[test]
fn a_silent_file_is_caught() {
    assert_catches(files_say_what_they_are, "src/a.rs", "use std::fmt;");
}

/// Files that no `mod` line leads to are not compiled, and their tests never run.
fn files_are_listed(files: &[Source]) -> Vec<String> {
    let texts: BTreeMap<_, _> = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let mut complaints = Vec::new();
    for file in files {
        let root = ["src/lib.rs", "src/main.rs", "tests/it/main.rs"].contains(&file.path.as_str());
        if root || !(file.path.starts_with("src/") || file.path.starts_with("tests/it/")) {
            continue;
        }
        let stem = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let Some((folder, name)) = stem.rsplit_once('/') else { continue };
        let parents = [
            format!("{folder}/mod.rs"),
            format!("{folder}.rs"),
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
        ];
        let line = format!("mod {name};");
        let lists = |text: &&str| {
            text.lines().any(|known| known == line || (known.starts_with("pub") && known.ends_with(&line)))
        };
        if !parents.iter().filter_map(|parent| texts.get(parent.as_str())).any(lists) {
            complaints.push(format!("{}: no `{line}` in {}", file.path, parents.join(" or ")));
        }
    }
    complaints
}

#[test]
fn no_file_is_forgotten() {
    assert_holds(files_are_listed, "add the `mod` line, or remove the file");
}

#[test]
fn a_forgotten_file_is_caught() {
    let files = |main: &str| [Source::new("tests/it/main.rs", main), Source::new("tests/it/plans.rs", "")];
    assert!(!files_are_listed(&files("mod apply;")).is_empty());
    assert!(files_are_listed(&files("mod apply;\nmod plans;")).is_empty());
}

/// Words, and the folders (by the start of the path) in which they must not be.
const FORBIDDEN: [(&str, &[&str]); 11] = [
    // Nothing is half done, and no test is left out.
    ("todo!", &["src/", "tests/", "benches/", "build.rs"]),
    ("unimplemented!", &["src/", "tests/", "benches/", "build.rs"]),
    ("dbg!", &["src/", "tests/", "benches/", "build.rs"]),
    ("#[ignore", &["src/", "tests/"]),
    // Volumes hold what can't be made again: whatever deploys never removes one.
    ("remove_volume", &["src/plan/", "src/apply/", "src/agent/"]),
    // What deploys stops in good order and keeps; it never kills, and leaves images to their owner.
    ("discard_container", &["src/plan/", "src/apply/", "src/agent/"]),
    ("remove_image", &["src/plan/", "src/apply/", "src/agent/"]),
    // Only the command line talks.
    ("println!", NOT_CLI),
    ("eprintln!", NOT_CLI),
    ("print!", NOT_CLI),
    ("eprint!", NOT_CLI),
];

const NOT_CLI: &[&str] = &[
    "src/main.rs",
    "src/model/",
    "src/manifest/",
    "src/plan/",
    "src/engine/",
    "src/source/",
    "src/apply/",
    "src/agent/",
    "src/serve/",
    "src/announce/",
    "src/metrics/",
];

fn forbidden_words_are_absent(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (word, folders) in FORBIDDEN {
            if folders.iter().any(|folder| file.path.starts_with(folder)) {
                complaints.extend(file.places_of_anywhere(word).map(|place| format!("{place}: `{word}`")));
            }
        }
    }
    complaints
}

#[test]
fn forbidden_words_are_nowhere() {
    assert_holds(
        forbidden_words_are_absent,
        "finish it, or do it where it belongs (FORBIDDEN in tests/it/tidy.rs)",
    );
}

#[test]
fn a_forbidden_word_is_caught() {
    assert_catches(forbidden_words_are_absent, "src/plan/mod.rs", "fn f() { todo!() }");
    assert_catches(forbidden_words_are_absent, "src/agent/mod.rs", "engine.remove_volume(&name)");
    assert_catches(forbidden_words_are_absent, "src/engine/mod.rs", "println!(\"x\")");
    assert_allows(forbidden_words_are_absent, "src/cli/mod.rs", "println!(\"todo!\")");
    // In tests too.
    let bad = "#[cfg(test)]\nmod tests {\n#[ignore]\nfn f() {} }";
    assert_catches(forbidden_words_are_absent, "src/plan/mod.rs", bad);
    assert_catches(
        forbidden_words_are_absent,
        "tests/it/plans.rs",
        "#[ignore = \"slow\"]\n#[test] fn f() {}",
    );
}

/// Names that say nothing of what is inside.
fn names_say_something(files: &[Source]) -> Vec<String> {
    const EMPTY: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.layer().is_some()) {
        let parts = file.path.trim_end_matches(".rs").split('/');
        complaints.extend(parts.filter(|part| EMPTY.contains(part)).map(|_| file.path.clone()));
        for (index, line) in file.code.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| word.ends_with("Manager")) {
                complaints.push(format!("{}:{}: a `…Manager`", file.path, index + 1));
            }
        }
    }
    complaints
}

#[test]
fn a_name_says_what_it_names() {
    assert_holds(names_say_something, "name it by what it does: no util, helpers, common, Manager");
}

#[test]
fn an_empty_name_is_caught() {
    assert_catches(names_say_something, "src/plan/utils.rs", "");
    assert_catches(names_say_something, "src/common/mod.rs", "");
    assert_catches(names_say_something, "src/apply/mod.rs", "struct DeployManager;");
}
