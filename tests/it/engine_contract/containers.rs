//! Laws of containers: names, starts, stops, removals, changes in place.

use std::time::Duration;

use evenkeel::engine::sim::Behaviour;
use evenkeel::engine::{Engine, EngineError, UpdateContainer};
use evenkeel::model::live::{Health, Status};
use evenkeel::model::name::ContainerId;
use evenkeel::model::spec::{
    Attachment, ContainerPort, HealthTest, Healthcheck, HostPort, Protocol, PublishedPort, Resources,
    RestartPolicy, Swap,
};

use super::ground::{Ground, commands, words};
use crate::common::names::unique_port;

fn missing() -> ContainerId {
    "0123456789abcdef".repeat(4).parse().unwrap()
}

pub async fn a_name_is_taken_once<E: Engine>(ground: &Ground<E>) {
    ground.create("web", ground.spec()).await;
    let again = ground.engine.create_container(&ground.request("web", ground.spec())).await;
    assert!(matches!(again, Err(EngineError::Conflict { .. })), "{again:?}");
}

pub async fn a_container_needs_its_image<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    spec.image = "evenkeel-fixture:that-is-not-there".parse().unwrap();
    let created = ground.engine.create_container(&ground.request("web", spec)).await;
    assert!(matches!(created, Err(EngineError::NotFound { .. })), "{created:?}");
    assert_eq!(ground.engine.inspect_image("evenkeel-fixture:that-is-not-there").await, Ok(None));
}

pub async fn a_container_without_the_labels_is_unexpected<E: Engine>(ground: &Ground<E>) {
    let mut request = ground.request("web", ground.spec());
    request.labels.remove(evenkeel::model::label::SERVICE);
    let id = ground.engine.create_container(&request).await.unwrap();
    let inspected = ground.engine.inspect_container(&id).await;
    assert!(matches!(inspected, Err(EngineError::Unexpected { .. })), "{inspected:?}");
    let inspected = ground.engine.inspect_container(&missing()).await;
    assert!(matches!(inspected, Err(EngineError::NotFound { .. })), "{inspected:?}");
}

pub async fn starting_and_stopping_twice_is_no_error<E: Engine>(ground: &Ground<E>) {
    let id = ground.create("web", ground.spec()).await;
    let created = ground.inspect(&id).await.state;
    assert_eq!((created.status, created.started_at.as_str()), (Status::Created, ""));
    for _ in 0..2 {
        ground.engine.start_container(&id).await.unwrap();
        assert_eq!(ground.inspect(&id).await.state.status, Status::Running);
    }
    assert_ne!(ground.inspect(&id).await.state.started_at, "");
    for _ in 0..2 {
        ground.engine.stop_container(&id, None).await.unwrap();
        let state = ground.inspect(&id).await.state;
        assert_eq!(state.status, Status::Exited { code: 0, out_of_memory: false });
    }
    ground.engine.start_container(&id).await.unwrap();
    assert_eq!(ground.inspect(&id).await.state.status, Status::Running);
    let started = ground.engine.start_container(&missing()).await;
    assert!(matches!(started, Err(EngineError::NotFound { .. })), "{started:?}");
    let stopped = ground.engine.stop_container(&missing(), Some(Duration::from_secs(1))).await;
    assert!(matches!(stopped, Err(EngineError::NotFound { .. })), "{stopped:?}");
}

pub async fn who_ignores_the_request_to_end_is_killed_after_the_grace<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    spec.command = Some(words(&["serve", "--ignore-term"]));
    let id = ground.create("web", spec).await;
    ground.behaves(
        &ground.container_name("web"),
        Behaviour { stop_takes: Duration::MAX, ..Behaviour::default() },
    );
    ground.engine.start_container(&id).await.unwrap();
    ground.engine.stop_container(&id, Some(Duration::from_secs(1))).await.unwrap();
    let killed = Status::Exited { code: 137, out_of_memory: false };
    assert_eq!(ground.inspect(&id).await.state.status, killed);
}

pub async fn what_is_missing_may_be_removed<E: Engine>(ground: &Ground<E>) {
    let id = ground.create("web", ground.spec()).await;
    for _ in 0..2 {
        ground.engine.remove_container(&id).await.unwrap();
    }
    assert!(ground.engine.list_containers().await.unwrap().iter().all(|listed| listed.id != id));
    ground.engine.remove_network(&missing().as_str().parse().unwrap()).await.unwrap();
    ground.engine.remove_volume(&ground.volume_name("missing")).await.unwrap();
}

pub async fn a_running_container_is_not_removed<E: Engine>(ground: &Ground<E>) {
    let id = ground.created_and_started("web", ground.spec()).await;
    let removed = ground.engine.remove_container(&id).await;
    assert!(matches!(removed, Err(EngineError::Conflict { .. })), "{removed:?}");
    ground.engine.stop_container(&id, None).await.unwrap();
    ground.engine.remove_container(&id).await.unwrap();
}

pub async fn a_container_gets_another_name<E: Engine>(ground: &Ground<E>) {
    let id = ground.created_and_started("web", ground.spec()).await;
    ground.create("other", ground.spec()).await;
    ground.engine.rename_container(&id, &ground.container_name("web")).await.unwrap();
    let taken = ground.engine.rename_container(&id, &ground.container_name("other")).await;
    assert!(matches!(taken, Err(EngineError::Conflict { .. })), "{taken:?}");
    ground.engine.rename_container(&id, &ground.container_name("retired")).await.unwrap();
    assert_eq!(ground.inspect(&id).await.name, ground.container_name("retired"));
    assert_eq!(ground.inspect(&id).await.state.status, Status::Running);
    ground.create("web", ground.spec()).await;
}

pub async fn limits_and_restart_policy_change_in_place<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    spec.resources.memory = Some(64 << 20);
    let id = ground.created_and_started("web", spec).await;
    let resources = Resources {
        memory: Some(256 << 20),
        memory_swap: Some(Swap::Bytes(512 << 20)),
        nano_cpus: Some(500_000_000),
        pids: Some(100),
        ..Resources::default()
    };
    // Both are set, though only the memory is asked for.
    let asked = Resources { memory_swap: None, ..resources.clone() };
    let update = UpdateContainer { restart: Some(RestartPolicy::OnFailure(Some(2))), resources: asked };
    ground.engine.update_container(&id, &update).await.unwrap();
    let live = ground.inspect(&id).await;
    assert_eq!(
        (live.spec.resources, live.spec.restart),
        (resources.clone(), RestartPolicy::OnFailure(Some(2)))
    );
    assert_eq!(live.state.status, Status::Running);

    ground.engine.stop_container(&id, None).await.unwrap();
    let only_restart = UpdateContainer { restart: Some(RestartPolicy::No), resources: Resources::default() };
    ground.engine.update_container(&id, &only_restart).await.unwrap();
    let live = ground.inspect(&id).await;
    assert_eq!((live.spec.resources, live.spec.restart), (resources, RestartPolicy::No));
}

fn on_port(host: HostPort) -> PublishedPort {
    let container = ContainerPort { number: 8080, protocol: Protocol::Tcp };
    PublishedPort { container, host_ip: None, host }
}

pub async fn a_port_in_use_refuses_the_start<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    spec.ports.insert(on_port(HostPort::One(unique_port())));
    let mut request = ground.request_on_network("first", spec).await;
    let first = ground.engine.create_container(&request).await.unwrap();
    ground.engine.start_container(&first).await.unwrap();
    request.name = ground.container_name("second");
    let second = ground.engine.create_container(&request).await.unwrap();
    let started = ground.engine.start_container(&second).await;
    let Err(EngineError::Rejected { message, .. }) = &started else { panic!("{started:?}") };
    assert!(message.contains("port is already allocated"), "{message}");
    ground.engine.stop_container(&first, None).await.unwrap();
    ground.engine.start_container(&second).await.unwrap();
}

pub async fn a_port_is_held_while_its_container_runs<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    let port = unique_port();
    spec.ports.insert(on_port(HostPort::One(port)));
    let held = async |id: &ContainerId| {
        let listed = ground.engine.list_containers().await.unwrap();
        listed.into_iter().find(|listed| listed.id == *id).unwrap().summary.ports
    };
    let id = ground.engine.create_container(&ground.request_on_network("web", spec).await).await.unwrap();
    ground.engine.start_container(&id).await.unwrap();
    assert_eq!(held(&id).await, [on_port(HostPort::One(port))].into());
    ground.engine.stop_container(&id, None).await.unwrap();
    // Docker's list may be a moment behind.
    for _ in 0..600 {
        if held(&id).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a stopped container still holds its port");
}

pub async fn ports_are_published_as_long_as_a_network_is_joined<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    spec.ports.insert(on_port(HostPort::One(unique_port())));
    let request = ground.request_on_network("web", spec).await;
    let network = request.networks.values().next().unwrap().clone();
    let id = ground.engine.create_container(&request).await.unwrap();
    let bound = async || !ground.inspect(&id).await.bound.is_empty();
    ground.engine.disconnect_network(&network, &id).await.unwrap();
    ground.engine.start_container(&id).await.unwrap();
    assert!(!bound().await);
    ground.engine.connect_network(&network, &id, &Attachment::default()).await.unwrap();
    assert!(bound().await);
    ground.engine.disconnect_network(&network, &id).await.unwrap();
    assert!(!bound().await);
}

pub async fn a_container_tells_which_ports_are_bound<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    let port = unique_port();
    let any = PublishedPort {
        container: ContainerPort { number: 53, protocol: Protocol::Udp },
        host_ip: Some("127.0.0.1".parse().unwrap()),
        host: HostPort::Any,
    };
    spec.ports = [on_port(HostPort::One(port)), any].into();
    let id = ground.engine.create_container(&ground.request_on_network("web", spec).await).await.unwrap();
    assert_eq!(ground.inspect(&id).await.bound, [].into());
    ground.engine.start_container(&id).await.unwrap();
    let bound = ground.inspect(&id).await.bound;
    assert!(bound.contains(&on_port(HostPort::One(port))), "{bound:?}");
    let chosen = bound.iter().find(|bound| bound.container.protocol == Protocol::Udp).unwrap();
    assert!(matches!(chosen.host, HostPort::One(1..)) && chosen.host_ip.is_some(), "{bound:?}");
    assert_eq!(bound.len(), 2);
    ground.engine.stop_container(&id, None).await.unwrap();
    assert_eq!(ground.inspect(&id).await.bound, [].into());
}

/// A specification whose process ends at once with `code`, 3 or 0.
fn ending<E: Engine>(ground: &Ground<E>, code: i64) -> evenkeel::model::spec::ContainerSpec {
    let mut spec = ground.spec();
    spec.command = Some(words(&["exit", &code.to_string()]));
    // The simulated engine runs no programs; there the image decides.
    if ground.is_simulated() {
        let tag = if code == 0 { "ends" } else { "fails" };
        spec.image = format!("{}:{tag}", ground.image.reference.repository()).parse().unwrap();
    }
    spec
}

pub async fn an_ended_container_tells_its_status<E: Engine>(ground: &Ground<E>) {
    for code in [3, 0] {
        let id = ground.created_and_started(&format!("exit{code}"), ending(ground, code)).await;
        let ended = Status::Exited { code, out_of_memory: false };
        let live = ground.until(&id, |live| live.state.status == ended).await;
        assert_eq!((live.state.restarts, live.state.health), (0, None));
    }
}

pub async fn a_restart_policy_restarts<E: Engine>(ground: &Ground<E>) {
    let mut spec = ending(ground, 3);
    spec.restart = RestartPolicy::OnFailure(Some(2));
    let id = ground.created_and_started("web", spec).await;
    let ended = Status::Exited { code: 3, out_of_memory: false };
    let live = ground.until(&id, |live| live.state.status == ended && live.state.restarts >= 2).await;
    assert_eq!(live.state.restarts, 2);
}

pub async fn a_health_check_is_told<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    let probe = Some(HealthTest::Exec(words(&["/fixture", "probe"])));
    let interval = Some(Duration::from_millis(200));
    spec.healthcheck =
        Some(Healthcheck { test: probe, interval, retries: Some(100), ..Healthcheck::default() });
    let id = ground.create("web", spec).await;
    assert_eq!(ground.inspect(&id).await.state.health, None);
    ground.engine.start_container(&id).await.unwrap();
    ground.until(&id, |live| live.state.health == Some(Health::Healthy)).await;
    let probed =
        ground.engine.exec(&id, &words(&["/fixture", "probe"]), Duration::from_secs(10)).await.unwrap();
    assert_eq!(probed.code, Some(0));
}

pub async fn a_health_check_that_fails_tells_its_output<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    let test = Some(HealthTest::Exec(words(&["/fixture", "fail", "no\u{1b}[31m database"])));
    let interval = Some(Duration::from_millis(200));
    spec.healthcheck = Some(Healthcheck { test, interval, retries: Some(1), ..Healthcheck::default() });
    let id = ground.create("web", spec).await;
    let never = Behaviour { healthy_after: Duration::MAX, commands: commands(), ..Behaviour::default() };
    ground.behaves(&ground.container_name("web"), never);
    assert_eq!(ground.inspect(&id).await.state.health_output, "");
    ground.engine.start_container(&id).await.unwrap();
    let live = ground.until(&id, |live| live.state.health == Some(Health::Unhealthy)).await;
    assert_eq!(live.state.health_output, "no database");
}
