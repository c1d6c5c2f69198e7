//! Images that others prune, where the plan or the way back wants them.

use bollard::query_parameters::RemoveImageOptions;
use evenkeel::engine::Engine;
use evenkeel::model::image::ImageRef;

use super::{STOP_AT, engine, has_engine};
use crate::common::docker::{client, tell};
use crate::common::image::TestImage;
use crate::docker::crashes::scene::{Scene, Web};
use crate::docker::crashes::writes;

/// Another image of the same kind, under a name that no registry has.
async fn image(scene: &Scene, version: u32) -> String {
    let name = format!("127.0.0.1:1/{}:{version}", scene.stage.stack);
    let image: ImageRef = name.parse().unwrap();
    TestImage::plain().import_as(&image, &scene.stage.docker).await;
    name
}

/// `docker rmi -f`.
async fn remove(name: &str) {
    let options = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
    client().await.unwrap().remove_image(name, Some(options), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_may_be_pruned_before_any_write() {
    if !has_engine() {
        return;
    }
    engine("start");
    let scene = Scene::new().await.unwrap();
    let (mut version, mut struck, mut failed) = (1, 0, 0);
    for place in writes((1, 5)).map(|number| number.to_string()) {
        let before = scene.serving().await;
        version += 1;
        let name = image(&scene, version).await;
        scene.write_with(version, Web::Good, &name);
        let context = format!("image pruned at {place}");
        let deploy = scene.begin_with("apply --yes", STOP_AT, &place);
        let is_struck = deploy.halts().await;
        if is_struck {
            struck += 1;
            remove(&name).await;
            deploy.signal("CONT");
        }
        let ran = deploy.wait();
        scene.assert_nothing_lost(&before, &context).await;
        if ran.status == Some(0) {
            let serving = scene.serving().await;
            assert!(scene.is_of(&serving, version).await, "{context}: {ran:?}");
        } else {
            failed += 1;
            let ran = ran.ends_with(1).says(&name).says("nothing that ran was touched");
            assert_eq!(scene.serving().await, before, "{context}: {ran:?}");
        }
        if is_struck {
            // Somebody brings it back; a container of it may run already.
            TestImage::plain().import_as(&name.parse().unwrap(), &scene.stage.docker).await;
        }
        scene.apply().ends_with(0);
        scene.assert_at(version, &context).await;
        if !is_struck {
            tell(&format!("image pruned at {struck} places, {failed} refused; no service lost"));
            assert!(failed > 0 && struck > failed, "hardly struck");
            return;
        }
    }
    panic!("too many writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_of_what_is_kept_may_be_pruned_before_a_rollback() {
    if !has_engine() {
        return;
    }
    engine("start");
    let scene = Scene::new().await.unwrap();
    let mut names = Vec::new();
    for version in [2, 3] {
        let name = image(&scene, version).await;
        scene.write_with(version, Web::Good, &name);
        scene.commit();
        scene.apply().ends_with(0);
        names.push(name);
    }
    let before = scene.serving().await;
    remove(&names[0]).await;
    assert!(scene.stage.docker.inspect_image(&names[0]).await.unwrap().is_none());
    let ran = scene.run("rollback --yes");
    scene.assert_nothing_lost(&before, "rollback").await;
    let serving = scene.serving().await;
    tell(&format!("rollback to a pruned image: exit status {:?}", ran.status));
    if ran.status == Some(0) {
        // The container is still there, and all that it needs.
        assert!(scene.is_of(&serving, 2).await, "{ran:?}");
    } else {
        let ran = ran.ends_with(1).says(&names[0]).says("nothing that ran was touched");
        assert_eq!(serving, before, "{ran:?}");
    }
    scene.apply().ends_with(0);
    scene.assert_at(3, "after the rollback").await;
}
