//! Every metric that there is: its name, its help, its labels, and where its value comes from.
//!
//! Nothing is kept here. All series are made from what is followed at the moment of the scrape, so that those of a stack
//! that is no longer followed are gone with the next one.

use std::fmt::Error;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::histogram::Histogram;
use super::stack::{Counts, StackMetrics};
use super::{Call, Figures};
use crate::agent::status::{Health, HoldKind, Operation, StackState, Statement, Sync};

/// Labels of one series.
type Labels = Vec<(&'static str, String)>;

/// One stack at the moment of the scrape.
pub(super) struct Stack {
    labels: Labels,
    state: StackState,
    counts: Counts,
}

impl Stack {
    pub(super) fn of(metrics: &Arc<StackMetrics>) -> Self {
        let state = metrics.board().state();
        let stack = state.stack.clone().unwrap_or_default();
        let labels = vec![("stack", stack), ("environment", state.environment.clone())];
        Self { labels, state, counts: metrics.counts() }
    }

    /// What tells its series from others.
    pub(super) fn name(&self) -> &Labels {
        &self.labels
    }

    fn with(&self, name: &'static str, value: impl Into<String>) -> Labels {
        let mut labels = self.labels.clone();
        labels.push((name, value.into()));
        labels
    }
}

/// A metric: its name without `evenkeel_` and without its unit, its unit, and its help.
#[derive(Clone, Copy)]
struct About(&'static str, Option<&'static Unit>, &'static str);

const SECONDS: Option<&Unit> = Some(&Unit::Seconds);

/// Writes all metrics.
pub(super) fn expose(encoder: &mut DescriptorEncoder<'_>, figures: &Figures) -> Result<(), Error> {
    let mut out = Out(encoder);
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    out.infos(About("build", None, "The release of Evenkeel that runs."), [version])?;
    states(&mut out, &figures.stacks)?;
    times(&mut out, &figures.stacks, figures.now)?;
    deploys(&mut out, &figures.stacks)?;
    looks(&mut out, &figures.stacks)?;
    delivery(&mut out, &figures.stacks)?;
    docker(&mut out, figures)
}

fn states(out: &mut Out<'_, '_>, stacks: &[Stack]) -> Result<(), Error> {
    let info = stacks.iter().map(|stack| {
        let StackState { revisions, branch, .. } = &stack.state;
        let mut labels = stack.with("branch", branch.clone().unwrap_or_default());
        labels.push(("commit", revisions.applied.clone().unwrap_or_default()));
        labels.push(("newest", revisions.observed.clone().unwrap_or_default()));
        labels
    });
    out.infos(About("stack", None, "The commit that was deployed last, and the newest one."), info)?;
    let sync = [(Sync::InSync, "in_sync"), (Sync::OutOfSync, "out_of_sync"), (Sync::Unknown, "unknown")];
    out.gauges(
        About(
            "stack_sync",
            None,
            "Whether what runs is what the newest commit says: 1 for the present state.",
        ),
        each(stacks, &sync, |stack, state| stack.state.sync.state == state),
    )?;
    let health = [
        (Health::Healthy, "healthy"),
        (Health::Progressing, "progressing"),
        (Health::Degraded, "degraded"),
        (Health::Missing, "missing"),
        (Health::Unknown, "unknown"),
    ];
    out.gauges(
        About("stack_health", None, "How the services are: 1 for the present state."),
        each(stacks, &health, |stack, state| stack.state.health.state == state),
    )?;
    let phases =
        ["idle", "looking", "applying", "rolling_back", "watching", "waiting"].map(|phase| (phase, phase));
    out.gauges(
        About("stack_operation", None, "What the agent does with the stack: 1 for the present phase."),
        each(stacks, &phases, |stack, wanted| phase(&stack.state.operation.state) == wanted),
    )?;
    let kinds = HoldKind::ALL.map(|kind| (kind, kind.code()));
    out.gauges(
        About("stack_held", None, "Whether the newest commit is held back: 1 for the present reason."),
        labelled(stacks, "reason", &kinds, |stack, kind| {
            stack.state.revisions.held.as_ref().is_some_and(|held| held.kind == kind)
        }),
    )?;
    flags(out, stacks)
}

fn flags(out: &mut Out<'_, '_>, stacks: &[Stack]) -> Result<(), Error> {
    out.gauges(
        About("stack_quarantined", None, "Contents that failed and are not tried again."),
        one(stacks, |stack| Some(count(stack.state.revisions.quarantined.len()))),
    )?;
    out.gauges(
        About("stack_paused", None, "Whether somebody has paused the stack."),
        one(stacks, |stack| Some(flag(stack.state.paused.is_some()))),
    )?;
    out.gauges(
        About("stack_stalled", None, "Whether the host can't be asked or changed at the moment."),
        one(stacks, |stack| {
            let stalled = stack.state.conditions.get(&Statement::Stalled);
            Some(flag(stalled.is_some_and(|condition| condition.holds)))
        }),
    )?;
    out.gauges(
        About("stack_differences", None, "Differences that a plan would mend now."),
        one(stacks, |stack| Some(count(stack.state.changes))),
    )?;
    out.gauges(
        About("stack_reported_differences", None, "Differences that are only told."),
        one(stacks, |stack| Some(count(stack.state.reported))),
    )?;
    out.gauges(
        About("stack_contested_fields", None, "Fields that somebody sets back again and again."),
        one(stacks, |stack| Some(count(stack.state.contested.len()))),
    )
}

fn times(out: &mut Out<'_, '_>, stacks: &[Stack], now: Timestamp) -> Result<(), Error> {
    let moment = |at: Option<Timestamp>| at.map(seconds_of);
    out.gauges(
        About(
            "stack_out_of_sync",
            SECONDS,
            "For how long the host is known to differ from the newest commit; 0 if it doesn't.",
        ),
        one(stacks, |stack| {
            Some(stack.counts.out_of_sync.map_or(0.0, |since| (seconds_of(now) - seconds_of(since)).max(0.0)))
        }),
    )?;
    out.gauges(
        About(
            "stack_last_success_timestamp",
            SECONDS,
            "When the host was last found or made to be as the newest commit says.",
        ),
        one(stacks, |stack| moment(stack.state.succeeded)),
    )?;
    out.gauges(
        About("stack_last_look_timestamp", SECONDS, "When the agent looked last."),
        one(stacks, |stack| moment(stack.state.looked)),
    )?;
    out.gauges(
        About("stack_last_fetch_timestamp", SECONDS, "When the repository was last read with success."),
        one(stacks, |stack| moment(stack.state.fetched)),
    )?;
    out.gauges(
        About("stack_paused_until_timestamp", SECONDS, "When the pause of the stack ends."),
        one(stacks, |stack| moment(stack.state.paused.as_ref().map(|paused| paused.until))),
    )
}

fn deploys(out: &mut Out<'_, '_>, stacks: &[Stack]) -> Result<(), Error> {
    let all = stacks.iter().flat_map(|stack| {
        stack.counts.deploys.iter().map(|((kind, outcome), count)| {
            let mut labels = stack.with("kind", kind.code());
            labels.push(("outcome", (*outcome).to_owned()));
            (labels, *count)
        })
    });
    let about =
        About("deploys", None, "Deploys, by what they were for (change, repair, return) and how they ended.");
    out.counters(about, all)?;
    let durations = stacks.iter().flat_map(|stack| {
        stack.counts.durations.iter().map(|(outcome, histogram)| (stack.with("outcome", *outcome), histogram))
    });
    let about = About("deploy_duration", SECONDS, "How long deploys took, the way back included.");
    out.histograms(about, durations)?;
    let about = About("rollbacks", None, "Deploys that returned to what ran before.");
    out.counters(about, sums(stacks, |counts| counts.rollbacks))?;
    let drift = stacks.iter().flat_map(|stack| {
        stack.counts.drift.iter().map(|(class, count)| (stack.with("field", class.clone()), *count))
    });
    let about = About("drift", None, "Differences that somebody has made on the host, by the kind of field.");
    out.counters(about, drift)
}

fn looks(out: &mut Out<'_, '_>, stacks: &[Stack]) -> Result<(), Error> {
    let about = About("missed_by_events", None, "Differences that only a full look has found.");
    out.counters(about, sums(stacks, |counts| counts.missed))?;
    let about = About(
        "fetch_duration",
        SECONDS,
        "How long it took to ask the repository whether there is something new.",
    );
    out.histograms(about, histograms(stacks, |counts| &counts.fetches))?;
    let about = About("fetch_failures", None, "How often the repository could not be read.");
    out.counters(about, sums(stacks, |counts| counts.fetch_failures))?;
    let about =
        About("reconcile_duration", SECONDS, "How long a look took, with the deploys that it led to.");
    out.histograms(about, histograms(stacks, |counts| &counts.looks))?;
    let triggers = stacks.iter().flat_map(|stack| {
        stack.counts.triggers.iter().map(|(trigger, count)| (stack.with("trigger", *trigger), *count))
    });
    out.counters(About("reconciles", None, "Looks, by what woke the agent."), triggers)
}

fn delivery(out: &mut Out<'_, '_>, stacks: &[Stack]) -> Result<(), Error> {
    let about = About("dora_deployments", None, "Commits that were deployed.");
    out.counters(about, sums(stacks, |counts| counts.changes))?;
    let about = About("dora_lead_time", SECONDS, "From a commit to its deploy; of several, from the oldest.");
    out.histograms(about, histograms(stacks, |counts| &counts.lead_times))?;
    let about =
        About("dora_change_failures", None, "Commits that had to be rolled back or left a stack half done.");
    out.counters(about, sums(stacks, |counts| counts.change_failures))?;
    let about = About(
        "dora_time_to_restore",
        SECONDS,
        "From the first sign of a failure until every service is well.",
    );
    out.histograms(about, histograms(stacks, |counts| &counts.restore_times))
}

fn docker(out: &mut Out<'_, '_>, figures: &Figures) -> Result<(), Error> {
    let labels = |call: &str| vec![("call", call.to_owned())];
    let calls = figures.calls.iter().map(|(call, Call { took, .. })| (labels(call), took));
    let about =
        About("docker_call_duration", SECONDS, "How long Docker took to answer, by the kind of call.");
    out.histograms(about, calls)?;
    let errors = figures.calls.iter().map(|(call, Call { errors, .. })| (labels(call), *errors));
    let about = About(
        "docker_call_errors",
        None,
        "Calls that Docker refused or did not answer, by the kind of call.",
    );
    out.counters(about, errors)
}

/// Where metrics are written to.
struct Out<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Out<'_, '_> {
    fn infos(
        &mut self,
        About(name, unit, help): About,
        series: impl IntoIterator<Item = Labels>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Info)?;
        series.into_iter().try_for_each(|labels| metric.encode_info(&labels))
    }

    fn gauges(
        &mut self,
        About(name, unit, help): About,
        series: impl IntoIterator<Item = (Labels, f64)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        series.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    fn counters(
        &mut self,
        About(name, unit, help): About,
        series: impl IntoIterator<Item = (Labels, u64)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        series.into_iter().try_for_each(|(labels, value)| {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    fn histograms<'h>(
        &mut self,
        About(name, unit, help): About,
        series: impl IntoIterator<Item = (Labels, &'h Histogram)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        series.into_iter().try_for_each(|(labels, histogram)| {
            let (sum, count) = (histogram.sum(), histogram.count());
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                sum,
                count,
                &histogram.buckets(),
                None,
            )
        })
    }
}

/// A series for each state, 1 for the one that is.
fn each<T: Copy>(
    stacks: &[Stack],
    states: &[(T, &str)],
    is: impl Fn(&Stack, T) -> bool,
) -> Vec<(Labels, f64)> {
    labelled(stacks, "state", states, is)
}

fn labelled<T: Copy>(
    stacks: &[Stack],
    label: &'static str,
    states: &[(T, &str)],
    is: impl Fn(&Stack, T) -> bool,
) -> Vec<(Labels, f64)> {
    let series = stacks.iter().flat_map(|stack| {
        states
            .iter()
            .map(|(state, word)| (stack.with(label, *word), flag(is(stack, *state))))
            .collect::<Vec<_>>()
    });
    series.collect()
}

fn one(stacks: &[Stack], value: impl Fn(&Stack) -> Option<f64>) -> Vec<(Labels, f64)> {
    stacks.iter().filter_map(|stack| Some((stack.labels.clone(), value(stack)?))).collect()
}

fn sums(stacks: &[Stack], value: impl Fn(&Counts) -> u64) -> Vec<(Labels, u64)> {
    stacks.iter().map(|stack| (stack.labels.clone(), value(&stack.counts))).collect()
}

fn histograms<'s>(
    stacks: &'s [Stack],
    of: impl Fn(&'s Counts) -> &'s Histogram,
) -> Vec<(Labels, &'s Histogram)> {
    stacks.iter().map(|stack| (stack.labels.clone(), of(&stack.counts))).collect()
}

fn phase(operation: &Operation) -> &'static str {
    match operation {
        Operation::Idle => "idle",
        Operation::Looking => "looking",
        Operation::Applying { .. } => "applying",
        Operation::RollingBack { .. } => "rolling_back",
        Operation::Watching { .. } => "watching",
        Operation::Waiting { .. } => "waiting",
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn seconds_of(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
