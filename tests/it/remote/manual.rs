//! The manual's examples, read as they stand there.

use evenkeel::manifest::agent_file;
use evenkeel::model::tree::RepoPath;

const MANUAL: &str = include_str!("../../../docs/git.md");

#[test]
fn every_example_of_the_manual_is_right() {
    let mut examples = 0;
    for block in MANUAL.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let path = RepoPath::root().join("agent.yaml").unwrap();
        if let Err(report) = agent_file(&path, text.as_bytes().to_vec()) {
            panic!("{text}\n{}", report.render(false));
        }
        examples += 1;
    }
    assert!(examples >= 5, "{examples} examples");
}
