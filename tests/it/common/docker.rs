//! A real Docker to test with, if there is one, and the removal of all that a test made on it.

use std::thread;

use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::{
    ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions,
    RemoveImageOptions, RemoveVolumeOptions,
};
use evenkeel::engine::docker::Docker;
use evenkeel::model::label;
use evenkeel::model::name::StackName;

/// The Docker to test with: that of `EVENKEEL_TEST_DOCKER_HOST`, else the usual one. Where none answers the test
/// passes by and says so, unless `EVENKEEL_REQUIRE_DOCKER=1` makes that a failure.
pub async fn docker() -> Option<Docker> {
    match Docker::connect(host().as_deref()).await {
        Ok(docker) => Some(docker),
        Err(error) => {
            assert!(std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none_or(|value| value != "1"), "{error}");
            tell(&format!("passed by without Docker: {error}"));
            None
        }
    }
}

/// The socket of the Docker to test with; absent means the usual one.
pub fn host() -> Option<String> {
    std::env::var("EVENKEEL_TEST_DOCKER_HOST").ok().filter(|host| !host.is_empty())
}

#[expect(clippy::print_stderr, reason = "a test that didn't test must say so")]
pub fn tell(text: &str) {
    eprintln!("{text}");
}

/// Removes everything of a stack when it goes out of scope, also when the test failed.
pub struct Cleanup(pub StackName);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let stack = self.0.clone();
        apart(async move { clean(&stack).await });
    }
}

/// Removes an image that a test imported under a name that isn't ours when it goes out of scope.
pub struct Borrowed(pub String);

impl Drop for Borrowed {
    fn drop(&mut self) {
        let image = self.0.clone();
        apart(async move {
            client().await?.remove_image(&image, None::<RemoveImageOptions>, None).await.map(drop)
        });
    }
}

/// Runs something on a runtime of its own: the test's can't be waited on while something is dropped.
fn apart(work: impl Future<Output = Result<(), bollard::errors::Error>> + Send + 'static) {
    let done = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    });
    let done = done.join();
    if !thread::panicking() {
        done.unwrap().unwrap();
    }
}

/// A client of the same Docker, for what [`Docker`] doesn't do.
pub async fn client() -> Result<bollard::Docker, bollard::errors::Error> {
    let socket = host().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    bollard::Docker::connect_with_unix(&socket, 120, bollard::API_DEFAULT_VERSION)?.negotiate_version().await
}

/// Removes a container with its volumes. Under load Docker gives up waiting for the end of one that it has killed: asked
/// again it sees that it has ended.
async fn remove(client: &bollard::Docker, container: &str) -> Result<(), bollard::errors::Error> {
    let options = || Some(RemoveContainerOptions { force: true, v: true, link: false });
    for _ in 0..3 {
        if client.remove_container(container, options()).await.is_ok() {
            return Ok(());
        }
    }
    client.remove_container(container, options()).await
}

/// Removes containers, networks and volumes of `stack`, also those that Compose made under that name, and volumes whose
/// name begins with it.
async fn clean(stack: &StackName) -> Result<(), bollard::errors::Error> {
    let client = client().await?;
    let of_stack =
        || Some([("label".to_owned(), vec![format!("{}={stack}", label::COMPOSE_PROJECT)])].into());
    let options =
        ListContainersOptions { all: true, filters: of_stack(), ..ListContainersOptions::default() };
    let mut names = Vec::new();
    for container in client.list_containers(Some(options)).await? {
        names.extend(container.names.into_iter().flatten());
        remove(&client, &container.id.unwrap()).await?;
    }
    for network in client.list_networks(Some(ListNetworksOptions { filters: of_stack() })).await? {
        let id = network.id.unwrap();
        if let Err(error) = client.remove_network(&id).await {
            // Under load Docker now and then forgets to detach a container that it removes.
            for name in &names {
                let container = name.trim_start_matches('/').to_owned();
                let request = NetworkDisconnectRequest { container, force: Some(true) };
                let _ = client.disconnect_network(&id, request).await;
            }
            if client.remove_network(&id).await.is_err() {
                tell(&format!("{stack}: a network stays: {error}"));
            }
        }
    }
    let volumes = client.list_volumes(None::<ListVolumesOptions>).await?.volumes.unwrap_or_default();
    for volume in volumes.into_iter().filter(|volume| volume.name.starts_with(stack.as_str())) {
        client.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await?;
    }
    Ok(())
}
