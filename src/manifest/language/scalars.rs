//! What YAML makes of a text without quotes, as the reader of Compose has it.
//!
//! That is YAML 1.2 with some of 1.1: `no` and `on` are texts, `0777` is octal, `1_000` is a number, `22:22` is a
//! text, and a date is a date.

/// What a text without quotes means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Plain {
    Flag(bool),
    Whole(i128),
    Decimal(f64),
    Date,
    Text,
}

/// Reads a text that stands without quotes.
pub(crate) fn plain(text: &str) -> Plain {
    match text {
        "true" | "True" | "TRUE" => return Plain::Flag(true),
        "false" | "False" | "FALSE" => return Plain::Flag(false),
        ".nan" | ".NaN" | ".NAN" => return Plain::Decimal(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Plain::Decimal(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Decimal(f64::NEG_INFINITY),
        _ => {}
    }
    let Some(first) = text.bytes().next() else { return Plain::Text };
    if first == b'.' {
        return if is_decimal(text) { decimal(text) } else { Plain::Text };
    }
    if !(first.is_ascii_digit() || first == b'-' || first == b'+') {
        return Plain::Text;
    }
    if is_date(text) {
        return Plain::Date;
    }
    let digits = text.replace('_', "");
    match whole(&digits) {
        Some(number) => Plain::Whole(number),
        None if is_decimal(&digits) => decimal(&digits),
        None => Plain::Text,
    }
}

fn decimal(text: &str) -> Plain {
    // What is too large for a number is a text.
    text.parse().ok().filter(|number: &f64| number.is_finite()).map_or(Plain::Text, Plain::Decimal)
}

/// A whole number that fits into 64 bits: decimal, `0x1f`, `0o17`, `0b11`, and `017` as older YAML has it.
pub(crate) fn whole(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (rest, 8)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    (number >= i128::from(i64::MIN) && number <= i128::from(u64::MAX)).then_some(number)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let mantissa_fits = digits(before) && digits(after) && !(before.is_empty() && after.is_empty());
    let exponent_fits = exponent.is_none_or(|text| {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        !unsigned.is_empty() && digits(unsigned)
    });
    mantissa_fits && exponent_fits
}

/// `2001-12-14`, also with a time: four digits, then one or two for the month and the day.
fn is_date(text: &str) -> bool {
    let number = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    let in_range = |text: &str, most: u8| text.parse::<u8>().is_ok_and(|number| (1..=most).contains(&number));
    number(year, 4..=4)
        && number(month, 1..=2)
        && number(day, 1..=2)
        && in_range(month, 12)
        && in_range(day, 31)
        && (time.is_empty() || is_time(time))
}

/// `T15:04:05.99Z`, ` 15:04:05`, `t15:04:05+01:00`
fn is_time(text: &str) -> bool {
    let (rest, zone_needed) = match text.as_bytes().first() {
        Some(b'T' | b't') => (&text[1..], true),
        Some(b' ') => (&text[1..], false),
        _ => return false,
    };
    let clock = rest.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(clock);
    let zoned = zone == "Z" || (zone.len() == 6 && zone.starts_with(['+', '-']));
    let parts: Vec<&str> = clock.split(':').collect();
    let sound = parts.len() == 3 && parts.iter().all(|part| !part.is_empty());
    sound && if zone_needed { zoned } else { zone.is_empty() }
}

/// From this power of ten on Compose prints an exponent.
const SHOWN_WITHOUT_EXPONENT: i32 = 6;

/// A decimal as Compose makes a text of it.
pub(crate) fn shown(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    // The shortest digits that give the number back, and where the point stands.
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..SHOWN_WITHOUT_EXPONENT).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_quotes_mean_what_compose_makes_of_them() {
        for (text, meaning) in [
            ("no", Plain::Text),
            ("on", Plain::Text),
            ("y", Plain::Text),
            ("True", Plain::Flag(true)),
            ("0777", Plain::Whole(511)),
            ("0o17", Plain::Whole(15)),
            ("0b11", Plain::Whole(3)),
            ("0x1F", Plain::Whole(31)),
            ("08", Plain::Decimal(8.0)),
            ("0o8", Plain::Text),
            ("0b2", Plain::Text),
            ("1_000", Plain::Whole(1000)),
            ("22:22", Plain::Text),
            ("1e3", Plain::Decimal(1000.0)),
            ("1.10", Plain::Decimal(1.1)),
            (".5", Plain::Decimal(0.5)),
            ("+5", Plain::Whole(5)),
            ("-", Plain::Text),
            (".", Plain::Text),
            ("12345678901234567890", Plain::Whole(12_345_678_901_234_567_890)),
            ("2024-01-01", Plain::Date),
            ("2024-01-01T00:00:00Z", Plain::Date),
            ("2024-13-01", Plain::Text),
            ("2024-01-01-rc1", Plain::Text),
            ("1.2.3", Plain::Text),
        ] {
            assert_eq!(plain(text), meaning, "{text}");
        }
    }

    #[test]
    fn decimals_are_printed_as_compose_prints_them() {
        for (number, text) in [
            (1.1, "1.1"),
            (1000.0, "1000"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (100_000.0, "100000"),
            (123_456_789.0, "1.23456789e+08"),
            (1e30, "1e+30"),
            (1.23e-7, "1.23e-07"),
            (-500.0, "-500"),
        ] {
            assert_eq!(shown(number), text);
        }
    }
}
