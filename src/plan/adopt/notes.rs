//! What people should know of containers that are taken over, though no field differs for it, or none could tell.

use std::collections::BTreeMap;

use crate::model::adopted::Adopted;
use crate::model::desired::{Desired, Service};
use crate::model::live::{Beyond, Live, LiveContainer};
use crate::model::name::Instance;
use crate::model::spec::MountSource;
use crate::plan::fields::FieldPath;
use crate::plan::normal;
use crate::plan::refusal::{Refusal, Refused};

/// What is to be said of the containers of `adopted`, which `live` has as the stack's own.
pub fn notes(desired: &Desired, live: &Live, adopted: &Adopted) -> Vec<String> {
    let instances: BTreeMap<&Instance, &LiveContainer> = adopted
        .containers
        .iter()
        .filter_map(|(id, instance)| Some((instance, live.containers.get(id)?)))
        .collect();
    let known = instances
        .into_iter()
        .filter_map(|(instance, container)| Some((container, desired.services.get(&instance.service)?)));
    known
        .flat_map(|(container, service)| {
            proxies(container, service, live).into_iter().chain(unseen(container, service))
        })
        .collect()
}

/// Refuses containers to which no deploy could return.
///
/// # Errors
/// Names each that Docker removes as soon as it stops.
pub fn keepable(live: &Live, adopted: &Adopted) -> Result<(), Refused> {
    let own = adopted.containers.keys().filter_map(|id| live.containers.get(id));
    let refused: Vec<Refusal> = own
        .filter(|container| container.beyond.contains(&Beyond::RemovedOnStop))
        .map(|container| {
            Refusal::new(
                format!(
                    "`{}` was made with `--rm`: Docker removes it as soon as it stops, so no deploy could return to it",
                    container.name
                ),
                "stop it, and let `evenkeel apply` make another one",
            )
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Refused(refused)) }
}

/// Variables that Docker's client gave to the container because of its own configuration.
fn proxies(container: &LiveContainer, service: &Service, live: &Live) -> Option<String> {
    let of_image = live.images.get(&container.image).map(|image| &image.environment);
    let is_given = |name: &String| {
        normal::is_proxy_variable(&FieldPath::new(format!("environment.{name}")))
            && !service.spec.environment.contains_key(name)
            && of_image.is_none_or(|given| !given.contains_key(name))
    };
    let names: Vec<&str> =
        container.spec.environment.keys().filter(|name| is_given(name)).map(String::as_str).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} has {}, which no manifest says: Docker's client adds what its config.json has under `proxies`. It is no \
             difference, but a container that replaces this one doesn't have it, unless its `environment` says it",
            container.name,
            names.join(", ")
        )
    })
}

/// Configs and secrets that are mounted from nowhere: Compose copies what isn't a file into the container.
fn unseen(container: &LiveContainer, service: &Service) -> Vec<String> {
    let mounts = service.spec.mounts.iter();
    let wanted = mounts.filter_map(|(target, mount)| match &mount.source {
        MountSource::Grant(grant) => Some((target, grant)),
        MountSource::Volume(_)
        | MountSource::Anonymous
        | MountSource::Bind(_)
        | MountSource::Repository(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    });
    wanted
        .filter(|(target, _)| !container.spec.mounts.contains_key(*target))
        .map(|(target, grant)| {
            format!(
                "{} mounts nothing at {target}: Compose copies a {} with `content` or `environment` into the container, \
                 where nobody can compare it. The first `apply` lays it down and replaces the container",
                container.name,
                grant.kind.word()
            )
        })
        .collect()
}
