//! Deploys with a service that is not to be rolled back: once its new container has run, what was reached stays, and
//! only what was left half done returns.

use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::history::State;
use evenkeel::apply::recover::Recovered;
use evenkeel::engine::sim::{Behaviour, Fault, SimImage};
use evenkeel::model::desired::Desired;
use evenkeel::model::live::Status;
use evenkeel::model::policy::Rollback;
use evenkeel::model::spec::RestartPolicy;

use super::bench::{Bench, image_ref, stack, stack_with};
use super::sweep::{CALLS_MAX, assert_whole, found, strike};

/// The stack with `app` made of this image, and not to be rolled back.
fn held(image: &str) -> Desired {
    let mut desired = stack_with(image);
    let app = desired.services.get_mut(&"app".parse().unwrap()).unwrap();
    app.rollback = Rollback::Hold;
    desired
}

/// The same with a `proxy` of another image, in a later tier.
fn held_with_proxy(app: &str, proxy: &str) -> Desired {
    let mut desired = held(app);
    desired.services.get_mut(&"proxy".parse().unwrap()).unwrap().spec.image = image_ref(proxy);
    desired
}

async fn host() -> Bench {
    let bench = Bench::with(&held("app:1")).await;
    for image in ["app:3", "proxy:2"] {
        bench.host.add_image(&image_ref(image), SimImage::of(image));
    }
    bench
}

fn exits() -> Behaviour {
    Behaviour { exits: Some((Duration::ZERO, 3)), ..Behaviour::default() }
}

fn cannot_start() -> Behaviour {
    Behaviour { start_error: Some("no such executable".to_owned()), ..Behaviour::default() }
}

#[tokio::test(start_paused = true)]
async fn a_failed_gate_leaves_everything_as_it_is() {
    let bench = host().await;
    let before = bench.serving().await;
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(exits()));
    let outcome = bench.deploy(&held("app:2")).await;
    let Outcome::Held { failure, left, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.to_string().as_str(), left), ("wait for app: its process exited with 3", vec![]));

    let running = bench.serving().await;
    assert_eq!(running.keys().collect::<Vec<_>>(), ["db", "proxy"], "the old app must not come back");
    let containers = bench.containers().await;
    let old = containers.iter().find(|container| container.id == before["app"]).unwrap();
    assert_eq!(old.spec.restart, RestartPolicy::No, "not even a restart of the daemon may start it");
    let failed = containers.iter().find(|container| container.spec.image == image_ref("app:2")).unwrap();
    assert!(matches!(failed.state.status, Status::Exited { code: 3, .. }), "it stays for a look: {failed:?}");

    let record = bench.ledger.history(&stack(), 1).unwrap().remove(0);
    assert_eq!((record.state, record.failure.unwrap()), (State::Held, failure.to_string()));
    assert!(bench.ledger.held(&stack()).unwrap().is_some());
    assert_eq!(bench.ledger.open_deploy(&stack()).unwrap(), None);
    assert_eq!(bench.recover().await, None);
    assert!(bench.ledger.quarantined(&stack(), &record.desired).unwrap().is_some());
    assert!(bench.ledger.retired(&stack()).unwrap().contains_key(&before["app"]));
}

#[tokio::test(start_paused = true)]
async fn the_next_deploy_works_from_what_is_live() {
    for next in ["app:3", "app:1"] {
        let bench = host().await;
        bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(exits()));
        let outcome = bench.deploy(&held("app:2")).await;
        assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
        let desired = held(next);
        let outcome = bench.deploy(&desired).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{next}: {outcome:?}");
        bench.assert_at(&desired).await;
        assert_eq!(bench.container("app").await.spec.restart, RestartPolicy::UnlessStopped);
        assert_eq!(bench.ledger.held(&stack()).unwrap(), None, "it is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_deploy_in_between_does_not_end_the_hold() {
    let bench = host().await;
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(exits()));
    let outcome = bench.deploy(&held("app:2")).await;
    assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
    bench.host.add_image(&image_ref("app:3"), SimImage::of("app:3").that(cannot_start()));
    let outcome = bench.deploy(&held("app:3")).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    let id = bench.ledger.held(&stack()).unwrap().unwrap().id;
    assert_eq!(id, bench.ledger.history(&stack(), 2).unwrap()[1].id);
}

#[tokio::test(start_paused = true)]
async fn what_was_reached_stays_when_something_later_fails() {
    let bench = host().await;
    let before = bench.serving().await;
    bench.host.add_image(&image_ref("proxy:2"), SimImage::of("proxy:2").that(cannot_start()));
    let outcome = bench.deploy(&held_with_proxy("app:2", "proxy:2")).await;
    let Outcome::Held { failure, left, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.what.as_str(), left), ("start proxy", vec![]));
    let now = bench.serving().await;
    assert_ne!(now["app"], before["app"], "it has run");
    assert_eq!((&now["db"], &now["proxy"]), (&before["db"], &before["proxy"]), "the switch was not finished");
    assert_eq!(bench.container("proxy").await.spec.restart, RestartPolicy::UnlessStopped);
    assert_eq!(bench.containers().await.len(), before.len() + 1, "what never ran is gone");
    // Without a change of what is desired, only the fault is in the way.
    bench.host.add_image(&image_ref("proxy:2"), SimImage::of("proxy:2"));
    let desired = held_with_proxy("app:2", "proxy:2");
    let outcome = bench.deploy(&desired).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert_eq!(bench.serving().await["app"], now["app"], "it is not replaced once more");
    bench.assert_at(&desired).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_it_has_run_is_rolled_back() {
    let bench = host().await;
    let before = bench.serving().await;
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(cannot_start()));
    let outcome = bench.deploy(&held("app:2")).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(bench.serving().await, before);

    // What holds the deploy is only what it starts itself.
    bench.host.add_image(&image_ref("proxy:2"), SimImage::of("proxy:2").that(exits()));
    let outcome = bench.deploy(&held_with_proxy("app:1", "proxy:2")).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(bench.serving().await, before);
    assert_eq!(bench.ledger.held(&stack()).unwrap(), None);
}

/// Lets call after call go wrong, or kills the controller there, and recovers. Returns how many calls there were and how
/// many deploys were held.
async fn sweep(fault: Fault, for_ever: bool, killed: bool) -> (usize, usize) {
    let mut holds = 0;
    for at in 0..CALLS_MAX {
        let bench = Bench::with(&held("app:1")).await;
        let before = found(&bench).await;
        let desired = held("app:2");
        let plan = bench.plan(&desired).await;
        bench.host.forget_calls();
        let struck = strike(&bench.host, at, (fault, for_ever));
        let outcome = if killed {
            tokio::select! {
                biased;
                () = struck.notified() => None,
                outcome = bench.carry_out(&plan, &desired) => Some(outcome),
            }
        } else {
            Some(bench.carry_out(&plan, &desired).await)
        };
        let calls = bench.host.calls();
        bench.host.without_faults();
        let recovered = bench.recover().await;
        let context = format!("{fault:?} at {at} ({:?}): {outcome:?}, {recovered:?}", calls.get(at));
        assert!(!matches!(recovered, Some(Recovered::BackFailed { .. })), "{context}");
        assert_whole(&bench, &before, &context).await;
        let is_new = found(&bench).await["app"] != before["app"];
        let records = bench.ledger.history(&stack(), 2).unwrap();
        match (records[0].state, records.len()) {
            (State::Held, _) => {
                holds += 1;
                assert!(is_new, "what has run must stay: {context}");
            }
            (State::Done, 2) => assert!(is_new, "{context}"),
            _ => {
                assert!(!is_new, "{context}");
                assert_eq!(bench.containers().await.len(), before.len(), "{context}");
            }
        }
        let outcome_after = bench.deploy(&desired).await;
        assert!(matches!(outcome_after, Outcome::Applied(_) | Outcome::Unchanged), "{context}");
        bench.assert_at(&desired).await;
        assert_eq!(bench.ledger.held(&stack()).unwrap(), None, "{context}");
        if outcome.is_some() && calls.len() <= at {
            return (at, holds);
        }
    }
    panic!("a deploy makes more than {CALLS_MAX} calls");
}

#[tokio::test(start_paused = true)]
async fn any_call_may_go_wrong_and_what_has_run_stays() {
    for (fault, for_ever) in [(Fault::Error, true), (Fault::DoneButReplyLost, false)] {
        let (calls, holds) = sweep(fault, for_ever, false).await;
        assert!(calls > 10, "{calls}");
        assert!(!for_ever || holds > 2, "{fault:?}: {holds} of {calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_may_be_killed_at_any_call_and_what_has_run_stays() {
    for fault in [Fault::Hang, Fault::DoneButReplyLost] {
        let (calls, holds) = sweep(fault, false, true).await;
        assert!(calls > 10 && holds > 2, "{fault:?}: {holds} of {calls}");
    }
}
