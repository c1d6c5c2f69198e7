//! What the checker says of plans that are wrong, without a history in which that does harm.

use std::collections::BTreeSet;

use evenkeel::engine::observe::observe;
use evenkeel::model::adopted::Adopted;
use evenkeel::model::update::UpdateOrder;
use evenkeel::plan::check::{check, dependencies};
use evenkeel::plan::step::{Action, Phase, Turn};

use super::{Canary, sort};
use crate::apply::bench::{Bench, image_ref, of, stack, stack_with};

#[tokio::test(start_paused = true)]
async fn the_checker_names_what_is_wrong_with_a_plan() {
    // In one tier, where only `depends_on` keeps them apart.
    let together = |app: &str| {
        let mut desired = stack_with(app);
        of(&mut desired, "db").tier = "apps".parse().unwrap();
        desired
    };
    let bench = Bench::with(&together("app:1")).await;
    let live = observe(&bench.host, &stack(), &Adopted::none(), &BTreeSet::new()).await.unwrap();
    for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
        let mut desired = together("app:2");
        of(&mut desired, "db").spec.image = image_ref("app:2");
        of(&mut desired, "app").update.order = order;
        let good = bench.plan(&desired).await;
        assert_eq!((check(&good, &live), dependencies(&good, &desired)), (vec![], vec![]));
        for (canary, words) in [
            (Canary::CommitsFirst, "a gate comes after the decision"),
            (Canary::CommitsFirst, "a start comes after the decision"),
            (Canary::LeavesUnfenced, "auren-dev-db-1 is stopped and the daemon may start it again"),
            (Canary::LeavesUnfenced, "auren-dev-app-1 is stopped and the daemon may start it again"),
            (Canary::ForgetsDependencies, "app-1 is started and doesn't wait for db-1"),
        ] {
            let mut spoiled = good.clone();
            canary.plan(&mut spoiled, &live);
            let found = [check(&spoiled, &live), dependencies(&spoiled, &desired)].concat();
            assert!(found.iter().any(|found| found == words), "{canary:?}: {found:#?}");
        }
        let mut early = good.clone();
        for step in &mut early.steps {
            if matches!(step.action, Action::Release { .. }) {
                step.turn = Turn { phase: Phase::Switch, wave: 9 };
            }
        }
        sort(&mut early);
        let found = check(&early, &live);
        assert!(
            found.iter().any(|found| found == "a restart policy comes before the decision"),
            "{found:#?}"
        );
    }
}
