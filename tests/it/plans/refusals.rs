//! What is refused before anything is done.

use std::collections::BTreeSet;

use evenkeel::model::desired::Desired;
use evenkeel::model::live::OtherContainer;
use evenkeel::model::spec::{AddressPool, Attachment, Mount, MountSource, NetworkSpec, VolumeSpec};
use evenkeel::plan::plan;

use super::{deployed, planned, port, text, two_services};
use crate::paper::{Paper, desired, host, key, needs};

fn refused(paper: &Paper, desired: &Desired) -> String {
    let refusals = plan(desired, &paper.live, &paper.last, host(&key())).unwrap_err();
    let texts: Vec<String> =
        refusals.0.iter().map(|refusal| format!("{refusal}\nhint: {}\n", refusal.hint)).collect();
    texts.concat()
}

#[test]
fn an_empty_stack_removes_nothing() {
    let paper = deployed(&two_services());
    insta::assert_snapshot!(refused(&paper, &desired(Vec::new())), @"
    nothing is desired for the stack `auren-dev`, and nothing is removed because of that
    hint: check that the manifests are where they should be
    ");
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let mut wanted = two_services();
    wanted.services.get_mut("web".parse().as_ref().unwrap()).unwrap().spec.ports.insert(port(8080));
    let mut paper = Paper::empty();
    let mut foreign = |id: &str, name: &str, stack: Option<&str>, ports: &[u16]| {
        let summary = OtherContainer {
            name: name.parse().unwrap(),
            stack: stack.map(|stack| stack.parse().unwrap()),
            origin: None,
            ports: ports.iter().map(|number| port(*number)).collect(),
            binds: BTreeSet::new(),
            networks: BTreeSet::new(),
        };
        paper.live.others.insert(id.parse().unwrap(), summary);
    };
    foreign("aa", "auren-dev-redis-1", None, &[]);
    foreign("bb", "somebody", Some("other"), &[8080]);
    insta::assert_snapshot!(refused(&paper, &wanted), @"
    service `redis`: the host already has a container `auren-dev-redis-1`, which was not made by Evenkeel
    hint: take it over as it is with `evenkeel adopt`, remove or rename it, or set another `container_name`
    service `web` publishes 8080:80/tcp, but the container `somebody` holds that port
    hint: stop `somebody`, or publish another port
    ");
}

#[test]
fn a_cycle_is_named_with_its_path() {
    let mut wanted = two_services();
    let redis = wanted.services.get_mut("redis".parse().as_ref().unwrap()).unwrap();
    needs(redis, "web");
    assert!(refused(&Paper::empty(), &wanted).contains("redis → web → redis"));
}

/// A service that joins `auren-net` and mounts `auren-data`.
fn with_objects() -> Desired {
    let mut wanted = two_services();
    let mut network = NetworkSpec::named("auren-net".parse().unwrap());
    network.labels.insert("team".to_owned(), "a".to_owned());
    network.ipam_options.insert("foo".to_owned(), "bar".to_owned());
    network.pools = vec![AddressPool {
        subnet: "172.30.0.0/16".parse().unwrap(),
        gateway: None,
        ip_range: None,
        reserved: [("router".to_owned(), "172.30.0.9".parse().unwrap())].into(),
    }];
    let volume = VolumeSpec {
        name: "auren-data".parse().unwrap(),
        external: false,
        driver: None,
        options: [("type".to_owned(), "nfs".to_owned())].into(),
        labels: [].into(),
    };
    let web = wanted.services.get_mut("web".parse().as_ref().unwrap()).unwrap();
    web.spec.networks.insert(network.name.clone(), Attachment::default());
    web.spec.mounts.insert("/data".to_owned(), Mount::of(MountSource::Volume(volume.name.clone())));
    wanted.networks.insert("net".parse().unwrap(), network);
    wanted.volumes.insert("data".parse().unwrap(), volume);
    wanted
}

#[test]
fn trap_57_a_network_that_differs_is_made_anew_for_the_fields_that_are_named() {
    let mut wanted = with_objects();
    let mut paper = deployed(&wanted);
    assert!(planned(&paper, &wanted).is_empty());
    let network = network_of(&mut wanted);
    network.labels = [("team".to_owned(), "b".to_owned())].into();
    network.ipam_options.clear();
    network.internal = true;
    network.pools[0].gateway = "172.30.0.1".parse().ok();
    network.pools[0].reserved.clear();
    let plan = planned(&paper, &wanted);
    insta::assert_snapshot!(text(&plan));
    paper.carry_out(&plan, usize::MAX);
    assert!(planned(&paper, &wanted).is_empty());
}

#[test]
fn a_network_is_not_made_anew_where_containers_are_tied_to_it() {
    let mut wanted = with_objects();
    let mut paper = deployed(&wanted);
    network_of(&mut wanted).internal = true;
    paper.live.server.api_version = "1.45".to_owned();
    for container in paper.live.containers.values_mut() {
        container.spec.networks.values_mut().for_each(|attachment| attachment.first = true);
    }
    insta::assert_snapshot!(refused(&paper, &wanted), @"
    network `net` differs from what is live: internal false → true
    hint: from Docker 25 on a container can't outlive the first network that it joined, and none of these could return: auren-dev-web-1; declare a new network under another key and move the services to it
    ");
    // Whoever only joined it later isn't.
    for container in paper.live.containers.values_mut() {
        container.spec.networks.values_mut().for_each(|attachment| attachment.first = false);
    }
    assert!(!planned(&paper, &wanted).is_empty());
}

#[test]
fn a_network_is_not_made_anew_while_others_need_it() {
    let mut wanted = with_objects();
    let mut paper = deployed(&wanted);
    let other = OtherContainer {
        name: "somebody".parse().unwrap(),
        stack: None,
        origin: None,
        ports: BTreeSet::new(),
        binds: BTreeSet::new(),
        networks: ["auren-net".parse().unwrap()].into(),
    };
    paper.live.others.insert("aa".parse().unwrap(), other);
    network_of(&mut wanted).internal = true;
    insta::assert_snapshot!(refused(&paper, &wanted), @"
    network `net` must be made anew, and others are attached to it: somebody
    hint: detach them with `docker network disconnect auren-net CONTAINER`, or move them to another network
    ");
}

#[test]
fn trap_72_a_volume_that_differs_is_refused_field_by_field() {
    let mut wanted = with_objects();
    let paper = deployed(&wanted);
    let volume = wanted.volumes.values_mut().next().unwrap();
    volume.options.insert("o".to_owned(), "addr=10.0.0.1".to_owned());
    volume.labels.insert("team".to_owned(), "b".to_owned());
    insta::assert_snapshot!(refused(&paper, &wanted), @"
    volume `data` differs from what is live: driver_opts.o (none) → addr=10.0.0.1, labels.team (none) → b
    hint: Docker can't change a volume, and making it anew would lose its data: declare a new volume beside it and copy the data
    ");
}

#[test]
fn what_is_no_longer_said_of_a_network_is_a_difference() {
    let mut wanted = with_objects();
    let network = network_of(&mut wanted);
    network.driver = Some("macvlan".to_owned());
    network.options = [("parent".to_owned(), "eth0".to_owned())].into();
    network.ipv4 = Some(true);
    network.pools[0].gateway = "172.30.0.1".parse().ok();
    let mut paper = deployed(&wanted);
    // The daemon has options of its own.
    let live = paper.live.networks.values_mut().next().unwrap();
    live.spec.options.insert("com.docker.network.enable_ipv4".to_owned(), "true".to_owned());
    assert!(planned(&paper, &wanted).is_empty());
    let network = network_of(&mut wanted);
    (network.driver, network.ipv4, network.pools[0].gateway) = (None, None, None);
    network.options.clear();
    let said = text(&planned(&paper, &wanted));
    for [field, from, to] in [
        ["driver", "macvlan", "bridge"],
        ["driver_opts.parent", "eth0", "(none)"],
        ["ipam.config.0.gateway", "172.30.0.1", "(none)"],
    ] {
        let tells = |line: &str| line.contains(field) && line.contains(&format!("{from} → {to}"));
        assert!(said.lines().any(tells), "{field}: {said}");
    }
    assert!(!said.contains("enable_ipv4"), "{said}");
    network_of(&mut wanted).pools.clear();
    assert!(text(&planned(&paper, &wanted)).contains("172.30.0.0/16 → (none)"));
    // Of one that others made, or an earlier release, nobody knows what was declared.
    let live = paper.live.networks.values_mut().next().unwrap();
    live.spec.labels.retain(|name, _| !name.starts_with("evenkeel.declared."));
    assert!(planned(&paper, &wanted).is_empty());
}

fn network_of(desired: &mut Desired) -> &mut NetworkSpec {
    desired.networks.values_mut().next().unwrap()
}

#[test]
fn trap_74_what_the_engine_is_too_old_for_is_refused() {
    let mut wanted = with_objects();
    let web = wanted.services.get_mut("web".parse().as_ref().unwrap()).unwrap();
    web.spec.networks.values_mut().next().unwrap().mac = "02:42:ac:11:00:99".parse().ok();
    web.spec.mounts.get_mut("/data").unwrap().options.subpath = Some("a".to_owned());
    let paper = Paper::empty();
    insta::assert_snapshot!(refused(&paper, &wanted));
    let mut newer = deployed(&with_objects());
    newer.live.server.api_version = "1.48".to_owned();
    insta::assert_snapshot!(text(&planned(&newer, &wanted)));
}
