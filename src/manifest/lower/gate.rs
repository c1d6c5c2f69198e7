//! `x-evenkeel.gate`: what must hold before a service counts as up.

mod http;

use std::time::Duration;

use super::super::keys;
use super::super::node::{Map, Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::Context;
use crate::model::desired::{ExecProbe, Expect, Gate, LogProbe, Pattern, Ports, Probe};

const PORT: &str = "a port from 1 to 65535";

/// Reads a gate.
pub(super) fn read(cx: &mut Context<'_>, node: &Node) -> Option<Gate> {
    let map = read::checked_map(cx.problems, node, &keys::GATE)?;
    let mut probes: Vec<Probe> = Vec::new();
    for node in several(map, "http") {
        probes.extend(http::read(cx, node).map(Probe::Http));
    }
    for node in several(map, "tcp") {
        probes.extend(port(cx.problems, node).map(Probe::Tcp));
    }
    for node in commands(map) {
        probes.extend(exec(cx, node).map(Probe::Exec));
    }
    for node in several(map, "log") {
        probes.extend(log(cx, node).map(Probe::Log));
    }
    Some(Gate {
        expect: Expect::Running,
        probes,
        ports: Ports::Asked,
        stable_for: cx.optional(map, "stable_for", read::duration),
        deadline: time(cx, map, "deadline"),
    })
}

/// What is at `key`: nothing, one, or a list of several.
fn several<'n>(map: &'n Map, key: &str) -> &'n [Node] {
    match map.get(key) {
        None => &[],
        Some(node) => match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
        },
    }
}

/// The commands of `exec`: a list of texts is one command, any other list are several.
fn commands(map: &Map) -> &[Node] {
    let items = several(map, "exec");
    let is_one = items.iter().all(|item| matches!(item.value, Value::Scalar(_)));
    match map.get("exec") {
        Some(node) if is_one && !matches!(node.value, Value::Null) => std::slice::from_ref(node),
        Some(_) | None => items,
    }
}

/// A time in which something must happen.
fn time(cx: &mut Context<'_>, map: &Map, key: &str) -> Option<Duration> {
    let node = map.get(key)?;
    let found = read::duration(cx.problems, node)?;
    if found.is_zero() {
        cx.note(Problem::error("bad-gate", node.span, format!("nothing can happen in a `{key}` of no time")));
        return None;
    }
    Some(found)
}

fn port(problems: &mut Problems, node: &Node) -> Option<u16> {
    let number: u16 = read::integer(problems, node, PORT)?;
    if number == 0 {
        problems.add(Problem::error("bad-port", node.span, format!("{PORT} is wanted here")));
        return None;
    }
    Some(number)
}

const COMMAND: &str = "as in `[\"redis-cli\", \"ping\"]`; for a shell, `[\"sh\", \"-c\", \"line\"]`";

fn exec(cx: &mut Context<'_>, node: &Node) -> Option<ExecProbe> {
    let (command, within) = match &node.value {
        Value::Map(_) => {
            let map = read::checked_map(cx.problems, node, &keys::EXEC_GATE)?;
            let Some(command) = map.get("command") else {
                cx.note(Problem::error("bad-gate", node.span, "it has no `command`").hint(COMMAND));
                return None;
            };
            (command, time(cx, map, "within"))
        }
        Value::Null | Value::Scalar(_) | Value::List(_) => (node, None),
    };
    let Value::List(words) = &command.value else {
        cx.note(read::wrong_type(command, "a command as a list").hint(COMMAND));
        return None;
    };
    if words.is_empty() {
        cx.note(Problem::error("bad-gate", command.span, "the command is empty").hint(COMMAND));
        return None;
    }
    let mut texts = Vec::new();
    for word in words {
        texts.push(read::marked(cx.problems, word)?);
    }
    Some(ExecProbe { command: texts, within })
}

const LOG: &str = "a text that the line has in it, or `{regex: …}`";

fn log(cx: &mut Context<'_>, node: &Node) -> Option<LogProbe> {
    let (text, is_pattern) = match &node.value {
        Value::Map(_) => {
            let map = read::checked_map(cx.problems, node, &keys::LOG_GATE)?;
            match (map.get("line"), map.get("regex")) {
                (Some(line), None) => (line, false),
                (None, Some(regex)) => (regex, true),
                (None, None) | (Some(_), Some(_)) => {
                    let message = "a log line is told by one of `line` and `regex`";
                    cx.note(Problem::error("bad-gate", node.span, message).hint(LOG));
                    return None;
                }
            }
        }
        Value::Null | Value::Scalar(_) | Value::List(_) => (node, false),
    };
    let found = read::marked(cx.problems, text)?;
    if found.expose().is_empty() {
        cx.note(Problem::error("bad-gate", text.span, "every line has this in it").hint(LOG));
        return None;
    }
    if !is_pattern {
        return Some(LogProbe::Line(found));
    }
    match Pattern::new(found) {
        Ok(pattern) => Some(LogProbe::Pattern(pattern)),
        Err(why) => {
            let message = format!("this is no regular expression: {why}");
            cx.note(Problem::error("bad-gate", text.span, message));
            None
        }
    }
}
