//! Files of variables. The first byte chooses the format. What is wrong is told without the secret in it.
#![no_main]

use evenkeel::manifest::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((format, bytes)) = bytes.split_first() else { return };
    let (known, told) = fuzzing::dotenv(bytes, format % 4 == 0);
    for name in known.keys() {
        assert!(!name.is_empty() && !name.contains(['\n', '\0', '=']), "{name:?}");
    }
    // Names are shown, and a file may call a variable so.
    let named = bytes.windows(7).any(|part| part == b"hunter2");
    assert!(named || !told.contains("hunter2"), "{told}");
    assert!(!told.contains("error[internal]"), "{told}");
});
