//! Notifications: what is told, to whom, and that nobody is delayed by it.

mod deliveries;
mod fakes;
mod forms;
mod mails;
mod scenes;

/// Every example of the manual is one that an agent takes.
#[test]
fn the_examples_of_the_manual_are_right() {
    let manual = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notifications.md");
    let text = std::fs::read_to_string(manual).unwrap();
    let examples: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 1);
    for example in examples {
        let path = evenkeel::model::tree::RepoPath::root().join("agent.yaml").unwrap();
        let file = evenkeel::manifest::agent_file(&path, example.as_bytes().to_vec()).unwrap();
        assert_eq!(file.notify.len(), 5);
    }
}
