//! Laws of what runs in containers, what it writes, and of events.

use std::time::Duration;

use evenkeel::engine::sim::Behaviour;
use evenkeel::engine::{Engine, EngineError, EngineEvent};
use futures_util::StreamExt;

use super::ground::{Ground, words};

const LONG: Duration = Duration::from_secs(30);

pub async fn a_command_in_a_container_tells_its_end<E: Engine>(ground: &Ground<E>) {
    let id = ground.created_and_started("web", ground.spec()).await;
    let failed = ground.engine.exec(&id, &words(&["/fixture", "exit", "3"]), LONG).await.unwrap();
    assert_eq!(failed.code, Some(3));
    let said = ground.engine.exec(&id, &words(&["/fixture", "say", "\u{1b}[31mred"]), LONG).await.unwrap();
    assert_eq!((said.code, said.output.as_str()), (Some(0), "red"));
    let unknown = ground.engine.exec(&id, &words(&["/no-such-program"]), LONG).await.unwrap();
    assert!(matches!(unknown.code, Some(126 | 127)), "{unknown:?}");
}

pub async fn a_command_ends_in_time<E: Engine>(ground: &Ground<E>) {
    let id = ground.created_and_started("web", ground.spec()).await;
    let slow = words(&["/fixture", "sleep", "60000"]);
    let unfinished = ground.engine.exec(&id, &slow, Duration::from_millis(500)).await.unwrap();
    assert_eq!(unfinished.code, None);
}

pub async fn a_command_needs_a_running_container<E: Engine>(ground: &Ground<E>) {
    let id = ground.create("web", ground.spec()).await;
    let refused = ground.engine.exec(&id, &words(&["/fixture", "exit", "3"]), LONG).await;
    assert!(matches!(refused, Err(EngineError::Conflict { .. })), "{refused:?}");
}

pub async fn the_last_lines_of_a_log_are_read<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    let lines = ["one", "two\u{1b}[0m", "three\t3"];
    spec.command = Some(words(&["serve", "--say", lines[0], "--say", lines[1], "--say", lines[2]]));
    let id = ground.create("web", spec).await;
    assert_eq!(ground.engine.logs(&id, 2).await, Ok(Vec::new()));
    let writes = lines.map(str::to_owned).to_vec();
    ground.behaves(&ground.container_name("web"), Behaviour { writes, ..Behaviour::default() });
    ground.engine.start_container(&id).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..600 {
        found = ground.engine.logs(&id, 2).await.unwrap();
        if found.last().is_some_and(|line| line.starts_with("three")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found, ["two", "three 3"]);
}

pub async fn a_log_is_followed_from_the_start_of_its_run<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    spec.command = Some(words(&["serve", "--say", "one", "--later", "400", "two\u{1b}[0m"]));
    let id = ground.create("web", spec).await;
    let later = vec![(Duration::from_millis(400), "two\u{1b}[0m".to_owned())];
    let writes = vec!["one".to_owned()];
    let behaviour = Behaviour { writes, writes_later: later, ..Behaviour::default() };
    ground.behaves(&ground.container_name("web"), behaviour);
    let next = async |lines: &mut futures_util::stream::BoxStream<'static, Result<String, EngineError>>| {
        tokio::time::timeout(LONG, lines.next()).await.unwrap().transpose().unwrap()
    };
    // Of the second run nothing is told that the first one wrote, though it wrote the same.
    for _ in 0..2 {
        ground.engine.start_container(&id).await.unwrap();
        let mut lines = ground.engine.follow_log(&id);
        assert_eq!(next(&mut lines).await.as_deref(), Some("one"));
        assert_eq!(next(&mut lines).await.as_deref(), Some("two"));
        let stop = ground.engine.stop_container(&id, None);
        let (end, stopped) = tokio::join!(next(&mut lines), stop);
        assert_eq!((end, stopped), (None, Ok(())), "the stream ends with the run");
    }
    ground.engine.remove_container(&id).await.unwrap();
    let gone = ground.engine.follow_log(&id).next().await;
    assert!(matches!(gone, Some(Err(EngineError::NotFound { .. }))), "{gone:?}");
}

pub async fn events_arrive<E: Engine>(ground: &Ground<E>) {
    let mut events = ground.engine.events();
    // Nobody has polled the stream yet; what happens from here on must be told nevertheless.
    let volume = ground.volume("data");
    ground.engine.create_volume(&volume).await.unwrap();
    ground.created_network("net").await;
    let id = ground.created_and_started("web", ground.spec()).await;
    ground.engine.exec(&id, &words(&["/fixture", "exit", "3"]), LONG).await.unwrap();
    ground.engine.stop_container(&id, None).await.unwrap();
    ground.engine.remove_container(&id).await.unwrap();

    let mut mine = Vec::new();
    let is_mine = |event: &EngineEvent| event.object.starts_with(ground.stack.as_str());
    while let Some(event) = tokio::time::timeout(LONG, events.next()).await.unwrap() {
        let event = event.unwrap();
        if !is_mine(&event) {
            continue;
        }
        let last = (event.kind.as_str(), event.action.as_str()) == ("container", "destroy");
        mine.push(event);
        if last {
            break;
        }
    }
    let expected = [
        ("volume", "create", volume.name.to_string()),
        ("network", "create", ground.network_name("net").to_string()),
        ("container", "create", ground.container_name("web").to_string()),
        ("container", "start", ground.container_name("web").to_string()),
        ("container", "die", ground.container_name("web").to_string()),
        ("container", "stop", ground.container_name("web").to_string()),
        ("container", "destroy", ground.container_name("web").to_string()),
    ];
    let found: Vec<_> =
        mine.iter().map(|event| (event.kind.as_str(), event.action.as_str(), event.object.clone())).collect();
    for event in &expected {
        assert!(found.contains(event), "{event:?} is missing among {found:?}");
    }
    assert!(found.iter().all(|(_, action, _)| !action.starts_with("exec")), "{found:?}");
    let of_containers = mine.iter().filter(|event| event.kind == "container");
    assert!(of_containers.clone().all(|event| event.stack.as_ref() == Some(&ground.stack)), "{mine:?}");
}
