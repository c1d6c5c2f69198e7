//! Configs and secrets in real containers.

use std::fs;
use std::path::Path;

use evenkeel::engine::Engine;
use evenkeel::model::live::Status;
use evenkeel::model::spec::MountSource;

use super::{Stage, running};

const SERVICES: &str = r#"
  web:
    image: IMAGE
    read_only: true
    stop_grace_period: 1s
    command: [serve, --show, /app.conf, --show, /etc/web/motd, --show, /run/secrets/password, --show, /run/secrets/token]
    configs:
      - app.conf
      - {source: motd, target: /etc/web/motd, uid: "70", gid: "71", mode: 0440}
    secrets:
      - password
      - {source: token, target: token, uid: "70", mode: 0400}
configs:
  app.conf: {file: ./app.conf}
  motd: {content: "hello ${NAME:-there}\n"}
secrets:
  password: {file: ./password.txt}
  token: {environment: TOKEN}
"#;

const PASSWORD: &str = "canary-in-a-file-4711";
const TOKEN: &str = "canary-in-a-variable-0815";

impl Stage {
    fn with_token(&self, words: &str, token: &str) -> super::Ran {
        let mut command = self.command(words);
        super::Ran::of(words, &command.env("TOKEN", token).output().unwrap())
    }
}

/// Everything below a folder that holds `needle`, the places of secrets left out.
fn holding(folder: &Path, needle: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("files/secrets") {
                holding(&path, needle, found);
            }
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|part| part == needle.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn configs_and_secrets_are_readable_where_they_are_wanted_and_nowhere_else() {
    let Some(stage) = Stage::new().await else { return };
    fs::write(stage.path().join("app.conf"), "workers = 4\n").unwrap();
    fs::write(stage.path().join("password.txt"), PASSWORD).unwrap();
    stage.compose(SERVICES);
    let first = stage.with_token("-f compose.yaml apply --yes", TOKEN).ends_with(0);
    let containers = stage.containers().await;
    let web = running(&containers, "web");
    let shown = stage.docker.logs(&web.id, 10).await.unwrap();
    // A file without an owner belongs to whoever runs this.
    let own = |line: &str| line.replace("OWN", &owner(stage.path()));
    assert_eq!(
        shown,
        [
            own("/app.conf 0444 OWN \"workers = 4\\n\""),
            "/etc/web/motd 0440 70:71 \"hello there\\n\"".to_owned(),
            own(&format!("/run/secrets/password 0444 OWN \"{PASSWORD}\"")),
            own(&format!(
                "/run/secrets/token 0400 70:{} \"{TOKEN}\"",
                owner(stage.path()).split(':').next_back().unwrap()
            )),
        ]
    );
    let second = stage.with_token("-f compose.yaml plan --detailed-exitcode", TOKEN).ends_with(0);
    let json = stage.with_token("-f compose.yaml plan --json", "canary-two").ends_with(0);
    let text = stage.with_token("-f compose.yaml plan", "canary-two").ends_with(0);
    let render = stage.with_token("-f compose.yaml render", TOKEN).ends_with(0);
    assert!(text.stdout.contains("secrets./run/secrets/token"), "{}", text.stdout);
    assert!(text.stdout.contains("(sensitive) → (sensitive)"), "{}", text.stdout);
    let labels = format!("{:?}", web.spec.labels);
    for (at, secret) in [PASSWORD, TOKEN, "canary-two"].into_iter().enumerate() {
        for ran in [&first, &second, &json, &text, &render] {
            assert!(!format!("{ran:?}").contains(secret), "{secret} is in {ran:?}");
        }
        assert!(!labels.contains(secret));
        let mut found = Vec::new();
        holding(&stage.path().join("state"), secret, &mut found);
        assert_eq!(found, Vec::<String>::new(), "secret {at}");
    }
}

/// The user and group of a file.
fn owner(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).unwrap();
    format!("{}:{}", found.uid(), found.gid())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_config_is_a_replacement_and_a_rollback_brings_the_old_text_back() {
    let Some(stage) = Stage::new().await else { return };
    let services = |text: &str, more: &str| {
        format!(
            "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    command: [serve, --show, /motd{more}]\n    configs: \
             [motd]\nconfigs:\n  motd: {{content: \"{text}\"}}\n"
        )
    };
    stage.compose(&services("one\\n", ""));
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    stage.compose(&services("two\\n", ", --exit, \"3\""));
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains("configs./motd") && plan.contains("-one") && plan.contains("+two"), "{plan}");
    stage.apply().ends_with(3);
    assert_eq!(stage.serving().await, before);
    // Nothing is left of the text that was never used, and the old one is where it was.
    let laid_down = || fs::read_dir(stage.path().join("state/files/configs")).unwrap().count();
    assert_eq!(laid_down(), 1);
    let containers = stage.containers().await;
    let MountSource::Bind(path) = &running(&containers, "web").spec.mounts["/motd"].source else { panic!() };
    assert_eq!(fs::read_to_string(path).unwrap(), "one\n");
    // The kept container keeps its text; when it goes, its text goes.
    for (text, kept) in [("two", 2), ("three", 2)] {
        stage.compose(&services(text, ""));
        stage.apply().ends_with(0);
        assert_eq!(laid_down(), kept, "after {text}");
    }
    let containers = stage.containers().await;
    assert!(containers.iter().any(|container| matches!(container.state.status, Status::Exited { .. })));
}
