//! Tables of what is seen and what is to be made of it.

use std::collections::BTreeMap;

use super::*;
use crate::model::text::Text;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn seen(since_start: Duration, status: Status) -> Seen {
    Seen {
        since_start,
        status: Some(status),
        running_for: since_start,
        restarts: 0,
        health: None,
        check: Probed::NotYet,
        http: Probed::NotYet,
        tcp: Probed::NotYet,
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

fn http() -> Gate {
    let http =
        HttpGate { port: 8000, path: "/health".into(), status: 200, json: BTreeMap::new(), within: None };
    Gate { http: Some(http), ..Gate::default() }
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
    let gate = Gate { tcp: Some(5432), stable_for: Some(seconds(4)), ..http() };
    let mut seen = running(seconds(1));
    let judged = |seen: &Seen| waiting_for(judge(&gate, Some(&check()), seen));
    assert_eq!(judged(&seen), "its health check");
    seen.check = Probed::Passed;
    assert_eq!(judged(&seen), "http :8000/health");
    seen.http = Probed::Passed;
    assert_eq!(judged(&seen), "port 5432");
    seen.tcp = Probed::Passed;
    assert_eq!(judged(&seen), "4 s without a restart");
    seen.running_for = seconds(4);
    assert_eq!(judged(&seen), "passed");
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
    let gates = [Gate::default(), http(), Gate { tcp: Some(1), ..Gate::default() }];
    for gate in gates {
        for status in [Status::Created, Status::Paused, Status::Running] {
            let seen = Seen { running_for: Duration::ZERO, ..seen(DEADLINE, status) };
            let verdict = judge(&gate, None, &seen);
            assert!(matches!(verdict, Verdict::Failed(GateFailure::Deadline { .. })), "{verdict:?}");
        }
    }
}
