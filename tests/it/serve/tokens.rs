//! `token new`, and that what it prints lets in.

use evenkeel::manifest::{Role, agent_file};
use evenkeel::model::tree::RepoPath;
use evenkeel::serve::hash_text;

use super::rig::Door;
use crate::cli::Place;

#[tokio::test]
async fn a_new_token_and_its_line_go_together() {
    let words = "token new --name ci --role operate --stack shop --stack no --expires 2999-01-01T00:00:00Z";
    let place = Place::new();
    let printed = place.run(words);
    assert_eq!(printed.status, Some(0), "{printed}");
    assert_eq!(place.files(), Vec::<String>::new(), "it is kept nowhere");
    let (token, line) = printed.stdout.trim_end().split_once('\n').unwrap();
    let yaml = format!("follow: [{{repository: /a}}]\napi:\n  tokens:\n  {line}\n");
    let path = RepoPath::root().join("agent.yaml").unwrap();
    let api = agent_file(&path, yaml.into_bytes()).unwrap().api.unwrap();
    let [entry] = api.tokens.as_slice() else { panic!("{line}") };
    assert_eq!((entry.name.as_str(), entry.role, entry.stacks.len()), ("ci", Role::Operate, 2));
    assert!(line.contains(&hash_text(token)) && !line.contains(token), "{line}");
    let mut door = Door::open();
    door.api.tokens = api.tokens;
    door.configure().unwrap();
    let header = format!("Authorization: Bearer {token}");
    assert_eq!(door.ask("POST /v1/stacks/shop/sync", &[&header], "{}").await.status, 202);
    assert_eq!(door.ask("POST /v1/stacks/blog/sync", &[&header], "{}").await.status, 404);
}

#[test]
fn what_agent_yaml_would_refuse_is_not_made() {
    for words in [
        "token new --role read",
        "token new --name ci",
        "token new --name CI --role read",
        "token new --name ci --role admin",
        "token new --name ci --role read --stack UPPER",
        "token new --name ci --role read --expires soon",
        "token",
    ] {
        let printed = Place::new().run(words);
        assert_eq!((printed.status, printed.stdout.as_str()), (Some(1), ""), "{printed}");
    }
}
