//! Whether memory and disk stay as they are over ten thousand deploys, on the simulated engine with a ledger on the disk.
//!
//! ```sh
//! cargo bench --bench memory
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own that prints what it measured"
)]

use std::fs;

use evenkeel::apply::machine::{Machine, Order};
use evenkeel::apply::progress::Silent;
use evenkeel::apply::registry::Registries;
use evenkeel::apply::{Host, Outcome};
use evenkeel::engine::sim::{Sim, SimImage};
use tokio_util::sync::CancellationToken;

#[path = "../tests/it/apply/bench.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
mod bench;

use bench::{Nobody, crowd, image_ref};

const DEPLOYS: u32 = 10_000;
const SERVICES: u32 = 5;

fn main() {
    // `cargo test` builds benches too and runs them with `--test`.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(deploys());
}

async fn deploys() {
    let sim = Sim::new();
    sim.add_image(&image_ref("app:1"), SimImage::of("app"));
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::open(sim, folder.path(), Host::Other).unwrap().with_prober(Box::new(Nobody));
    println!("{DEPLOYS} deploys of {SERVICES} services, each of which changes one");
    for number in 0..DEPLOYS {
        let mut desired = crowd(SERVICES, "app:1");
        let changed = (number % SERVICES) as usize;
        let service = desired.services.values_mut().nth(changed).unwrap();
        service.spec.working_dir = Some(format!("/srv/{number}"));
        let stop = CancellationToken::new();
        let order = Order {
            desired: &desired,
            expected: None,
            accepted: None,
            registries: Registries::Leave,
            trigger: "push",
            actor: "bench",
            progress: &Silent,
            stop: &stop,
        };
        let (_, outcome) = machine.deploy(order).await.unwrap();
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        machine.engine().forget_calls();
        if (number + 1) % (DEPLOYS / 10) == 0 {
            let files =
                fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
            println!(
                "{:>6} deploys  {:>7} KB resident  {:>7} KB on the disk",
                number + 1,
                resident(),
                files.sum::<u64>() >> 10
            );
        }
    }
}

/// The memory of this process that is really there, in KB.
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "?".to_owned(), |line| line.trim().trim_end_matches(" kB").to_owned())
}
