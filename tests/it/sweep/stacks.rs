//! The stacks of the scenarios.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use evenkeel::model::desired::{Condition, Dependency, Desired, Expect, LogProbe, Probe, Revision, Service};
use evenkeel::model::grant::{FileAccess, Grant, GrantContent, GrantKind};
use evenkeel::model::name::NetworkName;
use evenkeel::model::policy::Rollback;
use evenkeel::model::spec::{
    Attachment, ContainerPort, HostPort, Mount, MountSource, NetworkSpec, Protocol, PublishedPort,
    RestartPolicy, VolumeSpec,
};
use evenkeel::model::text::Text;
use evenkeel::model::update::{Batches, UpdateOrder};

use crate::apply::bench::{of, service, stack, stack_with};

/// The service that does its work once.
pub const TASK: &str = "task";

/// A database with a volume; an application that needs it; a proxy with a file, on a port of the host, that is up when
/// it has written so.
pub fn base(app: &str) -> Desired {
    let mut desired = stack_with(app);
    let data = VolumeSpec {
        name: format!("{}_data", stack()).parse().unwrap(),
        external: false,
        driver: None,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    let db = of(&mut desired, "db");
    db.spec.mounts.insert("/data".to_owned(), Mount::of(MountSource::Volume(data.name.clone())));
    desired.volumes.insert("data".parse().unwrap(), data);
    let proxy = of(&mut desired, "proxy");
    proxy.gate.probes.push(Probe::Log(LogProbe::Line(Text::plain("ready"))));
    proxy.spec.ports.insert(PublishedPort {
        container: ContainerPort { number: 80, protocol: Protocol::Tcp },
        host_ip: None,
        host: HostPort::One(8000),
    });
    desired
}

fn changed(app: &str, change: impl FnOnce(&mut Desired)) -> Desired {
    let mut desired = base(app);
    change(&mut desired);
    desired
}

pub fn start_first(app: &str) -> Desired {
    changed(app, |desired| of(desired, "app").update.order = UpdateOrder::StartFirst)
}

/// Several take turns, on the way there and on the way back.
pub fn batches(app: &str) -> Desired {
    changed(app, |desired| {
        let app = of(desired, "app");
        app.replicas = 3;
        let second = Duration::from_secs(1);
        app.update.batches = Batches { parallelism: NonZeroU32::new(2), delay: second, monitor: second };
        app.way_back.batches = app.update.batches;
    })
}

/// A task that the application waits for.
pub fn with_task(task: &str, app: &str) -> Desired {
    changed(app, |desired| {
        let mut one: Service = service(TASK, "apps", task);
        one.spec.restart = RestartPolicy::No;
        one.gate.expect = Expect::Completed;
        desired.services.insert(one.name.clone(), one);
        let waits = Dependency { condition: Condition::Completed, required: true, restart: true };
        of(desired, "app").depends_on.insert(TASK.parse().unwrap(), waits);
    })
}

/// A network whose options can't be changed in place.
pub fn on_network(option: &str, app: &str) -> Desired {
    changed(app, |desired| {
        let network = desired.networks.values_mut().next().unwrap();
        network.options.insert("com.docker.network.bridge.enable_icc".to_owned(), option.to_owned());
    })
}

/// Another network, a restart policy and a name, none of which needs a new container.
pub fn in_place(app: &str) -> Desired {
    changed(app, |desired| {
        let front: NetworkName = format!("{}_front", stack()).parse().unwrap();
        desired.networks.insert("front".parse().unwrap(), NetworkSpec::named(front.clone()));
        let db = of(desired, "db");
        db.spec.networks.insert(front, Attachment::default());
        db.spec.restart = RestartPolicy::Always;
        of(desired, "proxy").container_name = "gate".parse().ok();
    })
}

pub fn without_proxy(app: &str) -> Desired {
    changed(app, |desired| {
        desired.services.remove(&"proxy".parse().unwrap());
        desired.contents.clear();
    })
}

/// A secret and a config for the application.
pub fn granted(text: &str) -> Desired {
    changed("app:1", |desired| {
        for (kind, target) in [(GrantKind::Secret, "/run/secrets/password"), (GrantKind::Config, "/app.conf")]
        {
            let content =
                GrantContent::new(format!("{text}{target}").into_bytes(), kind == GrantKind::Secret);
            let grant = Grant {
                kind,
                origin: format!("{}.it", kind.section()),
                content,
                access: FileAccess::default(),
            };
            let mount = Mount { read_only: true, ..Mount::of(MountSource::Grant(grant)) };
            of(desired, "app").spec.mounts.insert(target.to_owned(), mount);
        }
    })
}

pub fn held(app: &str) -> Desired {
    changed(app, |desired| of(desired, "app").rollback = Rollback::Hold)
}

pub fn watched(app: &str, commit: u8) -> Desired {
    changed(app, |desired| {
        desired.revision = Revision::Commit(format!("{commit:040x}"));
        of(desired, "app").watch = Some(Duration::from_secs(300));
    })
}

pub fn composed(app: &str) -> Desired {
    changed(app, |desired| {
        desired.services.remove(&"proxy".parse().unwrap());
        desired.contents.clear();
    })
}
