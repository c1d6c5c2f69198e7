//! A client that asks a published port again and again, and remembers when it was answered.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// What is not answered by then has failed.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(2);

pub struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<SystemTime>>,
}

/// When requests were answered.
pub struct Answers(Vec<SystemTime>);

impl Client {
    pub fn of(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !told.load(Ordering::Relaxed) {
                if is_answered(port) {
                    answers.push(SystemTime::now());
                }
                std::thread::sleep(PAUSE);
            }
            answers
        });
        Self { stop, thread }
    }

    pub fn end(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        Answers(self.thread.join().unwrap())
    }
}

impl Answers {
    /// The longest time without an answer.
    pub fn outage(&self) -> Duration {
        let gaps = self.0.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap());
        gaps.max().expect("answers")
    }

    /// How long after `moment` the next answer came.
    pub fn since(&self, moment: SystemTime) -> Duration {
        let next = self.0.iter().find(|answer| **answer > moment).expect("an answer");
        next.duration_since(moment).unwrap()
    }
}

/// Asks until there is an answer.
pub fn wait_for(port: u16) {
    let start = Instant::now();
    while !is_answered(port) {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody answers at {port}");
        std::thread::sleep(PAUSE);
    }
}

/// Whether a whole answer comes: Docker's own proxy takes connections also where nobody listens behind it.
fn is_answered(port: u16) -> bool {
    let asked = || {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok::<_, std::io::Error>(head.starts_with(b"HTTP/1.1 200"))
    };
    asked().unwrap_or(false)
}

/// A port of the host that is free.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
