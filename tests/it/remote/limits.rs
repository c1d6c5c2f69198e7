//! Servers that send too much, too slowly, or something else than Git's protocol.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use evenkeel::source::remote::{Access, Network, Wanted};

use super::forge::{Forge, Manner};
use super::upstream::{Upstream, main, mirror, newest, updated};

/// A text that can't be made shorter.
pub fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(33 + u8::try_from((state >> 40) % 90).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn more_than_allowed_is_refused_and_what_is_here_stays() {
    let upstream = Upstream::new();
    let good = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let network = Network { max_size: 64 << 10, max_objects: 12, ..upstream.network() };
    let mirror = mirror(network, &forge.shop());
    updated(&mirror, &Access::Anonymous).await.unwrap();
    upstream.commit(&noise(200 << 10));
    let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.contains("more than 65536 bytes"), "{told}");
    let good_id = git2::Oid::from_str(&good).unwrap();
    upstream.commit_on("refs/heads/main", "small again", Some(good_id));
    for text in ["a", "b", "c", "d"] {
        upstream.commit(text);
    }
    let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.contains("it would bring 15 objects, and 12 are allowed"), "{told}");
    assert_eq!((newest(&mirror, &main()), upstream.litter().len()), (good, 0));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let upstream = Upstream::new();
    upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    forge.behave(Manner::Hangs);
    let timeout = Duration::from_secs(1);
    let mirror = mirror(Network { timeout, ..upstream.network() }, &forge.shop());
    let began = Instant::now();
    let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.contains("not done within 1 seconds") && began.elapsed() < timeout * 5, "{told}");
    forge.behave(Manner::Good);
    assert!(updated(&mirror, &Access::Anonymous).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_not_gits_has_a_clear_error() {
    let upstream = Upstream::new();
    let forge = Forge::start(upstream.folder.path()).await;
    let advertisement = "application/x-git-upload-pack-advertisement";
    let mirror = mirror(upstream.network(), &forge.shop());
    for (status, kind, text, words) in [
        (200, "text/html", "<html>sign in</html>", "is this a repository's address?"),
        (200, "text/plain", "0000000000000000000000000000000000000000\trefs/heads/main\n", "another type"),
        (200, advertisement, "<html>sign in</html>", "this is not a packet"),
        (200, advertisement, "", "doesn't say which service"),
        (200, advertisement, "001e# service=git-upload-pack\n0000", "ends before it has told"),
        (200, advertisement, "001e# service=git-upload-pack\n0000fffe1", "ends too early"),
        (403, "text/plain", "", "wants a credential|refuses the credential"),
        (404, "text/plain", "", "no such repository"),
        (429, "text/plain", "slow down", "HTTP status 429"),
        (500, "text/html", "<script>", "HTTP status 500"),
    ] {
        forge.behave(Manner::Says(StatusCode::from_u16(status).unwrap(), kind, text));
        let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
        assert!(words.split('|').any(|words| told.contains(words)), "{text}: {told}");
        assert!(!told.contains('<'), "{told}");
    }
    forge.behave(Manner::Good);
    let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.ends_with("the repository has no commits yet"), "{told}");
    upstream.commit("one");
    let wanted = Wanted::Branch("prod".to_owned());
    let told = mirror.update(&wanted, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.ends_with("it has no branch `prod`; it has `main`"), "{told}");
}

#[tokio::test]
async fn a_server_that_is_away_has_a_clear_error() {
    let upstream = Upstream::new();
    let commit = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    updated(&mirror, &Access::Anonymous).await.unwrap();
    drop(forge);
    let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.contains("can't be reached: Connection re"), "{told}");
    assert_eq!(newest(&mirror, &main()), commit);
}
