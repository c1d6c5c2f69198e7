//! Who this host is.

use super::args::Global;
use crate::model::place::{HostSelector, Identity};

/// The identity that the options give, or the machine's own.
pub(super) fn identity(global: &Global) -> Identity {
    let name = global.host.clone().filter(|name| !name.is_empty()).unwrap_or_else(host_name);
    Identity { name, labels: global.labels.iter().cloned().collect() }
}

/// The name of this machine, as its kernel has it.
fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    kernel.map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// Reads a label of the command line.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.parse() {
        Ok(HostSelector::Label(key, value)) => Ok((key, value)),
        Ok(HostSelector::Name(_)) | Err(_) => {
            Err("a label is KEY=VALUE, of letters, digits, `.`, `_` and `-`".to_owned())
        }
    }
}
