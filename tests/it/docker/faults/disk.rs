//! Full disks: the engine's own, and that of the state.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{STOP_AT, engine, has_engine};
use crate::common::docker::tell;
use crate::docker::crashes::scene::{Scene, Web};
use crate::docker::crashes::writes;

/// The engine's disk is full as long as this is there.
struct Full;

impl Full {
    fn new() -> Self {
        engine("fill");
        Self
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        engine("free");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engines_disk_may_be_full_from_any_write_on() {
    if !has_engine() {
        return;
    }
    engine("start");
    let scene = Scene::new().await.unwrap();
    let (mut version, mut struck, mut spoken, mut ends) = (1, 0, 0, BTreeMap::new());
    for place in writes((2, 5)).map(|number| number.to_string()) {
        let before = scene.serving().await;
        version += 1;
        scene.write(version, Web::Good);
        let context = format!("disk full at {place}");
        let deploy = scene.begin_with("apply --yes", STOP_AT, &place);
        let is_struck = deploy.halts().await;
        let full = is_struck.then(Full::new);
        if is_struck {
            struck += 1;
            deploy.signal("CONT");
        }
        let ran = deploy.wait();
        *ends.entry(ran.status).or_insert(0) += 1;
        scene.assert_nothing_lost(&before, &context).await;
        if ran.status != Some(0) {
            assert!(matches!(ran.status, Some(1 | 3 | 4)), "{context}: {ran:?}");
            spoken += u32::from(ran.says("error: ").stderr.contains("no space left on device"));
        }
        drop(full);
        scene.apply().ends_with(0);
        scene.assert_at(version, &context).await;
        scene.assert_others_untouched(&context).await;
        if !is_struck {
            tell(&format!("disk of the engine full at {struck} places, ended {ends:?}; no service lost"));
            // Some of Docker's own words for it are others.
            assert!(struck > 1 && spoken > 0, "hardly struck");
            return;
        }
    }
    panic!("too many writes");
}

/// A disk of its own for a folder; unmounted when it goes out of scope.
struct Disk(PathBuf);

impl Disk {
    /// Puts the content of `folder` on a small disk in its place.
    fn below(folder: PathBuf) -> Self {
        let aside = folder.with_extension("aside");
        fs::rename(&folder, &aside).unwrap();
        fs::create_dir(&folder).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=2m", "none", folder.to_str().unwrap()]);
        run("cp", &["-a", aside.join(".").to_str().unwrap(), folder.to_str().unwrap()]);
        Self(folder)
    }

    fn fill(&self) {
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        for size in [4096, 1] {
            while std::io::Write::write_all(&mut filler, &vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

fn run(program: &str, words: &[&str]) {
    assert!(Command::new(program).args(words).status().unwrap().success(), "{program} {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_state_folder_is_told_before_anything_is_touched() {
    if !has_engine() {
        return;
    }
    engine("start");
    let scene = Scene::new().await.unwrap();
    let disk = Disk::below(scene.stage.path().join("state"));
    let before = scene.stage.serving().await;
    disk.fill();
    scene.write(2, Web::Good);
    let ran = scene.apply().ends_with(1).says("its disk is full").says("hint: nothing was touched");
    assert_eq!(scene.stage.serving().await, before, "{ran:?}");
    disk.free();
    scene.apply().ends_with(0);
    scene.assert_at(2, "after the state had room again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_folder_may_be_full_from_any_write_on() {
    if !has_engine() {
        return;
    }
    engine("start");
    let scene = Scene::new().await.unwrap();
    let disk = Disk::below(scene.stage.path().join("state"));
    let (mut version, mut struck) = (1, 0);
    for place in writes((2, 5)).map(|number| number.to_string()) {
        let before = scene.serving().await;
        version += 1;
        scene.write(version, Web::Good);
        let context = format!("state full at {place}");
        let deploy = scene.begin_with("apply --yes", STOP_AT, &place);
        let is_struck = deploy.halts().await;
        if is_struck {
            struck += 1;
            disk.fill();
            deploy.signal("CONT");
        }
        let ran = deploy.wait();
        scene.assert_nothing_lost(&before, &context).await;
        let serving = scene.serving().await;
        let is_whole = serving == before || scene.is_of(&serving, version).await;
        assert!(is_whole, "{context}: {ran:?}\n{serving:?}");
        if is_struck {
            disk.free();
        }
        scene.apply().ends_with(0);
        scene.assert_at(version, &context).await;
        scene.assert_others_untouched(&context).await;
        if !is_struck {
            tell(&format!("disk of the state full at {struck} places; no service lost"));
            assert!(struck > 1, "hardly struck");
            return;
        }
    }
    panic!("too many writes");
}
