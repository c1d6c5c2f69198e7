//! The ledger as a file: who may read it, and what is told of one that is damaged or of another format.

use super::*;

#[test]
fn the_file_is_private_and_a_strange_one_is_refused_by_name() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    begin(&ledger, "01", &plan("d1")).unwrap();
    for entry in fs::read_dir(temp.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{entry:?}");
    }
    ledger.lock().pragma_update(None, "user_version", 4).unwrap();
    drop(ledger);
    let error = Ledger::open(&path).unwrap_err();
    assert!(matches!(error, LedgerError::Newer { found: 4, known: 3, .. }), "{error}");
    let strange = temp.path().join("strange.db");
    fs::write(&strange, "this is no database at all, only a long enough text".repeat(40)).unwrap();
    let error = Ledger::open(&strange).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("strange.db is damaged"), "{error}");
    let nowhere = temp.path().join("nowhere/ledger.db");
    assert!(matches!(Ledger::open(&nowhere).unwrap_err(), LedgerError::File { .. }));
}

#[test]
fn damage_inside_is_told_and_not_taken_for_nothing() {
    let ledger = Ledger::open_in_memory().unwrap();
    begin(&ledger, "01", &plan("d1")).unwrap();
    ledger
        .write(Write::Affirm, |transaction| {
            transaction.execute("UPDATE deploys SET checkpoint = '{'", []).map(drop)
        })
        .unwrap();
    let error = ledger.open_deploy(&stack()).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_ledger_of_format_1_is_brought_up_and_keeps_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    let plan = plan("aa");
    ledger.affirm(Settled { plan: &plan, current: &current() }, at(0)).unwrap();
    let later =
        ["adopted", "watches", "orders", "audit", "outbox"].map(|table| format!("DROP TABLE {table};"));
    ledger.lock().execute_batch(&format!("{} PRAGMA user_version = 1", later.concat())).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.last_applied(&stack()).unwrap().current, current());
    assert!(ledger.adopted(&stack()).unwrap().is_empty());
}
