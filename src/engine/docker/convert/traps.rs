//! Traps of reading a container, by their numbers in `tests/data/traps.md`: Docker says the same thing in several ways.

use bollard::models::ContainerInspectResponse;
use serde_json::{Value, json};

use super::inspect;
use crate::model::spec::{ContainerSpec, HealthTest, HostPort, Namespace, RestartPolicy, Swap};

const ID: &str = "3b1f0c5e9a7d3b1f0c5e9a7d3b1f0c5e9a7d3b1f0c5e9a7d3b1f0c5e9a7d3b1f";

/// Reads a container of which Docker says nothing but what must be there, and these parts.
fn read(config: &Value, host: &Value) -> ContainerSpec {
    let labels = json!({"evenkeel.stack": "s", "evenkeel.service": "web", "evenkeel.instance": "1", "evenkeel.deploy": "d1"});
    let mut answer = json!({
        "Id": ID, "Name": "/s-web-1", "Image": format!("sha256:{ID}"), "State": {},
        "Config": {"Image": "web:1", "Labels": labels}, "HostConfig": {},
    });
    for (part, more) in [("Config", config), ("HostConfig", host)] {
        for (key, value) in more.as_object().into_iter().flatten() {
            answer[part][key] = value.clone();
        }
    }
    let answer: ContainerInspectResponse = serde_json::from_value(answer).unwrap();
    inspect::container(answer).unwrap().spec
}

fn bare() -> ContainerSpec {
    read(&json!({}), &json!({}))
}

#[track_caller]
fn same(config: &Value, host: &Value) {
    assert_eq!(read(config, host), bare(), "{config} {host}");
}

#[test]
fn trap_14_and_47_nothing_is_said_in_many_ways() {
    let lists = [
        "Binds",
        "CapAdd",
        "CapDrop",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "ExtraHosts",
        "GroupAdd",
        "Links",
        "SecurityOpt",
        "Devices",
        "Ulimits",
        "Mounts",
        "DeviceCgroupRules",
        "BlkioWeightDevice",
    ];
    for list in lists {
        same(&json!({}), &json!({list: null}));
        same(&json!({}), &json!({list: []}));
    }
    for map in ["PortBindings", "Sysctls", "Tmpfs", "StorageOpt", "Annotations"] {
        same(&json!({}), &json!({map: null}));
        same(&json!({}), &json!({map: {}}));
    }
    for text in ["CgroupParent", "Runtime", "CpusetCpus", "PidMode", "UTSMode", "UsernsMode", "IpcMode"] {
        same(&json!({}), &json!({text: ""}));
    }
    for text in ["User", "WorkingDir", "Hostname", "Domainname", "StopSignal"] {
        same(&json!({text: ""}), &json!({}));
        same(&json!({text: null}), &json!({}));
    }
    for value in [json!(null), json!([])] {
        same(&json!({"Env": value}), &json!({}));
    }
    for value in [json!(null), json!({})] {
        same(&json!({"ExposedPorts": value, "Volumes": value}), &json!({}));
    }
}

#[test]
fn trap_17_and_23_to_25_limits_that_are_none_are_none() {
    for number in [
        "Memory",
        "MemorySwap",
        "MemoryReservation",
        "NanoCpus",
        "CpuShares",
        "CpuPeriod",
        "CpuQuota",
        "BlkioWeight",
        "PidsLimit",
    ] {
        same(&json!({}), &json!({number: 0}));
        same(&json!({}), &json!({number: null}));
    }
    same(&json!({}), &json!({"PidsLimit": -1}));
    same(&json!({}), &json!({"MemorySwappiness": -1}));
    for off in [json!(null), json!(false)] {
        same(&json!({}), &json!({"OomKillDisable": off}));
    }
    let unlimited = read(&json!({}), &json!({"MemorySwap": -1}));
    assert_eq!(unlimited.resources.memory_swap, Some(Swap::Unlimited));
}

#[test]
fn trap_21_a_restart_policy_has_a_count_only_on_failure() {
    for name in ["", "no"] {
        same(&json!({}), &json!({"RestartPolicy": {"Name": name, "MaximumRetryCount": 0}}));
    }
    for (count, expected) in [(0, None), (3, Some(3))] {
        let host = json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": count}});
        assert_eq!(read(&json!({}), &host).restart, RestartPolicy::OnFailure(expected));
    }
}

#[test]
fn trap_22_the_default_network_has_two_names() {
    for name in ["default", "bridge"] {
        let spec = read(&json!({}), &json!({"NetworkMode": name}));
        assert_eq!(spec.namespaces.network, Some(Namespace::Bridge));
    }
}

#[test]
fn trap_13_a_health_check_is_a_list_or_a_line_for_the_shell() {
    let test =
        |words: Value| read(&json!({"Healthcheck": {"Test": words}}), &json!({})).healthcheck.unwrap().test;
    assert!(matches!(test(json!(["CMD-SHELL", "exit 0"])), Some(HealthTest::Shell(_))));
    assert!(matches!(test(json!(["CMD", "exit", "0"])), Some(HealthTest::Exec(_))));
    assert_eq!(test(json!(["NONE"])), Some(HealthTest::Disabled));
    same(&json!({"Healthcheck": {}}), &json!({}));
    same(&json!({"Healthcheck": null}), &json!({}));
}

#[test]
fn trap_39_and_40_what_follows_from_privileges_or_from_the_client_is_not_read() {
    same(&json!({}), &json!({"MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"]}));
    same(
        &json!({"AttachStdout": true, "AttachStderr": true, "AttachStdin": false, "StdinOnce": false}),
        &json!({}),
    );
}

#[test]
fn trap_45_and_46_what_nobody_declares_is_noise() {
    same(
        &json!({}),
        &json!({"KernelMemory": 0, "KernelMemoryTCP": 0, "ConsoleSize": [24, 80], "Isolation": "", "VolumeDriver": "", "CpuCount": 0, "IOMaximumIOps": 0, "AutoRemove": false, "PublishAllPorts": false, "ContainerIDFile": ""}),
    );
}

#[test]
fn trap_43_a_further_host_is_written_with_a_colon_or_an_equals_sign() {
    let hosts = |lines: Value| read(&json!({}), &json!({"ExtraHosts": lines})).extra_hosts;
    let colon = hosts(json!(["a:10.0.0.1", "six:2001:db8::1", "me:host-gateway"]));
    assert_eq!(colon, hosts(json!(["me=host-gateway", "six=2001:db8::1", "a=10.0.0.1"])));
    assert!(colon.contains(&("six".to_owned(), "2001:db8::1".to_owned())));
}

#[test]
fn trap_61_to_63_a_port_is_read_as_it_was_asked_for() {
    let ports = |bindings: Value| read(&json!({}), &json!({"PortBindings": {"80/tcp": bindings}})).ports;
    for any in [json!([{"HostIp": "", "HostPort": ""}]), json!([{"HostPort": "0"}])] {
        assert_eq!(ports(any).into_iter().map(|port| port.host).collect::<Vec<_>>(), [HostPort::Any]);
    }
    // A port of older engines with an empty list is no port that is published.
    for none in [json!(null), json!([])] {
        assert_eq!(ports(none).len(), 0);
    }
}
