//! Random combinations of rows on real Docker: services that say several rows at once, of which some change in the
//! manifest and some by hand. A plan names exactly these, and once it was carried out there is nothing left to do.
//!
//! `EVENKEEL_TEST_COMBINATIONS=20` tries that many stacks. A failure tells its seed, and `EVENKEEL_TEST_SEED=…` draws
//! the same stack again.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use super::combined::{ONCE, entry, together};
use super::row::{NOTHING, Row};
use super::stage::{self, Moment, Names, has};
use super::{hand, named, table};
use crate::common::docker::{client, tell};
use crate::common::image::TestImage;
use crate::docker::{Stage, running};

/// How many services a stack has. Each has other rows, and each of two changes is of other ones.
const SERVICES: usize = 24;

/// Most rows of a service.
const ROWS_MAX: usize = 8;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Changes,
    ChangesByHand,
}

/// What is drawn for one service: rows, in any order, and what becomes of each in the first and in the second change.
type Draw = (Vec<&'static Row>, Vec<(Fate, Fate)>);

/// One row of a service, and where it is.
struct Part {
    row: &'static Row,
    now: Moment,
    fates: (Fate, Fate),
}

struct Made {
    parts: Vec<Part>,
    names: Names,
}

/// A stack of such services.
struct Stack {
    stage: Stage,
    names: Names,
    services: BTreeMap<String, Made>,
    seed: u64,
    faults: Vec<String>,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![2 => Just(Fate::Stays), 2 => Just(Fate::Changes), 1 => Just(Fate::ChangesByHand)]
}

fn draws(rows: Vec<&'static Row>) -> impl Strategy<Value = Vec<Draw>> {
    let some = Just(rows).prop_shuffle().prop_map(|rows| rows.into_iter().take(16).collect::<Vec<_>>());
    prop::collection::vec((some, prop::collection::vec((fate(), fate()), ROWS_MAX)), SERVICES)
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("EVENKEEL_TEST_SEED") {
        return vec![seed];
    }
    let count = number("EVENKEEL_TEST_COMBINATIONS").unwrap_or(1);
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    if std::env::var_os("EVENKEEL_TEST_COMBINATIONS").is_some() {
        random = TestRunner::default().new_rng();
    }
    (0..count).map(|_| u64::from(random.next_u32())).collect()
}

impl Stack {
    async fn draw(seed: u64) -> Option<Self> {
        let stage = Stage::new().await?;
        let image = TestImage::telling();
        image.ensure(&stage.docker).await;
        let (api, info) = (stage::api(&stage).await, client().await.unwrap().info().await.unwrap());
        let rows: Vec<&Row> = table::rows().filter(|row| has(row.needs, api, &info)).collect();
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), random);
        let drawn = draws(rows).new_tree(&mut runner).unwrap().current();
        let names = Names::of(&stage, &image);
        let (mut services, mut once) = (BTreeMap::new(), ONCE.to_vec());
        for (number, (rows, fates)) in drawn.into_iter().enumerate() {
            let free = |row: &&'static Row| !ONCE.contains(&row.field) || once.contains(&row.field);
            let rows = together(rows.into_iter().filter(free), ROWS_MAX);
            once.retain(|field| rows.iter().all(|row| row.field != *field));
            let name = format!("s{number:02}");
            let text: String = rows.iter().flat_map(|row| [row.with, row.one, row.two, row.last]).collect();
            let names = names.of_service(&name, &text);
            let part = |(row, fates)| Part { row, now: Moment::One, fates };
            services.insert(name, Made { parts: rows.into_iter().zip(fates).map(part).collect(), names });
        }
        Some(Self { stage, names, services, seed, faults: Vec::new() })
    }

    fn write(&self) {
        let services: String = self.services.iter().map(|(name, made)| made.entry(name)).collect();
        stage::write(&self.stage, &stage::manifest(&services, &self.names));
    }

    #[track_caller]
    fn apply(&mut self) {
        self.write();
        let ran = self.stage.apply();
        if ran.status != Some(0) {
            let services: String = self.services.iter().map(|(name, made)| made.entry(name)).collect();
            self.fault(format!("a deploy failed:\n{services}{}\n{}", ran.stdout, ran.stderr));
            self.end();
        }
        self.compare("applied", &stage::plan(&self.stage), |_| Vec::new());
    }

    /// Changes what is to change in the manifest and by hand, and checks what the plan says of it.
    async fn change(&mut self, law: &str, which: fn(&Part) -> Fate) {
        let containers = self.stage.containers().await;
        let mut moves: BTreeMap<String, Vec<(&'static Row, Option<Moment>)>> = BTreeMap::new();
        for (name, made) in &mut self.services {
            let mut by_hand = false;
            for part in &mut made.parts {
                let next = match (which(part), part.row.by_hand, part.now) {
                    (Fate::Changes, _, Moment::One) => Some(Moment::Two),
                    (Fate::Changes, _, Moment::Two) => Some(Moment::Last),
                    // The second by hand would undo what the first one did.
                    (Fate::ChangesByHand, Some(what), Moment::One) if !by_hand => {
                        by_hand = true;
                        hand::change((&self.stage, &made.names), running(&containers, name), what).await;
                        None
                    }
                    _ => continue,
                };
                part.now = next.unwrap_or(part.now);
                moves.entry(name.clone()).or_default().push((part.row, next));
            }
        }
        self.write();
        let plan = stage::plan(&self.stage);
        let count: usize = moves.values().map(Vec::len).sum();
        tell(&format!("{law}: {count} changes in {} services", moves.len()));
        self.compare(law, &plan, |name| moves.get(name).cloned().unwrap_or_default());
    }

    /// Compares what a plan names with what the rows that changed want.
    fn compare(
        &mut self,
        law: &str,
        plan: &Value,
        moves: impl Fn(&str) -> Vec<(&'static Row, Option<Moment>)>,
    ) {
        let mut found = named(plan);
        let mut faults = Vec::new();
        for (name, made) in &self.services {
            let rows = moves(name);
            let (operation, mut said) = found.remove(name).unwrap_or_default();
            let mut wanted: Vec<_> = rows.iter().flat_map(|(row, to)| names(row, *to, &made.names)).collect();
            wanted.sort();
            said.sort();
            if said != wanted {
                faults.push(format!(
                    "{law}: {name}: {operation} {said:?}, not {wanted:?}: {}",
                    made.entry(name)
                ));
            }
            let is_in_place = |(row, to): &(&Row, Option<Moment>)| {
                (row.in_place && *to == Some(Moment::Two))
                    || to.is_none()
                    || names(row, *to, &made.names).is_empty()
            };
            if operation == "replace" && rows.iter().all(is_in_place) && !made.has_mac() {
                faults.push(format!("{law}: {name}: replaced for {said:?}: {}", made.entry(name)));
            }
        }
        faults.extend(
            found.into_iter().map(|(name, said)| format!("{law}: {name} is not to change: {said:?}")),
        );
        for fault in faults {
            self.fault(fault);
        }
    }

    fn fault(&mut self, fault: String) {
        tell(&fault);
        self.faults.push(fault);
    }

    #[track_caller]
    fn end(&self) {
        let (seed, faults) = (self.seed, &self.faults);
        assert!(
            faults.is_empty(),
            "EVENKEEL_TEST_SEED={seed}: {} faults:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }
}

impl Made {
    fn entry(&self, name: &str) -> String {
        let rows: Vec<_> = self.parts.iter().map(|part| (part.row, part.now)).collect();
        entry(name, &rows, &self.names)
    }

    /// Whether it has a hardware address, with which it can't join a network while it runs.
    fn has_mac(&self) -> bool {
        self.parts.iter().any(|part| part.row.field.ends_with(".mac_address"))
    }
}

/// What a plan is to name, with the cause, where a row was changed to another moment, or by hand.
fn names(row: &Row, to: Option<Moment>, names: &Names) -> Vec<(String, String)> {
    let (said, cause) = match to {
        None => (row.by_hand_named, "drift"),
        Some(Moment::Last) => (row.to_last, "git"),
        Some(Moment::One | Moment::Two) => (row.to_two, row.because),
    };
    let said = if said.is_empty() { &[row.field] } else { said };
    if said == NOTHING {
        return Vec::new();
    }
    said.iter().map(|name| (names.fill(name), cause.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn combined_fields_are_told_by_their_names_and_put_right() {
    for seed in seeds() {
        let Some(mut stack) = Stack::draw(seed).await else { return };
        tell(&format!("EVENKEEL_TEST_SEED={seed}"));
        stack.apply();
        stack.change("first change", |part| part.fates.0).await;
        stack.apply();
        stack.change("second change", |part| part.fates.1).await;
        stack.apply();
        let unknown = stage::plan_without_record(&stack.stage);
        let secret = |made: &Made| made.parts.iter().any(|part| part.row.field.starts_with("secrets."));
        let mut left = named(&unknown);
        left.retain(|name, _| !stack.services.get(name).is_some_and(secret));
        for (name, said) in left {
            stack.fault(format!("applied, and forgotten: {name}: {said:?}"));
        }
        stack.end();
    }
}
