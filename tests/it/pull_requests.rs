//! The ready-made jobs of docs/pull-requests.md: they are what they seem to be, and what they run against a forge works.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

const MANUAL: &str = include_str!("../../docs/pull-requests.md");

/// The job for a forge.
fn job(forge: &str) -> Value {
    let mark = format!("```yaml {forge}\n");
    let text = MANUAL.split_once(&mark).unwrap().1.split_once("\n```").unwrap().0;
    serde_yaml::from_str(text).unwrap()
}

/// What the step that comments runs.
fn comment(forge: &str) -> String {
    let job = job(forge);
    let steps = match forge {
        "gitlab" => return job["plan"]["script"][2].as_str().unwrap().to_owned(),
        _ => job["jobs"]["plan"]["steps"].as_array().unwrap().clone(),
    };
    let step = steps.iter().find(|step| step["name"] == "Comment").unwrap();
    step["run"].as_str().unwrap().to_owned()
}

/// A request that the forge got: method with path, body, and its authorisation.
type Asked = (String, Value, String);

/// A forge that answers every `GET` with what `answer` says of its path, and everything else with an empty object.
fn forge(answer: impl Fn(&str) -> Value + Send + 'static) -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else { break };
                headers.insert(name.to_lowercase(), value.to_owned());
            }
            let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let asked = first.trim_end_matches(" HTTP/1.1\r\n").to_owned();
            let reply = if asked.starts_with("GET ") { answer(&asked) } else { json!({}) }.to_string();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let by = headers.get("authorization").or(headers.get("private-token")).cloned();
            let _ = tell.send((asked, body, by.unwrap_or_default()));
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{reply}",
                reply.len()
            );
        }
    });
    (address, told)
}

const PLAN: &str = "<!-- evenkeel:plan:shop -->\n### Evenkeel plan for `shop`\n\n`\"quoted\"` $HOME $(id)\n";

/// Runs the step against a forge with these comments, and gives what it wrote there.
fn run(
    name: &str,
    plan_status: u8,
    answer: impl Fn(&str) -> Value + Send + 'static,
) -> (Option<i32>, Vec<Asked>) {
    let (api, told) = forge(answer);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.md"), PLAN).unwrap();
    fs::write(folder.path().join("plan.status"), format!("{plan_status}\n")).unwrap();
    let ran = Command::new("sh")
        .args(["-e", "-c", &comment(name)])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .envs([("API", api.as_str()), ("REPO", "ada/shop"), ("PR", "7"), ("SHA", "abc"), ("TOKEN", "s3cret")])
        .envs([
            ("BOT", "bot"),
            ("CI_API_V4_URL", &api),
            ("CI_PROJECT_ID", "5"),
            ("CI_MERGE_REQUEST_IID", "7"),
        ])
        .env("EVENKEEL_TOKEN", "s3cret")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!(!stderr.contains("s3cret"), "{stderr}");
    let asked: Vec<Asked> = told.try_iter().collect();
    assert!(asked.iter().all(|(_, _, by)| by.ends_with("s3cret")), "{asked:?} {stderr}");
    (ran.status.code(), asked.into_iter().filter(|(asked, ..)| !asked.starts_with("GET ")).collect())
}

/// Whether the tools of the jobs are here; the jobs' machines have them.
fn has_tools() -> bool {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|ran| ran.status.success());
    let all = has("curl") && has("jq");
    if !all {
        assert!(std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none(), "curl or jq is missing");
    }
    all
}

#[test]
fn the_jobs_are_safe_for_forks_and_pin_what_they_use() {
    for forge in ["github", "forgejo"] {
        let job = job(forge);
        assert_eq!(job["on"].as_object().unwrap().keys().collect::<Vec<_>>(), ["pull_request"], "{forge}");
        for step in job["jobs"]["plan"]["steps"].as_array().unwrap() {
            if let Some(uses) = step["uses"].as_str() {
                let commit = uses.split_once('@').unwrap().1;
                assert!(commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{uses}");
                assert_eq!(step["with"]["fetch-depth"], 0);
                assert_eq!(step["with"]["persist-credentials"], false);
            }
            // What strangers write, like a title, never becomes a part of a script.
            let run = step["run"].as_str().unwrap_or("");
            assert!(!run.contains("${{"), "{run}");
        }
    }
    assert!(!MANUAL.contains("pull_request_target:"));
    assert_eq!(job("gitlab")["plan"]["variables"]["GIT_DEPTH"], "0");
    assert_eq!(comment("github"), comment("forgejo"));
}

#[test]
fn every_script_is_a_shell_script() {
    for forge in ["github", "forgejo", "gitlab"] {
        let job = job(forge);
        let steps = job["jobs"]["plan"]["steps"].as_array().cloned().unwrap_or_default();
        let scripts = steps.iter().filter_map(|step| step["run"].as_str());
        let parts = job["plan"]["script"].as_array().cloned().unwrap_or_default();
        for script in scripts.chain(parts.iter().filter_map(Value::as_str)) {
            let parsed = Command::new("sh").args(["-n", "-c", script]).output().unwrap();
            assert!(parsed.status.success(), "{script}\n{}", String::from_utf8_lossy(&parsed.stderr));
        }
    }
}

#[test]
fn the_first_run_posts_a_comment_and_a_status() {
    if !has_tools() {
        return;
    }
    let (status, asked) = run("github", 0, |_| json!([{"id": 1, "body": "hello", "user": {"login": "bot"}}]));
    assert_eq!(status, Some(0));
    let paths: Vec<&str> = asked.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["POST /repos/ada/shop/issues/7/comments", "POST /repos/ada/shop/statuses/abc"]);
    assert_eq!(asked[0].1["body"], PLAN);
    assert_eq!(asked[1].1["state"], "success");
}

#[test]
fn a_later_run_replaces_its_own_comment_and_nobody_elses() {
    if !has_tools() {
        return;
    }
    let (status, asked) = run("github", 1, |path| {
        let comment = |id: u32, user: &str| json!({"id": id, "body": PLAN, "user": {"login": user}});
        // Somebody else wrote the marker, too.
        if path.contains("&page=1") {
            (0..100).map(|id| comment(id, "mallory")).collect()
        } else {
            json!([comment(500, "mallory"), comment(501, "bot")])
        }
    });
    assert_eq!(status, Some(0));
    assert_eq!(asked[0].0, "PATCH /repos/ada/shop/issues/comments/501");
    assert_eq!((asked.len(), &asked[1].1["state"]), (2, &json!("failure")));
}

#[test]
fn gitlab_gets_one_note_and_the_jobs_status() {
    if !has_tools() {
        return;
    }
    let notes = |with: bool| {
        move |path: &str| match path.contains("/user ") || path.ends_with("/user") {
            true => json!({"id": 9}),
            false if with => {
                json!([{"id": 3, "body": PLAN, "author": {"id": 8}}, {"id": 4, "body": PLAN, "author": {"id": 9}}])
            }
            false => json!([]),
        }
    };
    let (status, asked) = run("gitlab", 0, notes(false));
    assert_eq!((status, asked[0].0.as_str()), (Some(0), "POST /projects/5/merge_requests/7/notes"));
    let (status, asked) = run("gitlab", 1, notes(true));
    assert_eq!((status, asked[0].0.as_str()), (Some(1), "PUT /projects/5/merge_requests/7/notes/4"));
    assert_eq!(asked[0].1["body"], PLAN);
}
