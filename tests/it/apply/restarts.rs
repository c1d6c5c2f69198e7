//! An engine that restarts in the middle of a deploy ends every container, and brings none back that has its restart policy
//! only at the end.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::engine::sim::{Behaviour, Fault, SimImage};
use evenkeel::model::desired::Desired;
use evenkeel::model::text::Text;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::bench::{Bench, image_ref, of, stack_with};
use super::sweep::strike;

const SECOND: Duration = Duration::from_secs(1);

/// The stack with a replaced `db` and an `app` that becomes healthy after ten seconds.
fn slow() -> Desired {
    let mut desired = stack_with("app:2");
    of(&mut desired, "db").spec.environment.insert("V".to_owned(), Text::plain("2"));
    desired
}

async fn bench() -> Bench {
    let bench = Bench::with(&stack_with("app:1")).await;
    let behaviour = Behaviour { healthy_after: 10 * SECOND, ..Behaviour::default() };
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(behaviour));
    bench
}

/// Restarts the engine once `struck` is told, while the call that was struck hangs.
async fn restart(bench: &Bench, struck: Arc<Notify>) {
    struck.notified().await;
    sleep(SECOND).await;
    bench.host.restart_daemon();
}

#[track_caller]
fn assert_applied(outcome: &Outcome) {
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    assert_eq!(report.warnings, []);
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_after_its_gate_is_started_again_before_the_commit() {
    let bench = bench().await;
    let end_db = async {
        sleep(8 * SECOND).await;
        let db = bench.container("db").await;
        assert_eq!(db.spec.environment.len(), 1, "it is the new one");
        assert!(bench.host.crash(&db.name, 137));
    };
    let desired = slow();
    let (outcome, ()) = tokio::join!(bench.deploy(&desired), end_db);
    assert_applied(&outcome);
    bench.assert_at(&desired).await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_was_away_has_its_container_started_again() {
    let bench = bench().await;
    let go_away = async {
        sleep(8 * SECOND).await;
        bench.host.on_call(Box::new(|_| Fault::Error));
        sleep(SECOND).await;
        bench.host.restart_daemon();
        bench.host.without_faults();
    };
    let desired = slow();
    let (outcome, ()) = tokio::join!(bench.deploy(&desired), go_away);
    assert_applied(&outcome);
    bench.assert_at(&desired).await;
}

/// The place of the last call of a deploy that is the change of a restart policy.
async fn last_update(desired: &Desired) -> usize {
    let bench = bench().await;
    let plan = bench.plan(desired).await;
    bench.host.forget_calls();
    let _ = bench.carry_out(&plan, desired).await;
    let calls = bench.host.calls();
    calls.iter().rposition(|call| call.to_string().starts_with("update")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_after_the_commit_is_started_again() {
    let desired = slow();
    let at = last_update(&desired).await;
    let bench = bench().await;
    let plan = bench.plan(&desired).await;
    let struck = strike(&bench.host, at, (Fault::Hang, false));
    let (outcome, ()) = tokio::join!(bench.carry_out(&plan, &desired), restart(&bench, struck));
    assert_applied(&outcome);
    bench.assert_at(&desired).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_on_the_way_back_is_started_again() {
    let failing = async || {
        let bench = bench().await;
        let behaviour =
            Behaviour { healthy_after: Duration::MAX, exits: Some((SECOND, 3)), ..Behaviour::default() };
        bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(behaviour));
        bench
    };
    let desired = slow();
    let at = {
        let bench = failing().await;
        let plan = bench.plan(&desired).await;
        bench.host.forget_calls();
        let outcome = bench.carry_out(&plan, &desired).await;
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
        let calls = bench.host.calls();
        calls.iter().rposition(|call| call.to_string().starts_with("update")).unwrap()
    };
    let bench = failing().await;
    let before = bench.serving().await;
    let plan = bench.plan(&desired).await;
    let struck = strike(&bench.host, at, (Fault::Hang, false));
    let (outcome, ()) = tokio::join!(bench.carry_out(&plan, &desired), restart(&bench, struck));
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(bench.serving().await, before);
    bench.assert_at(&stack_with("app:1")).await;
}
