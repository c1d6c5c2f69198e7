//! Whether the ports that the manifests publish are free, or held by the stack itself.

use std::path::Path;

use super::finding::Finding;
use crate::apply::Host;
use crate::apply::holder;
use crate::apply::ledger::Ledger;
use crate::engine::ListedContainer;
use crate::model::desired::Desired;

const CHECK: &str = "ports";

/// Judges the ports of one stack. `listed` are the containers of the host, `state` is the state folder.
pub(super) fn examine(desired: &Desired, listed: &[ListedContainer], state: &Path) -> Vec<Finding> {
    let listed = with_adopted(desired, listed, state);
    let mut findings = Vec::new();
    let mut count = 0;
    for (service, made) in &desired.services {
        for port in &made.spec.ports {
            count += 1;
            let Some(holder) = holder(port, &listed, &desired.stack, Host::This) else { continue };
            let what = format!("the port {port} of `{service}` in {} is held by {holder}", desired.stack);
            let hint = "publish another port, or stop what holds it (`ss -ltnup` names processes); what Compose made \
                        under this name, `evenkeel adopt` takes over";
            findings.push(Finding::failed(CHECK, what).why("the next deploy would be refused").hint(hint));
        }
    }
    if findings.is_empty() && count > 0 {
        findings.push(Finding::ok(CHECK, format!("what {} publishes is free or its own", desired.stack)));
    }
    findings
}

/// The containers, of which those that the stack has adopted count as its own.
fn with_adopted(desired: &Desired, listed: &[ListedContainer], state: &Path) -> Vec<ListedContainer> {
    let mut listed = listed.to_vec();
    let path = state.join("ledger.db");
    // The ledger is made by the first deploy, and never by a look.
    let ledger = path.exists().then(|| Ledger::open(&path).ok()).flatten();
    let adopted = ledger.and_then(|ledger| ledger.adopted(&desired.stack).ok());
    for own in &mut listed {
        if adopted.as_ref().is_some_and(|adopted| adopted.containers.contains_key(&own.id)) {
            own.summary.stack = Some(desired.stack.clone());
        }
    }
    listed
}
