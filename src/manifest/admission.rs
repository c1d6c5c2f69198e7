//! `windows` and `approval` of environment.yaml: when something new may be deployed, and whether somebody must agree.

use std::time::Duration;

use super::keys;
use super::node::{Map, Node, Value};
use super::problem::{Problem, Problems};
use super::read;
use crate::model::window::{Admission, Approval, BadSchedule, Schedule, Window, WindowKind};

/// The longest window: what lasts longer comes again before it has ended.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const HINT: &str =
    "as in `{kind: freeze, cron: \"0 17 * * FRI\", duration: 63h, timezone: Europe/Zurich, reason: weekend}`";

/// Reads what must be given before something new is deployed.
pub(crate) fn admission(problems: &mut Problems, map: &Map) -> Admission {
    let said = |key: &str| map.get(key).filter(|node| !matches!(node.value, Value::Null));
    let windows = said("windows").and_then(|node| read::list(problems, node)).unwrap_or_default();
    let windows = windows.iter().filter_map(|node| window(problems, node)).collect();
    let approval = said("approval").and_then(|node| read::word(problems, node, &Approval::WORDS));
    Admission { windows, approval: approval.unwrap_or_default() }
}

fn window(problems: &mut Problems, node: &Node) -> Option<Window> {
    let map = read::checked_map(problems, node, &keys::WINDOW)?;
    let needed = |problems: &mut Problems, key: &str| {
        let found = map.get(key).filter(|node| !matches!(node.value, Value::Null));
        if found.is_none() {
            let message = format!("this window has no `{key}`");
            problems.add(Problem::error("missing-key", node.span, message).hint(HINT));
        }
        found
    };
    let kind = needed(problems, "kind").and_then(|node| read::word(problems, node, &WindowKind::WORDS));
    let duration = needed(problems, "duration").and_then(|node| duration(problems, node));
    let begins = needed(problems, "cron").and_then(|node| schedule(problems, node, map));
    let reason =
        map.get("reason").and_then(|node| read::text(problems, node)).map(|found| found.text.clone());
    Some(Window { kind: kind?, begins: begins?, duration: duration?, reason })
}

fn duration(problems: &mut Problems, node: &Node) -> Option<Duration> {
    let found = read::duration(problems, node)?;
    if (Duration::from_secs(60)..=LONGEST).contains(&found) {
        return Some(found);
    }
    problems.add(Problem::error("out-of-range", node.span, "a window lasts between a minute and 366 days"));
    None
}

/// The schedule of a window; its zone is UTC where none is said.
fn schedule(problems: &mut Problems, node: &Node, map: &Map) -> Option<Schedule> {
    let cron = read::text(problems, node)?;
    let zone = map.get("timezone").and_then(|node| Some((read::text(problems, node)?, node.span)));
    match Schedule::new(&cron.text, zone.map_or("UTC", |(zone, _)| zone.text.as_str())) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            let (span, hint) = match &error {
                BadSchedule::Zone(_) => {
                    (zone.map_or(node.span, |(_, span)| span), "as in `Europe/Zurich`, or `UTC`")
                }
                BadSchedule::Cron { .. } | BadSchedule::Never(_) => {
                    (node.span, "minute, hour, day of the month, month, day of the week: `0 17 * * FRI`")
                }
            };
            problems.add(Problem::error("bad-schedule", span, error.to_string()).hint(hint));
            None
        }
    }
}
