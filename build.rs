//! Compiles the stand-in (`stand-in/main.rs`) into a static program, which `engine::stand_in` embeds.
//!
//! Without a static C library this isn't possible. Evenkeel is built all the same then, without the stand-in: only
//! `demo` and the tests on real Docker need it.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = "stand-in/main.rs";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let program = PathBuf::from(variable("OUT_DIR")?).join("stand-in");
    if let Err(problem) = compile(&program) {
        println!("cargo::warning=built without the stand-in image (is a static C library there?): {problem}");
        fs::write(&program, [])?;
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
