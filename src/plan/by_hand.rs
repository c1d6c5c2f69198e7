//! Steps as commands of Docker, for people who must do by hand what Evenkeel could not.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::step::{Action, Step, Target};
use crate::model::live::Live;
use crate::model::name::{ContainerId, NetworkId, NetworkName};
use crate::model::spec::{Attachment, NetworkSpec, Resources, RestartPolicy};

/// The commands for `steps`, which only touch what there is in `live`. What has no command, as waiting, has no line.
pub fn commands(steps: &[Step], live: &Live) -> Vec<String> {
    let containers = live.containers.values().map(|container| (&container.id, container.name.as_str()));
    let networks = live.networks.values().map(|network| (&network.id, network.spec.name.as_str()));
    let names = Names { containers: containers.collect(), networks: networks.collect() };
    steps.iter().filter_map(|step| command(&step.action, &names)).map(|words| words.join(" ")).collect()
}

/// The names under which things are found now.
#[derive(Default)]
struct Names<'a> {
    containers: BTreeMap<&'a ContainerId, &'a str>,
    networks: BTreeMap<&'a NetworkId, &'a str>,
}

impl Names<'_> {
    /// Its id stands where a container is gone.
    fn container(&self, id: &ContainerId) -> String {
        self.containers.get(id).map_or_else(|| id.short().to_owned(), |name| (*name).to_owned())
    }

    fn network(&self, id: &NetworkId) -> String {
        self.networks.get(id).map_or_else(|| id.to_string(), |name| (*name).to_owned())
    }

    fn target(&self, target: &Target) -> String {
        match target {
            Target::Existing(id) => self.container(id),
            Target::New(instance) => instance.to_string(),
        }
    }
}

fn command(action: &Action, names: &Names<'_>) -> Option<Vec<String>> {
    let of = |target: &Target| names.target(target);
    Some(match action {
        Action::Fence(container) => update(&names.container(container), Some(RestartPolicy::No), None),
        Action::Stop { target, .. } => words(["stop", &of(target)]),
        Action::Start(target) => words(["start", &of(target)]),
        Action::Update { target, restart, resources } => update(&of(target), *restart, Some(resources)),
        Action::Release { target, restart } => update(&of(target), Some(*restart), None),
        Action::Rename { target, name } => words(["rename", &of(target), name.as_str()]),
        Action::Remove(container) => words(["rm", &names.container(container)]),
        Action::Disconnect { container, name, network: _ } => {
            words(["network", "disconnect", name.as_str(), &of(container)])
        }
        Action::Connect { container, name, network: _, attachment } => {
            connect(name, &of(container), attachment)
        }
        Action::CreateNetwork(spec) => create_network(spec),
        Action::RemoveNetwork(id) => words(["network", "rm", &names.network(id)]),
        // No way back has these, or they need nobody.
        Action::PullImage { .. }
        | Action::TagImage { .. }
        | Action::CreateVolume(_)
        | Action::LayDown(_)
        | Action::Grant { .. }
        | Action::Create { .. }
        | Action::Await { .. }
        | Action::Delay(_)
        | Action::Commit
        | Action::Discard(_) => return None,
    })
}

fn words<const N: usize>(rest: [&str; N]) -> Vec<String> {
    std::iter::once("docker").chain(rest).map(quoted).collect()
}

fn update(container: &str, restart: Option<RestartPolicy>, resources: Option<&Resources>) -> Vec<String> {
    let mut command = words(["update"]);
    push(&mut command, "--restart", restart);
    if let Some(resources) = resources {
        let Resources {
            memory,
            memory_swap,
            memory_reservation,
            nano_cpus,
            cpu_shares,
            cpu_period,
            cpu_quota,
            cpu_rt_period,
            cpu_rt_runtime,
            cpuset,
            block_io_weight,
            pids,
        } = resources;
        push(&mut command, "--memory", *memory);
        push(&mut command, "--memory-swap", *memory_swap);
        push(&mut command, "--memory-reservation", *memory_reservation);
        // Billionths, as a decimal number without rounding.
        let cpus = nano_cpus.map(|nano| format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000));
        push(&mut command, "--cpus", cpus);
        push(&mut command, "--cpu-shares", *cpu_shares);
        push(&mut command, "--cpu-period", *cpu_period);
        push(&mut command, "--cpu-quota", *cpu_quota);
        push(&mut command, "--cpu-rt-period", *cpu_rt_period);
        push(&mut command, "--cpu-rt-runtime", *cpu_rt_runtime);
        push(&mut command, "--cpuset-cpus", cpuset.as_ref());
        push(&mut command, "--blkio-weight", *block_io_weight);
        push(&mut command, "--pids-limit", *pids);
    }
    command.push(quoted(container));
    command
}

fn connect(network: &NetworkName, container: &str, attachment: &Attachment) -> Vec<String> {
    let Attachment { first: _, aliases, ipv4, ipv6, link_local, mac: _, options, gateway_priority, links } =
        attachment;
    let mut command = words(["network", "connect"]);
    push(&mut command, "--alias", aliases);
    push(&mut command, "--ip", *ipv4);
    push(&mut command, "--ip6", *ipv6);
    push(&mut command, "--link-local-ip", link_local);
    push(&mut command, "--driver-opt", pairs(options));
    push(&mut command, "--gw-priority", Some(*gateway_priority).filter(|priority| *priority != 0));
    push(&mut command, "--link", links.iter().map(|(of, as_name)| format!("{of}:{as_name}")));
    command.extend([quoted(network.as_str()), quoted(container)]);
    command
}

fn create_network(spec: &NetworkSpec) -> Vec<String> {
    let NetworkSpec {
        name,
        external: _,
        driver,
        options,
        ipam_driver,
        ipam_options,
        pools,
        internal,
        attachable,
        ipv4,
        ipv6,
        labels,
    } = spec;
    let mut command = words(["network", "create"]);
    push(&mut command, "--driver", driver.as_ref());
    push(&mut command, "--opt", pairs(options));
    push(&mut command, "--ipam-driver", ipam_driver.as_ref());
    push(&mut command, "--ipam-opt", pairs(ipam_options));
    for pool in pools {
        push(&mut command, "--subnet", Some(pool.subnet));
        push(&mut command, "--gateway", pool.gateway);
        push(&mut command, "--ip-range", pool.ip_range);
        push(&mut command, "--aux-address", pool.reserved.iter().map(|(who, at)| format!("{who}={at}")));
    }
    for (flag, is_on) in [("--internal", internal), ("--attachable", attachable), ("--ipv6", ipv6)] {
        command.extend(is_on.then(|| flag.to_owned()));
    }
    command.extend(ipv4.map(|has| format!("--ipv4={has}")));
    push(&mut command, "--label", pairs(labels));
    command.push(quoted(name.as_str()));
    command
}

fn pairs(of: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    of.iter().map(|(key, value)| format!("{key}={value}"))
}

fn push(command: &mut Vec<String>, flag: &str, values: impl IntoIterator<Item = impl Display>) {
    for value in values {
        command.extend([flag.to_owned(), quoted(&value.to_string())]);
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::step::NetworkRef;
    use super::*;
    use crate::model::spec::Swap;

    fn shown(action: &Action) -> Option<String> {
        command(action, &Names::default()).map(|words| words.join(" "))
    }

    fn target() -> Target {
        Target::Existing(id())
    }

    fn id() -> ContainerId {
        "0123456789abcdef".repeat(4).parse().unwrap()
    }

    #[test]
    fn each_step_is_a_command_that_a_shell_takes() {
        let net: NetworkName = "shop_default".parse().unwrap();
        let attachment = Attachment {
            aliases: ["db".to_owned(), "db-1".to_owned()].into(),
            ipv4: "10.0.0.9".parse().ok(),
            options: [("a".to_owned(), "b c".to_owned())].into(),
            ..Attachment::default()
        };
        let resources = Resources {
            memory: Some(64 << 20),
            memory_swap: Some(Swap::Unlimited),
            nano_cpus: Some(1_500_000_000),
            ..Resources::default()
        };
        let network = NetworkRef::New;
        let spec = NetworkSpec {
            internal: true,
            labels: BTreeMap::from([("it's".to_owned(), "x".to_owned())]),
            pools: vec![crate::model::spec::AddressPool {
                subnet: "10.0.0.0/24".parse().unwrap(),
                gateway: None,
                ip_range: None,
                reserved: BTreeMap::new(),
            }],
            ..NetworkSpec::named(net.clone())
        };
        let restart = RestartPolicy::OnFailure(Some(3));
        for (action, expected) in [
            (Action::Stop { target: target(), grace: None }, "docker stop 0123456789ab"),
            (Action::Start(target()), "docker start 0123456789ab"),
            (Action::Fence(id()), "docker update --restart no 0123456789ab"),
            (
                Action::Release { target: target(), restart },
                "docker update --restart on-failure:3 0123456789ab",
            ),
            (
                Action::Update { target: target(), restart: None, resources },
                "docker update --memory 67108864 --memory-swap -1 --cpus 1.500000000 0123456789ab",
            ),
            (
                Action::Rename { target: target(), name: "shop-db-1".parse().unwrap() },
                "docker rename 0123456789ab shop-db-1",
            ),
            (
                Action::Connect { container: target(), name: net.clone(), network, attachment },
                "docker network connect --alias db --alias db-1 --ip 10.0.0.9 --driver-opt 'a=b c' shop_default \
                 0123456789ab",
            ),
            (
                Action::CreateNetwork(spec),
                r"docker network create --subnet 10.0.0.0/24 --internal --label 'it'\''s=x' shop_default",
            ),
        ] {
            assert_eq!(shown(&action).as_deref(), Some(expected));
        }
        assert_eq!(shown(&Action::Commit), None);
    }
}
