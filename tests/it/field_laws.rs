//! The laws of fields (`docs/ARCHITECTURE.md`), on real Docker, for every field that a plan may name: what was deployed
//! leaves nothing to do, a changed manifest names exactly the field, and so does a change by hand.
//!
//! [`table`] has a row for each field. All rows are services of one stack, so that each law is checked for all of them
//! with a handful of plans. `EVENKEEL_TEST_FIELDS=ports` takes only the rows whose field has that in its name.

mod combined;
mod count;
mod hand;
mod objects;
mod on_paper;
mod random;
pub mod row;
mod stage;
pub mod table;

use std::collections::BTreeMap;

use serde_json::Value;

use self::row::{NOTHING, Row};
use self::stage::{Moment, Rows};
use crate::common::docker::tell;

/// What a plan says of one service: its operation, and its fields with their causes.
type Named = (String, Vec<(String, String)>);

/// The services that a plan changes.
fn named(plan: &Value) -> BTreeMap<String, Named> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let change = |change: &Value| {
        let mut fields: Vec<(String, String)> = change["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| (text(&field["path"]), text(&field["cause"])))
            .collect();
        if fields.is_empty() {
            fields.push(("state".to_owned(), text(&change["cause"])));
        }
        (text(&change["name"]), (text(&change["operation"]), fields))
    };
    plan["changes"].as_array().unwrap().iter().map(change).collect()
}

/// What a row expects a plan to name.
struct Wanted {
    fields: Vec<(String, String)>,
    in_place: bool,
}

impl Wanted {
    /// The `names` of a row with their cause; none means the field of the row.
    fn of(rows: &Rows, row: &Row, names: &[&str], cause: &str) -> Option<Self> {
        let names = if names.is_empty() { &[row.field] } else { names };
        let fields = names.iter().map(|name| (rows.names.fill(name), cause.to_owned())).collect();
        (names != NOTHING).then_some(Self { fields, in_place: false })
    }
}

/// Everything that is not as the law says, so that one run tells all of it.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    /// Notes a fault, and tells it at once: a later law may not even be reached.
    fn add(&mut self, fault: String) {
        tell(&fault);
        self.0.push(fault);
    }

    /// Compares what a plan names with what each row wants of it, and notes what differs.
    fn compare(&mut self, law: &str, rows: &Rows, plan: &Value, wanted: impl Fn(&Row) -> Option<Wanted>) {
        let mut found = named(plan);
        for (service, row) in &rows.by_service {
            let (operation, said) = found.remove(service).unwrap_or_default();
            let wanted = wanted(row).unwrap_or(Wanted { fields: Vec::new(), in_place: false });
            if said != wanted.fields || (wanted.in_place && operation != "in-place") {
                let place = if wanted.in_place { " in place" } else { "" };
                let (field, fields) = (row.field, wanted.fields);
                self.add(format!(
                    "{law}: `{field}` ({service}): {operation} {said:?}, not {fields:?}{place}"
                ));
            }
        }
        for (name, found) in found {
            self.add(format!("{law}: {name} is not to change: {found:?}"));
        }
    }

    /// Notes what is left to do where nothing should be.
    fn nothing_left(&mut self, law: &str, rows: &Rows, plan: &Value) {
        self.compare(law, rows, plan, |_| None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_told_by_its_name_and_put_right() {
    let Some(rows) = Rows::new().await else { return };
    let mut faults = Faults::default();
    // What is wrong with the table is told before anything is made.
    for moment in [Moment::Last, Moment::Two, Moment::One] {
        rows.write(moment);
        rows.stage.run("-f compose.yaml validate").ends_with(0);
    }
    rows.apply(Moment::One);
    faults.nothing_left("created", &rows, &rows.plan());
    // Without a record of what was applied, the comparison with what is declared must do. What is in a secret is not:
    // the key of its digest goes with the record.
    faults.compare("created, and forgotten", &rows, &rows.plan_without_record(), |row| {
        let secret = row.field.starts_with("secrets.");
        secret.then(|| Wanted::of(&rows, row, &["secrets./run/secrets/x"], "drift")).flatten()
    });

    hand::change_all(&rows).await;
    faults.compare("changed by hand", &rows, &rows.plan(), |row| {
        row.by_hand.and_then(|_| Wanted::of(&rows, row, row.by_hand_named, "drift"))
    });
    rows.apply(Moment::One);
    faults.nothing_left("put right", &rows, &rows.plan());

    rows.write(Moment::Two);
    faults.compare("another value", &rows, &rows.plan(), |row| {
        let wanted = Wanted::of(&rows, row, row.to_two, row.because)?;
        Some(Wanted { in_place: row.in_place, ..wanted })
    });
    rows.apply(Moment::Two);
    faults.nothing_left("another value applied", &rows, &rows.plan());

    rows.write(Moment::Last);
    faults.compare("no value", &rows, &rows.plan(), |row| Wanted::of(&rows, row, row.to_last, "git"));
    rows.apply(Moment::Last);
    faults.nothing_left("no value applied", &rows, &rows.plan());

    let fields: std::collections::BTreeSet<_> = rows.by_service.values().map(|row| row.field).collect();
    tell(&format!("{} fields in {} rows on {}", fields.len(), rows.by_service.len(), rows.server));
    assert!(faults.0.is_empty(), "{} faults:\n{}", faults.0.len(), faults.0.join("\n"));
}
