//! Git's lines with a length before them, and the stream that they come from. Every byte is counted.

use reqwest::Response;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use super::error::RemoteProblem;

/// Where bytes come from.
pub(super) enum Source {
    /// The body of an answer.
    Http(Response),
    /// A program.
    Program(ChildStdout),
    /// Bytes at hand.
    #[cfg(test)]
    Bytes(Vec<Vec<u8>>),
}

/// Reads packets, and no more bytes than allowed.
pub(super) struct Packets {
    source: Source,
    /// What was read and not taken yet, from `taken` on.
    buffer: Vec<u8>,
    taken: usize,
    total: u64,
    most: u64,
}

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// A line, with whatever ends it.
    Line(Vec<u8>),
    /// The end of a part.
    Flush,
    /// The stream ended where a packet could have begun.
    End,
}

impl Packets {
    /// Packets of `source`, which may send `most` bytes.
    pub(super) fn new(source: Source, most: u64) -> Self {
        Self { source, buffer: Vec::new(), taken: 0, total: 0, most }
    }

    /// Allows so many bytes from now on.
    pub(super) fn allow(&mut self, most: u64) {
        self.total = 0;
        self.most = most;
    }

    /// The next packet.
    pub(super) async fn next(&mut self) -> Result<Packet, RemoteProblem> {
        if !self.fill(4).await? {
            return if self.buffer.len() == self.taken {
                Ok(Packet::End)
            } else {
                Err(RemoteProblem::Protocol("its answer ends too early"))
            };
        }
        let digits = self.take(4);
        let length = std::str::from_utf8(&digits)
            .ok()
            .filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))
            .and_then(|digits| usize::from_str_radix(digits, 16).ok())
            .ok_or(RemoteProblem::Protocol("this is not a packet"))?;
        match length {
            0 => Ok(Packet::Flush),
            1..=3 => Err(RemoteProblem::Protocol("a packet of an unknown kind")),
            _ if self.fill(length - 4).await? => Ok(Packet::Line(self.take(length - 4))),
            _ => Err(RemoteProblem::Protocol("its answer ends too early")),
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer[self.taken..self.taken + count].to_vec();
        self.taken += count;
        taken
    }

    /// Reads until so many bytes are there. Returns whether they are; else the stream has ended.
    async fn fill(&mut self, count: usize) -> Result<bool, RemoteProblem> {
        while self.buffer.len() - self.taken < count {
            if self.taken > 0 {
                self.buffer.drain(..self.taken);
                self.taken = 0;
            }
            let before = self.buffer.len();
            self.source.more(&mut self.buffer).await?;
            let read = self.buffer.len() - before;
            if read == 0 {
                return Ok(false);
            }
            self.total += read as u64;
            if self.total > self.most {
                return Err(RemoteProblem::TooLarge(self.most));
            }
        }
        Ok(true)
    }
}

impl Source {
    /// Appends what comes next; nothing at the end.
    async fn more(&mut self, buffer: &mut Vec<u8>) -> Result<(), RemoteProblem> {
        match self {
            Self::Http(response) => {
                let chunk = response.chunk().await.map_err(|error| super::http::explained(&error))?;
                buffer.extend_from_slice(&chunk.unwrap_or_default());
            }
            Self::Program(output) => {
                buffer.reserve(64 * 1024);
                let read = output.read_buf(buffer).await;
                read.map_err(|error| RemoteProblem::Unreachable(error.to_string()))?;
            }
            #[cfg(test)]
            Self::Bytes(chunks) => {
                if !chunks.is_empty() {
                    buffer.extend(chunks.remove(0));
                }
            }
        }
        Ok(())
    }
}

/// Appends a line with its length.
pub(super) fn write(request: &mut Vec<u8>, line: &str) {
    request.extend(format!("{:04x}{line}", line.len() + 4).into_bytes());
}

/// What ends a part.
pub(super) const FLUSH: &[u8] = b"0000";

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(chunks: &[&[u8]], most: u64) -> Result<Vec<Packet>, String> {
        let source = Source::Bytes(chunks.iter().map(|chunk| chunk.to_vec()).collect());
        let (mut packets, mut found) = (Packets::new(source, most), Vec::new());
        loop {
            match packets.next().await.map_err(|error| error.to_string())? {
                Packet::End => return Ok(found),
                packet => found.push(packet),
            }
        }
    }

    #[tokio::test]
    async fn packets_are_read_however_they_are_cut() {
        let line = |text: &str| Packet::Line(text.as_bytes().to_vec());
        let expected = vec![line("hello\n"), Packet::Flush, line("")];
        let whole = b"000ahello\n00000004";
        for cut in 1..whole.len() {
            let (one, other) = whole.split_at(cut);
            assert_eq!(all(&[one, other], 100).await.unwrap(), expected, "cut at {cut}");
        }
        let mut written = Vec::new();
        write(&mut written, "hello\n");
        assert_eq!(written, b"000ahello\n");
    }

    #[tokio::test]
    async fn what_is_no_packet_is_refused() {
        for (bytes, words) in [
            (&b"00"[..], "ends too early"),
            (b"000ahell", "ends too early"),
            (b"<htm", "not a packet"),
            (b"+00a", "not a packet"),
            (b"0001", "unknown kind"),
            (b"000ahello\n000ahello\n", "more than 15 bytes"),
        ] {
            let told = all(&[bytes], 15).await.unwrap_err();
            assert!(told.contains(words), "{told}");
        }
    }
}
