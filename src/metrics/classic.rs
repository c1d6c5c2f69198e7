//! The older text format of Prometheus, for what doesn't read `OpenMetrics`.

use std::collections::BTreeMap;

/// The same metrics in the older format. It has no units and no type for information, and its counters are declared by
/// the name of their series.
pub(super) fn classic(open: &str) -> String {
    let types: BTreeMap<&str, &str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(word), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let kind = types.get(name).copied().unwrap_or("untyped");
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            other => ("", other),
        };
        match word {
            "HELP" => text.extend(["# HELP ", name, suffix, " ", rest, "\n"]),
            "TYPE" => text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_says_the_same() {
        let open = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds{b=\"c\"} 1.0\n\
                    # HELP d How often.\n# TYPE d counter\nd_total 2\n\
                    # HELP e What.\n# TYPE e info\ne_info{f=\"# g\"} 1\n# EOF\n";
        let expected = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds{b=\"c\"} 1.0\n\
                        # HELP d_total How often.\n# TYPE d_total counter\nd_total 2\n\
                        # HELP e_info What.\n# TYPE e_info gauge\ne_info{f=\"# g\"} 1\n";
        assert_eq!(classic(open), expected);
    }
}
