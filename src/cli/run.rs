//! `run`: the agent of a host, until it is stopped. Puts its parts together: what is followed, the server, the metrics,
//! the notifications, and what the service manager is told.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::args::{Global, RunArgs};
use super::failure::{ExitStatus, hinted};
use super::output::Output;
use super::place;
use super::select;
use super::service::{self, Heart};
use crate::agent::board::Board;
use crate::agent::desk::Desk;
use crate::agent::fleet::{Fleet, MakeAudience};
use crate::agent::{Audience, Follow, origin};
use crate::announce::{self, Announcer, Outbox, Pace, Subject};
use crate::apply::clock::{Clock, HostClock};
use crate::apply::ledger::Ledger;
use crate::apply::machine::Machine;
use crate::engine::docker::Docker;
use crate::metrics::{Format, Metrics};
use crate::serve::{Limits, ServeError, Server, Settings};
use crate::source::remote::Mirrors;

mod reload;
mod wanted;

pub(super) use wanted::read;

use reload::Ears;
use wanted::{Wanted, wanted};

/// Time between two looks whether every agent is there.
const CHECK: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) async fn run(global: &Global, args: &RunArgs, _: Output) -> anyhow::Result<ExitStatus> {
    let now = look_up(global, args).await?;
    let mut agent = Agent::open(now).await?;
    let stop = super::apply::stop_on_signal();
    let ears = Ears::open(args.config.as_deref());
    agent.begin().await;
    loop {
        tokio::select! {
            biased; // The service manager is told that this ends before it does.
            // Cancel-safe: a cancelled token stays cancelled.
            () = stop.cancelled() => break,
            // Cancel-safe: what was heard stays heard.
            () = ears.hear() => agent.reload(look_up(global, args).await).await,
            // Cancel-safe: dropping a sleep forgets only a time that is computed again.
            () = tokio::time::sleep(CHECK) => agent.fleet.revive().await,
        }
    }
    service::stopping("ends at the next safe point");
    agent.end().await;
    Ok(ExitStatus::Done)
}

async fn look_up(global: &Global, args: &RunArgs) -> anyhow::Result<Wanted> {
    let (global, config) = (global.clone(), args.config.clone());
    let args = RunArgs { config, branch: args.branch.clone(), poll: args.poll };
    tokio::task::spawn_blocking(move || wanted(&global, &args)).await?
}

/// The parts of the agent.
struct Agent {
    wanted: Wanted,
    machine: Arc<Machine<Docker>>,
    fleet: Fleet<Docker>,
    desk: Arc<Desk>,
    server: Arc<Server>,
    outbox: Arc<Outbox>,
    mirrors: Mirrors,
    /// Ends the server.
    closing: CancellationToken,
    /// Ends what sends messages.
    sending: CancellationToken,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Agent {
    /// Opens everything. Nobody is followed yet.
    async fn open(wanted: Wanted) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(HostClock);
        let metrics = Metrics::new(Arc::clone(&clock));
        let machine = Arc::new(select::metered(&wanted.global, Arc::clone(&metrics) as _).await?);
        let state = select::state_folder(&wanted.global)?;
        let ledger = || Ledger::open(&state.join("ledger.db"));
        let desk = Arc::new(Desk::new(ledger()?, Box::new(HostClock)));
        let scraped = Arc::clone(&metrics);
        let server = Server::open(
            Arc::clone(&desk),
            &state,
            Arc::new(move || scraped.scrape(Format::OpenMetrics)),
            Limits::default(),
        );
        let server = Arc::new(server.map_err(|error| match error {
            ServeError::Taken(_) => {
                hinted(error, "end that one first, or give this one another `state` folder")
            }
            error => error.into(),
        })?);
        let identity = place::identity(&wanted.global);
        let (receivers, settings) = match &wanted.file {
            Some(file) => (file.notify.clone(), file.git.clone()),
            None => Default::default(),
        };
        let outbox = Outbox::new(Arc::new(ledger()?), &identity.name, receivers, clock);
        let folder = state.clone();
        let mirrors = tokio::task::spawn_blocking(move || origin::mirrors(&settings, &folder)).await?;
        let mirrors = mirrors.context("the folder of mirrors can't be used")?;
        let audience = audience(metrics, Arc::clone(&outbox));
        // What was cut off may take longer to end than a service manager waits for a start.
        service::ready("ends what was cut off");
        let fleet = Fleet::new(Arc::clone(&machine), Arc::clone(&desk), audience).await;
        let (closing, sending) = (CancellationToken::new(), CancellationToken::new());
        let agent = Self {
            wanted,
            machine,
            fleet,
            desk,
            server,
            outbox,
            mirrors,
            closing,
            sending,
            tasks: Vec::new(),
        };
        agent.server.configure(&agent.settings())?;
        Ok(agent)
    }

    fn settings(&self) -> Settings<'_> {
        let file = self.wanted.file.as_ref();
        Settings {
            api: file.and_then(|file| file.api.as_ref()),
            webhooks: file.map(|file| file.webhooks.as_slice()).unwrap_or_default(),
            interval: self.wanted.interval(),
        }
    }

    /// Begins to follow, to answer and to send.
    async fn begin(&mut self) {
        let (server, closing) = (Arc::clone(&self.server), self.closing.clone());
        self.tasks.push(spawn(async move { server.run(&closing).await }));
        self.tasks.push(spawn(announce::deliver(
            Arc::clone(&self.outbox),
            Pace::default(),
            self.sending.clone(),
        )));
        self.tasks.push(spawn(announce::digests(
            Arc::clone(&self.outbox),
            Arc::clone(&self.desk),
            self.sending.clone(),
        )));
        if let Some(address) = self.server.address() {
            info!(%address, "answers");
        }
        self.follow().await;
    }

    async fn follow(&mut self) {
        let follows = self.wanted.follows(&self.mirrors);
        let shown: Vec<String> =
            follows.iter().map(|follow| format!("{} of {}", follow.environment, follow.repository)).collect();
        self.fleet.follow(follows).await;
        service::ready(&format!("follows {}", shown.join(", ")));
    }

    /// Does as agent.yaml says now. Where that is wrong, all stays as it was.
    async fn reload(&mut self, read: anyhow::Result<Wanted>) {
        let newer = match read {
            Ok(newer) => newer,
            Err(wrong) => return warn!("agent.yaml is wrong, and all stays as it was: {wrong:#}"),
        };
        let (Some(before), Some(now)) = (&self.wanted.file, &newer.file) else { return };
        let changes = before.changes(now);
        if changes.is_empty() {
            return;
        }
        service::reloading();
        let told = changes.to_string();
        let before = std::mem::replace(&mut self.wanted, newer);
        if let Err(wrong) = self.server.configure(&self.settings()) {
            self.wanted = before;
            error!("agent.yaml can't be followed, and all stays as it was: {wrong:#}");
            return service::ready("goes on as before: agent.yaml is wrong");
        }
        info!("agent.yaml was read again: {told}");
        self.machine.set_identity(place::identity(&self.wanted.global));
        if let Some(file) = &self.wanted.file
            && *file.notify != *self.outbox.receivers()
        {
            self.outbox.set_receivers(file.notify.clone());
            self.sending.cancel();
            self.sending = CancellationToken::new();
            for task in [
                spawn(announce::deliver(Arc::clone(&self.outbox), Pace::default(), self.sending.clone())),
                spawn(announce::digests(
                    Arc::clone(&self.outbox),
                    Arc::clone(&self.desk),
                    self.sending.clone(),
                )),
            ] {
                self.tasks.push(task);
            }
            self.tasks.retain(|task| !task.is_finished());
        }
        self.follow().await;
    }

    /// Ends everything at a safe point.
    async fn end(self) {
        let Self { fleet, closing, sending, tasks, .. } = self;
        fleet.end().await;
        closing.cancel();
        sending.cancel();
        for task in tasks {
            // What ends by a mistake of ours has nothing left to do here.
            let _ = task.await;
        }
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// Who is told what the agent of one stack does. Its heart is what the service manager asks for.
fn audience(metrics: Arc<Metrics>, outbox: Arc<Outbox>) -> MakeAudience {
    let hearts: Arc<Mutex<Vec<std::sync::Weak<Heart>>>> = Arc::default();
    let alive = Arc::clone(&hearts);
    tokio::spawn(service::watchdog(move || {
        let hearts = alive.lock().unwrap_or_else(PoisonError::into_inner);
        hearts.iter().filter_map(std::sync::Weak::upgrade).all(|heart| heart.is_alive())
    }));
    Box::new(move |follow: &Follow, board: &Arc<Board>| {
        let heart = Arc::new(Heart::new(follow.look));
        let mut all = hearts.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|heart| heart.strong_count() > 0);
        all.push(Arc::downgrade(&heart));
        let environment = follow.environment.to_string();
        let source = format!("{} {}", follow.repository, follow.branch.as_deref().unwrap_or("HEAD"));
        let announcer = Announcer::new(Arc::clone(&outbox), Subject { environment, source });
        let all: Vec<Arc<dyn Audience>> = vec![metrics.follow(Arc::clone(board)), Arc::new(announcer), heart];
        all
    })
}
