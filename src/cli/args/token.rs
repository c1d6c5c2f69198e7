//! The arguments of `token`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::model::name::StackName;

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and the line of agent.yaml that lets it in
    ///
    /// The token is printed here and kept nowhere: agent.yaml has only its hash. To withdraw a token, remove its line.
    New(NewTokenArgs),
}

/// The arguments of `token new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel token new --name prometheus --role read
  evenkeel token new --name ci --role operate --stack shop-prod --expires 2027-01-01T00:00:00Z")]
pub struct NewTokenArgs {
    /// What it is called in the audit log
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: String,

    /// What it may do
    #[arg(long, value_enum)]
    pub role: TokenRole,

    /// A stack that it is for; may be given several times [default: all]
    #[arg(long = "stack", value_name = "STACK")]
    pub stacks: Vec<StackName>,

    /// When it ends [default: never]
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Timestamp>,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// Look
    Read,
    /// Look, and ask for changes
    Operate,
}

/// As agent.yaml takes it.
fn name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if (1..=63).contains(&text.len()) && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("a name is of 1 to 63 lower-case letters, digits, `-` and `_`".to_owned())
    }
}
