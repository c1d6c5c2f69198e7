//! The help, which is the first manual.

use super::Place;

const COMMANDS: [&str; 14] = [
    "init",
    "validate",
    "render",
    "schema",
    "plan",
    "apply",
    "run",
    "status",
    "history",
    "rollback",
    "adopt",
    "doctor",
    "completions",
    "demo",
];

#[test]
fn without_arguments_the_program_says_what_it_can() {
    let transcript = Place::new().run("");
    assert!(transcript.stderr.contains("Examples:"), "{transcript}");
    for command in COMMANDS {
        assert!(transcript.stderr.contains(&format!("\n  {command} ")), "{command} is missing: {transcript}");
    }
}

#[test]
fn help_in_short() {
    insta::assert_snapshot!(Place::new().run("-h"));
}

#[test]
fn help_of_a_command() {
    insta::assert_snapshot!(Place::new().run("rollback --help"));
}

#[test]
fn every_command_has_help_in_short_and_long() {
    let place = Place::new();
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let transcript = place.run(&format!("{command} {flag}"));
            assert_eq!(transcript.status, Some(0), "{transcript}");
            assert!(transcript.stdout.contains(&format!("Usage: evenkeel {command}")), "{transcript}");
        }
        let long = place.run(&format!("{command} --help")).stdout;
        assert!(long.lines().nth(1) == Some("") && long.lines().nth(2) != Some(""), "{command}: {long}");
    }
}

#[test]
fn wrong_usage_is_a_failure_and_not_a_plan_with_changes() {
    let place = Place::new();
    let transcripts = [
        "plan --bogus",
        "bogus",
        "plan --quiet --verbose",
        "--rev main -f compose.yaml plan",
        "run --poll 0",
    ]
    .map(|words| place.run(words).to_string());
    assert_eq!(place.files(), Vec::<String>::new());
    insta::assert_snapshot!(transcripts.join("\n\n"));
}
