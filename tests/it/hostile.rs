//! Files of strangers are refused by a limit that has a name, whatever they try.
//!
//! What they cost in time and memory is printed by `cargo bench --bench manifests -- hostile`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeSet;

use cases::CASES;

mod cases;

#[test]
fn each_is_refused_by_its_limit() {
    let mut wrong = Vec::new();
    for case in CASES {
        let codes: BTreeSet<&str> = match case.stack().resolve() {
            Ok(_) => BTreeSet::new(),
            Err(report) => {
                // Whatever is said about a large file is not large.
                let text = report.render(false);
                if text.len() > 4 << 20 {
                    wrong.push(format!("{}: a report of {} bytes", case.name, text.len()));
                }
                report.diagnostics().iter().map(|found| found.code).collect()
            }
        };
        let as_expected = match case.refused_by {
            Some(limit) => codes.contains(limit),
            None => codes.is_empty(),
        };
        if !as_expected {
            wrong.push(format!("{}: {codes:?}, and not {:?}", case.name, case.refused_by));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_has_a_name_of_its_own() {
    let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), CASES.len());
}
