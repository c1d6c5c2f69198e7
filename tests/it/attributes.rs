//! Every key of the Compose language and of our own files: what may be written, what becomes of it, what is refused
//! and with which words. The tables are `tests/data/attributes/*.yaml`; `EVENKEEL_UPDATE=1` writes what was found into
//! them, and the diff is the review.
//!
//! A group of keys has a frame, a file with one hole: `KEY: VALUE`. Each form fills the hole, and the file is composed
//! and resolved beside the files of `tests/data/attributes/tree`. `accepted` maps a form to its JSON in the composed
//! model (our own keys: in the resolved stack), at `at` where the key itself is not printed; `here` is `honoured` or
//! what is said when it is to be deployed, and `except` are the forms for which that differs; `warned` is what is said
//! besides; `refused` maps a form to all of its diagnostics. A form under `forms` is put where it belongs.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::manifest::{
    self, Diagnostic, Given, Input, MissingVariables, Report, Request, Reveal, Severity, Show,
};
use evenkeel::model::desired::Revision;
use evenkeel::model::tree::MemoryTree;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_yaml::Mapping;

mod again;

/// Stands for a value that isn't there.
const ABSENT: &str = "(absent)";
const HONOURED: &str = "honoured";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn data() -> PathBuf {
    root().join("tests/data/attributes")
}

/// Keys that stand in one mapping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// The path of the mapping; empty for the top of a Compose file.
    object: String,
    /// The file that the frame is.
    #[serde(default = "compose_file")]
    file: String,
    frame: String,
    keys: Mapping,
}

fn compose_file() -> String {
    "compose.yaml".to_owned()
}

/// One key. Its values are either those of the table or those that were found.
#[derive(Deserialize, Default, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Key {
    frame: Option<String>,
    at: Option<String>,
    forms: Vec<String>,
    here: Json,
    accepted: Forms,
    except: Forms,
    warned: Forms,
    refused: Forms,
}

/// Forms in the order in which they stand in the table.
#[derive(Default, PartialEq)]
struct Forms(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Forms {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = Mapping::deserialize(from)?;
        let form =
            |(form, value)| Some((serde_yaml::from_value(form).ok()?, serde_json::to_value(value).ok()?));
        let forms: Option<Vec<_>> = map.into_iter().map(form).collect();
        forms.map(Self).ok_or_else(|| serde::de::Error::custom("a form must be a text in quotes"))
    }
}

fn tables() -> Vec<(PathBuf, String, Vec<Group>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let groups =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, text, groups)
    };
    files.into_iter().map(read).collect()
}

/// The path of a key in a group.
fn path(object: &str, key: &str) -> String {
    match object {
        "" => key.to_owned(),
        "evenkeel.yaml" | "environment.yaml" => format!("{object}:{key}"),
        object => format!("{object}.{key}"),
    }
}

/// Whether a path is one of ours, of which the composed model has nothing.
fn is_own(path: &str) -> bool {
    path.contains("x-evenkeel") || path.contains(".yaml:")
}

fn fill(tree: &mut MemoryTree, from: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fill(tree, from, &path);
        } else {
            let name = path.strip_prefix(from).unwrap().to_str().unwrap().replace('\\', "/");
            tree.insert(name.parse().unwrap(), fs::read(&path).unwrap());
        }
    }
}

/// What became of one form.
struct Found {
    /// The printed model, or why there is none.
    composed: Result<Json, Json>,
    /// What is said of what was composed.
    warnings: Vec<Diagnostic>,
    /// `honoured`, or why it isn't.
    here: Json,
}

fn told(diagnostics: &[Diagnostic], file: &str) -> Json {
    let tell = |diagnostic: &Diagnostic| {
        let place = diagnostic.place.to_string();
        let place = place.strip_prefix(&format!("{file}:")).unwrap_or(&place).to_owned();
        let hint = diagnostic.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        format!("{place} {}: {}{hint}", diagnostic.code, diagnostic.message)
    };
    let mut told: Vec<Json> = diagnostics.iter().map(|diagnostic| Json::String(tell(diagnostic))).collect();
    if told.len() == 1 { told.remove(0) } else { Json::Array(told) }
}

fn errors(report: &Report, file: &str) -> Json {
    let errors = report.diagnostics().iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    told(&errors.cloned().collect::<Vec<_>>(), file)
}

fn find(base: &MemoryTree, file: &str, text: &str, own: bool) -> Found {
    let mut tree = base.clone();
    tree.insert(file.parse().unwrap(), text);
    let host = [("HOST", "hosted"), ("HOME", "/root"), ("COMPOSE_PROFILES", "a,dev")];
    let host = host.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let input = if file == "compose.yaml" {
        let files = vec![file.parse().unwrap()];
        Input::Files(Given { files, default_project: "project".to_owned(), ..Given::default() })
    } else {
        Input::Repository { environment: "prod".parse().unwrap() }
    };
    let revision = Revision::WorkTree(None);
    let request =
        Request { tree: &tree, input, host_variables: &host, missing: MissingVariables::Refuse, revision };
    let resolved = manifest::resolve(&request);
    let here = match &resolved {
        Ok(_) => Json::String(HONOURED.to_owned()),
        Err(report) => errors(report, file),
    };
    if own {
        let warnings = resolved.as_ref().map(|resolved| resolved.warnings.clone()).unwrap_or_default();
        let composed = resolved.map(|resolved| resolved.to_json()).map_err(|_| here.clone());
        return Found { composed, warnings, here };
    }
    match manifest::compose(&request) {
        Ok(model) => {
            let show = Show { reveal: Reveal::All, folder: "/project", interpolated: true };
            Found { composed: Ok(model.to_json(&show)), warnings: model.warnings().to_vec(), here }
        }
        Err(report) => Found { composed: Err(errors(&report, file)), warnings: Vec::new(), here },
    }
}

/// What stands at a path; a `*` is the first there is.
fn at(json: &Json, path: &str) -> Json {
    let mut found = Some(json);
    for part in path.split('.') {
        found = match (part, found) {
            ("*", Some(Json::Array(items))) => items.first(),
            ("*", Some(Json::Object(map))) => map.get("a").or_else(|| map.values().next()),
            (part, Some(json)) => json.get(part),
            (_, None) => None,
        };
    }
    found.cloned().unwrap_or_else(|| Json::String(ABSENT.to_owned()))
}

/// Tries every form of a key, and gives the entry as it should be.
fn examine(tree: &MemoryTree, group: &Group, name: &str, said: &Key) -> Key {
    let path = path(&group.object, name);
    let frame = said.frame.as_ref().unwrap_or(&group.frame);
    let place = said.at.clone().unwrap_or_else(|| path.clone());
    let mut key = Key { frame: said.frame.clone(), at: said.at.clone(), ..Key::default() };
    let known = said.accepted.0.iter().chain(&said.refused.0).map(|(form, _)| form);
    let mut outcomes = Vec::new();
    for form in known.chain(&said.forms) {
        assert!(frame.contains("VALUE"), "{path}: the frame has no VALUE");
        let text = frame.replace("KEY", name).replace("VALUE", form);
        let found = find(tree, &group.file, &text, is_own(&path));
        match found.composed {
            Ok(json) => {
                key.accepted.0.push((form.clone(), at(&json, &place)));
                outcomes.push((form.clone(), found.here));
                if !found.warnings.is_empty() {
                    key.warned.0.push((form.clone(), told(&found.warnings, &group.file)));
                }
            }
            Err(why) => key.refused.0.push((form.clone(), why)),
        }
    }
    if let Some((_, here)) = outcomes.first() {
        key.here = here.clone();
        key.except.0 = outcomes.into_iter().filter(|(_, outcome)| *outcome != key.here).collect();
    }
    key
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn scalar(out: &mut String, indent: &str, name: &str, text: &str) {
    if text.contains('\n') {
        writeln!(out, "{indent}{name}: |").unwrap();
        for line in text.lines() {
            writeln!(out, "{indent}  {line}").unwrap();
        }
    } else {
        writeln!(out, "{indent}{name}: {}", quoted(text)).unwrap();
    }
}

/// JSON that is YAML too: texts that it would break are in single quotes.
fn value(json: &Json) -> String {
    match json {
        Json::String(text) if !text.contains(['\n', '\t']) => quoted(text),
        Json::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let pairs = map.iter().map(|(key, item)| format!("{}: {}", quoted(key), value(item)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        json => json.to_string(),
    }
}

fn written(comment: &str, groups: &[(&Group, Vec<(String, Key)>)]) -> String {
    let mut out = comment.to_owned();
    for (group, keys) in groups {
        writeln!(out, "- object: {}", quoted(&group.object)).unwrap();
        if group.file != compose_file() {
            writeln!(out, "  file: {}", group.file).unwrap();
        }
        scalar(&mut out, "  ", "frame", &group.frame);
        writeln!(out, "  keys:").unwrap();
        for (name, key) in keys {
            writeln!(out, "    {name}:").unwrap();
            for (word, text) in [("frame", &key.frame), ("at", &key.at)] {
                if let Some(text) = text {
                    scalar(&mut out, "      ", word, text);
                }
            }
            if key.here != Json::Null {
                writeln!(out, "      here: {}", value(&key.here)).unwrap();
            }
            let Key { accepted, except, warned, refused, .. } = key;
            for (word, forms) in
                [("accepted", accepted), ("except", except), ("warned", warned), ("refused", refused)]
            {
                if !forms.0.is_empty() {
                    writeln!(out, "      {word}:").unwrap();
                }
                for (form, json) in &forms.0 {
                    writeln!(out, "        {}: {}", quoted(form), value(json)).unwrap();
                }
            }
        }
    }
    out
}

#[test]
fn every_form_of_every_key_is_taken_or_refused_as_the_tables_say() {
    let mut tree = MemoryTree::default();
    let folder = data().join("tree");
    fill(&mut tree, &folder, &folder);
    let update = std::env::var_os("EVENKEEL_UPDATE").is_some();
    let mut wrong = Vec::new();
    for (file, text, groups) in tables() {
        let mut found = Vec::new();
        for group in &groups {
            let mut keys = Vec::new();
            for (name, said) in &group.keys {
                let name: String = serde_yaml::from_value(name.clone()).unwrap();
                let said: Key = serde_yaml::from_value(said.clone())
                    .unwrap_or_else(|error| panic!("{}.{name}: {error}", group.object));
                let key = examine(&tree, group, &name, &said);
                let path = path(&group.object, &name);
                if said != key {
                    wrong.push(format!("{path} in {}", file.display()));
                }
                let later = key.refused.0.iter().all(|(_, why)| why.to_string().contains("not-supported"));
                if key.refused.0.is_empty() || (key.accepted.0.is_empty() && !later) {
                    wrong.push(format!("{path} has no accepted or no refused form"));
                }
                keys.push((name, key));
            }
            found.push((group, keys));
        }
        let comment: String = text.split_inclusive('\n').take_while(|line| line.starts_with('#')).collect();
        let now = written(&comment, &found);
        if update {
            fs::write(&file, now).unwrap();
        } else if now != text {
            let line = now.lines().zip(text.lines()).find(|(now, text)| now != text);
            wrong.push(format!("{}: now and then: {line:#?}", file.display()));
        }
    }
    assert!(update || wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The keys of the tables, and whether they are honoured.
fn listed() -> Vec<(String, bool)> {
    let mut listed = Vec::new();
    for (_, _, groups) in tables() {
        for group in &groups {
            for (name, key) in &group.keys {
                let key: Key = serde_yaml::from_value(key.clone()).unwrap();
                listed.push((path(&group.object, name.as_str().unwrap()), key.here == HONOURED));
            }
        }
    }
    listed
}

/// The keys of the manual, and whether it says that they are honoured. They stand in the first column of the tables
/// below a title that names one or several mappings; a key that isn't honoured says `refused` in the third.
fn documented(text: &str) -> Vec<(String, bool)> {
    let mut documented = Vec::new();
    let mut objects: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix('#') {
            let codes = title.split('`').skip(1).step_by(2);
            objects = if title.contains("The top of a file") { vec![""] } else { codes.collect() };
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        let [names, _, here, ..] = cells[..] else { continue };
        let names = names.split('`').skip(1).step_by(2);
        for name in names {
            let honoured = !here.starts_with("refused");
            documented.extend(objects.iter().map(|object| (path(object, name), honoured)));
        }
    }
    documented
}

#[track_caller]
fn assert_same(found: &[(String, bool)], what: &str) {
    let known: BTreeSet<String> =
        manifest::attributes().into_iter().chain(manifest::own_attributes()).collect();
    let count = found.len();
    let found: BTreeSet<String> = found.iter().map(|(path, _)| path.clone()).collect();
    let missing: Vec<_> = known.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&known).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "{what} lacks {missing:#?} and invents {unknown:#?}");
    assert_eq!(count, found.len(), "{what} names a key twice");
}

#[test]
fn the_tables_have_every_key() {
    assert_same(&listed(), "tests/data/attributes");
}

#[test]
fn the_manual_has_every_key_and_says_whether_it_is_honoured() {
    let manual = fs::read_to_string(root().join("docs/manifests.md")).unwrap();
    let mut documented = documented(&manual);
    assert_same(&documented, "docs/manifests.md");
    let mut listed = listed();
    documented.sort();
    listed.sort();
    let wrong: Vec<_> = documented.iter().filter(|said| !listed.contains(said)).collect();
    assert!(wrong.is_empty(), "the tables say otherwise: {wrong:#?}");
}
