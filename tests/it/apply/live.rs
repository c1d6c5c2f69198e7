//! Changes that restart nothing: networks that are joined and left, names.

use evenkeel::apply::Outcome;
use evenkeel::engine::sim::{Behaviour, SimImage, Verb};
use evenkeel::model::desired::{Desired, Service};
use evenkeel::model::spec::{Attachment, NetworkSpec};
use evenkeel::plan::change::{Cause, Operation};

use super::bench::{Bench, image_ref, stack_with};

fn service<'d>(desired: &'d mut Desired, name: &str) -> &'d mut Service {
    desired.services.get_mut(&name.parse().unwrap()).unwrap()
}

/// The stack with a further network that `db` joins, and another alias for it on the network that it had.
fn joined(app_image: &str) -> Desired {
    let mut desired = stack_with(app_image);
    let front: evenkeel::model::name::NetworkName = "auren-dev_front".parse().unwrap();
    desired.networks.insert("front".parse().unwrap(), NetworkSpec::named(front.clone()));
    let db = service(&mut desired, "db");
    let links = [("auren-dev-app-1".to_owned(), "client".to_owned())].into();
    for attachment in db.spec.networks.values_mut() {
        attachment.aliases.insert("store".to_owned());
    }
    db.spec.networks.insert(front, Attachment { links, ..Attachment::default() });
    desired
}

#[tokio::test(start_paused = true)]
async fn trap_55_networks_are_joined_and_left_without_a_restart() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let before = bench.container("db").await;
    let serving = bench.serving().await;
    for desired in [joined("app:1"), stack_with("app:1")] {
        bench.host.forget_calls();
        let plan = bench.plan(&desired).await;
        let change = plan.changes.iter().find(|change| change.name == "db").unwrap();
        assert_eq!(change.operation, Operation::InPlace);
        assert!(change.fields.iter().all(|field| field.cause == Cause::Git), "{:#?}", change.fields);
        let outcome = bench.deploy(&desired).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        let of_networks = |verb| {
            matches!(
                verb,
                Verb::CreateNetwork | Verb::RemoveNetwork | Verb::ConnectNetwork | Verb::DisconnectNetwork
            )
        };
        let calls = bench.host.writing_calls();
        assert!(calls.iter().all(|call| of_networks(call.verb)), "{calls:?}");
        assert_eq!(bench.serving().await, serving);
        assert_eq!(bench.deploy(&desired).await, Outcome::Unchanged);
    }
    let after = bench.container("db").await;
    assert_eq!((after.spec, after.state.started_at), (before.spec, before.state.started_at));
}

#[tokio::test(start_paused = true)]
async fn networks_that_were_joined_are_left_again_on_the_way_back() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let before = bench.container("db").await;
    let reason = Some("no such executable".to_owned());
    let broken = SimImage::of("app:2").that(Behaviour { start_error: reason, ..Behaviour::default() });
    bench.host.add_image(&image_ref("app:2"), broken);
    let outcome = bench.deploy(&joined("app:2")).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    let after = bench.container("db").await;
    assert_eq!((after.id, after.spec.networks), (before.id, before.spec.networks));
    bench.assert_at(&stack_with("app:1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_gets_another_name_without_a_restart() {
    let bench = Bench::with(&stack_with("app:1")).await;
    let serving = bench.serving().await;
    let named = |names: [(&str, &str); 2]| {
        let mut desired = stack_with("app:1");
        for (name, container) in names {
            service(&mut desired, name).container_name = container.parse().ok();
        }
        desired
    };
    // The second deploy swaps the names.
    for names in [[("db", "red"), ("proxy", "blue")], [("db", "blue"), ("proxy", "red")]] {
        let desired = named(names);
        let plan = bench.plan(&desired).await;
        let change = plan.changes.iter().find(|change| change.name == "db").unwrap();
        assert_eq!(change.operation, Operation::InPlace, "{:#?}", change.fields);
        let name = change.fields.iter().find(|field| field.path.as_str() == "container_name").unwrap();
        assert_eq!(name.cause, Cause::Git);
        let outcome = bench.deploy(&desired).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        for (name, container) in names {
            assert_eq!(bench.container(name).await.name.as_str(), container);
        }
        assert_eq!(bench.serving().await, serving);
        assert_eq!(bench.deploy(&desired).await, Outcome::Unchanged);
    }
}
