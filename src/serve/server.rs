//! The listeners: where connections come in, and what agent.yaml says of that. They can be changed while they are in use.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::SOCKET;
use super::caller::Origin;
use super::connection::answer;
use super::crowd::{Crowd, Seat};
use super::hooks::{self, HookError};
use super::limits::Limits;
use super::routes::router;
use super::site::{Metrics, Rules, Site};
use crate::agent::credential::{self, CredentialError};
use crate::agent::desk::Desk;
use crate::manifest::{Api, Tls, Webhook, is_loopback};

/// Pause after the system could not give a connection, as when there are too many open files.
const BREATH: Duration = Duration::from_millis(100);

/// Time for answers under way when the server ends.
const GRACE: Duration = Duration::from_secs(3);

/// What agent.yaml says about who may ask.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The network, and tokens.
    pub api: Option<&'a Api>,
    /// Who may tell that there is something new.
    pub webhooks: &'a [Webhook],
    /// The longest time between two looks of an agent.
    pub interval: Duration,
}

/// Why the server can't be as agent.yaml wants it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another agent has the socket.
    #[error("another agent answers at {}; stop it first, or give this one a state folder of its own", .0.display())]
    Taken(PathBuf),
    /// The socket can't be made.
    #[error("the socket {} can't be made", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address can't be listened at.
    #[error(
        "nothing can listen at {address}; is it an address of this host, and free? `api.listen` of agent.yaml names it"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address is beyond this host, and connections would not be encrypted.
    #[error("{0} is beyond this host, and `api.tls` is missing in agent.yaml")]
    Plain(SocketAddr),
    /// The key of the certificate can't be read.
    #[error("the key of the certificate can't be used")]
    Credential(#[from] CredentialError),
    /// The certificate can't be read.
    #[error(
        "the certificate in {path} can't be read; one in PEM form is wanted, with those that it follows from"
    )]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong.
        source: pem::Error,
    },
    /// The key is no key.
    #[error("the key of the certificate in {0} is no private key in PEM form")]
    Key(String),
    /// The two don't go together.
    #[error("the certificate in {path} can't be used with its key")]
    Tls {
        /// The file of the certificate.
        path: String,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A webhook.
    #[error(transparent)]
    Hook(#[from] HookError),
}

/// The server of an agent.
pub struct Server {
    site: Arc<Site>,
    socket: UnixListener,
    /// Whose the socket is, and which file.
    owner: u32,
    inode: u64,
    network: watch::Sender<Option<Arc<Network>>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("site", &self.site).finish_non_exhaustive()
    }
}

/// Where the network comes in.
struct Network {
    listener: TcpListener,
    /// As agent.yaml has it.
    wanted: SocketAddr,
}

impl Server {
    /// Makes the socket in the state folder. Nobody else may ask until [`Server::configure`] says who.
    ///
    /// # Errors
    /// The socket can't be made, or another agent has it.
    pub fn open(desk: Arc<Desk>, state: &Path, metrics: Metrics, limits: Limits) -> Result<Self, ServeError> {
        let path = state.join(SOCKET);
        let failed = |source| ServeError::Socket { path: path.clone(), source };
        if StdUnixStream::connect(&path).is_ok() {
            return Err(ServeError::Taken(path));
        }
        let (socket, owner, inode) = bound(state, &path).map_err(failed)?;
        let site = Arc::new(Site::new(desk, state.to_owned(), metrics, limits));
        Ok(Self { site, socket, owner, inode, network: watch::Sender::default() })
    }

    /// Does as agent.yaml says, at the start and whenever it was changed. Where anything of it can't be done, all stays as
    /// it was. Reads secrets and the certificate, and so blocks for a moment. Whoever listens to events must ask again.
    ///
    /// # Errors
    /// A secret or the certificate can't be read or used, or the address can't be listened at.
    pub fn configure(&self, settings: &Settings<'_>) -> Result<(), ServeError> {
        let Settings { api, webhooks, interval } = *settings;
        let hooks = hooks::read(webhooks)?;
        let tls = api.and_then(|api| api.tls.as_ref()).map(acceptor).transpose()?;
        let wanted = api.and_then(|api| api.listen);
        if let Some(address) = wanted
            && !is_loopback(address)
            && tls.is_none()
        {
            return Err(ServeError::Plain(address));
        }
        let present = self.network.borrow().clone();
        let network = match wanted {
            Some(wanted) if present.as_ref().is_some_and(|present| present.wanted == wanted) => present,
            Some(wanted) => Some(Arc::new(Network::new(wanted)?)),
            None => None,
        };
        let tokens = api.map(|api| api.tokens.clone()).unwrap_or_default();
        self.site.set_rules(Rules { tokens, hooks, tls, interval });
        self.network.send_replace(network);
        Ok(())
    }

    /// Where the network comes in, if it does. A port 0 of agent.yaml has become a real one here.
    pub fn address(&self) -> Option<SocketAddr> {
        self.network.borrow().as_ref()?.listener.local_addr().ok()
    }

    /// Answers until `stop` is cancelled. Answers under way then have a moment to end.
    pub async fn run(&self, stop: &CancellationToken) {
        let (router, guests) = (router(&self.site), TaskTracker::new());
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.operators(&router, &guests) => {}
            () = self.strangers(&router, &guests) => {}
        }
        self.site.closing.cancel();
        guests.close();
        let _ = time::timeout(GRACE, guests.wait()).await;
        let path = self.site.state.join(SOCKET);
        // Another agent may have begun meanwhile.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.ino() == self.inode)
            && let Err(error) = fs::remove_file(&path)
        {
            warn!(%error, path = %path.display(), "the socket can't be removed");
        }
    }

    /// Takes who comes by the socket.
    async fn operators(&self, router: &Router, guests: &TaskTracker) {
        let crowd = Crowd::new(self.site.limits.operators);
        loop {
            let Ok((stream, _)) = self.socket.accept().await else {
                time::sleep(BREATH).await;
                continue;
            };
            // The mode of the socket says the same. This holds also where somebody has changed that.
            let uid = stream.peer_cred().map(|peer| peer.uid()).ok();
            let Some(uid) = uid.filter(|uid| *uid == 0 || *uid == self.owner) else { continue };
            let Some(seat) = crowd.enter() else { continue };
            let (router, site) = (router.clone(), Arc::clone(&self.site));
            let answer = answer(stream, router, Origin::Socket { uid }, seat, site);
            guests.spawn(self.at_most(answer));
        }
    }

    /// Takes who comes by the network, wherever that is at the moment.
    async fn strangers(&self, router: &Router, guests: &TaskTracker) {
        let crowd = Crowd::new(self.site.limits.connections);
        let mut networks = self.network.subscribe();
        loop {
            let network = networks.borrow_and_update().clone();
            let accepted = async {
                match &network {
                    Some(network) => network.listener.accept().await,
                    None => std::future::pending().await,
                }
            };
            let accepted = tokio::select! {
                // The sender lives as long as this.
                _ = networks.changed() => continue,
                accepted = accepted => accepted,
            };
            let (Some(network), Ok((stream, peer))) = (&network, accepted) else {
                time::sleep(BREATH).await;
                continue;
            };
            let Some(seat) = crowd.enter() else { continue };
            let is_local = is_loopback(network.wanted) && is_loopback(peer);
            let origin = Origin::Network { peer: peer.ip(), is_local };
            let guest = stranger(stream, router.clone(), origin, seat, Arc::clone(&self.site));
            guests.spawn(self.at_most(guest));
        }
    }

    /// Ends an answer that goes on for too long after the server has begun to close.
    fn at_most<F: Future<Output = ()> + Send>(&self, answer: F) -> impl Future<Output = ()> + Send + use<F> {
        let closing = self.site.closing.clone();
        async move {
            tokio::select! {
                () = answer => {}
                () = async { closing.cancelled().await; time::sleep(GRACE).await } => {}
            }
        }
    }
}

/// Answers a connection of the network, encrypted if agent.yaml says so.
async fn stranger(stream: TcpStream, router: Router, origin: Origin, seat: Arc<Seat>, site: Arc<Site>) {
    // Answers are small; waiting to fill a packet only makes them late.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = site.rules().tls.clone() else {
        return answer(stream, router, origin, seat, site).await;
    };
    let handshake = time::timeout(site.limits.head, acceptor.accept(stream));
    let accepted = tokio::select! {
        () = seat.lost.cancelled() => return,
        accepted = handshake => accepted,
    };
    if let Ok(Ok(stream)) = accepted {
        answer(stream, router, origin, seat, site).await;
    }
}

impl Network {
    fn new(wanted: SocketAddr) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen { address: wanted, source };
        let listener = StdTcpListener::bind(wanted).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        info!(address = %wanted, "listening");
        Ok(Self { listener, wanted })
    }
}

/// Makes the socket in place of one that nobody answers at. It never has another mode under its name than its own.
fn bound(state: &Path, path: &Path) -> io::Result<(UnixListener, u32, u64)> {
    const OWNER_ONLY: u32 = 0o600;
    let fresh = state.join(format!("{SOCKET}.new"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = StdUnixListener::bind(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(OWNER_ONLY))?;
    let about = fs::symlink_metadata(&fresh)?;
    fs::rename(&fresh, path)?;
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener)?, about.uid(), about.ino()))
}

/// Reads certificate and key.
fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServeError> {
    let Tls { certificate: path, key } = tls;
    let unread = |source| ServeError::Certificate { path: path.clone(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unread)?.collect();
    let chain = chain.map_err(unread)?;
    let secret = credential::read(key)?;
    let key = PrivateKeyDer::from_pem_slice(secret.expose().as_bytes())
        // What it says may repeat a line of the key.
        .map_err(|_| ServeError::Key(path.clone()))?;
    let unfit = |source| ServeError::Tls { path: path.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
