//! What runs inside of containers, what it writes, and what happens on the host.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerState, EventMessage};
use bollard::query_parameters::{EventsOptions, LogsOptions};
use futures_util::future;
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::error::{Asked, classify};
use super::{Docker, deadline, within};
use crate::engine::clean::{Tail, clean, last_lines};
use crate::engine::{EngineError, EngineEvent, ExecResult};
use crate::model::label;
use crate::model::name::ContainerId;
use crate::model::text::Text;

/// Most bytes of the output of a command that are kept.
const EXEC_OUTPUT_BYTES: usize = 4 << 10;
/// Most bytes of a container's log that are kept.
const LOG_BYTES: usize = 64 << 10;

/// The exit status by which a shell says that it can't run a command.
const NO_SUCH_COMMAND: i64 = 127;

/// What is asked of the event stream. Each health check alone makes three more per probe (`exec_create` and so on).
const ACTIONS: [&str; 18] = [
    "create",
    "start",
    "restart",
    "stop",
    "die",
    "kill",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "destroy",
    "health_status",
    "connect",
    "disconnect",
    "remove",
    "prune",
    "reload",
];

impl Docker {
    pub(super) async fn run_in(
        &self,
        id: &ContainerId,
        command: &[Text],
        limit: Duration,
    ) -> Result<ExecResult, EngineError> {
        let operation = format!("run a command in container {}", id.short());
        let options = CreateExecOptions {
            cmd: Some(command.iter().map(|word| word.expose().to_owned()).collect()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let call = self.client.create_exec(id.as_str(), options);
        let exec = within(operation.clone(), deadline::QUICK, Asked::Plain, call).await?;
        let mut output = Tail::of(EXEC_OUTPUT_BYTES);
        let run = async {
            let started = self.client.start_exec(&exec.id, None::<StartExecOptions>).await?;
            if let StartExecResults::Attached { output: mut stream, .. } = started {
                collect(&mut stream, &mut output).await?;
            }
            Ok(())
        };
        let ended = tokio::time::timeout(limit, run).await;
        let code = match ended {
            Ok(Err(error)) => return unstarted(classify(operation, Asked::Start, &error)),
            Ok(Ok(())) => {
                let call = self.client.inspect_exec(&exec.id);
                within(operation, deadline::QUICK, Asked::Plain, call).await?.exit_code
            }
            // Docker has no way to end the command: it goes on in the container.
            Err(_) => None,
        };
        let lines = last_lines(&output.into_bytes(), usize::MAX);
        Ok(ExecResult { code, output: lines.join("\n") })
    }

    pub(super) async fn last_logs(&self, id: &ContainerId, lines: u32) -> Result<Vec<String>, EngineError> {
        let operation = format!("read the log of container {}", id.short());
        let options =
            LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..LogsOptions::default() };
        let mut stream = self.client.logs(id.as_str(), Some(options));
        let mut output = Tail::of(LOG_BYTES);
        within(operation, deadline::QUICK, Asked::Plain, collect(&mut stream, &mut output)).await?;
        let lines = usize::try_from(lines).unwrap_or(usize::MAX);
        Ok(last_lines(&output.into_bytes(), lines))
    }

    pub(super) fn log_stream(&self, id: &ContainerId) -> BoxStream<'static, Result<String, EngineError>> {
        let (docker, id) = (self.clone(), id.clone());
        stream::once(async move { docker.opened_log(&id).await }).try_flatten().boxed()
    }

    async fn opened_log(
        &self,
        id: &ContainerId,
    ) -> Result<impl Stream<Item = Result<String, EngineError>> + use<>, EngineError> {
        let operation = format!("follow the log of container {}", id.short());
        let begin = self.raw_container(id).await?.state.and_then(|state| begin(&state));
        let second = begin.and_then(|begin| i32::try_from(begin.as_second()).ok()).unwrap_or_default();
        let options = LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            timestamps: true,
            since: second,
            ..LogsOptions::default()
        };
        Ok(self.client.logs(id.as_str(), Some(options)).filter_map(move |part| {
            future::ready(match part {
                Ok(part) => line_since(&part.into_bytes(), begin).map(Ok),
                Err(error) => Some(Err(classify(operation.clone(), Asked::Plain, &error))),
            })
        }))
    }

    pub(super) fn event_stream(&self) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let filters = [
            ("type".to_owned(), all(&["container", "network", "volume"])),
            ("event".to_owned(), all(&ACTIONS)),
        ];
        // The request goes out when the stream is first polled. What happened between this call and then is told
        // too, because the stream begins now by the clock.
        let now = Timestamp::now();
        let options = EventsOptions {
            since: Some(format!("{}.{:09}", now.as_second(), now.subsec_nanosecond())),
            until: None,
            filters: Some(filters.into()),
        };
        let messages = self.client.events(Some(options));
        messages
            .filter_map(|message| {
                future::ready(match message {
                    Ok(message) => event(message).map(Ok),
                    Err(error) => {
                        let operation = "listen to the events of Docker".to_owned();
                        Some(Err(classify(operation, Asked::Plain, &error)))
                    }
                })
            })
            .boxed()
    }
}

/// A moment between the end of the run before and the start of this one: what was written later is of this run. Absent
/// for the first one, of which everything is.
///
/// The start itself won't do: Docker notes it a moment after the process began to write. Nor will the end: what was still
/// in the pipe is noted a moment after it.
fn begin(state: &ContainerState) -> Option<Timestamp> {
    let read = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok();
    let started = read(&state.started_at)?;
    // Go's zero time means never.
    let finished = read(&state.finished_at).filter(|finished| finished.as_second() > 0)?;
    if finished > started {
        return Some(started);
    }
    let half = started.duration_since(finished).as_nanos() / 2;
    Some(finished + jiff::SignedDuration::from_nanos(i64::try_from(half).ok()?))
}

/// The text of a line with its time before it, if it was written after `begin`. A piece of a long line may have none.
fn line_since(bytes: &[u8], begin: Option<Timestamp>) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\r', '\n']);
    let timed = text.split_once(' ').and_then(|(time, rest)| Some((time.parse::<Timestamp>().ok()?, rest)));
    match timed {
        Some((time, rest)) => begin.is_none_or(|begin| time >= begin).then(|| clean(rest)),
        None => Some(clean(text)),
    }
}

/// A command that can't be run ends as in a shell. Older engines say so themselves, newer ones refuse.
fn unstarted(error: EngineError) -> Result<ExecResult, EngineError> {
    match error {
        EngineError::Rejected { message, .. } => {
            Ok(ExecResult { code: Some(NO_SUCH_COMMAND), output: message })
        }
        other => Err(other),
    }
}

async fn collect(
    stream: &mut (impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin),
    output: &mut Tail,
) -> Result<(), bollard::errors::Error> {
    while let Some(part) = stream.next().await {
        output.push(&part?.into_bytes());
    }
    Ok(())
}

fn event(message: EventMessage) -> Option<EngineEvent> {
    let action = clean(&message.action?);
    if action.starts_with("exec_") {
        return None;
    }
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let stack = attributes.get(label::STACK).and_then(|stack| stack.parse().ok());
    let name = attributes.get("name").cloned().or(actor.id).unwrap_or_default();
    Some(EngineEvent { kind: message.typ?.to_string(), action, object: clean(&name), stack })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_between_the_end_of_the_one_before_and_its_own_start() {
        let state = |started: &str, finished: &str| ContainerState {
            started_at: Some(started.to_owned()),
            finished_at: Some(finished.to_owned()),
            ..ContainerState::default()
        };
        let first = state("2026-01-01T00:00:01Z", "0001-01-01T00:00:00Z");
        assert_eq!(begin(&first), None);
        let second = begin(&state("2026-01-01T00:00:03Z", "2026-01-01T00:00:01Z"));
        assert_eq!(second, "2026-01-01T00:00:02Z".parse().ok());
        assert_eq!(
            begin(&state("2026-01-01T00:00:03Z", "2026-01-01T00:00:09Z")),
            "2026-01-01T00:00:03Z".parse().ok()
        );
        let line = |text: &str| line_since(text.as_bytes(), second);
        assert_eq!(line("2026-01-01T00:00:01.9Z old\n"), None);
        assert_eq!(line("2026-01-01T00:00:02.5Z \u{1b}[1mnew\r\n").as_deref(), Some("new"));
        assert_eq!(line("the rest of a long line").as_deref(), Some("the rest of a long line"));
    }
}
