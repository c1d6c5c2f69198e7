//! The law of `render --desired`: what it prints is read again to the same.

use evenkeel::model::desired::Desired;

use super::*;

fn resolved(base: &MemoryTree, text: &str) -> Result<manifest::Resolved, Report> {
    let mut tree = base.clone();
    tree.insert("compose.yaml".parse().unwrap(), text);
    let host = [("HOST", "hosted"), ("HOME", "/root"), ("COMPOSE_PROFILES", "a,dev")];
    let host = host.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let files = vec!["compose.yaml".parse().unwrap()];
    let given = Given { files, default_project: "project".to_owned(), ..Given::default() };
    manifest::resolve(&Request {
        tree: &tree,
        input: Input::Files(given),
        host_variables: &host,
        missing: MissingVariables::Refuse,
        revision: Revision::WorkTree(None),
    })
}

/// The first lines in which two stacks differ.
fn differing(first: &Desired, again: &Desired) -> String {
    let (first, again) = (format!("{first:#?}"), format!("{again:#?}"));
    let lines = first.lines().zip(again.lines()).filter(|(first, again)| first != again);
    let lines = lines.take(3).map(|(first, again)| format!("  {} → {}", first.trim(), again.trim()));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_deployed_is_printed_so_that_it_is_read_again_to_the_same() {
    let mut tree = MemoryTree::default();
    let folder = data().join("tree");
    fill(&mut tree, &folder, &folder);
    let (mut wrong, mut held) = (Vec::new(), 0);
    for (_, _, groups) in tables() {
        for group in groups.iter().filter(|group| group.file == compose_file()) {
            for (name, key) in &group.keys {
                let name = name.as_str().unwrap();
                let key: Key = serde_yaml::from_value(key.clone()).unwrap();
                let frame = key.frame.as_ref().unwrap_or(&group.frame);
                for (form, _) in &key.accepted.0 {
                    let text = frame.replace("KEY", name).replace("VALUE", form);
                    let Ok(first) = resolved(&tree, &text) else { continue };
                    let printed = first.to_yaml();
                    // What must not be shown can't be read again, and a config is told by where it comes from.
                    if printed.contains("(sensitive)") || printed.contains("x-evenkeel-content") {
                        continue;
                    }
                    let place = format!("{}: {form}", path(&group.object, name));
                    match resolved(&tree, &printed) {
                        Ok(again) if again.desired == first.desired => held += 1,
                        Ok(again) => {
                            wrong.push(format!("{place}\n{}", differing(&first.desired, &again.desired)));
                        }
                        Err(report) => wrong.push(format!("{place}\n{printed}\n{}", report.render(false))),
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), held + wrong.len(), wrong.join("\n"));
    assert!(held > 500, "{held}");
}
