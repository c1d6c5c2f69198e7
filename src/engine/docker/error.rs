//! Sorts what the client library reports into [`EngineError`], once for all calls.
//!
//! Docker's status codes alone don't tell whether trying again helps: a port in use is a 500. Where they don't, its
//! texts are asked, and only in this file.

use std::error::Error as _;
use std::io;

use bollard::errors::Error as DockerError;

use crate::engine::EngineError;
use crate::engine::clean::clean;

/// Longest text of the engine that an error repeats.
const MESSAGE_CHARS: usize = 2_000;

/// What was asked, as far as it decides what an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Most calls.
    Plain,
    /// The start of a container, which fails in a hundred ways that no repetition cures.
    Start,
    /// The removal of a network, which is refused with 403 while it is in use.
    NetworkRemoval,
    /// A pull, whose errors are those of a registry.
    Pull,
}

/// The error of `operation`, which asked for `asked`.
pub(super) fn classify(operation: String, asked: Asked, error: &DockerError) -> EngineError {
    match error {
        DockerError::DockerResponseServerError { status_code, message } => {
            answered(operation, asked, *status_code, shown(message))
        }
        DockerError::DockerStreamError { error } => answered(operation, asked, 500, shown(error)),
        DockerError::SocketNotFoundError(path) => {
            EngineError::Unavailable { operation, message: format!("there is no socket at {}", shown(path)) }
        }
        DockerError::JsonDataError { message, .. } => EngineError::Unexpected {
            operation,
            message: format!("the answer can't be read: {}", shown(message)),
        },
        DockerError::JsonSerdeError { err } => {
            EngineError::Unexpected { operation, message: format!("the answer can't be read: {err}") }
        }
        other => broken(operation, other),
    }
}

/// The text of an answer, safe to show and of bounded length.
pub(super) fn shown(message: &str) -> String {
    let joined = message.trim().lines().map(clean).collect::<Vec<_>>().join(" ");
    joined.chars().take(MESSAGE_CHARS).collect()
}

fn answered(operation: String, asked: Asked, status: u16, message: String) -> EngineError {
    let not_found = |operation, message| EngineError::NotFound { operation, message };
    let conflict = |operation, message| EngineError::Conflict { operation, message };
    let rejected = |operation, message| EngineError::Rejected { operation, message };
    match (asked, status) {
        (Asked::Pull, 400) => rejected(operation, message),
        (Asked::Pull, _) => pull(operation, message),
        (Asked::Start, 404) if message.contains("No such container") => not_found(operation, message),
        (Asked::Start, 400..=499) => rejected(operation, message),
        (Asked::Start, 500) if is_hopeless_start(&message) => rejected(operation, message),
        (_, 404) => not_found(operation, message),
        // It will be gone soon.
        (_, 409) if message.contains("is already in progress") => {
            EngineError::Unavailable { operation, message }
        }
        (_, 409) | (Asked::NetworkRemoval, 403) => conflict(operation, message),
        // What an engine has not, as a log where the driver keeps none, it won't have later.
        (_, 400..=499 | 501) => rejected(operation, message),
        // An engine finds some mistakes of a specification so late that it takes them for its own.
        (_, 500) if contains_any(&message, &["invalid --security-opt"]) => rejected(operation, message),
        _ => EngineError::Unavailable { operation, message },
    }
}

fn contains_any(message: &str, parts: &[&str]) -> bool {
    let message = message.to_lowercase();
    parts.iter().any(|part| message.contains(part))
}

/// Whether a start that failed with 500 fails again as long as nothing else changes.
fn is_hopeless_start(message: &str) -> bool {
    const SIGNS: [&str; 16] = [
        "port is already allocated",
        "address already in use",
        "failed programming external connectivity",
        "oci runtime",
        "runtime create failed",
        "executable file not found",
        "no such file or directory",
        "permission denied",
        "not a directory",
        "error gathering device information",
        "no such device",
        "network not found",
        "could not find network",
        "could not select device driver",
        "not a shared mount",
        "not a shared or slave mount",
    ];
    // A daemon whose helper is away for a moment also speaks of files that aren't there.
    const PASSING: [&str; 5] = [
        "dial unix",
        "connection refused",
        "context deadline exceeded",
        "resource busy",
        "resource temporarily unavailable",
    ];
    let no_network = message.contains("network ") && message.contains(" not found");
    !contains_any(message, &PASSING) && (no_network || contains_any(message, &SIGNS))
}

fn pull(operation: String, message: String) -> EngineError {
    const ABSENT: [&str; 9] = [
        "manifest unknown",
        "not found",
        "no matching manifest",
        "does not exist",
        "access denied",
        "access to the resource is denied",
        "unauthorized",
        "authentication required",
        "no basic auth credentials",
    ];
    const UNREACHABLE: [&str; 4] = ["no such host", "dial tcp", "server misbehaving", "i/o timeout"];
    // A host that isn't found must not look like an image that isn't found.
    if !contains_any(&message, &UNREACHABLE) && contains_any(&message, &ABSENT) {
        return EngineError::NotFound { operation, message };
    }
    EngineError::Unavailable { operation, message }
}

/// An error below HTTP: the connection couldn't be made or broke.
fn broken(operation: String, error: &DockerError) -> EngineError {
    let kind = io_kind(error);
    let message = |text: &str| text.to_owned();
    match kind {
        Some(io::ErrorKind::PermissionDenied) => EngineError::Denied {
            operation,
            message: message(
                "permission denied: this user may not use the socket; run as root or as a member of its group, \
                 usually `docker`",
            ),
        },
        Some(io::ErrorKind::NotFound) => EngineError::Unavailable {
            operation,
            message: message("there is no socket: is Docker installed and running?"),
        },
        Some(io::ErrorKind::ConnectionRefused) => EngineError::Unavailable {
            operation,
            message: message("nobody listens on the socket: the Docker daemon isn't running"),
        },
        _ => EngineError::Unavailable {
            operation,
            message: format!("the connection broke: {}", innermost(error)),
        },
    }
}

fn io_kind(error: &DockerError) -> Option<io::ErrorKind> {
    if let DockerError::IOError { err } = error {
        return Some(err.kind());
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = inner.source();
    }
    None
}

fn innermost(error: &DockerError) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    shown(&deepest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(asked: Asked, status_code: u16, message: &str) -> EngineError {
        let error = DockerError::DockerResponseServerError { status_code, message: message.to_owned() };
        classify("try".to_owned(), asked, &error)
    }

    #[test]
    fn a_port_in_use_is_not_tried_again() {
        let text = "driver failed programming external connectivity on endpoint a (b): \
                    Bind for 0.0.0.0:80 failed: port is already allocated";
        let error = answer(Asked::Start, 500, text);
        assert!(matches!(&error, EngineError::Rejected { message, .. } if message == text), "{error}");
        assert!(!error.is_transient());
    }

    #[test]
    fn a_mistake_that_the_engine_takes_for_its_own_is_not_tried_again() {
        let late = "invalid --security-opt 2: \"systempaths=unconfined\"";
        assert!(matches!(answer(Asked::Plain, 500, late), EngineError::Rejected { .. }));
        let mount = "path /srv is mounted on / but it is not a shared or slave mount";
        assert!(matches!(answer(Asked::Start, 500, mount), EngineError::Rejected { .. }));
    }

    #[test]
    fn a_failure_inside_the_engine_is_tried_again() {
        assert!(answer(Asked::Start, 500, "containerd is gone").is_transient());
        let away =
            "connection error: dial unix /run/containerd/containerd.sock: connect: no such file or directory";
        assert!(answer(Asked::Start, 500, away).is_transient());
        assert!(answer(Asked::Plain, 503, "").is_transient());
    }

    #[test]
    fn a_removal_that_somebody_else_has_begun_is_tried_again() {
        let text = "removal of container 971410dc3025 is already in progress";
        assert!(answer(Asked::Plain, 409, text).is_transient());
        assert!(!answer(Asked::Plain, 409, "the container is running").is_transient());
    }

    #[test]
    fn a_network_in_use_is_a_conflict_and_an_overlapping_one_is_refused() {
        assert!(matches!(answer(Asked::NetworkRemoval, 403, "x"), EngineError::Conflict { .. }));
        assert!(matches!(answer(Asked::Plain, 403, "Pool overlaps"), EngineError::Rejected { .. }));
    }

    #[test]
    fn an_image_that_is_not_there_differs_from_a_registry_that_is_not_there() {
        let absent = "manifest for redis:nope not found: manifest unknown";
        assert!(matches!(answer(Asked::Pull, 404, absent), EngineError::NotFound { .. }));
        let denied = "pull access denied for x, repository does not exist or may require 'docker login'";
        assert!(matches!(answer(Asked::Pull, 404, denied), EngineError::NotFound { .. }));
        let away =
            "Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host";
        assert!(answer(Asked::Pull, 500, away).is_transient());
    }

    #[test]
    fn a_socket_that_may_not_be_read_is_told_apart() {
        let error = DockerError::IOError { err: io::Error::from(io::ErrorKind::PermissionDenied) };
        assert!(matches!(classify("try".to_owned(), Asked::Plain, &error), EngineError::Denied { .. }));
    }

    #[test]
    fn texts_of_the_engine_are_cleaned() {
        let error = answer(Asked::Plain, 400, "bad\u{1b}[31m\nthing\u{7}");
        assert_eq!(error.to_string(), "try: bad thing");
    }
}
