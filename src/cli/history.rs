//! `history`: what was deployed, when and how it ended.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::{Global, HistoryArgs};
use super::failure::ExitStatus;
use super::output::Output;
use super::select;
use super::words::{moment, seconds, table};
use crate::apply::ledger::history::{ChangeLine, DeployRecord, State};
use crate::manifest::MissingVariables;
use crate::model::update::UpdateOrder;
use crate::plan::change::Operation;

/// Changes of a deploy that are named.
const NAMED_MAX: usize = 3;

pub(super) async fn history(
    global: &Global,
    args: &HistoryArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    let resolved = select::resolved(global, MissingVariables::Placeholder, output).await?;
    let stack = &resolved.desired.stack;
    let records = match select::ledger_to_look(global)? {
        Some(ledger) => ledger.history(stack, args.most)?,
        None => Vec::new(),
    };
    if output.json {
        output.value(
            &json!({"stack": stack.as_str(), "deploys": records.iter().map(to_json).collect::<Vec<_>>()}),
        );
    } else if records.is_empty() {
        output.say(&format!("{stack} has not been deployed on this host"));
    } else {
        output.data(&to_text(&records));
    }
    Ok(ExitStatus::Done)
}

/// One line for each deploy, and below it why it failed, if it did.
fn to_text(records: &[DeployRecord]) -> String {
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let table = table(&["WHEN", "REVISION", "TRIGGER", "OUTCOME", "TOOK", "CHANGES"], &rows);
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, record) in lines.zip(records) {
        let _ = writeln!(text, "{line}");
        for why in record.failure.iter().flat_map(|failure| failure.lines()) {
            let _ = writeln!(text, "  {why}");
        }
    }
    text
}

fn row(record: &DeployRecord) -> Vec<String> {
    vec![
        moment(record.began),
        record.revision.to_string(),
        record.trigger.clone(),
        record.state.to_string(),
        took_ms(record).map(|ms| seconds(std::time::Duration::from_millis(ms))).unwrap_or_default(),
        in_short(&record.changes),
    ]
}

fn took_ms(record: &DeployRecord) -> Option<u64> {
    let took = record.ended?.duration_since(record.began);
    u64::try_from(took.as_millis()).ok()
}

/// The services first, for they are what people look for: `± web, + db and 9 more`.
fn in_short(changes: &[ChangeLine]) -> String {
    let (services, others): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.kind == "service");
    let named: Vec<String> =
        services.iter().chain(&others).take(NAMED_MAX).map(|change| one(change)).collect();
    match changes.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn one(change: &ChangeLine) -> String {
    const ALL: [Operation; 8] = [
        Operation::Create,
        Operation::InPlace,
        Operation::Recreate,
        Operation::Replace(UpdateOrder::StopFirst),
        Operation::Revive(UpdateOrder::StopFirst),
        Operation::Start,
        Operation::Remove,
        Operation::Report,
    ];
    let symbol = ALL.into_iter().find(|known| known.code() == change.operation).map(Operation::symbol);
    let symbol = symbol.unwrap_or('?');
    if change.kind == "service" {
        format!("{symbol} {}", change.name)
    } else {
        format!("{symbol} {} {}", change.kind, change.name)
    }
}

/// A deploy for machines.
pub(super) fn to_json(record: &DeployRecord) -> Value {
    let DeployRecord { id, revision, desired, plan, trigger, actor, began, ended, state, failure, changes } =
        record;
    json!({
        "deploy": id.as_str(),
        "revision": revision.to_string(),
        "commit": revision.commit(),
        "desired": desired.0,
        "plan": plan.0,
        "trigger": trigger,
        "actor": actor,
        "began": began.to_string(),
        "ended": ended.map(|ended| ended.to_string()),
        "took_ms": took_ms(record),
        "outcome": state.code(),
        "failure": failure,
        "changes": changes,
    })
}

/// Whether the deploy brought what it wanted.
pub(super) fn went_well(record: &DeployRecord) -> bool {
    match record.state {
        State::Done | State::Committed => true,
        State::Open
        | State::RollingBack
        | State::Failed
        | State::Interrupted
        | State::RolledBack
        | State::RollbackFailed
        | State::Held
        | State::RolledBackInWatch => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, name: &str, operation: &str) -> ChangeLine {
        ChangeLine {
            kind: kind.to_owned(),
            name: name.to_owned(),
            operation: operation.to_owned(),
            why: String::new(),
        }
    }

    #[test]
    fn changes_are_named_services_first_and_only_a_few() {
        let changes = [
            change("network", "net", "create"),
            change("service", "web", "replace"),
            change("service", "db", "create"),
        ];
        assert_eq!(in_short(&changes), "± web, + db, + network net");
        let more = [&changes[..], &[change("service", "old", "remove")]].concat();
        assert_eq!(in_short(&more), "± web, + db, - old and 1 more");
        assert_eq!(in_short(&[]), "");
    }
}
