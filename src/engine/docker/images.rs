//! Calls about images.

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptions, RemoveImageOptions, TagImageOptions};
use futures_util::StreamExt;

use super::convert::objects;
use super::error::{Asked, classify};
use super::{Docker, credentials, deadline, readable, within};
use crate::engine::{EngineError, ImportConfig, PullProgress};
use crate::model::image::ImageRef;
use crate::model::live::LiveImage;
use crate::model::platform::Platform;

impl Docker {
    pub(super) async fn image(&self, image: &str) -> Result<Option<LiveImage>, EngineError> {
        let operation = format!("inspect image {image}");
        match within(operation.clone(), deadline::QUICK, Asked::Plain, self.client.inspect_image(image)).await
        {
            Ok(answer) => readable(&operation, objects::image(answer)).map(Some),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn digest_at_registry(&self, image: &ImageRef) -> Result<String, EngineError> {
        let operation = format!("ask the registry for {image}");
        let credentials = credentials::of(image, &operation).await?;
        let name = image.to_string();
        let call = self.client.inspect_registry_image(&name, credentials);
        let answer = within(operation.clone(), deadline::REGISTRY, Asked::Pull, call).await?;
        let digest = answer.descriptor.digest.ok_or_else(|| "the answer has no digest".to_owned());
        readable(&operation, digest)
    }

    pub(super) async fn tag(&self, image: &ImageRef, name: &ImageRef) -> Result<(), EngineError> {
        let operation = format!("tag image {image} as {name}");
        let options =
            TagImageOptions { repo: Some(name.repository().to_owned()), tag: name.tag().map(str::to_owned) };
        let image = image.to_string();
        let call = self.client.tag_image(&image, Some(options));
        within(operation, deadline::QUICK, Asked::Plain, call).await
    }

    pub(super) async fn pull(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<(), EngineError> {
        let operation = format!("pull image {image}");
        // Without a tag Docker would fetch all of them.
        let version = image.digest().or(image.tag()).unwrap_or("latest");
        let options = CreateImageOptions {
            from_image: Some(image.repository().to_owned()),
            tag: Some(version.to_owned()),
            platform: platform.map(ToString::to_string).unwrap_or_default(),
            ..CreateImageOptions::default()
        };
        let credentials = credentials::of(image, &operation).await?;
        let mut messages = self.client.create_image(Some(options), None, credentials);
        let mut layers = Layers::default();
        loop {
            match tokio::time::timeout(deadline::PULL_SILENCE, messages.next()).await {
                Err(_) => return Err(EngineError::TimedOut { operation, within: deadline::PULL_SILENCE }),
                Ok(None) => return Ok(()),
                Ok(Some(Err(error))) => return Err(classify(operation, Asked::Pull, &error)),
                Ok(Some(Ok(message))) => {
                    if let Some(sum) = layers.hear(message) {
                        progress(sum);
                    }
                }
            }
        }
    }

    pub(super) async fn import(
        &self,
        image: &ImageRef,
        layer: Vec<u8>,
        config: &ImportConfig,
    ) -> Result<(), EngineError> {
        let operation = format!("import image {image}");
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(image.repository().to_owned()),
            tag: Some(image.tag().unwrap_or("latest").to_owned()),
            changes: changes(config),
            ..CreateImageOptions::default()
        };
        let body = bollard::body_full(layer.into());
        let mut messages = self.client.create_image(Some(options), Some(body), None);
        let drained = async move {
            while let Some(message) = messages.next().await {
                message?;
            }
            Ok(())
        };
        within(operation, deadline::HEAVY, Asked::Plain, drained).await
    }

    pub(super) async fn drop_image(&self, image: &ImageRef) -> Result<(), EngineError> {
        let operation = format!("remove image {image}");
        let name = image.to_string();
        let call = self.client.remove_image(&name, None::<RemoveImageOptions>, None);
        match within(operation, deadline::HEAVY, Asked::Plain, call).await {
            Ok(_) | Err(EngineError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Bytes of each layer: those that came and those that it has.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// Takes in a message and returns the new sums if it told anything about the bytes of a layer.
    fn hear(&mut self, message: CreateImageInfo) -> Option<PullProgress> {
        let status = message.status?;
        let id = message.id?;
        match status.as_str() {
            "Downloading" => {
                let detail = message.progress_detail?;
                let total = unsigned(detail.total);
                let done = unsigned(detail.current);
                // Some registries don't tell the size; then it is at least what came.
                self.0.insert(id, (done, total.max(done)));
            }
            "Download complete" | "Pull complete" => {
                let layer = self.0.get_mut(&id)?;
                layer.0 = layer.1;
            }
            _ => return None,
        }
        let sum = |pick: fn(&(u64, u64)) -> u64| self.0.values().map(pick).sum();
        Some(PullProgress { done_bytes: sum(|layer| layer.0), total_bytes: sum(|layer| layer.1) })
    }
}

fn unsigned(value: Option<i64>) -> u64 {
    value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default()
}

/// The configuration as lines of a Dockerfile, which is how an import takes it.
fn changes(config: &ImportConfig) -> Vec<String> {
    let ImportConfig { entrypoint, command, environment, labels, exposed_ports, volumes, user, working_dir } =
        config;
    let list = |word: &str, items: &[String]| {
        (!items.is_empty()).then(|| format!("{word} {}", serde_json::Value::from(items.to_vec())))
    };
    let pair = |word: &str, key: &str, value: &str| format!("{word} {}={}", quoted(key), quoted(value));
    let mut lines = Vec::new();
    lines.extend(list("ENTRYPOINT", entrypoint));
    lines.extend(list("CMD", command));
    // Keys of environment variables stand bare: the parser takes quotes as a part of them.
    lines.extend(environment.iter().map(|(key, value)| format!("ENV {key}={}", quoted(value))));
    lines.extend(labels.iter().map(|(key, value)| pair("LABEL", key, value)));
    lines.extend(exposed_ports.iter().map(|port| format!("EXPOSE {port}")));
    lines.extend(list("VOLUME", volumes));
    lines.extend(user.iter().map(|user| format!("USER {user}")));
    lines.extend(working_dir.iter().map(|path| format!("WORKDIR {path}")));
    lines
}

/// A word of a Dockerfile that stands for exactly `text`: nothing in it is replaced or ends it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn message(id: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes
                .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn progress_is_the_sum_of_the_layers() {
        let mut layers = Layers::default();
        assert_eq!(layers.hear(message("a", "Pulling fs layer", None)), None);
        assert!(layers.hear(message("a", "Downloading", Some((10, 100)))).is_some());
        let sum = layers.hear(message("b", "Downloading", Some((5, 50))));
        assert_eq!(sum, Some(PullProgress { done_bytes: 15, total_bytes: 150 }));
        let sum = layers.hear(message("a", "Download complete", None));
        assert_eq!(sum, Some(PullProgress { done_bytes: 105, total_bytes: 150 }));
        assert_eq!(layers.hear(message("a", "Extracting", Some((1, 100)))), None);
    }

    #[test]
    fn a_configuration_is_said_in_the_words_of_a_dockerfile() {
        let config = ImportConfig {
            entrypoint: vec!["/bin/a b".to_owned()],
            environment: [("KEY".to_owned(), "a \"$x\"".to_owned())].into(),
            exposed_ports: vec!["80/tcp".to_owned()],
            ..ImportConfig::default()
        };
        let expected = ["ENTRYPOINT [\"/bin/a b\"]", "ENV KEY=\"a \\\"\\$x\\\"\"", "EXPOSE 80/tcp"];
        assert_eq!(changes(&config), expected);
    }
}
