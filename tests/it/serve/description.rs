//! What is written about the API is what it does.

use std::collections::BTreeSet;
use std::fs;

use evenkeel::manifest::agent_file;
use evenkeel::model::tree::RepoPath;
use evenkeel::serve::{Access, ROUTES, description};
use serde_json::Value;

#[test]
fn the_description_is_of_these_addresses() {
    let description = description();
    let paths = description["paths"].as_object().unwrap();
    let described: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let there: BTreeSet<String> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, there);
    for route in &ROUTES {
        let operation = &paths[route.path][route.method.as_str().to_lowercase()];
        // What the whole description says holds where nothing else is said: a token.
        let is_open = operation["security"] == serde_json::json!([{}]);
        assert_eq!(is_open, matches!(route.access, Access::Open | Access::Signed), "{}", route.path);
    }
}

#[test]
fn the_kept_description_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let made = format!("{:#}\n", description());
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        fs::write(path, &made).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap();
    assert!(kept == made, "docs/openapi.json is another one: INSTA_UPDATE=always writes it");
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_example_of_the_manual_is_right() {
    let manual = include_str!("../../../docs/api.md");
    let mut examples = 0;
    for block in manual.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap();
        let whole = format!("{yaml}follow: [{{repository: /srv/infra.git}}]\n");
        let path = RepoPath::root().join("agent.yaml").unwrap();
        assert!(agent_file(&path, whole.into_bytes()).is_ok(), "{yaml}");
        examples += 1;
    }
    assert!(examples > 1);
    for route in &ROUTES {
        let last = route.path.rsplit('/').next().unwrap();
        assert!(manual.contains(last), "{} is not in docs/api.md", route.path);
    }
}
