//! Keeps what is sensitive out of what is shown: containers like to log their environment when they fail.

use std::collections::BTreeSet;

use crate::model::desired::{Gate, Probe};
use crate::model::live::Live;
use crate::model::spec::{ContainerSpec, HealthTest};
use crate::model::text::{REDACTED, Text};
use crate::plan::fields::FieldValue;
use crate::plan::step::Action;
use crate::plan::{LastApplied, Plan};

/// Shorter texts aren't looked for: they would be found everywhere and hide what the line says.
const SHORTEST_CHARS: usize = 4;

/// The sensitive texts that the containers of a plan are given.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    texts: BTreeSet<String>,
}

impl Secrets {
    pub(super) fn of_plan(plan: &Plan) -> Self {
        let mut secrets = Self::default();
        for step in &plan.steps {
            match &step.action {
                Action::Create { spec, .. } => secrets.add(spec),
                Action::Await { gate, .. } => secrets = secrets.with_gate(gate),
                Action::Grant { place, grant } if place.sensitive => {
                    // What is no text is in no log either.
                    secrets.add_text(std::str::from_utf8(grant.content.expose()).unwrap_or_default());
                }
                _ => {}
            }
        }
        secrets
    }

    /// These, and those of the containers that are there.
    pub(super) fn with_live(&self, live: &Live) -> Self {
        let mut secrets = self.clone();
        for container in live.containers.values() {
            secrets.add(&container.spec);
        }
        secrets
    }

    /// The same, but for what the record says in the clear: nobody can tell from a container what is a secret, but what Git
    /// holds in the clear is none.
    pub(super) fn of_recorded(live: &Live, last: &LastApplied) -> Self {
        let mut secrets = Self::default();
        for container in live.containers.values() {
            let mut own = Self::default();
            own.add(&container.spec);
            let recorded = last.current.values().find(|(id, _)| *id == container.id);
            let mut clear = BTreeSet::new();
            for (_, value) in recorded.iter().flat_map(|(_, fields)| fields.iter()) {
                in_the_clear(value, &mut clear);
            }
            secrets.texts.extend(own.texts.into_iter().filter(|text| !clear.contains(text.as_str())));
        }
        secrets
    }

    /// These, and what a gate sends and looks for.
    pub(super) fn with_gate(mut self, gate: &Gate) -> Self {
        let texts = gate.probes.iter().flat_map(Probe::texts);
        for text in texts.filter(|text| text.is_sensitive()) {
            let text = text.expose();
            self.add_text(text);
            // Of `Bearer abc` and `/health?token=abc`, `abc` alone may be in what comes back.
            let values =
                text.split(['?', '&']).filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
            values.chain(text.split_whitespace().skip(1)).for_each(|part| self.add_text(part));
        }
        self
    }

    fn add(&mut self, spec: &ContainerSpec) {
        let test = match spec.healthcheck.as_ref().and_then(|health| health.test.as_ref()) {
            None | Some(HealthTest::Disabled) => &[],
            Some(HealthTest::Exec(command)) => command.as_slice(),
            Some(HealthTest::Shell(line)) => std::slice::from_ref(line),
        };
        let given = spec
            .environment
            .values()
            .chain(spec.command.iter().flatten())
            .chain(spec.entrypoint.iter().flatten())
            .chain(test);
        for text in given.filter(|text| text.is_sensitive()).map(Text::expose) {
            self.add_text(text);
        }
    }

    fn add_text(&mut self, text: &str) {
        let parts = text.lines().chain(password_of_url(text));
        self.texts.extend(parts.filter(|part| part.chars().count() >= SHORTEST_CHARS).map(str::to_owned));
    }

    /// The text without what is sensitive in it.
    pub(super) fn strike(&self, text: &str) -> String {
        // The longest first, so that no rest of one remains beside a shorter one found in it.
        let mut texts: Vec<&String> = self.texts.iter().collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED))
    }
}

fn in_the_clear<'f>(value: &'f FieldValue, clear: &mut BTreeSet<&'f str>) {
    match value {
        FieldValue::Word(text) | FieldValue::Quoted(text) => clear.extend(text.lines()),
        FieldValue::List(items) => items.iter().for_each(|item| in_the_clear(item, clear)),
        FieldValue::Bytes(_)
        | FieldValue::Time(_)
        | FieldValue::Switch(_)
        | FieldValue::Content { .. }
        | FieldValue::Sensitive(_) => {}
    }
}

/// The password in `scheme://user:password@host`: programs log it without the rest.
fn password_of_url(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let (user, _) = rest.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::HttpProbe;

    #[test]
    fn what_a_gate_sends_is_struck_with_and_without_what_is_around_it() {
        let mut http = HttpProbe::get(80, "/");
        http.path = Text::sensitive("/health?token=hunter22&full=1");
        http.headers.insert("authorization".into(), Text::sensitive("Bearer hunter33"));
        http.headers.insert("x-plain".into(), Text::plain("in the open"));
        let gate = Gate { probes: vec![Probe::Http(http)], ..Gate::default() };
        let secrets = Secrets::default().with_gate(&gate);
        let line = "GET /health?token=hunter22&full=1, hunter22 and hunter33 at /health in the open";
        let struck = "GET (sensitive), (sensitive) and (sensitive) at /health in the open";
        assert_eq!(secrets.strike(line), struck);
    }

    #[test]
    fn sensitive_values_are_struck_and_others_stay() {
        let mut spec = ContainerSpec::of_image("redis".parse().unwrap());
        spec.environment.insert("URL".into(), Text::sensitive("postgres://me:hunter22@db/x"));
        spec.environment.insert("TOKEN".into(), Text::sensitive("hunter22-and-more"));
        spec.environment.insert("SHORT".into(), Text::sensitive("on"));
        spec.environment.insert("LEVEL".into(), Text::plain("debug"));
        spec.healthcheck = None;
        let mut secrets = Secrets::default();
        secrets.add(&spec);
        let line = "on debug: bad password hunter22 or token hunter22-and-more";
        assert_eq!(secrets.strike(line), "on debug: bad password (sensitive) or token (sensitive)");
    }
}
