//! Signatures of GPG, checked by `gpgv`: a small program that trusts the keys of one file and no others, and knows
//! neither a user's settings nor a network.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Signed;

/// Where programs of the system are.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The longest time for one check.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a signature doesn't count. Whoever has a key in `keyring` may sign.
pub(super) fn check(signed: &Signed, keyring: &Path) -> Result<(), String> {
    if !keyring.is_file() {
        return Err(format!("the keyring `{}` is not there", keyring.display()));
    }
    let failed = |error: std::io::Error| format!("its signature can't be checked: {error}");
    // The program takes files only.
    let folder = tempfile::tempdir().map_err(failed)?;
    let (signature, content) = (folder.path().join("signature"), folder.path().join("content"));
    fs::write(&signature, &signed.signature).map_err(failed)?;
    fs::write(&content, &signed.content).map_err(failed)?;
    let started = Command::new("gpgv")
        .args(["--status-fd", "1", "--keyring"])
        .arg(keyring)
        .arg("--")
        .args([&signature, &content])
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .env("GNUPGHOME", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut program = started.map_err(|error| {
        format!("it is signed with GPG, and `gpgv` can't be started ({error}); on Debian it is in the package `gpgv`")
    })?;
    let began = Instant::now();
    let is_good = loop {
        match program.try_wait().map_err(failed)? {
            Some(status) => break status.success(),
            None if began.elapsed() > TIMEOUT => {
                drop(program.kill());
                drop(program.wait());
                return Err("`gpgv` doesn't end".to_owned());
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    // It tells a few lines about one signature, so that they fit into a pipe.
    let mut status = String::new();
    if let Some(output) = program.stdout.take() {
        drop(output.take(64 * 1024).read_to_string(&mut status));
    }
    judge(is_good, &status)
}

/// What the lines of `gpgv` say.
fn judge(is_good: bool, status: &str) -> Result<(), String> {
    let lines: Vec<_> = status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")).collect();
    let says = |word: &str| lines.iter().any(|line| line.split(' ').next() == Some(word));
    let told = |word: &str| {
        let line = lines.iter().find(|line| line.split(' ').next() == Some(word));
        let id = line.and_then(|line| line.split(' ').nth(1)).unwrap_or("?");
        id.chars().filter(char::is_ascii_alphanumeric).take(40).collect::<String>()
    };
    if says("BADSIG") {
        Err("its signature doesn't fit its content".to_owned())
    } else if says("ERRSIG") || says("NO_PUBKEY") {
        Err(format!("it is signed with the GPG key {}, which is not in the keyring", told("ERRSIG")))
    } else if says("REVKEYSIG") {
        Err(format!("it is signed with the GPG key {}, which was revoked", told("REVKEYSIG")))
    } else if says("EXPKEYSIG") || says("EXPSIG") {
        Err("it is signed with a GPG key, or a signature, whose time has passed".to_owned())
    } else if is_good && says("GOODSIG") && says("VALIDSIG") {
        Ok(())
    } else {
        Err("its signature is damaged".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_signature_of_a_valid_key_counts() {
        for (is_good, status, expected) in [
            (true, "[GNUPG:] GOODSIG AB12 Ada\n[GNUPG:] VALIDSIG AB12", None),
            (false, "[GNUPG:] GOODSIG AB12 Ada\n[GNUPG:] VALIDSIG AB12", Some("damaged")),
            (true, "[GNUPG:] GOODSIG AB12 Ada", Some("damaged")),
            (true, "GOODSIG AB12\nVALIDSIG AB12", Some("damaged")),
            (true, "[GNUPG:] EXPKEYSIG AB12 Ada\n[GNUPG:] VALIDSIG AB12", Some("time has passed")),
            (true, "[GNUPG:] REVKEYSIG AB12 Ada\n[GNUPG:] VALIDSIG AB12", Some("AB12, which was revoked")),
            (false, "[GNUPG:] BADSIG AB12 Ada", Some("doesn't fit")),
            (
                false,
                "[GNUPG:] ERRSIG AB12 1 8\n[GNUPG:] NO_PUBKEY AB12",
                Some("AB12, which is not in the keyring"),
            ),
            (
                true,
                "[GNUPG:] GOODSIG AB12 A\n[GNUPG:] VALIDSIG AB12\n[GNUPG:] ERRSIG CD34 1",
                Some("not in the keyring"),
            ),
            (true, "", Some("damaged")),
        ] {
            match (judge(is_good, status), expected) {
                (Ok(()), None) => {}
                (Err(why), Some(words)) => assert!(why.contains(words), "{why}"),
                (found, expected) => panic!("{status}: {found:?}, not {expected:?}"),
            }
        }
    }
}
