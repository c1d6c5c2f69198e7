//! agent.yaml in the manual: every example is right, every key is explained, and every command can be given.

use std::fs;
use std::path::Path;

use clap::Parser;
use evenkeel::cli::args::Cli;
use evenkeel::manifest::{AgentFile, agent_file, schema};
use evenkeel::model::tree::RepoPath;

/// Parts of the manual that have examples of agent.yaml, or commands.
const MANUALS: [&str; 5] =
    ["README.md", "docs/agent.md", "docs/install.md", "docs/operations.md", "docs/security.md"];

fn manual(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The blocks of a kind, each with the number of its first line.
fn blocks(text: &str, kind: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    let fence = format!("```{kind}");
    while let Some((number, line)) = lines.next() {
        if line.trim() == fence {
            let block = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
            blocks.push((number + 2, block.collect::<Vec<_>>().join("\n")));
        }
    }
    blocks
}

fn read(text: &str) -> Result<AgentFile, String> {
    let path = RepoPath::root().join("agent.yaml").unwrap();
    agent_file(&path, text.as_bytes().to_vec()).map_err(|report| report.render(false))
}

#[test]
fn every_example_of_the_manual_is_right() {
    let mut seen = 0;
    for name in MANUALS {
        for (line, block) in blocks(&manual(name), "yaml") {
            if block.lines().any(|line| line.starts_with("follow:")) {
                seen += 1;
                if let Err(told) = read(&block) {
                    panic!("{name}:{line}:\n{told}");
                }
            }
        }
    }
    assert!(seen >= 4, "only {seen} examples were found");
    let packaged = manual("packaging/agent.yaml");
    read(&packaged).unwrap();
}

#[test]
fn every_key_is_explained() {
    let text = manual("docs/agent.md");
    let schema = schema::agent();
    let keys = |pointer: &str| {
        let found = schema.pointer(pointer).and_then(|keys| keys.as_object()).unwrap();
        found.keys().cloned().collect::<Vec<_>>()
    };
    for key in keys("/properties").iter().chain(&keys("/properties/follow/items/properties")) {
        assert!(text.contains(&format!("| `{key}` |")), "docs/agent.md doesn't explain `{key}`");
    }
}

#[test]
fn every_command_of_the_manual_can_be_given() {
    let mut seen = 0;
    for name in &MANUALS[1..] {
        for (line, block) in blocks(&manual(name), "sh") {
            for command in block.lines().map(|line| line.split(" #").next().unwrap().trim()) {
                let command = command.trim_start_matches("sudo ");
                // What a shell would do with the rest is for another test.
                let command = command.split([';', '|', '>', '&']).next().unwrap();
                if command.split_whitespace().next() != Some("evenkeel") {
                    continue;
                }
                seen += 1;
                if let Err(error) = Cli::try_parse_from(command.split_whitespace()) {
                    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
                    assert!(
                        matches!(error.kind(), DisplayHelp | DisplayVersion),
                        "{name}:{line}: {command}\n{error}"
                    );
                }
            }
        }
    }
    assert!(seen >= 7, "only {seen} commands were found");
}
