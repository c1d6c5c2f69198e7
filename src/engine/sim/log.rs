//! The log of a simulated container, followed.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};

use super::call::{Call, Fault, Verb};
use super::{Sim, clean};
use crate::engine::EngineError;
use crate::model::name::ContainerId;

/// Time between two looks at a log, in simulated time.
const PAUSE: Duration = Duration::from_millis(20);

/// What comes next of a log.
enum Next {
    Line(String),
    /// Nothing so far.
    Silence,
    /// The run that was followed is over, and everything is told.
    End,
}

impl Sim {
    pub(super) fn log_stream(&self, id: &ContainerId) -> BoxStream<'static, Result<String, EngineError>> {
        let call = Call { verb: Verb::FollowLog, object: self.shown(id) };
        let begin = self.world().containers.get(id).map(|container| container.logs_before);
        let operation = call.to_string();
        let broken = match (self.fault(&call), begin) {
            (Fault::None, Some(begin)) => return self.lines(id.clone(), begin),
            (Fault::None, None) => {
                EngineError::NotFound { operation, message: format!("No such container: {id}") }
            }
            (
                Fault::Error
                | Fault::NotFound
                | Fault::Conflict
                | Fault::Rejected
                | Fault::DoneButReplyLost
                | Fault::Hang,
                _,
            ) => {
                EngineError::Unavailable { operation, message: "the connection broke (simulated)".to_owned() }
            }
        };
        stream::once(async { Err(broken) }).boxed()
    }

    fn lines(&self, id: ContainerId, begin: usize) -> BoxStream<'static, Result<String, EngineError>> {
        let state = (self.clone(), id, begin);
        stream::unfold(state, move |(sim, id, at)| async move {
            loop {
                match sim.next_line(&id, at, begin) {
                    Next::Line(line) => return Some((Ok(line), (sim, id, at + 1))),
                    Next::End => return None,
                    Next::Silence => tokio::time::sleep(PAUSE).await,
                }
            }
        })
        .boxed()
    }

    fn next_line(&self, id: &ContainerId, at: usize, begin: usize) -> Next {
        let world = self.world();
        let Some(container) = world.containers.get(id) else { return Next::End };
        // What was written after another start is of another run.
        let same_run = container.logs_before == begin;
        match container.logs.get(at) {
            Some(line) if same_run => Next::Line(clean(line)),
            None if same_run && container.is_active() => Next::Silence,
            Some(_) | None => Next::End,
        }
    }
}
