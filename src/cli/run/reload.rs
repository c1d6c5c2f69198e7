//! Hears when agent.yaml is to be read again: at SIGHUP, and when the file has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time;
use tracing::warn;

/// An editor writes a file in several steps. After the first it is waited for so long a time without another one.
const QUIET: Duration = Duration::from_millis(300);

/// What hears.
pub(super) struct Ears {
    /// There is something to read, and it is whole.
    ready: Arc<Notify>,
    /// Kept, for it ends when it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Ears {
    /// Hears SIGHUP, and changes of the file at `path`, where there is one. Where changes can't be heard of, SIGHUP remains.
    pub(super) fn open(path: Option<&Path>) -> Self {
        let (told, ready) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        tokio::spawn(settle(Arc::clone(&told), Arc::clone(&ready)));
        let bell = Arc::clone(&told);
        tokio::spawn(async move {
            let Ok(mut signals) = signal(SignalKind::hangup()) else { return };
            while signals.recv().await.is_some() {
                bell.notify_one();
            }
        });
        let watcher = path.and_then(|path| match watch(path, told) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!(%error, "changes of agent.yaml are not heard of; SIGHUP lets it be read again");
                None
            }
        });
        Self { ready, _watcher: watcher }
    }

    /// Waits until there is something to read. Cancel-safe: what was heard stays heard.
    pub(super) async fn hear(&self) {
        self.ready.notified().await;
    }
}

/// Passes on what is told, once nothing more has been told for a while.
async fn settle(told: Arc<Notify>, ready: Arc<Notify>) {
    loop {
        told.notified().await;
        while time::timeout(QUIET, told.notified()).await.is_ok() {}
        ready.notify_one();
    }
}

/// Watches the folder: a file that is replaced, as editors do, would be lost sight of.
fn watch(path: &Path, told: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let path: PathBuf = std::path::absolute(path).map_err(notify::Error::io)?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let name = path.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        // A look at the file is no change of it.
        let changes = !matches!(event.kind, EventKind::Access(_));
        if changes && event.paths.iter().any(|changed| changed.file_name() == name.as_deref()) {
            told.notify_one();
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
