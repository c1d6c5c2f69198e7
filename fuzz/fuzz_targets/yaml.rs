//! The loader: bytes that claim to be YAML. It must neither fail nor be slow, and what it says must be a text.
#![no_main]

use evenkeel::manifest::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let told = fuzzing::yaml(bytes);
    assert!(!told.contains("error[internal]"), "{told}");
});
