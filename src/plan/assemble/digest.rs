//! What names a plan, and what names the content that it carries out.

use sha2::{Digest, Sha256};

use crate::model::desired::{Desired, Probe, Service};
use crate::model::image::PullPolicy;
use crate::plan::change::Change;
use crate::plan::decide::Decisions;
use crate::plan::normal::Host;
use crate::plan::step::Step;
use crate::plan::{DesiredDigest, PlanId};

/// The digest of everything desired, sensitive values by their keyed digest.
///
/// The encoding is Rust's own `Debug` of values in which texts redact themselves. A new version of Evenkeel may
/// encode otherwise: then a quarantined revision is tried once more, and nothing else happens.
pub(super) fn desired_digest(desired: &Desired, decisions: &Decisions<'_>, host: Host<'_>) -> DesiredDigest {
    let Desired {
        stack,
        environment,
        revision: _,
        tiers,
        networks,
        volumes,
        services,
        contents,
        hosts: _,
        prune: _,
    } = desired;
    let mut digest = Sha256::new();
    digest.update(format!("{stack:?}{environment:?}{tiers:?}{networks:?}{volumes:?}"));
    for content in contents.keys() {
        digest.update(format!("{content:?}"));
    }
    for service in services.values() {
        let Service {
            name,
            tier,
            container_name,
            replicas,
            depends_on,
            gate,
            drift: _,
            rollback: _,
            watch: _,
            moved_from,
            pull,
            spec,
        } = service;
        let fields = crate::plan::normal::of_spec(spec, host);
        digest
            .update(format!("{name:?}{tier:?}{container_name:?}{replicas}{depends_on:?}{gate:?}{fields:?}"));
        // `Debug` redacts what a gate sends; another password is other content nevertheless.
        for text in gate.probes.iter().flat_map(Probe::texts).filter(|text| text.is_sensitive()) {
            digest.update(host.key.digest(text.expose()));
        }
        // Only where it is said, so that what was quarantined stays so.
        if let Some(old) = moved_from {
            digest.update(format!("moved from {old}"));
        }
        // Where the registry decides, or a tag was moved on the host, another image is other content: if it fails, it
        // alone is quarantined.
        let decision = decisions.wanted.iter().find(|decision| decision.service.name == *name);
        let moves = decisions.wanted.iter().any(|of| of.service.name == *name && of.verdict.moves_image());
        if moves || matches!(pull, PullPolicy::Always | PullPolicy::Every(_)) {
            digest.update(format!("{:?}", decision.and_then(|decision| decision.image.identity())));
        }
    }
    DesiredDigest(hex::encode(digest.finalize()))
}

pub(in crate::plan) fn plan_id(desired: &DesiredDigest, steps: &[Step], changes: &[Change]) -> PlanId {
    let mut digest = Sha256::new();
    digest.update(format!("{desired:?}{steps:?}{changes:?}"));
    let mut id = hex::encode(digest.finalize());
    id.truncate(12);
    PlanId(id)
}
