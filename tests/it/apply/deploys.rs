//! Deploys that go well, and how fast and how quiet they are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::history::State;
use evenkeel::engine::Engine;
use evenkeel::engine::sim::{Behaviour, Fault, SimImage, Verb};
use evenkeel::model::desired::Desired;
use evenkeel::model::live::Status;
use evenkeel::model::spec::{MountSource, RestartPolicy};
use tokio::time::Instant;

use super::bench::{Bench, crowd, image_ref, stack, stack_with};

#[tokio::test(start_paused = true)]
async fn a_first_deploy_starts_everything_in_order() {
    let desired = stack_with("app:1");
    let bench = Bench::new();
    let outcome = bench.deploy(&desired).await;
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    assert_eq!(report.warnings, []);
    let told = bench.told.lines();
    let place = |line: &str| told.iter().position(|told| told == line).unwrap_or_else(|| panic!("{told:#?}"));
    let order = ["create network auren-dev_default", "create app", "start db", "wait for db", "start app"];
    assert!(order.is_sorted_by_key(|line| place(line)), "{told:#?}");
    assert!(place("wait for app") < place("start proxy"), "{told:#?}");
    assert!(place("wait for proxy") < place("committed"), "{told:#?}");
    bench.assert_at(&desired).await;
    let proxy = bench.container("proxy").await;
    assert_eq!(proxy.name.as_str(), "auren-dev-proxy-1");
    assert_eq!(proxy.spec.restart, RestartPolicy::UnlessStopped);
    let MountSource::Bind(path) = &proxy.spec.mounts["/etc/proxy.conf"].source else { panic!("{proxy:?}") };
    assert_eq!(std::fs::read_to_string(path).unwrap(), "listen 80");
}

#[tokio::test(start_paused = true)]
async fn a_second_deploy_writes_nothing() {
    let desired = stack_with("app:1");
    let bench = Bench::with(&desired).await;
    assert_eq!(bench.deploy(&desired).await, Outcome::Unchanged);
    assert_eq!(bench.host.writing_calls(), []);
    assert_eq!(bench.ledger.history(&stack(), 10).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_ledger_is_learned_again_from_an_empty_plan() {
    let desired = stack_with("app:1");
    let mut bench = Bench::with(&desired).await;
    let known = bench.ledger.last_applied(&stack()).unwrap();
    bench.ledger = evenkeel::apply::ledger::Ledger::open_in_memory().unwrap();
    assert_eq!(bench.deploy(&desired).await, Outcome::Unchanged);
    assert_eq!(bench.ledger.last_applied(&stack()).unwrap(), known);
    assert!(bench.ledger.last_stable(&stack()).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_replaced_container_is_kept_and_the_others_are_not_touched() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let before = bench.serving().await;
    let outcome = bench.deploy(&stack_with("app:2")).await;
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    let after = bench.serving().await;
    assert_ne!(before["app"], after["app"]);
    assert_eq!((&before["db"], &before["proxy"]), (&after["db"], &after["proxy"]));
    bench.assert_at(&stack_with("app:2")).await;
    let retired = bench.ledger.retired(&stack()).unwrap();
    assert_eq!(retired.into_iter().collect::<Vec<_>>(), [(before["app"].clone(), report.deploy)]);
    let old = bench.containers().await.into_iter().find(|container| container.id == before["app"]).unwrap();
    assert!(matches!(old.state.status, Status::Exited { .. }), "{old:?}");
    assert_eq!(old.spec.restart, RestartPolicy::No);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_ready_soon_after_it_is_whatever_its_interval() {
    let ready_after = Duration::from_secs(1);
    let behaviour = Behaviour { healthy_after: ready_after, ..Behaviour::default() };
    let bench = Bench::with(&stack_with("app:1")).await;
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(behaviour));
    let start = Instant::now();
    let outcome = bench.deploy(&stack_with("app:2")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    let took = start.elapsed();
    assert!(ready_after <= took && took < Duration::from_millis(1500), "{took:?}");
}

/// A host on which each container of `app:1` needs so long to end.
async fn host_whose_containers_end_after(time: Duration, desired: &Desired) -> Bench {
    let bench = Bench::new();
    let slow = Behaviour { stop_takes: time, ..Behaviour::default() };
    bench.host.add_image(&image_ref("app:1"), SimImage::of("app:1").that(slow));
    let outcome = bench.deploy(desired).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    bench
}

#[tokio::test(start_paused = true)]
async fn the_old_container_has_ended_before_the_new_one_is_started() {
    let takes = Duration::from_secs(3);
    let bench = host_whose_containers_end_after(takes, &stack_with("app:1")).await;
    let (start, started_after) = (Instant::now(), Arc::new(Mutex::new(None)));
    let note = Arc::clone(&started_after);
    bench.host.on_call(Box::new(move |call| {
        if call.verb == Verb::StartContainer {
            note.lock().unwrap().get_or_insert(start.elapsed());
        }
        Fault::None
    }));
    let outcome = bench.deploy(&stack_with("app:2")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    let started_after = started_after.lock().unwrap().unwrap();
    assert!(started_after >= takes, "{started_after:?}");
}

#[tokio::test(start_paused = true)]
async fn containers_that_need_long_to_end_do_so_together() {
    let bench = host_whose_containers_end_after(Duration::from_secs(9), &crowd(40, "app:1")).await;
    let start = Instant::now();
    let outcome = bench.deploy(&crowd(40, "app:2")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    // Nine seconds to end and two to prove stable, not forty times that.
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    bench.assert_at(&crowd(40, "app:2")).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_has_committed_is_finished_though_it_is_stopped() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let stop = bench.stop.clone();
    bench.host.on_call(Box::new(move |call| {
        if call.verb == Verb::RenameContainer {
            stop.cancel();
        }
        Fault::None
    }));
    let outcome = bench.deploy(&stack_with("app:2")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    bench.assert_at(&stack_with("app:2")).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_missing_is_pulled_before_anything_stops() {
    let bench = Bench::with(&stack_with("app:1")).await;
    bench.host.publish(&image_ref("app:3"), SimImage::of("app:3"), Duration::from_secs(90));
    let outcome = bench.deploy(&stack_with("app:3")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    let calls = bench.host.writing_calls();
    assert_eq!(calls[0].verb, Verb::PullImage, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_after_the_commit_is_a_warning_and_repaired_next_time() {
    let bench = Bench::with(&stack_with("app:1")).await;
    bench.host.on_call(Box::new(
        |call| {
            if call.verb == Verb::RenameContainer { Fault::Error } else { Fault::None }
        },
    ));
    let outcome = bench.deploy(&stack_with("app:2")).await;
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    assert!(report.warnings.iter().any(|warning| warning.what.starts_with("rename")), "{report:?}");
    let serving = bench.serving().await;
    bench.host.without_faults();
    let outcome = bench.deploy(&stack_with("app:2")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert_eq!(bench.serving().await, serving);
    bench.assert_at(&stack_with("app:2")).await;
    assert_eq!(bench.container("app").await.name.as_str(), "auren-dev-app-1");
}

#[tokio::test(start_paused = true)]
async fn history_tells_what_was_done() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let outcome = bench.deploy(&stack_with("app:2")).await;
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    let history = bench.ledger.history(&stack(), 1).unwrap();
    let [record] = history.as_slice() else { panic!("{history:?}") };
    assert_eq!((&record.id, record.state, record.trigger.as_str()), (&report.deploy, State::Done, "push"));
    let change = &record.changes[0];
    assert_eq!((change.name.as_str(), change.operation.as_str()), ("app", "replace"));
    let steps = bench.ledger.steps(&report.deploy).unwrap();
    assert!(steps.iter().all(|step| step.ended.is_some() && step.failure.is_none()), "{steps:?}");
    assert!(steps.iter().any(|step| step.words == "start app"), "{steps:?}");
}

/// The agent runs deploys on its own runtime.
#[test]
fn a_deploy_can_move_between_threads() {
    fn assert_send<T: Send>(_: &T) {}
    let bench = Bench::new();
    let desired = stack_with("app:1");
    assert_send(&async { assert_send(&bench.host) });
    assert_send(&bench.tools());
    assert_send(&bench.deploy(&desired));
    assert_send(&bench.recover());
}

#[tokio::test(start_paused = true)]
async fn a_name_is_given_though_the_one_that_had_it_is_gone() {
    let desired = stack_with("app:2");
    let bench = Bench::with(&stack_with("app:1")).await;
    let old = bench.container("app").await.id;
    assert!(matches!(bench.deploy(&desired).await, Outcome::Applied(_)));
    let new = bench.container("app").await;
    // Somebody swaps their names, and removes the old one when the plan to put that right is made.
    bench.host.rename_container(&new.id, &"elsewhere".parse().unwrap()).await.unwrap();
    bench.host.rename_container(&old, &new.name).await.unwrap();
    let plan = bench.plan(&desired).await;
    assert!(bench.host.remove_by_hand(&new.name));
    let outcome = bench.carry_out(&plan, &desired).await;
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    assert_eq!(report.warnings, []);
    assert_eq!(bench.container("app").await.name, new.name);
}
