//! Tables of what is seen and what is to be made of it.

use proptest::prelude::*;

use super::*;
use crate::model::desired::{ExecProbe, HttpProbe, LogProbe, Probe};
use crate::model::spec::{ContainerPort, HostPort, Protocol};
use crate::model::text::Text;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn seen(since_start: Duration, status: Status) -> Seen {
    Seen {
        since_start,
        since_progress: since_start,
        status: Some(status),
        running_for: since_start,
        restarts: 0,
        health: None,
        health_output: String::new(),
        check: Probed::NotYet,
        probes: Vec::new(),
        unbound: Vec::new(),
        ports: Probed::NotYet,
    }
}

fn running(since_start: Duration) -> Seen {
    seen(since_start, Status::Running)
}

fn check() -> Healthcheck {
    Healthcheck {
        test: Some(HealthTest::Exec(vec![Text::plain("true")])),
        interval: Some(seconds(5)),
        timeout: Some(seconds(1)),
        start_period: Some(seconds(10)),
        retries: Some(2),
        ..Healthcheck::default()
    }
}

fn asking(probes: Vec<Probe>) -> Gate {
    Gate { probes, ..Gate::default() }
}

fn http() -> Gate {
    asking(vec![Probe::Http(HttpProbe::get(8000, "/health"))])
}

fn waiting_for(verdict: Verdict) -> String {
    match verdict {
        Verdict::Waiting(waiting) => waiting.to_string(),
        Verdict::Passed => "passed".into(),
        Verdict::Failed(failure) => format!("failed: {failure}"),
    }
}

#[test]
fn without_any_check_it_must_run_for_two_seconds() {
    let judged = |seen| waiting_for(judge(&Gate::default(), None, &seen));
    assert_eq!(judged(running(seconds(1))), "2 s without a restart");
    assert_eq!(judged(running(seconds(2))), "passed");
    assert_eq!(judged(Seen { running_for: seconds(1), ..running(seconds(60)) }), "2 s without a restart");
}

#[test]
fn a_disabled_check_is_none() {
    let disabled = Healthcheck { test: Some(HealthTest::Disabled), ..check() };
    assert_eq!(waiting_for(judge(&Gate::default(), Some(&disabled), &running(seconds(2)))), "passed");
}

#[test]
fn terminal_states_fail_at_once() {
    let judged = |seen| waiting_for(judge(&Gate::default(), Some(&check()), &seen));
    let exited = |code, out_of_memory| seen(seconds(0), Status::Exited { code, out_of_memory });
    assert_eq!(judged(exited(1, false)), "failed: its process exited with 1");
    assert_eq!(judged(exited(0, false)), "failed: its process exited with 0");
    assert_eq!(
        judged(exited(137, true)),
        "failed: its process exited with 137: it was killed for want of memory"
    );
    assert_eq!(judged(seen(seconds(0), Status::Dead)), "failed: it is dead");
    let restarted = "failed: it was restarted while it was to become ready";
    assert_eq!(judged(seen(seconds(0), Status::Restarting)), restarted);
    assert_eq!(judged(Seen { restarts: 1, ..running(seconds(0)) }), restarted);
    let gone = Seen { status: None, ..running(seconds(0)) };
    assert_eq!(judged(gone), "failed: it was removed while it was to become ready");
}

#[test]
fn a_good_probe_counts_whoever_made_it() {
    let judged = |seen| waiting_for(judge(&Gate::default(), Some(&check()), &seen));
    assert_eq!(judged(running(seconds(0))), "its health check");
    assert_eq!(judged(Seen { check: Probed::Passed, ..running(seconds(0)) }), "passed");
    assert_eq!(judged(Seen { health: Some(Health::Healthy), ..running(seconds(0)) }), "passed");
    let bad = Probed::Failed("refused".into());
    let unhealthy = Seen { health: Some(Health::Unhealthy), check: bad.clone(), ..running(seconds(1)) };
    assert_eq!(judged(unhealthy), "failed: it is unhealthy, at last: refused");
    assert_eq!(judged(Seen { check: bad, ..running(seconds(21)) }), "its health check");
    let by_docker =
        Seen { health: Some(Health::Unhealthy), health_output: "no route".into(), ..running(seconds(1)) };
    assert_eq!(judged(by_docker), "failed: it is unhealthy, at last: no route");
}

#[test]
fn the_budget_of_the_health_check_is_respected() {
    let late = |seconds_| Seen { check: Probed::Failed("refused".into()), ..running(seconds(seconds_)) };
    let judged = |gate: &Gate, seen| waiting_for(judge(gate, Some(&check()), &seen));
    // 10 s to start, then twice 5 s between probes and 1 s for each.
    let failure = "failed: its health check did not pass within 22 s, at last: refused";
    assert_eq!(judged(&Gate::default(), late(22)), failure);
    let short = Gate { deadline: Some(seconds(3)), ..Gate::default() };
    assert_eq!(
        judged(&short, late(3)),
        "failed: still waiting for its health check after 3 s, at last: refused"
    );
}

#[test]
fn docker_defaults_stand_where_a_check_says_nothing() {
    let bare = Healthcheck { interval: None, timeout: None, start_period: None, retries: None, ..check() };
    assert_eq!(budget(Some(&bare)), Some(seconds(180)));
    assert_eq!(probe_timeout(Some(&bare)), seconds(30));
}

#[test]
fn all_parts_must_hold() {
    let more = vec![
        Probe::Tcp(5432),
        Probe::Exec(ExecProbe { command: vec!["redis-cli".into(), "ping".into()], within: None }),
        Probe::Log(LogProbe::Line("ready".into())),
    ];
    let probes = http().probes.into_iter().chain(more).collect();
    let gate = Gate { stable_for: Some(seconds(4)), ..asking(probes) };
    let mut seen = running(seconds(1));
    let judged = |seen: &Seen| waiting_for(judge(&gate, Some(&check()), seen));
    assert_eq!(judged(&seen), "its health check");
    seen.check = Probed::Passed;
    for waited in ["http :8000/health", "port 5432", "the command redis-cli", "the log line `ready`"] {
        assert_eq!(judged(&seen), waited);
        seen.probes.push(Probed::Passed);
    }
    assert_eq!(judged(&seen), "4 s without a restart");
    seen.running_for = seconds(4);
    seen.ports = Probed::Failed("refused".into());
    assert_eq!(judged(&seen), "its published ports");
    seen.ports = Probed::NotYet;
    assert_eq!(judged(&seen), "passed");
    seen.ports = Probed::Passed;
    assert_eq!(judged(&seen), "passed");
}

#[test]
fn a_port_that_is_not_bound_fails_soon() {
    let container = ContainerPort { number: 80, protocol: Protocol::Udp };
    let port = PublishedPort { container, host_ip: None, host: HostPort::One(8080) };
    let missing = |since| Seen { unbound: vec![port.clone()], check: Probed::Passed, ..running(since) };
    let judged = |since| waiting_for(judge(&Gate::default(), Some(&check()), &missing(since)));
    assert_eq!(judged(seconds(1)), "its published ports");
    let before = Gate { ports: Ports::AsBefore, ..Gate::default() };
    assert_eq!(judge(&before, Some(&check()), &missing(seconds(9))), Verdict::Passed);
    assert_eq!(
        judged(seconds(2)),
        "failed: Docker has not bound 8080:80/udp: is it only in networks that are `internal` or publish nothing?"
    );
}

#[test]
fn progress_gives_the_deadline_anew_but_not_for_ever() {
    let gate = Gate { deadline: Some(seconds(60)), ..http() };
    let refused = vec![Probed::Failed("refused".into())];
    let judged = |since_start, since_progress| {
        let seen = Seen {
            since_progress: seconds(since_progress),
            probes: refused.clone(),
            ..running(seconds(since_start))
        };
        waiting_for(judge(&gate, None, &seen))
    };
    assert_eq!(judged(59, 59), "http :8000/health");
    let silent = "failed: still waiting for http :8000/health after 60 s, at last: refused";
    assert_eq!(judged(60, 60), silent);
    assert_eq!(judged(90, 30), "http :8000/health");
    assert_eq!(judged(90, 60), silent);
    let endless = "failed: still waiting for http :8000/health after 180 s in all, at last: refused";
    assert_eq!(judged(180, 1), endless);
}

#[test]
fn a_health_check_that_gives_longer_to_start_is_taken_at_its_word() {
    let slow = Healthcheck { start_period: Some(seconds(900)), interval: Some(seconds(3600)), ..check() };
    assert_eq!(deadline(&Gate::default(), Some(&slow)), seconds(900));
    assert_eq!(deadline(&Gate::default(), Some(&check())), DEADLINE);
    assert_eq!(deadline(&Gate { deadline: Some(seconds(60)), ..Gate::default() }, Some(&slow)), seconds(60));
    let disabled = Healthcheck { test: Some(HealthTest::Disabled), ..slow };
    assert_eq!(deadline(&Gate::default(), Some(&disabled)), DEADLINE);
}

#[test]
fn what_is_progress_is_said_once() {
    let created = seen(seconds(0), Status::Created);
    let up = running(seconds(0));
    let steps = [
        created.clone(),
        up.clone(),
        Seen { check: Probed::Passed, ..up.clone() },
        Seen { check: Probed::Passed, probes: vec![Probed::NotYet, Probed::Passed], ..up.clone() },
        Seen { check: Probed::Passed, probes: vec![Probed::Passed, Probed::Passed], ..up.clone() },
    ];
    let reached: Vec<usize> = steps.iter().map(progress).collect();
    assert_eq!(reached, [0, 1, 2, 3, 4]);
    let none = Seen {
        check: Probed::Failed("other words".into()),
        health: Some(Health::Starting),
        health_output: "more output".into(),
        probes: vec![Probed::Failed("503".into())],
        ..up
    };
    assert_eq!(progress(&none), 1);
}

#[test]
fn a_task_passes_when_it_ended_well() {
    let gate = Gate { expect: Expect::Completed, ..Gate::default() };
    let judged = |seen| waiting_for(judge(&gate, None, &seen));
    let exited = |code| seen(seconds(1), Status::Exited { code, out_of_memory: false });
    assert_eq!(judged(running(seconds(9))), "it to complete");
    assert_eq!(judged(exited(0)), "passed");
    assert_eq!(judged(exited(3)), "failed: its process exited with 3");
    assert_eq!(judged(running(seconds(300))), "failed: still waiting for it to complete after 300 s");
}

#[test]
fn every_wait_ends() {
    let gates = [Gate::default(), http(), asking(vec![Probe::Tcp(1)])];
    for gate in gates {
        for status in [Status::Created, Status::Paused, Status::Running] {
            let seen = Seen { running_for: Duration::ZERO, ..seen(DEADLINE, status) };
            let verdict = judge(&gate, None, &seen);
            assert!(matches!(verdict, Verdict::Failed(GateFailure::Deadline { .. })), "{verdict:?}");
        }
    }
}

fn any_probed() -> impl Strategy<Value = Probed> {
    prop_oneof![Just(Probed::NotYet), Just(Probed::Passed), "[a-z]{0,5}".prop_map(Probed::Failed),]
}

proptest! {
    /// Whatever is answered, the longest time of a gate is its end.
    #[test]
    fn a_gate_ends_by_its_limit(
        answers in proptest::collection::vec(any_probed(), 0..4),
        check in any_probed(),
        ports in any_probed(),
        deadline in 1_u64..1_000,
        progress in 0_u64..3_000,
        stable in proptest::option::of(0_u64..10_000),
    ) {
        let probes = answers.iter().enumerate().map(|(at, _)| Probe::Tcp(u16::try_from(at).unwrap() + 1)).collect();
        let stable_for = stable.map(seconds);
        let gate = Gate { deadline: Some(seconds(deadline)), stable_for, ..asking(probes) };
        let end = limit(&gate, Some(&self::check()));
        let seen = Seen {
            since_progress: seconds(progress).min(end),
            probes: answers,
            check,
            ports,
            ..running(end)
        };
        let verdict = judge(&gate, Some(&self::check()), &seen);
        prop_assert!(!matches!(verdict, Verdict::Waiting(_)), "{verdict:?}");
    }

    /// It does not matter which probe passes first, nor what the others said meanwhile.
    #[test]
    fn the_order_of_good_answers_does_not_matter(
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
        noise in proptest::collection::vec(any_probed(), 4),
    ) {
        let gate = asking((1..=4).map(Probe::Tcp).collect());
        let mut seen = Seen { probes: vec![Probed::NotYet; 4], ..running(seconds(1)) };
        let before = progress(&seen);
        for (turn, at) in order.iter().enumerate() {
            for (slot, said) in seen.probes.iter_mut().zip(&noise) {
                if *slot != Probed::Passed && *said != Probed::Passed {
                    *slot = said.clone();
                }
            }
            prop_assert!(matches!(judge(&gate, None, &seen), Verdict::Waiting(WaitingFor::Probe(_))));
            seen.probes[*at] = Probed::Passed;
            prop_assert_eq!(progress(&seen), before + turn + 1);
        }
        prop_assert_eq!(judge(&gate, None, &seen), Verdict::Passed);
    }
}
