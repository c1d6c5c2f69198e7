//! `adopt`: takes over what runs already, without touching it.

mod write;

use serde_json::{Value, json};

use super::args::{AdoptArgs, Global};
use super::confirm::confirm;
use super::failure::ExitStatus;
use super::output::Output;
use super::words::{count, table};
use super::{outcome, select};
use crate::apply::machine::adopt::Proposal;
use crate::apply::registry::Registries;
use crate::plan::adopt::{Names, Wish};
use crate::plan::json::to_json;
use crate::plan::text::{Layout, to_text};

const ACTOR: &str = "evenkeel adopt";

pub(super) async fn adopt(global: &Global, args: &AdoptArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let wish = if args.containers.is_empty() {
        Wish::Project(args.compose_project.clone())
    } else {
        Wish::Containers(args.containers.clone())
    };
    if let Some(file) = &args.write {
        return write::write(global, (args, file), &wish, output).await;
    }
    let resolved = select::desired(global, output).await?;
    let desired = &resolved.desired;
    let machine =
        if args.dry_run { select::machine_to_look(global).await? } else { select::machine(global).await? };
    let proposal = machine.propose(desired, &wish, Registries::Ask).await.map_err(outcome::not_planned)?;
    show(&proposal, output);
    if proposal.selection.adopted.is_empty() {
        output.say("nothing to adopt: the stack has all of it already");
        return Ok(ended("unchanged", &proposal, ExitStatus::Done, output));
    }
    if args.dry_run {
        output.say("nothing was adopted: this is only what would be");
        return Ok(ended("proposed", &proposal, ExitStatus::Done, output));
    }
    if !args.yes {
        let question = if proposal.plan.is_empty() {
            "Adopt them? Nothing is restarted."
        } else {
            "Adopt them? Nothing is restarted now; the plan above is what the next `apply`, or an agent, does."
        };
        if !tokio::task::spawn_blocking(move || confirm(question)).await?? {
            output.say("nothing changed");
            return Ok(ended("declined", &proposal, ExitStatus::Failed, output));
        }
    }
    machine.adopt(desired, (&wish, &proposal), ACTOR).await.map_err(outcome::not_planned)?;
    output.say(&format!("adopted {}; nothing was restarted", counted(&proposal.selection.names)));
    if !proposal.plan.is_empty() {
        output.say("`evenkeel apply` carries the plan out");
    }
    Ok(ended("adopted", &proposal, ExitStatus::Done, output))
}

fn show(proposal: &Proposal, output: Output) {
    let Proposal { selection, plan, .. } = proposal;
    let Names { containers, networks, volumes } = &selection.names;
    let containers = containers
        .iter()
        .map(|(instance, name)| ["container", name, &instance.to_string()].map(str::to_owned).to_vec());
    let shared = |kind: &str, name: &dyn ToString| vec![kind.to_owned(), name.to_string(), String::new()];
    let rows: Vec<Vec<String>> = containers
        .chain(networks.iter().map(|name| shared("network", name)))
        .chain(volumes.iter().map(|name| shared("volume", name)))
        .collect();
    if !rows.is_empty() {
        output.say(&table(&["ADOPTS", "NAME", "AS"], &rows));
    }
    for note in &selection.notes {
        output.say(&format!("note: {note}"));
    }
    output.say(&to_text(plan, Layout { colour: true, width: output.width, full: false }));
}

fn ended(status: &str, proposal: &Proposal, exit: ExitStatus, output: Output) -> ExitStatus {
    if output.json {
        output.value(&form(status, proposal));
    }
    exit
}

fn form(status: &str, proposal: &Proposal) -> Value {
    let Names { containers, networks, volumes } = &proposal.selection.names;
    let ids = &proposal.selection.adopted.containers;
    let containers = containers.iter().map(|(instance, name)| {
        let id = ids.iter().find(|(_, as_what)| *as_what == instance).map(|(id, _)| id.as_str());
        json!({
            "id": id,
            "name": name,
            "service": instance.service.as_str(),
            "number": instance.number,
        })
    });
    json!({
        "status": status,
        "adopted": {
            "containers": containers.collect::<Vec<_>>(),
            "networks": networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "volumes": volumes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "notes": proposal.selection.notes,
        "plan": to_json(&proposal.plan),
    })
}

fn counted(names: &Names) -> String {
    let Names { containers, networks, volumes } = names;
    let all = [(containers.len(), "container"), (networks.len(), "network"), (volumes.len(), "volume")];
    let some: Vec<String> =
        all.into_iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(number, noun)).collect();
    some.join(", ")
}
