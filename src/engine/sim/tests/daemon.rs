//! A host whose daemon goes away, whose disk is full, on which others clean up. A test can't do this to the daemon of the
//! machine that it runs on, so each says where Docker does so.

use std::time::Duration;

use futures_util::StreamExt;

use super::*;
use crate::engine::sim::Ending;
use crate::model::spec::{Attachment, NetworkSpec};

fn unavailable<T: std::fmt::Debug>(answer: &Result<T, EngineError>) -> bool {
    matches!(answer, Err(EngineError::Unavailable { .. }))
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_while_the_daemon_is_away() {
    let sim = host(Behaviour { stop_takes: 5 * SECOND, ..Behaviour::default() });
    let id = started(&sim, |spec| spec.restart = RestartPolicy::Always).await;
    let mut events = sim.events();
    let other = sim.clone();
    let stop = tokio::spawn({
        let id = id.clone();
        async move { other.stop_container(&id, None).await }
    });
    tokio::time::sleep(SECOND).await;
    sim.stop_daemon(Ending::Stopped);
    assert!(unavailable(&sim.list_containers().await));
    assert!(sim.events().next().await.is_some_and(|event| event.is_err()));
    sim.start_daemon();
    assert_eq!(status(&sim, &id).await, Status::Running);
    assert!(unavailable(&stop.await.unwrap()), "what was under way got no answer");
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(status(&sim, &id).await, Status::Running, "the stop has ended with its daemon");
    while let Some(event) = events.next().await {
        assert_ne!(event.unwrap().action, "start", "events end with the daemon");
    }
}

/// Moby, `daemon.go`, `restore`: what runs is attached to again and `initHealthMonitor` begins anew (moby/moby#47051).
#[tokio::test(start_paused = true)]
async fn with_live_restore_everything_runs_on_and_health_begins_anew() {
    let sim = host(Behaviour::default());
    let id = started(&sim, |spec| {
        let test = Some(HealthTest::Exec(vec![Text::plain("probe")]));
        spec.healthcheck = Some(Healthcheck { test, ..Healthcheck::default() });
    })
    .await;
    let look = async || sim.inspect_container(&id).await.unwrap().state;
    tokio::time::sleep(31 * SECOND).await;
    let before = look().await;
    assert_eq!(before.health, Some(Health::Healthy));
    sim.stop_daemon(Ending::LiveRestore);
    tokio::time::sleep(SECOND).await;
    sim.start_daemon();
    let after = look().await;
    assert_eq!((after.started_at, after.health), (before.started_at, Some(Health::Starting)));
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(look().await.health, Some(Health::Healthy));
}

#[tokio::test(start_paused = true)]
async fn what_ends_while_the_daemon_is_away_is_noticed_when_it_is_back() {
    let sim = host(Behaviour { exits: Some((5 * SECOND, 0)), ..Behaviour::default() });
    let id = started(&sim, |_| {}).await;
    sim.stop_daemon(Ending::LiveRestore);
    tokio::time::sleep(10 * SECOND).await;
    sim.start_daemon();
    tokio::time::sleep(SECOND).await;
    assert_eq!(status(&sim, &id).await, Status::Exited { code: 0, out_of_memory: false });
}

/// Moby, `restartmanager.go`, `ShouldRestart`: whoever was killed has failed.
#[tokio::test(start_paused = true)]
async fn a_loss_of_power_is_a_failure_of_whatever_ran() {
    for (policy, is_stopped, returns) in [
        (RestartPolicy::No, false, false),
        (RestartPolicy::UnlessStopped, false, true),
        (RestartPolicy::UnlessStopped, true, false),
        (RestartPolicy::Always, true, true),
        (RestartPolicy::OnFailure(None), false, true),
        (RestartPolicy::OnFailure(None), true, false),
    ] {
        let sim = host(Behaviour::default());
        let id = started(&sim, |spec| spec.restart = policy).await;
        if is_stopped {
            sim.stop_container(&id, None).await.unwrap();
        }
        sim.stop_daemon(Ending::PowerLost);
        sim.start_daemon();
        let runs = status(&sim, &id).await == Status::Running;
        assert_eq!(runs, returns, "{policy:?}, stopped by hand: {is_stopped}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_takes_nothing_new_and_keeps_what_runs() {
    let sim = host(Behaviour::default());
    let id = started(&sim, |_| {}).await;
    sim.publish(&"far:1".parse().unwrap(), SimImage::of("far"), SECOND);
    sim.fill_disk(true);
    let mut other = request(ContainerSpec::of_image(image()));
    other.name = "s-web-2".parse().unwrap();
    assert!(unavailable(&sim.create_container(&other).await));
    assert!(unavailable(&sim.create_network(&NetworkSpec::named("n".parse().unwrap())).await));
    assert!(unavailable(&sim.pull_image(&"far:1".parse().unwrap(), None, &|_| {}).await));
    sim.stop_container(&id, None).await.unwrap();
    sim.start_container(&id).await.unwrap();
    sim.fill_disk(false);
    sim.create_container(&other).await.unwrap();
}

/// Moby, `prune.go`: every container that doesn't run, every network that nobody who runs is attached to.
#[tokio::test(start_paused = true)]
async fn who_cleans_up_removes_whatever_does_not_run() {
    let sim = host(Behaviour::default());
    let network = |name: &str| NetworkSpec::named(name.parse().unwrap());
    let used = sim.create_network(&network("used")).await.unwrap();
    sim.create_network(&network("unused")).await.unwrap();
    let id = started(&sim, |_| {}).await;
    sim.connect_network(&used, &id, &Attachment::default()).await.unwrap();
    let mut other = request(ContainerSpec::of_image(image()));
    other.name = "s-web-2".parse().unwrap();
    sim.create_container(&other).await.unwrap();
    sim.prune();
    let listed: Vec<_> = sim.list_containers().await.unwrap().into_iter().map(|listed| listed.id).collect();
    assert_eq!(listed, [id]);
    let networks = sim.list_networks().await.unwrap();
    assert_eq!(networks.iter().map(|network| network.id.clone()).collect::<Vec<_>>(), [used]);
}

/// Moby, `start.go`, `update.go`: "is marked for removal" (moby/moby#22312).
#[tokio::test(start_paused = true)]
async fn what_is_removed_half_holds_its_name_and_never_runs_again() {
    let sim = host(Behaviour::default());
    let id = started(&sim, |spec| spec.restart = RestartPolicy::Always).await;
    assert!(sim.half_remove(&web()));
    assert_eq!(status(&sim, &id).await, Status::Dead);
    sim.restart_daemon();
    for refused in [
        sim.start_container(&id).await,
        sim.update_container(&id, &crate::engine::UpdateContainer::default()).await,
        sim.create_container(&request(ContainerSpec::of_image(image()))).await.map(drop),
    ] {
        assert!(matches!(refused, Err(EngineError::Conflict { .. })), "{refused:?}");
    }
    sim.remove_container(&id).await.unwrap();
    sim.create_container(&request(ContainerSpec::of_image(image()))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_a_host_of_its_own() {
    let sim = host(Behaviour { exits: Some((10 * SECOND, 3)), ..Behaviour::default() });
    let id = started(&sim, |_| {}).await;
    let copy = sim.copy();
    assert_eq!(copy.shape(), sim.shape());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(copy.shape(), sim.shape(), "a moment is no difference");
    sim.stop_container(&id, None).await.unwrap();
    assert_ne!(copy.shape(), sim.shape());
    assert_eq!(status(&copy, &id).await, Status::Running);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(status(&copy, &id).await, Status::Exited { code: 3, out_of_memory: false });
}
