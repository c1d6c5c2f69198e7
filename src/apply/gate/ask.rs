//! Asks one thing of a container: its health check, a probe of its gate, its published ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time;

use super::probe::{Prober, too_slow};
use super::{GateFailure, Probed, http, ports};
use crate::engine::{Engine, EngineError};
use crate::model::desired::{HttpProbe, LogProbe, Probe};
use crate::model::live::LiveContainer;
use crate::model::name::ContainerId;
use crate::model::spec::{HealthTest, Namespace, Peer};
use crate::model::text::Text;

/// Longest time of one HTTP request where the gate names none.
const HTTP_WITHIN: Duration = Duration::from_secs(5);

/// Longest time of one connection.
const TCP_WITHIN: Duration = Duration::from_secs(1);

/// Longest time of one command where the gate names none.
const EXEC_WITHIN: Duration = Duration::from_secs(5);

/// Most characters of a probe's output that are kept.
const OUTPUT_CHARS: usize = 200;

/// Asks `probe` of `container` once. One of the log is asked until the container's run is over.
///
/// # Errors
/// It can't be asked, now or later.
pub(super) async fn ask<E: Engine>(
    engine: &E,
    prober: &dyn Prober,
    container: &LiveContainer,
    probe: &Probe,
) -> Result<Probed, GateFailure> {
    match probe {
        Probe::Http(probe) => {
            let at = at(engine, container, probe.port).await?;
            Ok(probed(request(prober, at, probe).await))
        }
        Probe::Tcp(port) => {
            let at = at(engine, container, *port).await?;
            Ok(probed(prober.tcp(at, TCP_WITHIN).await))
        }
        Probe::Exec(probe) => {
            let within = probe.within.unwrap_or(EXEC_WITHIN);
            Ok(run(engine, &container.id, &probe.command, within).await)
        }
        Probe::Log(probe) => read(engine, &container.id, probe).await,
    }
}

/// Runs the health check of a container.
pub(super) async fn check<E: Engine>(
    engine: &E,
    container: &ContainerId,
    test: &HealthTest,
    within: Duration,
) -> Probed {
    let command = match test {
        HealthTest::Disabled => return Probed::NotYet,
        HealthTest::Exec(command) => command.clone(),
        HealthTest::Shell(line) => vec![Text::plain("/bin/sh"), Text::plain("-c"), line.clone()],
    };
    run(engine, container, &command, within).await
}

/// Tries the published ports of a container.
pub(super) async fn published<E: Engine>(
    engine: &E,
    prober: &dyn Prober,
    container: &LiveContainer,
) -> Probed {
    if container.bound.is_empty() {
        return Probed::Passed;
    }
    ports::try_all(prober, container, address(engine, container).await).await
}

fn probed(result: Result<(), String>) -> Probed {
    match result {
        Ok(()) => Probed::Passed,
        Err(why) => Probed::Failed(why),
    }
}

/// Where a port of a container is.
async fn at<E: Engine>(engine: &E, container: &LiveContainer, port: u16) -> Result<SocketAddr, GateFailure> {
    let ip = address(engine, container).await.ok_or(GateFailure::NoAddress { port })?;
    Ok(SocketAddr::new(ip, port))
}

/// Where the ports of a container are: its own address, that of the container whose network it uses, or this host.
async fn address<E: Engine>(engine: &E, container: &LiveContainer) -> Option<IpAddr> {
    let own = |container: &LiveContainer| container.addresses.values().flatten().next().copied();
    match &container.spec.namespaces.network {
        Some(Namespace::Host) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(Namespace::Of(Peer::Id(id))) => own(&engine.inspect_container(id).await.ok()?),
        _ => own(container),
    }
}

/// Makes a request, follows its redirects, and looks at the last answer. All of it takes the time of one.
async fn request(prober: &dyn Prober, at: SocketAddr, probe: &HttpProbe) -> Result<(), String> {
    let within = probe.within.unwrap_or(HTTP_WITHIN);
    let exchange = async {
        let mut request = http::request(probe);
        for _ in 0..probe.redirects {
            let answer = prober.http(at, &request, within).await?;
            match http::redirect(&request, &answer)? {
                Some(path) => request.path = path,
                None => return http::check(probe, &answer),
            }
        }
        let answer = prober.http(at, &request, within).await?;
        http::check(probe, &answer)
    };
    time::timeout(within, exchange).await.unwrap_or_else(|_| Err(too_slow(within)))
}

async fn run<E: Engine>(engine: &E, container: &ContainerId, command: &[Text], within: Duration) -> Probed {
    match engine.exec(container, command, within).await {
        Ok(result) if result.code == Some(0) => Probed::Passed,
        Ok(result) => {
            let output = result.output.trim().replace('\n', " ");
            let output: String = output.chars().take(OUTPUT_CHARS).collect();
            let end = result.code.map_or_else(
                || format!("no end within {} s", within.as_secs_f32()),
                |code| format!("exit status {code}"),
            );
            Probed::Failed(if output.is_empty() { end } else { format!("{end}: {output}") })
        }
        // The container may have ended in the meantime; the next look tells.
        Err(error) => Probed::Failed(error.to_string()),
    }
}

async fn read<E: Engine>(
    engine: &E,
    container: &ContainerId,
    probe: &LogProbe,
) -> Result<Probed, GateFailure> {
    let mut lines = engine.follow_log(container);
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) if probe.matches(&line) => return Ok(Probed::Passed),
            Ok(_) => {}
            Err(error @ (EngineError::Rejected { .. } | EngineError::Unexpected { .. })) => {
                return Err(GateFailure::NoLog { why: error.to_string() });
            }
            // The connection may have broken, or the container be gone; the next look tells.
            Err(error) => return Ok(Probed::Failed(error.to_string())),
        }
    }
    Ok(Probed::Failed("its log ended without such a line".to_owned()))
}
