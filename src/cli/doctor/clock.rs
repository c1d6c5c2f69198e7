//! Whether the time is right: records, windows, tokens and signatures hang on it.

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;

use super::finding::Finding;

const CHECK: &str = "clock";

/// The most that two clocks of one host differ by, with the time of a call.
const APART_MOST: Duration = Duration::from_secs(2);

/// How long `timedatectl` may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compares the time that Docker told, in RFC 3339, with what it is here.
pub(super) fn compared(docker: Option<&str>, now: Timestamp) -> Option<Finding> {
    let docker: Timestamp = docker?.parse().ok()?;
    let apart = docker.duration_since(now).unsigned_abs();
    Some(if apart <= APART_MOST {
        Finding::ok(CHECK, "this process and Docker have the same time")
    } else {
        Finding::failed(CHECK, format!("the clock of Docker's host is {} s off", apart.as_secs()))
            .why("Docker runs on another machine, or in one whose clock stood still")
            .hint("an agent runs on the host of its Docker; set both clocks by NTP")
    })
}

/// Asks systemd whether the clock is set by NTP; absent where nobody can be asked.
pub(super) async fn synchronised() -> Option<Finding> {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let answer = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    judged(&String::from_utf8_lossy(&answer.stdout))
}

fn judged(answer: &str) -> Option<Finding> {
    match answer.trim() {
        "yes" => Some(Finding::ok("ntp", "the clock is set by NTP")),
        "no" => Some(
            Finding::warning("ntp", "nobody says that the clock is set by NTP")
                .why("tokens and certificates expire by the clock, and windows open by it")
                .hint("apt-get install systemd-timesyncd, or chrony; then `timedatectl` says `synchronized: yes`"),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn two_clocks_of_one_host_agree() {
        let now: Timestamp = "2026-11-20T18:00:00Z".parse().unwrap();
        for (docker, expected) in [
            (Some("2026-11-20T18:00:01.5Z"), Some(Verdict::Ok)),
            (Some("2026-11-20T19:00:01+01:00"), Some(Verdict::Ok)),
            (Some("2026-11-20T17:59:50Z"), Some(Verdict::Failed)),
            (Some("soon"), None),
            (None, None),
        ] {
            assert_eq!(compared(docker, now).map(|finding| finding.verdict), expected, "{docker:?}");
        }
    }

    #[test]
    fn only_a_plain_answer_about_ntp_counts() {
        let verdicts = ["yes\n", "no\n", "", "Failed to connect"];
        let verdicts = verdicts.map(|answer| judged(answer).map(|finding| finding.verdict));
        assert_eq!(verdicts, [Some(Verdict::Ok), Some(Verdict::Warning), None, None]);
    }
}
