//! The simulated host of a demonstration where there is no Docker: images that behave like the stand-in, and somebody
//! who answers for them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::apply::gate::probe::{Body, HttpAnswer, HttpRequest, Prober};
use crate::engine::sim::{Behaviour, Sim, SimImage};
use crate::engine::stand_in;
use crate::model::image::ImageRef;

/// A host on which the stand-in and `broken`, an image that ends at once, can be run.
pub(super) fn host(broken: &ImageRef) -> Sim {
    let sim = Sim::new();
    let well = Behaviour {
        healthy_after: Duration::from_millis(250),
        stop_takes: Duration::from_millis(40),
        writes: vec!["stand-in: ready".to_owned()],
        ..Behaviour::default()
    };
    let ill = Behaviour {
        healthy_after: Duration::MAX,
        exits: Some((Duration::from_millis(60), 1)),
        writes: vec!["stand-in: cannot start: STAND_IN_FAIL is `start`".to_owned()],
        ..Behaviour::default()
    };
    sim.add_image(&stand_in::reference(), SimImage::of("stand-in").that(well));
    sim.add_image(broken, SimImage::of("broken").that(ill));
    sim.pretend_address(IpAddr::V4(Ipv4Addr::LOCALHOST));
    sim
}

/// Answers for every simulated container that it is well. Whether one runs is asked elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answerer;

impl Prober for Answerer {
    fn http<'a>(
        &'a self,
        _: SocketAddr,
        _: &'a HttpRequest,
        _: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>> {
        let body = Body::Whole(br#"{"status": "healthy"}"#.to_vec());
        async { Ok(HttpAnswer { status: 200, headers: Vec::new(), body }) }.boxed()
    }

    fn tcp(&self, _: SocketAddr, _: Duration) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }
}
