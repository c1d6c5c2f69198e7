//! What is repaired, told or left alone, what takes over under a new name, and which host a stack is for.

use std::collections::BTreeSet;

use evenkeel::model::desired::{Desired, Prune, Service};
use evenkeel::model::live::{LiveNetwork, Status};
use evenkeel::model::name::ServiceName;
use evenkeel::model::place::Identity;
use evenkeel::model::policy::{self, Drift, Treatment, is_field};
use evenkeel::model::spec::{Attachment, Healthcheck, Mount, MountSource, NetworkSpec, RestartPolicy, Swap};
use evenkeel::plan::check::check;
use evenkeel::plan::normal::of_spec;
use evenkeel::plan::step::Action;
use evenkeel::plan::text::{Layout, to_text};
use evenkeel::plan::{Plan, json, place, plan};

use crate::engine_contract::{fields, machine};
use crate::paper::{Paper, desired, host, key, service};

mod moves;

const STOPPED: Status = Status::Exited { code: 0, out_of_memory: false };

fn planned(paper: &Paper, desired: &Desired) -> Plan {
    let plan = plan(desired, &paper.live, &paper.last, host(&key())).unwrap();
    assert_eq!(check(&plan, &paper.live), Vec::<String>::new());
    plan
}

fn deployed(desired: &Desired) -> Paper {
    let mut paper = Paper::empty();
    let plan = planned(&paper, desired);
    paper.carry_out(&plan, usize::MAX);
    paper
}

fn text(plan: &Plan) -> String {
    to_text(plan, Layout { colour: false, width: 0, full: false }).replace(&plan.id.0, "ID")
}

fn drift(rules: &[(&str, Treatment)]) -> Drift {
    let mut drift = Drift::default();
    for (path, treatment) in rules {
        drift.set(*path, *treatment);
    }
    drift
}

fn edit<'a>(desired: &'a mut Desired, name: &str) -> &'a mut Service {
    desired.services.get_mut(&name.parse::<ServiceName>().unwrap()).unwrap()
}

fn web_and_db(rules: &[(&str, Treatment)]) -> Desired {
    let mut web = service("web", "apps");
    web.drift = drift(rules);
    web.spec.resources.memory = Some(256 << 20);
    web.spec.resources.pids = Some(100);
    desired(vec![service("db", "infrastructure"), web])
}

/// What somebody did to the container of `web`.
fn meddle(paper: &mut Paper) {
    let web = paper.container("web");
    web.spec.resources.memory = Some(1 << 30);
    web.spec.resources.memory_swap = Some(Swap::Bytes(2 << 30));
    web.spec.resources.pids = Some(7);
    web.spec.restart = RestartPolicy::Always;
    web.name = "mine".parse().unwrap();
}

#[test]
fn each_field_is_treated_as_its_rule_says() {
    let wanted = web_and_db(&[
        ("deploy.resources", Treatment::Report),
        ("deploy.resources.limits.pids", Treatment::Ignore),
        ("container_name", Treatment::Ignore),
    ]);
    let mut paper = deployed(&wanted);
    meddle(&mut paper);
    let plan = planned(&paper, &wanted);
    insta::assert_snapshot!(text(&plan), @"
    Plan for auren-dev at 3f9c1e2, 1 to change, 1 unchanged, 1 only reported  plan ID
    apps
      ~ web   in place                 restart                          always → unless-stopped   drift
      ! web   reported, not repaired   deploy.resources.limits.memory   1 GiB → 256 MiB           drift
    ");
    let form = json::to_json(&plan);
    assert_eq!((&form["changed"], &form["ignored"]), (&1.into(), &2.into()));
    assert_eq!(form["reported"][0]["operation"], "report");
    assert_eq!(form["reported"][0]["fields"][0]["path"], "deploy.resources.limits.memory");
    paper.carry_out(&plan, usize::MAX);
    let web = paper.container("web");
    assert_eq!((web.spec.resources.memory, web.spec.resources.pids), (Some(1 << 30), Some(7)));
    assert_eq!((web.spec.restart, web.name.as_str()), (RestartPolicy::UnlessStopped, "mine"));
    let again = planned(&paper, &wanted);
    assert!(again.is_empty());
    insta::assert_snapshot!(text(&again), @"
    Plan for auren-dev at 3f9c1e2, 1 unchanged, 1 only reported  plan ID
    nothing to do
    apps
      ! web   reported, not repaired   deploy.resources.limits.memory   1 GiB → 256 MiB   drift
    ");
}

#[test]
fn a_change_of_the_repository_is_no_drift() {
    let mut wanted = web_and_db(&[("*", Treatment::Ignore)]);
    let mut paper = deployed(&wanted);
    meddle(&mut paper);
    edit(&mut wanted, "web").spec.resources.memory = Some(512 << 20);
    let plan = planned(&paper, &wanted);
    insta::assert_snapshot!(text(&plan), @"
    Plan for auren-dev at 3f9c1e2, 1 to change, 1 unchanged  plan ID
    apps
      ~ web   in place   deploy.resources.limits.memory   1 GiB → 512 MiB   git
    ");
    paper.carry_out(&plan, usize::MAX);
    let web = paper.container("web");
    assert_eq!((web.spec.resources.memory, web.spec.resources.pids), (Some(512 << 20), Some(7)));
    assert_eq!((web.spec.restart, web.name.as_str()), (RestartPolicy::Always, "mine"));
    // One that is replaced for another reason is made as desired, and the plan says so.
    edit(&mut wanted, "web").spec.image = "web:2".parse().unwrap();
    let plan = planned(&paper, &wanted);
    let paths: Vec<&str> = plan.changes[0].fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(paths, ["container_name", "deploy.resources.limits.pids", "image", "restart"]);
    paper.carry_out(&plan, usize::MAX);
    let web = paper.container("web");
    assert_eq!((web.spec.resources.pids, web.name.as_str()), (Some(100), "auren-dev-web-1"));
}

#[test]
fn what_somebody_stopped_stays_stopped() {
    let mut wanted = web_and_db(&[("state", Treatment::Report)]);
    let mut paper = deployed(&wanted);
    paper.container("web").state.status = STOPPED;
    let plan = planned(&paper, &wanted);
    assert!(plan.is_empty());
    insta::assert_snapshot!(text(&plan), @"
    Plan for auren-dev at 3f9c1e2, 1 unchanged, 1 only reported  plan ID
    nothing to do
    apps
      ! web   reported, not repaired   exited with 0   drift
    ");
    // A change in place is no reason to start it, a new version is.
    edit(&mut wanted, "web").spec.resources.memory = Some(512 << 20);
    let plan = planned(&paper, &wanted);
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(paper.container("web").state.status, STOPPED);
    edit(&mut wanted, "web").spec.image = "web:2".parse().unwrap();
    let plan = planned(&paper, &wanted);
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(paper.container("web").state.status, Status::Running);
}

#[test]
fn what_somebody_removed_stays_away_until_its_service_changes() {
    let mut wanted = web_and_db(&[("state", Treatment::Report)]);
    let mut paper = deployed(&wanted);
    paper.remove_by_hand("web");
    // Deploys of other services don't bring it back.
    for image in ["db:2", "db:3"] {
        edit(&mut wanted, "db").spec.image = image.parse().unwrap();
        let plan = planned(&paper, &wanted);
        assert_eq!((plan.changes.len(), plan.reported.len()), (1, 1));
        paper.carry_out(&plan, usize::MAX);
        assert_eq!(planned(&paper, &wanted).steps, []);
    }
    insta::assert_snapshot!(text(&planned(&paper, &wanted)), @"
    Plan for auren-dev at 3f9c1e2, 1 unchanged, 1 only reported  plan ID
    nothing to do
    apps
      ! web   reported, not repaired   gone from the host   drift
    ");
    edit(&mut wanted, "web").spec.image = "web:2".parse().unwrap();
    let plan = planned(&paper, &wanted);
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(paper.container("web").state.status, Status::Running);
}

#[test]
fn what_a_deploy_of_ours_left_unfinished_is_put_right_whatever_the_policy() {
    let wanted = web_and_db(&[("*", Treatment::Ignore)]);
    let mut paper = deployed(&wanted);
    // Cut off after the commit: neither the restart policy nor the name are there yet.
    let web = paper.container("web");
    web.spec.restart = RestartPolicy::No;
    web.name = "auren-dev-web-1.next".parse().unwrap();
    web.spec.resources.pids = Some(7);
    let plan = planned(&paper, &wanted);
    paper.carry_out(&plan, usize::MAX);
    let web = paper.container("web");
    assert_eq!((web.spec.restart, web.name.as_str()), (RestartPolicy::UnlessStopped, "auren-dev-web-1"));
    assert_eq!(web.spec.resources.pids, Some(7));
    // One that was fenced and stopped was not stopped by a person.
    let web = paper.container("web");
    web.spec.restart = RestartPolicy::No;
    web.state.status = STOPPED;
    let plan = planned(&paper, &wanted);
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(paper.container("web").state.status, Status::Running);
}

#[test]
fn without_a_record_nothing_is_known_to_be_drift() {
    let wanted = web_and_db(&[("*", Treatment::Ignore)]);
    let mut paper = deployed(&wanted);
    meddle(&mut paper);
    paper.container("web").name = "auren-dev-web-1".parse().unwrap();
    paper.last.current.clear();
    let plan = planned(&paper, &wanted);
    assert_eq!((plan.changes.len(), plan.ignored), (1, 0));
}

#[test]
fn a_network_that_somebody_attached_is_left_alone_beside_others_that_are_put_right() {
    let mut wanted = web_and_db(&[("networks.proxy", Treatment::Ignore)]);
    wanted.networks.insert("net".parse().unwrap(), network("net"));
    edit(&mut wanted, "web").spec.networks.insert("net".parse().unwrap(), Attachment::default());
    let mut paper = deployed(&wanted);
    let (id, spec) = ("ff".parse::<evenkeel::model::name::NetworkId>().unwrap(), network("proxy"));
    paper.live.networks.insert(id.clone(), LiveNetwork { id, spec, stack: None });
    let networks = &mut paper.container("web").spec.networks;
    networks.insert("proxy".parse().unwrap(), Attachment::default());
    networks.remove(&"net".parse().unwrap());
    let plan = planned(&paper, &wanted);
    paper.carry_out(&plan, usize::MAX);
    let names: Vec<String> = paper.container("web").spec.networks.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["net", "proxy"]);
    assert!(planned(&paper, &wanted).is_empty());
}

fn network(name: &str) -> NetworkSpec {
    NetworkSpec::named(name.parse().unwrap())
}

#[test]
fn without_pruning_what_no_manifest_has_is_told_and_stays() {
    let mut wanted = desired(["a", "b", "c"].map(|name| service(name, "apps")).to_vec());
    wanted.networks.insert("net".parse().unwrap(), network("net"));
    let mut paper = deployed(&wanted);
    wanted.services.retain(|name, _| name.as_str() == "a");
    wanted.networks.clear();
    wanted.prune = Prune::Report;
    let plan = planned(&paper, &wanted);
    assert!(plan.is_empty() && plan.consent.is_none());
    insta::assert_snapshot!(text(&plan), @"
    Plan for auren-dev at 3f9c1e2, 1 unchanged, 3 only reported  plan ID
    nothing to do
    networks and volumes
      ! network net   reported, not removed   in no manifest   git
    no longer wanted
      ! b             reported, not removed   in no manifest   git
      ! c             reported, not removed   in no manifest   git
    ");
    // Nor is it removed later, when it has stopped and something else is deployed.
    for container in paper.live.containers.values_mut() {
        if container.instance.service.as_str() == "b" {
            container.state.status = STOPPED;
        }
    }
    for image in ["a:2", "a:3"] {
        edit(&mut wanted, "a").spec.image = image.parse().unwrap();
        let plan = planned(&paper, &wanted);
        paper.carry_out(&plan, usize::MAX);
    }
    let there = |name: &str| {
        paper.live.containers.values().filter(|found| found.instance.service.as_str() == name).count()
    };
    assert_eq!((there("b"), there("c"), paper.live.networks.len()), (1, 1, 1));
    // Fewer replicas of a service that is still there are no removal of a service.
    let mut several = desired(vec![service("a", "apps")]);
    edit(&mut several, "a").replicas = 3;
    let mut paper = deployed(&several);
    (edit(&mut several, "a").replicas, several.prune) = (1, Prune::Report);
    let plan = planned(&paper, &several);
    assert_eq!((plan.changes.len(), plan.reported.len()), (2, 0));
    paper.carry_out(&plan, usize::MAX);
}

#[test]
fn a_stack_is_for_the_hosts_that_it_names() {
    let mut wanted = web_and_db(&[]);
    let web1 = Identity { name: "web1".to_owned(), labels: [("role".to_owned(), "web".to_owned())].into() };
    assert_eq!(place::check(&wanted, &web1), None);
    for hosts in [vec!["web1"], vec!["web2", "role=web"]] {
        wanted.hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        assert_eq!(place::check(&wanted, &web1), None, "{hosts:?}");
    }
    wanted.hosts = vec!["web2".parse().unwrap(), "role=db".parse().unwrap()];
    let refusal = place::check(&wanted, &web1).unwrap();
    insta::assert_snapshot!(refusal.what, @"the stack `auren-dev` is not for this host: it is for `web2`, `role=db`, and this is `web1` with `role=web`");
}

#[test]
fn a_new_name_of_the_container_is_no_drift() {
    let mut wanted = web_and_db(&[("*", Treatment::Ignore)]);
    let mut paper = deployed(&wanted);
    edit(&mut wanted, "web").container_name = Some("site".parse().unwrap());
    let plan = planned(&paper, &wanted);
    insta::assert_snapshot!(text(&plan), @"
    Plan for auren-dev at 3f9c1e2, 1 to change, 1 unchanged  plan ID
    apps
      ~ web   in place   container_name   auren-dev-web-1 → site   git
    ");
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(paper.container("web").name.as_str(), "site");
}

#[test]
fn removed_containers_of_one_service_are_told_apart() {
    let mut before = desired(vec![service("a", "apps"), service("b", "apps"), service("c", "apps")]);
    edit(&mut before, "b").replicas = 2;
    let paper = deployed(&before);
    let plan = planned(&paper, &desired(vec![service("a", "apps")]));
    let names: Vec<&str> = plan.changes.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names, ["b-1", "b-2", "c"]);
}

#[test]
fn a_volume_changes_hands_only_when_its_former_owner_has_stopped() {
    let owner = |name: &str| {
        let mut service = service(name, "apps");
        let source = MountSource::Volume("data".parse().unwrap());
        service.spec.mounts.insert("/data".to_owned(), Mount::of(source));
        service
    };
    let before = desired(vec![owner("old")]);
    let paper = deployed(&before);
    let plan = planned(&paper, &desired(vec![owner("new")]));
    let at = |is: &dyn Fn(&Action) -> bool| plan.steps.iter().position(|step| is(&step.action)).unwrap();
    let stop = at(&|action| matches!(action, Action::Stop { .. }));
    let start = at(&|action| matches!(action, Action::Start(_)));
    assert!(plan.steps[stop].turn < plan.steps[start].turn);
}

#[test]
fn every_field_of_a_plan_can_be_named_by_a_policy() {
    let (key, mut seen) = (key(), BTreeSet::new());
    // What the engine of a usual test host refuses.
    let refused: fields::Field = ("real-time, weight", |spec| {
        let resources = &mut spec.resources;
        (resources.cpu_rt_period, resources.cpu_rt_runtime) = (Some(1), Some(1));
        resources.block_io_weight = Some(10);
        let start_interval = Some(std::time::Duration::from_secs(1));
        spec.healthcheck = Some(Healthcheck { start_interval, ..Healthcheck::default() });
    });
    for (what, set) in fields::FIELDS.into_iter().chain(machine::FIELDS).chain([refused]) {
        let mut spec = service("web", "apps").spec;
        set(&mut spec);
        for path in of_spec(&spec, host(&key)).paths() {
            assert!(is_field(path.as_str()), "{what}: policy doesn't know `{path}`");
            seen.insert(path.to_string());
        }
    }
    let never: Vec<&str> = policy::FIELDS.into_iter().filter(|field| !seen.contains(*field)).collect();
    // The first two are no fields of a specification, and of the third only the image tells.
    assert_eq!(never, ["state", "container_name", "platform"]);
}
