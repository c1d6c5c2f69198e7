//! The lists of traps and of cases are whole, and name tests that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const TRAPS: &str = include_str!("../../data/traps.md");
const CASES: &str = include_str!("../../data/cases.md");

/// The rows of a list: number and what it says about it.
fn rows(list: &'static str) -> BTreeMap<u32, &'static str> {
    let cells = list.lines().filter_map(|line| line.strip_prefix("| "));
    let row = |line: &'static str| {
        let mut cells = line.trim_end_matches('|').splitn(3, " | ");
        Some((cells.next()?.trim().parse().ok()?, cells.nth(1)?.trim()))
    };
    cells.filter_map(row).collect()
}

/// The names of all functions of the sources and of the tests.
fn functions() -> BTreeSet<String> {
    fn read(folder: &Path, found: &mut BTreeSet<String>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                read(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let names = text.lines().filter_map(|line| {
                    let (_, rest) = line.trim_start().split_once("fn ")?;
                    rest.split(['(', '<']).next()
                });
                found.extend(names.map(str::to_owned));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        read(&root.join(folder), &mut found);
    }
    found
}

/// Each number has a row that names tests which are there, or a reason why it can't occur.
#[track_caller]
fn assert_whole(list: &'static str, numbers: std::ops::RangeInclusive<u32>) {
    let rows = rows(list);
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    let functions = functions();
    let mut wrong = Vec::new();
    for (number, said) in &rows {
        let names: Vec<&str> = said.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
        wrong.extend(
            names
                .iter()
                .filter(|name| !functions.contains(**name))
                .map(|name| format!("{number}: no test {name}")),
        );
        if names.is_empty() && said.strip_prefix("can't occur: ").is_none_or(str::is_empty) {
            wrong.push(format!("{number}: neither a test nor a reason"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_trap_has_a_test_or_a_reason() {
    assert_whole(TRAPS, 1..=82);
}

#[test]
fn every_case_has_a_test_or_a_reason() {
    assert_whole(CASES, 37..=84);
}

#[test]
fn every_test_that_is_called_after_a_trap_is_listed() {
    let rows = rows(TRAPS);
    let unlisted: Vec<String> = functions()
        .into_iter()
        .filter(|name| {
            let number = name
                .strip_prefix("trap_")
                .and_then(|rest| rest.get(..2))
                .and_then(|digits| digits.parse::<u32>().ok());
            number.is_some_and(|number| {
                rows.get(&number).is_none_or(|said| !said.contains(&format!("`{name}`")))
            })
        })
        .collect();
    assert_eq!(unlisted, [""; 0], "write it into tests/data/traps.md");
}
