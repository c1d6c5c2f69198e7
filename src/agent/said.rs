//! What the agent has told already, so that it tells each thing once, until something else is the case.

use std::collections::BTreeMap;

/// What a message is about. Each has one message at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// Whether the branch can be read.
    Branch,
    /// Whether changes of the repository are heard of.
    Watch,
    /// Whether the manifests of the newest commit are right.
    Manifests,
    /// Why the newest commit is not deployed.
    Hold,
    /// Why what was deployed last can't be kept up.
    Repair,
    /// Why the host can't be asked or changed.
    Host,
    /// What differs and is only reported.
    Drift,
}

/// The last message of each topic.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<Topic, String>);

impl Said {
    /// Whether `text` is news: the last message of that topic was another one.
    pub(super) fn is_news(&mut self, topic: Topic, text: &str) -> bool {
        if self.0.get(&topic).is_some_and(|last| last == text) {
            return false;
        }
        self.0.insert(topic, text.to_owned());
        true
    }

    /// Notes that there is nothing to say of `topic` any more. Returns whether there was.
    pub(super) fn is_over(&mut self, topic: Topic) -> bool {
        self.0.remove(&topic).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_said_once_until_it_changes() {
        let mut said = Said::default();
        assert!(!said.is_over(Topic::Hold));
        assert!(said.is_news(Topic::Hold, "quarantined"));
        assert!(!said.is_news(Topic::Hold, "quarantined"));
        assert!(said.is_news(Topic::Branch, "quarantined"), "topics don't hide each other");
        assert!(said.is_news(Topic::Hold, "not a descendant"));
        assert!(said.is_over(Topic::Hold) && !said.is_over(Topic::Hold));
        assert!(said.is_news(Topic::Hold, "not a descendant"), "it was over in between");
    }
}
