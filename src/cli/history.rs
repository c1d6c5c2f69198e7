//! `history`: what was deployed, when and how it ended.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{Global, HistoryArgs};
use super::failure::ExitStatus;
use super::output::Output;
use super::words::{moment, seconds, table};
use super::{agents, operate, select};
use crate::apply::ledger::history::{ChangeLine, DeployRecord, State};
use crate::manifest::MissingVariables;
use crate::model::update::UpdateOrder;
use crate::plan::change::Operation;
use crate::serve::Deploy;

/// Changes of a deploy that are named.
const NAMED_MAX: usize = 3;

pub(super) async fn history(
    global: &Global,
    args: &HistoryArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    let ledger = select::ledger_to_look(global)?;
    let stack = match &ledger {
        Some(ledger) if args.of.stack.is_some() || agents::is_asked(global) => {
            operate::which(global, &args.of, ledger, output).await?
        }
        Some(_) | None => {
            select::resolved(global, MissingVariables::Placeholder, output).await?.desired.stack
        }
    };
    let records = ledger.map(|ledger| ledger.history(&stack, args.most)).transpose()?.unwrap_or_default();
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

/// Deploys in a row that ended alike: the latest of them, how many they are, and when the first began.
struct Alike<'a> {
    latest: &'a DeployRecord,
    times: usize,
    first: Timestamp,
}

/// Puts together what was tried again and again and failed in the same way.
fn alike(records: &[DeployRecord]) -> Vec<Alike<'_>> {
    let mut all: Vec<Alike<'_>> = Vec::new();
    for record in records {
        match all.last_mut().filter(|last| is_again(last.latest, record)) {
            Some(last) => (last.times, last.first) = (last.times + 1, record.began),
            None => all.push(Alike { latest: record, times: 1, first: record.began }),
        }
    }
    all
}

fn is_again(one: &DeployRecord, other: &DeployRecord) -> bool {
    let key = |record: &DeployRecord| {
        let DeployRecord { desired, trigger, actor, state, failure, .. } = record;
        (desired.clone(), trigger.clone(), actor.clone(), *state, failure.clone())
    };
    one.failure.is_some() && key(one) == key(other)
}

/// One line for each deploy, and below it why it failed, if it did.
fn to_text(records: &[DeployRecord]) -> String {
    let records = alike(records);
    let rows: Vec<Vec<String>> = records.iter().map(|alike| row(alike.latest)).collect();
    let table = table(&["WHEN", "REVISION", "TRIGGER", "OUTCOME", "TOOK", "CHANGES"], &rows);
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, Alike { latest, times, first }) in lines.zip(records) {
        let _ = writeln!(text, "{line}");
        if times > 1 {
            let _ = writeln!(text, "  the same {times} times since {}", moment(first));
        }
        for why in latest.failure.iter().flat_map(|failure| failure.lines()) {
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
        record.took_ms().map(|ms| seconds(std::time::Duration::from_millis(ms))).unwrap_or_default(),
        in_short(&record.changes),
    ]
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
    json!(Deploy::from(record.clone()))
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
    use crate::model::desired::Revision;
    use crate::plan::{DesiredDigest, PlanId};

    fn change(kind: &str, name: &str, operation: &str) -> ChangeLine {
        ChangeLine {
            kind: kind.to_owned(),
            name: name.to_owned(),
            operation: operation.to_owned(),
            why: String::new(),
        }
    }

    fn failed(began: &str, failure: Option<&str>) -> DeployRecord {
        DeployRecord {
            id: "d1".parse().unwrap(),
            revision: Revision::Files,
            desired: DesiredDigest("d".to_owned()),
            plan: PlanId("p".to_owned()),
            trigger: "push".to_owned(),
            actor: "evenkeel run".to_owned(),
            began: began.parse().unwrap(),
            ended: None,
            state: State::RolledBack,
            failure: failure.map(str::to_owned),
            changes: Vec::new(),
        }
    }

    #[test]
    fn what_fails_again_and_again_is_one_line() {
        let records = [
            failed("2026-01-01T08:03:00Z", Some("out of memory")),
            failed("2026-01-01T08:02:00Z", Some("no such image")),
            failed("2026-01-01T08:01:00Z", Some("no such image")),
            failed("2026-01-01T08:00:00Z", Some("no such image")),
        ];
        let text = to_text(&records);
        assert_eq!(text.matches("no such image").count(), 1, "{text}");
        assert!(text.contains("the same 3 times since"), "{text}");
        let well = [failed("2026-01-01T08:01:00Z", None), failed("2026-01-01T08:00:00Z", None)];
        assert_eq!(alike(&well).len(), 2, "deploys that brought something are told one by one");
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
