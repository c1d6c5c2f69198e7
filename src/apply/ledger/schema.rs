//! The ledger's tables, their version, and how its file is opened.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rusqlite::{Connection, ErrorCode, Transaction, params};

use super::LedgerError;

/// The format that this release writes.
pub(super) const VERSION: i64 = 3;

/// Deploys of one stack that are kept; older ones are forgotten.
const DEPLOYS_MAX: u32 = 1000;

/// Deploys of one stack whose single steps are kept.
const DEPLOYS_WITH_STEPS_MAX: u32 = 20;

const TABLES: &str = "
    CREATE TABLE deploys (
        seq             INTEGER PRIMARY KEY AUTOINCREMENT,
        id              TEXT NOT NULL UNIQUE,
        stack           TEXT NOT NULL,
        revision_kind   TEXT NOT NULL,
        revision_commit TEXT,
        desired         TEXT NOT NULL,
        plan            TEXT NOT NULL,
        trigger         TEXT NOT NULL,
        actor           TEXT NOT NULL,
        began           INTEGER NOT NULL,
        ended           INTEGER,
        state           TEXT NOT NULL,
        failure         TEXT,
        changes         TEXT NOT NULL,
        checkpoint      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX deploys_of_a_stack ON deploys (stack, seq);
    CREATE TABLE steps (
        deploy    TEXT NOT NULL REFERENCES deploys (id) ON DELETE CASCADE,
        direction TEXT NOT NULL,
        at        INTEGER NOT NULL,
        words     TEXT NOT NULL,
        began     INTEGER NOT NULL,
        ended     INTEGER,
        failure   TEXT,
        PRIMARY KEY (deploy, direction, at)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE applied (
        stack       TEXT NOT NULL,
        service     TEXT NOT NULL,
        number      INTEGER NOT NULL,
        container   TEXT NOT NULL,
        normal_form INTEGER NOT NULL,
        fields      TEXT NOT NULL,
        PRIMARY KEY (stack, service, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE stable (
        stack           TEXT PRIMARY KEY,
        revision_kind   TEXT NOT NULL,
        revision_commit TEXT,
        desired         TEXT NOT NULL,
        since           INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE retired (
        stack      TEXT NOT NULL,
        container  TEXT NOT NULL,
        retired_by TEXT NOT NULL,
        PRIMARY KEY (stack, container)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE quarantine (
        stack   TEXT NOT NULL,
        desired TEXT NOT NULL,
        since   INTEGER NOT NULL,
        why     TEXT NOT NULL,
        deploy  TEXT NOT NULL,
        PRIMARY KEY (stack, desired)
    ) STRICT, WITHOUT ROWID;
";

/// What came with format 2. An earlier release would take what was adopted for somebody else's, and not know what is
/// watched.
const TABLES_OF_2: &str = "
    CREATE TABLE adopted (
        stack   TEXT NOT NULL,
        kind    TEXT NOT NULL,
        object  TEXT NOT NULL,
        service TEXT,
        number  INTEGER,
        since   INTEGER NOT NULL,
        PRIMARY KEY (kind, object)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE watches (
        stack         TEXT PRIMARY KEY,
        deploy        TEXT NOT NULL,
        desired       TEXT NOT NULL,
        before_kind   TEXT,
        before_commit TEXT,
        holds         INTEGER NOT NULL,
        watched       TEXT NOT NULL,
        failed        TEXT
    ) STRICT, WITHOUT ROWID;
";

/// What came with format 3: what operators asked for, and what is to be told to others. An earlier release would deploy
/// what somebody has paused.
const TABLES_OF_3: &str = "
    CREATE TABLE orders (
        stack TEXT NOT NULL,
        kind  TEXT NOT NULL,
        value TEXT NOT NULL,
        by    TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (stack, kind)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        seq    INTEGER PRIMARY KEY AUTOINCREMENT,
        at     INTEGER NOT NULL,
        actor  TEXT NOT NULL,
        stack  TEXT,
        what   TEXT NOT NULL,
        answer TEXT NOT NULL
    ) STRICT;
    CREATE TABLE outbox (
        seq      INTEGER PRIMARY KEY AUTOINCREMENT,
        receiver TEXT NOT NULL,
        key      TEXT NOT NULL,
        topic    TEXT,
        message  TEXT NOT NULL,
        since    INTEGER NOT NULL,
        due      INTEGER NOT NULL,
        tries    INTEGER NOT NULL DEFAULT 0,
        ended    INTEGER,
        UNIQUE (receiver, key)
    ) STRICT;
    CREATE INDEX outbox_waiting ON outbox (receiver) WHERE ended IS NULL;
";

/// Makes the file before the database library does, so that at no moment anybody else may read it.
pub(super) fn make_private(path: &Path) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::File { path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            // The new name must survive a loss of power as well as the content does.
            fs::File::open(folder.unwrap_or(Path::new(".")))
                .and_then(|folder| folder.sync_all())
                .map_err(failed)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Brings a fresh connection into its working state, and makes the tables that the file lacks.
pub(super) fn prepare(connection: &Connection, path: &Path, busy_wait: Duration) -> Result<(), LedgerError> {
    let failed = |source| classify(path, "opened", source);
    connection.busy_timeout(busy_wait).map_err(failed)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found > VERSION {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    // Readers (`status`, `history`) and the writer don't wait for each other.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    if found < VERSION { bring_up(connection).map_err(failed) } else { Ok(()) }
}

fn bring_up(connection: &Connection) -> Result<(), rusqlite::Error> {
    let transaction = Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
    // Asked again inside: another process may have made them in the meantime.
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == 0 {
        transaction.execute_batch(TABLES)?;
    }
    if found < 2 {
        transaction.execute_batch(TABLES_OF_2)?;
    }
    if found < VERSION {
        transaction.execute_batch(TABLES_OF_3)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

/// Bounds the file: history is kept long, but not for ever.
pub(super) fn forget_the_oldest(transaction: &Transaction<'_>, stack: &str) -> Result<(), rusqlite::Error> {
    transaction.execute(
        "DELETE FROM steps WHERE deploy IN
             (SELECT id FROM deploys WHERE stack = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
        params![stack, DEPLOYS_WITH_STEPS_MAX],
    )?;
    transaction.execute(
        "DELETE FROM deploys WHERE seq IN
             (SELECT seq FROM deploys WHERE stack = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
        params![stack, DEPLOYS_MAX],
    )?;
    Ok(())
}

/// The error for people: a damaged file is told apart from a full disk.
pub(super) fn classify(path: &Path, doing: &'static str, source: rusqlite::Error) -> LedgerError {
    // Even a look needs some pages of memory that are a file.
    let no_pages = source.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE);
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LedgerError::Full { path: path.to_owned(), doing },
        _ if no_pages => LedgerError::Full { path: path.to_owned(), doing },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            LedgerError::Damaged { path: path.to_owned(), what: source.to_string() }
        }
        _ => LedgerError::Storage { path: path.to_owned(), doing, source },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi::{Error, SQLITE_FULL, SQLITE_IOERR_WRITE};

    use super::*;

    #[test]
    fn a_full_disk_is_told_as_such() {
        let told = |code| {
            let error = rusqlite::Error::SqliteFailure(Error::new(code), None);
            classify(Path::new("/x/ledger.db"), "written", error).to_string()
        };
        for code in [SQLITE_FULL, SQLITE_IOERR_SHMSIZE] {
            let text =
                "the ledger /x/ledger.db can't be written: its disk is full; make room there, and try again";
            assert_eq!(told(code), text);
        }
        assert_eq!(told(SQLITE_IOERR_WRITE), "the ledger /x/ledger.db can't be written");
    }
}
