//! Messages in the forms of their receivers. Pure: the same message always gives the same request.
//!
//! The words around the texts of others are ours; the texts themselves go through `text`, so that they are nothing but
//! texts wherever they end up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use super::message::{Event, Message};
use super::text::{block, code, cut, slack, slack_code};
use crate::agent::credential::Secret;
use crate::manifest::{Chat, Forge, Urgency};

/// What is sent, but not where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// Headers besides the usual ones. A value may be a secret.
    pub(super) headers: Vec<(&'static str, Secret)>,
    /// The body, which is JSON.
    pub(super) body: String,
}

impl Sent {
    fn json(body: &Value) -> Self {
        Self { headers: Vec::new(), body: body.to_string() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret::new(value)));
        self
    }
}

fn mark(urgency: Urgency, event: Event) -> &'static str {
    match (urgency, event) {
        (_, Event::Recovered | Event::Deployed | Event::Returned) => "✅",
        (Urgency::Info, _) => "ℹ️",
        (Urgency::Warning, _) => "⚠️",
        (Urgency::Critical, _) => "🔴",
    }
}

/// Slack refuses a message with a longer block, which may hold 3000 characters; an escaped one counts as up to five.
const SLACK_BLOCK: usize = 2900;

/// The body of a chat's incoming webhook.
pub(super) fn chat(chat: Chat, message: &Message) -> Sent {
    Sent::json(&match chat {
        Chat::Slack => slack_blocks(message),
        Chat::Discord => discord(message),
        Chat::Mattermost => json!({"username": "evenkeel", "text": markdown(message, 3900)}),
        Chat::Teams => teams(message),
    })
}

fn slack_blocks(message: &Message) -> Value {
    let title = format!("{} {}", mark(message.urgency, message.event), message.title());
    let section =
        |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": text}});
    let mut blocks = vec![section(format!("*{}*", slack(&cut(&title, 300))))];
    let mut lines = String::new();
    for (label, text) in message.lines() {
        let line = format!("{label}: {}\n", slack_code(&cut(&text, SLACK_BLOCK / 6)));
        if lines.chars().count() + line.chars().count() > SLACK_BLOCK {
            blocks.push(section(std::mem::take(&mut lines)));
        }
        lines.push_str(&line);
    }
    blocks.extend((!lines.is_empty()).then(|| section(lines)));
    blocks.extend(slack_log(&message.log).map(section));
    json!({"text": slack(&title), "blocks": blocks})
}

/// As much of the end of a log as a block takes.
fn slack_log(log: &[String]) -> Option<String> {
    let fits = |from: usize| {
        let text = slack(&block(log.get(from..).unwrap_or_default()));
        (text.chars().count() <= SLACK_BLOCK).then_some(text)
    };
    (0..log.len()).find_map(fits)
}

fn discord(message: &Message) -> Value {
    let colour = match (message.urgency, message.event) {
        (_, Event::Recovered | Event::Deployed | Event::Returned) => 0x2e_7d32,
        (Urgency::Info, _) => 0x15_65c0,
        (Urgency::Warning, _) => 0xf9_a825,
        (Urgency::Critical, _) => 0xc6_2828,
    };
    let embed = json!({
        "title": cut(&message.title(), 250),
        "description": body(message, 4000),
        "color": colour,
        "timestamp": message.at.to_string(),
    });
    json!({"username": "Evenkeel", "embeds": [embed], "allowed_mentions": {"parse": []}})
}

/// The whole message in Markdown.
fn markdown(message: &Message, most: usize) -> String {
    let title = format!("{} **{}**", mark(message.urgency, message.event), cut(&message.title(), 300));
    format!("{title}\n{}", body(message, most))
}

/// Everything but the title in Markdown. What is too much is left out as a whole, so that no code stays open.
fn body(message: &Message, most: usize) -> String {
    let mut text = String::new();
    let lines = message.lines().into_iter().map(|(label, line)| format!("{label}: {}\n", code(&line)));
    let log = (!message.log.is_empty()).then(|| block(&message.log));
    for part in lines.chain(log) {
        if text.chars().count() + part.chars().count() <= most {
            text.push_str(&part);
        }
    }
    text.trim_end().to_owned()
}

/// An adaptive card. Only text runs are used, for in them nothing is Markdown.
fn teams(message: &Message) -> Value {
    let run = |text: &str, weight: &str| json!({"type": "TextRun", "text": text, "weight": weight});
    let block = |inlines: Vec<Value>| json!({"type": "RichTextBlock", "inlines": inlines});
    let title = format!("{} {}", mark(message.urgency, message.event), cut(&message.title(), 300));
    let mut rows = vec![block(vec![run(&title, "Bolder")])];
    rows.extend(
        message
            .lines()
            .iter()
            .map(|(label, text)| block(vec![run(&format!("{label}: "), "Bolder"), run(text, "Default")])),
    );
    let log = message.log.iter().map(|line| {
        block(vec![json!({"type": "TextRun", "text": line, "fontType": "Monospace", "size": "Small"})])
    });
    rows.extend(log);
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": rows,
    });
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card}],
    })
}

/// The message as plain text.
pub(super) fn plain(message: &Message) -> String {
    let lines = message.lines().into_iter().map(|(label, line)| format!("{label}: {line}\n"));
    let log = (!message.log.is_empty()).then(|| format!("\n{}\n", message.log.join("\n")));
    lines.chain(log).collect()
}

/// A message to a topic of ntfy.
pub(super) fn ntfy(topic: &str, token: Option<&Secret>, message: &Message) -> Sent {
    let (priority, tag) = match (message.urgency, message.event) {
        (_, Event::Recovered | Event::Deployed | Event::Returned) => (3, "white_check_mark"),
        (Urgency::Info, _) => (3, "information_source"),
        (Urgency::Warning, _) => (4, "warning"),
        (Urgency::Critical, _) => (5, "rotating_light"),
    };
    let sent = Sent::json(&json!({
        "topic": topic,
        "title": cut(&message.title(), 200),
        "message": cut(plain(message).trim_end(), 3000),
        "priority": priority,
        "tags": [tag],
    }));
    match token {
        Some(token) => sent.with("authorization", format!("Bearer {}", token.expose())),
        None => sent,
    }
}

/// A signed message, by the rules of Standard Webhooks: who has the secret can tell that it is ours, that it is not old,
/// and that it was not seen before.
pub(super) fn webhook(secret: &Secret, id: &str, now: Timestamp, message: &Message) -> Sent {
    let body = json!({"type": message.event, "timestamp": message.at, "data": message}).to_string();
    let seconds = now.as_second().to_string();
    let signature = signature(secret, &format!("{id}.{seconds}.{body}"));
    Sent { headers: Vec::new(), body }
        .with("webhook-id", id)
        .with("webhook-timestamp", seconds)
        .with("webhook-signature", format!("v1,{signature}"))
}

/// The key is the secret as it is, or what follows `whsec_` in Base64.
fn signature(secret: &Secret, signed: &str) -> String {
    let given = secret.expose();
    let decoded = given.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    let key = decoded.unwrap_or_else(|| given.as_bytes().to_vec());
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(signed.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// What a message says of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitState {
    Pending,
    Success,
    Failure,
    Stopped,
}

/// What an event says of its commit, if it says anything.
pub(super) fn commit_state(event: Event) -> Option<CommitState> {
    match event {
        Event::Deploying | Event::Waits => Some(CommitState::Pending),
        Event::Deployed | Event::Unchanged => Some(CommitState::Success),
        Event::Failed
        | Event::RolledBack
        | Event::RollbackFailed
        | Event::HalfDone
        | Event::WatchFailed
        | Event::Held => Some(CommitState::Failure),
        Event::Interrupted => Some(CommitState::Stopped),
        Event::Returned
        | Event::Degraded
        | Event::Recovered
        | Event::DriftRepaired
        | Event::Contested
        | Event::SourceUnreachable
        | Event::Stalled
        | Event::Digest => None,
    }
}

/// A forge that keeps the status of commits.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) forge: Forge,
    /// The address of its API.
    pub(super) api: &'a str,
    /// The repository.
    pub(super) repository: &'a str,
    pub(super) token: &'a Secret,
}

/// The status of a commit, and the address that it is sent to. None where the message says nothing of a commit.
pub(super) fn commit_status(at: At<'_>, message: &Message) -> Option<(String, Sent)> {
    let At { forge, api, repository, token } = at;
    let (state, commit) = (commit_state(message.event)?, message.commit.as_ref()?);
    let context = format!("evenkeel/{}", message.environment);
    let cause = message.cause.as_deref().map(|cause| format!("{}: {cause}", message.title()));
    let description = cut(&cause.unwrap_or_else(|| message.title()), 140);
    let (id, token) = (&commit.id, token.expose());
    let said = |state: &str| json!({"state": state, "context": context, "description": description});
    Some(match forge {
        Forge::Github => {
            let sent = Sent::json(&said(match state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure => "failure",
                CommitState::Stopped => "error",
            }))
            .with("authorization", format!("Bearer {token}"))
            .with("accept", "application/vnd.github+json")
            .with("x-github-api-version", "2022-11-28");
            (format!("{api}/repos/{repository}/statuses/{id}"), sent)
        }
        Forge::Gitlab => {
            let state = match state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure => "failed",
                CommitState::Stopped => "canceled",
            };
            let said = json!({"state": state, "name": context, "description": description});
            let project = repository.replace('/', "%2F");
            (
                format!("{api}/projects/{project}/statuses/{id}"),
                Sent::json(&said).with("private-token", token),
            )
        }
        Forge::Gitea => {
            let sent = Sent::json(&said(match state {
                CommitState::Pending => "pending",
                CommitState::Success => "success",
                CommitState::Failure => "failure",
                CommitState::Stopped => "error",
            }))
            .with("authorization", format!("token {token}"));
            (format!("{api}/repos/{repository}/statuses/{id}"), sent)
        }
    })
}

/// The subject of a mail.
pub(super) fn subject(message: &Message) -> String {
    format!("[{}] {}", message.urgency.code(), cut(&message.title(), 150))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_block_for_slack_is_too_long() {
        let line = "<&>".repeat(200);
        let message = Message {
            cause: Some(line.clone()),
            changes: vec![line.clone(); 10],
            log: vec![line; 20],
            ..Message::of(Event::Failed, "web-1", Timestamp::UNIX_EPOCH)
        };
        let sent: Value = serde_json::from_str(&chat(Chat::Slack, &message).body).unwrap();
        let blocks = sent["blocks"].as_array().unwrap();
        assert!((3..50).contains(&blocks.len()));
        for block in blocks {
            let text = block["text"]["text"].as_str().unwrap();
            assert!((1..=3000).contains(&text.chars().count()), "{}", text.chars().count());
        }
    }

    #[test]
    fn a_webhook_is_signed_as_the_standard_says() {
        // The example of the Standard Webhooks specification.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        assert_eq!(signature(&secret, signed), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
