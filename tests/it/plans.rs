//! Plans as people see them, and what they contain.

use evenkeel::model::desired::Desired;
use evenkeel::model::grant::{FileAccess, Grant, GrantContent, GrantKind};
use evenkeel::model::live::Status;
use evenkeel::model::spec::{
    Attachment, ContainerPort, HostPort, Mount, MountSource, NetworkSpec, Protocol, PublishedPort,
    RestartPolicy,
};
use evenkeel::model::text::Text;
use evenkeel::plan::check::check;
use evenkeel::plan::fields::DigestKey;
use evenkeel::plan::step::Action;
use evenkeel::plan::text::{Layout, to_text};
use evenkeel::plan::{Plan, content, plan, rollback};

use crate::paper::{Paper, desired, host, key, needs, service};

mod hidden;
mod mounted;
mod refusals;
mod strategies;

fn planned(paper: &Paper, desired: &Desired) -> Plan {
    let plan = plan(desired, &paper.live, &paper.last, host(&key())).unwrap();
    assert_eq!(check(&plan, &paper.live), Vec::<String>::new());
    plan
}

/// The text without the id, which changes with every field that is ever added.
fn text(plan: &Plan) -> String {
    to_text(plan, Layout { colour: false, width: 0, full: false }).replace(&plan.id.0, "ID")
}

fn port(number: u16) -> PublishedPort {
    let container = ContainerPort { number: 80, protocol: Protocol::Tcp };
    PublishedPort { container, host_ip: None, host: HostPort::One(number) }
}

fn two_services() -> Desired {
    let mut web = service("web", "apps");
    needs(&mut web, "redis");
    web.spec.environment.insert("LOG_LEVEL".to_owned(), "info".into());
    web.spec.environment.insert("PASSWORD".to_owned(), Text::sensitive("hunter2"));
    let mut redis = service("redis", "infrastructure");
    redis.spec.resources.memory = Some(256 << 20);
    desired(vec![web, redis])
}

fn deployed(desired: &Desired) -> Paper {
    let mut paper = Paper::empty();
    let plan = planned(&paper, desired);
    paper.carry_out(&plan, usize::MAX);
    paper
}

#[test]
fn a_first_deploy_creates_everything_in_order() {
    let plan = planned(&Paper::empty(), &two_services());
    insta::assert_snapshot!(text(&plan));
    let starts: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Start(target) => Some(format!("{target:?}")),
            _ => None,
        })
        .collect();
    assert!(starts[0].contains("redis") && starts[1].contains("web"), "{starts:?}");
}

#[test]
fn after_a_deploy_there_is_nothing_to_do() {
    let wanted = two_services();
    let paper = deployed(&wanted);
    insta::assert_snapshot!(text(&planned(&paper, &wanted)), @"
    Plan for auren-dev at 3f9c1e2, 2 unchanged  plan ID
    nothing to do
    ");
}

#[test]
fn every_difference_is_named_with_its_cause_and_cost() {
    let mut wanted = two_services();
    let mut paper = deployed(&wanted);
    wanted
        .services
        .get_mut("web".parse().as_ref().unwrap())
        .unwrap()
        .spec
        .environment
        .insert("MODE".to_owned(), "fast".into());
    let web = wanted.services.get_mut("web".parse().as_ref().unwrap()).unwrap();
    web.spec.environment.insert("PASSWORD".to_owned(), Text::sensitive("correct horse"));
    web.spec.environment.remove("LOG_LEVEL");
    let redis = wanted.services.get_mut("redis".parse().as_ref().unwrap()).unwrap();
    redis.spec.resources.memory = Some(512 << 20);
    paper.container("redis").spec.restart = RestartPolicy::Always;
    let plan = planned(&paper, &wanted);
    insta::assert_snapshot!(text(&plan));
    assert!(!format!("{plan:?}").contains("hunter2") && !format!("{plan:?}").contains("horse"));
}

#[test]
fn the_id_of_a_first_plan_needs_no_key() {
    let mut wanted = two_services();
    let content = GrantContent::new(b"hunter3".as_slice(), true);
    let (origin, access) = ("it".to_owned(), FileAccess::default());
    let grant = Grant { kind: GrantKind::Secret, origin, content, access };
    let web = wanted.services.get_mut(&"web".parse().unwrap()).unwrap();
    let mount = Mount { read_only: true, ..Mount::of(MountSource::Grant(grant)) };
    web.spec.mounts.insert("/run/secrets/it".to_owned(), mount);
    web.spec.command = Some(vec![Text::sensitive("hunter4")]);
    let with_key = |paper: &Paper, byte: u8| {
        let key = DigestKey::new([byte; 32]);
        plan(&wanted, &paper.live, &paper.last, host(&key)).unwrap()
    };
    // A dry run writes no key down, so that the next one has another.
    let (one, two) = (with_key(&Paper::empty(), 1), with_key(&Paper::empty(), 2));
    assert_eq!(one.id, two.id);
    assert_ne!(one.desired, two.desired);
    // What is on record was made with the key of the host: what is secret counts.
    let mut paper = Paper::empty();
    paper.carry_out(&one, usize::MAX);
    assert_ne!(with_key(&paper, 1).id, with_key(&paper, 2).id);
}

#[test]
fn another_name_is_told_also_where_the_container_is_replaced() {
    let mut wanted = two_services();
    wanted.services.get_mut(&"web".parse().unwrap()).unwrap().container_name = "one".parse().ok();
    let mut paper = deployed(&wanted);
    let web = wanted.services.get_mut(&"web".parse().unwrap()).unwrap();
    web.container_name = "two".parse().ok();
    web.spec.user = Some("1000".to_owned());
    let named = |plan: &Plan| {
        let fields = plan.changes.iter().flat_map(|change| &change.fields);
        fields.map(|field| format!("{} {}", field.path, field.cause)).collect::<Vec<_>>()
    };
    assert_eq!(named(&planned(&paper, &wanted)), ["container_name git", "user git"]);
    // Somebody renamed it as well.
    wanted.services.get_mut(&"web".parse().unwrap()).unwrap().container_name = "one".parse().ok();
    paper.container("web").name = "three".parse().unwrap();
    assert_eq!(named(&planned(&paper, &wanted)), ["container_name drift", "user git"]);
}

#[test]
fn a_change_of_a_config_or_secret_is_named_and_no_secret_shown() {
    let granted = |kind: GrantKind, text: &str, access: FileAccess| {
        let content = GrantContent::new(text.as_bytes(), kind == GrantKind::Secret);
        let grant = Grant { kind, origin: format!("{}.it", kind.section()), content, access };
        Mount { read_only: true, ..Mount::of(MountSource::Grant(grant)) }
    };
    let usual = FileAccess::default();
    let with = |mounts: [(&str, Mount); 3]| {
        let mut web = service("web", "apps");
        web.spec.mounts = mounts.map(|(target, mount)| (target.to_owned(), mount)).into();
        desired(vec![web])
    };
    let before = with([
        ("/a", granted(GrantKind::Config, "shown\n", usual)),
        ("/b", granted(GrantKind::Secret, "hunter2", usual)),
        ("/c", granted(GrantKind::Secret, "hunter3", usual)),
    ]);
    let mut paper = deployed(&before);
    assert!(planned(&paper, &before).is_empty());
    let after = with([
        ("/a", granted(GrantKind::Config, "changed\n", usual)),
        ("/b", granted(GrantKind::Secret, "correct horse", usual)),
        ("/c", granted(GrantKind::Secret, "hunter3", FileAccess { mode: 0o400, uid: Some(70), gid: None })),
    ]);
    let mut plan = planned(&paper, &after);
    content::explain(&mut plan, |digest| {
        content::of_grants(&before, digest).or_else(|| content::of_grants(&after, digest))
    });
    insta::assert_snapshot!(text(&plan));
    let shown = format!("{plan:?}");
    assert!(!shown.contains("hunter") && !shown.contains("horse"), "{shown}");
    paper.carry_out(&plan, usize::MAX);
    assert!(planned(&paper, &after).is_empty());
}

#[test]
fn what_people_did_on_the_host_is_drift() {
    let mut wanted = two_services();
    let network = NetworkSpec::named("auren-net".parse().unwrap());
    wanted.networks.insert("net".parse().unwrap(), network);
    for service in wanted.services.values_mut() {
        service.spec.networks.insert("auren-net".parse().unwrap(), Attachment::default());
    }
    let mut paper = deployed(&wanted);
    paper.remove_by_hand("redis");
    paper.container("web").state.status = Status::Exited { code: 137, out_of_memory: false };
    paper.container("web").spec.networks.clear();
    insta::assert_snapshot!(text(&planned(&paper, &wanted)));
}

#[test]
fn the_alias_that_the_engine_makes_of_a_host_name_is_no_drift() {
    let mut wanted = two_services();
    wanted.networks.insert("net".parse().unwrap(), NetworkSpec::named("auren-net".parse().unwrap()));
    for service in wanted.services.values_mut() {
        let attachment = Attachment { aliases: ["cache".to_owned()].into(), ..Attachment::default() };
        service.spec.networks.insert("auren-net".parse().unwrap(), attachment);
        service.spec.hostname = Some(if service.name.as_str() == "redis" { "cache" } else { "x" }.to_owned());
    }
    assert!(planned(&deployed(&wanted), &wanted).is_empty());
}

#[test]
fn a_container_that_is_being_removed_is_as_good_as_gone() {
    let wanted = two_services();
    let mut paper = deployed(&wanted);
    paper.container("redis").state.status = Status::Dead;
    let plan = planned(&paper, &wanted);
    insta::assert_snapshot!(text(&plan), @"
    Plan for auren-dev at 3f9c1e2, 1 to change, 1 unchanged  plan ID
    infrastructure
      + redis   create   gone from the host   drift
    ");
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(paper.container("redis").name.as_str(), "auren-dev-redis-1");
    assert!(planned(&paper, &wanted).is_empty());
}

#[test]
fn a_moved_tag_is_a_change_of_the_image() {
    let wanted = two_services();
    let mut paper = deployed(&wanted);
    let moved = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
    paper.live.references.insert("web:1".parse().unwrap(), moved);
    insta::assert_snapshot!(text(&planned(&paper, &wanted)));
}

#[test]
fn a_service_in_no_manifest_is_stopped_last_and_most_of_a_stack_needs_consent() {
    let mut wanted = two_services();
    let mut paper = deployed(&wanted);
    wanted.services.remove("web".parse().as_ref().unwrap());
    let plan = planned(&paper, &wanted);
    assert_eq!(plan.consent, None);
    paper.carry_out(&plan, usize::MAX);
    assert!(planned(&paper, &wanted).is_empty());

    let many = desired(["a", "b", "c"].map(|name| service(name, "apps")).to_vec());
    let one = desired(vec![service("a", "apps")]);
    let plan = planned(&deployed(&many), &one);
    assert_eq!(plan.consent.unwrap().removed, ["b", "c"]);
}

#[test]
fn two_services_can_swap_their_ports() {
    let mut wanted = two_services();
    let set = |wanted: &mut Desired, name: &str, number: u16| {
        let spec = &mut wanted.services.get_mut(name.parse().as_ref().unwrap()).unwrap().spec;
        spec.ports = [port(number)].into();
    };
    set(&mut wanted, "web", 1);
    set(&mut wanted, "redis", 2);
    let mut paper = deployed(&wanted);
    set(&mut wanted, "web", 2);
    set(&mut wanted, "redis", 1);
    let plan = planned(&paper, &wanted);
    // The host on paper refuses to start a container while its port is held.
    paper.carry_out(&plan, usize::MAX);
    assert!(planned(&paper, &wanted).is_empty());
}

#[test]
fn going_back_starts_the_container_that_ran_before() {
    let before = two_services();
    let mut paper = deployed(&before);
    let first = paper.container("web").id.clone();
    let mut after = before.clone();
    after.services.get_mut("web".parse().as_ref().unwrap()).unwrap().spec.image = "web:2".parse().unwrap();
    let plan = planned(&paper, &after);
    paper.carry_out(&plan, usize::MAX);
    assert_ne!(paper.container("web").id, first);

    let back = planned(&paper, &before);
    insta::assert_snapshot!(text(&back));
    paper.carry_out(&back, usize::MAX);
    assert_eq!(paper.container("web").id, first);
    assert_eq!(paper.container("web").name.as_str(), "auren-dev-web-1");
    assert!(planned(&paper, &before).is_empty());
}

#[test]
fn a_retired_container_that_says_more_than_is_declared_does_not_return() {
    let web = |wanted: &Desired, image: &str, signal: Option<&str>| {
        let mut wanted = wanted.clone();
        let spec = &mut wanted.services.get_mut("web".parse().as_ref().unwrap()).unwrap().spec;
        (spec.image, spec.stop_signal) = (image.parse().unwrap(), signal.map(str::to_owned));
        wanted
    };
    let first = web(&two_services(), "web:1", Some("SIGUSR1"));
    let mut paper = deployed(&first);
    let retired = paper.container("web").id.clone();
    for wanted in [web(&first, "web:2", None), web(&first, "web:1", None)] {
        let plan = planned(&paper, &wanted);
        paper.carry_out(&plan, usize::MAX);
        assert!(planned(&paper, &wanted).is_empty());
        assert_ne!(paper.container("web").id, retired);
    }
    assert_eq!(paper.container("web").spec.stop_signal, None);
}

#[test]
fn a_revived_container_gets_the_restart_policy_that_is_wanted_even_if_that_is_none() {
    let mut before = desired(vec![service("web", "apps")]);
    let web = |wanted: &mut Desired, restart: RestartPolicy, image: &str| {
        let spec = &mut wanted.services.get_mut("web".parse().as_ref().unwrap()).unwrap().spec;
        (spec.restart, spec.image) = (restart, image.parse().unwrap());
    };
    web(&mut before, RestartPolicy::No, "web:1");
    let mut paper = deployed(&before);
    let first = paper.container("web").id.clone();
    let mut after = before.clone();
    web(&mut after, RestartPolicy::No, "web:2");
    let plan = planned(&paper, &after);
    paper.carry_out(&plan, usize::MAX);
    paper.live.containers.get_mut(&first).unwrap().spec.restart = RestartPolicy::Always;
    let back = planned(&paper, &before);
    paper.carry_out(&back, usize::MAX);
    assert_eq!(paper.container("web").id, first);
    assert_eq!(paper.container("web").spec.restart, RestartPolicy::No);
    assert!(planned(&paper, &before).is_empty());
}

#[test]
fn the_checker_sees_a_broken_plan() {
    let wanted = two_services();
    let mut paper = deployed(&wanted);
    paper.remove_by_hand("redis");
    let mut changed = wanted.clone();
    changed.services.get_mut("web".parse().as_ref().unwrap()).unwrap().spec.image = "web:2".parse().unwrap();
    let good = planned(&paper, &changed);
    for at in 0..good.steps.len() {
        let action = &good.steps[at].action;
        if matches!(action, Action::Start(_) | Action::Create { .. } | Action::Await { .. } | Action::Commit)
        {
            let mut broken = good.clone();
            broken.steps.remove(at);
            assert!(!check(&broken, &paper.live).is_empty(), "without {action:?}");
        }
    }
    let mut early = good.clone();
    early.steps.reverse();
    assert!(!check(&early, &paper.live).is_empty());
    let mut unsaved = good;
    unsaved.checkpoint.containers.clear();
    assert!(!check(&unsaved, &paper.live).is_empty());
}

#[test]
fn a_rollback_from_every_step_ends_where_it_began() {
    let before = two_services();
    let old = deployed(&before);
    let mut after = before.clone();
    for service in after.services.values_mut() {
        service.spec.image = format!("{}:2", service.name).parse().unwrap();
    }
    after.services.insert("new".parse().unwrap(), service("new", "apps"));
    let plan = planned(&old, &after);
    let committed = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
    for steps in 0..=committed {
        let mut paper = old.clone();
        let open = paper.carry_out(&plan, steps);
        let back = rollback::rollback(&open, &paper.live, "/state/files");
        for half in [back.steps.len() / 2, usize::MAX] {
            // Even a rollback that is itself broken off is taken up again from what it left.
            let mut paper = paper.clone();
            paper.carry_out(&back, half);
            let again = rollback::rollback(&open, &paper.live, "/state/files");
            paper.carry_out(&again, usize::MAX);
            assert_eq!(paper.live.containers, old.live.containers, "after {steps} steps");
            assert_eq!(paper.last, old.last);
        }
    }
}
