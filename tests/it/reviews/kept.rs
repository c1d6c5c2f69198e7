//! Plans that are kept for later, and what a host tells about itself.

use std::collections::BTreeSet;

use evenkeel::apply::Host;
use evenkeel::apply::machine::Machine;
use evenkeel::apply::registry::Registries;
use evenkeel::engine::sim::{Sim, SimImage};
use evenkeel::model::desired::{Desired, Expect, Prune, Revision};
use evenkeel::model::live::{LiveNetwork, OtherContainer, Status};
use evenkeel::model::name::ServiceName;
use evenkeel::model::policy::{Drift, Treatment};
use evenkeel::model::spec::{Namespace, NetworkSpec, Peer, RestartPolicy, Swap};
use evenkeel::model::text::Text;
use evenkeel::plan::Plan;
use evenkeel::plan::change::Change;
use evenkeel::plan::fields::{DigestKey, FieldValue};
use evenkeel::plan::fingerprint::Fingerprint;
use evenkeel::plan::observation::{self, Observation, Seen, Sides};
use evenkeel::plan::saved::{Saved, SavedError};
use evenkeel::plan::text::{Layout, to_text};

use super::{deployed, edit, planned, shop};
use crate::paper::{Paper, host, key, service};

#[test]
fn the_id_depends_on_nothing_else_on_the_host() {
    let base = shop();
    let mut paper = deployed(&base);
    let mut head = base.clone();
    edit(&mut head, "web").spec.image = "web:2".parse().unwrap();
    let before = planned(&paper, &head);
    let other = OtherContainer {
        name: "other".parse().unwrap(),
        stack: None,
        origin: None,
        ports: BTreeSet::new(),
        binds: BTreeSet::new(),
        networks: BTreeSet::new(),
    };
    paper.live.others.insert("ee".parse().unwrap(), other);
    let network = NetworkSpec::named("foreign".parse().unwrap());
    let network = LiveNetwork { id: "ff".parse().unwrap(), spec: network, stack: None };
    paper.live.networks.insert("ff".parse().unwrap(), network);
    paper.container("web").state.restarts = 3;
    paper.container("web").state.started_at = "2031-01-01T00:00:00Z".to_owned();
    let mut again = head.clone();
    again.revision = Revision::Files;
    assert_eq!(planned(&paper, &again).id, before.id, "neither on the time nor on what is foreign");
    paper.container("redis").spec.restart = RestartPolicy::Always;
    assert_ne!(planned(&paper, &head).id, before.id);
}

fn saved(paper: &Paper, desired: &Desired) -> Saved {
    let fingerprint = Fingerprint::of(desired, &paper.live, &paper.last, host(&key()));
    Saved::new(&planned(paper, desired), None, (&paper.live.server, fingerprint), &key())
}

#[test]
fn a_saved_plan_comes_back_as_it_was_and_holds_no_secret() {
    let mut head = shop();
    edit(&mut head, "web").spec.environment.insert("TOKEN".to_owned(), Text::sensitive("correct horse"));
    let paper = deployed(&shop());
    let kept = saved(&paper, &head);
    let text = kept.to_text();
    assert!(!text.contains("horse") && !text.contains("hunter2") && text.contains("(sensitive)"), "{text}");
    let read = Saved::read(&text).unwrap();
    assert_eq!(read, kept);
    assert_eq!(read.verify(&paper.live.server, &key()), Ok(()));
    assert_eq!(read.id(), planned(&paper, &head).id);
}

#[test]
fn a_saved_plan_that_is_not_this_hosts_or_was_touched_is_refused() {
    let paper = deployed(&shop());
    let text = saved(&paper, &shop()).to_text();
    let verified = |text: &str| Saved::read(text).and_then(|saved| saved.verify(&paper.live.server, &key()));
    assert_eq!(verified("{}"), Err(SavedError::NotAPlan));
    assert_eq!(verified("services: {}"), Err(SavedError::NotAPlan));
    assert!(matches!(verified(&text[..text.len() / 2]), Err(SavedError::Damaged(_))));
    assert!(matches!(verified(&text.replace("\"stack\"", "\"stock\"")), Err(SavedError::Damaged(_))));
    assert!(matches!(verified(&text.replace("auren-dev", "auren-prod")), Err(SavedError::Damaged(_))));
    let newer = text.replace("\"evenkeel_plan\": 1", "\"evenkeel_plan\": 2");
    assert_eq!(verified(&newer), Err(SavedError::Version { found: 2, known: 1 }));
    let other = DigestKey::new([8; 32]);
    let error = Saved::read(&text).unwrap().verify(&paper.live.server, &other).unwrap_err();
    assert!(matches!(error, SavedError::OtherHost { .. }), "{error}");
}

#[test]
fn what_has_moved_since_is_named_field_by_field() {
    let mut paper = deployed(&shop());
    let kept = saved(&paper, &shop());
    let mut head = shop();
    edit(&mut head, "web").spec.environment.insert("LEVEL".to_owned(), "debug".into());
    edit(&mut head, "web").gate.expect = Expect::Completed;
    head.services.insert("new".parse().unwrap(), service("new", "apps"));
    set_memory(&mut paper, 1 << 30);
    paper.container("web").state.status = Status::Exited { code: 1, out_of_memory: false };
    let now = Fingerprint::of(&head, &paper.live, &paper.last, host(&key()));
    let moved: Vec<String> = kept.fingerprint().moved(&now).iter().map(ToString::to_string).collect();
    assert_eq!(
        moved,
        [
            "manifests: service new is new",
            "manifests: service web differs in `environment.LEVEL`, `gate`",
            "host: container auren-dev-redis-1 differs in `deploy.resources.limits.memory`",
            "host: container auren-dev-web-1 differs in `status`",
        ]
    );
    assert_eq!(kept.fingerprint().moved(kept.fingerprint()), []);
}

/// What `docker update --memory` does: it takes the swap along.
fn set_memory(paper: &mut Paper, bytes: u64) {
    let resources = &mut paper.container("redis").spec.resources;
    resources.memory = Some(bytes);
    resources.memory_swap = Some(Swap::Bytes(2 * bytes));
}

fn observed(paper: &Paper) -> Observation {
    let stack = "auren-dev".parse().unwrap();
    let seen = Seen { stack: &stack, environment: None, revision: None, at: "now".to_owned() };
    Observation::of(seen, &paper.live, &paper.last, host(&key()))
}

fn on_host(head: &Desired, paper: &Paper) -> Plan {
    let text = observed(paper).to_json().to_string();
    let observation = Observation::read(&text).unwrap();
    let stand_ins = BTreeSet::from(["hunter2".to_owned()]);
    observation::compare(Sides { base: Some(head), head, stand_ins: &stand_ins }, &observation)
}

#[test]
fn an_observation_tells_what_would_change_and_what_drifted() {
    let mut paper = deployed(&shop());
    assert_eq!(on_host(&shop(), &paper).changes, []);
    set_memory(&mut paper, 1 << 30);
    paper.container("web").spec.environment.insert("LEVEL".to_owned(), Text::plain("by-hand"));
    paper.container("web").spec.environment.insert("PASSWORD".to_owned(), Text::plain("by-hand-too"));
    let mut head = shop();
    edit(&mut head, "web").spec.image = "web:2".parse().unwrap();
    let plan = on_host(&head, &paper);
    insta::assert_snapshot!(to_text(&plan, Layout { colour: false, width: 0, full: true }));
}

#[test]
fn an_observation_tells_no_value_that_the_repository_does_not() {
    let mut paper = deployed(&shop());
    paper.container("web").spec.environment.insert("LEVEL".to_owned(), Text::plain("top-secret"));
    paper.container("web").spec.environment.insert("OTHER".to_owned(), Text::plain("top-secret"));
    paper.container("web").spec.labels.insert("other".to_owned(), "top-secret".to_owned());
    paper.container("web").spec.command = Some(vec![Text::plain("--key=top-secret")]);
    let text = observed(&paper).to_json().to_string();
    assert!(!text.contains("top-secret") && !text.contains("hunter2"), "{text}");
    let digest = match FieldValue::text(&Text::sensitive("hunter2"), &key()) {
        FieldValue::Sensitive(digest) => digest,
        other => panic!("{other:?}"),
    };
    assert!(!text.contains(&digest[..16]), "a digest could be guessed by trying: {text}");
    // Nothing is on record: then nothing is known to be harmless.
    paper.last.current.clear();
    let text = observed(&paper).to_json().to_string();
    assert!(!text.contains("top-secret") && !text.contains("hunter2") && !text.contains("info"), "{text}");
}

#[test]
fn a_damaged_observation_is_refused() {
    let text = observed(&deployed(&shop())).to_json().to_string();
    for (bad, what) in [("", "damaged"), ("{}", "damaged"), ("[]", "damaged")] {
        assert!(Observation::read(bad).unwrap_err().to_string().contains(what), "{bad}");
    }
    let newer = text.replace("\"evenkeel_observation\":1", "\"evenkeel_observation\":9");
    assert!(Observation::read(&newer).unwrap_err().to_string().contains("version"));
    assert!(Observation::read(&text.replace("\"runs\":true", "\"runs\":7")).is_err());
}

#[tokio::test]
async fn looking_makes_no_writing_call() {
    let sim = Sim::new();
    let head = shop();
    for service in head.services.values() {
        sim.add_image(&service.spec.image, SimImage::of("x"));
    }
    let state = tempfile::tempdir().unwrap();
    let machine = Machine::open(sim.clone(), state.path(), Host::Other).unwrap();
    let (plan, live) = machine.plan(&head, Registries::Ask).await.unwrap();
    machine.observation(&head).await.unwrap();
    let saved = machine.saved(&head, &plan, &live).unwrap();
    assert_eq!(machine.moved(&saved, &head, &live).unwrap(), []);
    assert_eq!(sim.writing_calls(), []);
    assert!(!sim.calls().is_empty());
}

#[test]
fn an_observed_container_shares_with_a_service_and_not_with_an_id() {
    let mut head = shop();
    let vpn = Peer::Service("redis".parse().unwrap());
    edit(&mut head, "web").spec.namespaces.network = Some(Namespace::Of(vpn));
    let paper = deployed(&head);
    assert!(observed(&paper).to_json().to_string().contains("service:redis"));
    assert_eq!(on_host(&head, &paper).changes, []);
}

#[test]
fn an_observed_host_is_treated_as_the_policy_says() {
    let told = |treatment: Treatment, path: &str| {
        let mut drift = Drift::default();
        drift.set(path, treatment);
        let mut paper = deployed(&shop());
        set_memory(&mut paper, 1 << 30);
        paper.container("redis").state.status = Status::Exited { code: 1, out_of_memory: false };
        let mut head = shop();
        edit(&mut head, "redis").drift = drift;
        let plan = on_host(&head, &paper);
        let told =
            |changes: &[Change]| changes.iter().map(|change| change.operation.code().to_owned()).collect();
        let all: (Vec<String>, Vec<String>) = (told(&plan.changes), told(&plan.reported));
        (all.0.join(" "), all.1.join(" "), plan.ignored)
    };
    let words = |changes: &str, reported: &str, ignored| (changes.to_owned(), reported.to_owned(), ignored);
    assert_eq!(told(Treatment::Repair, "*"), words("start", "", 0));
    assert_eq!(told(Treatment::Report, "*"), words("", "report", 0));
    assert_eq!(told(Treatment::Ignore, "*"), words("", "", 2));
    assert_eq!(told(Treatment::Report, "deploy.resources"), words("start", "report", 0));
    assert_eq!(told(Treatment::Ignore, "state"), words("in-place", "", 1));
    assert_eq!(told(Treatment::Report, "state"), words("in-place", "report", 0));
}

#[test]
fn what_no_manifest_has_is_removed_from_an_observed_host_or_only_told() {
    let paper = deployed(&shop());
    let mut head = shop();
    head.services.remove(&"web".parse::<ServiceName>().unwrap());
    let count = |head: &Desired| {
        let plan = on_host(head, &paper);
        (plan.changes.len(), plan.reported.len())
    };
    assert_eq!(count(&head), (1, 0));
    head.prune = Prune::Report;
    assert_eq!(count(&head), (0, 1));
}
