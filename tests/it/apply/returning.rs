//! A service that was in no manifest for a while, and comes back while its old container is still kept.

use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::model::spec::{HealthTest, Healthcheck};
use evenkeel::model::text::Text;

use super::bench::{Bench, of, stack_with};

/// How it comes back, and whether that is as it was.
async fn comes_back(changed: bool) {
    let mut first = stack_with("app:1");
    of(&mut first, "app").spec.healthcheck = Some(Healthcheck {
        test: Some(HealthTest::Exec(vec![Text::plain("check")])),
        interval: Some(Duration::from_secs(30)),
        ..Healthcheck::default()
    });
    let mut without = first.clone();
    without.services.remove(&"app".parse().unwrap());
    without.services.values_mut().for_each(|service| service.depends_on.clear());
    let mut again = first.clone();
    if changed {
        of(&mut again, "app").spec.healthcheck = None;
    }
    let bench = Bench::with(&first).await;
    let before = bench.container("app").await.id;
    for desired in [&without, &again] {
        let outcome = bench.deploy(desired).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    }
    let now = bench.container("app").await;
    assert_eq!(now.spec.healthcheck.is_some(), !changed, "what runs is what is desired");
    assert_eq!(now.id == before, !changed, "it is the old container only where that is what is desired");
    assert!(bench.plan(&again).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_less_than_before_it_is_not_the_old_container() {
    comes_back(true).await;
}

#[tokio::test(start_paused = true)]
async fn as_it_was_it_is_the_old_container() {
    comes_back(false).await;
}
