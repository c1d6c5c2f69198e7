//! Pulls over a connection that breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::Stage;
use super::{Registry, forget_from, service};
use crate::common::image::TestImage;

/// Stands between the daemon and a registry, and breaks connections off in the middle of a layer.
struct Breaker {
    port: u16,
    /// Connections that are still to be broken off.
    cuts: Arc<AtomicUsize>,
    /// Bytes that the registry sent through it.
    sent: Arc<AtomicUsize>,
    /// Requests for a part of something.
    ranges: Arc<AtomicUsize>,
}

/// So much comes through before a connection breaks.
const CUT_AFTER: usize = 3 << 20;

impl Breaker {
    fn before(registry: &Registry, cuts: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let breaker = Self {
            port: listener.local_addr().unwrap().port(),
            cuts: Arc::new(AtomicUsize::new(cuts)),
            sent: Arc::default(),
            ranges: Arc::default(),
        };
        let (cuts, sent, ranges) = (breaker.cuts.clone(), breaker.sent.clone(), breaker.ranges.clone());
        let behind = registry.port;
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // The registry is gone, and the test with it.
                let Ok(far) = TcpStream::connect(("127.0.0.1", behind)) else { return };
                let (cuts, sent, ranges) = (cuts.clone(), sent.clone(), ranges.clone());
                let [near_again, far_again] = [near.try_clone().unwrap(), far.try_clone().unwrap()];
                thread::spawn(move || {
                    pass(near_again, far_again, |bytes, _| {
                        let text = String::from_utf8_lossy(bytes).to_lowercase();
                        ranges.fetch_add(text.matches("\nrange: bytes=").count(), Ordering::Relaxed);
                        true
                    });
                });
                thread::spawn(move || {
                    pass(far, near, |bytes, before| {
                        sent.fetch_add(bytes.len(), Ordering::Relaxed);
                        let take = |left: usize| left.checked_sub(1);
                        before < CUT_AFTER
                            || cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err()
                    });
                });
            }
        });
        breaker
    }
}

/// Passes on what comes, as long as `goes_on` with it and with how much came before.
fn pass(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(&[u8], usize) -> bool) {
    let (mut buffer, mut before) = (vec![0; 64 << 10], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !goes_on(&buffer[..count], before) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
        before += count;
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_mid_pull_does_not_let_it_start_over() {
    const NOISE: usize = 8 << 20;
    let Some(stage) = Stage::new().await else { return };
    let Some(registry) = Registry::start().await else { return };
    TestImage::plain().import_with(&registry.pushed(), NOISE, &stage.docker).await;
    registry.push(&stage, &registry.pushed()).await;
    let breaker = Breaker::before(&registry, 1);
    let host = format!("127.0.0.1:{}", breaker.port);
    stage.compose(&service("pull_policy: always", &format!("{host}/shop/app:1")));
    stage.apply().ends_with(0).says("pulled");
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    assert_eq!(count(&breaker.cuts), 0, "a connection was broken off");
    assert!(count(&breaker.ranges) > 0, "what had not come was asked for");
    let sent = count(&breaker.sent);
    assert!((NOISE..NOISE + CUT_AFTER).contains(&sent), "{sent} bytes came");
    forget_from(&stage, &host).await;
}
