//! A network that Docker can't change is made anew: nobody restarts, everybody is attached as before. What may go wrong on
//! the way is in `tests/it/sweep.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::recover::Recovered;
use evenkeel::engine::Engine;
use evenkeel::engine::sim::{Behaviour, Fault, SimImage, Verb};
use evenkeel::model::desired::Desired;
use evenkeel::model::live::Live;
use evenkeel::model::name::{ContainerName, NetworkName};
use evenkeel::model::spec::{Attachment, NetworkSpec};
use evenkeel::plan::step::Action;
use tokio::sync::Notify;

use super::bench::{Bench, stack_with};

const NET: &str = "auren-dev_default";

fn net() -> NetworkName {
    NET.parse().unwrap()
}

/// The stack with everybody on one network, which has this option.
fn stack_on(option: &str, image: &str) -> Desired {
    let mut desired = stack_with(image);
    let network = desired.networks.values_mut().next().unwrap();
    network.options.insert("com.docker.network.bridge.enable_icc".to_owned(), option.to_owned());
    for service in desired.services.values_mut() {
        let aliases = [service.name.to_string()].into();
        service.spec.networks.insert(net(), Attachment { aliases, ..Attachment::default() });
    }
    desired
}

/// The networks and how each container is attached, by name; whatever runs must be attached to one that is there.
fn attached(live: &Live) -> (Vec<NetworkSpec>, BTreeMap<ContainerName, Attachment>) {
    let networks = live.networks.values().map(|network| network.spec.clone()).collect();
    let of = |container: &evenkeel::model::live::LiveContainer| {
        let id = &container.endpoints[&net()];
        assert!(live.networks.contains_key(id), "{} is attached to a network that is gone", container.name);
        (container.name.clone(), container.spec.networks[&net()].clone())
    };
    (networks, live.containers.values().map(of).collect())
}

#[tokio::test(start_paused = true)]
async fn nobody_restarts_and_everybody_is_attached_as_before() {
    let bench = Bench::with(&stack_on("true", "app:1")).await;
    let (before, (_, attachments)) =
        (bench.serving().await, attached(&bench.live(&stack_on("true", "app:1")).await));
    let desired = stack_on("false", "app:1");
    bench.host.forget_calls();
    let outcome = bench.deploy(&desired).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert_eq!(bench.serving().await, before);
    let (networks, now) = attached(&bench.live(&desired).await);
    assert_eq!(now, attachments);
    assert_eq!(networks[0].options["com.docker.network.bridge.enable_icc"], "false");
    let restarts = bench.host.writing_calls().into_iter().map(|call| call.to_string());
    let restarts: Vec<_> = restarts.filter(|call| call.starts_with("st")).collect();
    assert_eq!(restarts, Vec::<String>::new());
    assert!(bench.plan(&desired).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_kept_can_still_return() {
    let bench = Bench::with(&stack_on("true", "app:1")).await;
    let first = bench.serving().await;
    let outcome = bench.deploy(&stack_on("false", "app:2")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    let outcome = bench.deploy(&stack_on("false", "app:1")).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert_eq!(bench.serving().await, first, "revived, on the new network");
    attached(&bench.live(&stack_on("false", "app:1")).await);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_fails_brings_the_network_back_as_it_was() {
    let before = stack_on("true", "app:1");
    let bench = Bench::with(&before).await;
    let (serving, was) = (bench.serving().await, attached(&bench.live(&before).await));
    let crashes = Behaviour { exits: Some((Duration::ZERO, 3)), ..Behaviour::default() };
    let image = "app:broken".parse().unwrap();
    bench.host.add_image(&image, SimImage::of("app:broken").that(crashes));
    let outcome = bench.deploy(&stack_on("false", "app:broken")).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(bench.serving().await, serving);
    assert_eq!(attached(&bench.live(&before).await), was);
    assert!(bench.plan(&before).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_through_it_takes_the_network_back() {
    let before = stack_on("true", "app:1");
    let bench = Bench::with(&before).await;
    let (serving, was) = (bench.serving().await, attached(&bench.live(&before).await));
    // Its health check fails once it is on another network.
    let (sim, app) = (bench.host.clone(), "auren-dev-app-1".parse().unwrap());
    let ill = Behaviour { healthy_after: Duration::MAX, ..Behaviour::default() };
    bench.host.on_call(Box::new(move |call| {
        if call.verb == Verb::CreateNetwork {
            sim.change_behaviour(&app, ill.clone());
        }
        Fault::None
    }));
    let outcome = bench.deploy(&stack_on("false", "app:1")).await;
    let Outcome::RolledBack { failure, .. } = outcome else { panic!("{outcome:?}") };
    assert!(
        failure.to_string().starts_with("wait for app: still waiting for its health check after 60 s"),
        "{failure}"
    );
    assert_eq!(bench.serving().await, serving);
    assert_eq!(attached(&bench.live(&before).await), was);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_a_killed_controller_makes_late_is_no_obstacle() {
    let before = stack_on("true", "app:1");
    let bench = Bench::with(&before).await;
    let old = attached(&bench.live(&before).await);
    let desired = stack_on("false", "app:1");
    let plan = bench.plan(&desired).await;
    bench.host.forget_calls();
    // It is killed while the network is made, which comes about only when the recovery is about to make the old one.
    let is_create = |call: &evenkeel::engine::sim::Call| call.verb == Verb::CreateNetwork;
    let struck = Arc::new(Notify::new());
    let notify = Arc::clone(&struck);
    bench.host.on_call(Box::new(move |call| {
        if is_create(call) {
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
    let late = async {
        struck.notified().await;
        bench.host.without_faults();
        let made = plan.steps.iter().find_map(|step| match &step.action {
            Action::CreateNetwork(spec) => Some(spec.clone()),
            _ => None,
        });
        bench.host.create_network(&made.unwrap()).await.unwrap();
    };
    let (recovered, ()) = tokio::join!(bench.recover(), late);
    assert!(matches!(recovered, Some(Recovered::Back(_))), "{recovered:?}");
    assert_eq!(attached(&bench.live(&before).await), old);
}
