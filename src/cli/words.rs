//! Numbers and times as people say them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time span: `80 ms`, `4.1 s`, `2 min 5 s`.
pub(super) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else if time < Duration::from_secs(90) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

/// How long ago `then` was: `3 min ago`. What lies ahead, by a clock that was set back, counts as now.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..5 => "just now".to_owned(),
        5..90 => format!("{seconds} s ago"),
        90..5400 => format!("{} min ago", seconds / 60),
        5400..129_600 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A moment in the time zone of whoever looks: `2026-01-31 14:05:09`.
pub(super) fn moment(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A size: `41.3 MB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (size, unit) in UNITS {
        if count >= size {
            // Tenths, by whole numbers: no size is too large to be exact.
            return format!("{}.{} {unit}", count / size, count % size * 10 / size);
        }
    }
    format!("{count} B")
}

/// A count with its noun: `1 service`, `13 services`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Rows under a heading, each column as wide as its widest cell, without trailing blanks. An empty cell of the last
/// columns takes no room.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|word| word.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(cells) {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()) + 3);
            line.push_str(cell);
            line.push_str(&gap);
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let mut text = line(&mut heading.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_said_as_people_say_them() {
        let said = [80, 4_120, 125_000].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(said, ["80 ms", "4.1 s", "2 min 5 s"]);
        assert_eq!([999, 1_000, 41_390_000].map(bytes), ["999 B", "1.0 kB", "41.3 MB"]);
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let said = [-9, 3, 60, 600, 7_200, 864_000]
            .map(|seconds| ago(now - jiff::SignedDuration::from_secs(seconds), now));
        assert_eq!(said, ["just now", "just now", "60 s ago", "10 min ago", "2 h ago", "10 days ago"]);
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = vec![vec!["a".to_owned(), "long cell".to_owned()], vec!["bcd".to_owned(), String::new()]];
        assert_eq!(table(&["X", "Y"], &rows), "X     Y\na     long cell\nbcd\n");
    }
}
