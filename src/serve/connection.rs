//! One connection, from the first byte to the last. Time and memory of it are bounded before anything is known of who is
//! at the other end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time;

use super::caller::Origin;
use super::crowd::Seat;
use super::limits::{BUFFER, HEAD};
use super::site::Site;

/// Headers of a request at most.
const HEADERS: usize = 64;

/// What is still read of who sends on after the answer, in bytes, and for how long. A connection that is closed on unread
/// bytes is reset, and then the answer may be lost.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_PIECE: usize = 16 * 1024;
const LINGER: Duration = Duration::from_millis(500);

/// Answers what comes over a connection, until it ends, gives up its seat, or the server closes.
pub(super) async fn answer<I>(io: I, router: Router, origin: Origin, seat: Arc<Seat>, site: Arc<Site>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (inner, of_answers) = (TowerToHyperService::new(router), Arc::clone(&seat));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = of_answers.answer();
        request.extensions_mut().insert(origin);
        let answer = inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // The answer is given when its body is: that of events takes long.
            Ok::<_, Infallible>(response.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &answering;
                    frame
                })
            }))
        })
    });
    let mut connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(site.limits.head)
        .max_headers(HEADERS)
        .max_header_size(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(io), service);
    let mut is_closing = false;
    let ended = loop {
        tokio::select! {
            biased;
            () = seat.lost.cancelled() => return,
            () = site.closing.cancelled(), if !is_closing => {
                is_closing = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
        }
    };
    // In a flood it doesn't matter whether each sender gets its refusal.
    if ended.is_ok()
        && let Ok(_permit) = site.lingering.try_acquire()
    {
        let lingering = linger(connection.into_parts().io.into_inner());
        tokio::select! {
            () = seat.lost.cancelled() => {}
            _ = time::timeout(LINGER, lingering) => {}
        }
    }
}

/// Closes our half, and reads a little of what the other end still sends.
async fn linger(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    if io.shutdown().await.is_err() {
        return;
    }
    let (mut buffer, mut left) = (vec![0; LINGER_PIECE], LINGER_BYTES);
    while left > 0 {
        match io.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}
