//! The page for people: what is known of each stack, to look at. It has no script, no link and no form, and everything on
//! it that came from elsewhere is escaped, so that it can only ever be text.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{Html, IntoResponse};

use super::caller::Caller;
use super::look::seen;
use super::site::Site;
use crate::agent::status::{Operation, StackState};

/// A text from elsewhere, as it is written into HTML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Those that turn the direction of a text around could make it say something else.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_char('\u{fffd}')?,
                c if c.is_control() && c != '\n' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A page for people.
#[utoipa::path(
    get, path = "/", tag = "agent", operation_id = "page",
    responses((status = 200, description = "The stacks that you may see", body = String, content_type = "text/html")),
)]
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
) -> Html<String> {
    Html(drawn(&seen(&site, &caller)))
}

/// The looks of the page.
#[utoipa::path(
    get, path = "/style.css", tag = "agent", operation_id = "style",
    responses((status = 200, description = "A style sheet", body = String, content_type = "text/css")),
)]
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

const STYLE: &str = "\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border: 1px solid #8886; border-radius: .5rem; padding: 0 1rem 1rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: 10rem 1fr; gap: .25rem 1rem; margin: 0; }
dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
.good { color: #1a7f37; } .bad { color: #cf222e; } .busy { color: #9a6700; }
";

fn drawn(states: &[StackState]) -> String {
    let mut html = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Evenkeel</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<h1>Evenkeel</h1>\n",
    );
    if states.is_empty() {
        html.push_str("<p>Nothing is followed here that you may see.</p>\n");
    }
    for state in states {
        section(&mut html, state);
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn section(html: &mut String, state: &StackState) {
    let name = state.stack.as_deref().unwrap_or("(no manifests were read yet)");
    let _ = write!(html, "<section>\n<h2>{}</h2>\n<dl>\n", Escaped(name));
    let mut row = |what: &str, class: &str, text: &str| {
        let _ = writeln!(html, "<dt>{what}</dt><dd class=\"{class}\">{}</dd>", Escaped(text));
    };
    let with = |text: String, reason: Option<&String>| {
        reason.map_or_else(|| text.clone(), |reason| format!("{text}: {reason}"))
    };
    let (sync, health) = (&state.sync, &state.health);
    row("Sync", of_sync(state), &with(sync.state.to_string(), sync.reason.as_ref()));
    row("Health", of_health(state), &with(health.state.to_string(), health.reason.as_ref()));
    row("Operation", "", &operation(&state.operation.state));
    row("Environment", "", &state.environment);
    row("Repository", "", &with(state.repository.clone(), state.branch.as_ref()));
    let revisions = &state.revisions;
    for (what, commit) in
        [("Observed", &revisions.observed), ("Applied", &revisions.applied), ("Stable", &revisions.stable)]
    {
        if let Some(commit) = commit {
            row(what, "", commit);
        }
    }
    if let Some(held) = &revisions.held {
        row("Held", "bad", &held.reason);
    }
    for entry in &revisions.quarantined {
        row("Quarantined", "bad", &entry.reason);
    }
    if let Some(paused) = &state.paused {
        row("Paused", "busy", &format!("until {:.0} by {}: {}", paused.until, paused.by, paused.reason));
    }
    if let Some(plan) = &state.waiting_plan {
        row("Waits for approval", "busy", plan);
    }
    if let Some(looked) = state.looked {
        row("Looked", "", &format!("{looked:.0}"));
    }
    html.push_str("</dl>\n</section>\n");
}

fn of_sync(state: &StackState) -> &'static str {
    use crate::agent::status::Sync;
    match state.sync.state {
        Sync::InSync => "good",
        Sync::OutOfSync => "busy",
        Sync::Unknown => "bad",
    }
}

fn of_health(state: &StackState) -> &'static str {
    use crate::agent::status::Health;
    match state.health.state {
        Health::Healthy => "good",
        Health::Progressing => "busy",
        Health::Degraded | Health::Missing | Health::Unknown => "bad",
    }
}

fn operation(operation: &Operation) -> String {
    let at = |done: &usize, steps: &usize, what: &Option<String>| {
        format!("{done} of {steps}{}", what.as_ref().map(|what| format!(", {what}")).unwrap_or_default())
    };
    match operation {
        Operation::Idle => "idle".to_owned(),
        Operation::Looking => "looking".to_owned(),
        Operation::Applying { deploy, done, steps, what } => {
            format!("applying {deploy}: {}", at(done, steps, what))
        }
        Operation::RollingBack { deploy, done, steps, what } => {
            format!("rolling back {deploy}: {}", at(done, steps, what))
        }
        Operation::Watching { deploy } => format!("watching {deploy}"),
        Operation::Waiting { reason, until } => {
            let until = until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
            format!("waiting{until}: {reason}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::status::{Held, HoldKind};

    #[test]
    fn whatever_comes_from_elsewhere_is_text() {
        let hostile = "<script>alert(1)</script>\" onload='x' &amp; javascript:alert(1) \u{202e}\u{1b}[31m";
        let mut state = StackState {
            stack: Some(hostile.to_owned()),
            environment: hostile.to_owned(),
            repository: hostile.to_owned(),
            branch: Some(hostile.to_owned()),
            ..StackState::default()
        };
        state.revisions.held = Some(Held {
            commit: None,
            kind: HoldKind::Invalid,
            reason: hostile.to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        });
        state.operation.state = Operation::Waiting { reason: hostile.to_owned(), until: None };
        let html = drawn(&[state]);
        assert!(!html.contains("<script") && !html.contains("' ") && !html.contains("\" on"), "{html}");
        assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'));
        assert!(html.contains(
            "&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; &amp;amp; javascript:"
        ));
        assert_eq!(html.matches("href").count(), 1, "the style sheet is the only address");
    }
}
