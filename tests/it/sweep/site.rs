//! A host under the sweep: its engine, and the state folder that outlives every controller.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use evenkeel::apply::Host;
use evenkeel::apply::machine::Machine;
use evenkeel::engine::sim::Sim;
use tempfile::TempDir;

use crate::apply::bench::{Nobody, stack};

/// A folder for the state of hosts, one after the other. In memory where the system has such a place.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("ek-test-sweep-").tempdir_in(base).unwrap()
}

/// A host.
pub struct Site {
    pub sim: Sim,
    pub folder: PathBuf,
}

impl Site {
    /// A controller that has just been started on it.
    pub fn machine(&self) -> Machine<Sim> {
        Machine::open(self.sim.clone(), &self.folder, Host::Other).unwrap().with_prober(Box::new(Nobody))
    }

    /// Everything as it is. No controller may be at work.
    pub fn freeze(&self) -> Frozen {
        let mut files = Vec::new();
        collect(&self.folder, &mut files);
        Frozen { sim: self.sim.copy(), files }
    }

    /// Lets the ledger be what is on the disk when the power is lost: without what was written since `synced` bytes of
    /// its log were flushed. Ends the controller.
    pub fn lose_power(&self, machine: Machine<Sim>, synced: u64) {
        let [database, log, index] =
            ["", "-wal", "-shm"].map(|end| self.folder.join(format!("ledger.db{end}")));
        let mut kept = fs::read(&log).unwrap_or_default();
        kept.truncate(usize::try_from(synced).unwrap());
        let content = fs::read(&database).unwrap();
        // Closing it writes everything into the database.
        drop(machine);
        fs::write(&database, content).unwrap();
        fs::write(&log, kept).unwrap();
        let _ = fs::remove_file(index);
    }

    /// The files that are laid down.
    pub fn laid_down(&self) -> Vec<PathBuf> {
        let (mut files, folder) = (Vec::new(), self.folder.join("files"));
        if folder.is_dir() {
            collect(&folder, &mut files);
        }
        files.into_iter().map(|(path, ..)| path).collect()
    }

    /// How long the log of the ledger is.
    pub fn log_bytes(folder: &Path) -> u64 {
        fs::metadata(folder.join("ledger.db-wal")).map_or(0, |log| log.len())
    }
}

impl Site {
    /// Whether something is not to be tried again.
    pub fn has_quarantined(&self) -> bool {
        let machine = self.machine();
        let records = machine.ledger().history(&stack(), 20).unwrap();
        records
            .iter()
            .any(|record| machine.ledger().quarantined(&stack(), &record.desired).unwrap().is_some())
    }

    /// Everything that recovery and the next deploys follow from, but for moments and for what ids are called.
    pub fn shape(&self, machine: &Machine<Sim>) -> String {
        let ledger = machine.ledger();
        let stack = stack();
        let stable = ledger.last_stable(&stack).unwrap().map(|stable| (stable.revision, stable.desired));
        let watch = ledger.open_watch(&stack).unwrap();
        let watch = watch.map(|watch| (watch.deploy, watch.before, watch.failed));
        let history = ledger.history(&stack, 20).unwrap();
        let states: Vec<_> =
            history.iter().map(|record| (&record.id, record.state, &record.failure)).collect();
        let mut shape = format!(
            "{} {:?} {:?} {stable:?} {:?} {:?} {watch:?} {states:?} {:?}",
            self.sim.shape(),
            ledger.open_deploy(&stack).unwrap(),
            ledger.last_applied(&stack).unwrap(),
            ledger.retired(&stack).unwrap(),
            ledger.adopted(&stack).unwrap(),
            self.laid_down(),
        );
        for (at, record) in history.iter().rev().enumerate() {
            shape = shape.replace(record.id.as_str(), &format!("#{at}"));
        }
        shape
    }
}

/// A host at one moment, from which it can go on any number of times.
#[derive(Clone)]
pub struct Frozen {
    sim: Sim,
    /// Every file of the state folder, with its mode.
    files: Vec<(PathBuf, Vec<u8>, u32)>,
}

impl Frozen {
    /// The host as it was, in the folder where it was: containers mount files of it by their paths.
    pub fn thaw(&self, folder: &Path) -> Site {
        empty(folder);
        for (path, content, mode) in &self.files {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            fs::set_permissions(path, Permissions::from_mode(*mode)).unwrap();
        }
        Site { sim: self.sim.copy(), folder: folder.to_owned() }
    }
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>, u32)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let is_passing = path.extension().is_some_and(|end| end == "lock") || path.ends_with(".lock");
        if kind.is_dir() {
            collect(&path, files);
        } else if !is_passing && !path.ends_with("ledger.db-shm") {
            let mode = entry.metadata().unwrap().permissions().mode();
            files.push((path.clone(), fs::read(&path).unwrap(), mode));
        }
    }
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}
