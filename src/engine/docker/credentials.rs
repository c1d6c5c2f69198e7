//! Credentials of registries, from where `docker login` keeps them: `config.json` in `$DOCKER_CONFIG` or `~/.docker`,
//! and the programs that it names as credential helpers. Read anew for each question, so that a new login counts at once.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::engine::EngineError;
use crate::model::image::ImageRef;

/// What Docker Hub is called where credentials are kept.
const HUB: &str = "https://index.docker.io/v1/";
/// The names of Docker Hub's hosts that people write.
const HUB_HOSTS: [&str; 3] = ["index.docker.io", "docker.io", "registry-1.docker.io"];
/// What a helper gives as user name when its secret is a token.
const TOKEN_USER: &str = "<token>";
/// Longest run of a helper. One that asks a person must not hold up an agent.
const HELPER_WITHIN: Duration = Duration::from_secs(10);
/// Longest answer of a helper, in bytes.
const ANSWER_MAX: u64 = 64 << 10;
/// How `auth` is encoded. Some tools write it without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The file as far as it matters here. It holds secrets: it has no `Debug`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Why credentials that are there can't be had. No text of a helper is repeated: it may hold a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum CredentialsError {
    #[error("`{path}` can't be read: {why}", path = path.display())]
    File { path: PathBuf, why: String },
    #[error(
        "the `auth` of `{0}` in Docker's `config.json` is not `user:password` in Base64; run `docker login` anew"
    )]
    Auth(String),
    #[error("`{0}` in Docker's `config.json` is no name of a credential helper: `a-z`, `0-9` and `-`")]
    HelperName(String),
    #[error(
        "the credential helper `{program}` can't be run: {why}; install it, or take it out of Docker's `config.json`"
    )]
    HelperStart { program: String, why: String },
    #[error(
        "the credential helper `{program}` failed for `{server}` with {status}; try `echo {server} | {program} get`"
    )]
    HelperFailed { program: String, server: String, status: String },
    #[error("the credential helper `{0}` did not answer within {within} s", within = HELPER_WITHIN.as_secs())]
    HelperSilent(String),
    #[error("the credential helper `{0}` gave an answer that makes no sense")]
    HelperAnswer(String),
}

/// The credentials for the registry of `image`, if there are any. `operation` is what they are wanted for.
///
/// # Errors
/// [`EngineError::Unavailable`]: that they can't be had is no fault of the image, and may pass.
pub(super) async fn of(image: &ImageRef, operation: &str) -> Result<Option<DockerCredentials>, EngineError> {
    let registry = image.registry().unwrap_or(HUB);
    let found = async {
        let Some(path) = path() else { return Ok(None) };
        let Some(config) = read(&path).await? else { return Ok(None) };
        find(&config, registry).await
    };
    found.await.map_err(|error: CredentialsError| EngineError::Unavailable {
        operation: operation.to_owned(),
        message: error.to_string(),
    })
}

fn path() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    Some(folder.or_else(home)?.join("config.json"))
}

async fn read(path: &Path) -> Result<Option<Config>, CredentialsError> {
    let unreadable = |why: String| CredentialsError::File { path: path.to_owned(), why };
    let owned = path.to_owned();
    let text = tokio::task::spawn_blocking(move || std::fs::read(owned)).await;
    match text.map_err(|error| unreadable(error.to_string()))? {
        Ok(text) => parse(&text).map(Some).map_err(unreadable),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn parse(text: &[u8]) -> Result<Config, String> {
    // The parser's own words may repeat what it found: only the place is safe to tell.
    serde_json::from_slice(text).map_err(|error| {
        format!("line {}, column {}: not the JSON of a configuration", error.line(), error.column())
    })
}

/// As the Docker command does: a helper for this registry, else the one for all, else the file itself.
async fn find(config: &Config, registry: &str) -> Result<Option<DockerCredentials>, CredentialsError> {
    let own = config.cred_helpers.iter().find(|(key, _)| is_key_of(key, registry)).map(|(_, name)| name);
    let helper = own.or(Some(&config.creds_store)).filter(|name| !name.is_empty());
    if let Some(name) = helper
        && let Some(answer) = ask(name, registry).await?
    {
        return Ok(Some(from_helper(answer, registry)));
    }
    let entry = config.auths.get(registry).map(|entry| (registry, entry));
    let other = || {
        let found = config.auths.iter().find(|(key, _)| is_key_of(key, registry));
        found.map(|(key, entry)| (key.as_str(), entry))
    };
    entry.or_else(other).map_or(Ok(None), |(key, entry)| from_file(key, entry, registry))
}

/// Whether the key of a configuration means `registry`: people and tools write it with a scheme, with a path and
/// without, and Docker Hub by several names.
fn is_key_of(key: &str, registry: &str) -> bool {
    fn host(text: &str) -> &str {
        let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let host = bare.split('/').next().unwrap_or(bare);
        if HUB_HOSTS.contains(&host) { "docker.io" } else { host }
    }
    host(key) == host(registry)
}

fn from_file(
    key: &str,
    entry: &Entry,
    registry: &str,
) -> Result<Option<DockerCredentials>, CredentialsError> {
    let Entry { auth, identitytoken, registrytoken } = entry;
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut credentials = DockerCredentials {
        serveraddress: Some(registry.to_owned()),
        identitytoken: filled(identitytoken),
        registrytoken: filled(registrytoken),
        ..DockerCredentials::default()
    };
    if auth.is_empty() {
        let any = credentials.identitytoken.is_some() || credentials.registrytoken.is_some();
        return Ok(any.then_some(credentials));
    }
    let wrong = || CredentialsError::Auth(key.to_owned());
    let decoded = BASE64.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(wrong)?;
    let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
    credentials.username = Some(user.to_owned());
    // A token takes the place of the password.
    if credentials.identitytoken.is_none() {
        credentials.password = Some(password.trim_end_matches('\0').to_owned());
    }
    Ok(Some(credentials))
}

fn from_helper(answer: Answer, registry: &str) -> DockerCredentials {
    let Answer { username, secret } = answer;
    let mut credentials =
        DockerCredentials { serveraddress: Some(registry.to_owned()), ..DockerCredentials::default() };
    if username == TOKEN_USER {
        credentials.identitytoken = Some(secret);
    } else {
        (credentials.username, credentials.password) = (Some(username), Some(secret));
    }
    credentials
}

/// Asks `docker-credential-NAME` for `server`. Nothing means that it knows none.
async fn ask(name: &str, server: &str) -> Result<Option<Answer>, CredentialsError> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.chars().all(is_name) {
        return Err(CredentialsError::HelperName(
            name.chars().filter(|c| !c.is_control()).take(40).collect(),
        ));
    }
    let program = format!("docker-credential-{name}");
    let asked = tokio::time::timeout(HELPER_WITHIN, run(&program, server)).await;
    let (succeeded, status, answer) = match asked {
        Err(_) => return Err(CredentialsError::HelperSilent(program)),
        Ok(Err(error)) => return Err(CredentialsError::HelperStart { program, why: error.to_string() }),
        Ok(Ok(ran)) => ran,
    };
    if succeeded {
        return serde_json::from_slice(&answer)
            .map(Some)
            .map_err(|_| CredentialsError::HelperAnswer(program));
    }
    // The protocol's only way to say that there are none.
    if String::from_utf8_lossy(&answer).contains("credentials not found") {
        return Ok(None);
    }
    Err(CredentialsError::HelperFailed { program, server: server.to_owned(), status })
}

async fn run(program: &str, server: &str) -> std::io::Result<(bool, String, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that ends without reading is judged by its status.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    }
    let status = child.wait().await?;
    Ok((status.success(), status.to_string(), answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M="},
        "ghcr.io": {"auth": "bWU6dG9rOmVu"},
        "https://old.io/v1/": {"auth": "bWU6cHcAAA"},
        "token.io": {"auth": "bWU6", "identitytoken": "abc"},
        "bare.io": {"identitytoken": "abc"},
        "empty.io": {},
        "bad.io": {"auth": "%%%"}
    }, "credHelpers": {"evil.io": "../x", "gone.io": "no-such-helper"}}"#;

    async fn found(image: &str) -> String {
        let config = parse(FILE.as_bytes()).unwrap();
        let image: ImageRef = image.parse().unwrap();
        match find(&config, image.registry().unwrap_or(HUB)).await {
            Err(error) => format!("error: {error}"),
            Ok(None) => "none".to_owned(),
            Ok(Some(found)) => {
                let show = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
                format!("{} {} {}", show(found.username), show(found.password), show(found.identitytoken))
            }
        }
    }

    #[tokio::test]
    async fn each_registry_gets_its_own_credentials() {
        for (image, expected) in [
            ("redis", "hub pass -"),
            ("docker.io/timescale/timescaledb", "hub pass -"),
            ("ghcr.io/a/b", "me tok:en -"),
            ("old.io/a", "me pw -"),
            ("token.io/a", "me - abc"),
            ("bare.io/a", "- - abc"),
            ("empty.io/a", "none"),
            ("localhost:5000/a", "none"),
        ] {
            assert_eq!(found(image).await, expected, "{image}");
        }
    }

    #[tokio::test]
    async fn what_can_not_be_had_is_told_with_what_to_do() {
        let bad = found("bad.io/a").await;
        assert!(bad.contains("`bad.io`") && bad.contains("docker login") && !bad.contains("%%"), "{bad}");
        assert!(found("evil.io/a").await.contains("`../x`"));
        let gone = found("gone.io/a").await;
        assert!(gone.contains("`docker-credential-no-such-helper` can't be run"), "{gone}");
    }

    #[test]
    fn a_file_that_is_no_json_is_told_without_its_content() {
        let error = parse(br#"{"auths": {"a.io": {"auth": ["secret"]}}}"#).err().unwrap();
        assert!(error.starts_with("line 1, column ") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn docker_hub_goes_by_several_names() {
        for key in [HUB, "docker.io", "index.docker.io", "https://registry-1.docker.io/v2/"] {
            assert!(is_key_of(key, HUB), "{key}");
        }
        assert!(!is_key_of("docker.io.evil.com", HUB));
        assert!(!is_key_of("a.io", "a.io:5000"));
    }
}
