//! `token`: makes tokens for the HTTP API.

use std::fmt::Write as _;

use anyhow::anyhow;
use serde_json::json;

use super::args::{NewTokenArgs, TokenCommand, TokenRole};
use super::failure::ExitStatus;
use super::output::Output;
use crate::manifest::Role;
use crate::serve;

pub(super) fn token(command: &TokenCommand, output: Output) -> anyhow::Result<ExitStatus> {
    let TokenCommand::New(args) = command;
    let (token, hash) =
        serve::new_token().map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    let line = line(args, &hash);
    if output.json {
        output.value(&json!({"token": token, "line": line}));
        return Ok(ExitStatus::Done);
    }
    output.say("The token, which is shown only now, and its line for `api.tokens` of agent.yaml:");
    output.data(&format!("{token}\n{line}"));
    Ok(ExitStatus::Done)
}

/// The line of agent.yaml.
fn line(args: &NewTokenArgs, hash: &str) -> String {
    let NewTokenArgs { name, role, stacks, expires } = args;
    let role = match role {
        TokenRole::Read => Role::Read,
        TokenRole::Operate => Role::Operate,
    };
    // Quoted: a name like `no` is a text too.
    let mut line = format!("- {{name: \"{name}\", role: {}, hash: \"{hash}\"", role.code());
    if !stacks.is_empty() {
        let stacks: Vec<String> = stacks.iter().map(|stack| format!("\"{stack}\"")).collect();
        let _ = write!(line, ", stacks: [{}]", stacks.join(", "));
    }
    if let Some(expires) = expires {
        let _ = write!(line, ", expires: \"{expires}\"");
    }
    line + "}"
}
