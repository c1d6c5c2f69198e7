//! `plan --against REV`: what a change of the repository means for every environment, without Docker or secrets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::args::Global;
use super::failure::{Hint, hinted};
use super::keep;
use super::select::{Selection, explained};
use crate::manifest::{MissingVariables, Report, Resolved, Severity};
use crate::model::desired::{FromOutside, Revision};
use crate::model::name::EnvironmentName;
use crate::plan::compare::{Comparison, compare, tell_outside};
use crate::plan::observation::{self, Observation, Sides};
use crate::plan::refusal::Refused;
use crate::plan::review::{Review, Section, Verdict};
use crate::source::{Repository, SourceError};

/// Two states of the repository.
struct Revisions {
    base: Selection,
    head: Selection,
    /// The project's name, once one of its environments was resolved.
    project: Option<String>,
}

/// Compares what the options name with `against`. Blocks.
pub(super) fn review(global: &Global, against: &str, live: &[PathBuf]) -> anyhow::Result<Review> {
    let mut observations = live.iter().map(|path| observation(path)).collect::<anyhow::Result<Vec<_>>>()?;
    if !global.files.is_empty() {
        return Err(hinted(
            anyhow!("--against goes with a repository, not with --file"),
            "lay one out from the file: `evenkeel init --from compose.yaml`",
        ));
    }
    let head = Selection::open(global)?.without_host();
    let repository = Repository::open(&global.repo).map_err(explained)?;
    repository.resolve(against).map_err(shallow)?;
    let base = Selection::at(&repository, against)?.without_host();
    let (base_name, head_name) = (base.revision().to_string(), head.revision().to_string());
    let notes = taken_back(&repository, &base, &head, against)?;
    let mut sides = Revisions { base, head, project: None };
    let sections = match sides.environments(global)? {
        Ok(names) => {
            let mut sections = Vec::new();
            for name in &names {
                sides.section(name, &mut observations, &mut sections);
            }
            sections
        }
        Err(report) => {
            vec![Section { name: "repository".to_owned(), verdict: invalid(&report), notes: Vec::new() }]
        }
    };
    // An environment that isn't valid may be the one that it is of.
    let invalid = sections.iter().any(|section| matches!(section.verdict, Verdict::Invalid(..)));
    if let Some(left) = observations.first().filter(|_| !invalid) {
        return Err(hinted(
            anyhow!(
                "the observation is of the stack `{}`, which none of these environments is",
                left.stack()
            ),
            "look at `--env` and at the host that it was made on",
        ));
    }
    Ok(Review {
        project: sides.project.unwrap_or_else(|| "evenkeel".to_owned()),
        base: Some(base_name),
        head: head_name,
        sections,
        notes,
        command: format!("evenkeel plan --against {against}"),
    })
}

/// A clone of a forge's runner often lacks the base.
fn shallow(error: SourceError) -> anyhow::Error {
    let is_unknown = matches!(error, SourceError::NoSuchRevision { .. });
    let error = explained(error);
    if is_unknown {
        return hinted(
            error,
            "a shallow clone has no other branches: fetch all of it, with `fetch-depth: 0` or `GIT_DEPTH: 0`",
        );
    }
    error
}

/// Reads what `evenkeel observe` has made.
fn observation(path: &Path) -> anyhow::Result<Observation> {
    let text = keep::read(path)?;
    Observation::read(&text)
        .with_context(|| format!("{} can't be used", path.display()))
        .hint("make it with `evenkeel observe` of the same version")
}

/// What the base has and the head doesn't shows as taken back, and whoever reads that should know why.
fn taken_back(
    repository: &Repository,
    base: &Selection,
    head: &Selection,
    against: &str,
) -> anyhow::Result<Vec<String>> {
    let (Revision::Commit(base), Revision::Commit(head) | Revision::WorkTree(Some(head))) =
        (base.revision(), head.revision())
    else {
        return Ok(Vec::new());
    };
    if repository.is_ancestor(base, head).map_err(explained)? {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "`{against}` has commits that this revision doesn't have, and what they did shows here as taken back: merge it first, or compare with `git merge-base {against} HEAD`"
    )])
}

impl Revisions {
    /// The environments to compare: those that are named, else all that either side has.
    fn environments(&self, global: &Global) -> anyhow::Result<Result<Vec<EnvironmentName>, Report>> {
        let head = self.head.known_environments();
        let base = self.base.known_environments().unwrap_or_default();
        let head = match head {
            Ok(head) => head,
            Err(report) if base.is_empty() || global.env.is_none() => return Ok(Err(report)),
            Err(_) => Vec::new(),
        };
        let all: BTreeSet<EnvironmentName> = head.into_iter().chain(base).collect();
        let Some(named) = &global.env else { return Ok(Ok(all.into_iter().collect())) };
        let known: Vec<&str> = all.iter().map(EnvironmentName::as_str).collect();
        let named = named.split(',').map(|name| {
            let found = all.iter().find(|known| known.as_str() == name.trim()).cloned();
            let found = found.with_context(|| format!("there is no environment `{}`", name.trim()));
            found.hint(format!("environments here: {}", known.join(", ")))
        });
        Ok(Ok(named.collect::<anyhow::Result<Vec<_>>>()?))
    }

    /// Adds the section of an environment, and one for each observation of it, which is then used up.
    fn section(
        &mut self,
        name: &EnvironmentName,
        observations: &mut Vec<Observation>,
        sections: &mut Vec<Section>,
    ) {
        let mut on_hosts = Vec::new();
        let mut notes = Vec::new();
        let has = |side: &Selection| side.known_environments().is_ok_and(|known| known.contains(name));
        let base = match (has(&self.base), Self::resolve(&self.base, name)) {
            (_, Ok(base)) => Some(base),
            (false, Err(_)) => {
                notes.push("the environment is new".to_owned());
                None
            }
            (true, Err(_)) => {
                notes.push("what it is compared with is not valid, so everything counts as new".to_owned());
                None
            }
        };
        let verdict = if has(&self.head) {
            match Self::resolve(&self.head, name) {
                Ok(head) => {
                    notes.extend(outside(base.as_ref(), &head));
                    self.project = Some(head.settings.project.clone());
                    let (of_it, others) = observations
                        .drain(..)
                        .partition(|seen: &Observation| seen.stack() == head.desired.stack.as_str());
                    *observations = others;
                    on_hosts = of_it.iter().map(|seen| on_host(name, base.as_ref(), &head, seen)).collect();
                    verdict(base.as_ref(), &head)
                }
                Err(report) => same(invalid(&report), sections),
            }
        } else {
            notes.push("nothing is removed because of that: stop the stack by hand where it runs".to_owned());
            Verdict::Dropped
        };
        self.project = self.project.take().or_else(|| base.map(|base| base.settings.project));
        sections.push(Section { name: name.to_string(), verdict, notes });
        sections.append(&mut on_hosts);
    }

    fn resolve(side: &Selection, name: &EnvironmentName) -> Result<Resolved, Report> {
        side.resolve(Some(name.clone()), MissingVariables::Outside)
    }
}

fn verdict(base: Option<&Resolved>, head: &Resolved) -> Verdict {
    match compare(base.map(|base| &base.desired), &head.desired) {
        Ok(Comparison { mut plan, refusals }) => {
            let nothing = FromOutside::new();
            tell_outside(&mut plan, base.map_or(&nothing, |base| &base.from_outside), &head.from_outside);
            Verdict::Planned(Box::new(plan), refusals)
        }
        Err(Refused(refusals)) => Verdict::Refused(refusals),
    }
}

/// What is wrong in several environments is shown once.
fn same(verdict: Verdict, sections: &[Section]) -> Verdict {
    let first = sections.iter().find(|section| section.verdict == verdict);
    match (first, verdict) {
        (Some(first), Verdict::Invalid(_, errors)) => {
            Verdict::Invalid(format!("the same as in `{}`\n", first.name), errors)
        }
        (_, verdict) => verdict,
    }
}

/// What would change on a host that was observed.
fn on_host(name: &EnvironmentName, base: Option<&Resolved>, head: &Resolved, seen: &Observation) -> Section {
    let stand_ins = head.outside.values().chain(base.iter().flat_map(|base| base.outside.values()));
    let stand_ins = stand_ins.cloned().collect();
    let base = base.map(|base| &base.desired);
    let plan = observation::compare(Sides { base, head: &head.desired, stand_ins: &stand_ins }, seen);
    Section {
        name: format!("{name} on its host"),
        verdict: Verdict::Planned(Box::new(plan), Vec::new()),
        notes: vec![seen.said()],
    }
}

/// The diagnostics as they are printed, without colour.
pub(super) fn invalid(report: &Report) -> Verdict {
    let errors = report.diagnostics().iter().filter(|found| found.severity == Severity::Error).count();
    Verdict::Invalid(report.render(false), errors)
}

/// What can't be compared here.
fn outside(base: Option<&Resolved>, head: &Resolved) -> Option<String> {
    let names: BTreeSet<&String> =
        base.into_iter().chain([head]).flat_map(|side| side.outside.keys()).collect();
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| {
        format!("not compared, for the values come from outside of the repository: {}", names.join(", "))
    })
}
