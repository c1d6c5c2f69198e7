//! The commands that need no Docker.

use serde_json::Value;

use super::Place;

const MANIFEST: &str = "\
services:
  web:
    image: nginx:1.27
    environment:
      LEVEL: ${LEVEL:-info}
      KEY: ${API_KEY:?}
    ports: [\"${PORT:-80}:80\"]
";

fn shop() -> Place {
    Place::with_repository(
        MANIFEST,
        &[
            ("dev", "variables: {API_KEY: {from: host}, PORT: 8080}\n"),
            ("prod", "variables: {API_KEY: {from: host}, LEVEL: warning}\n"),
        ],
    )
}

#[test]
fn init_lays_out_a_repository_that_is_good() {
    let place = Place::new();
    insta::assert_snapshot!(place.run("init --project shop"));
    let files = place.files();
    assert_eq!(
        files,
        [
            "environments/dev/environment.yaml",
            "environments/prod/environment.yaml",
            "evenkeel.yaml",
            "manifests/apps/web.yaml"
        ]
    );
    let validated = place.run("validate");
    assert_eq!(validated.status, Some(0), "{validated}");
    insta::assert_snapshot!(place.run("--env dev render"));
}

#[test]
fn init_touches_no_file_that_is_there() {
    let place = Place::new();
    place.write("manifests/apps/web.yaml", "services: {mine: {image: nginx}}\n");
    insta::assert_snapshot!(place.run("init new-folder/.. --project shop"));
    assert_eq!(place.read("manifests/apps/web.yaml"), "services: {mine: {image: nginx}}\n");
    assert_eq!(place.read("evenkeel.yaml").lines().nth(1), Some("project: shop"));
}

#[test]
fn init_takes_a_compose_file_as_it_is() {
    let place = Place::with_compose("# Ours.\nservices:\n  api:\n    image: api:1\n");
    insta::assert_snapshot!(place.run("init infra --from compose.yaml --project shop"));
    assert_eq!(place.read("infra/manifests/apps/shop.yaml"), place.read("compose.yaml"));
}

#[test]
fn init_says_what_of_a_compose_file_is_not_good_yet() {
    let place =
        Place::with_compose("services:\n  api:\n    image: api:1\n    volumes: [\"./conf:/etc/api\"]\n");
    insta::assert_snapshot!(place.run("init infra --from compose.yaml --project shop"));
    insta::assert_snapshot!(place.run("init other --from nothing.yaml"));
}

#[test]
fn init_makes_a_name_of_any_folder() {
    let place = Place::new();
    for (folder, project) in [("Über-Shop_2", "ber-shop_2"), ("___", "stack"), ("a.b", "a-b")] {
        assert_eq!(place.run(&format!("init {folder}")).status, Some(0));
        let text = place.read(&format!("{folder}/evenkeel.yaml"));
        assert!(text.contains(&format!("project: {project}\n")), "{folder}: {text}");
    }
}

#[test]
fn validate_tells_what_is_good() {
    insta::assert_snapshot!(shop().run("validate"));
}

#[test]
fn validate_says_once_what_several_environments_share() {
    let place = shop();
    place.write("manifests/apps/shop.yaml", &format!("{MANIFEST}    prots: []\n"));
    place.write("environments/dev/environment.yaml", "variables: {PORT: 8080}\n");
    insta::assert_snapshot!(place.run("validate"));
    let transcript = place.run("validate --json");
    let json: Value = serde_json::from_str(&transcript.stdout).unwrap();
    assert_eq!(json["valid"], false);
    let diagnostics = json["diagnostics"].as_array().unwrap();
    let shared: Vec<&Value> = diagnostics.iter().filter(|found| found["code"] == "unknown-key").collect();
    assert_eq!(shared.len(), 1);
    assert_eq!(shared[0]["environments"], serde_json::json!(["dev", "prod"]));
}

#[test]
fn validate_of_one_environment_looks_at_no_other() {
    let place = shop();
    place.write("environments/prod/environment.yaml", "variabels: {}\n");
    assert_eq!(place.run("--env dev validate").status, Some(0));
    assert_eq!(place.run("--env prod validate").status, Some(1));
}

#[test]
fn render_prints_one_compose_file_without_what_is_sensitive() {
    let place = shop();
    let mut command = place.command(env!("CARGO_BIN_EXE_evenkeel").as_ref());
    command.env("API_KEY", "s3cret");
    let transcript = place.finish("--env prod render", command.args(["--env", "prod", "render"]));
    assert!(!transcript.to_string().contains("s3cret"));
    insta::assert_snapshot!(transcript);
    let (yaml, json) =
        (place.run("--env prod render").stdout, place.run("--env prod render --format json").stdout);
    let (yaml, json): (Value, Value) =
        (serde_yaml::from_str(&yaml).unwrap(), serde_json::from_str(&json).unwrap());
    // Compose leaves nothing out of its JSON, not even what isn't there.
    assert_eq!(yaml["services"]["web"]["environment"], json["services"]["web"]["environment"]);
    assert_eq!(json["services"]["web"]["environment"]["KEY"], "(sensitive)");
}

#[test]
fn history_before_the_first_deploy_is_empty_and_makes_nothing() {
    let place = shop();
    let before = place.files();
    insta::assert_snapshot!(place.run("--env dev history"));
    assert_eq!(
        place.run("--env dev history --json").stdout,
        "{\n  \"deploys\": [],\n  \"stack\": \"shop-dev\"\n}\n"
    );
    assert_eq!(place.files(), before);
}

#[test]
fn quiet_leaves_only_data_and_errors() {
    let place = shop();
    let transcript = place.run("validate --quiet");
    assert_eq!((transcript.stdout.as_str(), transcript.stderr.as_str()), ("", ""));
}

#[test]
fn validate_marks_the_lines_of_a_pull_request() {
    let manifest = "services:\n  web:\n    imge: \"100%\"\n  api: {image: api, build: .}\n";
    let place = Place::with_repository(manifest, &[("dev", ""), ("prod", "prune: perhaps\n")]);
    insta::assert_snapshot!(place.run("validate --format github"));
    // Files are named as seen from the top of the checkout.
    let seen = Place::new();
    seen.write("infra/evenkeel.yaml", "project: shop\n");
    seen.write("infra/manifests/web.yaml", "service: {}\n");
    seen.write("infra/environments/prod/environment.yaml", "");
    let transcript = seen.run("--repo ./infra/ validate --format github");
    assert!(transcript.stdout.contains("::error file=infra/manifests/web.yaml"), "{transcript}");
    let transcript = place.run("validate --format json");
    assert_eq!(serde_json::from_str::<Value>(&transcript.stdout).unwrap()["valid"], false);
}
