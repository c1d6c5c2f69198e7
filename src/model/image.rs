//! Image references: `[registry/]repository[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A reference to an image, in Docker's familiar form: `redis:7-alpine` and `docker.io/library/redis:7-alpine` are
/// equal. A reference with neither tag nor digest means the tag `latest`.
///
/// Grammar: the Open Container Initiative's distribution specification and Docker's `distribution/reference`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageRef {
    /// Registry host with its port, and path, without Docker Hub's defaults: `redis`, `ghcr.io/a/b`.
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    /// The text is empty.
    #[error("the image reference is empty")]
    Empty,
    /// The repository part breaks the grammar.
    #[error("`{0}` is not a valid image repository: lower-case letters, digits, `.`, `_`, `-` and `/`")]
    Repository(String),
    /// The tag breaks the grammar.
    #[error("`{0}` is not a valid image tag: letters, digits, `.`, `_` and `-`, at most 128")]
    Tag(String),
    /// The digest is not `sha256:` and 64 hexadecimal digits.
    #[error("`{0}` is not a valid image digest: `sha256:` and 64 hexadecimal digits")]
    Digest(String),
}

impl ImageRef {
    /// Registry host and path, as `docker pull` takes it.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if the reference has one. `latest` stands where neither tag nor digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that pins the content, if the reference has one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The host of the registry, with its port; absent where it is Docker Hub.
    pub fn registry(&self) -> Option<&str> {
        let (host, _) = self.repository.split_once('/')?;
        is_registry_host(host).then_some(host)
    }

    /// The same name, pinned to content. An engine that is given both goes by the digest alone.
    pub fn pinned(&self, digest: &str) -> Self {
        Self { digest: Some(digest.to_owned()), ..self.clone() }
    }

    /// As people say it: without the digest where there is a tag.
    pub fn name(&self) -> Self {
        let digest = self.digest.clone().filter(|_| self.tag.is_none());
        Self { digest, ..self.clone() }
    }
}

/// When a registry is asked for an image. A manifest says it as `pull_policy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When the host doesn't have it.
    #[default]
    Missing,
    /// At every plan: where the tag means another image, that is a change.
    Always,
    /// Never: the host must have it.
    Never,
    /// As [`Self::Always`], once in so long a time.
    Every(Duration),
}

/// The digest as people read it: `sha256:` and twelve digits.
pub fn short_digest(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn is_component(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(edge) && part.ends_with(edge) && part.chars().all(inner)
}

fn is_registry_host(part: &str) -> bool {
    part == "localhost" || part.contains('.') || part.contains(':')
}

fn is_host_and_port(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let host_is_good = host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    host_is_good && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

fn familiar(repository: &str) -> Result<String, ImageRefError> {
    let wrong = || ImageRefError::Repository(repository.to_owned());
    let (host, path) = match repository.split_once('/') {
        Some((host, path)) if is_registry_host(host) => (Some(host), path),
        _ => (None, repository),
    };
    if path.is_empty() || repository.len() > 255 || !path.split('/').all(is_component) {
        return Err(wrong());
    }
    if host.is_some_and(|host| !is_host_and_port(host)) {
        return Err(wrong());
    }
    Ok(match host {
        None => path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path).to_owned(),
        Some("docker.io" | "index.docker.io") => path.strip_prefix("library/").unwrap_or(path).to_owned(),
        Some(host) => format!("{host}/{path}"),
    })
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        if text.is_empty() {
            return Err(ImageRefError::Empty);
        }
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        // A colon after the last slash begins a tag; one before it belongs to the registry's port.
        let tag_at = name.rfind(':').filter(|at| !name[*at..].contains('/'));
        let (repository, tag) = tag_at.map_or((name, None), |at| (&name[..at], Some(&name[at + 1..])));
        let repository = familiar(repository)?;
        if let Some(tag) = tag {
            let first = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let rest = tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
            if !first || !rest || tag.len() > 128 {
                return Err(ImageRefError::Tag(tag.to_owned()));
            }
        }
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:");
            if !hex.is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit())) {
                return Err(ImageRefError::Digest(digest.to_owned()));
            }
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { repository, tag, digest: digest.map(str::to_owned) })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        f.pad(&format!("{}{tag}{digest}", self.repository))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<ImageRef>().map_or_else(|error| format!("error: {error}"), |image| image.to_string())
    }

    #[test]
    fn references_are_kept_in_the_familiar_form() {
        assert_eq!(shown("redis"), "redis:latest");
        assert_eq!(shown("docker.io/library/redis:7-alpine"), "redis:7-alpine");
        assert_eq!(shown("library/redis:7"), "redis:7");
        assert_eq!(shown("timescale/timescaledb:latest-pg16"), "timescale/timescaledb:latest-pg16");
        assert_eq!(shown("localhost:5000/a/b"), "localhost:5000/a/b:latest");
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(shown(&format!("a/b@{digest}")), format!("a/b@{digest}"));
        assert_eq!(shown(&format!("a/b:1@{digest}")), format!("a/b:1@{digest}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in
            ["", "UPPER/x", "a//b", "a/../b", "a:", "a:-x", "a@sha256:12", "a b", "host:99999/x", "-a", "a/"]
        {
            assert!(text.parse::<ImageRef>().is_err(), "{text:?} gave {}", shown(text));
        }
    }
}
