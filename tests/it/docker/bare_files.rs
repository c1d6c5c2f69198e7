//! Compose files without a repository, and texts that nobody should write.

use std::fs;

use super::{Stage, running};

#[tokio::test(flavor = "multi_thread")]
async fn files_are_merged_in_order() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(
        "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    environment: {A: base, B: base}\n",
    );
    fs::write(stage.path().join("more.yaml"), "services: {web: {environment: {B: more}}}\n").unwrap();
    stage.run("-f compose.yaml -f more.yaml apply --yes").ends_with(0);
    let containers = stage.containers().await;
    let environment = &running(&containers, "web").spec.environment;
    let value = |key: &str| environment[key].expose().to_owned();
    assert_eq!((value("A"), value("B")), ("base".to_owned(), "more".to_owned()));
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains("\"more\" → \"base\""), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_and_values_arrive_as_they_are_and_fool_no_terminal() {
    let Some(stage) = Stage::new().await else { return };
    let long = format!("{}9", "a-.".repeat(20));
    let services = format!(
        r#"
  {long}:
    image: IMAGE
    stop_grace_period: 1s
  A.b_c-D:
    image: IMAGE
    stop_grace_period: 1s
    environment:
      SHELL_ME: "$$(touch /tmp/x); `id` ' \" $$HOME"
      LINES: "one\ntwo\r\nthree"
      ESCAPES: "\e[2J\e]0;title\a"
      TURNED: "abc\u202Edef"
      EMPTY: ""
      "WITH SPACE": "= = ="
    labels:
      "a label with blanks": "$${{not_a_variable}}"
      "ünï": "çøde ✓"
    command: [serve, --say, "-\e[31mred\e[0m- $$x 'y' \"z\""]
"#
    );
    stage.compose(&services);
    let first = stage.apply().ends_with(0);
    let containers = stage.containers().await;
    let spec = &running(&containers, "A.b_c-D").spec;
    assert_eq!(spec.environment["SHELL_ME"].expose(), "$(touch /tmp/x); `id` ' \" $HOME");
    assert_eq!(spec.environment["LINES"].expose(), "one\ntwo\r\nthree");
    assert_eq!(spec.environment["WITH SPACE"].expose(), "= = =");
    running(&containers, &long);
    // The way back from Docker gives the same, so there is nothing to do.
    let second = stage.apply().ends_with(0).says("nothing to do");
    stage.compose(&services.replace("title", "other").replace("abc", "ABC"));
    let plan = stage.run("-f compose.yaml plan").ends_with(0);
    for text in [&first.stderr, &second.stderr, &plan.stdout, &plan.stderr] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    }
    let status = stage.run("-f compose.yaml status").ends_with(0).stdout;
    assert!(status.contains("A.b_c-D") && !status.contains('\u{1b}'), "{status}");
}
