//! The command line: words, flags, exit codes. The only part that prints.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

pub mod args;
pub mod failure;
pub mod output;
mod place;
mod select;
mod logging;
mod words;
mod story;
mod progress;
mod confirm;
mod outcome;
mod init;
mod github;
mod validate;
mod render;
mod schema;
mod completions;
mod doctor;
mod plan;
mod review;
mod keep;
mod saved;
mod observe;
mod stuck;
mod deploy;
mod watch;
mod apply;
mod run;
pub mod service;
mod look;
mod status;
mod history;
mod why;
mod rollback;
mod adopt;
mod operate;
mod agents;
mod demo;
mod token;

use args::{Cli, Command};
use failure::ExitStatus;
use output::Output;

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.kind() == ErrorKind::MissingSubcommand {
                // Variables of the environment count as arguments, and clap then shows no help by itself.
                output::help(&Cli::command().render_help().ansi().to_string());
            } else {
                let _ = error.print();
            }
            // clap's own status for wrong usage, 2, means something else here.
            let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if wanted { ExitStatus::Done.code() } else { ExitStatus::Failed.code() });
        }
    };
    let output = Output::of_process(&cli.global);
    logging::start(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(&anyhow::Error::new(error).context("the runtime can't be started"));
            return ExitCode::from(ExitStatus::Failed.code());
        }
    };
    let status = runtime.block_on(Box::pin(dispatch(&cli, output))).unwrap_or_else(|error| {
        output.error(&error);
        ExitStatus::Failed
    });
    // A thread that still waits for a file or a repository must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(status.code())
}

async fn dispatch(cli: &Cli, output: Output) -> anyhow::Result<ExitStatus> {
    let global = &cli.global;
    match &cli.command {
        Command::Init(args) => init::init(global, args, output),
        Command::Validate(args) => validate::validate(global, args, output).await,
        Command::Render(args) => render::render(global, args, output).await,
        Command::Schema(args) => Ok(schema::schema(args, output)),
        Command::Doctor(args) => Box::pin(doctor::doctor(global, args, output)).await,
        Command::Completions(args) => completions::completions(args, output),
        Command::Man(args) => completions::man(args, output),
        Command::Plan(args) => plan::plan(global, args, output).await,
        Command::Observe(args) => observe::observe(global, args, output).await,
        Command::Apply(args) => Box::pin(apply::apply(global, args, output)).await,
        Command::Run(args) => Box::pin(run::run(global, args, output)).await,
        Command::Status(_) => status::status(global, output).await,
        Command::History(args) => history::history(global, args, output).await,
        Command::Why(args) => Box::pin(why::why(global, args, output)).await,
        Command::Rollback(args) => Box::pin(rollback::rollback(global, args, output)).await,
        Command::Adopt(args) => Box::pin(adopt::adopt(global, args, output)).await,
        Command::Sync(args) => Box::pin(operate::sync(global, args, output)).await,
        Command::Pause(args) => Box::pin(operate::pause(global, args, output)).await,
        Command::Resume(args) => Box::pin(operate::resume(global, args, output)).await,
        Command::Release(args) => Box::pin(operate::release(global, args, output)).await,
        Command::Approve(args) => Box::pin(operate::approve(global, args, output)).await,
        Command::Token(command) => token::token(command, output),
        Command::Demo(args) => Box::pin(demo::demo(global, args, output)).await,
    }
}
