//! Images by their tag and by their digest: what a plan settles, what registries are asked, and what a deploy that fails
//! leaves behind.

use std::time::Duration;

use evenkeel::apply::machine::{DeployError, Machine, Order};
use evenkeel::apply::progress::Silent;
use evenkeel::apply::registry::Registries;
use evenkeel::apply::{Host, Outcome};
use evenkeel::engine::Engine;
use evenkeel::engine::sim::{Behaviour, Call, Fault, Sim, SimImage, Verb};
use evenkeel::model::desired::Desired;
use evenkeel::model::image::PullPolicy;
use evenkeel::model::live::{Live, LiveContainer, Status};
use evenkeel::plan::change::Cause;
use evenkeel::plan::text::{Layout, to_text};
use evenkeel::plan::{Plan, PlanId};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::bench::{image_ref, service, stack_with};

mod mounted;
mod platforms;

/// A host with a registry, and one service `app` of the image `shop/app:1`.
struct Yard {
    sim: Sim,
    machine: Machine<Sim>,
    desired: Desired,
    #[expect(dead_code, reason = "it is removed when it is dropped")]
    folder: TempDir,
}

const APP: &str = "shop/app:1";

impl Yard {
    fn new(pull: PullPolicy) -> Self {
        let sim = Sim::new();
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::open(sim.clone(), folder.path(), Host::Other).unwrap();
        let mut app = service("app", "apps", APP);
        app.pull = pull;
        let mut desired = stack_with("app:1");
        desired.services = [(app.name.clone(), app)].into();
        desired.contents.clear();
        let yard = Self { sim, machine, desired, folder };
        yard.publish("first");
        yard
    }

    async fn deployed(pull: PullPolicy) -> Self {
        let yard = Self::new(pull);
        yard.deploy().await;
        yard.sim.forget_calls();
        yard
    }

    /// Lets the tag mean this image at the registry.
    fn publish(&self, seed: &str) {
        self.sim.publish(&image_ref(APP), SimImage::of(seed), Duration::ZERO);
    }

    async fn look(&self, registries: Registries) -> (Plan, Live) {
        self.machine.plan(&self.desired, registries).await.unwrap()
    }

    async fn plan(&self) -> Plan {
        self.look(Registries::Ask).await.0
    }

    async fn carry_out(&self, expected: Option<&PlanId>) -> Outcome {
        let order = Order {
            desired: &self.desired,
            expected,
            accepted: None,
            registries: Registries::Recall,
            trigger: "test",
            actor: "test",
            progress: &Silent,
            stop: &CancellationToken::new(),
        };
        self.machine.deploy(order).await.unwrap().1
    }

    async fn deploy(&self) {
        let plan = self.plan().await;
        let outcome = self.carry_out(Some(&plan.id)).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    }

    async fn serving(&self) -> LiveContainer {
        let (_, live) = self.look(Registries::Leave).await;
        let runs = |container: &LiveContainer| container.state.status == Status::Running;
        live.containers.into_values().find(runs).unwrap()
    }

    /// What the tag means on the host.
    async fn local(&self) -> Option<String> {
        self.sim.inspect_image(APP).await.unwrap().map(|image| image.id.to_string())
    }

    fn asked(&self) -> usize {
        self.sim.calls().iter().filter(|call| call.verb == Verb::RegistryDigest).count()
    }

    fn registry_is_down(&self) {
        let down = |call: &Call| matches!(call.verb, Verb::RegistryDigest | Verb::PullImage);
        self.sim.on_call(Box::new(move |call| if down(call) { Fault::Error } else { Fault::None }));
    }
}

fn text(plan: &Plan) -> String {
    to_text(plan, Layout { colour: false, width: 0, full: false })
}

#[tokio::test(start_paused = true)]
async fn an_image_is_pulled_and_run_by_the_digest_that_the_plan_says() {
    let yard = Yard::new(PullPolicy::Missing);
    let plan = yard.plan().await;
    let pulls = plan.pulls();
    let digest = pulls[0].image.digest().unwrap();
    assert!(
        text(&plan).contains(&format!("pull: shop/app:1 ({}) for app\n", &digest[..19])),
        "{}",
        text(&plan)
    );
    assert_eq!(yard.sim.writing_calls(), []);
    // What was shown runs, though the tag has moved since.
    yard.publish("second");
    assert!(matches!(yard.carry_out(Some(&plan.id)).await, Outcome::Applied(_)));
    let serving = yard.serving().await;
    assert_eq!(serving.spec.image, image_ref(APP).pinned(digest));
    assert_eq!(yard.local().await.unwrap(), serving.image.as_str(), "the tag means it on the host, too");
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_who_always_asks_sees_that_a_tag_moved() {
    let yard = Yard::deployed(PullPolicy::Missing).await;
    yard.publish("second");
    assert!(yard.plan().await.is_empty());
    assert_eq!(yard.asked(), 0, "what is here is not asked for");

    let yard = Yard::deployed(PullPolicy::Always).await;
    assert!(yard.plan().await.is_empty());
    let before = yard.serving().await;
    yard.publish("second");
    yard.sim.forget_calls();
    let plan = yard.plan().await;
    assert_eq!(yard.sim.writing_calls(), []);
    let [change] = plan.changes[0].fields.as_slice() else { panic!("{plan:#?}") };
    assert_eq!((change.path.as_str(), change.cause), ("image", Cause::Image));
    let digest = plan.pulls()[0].image.digest().unwrap().to_owned();
    let shown = |digest: &str| Some(format!("shop/app:1 ({})", &digest[..19]));
    assert_eq!(change.before.as_ref().map(ToString::to_string), shown(before.spec.image.digest().unwrap()));
    assert_eq!(change.after.as_ref().map(ToString::to_string), shown(&digest));
    yard.deploy().await;
    assert_eq!(yard.serving().await.spec.image.digest(), Some(digest.as_str()));
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_down_is_noted_and_changes_nothing() {
    let yard = Yard::deployed(PullPolicy::Always).await;
    yard.registry_is_down();
    let plan = yard.plan().await;
    assert!(plan.is_empty());
    let said = text(&plan);
    assert!(
        said.contains("note: the registry of `shop/app:1` could not be asked; what is on this host counts")
    );
    // Whatever became of the tag on the host, it is the registry's word that counts.
    yard.sim.add_image(&image_ref(APP), SimImage::of("built here"));
    assert!(yard.plan().await.is_empty());

    let yard = Yard::new(PullPolicy::Always);
    yard.registry_is_down();
    let plan = yard.plan().await;
    assert!(text(&plan).contains("its digest is not known beforehand"), "{}", text(&plan));
    let outcome = yard.carry_out(None).await;
    assert!(matches!(&outcome, Outcome::Failed { failure, .. } if failure.transient), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_moved_image_that_fails_is_quarantined_and_what_ran_before_is_kept_up() {
    let yard = Yard::deployed(PullPolicy::Always).await;
    let (before, local) = (yard.serving().await, yard.local().await);
    let stack = &yard.desired.stack;
    let stable = yard.machine.ledger().last_stable(stack).unwrap().unwrap().desired;
    let crashes = Behaviour { exits: Some((Duration::from_millis(10), 1)), ..Behaviour::default() };
    yard.sim.publish(&image_ref(APP), SimImage::of("broken").that(crashes), Duration::ZERO);
    let plan = yard.plan().await;
    let outcome = yard.carry_out(Some(&plan.id)).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!((yard.serving().await.id, yard.local().await), (before.id, local));
    assert!(yard.machine.ledger().quarantined(stack, &plan.desired).unwrap().is_some());
    assert!(yard.machine.ledger().quarantined(stack, &stable).unwrap().is_none());
    assert_eq!(yard.plan().await.desired, plan.desired, "it is known again");
    let (kept, _) = yard.look(Registries::Leave).await;
    assert!(kept.is_empty() && kept.desired == stable);
    // A repair needs no registry and takes the good one.
    yard.registry_is_down();
    yard.sim.remove_by_hand(&before.name);
    let (repair, _) = yard.look(Registries::Leave).await;
    assert_eq!((repair.desired, repair.outcome.len()), (stable, 1));
    assert_eq!(text(&yard.look(Registries::Leave).await.0).matches("pull:").count(), 0);
    // The next image of the tag is other content.
    yard.sim.without_faults();
    yard.publish("mended");
    yard.deploy().await;
    assert_eq!(yard.serving().await.image, SimImage::of("mended").defaults.id);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_moved_by_hand_and_fails_is_quarantined_too() {
    let yard = Yard::deployed(PullPolicy::Missing).await;
    let before = yard.serving().await;
    let stack = &yard.desired.stack;
    let stable = yard.machine.ledger().last_stable(stack).unwrap().unwrap().desired;
    let crashes = Behaviour { exits: Some((Duration::from_millis(10), 1)), ..Behaviour::default() };
    yard.sim.add_image(&image_ref(APP), SimImage::of("broken").that(crashes));
    let plan = yard.plan().await;
    assert_eq!(plan.changes[0].fields[0].cause, Cause::Image);
    let outcome = yard.carry_out(Some(&plan.id)).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(yard.serving().await.id, before.id);
    assert!(yard.machine.ledger().quarantined(stack, &plan.desired).unwrap().is_some());
    assert!(yard.machine.ledger().quarantined(stack, &stable).unwrap().is_none());
    assert_eq!(yard.plan().await.desired, plan.desired, "it is known again");
    // Another image under the tag is other content, and afterwards all is as declared.
    yard.sim.add_image(&image_ref(APP), SimImage::of("mended"));
    yard.deploy().await;
    assert_eq!(yard.serving().await.image, SimImage::of("mended").defaults.id);
    let settled = yard.plan().await;
    assert!(settled.is_empty() && settled.desired == stable);
}

#[tokio::test(start_paused = true)]
async fn an_event_on_the_host_waits_for_no_registry() {
    let yard = Yard::deployed(PullPolicy::Always).await;
    yard.publish("second");
    let (plan, _) = yard.look(Registries::Recall).await;
    assert!(plan.is_empty());
    assert_eq!(yard.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_for_as_long_as_the_service_says() {
    let yard = Yard::deployed(PullPolicy::Every(Duration::from_secs(3600))).await;
    yard.publish("second");
    assert!(yard.plan().await.is_empty());
    assert_eq!(yard.asked(), 0);
    // Another process knows nothing of the answer.
    let folder = tempfile::tempdir().unwrap();
    let other = Machine::open(yard.sim.clone(), folder.path(), Host::Other).unwrap();
    let (plan, _) = other.plan(&yard.desired, Registries::Ask).await.unwrap();
    assert_eq!(plan.pulls().len(), 1, "{plan:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_must_not_be_pulled_must_be_here() {
    let yard = Yard::new(PullPolicy::Never);
    let refused = yard.machine.plan(&yard.desired, Registries::Ask).await;
    let Err(DeployError::Refused(refused)) = refused else { panic!("{refused:?}") };
    let expected =
        "service `app`: the image `shop/app:1` is not on this host, and its `pull_policy` is `never`";
    assert_eq!(refused.to_string(), expected);
    yard.sim.add_image(&image_ref(APP), SimImage::of("loaded"));
    yard.deploy().await;
    assert_eq!(yard.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_lost_on_the_host_is_no_change() {
    for pull in [PullPolicy::Missing, PullPolicy::Never] {
        let yard = Yard::new(pull);
        yard.sim.add_image(&image_ref(APP), SimImage::of("here"));
        yard.deploy().await;
        let id = yard.serving().await.image;
        yard.sim.untag(&image_ref(APP));
        yard.sim.forget_calls();
        assert!(yard.plan().await.is_empty());
        assert_eq!(yard.asked(), 0);
        assert_eq!(yard.serving().await.image, id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_digest_in_the_manifest_is_what_runs() {
    let mut yard = Yard::deployed(PullPolicy::Always).await;
    let before = yard.serving().await;
    let pin = |yard: &mut Yard, digest: &str| {
        let app = yard.desired.services.get_mut(&"app".parse().unwrap()).unwrap();
        app.spec.image = image_ref(APP).pinned(digest);
    };
    // To name what runs anyway changes nothing.
    pin(&mut yard, before.spec.image.digest().unwrap());
    assert!(yard.plan().await.is_empty());
    assert_eq!(yard.carry_out(None).await, Outcome::Unchanged);
    yard.publish("second");
    assert!(yard.plan().await.is_empty());
    yard.sim.forget_calls();
    let second = yard.sim.registry_digest(&image_ref(APP)).await.unwrap();
    yard.sim.forget_calls();
    pin(&mut yard, &second);
    let plan = yard.plan().await;
    assert_eq!((yard.asked(), plan.changes[0].fields[0].cause), (0, Cause::Git), "{}", text(&plan));
    assert!(matches!(yard.carry_out(Some(&plan.id)).await, Outcome::Applied(_)));
    assert_eq!(yard.serving().await.spec.image.digest(), Some(second.as_str()));
    assert!(yard.plan().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn images_are_pulled_side_by_side_but_not_all_at_once() {
    let mut yard = Yard::new(PullPolicy::Missing);
    let each = Duration::from_secs(100);
    yard.desired.services = (1..=20)
        .map(|number| {
            let image = format!("shop/app-{number}:1");
            yard.sim.publish(&image_ref(&image), SimImage::of(&image), each);
            let service = service(&format!("app-{number}"), "apps", &image);
            (service.name.clone(), service)
        })
        .collect();
    let start = tokio::time::Instant::now();
    yard.deploy().await;
    // Eight at a time: three rounds, and then what starts them.
    let took = start.elapsed();
    assert!((each * 3..each * 4).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_breaks_off_is_tried_again() {
    let yard = Yard::new(PullPolicy::Missing);
    let plan = yard.plan().await;
    yard.sim.forget_calls();
    let mut left = 2;
    let fails = move |call: &Call| {
        let fails = call.verb == Verb::PullImage && left > 0;
        left -= i32::from(fails);
        if fails { Fault::DoneButReplyLost } else { Fault::None }
    };
    yard.sim.on_call(Box::new(fails));
    assert!(matches!(yard.carry_out(Some(&plan.id)).await, Outcome::Applied(_)));
    let pulls = yard.sim.calls().iter().filter(|call| call.verb == Verb::PullImage).count();
    assert_eq!(pulls, 3);
}

#[tokio::test(start_paused = true)]
async fn what_comes_without_the_digest_of_the_plan_does_not_run() {
    let yard = Yard::new(PullPolicy::Missing);
    let plan = yard.plan().await;
    let pinned = plan.pulls()[0].image.clone();
    let by_digest = format!("{}@{}", pinned.repository(), pinned.digest().unwrap()).parse().unwrap();
    // The engine says that the pull went well, and has nothing under that digest.
    let sim = yard.sim.clone();
    yard.sim.on_call(Box::new(move |call| {
        if call.verb == Verb::InspectImage && call.object.contains('@') {
            sim.untag(&by_digest);
        }
        Fault::None
    }));
    let outcome = yard.carry_out(Some(&plan.id)).await;
    let Outcome::Failed { failure, .. } = outcome else { panic!("{outcome:?}") };
    assert!(failure.cause.contains("not with the digest sha256:") && failure.transient, "{failure}");
    assert_eq!(yard.machine.ledger().quarantined(&yard.desired.stack, &plan.desired).unwrap(), None);
    yard.sim.without_faults();
    yard.deploy().await;
}
