//! What is in the outbox reaches its receivers: once, in order, and whatever the others do.

use std::time::Duration;

use evenkeel::announce::Event;
use evenkeel::manifest::Chat;
use tokio::time::Instant;

use super::fakes::{Answer, Fake, Office, chat, message, pace, webhook};

#[tokio::test]
async fn a_message_that_is_not_taken_is_tried_again_and_the_next_ones_wait_for_it() {
    let mut fake = Fake::new(vec![Answer::Status(500), Answer::Status(429), Answer::Status(401)]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.write("b", &message(Event::Deployed));
    office.open(pace());
    let first = fake.got().await;
    for _ in 0..3 {
        let again = fake.got().await;
        assert_eq!(
            (again.event(), again.header("webhook-id")),
            ("failed".to_owned(), first.header("webhook-id"))
        );
    }
    assert_eq!(fake.got().await.event(), "deployed");
    office.is_empty().await;
    assert!(fake.got_nothing());
}

#[tokio::test]
async fn what_is_refused_for_good_is_dropped() {
    let mut fake = Fake::new(vec![Answer::Status(400)]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.write("b", &message(Event::Deployed));
    office.open(pace());
    assert_eq!(fake.got().await.event(), "failed");
    assert_eq!(fake.got().await.event(), "deployed");
    office.is_empty().await;
    assert!(fake.got_nothing());
}

#[tokio::test]
async fn a_receiver_that_is_dead_for_too_long_gets_no_old_news() {
    // Nobody listens there any more.
    let url = Fake::new(Vec::new()).await.url("/hook");
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &url)]);
    office.write("a", &message(Event::Failed));
    office.open(evenkeel::announce::Pace { give_up: Duration::from_millis(100), ..pace() });
    office.is_empty().await;
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let mut elsewhere = Fake::new(Vec::new()).await;
    let mut fake = Fake::new(vec![Answer::Redirect(elsewhere.url("/stolen"))]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.open(pace());
    fake.got().await;
    office.is_empty().await;
    assert!(elsewhere.got_nothing() && fake.got_nothing());
}

#[tokio::test]
async fn an_answer_without_end_is_no_trouble() {
    let mut fake = Fake::new(vec![Answer::Endless]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    let began = Instant::now();
    office.open(pace());
    office.is_empty().await;
    assert!(began.elapsed() < pace().timeout, "{:?}", began.elapsed());
    fake.got().await;
    assert!(fake.got_nothing());
}

#[tokio::test]
async fn no_address_of_the_link_is_asked_and_none_in_the_clear() {
    for url in
        ["http://169.254.169.254/latest", "https://[fe80::1]/hook", "http://192.0.2.1/hook", "ftp://a/b"]
    {
        let mut office = Office::new(|folder| vec![chat(folder, Chat::Slack, url)]);
        office.write("a", &message(Event::Failed));
        let began = Instant::now();
        office.open(pace());
        // Dropped at once, and not after a try.
        office.is_empty().await;
        assert!(began.elapsed() < Duration::from_secs(2), "{url}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_slow_and_a_dead_receiver_delay_nobody() {
    let slow = Fake::new(vec![Answer::Never; 100]).await;
    let dead = Fake::new(Vec::new()).await.url("/hook");
    let mut good = Fake::new(Vec::new()).await;
    let mut office = Office::new(|folder| {
        let slow = webhook(folder, "slow", &slow.url("/hook"));
        vec![slow, webhook(folder, "dead", &dead), webhook(folder, "good", &good.url("/hook"))]
    });
    let began = Instant::now();
    office.open(evenkeel::announce::Pace { timeout: Duration::from_secs(60), ..pace() });
    for number in 0..20 {
        office.write(&format!("{number}"), &message(Event::Deployed));
    }
    // The outbox was written to beside the announcer, which would have told: it is found out by a new start.
    office.die();
    office.open(evenkeel::announce::Pace { timeout: Duration::from_secs(60), ..pace() });
    for _ in 0..20 {
        good.got().await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_was_cut_off_is_sent_again_with_the_same_id_and_only_that() {
    let mut fake = Fake::new(vec![Answer::Status(200), Answer::Never]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.write("b", &message(Event::Deployed));
    office.open(pace());
    assert_eq!(fake.got().await.event(), "failed");
    let cut_off = fake.got().await;
    office.die();
    office.open(pace());
    let again = fake.got().await;
    assert_eq!(again.header("webhook-id"), cut_off.header("webhook-id"));
    assert_eq!(again.body, cut_off.body);
    office.is_empty().await;
    office.die();
    office.open(pace());
    office.write("a", &message(Event::Failed));
    office.is_empty().await;
    assert!(fake.got_nothing());
}
