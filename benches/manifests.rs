//! How fast manifests are resolved, beside Docker Compose, and what hostile ones cost.
//!
//! ```sh
//! cargo bench --bench manifests                # both
//! cargo bench --bench manifests -- speed       # 1,000 services in 200 files, then ten times as many
//! cargo bench --bench manifests -- hostile     # time and memory of every case of tests/it/hostile
//! COMPOSE=/path/to/docker-compose cargo bench --bench manifests -- speed
//! ```
//!
//! Whole processes are compared, ours and Compose's in turn, and the median counts.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own that prints what it measured"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "../tests/it/hostile/cases.rs"]
mod cases;

const ROUNDS: usize = 5;
const SERVICES_PER_FILE: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    // `cargo test` builds benches too and runs them with `--test`.
    if has("--test") {
        return;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "case") {
        one_hostile(&arguments[at + 1]);
        return;
    }
    if !has("hostile") {
        speed();
    }
    if !has("speed") {
        hostile();
    }
}

// === speed ===

fn speed() {
    println!("resolving services in files of {SERVICES_PER_FILE}, median of {ROUNDS} rounds\n");
    let mut each = Vec::new();
    for services in [1_000, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        let files = write_stack(folder.path(), services);
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..ROUNDS {
            ours.push(validate(folder.path(), &files));
            // Ten times as many take Compose minutes.
            if services == 1_000
                && let Some(compose) = compose()
            {
                theirs.push(config(&compose, folder.path(), &files));
            }
        }
        let ours = median(ours);
        each.push(ours / u32::try_from(services).unwrap());
        print!("{services:>6} services  evenkeel validate {:>8.1} ms", milliseconds(ours));
        if let Some(theirs) = (!theirs.is_empty()).then(|| median(theirs)) {
            let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
            print!("   compose config {:>8.1} ms   ratio {ratio:.3} (budget 0.25)", milliseconds(theirs));
        }
        println!();
    }
    let growth = each[1].as_secs_f64() / each[0].as_secs_f64();
    println!("each of ten times as many takes {growth:.2} times as long (1 is linear)\n");
}

/// Writes a stack as people write them, and gives the files.
fn write_stack(folder: &Path, services: usize) -> Vec<PathBuf> {
    fs::write(folder.join(".env"), "REGISTRY=registry.example.com\nTAG=1.4.2\nLEVEL=info\n").unwrap();
    let write = |number: usize| {
        let path = folder.join(format!("compose.{number:05}.yaml"));
        let from = number * SERVICES_PER_FILE;
        fs::write(&path, file(from..from + SERVICES_PER_FILE)).unwrap();
        path
    };
    (0..services / SERVICES_PER_FILE).map(write).collect()
}

fn file(services: std::ops::Range<usize>) -> String {
    let mut text =
        "name: bench\nx-common: &common\n  restart: unless-stopped\n  logging:\n    driver: json-file\n    \
                    options: {max-size: 10m, max-file: \"3\"}\nservices:\n"
            .to_owned();
    let first = services.start;
    for number in services.clone() {
        write!(
            text,
            "  service{number}:
    <<: *common
    image: ${{REGISTRY}}/team/service{number}:${{TAG:-latest}}
    command: [\"serve\", \"--port\", \"8080\"]
    environment:
      LOG_LEVEL: ${{LEVEL:-warn}}
      DATABASE_URL: postgres://app:${{PASSWORD-secret}}@db{number}:5432/app
      PRICE: $$5
      WORKERS: 4
    labels:
      - traefik.enable=true
      - traefik.http.routers.service{number}.rule=Host(`service{number}.example.com`)
    ports:
      - \"{port}:8080\"
    networks: [net{first}]
    volumes:
      - data{number}:/var/lib/data
    healthcheck:
      test: [\"CMD\", \"curl\", \"-f\", \"http://localhost:8080/health\"]
      interval: 30s
      timeout: 5s
      retries: 3
    deploy:
      resources:
        limits: {{cpus: \"0.5\", memory: 256M}}
",
            port = 10_000 + number
        )
        .unwrap();
        if number > first {
            write!(text, "    depends_on:\n      - service{}\n", number - 1).unwrap();
        }
    }
    write!(text, "networks:\n  net{first}:\nvolumes:\n").unwrap();
    for number in services {
        writeln!(text, "  data{number}:").unwrap();
    }
    text
}

fn validate(folder: &Path, files: &[PathBuf]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    with_files(&mut command, folder, files).arg("validate");
    run(&mut command)
}

fn config(compose: &Path, folder: &Path, files: &[PathBuf]) -> Duration {
    let mut command = Command::new(compose);
    with_files(&mut command, folder, files).args(["config", "--quiet"]);
    run(&mut command)
}

fn with_files<'c>(command: &'c mut Command, folder: &Path, files: &[PathBuf]) -> &'c mut Command {
    command.current_dir(folder);
    for file in files {
        command.arg("-f").arg(file.file_name().unwrap());
    }
    command
}

fn run(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let taken = start.elapsed();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    taken
}

fn compose() -> Option<PathBuf> {
    let known = ["/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"];
    let named = std::env::var_os("COMPOSE").map(PathBuf::from);
    named
        .into_iter()
        .chain(known.map(|folder| Path::new(folder).join("docker-compose")))
        .find(|path| path.exists())
}

// === hostile ===

/// Each case in a process of its own, for only a whole process tells how much memory it took at most.
fn hostile() {
    println!("{:<50} {:>9} {:>12} {:>12}", "hostile file", "input", "time", "memory");
    for case in cases::CASES {
        let output =
            Command::new(std::env::current_exe().unwrap()).args(["case", case.name]).output().unwrap();
        print!("{}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn one_hostile(name: &str) {
    let case = cases::CASES.iter().find(|case| case.name == name).unwrap();
    let stack = case.stack();
    // The peak begins anew here, where only the input is in memory.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak();
    let start = Instant::now();
    let told = match stack.resolve() {
        Ok(_) => String::new(),
        Err(report) => report.render(false),
    };
    let taken = start.elapsed();
    // The tree in memory hands out a copy of each file, which is the input once more.
    let more = peak().saturating_sub(before).saturating_sub(stack.bytes);
    let bad = |bad: bool| if bad { "!" } else { " " };
    let as_expected = case.refused_by.map_or(told.is_empty(), |limit| told.contains(&format!("[{limit}]")));
    println!(
        "{name:<50} {:>6.1} MB {:>8.2} ms{} {:>8.1} MB{}  {}",
        megabytes(stack.bytes),
        milliseconds(taken),
        bad(taken > Duration::from_millis(50)),
        megabytes(more),
        bad(more > 20 << 20),
        if as_expected { case.refused_by.unwrap_or("accepted") } else { "NOT refused as it should be" },
    );
}

/// The most memory that this process has had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[allow(clippy::cast_precision_loss, reason = "it is shown with one digit")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
