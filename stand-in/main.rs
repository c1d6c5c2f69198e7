//! The stand-in: one small static program that takes the place of every service of the reference stack.
//!
//! Where real images can't be pulled, an image made of this program alone lets the stack run all the same. As the main
//! process of a container it listens on the ports of all services and gives each protocol a healthy answer. Called by
//! the name of a tool that health checks use (`pg_isready`, `curl`, …) it probes its own container as that tool would.
//!
//! It stores nothing and speaks no protocol beyond a greeting. `build.rs` compiles it; it isn't part of the package.
//!
//! | variable | effect |
//! |---|---|
//! | `STAND_IN_FAIL=start` | says why and exits with 1 at once |
//! | `STAND_IN_FAIL=health` | runs, but never becomes healthy |
//! | `STAND_IN_DELAY_MS` | so many milliseconds pass before it listens |
//! | `STAND_IN_PORTS` | listens on these ports instead, separated by commas |

use std::env;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// PostgreSQL, Redis, ZooKeeper, Kafka, Chroma and neuros, the two biometric services, Prometheus, Grafana, and the
/// exporters of the node, of Redis and of PostgreSQL.
const PORTS: [u16; 12] = [5432, 6379, 2181, 9092, 8000, 8888, 8889, 9090, 3000, 9100, 9121, 9187];

/// Longest wait for the other side.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most of a request that is read.
const MOST_BYTES: usize = 8192;

// The kernel ignores SIGTERM for the first process of a container unless that has a handler, and the standard library
// can't install one.
unsafe extern "C" {
    safe fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    safe fn _exit(code: i32) -> !;
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

extern "C" fn end(_signal: i32) {
    _exit(0)
}

fn main() -> ExitCode {
    let mut arguments = env::args();
    let called_as = arguments.next().unwrap_or_default();
    let result = match called_as.rsplit('/').next() {
        None | Some("" | "stand-in") => serve(),
        Some(tool) => probe(tool, &arguments.collect::<Vec<_>>()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Whether services answer that they are well.
#[derive(Clone, Copy)]
enum Health {
    Good,
    Bad,
}

fn serve() -> Result<(), String> {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    let health = match env::var("STAND_IN_FAIL").as_deref() {
        Ok("start") => return Err("stand-in: cannot start: STAND_IN_FAIL is `start`".to_owned()),
        Ok("health") => Health::Bad,
        Ok("") | Err(_) => Health::Good,
        Ok(other) => return Err(format!("stand-in: STAND_IN_FAIL is `{other}`, not `start` or `health`")),
    };
    let ports = ports()?;
    if let Ok(delay) = env::var("STAND_IN_DELAY_MS") {
        let delay = delay.parse().map_err(|_| format!("stand-in: STAND_IN_DELAY_MS is `{delay}`"))?;
        println!("stand-in: starting, ready in {delay} ms");
        thread::sleep(Duration::from_millis(delay));
    }
    let mut listening = Vec::new();
    for port in ports {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let listener =
            listener.map_err(|error| format!("stand-in: cannot listen on port {port}: {error}"))?;
        listening.push(thread::spawn(move || accept(&listener, health)));
    }
    println!("stand-in: ready");
    for thread in listening {
        // A listener never ends by itself.
        let _ = thread.join();
    }
    Ok(())
}

fn ports() -> Result<Vec<u16>, String> {
    let Ok(list) = env::var("STAND_IN_PORTS") else { return Ok(PORTS.to_vec()) };
    let ports = list.split(',').map(|port| port.trim().parse());
    ports.collect::<Result<_, _>>().map_err(|_| format!("stand-in: STAND_IN_PORTS is `{list}`"))
}

fn accept(listener: &TcpListener, health: Health) {
    loop {
        match listener.accept() {
            // Where no thread can be had the connection is closed, as any overloaded service would do.
            Ok((stream, _)) => drop(thread::Builder::new().spawn(move || answer(stream, health))),
            // The next attempt may find a free descriptor.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Waits for a greeting that it knows, answers it, and ends the connection when the client is silent or gone.
fn answer(mut stream: TcpStream, health: Health) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while request.len() < MOST_BYTES {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..count]);
        if let Some(reply) = reply(&request, health) {
            stream.write_all(reply.as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            // Closing with unread input would reset the connection before the client has read the reply.
            while stream.read(&mut chunk)? > 0 {}
            return Ok(());
        }
    }
    Ok(())
}

/// What is to be said to `request`; nothing while it is incomplete or unknown.
fn reply(request: &[u8], health: Health) -> Option<String> {
    let request = String::from_utf8_lossy(request);
    let well = matches!(health, Health::Good);
    if request.starts_with("PING") || request.starts_with("*1\r\n$4\r\nPING") {
        return Some(if well { "+PONG\r\n" } else { "-LOADING never ready\r\n" }.to_owned());
    }
    if request.starts_with("ruok") {
        return Some(if well { "imok" } else { "" }.to_owned());
    }
    let (head, _) = request.split_once("\r\n\r\n")?;
    if !head.lines().next()?.contains(" HTTP/1.") {
        return None;
    }
    let (status, word) = if well { ("200 OK", "healthy") } else { ("503 Service Unavailable", "unhealthy") };
    let body = format!("{{\"status\":\"{word}\",\"service\":\"stand-in\"}}\n");
    let length = body.len();
    let body = if head.starts_with("HEAD ") { "" } else { &body };
    Some(format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

/// Asks the port of this container that `arguments` or the habits of `tool` name whether it is well.
fn probe(tool: &str, arguments: &[String]) -> Result<(), String> {
    let (port, path) = target(tool, arguments).ok_or_else(|| format!("{tool}: no port in {arguments:?}"))?;
    let answer = ask(port, path).map_err(|error| format!("{tool}: port {port}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        print!("{body}");
        Ok(())
    } else {
        Err(format!("{tool}: port {port} answered `{status}`"))
    }
}

fn ask(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST_BYTES as u64).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The port and the path to ask: those of a URL, else the port of a `host:port`, else the value of `-p`, else the
/// usual port of the tool.
fn target<'a>(tool: &str, arguments: &'a [String]) -> Option<(u16, &'a str)> {
    for argument in arguments {
        if let Some((_, rest)) = argument.split_once("http://") {
            let url = rest.split(['\'', '"', ' ', ')']).next().unwrap_or(rest);
            let (host, path) = url.find('/').map_or((url, "/"), |at| url.split_at(at));
            let port = host.rsplit_once(':').map_or(Some(80), |(_, port)| port.parse().ok());
            return Some((port?, path));
        }
    }
    let after_colon = |argument: &'a String| argument.rsplit_once(':')?.1.parse().ok();
    let after_flag = || {
        let at = arguments.iter().position(|argument| argument == "-p" || argument == "--port")?;
        arguments.get(at + 1)?.parse().ok()
    };
    let usual = match tool {
        "pg_isready" => Some(5432),
        "redis-cli" => Some(6379),
        "zkServer.sh" => Some(2181),
        "kafka-topics.sh" => Some(9092),
        _ => None,
    };
    let port = arguments.iter().find_map(after_colon).or_else(after_flag).or(usual);
    port.map(|port| (port, "/"))
}
