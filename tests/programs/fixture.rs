//! The program inside of test images. It is no part of the test binary: [`super::image`] compiles it on the spot,
//! statically, from the standard library alone.
//!
//! ```text
//! /fixture serve [--port N] [--healthy-after MS] [--exit CODE --after MS] [--ignore-term] [--say LINE]… [--show FILE]…
//!                [--later MS LINE]… [--listen-after MS] [--answer-after MS] [--deaf]
//!     GET /health       200 or 503, and {"status": …}
//!     GET /deep         200, {"shards": [{"state": "green"}]} and the header X-Role: primary
//!     GET /slow?MS      200 after so long
//!     GET /to/PATH      302 to /PATH
//!     GET /away         302 to another host
//!     GET /token        200 if the header X-Token is `hunter22`, else 401 and what it was
//! /fixture probe [--port N]     exit status 0 if GET /health answers 200
//! /fixture exit CODE            ends with that status
//! /fixture sleep MS             ends with 0 after so long
//! /fixture say TEXT             writes the text to standard output
//! /fixture fail TEXT            writes the text to standard output and ends with 1
//! /fixture load NAME [--port N] [--clients N]
//!                               asks GET /health of NAME again and again, resolving it for each request, and writes
//!                               how that goes: `load: 812 made, 0 failed, slowest 14 ms, of each client 99 to 104`
//! ```
//! Words of the environment variable `FIXTURE` are appended to the arguments of `serve`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let command = if words.is_empty() { "serve".to_owned() } else { words.remove(0) };
    match command.as_str() {
        "serve" => {
            let more = std::env::var("FIXTURE").unwrap_or_default();
            words.extend(more.split_whitespace().map(str::to_owned));
            serve(&words);
        }
        "probe" => exit(i32::from(!is_healthy(number(&words, "--port").unwrap_or(8080)))),
        "exit" => exit(words.first().and_then(|code| code.parse().ok()).unwrap_or(1)),
        "sleep" => thread::sleep(millis(words.first().and_then(|ms| ms.parse().ok()).unwrap_or(0))),
        "say" => println!("{}", words.join(" ")),
        "fail" => {
            println!("{}", words.join(" "));
            exit(1);
        }
        "load" => load(&words),
        other => {
            eprintln!("unknown command {other}");
            exit(2);
        }
    }
}

fn serve(words: &[String]) {
    if !words.iter().any(|word| word == "--ignore-term") {
        end_on_term();
    }
    for (at, _) in words.iter().enumerate().filter(|(_, word)| *word == "--say") {
        println!("{}", words.get(at + 1).map_or("", String::as_str));
    }
    for (at, _) in words.iter().enumerate().filter(|(_, word)| *word == "--show") {
        show(words.get(at + 1).map_or("", String::as_str));
    }
    for (at, _) in words.iter().enumerate().filter(|(_, word)| *word == "--later") {
        let after = words.get(at + 1).and_then(|ms| ms.parse().ok()).unwrap_or(0);
        let line = words.get(at + 2).cloned().unwrap_or_default();
        thread::spawn(move || {
            thread::sleep(millis(after));
            println!("{line}");
        });
    }
    if let Some(code) = number(words, "--exit") {
        thread::sleep(millis(number(words, "--after").unwrap_or(0)));
        exit(i32::try_from(code).unwrap_or(1));
    }
    let port = number(words, "--port").unwrap_or(8080);
    let healthy_at = Instant::now() + millis(number(words, "--healthy-after").unwrap_or(0));
    thread::sleep(millis(number(words, "--listen-after").unwrap_or(0)));
    if words.iter().any(|word| word == "--deaf") {
        thread::sleep(millis(u64::from(u32::MAX)));
    }
    let answer_after = millis(number(words, "--answer-after").unwrap_or(0));
    let listener = TcpListener::bind(("0.0.0.0", port as u16)).expect("bind");
    let healthy_at = Arc::new(healthy_at);
    for stream in listener.incoming().flatten() {
        let healthy_at = Arc::clone(&healthy_at);
        thread::spawn(move || {
            let healthy = Instant::now() >= *healthy_at;
            thread::sleep(answer_after);
            answer(stream, healthy);
        });
    }
}

/// Writes permissions, owner and content of a file in one line.
fn show(path: &str) {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(path), std::fs::read_to_string(path)) {
        (Ok(found), Ok(text)) => {
            println!("{path} {:04o} {}:{} {text:?}", found.mode() & 0o7777, found.uid(), found.gid());
        }
        (found, text) => println!("{path} {:?} {:?}", found.err(), text.err()),
    }
}

fn answer(mut stream: TcpStream, healthy: bool) {
    let mut request = [0; 1024];
    let read = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or("/");
    let (status, header, body) = answer_to(path, &request, healthy);
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    let body = if request.starts_with("HEAD ") { "" } else { &body };
    let _ = write!(stream, "{head}{header}Connection: close\r\n\r\n{body}");
}

/// The status, a header with its end of line or nothing, and the body.
fn answer_to(path: &str, request: &str, healthy: bool) -> (&'static str, String, String) {
    const GOOD: &str = "200 OK";
    const FOUND: &str = "302 Found";
    let (page, query) = path.split_once('?').unwrap_or((path, ""));
    let body = |body: &str| body.to_owned();
    match page {
        "/health" if healthy => (GOOD, String::new(), body(r#"{"status": "healthy"}"#)),
        "/health" => ("503 Service Unavailable", String::new(), body(r#"{"status": "starting"}"#)),
        "/deep" => (GOOD, "X-Role: primary\r\n".to_owned(), body(r#"{"shards": [{"state": "green"}]}"#)),
        "/slow" => {
            thread::sleep(millis(query.parse().unwrap_or(0)));
            (GOOD, String::new(), body("{}"))
        }
        "/away" => (FOUND, "Location: http://example.com/\r\n".to_owned(), String::new()),
        "/token" => {
            let mut lines = request.lines();
            let sent = lines.find_map(|line| line.to_lowercase().strip_prefix("x-token: ").map(str::to_owned));
            let sent = sent.unwrap_or_default();
            let status = if sent == "hunter22" { GOOD } else { "401 Unauthorized" };
            (status, format!("X-Sent: {sent}\r\n"), String::new())
        }
        _ => match page.strip_prefix("/to/") {
            Some(rest) => (FOUND, format!("Location: /{rest}\r\n"), String::new()),
            None => ("404 Not Found", String::new(), body("{}")),
        },
    }
}

fn is_healthy(port: u64) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port as u16)) else { return false };
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// What the clients of a load have seen.
#[derive(Default)]
struct Load {
    failed: AtomicU64,
    slowest: AtomicU64,
    /// The requests that each has made.
    made: Vec<AtomicU64>,
}

/// Puts a constant load on a service until somebody ends it.
fn load(words: &[String]) {
    end_on_term();
    let name = words.first().expect("a name").clone();
    let port = number(words, "--port").unwrap_or(8080) as u16;
    let clients = number(words, "--clients").unwrap_or(8) as usize;
    let load = Arc::new(Load { made: (0..clients).map(|_| AtomicU64::new(0)).collect(), ..Load::default() });
    for client in 0..clients {
        let (load, name) = (Arc::clone(&load), name.clone());
        thread::spawn(move || {
            for turn in client.. {
                let start = Instant::now();
                let answer = ask(&name, port, turn);
                let took = start.elapsed().as_millis() as u64;
                if let Err(why) = answer {
                    load.failed.fetch_add(1, Ordering::Relaxed);
                    println!("failed after {took} ms: {why}");
                }
                load.slowest.fetch_max(took, Ordering::Relaxed);
                load.made[client].fetch_add(1, Ordering::Relaxed);
                thread::sleep(millis(5));
            }
        });
    }
    loop {
        thread::sleep(millis(100));
        let made: Vec<u64> = load.made.iter().map(|made| made.load(Ordering::Relaxed)).collect();
        let [failed, slowest] = [&load.failed, &load.slowest].map(|number| number.load(Ordering::Relaxed));
        println!(
            "load: {} made, {failed} failed, slowest {slowest} ms, of each client {} to {}",
            made.iter().sum::<u64>(),
            made.iter().min().unwrap_or(&0),
            made.iter().max().unwrap_or(&0)
        );
    }
}

/// One request, as a client without any memory makes it: a single attempt at one of the addresses. `turn` says at which:
/// left to itself the system's resolver prefers the same one every time.
fn ask(name: &str, port: u16, turn: usize) -> Result<(), String> {
    let resolved = (name, port).to_socket_addrs().map_err(|error| format!("resolve: {error}"))?;
    let all: Vec<_> = resolved.collect();
    let at = all.get(turn % all.len().max(1)).ok_or("resolve: no address")?;
    let mut stream =
        TcpStream::connect_timeout(at, millis(5_000)).map_err(|error| format!("connect {at}: {error}"))?;
    let _ = stream.set_read_timeout(Some(millis(5_000)));
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nHost: load\r\n\r\n");
    asked.map_err(|error| format!("write: {error}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| format!("read {at}: {error}"))?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(format!("answer of {at}: {:?}", answer.lines().next().unwrap_or_default()))
    }
}

fn number(words: &[String], flag: &str) -> Option<u64> {
    let at = words.iter().rposition(|word| word == flag)?;
    words.get(at + 1)?.parse().ok()
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The first process of a container doesn't get the signals that it doesn't ask for, and the standard library has no
/// way to ask.
fn end_on_term() {
    const SIGTERM: i32 = 15;
    extern "C" fn end(_: i32) {
        exit(0);
    }
    unsafe extern "C" {
        fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    }
    // Sound: the handler only ends the process.
    unsafe { signal(SIGTERM, end) };
}
