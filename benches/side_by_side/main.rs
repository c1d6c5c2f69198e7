//! Evenkeel beside bare API calls and beside Docker Compose, in one run on one machine, printed as ratios.
//!
//! ```sh
//! cargo bench --bench side_by_side                      # everything, with 20 services
//! cargo bench --bench side_by_side -- apply outage      # some of: apply, nothing, changed, health, outage, rollback, drift, rest
//! EVENKEEL_BENCH_SERVICES=100 cargo bench --bench side_by_side      # the size that the budgets speak of
//! EVENKEEL_BENCH_COMPOSE=/path/to/docker-compose cargo bench --bench side_by_side
//! ```
//!
//! Every measure runs several times and the median counts. All that it makes bears the names `ek-bench…` and is removed.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a program of its own that prints what it measured"
)]

use std::path::PathBuf;
use std::time::Duration;

use evenkeel::engine::{Engine, docker, stand_in};

use host::Host;

mod client;
mod host;
mod replacing;
mod rest;
mod sizes;

const ROUNDS: usize = 3;

/// A measure, by the name that selects it.
type Measure = (&'static str, fn(&Bench));

const MEASURES: [Measure; 8] = [
    ("apply", sizes::first_apply),
    ("nothing", sizes::nothing_to_do),
    ("changed", sizes::changed),
    ("health", replacing::slow_health),
    ("outage", replacing::outage),
    ("rollback", replacing::rollback),
    ("drift", replacing::drift),
    ("rest", rest::at_rest),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // `cargo test` builds benches too and runs them with `--test`.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let number = std::env::var("EVENKEEL_BENCH_SERVICES").ok();
    let services = number.and_then(|text| text.parse().ok()).unwrap_or(20);
    let Ok(engine) = runtime.block_on(docker::Docker::connect(None)) else {
        println!("no Docker answers: nothing is measured");
        return;
    };
    let image = stand_in::reference();
    if runtime.block_on(engine.inspect_image(stand_in::IMAGE)).unwrap().is_none() {
        let layer = stand_in::layer().expect("the stand-in was built");
        runtime.block_on(engine.import_image(&image, layer, &stand_in::config())).unwrap();
    }
    let bench = Bench { host: Host::new(runtime), services, compose: host::compose() };
    println!("{services} services, median of {ROUNDS} rounds\n");
    for (name, measure) in MEASURES {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            measure(&bench);
        }
    }
}

struct Bench {
    host: Host,
    services: usize,
    compose: Option<PathBuf>,
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// Prints a measure. `others` are what it is compared with, each with the ratio that is the budget, if it has one.
fn report(what: &str, mut ours: Vec<Duration>, others: Vec<(&str, Option<f64>, Vec<Duration>)>) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let Some(ours) = median(&mut ours) else { return };
    println!("{what}\n  {:<34} {:>9.1} ms", "evenkeel", milliseconds(ours));
    for (name, budget, mut times) in others {
        let Some(other) = median(&mut times) else { continue };
        let ratio = ours.as_secs_f64() / other.as_secs_f64();
        let budget = budget.map(|budget| format!(" (budget {budget})")).unwrap_or_default();
        println!("  {name:<34} {:>9.1} ms   evenkeel takes {ratio:.2} of that{budget}", milliseconds(other));
    }
    println!();
}
