//! `adopt` on the simulator: what is selected, and that nothing but the ledger is written to.

use std::collections::BTreeMap;

use evenkeel::apply::Host;
use evenkeel::apply::machine::{DeployError, Machine};
use evenkeel::apply::registry::Registries;
use evenkeel::engine::sim::{Sim, SimImage};
use evenkeel::engine::{CreateContainer, Engine};
use evenkeel::manifest::{self, Given, Input, MissingVariables, Request};
use evenkeel::model::adopted::Adopted;
use evenkeel::model::desired::{Desired, Revision};
use evenkeel::model::label;
use evenkeel::model::name::DeployId;
use evenkeel::model::spec::{Attachment, ContainerSpec, NetworkSpec};
use evenkeel::model::tree::MemoryTree;
use evenkeel::plan::Plan;
use evenkeel::plan::adopt::{Named, Wish};
use tempfile::TempDir;

use crate::drafts::scene::{Maker, Scene as Others, resolved};

/// A host on which Compose has made containers, and a state folder.
struct Scene {
    sim: Sim,
    machine: Machine<Sim>,
    _state: TempDir,
}

fn compose_labels(project: &str, service: &str, number: u32) -> BTreeMap<String, String> {
    [
        ("project", project),
        ("service", service),
        ("container-number", &number.to_string()),
        ("oneoff", "False"),
    ]
    .map(|(name, value)| (format!("com.docker.compose.{name}"), value.to_owned()))
    .into()
}

impl Scene {
    /// Containers by name, with their labels; all joined to the network `shop_default` of the project `shop`.
    async fn new(containers: &[(&str, BTreeMap<String, String>)]) -> Self {
        let sim = Sim::new();
        sim.add_image(&"app:1".parse().unwrap(), SimImage::of("app"));
        let mut network = NetworkSpec::named("shop_default".parse().unwrap());
        network.labels = [(label::COMPOSE_PROJECT.to_owned(), "shop".to_owned())].into();
        let network = sim.create_network(&network).await.unwrap();
        for (name, labels) in containers {
            let mut spec = ContainerSpec::of_image("app:1".parse().unwrap());
            let service = labels.get("com.docker.compose.service").map_or(*name, String::as_str);
            let aliases = [service.to_owned(), (*name).to_owned()].into();
            let joined = Attachment { aliases, ..Attachment::default() };
            spec.networks.insert("shop_default".parse().unwrap(), joined);
            let networks = [("shop_default".parse().unwrap(), network.clone())].into();
            let request =
                CreateContainer { name: name.parse().unwrap(), spec, labels: labels.clone(), networks };
            let id = sim.create_container(&request).await.unwrap();
            sim.start_container(&id).await.unwrap();
        }
        sim.forget_calls();
        let state = tempfile::tempdir().unwrap();
        let machine = Machine::open(sim.clone(), state.path(), Host::Other).unwrap();
        Self { sim, machine, _state: state }
    }

    /// The names of what is taken over as what, or why nothing is.
    async fn proposed(&self, desired: &Desired, wish: &Wish) -> Result<String, String> {
        match self.machine.propose(desired, wish, Registries::Leave).await {
            Ok(proposal) => {
                let names = &proposal.selection.names;
                let containers =
                    names.containers.iter().map(|(instance, name)| format!("{name} as {instance}"));
                let networks = names.networks.iter().map(ToString::to_string);
                let all = containers.chain(networks).chain(proposal.selection.notes.clone());
                Ok(all.collect::<Vec<_>>().join(", "))
            }
            Err(DeployError::Refused(refused)) => Err(refused.to_string()),
            Err(error) => panic!("{error}"),
        }
    }
}

fn shop(text: &str) -> Desired {
    let mut tree = MemoryTree::default();
    tree.insert("compose.yaml".parse().unwrap(), format!("name: shop\nservices:\n{text}"));
    let files = vec!["compose.yaml".parse().unwrap()];
    let request = Request {
        tree: &tree,
        input: Input::Files(Given { files, ..Given::default() }),
        host_variables: &BTreeMap::new(),
        missing: MissingVariables::Refuse,
        revision: Revision::Files,
    };
    manifest::resolve(&request).unwrap().desired
}

const TWO: &str = "  web: {image: 'app:1', scale: 2}\n";

#[tokio::test(start_paused = true)]
async fn adopting_writes_nothing_but_one_record() {
    let scene = Scene::new(&[
        ("shop-web-1", compose_labels("shop", "web", 1)),
        ("shop-web-2", compose_labels("shop", "web", 2)),
    ])
    .await;
    let (desired, wish) = (shop(TWO), Wish::Project(None));
    let stack = &desired.stack;
    let proposal = scene.machine.propose(&desired, &wish, Registries::Leave).await.unwrap();
    assert!(proposal.plan.is_empty(), "{:?}", proposal.plan.changes);
    assert_eq!(scene.machine.ledger().adopted(stack).unwrap(), Adopted::none());
    assert_eq!(scene.machine.ledger().last_applied(stack).unwrap().current.len(), 0);
    scene.machine.adopt(&desired, (&wish, &proposal), "test").await.unwrap();
    assert_eq!(scene.sim.writing_calls(), []);
    assert_eq!(scene.machine.ledger().adopted(stack).unwrap(), proposal.selection.adopted);
    assert!(scene.machine.ledger().last_stable(stack).unwrap().is_some());
    let (plan, live) = scene.machine.plan(&desired, Registries::Leave).await.unwrap();
    assert!(plan.is_empty(), "{:?}", plan.changes);
    assert_eq!((live.containers.len(), live.others.len()), (2, 0));
    let deploy: DeployId = live.containers.values().next().unwrap().deploy.clone();
    assert!(deploy.as_str().starts_with("adopted-"), "{deploy}");
    // Asked twice, there is nothing left.
    let again = scene.machine.propose(&desired, &wish, Registries::Leave).await.unwrap();
    assert!(again.selection.adopted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stale_proposal_is_refused() {
    let scene = Scene::new(&[("shop-web-1", compose_labels("shop", "web", 1))]).await;
    let (desired, wish) = (shop("  web: {image: 'app:1'}\n"), Wish::Project(None));
    let proposal = scene.machine.propose(&desired, &wish, Registries::Leave).await.unwrap();
    scene.sim.remove_by_hand(&"shop-web-1".parse().unwrap());
    assert!(scene.machine.adopt(&desired, (&wish, &proposal), "test").await.is_err());
    assert_eq!(scene.machine.ledger().adopted(&desired.stack).unwrap(), Adopted::none());
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_taken_over_is_said() {
    let mut theirs = compose_labels("shop", "web", 1);
    theirs.insert(label::STACK.to_owned(), "theirs".to_owned());
    theirs.insert(label::SERVICE.to_owned(), "web".to_owned());
    theirs.insert(label::INSTANCE.to_owned(), "1".to_owned());
    theirs.insert(label::DEPLOY.to_owned(), "d1".to_owned());
    let web = |number| compose_labels("shop", "web", number);
    let project = || Wish::Project(None);
    let named = |service: Option<&str>, container: &str| {
        let service = service.map(|name| name.parse().unwrap());
        Wish::Containers(vec![Named { container: container.to_owned(), service }])
    };
    let one = "  web: {image: 'app:1'}\n";
    let mut run = web(7);
    run.insert("com.docker.compose.oneoff".to_owned(), "True".to_owned());
    for (containers, manifest, wish, expected) in [
        (vec![("x", theirs)], one, project(), Err("belongs to the stack `theirs`")),
        (vec![("a", web(1)), ("b", web(1))], one, project(), Err("are both number 1 of `web`")),
        (vec![("a", compose_labels("else", "web", 1))], one, project(), Err("no container here is of")),
        (vec![("a", run)], one, project(), Err("no container here is of")),
        (vec![("a", web(1))], one, Wish::Project(Some("other".to_owned())), Err("project `other`")),
        (vec![("a", BTreeMap::new())], one, named(None, "a"), Err("not clear which service")),
        (vec![("a", BTreeMap::new())], one, named(Some("b"), "a"), Err("no service `b`")),
        (vec![("a", BTreeMap::new())], one, named(Some("web"), "zz"), Err("no container `zz`")),
        (vec![("a", BTreeMap::new())], one, named(Some("web"), "a"), Ok("a as web-1, shop_default")),
        (vec![("web", BTreeMap::new())], one, named(None, "web"), Ok("web as web-1, shop_default")),
        // Numbers that the manifests don't want become free ones.
        (vec![("a", web(2)), ("b", web(5))], TWO, project(), Ok("b as web-1, a as web-2, shop_default")),
        (
            vec![("a", web(1)), ("b", compose_labels("shop", "gone", 1))],
            one,
            project(),
            Ok("a as web-1, shop_default, b stays as it is: the manifests have no service `gone`"),
        ),
    ] {
        let scene = Scene::new(&containers).await;
        let found = scene.proposed(&shop(manifest), &wish).await;
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{found:?}, not {expected:?}"),
        }
        assert_eq!(scene.sim.writing_calls(), []);
    }
}

fn of_shop(text: &str) -> Desired {
    resolved(&format!("name: shop\n{text}"), &BTreeMap::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn trap_04_the_proxy_of_whoever_made_it_replaces_no_container() {
    let scene = Others::new();
    let text = "services: {web: {image: plain:1, environment: {A: b, HTTP_PROXY: 'http://me:secret@proxy', no_proxy: a}}}\n";
    scene.make(&of_shop(text), Maker::Compose).await;
    let without = of_shop("services: {web: {image: plain:1, environment: {A: b}}}\n");
    let wish = Wish::Project(None);
    let proposal = scene.machine.propose(&without, &wish, Registries::Leave).await.unwrap();
    assert!(proposal.plan.is_empty(), "{:?}", proposal.plan.changes);
    let [note] = proposal.selection.notes.as_slice() else { panic!("{:?}", proposal.selection.notes) };
    assert!(note.contains("shop-web-1 has HTTP_PROXY, no_proxy, which no manifest says"), "{note}");
    assert!(!note.contains("secret"));
    scene.machine.adopt(&without, (&wish, &proposal), "test").await.unwrap();
    let (plan, _) = scene.machine.plan(&without, Registries::Leave).await.unwrap();
    assert!(plan.is_empty(), "{:?}", plan.changes);
    // What a manifest says of it counts.
    let other = of_shop("services: {web: {image: plain:1, environment: {A: b, HTTP_PROXY: other}}}\n");
    let (plan, _) = scene.machine.plan(&other, Registries::Leave).await.unwrap();
    assert_eq!(fields(&plan), ["environment.HTTP_PROXY"]);
}

#[tokio::test(start_paused = true)]
async fn what_compose_copied_into_a_container_is_said_to_be_laid_down() {
    let scene = Others::new();
    scene.make(&of_shop("services: {web: {image: plain:1}}\n"), Maker::Compose).await;
    let text = "services: {web: {image: plain:1, configs: [{source: a, target: /etc/a}]}}\nconfigs: {a: {content: x}}\n";
    let proposal =
        scene.machine.propose(&of_shop(text), &Wish::Project(None), Registries::Leave).await.unwrap();
    assert_eq!(fields(&proposal.plan), ["configs./etc/a"]);
    let [note] = proposal.selection.notes.as_slice() else { panic!("{:?}", proposal.selection.notes) };
    assert!(note.contains("shop-web-1 mounts nothing at /etc/a"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn an_adoption_is_in_the_history_where_nothing_is_left_to_do() {
    let (same, other) =
        ("services: {web: {image: plain:1}}\n", "services: {web: {image: plain:1, user: a}}\n");
    let wish = Wish::Project(None);
    for (text, expected) in [(other, 0), (same, 1)] {
        let scene = Others::new();
        scene.make(&of_shop(same), Maker::Compose).await;
        let desired = of_shop(text);
        let proposal = scene.machine.propose(&desired, &wish, Registries::Leave).await.unwrap();
        scene.machine.adopt(&desired, (&wish, &proposal), "test").await.unwrap();
        let history = scene.machine.ledger().history(&desired.stack, 9).unwrap();
        assert_eq!(history.len(), expected, "{text}");
    }
}

/// The paths of the fields that a plan changes.
fn fields(plan: &Plan) -> Vec<&str> {
    plan.changes.iter().flat_map(|change| &change.fields).map(|field| field.path.as_str()).collect()
}
