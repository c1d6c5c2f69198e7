//! What an agent takes while nothing happens: memory, and the time of a core.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use evenkeel::engine::stand_in;

use crate::Bench;
use crate::replacing::{agent, running};

/// So long it is watched: a minute of rest has one look at the branch, and every fifth one a look at everything.
const WATCHED: Duration = Duration::from_secs(5 * 60 + 30);

pub fn at_rest(bench: &Bench) {
    let project = bench.host.project();
    let mut services = String::new();
    for at in 0..bench.services {
        let _ = write!(
            services,
            "  s{at}:\n    image: {}\n    x-evenkeel: {{gate: {{stable_for: 0s}}}}\n",
            stand_in::IMAGE
        );
    }
    let mut process = agent(&project, &services);
    let start = Instant::now();
    while running(&project).len() < bench.services {
        assert!(start.elapsed() < Duration::from_secs(300), "not all run");
        std::thread::sleep(Duration::from_millis(200));
    }
    // What the deploy has left to do is no rest.
    std::thread::sleep(Duration::from_secs(20));
    let before = used(&process);
    std::thread::sleep(WATCHED);
    let core = used(&process).saturating_sub(before).as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    println!("an agent of {} containers at rest, over {} s", bench.services, WATCHED.as_secs());
    println!("  {:<34} {:>9.1} MiB (budget 20)", "resident", resident(&process));
    println!("  {:<34} {core:>9.3} % (budget 0.1)\n", "of a core");
    process.kill().unwrap();
    process.wait().unwrap();
}

/// The time that a process has had on a core.
fn used(process: &Child) -> Duration {
    let text =
        std::fs::read_to_string(Path::new("/proc").join(process.id().to_string()).join("stat")).unwrap();
    // The name is in parentheses and may hold anything; user and system time are the 14th and 15th field.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // A tick is a hundredth of a second on every Linux that Docker runs on.
    Duration::from_millis(ticks * 10)
}

/// What a process has in memory, in MiB.
fn resident(process: &Child) -> f64 {
    let text =
        std::fs::read_to_string(Path::new("/proc").join(process.id().to_string()).join("status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
