//! Files that the program keeps for itself, written whole or not at all, and read within bounds.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow};

/// The largest file that is read, in bytes.
const BYTES_MAX: u64 = 32 << 20;

/// Writes a file that only this user can read. A crash leaves the one that was there before.
pub(super) fn whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> std::io::Result<()> {
        // Made with the mode 0600.
        let mut file = tempfile::Builder::new().prefix(".evenkeel-").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    written().with_context(|| format!("{} can't be written", path.display()))
}

/// Reads a file of a bounded size.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
    let read = read.with_context(|| format!("{} can't be read", path.display()))?;
    if read as u64 > BYTES_MAX {
        return Err(anyhow!("{} has more than {BYTES_MAX} bytes", path.display()));
    }
    Ok(text)
}
