//! What Prometheus is told. Names, units and labels are in `docs/monitoring.md`; they are an interface.
//!
//! A label has few values: the stack, its environment, and words of a known set. A commit is a label of one metric only,
//! which has one series for each stack. Nothing here is global: what isn't followed any more has no series.

mod classic;
mod expose;
mod histogram;
mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use crate::agent::board::Board;
use crate::apply::clock::Clock;
use crate::engine::meter::Meter;
use expose::Stack;
use histogram::{CALLS, Histogram};

pub use stack::StackMetrics;

/// All metrics of an agent.
pub struct Metrics {
    clock: Arc<dyn Clock>,
    stacks: Mutex<Vec<Weak<StackMetrics>>>,
    calls: Mutex<BTreeMap<&'static str, Call>>,
}

/// A format of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The older text format of Prometheus.
    Classic,
}

impl Format {
    /// The format that a client wants, by its `Accept`.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Classic }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What is counted of one kind of call.
#[derive(Debug, Clone)]
struct Call {
    took: Histogram,
    errors: u64,
}

/// Everything at the moment of a scrape.
struct Figures {
    stacks: Vec<Stack>,
    calls: BTreeMap<&'static str, Call>,
    now: Timestamp,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Metrics {
    /// Metrics of an agent that follows nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, stacks: Mutex::default(), calls: Mutex::default() })
    }

    /// Counts what happens to the stack of `board`, as long as the result is kept.
    pub fn follow(&self, board: Arc<Board>) -> Arc<StackMetrics> {
        let metrics = Arc::new(StackMetrics::new(board, Arc::clone(&self.clock)));
        let mut stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        stacks.retain(|stack| stack.strong_count() > 0);
        stacks.push(Arc::downgrade(&metrics));
        metrics
    }

    /// All metrics as they are now.
    pub fn scrape(&self, format: Format) -> String {
        let mut registry = Registry::with_prefix("evenkeel");
        registry.register_collector(Box::new(self.figures()));
        let mut written = String::new();
        // A string takes everything.
        if text::encode(&mut written, &registry).is_err() {
            return String::new();
        }
        match format {
            Format::OpenMetrics => written,
            Format::Classic => classic::classic(&written),
        }
    }

    fn figures(&self) -> Figures {
        let stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stacks: Vec<Stack> =
            stacks.iter().filter_map(Weak::upgrade).map(|stack| Stack::of(&stack)).collect();
        // As long as nothing could be read, two may have no name. A series that is there twice spoils the whole.
        let mut names = BTreeSet::new();
        stacks.retain(|stack| names.insert(stack.name().clone()));
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Figures { stacks, calls, now: self.clock.now() }
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        expose::expose(&mut encoder, self)
    }
}

impl Meter for Metrics {
    fn called(&self, call: &'static str, took: Duration, failed: bool) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = calls.entry(call).or_insert_with(|| Call { took: Histogram::new(CALLS), errors: 0 });
        counted.took.observe(took.as_secs_f64());
        counted.errors += u64::from(failed);
    }
}
