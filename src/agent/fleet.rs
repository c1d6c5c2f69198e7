//! The agents of one host: one for each thing that is followed, on one machine. What is followed may change while they
//! run; whoever is still followed is not disturbed by that.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::board::Board;
use super::desk::{Bell, Desk, Stand};
use super::{Audience, Audiences, Follow, recover, run};
use crate::apply::clock::HostClock;
use crate::apply::machine::Machine;
use crate::apply::progress::Silent;
use crate::engine::Engine;

/// Makes those who are told what one agent does, besides its board.
pub type MakeAudience = Box<dyn Fn(&Follow, &Arc<Board>) -> Vec<Arc<dyn Audience>> + Send + Sync>;

/// The agents of one host.
pub struct Fleet<E> {
    machine: Arc<Machine<E>>,
    desk: Arc<Desk>,
    audience: MakeAudience,
    agents: Vec<Agent>,
}

/// One that runs.
struct Agent {
    follow: Follow,
    stand: Stand,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl<E: Engine> Fleet<E> {
    /// Ends what was cut off on the host. Nobody is followed yet.
    pub async fn new(machine: Arc<Machine<E>>, desk: Arc<Desk>, audience: MakeAudience) -> Self {
        recover(&machine, &Silent).await;
        Self { machine, desk, audience, agents: Vec::new() }
    }

    /// Follows these from now on, and nobody else. An agent that is no longer wanted ends at a safe point; nothing that it
    /// deployed is touched.
    pub async fn follow(&mut self, follows: Vec<Follow>) {
        let (kept, gone): (Vec<Agent>, Vec<Agent>) = self
            .agents
            .drain(..)
            .partition(|agent| follows.contains(&agent.follow) && !agent.task.is_finished());
        self.agents = kept;
        end(gone).await;
        for follow in follows {
            if self.agents.iter().all(|agent| agent.follow != follow) {
                let agent = self.start(follow);
                self.agents.push(agent);
            }
        }
        self.desk.follow(self.agents.iter().map(|agent| agent.stand.clone()).collect());
    }

    fn start(&self, follow: Follow) -> Agent {
        let board = Arc::new(Board::new(&follow, Box::new(HostClock)));
        let mut all: Vec<Arc<dyn Audience>> = vec![Arc::clone(&board) as Arc<dyn Audience>];
        all.extend((self.audience)(&follow, &board));
        let (audience, bell, stop) = (Audiences(all), Bell::default(), CancellationToken::new());
        let stand = Stand { board, bell: bell.clone() };
        let (machine, followed, end) = (Arc::clone(&self.machine), follow.clone(), stop.clone());
        let task =
            tokio::spawn(async move { Box::pin(run(&machine, &followed, &audience, &bell, &end)).await });
        Agent { follow, stand, stop, task }
    }

    /// Starts those again that have ended, which only a mistake of ours can bring about: the others must not go with it.
    pub async fn revive(&mut self) {
        let (ended, alive): (Vec<Agent>, Vec<Agent>) =
            self.agents.drain(..).partition(|agent| agent.task.is_finished());
        self.agents = alive;
        if ended.is_empty() {
            return;
        }
        for Agent { follow, task, .. } in ended {
            if task.await.is_err() {
                error!(environment = %follow.environment, "BUG: this agent has failed, and is started again");
            }
            let agent = self.start(follow);
            self.agents.push(agent);
        }
        self.desk.follow(self.agents.iter().map(|agent| agent.stand.clone()).collect());
    }

    /// Ends every agent at a safe point.
    pub async fn end(self) {
        end(self.agents).await;
        info!("stopped");
    }
}

async fn end(agents: Vec<Agent>) {
    for agent in &agents {
        agent.stop.cancel();
    }
    for Agent { task, follow, .. } in agents {
        if task.await.is_err() {
            error!(environment = %follow.environment, "BUG: this agent failed as it ended");
        }
    }
}
