//! What is told of a stack whose way back has failed: how it stands, and the commands that lead out.

use serde_json::{Value, json};

use super::words::moment;
use crate::apply::machine::stuck::Stuck;
use crate::model::desired::Revision;

/// What has happened, in a line.
pub(super) fn headline(stuck: &Stuck) -> String {
    let Stuck { deploy, .. } = stuck;
    let why = deploy.failure.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} failed on {}, and so did the way back{why}", deploy.revision, moment(deploy.began))
}

/// What to do, line by line.
pub(super) fn ways_out(stuck: &Stuck) -> Vec<String> {
    let Stuck { deploy, lost, by_hand } = stuck;
    let mut lines = lost.clone();
    if by_hand.is_empty() {
        lines.push("by now, nothing is left to do of the way back".to_owned());
    } else {
        lines.push("nothing tries again by itself; what is left of the way back, in this order:".to_owned());
        lines.extend(by_hand.iter().map(|command| format!("  {command}")));
    }
    lines.push("put right what stood in the way; then".to_owned());
    // Only a repository still has what the files said before.
    let back = match deploy.revision {
        Revision::Commit(_) => "`evenkeel rollback`",
        Revision::WorkTree(_) | Revision::Files => "`evenkeel apply` of the manifests as they were",
    };
    lines.push(format!("  {back} goes the rest of the way, or sees that it is done"));
    lines.push("  `evenkeel apply` of what is mended, or a push, goes forward".to_owned());
    lines
}

/// The same for machines.
pub(super) fn to_json(stuck: &Stuck) -> Value {
    let Stuck { deploy, lost, by_hand } = stuck;
    json!({
        "deploy": deploy.id.as_str(),
        "revision": deploy.revision.to_string(),
        "since": deploy.began.to_string(),
        "why": deploy.failure,
        "lost": lost,
        "by_hand": by_hand,
    })
}
