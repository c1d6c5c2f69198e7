//! What goes into the ledger comes out of it, also after it was opened again, and nothing else comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::adopted::TakeOver;
use super::history::{State, Unfinished};
use super::memory::{Quarantined, Settled};
use super::*;
use crate::model::adopted::Adopted;
use crate::model::desired::Revision;
use crate::model::name::{ContainerId, Instance, StackName};
use crate::model::spec::{AddressPool, Attachment, NetworkSpec, Resources, RestartPolicy};
use crate::model::update::{Batches, UpdateOrder};
use crate::plan::change::{Change, Kind, Operation, Reason};
use crate::plan::fields::{FieldValue, Fields};
use crate::plan::{DesiredDigest, Kept, OpenDeploy, PlanId};

mod file;

fn stack() -> StackName {
    "auren-dev".parse().unwrap()
}

fn id(text: &str) -> DeployId {
    text.parse().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn container(digit: &str) -> ContainerId {
    digit.repeat(64).parse().unwrap()
}

fn instance(service: &str) -> Instance {
    Instance { service: service.parse().unwrap(), number: 1 }
}

/// One that says all that a checkpoint keeps.
fn attachment() -> Attachment {
    Attachment {
        first: true,
        aliases: ["web".to_owned()].into(),
        ipv4: "172.18.0.7".parse().ok(),
        ipv6: "fd00::7".parse().ok(),
        link_local: ["169.254.8.8".parse().unwrap()].into(),
        mac: None,
        options: [("a.b".to_owned(), "c".to_owned())].into(),
        gateway_priority: -1,
        links: [("auren-dev-db-1".to_owned(), "db".to_owned())].into(),
    }
}

fn plan(desired: &str) -> Plan {
    let restarts = [
        RestartPolicy::No,
        RestartPolicy::Always,
        RestartPolicy::UnlessStopped,
        RestartPolicy::OnFailure(None),
        RestartPolicy::OnFailure(Some(3)),
    ];
    let kept = |(number, restart)| Kept {
        instance: instance("app"),
        wave: 2,
        container: container(&number_digit(number)),
        name: format!("auren-dev-app-{number}").parse().unwrap(),
        ran: number % 2 == 0,
        restart,
        resources: Resources { memory: Some(4 << 30), pids: Some(64), ..Resources::default() },
        networks: (number % 2 == 0).then(|| BTreeMap::from([("auren-net".parse().unwrap(), attachment())])),
    };
    Plan {
        id: PlanId("7b1de0".to_owned()),
        stack: stack(),
        revision: Revision::Commit("3f9c1e2".repeat(5)),
        desired: DesiredDigest(desired.to_owned()),
        tiers: Vec::new(),
        changes: vec![Change {
            tier: None,
            kind: Kind::Service,
            name: "app".to_owned(),
            service: None,
            was: None,
            operation: Operation::Replace(UpdateOrder::StopFirst),
            not_start_first: Vec::new(),
            reason: Reason::Differs,
            fields: Vec::new(),
        }],
        reported: Vec::new(),
        ignored: 0,
        unchanged: Vec::new(),
        notes: Vec::new(),
        consent: None,
        steps: Vec::new(),
        checkpoint: Checkpoint {
            hold: BTreeSet::from([instance("app")]),
            containers: (0_u32..).zip(restarts).map(kept).collect(),
            networks: vec!["auren-dev_default".parse().unwrap()],
            recreated: vec![recreated()],
            batches: BTreeMap::from([(
                "app".parse().unwrap(),
                Batches {
                    parallelism: None,
                    delay: Duration::from_secs(3),
                    monitor: Duration::from_millis(1500),
                },
            )]),
        },
        outcome: BTreeMap::new(),
        watch: BTreeMap::new(),
    }
}

/// A network with something in every field.
fn recreated() -> NetworkSpec {
    NetworkSpec {
        driver: Some("bridge".to_owned()),
        options: [("a".to_owned(), "b".to_owned())].into(),
        ipam_driver: Some("own".to_owned()),
        ipam_options: [("c".to_owned(), "d".to_owned())].into(),
        pools: vec![AddressPool {
            subnet: "10.1.0.0/16".parse().unwrap(),
            gateway: "10.1.0.1".parse().ok(),
            ip_range: "10.1.2.0/24".parse().ok(),
            reserved: [("router".to_owned(), "10.1.0.9".parse().unwrap())].into(),
        }],
        internal: true,
        attachable: true,
        ipv4: Some(false),
        ipv6: true,
        labels: [("e".to_owned(), "f".to_owned())].into(),
        ..NetworkSpec::named("auren-dev_back".parse().unwrap())
    }
}

fn number_digit(number: u32) -> String {
    number.to_string()
}

fn begin(ledger: &Ledger, deploy: &str, plan: &Plan) -> Result<(), LedgerError> {
    let deploy = id(deploy);
    ledger.begin(Beginning { deploy: &deploy, plan, trigger: "push", actor: "agent" }, at(0))
}

fn current() -> BTreeMap<Instance, (ContainerId, Fields)> {
    let mut fields = Fields::default();
    fields.set("image", FieldValue::word(&"app:2"));
    fields.set("deploy.resources.limits.memory", FieldValue::Bytes(1 << 30));
    fields.set("stop_grace_period", FieldValue::Time(Duration::from_millis(1500)));
    fields.set("environment.TOKEN", FieldValue::Sensitive("ab12".to_owned()));
    fields.set("command", FieldValue::List(vec![FieldValue::Quoted("run \"it\"".to_owned())]));
    fields.set("init", FieldValue::Switch(true));
    BTreeMap::from([(instance("app"), (container("a"), fields))])
}

#[test]
fn a_deploy_cut_off_before_its_commit_is_found_again_with_its_checkpoint() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("ledger.db");
    let plan = plan("d1");
    begin(&Ledger::open(&path).unwrap(), "01", &plan).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let deploy = OpenDeploy { id: id("01"), stack: stack(), checkpoint: plan.checkpoint.clone() };
    let unfinished = Unfinished { deploy, committed: false, failure: None };
    assert_eq!(ledger.open_deploy(&stack()).unwrap(), Some(unfinished));
    assert_eq!(ledger.open_deploy(&"other".parse().unwrap()).unwrap(), None);
    assert!(ledger.last_applied(&stack()).unwrap().current.is_empty());
    assert_eq!(ledger.last_stable(&stack()).unwrap(), None);
}

#[test]
fn a_stack_has_one_deploy_at_a_time() {
    let ledger = Ledger::open_in_memory().unwrap();
    begin(&ledger, "01", &plan("d1")).unwrap();
    let error = begin(&ledger, "02", &plan("d1")).unwrap_err().to_string();
    assert!(error.starts_with("the deploy 01 of this stack has not ended"), "{error}");
    ledger.end(&id("01"), Ending::Failed, at(1)).unwrap();
    begin(&ledger, "02", &plan("d1")).unwrap();
}

#[test]
fn what_was_applied_comes_back_after_the_commit_and_not_before() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    let (plan, current) = (plan("d1"), current());
    begin(&ledger, "01", &plan).unwrap();
    ledger.commit(&id("01"), Settled { plan: &plan, current: &current }, at(5)).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&path).unwrap();
    assert!(ledger.open_deploy(&stack()).unwrap().unwrap().committed);
    assert_eq!(ledger.last_applied(&stack()).unwrap().current, current);
    let stable = ledger.last_stable(&stack()).unwrap().unwrap();
    assert_eq!((stable.revision, stable.desired, stable.since), (plan.revision, plan.desired, at(5)));
    let retired = ledger.retired(&stack()).unwrap();
    assert_eq!(retired.len(), plan.checkpoint.containers.len());
    ledger.forget_retired(&stack(), &container("0")).unwrap();
    assert_eq!(ledger.retired(&stack()).unwrap().len(), retired.len() - 1);
}

#[test]
fn history_tells_all_of_a_deploy_the_latest_first() {
    let ledger = Ledger::open_in_memory().unwrap();
    begin(&ledger, "01", &plan("d1")).unwrap();
    ledger.intend(&id("01"), (Direction::Forward, 0), "stop app", at(1)).unwrap();
    ledger.done(&id("01"), (Direction::Forward, 0), None, at(2)).unwrap();
    ledger.intend(&id("01"), (Direction::Forward, 1), "start app", at(2)).unwrap();
    ledger.done(&id("01"), (Direction::Forward, 1), Some("no"), at(3)).unwrap();
    ledger.abort(&id("01"), "start app: no", Quarantine::No, at(3)).unwrap();
    assert_eq!(ledger.history(&stack(), 9).unwrap()[0].state, State::RollingBack);
    ledger.intend(&id("01"), (Direction::Back, 0), "start app", at(3)).unwrap();
    ledger.end(&id("01"), Ending::RolledBack, at(4)).unwrap();
    begin(&ledger, "02", &plan("d2")).unwrap();
    let history = ledger.history(&stack(), 9).unwrap();
    assert_eq!(history.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["02", "01"]);
    let record = &history[1];
    assert_eq!((record.state, record.ended, record.began), (State::RolledBack, Some(at(4)), at(0)));
    assert_eq!(record.failure.as_deref(), Some("start app: no"));
    assert_eq!(record.changes[0].operation, "replace");
    let steps = ledger.steps(&id("01")).unwrap();
    let words: Vec<_> = steps.iter().map(|step| (step.of_rollback, step.words.as_str())).collect();
    assert_eq!(words, [(false, "stop app"), (false, "start app"), (true, "start app")]);
    assert_eq!((steps[1].failure.as_deref(), steps[2].ended), (Some("no"), None));
    assert_eq!(ledger.history(&stack(), 1).unwrap().len(), 1);
}

#[test]
fn a_failed_revision_is_quarantined_until_it_is_released_or_carried_out() {
    let ledger = Ledger::open_in_memory().unwrap();
    let plan = plan("bad");
    begin(&ledger, "01", &plan).unwrap();
    ledger.abort(&id("01"), "it exited", Quarantine::Yes, at(1)).unwrap();
    let entry = ledger.quarantined(&stack(), &plan.desired).unwrap().unwrap();
    let expected = Quarantined {
        desired: plan.desired.clone(),
        since: at(1),
        why: "it exited".to_owned(),
        deploy: id("01"),
    };
    assert_eq!(entry, expected);
    ledger.release(&stack()).unwrap();
    assert_eq!(ledger.quarantined(&stack(), &plan.desired).unwrap(), None);
    ledger.quarantine(&stack(), &expected).unwrap();
    ledger.commit(&id("01"), Settled { plan: &plan, current: &current() }, at(2)).unwrap();
    assert_eq!(ledger.quarantined(&stack(), &plan.desired).unwrap(), None);
}

#[test]
fn what_is_applied_is_never_quarantined() {
    let ledger = Ledger::open_in_memory().unwrap();
    let plan = plan("good");
    ledger.affirm(Settled { plan: &plan, current: &current() }, at(0)).unwrap();
    begin(&ledger, "01", &plan).unwrap();
    ledger.abort(&id("01"), "a drift repair failed", Quarantine::Yes, at(1)).unwrap();
    assert_eq!(ledger.quarantined(&stack(), &plan.desired).unwrap(), None);
}

#[test]
fn a_rollback_by_hand_that_did_not_come_about_leaves_nothing_in_quarantine() {
    for (trigger, stays) in [("rollback", false), ("push", true)] {
        let ledger = Ledger::open_in_memory().unwrap();
        let (good, before) = (plan("good"), plan("before"));
        ledger.affirm(Settled { plan: &good, current: &current() }, at(0)).unwrap();
        let why = "left by hand".to_owned();
        let left = Quarantined { desired: good.desired.clone(), since: at(1), why, deploy: id("00") };
        ledger.quarantine(&stack(), &left).unwrap();
        let beginning = Beginning { deploy: &id("01"), plan: &before, trigger, actor: "x" };
        ledger.begin(beginning, at(2)).unwrap();
        assert_eq!(ledger.quarantined(&stack(), &good.desired).unwrap().as_ref(), Some(&left));
        ledger.end(&id("01"), Ending::RolledBack, at(3)).unwrap();
        assert_eq!(ledger.quarantined(&stack(), &good.desired).unwrap().is_some(), stays, "{trigger}");
    }
}

#[test]
fn affirming_what_is_known_writes_nothing() {
    let ledger = Ledger::open_in_memory().unwrap();
    let (plan, current) = (plan("d1"), current());
    let settled = Settled { plan: &plan, current: &current };
    ledger.affirm(settled, at(0)).unwrap();
    ledger.affirm(settled, at(9)).unwrap();
    assert_eq!(ledger.last_stable(&stack()).unwrap().unwrap().since, at(0));
    let later = Plan { revision: Revision::Commit("b".repeat(40)), ..plan.clone() };
    ledger.affirm(Settled { plan: &later, current: &current }, at(9)).unwrap();
    assert_eq!(ledger.last_stable(&stack()).unwrap().unwrap().revision, later.revision);
}

#[test]
fn fields_of_another_normal_form_are_not_compared() {
    let ledger = Ledger::open_in_memory().unwrap();
    let current = current();
    ledger.affirm(Settled { plan: &plan("d1"), current: &current }, at(0)).unwrap();
    ledger
        .write(Write::Affirm, |transaction| {
            transaction.execute("UPDATE applied SET normal_form = 0", []).map(drop)
        })
        .unwrap();
    let last = ledger.last_applied(&stack()).unwrap();
    assert_eq!(last.current[&instance("app")], (container("a"), Fields::default()));
}

#[test]
fn the_oldest_deploys_are_forgotten() {
    let ledger = Ledger::open_in_memory().unwrap();
    let plan = plan("d1");
    for number in 0..30 {
        let deploy = format!("{number:04}");
        begin(&ledger, &deploy, &plan).unwrap();
        ledger.intend(&id(&deploy), (Direction::Forward, 0), "start app", at(1)).unwrap();
        ledger.end(&id(&deploy), Ending::Done, at(2)).unwrap();
    }
    assert_eq!(ledger.history(&stack(), 100).unwrap().len(), 30);
    assert!(ledger.steps(&id("0000")).unwrap().is_empty());
    assert_eq!(ledger.steps(&id("0029")).unwrap().len(), 1);
}

#[test]
fn what_was_adopted_is_on_record_until_it_is_gone() {
    let ledger = Ledger::open_in_memory().unwrap();
    let adopted = Adopted {
        containers: [(container("a"), instance("web")), (container("b"), instance("db"))].into(),
        networks: ["0a".parse().unwrap()].into(),
        volumes: ["data".parse().unwrap()].into(),
    };
    let plan = plan("aa");
    let ids: [DeployId; 2] = ["a1", "a2"].map(|id| id.parse().unwrap());
    let applied = current();
    let taken = |id| TakeOver { plan: &plan, adopted: &adopted, applied: &applied, id, actor: "somebody" };
    ledger.adopt(taken(&ids[0]), at(0)).unwrap();
    ledger.adopt(taken(&ids[1]), at(1)).unwrap();
    let history = ledger.history(&stack(), 9).unwrap();
    let said: Vec<_> = history.iter().map(|record| (&record.trigger as &str, record.state)).collect();
    assert_eq!(said, [("adopt", State::Done); 2]);
    assert_eq!(ledger.open_deploy(&stack()).unwrap(), None);
    assert_eq!(ledger.adopted(&stack()).unwrap(), adopted);
    assert_eq!(ledger.adopted_elsewhere(&stack(), &adopted).unwrap(), []);
    let other = "other".parse().unwrap();
    assert_eq!(ledger.adopted_elsewhere(&other, &adopted).unwrap().len(), 4);
    // All of it or nothing.
    let mut theirs = Adopted { volumes: ["more".parse().unwrap()].into(), ..Adopted::none() };
    theirs.volumes.insert("data".parse().unwrap());
    let their_plan = Plan { stack: other.clone(), ..plan.clone() };
    let (plan, adopted_too, applied) = (&their_plan, &theirs, &BTreeMap::new());
    let taken = TakeOver { plan, adopted: adopted_too, applied, id: &ids[0], actor: "somebody" };
    ledger.adopt(taken, at(2)).unwrap_err();
    assert!(ledger.adopted(&other).unwrap().is_empty());
    assert_eq!(ledger.adopted(&stack()).unwrap(), adopted);
    assert_eq!(ledger.last_applied(&stack()).unwrap().current, current());
    assert!(ledger.adopted(&"other".parse().unwrap()).unwrap().is_empty());
    ledger.forget_adopted(&stack(), &container("a")).unwrap();
    assert_eq!(ledger.adopted(&stack()).unwrap().containers.len(), 1);
}
