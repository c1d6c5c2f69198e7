//! What grows with the stack: the first apply, a plan with nothing to do, one service changed, all changed.

use crate::{Bench, ROUNDS, report};

/// A plan takes so little time that more rounds cost nothing.
const PLANS: usize = 15;

pub fn first_apply(bench: &Bench) {
    let (mut ours, mut bare, mut composed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let project = bench.host.project();
        let file = project.crowd(bench.services, 0, 0);
        ours.push(project.until_the_last_runs(|| project.evenkeel(&file, &["apply", "--yes"])));
        drop(project);
        let project = bench.host.project();
        bare.push(project.until_the_last_runs(|| project.bare(bench.services)));
        drop(project);
        if let Some(compose) = &bench.compose {
            let project = bench.host.project();
            let file = project.crowd(bench.services, 0, 0);
            composed.push(project.until_the_last_runs(|| project.compose(compose, &file)));
        }
    }
    report(
        "first apply, until the last runs",
        ours,
        vec![("bare API calls", Some(1.05), bare), ("compose up -d", None, composed)],
    );
}

pub fn nothing_to_do(bench: &Bench) {
    let project = bench.host.project();
    let file = project.crowd(bench.services, 0, 0);
    project.evenkeel(&file, &["apply", "--yes"]);
    let ours = (0..PLANS).map(|_| project.evenkeel(&file, &["plan"])).collect();
    drop(project);
    let composed = bench.compose.iter().flat_map(|compose| {
        let project = bench.host.project();
        let file = project.crowd(bench.services, 0, 0);
        project.compose(compose, &file);
        (0..PLANS).map(|_| project.compose(compose, &file)).collect::<Vec<_>>()
    });
    report(
        "plan with nothing to do, every field compared",
        ours,
        vec![("compose up -d, one hash compared", Some(0.5), composed.collect())],
    );
}

pub fn changed(bench: &Bench) {
    for (what, changed, budget) in [
        ("one service of all changed, until the new one runs", 1, 1.0),
        ("all services changed, until the last new one runs", bench.services, 0.8),
    ] {
        let project = bench.host.project();
        let version = |version| project.crowd(bench.services, changed, version);
        project.evenkeel(&version(0), &["apply", "--yes"]);
        // Always a new one: what ran before would only be started again.
        let ours = |round| {
            let file = version(round);
            project.until_the_last_runs(|| project.evenkeel(&file, &["apply", "--yes"]))
        };
        let ours = (1..=ROUNDS).map(ours).collect();
        drop(project);
        let composed = bench.compose.iter().flat_map(|compose| {
            let project = bench.host.project();
            let version = |version| project.crowd(bench.services, changed, version);
            project.compose(compose, &version(0));
            let theirs = |round| {
                let file = version(round);
                project.until_the_last_runs(|| project.compose(compose, &file))
            };
            (1..=ROUNDS).map(theirs).collect::<Vec<_>>()
        });
        report(what, ours, vec![("compose up -d", Some(budget), composed.collect())]);
    }
}
