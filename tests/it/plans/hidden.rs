//! Live values that no manifest has said: what looks secret among them is not shown.

use evenkeel::plan::LastApplied;
use evenkeel::plan::json::to_json;

use super::*;

/// In whatever is said by hand.
const CANARY: &str = "canary-4711";

fn said(token: &str) -> Desired {
    let mut web = service("web", "apps");
    for (name, value) in [("API_TOKEN", token), ("LEVEL", "info"), ("DATABASE", "pg://db/shop")] {
        web.spec.environment.insert(name.to_owned(), value.into());
    }
    web.spec.labels.insert("deploy.key".to_owned(), "none".to_owned());
    web.spec.command = Some(vec!["serve".into(), "--quiet".into()]);
    desired(vec![web])
}

fn changed_by_hand() -> Paper {
    let mut paper = deployed(&said("one"));
    let spec = &mut paper.container("web").spec;
    for (name, value) in
        [("API_TOKEN", CANARY), ("LEVEL", "debug"), ("DATABASE", &format!("pg://shop:{CANARY}@db/shop"))]
    {
        spec.environment.insert(name.to_owned(), Text::sensitive(value));
    }
    spec.labels.insert("deploy.key".to_owned(), CANARY.to_owned());
    spec.command = Some(["serve", "--password", CANARY].map(Text::sensitive).to_vec());
    paper
}

#[test]
fn what_somebody_set_by_hand_is_not_shown_where_it_looks_secret() {
    let paper = changed_by_hand();
    // As a deploy has it on record, and as it is where nothing is.
    let mut unknown = paper.clone();
    unknown.last = LastApplied::default();
    for paper in [paper, unknown] {
        let plan = planned(&paper, &said("one"));
        let (text, json) = (text(&plan), to_json(&plan).to_string());
        assert!(!text.contains(CANARY) && !json.contains(CANARY), "{text}\n{json}");
        assert_eq!(plan.changes[0].fields.len(), 5, "{text}");
        for line in [
            "(sensitive) → \"one\"",
            "(sensitive) → \"none\"",
            "(sensitive) → \"pg://db/shop\"",
            "\"debug\" → \"info\"",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}

#[test]
fn what_the_manifests_said_in_the_clear_is_shown() {
    let plan = planned(&deployed(&said("one")), &said("two"));
    assert!(text(&plan).contains("\"one\" → \"two\""), "{}", text(&plan));
}
