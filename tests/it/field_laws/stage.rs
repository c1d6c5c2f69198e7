//! The stack whose services are the rows, and the names that a run chooses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bollard::models::SystemInfo;
use evenkeel::engine::Engine;
use serde_json::Value;

use super::row::{Feature, Needs, Row};
use super::table;
use crate::common::docker::{client, tell};
use crate::common::image::TestImage;
use crate::common::names::{unique_port, unique_subnet};
use crate::docker::Stage;

/// What the words in capitals of the table stand for.
#[derive(Clone)]
pub struct Names(Vec<(&'static str, String)>);

/// The words that stand for a free port of the host.
const PORTS: [&str; 7] = ["PORT1", "PORT2", "PORT3", "PORT4", "PORT5", "PORT6", "PORT7"];

impl Names {
    pub fn of(stage: &Stage, image: &TestImage) -> Self {
        let disk = fs::read_to_string("/proc/partitions").unwrap_or_default();
        let disk = disk.lines().skip(2).find_map(|line| line.split_whitespace().last());
        let folder = stage.path().join("bound");
        fs::create_dir_all(&folder).unwrap();
        let mut names = vec![
            ("STACK", stage.stack.to_string()),
            ("THIS", image.reference.to_string()),
            ("OTHER", stage.image.clone()),
            ("SUBNET", unique_subnet()),
            ("FRONT", unique_subnet()),
            ("SIX4", unique_subnet()),
            ("SIX", format!("fd00:e4:{:x}", unique_port())),
            ("DISK", format!("/dev/{}", disk.unwrap_or("null"))),
            ("FOLDER", folder.display().to_string()),
            ("CHECK", "test: [CMD, /fixture, probe]".to_owned()),
        ];
        names.extend(PORTS.map(|word| (word, unique_port().to_string())));
        Self(names)
    }

    /// Names of things that need not be there.
    pub fn on_paper() -> Self {
        let names = [
            ("STACK", "stack"),
            ("THIS", "this:1"),
            ("OTHER", "other:1"),
            ("SUBNET", "10.1.1."),
            ("FRONT", "10.1.2."),
            ("SIX4", "10.1.3."),
            ("SIX", "fd00:e4:1"),
            ("DISK", "/dev/vda"),
            ("FOLDER", "/bound"),
            ("CHECK", "test: [CMD, /fixture, probe]"),
        ];
        let ports = PORTS.into_iter().zip(20_001_u16..).map(|(word, port)| (word, port.to_string()));
        Self(names.map(|(word, name)| (word, name.to_owned())).into_iter().chain(ports).collect())
    }

    /// The same for one service of several that say the same rows: ports and names are its own. `text` is all that it
    /// says.
    pub fn of_service(&self, service: &str, text: &str) -> Self {
        let stack = self.get("STACK");
        let own = [("STACK-one", "one"), ("STACK-two", "two")]
            .map(|(word, end)| (word, format!("{stack}-{service}-{end}")));
        let ports = PORTS
            .into_iter()
            .filter(|word| text.contains(word))
            .map(|word| (word, unique_port().to_string()));
        Self(own.into_iter().chain(ports).chain(self.0.iter().cloned()).collect())
    }

    /// `text` with everything that stands for something else replaced.
    pub fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (word, name)| text.replace(word, name))
    }

    pub fn get(&self, word: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == word).map_or("", |(_, name)| name)
    }
}

/// Which value of each row the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    One,
    Two,
    Last,
}

/// A stack with a service for every row that this host can have.
pub struct Rows {
    pub stage: Stage,
    pub names: Names,
    pub by_service: BTreeMap<String, Row>,
    pub server: String,
}

impl Rows {
    /// The rows, if there is a Docker.
    pub async fn new() -> Option<Self> {
        let stage = Stage::new().await?;
        let image = TestImage::telling();
        image.ensure(&stage.docker).await;
        let server = stage.docker.server().await.unwrap();
        let info = client().await.unwrap().info().await.unwrap();
        let api = api(&stage).await;
        let wanted = std::env::var("EVENKEEL_TEST_FIELDS").unwrap_or_default();
        let mut rows = BTreeMap::new();
        for (number, row) in table::rows().enumerate().filter(|(_, row)| row.field.contains(&wanted)) {
            if has(row.needs, api, &info) {
                rows.insert(format!("r{number:03}"), *row);
            } else {
                tell(&format!("`{}` is passed by: this host doesn't have it", row.field));
            }
        }
        let names = Names::of(&stage, &image);
        Some(Self {
            names,
            by_service: rows,
            server: format!("{} (API {})", server.name, server.api_version),
            stage,
        })
    }

    /// Writes the manifest as it is at `moment`.
    pub fn write(&self, moment: Moment) {
        let mut services = String::new();
        for (service, row) in &self.by_service {
            let Row { with, on_network, .. } = row;
            let value = &row.at(moment);
            let base = if *on_network { "*base" } else { "*quiet" };
            let parts: Vec<String> = [&format!("<<: {base}") as &str, with, value]
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|part| self.names.fill(part))
                .collect();
            let _ = writeln!(services, "  {service}: {{{}}}", parts.join(", "));
        }
        write(&self.stage, &manifest(&services, &self.names));
    }

    /// Deploys the manifest as it is at `moment`.
    #[track_caller]
    pub fn apply(&self, moment: Moment) {
        self.write(moment);
        let began = std::time::Instant::now();
        self.stage.apply().ends_with(0);
        tell(&format!("applied in {:?}", began.elapsed()));
    }

    /// What is to be done.
    #[track_caller]
    pub fn plan(&self) -> Value {
        plan(&self.stage)
    }

    /// What would be to be done if nobody knew what was applied.
    #[track_caller]
    pub fn plan_without_record(&self) -> Value {
        plan_without_record(&self.stage)
    }
}

/// The manifest with these services, which are entries of YAML.
pub fn manifest(services: &str, names: &Names) -> String {
    names.fill(FRAME).replace("SERVICES", services)
}

/// Lays out a stage: the manifest, and the files that it speaks of.
pub fn write(stage: &Stage, manifest: &str) {
    for name in ["one", "two"] {
        fs::write(stage.path().join(name), name).unwrap();
    }
    fs::write(stage.path().join("compose.yaml"), manifest).unwrap();
}

/// What is to be done.
#[track_caller]
pub fn plan(stage: &Stage) -> Value {
    stage.run("-f compose.yaml --json plan").ends_with(0).json()
}

/// What would be to be done if nobody knew what was applied.
#[track_caller]
pub fn plan_without_record(stage: &Stage) -> Value {
    let folder = stage.path().join("state");
    let aside = stage.path().join("state-aside");
    fs::create_dir_all(&aside).unwrap();
    // The key of digests, and what was laid down under its names, belong to the host.
    let ledger: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with("ledger"))
        .collect();
    assert!(!ledger.is_empty());
    for name in &ledger {
        fs::rename(folder.join(name), aside.join(name)).unwrap();
    }
    let plan = plan(stage);
    for name in &ledger {
        fs::rename(aside.join(name), folder.join(name)).unwrap();
    }
    plan
}

/// The version of the API in use.
pub async fn api(stage: &Stage) -> (u32, u32) {
    let version = stage.docker.server().await.unwrap().api_version;
    let (major, minor) = version.split_once('.').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

const FRAME: &str = "name: STACK
x-base: &base {image: 'THIS', x-evenkeel: {gate: {stable_for: 0s}}}
x-quiet: &quiet {<<: *base, network_mode: none}
services:
  donor: {<<: *base, volumes: ['data:/data', 'more:/more']}
SERVICESnetworks:
  default: {ipam: {config: [{subnet: SUBNET0/24, ip_range: SUBNET0/25}]}}
  front: {ipam: {config: [{subnet: FRONT0/24}]}}
  six: {enable_ipv6: true, ipam: {config: [{subnet: SIX40/24}, {subnet: 'SIX::/64'}]}}
volumes: {data: {}, more: {}}
configs: {one: {content: one}, two: {content: two}}
secrets: {one: {file: ./one}, two: {file: ./two}}
";

/// Whether a host has what a row needs.
pub fn has(needs: Needs, api: (u32, u32), info: &SystemInfo) -> bool {
    let yes = |value: Option<bool>| value == Some(true);
    let all_capabilities = || {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t"));
        let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
        let all = last.trim().parse::<u32>().map(|last| (2u64 << last) - 1);
        bounds.and_then(|bounds| u64::from_str_radix(bounds, 16).ok()) == all.ok()
    };
    let is_there = |path: &str| Path::new("/sys/fs/cgroup").join(path).exists();
    match needs {
        Needs::Nothing => true,
        Needs::Api(major, minor) => api >= (major, minor),
        Needs::Kernel(Feature::SwapLimit) => yes(info.swap_limit),
        Needs::Kernel(Feature::OomKillDisable) => yes(info.oom_kill_disable),
        Needs::Kernel(Feature::CpuSets) => yes(info.cpu_set) && info.ncpu.is_some_and(|count| count > 1),
        Needs::Kernel(Feature::FirstVersion) => format!("{:?}", info.cgroup_version).contains('1'),
        Needs::Kernel(Feature::AllCapabilities) => all_capabilities(),
        // The engine tells of these only when it is asked for them.
        Needs::Kernel(Feature::RealTime) => {
            let budget = fs::read_to_string("/sys/fs/cgroup/cpu/docker/cpu.rt_runtime_us");
            budget.is_ok_and(|budget| budget.trim() != "0")
        }
        Needs::Kernel(Feature::BlockWeight) => {
            is_there("blkio/blkio.weight") || is_there("system.slice/io.weight")
        }
    }
}
