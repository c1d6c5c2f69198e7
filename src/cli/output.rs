//! The only place that prints. Data goes to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};

use anstyle::AnsiColor;

use super::args::Global;
use super::failure::{describe, label};

/// How to talk to whoever started the program.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether data is JSON.
    pub json: bool,
    /// Whether only data and errors are wanted.
    pub quiet: bool,
    /// Whether more is wanted than what most people want.
    pub verbose: bool,
    /// Whether standard output understands colours.
    pub colour: bool,
    /// Whether standard error is a terminal on which lines can be drawn again.
    pub live: bool,
    /// Columns of the terminal.
    pub width: usize,
}

/// Columns where there is no terminal to ask.
const WIDTH: usize = 110;

impl Output {
    /// Looks at the streams of the process. `NO_COLOR` and a terminal of the kind `dumb` are respected.
    pub fn of_process(global: &Global) -> Self {
        let Global { json, quiet, verbose, .. } = *global;
        let colour = matches!(
            anstream::AutoStream::choice(&std::io::stdout()),
            anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi
        );
        // Log lines would tear what is drawn.
        let logs = verbose > 0 || std::env::var_os("EVENKEEL_LOG").is_some();
        let is_dumb = std::env::var_os("TERM").is_some_and(|kind| kind == "dumb");
        let live = std::io::stderr().is_terminal() && !quiet && !logs && !is_dumb;
        let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
        Self { json, quiet, verbose: verbose > 0, colour, live, width }
    }

    /// Prints data, with a line break at its end.
    pub fn data(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        // A closed pipe is the reader's decision and no failure of ours.
        let _ = stdout.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = stdout.write_all(b"\n");
        }
        let _ = stdout.flush();
    }

    /// Prints a value as JSON.
    pub fn value(&self, value: &serde_json::Value) {
        self.data(&format!("{value:#}"));
    }

    /// Tells something that is no data, unless only data is wanted.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            line(text);
        }
    }

    /// Warns, even where only data is wanted.
    pub fn warn(&self, text: &str) {
        line(&format!("{} {text}", label("warning:", AnsiColor::Yellow)));
    }

    /// Whether standard error understands colours. [`Output::say`] and [`Output::warn`] drop them by themselves.
    pub(super) fn is_stderr_coloured() -> bool {
        matches!(
            anstream::AutoStream::choice(&std::io::stderr()),
            anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi
        )
    }

    /// Prints an error with its causes and hints.
    pub fn error(&self, error: &anyhow::Error) {
        line(&describe(error));
    }
}

/// Prints the help where it wasn't asked for.
pub(super) fn help(text: &str) {
    line(text);
}

fn line(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(text.trim_end_matches('\n').as_bytes());
    let _ = stderr.write_all(b"\n");
}
