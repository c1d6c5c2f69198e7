//! Calls of the engine that go wrong, one by one, and what of a stack is found afterwards. All ways at all places are in
//! `tests/it/sweep.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel::engine::sim::{Fault, Sim};
use evenkeel::model::name::ContainerId;
use tokio::sync::Notify;

use super::bench::Bench;

/// More calls than any deploy of these tests makes.
pub(super) const CALLS_MAX: usize = 500;

/// Lets the call number `at` (from 0) and, with `for_ever`, all after it suffer `fault`. The notification comes with
/// the first.
pub(super) fn strike(sim: &Sim, at: usize, (fault, for_ever): (Fault, bool)) -> Arc<Notify> {
    let struck = Arc::new(Notify::new());
    let notify = Arc::clone(&struck);
    let mut calls = 0;
    sim.on_call(Box::new(move |_| {
        let now = calls;
        calls += 1;
        if now == at {
            notify.notify_one();
        }
        if now == at || for_ever && now > at { fault } else { Fault::None }
    }));
    struck
}

/// The containers that run and are found by the name of their service.
pub(super) async fn found(bench: &Bench) -> BTreeMap<String, BTreeSet<ContainerId>> {
    let mut found: BTreeMap<String, BTreeSet<ContainerId>> = BTreeMap::new();
    for (service, containers) in bench.running().await {
        let named = containers.into_iter().filter(|container| {
            container.spec.networks.values().any(|attachment| attachment.aliases.contains(&service))
        });
        found.entry(service.clone()).or_default().extend(named.map(|container| container.id));
    }
    found
}

/// Asserts that each service is found as often as it was, and that only `app` is so as other containers.
pub(super) async fn assert_whole(
    bench: &Bench,
    before: &BTreeMap<String, BTreeSet<ContainerId>>,
    context: &str,
) {
    let serving = found(bench).await;
    let count = |serving: &BTreeMap<String, BTreeSet<ContainerId>>| {
        serving.iter().map(|(service, all)| (service.clone(), all.len())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(count(&serving), count(before), "{context}");
    assert_eq!((&serving["db"], &serving["proxy"]), (&before["db"], &before["proxy"]), "{context}");
}
