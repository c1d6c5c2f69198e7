//! Devices, both ways.

use bollard::models::{DeviceMapping, DeviceRequest as ApiRequest, HostConfig};

use super::{filled, sorted};
use crate::model::spec::{Device, DeviceRequest, Devices};

/// Says `devices` in `host`.
pub(super) fn to_api(devices: &Devices, host: &mut HostConfig) {
    let Devices { paths, rules, requests } = devices;
    let mapping = |(target, device): (&String, &Device)| DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(target.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    };
    host.devices = Some(paths.iter().map(mapping).collect());
    host.device_cgroup_rules = Some(rules.iter().cloned().collect());
    host.device_requests = Some(requests.iter().map(request).collect());
}

fn request(request: &DeviceRequest) -> ApiRequest {
    let DeviceRequest { driver, count, ids, capabilities, options } = request;
    ApiRequest {
        driver: driver.clone(),
        count: Some(*count),
        device_ids: Some(ids.iter().cloned().collect()),
        capabilities: Some(vec![capabilities.iter().cloned().collect()]),
        options: Some(options.clone().into_iter().collect()),
    }
}

/// Reads the devices of a container.
pub(super) fn from_api(host: &HostConfig) -> Devices {
    let mapping = |mapping: &DeviceMapping| {
        let source = mapping.path_on_host.clone()?;
        let target = filled(mapping.path_in_container.clone()).unwrap_or_else(|| source.clone());
        let permissions = filled(mapping.cgroup_permissions.clone()).unwrap_or_else(|| "rwm".to_owned());
        Some((target, Device { source, permissions }))
    };
    let requested = |request: &ApiRequest| DeviceRequest {
        driver: filled(request.driver.clone()),
        count: request.count.unwrap_or_default(),
        ids: request.device_ids.iter().flatten().cloned().collect(),
        capabilities: request.capabilities.iter().flatten().flatten().cloned().collect(),
        options: sorted(request.options.clone()),
    };
    Devices {
        paths: host.devices.iter().flatten().filter_map(mapping).collect(),
        rules: host.device_cgroup_rules.iter().flatten().cloned().collect(),
        requests: host.device_requests.iter().flatten().map(requested).collect(),
    }
}
