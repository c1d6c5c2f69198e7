//! Sockets that are no working Docker.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::Place;

const COMPOSE: &str = "name: shop\nservices: {web: {image: nginx}}\n";

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

#[test]
fn no_socket() {
    let place = Place::with_compose(COMPOSE);
    insta::assert_snapshot!(place.run("-f compose.yaml apply --yes"));
    assert_eq!(place.files(), ["compose.yaml"]);
}

#[test]
fn a_socket_that_nobody_listens_on() {
    let place = Place::with_compose(COMPOSE);
    drop(UnixListener::bind(place.path().join("no-docker.sock")).unwrap());
    insta::assert_snapshot!(place.run("-f compose.yaml plan"));
}

#[test]
fn a_socket_where_nobody_answers() {
    let place = Place::with_compose(COMPOSE);
    let _listener = UnixListener::bind(place.path().join("no-docker.sock")).unwrap();
    insta::assert_snapshot!(place.run("-f compose.yaml plan"));
}

#[test]
fn a_socket_that_this_user_may_not_use() {
    let place = Place::with_compose(COMPOSE);
    let socket = place.path().join("no-docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o000)).unwrap();
    // Root may use everything, so another user has to try, with a program that this user can reach.
    let program = place.path().join("evenkeel");
    fs::copy(env!("CARGO_BIN_EXE_evenkeel"), &program).unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = place.command(Path::new(&program));
    if fs::metadata(&program).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let words = "-f compose.yaml plan";
    insta::assert_snapshot!(place.finish(words, command.args(words.split_whitespace())));
}

#[test]
fn an_address_that_is_no_socket() {
    let place = Place::with_compose(COMPOSE);
    insta::assert_snapshot!(place.run("--docker tcp://127.0.0.1:2375 -f compose.yaml plan"));
}
