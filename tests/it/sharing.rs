//! Services that use the namespaces of others: their order, their fate when the other one is replaced, and the way back.

use evenkeel::model::desired::{Desired, Service};
use evenkeel::model::live::Status;
use evenkeel::model::spec::{Namespace, Peer, Resources, RestartPolicy, Swap};
use evenkeel::plan::change::{Cause, Operation};
use evenkeel::plan::step::Action;
use evenkeel::plan::{Plan, check::check, plan, rollback::rollback};

use crate::paper::{Paper, desired, host, key, service};

fn of(name: &str) -> Namespace {
    Namespace::Of(Peer::Service(name.parse().unwrap()))
}

/// `vpn`, `app` in its network, `probe` among the processes of `app`.
fn chain() -> Vec<Service> {
    let vpn = service("vpn", "apps");
    let mut app = service("app", "apps");
    app.spec.namespaces.network = Some(of("vpn"));
    let mut probe = service("probe", "apps");
    probe.spec.namespaces.pid = Some(of("app"));
    vec![vpn, app, probe]
}

fn planned(desired: &Desired, paper: &Paper) -> Plan {
    let key = key();
    let plan = plan(desired, &paper.live, &paper.last, host(&key)).unwrap();
    assert_eq!(check(&plan, &paper.live), [] as [String; 0]);
    plan
}

fn deployed(services: Vec<Service>) -> (Desired, Paper) {
    let desired = desired(services);
    let mut paper = Paper::empty();
    let first = planned(&desired, &paper);
    paper.carry_out(&first, usize::MAX);
    assert_eq!(planned(&desired, &paper).steps, []);
    (desired, paper)
}

fn changes(plan: &Plan) -> Vec<String> {
    let fields = |change: &evenkeel::plan::change::Change| {
        let one = |field: &evenkeel::plan::change::FieldChange| format!("{} {}", field.path, field.cause);
        change.fields.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    plan.changes
        .iter()
        .map(|change| format!("{} {}: {}", change.name, change.operation.code(), fields(change)))
        .collect()
}

fn changed_image(desired: &Desired, name: &str) -> Desired {
    let mut desired = desired.clone();
    desired.services.get_mut(&name.parse().unwrap()).unwrap().spec.image =
        format!("{name}:2").parse().unwrap();
    desired
}

#[test]
fn trap_34_who_shares_with_a_replaced_container_is_replaced_after_it() {
    let (before, mut paper) = deployed(chain());
    let desired = changed_image(&before, "vpn");
    let plan = planned(&desired, &paper);
    assert_eq!(
        changes(&plan),
        ["app replace: network_mode dependency", "probe replace: pid dependency", "vpn replace: image git"]
    );
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(planned(&desired, &paper).steps, []);
    // Back to what was: the old ones are still there, and refer to each other.
    let back = planned(&before, &paper);
    assert!(
        back.changes.iter().all(|change| matches!(change.operation, Operation::Revive(_))),
        "{:?}",
        changes(&back)
    );
    paper.carry_out(&back, usize::MAX);
    assert_eq!(planned(&before, &paper).steps, []);
}

#[test]
fn only_who_shares_is_replaced_with_it() {
    let (before, paper) = deployed(chain());
    let plan = planned(&changed_image(&before, "probe"), &paper);
    assert_eq!(changes(&plan), ["probe replace: image git"]);
}

#[test]
fn who_runs_in_a_dead_namespace_is_replaced() {
    let (desired, mut paper) = deployed(chain());
    paper.container("vpn").state.status = Status::Exited { code: 1, out_of_memory: false };
    let plan = planned(&desired, &paper);
    assert_eq!(
        changes(&plan),
        ["app replace: network_mode dependency", "probe replace: pid dependency", "vpn start: "]
    );
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(planned(&desired, &paper).steps, []);
}

/// Docker's own restart gives a container new namespaces; who lived in the old ones has no network any more.
#[test]
fn who_shares_with_a_container_that_docker_restarted_is_replaced() {
    let (desired, mut paper) = deployed(chain());
    for (name, since) in [
        ("vpn", "2026-01-01T00:00:01.5Z"),
        ("app", "2026-01-01T00:00:02Z"),
        ("probe", "2026-01-01T00:00:02.01Z"),
    ] {
        paper.container(name).state.started_at = since.to_owned();
    }
    assert_eq!(planned(&desired, &paper).steps, []);
    // Later, though not by the letters.
    paper.container("vpn").state.started_at = "2026-01-01T00:00:02.25Z".to_owned();
    let plan = planned(&desired, &paper);
    assert_eq!(changes(&plan), ["app replace: network_mode dependency", "probe replace: pid dependency"]);
    paper.container("vpn").state.status = Status::Restarting;
    assert_eq!(planned(&desired, &paper).steps, [], "it would be dead again at once");
}

#[test]
fn who_shares_with_a_removed_container_is_replaced() {
    let (desired, mut paper) = deployed(chain());
    paper.remove_by_hand("vpn");
    let plan = planned(&desired, &paper);
    assert_eq!(
        changes(&plan),
        ["app replace: network_mode drift", "probe replace: pid dependency", "vpn create: "]
    );
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(planned(&desired, &paper).steps, []);
}

#[test]
fn every_broken_off_deploy_goes_back_in_an_order_that_starts() {
    let (before, paper) = deployed(chain());
    let plan = planned(&changed_image(&before, "vpn"), &paper);
    let commit = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
    for steps in 0..=commit {
        let mut paper = paper.clone();
        let open = paper.carry_out(&plan, steps);
        let way = rollback(&open, &paper.live, "/state/files");
        // The host on paper starts nothing whose other container doesn't run.
        paper.carry_out(&way, usize::MAX);
        assert_eq!(planned(&before, &paper).steps, [], "after {steps} steps");
    }
}

#[test]
fn a_dependent_that_is_to_restart_is_replaced_with_what_it_needs() {
    let (db, mut app, mut other) = (service("db", "apps"), service("app", "apps"), service("other", "apps"));
    crate::paper::needs(&mut app, "db");
    crate::paper::needs(&mut other, "db");
    app.depends_on.values_mut().for_each(|dependency| dependency.restart = true);
    let (before, paper) = deployed(vec![db, app, other]);
    let plan = planned(&changed_image(&before, "db"), &paper);
    assert_eq!(changes(&plan), ["app replace: depends_on.db dependency", "db replace: image git"]);
}

#[test]
fn a_container_that_is_named_must_be_there_and_not_the_stacks_own() {
    for (name, what, hint) in [
        (
            "nobody",
            "service `app`: there is no container `nobody` on this host to share with",
            "start it first",
        ),
        (
            "auren-dev-vpn-1",
            "service `app`: `container:auren-dev-vpn-1` is a container of the stack itself",
            "write `service:vpn`",
        ),
    ] {
        let mut services = chain();
        services[1].spec.namespaces.network = Some(Namespace::Of(Peer::Container(name.to_owned())));
        let key = key();
        let paper = Paper::empty();
        let refused = plan(&desired(services), &paper.live, &paper.last, host(&key)).unwrap_err();
        assert_eq!(refused.0[0].what, what);
        assert!(refused.0[0].hint.starts_with(hint), "{}", refused.0[0].hint);
    }
}

#[test]
fn trap_46_what_an_older_engine_would_leave_out_is_refused() {
    let mut app = service("app", "apps");
    app.spec.runtime.annotations.insert("a".to_owned(), "b".to_owned());
    let (key, mut paper) = (key(), Paper::empty());
    let desired = desired(vec![app]);
    let refused = plan(&desired, &paper.live, &paper.last, host(&key)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "service `app`: `annotations` needs Docker 24.0 (API 1.43), and this host has API 1.41"
    );
    paper.live.server.api_version = "1.43".to_owned();
    assert!(!planned(&desired, &paper).steps.is_empty());
}

fn limited(memory: u64, swap: Option<Swap>) -> Vec<Service> {
    let mut app = service("app", "apps");
    app.spec.resources = Resources { memory: Some(memory << 20), memory_swap: swap, ..Resources::default() };
    vec![app]
}

/// `(before, after)`, and how it is changed.
#[test]
fn trap_17_memory_and_swap_change_together() {
    let both = |mebibytes: u64| Some(Swap::Bytes(mebibytes << 20));
    for (before, after, expected) in [
        ((64, None), (128, None), "in-place"),
        ((64, both(96)), (128, both(192)), "in-place"),
        ((64, both(96)), (64, both(80)), "in-place"),
        ((64, Some(Swap::Unlimited)), (128, Some(Swap::Unlimited)), "in-place"),
        ((64, both(96)), (64, Some(Swap::Unlimited)), "replace"),
        ((64, both(96)), (64, None), "in-place"),
        ((64, None), (64, both(96)), "in-place"),
    ] {
        let (_, mut paper) = deployed(limited(before.0, before.1));
        let wanted = desired(limited(after.0, after.1));
        let plan = planned(&wanted, &paper);
        let found: Vec<_> = plan.changes.iter().map(|change| change.operation.code()).collect();
        assert_eq!(found, [expected], "{before:?} to {after:?}");
        assert!(plan.changes[0].fields.iter().all(|field| field.cause == Cause::Git));
        paper.carry_out(&plan, usize::MAX);
        assert_eq!(planned(&wanted, &paper).steps, [], "{before:?} to {after:?}");
    }
}

/// A limit in place, for each that Docker changes, and back again when the deploy fails.
#[test]
fn every_limit_is_changed_in_place_and_back() {
    type Change = fn(&mut Resources, u64);
    let limits: [(&str, Change); 7] = [
        ("cpu_shares", |resources, n| resources.cpu_shares = Some(n)),
        ("cpu_period", |resources, n| resources.cpu_period = Some(n)),
        ("cpu_quota", |resources, n| resources.cpu_quota = Some(n)),
        ("cpuset", |resources, n| resources.cpuset = Some(n.to_string())),
        ("blkio_config.weight", |resources, n| resources.block_io_weight = u16::try_from(n).ok()),
        ("deploy.resources.limits.cpus", |resources, n| resources.nano_cpus = Some(n)),
        ("deploy.resources.limits.pids", |resources, n| resources.pids = Some(n)),
    ];
    for (path, set) in limits {
        let of = |n: u64| {
            let mut app = service("app", "apps");
            app.spec.restart = RestartPolicy::Always;
            set(&mut app.spec.resources, n);
            vec![app]
        };
        let (before, paper) = deployed(of(100));
        let wanted = desired(of(200));
        let plan = planned(&wanted, &paper);
        assert_eq!(changes(&plan), [format!("app in-place: {path} git")]);
        let mut done = paper.clone();
        done.carry_out(&plan, usize::MAX);
        assert_eq!(planned(&wanted, &done).steps, [], "{path}");
        let mut broken = paper.clone();
        let open = broken.carry_out(&plan, 1);
        let way = rollback(&open, &broken.live, "/state/files");
        broken.carry_out(&way, usize::MAX);
        assert_eq!(planned(&before, &broken).steps, [], "{path}");
        // One that is gone from the manifest can't be cleared.
        let cleared = planned(&desired(vec![service("app", "apps")]), &paper);
        assert!(matches!(cleared.changes[0].operation, Operation::Replace(_)), "{path}");
    }
}
