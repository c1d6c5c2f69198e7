//! Laws of volumes and images.

use evenkeel::engine::{Engine, EngineError};

use super::ground::Ground;

pub async fn a_volume_is_read_back<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.volume("data");
    spec.options =
        [("type".to_owned(), "tmpfs".to_owned()), ("device".to_owned(), "tmpfs".to_owned())].into();
    spec.labels.insert("mine".to_owned(), "a=b".to_owned());
    for _ in 0..2 {
        ground.engine.create_volume(&spec).await.unwrap();
    }
    let volumes = ground.engine.list_volumes().await.unwrap();
    let found = volumes.into_iter().find(|volume| volume.spec.name == spec.name).unwrap();
    assert_eq!(found.stack, Some(ground.stack.clone()));
    spec.driver = Some("local".to_owned());
    assert_eq!(found.spec, spec);
    for _ in 0..2 {
        ground.engine.remove_volume(&spec.name).await.unwrap();
    }
    let volumes = ground.engine.list_volumes().await.unwrap();
    assert!(volumes.iter().all(|volume| volume.spec.name != spec.name));
}

pub async fn a_volume_that_is_made_otherwise_is_a_conflict<E: Engine>(ground: &Ground<E>) {
    let spec = ground.volume("data");
    ground.engine.create_volume(&spec).await.unwrap();
    let mut other_labels = spec.clone();
    other_labels.labels.insert("more".to_owned(), String::new());
    let mut other_options = spec.clone();
    other_options.options.insert("type".to_owned(), "tmpfs".to_owned());
    for other in [other_labels, other_options] {
        let created = ground.engine.create_volume(&other).await;
        assert!(matches!(created, Err(EngineError::Conflict { .. })), "{created:?}");
    }
    let volumes = ground.engine.list_volumes().await.unwrap();
    let found = volumes.into_iter().find(|volume| volume.spec.name == spec.name).unwrap();
    assert_eq!(found.spec.labels, spec.labels);
}

pub async fn an_image_is_read_back<E: Engine>(ground: &Ground<E>) {
    let config = ground.rich.config.clone();
    let by_name = ground.engine.inspect_image(&ground.rich.reference.to_string()).await.unwrap().unwrap();
    assert_eq!(by_name.entrypoint, config.entrypoint);
    assert_eq!(by_name.command, config.command);
    assert_eq!(by_name.environment, config.environment);
    assert_eq!(by_name.labels, config.labels);
    assert_eq!(by_name.exposed_ports, config.exposed_ports.into_iter().collect());
    assert_eq!(by_name.volumes, config.volumes.into_iter().collect());
    assert_eq!(
        (Some(by_name.user.clone()), Some(by_name.working_dir.clone())),
        (config.user, config.working_dir)
    );
    assert_eq!((&by_name.healthcheck, &by_name.stop_signal), (&None, &None));
    let by_id = ground.engine.inspect_image(by_name.id.as_str()).await.unwrap();
    assert_eq!(by_id, Some(by_name));
}

pub async fn a_name_of_an_image_is_removed<E: Engine>(ground: &Ground<E>) {
    let image = format!("evenkeel-test/{}:1", ground.stack).parse().unwrap();
    let empty = tar::Builder::new(Vec::new()).into_inner().unwrap();
    ground.engine.import_image(&image, empty, &evenkeel::engine::ImportConfig::default()).await.unwrap();
    assert!(ground.engine.inspect_image(&image.to_string()).await.unwrap().is_some());
    for _ in 0..2 {
        ground.engine.remove_image(&image).await.unwrap();
    }
    assert_eq!(ground.engine.inspect_image(&image.to_string()).await.unwrap(), None);
}

pub async fn an_image_that_is_nowhere_is_not_pulled<E: Engine>(ground: &Ground<E>) {
    let image = "localhost:1/evenkeel/nothing:1".parse().unwrap();
    let pulled = ground.engine.pull_image(&image, None, &|_| {}).await;
    // Where no registry answers, whether it has the image stays open.
    let expected = matches!(pulled, Err(EngineError::NotFound { .. } | EngineError::Unavailable { .. }));
    assert!(expected, "{pulled:?}");
}

pub async fn an_image_gets_another_name<E: Engine>(ground: &Ground<E>) {
    let [image, name, missing] = ["1", "2", "3"].map(|tag| {
        format!("evenkeel-test/named-{}:{tag}", ground.stack)
            .parse::<evenkeel::model::image::ImageRef>()
            .unwrap()
    });
    let empty = tar::Builder::new(Vec::new()).into_inner().unwrap();
    ground.engine.import_image(&image, empty, &evenkeel::engine::ImportConfig::default()).await.unwrap();
    // Once more is no error.
    for _ in 0..2 {
        ground.engine.tag_image(&image, &name).await.unwrap();
    }
    let [by_image, by_name] = [&image, &name].map(ToString::to_string);
    let by_name = ground.engine.inspect_image(&by_name).await.unwrap().unwrap();
    assert_eq!(by_name.id, ground.engine.inspect_image(&by_image).await.unwrap().unwrap().id);
    // It was only made here. Where images are named by their manifests, that name is all there is.
    assert!(
        by_name.repo_digests.iter().all(|known| known.digest() == Some(by_name.id.as_str())),
        "{by_name:?}"
    );
    let refused = ground.engine.tag_image(&missing, &name).await;
    assert!(matches!(refused, Err(evenkeel::engine::EngineError::NotFound { .. })), "{refused:?}");
    for name in [image, name] {
        ground.engine.remove_image(&name).await.unwrap();
    }
}
