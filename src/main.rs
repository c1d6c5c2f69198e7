//! The program: see `evenkeel::cli`.

fn main() {}
