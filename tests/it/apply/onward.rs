//! What is cut off after the commit, and what can't be written down: services come first.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::writes;
use evenkeel::apply::recover::{Recovered, recover};
use evenkeel::engine::sim::{Behaviour, Call, Ending, Fault, SimImage, Verb};
use evenkeel::model::spec::RestartPolicy;
use evenkeel::plan::check::check;
use tokio::sync::Notify;

use super::bench::{Bench, image_ref, stack, stack_with};

/// Deploys `app:2` and kills the controller at the first call that is so.
async fn killed_at(bench: &Bench, is_it: fn(&Call) -> bool) {
    let desired = stack_with("app:2");
    let plan = bench.plan(&desired).await;
    let notify = Arc::new(Notify::new());
    let struck = Arc::clone(&notify);
    bench.host.on_call(Box::new(move |call| {
        if is_it(call) {
            notify.notify_one();
            return Fault::Hang;
        }
        Fault::None
    }));
    tokio::select! {
        biased;
        () = struck.notified() => {}
        outcome = bench.carry_out(&plan, &desired) => panic!("not killed: {outcome:?}"),
    }
    bench.host.without_faults();
}

/// The call that gives the new container its restart policy.
fn releases(call: &Call) -> bool {
    call.verb == Verb::UpdateContainer && call.object == "auren-dev-app-1.next"
}

#[tokio::test(start_paused = true)]
async fn what_had_committed_runs_again_after_a_loss_of_power() {
    let bench = Bench::with(&stack_with("app:1")).await;
    killed_at(&bench, releases).await;
    bench.host.stop_daemon(Ending::PowerLost);
    bench.host.start_daemon();
    assert!(!bench.running().await.contains_key("app"), "nobody but a recovery starts it");
    assert!(matches!(bench.recover().await, Some(Recovered::Forward(_))));
    let app = bench.container("app").await;
    assert_eq!((app.spec.image, app.spec.restart), (image_ref("app:2"), RestartPolicy::UnlessStopped));
    bench.host.stop_daemon(Ending::PowerLost);
    bench.host.start_daemon();
    assert!(bench.running().await.contains_key("app"), "Docker sees to it from then on");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_away_after_the_commit_leaves_nothing_down() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let (host, mut is_over) = (bench.host.clone(), false);
    bench.host.on_call(Box::new(move |call| {
        if releases(call) && !std::mem::replace(&mut is_over, true) {
            host.stop_daemon(Ending::Stopped);
            let host = host.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                host.start_daemon();
            });
        }
        Fault::None
    }));
    let outcome = bench.deploy(&stack_with("app:2")).await;
    bench.host.without_faults();
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    let app = bench.container("app").await;
    assert_eq!((app.spec.image, app.spec.restart), (image_ref("app:2"), RestartPolicy::UnlessStopped));
}

#[tokio::test(start_paused = true)]
async fn a_recovery_brings_everything_back_though_it_can_write_nothing_down() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let before = bench.serving().await;
    killed_at(&bench, |call| call.verb == Verb::StartContainer).await;
    assert_ne!(bench.running().await.len(), before.len());
    bench.ledger.on_write(Box::new(|_| writes::Fault::Full));
    assert!(recover(&bench.host, &stack(), bench.tools()).await.is_err(), "it has not ended");
    assert_eq!(bench.serving().await, before);
    bench.ledger.on_write(Box::new(|_| writes::Fault::None));
    assert!(matches!(bench.recover().await, Some(Recovered::Back(_))));
    bench.assert_at(&stack_with("app:1")).await;
}

/// A way back on which the new container couldn't be stopped: it runs, and the old one doesn't.
async fn left_running(bench: &Bench) {
    killed_at(bench, |call| call.verb == Verb::Exec).await;
    bench.host.on_call(Box::new(|call| {
        if call.verb == Verb::StopContainer { Fault::Rejected } else { Fault::None }
    }));
    assert!(matches!(bench.recover().await, Some(Recovered::BackFailed { .. })));
    bench.host.without_faults();
}

#[tokio::test(start_paused = true)]
async fn what_a_way_back_had_to_leave_stops_before_its_like_starts() {
    for image in ["app:1", "app:2"] {
        let bench = Bench::with(&stack_with("app:1")).await;
        left_running(&bench).await;
        let desired = stack_with(image);
        let plan = bench.plan(&desired).await;
        assert_eq!(check(&plan, &bench.live(&desired).await), Vec::<String>::new(), "{image}");
        let outcome = bench.carry_out(&plan, &desired).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{image}: {outcome:?}");
        bench.assert_at(&desired).await;
    }
}

/// Deploys `image`. At the first call of this verb after the container of this name was started the daemon ends, and is
/// away for a while.
async fn away_at(bench: &Bench, image: &str, (verb, object): (Verb, &'static str)) -> Outcome {
    let (host, mut is_started, mut is_over) = (bench.host.clone(), false, false);
    bench.host.on_call(Box::new(move |call| {
        is_started |= call.verb == Verb::StartContainer && call.object == object;
        let is_it = is_started && call.verb == verb;
        if is_it && !std::mem::replace(&mut is_over, true) {
            let host = host.clone();
            tokio::spawn(async move {
                host.stop_daemon(Ending::Stopped);
                tokio::time::sleep(Duration::from_secs(3)).await;
                host.start_daemon();
            });
        }
        Fault::None
    }));
    let outcome = bench.deploy(&stack_with(image)).await;
    bench.host.without_faults();
    outcome
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_restarts_on_the_way_back_leaves_nothing_down() {
    let breaks = Behaviour { exits: Some((Duration::ZERO, 3)), ..Behaviour::default() };
    // Right after the old one was started, and when it is being waited for.
    for call in [(Verb::StartContainer, "auren-dev-app-1"), (Verb::InspectContainer, "auren-dev-app-1")] {
        let bench = Bench::with(&stack_with("app:1")).await;
        let before = bench.serving().await;
        bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(breaks.clone()));
        let outcome = away_at(&bench, "app:2", call).await;
        assert!(
            matches!(outcome, Outcome::RolledBack { .. } | Outcome::Failed { .. }),
            "{call:?}: {outcome:?}"
        );
        assert_eq!(bench.serving().await, before, "{call:?}");
        bench.assert_at(&stack_with("app:1")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_takes_a_new_container_down_is_no_fault_of_it() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let slow = Behaviour { healthy_after: Duration::from_secs(9), ..Behaviour::default() };
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(slow));
    let plan = bench.plan(&stack_with("app:2")).await;
    let outcome = away_at(&bench, "app:2", (Verb::Exec, "auren-dev-app-1.next")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert_eq!(bench.ledger.quarantined(&stack(), &plan.desired).unwrap(), None);
    bench.assert_at(&stack_with("app:2")).await;
}
