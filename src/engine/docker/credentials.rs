//! Credentials of registries, from where `docker login` keeps them without a credential store.
//!
//! Only `auths` of the Docker command's `config.json` is read, anew for each pull. Credential helpers are programs,
//! and none is run here.

use std::path::PathBuf;

use bollard::auth::DockerCredentials;
use serde::Deserialize;

/// The key that `docker login` uses for Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// The credentials for the registry of `repository`, if there are any that can be read.
pub(super) async fn for_repository(repository: &str) -> Option<DockerCredentials> {
    let path = path()?;
    let text = tokio::task::spawn_blocking(|| std::fs::read_to_string(path)).await.ok()?.ok()?;
    find(&text, repository)
}

fn path() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    Some(folder.or_else(home)?.join("config.json"))
}

fn find(text: &str, repository: &str) -> Option<DockerCredentials> {
    let file: File = serde_json::from_str(text).ok()?;
    let host = repository.split_once('/').map(|(host, _)| host);
    let registry = host.filter(|host| host.contains(['.', ':']) || *host == "localhost").unwrap_or(HUB);
    let entry = [registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/")]
        .iter()
        .find_map(|key| file.auths.get(key))?;
    let decoded = decode_base64(entry.auth.as_deref()?)?;
    let (user, password) = decoded.split_once(':')?;
    let identitytoken = entry.identitytoken.clone().filter(|token| !token.is_empty());
    Some(DockerCredentials {
        username: Some(user.to_owned()),
        password: Some(password.trim_end_matches('\0').to_owned()).filter(|_| identitytoken.is_none()),
        serveraddress: Some(registry.to_owned()),
        identitytoken,
        ..DockerCredentials::default()
    })
}

fn decode_base64(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for c in text.trim().trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M="},
        "ghcr.io": {"auth": "bWU6dG9rOmVu"},
        "helper.io": {}
    }, "credsStore": "x"}"#;

    fn user_and_password(repository: &str) -> Option<(String, String)> {
        find(FILE, repository).and_then(|found| Some((found.username?, found.password?)))
    }

    #[test]
    fn each_registry_gets_its_own_credentials() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(user_and_password("redis"), pair("hub", "pass"));
        assert_eq!(user_and_password("timescale/timescaledb"), pair("hub", "pass"));
        assert_eq!(user_and_password("ghcr.io/a/b"), pair("me", "tok:en"));
        assert_eq!(user_and_password("helper.io/a"), None);
        assert_eq!(user_and_password("localhost:5000/a"), None);
        assert!(find("no json", "redis").is_none());
    }
}
