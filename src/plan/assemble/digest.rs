//! What names a plan, and what names the content that it carries out.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::model::desired::{Desired, Probe, Service};
use crate::model::image::PullPolicy;
use crate::model::update::{RollbackConfig, UpdateConfig};
use crate::plan::change::Change;
use crate::plan::decide::Decisions;
use crate::plan::fields::FieldValue;
use crate::plan::normal::Host;
use crate::plan::step::Step;
use crate::plan::{DesiredDigest, PlanId};

/// The digest of everything desired, sensitive values by their keyed digest.
///
/// The encoding is Rust's own `Debug` of values in which texts redact themselves. A new version of Evenkeel may
/// encode otherwise: then a quarantined revision is tried once more, and nothing else happens.
pub(super) fn desired_digest(
    desired: &Desired,
    decisions: &Decisions<'_>,
    host: Host<'_>,
    veil: &Veil,
) -> DesiredDigest {
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
        admission: _,
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
            update,
            way_back,
            drift: _,
            rollback: _,
            watch: _,
            moved_from,
            pull,
            spec,
        } = service;
        let fields = veil.over(&format!("{:?}", crate::plan::normal::of_spec(spec, host)));
        digest.update(format!("{name:?}{tier:?}{container_name:?}{replicas}{depends_on:?}{gate:?}{fields}"));
        // `Debug` redacts what a gate sends; another password is other content nevertheless.
        for sent in sent(service, host) {
            digest.update(veil.over(&sent));
        }
        // Only where it is said, so that what was quarantined stays so.
        if let Some(old) = moved_from {
            digest.update(format!("moved from {old}"));
        }
        if *update != UpdateConfig::default() || *way_back != RollbackConfig::default() {
            digest.update(format!("{update:?}{way_back:?}"));
        }
        // Where the registry decides, or a tag was moved on the host, another image is other content: if it fails, it
        // alone is quarantined.
        let decision = decisions.wanted.iter().find(|decision| decision.service.name == *name);
        let moves = decisions.wanted.iter().any(|of| of.service.name == *name && of.verdict.moves_image());
        if moves || matches!(pull, PullPolicy::Always | PullPolicy::Every(_)) {
            digest.update(format!("{:?}", decision.and_then(|decision| decision.images.identity())));
            for mounted in decision.into_iter().flat_map(|decision| decision.images.mounted_identities()) {
                digest.update(format!("{mounted:?}"));
            }
        }
    }
    DesiredDigest(hex::encode(digest.finalize()))
}

/// Digests of sensitive values that a name is not to depend on.
///
/// As long as nothing of a stack is on record, the key of such digests may be one that the next run doesn't have: a dry
/// run writes none. The same plan is to have the same id nevertheless.
#[derive(Debug, Default)]
pub(in crate::plan) struct Veil(BTreeSet<String>);

impl Veil {
    /// Covers nothing.
    pub(in crate::plan) fn none() -> Self {
        Self::default()
    }

    /// Covers every sensitive value that a plan speaks of.
    pub(super) fn of(decisions: &Decisions<'_>, changes: &[Change], host: Host<'_>) -> Self {
        let wanted = decisions.wanted.iter().flat_map(|decision| decision.fields.iter());
        let differing = changes.iter().flat_map(|change| &change.fields);
        let sent = decisions.wanted.iter().flat_map(|decision| sent(decision.service, host));
        let mut veil = Self(sent.collect());
        wanted.for_each(|(_, value)| veil.cover(value));
        differing
            .flat_map(|field| [&field.before, &field.after])
            .flatten()
            .for_each(|value| veil.cover(value));
        veil
    }

    fn cover(&mut self, value: &FieldValue) {
        match value {
            FieldValue::Sensitive(digest) => {
                self.0.insert(digest.clone());
            }
            FieldValue::List(items) => items.iter().for_each(|item| self.cover(item)),
            FieldValue::Word(_)
            | FieldValue::Quoted(_)
            | FieldValue::Bytes(_)
            | FieldValue::Time(_)
            | FieldValue::Switch(_)
            | FieldValue::Content { .. } => {}
        }
    }

    /// `text` without them.
    fn over(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, digest| text.replace(digest, ""))
    }
}

/// Digests of what a service's gate sends that is sensitive.
fn sent(service: &Service, host: Host<'_>) -> impl Iterator<Item = String> {
    let texts = service.gate.probes.iter().flat_map(Probe::texts);
    texts.filter(|text| text.is_sensitive()).map(move |text| host.key.digest(text.expose()))
}

pub(in crate::plan) fn plan_id(
    desired: &DesiredDigest,
    (steps, changes): (&[Step], &[Change]),
    veil: &Veil,
) -> PlanId {
    let mut digest = Sha256::new();
    digest.update(veil.over(&format!("{desired:?}{steps:?}{changes:?}")));
    let mut id = hex::encode(digest.finalize());
    id.truncate(12);
    PlanId(id)
}
