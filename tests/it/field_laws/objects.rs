//! The same for networks and volumes. Docker changes neither: a network is made anew for another value, and a volume
//! refused, by the name of the field.

use std::fmt::Write as _;
use std::fs;

use super::count;
use crate::common::docker::tell;
use crate::common::names::unique_subnet;
use crate::docker::Stage;

/// A field of a network or volume, with two values of it. A `SUBNET` is the row's own.
struct Row {
    kind: &'static str,
    field: &'static str,
    one: &'static str,
    two: &'static str,
    needs_api: (u32, u32),
}

const fn row(kind: &'static str, field: &'static str, one: &'static str, two: &'static str) -> Row {
    Row { kind, field, one, two, needs_api: (1, 41) }
}

impl Row {
    /// Whether it is to be noticed that a network is no longer told this.
    /// Whether such a network can be made on every host.
    fn is_made(&self) -> bool {
        self.kind == "network" && !["driver", "ipam.driver"].contains(&self.field)
    }

    fn is_lost(&self) -> bool {
        let plain = ["driver", "enable_ipv4", "enable_ipv6", "ipam.driver", "ipam.config.0.subnet"];
        self.kind == "network" && !plain.contains(&self.field)
    }
}

#[rustfmt::skip]
const ROWS: [Row; 17] = [
    row("network", "driver", "driver: bridge, IPAM", "driver: macvlan, IPAM"),
    row("network", "driver_opts.com.docker.network.bridge.enable_icc", "driver_opts: {com.docker.network.bridge.enable_icc: 'false'}, IPAM",
        "driver_opts: {com.docker.network.bridge.enable_icc: 'true'}, IPAM"),
    // Bits of a host in a subnet mean nothing.
    row("network", "internal", "internal: true, ipam: {config: [{subnet: SUBNET9/24, ip_range: SUBNET201/25}]}",
        "internal: false, ipam: {config: [{subnet: SUBNET0/24, ip_range: SUBNET128/25}]}"),
    row("network", "attachable", "attachable: true, IPAM", "IPAM"),
    row("network", "enable_ipv6", "enable_ipv6: true, ipam: {config: [{subnet: SUBNET0/24}, {subnet: 'SIX:0:0::7/64'}]}",
        "enable_ipv6: false, ipam: {config: [{subnet: SUBNET0/24}, {subnet: 'SIX::/64'}]}"),
    Row { needs_api: (1, 48), ..row("network", "enable_ipv4", "enable_ipv4: true, IPAM", "enable_ipv4: false, IPAM") },
    row("network", "labels.a.b", "labels: {a.b: '1'}, IPAM", "labels: {a.b: '2'}, IPAM"),
    row("network", "ipam.config.0.subnet", "ipam: {config: [{subnet: SUBNET0/24}]}", "ipam: {config: [{subnet: SUBNET0/25}]}"),
    row("network", "ipam.config.0.gateway", "ipam: {config: [{subnet: SUBNET0/24, gateway: SUBNET1}]}", "ipam: {config: [{subnet: SUBNET0/24, gateway: SUBNET2}]}"),
    row("network", "ipam.config.0.ip_range", "ipam: {config: [{subnet: SUBNET0/24, ip_range: SUBNET0/25}]}", "ipam: {config: [{subnet: SUBNET0/24, ip_range: SUBNET128/25}]}"),
    row("network", "ipam.config.0.aux_addresses.router", "ipam: {config: [{subnet: SUBNET0/24, aux_addresses: {router: SUBNET200}}]}",
        "ipam: {config: [{subnet: SUBNET0/24, aux_addresses: {router: SUBNET201}}]}"),
    row("network", "ipam.options.a", "ipam: {options: {a: '1'}, config: [{subnet: SUBNET0/24}]}", "ipam: {options: {a: '2'}, config: [{subnet: SUBNET0/24}]}"),
    row("network", "ipam.driver", "ipam: {driver: default, config: [{subnet: SUBNET0/24}]}", "ipam: {driver: other, config: [{subnet: SUBNET0/24}]}"),
    row("volume", "driver", "driver: local", "driver: other"),
    row("volume", "driver_opts.o", "driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}", "driver_opts: {type: tmpfs, device: tmpfs, o: size=2m}"),
    row("volume", "labels.a.b", "labels: {a.b: '1'}", "labels: {a.b: '2'}"),
    row("volume", "labels.c", "labels: {c: ''}", ""),
];

/// Honoured keys without a row: they say which object is meant.
const KEYS_APART: [&str; 4] = ["networks.name", "networks.external", "volumes.name", "volumes.external"];

/// The manifest with one value of each row.
fn manifest(stage: &Stage, rows: &[&Row], subnets: &[String], value: fn(&Row) -> &'static str) -> String {
    let Stage { stack, image, .. } = stage;
    let (mut networks, mut volumes, mut services) = (String::new(), String::new(), String::new());
    for (number, (row, subnet)) in rows.iter().zip(subnets).enumerate() {
        let six = format!("fd00:e5:{number:x}{}", subnet.split('.').nth(2).unwrap());
        let said = value(row)
            .replace("IPAM", "ipam: {config: [{subnet: SUBNET0/24}]}")
            .replace("SUBNET", subnet)
            .replace("SIX", &six);
        let (objects, used) = match row.kind {
            "network" => (&mut networks, format!("networks: [o{number}]")),
            _ => (&mut volumes, format!("network_mode: none, volumes: ['o{number}:/x']")),
        };
        let _ = writeln!(objects, "  o{number}: {{{said}}}");
        let _ = writeln!(services, "  s{number}: {{<<: *base, {used}}}");
    }
    format!(
        "name: {stack}\nx-base: &base {{image: '{image}', x-evenkeel: {{gate: {{stable_for: 0s}}}}}}\n\
         services:\n{services}networks:\n{networks}volumes:\n{volumes}"
    )
}

/// The API from which on a container can't outlive its first network, so that a network isn't made anew under it.
const TIES: (u32, u32) = (1, 44);

/// The fields that a plan names of each network, whether it makes the network anew or is refused.
fn networks_named(stage: &Stage, rows: usize) -> Vec<Vec<String>> {
    let ran = stage.run("-f compose.yaml --json plan");
    let planned =
        ran.stdout.starts_with('{').then(|| super::named(&serde_json::from_str(&ran.stdout).unwrap()));
    let of = |number: usize| {
        let of_plan = planned.as_ref().and_then(|planned| planned.get(&format!("o{number}")));
        let said = ran.stderr.lines().find(|line| line.contains(&format!("network `o{number}` differs")));
        let refused = said.and_then(|line| line.split_once("is live: ")).map_or("", |(_, fields)| fields);
        let refused = refused.split(", ").filter_map(|field| field.split(' ').next());
        let refused = refused.filter(|field| !field.is_empty()).map(str::to_owned);
        match of_plan {
            Some((operation, fields)) => {
                assert_eq!(operation, "re-create");
                fields.iter().map(|(field, _)| field.clone()).collect()
            }
            None => refused.collect(),
        }
    };
    (0..rows).map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_value_of_a_network_or_volume_is_told_by_the_name_of_its_field() {
    let Some(stage) = Stage::new().await else { return };
    let api = super::stage::api(&stage).await;
    let rows: Vec<&Row> = ROWS.iter().filter(|row| api >= row.needs_api).collect();
    let subnets: Vec<String> = rows.iter().map(|_| unique_subnet()).collect();
    let write = |value: fn(&Row) -> &'static str| {
        fs::write(stage.path().join("compose.yaml"), manifest(&stage, &rows, &subnets, value)).unwrap();
    };
    write(|row| row.one);
    stage.apply().ends_with(0);
    stage.apply().ends_with(0).says("nothing to do");
    let folder = stage.path().join("state");
    fs::rename(&folder, stage.path().join("aside")).unwrap();
    let plan = stage.run("-f compose.yaml --json plan").ends_with(0).json();
    assert!(super::named(&plan).is_empty(), "nothing but the host is needed to compare: {plan:#}");
    fs::rename(stage.path().join("aside"), &folder).unwrap();

    write(|row| if row.kind == "volume" { row.two } else { row.one });
    let refused = stage.run("-f compose.yaml plan").ends_with(1).stderr;
    let mut faults = Vec::new();
    for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.kind == "volume") {
        let said = refused.lines().find(|line| line.contains(&format!("volume `o{number}` differs")));
        let fields = said.and_then(|line| line.split_once("is live: ")).map_or("", |(_, fields)| fields);
        if !fields.starts_with(&format!("{} ", row.field)) || fields.contains(", ") {
            faults.push(format!("`{}` of a volume: {said:?}", row.field));
        }
    }
    // What a network was told and no longer is: the daemon can't tell it from what it chose itself.
    write(|row| if row.is_lost() { "IPAM" } else { row.one });
    let lost = networks_named(&stage, rows.len());
    write(|row| if row.kind == "network" { row.two } else { row.one });
    let changed = networks_named(&stage, rows.len());
    for (number, row) in rows.iter().enumerate().filter(|(_, row)| row.kind == "network") {
        if lost[number].contains(&row.field.to_owned()) != row.is_lost() {
            faults.push(format!("`{}` no longer said: {:?}", row.field, lost[number]));
        }
        if changed[number] != [row.field] {
            faults.push(format!("`{}` of a network: {:?}", row.field, changed[number]));
        }
    }
    assert!(faults.is_empty(), "{}\n{refused}", faults.join("\n"));

    if api < TIES {
        // Nobody is restarted for it.
        let ids = async || stage.containers().await.into_iter().map(|of| (of.id, of.state.started_at));
        let before: Vec<_> = ids().await.collect();
        write(|row| if row.is_made() { row.two } else { row.one });
        stage.apply().ends_with(0);
        stage.apply().ends_with(0).says("nothing to do");
        assert_eq!(ids().await.collect::<Vec<_>>(), before);
    }
    tell(&format!("{} fields of networks and volumes", rows.len()));
}

#[test]
fn every_honoured_key_of_a_network_or_volume_is_written_in_a_row() {
    for (kind, group) in [("network", "networks"), ("volume", "volumes")] {
        let mut written = std::collections::BTreeSet::new();
        for row in ROWS.iter().filter(|row| row.kind == kind) {
            for text in [row.one, row.two] {
                let text = format!("{{{}}}", text.replace(", IPAM", "").replace("IPAM", ""));
                count::walk(&serde_yaml::from_str(&text).unwrap(), "", &mut written);
            }
        }
        let honoured = count::honoured(&format!("{group}.*"));
        let missing: Vec<_> = honoured
            .iter()
            .filter(|key| !written.contains(*key) && !KEYS_APART.contains(&format!("{group}.{key}").as_str()))
            .collect();
        assert!(missing.is_empty(), "no row of a {kind} writes: {missing:?}");
    }
}
