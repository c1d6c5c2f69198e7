//! What the agent of this host knows, for who looks where there is no repository: its stacks, in a table.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::Global;
use super::failure::{ExitStatus, Hint};
use super::output::Output;
use super::select;
use super::words::table;
use crate::serve::client;

/// Whether the options name no manifests and none are here, so that only the agent can tell.
pub(super) fn is_asked(global: &Global) -> bool {
    let here = global.repo.join("evenkeel.yaml");
    global.files.is_empty() && global.rev.is_none() && global.repo.as_os_str() == "." && !here.exists()
}

/// `status` of all that the agent follows.
pub(super) async fn status(global: &Global, output: Output) -> anyhow::Result<ExitStatus> {
    let asked = client::state(&select::state_folder(global)?).await;
    let stacks = asked.hint(
        "here is no repository either: name one with `--repo PATH`, or start the agent: `systemctl start evenkeel`",
    )?;
    if output.json {
        output.value(&json!({"stacks": stacks}));
    } else {
        output.data(&to_text(&stacks));
    }
    Ok(ExitStatus::Done)
}

fn to_text(stacks: &[Value]) -> String {
    let rows: Vec<Vec<String>> = stacks.iter().map(row).collect();
    let mut text =
        table(&["STACK", "ENVIRONMENT", "SYNC", "HEALTH", "OPERATION", "APPLIED", "NEWEST"], &rows);
    for stack in stacks {
        for told in remarks(stack) {
            let _ = writeln!(text, "{}: {told}", name(stack));
        }
    }
    text
}

fn word(value: &Value) -> String {
    value.as_str().map(|word| word.replace('_', " ")).unwrap_or_default()
}

fn name(stack: &Value) -> String {
    stack["stack"].as_str().unwrap_or("(not known yet)").to_owned()
}

fn row(stack: &Value) -> Vec<String> {
    let commit = |value: &Value| value.as_str().and_then(|id| id.get(..7)).unwrap_or("-").to_owned();
    vec![
        name(stack),
        word(&stack["environment"]),
        word(&stack["sync"]["state"]),
        word(&stack["health"]["state"]),
        word(&stack["operation"]["state"]["phase"]),
        commit(&stack["revisions"]["applied"]),
        commit(&stack["revisions"]["observed"]),
    ]
}

/// What is worth a line of its own.
fn remarks(stack: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let held = text(&stack["revisions"]["held"]["reason"]).map(|why| format!("held: {why}"));
    let unwell = text(&stack["health"]["reason"]);
    let waiting = text(&stack["operation"]["state"]["reason"]).map(|why| format!("is tried again: {why}"));
    let source = &stack["conditions"]["source_ready"];
    let source = text(&source["reason"]).filter(|_| source["holds"] == false);
    let window = text(&stack["window"]);
    [held, unwell, waiting, source, window].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_knows_is_a_table_with_remarks() {
        let stacks = [
            json!({
                "stack": "shop-prod", "environment": "prod", "sync": {"state": "in_sync"},
                "health": {"state": "healthy"}, "operation": {"state": {"phase": "idle"}},
                "revisions": {"applied": "0123456789", "observed": "0123456789"},
            }),
            json!({
                "stack": null, "environment": "dev", "sync": {"state": "unknown"}, "health": {"state": "unknown"},
                "operation": {"state": {"phase": "waiting", "reason": "Docker is away"}}, "revisions": {},
                "conditions": {"source_ready": {"holds": false, "reason": "no route"}},
            }),
        ];
        let text = to_text(&stacks);
        assert_eq!(
            text,
            "STACK             ENVIRONMENT   SYNC      HEALTH    OPERATION   APPLIED   NEWEST\n\
             shop-prod         prod          in sync   healthy   idle        0123456   0123456\n\
             (not known yet)   dev           unknown   unknown   waiting     -         -\n\
             (not known yet): is tried again: Docker is away\n(not known yet): no route\n"
        );
    }
}
