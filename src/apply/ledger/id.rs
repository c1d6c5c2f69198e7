//! Deploy ids: short, lower case, sorted by time.

use jiff::Timestamp;

use crate::model::name::DeployId;

/// Crockford's base 32: digits and lower-case letters without those that look alike.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Digits of the time: 50 bits of milliseconds, enough for thirty thousand years.
const TIME_DIGITS: u32 = 10;

/// Digits of chance: 20 bits, so that two hosts that begin in the same millisecond differ.
const RANDOM_DIGITS: u32 = 4;

/// A new id: fourteen characters, sorted by `now`. `random` keeps two of the same moment apart.
pub fn new_deploy_id(now: Timestamp, random: [u8; 4]) -> DeployId {
    let time = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let text = digits(time, TIME_DIGITS) + &digits(u64::from(u32::from_be_bytes(random)), RANDOM_DIGITS);
    match text.parse() {
        Ok(id) => id,
        Err(error) => unreachable!("BUG: {error}"),
    }
}

fn digits(number: u64, count: u32) -> String {
    let digit = |at: u32| char::from(DIGITS[usize::from((number >> (5 * at)).to_le_bytes()[0] & 31)]);
    (0..count).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(milliseconds: i64, random: u8) -> String {
        new_deploy_id(Timestamp::from_millisecond(milliseconds).unwrap(), [0, 0, 0, random]).to_string()
    }

    #[test]
    fn ids_sort_by_time_and_differ_by_chance() {
        assert_eq!(id(1_767_225_600_000, 7).len(), 14);
        assert!(id(1_767_225_600_000, 255) < id(1_767_225_600_001, 0));
        assert!(id(9, 0) < id(10, 0));
        assert_ne!(id(5, 1), id(5, 2));
    }
}
