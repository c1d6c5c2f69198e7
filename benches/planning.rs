//! What a plan costs as a stack grows: a thousand services that run, and ten times as many, on the simulated engine.
//!
//! ```sh
//! cargo bench --bench planning
//! ```
//!
//! One plan is a look at the record and at the host, and the comparison of every field. The simulated engine answers at
//! once, so that what is measured is our own part; `side_by_side` measures the whole.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own that prints what it measured"
)]

use std::time::{Duration, Instant};

use evenkeel::apply::Outcome;
use evenkeel::engine::sim::{Sim, SimImage};

#[path = "../tests/it/apply/bench.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
mod bench;

use bench::{Bench, crowd, image_ref, stack};

const ROUNDS: usize = 5;
const SIZES: [u32; 2] = [1_000, 10_000];

fn main() {
    // `cargo test` builds benches too and runs them with `--test`.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    println!("planning services that run on the simulated engine, median of {ROUNDS} rounds\n");
    for what in [Change::Nothing, Change::One, Change::All] {
        let took = SIZES.map(|services| runtime.block_on(planned(services, what)));
        for (services, took) in SIZES.iter().zip(took) {
            println!("{services:>6} services, {:<12} {:>8.1} ms", what.words(), took.as_secs_f64() * 1e3);
        }
        let growth = took[1].as_secs_f64() / took[0].as_secs_f64() / f64::from(SIZES[1] / SIZES[0]);
        println!("  each of ten times as many takes {growth:.2} times as long (1 is linear)\n");
    }
}

/// How much of the stack is to be replaced.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    One,
    All,
}

impl Change {
    fn words(self) -> &'static str {
        match self {
            Self::Nothing => "unchanged",
            Self::One => "one changed",
            Self::All => "all changed",
        }
    }
}

async fn planned(services: u32, what: Change) -> Duration {
    let sim = Sim::new();
    sim.add_image(&image_ref("app:1"), SimImage::of("app"));
    let bench = Bench::on(sim, stack());
    let mut desired = crowd(services, "app:1");
    let outcome = bench.deploy(&desired).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    let changed = match what {
        Change::Nothing => 0,
        Change::One => 1,
        Change::All => usize::MAX,
    };
    for service in desired.services.values_mut().take(changed) {
        service.spec.working_dir = Some("/srv".to_owned());
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let plan = bench.plan(&desired).await;
        times.push(start.elapsed());
        assert_eq!(plan.is_empty(), changed == 0);
    }
    times.sort_unstable();
    times[ROUNDS / 2]
}
