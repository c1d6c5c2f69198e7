//! What must hold before a started service counts as up.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use regex::Regex;

use crate::model::text::Text;

/// What must hold before a started service counts as up. All parts must hold, and so must its health check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// Whether the process is to stay or to end with 0.
    pub expect: Expect,
    /// What is asked of the container; each must be answered well once.
    pub probes: Vec<Probe>,
    /// Whether its published ports must be there.
    pub ports: Ports,
    /// How long the container must have been running without a restart. Absent: 2 s where nothing else is asked,
    /// else no time.
    pub stable_for: Option<Duration>,
    /// After so long without any progress, the gate has failed. Absent: 5 min.
    pub deadline: Option<Duration>,
}

/// What the process of a service is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expect {
    /// It runs until it is stopped.
    #[default]
    Running,
    /// It does its work once and ends with 0. Some other service waits for that.
    Completed,
}

/// Whether the published ports of a container must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ports {
    /// Docker must have bound them, and the host pass connections on.
    #[default]
    Asked,
    /// They are as they are: it is a container that served before, and is only to do so again.
    AsBefore,
}

/// One thing that is asked of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// An HTTP request must be answered as described.
    Http(HttpProbe),
    /// This port of the container must accept connections.
    Tcp(u16),
    /// A command in the container must end with 0.
    Exec(ExecProbe),
    /// The container must write such a line, some time after its start.
    Log(LogProbe),
}

impl Probe {
    /// Whether it can be asked of a container that has run for long. What a log said once says nothing of now.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Http(_) | Self::Tcp(_) | Self::Exec(_) => true,
            Self::Log(_) => false,
        }
    }

    /// Every text of it that may be sensitive.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Self::Http(HttpProbe { path, headers, expect_headers, json, .. }) => {
                let more = headers.values().chain(expect_headers.values()).chain(json.values());
                std::iter::once(path).chain(more).collect()
            }
            Self::Tcp(_) => Vec::new(),
            Self::Exec(probe) => probe.command.iter().collect(),
            Self::Log(LogProbe::Line(line)) => vec![line],
            Self::Log(LogProbe::Pattern(pattern)) => vec![&pattern.text],
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => write!(f, "http :{}{}", http.port, http.shown_path()),
            Self::Tcp(port) => write!(f, "port {port}"),
            Self::Exec(probe) => match probe.command.first() {
                Some(program) => write!(f, "the command {program}"),
                None => f.write_str("a command"),
            },
            Self::Log(LogProbe::Line(line)) => write!(f, "the log line `{line}`"),
            Self::Log(LogProbe::Pattern(pattern)) => write!(f, "a log line like `{}`", pattern.text),
        }
    }
}

/// An HTTP request that the agent makes to the container and how it must be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Port of the container.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub path: Text,
    /// How it is asked.
    pub method: Method,
    /// Headers of the request by their names in lower case.
    pub headers: BTreeMap<String, Text>,
    /// The statuses wanted; any of them will do.
    pub status: Vec<Statuses>,
    /// Headers that the answer must have, by their names in lower case.
    pub expect_headers: BTreeMap<String, Text>,
    /// Fields that the JSON body must have, by JSON pointer, with their values as text.
    pub json: BTreeMap<String, Text>,
    /// How many redirects are followed. One more is an answer as any.
    pub redirects: u8,
    /// Longest time of one request with all its redirects, until the whole answer has come. Absent: 5 s.
    pub within: Option<Duration>,
}

impl HttpProbe {
    /// A GET request that must be answered with 200.
    pub fn get(port: u16, path: &str) -> Self {
        Self {
            port,
            path: Text::plain(path),
            method: Method::Get,
            headers: BTreeMap::new(),
            status: vec![Statuses::OK],
            expect_headers: BTreeMap::new(),
            json: BTreeMap::new(),
            redirects: 0,
            within: None,
        }
    }

    /// Its path and query, for people.
    pub fn shown_path(&self) -> String {
        if self.path.is_sensitive() { format!("/{}", self.path) } else { self.path.to_string() }
    }
}

/// The methods of requests that change nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`: the answer has no body.
    Head,
}

impl Method {
    /// All of them, by the words of HTTP.
    pub const WORDS: [(&'static str, Self); 2] = [("GET", Self::Get), ("HEAD", Self::Head)];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// Statuses of HTTP answers, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    first: u16,
    last: u16,
}

impl Statuses {
    /// Only 200.
    pub const OK: Self = Self { first: 200, last: 200 };

    /// Those from `first` to `last`, if there are such statuses.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (100 <= first && first <= last && last < 600).then_some(Self { first, last })
    }

    /// Whether `status` is one of them.
    pub fn has(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl std::str::FromStr for Statuses {
    type Err = ();

    /// Reads `204`, `200-299` and `2xx`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| match text.as_bytes() {
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => text.parse::<u16>().map_err(drop),
            _ => Err(()),
        };
        if let Some(class) = text.strip_suffix("xx") {
            let first = number(&format!("{class}00"))?;
            return Self::new(first, first + 99).ok_or(());
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(number(first)?, number(last)?).ok_or(())
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) if first % 100 == 0 && last == first + 99 => write!(f, "{}xx", first / 100),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// A command that is run in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecProbe {
    /// The program and its arguments; never empty.
    pub command: Vec<Text>,
    /// Longest time of one run. Absent: 5 s.
    pub within: Option<Duration>,
}

/// A line that the container is to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogProbe {
    /// One that has this text in it.
    Line(Text),
    /// One that this matches.
    Pattern(Pattern),
}

impl LogProbe {
    /// Whether `line` is such a line.
    pub fn matches(&self, line: &str) -> bool {
        match self {
            Self::Line(text) => line.contains(text.expose()),
            Self::Pattern(pattern) => pattern.regex.is_match(line),
        }
    }
}

/// A regular expression. It is matched in linear time, and bounded in size.
#[derive(Clone)]
pub struct Pattern {
    text: Text,
    regex: Regex,
}

/// Most bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 256 << 10;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in a line that doesn't repeat it.
    pub fn new(text: Text) -> Result<Self, String> {
        let compiled = regex::RegexBuilder::new(text.expose()).size_limit(PATTERN_BYTES).build();
        match compiled {
            Ok(regex) => Ok(Self { text, regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err("it is too big".to_owned()),
            // The whole text repeats the pattern over several lines; its last line says what is wrong.
            Err(error) => {
                let said = error.to_string();
                let last = said.lines().next_back().unwrap_or_default();
                Err(last.trim_start_matches("error: ").to_owned())
            }
        }
    }

    /// As it was written.
    pub fn text(&self) -> &Text {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_one_a_range_or_a_class() {
        for (text, good, bad) in [("204", 204, 200), ("200-299", 299, 300), ("2xx", 200, 199)] {
            let read: Statuses = text.parse().unwrap();
            assert!(read.has(good) && !read.has(bad), "{text}");
        }
        assert_eq!("200-299".parse::<Statuses>().unwrap().to_string(), "2xx");
        assert_eq!("200-204".parse::<Statuses>().unwrap().to_string(), "200-204");
        for text in ["", "99", "600", "6xx", "xx", "2x", "204-200", "+20", "200-", "2xx-3xx", "0200"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_sensitive_part_of_a_probe_is_not_shown() {
        let token = || Text::sensitive("hunter22");
        let mut http = HttpProbe::get(80, "/");
        http.headers.insert("authorization".into(), token());
        http.path = token();
        let probes = [
            Probe::Http(http),
            Probe::Exec(ExecProbe { command: vec![token()], within: None }),
            Probe::Log(LogProbe::Line(token())),
            Probe::Log(LogProbe::Pattern(Pattern::new(token()).unwrap())),
        ];
        for probe in &probes {
            assert!(!format!("{probe} {probe:?}").contains("hunter"), "{probe:?}");
            assert!(probe.texts().iter().any(|text| text.expose() == "hunter22"));
        }
        let error = Pattern::new(Text::sensitive("hunter22(")).unwrap_err();
        assert_eq!(error, "unclosed group");
    }

    #[test]
    fn a_line_is_found_by_text_or_pattern() {
        let line = "2026-01-01 [main] listening on :8080";
        assert!(LogProbe::Line("listening on".into()).matches(line));
        assert!(!LogProbe::Line("listening .n".into()).matches(line));
        let pattern = |text: &str| LogProbe::Pattern(Pattern::new(text.into()).unwrap());
        assert!(pattern(r"listening on :\d+$").matches(line) && !pattern("^listening").matches(line));
        assert_eq!(Pattern::new("(a{1000}){1000}".into()).unwrap_err(), "it is too big");
    }
}
