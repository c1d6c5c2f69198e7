//! What runs inside of containers, what it writes, and what happens on the host.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, LogsOptions};
use futures_util::future;
use futures_util::stream::{BoxStream, Stream, StreamExt};

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

    pub(super) fn event_stream(&self) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let filters = [
            ("type".to_owned(), all(&["container", "network", "volume"])),
            ("event".to_owned(), all(&ACTIONS)),
        ];
        // The request goes out when the stream is first polled. What happened between this call and then is told
        // too, because the stream begins now by the clock.
        let now = jiff::Timestamp::now();
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
