//! Why there can be no plan.

use std::fmt;

/// One reason why a stack can't be planned as it is. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, with the names of both sides.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Refusal {
    pub(in crate::plan) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|refusal| refusal.what.as_str()).collect::<Vec<_>>().join("; "))]
pub struct Refused(pub Vec<Refusal>);
