//! A service under a new name.

use evenkeel::model::desired::Desired;
use evenkeel::model::name::ServiceName;
use evenkeel::plan::step::Action;
use evenkeel::plan::{json, rollback};

use super::{deployed, edit, planned, text, web_and_db};
use crate::paper::{desired, service};

/// `web` under the name `site`.
fn renamed(wanted: &Desired) -> Desired {
    let mut after = wanted.clone();
    let mut web = after.services.remove(&"web".parse::<ServiceName>().unwrap()).unwrap();
    web.name = "site".parse().unwrap();
    web.moved_from = Some("web".parse().unwrap());
    after.services.insert(web.name.clone(), web);
    after
}

#[test]
fn a_new_name_is_a_replacement() {
    let before = web_and_db(&[]);
    let mut paper = deployed(&before);
    let after = renamed(&before);
    let plan = planned(&paper, &after);
    insta::assert_snapshot!(text(&plan), @"
    Plan for auren-dev at 3f9c1e2, 1 to change, 1 unchanged  plan ID
    apps
      ± site (was web)   replace, stop-first   service   web → site   git
    ");
    assert_eq!(json::to_json(&plan)["changes"][0]["was"], "web");
    let at = |is: &dyn Fn(&Action) -> bool| plan.steps.iter().position(|step| is(&step.action)).unwrap();
    let stop = at(&|action| matches!(action, Action::Stop { .. }));
    let start = at(&|action| matches!(action, Action::Start(_)));
    assert!(plan.steps[start].after.contains(&stop), "the old one stops before the new one starts");
    paper.carry_out(&plan, usize::MAX);
    assert_eq!(paper.container("site").name.as_str(), "auren-dev-site-1");
    assert!(planned(&paper, &after).is_empty());
    // Afterwards the key says nothing more, and need not.
    let mut without = after.clone();
    edit(&mut without, "site").moved_from = None;
    assert!(planned(&paper, &without).is_empty());
    // The old container is kept for a while, and then goes with the others that were replaced.
    edit(&mut without, "site").spec.image = "web:2".parse().unwrap();
    let plan = planned(&paper, &without);
    paper.carry_out(&plan, usize::MAX);
    assert!(!paper.live.containers.values().any(|container| container.instance.service.as_str() == "web"));
}

#[test]
fn the_way_back_from_a_new_name_waits_for_the_successor_to_stop() {
    let before = web_and_db(&[]);
    let old = deployed(&before);
    let plan = planned(&old, &renamed(&before));
    let committed = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
    let mut paper = old.clone();
    let open = paper.carry_out(&plan, committed);
    let back = rollback::rollback(&open, &paper.live, "/state/files");
    let at = |is: &dyn Fn(&Action) -> bool| back.steps.iter().position(|step| is(&step.action)).unwrap();
    let stop = at(&|action| matches!(action, Action::Stop { .. }));
    let start = at(&|action| matches!(action, Action::Start(_)));
    assert!(back.steps[start].after.contains(&stop));
    paper.carry_out(&back, usize::MAX);
    assert_eq!(paper.live.containers, old.live.containers);
}

#[test]
fn what_has_a_new_name_is_not_counted_as_removed() {
    let before = desired(["a", "b", "c"].map(|name| service(name, "apps")).to_vec());
    let paper = deployed(&before);
    let mut after = desired(["a", "d", "e"].map(|name| service(name, "apps")).to_vec());
    assert!(planned(&paper, &after).consent.is_some());
    edit(&mut after, "d").moved_from = Some("b".parse().unwrap());
    edit(&mut after, "e").moved_from = Some("c".parse().unwrap());
    let plan = planned(&paper, &after);
    assert_eq!(plan.consent, None);
    assert_eq!(plan.changes.len(), 2);
}
