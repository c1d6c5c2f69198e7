//! What is fetched over HTTP, TLS and SSH, and who is asked with what.

use std::fs;
use std::time::{Duration, Instant};

use evenkeel::source::remote::{Access, Network, Updated, Wanted};

use super::forge::{Forge, Manner, basic};
use super::sshd::Sshd;
use super::upstream::{Upstream, content, main, mirror, newest, updated};

#[tokio::test]
async fn http_brings_what_is_new_and_asks_once_where_nothing_is() {
    let upstream = Upstream::new();
    let first = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap(), (Updated::Moved, first.clone()));
    assert_eq!((content(&mirror, &first).as_str(), forge.requests()), ("one", 2));
    assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap(), (Updated::Same, first.clone()));
    assert_eq!(forge.requests(), 1, "a look is one question");
    for text in ["two", "three"] {
        upstream.commit(text);
    }
    let last = upstream.commit("four");
    assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap(), (Updated::Moved, last.clone()));
    assert_eq!((content(&mirror, &last).as_str(), forge.requests()), ("four", 2));
    assert!(mirror.open().unwrap().is_ancestor(&first, &last).unwrap());
    // A new process knows what the last one has fetched, and asks for no more.
    let again = self::mirror(upstream.network(), &forge.shop());
    assert_eq!(newest(&again, &main()), last);
    assert_eq!(updated(&again, &Access::Anonymous).await.unwrap(), (Updated::Same, last));
    assert_eq!((forge.requests(), upstream.litter().len()), (1, 0));
}

#[tokio::test]
async fn only_what_is_wanted_is_fetched() {
    let upstream = Upstream::new();
    let main_commit = upstream.commit("main");
    let other = upstream.commit_on("refs/heads/other", &"other".repeat(100), None);
    let pull = upstream.commit_on("refs/pull/1/head", "pull", None);
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    updated(&mirror, &Access::Anonymous).await.unwrap();
    for commit in [&other, &pull] {
        assert!(mirror.open().unwrap().resolve(commit).is_err());
    }
    // A second branch goes into the same mirror, and takes nothing away.
    let branch = Wanted::Branch("other".to_owned());
    assert_eq!(mirror.update(&branch, &Access::Anonymous).await.unwrap(), Updated::Moved);
    assert_eq!((newest(&mirror, &branch), newest(&mirror, &main())), (other, main_commit.clone()));
    assert_eq!(mirror.update(&Wanted::Head, &Access::Anonymous).await.unwrap(), Updated::Moved);
    assert_eq!(newest(&mirror, &Wanted::Head), main_commit);
}

#[tokio::test]
async fn the_highest_version_among_tags_is_followed() {
    let upstream = Upstream::new();
    let (one, two) = (upstream.commit("one"), upstream.commit("two"));
    let git = upstream.git();
    let object = |commit: &str| git.find_object(git2::Oid::from_str(commit).unwrap(), None).unwrap();
    let author = git2::Signature::now("Ada", "ada@example.org").unwrap();
    git.tag("v1.9.0", &object(&one), &author, "release", false).unwrap();
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    let wanted = Wanted::Tag("v*".parse().unwrap());
    assert_eq!(mirror.update(&wanted, &Access::Anonymous).await.unwrap(), Updated::Moved);
    assert_eq!(newest(&mirror, &wanted), one, "a tag with a text of its own leads to its commit");
    git.tag_lightweight("v1.10.0", &object(&two), false).unwrap();
    git.tag_lightweight("v2.0.0-rc.1", &object(&one), false).unwrap();
    assert_eq!(mirror.update(&wanted, &Access::Anonymous).await.unwrap(), Updated::Moved);
    assert_eq!(newest(&mirror, &wanted), two);
    // A release that is taken back is gone here as well.
    git.tag_delete("v1.10.0").unwrap();
    assert_eq!(mirror.update(&wanted, &Access::Anonymous).await.unwrap(), Updated::Moved);
    assert_eq!(newest(&mirror, &wanted), one);
    let none = Wanted::Tag("v3.*".parse().unwrap());
    let told = mirror.update(&none, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.ends_with("it has no tag with a version that matches `v3.*`"), "{told}");
}

#[tokio::test]
async fn a_credential_that_is_revoked_is_said_and_never_told() {
    let upstream = Upstream::new();
    let commit = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    forge.set_password("hunter2");
    let mirror = mirror(upstream.network(), &forge.shop());
    let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
    assert!(told.contains("wants a credential"), "{told}");
    assert_eq!(updated(&mirror, &basic("hunter2")).await.unwrap().1, commit);
    forge.set_password("another");
    upstream.commit("two");
    let error = updated(&mirror, &basic("hunter2")).await.unwrap_err();
    assert!(error.to_string().contains("refuses the credential"), "{error}");
    assert!(!format!("{error} {error:?} {:?}", basic("hunter2")).contains("hunter2"));
    assert_eq!(newest(&mirror, &main()), commit, "what was fetched can be read on");
    assert!(updated(&mirror, &basic("another")).await.is_ok());
}

#[tokio::test]
async fn a_certificate_must_be_of_a_known_authority() {
    let upstream = Upstream::new();
    let commit = upstream.commit("one");
    let forge = Forge::start_tls(upstream.folder.path()).await;
    forge.set_password("hunter2");
    let stranger = mirror(upstream.network(), &forge.shop());
    let told = updated(&stranger, &basic("hunter2")).await.unwrap_err().to_string();
    assert!(told.contains("certificate is not trusted (UnknownIssuer)"), "{told}");
    assert_eq!(forge.heard(), Vec::<String>::new(), "no credential before the server is known");
    let ca = upstream.folder.path().join("ca.pem");
    let network = || Network { ca: Some(ca.clone()), ..upstream.network() };
    for (content, words) in [("", "no certificate in PEM"), (forge.ca.as_deref().unwrap(), "")] {
        fs::write(&ca, content).unwrap();
        match updated(&mirror(network(), &forge.shop()), &basic("hunter2")).await {
            Ok((_, found)) => assert_eq!((found.as_str(), words), (commit.as_str(), "")),
            Err(error) => assert!(!words.is_empty() && error.to_string().contains(words), "{error}"),
        }
    }
}

#[tokio::test]
async fn nobody_is_sent_to_another_server() {
    let upstream = Upstream::new();
    let commit = upstream.commit("one");
    let (forge, other) =
        (Forge::start(upstream.folder.path()).await, Forge::start(upstream.folder.path()).await);
    let mirror = mirror(upstream.network(), &forge.shop());
    forge.behave(Manner::Redirects(other.base.clone()));
    let told = updated(&mirror, &basic("hunter2")).await.unwrap_err().to_string();
    assert!(told.contains(&format!("sends elsewhere, to `{}/shop.git`", other.base)), "{told}");
    assert_eq!((other.requests(), other.heard().len()), (0, 0));
    // Within the server it may correct an address, but not for ever.
    forge.behave(Manner::Redirects(format!("{}/again", forge.base)));
    let told = updated(&mirror, &basic("hunter2")).await.unwrap_err().to_string();
    assert!(told.contains("sends elsewhere") && forge.requests() < 8, "{told}");
    forge.behave(Manner::Good);
    assert_eq!(updated(&mirror, &basic("hunter2")).await.unwrap().1, commit);
}

#[tokio::test]
async fn a_proxy_is_asked_for_others_and_never_for_this_host() {
    let upstream = Upstream::new();
    let commit = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let nowhere = Network { proxy: Some("http://127.0.0.1:9".to_owned()), ..upstream.network() };
    let here = mirror(nowhere, &forge.shop());
    assert_eq!(updated(&here, &Access::Anonymous).await.unwrap().1, commit);
    // The forge stands in for a proxy: it is asked for a server that isn't there.
    forge.requests();
    let proxied = Network { proxy: Some(forge.base.clone()), ..upstream.network() };
    let other = mirror(proxied, "http://git.example.invalid/shop.git");
    assert_eq!(updated(&other, &Access::Anonymous).await.unwrap().1, commit);
    assert_eq!(forge.requests(), 2);
}

#[tokio::test]
async fn ssh_brings_what_is_new() {
    let upstream = Upstream::new();
    let first = upstream.commit("one");
    let Some(sshd) = Sshd::start(upstream.folder.path()) else { return };
    let mirror = mirror(upstream.network(), &sshd.address(&upstream.path()));
    let access = sshd.access("client", "known_hosts");
    let found = updated(&mirror, &access).await.unwrap_or_else(|error| panic!("{error}\n{}", sshd.log()));
    assert_eq!(found, (Updated::Moved, first.clone()));
    assert_eq!(updated(&mirror, &access).await.unwrap(), (Updated::Same, first));
    let second = upstream.commit("two");
    assert_eq!(updated(&mirror, &access).await.unwrap(), (Updated::Moved, second.clone()));
    assert_eq!(content(&mirror, &second), "two");
}

#[tokio::test]
async fn ssh_shakes_hands_once_for_many_looks() {
    let upstream = Upstream::new();
    upstream.commit("one");
    let Some(sshd) = Sshd::start(upstream.folder.path()) else { return };
    let mirror = mirror(upstream.network(), &sshd.address(&upstream.path()));
    let access = sshd.access("client", "known_hosts");
    let hands = || sshd.log().matches("Accepted publickey").count();
    updated(&mirror, &access).await.unwrap();
    // Meanwhile another connection is made, which stands from then on.
    let began = Instant::now();
    loop {
        let before = hands();
        updated(&mirror, &access).await.unwrap();
        if hands() == before && before > 1 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{}", sshd.log());
    }
    let before = hands();
    for round in 0..5 {
        let commit = upstream.commit(&format!("round {round}"));
        assert_eq!(updated(&mirror, &access).await.unwrap(), (Updated::Moved, commit));
    }
    assert_eq!(hands(), before, "{}", sshd.log());
    // Another key doesn't go over it.
    assert!(updated(&mirror, &sshd.access("stranger", "known_hosts")).await.is_err());
    // And it ends with its mirror.
    drop(mirror);
    assert_eq!(upstream.litter().len(), 0);
}

#[tokio::test]
async fn ssh_speaks_only_with_known_servers_and_only_with_its_key() {
    let upstream = Upstream::new();
    upstream.commit("one");
    let Some(sshd) = Sshd::start(upstream.folder.path()) else { return };
    let mirror = mirror(upstream.network(), &sshd.address(&upstream.path()));
    for (key, hosts, words) in [
        ("client", "wrong_hosts", "the server's key is not the one in"),
        ("client", "no_hosts", "the server's key is not the one in"),
        ("client", "not_there", "the server's key is not the one in"),
        ("stranger", "known_hosts", "refuses the credential"),
        ("not_there", "known_hosts", "refuses the credential"),
    ] {
        let told = updated(&mirror, &sshd.access(key, hosts)).await.unwrap_err().to_string();
        assert!(told.contains(words), "{key}, {hosts}: {told}");
    }
    assert_eq!(fs::read_to_string(sshd.file("no_hosts")).unwrap(), "", "no key is taken on trust");
    let nothing = self::mirror(upstream.network(), &sshd.address(&upstream.path().join("nothing")));
    let told = updated(&nothing, &sshd.access("client", "known_hosts")).await.unwrap_err().to_string();
    assert!(told.contains("there is no such repository"), "{told}");
}
