//! Deploys that fail or are stopped: what ran before runs again, in the same containers.

use std::time::Duration;

use evenkeel::apply::ledger::history::State;
use evenkeel::apply::{Outcome, StepFailure};
use evenkeel::engine::sim::{Behaviour, Fault, Reply, SimImage, Verb};
use evenkeel::model::desired::{ExecProbe, Gate, Probe};
use evenkeel::model::spec::{HostPort, PublishedPort, RestartPolicy};
use evenkeel::model::text::Text;

use super::bench::{Bench, image_ref, stack, stack_with};

/// A host with `app:1`, and `app:2` made so that its containers do this.
async fn host_where_app_2(behaviour: Behaviour) -> Bench {
    let bench = Bench::with(&stack_with("app:1")).await;
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(behaviour));
    bench
}

/// Deploys `app:2`, which must be rolled back, and returns why.
async fn rolled_back(bench: &Bench) -> StepFailure {
    let before = bench.serving().await;
    let outcome = bench.deploy(&stack_with("app:2")).await;
    let Outcome::RolledBack { failure, report } = outcome else { panic!("{outcome:?}") };
    assert_eq!(report.warnings, []);
    assert_eq!(bench.serving().await, before, "the same containers must serve");
    assert_eq!(bench.containers().await.len(), before.len(), "the failed one must be gone");
    assert_eq!(bench.container("app").await.spec.restart, RestartPolicy::UnlessStopped);
    bench.assert_at(&stack_with("app:1")).await;
    assert_eq!(bench.ledger.history(&stack(), 1).unwrap()[0].state, State::RolledBack);
    assert_eq!(bench.ledger.open_deploy(&stack()).unwrap(), None);
    failure
}

#[tokio::test(start_paused = true)]
async fn a_container_that_exits_is_rolled_back_and_quarantined() {
    let bench = host_where_app_2(Behaviour {
        exits: Some((Duration::ZERO, 3)),
        writes: vec!["no database".to_owned(), "token was hunter22".to_owned()],
        ..Behaviour::default()
    })
    .await;
    let failure = rolled_back(&bench).await;
    assert_eq!(failure.to_string(), "wait for app: its process exited with 3");
    assert!(!failure.transient);
    assert_eq!(failure.instance.unwrap().to_string(), "app-1");
    assert_eq!(failure.log_tail, ["no database", "token was (sensitive)"]);
    let digest = bench.plan(&stack_with("app:2")).await.desired;
    let entry = bench.ledger.quarantined(&stack(), &digest).unwrap().unwrap();
    assert_eq!(entry.why, "wait for app: its process exited with 3");
    let stable = bench.plan(&stack_with("app:1")).await.desired;
    assert_eq!(bench.ledger.quarantined(&stack(), &stable).unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_a_gate_sends_is_struck_and_another_password_is_tried_again() {
    let echo = vec!["ping".to_owned(), "hunter33".to_owned()];
    let reply = Reply { code: 1, output: "no access with hunter33".to_owned(), ..Reply::default() };
    let bench =
        host_where_app_2(Behaviour { commands: [(echo, reply)].into(), ..Behaviour::default() }).await;
    let asking = |password: &str| {
        let mut desired = stack_with("app:2");
        let command = vec![Text::plain("ping"), Text::sensitive(password)];
        let probes = vec![Probe::Exec(ExecProbe { command, within: None })];
        let app = desired.services.get_mut(&"app".parse().unwrap()).unwrap();
        app.gate = Gate { probes, deadline: Some(Duration::from_secs(5)), ..Gate::default() };
        desired
    };
    let outcome = bench.deploy(&asking("hunter33")).await;
    let Outcome::RolledBack { failure, .. } = outcome else { panic!("{outcome:?}") };
    let why =
        "still waiting for the command ping after 5 s, at last: exit status 1: no access with (sensitive)";
    assert_eq!(failure.cause, why);
    for (password, is_quarantined) in [("hunter33", true), ("hunter44", false)] {
        let digest = bench.plan(&asking(password)).await.desired;
        assert_eq!(bench.ledger.quarantined(&stack(), &digest).unwrap().is_some(), is_quarantined);
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_never_gets_healthy_is_rolled_back() {
    let never = Behaviour { healthy_after: Duration::MAX, ..Behaviour::default() };
    let bench = host_where_app_2(never).await;
    let failure = rolled_back(&bench).await;
    assert!(
        failure.cause.starts_with("it is unhealthy") || failure.cause.contains("within 105 s"),
        "{failure}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_start_is_rolled_back() {
    let reason = Some("no such executable".to_owned());
    let bench = host_where_app_2(Behaviour { start_error: reason, ..Behaviour::default() }).await;
    let failure = rolled_back(&bench).await;
    assert_eq!(failure.what, "start app");
    assert!(failure.cause.contains("no such executable"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_first_deploy_leaves_nothing() {
    let bench = Bench::new();
    let exits = Behaviour { exits: Some((Duration::ZERO, 1)), ..Behaviour::default() };
    bench.host.add_image(&image_ref("app:1"), SimImage::of("app:1").that(exits));
    let outcome = bench.deploy(&stack_with("app:1")).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    let live = bench.live(&stack_with("app:1")).await;
    assert!(live.containers.is_empty() && live.networks.is_empty(), "{live:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_nowhere_changes_nothing() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let outcome = bench.deploy(&stack_with("app:9")).await;
    let Outcome::Failed { failure, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.what, "pull app:9");
    assert!(failure.cause.contains("not in its registry") && !failure.transient, "{failure}");
    assert!(bench.host.writing_calls().iter().all(|call| call.verb == Verb::PullImage));
    bench.assert_at(&stack_with("app:1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_down_quarantines_nothing() {
    let bench = Bench::with(&stack_with("app:1")).await;
    bench.host.publish(&image_ref("app:3"), SimImage::of("app:3"), Duration::ZERO);
    bench
        .host
        .on_call(Box::new(|call| if call.verb == Verb::PullImage { Fault::Error } else { Fault::None }));
    let outcome = bench.deploy(&stack_with("app:3")).await;
    let Outcome::Failed { failure, .. } = outcome else { panic!("{outcome:?}") };
    assert!(failure.transient, "{failure}");
    bench.host.without_faults();
    let outcome = bench.deploy(&stack_with("app:3")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_port_taken_since_the_plan_was_made_is_found_before_anything_is_touched() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let mut desired = stack_with("app:2");
    let port = PublishedPort {
        container: evenkeel::model::spec::ContainerPort {
            number: 80,
            protocol: evenkeel::model::spec::Protocol::Tcp,
        },
        host_ip: None,
        host: HostPort::One(8000),
    };
    desired.services.get_mut(&"app".parse().unwrap()).unwrap().spec.ports.insert(port.clone());
    let plan = bench.plan(&desired).await;
    bench.host.run_by_hand(&"squatter".parse().unwrap(), [port].into());
    let outcome = bench.carry_out(&plan, &desired).await;
    let Outcome::Refused(findings) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        findings[0].what,
        "service `app`: the port 8000:80/tcp of the host is held by the container `squatter`"
    );
    assert_eq!(bench.host.writing_calls(), []);
    assert_eq!(bench.ledger.history(&stack(), 10).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_at_hand_is_found_before_anything_is_touched() {
    let bench = Bench::new();
    let mut desired = stack_with("app:1");
    let plan = bench.plan(&desired).await;
    desired.contents.clear();
    let outcome = bench.carry_out(&plan, &desired).await;
    let Outcome::Refused(findings) = outcome else { panic!("{outcome:?}") };
    assert_eq!(findings[0].what, "service `proxy`: content c0ffee of the repository is not at hand");
    assert_eq!(bench.host.writing_calls(), []);
}

#[tokio::test(start_paused = true)]
async fn the_way_back_does_not_wait_for_last_words() {
    let exits = Behaviour { exits: Some((Duration::ZERO, 1)), ..Behaviour::default() };
    let bench = host_where_app_2(exits).await;
    bench.host.on_call(Box::new(|call| if call.verb == Verb::Logs { Fault::Hang } else { Fault::None }));
    let start = tokio::time::Instant::now();
    let failure = rolled_back(&bench).await;
    assert_eq!(failure.log_tail, Vec::<String>::new());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_reply_was_lost_is_known_again() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let mut lost = false;
    bench.host.on_call(Box::new(move |call| {
        if call.verb == Verb::CreateContainer && !std::mem::replace(&mut lost, true) {
            return Fault::DoneButReplyLost;
        }
        Fault::None
    }));
    let outcome = bench.deploy(&stack_with("app:2")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    let apps = bench.containers().await.into_iter().filter(|one| one.instance.service.as_str() == "app");
    assert_eq!(apps.count(), 2, "the retired one and the new one");
    bench.assert_at(&stack_with("app:2")).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_is_stopped_is_undone_and_not_quarantined() {
    let slow = Behaviour { healthy_after: Duration::from_secs(60), ..Behaviour::default() };
    let bench = host_where_app_2(slow).await;
    let before = bench.serving().await;
    let desired = stack_with("app:2");
    let stop = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bench.stop.cancel();
    };
    let (outcome, ()) = tokio::join!(bench.deploy(&desired), stop);
    assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
    assert_eq!(bench.serving().await, before);
    bench.assert_at(&stack_with("app:1")).await;
    let digest = bench.plan(&desired).await.desired;
    assert_eq!(bench.ledger.quarantined(&stack(), &digest).unwrap(), None);
    assert_eq!(bench.ledger.history(&stack(), 1).unwrap()[0].state, State::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_is_stopped_before_it_begins_touches_nothing() {
    let bench = Bench::with(&stack_with("app:1")).await;
    bench.stop.cancel();
    let outcome = bench.deploy(&stack_with("app:2")).await;
    assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
    assert_eq!(bench.host.writing_calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_fails_is_told_as_such() {
    let exits = Behaviour { exits: Some((Duration::ZERO, 1)), ..Behaviour::default() };
    let bench = host_where_app_2(exits).await;
    let broken = Behaviour { start_error: Some("no space left".to_owned()), ..Behaviour::default() };
    bench.host.change_behaviour(&"auren-dev-app-1".parse().unwrap(), broken);
    let outcome = bench.deploy(&stack_with("app:2")).await;
    let Outcome::RollbackFailed { failure, rollback, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.what, "wait for app");
    assert_eq!(rollback[0].what, "start app");
    assert!(rollback[0].cause.contains("no space left"), "{rollback:?}");
    assert_eq!(bench.ledger.history(&stack(), 1).unwrap()[0].state, State::RollbackFailed);
    let serving: Vec<String> = bench.serving().await.into_keys().collect();
    assert_eq!(serving, ["db", "proxy"], "the others must not suffer");
}
