//! Files of strangers, each made to cost more than it weighs, and the limit that must refuse it.
//!
//! The tests assert the limits; `benches/manifests.rs` reads the same files and prints what each costs.

#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::format_collect,
    unreachable_pub,
    reason = "tests and a bench read this, and texts are made in whatever way is shortest"
)]

use std::collections::BTreeMap;

use evenkeel::manifest::{Given, Input, MissingVariables, Report, Request, Resolved, resolve};
use evenkeel::model::desired::Revision;
use evenkeel::model::tree::MemoryTree;

/// A stack that somebody hostile wrote.
pub struct Case {
    /// What it tries.
    pub name: &'static str,
    /// The limit that refuses it; none where it must be accepted.
    pub refused_by: Option<&'static str>,
    make: fn() -> Stack,
}

/// Files and the host's variables.
pub struct Stack {
    tree: MemoryTree,
    host: BTreeMap<String, String>,
    /// All bytes of it.
    pub bytes: usize,
}

impl Case {
    /// The files.
    pub fn stack(&self) -> Stack {
        (self.make)()
    }
}

impl Stack {
    /// What becomes of it.
    pub fn resolve(&self) -> Result<Resolved, Report> {
        resolve(&Request {
            tree: &self.tree,
            input: Input::Files(Given {
                files: vec!["compose.yaml".parse().unwrap()],
                default_project: "hostile".to_owned(),
                ..Given::default()
            }),
            host_variables: &self.host,
            missing: MissingVariables::Refuse,
            revision: Revision::WorkTree(None),
        })
    }

    fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.bytes += bytes.len();
        self.tree.insert(path.parse().unwrap(), bytes);
        self
    }

    fn with_variable(mut self, name: &str, value: String) -> Self {
        self.bytes += value.len();
        self.host.insert(name.to_owned(), value);
        self
    }
}

fn compose(bytes: impl Into<Vec<u8>>) -> Stack {
    let stack = Stack { tree: MemoryTree::default(), host: BTreeMap::new(), bytes: 0 };
    stack.with("compose.yaml", bytes)
}

/// As many of `part` as fit into a file.
fn full_of(start: &str, part: &str) -> String {
    start.to_owned() + &part.repeat(((1 << 20) - start.len()) / part.len())
}

const SERVICE: &str = "services:\n  web:\n    image: web\n";

fn laughs() -> Stack {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    compose(text)
}

fn merges() -> Stack {
    let mut text = "x0: &x0 {a: 1, b: 2, c: 3, d: 4}\n".to_owned();
    for level in 1..40 {
        text += &format!("x{level}: &x{level} {{<<: *x{}, l: *x{0}, r: *x{0}}}\n", level - 1);
    }
    compose(text)
}

fn env_file(text: impl Into<Vec<u8>>) -> Stack {
    compose(SERVICE).with(".env", text)
}

/// All of them.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    // === size ===
    Case { name: "100 MB", refused_by: Some("too-large"), make: || compose(vec![b'a'; 100 << 20]) },
    Case { name: "100 MB that are not text", refused_by: Some("too-large"), make: || compose(vec![0xff; 100 << 20]) },
    Case { name: "one byte too many", refused_by: Some("too-large"), make: || compose(full_of("#", " ") + " ") },
    // === depth ===
    Case { name: "10,000 lists deep", refused_by: Some("too-deep"), make: || compose("[".repeat(10_000)) },
    Case { name: "10,000 mappings deep", refused_by: Some("too-deep"), make: || compose("{a: ".repeat(10_000)) },
    Case { name: "10,000 dashes deep", refused_by: Some("too-deep"), make: || compose("- ".repeat(10_000)) },
    Case { name: "500,000 dashes deep", refused_by: Some("too-many-values"), make: || compose(full_of("", "- ")) },
    Case { name: "10,000 question marks deep", refused_by: Some("complex-key"), make: || compose("? ".repeat(10_000)) },
    Case { name: "1,000 lines deep", refused_by: Some("too-deep"), make: || {
        compose((0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>())
    } },
    Case { name: "deep by aliases", refused_by: Some("too-deep"), make: || {
        let levels = (1..70).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1));
        compose("a0: &a0 [x]\n".to_owned() + &levels.collect::<String>())
    } },
    // === anchors ===
    Case { name: "a billion laughs", refused_by: Some("alias-budget"), make: laughs },
    Case { name: "a large list again and again", refused_by: Some("alias-budget"), make: || {
        compose("a: &a [".to_owned() + &"x,".repeat(5_000) + "]\nb: [" + &"*a,".repeat(5_000) + "]")
    } },
    Case { name: "a long text again and again", refused_by: Some("alias-budget"), make: || {
        compose(format!("a: &a {}\nb: [{}]", "x".repeat(500_000), "*a,".repeat(5_000)))
    } },
    Case { name: "merge keys that double", refused_by: Some("alias-budget"), make: merges },
    Case { name: "an anchor in itself", refused_by: Some("cyclic-alias"), make: || compose("a: &a [*a]") },
    Case { name: "a merge key of itself", refused_by: Some("cyclic-alias"), make: || {
        compose("services: {a: &a {<<: *a}}")
    } },
    Case { name: "merge keys in a circle", refused_by: Some("unknown-alias"), make: || {
        compose("x-a: &a {<<: *b}\nx-b: &b {<<: *a}\n")
    } },
    // === number ===
    Case { name: "a list of 500,000", refused_by: Some("too-many-values"), make: || compose(full_of("a: [", "x,")) },
    Case { name: "a mapping of 250,000 in brackets", refused_by: Some("too-many-values"), make: || {
        compose(full_of("a: {", "? x,"))
    } },
    Case { name: "a list of 250,000 lines", refused_by: Some("too-many-values"), make: || compose(full_of("", "- x\n")) },
    Case { name: "a list of 500,000 nothings", refused_by: Some("too-many-values"), make: || compose(full_of("", "-\n")) },
    Case { name: "100,000 keys", refused_by: Some("too-many-values"), make: || {
        compose((0..100_000).map(|number| format!("k{number}:\n")).collect::<String>())
    } },
    Case { name: "a million keys", refused_by: Some("too-large"), make: || {
        compose((0..1_000_000).map(|number| format!("k{number}:\n")).collect::<String>())
    } },
    Case { name: "25,000 unknown keys", refused_by: Some("unknown-key"), make: || {
        compose(SERVICE.to_owned() + &(0..25_000).map(|number| format!("    k{number}: x\n")).collect::<String>())
    } },
    Case { name: "unknown keys in one line", refused_by: Some("unknown-key"), make: || {
        let keys: String = (0..15_000).map(|number| format!("k{number}: x,")).collect();
        compose(format!("services: {{web: {{image: web, {keys}}}}}"))
    } },
    Case { name: "one key of 500,000 bytes", refused_by: Some("yaml-syntax"), make: || {
        compose(SERVICE.to_owned() + "    " + &"k".repeat(500_000) + ": x\n")
    } },
    // === characters ===
    Case { name: "no UTF-8", refused_by: Some("not-utf8"), make: || compose(b"services: \xff".to_vec()) },
    Case { name: "half of UTF-16", refused_by: Some("not-utf8"), make: || compose(b"\xff\xfea\0\0\xd8".to_vec()) },
    Case { name: "NUL", refused_by: Some("control-character"), make: || compose("services: \0") },
    Case { name: "an escape", refused_by: Some("control-character"), make: || compose("services: \u{1b}[31m") },
    Case { name: "a tab", refused_by: Some("yaml-syntax"), make: || compose("services:\n\tweb: {image: web}\n") },
    Case { name: "CRLF", refused_by: None, make: || compose("services:\r\n  web:\r\n    image: web\r\n") },
    Case { name: "BOM", refused_by: None, make: || compose("\u{feff}services: {web: {image: web}}") },
    // === variables ===
    Case { name: "defaults in defaults", refused_by: Some("interpolation-depth"), make: || {
        compose(format!("{SERVICE}    hostname: '{}x{}'", "${A:-".repeat(10_000), "}".repeat(10_000)))
    } },
    Case { name: "defaults that never end", refused_by: Some("interpolation"), make: || {
        compose(full_of(&format!("{SERVICE}    hostname: "), "${A:-"))
    } },
    Case { name: "braces that never balance", refused_by: Some("interpolation"), make: || {
        compose(format!("{SERVICE}    hostname: {}}}", "${A:-{".repeat(150_000)))
    } },
    Case { name: "a large variable 10,000 times in a text", refused_by: Some("interpolation-size"), make: || {
        compose(format!("{SERVICE}    hostname: {}", "$BIG".repeat(10_000))).with_variable("BIG", "x".repeat(1 << 20))
    } },
    Case { name: "a large variable in 10,000 texts", refused_by: Some("variable-budget"), make: || {
        let items = "      - $BIG\n".repeat(10_000);
        compose(format!("{SERVICE}    command:\n{items}")).with_variable("BIG", "x".repeat(1 << 20))
    } },
    Case { name: "200,000 variables without a value", refused_by: Some("no-image"), make: || {
        compose(full_of("services:\n  web:\n    hostname: ", "$UP,").replace("$UP,", "$UP."))
    } },
    Case { name: "25,000 texts with a variable without a value", refused_by: Some("no-image"), make: || {
        compose("services:\n  web:\n    command:\n".to_owned() + &"    - $UNSET\n".repeat(25_000))
    } },
    // === repetition ===
    Case { name: "a large service that many extend", refused_by: Some("repetition-budget"), make: || {
        let large = format!("services:\n  base:\n    image: a\n    hostname: {}\n", "x".repeat(500_000));
        compose(large + &(0..10_000).map(|number| format!("  s{number}: {{extends: base}}\n")).collect::<String>())
    } },
    Case { name: "a large `x-evenkeel` over many services", refused_by: Some("repetition-budget"), make: || {
        let large = format!("x-evenkeel: {{tier: {}}}\nservices:\n", "x".repeat(500_000));
        compose(large + &(0..10_000).map(|number| format!("  s{number}: {{image: a}}\n")).collect::<String>())
    } },
    Case { name: "a large file that many include", refused_by: Some("repetition-budget"), make: || {
        let child = format!("services: {{b: {{image: b, hostname: {}}}}}", "x".repeat(900_000));
        compose("include:\n".to_owned() + &"  - child.yaml\n".repeat(1_000)).with("child.yaml", child)
    } },
    Case { name: "files that include two others each", refused_by: Some("too-many-files"), make: || {
        (0..30).fold(compose("include: [f0.yaml]\nservices: {a: {image: a}}"), |stack, level| {
            let next = level + 1;
            stack.with(
                &format!("f{level}.yaml"),
                format!("include:\n  - f{next}.yaml\n  - {{path: f{next}.yaml, project_directory: '.'}}\n"),
            )
        }).with("f30.yaml", "services: {b: {image: b}}")
    } },
    Case { name: "a large `env_file` of many services", refused_by: Some("repetition-budget"), make: || {
        let services: String =
            (0..8_000).map(|number| format!("  s{number}: {{image: a, env_file: big.env}}\n")).collect();
        compose("services:\n".to_owned() + &services).with("big.env", format!("A={}\n", "x".repeat(1_000_000)))
    } },
    Case { name: "a range of 50,000 ports", refused_by: None, make: || {
        compose(format!("{SERVICE}    ports: [\"10000-60000:10000-60000\"]\n"))
    } },
    // === files of variables ===
    Case { name: "a .env of 10 MB", refused_by: Some("too-large"), make: || env_file("A=b\n".repeat(2_500_000)) },
    Case { name: "a .env of a million variables", refused_by: Some("too-large"), make: || {
        env_file((0..1_000_000).map(|number| format!("K{number}=\n")).collect::<String>())
    } },
    Case { name: "a .env of 100,000 variables", refused_by: Some("too-many-variables"), make: || {
        env_file((0..100_000).map(|number| format!("K{number}=\n")).collect::<String>())
    } },
    Case { name: "a .env that doubles", refused_by: Some("interpolation-size"), make: || {
        let lines = (1..40).map(|level| format!("A{level}=$A{}$A{0}\n", level - 1));
        env_file("A0=xxxxxxxxxxxxxxxx\n".to_owned() + &lines.collect::<String>())
    } },
    Case { name: "a .env that repeats", refused_by: Some("dotenv-budget"), make: || {
        env_file(format!("A={}\n{}", "x".repeat(500_000), "B=$A\n".repeat(10_000)))
    } },
    Case { name: "a .env of mistakes", refused_by: Some("dotenv"), make: || env_file(full_of("", "/\n")) },
    Case { name: "a .env of one long line of mistakes", refused_by: Some("interpolation"), make: || {
        env_file(full_of("A=", "$NO ") .replacen("$NO ", "${} ", 1))
    } },
    Case { name: "a .env with an open quote", refused_by: Some("dotenv"), make: || env_file(full_of("A=\"", "\\\"")) },
    Case { name: "a .env that is not text", refused_by: Some("not-utf8"), make: || env_file(vec![0xff; 1 << 20]) },
    Case { name: "a .env with NUL", refused_by: Some("control-character"), make: || env_file("A=\0") },
    Case { name: "a .env with CRLF and BOM", refused_by: None, make: || env_file("\u{feff}A=b\r\nB=c\r\n") },
];
