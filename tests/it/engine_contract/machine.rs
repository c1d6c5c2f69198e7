//! The law of `fields` for what a container uses of its host: limits, namespaces, devices, the runtime.
//!
//! Not here, because the kernel or the storage of a usual test host refuses them: real-time processor time, weights of
//! block devices, `storage_opt`, annotations on engines before API 1.43. The converter's own tests have them.

use evenkeel::engine::{Engine, EngineError, UpdateContainer};
use evenkeel::model::live::Status;
use evenkeel::model::spec::{ContainerSpec, Device, DeviceRequest, Namespace, Peer, Resources, Swap};

use super::fields::{Field, compare};
use super::ground::{Ground, strings, words};

/// One change for each field, some for its several shapes.
pub(crate) const FIELDS: [Field; 33] = [
    ("domain name", |spec| spec.domainname = Some("example.org".to_owned())),
    ("search domains", |spec| spec.dns_search = vec!["b.example".to_owned(), "a.example".to_owned()]),
    ("options of the resolver", |spec| spec.dns_options = strings(&["ndots:2", "rotate"])),
    ("device", |spec| device(spec, "/dev/null", "/dev/null", "rwm")),
    ("device elsewhere", |spec| device(spec, "/dev/zero", "/dev/nothing", "r")),
    ("device rules", |spec| spec.devices.rules = strings(&["c 1:3 mr", "a 7:* rmw"])),
    ("all GPUs", |spec| {
        spec.devices.requests =
            vec![DeviceRequest { count: -1, capabilities: strings(&["gpu"]), ..DeviceRequest::default() }];
    }),
    ("chosen GPUs", |spec| {
        spec.devices.requests = vec![DeviceRequest {
            driver: Some("nvidia".to_owned()),
            ids: strings(&["1", "0"]),
            capabilities: strings(&["gpu", "utility"]),
            options: [("a".to_owned(), "b".to_owned())].into(),
            ..DeviceRequest::default()
        }];
    }),
    ("groups", |spec| spec.runtime.groups = strings(&["44", "10"])),
    ("private memory", |spec| spec.namespaces.ipc = Some(Namespace::Private)),
    ("shareable memory", |spec| spec.namespaces.ipc = Some(Namespace::Shareable)),
    ("the host's memory", |spec| spec.namespaces.ipc = Some(Namespace::Host)),
    ("no shared memory", |spec| spec.namespaces.ipc = Some(Namespace::None)),
    ("the host's processes", |spec| spec.namespaces.pid = Some(Namespace::Host)),
    ("the host's name", |spec| {
        spec.namespaces.uts = Some(Namespace::Host);
    }),
    ("the host's users", |spec| spec.namespaces.users = Some(Namespace::Host)),
    ("the host's control groups", |spec| spec.namespaces.cgroup = Some(Namespace::Host)),
    ("own control groups", |spec| spec.namespaces.cgroup = Some(Namespace::Private)),
    ("parent of the control group", |spec| spec.runtime.cgroup_parent = Some("/evenkeel-test".to_owned())),
    ("no network", |spec| spec.namespaces.network = Some(Namespace::None)),
    ("the host's network", |spec| spec.namespaces.network = Some(Namespace::Host)),
    ("the default network", |spec| spec.namespaces.network = Some(Namespace::Bridge)),
    ("waiting for memory", |spec| {
        spec.resources.memory = Some(64 << 20);
        spec.runtime.oom_kill_disable = true;
    }),
    ("killed first", |spec| spec.runtime.oom_score_adj = 500),
    ("swappiness", |spec| spec.runtime.swappiness = Some(60)),
    ("memory and swap", |spec| {
        spec.resources.memory = Some(64 << 20);
        spec.resources.memory_swap = Some(Swap::Bytes(96 << 20));
    }),
    ("memory and all swap", |spec| {
        spec.resources.memory = Some(64 << 20);
        spec.resources.memory_swap = Some(Swap::Unlimited);
    }),
    ("shares", |spec| spec.resources.cpu_shares = Some(512)),
    ("period and quota", |spec| {
        spec.resources.cpu_period = Some(50_000);
        spec.resources.cpu_quota = Some(25_000);
    }),
    ("processors to run on", |spec| spec.resources.cpuset = Some("0".to_owned())),
    ("bytes of block devices", |spec| {
        spec.block_io.read_bps.insert("/dev/sda".to_owned(), 1 << 20);
        spec.block_io.write_bps.insert("/dev/sda".to_owned(), 2 << 20);
    }),
    ("operations of block devices", |spec| {
        spec.block_io.read_iops.insert("/dev/sda".to_owned(), 100);
        spec.block_io.write_iops.insert("/dev/sdb".to_owned(), 200);
    }),
    ("runtime", |spec| spec.runtime.name = Some("runc".to_owned())),
];

fn device(spec: &mut ContainerSpec, source: &str, target: &str, permissions: &str) {
    let device = Device { source: source.to_owned(), permissions: permissions.to_owned() };
    spec.devices.paths.insert(target.to_owned(), device);
}

pub async fn what_is_used_of_the_host_is_read_back<E: Engine>(ground: &Ground<E>) {
    for (number, (field, change)) in FIELDS.iter().enumerate() {
        let mut spec = ground.rich_spec();
        change(&mut spec);
        compare(ground, &format!("machine{number}"), field, spec).await;
    }
}

/// Trap 34: the engine keeps the id, whatever a manifest calls the other container.
pub async fn trap_34_a_namespace_of_another_container_is_told_by_its_id<E: Engine>(ground: &Ground<E>) {
    let mut donor = ground.spec();
    donor.namespaces.ipc = Some(Namespace::Shareable);
    let donor = ground.create("donor", donor).await;
    let peer = || Some(Namespace::Of(Peer::Id(donor.clone())));
    let mut spec = ground.rich_spec();
    spec.namespaces.network = peer();
    spec.namespaces.ipc = peer();
    spec.namespaces.pid = peer();
    compare(ground, "guest", "namespaces of another container", spec.clone()).await;
    let mut spec = ground.spec();
    // Not the same server on the same port again.
    spec.command = Some(words(&["sleep", "60000"]));
    spec.namespaces.network = peer();
    let guest = ground.create("late", spec).await;
    let refused = ground.engine.start_container(&guest).await;
    assert!(matches!(refused, Err(EngineError::Rejected { .. })), "the other one doesn't run: {refused:?}");
    ground.engine.start_container(&donor).await.unwrap();
    ground.engine.start_container(&guest).await.unwrap();
    assert_eq!(ground.inspect(&guest).await.state.status, Status::Running);
}

pub async fn every_limit_that_docker_can_change_is_changed_in_place<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    spec.resources = Resources {
        memory: Some(64 << 20),
        memory_swap: Some(Swap::Bytes(96 << 20)),
        memory_reservation: Some(32 << 20),
        cpu_shares: Some(512),
        cpu_period: Some(50_000),
        cpu_quota: Some(25_000),
        cpuset: Some("0".to_owned()),
        pids: Some(100),
        ..Resources::default()
    };
    let id = ground.created_and_started("limited", spec).await;
    let resources = Resources {
        // More than both were before: the engine refuses that unless it is told of both.
        memory: Some(128 << 20),
        memory_swap: Some(Swap::Bytes(192 << 20)),
        memory_reservation: Some(48 << 20),
        cpu_shares: Some(256),
        cpu_period: Some(100_000),
        cpu_quota: Some(75_000),
        cpuset: Some("0-1".to_owned()),
        pids: Some(200),
        ..Resources::default()
    };
    let update = UpdateContainer { restart: None, resources: resources.clone() };
    ground.engine.update_container(&id, &update).await.unwrap();
    let live = ground.inspect(&id).await;
    assert_eq!(live.spec.resources, resources);
    assert_eq!(live.state.status, Status::Running);
}
