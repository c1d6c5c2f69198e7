//! Connecting to what isn't a working Docker: each way to fail says what it is.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use evenkeel::engine::docker::Docker;
use evenkeel::engine::{Engine, EngineError};

/// Somebody at a socket who gives each connection the next of `answers`, leaves further ones without an answer, and
/// tells the first line of each request.
fn listener(
    answers: &'static [&'static str],
) -> (tempfile::TempDir, String, std::sync::mpsc::Receiver<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    // Ends with the test's process at the latest.
    thread::spawn(move || {
        let mut answers = answers.iter();
        let mut unanswered = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let line =
                String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
            if sender.send(line).is_err() {
                return;
            }
            match answers.next() {
                Some(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                None => unanswered.push(stream),
            }
        }
    });
    (folder, format!("unix://{}", path.display()), asked)
}

#[tokio::test]
async fn without_a_socket() {
    let error = Docker::connect(Some("unix:///no/such.sock")).await.unwrap_err();
    assert!(matches!(error, EngineError::Unavailable { .. }));
    let text =
        "connect to Docker at unix:///no/such.sock: there is no socket: is Docker installed and running?";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn with_a_socket_that_nobody_listens_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    drop(UnixListener::bind(&path).unwrap());
    let error = Docker::connect(Some(&format!("unix://{}", path.display()))).await.unwrap_err();
    assert!(matches!(error, EngineError::Unavailable { .. }));
    assert!(error.to_string().contains("nobody listens"), "{error}");
}

#[tokio::test]
async fn with_an_address_of_another_kind() {
    for host in ["tcp://127.0.0.1:2375", "ssh://host", "/var/run/docker.sock", "unix://relative"] {
        let error = Docker::connect(Some(host)).await.unwrap_err();
        assert!(matches!(error, EngineError::Rejected { .. }), "{host}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_socket_that_stays_silent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    // Bound, so that connections are made, and never answered.
    let _silent = UnixListener::bind(&path).unwrap();
    let error = Docker::connect(Some(&format!("unix://{}", path.display()))).await.unwrap_err();
    assert!(matches!(error, EngineError::TimedOut { .. }), "{error}");
    assert!(error.to_string().ends_with("no answer within 10 s"), "{error}");
}

#[tokio::test]
async fn with_what_is_no_docker() {
    let (_folder, host, _asked) = listener(&["220 mail.example ESMTP\r\n"]);
    let error = Docker::connect(Some(&host)).await.unwrap_err();
    assert!(matches!(error, EngineError::Unexpected { .. }), "{error}");
}

#[tokio::test]
async fn with_a_docker_that_is_too_old() {
    let (_folder, host, _asked) = listener(&["HTTP/1.1 200 OK\r\nApi-Version: 1.24\r\n\r\n"]);
    let error = Docker::connect(Some(&host)).await.unwrap_err();
    assert!(matches!(error, EngineError::Rejected { .. }));
    assert!(error.to_string().contains("API 1.24"), "{error}");
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
                      Connection: close\r\n\r\n[]";

#[tokio::test]
async fn every_call_names_the_version_that_both_sides_know() {
    let (_folder, host, asked) = listener(&[ANSWER, ANSWER]);
    let docker = Docker::connect(Some(&host)).await.unwrap();
    assert_eq!(docker.list_containers().await, Ok(Vec::new()));
    let lines: Vec<String> = asked.try_iter().collect();
    assert_eq!(lines[0], "GET /_ping HTTP/1.1");
    assert!(lines[1].starts_with("GET /v1.43/containers/json?all=true"), "{lines:?}");
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends_by_its_deadline() {
    let (_folder, host, _asked) = listener(&[ANSWER]);
    let docker = Docker::connect(Some(&host)).await.unwrap();
    // From here on nobody answers, so a clock that jumps when there is nothing to do jumps to the deadline.
    tokio::time::pause();
    let error = docker.list_containers().await.unwrap_err();
    assert_eq!(error.to_string(), "list the containers: no answer within 30 s");
    let id = "0123456789abcdef".repeat(4).parse().unwrap();
    let error = docker.stop_container(&id, Some(std::time::Duration::from_secs(60))).await.unwrap_err();
    assert!(error.to_string().ends_with("no answer within 90 s"), "{error}");
    assert!(error.is_transient());
}
