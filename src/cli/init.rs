//! `init`: lays out a configuration repository. It never touches a file that is there.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::args::{Global, InitArgs};
use super::failure::{ExitStatus, Hint, hinted};
use super::output::Output;
use super::validate;
use crate::model::name::StackName;

const PROJECT: &str = "\
# What is run here, and in which order. `evenkeel validate` checks everything.
project: {project}

# Each folder below manifests/ is a tier. They are applied in this order, each once the one before it is up.
tiers:
  - apps
";

const WEB: &str = "\
# A plain Compose file: `docker compose` reads it, too. Every *.yaml below manifests/ is one.
services:
  web:
    image: nginx:1.27-alpine
    restart: unless-stopped
    ports:
      # Each environment says which port; see environments/.
      - \"${WEB_PORT:?set WEB_PORT in the variables of the environment}:80\"
    # A deploy goes on when this passes. If it doesn't, what ran before runs again.
    healthcheck:
      test: [\"CMD\", \"wget\", \"-q\", \"-O\", \"/dev/null\", \"http://127.0.0.1/\"]
      interval: 10s
      timeout: 3s
      retries: 3
    deploy:
      resources:
        limits:
          memory: 256M
";

const DEV: &str = "\
# A developer's machine: `evenkeel --env dev apply`. Any other *.yaml beside this file is merged over the manifests.
variables:
  WEB_PORT: 8080
  # A value that must not be in a repository comes from the environment of evenkeel on the host:
  # DATABASE_PASSWORD: {from: host}
";

const PROD: &str = "\
# What users see: `evenkeel --env prod apply`.
variables:
  WEB_PORT: 80
";

/// Environments of a Compose file that brings its own values.
const BARE: &str = "\
# Values for ${VARIABLES} of the manifests. One that must not be in a repository comes from the host:
# variables:
#   LOG_LEVEL: info
#   DATABASE_PASSWORD: {from: host}
";

/// A file that is to be there.
struct Planned {
    path: String,
    text: String,
}

pub(super) fn init(global: &Global, args: &InitArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let folder = std::path::absolute(&args.folder)
        .with_context(|| format!("{} has no absolute path", args.folder.display()))?;
    let project = project(&folder, args.project.as_deref())?;
    let compose = args.from.as_deref().map(read).transpose()?;
    let mut kept = Vec::new();
    let mut written = Vec::new();
    for planned in planned(&project, compose) {
        let path = folder.join(&planned.path);
        if write_new(&path, &planned.text)? {
            written.push(planned.path);
        } else {
            kept.push(planned.path);
        }
    }
    tell(&args.folder, &written, &kept, output);
    let there = Global { repo: folder, env: None, files: Vec::new(), rev: None, ..global.clone() };
    let found = validate::check(&there)?;
    if !found.is_good() {
        let _ = found.tell(output);
        output.warn("the manifests need a hand before they can be applied, see above");
        return Ok(ExitStatus::Failed);
    }
    let at = if args.folder == Path::new(".") {
        String::new()
    } else {
        format!("cd {} && ", args.folder.display())
    };
    output.say(&format!(
        "next:\n  {at}evenkeel --env dev plan     what it would do on this host\n  {at}evenkeel --env dev apply    do it"
    ));
    Ok(ExitStatus::Done)
}

fn planned(project: &StackName, compose: Option<String>) -> Vec<Planned> {
    let file = |path: &str, text: &str| Planned { path: path.to_owned(), text: text.to_owned() };
    let (manifest, dev, prod) = match compose {
        Some(text) => (Planned { path: format!("manifests/apps/{project}.yaml"), text }, BARE, BARE),
        None => (file("manifests/apps/web.yaml", WEB), DEV, PROD),
    };
    vec![
        file("evenkeel.yaml", &PROJECT.replace("{project}", project.as_str())),
        manifest,
        file("environments/dev/environment.yaml", dev),
        file("environments/prod/environment.yaml", prod),
    ]
}

fn tell(folder: &Path, written: &[String], kept: &[String], output: Output) {
    let shown =
        |path: &String| if folder == Path::new(".") { PathBuf::from(path) } else { folder.join(path) };
    for path in written {
        output.say(&format!("  + {}", shown(path).display()));
    }
    for path in kept {
        output.say(&format!("    {} was there and stays as it is", shown(path).display()));
    }
}

/// The project's name: the one that is wished for, or the folder's, made fit.
pub(super) fn project(folder: &Path, wish: Option<&str>) -> anyhow::Result<StackName> {
    if let Some(wish) = wish {
        return wish.parse().context("the project can't be called that");
    }
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let fit: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(PROJECT_CHARS)
        .collect();
    let fit = fit.trim_end_matches('-');
    let fit = if fit.is_empty() { "stack" } else { fit };
    fit.parse()
        .context("the folder's name is no name for a project")
        .hint("give it one with `--project NAME`")
}

/// Longest name that is made of a folder's: there must be room for the environment's in a stack's.
const PROJECT_CHARS: usize = 40;

fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(hinted(
            anyhow!("`{}` does not exist", path.display()),
            "name a Compose file with `--from FILE`",
        )),
        Err(error) => Err(anyhow::Error::new(error).context(format!("`{}` can't be read", path.display()))),
    }
}

/// Writes a file that isn't there yet. Says whether it did.
fn write_new(path: &PathBuf, text: &str) -> anyhow::Result<bool> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} can't be made", folder.display()))?;
    }
    let failed = || format!("{} can't be written", path.display());
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).with_context(failed).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context(failed())),
    }
}
