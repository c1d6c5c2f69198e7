//! The real thing: Docker Engine through its Unix socket.
//!
//! `convert` translates, `error` sorts what goes wrong, `deadline` bounds every call; the files beside them hold the
//! calls, by kind of object. Nothing here decides anything about a stack.

pub mod about;
mod convert;
mod credentials;
mod deadline;
mod error;
mod greeting;
mod containers;
mod images;
mod networks;
mod processes;
mod transport;
mod volumes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::SystemInfoCgroupVersionEnum;
use bollard::{ClientVersion, Docker as Client};
use futures_util::TryFutureExt;
use futures_util::stream::BoxStream;
use tokio::sync::Mutex;

use self::error::{Asked, classify};
use super::meter::{Meter, NoMeter};
use super::{
    CreateContainer, Engine, EngineError, EngineEvent, ExecResult, ImportConfig, ListedContainer,
    PullProgress, UpdateContainer, effect,
};
use crate::model::image::ImageRef;
use crate::model::live::{DaemonDefaults, LiveContainer, LiveImage, LiveNetwork, LiveVolume, Server};
use crate::model::name::{ContainerId, ContainerName, NetworkId, NetworkName, VolumeName};
use crate::model::platform::Platform;
use crate::model::spec::{Attachment, Namespace, NetworkSpec, VolumeSpec};
use crate::model::text::Text;

/// The socket of a usual installation.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// The oldest API that has all that we need: Docker 20.10.
const API_MIN: (usize, usize) = (1, 41);

/// A Docker daemon. A clone is another handle of the same connection.
#[derive(Debug, Clone)]
pub struct Docker {
    client: Client,
    api: (usize, usize),
    /// Held while a network is created: older engines must be asked first whether its name is free.
    network_names: Arc<Mutex<()>>,
    /// The names of networks by their ids, which are for good, as far as they were seen.
    seen_networks: Arc<std::sync::Mutex<BTreeMap<NetworkId, NetworkName>>>,
}

impl Docker {
    /// Connects to `host`, `unix:///path/to/socket`; absent means the socket of a usual installation. The newest
    /// version of the API that both sides know is used from then on.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] if `host` is of another kind or the daemon is too old, [`EngineError::Denied`] if
    /// this user may not use the socket, [`EngineError::Unavailable`] if there is none or nobody listens on it,
    /// [`EngineError::TimedOut`] if nobody answers, [`EngineError::Unexpected`] if it isn't
    /// Docker that does.
    pub async fn connect(host: Option<&str>) -> Result<Self, EngineError> {
        Self::connect_metered(host, Arc::new(NoMeter)).await
    }

    /// The same, which tells `meter` of every call.
    pub async fn connect_metered(host: Option<&str>, meter: Arc<dyn Meter>) -> Result<Self, EngineError> {
        let host = host.unwrap_or(DEFAULT_HOST);
        let operation = format!("connect to Docker at {}", error::shown(host));
        let Some(socket) = host.strip_prefix("unix://").filter(|path| path.starts_with('/')) else {
            let message = "only Unix sockets are supported so far: unix:///path/to/docker.sock".to_owned();
            return Err(EngineError::Rejected { operation, message });
        };
        let asked = greeting::api_version(Path::new(socket)).map_err(|err| DockerError::IOError { err });
        let spoken = within(operation.clone(), deadline::CONNECT, Asked::Plain, asked).await?;
        let Some(spoken) = spoken else {
            let message = "what answers there is no Docker".to_owned();
            return Err(EngineError::Unexpected { operation, message });
        };
        if spoken < API_MIN {
            let message = format!(
                "the daemon speaks API {}.{}, and Evenkeel needs {}.{}, which is Docker 20.10 or newer",
                spoken.0, spoken.1, API_MIN.0, API_MIN.1
            );
            return Err(EngineError::Rejected { operation, message });
        }
        let newest = bollard::API_DEFAULT_VERSION;
        let api = spoken.min((newest.major_version, newest.minor_version));
        let version = ClientVersion { major_version: api.0, minor_version: api.1 };
        // The client's own timeout must never be the first: it is one for all calls.
        let never = Duration::from_secs(24 * 60 * 60).as_secs();
        let client = Client::connect_with_custom_transport(
            transport::of_kept_connections(meter),
            Some(transport::address(socket)),
            never,
            &version,
        )
        .map_err(|error| classify(operation, Asked::Plain, &error))?;
        Ok(Self {
            client: with_version(client, api),
            api,
            network_names: Arc::default(),
            seen_networks: Arc::default(),
        })
    }

    /// Whether a container can be created with several networks, and network names are unique.
    fn is_at_least_1_44(&self) -> bool {
        self.api >= (1, 44)
    }
}

/// Mends what this version of the client library gets wrong: it forgets the version of the API before each path, and a
/// daemon would then answer by its own newest rules; and it encodes credentials in the alphabet of Base64 that daemons
/// don't read, and take for no credentials.
fn with_version(client: Client, (major, minor): (usize, usize)) -> Client {
    client.with_request_modifier(move |mut request| {
        if !request.method().is_safe() && !request.uri().path().contains("/exec") {
            effect::begins();
        }
        if let Some(credentials) = request.headers_mut().get_mut("x-registry-auth")
            && let Ok(text) = credentials.to_str()
            && let Ok(mended) = http::HeaderValue::from_str(&text.replace('+', "-").replace('/', "_"))
        {
            *credentials = mended;
        }
        let mut parts = request.uri().clone().into_parts();
        let bare = parts.path_and_query.as_ref().filter(|path| !path.as_str().starts_with("/v1."));
        if let Some(versioned) = bare.and_then(|path| format!("/v{major}.{minor}{path}").parse().ok()) {
            parts.path_and_query = Some(versioned);
            if let Ok(uri) = http::Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
        request
    })
}

/// Awaits `call` for so long and sorts its error.
async fn within<T>(
    operation: String,
    limit: Duration,
    asked: Asked,
    call: impl Future<Output = Result<T, DockerError>>,
) -> Result<T, EngineError> {
    let started = tokio::time::Instant::now();
    let answer = tokio::time::timeout(limit, call).await;
    let result = match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(classify(operation.clone(), asked, &error)),
        Err(_) => Err(EngineError::TimedOut { operation: operation.clone(), within: limit }),
    };
    let took = started.elapsed();
    tracing::debug!(operation, ?took, failed = result.is_err(), "asked Docker");
    result
}

/// Turns the complaint of a conversion of an answer into an error.
fn readable<T>(operation: &str, converted: Result<T, convert::Unreadable>) -> Result<T, EngineError> {
    converted.map_err(|message| EngineError::Unexpected { operation: operation.to_owned(), message })
}

/// Turns the complaint of a conversion of a request into an error.
fn sayable<T>(operation: &str, converted: Result<T, convert::Unreadable>) -> Result<T, EngineError> {
    converted.map_err(|message| EngineError::Rejected { operation: operation.to_owned(), message })
}

impl Engine for Docker {
    async fn server(&self) -> Result<Server, EngineError> {
        let operation = "look at the Docker daemon".to_owned();
        let info = within(operation, deadline::QUICK, Asked::Plain, self.client.info()).await?;
        Ok(Server {
            id: info.id.unwrap_or_default(),
            name: format!("Docker {}", info.server_version.unwrap_or_default()),
            api_version: format!("{}.{}", self.api.0, self.api.1),
            defaults: DaemonDefaults {
                logging: info.logging_driver,
                runtime: info.default_runtime,
                cgroup: info.cgroup_version.map(|version| match version {
                    SystemInfoCgroupVersionEnum::_2 => Namespace::Private,
                    SystemInfoCgroupVersionEnum::_1 | SystemInfoCgroupVersionEnum::EMPTY => Namespace::Host,
                }),
                counts_swap: info.swap_limit == Some(true),
            },
        })
    }

    async fn list_containers(&self) -> Result<Vec<ListedContainer>, EngineError> {
        self.all_containers().await
    }

    async fn inspect_container(&self, id: &ContainerId) -> Result<LiveContainer, EngineError> {
        self.container(id).await
    }

    async fn list_networks(&self) -> Result<Vec<LiveNetwork>, EngineError> {
        self.all_networks().await
    }

    async fn list_volumes(&self) -> Result<Vec<LiveVolume>, EngineError> {
        self.all_volumes().await
    }

    async fn inspect_image(&self, image: &str) -> Result<Option<LiveImage>, EngineError> {
        self.image(image).await
    }

    async fn registry_digest(&self, image: &ImageRef) -> Result<String, EngineError> {
        self.digest_at_registry(image).await
    }

    async fn tag_image(&self, image: &ImageRef, name: &ImageRef) -> Result<(), EngineError> {
        self.tag(image, name).await
    }

    async fn pull_image(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<(), EngineError> {
        self.pull(image, platform, progress).await
    }

    async fn import_image(
        &self,
        image: &ImageRef,
        layer: Vec<u8>,
        config: &ImportConfig,
    ) -> Result<(), EngineError> {
        self.import(image, layer, config).await
    }

    async fn remove_image(&self, image: &ImageRef) -> Result<(), EngineError> {
        self.drop_image(image).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<NetworkId, EngineError> {
        self.new_network(spec).await
    }

    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        self.drop_network(id).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        self.new_volume(spec).await
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), EngineError> {
        self.drop_volume(name).await
    }

    async fn create_container(&self, request: &CreateContainer) -> Result<ContainerId, EngineError> {
        self.new_container(request).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.start(id).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), EngineError> {
        self.stop(id, grace).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.drop_container(id, false).await
    }

    async fn discard_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.drop_container(id, true).await
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<(), EngineError> {
        self.rename(id, name).await
    }

    async fn update_container(&self, id: &ContainerId, update: &UpdateContainer) -> Result<(), EngineError> {
        self.update(id, update).await
    }

    async fn connect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        attachment: &Attachment,
    ) -> Result<(), EngineError> {
        self.connect_to(network, container, attachment).await
    }

    async fn disconnect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
    ) -> Result<(), EngineError> {
        self.disconnect_from(network, container).await
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: &[Text],
        within: Duration,
    ) -> Result<ExecResult, EngineError> {
        self.run_in(id, command, within).await
    }

    async fn logs(&self, id: &ContainerId, lines: u32) -> Result<Vec<String>, EngineError> {
        self.last_logs(id, lines).await
    }

    fn follow_log(&self, id: &ContainerId) -> BoxStream<'static, Result<String, EngineError>> {
        self.log_stream(id)
    }

    fn events(&self) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        self.event_stream()
    }
}
