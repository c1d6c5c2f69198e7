//! `validate`: everything that is wrong, in every environment at once.

use std::path::{Component, PathBuf};

use serde_json::{Value, json};

use super::args::{Global, ValidateArgs, ValidateFormat};
use super::failure::ExitStatus;
use super::github::annotation;
use super::output::Output;
use super::select::Selection;
use super::words::count;
use crate::manifest::{Diagnostic, MissingVariables, Severity};

pub(super) async fn validate(
    global: &Global,
    args: &ValidateArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    let asked = global.clone();
    let found = tokio::task::spawn_blocking(move || check(&asked)).await??;
    let output = Output { json: output.json || args.format == ValidateFormat::Json, ..output };
    if args.format == ValidateFormat::Github && !output.json {
        found.annotate(&folder(global), output);
        return Ok(found.end(output));
    }
    Ok(found.tell(output))
}

/// Where the files lie, as seen from where the program was started, which in a workflow is the top of the checkout.
fn folder(global: &Global) -> String {
    if !global.files.is_empty() || global.repo.is_absolute() {
        return String::new();
    }
    let parts = global.repo.components().filter(|part| !matches!(part, Component::CurDir));
    parts.collect::<PathBuf>().to_string_lossy().into_owned()
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// Each diagnostic once, with the environments that it concerns.
    diagnostics: Vec<(Diagnostic, Vec<String>)>,
    /// The stacks that can be resolved, with how many services each has.
    good: Vec<(String, usize)>,
    /// How many environments were looked at.
    environments: usize,
}

/// Resolves every environment that the options name. Blocks.
pub(super) fn check(global: &Global) -> anyhow::Result<Found> {
    let selection = Selection::open(global)?;
    let mut found = Found::default();
    for environment in selection.environments(global)? {
        let name = environment.as_ref().map(ToString::to_string);
        found.environments += 1;
        match selection.resolve(environment, MissingVariables::Placeholder) {
            Ok(resolved) => {
                let desired = &resolved.desired;
                found.good.push((desired.stack.to_string(), desired.services.len()));
                found.add(&resolved.warnings, name.as_deref());
            }
            Err(report) => found.add(report.diagnostics(), name.as_deref()),
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, diagnostics: &[Diagnostic], environment: Option<&str>) {
        for diagnostic in diagnostics {
            let at = self.diagnostics.iter().position(|(known, _)| known == diagnostic);
            let at = at.unwrap_or_else(|| {
                self.diagnostics.push((diagnostic.clone(), Vec::new()));
                self.diagnostics.len() - 1
            });
            self.diagnostics[at].1.extend(environment.map(str::to_owned));
        }
    }

    fn number(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|(diagnostic, _)| diagnostic.severity == severity).count()
    }

    pub(super) fn is_good(&self) -> bool {
        self.number(Severity::Error) == 0
    }

    pub(super) fn tell(&self, output: Output) -> ExitStatus {
        if output.json {
            output.value(&self.to_json());
        } else {
            for (diagnostic, environments) in &self.diagnostics {
                output.data(&diagnostic.render(output.colour));
                if !self.only_in(environments).is_empty() {
                    output.data(&format!("  = only in: {}", environments.join(", ")));
                }
                output.data("");
            }
        }
        self.end(output)
    }

    /// Prints the diagnostics as annotations.
    fn annotate(&self, folder: &str, output: Output) {
        for (diagnostic, environments) in &self.diagnostics {
            output.data(&annotation(diagnostic, folder, self.only_in(environments)));
        }
    }

    /// The environments that are concerned. Where there is one, or all are, nothing is to be told apart.
    fn only_in<'a>(&self, environments: &'a [String]) -> &'a [String] {
        if environments.len() < self.environments { environments } else { &[] }
    }

    /// Tells how it stands as a whole.
    fn end(&self, output: Output) -> ExitStatus {
        for (stack, services) in &self.good {
            output.say(&format!("{stack}: {}, good", count(*services, "service")));
        }
        let counts = [(Severity::Error, "error"), (Severity::Warning, "warning")];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(severity, _)| self.number(*severity) > 0)
            .map(|(severity, word)| count(self.number(severity), word))
            .collect();
        if !counts.is_empty() {
            output.say(&counts.join(", "));
        }
        if self.is_good() { ExitStatus::Done } else { ExitStatus::Failed }
    }

    fn to_json(&self) -> Value {
        let diagnostics = self.diagnostics.iter().map(|(diagnostic, environments)| {
            let mut form = diagnostic.to_json();
            form["environments"] = json!(environments);
            form
        });
        let good = self.good.iter().map(|(stack, services)| json!({"stack": stack, "services": services}));
        json!({
            "valid": self.is_good(),
            "diagnostics": diagnostics.collect::<Vec<_>>(),
            "good": good.collect::<Vec<_>>(),
        })
    }
}
