//! The first question to a socket: which version of the API does who listens there speak?
//!
//! Asked by hand with a ping, which costs a daemon a tenth of what the client library's own question does, and tells
//! exactly why there is no answer.

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Most bytes of an answer. A daemon's has some 300.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

const QUESTION: &[u8] =
    b"GET /_ping HTTP/1.1\r\nHost: docker\r\nUser-Agent: evenkeel\r\nConnection: close\r\n\r\n";

/// The newest version of the API that the daemon at `socket` speaks, or nothing if what answers is no Docker.
pub(super) async fn api_version(socket: &Path) -> Result<Option<(usize, usize)>, io::Error> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(QUESTION).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(version_in(&String::from_utf8_lossy(&answer)))
}

fn version_in(answer: &str) -> Option<(usize, usize)> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, version) = fields.find(|(name, _)| name.eq_ignore_ascii_case("api-version"))?;
    let (major, minor) = version.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_head() {
        let answer = "HTTP/1.1 200 OK\r\nServer: x\r\napi-version: 1.41\r\n\r\nOK";
        assert_eq!(version_in(answer), Some((1, 41)));
        assert_eq!(version_in("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nApi-Version: 1.41"), None);
        assert_eq!(version_in("SSH-2.0-OpenSSH"), None);
    }
}
