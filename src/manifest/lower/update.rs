//! `deploy.update_config` and `deploy.rollback_config`: how containers are replaced, and how they return.

use std::num::NonZeroU32;

use super::super::keys;
use super::super::node::{Entry, Map, Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::super::source::Span;
use super::Context;
use crate::model::policy::Rollback;
use crate::model::update::{Batches, RollbackConfig, UpdateConfig, UpdateOrder};

/// What `deploy` says of updates.
#[derive(Default)]
pub(super) struct Updates {
    pub(super) update: UpdateConfig,
    pub(super) way_back: RollbackConfig,
    /// What becomes of a failed one, where that is said, and where.
    pub(super) on_failure: Option<(Rollback, Span)>,
}

/// Reads both parts of `deploy`, if `map`, a service, has any.
pub(super) fn read(cx: &mut Context<'_>, map: &Map) -> Updates {
    let mut found = Updates::default();
    let Some(deploy) = map.get("deploy").and_then(Node::as_map) else { return found };
    let part = |cx: &mut Context<'_>, key: &str| {
        deploy.get(key).and_then(|node| read::honoured_map(cx.problems, node, &keys::UPDATE_CONFIG).cloned())
    };
    if let Some(config) = part(cx, "update_config") {
        found.update.order = cx.optional(&config, "order", order).unwrap_or_default();
        found.update.batches = batches(cx, &config, Batches::default());
        found.on_failure = said(&config, "failure_action")
            .and_then(|entry| Some((on_failure(cx.problems, &entry.value)?, entry.key.span)));
        every_one(cx, &config);
    }
    if let Some(config) = part(cx, "rollback_config") {
        found.way_back.batches = batches(cx, &config, RollbackConfig::default().batches);
        return_order(cx, &config, found.update.order);
        if let Some(entry) = said(&config, "failure_action") {
            goes_on(cx.problems, &entry.value);
        }
        every_one(cx, &config);
    }
    found
}

fn said<'n>(map: &'n Map, key: &str) -> Option<&'n Entry> {
    map.entry(key).filter(|entry| !matches!(entry.value.value, Value::Null))
}

fn order(problems: &mut Problems, node: &Node) -> Option<UpdateOrder> {
    read::word(problems, node, &UpdateOrder::WORDS)
}

fn batches(cx: &mut Context<'_>, map: &Map, default: Batches) -> Batches {
    let number = |problems: &mut Problems, node: &Node| {
        read::integer::<u32>(problems, node, "a whole number that is not negative")
    };
    Batches {
        // To Compose 0 means all of them at once.
        parallelism: cx.optional(map, "parallelism", number).map_or(default.parallelism, NonZeroU32::new),
        delay: cx.optional(map, "delay", read::duration).unwrap_or(default.delay),
        monitor: cx.optional(map, "monitor", read::duration).unwrap_or(default.monitor),
    }
}

fn on_failure(problems: &mut Problems, node: &Node) -> Option<Rollback> {
    if node.as_scalar().is_some_and(|found| found.text == "continue") {
        let message =
            "with `continue` containers that failed would be left behind, which no deploy does here";
        problems.add(Problem::error("not-honoured", node.span, message).hint(
            "`rollback` returns the whole deploy to what ran before, and `pause` lets what was reached stay",
        ));
        return None;
    }
    read::word(problems, node, &[("rollback", Rollback::Automatic), ("pause", Rollback::Hold)])
}

/// A way back is never left half gone.
fn goes_on(problems: &mut Problems, node: &Node) {
    if node.as_scalar().is_some_and(|found| found.text == "pause") {
        let message = "a way back that has failed somewhere still returns everything else";
        problems.add(Problem::error("not-honoured", node.span, message).hint("write `continue`"));
        return;
    }
    read::word(problems, node, &[("continue", ())]);
}

/// The way back goes as the way there: only who is still running can go first.
fn return_order(cx: &mut Context<'_>, config: &Map, update: UpdateOrder) {
    let Some(node) = config.get("order") else { return };
    let Some(found) = order(cx.problems, node).filter(|found| *found != update) else { return };
    let message = format!("what is updated {update} doesn't return {found}");
    cx.note(Problem::error("not-honoured", node.span, message).hint(format!(
        "the way back goes as the way there: leave `order` out here, or write `order: {found}` in `update_config`"
    )));
}

/// No failed container is tolerated: one that doesn't pass is left behind nowhere.
fn every_one(cx: &mut Context<'_>, config: &Map) {
    let Some(entry) = said(config, "max_failure_ratio") else { return };
    if entry.value.as_scalar().and_then(|found| found.text.parse::<f64>().ok()) != Some(0.0) {
        let message = "every container must pass here: a deploy with failed ones doesn't end well";
        cx.note(Problem::error("not-honoured", entry.value.span, message).hint("write 0, or leave it out"));
    }
}
