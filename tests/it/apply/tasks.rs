//! Services that do their work once and end: they run once for what they are made of.

use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::engine::Engine;
use evenkeel::engine::sim::{Behaviour, SimImage};
use evenkeel::model::desired::{Condition, Dependency, Desired, Expect};
use evenkeel::model::live::Status;
use evenkeel::model::spec::RestartPolicy;
use evenkeel::model::update::UpdateOrder;

use super::bench::{Bench, image_ref, of, service, stack_with};

/// The stack with a task that `app` waits for.
fn with_task(image: &str, app: &str) -> Desired {
    let mut desired = stack_with(app);
    let mut task = service("task", "apps", image);
    task.spec.restart = RestartPolicy::No;
    task.gate.expect = Expect::Completed;
    task.update.order = UpdateOrder::StartFirst;
    desired.services.insert(task.name.clone(), task);
    let waits = Dependency { condition: Condition::Completed, required: true, restart: true };
    of(&mut desired, "app").depends_on.insert("task".parse().unwrap(), waits);
    desired
}

async fn host() -> Bench {
    let bench = Bench::new();
    for image in ["task:1", "task:2"] {
        let ends = Behaviour { exits: Some((Duration::from_secs(3), 0)), ..Behaviour::default() };
        bench.host.add_image(&image_ref(image), SimImage::of(image).that(ends));
    }
    deploy(&bench, &with_task("task:1", "app:1")).await;
    bench.told.lines();
    bench
}

async fn deploy(bench: &Bench, desired: &Desired) {
    let outcome = bench.deploy(desired).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    assert!(bench.plan(desired).await.is_empty(), "{:#?}", bench.plan(desired).await.changes);
}

fn runs(bench: &Bench) -> usize {
    bench.told.lines().iter().filter(|line| *line == "start task").count()
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_once_and_once_more_when_it_is_another_one() {
    let bench = host().await;
    assert_eq!(runs(&bench), 1);
    // Whatever else is deployed, and however often.
    deploy(&bench, &with_task("task:1", "app:2")).await;
    assert_eq!(runs(&bench), 1);
    deploy(&bench, &with_task("task:2", "app:2")).await;
    assert_eq!(runs(&bench), 2);
    let told = bench.told.lines();
    let place = |line: &str| told.iter().rposition(|told| told == line).unwrap();
    assert!(place("wait for task") < place("start app"), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_done_its_work_is_not_run_again_by_a_return() {
    let bench = host().await;
    deploy(&bench, &with_task("task:2", "app:1")).await;
    let app = bench.container("app").await.id;
    deploy(&bench, &with_task("task:1", "app:1")).await;
    assert_eq!(runs(&bench), 2);
    assert_eq!(bench.container("app").await.id, app, "nothing was run that it had to be restarted with");
    let tasks = bench.containers().await.into_iter();
    let named: Vec<_> = tasks.filter(|task| task.name.as_str() == "auren-dev-task-1").collect();
    assert_eq!(named[0].spec.image, image_ref("task:1"));
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_container_is_gone_has_run_nevertheless() {
    let bench = host().await;
    let task =
        bench.containers().await.into_iter().find(|one| one.instance.service.as_str() == "task").unwrap();
    bench.host.remove_container(&task.id).await.unwrap();
    assert!(bench.plan(&with_task("task:1", "app:1")).await.is_empty());
    deploy(&bench, &with_task("task:1", "app:2")).await;
    assert_eq!(runs(&bench), 1);
    deploy(&bench, &with_task("task:2", "app:2")).await;
    assert_eq!(runs(&bench), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_is_not_run_again_by_the_way_back() {
    let bench = host().await;
    let fails = Behaviour { exits: Some((Duration::from_secs(3), 1)), ..Behaviour::default() };
    bench.host.add_image(&image_ref("task:2"), SimImage::of("task:2").that(fails));
    let outcome = bench.deploy(&with_task("task:2", "app:2")).await;
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(runs(&bench), 2);
    assert!(bench.plan(&with_task("task:1", "app:1")).await.is_empty());
    let tasks = bench.containers().await.into_iter().filter(|one| one.instance.service.as_str() == "task");
    let ended: Vec<_> = tasks.map(|task| task.state.status).collect();
    assert_eq!(ended, [Status::Exited { code: 0, out_of_memory: false }]);
}
