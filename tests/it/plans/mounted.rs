//! Images that a service mounts, where it is not on record which ones they are.

use evenkeel::model::live::LiveImage;
use evenkeel::model::spec::Mount;
use evenkeel::plan::change::{Cause, Operation};

use super::*;

const CONF: &str = "conf:1";

fn mounting(version: &str) -> Desired {
    let mut web = service("web", "apps");
    let mount = Mount { read_only: true, ..Mount::of(MountSource::Image(CONF.parse().unwrap())) };
    web.spec.mounts.insert("/conf".to_owned(), mount);
    web.spec.environment.insert("V".to_owned(), version.into());
    desired(vec![web])
}

/// Lets the tag mean another image on the host.
fn move_tag(paper: &mut Paper, digit: &str) {
    let image = LiveImage::bare(format!("sha256:{}", digit.repeat(64)).parse().unwrap());
    paper.live.references.insert(CONF.parse().unwrap(), image.id.clone());
    paper.live.images.insert(image.id.clone(), image);
}

fn deploy(paper: &mut Paper, desired: &Desired) {
    let plan = planned(paper, desired);
    paper.carry_out(&plan, usize::MAX);
}

fn host_with(desired: &Desired) -> Paper {
    let mut paper = Paper::empty();
    "1.48".clone_into(&mut paper.live.server.api_version);
    move_tag(&mut paper, "a");
    deploy(&mut paper, desired);
    paper
}

#[test]
fn what_is_not_on_record_is_no_difference() {
    let mut paper = host_with(&mounting("1"));
    move_tag(&mut paper, "b");
    let plan = planned(&paper, &mounting("1"));
    assert_eq!(plan.changes[0].fields[0].cause, Cause::Image, "{}", text(&plan));
    paper.container("web").mounted.clear();
    assert!(planned(&paper, &mounting("1")).is_empty());
}

#[test]
fn what_is_not_on_record_is_not_revived() {
    let mut paper = host_with(&mounting("1"));
    let revives =
        |paper: &Paper| matches!(planned(paper, &mounting("1")).changes[0].operation, Operation::Revive(_));
    let first = paper.container("web").id.clone();
    deploy(&mut paper, &mounting("2"));
    assert!(revives(&paper));
    paper.live.containers.get_mut(&first).unwrap().mounted.clear();
    assert!(!revives(&paper));
}
