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
    told: Arc<Notify>,
    /// Kept, for it ends when it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Ears {
    /// Hears SIGHUP, and changes of the file at `path`, where there is one. Where changes can't be heard of, SIGHUP remains.
    pub(super) fn open(path: Option<&Path>) -> Self {
        let told = Arc::new(Notify::new());
        let bell = Arc::clone(&told);
        tokio::spawn(async move {
            let Ok(mut signals) = signal(SignalKind::hangup()) else { return };
            while signals.recv().await.is_some() {
                bell.notify_one();
            }
        });
        let watcher = path.and_then(|path| match watch(path, Arc::clone(&told)) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!(%error, "changes of agent.yaml are not heard of; SIGHUP lets it be read again");
                None
            }
        });
        Self { told, _watcher: watcher }
    }

    /// Waits until there is something to read. Cancel-safe but for what it heard in the last moment.
    pub(super) async fn hear(&self) {
        self.told.notified().await;
        while time::timeout(QUIET, self.told.notified()).await.is_ok() {}
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
