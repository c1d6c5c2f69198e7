//! Random stacks for the laws.

use std::num::NonZeroU32;
use std::time::Duration;

use evenkeel::model::desired::{Desired, Service};
use evenkeel::model::grant::{FileAccess, Grant, GrantContent, GrantKind};
use evenkeel::model::spec::{
    Attachment, ContainerPort, HostPort, Mount, MountSource, Namespace, NetworkSpec, Peer, Protocol,
    PublishedPort, RestartPolicy,
};
use evenkeel::model::update::{Batches, UpdateConfig, UpdateOrder};
use proptest::prelude::*;

use crate::paper::{desired, needs, service};

/// What may differ between two versions of one service.
#[derive(Clone, Debug)]
struct Variant {
    image: u8,
    mode: Option<u8>,
    memory: Option<u8>,
    port: Option<u16>,
    restart: bool,
    replicas: u32,
    needs: Vec<prop::sample::Index>,
    /// Each bit is a network.
    networks: u8,
    alias: bool,
    name: Option<&'static str>,
    update: UpdateConfig,
}

fn update() -> impl Strategy<Value = UpdateConfig> {
    (any::<bool>(), 0..3_u32, 0..2_u64, 0..2_u64).prop_map(|(start_first, parallelism, delay, monitor)| {
        UpdateConfig {
            order: if start_first { UpdateOrder::StartFirst } else { UpdateOrder::StopFirst },
            batches: Batches {
                parallelism: NonZeroU32::new(parallelism),
                delay: Duration::from_secs(delay),
                monitor: Duration::from_secs(monitor),
            },
        }
    })
}

fn variant() -> impl Strategy<Value = Variant> {
    let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let joined = (0..4_u8, any::<bool>(), update());
    (0..2_u8, prop::option::of(0..2_u8), prop::option::of(1..3_u8), any::<bool>(), 1..4_u32, needs, joined)
        .prop_map(|(image, mode, memory, restart, replicas, needs, (networks, alias, update))| Variant {
            image,
            mode,
            memory,
            port: None,
            restart,
            replicas,
            needs,
            networks,
            alias,
            name: None,
            update,
        })
}

/// A stack of up to five services, each of which may be absent and depends on earlier ones only. Host ports are
/// distinct, but which service has which is left to chance.
pub fn stack() -> impl Strategy<Value = Desired> {
    let services = prop::collection::vec(prop::option::weighted(0.8, variant()), 5);
    let ports = Just(vec![Some(8000), Some(8001), None, None, None]).prop_shuffle();
    let names = Just(vec![Some("red"), Some("blue"), None, None, None]).prop_shuffle();
    (services, ports, names).prop_map(|(variants, ports, names)| {
        let mut services: Vec<evenkeel::model::desired::Service> = Vec::new();
        for (at, variant) in variants.into_iter().enumerate() {
            let Some(mut variant) = variant else { continue };
            (variant.port, variant.name) = (ports[at], names[at]);
            let mut service = service(&format!("s{at}"), if at < 2 { "infrastructure" } else { "apps" });
            service.spec.image = format!("image:{}", variant.image).parse().unwrap();
            service
                .spec
                .environment
                .extend(variant.mode.map(|mode| ("MODE".to_owned(), mode.to_string().as_str().into())));
            service.spec.resources.memory = variant.memory.map(|memory| u64::from(memory) << 28);
            service.spec.restart = if variant.restart { RestartPolicy::Always } else { RestartPolicy::No };
            let single = variant.port.is_some() || variant.name.is_some();
            service.replicas = if single { 1 } else { variant.replicas };
            service.update = variant.update;
            service.way_back.batches = variant.update.batches;
            service.container_name = variant.name.map(|name| name.parse().unwrap());
            join(&mut service, &variant);
            service.spec.ports.extend(variant.port.map(|number| PublishedPort {
                container: ContainerPort { number: 80, protocol: Protocol::Tcp },
                host_ip: None,
                host: HostPort::One(number),
            }));
            for need in variant.needs {
                if let Some(other) = (!services.is_empty()).then(|| need.get(&services).name.to_string()) {
                    needs(&mut service, &other);
                }
            }
            services.push(service);
        }
        if services.is_empty() {
            services.push(service("s0", "infrastructure"));
        }
        let mut desired = desired(services);
        for name in NETWORKS {
            let used = |service: &Service| service.spec.networks.keys().any(|joined| joined.as_str() == name);
            if desired.services.values().any(used) {
                let spec = NetworkSpec::named(name.parse().unwrap());
                desired.networks.insert(name.parse().unwrap(), spec);
            }
        }
        desired
    })
}

/// The same, whose services also use what lies beside them: each other's namespaces, configs, secrets, mounts.
pub fn rich_stack() -> impl Strategy<Value = Desired> {
    (stack(), prop::collection::vec((0..64_u8, any::<prop::sample::Index>(), 0..2_u8), 5)).prop_map(
        |(mut desired, extras)| {
            let names: Vec<_> = desired.services.keys().cloned().collect();
            for (at, name) in names.iter().enumerate() {
                let (bits, peer, content) = extras[at];
                let has = |bit: u8| bits & (1 << bit) != 0;
                let service = desired.services.get_mut(name).unwrap();
                let spec = &mut service.spec;
                if at > 0 && has(0) {
                    let peer = Peer::Service(peer.get(&names[..at]).clone());
                    if has(1) {
                        (spec.networks, spec.ports) = Default::default();
                        spec.namespaces.network = Some(Namespace::Of(peer));
                    } else {
                        spec.namespaces.pid = Some(Namespace::Of(peer));
                    }
                }
                let sources = [
                    (2, "/etc/app.conf", MountSource::Grant(grant(GrantKind::Config, content))),
                    (3, "/run/secrets/app", MountSource::Grant(grant(GrantKind::Secret, content))),
                    (4, "/data", MountSource::Volume(format!("data-{content}").parse().unwrap())),
                    (5, "/srv", MountSource::Bind(format!("/srv/{content}"))),
                ];
                for (_, target, source) in sources.into_iter().filter(|(bit, ..)| has(*bit)) {
                    let read_only = matches!(source, MountSource::Grant(_));
                    spec.mounts.insert(target.to_owned(), Mount { read_only, ..Mount::of(source) });
                }
            }
            desired
        },
    )
}

fn grant(kind: GrantKind, content: u8) -> Grant {
    let sensitive = kind == GrantKind::Secret;
    let content = GrantContent::new(format!("hunter{content}").into_bytes(), sensitive);
    Grant { kind, origin: "app".to_owned(), content, access: FileAccess::default() }
}

const NETWORKS: [&str; 2] = ["back", "front"];

fn join(service: &mut Service, variant: &Variant) {
    for (bit, name) in NETWORKS.iter().enumerate().filter(|(bit, _)| variant.networks & (1 << bit) != 0) {
        let mut attachment = Attachment::default();
        if variant.alias && bit == 0 {
            attachment.aliases.insert("alias".to_owned());
        }
        service.spec.networks.insert(name.parse().unwrap(), attachment);
    }
}
