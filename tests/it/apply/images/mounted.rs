//! Images that a service mounts: settled, pulled and compared as its own is, though Docker tells only their names.

use evenkeel::model::spec::{Mount, MountSource};
use evenkeel::plan::change::{FieldChange, Operation};

use super::*;

const CONF: &str = "shop/conf:1";
const PATH: &str = "volumes./conf";

/// A yard whose service mounts `shop/conf:1`, read-only as all of them are.
fn yard(pull: PullPolicy) -> Yard {
    let mut yard = Yard::new(pull);
    yard.sim.pretend_api("1.48");
    let mount = Mount { read_only: true, ..Mount::of(MountSource::Image(image_ref(CONF))) };
    let app = yard.desired.services.get_mut(&"app".parse().unwrap()).unwrap();
    app.spec.mounts.insert("/conf".to_owned(), mount);
    yard
}

/// The same, deployed with an image that was only ever built on the host.
async fn with_local() -> Yard {
    let yard = yard(PullPolicy::Missing);
    yard.sim.add_image(&image_ref(CONF), SimImage::of("one"));
    yard.deploy().await;
    yard
}

#[track_caller]
fn the_change(plan: &Plan) -> &FieldChange {
    let [change] = plan.changes.as_slice() else { panic!("{plan:#?}") };
    let [field] = change.fields.as_slice() else { panic!("{change:#?}") };
    field
}

fn shown(field: &FieldChange) -> [String; 2] {
    [&field.before, &field.after].map(|value| value.as_ref().unwrap().to_string())
}

fn short(seed: &str) -> String {
    SimImage::of(seed).defaults.id.short().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moved_on_the_host_replaces_who_mounts_it() {
    let yard = with_local().await;
    let first = yard.serving().await;
    assert_eq!(first.mounted["/conf"], SimImage::of("one").defaults.id);
    assert!(yard.plan().await.is_empty());
    assert_eq!(yard.carry_out(None).await, Outcome::Unchanged);

    yard.sim.add_image(&image_ref(CONF), SimImage::of("two"));
    let plan = yard.plan().await;
    let field = the_change(&plan);
    assert_eq!((field.path.as_str(), field.cause), (PATH, Cause::Image));
    let word = |seed: &str| format!("image shop/conf:1 ({})", short(seed));
    assert_eq!(shown(field), [word("one"), word("two")]);
    yard.deploy().await;
    let second = yard.serving().await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.mounted["/conf"], SimImage::of("two").defaults.id);
    assert!(yard.plan().await.is_empty());

    // What was kept has the first one mounted for ever, and is just what is wanted when the tag means that again.
    yard.sim.add_image(&image_ref(CONF), SimImage::of("one"));
    let plan = yard.plan().await;
    assert!(matches!(plan.changes[0].operation, Operation::Revive(_)), "{plan:#?}");
    yard.deploy().await;
    assert_eq!(yard.serving().await.id, first.id);
    // It is not what is wanted when the tag means a third one.
    yard.sim.add_image(&image_ref(CONF), SimImage::of("three"));
    let plan = yard.plan().await;
    assert!(matches!(plan.changes[0].operation, Operation::Replace(_)), "{plan:#?}");
}

#[tokio::test(start_paused = true)]
async fn it_is_pulled_mounted_and_compared_by_its_digest() {
    let yard = yard(PullPolicy::Always);
    let publish = |seed: &str| yard.sim.publish(&image_ref(CONF), SimImage::of(seed), Duration::ZERO);
    publish("one");
    let plan = yard.plan().await;
    let pulls = plan.pulls();
    let pull = pulls.iter().find(|pull| pull.image.name() == image_ref(CONF)).unwrap();
    let one = pull.image.digest().unwrap().to_owned();
    assert_eq!(pull.services.iter().map(ToString::to_string).collect::<Vec<_>>(), ["app"]);
    // What was shown is mounted, though the tag has moved since.
    publish("two");
    assert!(matches!(yard.carry_out(Some(&plan.id)).await, Outcome::Applied(_)));
    let serving = yard.serving().await;
    assert_eq!(serving.spec.mounts["/conf"].source, MountSource::Image(image_ref(CONF).pinned(&one)));
    assert_eq!(serving.mounted["/conf"], SimImage::of("one").defaults.id);
    let local = yard.sim.inspect_image(CONF).await.unwrap().unwrap();
    assert_eq!(local.id, serving.mounted["/conf"], "the tag means it on the host, too");

    // Another process asks the registry again.
    let folder = tempfile::tempdir().unwrap();
    let other = Machine::open(yard.sim.clone(), folder.path(), Host::Other).unwrap();
    let (plan, _) = other.plan(&yard.desired, Registries::Ask).await.unwrap();
    let field = the_change(&plan);
    let two = plan.pulls()[0].image.digest().unwrap().to_owned();
    assert_eq!((field.path.as_str(), field.cause), (PATH, Cause::Image));
    let word = |digest: &str| format!("image shop/conf:1 ({})", &digest[..19]);
    assert_eq!(shown(field), [word(&one), word(&two)]);
    assert!(matches!(yard.carry_out(None).await, Outcome::Unchanged), "what was recalled still counts");
    assert!(yard.plan().await.pulls().iter().any(|pull| pull.image.digest() == Some(&two)));
    yard.deploy().await;
    assert_eq!(yard.serving().await.mounted["/conf"], SimImage::of("two").defaults.id);
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_who_always_asks_sees_that_its_tag_moved_in_the_registry() {
    let yard = yard(PullPolicy::Missing);
    let publish = |seed: &str| yard.sim.publish(&image_ref(CONF), SimImage::of(seed), Duration::ZERO);
    publish("one");
    yard.deploy().await;
    publish("two");
    yard.sim.forget_calls();
    assert!(yard.plan().await.is_empty());
    // Also where its tag is lost on the host.
    yard.sim.untag(&image_ref(CONF));
    assert!(yard.plan().await.is_empty());
    assert_eq!(yard.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_must_not_be_pulled_must_be_here() {
    let yard = yard(PullPolicy::Never);
    yard.sim.add_image(&image_ref(APP), SimImage::of("loaded"));
    let refused = yard.machine.plan(&yard.desired, Registries::Ask).await;
    let Err(DeployError::Refused(refused)) = refused else { panic!("{refused:?}") };
    let expected =
        "service `app`: the image `shop/conf:1` is not on this host, and its `pull_policy` is `never`";
    assert_eq!(refused.to_string(), expected);
    yard.sim.add_image(&image_ref(CONF), SimImage::of("loaded, too"));
    yard.deploy().await;
    assert_eq!(yard.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_moved_is_other_content_until_it_is_settled() {
    let yard = with_local().await;
    let stack = &yard.desired.stack;
    let stable = yard.machine.ledger().last_stable(stack).unwrap().unwrap().desired;
    yard.sim.add_image(&image_ref(CONF), SimImage::of("two"));
    let second = yard.plan().await.desired;
    yard.sim.add_image(&image_ref(CONF), SimImage::of("three"));
    let third = yard.plan().await.desired;
    assert!(second != stable && third != stable && second != third, "each may fail by itself");
    yard.deploy().await;
    assert_eq!(yard.plan().await.desired, stable);
}

#[tokio::test(start_paused = true)]
async fn a_digest_in_the_manifest_is_what_is_mounted() {
    let mut yard = yard(PullPolicy::Missing);
    let publish = |yard: &Yard, seed: &str| {
        yard.sim.publish(&image_ref(CONF), SimImage::of(seed), Duration::ZERO);
    };
    publish(&yard, "one");
    yard.deploy().await;
    let first = yard.sim.registry_digest(&image_ref(CONF)).await.unwrap();
    publish(&yard, "two");
    let second = yard.sim.registry_digest(&image_ref(CONF)).await.unwrap();
    let pin = |yard: &mut Yard, digest: &str| {
        let app = yard.desired.services.get_mut(&"app".parse().unwrap()).unwrap();
        let image = image_ref(CONF).pinned(digest);
        app.spec.mounts.get_mut("/conf").unwrap().source = MountSource::Image(image);
    };
    // To name what is mounted anyway changes nothing.
    pin(&mut yard, &first);
    assert!(yard.plan().await.is_empty());
    pin(&mut yard, &second);
    let plan = yard.plan().await;
    assert_eq!((the_change(&plan).path.as_str(), the_change(&plan).cause), (PATH, Cause::Git));
    assert!(matches!(yard.carry_out(Some(&plan.id)).await, Outcome::Applied(_)));
    assert_eq!(yard.serving().await.mounted["/conf"], SimImage::of("two").defaults.id);
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn how_it_is_mounted_is_one_change_with_the_image() {
    let mut yard = with_local().await;
    yard.sim.add_image(&image_ref(CONF), SimImage::of("two"));
    let app = yard.desired.services.get_mut(&"app".parse().unwrap()).unwrap();
    app.spec.mounts.get_mut("/conf").unwrap().options.subpath = Some("etc".to_owned());
    let plan = yard.plan().await;
    let field = the_change(&plan);
    assert_eq!((field.path.as_str(), field.cause), (PATH, Cause::Git));
    yard.deploy().await;
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_observed_tells_images_by_the_names_that_people_gave_them() {
    let yard = yard(PullPolicy::Missing);
    yard.sim.publish(&image_ref(CONF), SimImage::of("one"), Duration::ZERO);
    yard.deploy().await;
    let told = yard.machine.observation(&yard.desired).await.unwrap().to_json();
    let fields = &told["containers"]["app-1"]["fields"];
    for (path, value) in [("image", APP), (PATH, "image shop/conf:1, read-only")] {
        assert_eq!(fields[path]["value"]["value"]["word"], value, "{fields:#}");
        assert_eq!(fields[path]["value"]["drifted"], false, "{fields:#}");
    }
    assert!(!told.to_string().contains("sha256:"), "{told:#}");
}
