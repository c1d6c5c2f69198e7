//! The platform of a service: which image of a name is the right one.

use super::*;

fn wants(yard: &mut Yard, platform: &str) {
    let app = yard.desired.services.get_mut(&"app".parse().unwrap()).unwrap();
    app.spec.platform = Some(platform.parse().unwrap());
}

fn image(seed: &str, platform: &str) -> SimImage {
    SimImage::of(seed).built_for(platform.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn to_name_the_platform_that_runs_changes_nothing() {
    let mut yard = Yard::new(PullPolicy::Missing);
    yard.sim.publish(&image_ref(APP), image("first", "linux/amd64"), Duration::ZERO);
    yard.deploy().await;
    wants(&mut yard, "linux/x86_64/v2");
    assert!(yard.plan().await.is_empty());
    assert_eq!(yard.carry_out(None).await, Outcome::Unchanged);
    // Without its image nobody but the record knows what it was built for.
    yard.sim.untag(&image_ref(APP));
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_platform_is_pulled_and_replaces_the_container() {
    let mut yard = Yard::new(PullPolicy::Missing);
    yard.sim.publish(&image_ref(APP), image("first", "linux/amd64"), Duration::ZERO);
    wants(&mut yard, "linux/amd64");
    yard.deploy().await;
    wants(&mut yard, "linux/arm64");
    yard.sim.publish(&image_ref(APP), image("other", "linux/arm64"), Duration::ZERO);
    let plan = yard.plan().await;
    assert_eq!(plan.pulls().len(), 1, "{}", text(&plan));
    let fields = &plan.changes[0].fields;
    let platform = fields.iter().find(|field| field.path.as_str() == "platform").unwrap();
    let shown = [&platform.before, &platform.after].map(|value| value.as_ref().unwrap().to_string());
    assert_eq!((shown, platform.cause), (["linux/amd64", "linux/arm64"].map(str::to_owned), Cause::Git));
    yard.deploy().await;
    assert_eq!(yard.serving().await.image, image("other", "linux/arm64").defaults.id);
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_the_registry_does_not_have_stops_nothing() {
    let mut yard = Yard::new(PullPolicy::Missing);
    yard.sim.publish(&image_ref(APP), image("first", "linux/amd64"), Duration::ZERO);
    yard.deploy().await;
    let before = yard.serving().await;
    wants(&mut yard, "linux/arm64");
    yard.sim.forget_calls();
    let outcome = yard.carry_out(None).await;
    let Outcome::Failed { failure, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(failure.to_string().contains("no matching manifest for linux/arm64"), "{failure}");
    assert!(!yard.sim.calls().iter().any(|call| call.verb == Verb::StopContainer));
    assert_eq!(yard.serving().await, before);
}

#[tokio::test(start_paused = true)]
async fn an_image_for_another_platform_that_must_not_be_pulled_is_refused() {
    let mut yard = Yard::new(PullPolicy::Never);
    yard.sim.add_image(&image_ref(APP), image("loaded", "linux/amd64"));
    wants(&mut yard, "linux/arm64");
    let Err(DeployError::Refused(refused)) = yard.machine.plan(&yard.desired, Registries::Ask).await else {
        panic!("it is planned")
    };
    let expected = "service `app`: the image `shop/app:1` of this host is for linux/amd64, and its `platform` is \
                    `linux/arm64`";
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn one_name_can_not_be_two_platforms_on_a_host() {
    let mut yard = Yard::new(PullPolicy::Missing);
    let mut second = service("second", "apps", APP);
    second.spec.platform = Some("linux/arm64".parse().unwrap());
    yard.desired.services.insert(second.name.clone(), second);
    wants(&mut yard, "linux/amd64");
    let Err(DeployError::Refused(refused)) = yard.machine.plan(&yard.desired, Registries::Ask).await else {
        panic!("it is planned")
    };
    let expected = "service `second`: the image `shop/app:1` is wanted for linux/arm64, and by `app` for linux/amd64; \
                    a host has one of them under a name";
    assert_eq!(refused.to_string(), expected);
    wants(&mut yard, "linux/aarch64");
    yard.deploy().await;
}
