//! Asks people before something is changed.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::anyhow;

use super::failure::hinted;

/// Asks whether to go on. Only `y` and `yes` mean yes.
///
/// # Errors
/// Where nobody can answer.
pub(super) fn confirm(question: &str) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(hinted(
            anyhow!("nobody can be asked: standard input is no terminal"),
            "add `--yes` to go on without asking",
        ));
    }
    {
        // Given back before the wait: a signal has something to say there.
        let mut stderr = anstream::stderr().lock();
        write!(stderr, "{question} [y/N] ")?;
        stderr.flush()?;
    }
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
