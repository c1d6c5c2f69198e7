//! Health checks.

use std::time::Duration;

use bollard::models::HealthConfig;

use super::nanoseconds;
use crate::model::spec::{HealthTest, Healthcheck};
use crate::model::text::Text;

/// The API's form. Zero and empty mean "as the image says" there.
pub(in crate::engine::docker) fn to_api(check: &Healthcheck) -> HealthConfig {
    let Healthcheck { test, interval, timeout, start_period, start_interval, retries } = check;
    HealthConfig {
        test: test.as_ref().map(|test| match test {
            HealthTest::Disabled => vec!["NONE".to_owned()],
            HealthTest::Exec(command) => {
                let words = command.iter().map(|word| word.expose().to_owned());
                std::iter::once("CMD".to_owned()).chain(words).collect()
            }
            HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.expose().to_owned()],
        }),
        interval: interval.map(nanoseconds),
        timeout: timeout.map(nanoseconds),
        start_period: start_period.map(nanoseconds),
        retries: retries.map(i64::from),
        start_interval: start_interval.map(nanoseconds),
    }
}

/// Our form, or nothing if nothing is said.
pub(in crate::engine::docker) fn from_api(config: HealthConfig) -> Option<Healthcheck> {
    let duration = |nanoseconds: Option<i64>| super::limit(nanoseconds).map(Duration::from_nanos);
    let check = Healthcheck {
        test: config.test.and_then(test),
        interval: duration(config.interval),
        timeout: duration(config.timeout),
        start_period: duration(config.start_period),
        start_interval: duration(config.start_interval),
        retries: super::limit(config.retries).and_then(|retries| u32::try_from(retries).ok()),
    };
    (check != Healthcheck::default()).then_some(check)
}

fn test(words: Vec<String>) -> Option<HealthTest> {
    let mut words = words.into_iter();
    match words.next()?.as_str() {
        "NONE" => Some(HealthTest::Disabled),
        "CMD" => Some(HealthTest::Exec(words.map(Text::sensitive).collect())),
        "CMD-SHELL" => Some(HealthTest::Shell(Text::sensitive(words.collect::<Vec<_>>().join(" ")))),
        _ => None,
    }
}
