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
    assert!(!told.contains("hunter2") && !told.contains("error[internal]"), "{told}");
});
