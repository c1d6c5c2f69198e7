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
pub struct Names(Vec<(&'static str, String)>);

impl Names {
    fn of(stage: &Stage, image: &TestImage) -> Self {
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
        let ports = ["PORT1", "PORT2", "PORT3", "PORT4", "PORT5", "PORT6", "PORT7"];
        names.extend(ports.map(|word| (word, unique_port().to_string())));
        Self(names)
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
#[derive(Clone, Copy)]
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
        for name in ["one", "two"] {
            fs::write(self.stage.path().join(name), name).unwrap();
        }
        let mut services = String::new();
        for (service, row) in &self.by_service {
            let Row { with, one, two, last, on_network, .. } = row;
            let value = match moment {
                Moment::One => one,
                Moment::Two => two,
                Moment::Last => last,
            };
            let base = if *on_network { "*base" } else { "*quiet" };
            let parts: Vec<String> = [&format!("<<: {base}") as &str, with, value]
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|part| self.names.fill(part))
                .collect();
            let _ = writeln!(services, "  {service}: {{{}}}", parts.join(", "));
        }
        let text = FRAME.replace("SERVICES", &services);
        fs::write(self.stage.path().join("compose.yaml"), self.names.fill(&text)).unwrap();
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
        self.stage.run("-f compose.yaml --json plan").ends_with(0).json()
    }

    /// What would be to be done if nobody knew what was applied.
    #[track_caller]
    pub fn plan_without_record(&self) -> Value {
        let state = self.stage.path().join("state");
        let aside = self.stage.path().join("state-aside");
        fs::create_dir(&aside).unwrap();
        // The key of digests, and what was laid down under its names, belong to the host.
        let ledger: Vec<_> = fs::read_dir(&state)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with("ledger"))
            .collect();
        assert!(!ledger.is_empty());
        for name in &ledger {
            fs::rename(state.join(name), aside.join(name)).unwrap();
        }
        let plan = self.plan();
        for name in &ledger {
            fs::rename(aside.join(name), state.join(name)).unwrap();
        }
        plan
    }
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

fn has(needs: Needs, api: (u32, u32), info: &SystemInfo) -> bool {
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
