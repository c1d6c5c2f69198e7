//! Templates. What holds a secret is marked, and what has no variables stays as it is.
#![no_main]

use evenkeel::manifest::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|template: &str| {
    let (text, sensitive, parts) = fuzzing::interpolation(template);
    assert!(parts.iter().all(|part| part.len() <= template.len()), "{parts:?}");
    let Some(text) = text else {
        assert!(!parts.is_empty());
        return;
    };
    // The 2 can come from nowhere else.
    assert!(sensitive || template.contains('2') || !text.contains("hunter2"), "{text:?}");
    assert!(template.contains('$') || text == template, "{text:?}");
});
