//! A port that another process takes in the middle of a deploy, wherever it is free for a moment.

use std::net::TcpListener;

use super::scene::{Scene, Web};
use super::writes;
use crate::common::docker::tell;

const STOP_AT: &str = "EVENKEEL_TEST_STOP_AT";

#[tokio::test(flavor = "multi_thread")]
async fn a_port_may_be_stolen_before_every_write() {
    let Some(scene) = Scene::new().await else { return };
    let (mut version, mut stolen, mut halts) = (1, Vec::new(), 0);
    for place in writes(scene.strides((16, 1))).map(|number| number.to_string()) {
        let before = scene.serving().await;
        version += 1;
        scene.write(version, Web::Good);
        let context = format!("port stolen at {place}");
        let deploy = scene.begin_with("apply --yes", STOP_AT, &place);
        let is_halted = deploy.halts().await;
        let thief = is_halted.then(|| TcpListener::bind(("127.0.0.1", scene.port)).ok()).flatten();
        if is_halted {
            halts += 1;
            deploy.signal("CONT");
        }
        let ran = deploy.wait();
        scene.assert_nothing_lost(&before, &context).await;
        match thief {
            // The old one or the new one has it.
            None => drop(ran.ends_with(0)),
            Some(thief) => {
                stolen.push(place);
                let ran = ran.ends_with(4).says("can't start web").says("rollback: can't start web");
                assert!(ran.stderr.contains(&scene.port.to_string()), "{context}: {ran:?}");
                // Whatever doesn't need the port runs as before.
                assert_eq!(scene.serving().await["db"], before["db"], "{context}: {ran:?}");
                drop(thief);
            }
        }
        scene.apply().ends_with(0);
        scene.assert_at(version, &context).await;
        scene.assert_others_untouched(&context).await;
        // That place is one of many: where not all are asked for, the first one will do.
        let is_enough = std::env::var_os("EVENKEEL_TEST_CRASHES").is_none() && !stolen.is_empty();
        if !is_halted || is_enough {
            assert!(!stolen.is_empty(), "the port was never free");
            tell(&format!("port free for a thief at {stolen:?} of {halts} places; no service lost"));
            return;
        }
    }
    panic!("too many writes");
}
