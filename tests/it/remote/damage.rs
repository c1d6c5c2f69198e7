//! Mirrors that were cut off in the making, damaged, or whose branch was rewritten.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use evenkeel::source::remote::{Access, Mirror, Updated};
use futures_util::future::join_all;

use super::forge::{Forge, Manner};
use super::upstream::{Upstream, content, main, mirror, newest, size, updated};

fn packs(mirror: &Mirror) -> Vec<PathBuf> {
    let entries = fs::read_dir(mirror.path().join("objects/pack")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "pack")).collect()
}

#[tokio::test]
async fn a_fetch_that_is_cut_off_twenty_times_leaves_nothing() {
    let upstream = Upstream::new();
    for text in 0..20 {
        upstream.commit(&format!("{text}").repeat(1000));
    }
    let last = upstream.commit("last");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    for after in 0..20 {
        forge.behave(Manner::Cuts(after * 100));
        let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
        assert!(told.starts_with("can't fetch from"), "{told}");
        assert!(mirror.open().is_err() || packs(&mirror).is_empty());
    }
    // Given up by whoever waited for it, as when the agent is stopped.
    forge.behave(Manner::Hangs);
    for _ in 0..3 {
        let update = updated(&mirror, &Access::Anonymous);
        assert!(tokio::time::timeout(Duration::from_millis(50), update).await.is_err());
    }
    forge.behave(Manner::Good);
    assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap(), (Updated::Moved, last));
    assert_eq!((upstream.litter().len(), packs(&mirror).len()), (0, 1));
}

#[tokio::test]
async fn what_a_killed_process_left_is_cleared_away() {
    let upstream = Upstream::new();
    let commit = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let first = mirror(upstream.network(), &forge.shop());
    updated(&first, &Access::Anonymous).await.unwrap();
    let before = size(&upstream.mirrors_folder());
    let branch =
        fs::read_dir(first.path().join("refs/evenkeel/branch")).unwrap().next().unwrap().unwrap().path();
    for round in 0..20 {
        let beside = upstream.mirrors_folder().join(format!(".passing-{round}"));
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("received"), "half").unwrap();
        fs::write(first.path().join("objects/pack").join(format!("pack-{round}.pack")), "half").unwrap();
        fs::write(branch.with_extension("lock"), &commit).unwrap();
        fs::write(first.path().join("HEAD.lock"), "").unwrap();
        let mirror = mirror(upstream.network(), &forge.shop());
        assert_eq!(upstream.litter().len(), 0);
        let next = upstream.commit(&format!("round {round}"));
        assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap(), (Updated::Moved, next));
    }
    let grown = size(&upstream.mirrors_folder()) - before;
    assert!(grown < 20 * 3000, "{grown} bytes for twenty small commits");
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let upstream = Upstream::new();
    upstream.commit("one");
    let last = upstream.commit("two");
    let forge = Forge::start(upstream.folder.path()).await;
    let harms: [(&str, fn(&Mirror)); 5] = [
        ("the objects are gone", |mirror| {
            packs(mirror).iter().for_each(|pack| fs::remove_file(pack).unwrap())
        }),
        ("a bit has flipped", |mirror| {
            for pack in packs(mirror) {
                let mut bytes = fs::read(&pack).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle..middle + 20].fill(0xff);
                fs::remove_file(&pack).unwrap();
                fs::write(&pack, bytes).unwrap();
            }
        }),
        ("the file was cut", |mirror| {
            for pack in packs(mirror) {
                let half = fs::read(&pack).unwrap();
                fs::remove_file(&pack).unwrap();
                fs::write(&pack, &half[..half.len() / 2]).unwrap();
            }
        }),
        ("it is no repository", |mirror| fs::remove_file(mirror.path().join("HEAD")).unwrap()),
        ("it is empty", |mirror| {
            fs::remove_dir_all(mirror.path()).unwrap();
            fs::create_dir(mirror.path()).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let first = mirror(upstream.network(), &forge.shop());
        updated(&first, &Access::Anonymous).await.unwrap();
        harm(&first);
        let again = mirror(upstream.network(), &forge.shop());
        let found =
            updated(&again, &Access::Anonymous).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found, (Updated::Moved, last.clone()), "{what}");
        assert_eq!(content(&again, &last), "two", "{what}");
        // And noticed without a new start, once somebody has stumbled over it.
        harm(&again);
        again.doubt();
        updated(&again, &Access::Anonymous).await.unwrap();
        assert_eq!(content(&again, &last), "two", "{what}");
        assert_eq!(upstream.litter().len(), 0, "{what}");
    }
}

#[tokio::test]
async fn what_is_deployed_stays_when_the_branch_is_rewritten() {
    let upstream = Upstream::new();
    let first = upstream.commit("one");
    let applied = upstream.commit("two");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    updated(&mirror, &Access::Anonymous).await.unwrap();
    mirror.keep(&"prod".parse().unwrap(), &applied).unwrap();
    let parent = git2::Oid::from_str(&first).unwrap();
    let rewritten = upstream.commit_on("refs/heads/main", "other", Some(parent));
    assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap(), (Updated::Moved, rewritten.clone()));
    let opened = mirror.open().unwrap();
    assert!(!opened.is_ancestor(&applied, &rewritten).unwrap());
    assert_eq!(content(&mirror, &applied), "two");
    drop(opened);
    // So it does when many packs are put into one.
    for round in 0..60 {
        upstream.commit(&format!("round {round}"));
        let (_, commit) = updated(&mirror, &Access::Anonymous).await.unwrap();
        let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
        for pack in packs(&mirror) {
            fs::File::open(pack.with_extension("idx")).unwrap().set_modified(yesterday).unwrap();
        }
        assert_eq!(content(&mirror, &commit), format!("round {round}"));
    }
    assert!(packs(&mirror).len() < 30, "{}", packs(&mirror).len());
    assert_eq!(content(&mirror, &applied), "two");
    assert!(mirror.open().unwrap().resolve(&rewritten).is_ok());
}

#[tokio::test]
async fn many_who_follow_share_one_mirror_and_one_fetch_at_a_time() {
    let upstream = Upstream::new();
    let commit = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    let updates = join_all((0..8).map(|_| {
        let mirror = Arc::clone(&mirror);
        tokio::spawn(async move { mirror.update(&main(), &Access::Anonymous).await.unwrap() })
    }))
    .await;
    let moved = updates.into_iter().filter(|updated| matches!(updated, Ok(Updated::Moved))).count();
    assert_eq!((moved, forge.requests(), newest(&mirror, &main())), (1, 9, commit));
    assert_eq!(packs(&mirror).len(), 1);
}
