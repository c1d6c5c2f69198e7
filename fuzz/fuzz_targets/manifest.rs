//! A stack of two files and a `.env`, as `-f` reads them: all of resolving, up to what is told about it.
//!
//! The files are separated by a line of three dashes with a name: `--- over` and `--- env`.
#![no_main]

use std::collections::BTreeMap;

use evenkeel::manifest::{Given, Input, MissingVariables, Request, resolve};
use evenkeel::model::desired::Revision;
use evenkeel::model::tree::MemoryTree;
use libfuzzer_sys::fuzz_target;

/// A character that nobody writes, and that can't be put together from others.
const SECRET: &str = "\u{e000}";

fuzz_target!(|whole: &str| {
    let (text, variables) = whole.split_once("\n--- env\n").unwrap_or((whole, ""));
    let (first, over) = text.split_once("\n--- over\n").unwrap_or((text, ""));
    let mut tree = MemoryTree::default();
    let mut files = Vec::new();
    for (name, text) in [("compose.yaml", first), ("over.yaml", over), (".env", variables)] {
        let Ok(path) = name.parse() else { return };
        if text.is_empty() && name != "compose.yaml" {
            continue;
        }
        if name != ".env" {
            files.push(Clone::clone(&path));
        }
        tree.insert(path, text);
    }
    let host = BTreeMap::from([("SECRET".to_owned(), SECRET.to_owned())]);
    let resolved = resolve(&Request {
        tree: &tree,
        input: Input::Files(Given { files, default_project: "fuzz".to_owned(), ..Given::default() }),
        host_variables: &host,
        missing: MissingVariables::Refuse,
        revision: Revision::WorkTree(None),
    });
    let told = match resolved {
        Ok(resolved) => resolved.to_yaml() + &resolved.to_json().to_string(),
        Err(report) => report.render(false),
    };
    assert!(
        !told.contains(SECRET) || whole.contains(SECRET) || whole.to_lowercase().contains("e000"),
        "{told}"
    );
    assert!(!told.contains("error[internal]"), "{told}");
});
