//! The table: a row for every field that a plan may name of a container, some for its several shapes.

use evenkeel::model::spec::{RestartPolicy, Swap};

use super::row::{Feature, Hand, NOTHING, Needs, Row, limit, row, switch};

/// What a container runs and how it is told.
#[rustfmt::skip]
const PROCESS: &[Row] = &[
    row("state", "", "").to_two(NOTHING).last("", NOTHING).by_hand(Hand::Stop),
    row("state", "", "").to_two(NOTHING).last("", NOTHING).by_hand(Hand::Remove),
    row("container_name", "container_name: STACK-one", "container_name: STACK-two").in_place().by_hand(Hand::Rename),
    row("container_name", "", "").to_two(NOTHING).last("", NOTHING).by_hand(Hand::Rename),
    row("image", "image: 'THIS'", "image: 'OTHER'").last("image: 'OTHER'", NOTHING),
    row("command", "command: [serve, --say, a]", "command: [serve, --say, b]"),
    row("entrypoint", "entrypoint: [/fixture, serve]", "entrypoint: [/fixture, serve, --say, b]"),
    row("environment.A", "environment: {A: '1'}", "environment: {A: 'a \"b\" $$c'}"),
    // Over what the image says.
    row("environment.IMAGE_SAYS", "environment: {IMAGE_SAYS: mine}", "environment: {IMAGE_SAYS: yours}"),
    row("labels.a.b", "labels: {a.b: '1'}", "labels: {a.b: '2'}"),
    row("labels.image.label", "labels: {image.label: mine}", "labels: {image.label: ''}"),
    row("user", "user: '1000:1000'", "user: '1001'"),
    row("working_dir", "working_dir: /a/", "working_dir: /b"),
    row("hostname", "hostname: one", "hostname: two"),
    row("domainname", "domainname: example.org", "domainname: example.net"),
    row("stop_signal", "stop_signal: SIGTERM", "stop_signal: SIGKILL"),
    row("stop_grace_period", "stop_grace_period: 3s", "stop_grace_period: 1m15s"),
    row("init", "init: true", "init: false"),
    switch("read_only", "read_only: true", "read_only: false"),
    switch("tty", "tty: true", "tty: false"),
    switch("stdin_open", "stdin_open: true", "stdin_open: false"),
    switch("privileged", "privileged: true", "privileged: false").needs(Needs::Kernel(Feature::AllCapabilities)),
    row("cap_add", "cap_add: [NET_ADMIN]", "cap_add: [sys_time, CAP_NET_ADMIN]"),
    row("cap_drop", "cap_drop: [MKNOD]", "cap_drop: [ALL]"),
    row("security_opt", "security_opt: ['no-new-privileges:true']", "security_opt: ['seccomp=unconfined']"),
    // The engine adds an option of its own to a container that shares this with the host.
    row("security_opt", "security_opt: ['no-new-privileges:true']", "security_opt: ['seccomp=unconfined']").with("pid: host"),
    row("extra_hosts", "extra_hosts: ['a:10.0.0.9', 'six=2001:db8::1']", "extra_hosts: {a: 10.0.0.8}"),
    row("dns", "dns: [9.9.9.9, 1.1.1.1]", "dns: [1.1.1.1, 9.9.9.9]"),
    row("dns_search", "dns_search: [b.example, a.example]", "dns_search: a.example"),
    row("dns_opt", "dns_opt: ['ndots:2', rotate]", "dns_opt: ['ndots:3']"),
    row("sysctls.kernel.msgmax", "sysctls: {kernel.msgmax: 8192}", "sysctls: {kernel.msgmax: 16384}"),
    row("ulimits.nofile", "ulimits: {nofile: {soft: 1024, hard: 2048}}", "ulimits: {nofile: 4096}"),
    row("shm_size", "shm_size: 32m", "shm_size: 128m"),
    row("logging.driver", "logging: {driver: local}", "logging: {driver: json-file}"),
    row("logging.options.max-file", "logging: {driver: json-file, options: {max-file: 5}}", "logging: {driver: json-file, options: {max-file: '6'}}")
        .last("logging: {driver: json-file}", &[]),
    row("healthcheck.test", "healthcheck: {test: [CMD, /fixture, probe]}", "healthcheck: {test: [CMD, /fixture, probe, --port, '8080']}"),
    row("healthcheck.test", "healthcheck: {disable: true}", "healthcheck: {test: [NONE]}").to_two(NOTHING),
    row("healthcheck.interval", "healthcheck: {CHECK, interval: 5s}", "healthcheck: {CHECK, interval: 1m30s}").last("healthcheck: {CHECK}", &[]),
    row("healthcheck.timeout", "healthcheck: {CHECK, timeout: 5s}", "healthcheck: {CHECK, timeout: 6s}").last("healthcheck: {CHECK}", &[]),
    row("healthcheck.start_period", "healthcheck: {CHECK, start_period: 5s}", "healthcheck: {CHECK, start_period: 6s}").last("healthcheck: {CHECK}", &[]),
    row("healthcheck.start_interval", "healthcheck: {CHECK, start_period: 5s, start_interval: 1s}", "healthcheck: {CHECK, start_period: 5s, start_interval: 2s}")
        .last("healthcheck: {CHECK, start_period: 5s}", &[]).needs(Needs::Api(1, 44)),
    row("healthcheck.retries", "healthcheck: {CHECK, retries: 5}", "healthcheck: {CHECK, retries: 6}").last("healthcheck: {CHECK}", &[]),
    row("restart", "restart: always", "restart: unless-stopped").in_place().by_hand(Hand::Restart(RestartPolicy::OnFailure(Some(2)))),
    row("restart", "restart: 'on-failure:3'", "restart: on-failure").in_place().by_hand(Hand::Restart(RestartPolicy::Always)),
    row("restart", "restart: 'no'", "restart: 'no'").to_two(NOTHING).last("", NOTHING).by_hand(Hand::Restart(RestartPolicy::Always)),
    row("restart", "deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}", "deploy: {restart_policy: {condition: any}}").in_place(),
    switch("expose.53/udp", "expose: ['53/udp']", "expose: []"),
];

/// Limits, namespaces, devices, the runtime.
#[rustfmt::skip]
const MACHINE: &[Row] = &[
    limit("deploy.resources.limits.memory", "deploy: {resources: {limits: {memory: 64M}}}", "deploy: {resources: {limits: {memory: 96M}}}",
        |limits| limits.memory = Some(80 << 20)),
    limit("deploy.resources.limits.memory", "mem_limit: 64m", "mem_limit: 32m", |limits| limits.memory = Some(48 << 20)),
    limit("memswap_limit", "mem_limit: 64m, memswap_limit: 96m", "mem_limit: 64m, memswap_limit: 100m",
        |limits| (limits.memory, limits.memory_swap) = (Some(64 << 20), Some(Swap::Bytes(80 << 20))))
        .last("mem_limit: 64m", &[]).needs(Needs::Kernel(Feature::SwapLimit)),
    row("memswap_limit", "mem_limit: 64m, memswap_limit: -1", "mem_limit: 64m, memswap_limit: 100m").in_place()
        .last("mem_limit: 64m", &[]).needs(Needs::Kernel(Feature::SwapLimit)),
    limit("deploy.resources.reservations.memory", "deploy: {resources: {reservations: {memory: 16M}}}", "mem_reservation: 24m",
        |limits| limits.memory_reservation = Some(20 << 20)),
    limit("deploy.resources.limits.cpus", "deploy: {resources: {limits: {cpus: '0.5'}}}", "cpus: 0.75", |limits| limits.nano_cpus = Some(600_000_000)),
    limit("cpu_shares", "cpu_shares: 512", "cpu_shares: 256", |limits| limits.cpu_shares = Some(300)),
    limit("cpu_period", "cpu_period: 50000", "cpu_period: 40000", |limits| limits.cpu_period = Some(60_000)),
    limit("cpu_quota", "cpu_quota: 25000", "cpu_quota: 30000", |limits| limits.cpu_quota = Some(20_000)),
    limit("cpu_rt_period", "cpu_rt_period: 900000", "cpu_rt_period: 800000", |limits| limits.cpu_rt_period = Some(700_000))
        .needs(Needs::Kernel(Feature::RealTime)),
    limit("cpu_rt_runtime", "cpu_rt_runtime: 90000", "cpu_rt_runtime: 80000", |limits| limits.cpu_rt_runtime = Some(70_000))
        .needs(Needs::Kernel(Feature::RealTime)),
    limit("cpuset", "cpuset: '0'", "cpuset: 0-1", |limits| limits.cpuset = Some("1".to_owned())).needs(Needs::Kernel(Feature::CpuSets)),
    limit("blkio_config.weight", "blkio_config: {weight: 100}", "blkio_config: {weight: 200}", |limits| limits.block_io_weight = Some(300))
        .needs(Needs::Kernel(Feature::BlockWeight)),
    limit("deploy.resources.limits.pids", "deploy: {resources: {limits: {pids: 100}}}", "pids_limit: 200", |limits| limits.pids = Some(150)),
    row("blkio_config.weight_device.DISK", "blkio_config: {weight_device: [{path: DISK, weight: 100}]}", "blkio_config: {weight_device: [{path: DISK, weight: 200}]}")
        .needs(Needs::Kernel(Feature::BlockWeight)),
    row("blkio_config.device_read_bps.DISK", "blkio_config: {device_read_bps: [{path: DISK, rate: 1mb}]}", "blkio_config: {device_read_bps: [{path: DISK, rate: 2mb}]}"),
    row("blkio_config.device_write_bps.DISK", "blkio_config: {device_write_bps: [{path: DISK, rate: 1mb}]}", "blkio_config: {device_write_bps: [{path: DISK, rate: 2mb}]}"),
    row("blkio_config.device_read_iops.DISK", "blkio_config: {device_read_iops: [{path: DISK, rate: 100}]}", "blkio_config: {device_read_iops: [{path: DISK, rate: 200}]}"),
    row("blkio_config.device_write_iops.DISK", "blkio_config: {device_write_iops: [{path: DISK, rate: 100}]}", "blkio_config: {device_write_iops: [{path: DISK, rate: 200}]}"),
    row("ipc", "ipc: private", "ipc: shareable"),
    row("pid", "pid: host", "pid: 'service:donor'"),
    row("uts", "uts: host", "").last("", NOTHING),
    row("userns_mode", "userns_mode: host", "").last("", NOTHING),
    row("cgroup", "cgroup: private", "cgroup: host"),
    row("cgroup_parent", "cgroup_parent: /STACK-one", "cgroup_parent: /STACK-two"),
    row("devices./dev/nothing", "devices: ['/dev/zero:/dev/nothing:r']", "devices: [{source: /dev/null, target: /dev/nothing, permissions: rw}]"),
    row("device_cgroup_rules", "device_cgroup_rules: ['c 1:3 mr']", "device_cgroup_rules: ['a 7:* rmw', 'c 1:3 mr']"),
    row("runtime", "runtime: runc", "runtime: io.containerd.runc.v2"),
    row("group_add", "group_add: ['44']", "group_add: ['44', '10']"),
    switch("oom_kill_disable", "oom_kill_disable: true", "oom_kill_disable: false").with("mem_limit: 64m").needs(Needs::Kernel(Feature::OomKillDisable)),
    row("oom_score_adj", "oom_score_adj: 500", "oom_score_adj: 600"),
    row("mem_swappiness", "mem_swappiness: 60", "mem_swappiness: 10").needs(Needs::Kernel(Feature::FirstVersion)),
    row("annotations.a.b", "annotations: {a.b: '1'}", "annotations: {a.b: '2'}").needs(Needs::Api(1, 43)),
];

/// Whoever joins a network is known there by the name of its service.
const FRONT: &[&str] = &["networks.STACK_front", "networks.STACK_front.aliases"];

/// Ports and networks.
#[rustfmt::skip]
const NETWORKS: &[Row] = &[
    row("network_mode", "network_mode: host", "network_mode: none").with("command: [serve, --port, 'PORT1']").on_network()
        .last("", &["network_mode", "networks.STACK_default", "networks.STACK_default.aliases"]),
    row("network_mode", "network_mode: 'service:donor'", "network_mode: bridge").with("command: [serve, --port, '81']").on_network()
        .last("network_mode: none", &[]),
    row("ports.80/tcp", "ports: ['127.0.0.1:PORT2:80']", "ports: [{target: 80, published: PORT2, host_ip: 127.0.0.1}, {target: 80, published: PORT3, protocol: tcp, mode: host, name: web, app_protocol: http}]").on_network(),
    row("ports.82/tcp", "ports: ['0.0.0.0:PORT7:82']", "ports: ['PORT7:82']").on_network(),
    row("ports.53/udp", "ports: ['53/udp']", "ports: ['PORT4:53/udp']").on_network(),
    row("ports.81/tcp", "ports: ['PORT5-PORT6:81']", "ports: ['PORT5:81']").on_network(),
    row("networks.STACK_front", "networks: [default]", "networks: [default, front]").on_network().in_place()
        .to_two(FRONT).last("", FRONT).by_hand(Hand::Join("front", |_, _| ())),
    row("networks.STACK_front", "networks: [default, front]", "networks: [default]").on_network().in_place()
        .to_two(FRONT).last("", NOTHING).by_hand(Hand::Leave("front")).by_hand_named(FRONT),
    row("networks.STACK_default.aliases", "networks: {default: {aliases: [a]}}", "networks: {default: {aliases: [b, a]}}").on_network().in_place()
        .by_hand(Hand::Join("default", |to, _| to.aliases.extend(["c".to_owned()]))),
    row("networks.STACK_default.ipv4_address", "networks: {default: {ipv4_address: SUBNET201}}", "networks: {default: {ipv4_address: SUBNET202}}").on_network().in_place()
        .by_hand(Hand::Join("default", |to, free| to.ipv4 = Some(free))),
    row("networks.STACK_six.ipv6_address", "networks: {six: {ipv6_address: 'SIX::99'}}", "networks: {six: {ipv6_address: 'SIX:0:0::a9'}}").on_network().in_place()
        .last("networks: [six]", &[]),
    row("networks.STACK_default.link_local_ips", "networks: {default: {link_local_ips: [169.254.8.8]}}", "networks: {default: {link_local_ips: [169.254.8.9]}}")
        .on_network().in_place(),
    row("networks.STACK_default.mac_address", "networks: {default: {mac_address: '02:42:ac:11:00:97'}}", "networks: {default: {mac_address: '02:42:AC:11:00:98'}}").on_network()
        .needs(Needs::Api(1, 44)),
    row("networks.STACK_default.gw_priority", "networks: {default: {gw_priority: 1}}", "networks: {default: {gw_priority: 2}}").on_network().in_place()
        .needs(Needs::Api(1, 48)),
    row("networks.STACK_default.interface_name", "networks: {default: {interface_name: eth7}}", "networks: {default: {interface_name: eth8}}").on_network().in_place()
        .needs(Needs::Api(1, 49)),
    row("networks.STACK_default.driver_opts.com.example.a", "networks: {default: {driver_opts: {com.example.a: 5}}}", "networks: {default: {driver_opts: {com.example.a: 6}}}")
        .on_network().in_place(),
    row("networks.STACK_default.links", "links: ['donor:one']", "links: ['donor:two']").on_network().in_place(),
    row("networks.STACK_default.links", "external_links: ['STACK-elsewhere:one']", "external_links: ['STACK-elsewhere:two']").on_network().in_place(),
    // One network is always the first, so that it matters only where another one is to be it.
    row("networks.STACK_default.priority", "networks: {default: {priority: 9}, front: {}}", "networks: {default: {}, front: {priority: 9}}").on_network()
        .to_two(&["networks.STACK_front.priority"]).last("networks: {default: {}, front: {}}", NOTHING),
    row("networks.STACK_front.priority", "networks: {default: {}, front: {priority: 9}}", "networks: {default: {priority: 9}, front: {}}").on_network()
        .to_two(&["networks.STACK_default.priority"]).last("networks: {default: {}, front: {}}", NOTHING),
];

/// What is mounted.
#[rustfmt::skip]
const MOUNTS: &[Row] = &[
    row("volumes./x", "volumes: ['FOLDER:/x']", "volumes: ['FOLDER:/x/:ro']"),
    row("volumes./x", "volumes: ['FOLDER/made:/x']", "volumes: [{type: bind, source: FOLDER, target: /x, bind: {create_host_path: false}}]"),
    row("volumes./x", "volumes: ['FOLDER:/x:z']", "volumes: [{type: bind, source: FOLDER, target: /x, bind: {selinux: Z, create_host_path: true}}]"),
    row("volumes./x", "volumes: ['FOLDER:/x:rprivate']", "volumes: [{type: bind, source: FOLDER, target: /x, bind: {propagation: private}}]"),
    row("volumes./x", "volumes: [{type: bind, source: FOLDER, target: /x, read_only: true, bind: {recursive: disabled}}]", "volumes: ['FOLDER:/x:ro']"),
    row("volumes./x", "volumes: ['data:/x']", "volumes: [{type: volume, source: more, target: /x, read_only: true}]"),
    row("volumes./x", "volumes: [{type: volume, source: data, target: /x, volume: {nocopy: true}}]", "volumes: ['data:/x']"),
    row("volumes./x", "volumes: [/x]", "volumes: [{type: volume, target: /x, volume: {labels: {a: b}}}]"),
    row("volumes./x", "volumes: [{type: volume, source: data, target: /x, volume: {subpath: .}}]", "volumes: ['data:/x']").needs(Needs::Api(1, 45)),
    row("volumes./x", "volumes: [{type: image, source: 'THIS', target: /x}]", "volumes: [{type: image, source: 'THIS', target: /x, image: {subpath: fixture}}]").needs(Needs::Api(1, 48)),
    row("volumes./x", "tmpfs: ['/x:size=1m,mode=1777']", "tmpfs: ['/x:mode=1777,size=2m,exec']"),
    row("volumes./x", "tmpfs: /x", "volumes: [{type: tmpfs, target: /x, tmpfs: {size: 1m, mode: 0o700}}]"),
    row("configs./x", "configs: [{source: one, target: /x}]", "configs: [{source: two, target: /x}]"),
    row("configs./x.mode", "configs: [{source: one, target: /x, mode: 0400}]", "configs: [{source: one, target: /x, mode: 0440}]").last("configs: [{source: one, target: /x}]", &[]),
    row("configs./x.uid", "configs: [{source: one, target: /x, uid: '70'}]", "configs: [{source: one, target: /x, uid: '71'}]").last("configs: [{source: one, target: /x}]", &[]),
    row("configs./x.gid", "configs: [{source: one, target: /x, gid: '70'}]", "configs: [{source: one, target: /x, gid: '71'}]").last("configs: [{source: one, target: /x}]", &[]),
    row("secrets./run/secrets/x", "secrets: [{source: one, target: x}]", "secrets: [{source: two, target: x}]").because("secret"),
    row("secrets./run/secrets/x.mode", "secrets: [{source: one, target: x, mode: 0400}]", "secrets: [{source: one, target: x, mode: 0440}]").last("secrets: [{source: one, target: x}]", &[]),
    row("secrets./run/secrets/x.uid", "secrets: [{source: one, target: x, uid: '70'}]", "secrets: [{source: one, target: x, uid: '71'}]").last("secrets: [{source: one, target: x}]", &[]),
    row("secrets./run/secrets/x.gid", "secrets: [{source: one, target: x, gid: '70'}]", "secrets: [{source: one, target: x, gid: '71'}]").last("secrets: [{source: one, target: x}]", &[]),
];

/// Every row.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    PROCESS.iter().chain(MACHINE).chain(NETWORKS).chain(MOUNTS)
}
