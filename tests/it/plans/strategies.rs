//! Who goes first, why not the better one, and what the checker says of plans that get it wrong.

use std::num::NonZeroU32;

use evenkeel::model::desired::{Condition, Dependency, Desired, Expect, Service};
use evenkeel::model::live::Status;
use evenkeel::model::policy::Rollback;
use evenkeel::model::spec::{
    Attachment, HostPort, Mount, MountSource, Namespace, NetworkSpec, Peer, PublishedPort,
};
use evenkeel::model::update::{Batches, UpdateOrder};
use evenkeel::plan::change::{Change, Operation};
use evenkeel::plan::check::check;
use evenkeel::plan::json::to_json;
use evenkeel::plan::step::{Action, Phase, Step, Target};
use evenkeel::plan::{Plan, rollback};

use super::{deployed, planned, port, text};
use crate::paper::{Paper, desired, service};

const NETWORK: &str = "auren-dev_default";

/// A stack with `web`, which is wished to be replaced start-first, and what lies beside it.
fn stack(change: impl Fn(&mut Service)) -> Desired {
    let mut web = service("web", "apps");
    web.update.order = UpdateOrder::StartFirst;
    web.spec.networks.insert(NETWORK.parse().unwrap(), Attachment::default());
    change(&mut web);
    let mut desired = desired(vec![web]);
    let network = NetworkSpec::named(NETWORK.parse().unwrap());
    desired.networks.insert("default".parse().unwrap(), network);
    desired
}

fn web(desired: &mut Desired) -> &mut Service {
    desired.services.values_mut().find(|service| service.name.as_str() == "web").unwrap()
}

/// The plan of another image for what `before` is.
fn replaced(before: &Desired) -> (Paper, Plan) {
    let paper = deployed(before);
    let plan = planned(&paper, &of_image_2(before));
    (paper, plan)
}

fn of_image_2(before: &Desired) -> Desired {
    let mut after = before.clone();
    web(&mut after).spec.image = "web:2".parse().unwrap();
    after
}

fn change_of_web(plan: &Plan) -> &Change {
    plan.changes
        .iter()
        .find(|change| change.service.as_ref().is_some_and(|name| name.as_str() == "web"))
        .unwrap()
}

fn reasons(plan: &Plan) -> Vec<String> {
    change_of_web(plan).not_start_first.iter().map(ToString::to_string).collect()
}

#[test]
fn a_wish_is_granted_where_nothing_stands_against_it() {
    let rw = |source| Mount::of(source);
    let read_only = |source| Mount { read_only: true, ..Mount::of(source) };
    let any = PublishedPort { host: HostPort::Any, ..port(1) };
    let volume = || MountSource::Volume("data".parse().unwrap());
    let granted: [&dyn Fn(&mut Service); 6] = [
        &|_| {},
        &|web| web.spec.networks.clear(),
        &|web| web.spec.ports.extend([any.clone()]),
        &|web| drop(web.spec.mounts.insert("/data".to_owned(), read_only(volume()))),
        &|web| drop(web.spec.mounts.insert("/data".to_owned(), rw(MountSource::Anonymous))),
        // They share it already.
        &|web| {
            web.replicas = 2;
            web.spec.mounts.insert("/data".to_owned(), rw(volume()));
        },
    ];
    for (at, change) in granted.iter().enumerate() {
        let (_, plan) = replaced(&stack(change));
        assert_eq!(change_of_web(&plan).operation, Operation::Replace(UpdateOrder::StartFirst), "{at}");
        assert_eq!(reasons(&plan), Vec::<String>::new(), "{at}");
    }
}

/// What is changed of the service, and the reason that follows.
type Case<'c> = (&'c dyn Fn(&mut Service), &'c str);

#[test]
fn a_wish_that_can_not_be_granted_has_its_reasons() {
    let attach = |web: &mut Service, attachment| {
        web.spec.networks.insert(NETWORK.parse().unwrap(), attachment);
    };
    let cases: [Case<'_>; 10] = [
        (&|web| web.update.order = UpdateOrder::StopFirst, "`deploy.update_config.order` doesn't say so"),
        (&|web| web.gate.expect = Expect::Completed, "it does its work once and ends"),
        (&|web| web.rollback = Rollback::Hold, "it is not rolled back when it fails"),
        (&|web| web.spec.ports.extend([port(8080)]), "both would publish 8080:80/tcp"),
        (
            &|web| {
                let host = HostPort::OneOf(8080, 8090);
                web.spec.ports.insert(PublishedPort { host, ..port(1) });
            },
            "both would publish 8080-8090:80/tcp",
        ),
        (
            &|web| attach(web, Attachment { ipv4: "10.0.0.7".parse().ok(), ..Attachment::default() }),
            "both would have the same address on auren-dev_default",
        ),
        (
            &|web| web.spec.hostname = Some("www".to_owned()),
            "its host name www would be found before it is ready",
        ),
        (
            &|web| {
                web.spec.networks.clear();
                web.spec.namespaces.network = Some(Namespace::Host);
            },
            "both would listen on the host's own network",
        ),
        (
            &|web| {
                let source = MountSource::Volume("data".parse().unwrap());
                web.spec.mounts.insert("/data".to_owned(), Mount::of(source));
            },
            "both would write to the volume data",
        ),
        (
            &|web| {
                let source = MountSource::Bind("/srv/data".to_owned());
                web.spec.mounts.insert("/data".to_owned(), Mount::of(source));
            },
            "both would write to /srv/data",
        ),
    ];
    for (change, reason) in cases {
        let (_, plan) = replaced(&stack(change));
        assert_eq!(change_of_web(&plan).operation, Operation::Replace(UpdateOrder::StopFirst), "{reason}");
        assert_eq!(reasons(&plan), [reason]);
        let told = text(&plan).contains("not start-first");
        assert_eq!(told, !reason.contains("doesn't say so"), "{}", text(&plan));
        let json = to_json(&plan);
        let change = &json["changes"][0];
        assert_eq!((&change["order"], &change["not_start_first"][0]), (&"stop-first".into(), &reason.into()));
    }
}

#[test]
fn what_the_host_says_against_it_is_told_too() {
    let mut paper = deployed(&stack(|_| {}));
    paper.container("web").state.status = Status::Exited { code: 1, out_of_memory: false };
    assert_eq!(
        reasons(&planned(&paper, &of_image_2(&stack(|_| {})))),
        ["the old one doesn't run: exited with 1"]
    );

    // Another service takes over the port that the old one has.
    let with_port = stack(|web| web.spec.ports.extend([port(8080)]));
    let mut after = of_image_2(&stack(|_| {}));
    let mut other = service("other", "apps");
    other.spec.ports.insert(port(8080));
    after.services.insert(other.name.clone(), other);
    assert_eq!(
        reasons(&planned(&deployed(&with_port), &after)),
        ["another service takes over what the old one has"]
    );
}

#[test]
fn who_lives_in_its_namespaces_goes_with_it_one_after_the_other() {
    let mut before = stack(|_| {});
    let mut side = service("side", "apps");
    side.update.order = UpdateOrder::StartFirst;
    side.spec.namespaces.network = Some(Namespace::Of(Peer::Service("web".parse().unwrap())));
    before.services.insert(side.name.clone(), side);
    let (_, plan) = replaced(&before);
    assert_eq!(reasons(&plan), ["side lives in its namespaces"]);
    let side = plan.changes.iter().find(|change| change.name == "side").unwrap();
    assert_eq!(side.operation, Operation::Replace(UpdateOrder::StopFirst));
    assert_eq!(side.not_start_first[0].to_string(), "its `network_mode` is that of another container");
}

#[test]
fn who_is_restarted_with_it_is_so_when_it_has_taken_over() {
    let mut before = stack(|_| {});
    let mut client = service("client", "apps");
    let waits = Dependency { condition: Condition::Healthy, required: true, restart: true };
    client.depends_on.insert("web".parse().unwrap(), waits);
    before.services.insert(client.name.clone(), client);
    let (paper, plan) = replaced(&before);
    let place =
        |wanted: &dyn Fn(&Action) -> bool| plan.steps.iter().rposition(|step| wanted(&step.action)).unwrap();
    let new = |target: &Target, name: &str| matches!(target, Target::New(of) if of.service.as_str() == name);
    let named = place(&|action| matches!(action, Action::Connect { container, .. } if new(container, "web")));
    let ready = place(&|action| matches!(action, Action::Await { target, .. } if new(target, "web")));
    let client =
        paper.live.containers.values().find(|container| container.instance.service.as_str() == "client");
    let client = Target::Existing(client.unwrap().id.clone());
    let stopped = place(&|action| matches!(action, Action::Stop { target, .. } if *target == client));
    assert!(named < ready && ready < stopped);
    let waits = |at: usize| plan.steps[at].after.contains(&ready);
    assert!(waits(stopped) || plan.steps[stopped].after.iter().any(|fenced| waits(*fenced)));
}

#[test]
fn it_is_told_in_one_line_and_the_reasons_below_it() {
    let (_, plan) = replaced(&stack(|_| {}));
    insta::assert_snapshot!(text(&plan));
    let (_, plan) = replaced(&stack(|web| {
        web.spec.hostname = Some("www".to_owned());
        web.spec.ports.insert(port(8080));
    }));
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn the_checker_sees_what_would_be_a_gap() {
    let before = stack(|_| {});
    let (paper, good) = replaced(&before);
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        check(&plan, &paper.live).join("; ")
    };
    let position = |plan: &Plan, wanted: &dyn Fn(&Action) -> bool| {
        plan.steps.iter().position(|step| wanted(&step.action)).unwrap()
    };
    let old = paper.live.containers.keys().next().unwrap().clone();
    let of_old = |action: &Action| matches!(action, Action::Disconnect { container: Target::Existing(id), .. } if *id == old);
    // The old one loses its names at once.
    let text = broken(&|plan| {
        let at = position(plan, &of_old);
        plan.steps[at].after.clear();
    });
    assert!(text.contains("web-1 loses its names before its successor has them and is up"), "{text}");
    // The new one is found before it is up.
    let text = broken(&|plan| {
        let at = position(plan, &|action| matches!(action, Action::Create { .. }));
        let Action::Create { spec, .. } = &mut plan.steps[at].action else { unreachable!() };
        spec.networks.values_mut().for_each(|attachment| attachment.aliases.extend(["web".to_owned()]));
    });
    assert!(text.contains("web-1 has names on auren-dev_default before it is up"), "{text}");
    // The old one goes on for ever.
    let text = broken(&|plan| {
        plan.steps
            .retain(|step| !(step.turn.phase == Phase::Finish && matches!(step.action, Action::Stop { .. })));
        plan.steps.retain(|step| step.turn.phase <= Phase::Commit);
    });
    assert!(text.contains("web-1 runs on beside its successor"), "{text}");
    // Both have what only one can have.
    let text = broken(&|plan| {
        let at = position(plan, &|action| matches!(action, Action::Create { .. }));
        let Action::Create { spec, .. } = &mut plan.steps[at].action else { unreachable!() };
        spec.ports.insert(port(80));
    });
    assert!(text.contains("web-1 runs twice at once and publishes a fixed port"), "{text}");
}

#[test]
fn the_way_back_from_a_stop_first_update_takes_the_port_from_whoever_has_it() {
    // `a` gives its port to `b`; on the way back `a` starts when the new `b` has stopped, not only its own successor.
    let mut before = desired(vec![service("a", "apps"), service("b", "apps")]);
    let of = |desired: &mut Desired, name: &str, with_port: bool| {
        let service = desired.services.values_mut().find(|service| service.name.as_str() == name).unwrap();
        service.spec.ports = with_port.then(|| port(8080)).into_iter().collect();
    };
    let mut after = before.clone();
    of(&mut before, "a", true);
    of(&mut after, "b", true);
    let mut paper = deployed(&before);
    let plan = planned(&paper, &after);
    let committed = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
    let open = paper.carry_out(&plan, committed);
    let back = rollback::rollback(&open, &paper.live, "/state/files");
    let step_of =
        |wanted: &dyn Fn(&Action) -> bool| back.steps.iter().position(|step| wanted(&step.action)).unwrap();
    let is = |target: &Target, service: &str, new: bool| match target {
        Target::Existing(id) => {
            let container = &paper.live.containers[id];
            container.instance.service.as_str() == service && (container.deploy == open.id) == new
        }
        Target::New(_) => false,
    };
    let stops_b = step_of(&|action| matches!(action, Action::Stop { target, .. } if is(target, "b", true)));
    let starts_a = step_of(&|action| matches!(action, Action::Start(target) if is(target, "a", false)));
    assert!(back.steps[starts_a].after.contains(&stops_b), "{:#?}", back.steps);
}

#[test]
fn the_way_back_of_what_was_revived_waits_until_that_has_stopped() {
    let of = |image: &str| {
        let mut web = service("web", "apps");
        web.spec.image = image.parse().unwrap();
        web.spec.ports.insert(port(8080));
        desired(vec![web])
    };
    let mut paper = deployed(&of("web:1"));
    let plan = planned(&paper, &of("web:2"));
    paper.carry_out(&plan, usize::MAX);
    let plan = planned(&paper, &of("web:1"));
    assert_eq!(plan.changes[0].operation, Operation::Revive(UpdateOrder::StopFirst));
    let committed = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
    let open = paper.carry_out(&plan, committed);
    let back = rollback::rollback(&open, &paper.live, "/state/files");
    let step_of =
        |wanted: &dyn Fn(&Action) -> bool| back.steps.iter().position(|step| wanted(&step.action)).unwrap();
    let stops = step_of(&|action| matches!(action, Action::Stop { .. }));
    let starts = step_of(&|action| matches!(action, Action::Start(_)));
    assert!(back.steps[starts].after.contains(&stops), "{:#?}", back.steps);
}

#[test]
fn no_more_than_so_many_give_way_at_a_time() {
    for most in 1..4 {
        let batches = Batches { parallelism: NonZeroU32::new(most), ..Batches::default() };
        let (mut paper, plan) = replaced(&stack(|web| {
            web.update.order = UpdateOrder::StopFirst;
            (web.replicas, web.update.batches) = (5, batches);
        }));
        // As many steps at once as their order allows.
        let (mut done, mut least) = (Vec::new(), 5);
        while done.len() < plan.steps.len() {
            let turn = plan.steps.iter().enumerate().find(|(at, _)| !done.contains(at)).unwrap().1.turn;
            let ready: Vec<usize> = plan
                .steps
                .iter()
                .enumerate()
                .filter(|(at, step)| step.turn == turn && !done.contains(at))
                .filter(|(_, step)| step.after.iter().all(|before| done.contains(before)))
                .map(|(at, _)| at)
                .collect();
            done.extend(ready);
            let mut sorted = done.clone();
            sorted.sort_unstable();
            let mut so_far = plan.clone();
            // What each waits for has been done, and has other places here.
            let step = |at: &usize| Step { after: Vec::new(), ..plan.steps[*at].clone() };
            so_far.steps = sorted.iter().map(step).collect();
            let mut half = paper.clone();
            half.carry_out(&so_far, usize::MAX);
            let running =
                half.live.containers.values().filter(|container| container.state.status == Status::Running);
            least = least.min(running.count());
        }
        assert_eq!(least, 5 - most as usize);
        paper.carry_out(&plan, usize::MAX);
    }
}
