//! The law of combinations on the host on paper: several fields that change at once are named as if each changed alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use evenkeel::manifest::{self, Given, Input, MissingVariables, Request};
use evenkeel::model::desired::{Desired, Revision};
use evenkeel::model::tree::MemoryTree;
use evenkeel::plan::change::Operation;
use evenkeel::plan::check::check;
use evenkeel::plan::{LastApplied, Plan, plan};
use proptest::prelude::*;

use super::combined::{MOMENTS, ONCE, entry, go_together, together};
use super::row::Row;
use super::stage::{self, Moment, Names};
use super::table;
use crate::common::docker::tell;
use crate::paper::{Paper, host, key};

/// What a plan says of one service: what is done, and its fields with their causes.
type Said = (Option<Operation>, Vec<(String, String)>);

fn desired(services: &str) -> Desired {
    let mut tree = MemoryTree::default();
    for name in ["one", "two"] {
        tree.insert(name.parse().unwrap(), name);
    }
    let text = stage::manifest(services, &Names::on_paper());
    tree.insert("compose.yaml".parse().unwrap(), text.clone());
    let files = vec!["compose.yaml".parse().unwrap()];
    let request = Request {
        tree: &tree,
        input: Input::Files(Given { files, ..Given::default() }),
        host_variables: &BTreeMap::new(),
        missing: MissingVariables::Refuse,
        revision: Revision::Files,
    };
    manifest::resolve(&request).unwrap_or_else(|report| panic!("{text}\n{}", report.render(false))).desired
}

fn empty() -> Paper {
    let mut paper = Paper::empty();
    "1.51".clone_into(&mut paper.live.server.api_version);
    paper
}

fn planned(paper: &Paper, desired: &Desired) -> Plan {
    let plan =
        plan(desired, &paper.live, &paper.last, host(&key())).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(check(&plan, &paper.live), [""; 0]);
    plan
}

fn said(plan: &Plan, service: &str) -> Said {
    let change = plan.changes.iter().find(|change| change.name == service);
    let fields = change.into_iter().flat_map(|change| &change.fields);
    let mut fields: Vec<_> = fields.map(|field| (field.path.to_string(), field.cause.to_string())).collect();
    fields.sort();
    (change.map(|change| change.operation), fields)
}

fn deployed(services: &str) -> Paper {
    let (mut paper, desired) = (empty(), desired(services));
    let first = planned(&paper, &desired);
    paper.carry_out(&first, usize::MAX);
    paper
}

/// What is said of a row that changes alone.
fn alone(row: &'static Row, from: Moment, to: Moment) -> Said {
    static KNOWN: Mutex<BTreeMap<(usize, Moment, Moment), Said>> = Mutex::new(BTreeMap::new());
    let at = (std::ptr::from_ref(row).addr(), from, to);
    if let Some(said) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&at) {
        return said.clone();
    }
    let services = |moment| entry("s0", &[(row, moment)], &Names::on_paper());
    let said = said(&planned(&deployed(&services(from)), &desired(&services(to))), "s0");
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(at, said.clone());
    said
}

fn moment() -> impl Strategy<Value = Moment> {
    prop::sample::select(MOMENTS.to_vec())
}

/// A service: rows that go together, and two moments of each.
fn service() -> impl Strategy<Value = Vec<(&'static Row, Moment, Moment)>> {
    let rows: Vec<&Row> = table::rows().collect();
    let most = rows.len();
    (prop::sample::subsequence(rows, 1..=most.min(14)), prop::collection::vec((moment(), moment()), 14))
        .prop_map(|(rows, moments)| {
            let rows = together(rows, 10).into_iter();
            rows.zip(moments).map(|(row, (from, to))| (row, from, to)).collect()
        })
}

/// Some of them, of which no two have the same address.
fn services() -> impl Strategy<Value = Vec<Vec<(&'static Row, Moment, Moment)>>> {
    prop::collection::vec(service(), 1..6).prop_map(|mut services| {
        for rows in services.iter_mut().skip(1) {
            rows.retain(|(row, ..)| !ONCE.contains(&row.field));
        }
        services
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fields_that_change_together_are_named_as_if_each_changed_alone(
        services in services(),
    ) {
        let names = Names::on_paper();
        let text = |later: bool| {
            let one = |(number, rows): (usize, &Vec<(&'static Row, Moment, Moment)>)| {
                let rows: Vec<(&Row, Moment)> = rows.iter().map(|(row, from, to)| (*row, if later { *to } else { *from })).collect();
                let name = format!("s{number}");
                entry(&name, &rows, &names.of_service(&name, "")).replace("2000", &format!("2{number}00"))
            };
            services.iter().enumerate().map(one).collect::<String>()
        };
        let (before, after) = (text(false), text(true));
        let mut paper = deployed(&before);
        let desired_before = desired(&before);
        prop_assert_eq!(planned(&paper, &desired_before).changes, vec![]);
        let unknown = LastApplied::default();
        let forgotten = plan(&desired_before, &paper.live, &unknown, host(&key())).unwrap();
        prop_assert_eq!(forgotten.changes, vec![], "without a record");

        let desired_after = desired(&after);
        let change = planned(&paper, &desired_after);
        for (number, rows) in services.iter().enumerate() {
            let parts: Vec<Said> = rows.iter().map(|(row, from, to)| alone(row, *from, *to)).collect();
            let mut wanted: Vec<_> = parts.iter().flat_map(|(_, fields)| fields.clone()).collect();
            wanted.sort();
            let (operation, found) = said(&change, &format!("s{number}"));
            prop_assert_eq!(found, wanted, "s{}\n{}\n{}", number, before, after);
            let in_place = parts.iter().all(|(operation, _)| matches!(operation, None | Some(Operation::InPlace)));
            prop_assert_eq!(operation.is_none_or(|operation| operation == Operation::InPlace), in_place, "s{}\n{}\n{}", number, before, after);
        }
        paper.carry_out(&change, usize::MAX);
        let left = planned(&paper, &desired_after);
        prop_assert_eq!(left.changes, vec![], "{}\n{}", before, after);
    }
}

#[test]
fn every_row_goes_together_with_others() {
    let rows: Vec<&Row> = table::rows().filter(|row| row.field != "state").collect();
    let mut pairs = 0;
    for row in &rows {
        let others = rows.iter().filter(|other| go_together(row, other)).count();
        assert!(others > 10, "`{}`, {}: {others}", row.field, row.one);
        pairs += others;
    }
    tell(&format!("{} of {} pairs of rows go together", pairs / 2, rows.len() * (rows.len() - 1) / 2));
}
