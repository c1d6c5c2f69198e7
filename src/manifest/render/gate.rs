//! Gates, as they can be written in a manifest.

use serde_yaml::Value;

use super::Out;
use crate::model::desired::{ExecProbe, Gate, HttpProbe, LogProbe, Method, Probe, Statuses};

/// A gate. What is sensitive in it is shown as such.
pub(super) fn written(gate: &Gate) -> Out {
    // What a service is expected to do follows from who waits for it, so it isn't written. Ports are asked of all.
    let Gate { expect: _, ports: _, probes, stable_for, deadline } = gate;
    let (mut requests, mut numbers, mut commands, mut lines) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for probe in probes {
        match probe {
            Probe::Http(found) => requests.push(http(found)),
            Probe::Tcp(port) => numbers.push(Value::from(*port)),
            Probe::Exec(found) => commands.push(exec(found)),
            Probe::Log(LogProbe::Line(line)) => lines.push(Value::from(line.to_string())),
            Probe::Log(LogProbe::Pattern(pattern)) => {
                let mut part = Out::default();
                part.put("regex", pattern.text().to_string());
                lines.push(Value::Mapping(part.0));
            }
        }
    }
    let mut out = Out::default();
    for (key, values) in [("http", requests), ("tcp", numbers), ("exec", commands), ("log", lines)] {
        put_several(&mut out, key, values);
    }
    out.duration("stable_for", *stable_for);
    out.duration("deadline", *deadline);
    out
}

/// One stands for itself.
fn put_several(out: &mut Out, key: &str, mut values: Vec<Value>) {
    match (values.len(), values.pop()) {
        (1, Some(value)) => out.put(key, value),
        (_, Some(last)) => {
            values.push(last);
            out.put(key, values);
        }
        (_, None) => {}
    }
}

fn http(probe: &HttpProbe) -> Value {
    let HttpProbe { port, path: _, method, headers, status, expect_headers, json, redirects, within } = probe;
    let mut part = Out::default();
    part.put("url", format!("http://localhost:{port}{}", probe.shown_path()));
    if *method != Method::default() {
        part.put("method", method.word());
    }
    part.map("headers", headers);
    put_several(&mut part, "status", status.iter().map(|status| one_status(*status)).collect());
    part.map("expect_headers", expect_headers);
    part.map("json", json);
    if *redirects > 0 {
        part.put("redirects", *redirects);
    }
    part.duration("within", *within);
    Value::Mapping(part.0)
}

fn one_status(status: Statuses) -> Value {
    let text = status.to_string();
    text.parse::<u16>().map_or_else(|_| Value::from(text), Value::from)
}

fn exec(probe: &ExecProbe) -> Value {
    let ExecProbe { command, within } = probe;
    let mut part = Out::default();
    part.texts("command", command);
    part.duration("within", *within);
    match within {
        Some(_) => Value::Mapping(part.0),
        None => part.0.into_iter().next().map(|(_, words)| words).unwrap_or_default(),
    }
}
