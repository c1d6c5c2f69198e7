//! Compiles the stand-in (`stand-in/main.rs`) into a static program, which `engine::stand_in` embeds, and lists the
//! files of the reference stack, which `demo` embeds.
//!
//! Without a static C library this isn't possible. Evenkeel is built all the same then, without the stand-in: only
//! `demo` and the tests on real Docker need it.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = "stand-in/main.rs";

/// What the reference stack is made of.
const REFERENCE_STACK: [&str; 3] = ["evenkeel.yaml", "manifests", "environments"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let out = PathBuf::from(variable("OUT_DIR")?);
    fs::write(out.join("reference_stack.rs"), reference_stack()?)?;
    let program = out.join("stand-in");
    if let Err(problem) = compile(&program) {
        println!("cargo::warning=built without the stand-in image (is a static C library there?): {problem}");
        fs::write(&program, [])?;
    }
    Ok(())
}

/// The files of the reference stack as an expression: `&[("manifests/apps/neuros.yaml", b"…"), …]`.
fn reference_stack() -> Result<String, Box<dyn Error>> {
    let mut files = BTreeSet::new();
    for root in REFERENCE_STACK {
        println!("cargo::rerun-if-changed={root}");
        collect(Path::new(root), &mut files)?;
    }
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let mut list = "&[".to_owned();
    for file in files {
        let (path, whole) = (text(&file)?, text(&folder.join(&file))?);
        write!(list, "({path:?}, include_bytes!({whole:?})),")?;
    }
    list.push(']');
    Ok(list)
}

fn text(path: &Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{} is no UTF-8", path.display()))
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.insert(path.to_owned());
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn compile(program: &Path) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(variable("RUSTC")?);
    command.args(["--edition=2024", "--crate-name=stand_in", "--crate-type=bin"]);
    command.args(["--target", &variable("TARGET")?]);
    for option in [
        "target-feature=+crt-static",
        "opt-level=s",
        "panic=abort",
        "strip=symbols",
        "lto=fat",
        "codegen-units=1",
    ] {
        command.args(["-C", option]);
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        command.arg("-C").arg(format!("linker={linker}"));
    }
    let output = command.arg(SOURCE).arg("-o").arg(program).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("rustc failed");
    Err(first.into())
}
