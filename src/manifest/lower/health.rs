//! Health checks.

use super::super::keys;
use super::super::node::{Map, Node};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::Context;
use crate::model::spec::{HealthTest, Healthcheck};

/// Reads a health check.
pub(super) fn read(cx: &mut Context<'_>, node: &Node) -> Option<Healthcheck> {
    let map = read::honoured_map(cx.problems, node, &keys::HEALTHCHECK)?;
    let disabled = cx.optional(map, "disable", read::boolean).unwrap_or_default();
    let declared = cx.optional(map, "test", test);
    if let (true, Some(entry)) = (disabled && declared != Some(HealthTest::Disabled), map.entry("test")) {
        cx.note(Problem::error(
            "bad-healthcheck",
            entry.key.span,
            "the health check is disabled and has a test",
        ));
    }
    let retries = |problems: &mut Problems, node: &Node| read::integer(problems, node, "a whole number");
    Some(Healthcheck {
        test: if disabled { Some(HealthTest::Disabled) } else { declared },
        interval: interval(cx, map, "interval"),
        timeout: interval(cx, map, "timeout"),
        start_period: interval(cx, map, "start_period"),
        start_interval: interval(cx, map, "start_interval"),
        retries: cx.optional(map, "retries", retries),
    })
}

/// Docker takes no time below a millisecond except none at all.
fn interval(cx: &mut Context<'_>, map: &Map, key: &str) -> Option<std::time::Duration> {
    cx.optional(map, key, |problems, node| {
        let found = read::duration(problems, node)?;
        if !found.is_zero() && found.as_millis() == 0 {
            problems.add(Problem::error(
                "bad-duration",
                node.span,
                "Docker takes no time shorter than a millisecond",
            ));
            return None;
        }
        Some(found)
    })
}

fn test(problems: &mut Problems, node: &Node) -> Option<HealthTest> {
    let items = read::list(problems, node)?;
    let Some((first, rest)) = items.split_first() else {
        problems.add(Problem::error("bad-healthcheck", node.span, "the test is empty").hint(FORMS));
        return None;
    };
    let first = read::text(problems, first)?;
    let mut words = Vec::new();
    for word in rest {
        words.push(read::marked(problems, word)?);
    }
    match (first.text.as_str(), words.len()) {
        ("NONE", 0) => Some(HealthTest::Disabled),
        ("CMD", 1..) => Some(HealthTest::Exec(words)),
        ("CMD-SHELL", 1) => words.pop().map(HealthTest::Shell),
        _ => {
            let message =
                "a test as a list begins with `CMD`, `CMD-SHELL` or `NONE`, and what they need follows";
            problems.add(Problem::error("bad-healthcheck", node.span, message).hint(FORMS));
            None
        }
    }
}

const FORMS: &str = "`[\"CMD\", \"program\", \"argument\"]`, `[\"CMD-SHELL\", \"line\"]`, `[\"NONE\"]`, or a line for the shell";
