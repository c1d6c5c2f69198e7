//! An agent that is listened to: what is news, what is not, and what survives a restart. The clock is paused, and what
//! would be sent is read from the outbox.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::agent::Audience;
use evenkeel::agent::board::Board;
use evenkeel::agent::desk::{Desk, Stand};
use evenkeel::announce::{Announcer, Event, Message, Subject, digests};
use evenkeel::apply::Outcome;
use evenkeel::apply::clock::{Clock, HostClock};
use evenkeel::apply::ledger::Ledger;
use evenkeel::engine::Engine;
use evenkeel::engine::sim::Verb;
use evenkeel::manifest::{Chat, Credential, Forge, Notify, Receiver, Routing, Urgency};
use jiff::Timestamp;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::fakes::{Answer, Fake, Office, pace, webhook};
use crate::agent::scene::{Heard, Scene, Watcher, fail_first, manifest};

/// The time of day of a paused clock.
#[derive(Clone, Copy)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        let began: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        began + self.0.elapsed()
    }
}

/// Somebody who wants to know everything, somebody who wants to be woken by what is bad only, and a forge.
fn receivers(_: &Path) -> Vec<Notify> {
    let file = || Credential::File("/nowhere".to_owned());
    let chat = |name: &str, least| Notify {
        name: name.to_owned(),
        routing: Routing { least, ..Routing::default() },
        receiver: Receiver::Chat { chat: Chat::Slack, url: file() },
        ca: None,
    };
    let (api, repository) = ("https://git.example.com".to_owned(), "acme/shop".to_owned());
    let receiver = Receiver::CommitStatus { forge: Forge::Gitea, api, repository, token: file() };
    let forge = Notify { name: "forge".to_owned(), routing: Routing::default(), receiver, ca: None };
    vec![chat("all", Urgency::Info), chat("urgent", Urgency::Warning), forge]
}

struct Ears {
    office: Office,
    clock: Paused,
}

impl Ears {
    fn new() -> Self {
        let clock = Paused(Instant::now());
        Self { office: Office::with_clock(receivers, Arc::new(clock)), clock }
    }

    /// An announcer, as one is made at each start of the agent.
    fn announcer(&self) -> Vec<Arc<dyn Audience>> {
        let subject = Subject { environment: "dev".to_owned(), source: "shop.git main".to_owned() };
        vec![Arc::new(Announcer::new(Arc::clone(&self.office.outbox), subject))]
    }

    /// What a receiver gets by now.
    fn told(&self, receiver: &str) -> Vec<Message> {
        let (ledger, now) = (&self.office.ledger, self.clock.now());
        let mut told = Vec::new();
        while let Some(waiting) =
            ledger.next_post(receiver, now).unwrap().filter(|waiting| waiting.due <= now)
        {
            assert!(ledger.try_post(waiting.id, now).unwrap());
            ledger.end_post(waiting.id, now).unwrap();
            told.push(serde_json::from_str(&waiting.message).unwrap());
        }
        told
    }

    fn events(&self, receiver: &str) -> Vec<Event> {
        self.told(receiver).iter().map(|message| message.event).collect()
    }
}

async fn rolled_back(agent: &mut Watcher) {
    let (_, outcome) = agent.ended().await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    agent.rests().await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_and_its_failure_and_the_way_out_are_each_told_once() {
    let (scene, ears) = (Scene::new(), Ears::new());
    scene
        .play_before(ears.announcer(), async |agent| {
            let first = scene.commit(&manifest("app:1"));
            agent.deployed(&first).await;
            let [told] = &ears.told("all")[..] else { panic!() };
            assert_eq!((told.event, told.stack.as_deref()), (Event::Deployed, Some("shop-dev")));
            let commit = told.commit.as_ref().unwrap();
            assert_eq!(
                (&commit.id, commit.author.as_str(), commit.title.as_str()),
                (&first, "Ada", "change")
            );
            assert_eq!(ears.events("urgent"), []);
            assert_eq!(ears.events("forge"), [Event::Deploying, Event::Deployed]);

            scene.commit(&manifest("app:broken"));
            rolled_back(agent).await;
            let [told] = &ears.told("urgent")[..] else { panic!() };
            assert_eq!(
                (told.event, told.log.as_slice()),
                (Event::RolledBack, &["no such table".to_owned()][..])
            );
            assert_eq!(told.images[0].to_string(), "web: app:1 → app:broken");
            assert_eq!(told.next.as_deref(), Some("evenkeel why web"));
            assert!(told.took_ms.is_some() && told.cause.is_some());
            // That it is held now is the same news.
            time::sleep(Duration::from_secs(3600)).await;
            agent.rests().await;
            assert_eq!(ears.events("urgent"), []);
            assert_eq!(ears.events("forge"), [Event::Deploying, Event::RolledBack]);

            let third = scene.commit(&manifest("app:2"));
            while agent.ended().await.0 != third {}
            agent.rests().await;
            // Whoever was told that it failed is told that it went well, though that alone is no news for him.
            assert_eq!(ears.events("urgent"), [Event::Deployed]);
            assert_eq!(
                ears.events("all"),
                [Event::RolledBack, Event::Deployed],
                "what has happened is told late or never"
            );
            let fourth = scene.commit(&manifest("app:3"));
            agent.deployed(&fourth).await;
            assert_eq!(ears.events("urgent"), []);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_ended_while_nobody_listened_is_told_once() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene.play(async |agent| agent.deployed(&first).await).await;
    let ledger = Ledger::open(&scene.folder.path().join("state/ledger.db")).unwrap();
    let office = Office::over(ledger, tempfile::tempdir().unwrap(), receivers, Arc::new(scene.clock));
    let ears = Ears { office, clock: Paused(Instant::now()) };
    let told = || {
        let (ledger, mut events) = (&ears.office.ledger, Vec::new());
        while let Some(waiting) = ledger.next_post("all", Timestamp::MAX).unwrap() {
            ledger.end_post(waiting.id, Timestamp::now()).unwrap();
            let message: Message = serde_json::from_str(&waiting.message).unwrap();
            events.push((message.event, message.commit.unwrap().id));
        }
        events
    };
    for expected in [vec![(Event::Deployed, first.clone())], Vec::new()] {
        scene.play_before(ears.announcer(), async |agent| agent.rests().await).await;
        assert_eq!(told(), expected);
    }
    let second = scene.commit(&manifest("app:2"));
    scene.play_before(ears.announcer(), async |agent| agent.deployed(&second).await).await;
    scene.play_before(ears.announcer(), async |agent| agent.rests().await).await;
    assert_eq!(told(), [(Event::Deployed, second)]);
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_told_when_it_lasts_and_when_it_is_over() {
    let (scene, ears) = (Scene::new(), Ears::new());
    let first = scene.commit(&manifest("app:1"));
    scene
        .play_before(ears.announcer(), async |agent| {
            agent.deployed(&first).await;
            ears.events("all");
            scene.commit("services: {web: {imago: a}}\n");
            agent.held().await;
            agent.rests().await;
            time::sleep(Duration::from_secs(30)).await;
            assert_eq!(ears.events("urgent"), []);
            scene.commit(&manifest("app:2"));
            while !matches!(agent.next().await, Heard::Ended { .. }) {}
            agent.rests().await;
            time::sleep(Duration::from_secs(300)).await;
            assert_eq!(ears.events("urgent"), [], "it was over before anybody was told");
            scene.commit("services: {web: {imago: b}}\n");
            agent.held().await;
            time::sleep(Duration::from_secs(61)).await;
            let [held] = &ears.told("urgent")[..] else { panic!() };
            assert_eq!((held.event, held.next.as_deref()), (Event::Held, Some("evenkeel validate")));
            assert!(held.cause.as_deref().unwrap().contains("imago"), "{held:?}");
        })
        .await;
    // A restart finds the same, which is no news, and its end, which is.
    scene
        .play_before(ears.announcer(), async |agent| {
            agent.held().await;
            time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(ears.events("urgent"), []);
            let good = scene.commit(&manifest("app:3"));
            while agent.ended().await.0 != good {}
            agent.rests().await;
            assert_eq!(ears.events("urgent"), [Event::Recovered]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_repaired_at_once_is_told_as_drift_and_not_as_an_outage() {
    let (scene, ears) = (Scene::new(), Ears::new());
    let first = scene.commit(&manifest("app:1"));
    scene
        .play_before(ears.announcer(), async |agent| {
            agent.deployed(&first).await;
            ears.events("all");
            for _ in 0..5 {
                assert!(scene.sim.stop_by_hand(&"shop-dev-db-1".parse().unwrap()));
                agent.deployed(&first).await;
            }
            time::sleep(Duration::from_secs(600)).await;
            agent.rests().await;
            let told = ears.told("all");
            let events: Vec<_> = told.iter().map(|message| message.event).collect();
            assert_eq!(events, [Event::DriftRepaired], "once, though it happened five times");
            assert!(told[0].changes[0].contains("db"), "{told:?}");
            assert_eq!(ears.events("urgent"), []);
            assert_eq!(ears.events("forge"), [Event::Deploying, Event::Deployed]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_can_not_be_asked_for_long_is_told_and_so_is_its_return() {
    let (scene, ears) = (Scene::new(), Ears::new());
    let first = scene.commit(&manifest("app:1"));
    scene
        .play_before(ears.announcer(), async |agent| {
            agent.deployed(&first).await;
            ears.events("urgent");
            let failed = fail_first(&scene.sim, Verb::ListContainers, usize::MAX);
            time::sleep(Duration::from_secs(1200)).await;
            assert!(failed.load(std::sync::atomic::Ordering::Relaxed) > 1);
            assert_eq!(ears.events("urgent"), [Event::Stalled]);
            fail_first(&scene.sim, Verb::ListContainers, 0);
            time::sleep(Duration::from_secs(1200)).await;
            agent.rests().await;
            assert_eq!(ears.events("urgent"), [Event::Recovered]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_can_not_be_read_for_long_is_told() {
    let (scene, ears) = (Scene::new(), Ears::new());
    let first = scene.commit(&manifest("app:1"));
    let (here, away) = (scene.repository(), scene.folder.path().join("away.git"));
    scene
        .play_before(ears.announcer(), async |agent| {
            agent.deployed(&first).await;
            std::fs::rename(&here, &away).unwrap();
            time::sleep(Duration::from_secs(600)).await;
            assert_eq!(ears.events("urgent"), []);
            time::sleep(Duration::from_secs(600)).await;
            assert_eq!(ears.events("urgent"), [Event::SourceUnreachable]);
            std::fs::rename(&away, &here).unwrap();
            time::sleep(Duration::from_secs(200)).await;
            assert_eq!(ears.events("urgent"), [Event::Recovered]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_unwell_is_told_and_so_is_its_recovery() {
    let (scene, ears) = (Scene::new(), Ears::new());
    // Only reported, so that nobody repairs it.
    let text = format!("{}x-evenkeel: {{drift: report}}\n", manifest("app:1"));
    let first = scene.commit(&text);
    scene
        .play_before(ears.announcer(), async |agent| {
            agent.deployed(&first).await;
            ears.events("urgent");
            let db = "shop-dev-db-1".parse().unwrap();
            assert!(scene.sim.stop_by_hand(&db));
            time::sleep(Duration::from_secs(90)).await;
            let told = ears.told("urgent");
            let [degraded] = &told[..] else { panic!("{told:?}") };
            assert_eq!((degraded.event, degraded.urgency), (Event::Degraded, Urgency::Critical));
            assert!(degraded.cause.as_deref().unwrap().starts_with("db-1 is exited"), "{degraded:?}");
            assert_eq!(degraded.next.as_deref(), Some("evenkeel why db"));
            let listed = scene.sim.list_containers().await.unwrap();
            let stopped = listed.into_iter().find(|listed| listed.summary.name == db).unwrap();
            scene.sim.start_container(&stopped.id).await.unwrap();
            time::sleep(Duration::from_secs(400)).await;
            assert_eq!(ears.events("urgent"), [Event::Recovered]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_watch_and_the_return_are_told() {
    let (scene, ears) = (Scene::new(), Ears::new());
    let watched = |image: &str| {
        format!(
            "services:\n  web: {{image: '{image}', x-evenkeel: {{watch: 10m}}}}\n  db: {{image: 'app:1'}}\n"
        )
    };
    let first = scene.commit(&watched("app:1"));
    scene
        .play_before(ears.announcer(), async |agent| {
            agent.deployed(&first).await;
            time::sleep(Duration::from_secs(700)).await;
            let second = scene.commit(&watched("app:2"));
            agent.deployed(&second).await;
            ears.events("all");
            ears.events("forge");
            assert!(scene.sim.stop_by_hand(&"shop-dev-web-1".parse().unwrap()));
            agent.deployed(&first).await;
            assert_eq!(ears.events("all"), [Event::WatchFailed, Event::Returned]);
            assert_eq!(ears.events("forge"), [Event::WatchFailed]);
            time::sleep(Duration::from_secs(3600)).await;
            agent.rests().await;
            assert_eq!(ears.events("all"), [], "that its commit is held is the same news");
        })
        .await;
}

#[tokio::test]
async fn slow_and_dead_receivers_do_not_delay_a_deploy() {
    let slow = Fake::new(vec![Answer::Never; 100]).await;
    let dead = Fake::new(Vec::new()).await.url("/hook");
    let mut good = Fake::new(Vec::new()).await;
    let mut office = Office::new(|folder| {
        let slow = webhook(folder, "slow", &slow.url("/hook"));
        vec![slow, webhook(folder, "dead", &dead), webhook(folder, "good", &good.url("/hook"))]
    });
    office.open(evenkeel::announce::Pace { timeout: Duration::from_secs(600), ..pace() });
    let subject = Subject { environment: "dev".to_owned(), source: "shop.git".to_owned() };
    let announcer: Vec<Arc<dyn Audience>> =
        vec![Arc::new(Announcer::new(Arc::clone(&office.outbox), subject))];
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    let began = Instant::now();
    scene
        .play_before(announcer, async |agent| {
            agent.deployed(&first).await;
            for image in ["app:2", "app:3", "app:1"] {
                let commit = scene.commit(&manifest(image));
                agent.deployed(&commit).await;
            }
        })
        .await;
    for _ in 0..4 {
        assert_eq!(good.got().await.event(), "deployed");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_written_once_a_day() {
    let ears = Ears::new();
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    let board = Arc::new(Board::new(&scene.follow(), Box::new(ears.clock)));
    let audience: Vec<Arc<dyn Audience>> = vec![Arc::clone(&board) as Arc<dyn Audience>];
    scene.play_before(audience, async |agent| agent.deployed(&first).await).await;
    let ledger = Ledger::open(&scene.folder.path().join("state/ledger.db")).unwrap();
    let desk = Arc::new(Desk::new(ledger, Box::new(HostClock)));
    desk.follow(vec![Stand { board, bell: evenkeel::agent::desk::Bell::default() }]);
    let at = ears.clock.now().to_zoned(jiff::tz::TimeZone::system());
    let routing = Routing { digest: Some((at.hour(), at.minute())), ..Routing::default() };
    let receiver = receivers(Path::new("")).remove(0).receiver;
    let daily = Notify { name: "daily".to_owned(), routing, receiver, ca: None };
    let office = Office::with_clock(|_| vec![daily], Arc::new(ears.clock));
    let stop = CancellationToken::new();
    let writing = tokio::spawn(digests(Arc::clone(&office.outbox), desk, stop.clone()));
    time::sleep(Duration::from_secs(3 * 24 * 60 * 60 + 60)).await;
    stop.cancel();
    writing.await.unwrap();
    let ears = Ears { office, clock: ears.clock };
    let told = ears.told("daily");
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|message| message.event == Event::Digest));
    assert!(told[0].changes[0].starts_with("shop-dev: in sync, healthy; "), "{told:?}");
}
