//! Templates. What holds a secret is marked, and what has no variables stays as it is.
#![no_main]

use evenkeel::manifest::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|template: &str| {
    let (text, sensitive, parts) = fuzzing::interpolation(template);
    assert!(sensitive || template.contains("hunter2") || !text.contains("hunter2"), "{text:?}");
    assert!(template.contains('$') || text == template, "{text:?}");
    assert!(parts.iter().all(|part| part.starts_with('$') || part.len() > 16), "{parts:?}");
});
