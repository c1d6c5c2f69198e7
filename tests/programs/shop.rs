//! An application that needs its databases, in an image of its own. It is no part of the test binary: [`super::image`]
//! compiles it on the spot, statically, from the standard library alone.
//!
//! ```text
//! /shop [--version N] [--wants-column NAME]
//! ```
//! It asks PostgreSQL (`db`, with the password of `/run/secrets/password`) and Redis (`cache`) once, and ends with 1 unless
//! both answer: it writes a row, counts, and writes how many rows and starts there are. Then it does so again every 200 ms,
//! and ends with 1 as soon as one of them doesn't answer. `--wants-column` asks for a column that may not be there.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::exit;
use std::thread;
use std::time::Duration;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

type Answer<T> = Result<T, String>;

fn main() {
    end_on_term();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1).cloned()
    };
    let version = after("--version").unwrap_or_else(|| "1".to_owned());
    if let Err(why) = serve(&version, after("--wants-column").as_deref()) {
        println!("{why}");
        exit(1);
    }
}

fn serve(version: &str, column: Option<&str>) -> Answer<()> {
    let mut db = Postgres::connect("db:5432", "postgres").map_err(|why| format!("db: {why}"))?;
    let mut cache = Redis::connect("cache:6379").map_err(|why| format!("cache: {why}"))?;
    let mut sql = |text: &str| db.query(text).map_err(|why| format!("db: {why}"));
    sql("CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, made_by text NOT NULL, amount integer NOT NULL)")?;
    // Half of its work is done where it fails: nobody takes that back but the database.
    sql(&format!("BEGIN; INSERT INTO orders (made_by, amount) VALUES ('{version}', 17)"))?;
    if let Some(column) = column {
        sql(&format!("SELECT {column} FROM orders"))?;
    }
    sql("COMMIT")?;
    let starts = cache.ask(&["INCR", "starts"]).map_err(|why| format!("cache: {why}"))?;
    let rows = sql("SELECT count(*) FROM orders")?;
    println!("version {version}: {rows} orders, {starts} starts");
    loop {
        sql("SELECT 1")?;
        cache.ask(&["PING"]).map_err(|why| format!("cache: {why}"))?;
        thread::sleep(Duration::from_millis(200));
    }
}

fn connect(to: &str) -> Answer<TcpStream> {
    let stream = TcpStream::connect(to).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// A connection to PostgreSQL: <https://www.postgresql.org/docs/current/protocol.html>.
struct Postgres(TcpStream);

impl Postgres {
    fn connect(to: &str, user: &str) -> Answer<Self> {
        let mut db = Self(connect(to)?);
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for word in ["user", user, "database", user, ""] {
            body.extend(word.as_bytes());
            body.push(0);
        }
        db.send(None, &body)?;
        loop {
            match db.receive()? {
                // 3: it wants the password as it is; 0: it is content.
                (b'R', body) if body.starts_with(&[0, 0, 0, 3]) => {
                    let password = std::fs::read_to_string("/run/secrets/password");
                    let mut password = password.map_err(|error| format!("the password: {error}"))?;
                    password.push('\0');
                    db.send(Some(b'p'), password.as_bytes())?;
                }
                (b'R', body) if body != [0, 0, 0, 0] => return Err("it wants another proof".to_owned()),
                (b'Z', _) => return Ok(db),
                (b'E', body) => return Err(words(&body)),
                _ => {}
            }
        }
    }

    /// Runs a query, and gives the first value of its last row.
    fn query(&mut self, text: &str) -> Answer<String> {
        self.send(Some(b'Q'), format!("{text}\0").as_bytes())?;
        let (mut value, mut failed) = (String::new(), None);
        loop {
            match self.receive()? {
                (b'D', body) => {
                    let length = body.get(2..6).and_then(|at| at.try_into().ok()).map_or(0, u32::from_be_bytes);
                    let bytes = body.get(6..6 + length as usize).unwrap_or_default();
                    value = String::from_utf8_lossy(bytes).into_owned();
                }
                (b'E', body) => failed = Some(words(&body)),
                (b'Z', _) => return failed.map_or(Ok(value), Err),
                _ => {}
            }
        }
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Answer<()> {
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend((body.len() as u32 + 4).to_be_bytes());
        message.extend(body);
        self.0.write_all(&message).map_err(|error| error.to_string())
    }

    fn receive(&mut self) -> Answer<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).map_err(|error| error.to_string())?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; (length as usize).saturating_sub(4)];
        self.0.read_exact(&mut body).map_err(|error| error.to_string())?;
        Ok((head[0], body))
    }
}

/// The texts of an error of PostgreSQL.
fn words(body: &[u8]) -> String {
    let texts = body.split(|byte| *byte == 0).filter(|text| matches!(text.first(), Some(b'M' | b'C')));
    texts.map(|text| String::from_utf8_lossy(&text[1..])).collect::<Vec<_>>().join(" ")
}

/// A connection to Redis: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
struct Redis(BufReader<TcpStream>);

impl Redis {
    fn connect(to: &str) -> Answer<Self> {
        let mut cache = Self(BufReader::new(connect(to)?));
        cache.ask(&["PING"])?;
        Ok(cache)
    }

    /// Gives a command, and the answer in one line.
    fn ask(&mut self, command: &[&str]) -> Answer<String> {
        let mut request = format!("*{}\r\n", command.len());
        for word in command {
            let _ = write!(request, "${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut line = String::new();
        self.0.read_line(&mut line).map_err(|error| error.to_string())?;
        match line.trim_end().split_at_checked(1) {
            Some(("+" | ":", answer)) => Ok(answer.to_owned()),
            _ => Err(format!("it answers {line:?}")),
        }
    }
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
