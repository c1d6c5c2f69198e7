//! Mirrors that were cut off in the making, damaged, or whose branch was rewritten.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::common::docker::tell;
use evenkeel::source::remote::{Access, Mirror, Network, Updated};
use futures_util::future::join_all;

use super::forge::{Forge, Manner};
use super::limits::noise;
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

/// The address and the folder for [`a_process_of_its_own`].
const CHILD: [&str; 2] = ["EVENKEEL_TEST_FETCH_FROM", "EVENKEEL_TEST_FETCH_TO"];

/// Fetches where the test below says so, and is killed by it in the middle.
#[tokio::test]
async fn a_process_of_its_own() {
    let [Ok(from), Ok(to)] = CHILD.map(std::env::var) else { return };
    let mirror = mirror(Network::new(to.into()), &from);
    updated(&mirror, &Access::Anonymous).await.unwrap();
}

#[tokio::test]
async fn a_process_killed_twenty_times_in_a_fetch_leaves_nothing_that_stays() {
    let upstream = Upstream::new();
    for round in 0..30 {
        upstream.commit(&format!("{round}").repeat(2000));
    }
    let last = upstream.commit("last");
    let forge = Forge::start(upstream.folder.path()).await;
    forge.behave(Manner::Slow(Duration::from_millis(8)));
    for round in 0..20_u64 {
        forge.requests();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "remote::damage::a_process_of_its_own"])
            .envs(CHILD.into_iter().zip([&forge.shop(), upstream.mirrors_folder().to_str().unwrap()]))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // It has begun to fetch; from here on it is killed a bit later each time.
        while forge.seen() < 2 {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(round * 20)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    forge.behave(Manner::Good);
    let mirror = mirror(upstream.network(), &forge.shop());
    assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap(), (Updated::Moved, last.clone()));
    assert_eq!((content(&mirror, &last).as_str(), packs(&mirror).len()), ("last", 1));
    assert_eq!(upstream.litter().len(), 0);
}

/// A small disk in a folder, where the test may make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        tell("passed by: no disk can be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_lost() {
    let upstream = Upstream::new();
    let Some(_disk) = SmallDisk::mount(&upstream.mirrors_folder()) else { return };
    let good = upstream.commit("one");
    let forge = Forge::start(upstream.folder.path()).await;
    let mirror = mirror(upstream.network(), &forge.shop());
    updated(&mirror, &Access::Anonymous).await.unwrap();
    // Too large to be received, and then small enough for that but not for being stored beside it.
    for bytes in [1 << 20, 300 << 10] {
        let head = git2::Oid::from_str(&good).unwrap();
        upstream.commit_on("refs/heads/main", &noise(bytes), Some(head));
        let told = updated(&mirror, &Access::Anonymous).await.unwrap_err().to_string();
        assert!(told.contains("the disk with") && told.ends_with("is full"), "{told}");
        assert_eq!((newest(&mirror, &main()), content(&mirror, &good).as_str()), (good.clone(), "one"));
        assert_eq!(upstream.litter().len(), 0);
    }
    let head = git2::Oid::from_str(&good).unwrap();
    let small = upstream.commit_on("refs/heads/main", "two", Some(head));
    assert_eq!(updated(&mirror, &Access::Anonymous).await.unwrap().1, small);
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

/// What is done to a mirror, with its name.
type Harm = (&'static str, fn(&Mirror));

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let upstream = Upstream::new();
    upstream.commit("one");
    let last = upstream.commit("two");
    let forge = Forge::start(upstream.folder.path()).await;
    let harms: [Harm; 5] = [
        ("the objects are gone", |mirror| {
            for pack in packs(mirror) {
                fs::remove_file(pack).unwrap();
            }
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
        for pack in packs(&mirror) {
            fs::File::open(pack.with_extension("idx")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
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
