//! Durations, sizes and numbers in the one form in which they are printed.

/// A size as Compose reads it: `1.5gb`, `512m`, `64`. Powers of 1024; what is finer than a byte is cut off.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.replace('_', "");
    let end = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))? + 1;
    let (number, unit) = text.split_at(end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let unit = unit.to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit == "ib" => return None,
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    if let Ok(number) = number.parse::<u64>() {
        return number.checked_mul(1 << power);
    }
    // Compose reckons with binary fractions, and cuts off.
    let bytes = number.parse::<f64>().ok()? * f64::from(2_u32).powi(power);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the range")]
    (bytes.is_finite() && (0.0..9e18).contains(&bytes)).then_some(bytes as u64)
}

/// A duration in nanoseconds, with its sign: `1m30s`, `-5s`, `1.5h`, `1d2h`.
pub(crate) fn nanoseconds(text: &str) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.starts_with(['-', '+']) || rest.contains(char::is_whitespace) {
        return None;
    }
    let length = i128::try_from(super::super::units::duration(rest)?.as_nanos()).ok()?;
    if length > i128::from(i64::MAX) {
        return None;
    }
    Some(if negative { -length } else { length })
}

/// A duration as Go prints it: `1m30s`, `2m0s`, `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub(crate) fn shown_duration(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let length = nanoseconds.unsigned_abs();
    let fraction = |whole: u128, unit: u128, name: &str| {
        let digits = unit.ilog10() as usize;
        let part = format!("{:0digits$}", whole % unit);
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        format!("{}{point}{part}{name}", whole / unit)
    };
    if length == 0 {
        return "0s".to_owned();
    }
    if length < 1_000 {
        return format!("{sign}{length}ns");
    }
    if length < 1_000_000 {
        return format!("{sign}{}", fraction(length, 1_000, "µs"));
    }
    if length < 1_000_000_000 {
        return format!("{sign}{}", fraction(length, 1_000_000, "ms"));
    }
    let minutes = length / 60_000_000_000;
    let seconds = fraction(length % 60_000_000_000, 1_000_000_000, "s");
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (text, shown) in [
            ("1m30s", "1m30s"),
            ("2m", "2m0s"),
            ("1.5h", "1h30m0s"),
            ("1d2h", "26h0m0s"),
            ("1w", "168h0m0s"),
            ("-5s", "-5s"),
            ("1h1h", "2h0m0s"),
            ("100us", "100µs"),
            ("1500ms", "1.5s"),
            ("0s", "0s"),
            ("100ms", "100ms"),
            ("1.5ms", "1.5ms"),
            ("7ns", "7ns"),
        ] {
            assert_eq!(nanoseconds(text).map(shown_duration).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "10", "abc", "--5s", " 5s", "5 s s"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
