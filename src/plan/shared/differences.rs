//! Compares networks and volumes with what is declared. Docker changes neither, so that any difference is from Git.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::label;
use crate::model::spec::{AddressPool, NetworkSpec, Subnet, VolumeSpec};
use crate::plan::change::{Cause, FieldChange};
use crate::plan::fields::{FieldPath, FieldValue};

/// The driver of a network of which none is declared.
const DEFAULT_DRIVER: &str = "bridge";

/// The fields of a network that the daemon fills in where nobody declares them, as far as `spec` does: what it is
/// labelled with when it is made.
pub(in crate::plan) fn declared(spec: &NetworkSpec) -> BTreeSet<String> {
    let mut declared: BTreeSet<String> =
        spec.options.keys().map(|option| format!("driver_opts.{option}")).collect();
    declared.extend(spec.driver.as_ref().map(|_| "driver".to_owned()));
    declared.extend(spec.ipv4.map(|_| "enable_ipv4".to_owned()));
    for AddressPool { subnet, gateway, ip_range: _, reserved: _ } in &spec.pools {
        declared.insert("ipam.config".to_owned());
        declared.extend(gateway.map(|_| gateway_of(subnet)));
    }
    declared
}

/// The gateway of one of several ranges, which may change their places.
fn gateway_of(subnet: &Subnet) -> String {
    format!("ipam.config.{subnet}.gateway")
}

/// Compares what is declared, or was when the network was made: the daemon fills in the rest.
pub(super) fn network_differences(desired: &NetworkSpec, live: &NetworkSpec) -> Vec<FieldChange> {
    let NetworkSpec {
        name: _,
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
    } = desired;
    let mut found = Found::default();
    let was_declared: BTreeSet<&str> = label::declared(&live.labels).collect();
    let counts = |field: &str, is_declared: bool| is_declared || was_declared.contains(field);
    if counts("driver", driver.is_some()) {
        let usual = Some(DEFAULT_DRIVER.to_owned());
        found.compare("driver", live.driver.as_ref(), driver.as_ref().or(usual.as_ref()));
    }
    let names: BTreeSet<&String> = live.options.keys().chain(options.keys()).collect();
    for option in names {
        let path = format!("driver_opts.{option}");
        if counts(&path, options.contains_key(option)) {
            found.compare(&path, live.options.get(option), options.get(option));
        }
    }
    // A driver of one's own is what makes these; Docker's own fills in neither.
    found.compare("ipam.driver", live.ipam_driver.as_ref(), ipam_driver.as_ref());
    found.compare_all("ipam.options", &live.ipam_options, ipam_options);
    for (at, pool) in pools.iter().enumerate() {
        found.compare_pool(at, pool, live);
    }
    if counts("ipam.config", !pools.is_empty()) {
        for (at, more) in live.pools.iter().enumerate().skip(pools.len()) {
            found.compare(&format!("ipam.config.{at}.subnet"), Some(&more.subnet), None);
        }
    }
    for (name, before, after) in [
        ("internal", live.internal, *internal),
        ("attachable", live.attachable, *attachable),
        // Older engines don't say that a network has IPv4; none of theirs is without.
        (
            "enable_ipv4",
            live.ipv4.unwrap_or(true),
            ipv4.or(live.ipv4.filter(|_| !was_declared.contains("enable_ipv4"))).unwrap_or(true),
        ),
        ("enable_ipv6", live.ipv6, *ipv6),
    ] {
        found.compare(name, Some(&before.to_string()), Some(&after.to_string()));
    }
    found.compare_labels(&live.labels, labels);
    found.0
}

pub(super) fn volume_differences(desired: &VolumeSpec, live: &VolumeSpec) -> Vec<FieldChange> {
    let VolumeSpec { name: _, external: _, driver, options, labels } = desired;
    let mut found = Found::default();
    if let Some(driver) = driver {
        found.compare("driver", live.driver.as_ref(), Some(driver));
    }
    found.compare_all("driver_opts", &live.options, options);
    found.compare_labels(&live.labels, labels);
    found.0
}

#[derive(Default)]
struct Found(Vec<FieldChange>);

impl Found {
    fn compare<T: PartialEq + ToString>(&mut self, path: &str, before: Option<&T>, after: Option<&T>) {
        if before != after {
            self.0.push(FieldChange {
                path: FieldPath::new(path),
                before: before.map(FieldValue::word),
                after: after.map(FieldValue::word),
                cause: Cause::Git,
                diff: None,
            });
        }
    }

    /// Compares what is there with what is wanted, both whole.
    fn compare_all<T: PartialEq + ToString>(
        &mut self,
        path: &str,
        live: &BTreeMap<String, T>,
        desired: &BTreeMap<String, T>,
    ) {
        let names: BTreeSet<&String> = live.keys().chain(desired.keys()).collect();
        for name in names {
            self.compare(&format!("{path}.{name}"), live.get(name), desired.get(name));
        }
    }

    /// Nobody can label an object that is there, so all labels but the reserved ones were declared once.
    fn compare_labels(&mut self, live: &BTreeMap<String, String>, desired: &BTreeMap<String, String>) {
        let own = |labels: &BTreeMap<String, String>| {
            let own = labels.iter().filter(|(name, _)| !label::is_reserved(name));
            own.map(|(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        self.compare_all("labels", &own(live), &own(desired));
    }

    fn compare_pool(&mut self, at: usize, pool: &AddressPool, live: &NetworkSpec) {
        let AddressPool { subnet, gateway, ip_range, reserved } = pool;
        let path = |key: &str| format!("ipam.config.{at}.{key}");
        let Some(same) = live.pools.iter().find(|live| live.subnet == *subnet) else {
            self.compare(&path("subnet"), live.pools.get(at).map(|live| &live.subnet), Some(subnet));
            return;
        };
        // Docker chooses a gateway where none is declared.
        let was_declared = || label::declared(&live.labels).any(|field| field == gateway_of(subnet));
        if gateway.is_some() || was_declared() {
            self.compare(&path("gateway"), same.gateway.as_ref(), gateway.as_ref());
        }
        self.compare(&path("ip_range"), same.ip_range.as_ref(), ip_range.as_ref());
        self.compare_all(&path("aux_addresses"), &same.reserved, reserved);
    }
}
