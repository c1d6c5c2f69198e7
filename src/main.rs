//! The program: see `evenkeel::cli`.

fn main() -> std::process::ExitCode {
    evenkeel::cli::run()
}
