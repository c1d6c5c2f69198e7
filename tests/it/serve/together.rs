//! The server beside a real agent, on the simulator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::agent::board::Board;
use evenkeel::agent::desk::{Bell, Desk, Stand};
use evenkeel::agent::{self, Audience, Audiences, Follow, Happening, Trigger};
use evenkeel::apply::clock::HostClock;
use evenkeel::apply::progress::{Event, Progress};
use evenkeel::apply::state::StateDir;
use evenkeel::manifest::{Api, Webhook, WebhookKind};
use evenkeel::serve::{Limits, Server, Settings, client};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::hooks::tag;
use super::rig::{SECRET, asked, request, secret};
use crate::agent::scene::{Scene, manifest};

const PATIENCE: Duration = Duration::from_secs(30);

/// Hears what wakes the agent.
struct Ear(UnboundedSender<Trigger>);

impl Progress for Ear {
    fn event(&self, _: Event<'_>) {}
}

impl Audience for Ear {
    fn happens(&self, happening: Happening<'_>) {
        if let Happening::Woken(trigger) = happening {
            let _ = self.0.send(trigger);
        }
    }
}

async fn woken(heard: &mut UnboundedReceiver<Trigger>, by: Trigger) {
    let woken = async { while heard.recv().await.unwrap() != by {} };
    timeout(PATIENCE, woken).await.expect("nothing woke the agent");
}

#[tokio::test]
async fn a_hook_and_an_order_wake_the_agent_and_its_state_is_told() {
    let scene = Scene::new();
    let commit = scene.commit(&manifest("app:1"));
    let state = scene.folder.path().join("state");
    let hour = Duration::from_secs(3600);
    let follow = Follow {
        repository: scene.repository().into(),
        branch: Some("main".to_owned()),
        environment: "dev".parse().unwrap(),
        host_variables: BTreeMap::new(),
        poll: hour,
        look: hour,
    };
    let machine = scene.machine();
    let (board, bell) = (Arc::new(Board::new(&follow, Box::new(HostClock))), Bell::default());
    let desk = Desk::new(StateDir::open(&state).unwrap().ledger().unwrap(), Box::new(HostClock));
    desk.follow(vec![Stand { board: Arc::clone(&board), bell: bell.clone() }]);
    let server = Server::open(Arc::new(desk), &state, Arc::new(String::new), Limits::default()).unwrap();
    let api = Api { listen: Some("127.0.0.1:0".parse().unwrap()), ..Api::default() };
    let hook = Webhook {
        name: "forge".to_owned(),
        kind: WebhookKind::Github,
        secret: secret(scene.folder.path(), "hook", SECRET),
        repositories: Vec::new(),
        environments: Vec::new(),
    };
    server.configure(&Settings { api: Some(&api), webhooks: &[hook], interval: hour }).unwrap();
    let (ear, mut heard) = unbounded_channel();
    let audience = Audiences(vec![board, Arc::new(Ear(ear))]);
    let stop = CancellationToken::new();
    let body = async {
        let ask = async |text: String| {
            let stream = TcpStream::connect(server.address().unwrap()).await.unwrap();
            asked(stream, text.as_bytes()).await
        };
        let end = Instant::now() + PATIENCE;
        loop {
            let stacks = client::state(&state).await.unwrap();
            if stacks[0]["revisions"]["applied"] == commit.as_str() && stacks[0]["sync"]["state"] == "in_sync"
            {
                break;
            }
            assert!(Instant::now() < end, "{stacks:?}");
            sleep(Duration::from_millis(10)).await;
        }
        for path in ["/healthz", "/readyz"] {
            assert_eq!(ask(request(&format!("GET {path}"), &[], "")).await.status, 200, "{path}");
        }
        let history = ask(request("GET /v1/stacks/shop-dev/history", &[], "")).await.json();
        assert_eq!(history["deploys"][0]["commit"], commit.as_str());
        assert_eq!(history["deploys"][0]["outcome"], "done");
        let plan = ask(request("GET /v1/stacks/shop-dev/plan", &[], "")).await.json();
        assert_eq!(plan["stack"], "shop-dev");
        while heard.try_recv().is_ok() {}
        // Nothing has changed anywhere: only these wake it.
        let signature = format!("X-Hub-Signature-256: sha256={}", tag("{}"));
        assert_eq!(ask(request("POST /hooks/forge", &[&signature], "{}")).await.status, 202);
        woken(&mut heard, Trigger::SourceChanged).await;
        client::ring(&state, &"shop-dev".parse().unwrap()).await.unwrap();
        woken(&mut heard, Trigger::Order).await;
        stop.cancel();
    };
    tokio::join!(agent::run(&machine, &follow, &audience, &bell, &stop), server.run(&stop), body);
}
