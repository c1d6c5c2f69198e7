//! Laws of the simulation itself: time, behaviour, faults. What it shares with Docker is in the engine contract.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::{Behaviour, Call, Fault, Sim, SimImage, Verb};
use crate::engine::{CreateContainer, Engine, EngineError};
use crate::model::image::ImageRef;
use crate::model::label;
use crate::model::live::{Health, Status};
use crate::model::name::{ContainerId, ContainerName, Instance};
use crate::model::spec::{ContainerSpec, HealthTest, Healthcheck, RestartPolicy};
use crate::model::text::Text;

mod daemon;

const SECOND: Duration = Duration::from_secs(1);

fn image() -> ImageRef {
    "app:1".parse().unwrap()
}

fn web() -> ContainerName {
    "s-web-1".parse().unwrap()
}

fn host(behaviour: Behaviour) -> Sim {
    let sim = Sim::new();
    sim.add_image(&image(), SimImage::of("app").that(behaviour));
    sim
}

fn request(spec: ContainerSpec) -> CreateContainer {
    let instance = Instance { service: "web".parse().unwrap(), number: 1 };
    let labels = label::of_container(&"s".parse().unwrap(), &instance, &"d1".parse().unwrap());
    CreateContainer { name: web(), spec, labels, networks: BTreeMap::new() }
}

async fn started(sim: &Sim, change: impl FnOnce(&mut ContainerSpec)) -> ContainerId {
    let mut spec = ContainerSpec::of_image(image());
    change(&mut spec);
    let id = sim.create_container(&request(spec)).await.unwrap();
    sim.start_container(&id).await.unwrap();
    id
}

async fn status(sim: &Sim, id: &ContainerId) -> Status {
    sim.inspect_container(id).await.unwrap().state.status
}

#[tokio::test(start_paused = true)]
async fn docker_probes_once_per_interval_and_an_exec_sees_it_at_once() {
    let sim = host(Behaviour { healthy_after: SECOND, ..Behaviour::default() });
    let mut events = sim.events();
    let probe = vec![Text::plain("probe")];
    let id = started(&sim, |spec| {
        let test = Some(HealthTest::Exec(vec![Text::plain("probe")]));
        spec.healthcheck = Some(Healthcheck { test, ..Healthcheck::default() });
    })
    .await;
    let code = async || sim.exec(&id, &probe, SECOND).await.unwrap().code;
    assert_eq!(code().await, Some(1));
    tokio::time::sleep(SECOND).await;
    assert_eq!(code().await, Some(0));
    let health = async || sim.inspect_container(&id).await.unwrap().state.health;
    assert_eq!(health().await, Some(Health::Starting));
    let begun = Instant::now();
    let told = events.by_ref().filter(|event| {
        let is_health = event.as_ref().is_ok_and(|event| event.action == "health_status: healthy");
        std::future::ready(is_health)
    });
    assert!(std::pin::pin!(told).next().await.is_some());
    assert_eq!(begun.elapsed().as_secs(), 29);
    assert_eq!(health().await, Some(Health::Healthy));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_healthy_becomes_unhealthy_after_its_retries() {
    let sim = host(Behaviour { healthy_after: Duration::MAX, ..Behaviour::default() });
    let id = started(&sim, |spec| {
        let test = Some(HealthTest::Shell(Text::plain("probe")));
        let start_period = Some(3 * SECOND);
        let (interval, retries) = (Some(SECOND), Some(2));
        spec.healthcheck =
            Some(Healthcheck { test, interval, start_period, retries, ..Healthcheck::default() });
    })
    .await;
    let health = async || sim.inspect_container(&id).await.unwrap().state.health;
    tokio::time::sleep(Duration::from_millis(4_900)).await;
    assert_eq!(health().await, Some(Health::Starting));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(health().await, Some(Health::Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_goes_on_until_somebody_stops_it() {
    let sim = host(Behaviour { exits: Some((SECOND, 1)), ..Behaviour::default() });
    let id = started(&sim, |spec| spec.restart = RestartPolicy::Always).await;
    tokio::time::sleep(60 * SECOND).await;
    let restarts = sim.inspect_container(&id).await.unwrap().state.restarts;
    assert!((5..20).contains(&restarts), "{restarts}");
    sim.stop_container(&id, None).await.unwrap();
    tokio::time::sleep(600 * SECOND).await;
    assert!(matches!(status(&sim, &id).await, Status::Exited { .. }));
}

#[tokio::test(start_paused = true)]
async fn who_ignores_the_request_to_end_is_killed_after_the_grace() {
    let sim = host(Behaviour { stop_takes: Duration::MAX, ..Behaviour::default() });
    let id = started(&sim, |spec| spec.stop_grace = Some(7 * SECOND)).await;
    let begun = Instant::now();
    sim.stop_container(&id, None).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 7);
    assert_eq!(status(&sim, &id).await, Status::Exited { code: 137, out_of_memory: false });
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_on_when_its_caller_goes_away() {
    let sim = host(Behaviour { stop_takes: 5 * SECOND, ..Behaviour::default() });
    let id = started(&sim, |_| {}).await;
    assert!(tokio::time::timeout(SECOND, sim.stop_container(&id, None)).await.is_err());
    assert_eq!(status(&sim, &id).await, Status::Running);
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(status(&sim, &id).await, Status::Exited { code: 0, out_of_memory: false });
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_start_says_why() {
    let reason = Some("no such executable".to_owned());
    let sim = host(Behaviour { start_error: reason, ..Behaviour::default() });
    let id = sim.create_container(&request(ContainerSpec::of_image(image()))).await.unwrap();
    let error = sim.start_container(&id).await.unwrap_err();
    assert_eq!(error.to_string(), "start container s-web-1: no such executable");
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_pull_takes_its_time_and_moves_the_reference() {
    let sim = host(Behaviour::default());
    let before = sim.inspect_image("app:1").await.unwrap().unwrap().id;
    sim.publish(&image(), SimImage::of("app, newer"), 8 * SECOND);
    let begun = Instant::now();
    let seen = std::sync::Mutex::new(Vec::new());
    sim.pull_image(&image(), None, &|progress| seen.lock().unwrap().push(progress)).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 8);
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted_by_key(|progress| progress.done_bytes));
    assert!(seen.last().is_some_and(|last| last.done_bytes == last.total_bytes));
    let after = sim.inspect_image("app:1").await.unwrap().unwrap().id;
    assert_ne!(before, after);
    assert!(sim.inspect_image(before.as_str()).await.unwrap().is_some(), "the old image stays");
    let nowhere = sim.pull_image(&"app:2".parse().unwrap(), None, &|_| {}).await;
    assert!(matches!(nowhere, Err(EngineError::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn calls_are_noted_and_looking_is_no_writing() {
    let sim = host(Behaviour::default());
    let id = started(&sim, |_| {}).await;
    let writing: Vec<String> = sim.writing_calls().iter().map(ToString::to_string).collect();
    assert_eq!(writing, ["create container s-web-1", "start container s-web-1"]);
    sim.forget_calls();
    sim.server().await.unwrap();
    sim.list_containers().await.unwrap();
    sim.inspect_container(&id).await.unwrap();
    sim.logs(&id, 10).await.unwrap();
    assert_eq!(sim.calls().len(), 4);
    assert_eq!(sim.writing_calls(), []);
}

#[tokio::test(start_paused = true)]
async fn faults_strike_before_after_or_instead_of_the_effect() {
    let sim = host(Behaviour::default());
    let id = started(&sim, |_| {}).await;
    let stop = Call { verb: Verb::StopContainer, object: web().to_string() };
    let strike = |fault: Fault| {
        let stop = stop.clone();
        sim.on_call(Box::new(move |call| if *call == stop { fault } else { Fault::None }));
    };
    strike(Fault::Error);
    let error = sim.stop_container(&id, None).await.unwrap_err();
    assert!(matches!(error, EngineError::Unavailable { .. }));
    assert_eq!(status(&sim, &id).await, Status::Running);

    strike(Fault::Hang);
    let error = sim.stop_container(&id, None).await.unwrap_err();
    assert!(matches!(error, EngineError::TimedOut { .. }));
    assert_eq!(status(&sim, &id).await, Status::Running);

    strike(Fault::DoneButReplyLost);
    let error = sim.stop_container(&id, None).await.unwrap_err();
    assert!(matches!(error, EngineError::Unavailable { .. }));
    assert!(matches!(status(&sim, &id).await, Status::Exited { .. }));

    sim.without_faults();
    sim.stop_container(&id, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_human_does_is_told() {
    let sim = host(Behaviour::default());
    let mut events = sim.events();
    let id = started(&sim, |spec| spec.restart = RestartPolicy::Always).await;
    assert!(sim.crash(&web(), 1));
    assert_eq!(status(&sim, &id).await, Status::Restarting);
    tokio::time::sleep(SECOND).await;
    assert_eq!(status(&sim, &id).await, Status::Running);
    assert!(sim.stop_by_hand(&web()));
    assert!(sim.remove_by_hand(&web()));
    assert!(!sim.remove_by_hand(&web()));
    let mut actions = Vec::new();
    while let Some(Ok(event)) = events.next().await {
        assert_eq!(event.stack.as_ref().map(AsRef::as_ref), Some("s"));
        actions.push(event.action.clone());
        if event.action == "destroy" {
            break;
        }
    }
    assert_eq!(actions, ["create", "start", "die", "start", "die", "stop", "destroy"]);
}

#[tokio::test(start_paused = true)]
async fn turns_of_many_containers_come_in_the_order_of_time() {
    let sim = Sim::new();
    let mut events = sim.events();
    for (service, after) in [("slow", 30), ("quick", 10), ("middle", 20)] {
        let reference: ImageRef = format!("{service}:1").parse().unwrap();
        let exits = Some((after * SECOND, 0));
        sim.add_image(&reference, SimImage::of(service).that(Behaviour { exits, ..Behaviour::default() }));
        let mut request = request(ContainerSpec::of_image(reference));
        request.name = service.parse().unwrap();
        let id = sim.create_container(&request).await.unwrap();
        sim.start_container(&id).await.unwrap();
    }
    // A jump over all three: nobody looked meanwhile.
    tokio::time::advance(60 * SECOND).await;
    sim.list_containers().await.unwrap();
    let mut ended = Vec::new();
    while ended.len() < 3 {
        let event = events.next().await.unwrap().unwrap();
        ended.extend((event.action == "die").then_some(event.object));
    }
    assert_eq!(ended, ["quick", "middle", "slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_restarts_brings_back_what_its_policy_says() {
    let cases = [
        (RestartPolicy::No, false, false),
        (RestartPolicy::UnlessStopped, false, true),
        (RestartPolicy::UnlessStopped, true, false),
        (RestartPolicy::Always, true, true),
        (RestartPolicy::OnFailure(None), false, false),
    ];
    for (policy, is_stopped, returns) in cases {
        let sim = host(Behaviour::default());
        let id = started(&sim, |spec| spec.restart = policy).await;
        if is_stopped {
            sim.stop_container(&id, None).await.unwrap();
        }
        sim.restart_daemon();
        let runs = status(&sim, &id).await == Status::Running;
        assert_eq!(runs, returns, "{policy:?}, stopped by hand: {is_stopped}");
    }
}
