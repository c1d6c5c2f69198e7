//! Durations, sizes and processor counts as Compose writes them.

use std::time::Duration;

/// `1m30s`, `500ms`, `1.5h`: numbers with the units `ns`, `us`, `ms`, `s`, `m`, `h`, `d`, `w`, added up.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut any = false;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let nanoseconds: u64 = match unit.trim() {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            "d" => 86_400 * 1_000_000_000,
            "w" => 7 * 86_400 * 1_000_000_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_nanos(scaled(number, nanoseconds)?))?;
        any = true;
        rest = after;
    }
    any.then_some(total)
}

/// `4g`, `512m`, `4GiB`, `1.5kb`, `1024`: bytes, in powers of 1024.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let prefix = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 0,
        "k" | "ki" => 10,
        "m" | "mi" => 20,
        "g" | "gi" => 30,
        "t" | "ti" => 40,
        "p" | "pi" => 50,
        _ => return None,
    };
    scaled(number, 1 << prefix)
}

/// `0.5`, `2`: processor time, in billionths of a core.
pub(crate) fn nano_cpus(text: &str) -> Option<u64> {
    scaled(text.trim(), 1_000_000_000)
}

/// `number` × `unit`, exactly, without the detour over binary fractions; what is finer than 1 is cut off.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Eighteen places are finer than any unit here.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let places = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let part = u64::try_from(part * u128::from(unit) / places).ok()?;
    whole.checked_mul(unit)?.checked_add(part)
}

/// A duration as Compose prints it: `1m30s`.
pub(crate) fn shown_duration(duration: Duration) -> String {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if seconds == 0 && nanoseconds > 0 && nanoseconds.is_multiple_of(1_000_000) {
        return format!("{}ms", nanoseconds / 1_000_000);
    }
    let unit = |count: u64, unit: &str| if count == 0 { String::new() } else { format!("{count}{unit}") };
    let fraction = format!(".{nanoseconds:09}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    let seconds_shown = rest > 0 || nanoseconds > 0 || seconds == 0;
    let rest = if seconds_shown { format!("{rest}{fraction}s") } else { String::new() };
    format!("{}{}{rest}", unit(hours, "h"), unit(minutes, "m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, milliseconds, shown) in [
            ("1m30s", 90_000, "1m30s"),
            ("500ms", 500, "500ms"),
            ("1.5h", 5_400_000, "1h30m"),
            ("90s", 90_000, "1m30s"),
            ("0", 0, "0s"),
            ("1d", 86_400_000, "24h"),
            ("1.25s", 1_250, "1.25s"),
        ] {
            let read = duration(text);
            assert_eq!(read, Some(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(read.map(shown_duration).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1x", "1s2", "99999999999999w", "1..5s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("4g", 4 << 30),
            ("512m", 512 << 20),
            ("4GiB", 4 << 30),
            ("1.5kb", 1536),
            ("7", 7),
            ("2 MB", 2 << 20),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "g", "-1", "1x", "1gg", "99999999999999p", "1.2.3m"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn processor_counts_are_exact() {
        assert_eq!(nano_cpus("0.1"), Some(100_000_000));
        assert_eq!(nano_cpus("2"), Some(2_000_000_000));
        assert_eq!(nano_cpus("half"), None);
    }
}
