//! How containers are replaced: start-first, and in batches.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::engine::sim::{Behaviour, Fault, SimImage, Verb};
use evenkeel::model::desired::Desired;
use evenkeel::model::live::Status;
use evenkeel::model::policy::Rollback;
use evenkeel::model::update::{Batches, UpdateOrder};
use evenkeel::plan::change::Operation;
use tokio::time::Instant;

use super::bench::{Bench, image_ref, of, stack, stack_with};
use super::sweep::found;

fn start_first(image: &str) -> Desired {
    let mut desired = stack_with(image);
    of(&mut desired, "app").update.order = UpdateOrder::StartFirst;
    desired
}

fn replicas(image: &str, batches: Batches) -> Desired {
    let mut desired = stack_with(image);
    let app = of(&mut desired, "app");
    (app.replicas, app.update.batches) = (4, batches);
    desired
}

fn place(told: &[String], line: &str) -> usize {
    told.iter().rposition(|told| told == line).unwrap_or_else(|| panic!("no `{line}` in {told:#?}"))
}

#[tokio::test(start_paused = true)]
async fn the_new_one_is_up_and_found_before_the_old_one_is_not() {
    let bench = Bench::with(&start_first("app:1")).await;
    let before = bench.container("app").await;
    let plan = bench.plan(&start_first("app:2")).await;
    assert_eq!(plan.changes[0].operation, Operation::Replace(UpdateOrder::StartFirst));
    let outcome = bench.carry_out(&plan, &start_first("app:2")).await;
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    assert_eq!(report.warnings, []);
    let told = bench.told.lines();
    let since = told.iter().rposition(|line| line.starts_with("began")).unwrap();
    let expected = [
        "start app",
        "wait for app",
        "detach app from network auren-dev_default",
        "attach app to network auren-dev_default",
        "wait for app",
        &format!("rename app to auren-dev-app-1.retired-{}", before.deploy),
        "detach app from network auren-dev_default",
        "attach app to network auren-dev_default",
        "committed",
        "commit",
        "let app restart: unless-stopped",
        "rename app to auren-dev-app-1",
        "fence app",
        "let 2 s pass",
        "stop app",
        "detach app from network auren-dev_default",
        "attach app to network auren-dev_default",
    ];
    assert_eq!(&told[since + 2..], &expected[..], "{told:#?}");
    bench.assert_at(&start_first("app:2")).await;
    // The old one is whole, so that a return is a start.
    let old = bench.containers().await.into_iter().find(|container| container.id == before.id).unwrap();
    assert!(matches!(old.state.status, Status::Exited { .. }), "{old:?}");
    assert_eq!(old.spec.networks, before.spec.networks);
    let back = bench.plan(&start_first("app:1")).await;
    assert_eq!(back.changes[0].operation, Operation::Revive(UpdateOrder::StartFirst));
    let outcome = bench.carry_out(&back, &start_first("app:1")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert_eq!(bench.container("app").await.id, before.id);
    bench.assert_at(&start_first("app:1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_one_that_fails_leaves_the_old_one_untouched() {
    for behaviour in [
        Behaviour { exits: Some((Duration::ZERO, 1)), ..Behaviour::default() },
        Behaviour { healthy_after: Duration::MAX, ..Behaviour::default() },
        Behaviour { start_error: Some("no".to_owned()), ..Behaviour::default() },
    ] {
        let bench = Bench::with(&start_first("app:1")).await;
        let before = bench.container("app").await;
        bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(behaviour));
        let outcome = bench.deploy(&start_first("app:2")).await;
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
        let after = bench.container("app").await;
        assert_eq!((&after.state.started_at, &after.spec), (&before.state.started_at, &before.spec));
        let calls = bench.host.writing_calls();
        let id = before.id.to_string();
        assert!(calls.iter().all(|call| !call.to_string().contains(&id)), "{calls:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_later_gives_the_old_one_its_names_back() {
    let bench = Bench::with(&start_first("app:1")).await;
    let before = bench.container("app").await;
    let mut desired = start_first("app:2");
    of(&mut desired, "proxy").spec.image = image_ref("proxy:2");
    let failing = Behaviour { exits: Some((Duration::ZERO, 1)), ..Behaviour::default() };
    bench.host.add_image(&image_ref("proxy:2"), SimImage::of("proxy:2").that(failing));
    let outcome = bench.deploy(&desired).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(bench.container("app").await, before);
    let told = bench.told.lines();
    place(&told, "let 2 s pass");
    assert_eq!(bench.containers().await.len(), 3);
    bench.assert_at(&start_first("app:1")).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_rolled_back_beside_it_lets_the_old_one_serve_again() {
    let bench = Bench::with(&start_first("app:1")).await;
    let before = found(&bench).await;
    let mut desired = start_first("app:2");
    let proxy = of(&mut desired, "proxy");
    (proxy.spec.image, proxy.rollback) = (image_ref("proxy:2"), Rollback::Hold);
    let failing = Behaviour { exits: Some((Duration::from_secs(1), 1)), ..Behaviour::default() };
    bench.host.add_image(&image_ref("proxy:2"), SimImage::of("proxy:2").that(failing));
    let outcome = bench.deploy(&desired).await;
    assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
    assert_eq!(found(&bench).await["app"], before["app"]);
    assert_eq!(bench.running().await["app"].len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_deploy_leaves_the_old_one_serving() {
    let bench = Bench::with(&start_first("app:1")).await;
    let before = bench.container("app").await;
    let stop = bench.stop.clone();
    bench.host.on_call(Box::new(move |call| {
        if call.verb == Verb::StartContainer {
            stop.cancel();
        }
        Fault::None
    }));
    let outcome = bench.deploy(&start_first("app:2")).await;
    assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
    assert_eq!(bench.container("app").await, before);
}

/// How many containers of `app` had been started when, since `start`.
async fn starts(bench: &Bench, desired: &Desired) -> Vec<Duration> {
    let (start, starts) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let note = Arc::clone(&starts);
    bench.host.on_call(Box::new(move |call| {
        if call.verb == Verb::StartContainer {
            note.lock().unwrap().push(start.elapsed());
        }
        Fault::None
    }));
    let outcome = bench.deploy(desired).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    starts.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn so_many_are_replaced_at_a_time_with_a_pause_in_between() {
    let (delay, monitor) = (Duration::from_secs(100), Duration::from_secs(10));
    for (parallelism, batches) in [(1, 4), (2, 2), (3, 2), (0, 1), (9, 1)] {
        let batch = Batches { parallelism: NonZeroU32::new(parallelism), delay, monitor };
        let bench = Bench::with(&replicas("app:1", batch)).await;
        let began = starts(&bench, &replicas("app:2", batch)).await;
        let gaps = began.windows(2).filter(|pair| pair[1] >= pair[0] + delay + monitor).count();
        assert_eq!((began.len(), gaps + 1), (4, batches), "{parallelism}: {began:?}");
        assert_eq!(bench.running().await["app"].len(), 4);
        assert!(bench.plan(&replicas("app:2", batch)).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_while_it_is_monitored_returns_all() {
    let batches = Batches { monitor: Duration::from_secs(60), ..Batches::default() };
    for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
        let desired = |image| {
            let mut desired = replicas(image, batches);
            of(&mut desired, "app").update.order = order;
            desired
        };
        let bench = Bench::with(&desired("app:1")).await;
        let before = found(&bench).await;
        let failing = Behaviour { exits: Some((Duration::from_secs(30), 1)), ..Behaviour::default() };
        bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(failing));
        let outcome = bench.deploy(&desired("app:2")).await;
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
        assert_eq!(found(&bench).await, before);
        // The other three were never touched.
        let told = bench.told.lines();
        let since = told.iter().rposition(|line| line.starts_with("began")).unwrap();
        assert!(!told[since..].iter().any(|line| line == "start app-2"), "{told:#?}");
        assert!(bench.ledger.open_deploy(&stack()).unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_back_takes_turns_where_that_is_said() {
    for (parallelism, gaps) in [(0, 0), (2, 1), (1, 3)] {
        let delay = Duration::from_secs(100);
        let desired = |image| {
            let mut desired = replicas(image, Batches { parallelism: None, ..Batches::default() });
            let app = of(&mut desired, "app");
            app.way_back.batches =
                Batches { parallelism: NonZeroU32::new(parallelism), delay, monitor: Duration::ZERO };
            desired
        };
        let bench = Bench::with(&desired("app:1")).await;
        let before = found(&bench).await;
        let mut after = desired("app:2");
        of(&mut after, "proxy").spec.image = image_ref("proxy:2");
        let failing = Behaviour { exits: Some((Duration::ZERO, 1)), ..Behaviour::default() };
        bench.host.add_image(&image_ref("proxy:2"), SimImage::of("proxy:2").that(failing));
        let (start, stops) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let note = Arc::clone(&stops);
        bench.host.on_call(Box::new(move |call| {
            if call.verb == Verb::StartContainer {
                note.lock().unwrap().push(start.elapsed());
            }
            Fault::None
        }));
        let outcome = bench.deploy(&after).await;
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
        assert_eq!(found(&bench).await, before);
        let began = stops.lock().unwrap().clone();
        let found = began.windows(2).filter(|pair| pair[1] >= pair[0] + delay).count();
        assert_eq!(found, gaps, "{parallelism}: {began:?}");
    }
}
