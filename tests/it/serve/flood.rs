//! A flood of large messages with wrong signatures: it must cost little memory, and keep nobody else waiting.
//!
//! `EVENKEEL_TEST_FLOOD=20 CARGO_PROFILE_TEST_OPT_LEVEL=2 cargo test --test it serve::flood -- --nocapture` floods for twenty
//! seconds and judges the memory. Without it, the flood lasts a second.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel::serve::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::hooks::tag;
use super::rig::{Door, request};

/// Requests a second.
const RATE: u32 = 500;
/// Senders at once at most.
const SENDERS: usize = 512;
/// What the memory of this process may grow by, client and all, in bytes.
const GROWTH: u64 = 50 << 20;

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "who asks with `--nocapture` sees the figures")]
async fn a_flood_costs_little_and_keeps_nobody_waiting() {
    let asked_for = std::env::var("EVENKEEL_TEST_FLOOD").ok().map(|seconds| seconds.parse::<u32>().unwrap());
    let seconds = asked_for.unwrap_or(1);
    let door = Door::with(Limits::default());
    let wrong = format!("X-Hub-Signature-256: sha256={}", tag("something else"));
    let message: Arc<str> = request("POST /hooks/forge", &[&wrong], &"x".repeat(1 << 20)).into();
    let (before, mut most, mut slowest) = (resident(), 0, Duration::ZERO);
    let (answers, address) = (Arc::new(AtomicU64::new(0)), door.address());
    let mut senders = JoinSet::new();
    let mut tick = interval(Duration::from_secs(1) / RATE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started = Instant::now();
    for number in 0..RATE * seconds {
        tick.tick().await;
        let (message, answers) = (Arc::clone(&message), Arc::clone(&answers));
        senders.spawn(async move {
            let Ok(mut stream) = TcpStream::connect(address).await else { return };
            let _ = stream.write_all(message.as_bytes()).await;
            let mut head = [0; 12];
            if stream.read_exact(&mut head).await.is_ok() {
                assert!([b"401", b"429", b"503"].iter().any(|status| head.ends_with(*status)), "{head:?}");
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
        if number % 50 == 0 {
            // Whoever operates the agent gets an answer meanwhile.
            let asked = Instant::now();
            let answer = timeout(Duration::from_secs(5), door.ask_by_socket("GET /v1/stacks", "")).await;
            assert_eq!(answer.expect("the operator waits").status, 200);
            slowest = slowest.max(asked.elapsed());
            most = most.max(resident());
        }
        while senders.len() >= SENDERS {
            // A slow machine floods more slowly; what waits here is memory of the client.
            senders.join_next().await.unwrap().unwrap();
        }
    }
    let rate = f64::from(RATE * seconds) / started.elapsed().as_secs_f64();
    let rest = async {
        while let Some(sent) = senders.join_next().await {
            sent.unwrap();
        }
    };
    timeout(Duration::from_secs(30), rest).await.expect("senders wait for ever");
    most = most.max(resident());
    let growth = most.saturating_sub(before);
    eprintln!(
        "{rate:.0} messages of 1 MiB a second for {seconds} s: {} answered, {} KiB more memory at most, the operator \
         waited {} ms at most",
        answers.load(Ordering::Relaxed),
        growth >> 10,
        slowest.as_millis()
    );
    // Without being asked for, this runs beside other tests, whose memory would count as well.
    assert!(asked_for.is_none() || growth < GROWTH, "{growth} bytes");
    assert_eq!(door.ask_by_socket("GET /readyz", "").await.status, 200);
}
