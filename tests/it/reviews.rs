//! Two revisions compared without a host, and the comment that comes of it.

use evenkeel::model::desired::Desired;
use evenkeel::model::spec::{RestartPolicy, VolumeSpec};
use evenkeel::model::text::Text;
use evenkeel::plan::compare::compare;
use evenkeel::plan::markdown::{CHARS_MAX, to_markdown};
use evenkeel::plan::refusal::Refusal;
use evenkeel::plan::review::{Review, Section, Verdict};
use evenkeel::plan::text::{Layout, to_text};
use evenkeel::plan::{Plan, plan};
use proptest::prelude::*;

use crate::paper::{Paper, desired, host, key, service};

mod kept;

fn shop() -> Desired {
    let mut web = service("web", "apps");
    web.spec.environment.insert("LEVEL".to_owned(), "info".into());
    web.spec.environment.insert("PASSWORD".to_owned(), Text::sensitive("hunter2"));
    web.spec.command = Some(vec!["serve".into()]);
    let mut redis = service("redis", "infrastructure");
    redis.spec.resources.memory = Some(256 << 20);
    desired(vec![web, redis])
}

fn edit<'a>(desired: &'a mut Desired, name: &str) -> &'a mut evenkeel::model::desired::Service {
    desired.services.get_mut(name.parse().as_ref().unwrap()).unwrap()
}

fn deployed(desired: &Desired) -> Paper {
    let mut paper = Paper::empty();
    let plan = plan(desired, &paper.live, &paper.last, host(&key())).unwrap();
    paper.carry_out(&plan, usize::MAX);
    paper
}

fn planned(paper: &Paper, desired: &Desired) -> Plan {
    plan(desired, &paper.live, &paper.last, host(&key())).unwrap()
}

fn volume(name: &str, driver: Option<&str>) -> VolumeSpec {
    VolumeSpec {
        name: name.parse().unwrap(),
        external: false,
        driver: driver.map(str::to_owned),
        options: [].into(),
        labels: [].into(),
    }
}

#[test]
fn a_comparison_names_what_the_plan_on_a_host_will() {
    let base = shop();
    let mut head = base.clone();
    edit(&mut head, "web").spec.environment.insert("LEVEL".to_owned(), "debug".into());
    edit(&mut head, "redis").spec.resources.memory = Some(512 << 20);
    head.services.insert("new".parse().unwrap(), service("new", "apps"));
    let compared = compare(Some(&base), &head).unwrap();
    assert_eq!(compared.refusals, []);
    assert_eq!(compared.plan.changes, planned(&deployed(&base), &head).changes);
    assert_eq!(compare(Some(&base), &base).unwrap().plan.changes, []);
    assert_eq!(compare(None, &head).unwrap().plan.changes, planned(&Paper::empty(), &head).changes);
}

#[test]
fn a_value_from_outside_is_not_claimed_to_differ_and_another_one_in_its_place_is() {
    let base = shop();
    let mut head = base.clone();
    edit(&mut head, "web")
        .spec
        .environment
        .insert("PASSWORD".to_owned(), Text::sensitive("from-outside-other"));
    let plan = compare(Some(&base), &head).unwrap().plan;
    let shown = to_text(&plan, Layout { colour: false, width: 0, full: false });
    assert!(shown.contains("environment.PASSWORD   (sensitive) → (sensitive)   secret"), "{shown}");
    assert!(!format!("{plan:?}").contains("from-outside"));
}

#[test]
fn what_stands_in_the_way_is_told_beside_the_changes() {
    let mut base = shop();
    base.volumes.insert("data".parse().unwrap(), volume("shop-data", None));
    let mut head = base.clone();
    head.volumes.insert("data".parse().unwrap(), volume("shop-data", Some("local")));
    assert_eq!(
        compare(Some(&base), &head).unwrap().refusals,
        [],
        "the default that is declared is no change"
    );
    head.volumes.insert("data".parse().unwrap(), volume("shop-data", Some("nfs")));
    edit(&mut head, "web").spec.image = "web:2".parse().unwrap();
    let compared = compare(Some(&base), &head).unwrap();
    assert!(compared.refusals[0].what.contains("volume `data` differs"), "{:?}", compared.refusals);
    assert_eq!(compared.plan.changes.len(), 1);
}

#[test]
fn another_name_of_the_stack_leaves_what_runs() {
    let base = shop();
    let mut head = base.clone();
    head.stack = "auren-live".parse().unwrap();
    let compared = compare(Some(&base), &head).unwrap();
    assert_eq!(compared.plan.changes.len(), 2);
    assert!(compared.plan.notes[0].contains("`auren-dev` is not touched"), "{:?}", compared.plan.notes);
}

fn review(sections: Vec<Section>) -> Review {
    Review {
        project: "shop".to_owned(),
        base: Some("3f9c1e2".to_owned()),
        head: "8a1b2c3".to_owned(),
        sections,
        notes: Vec::new(),
        command: "evenkeel plan --against main".to_owned(),
    }
}

fn section(name: &str, base: Option<&Desired>, head: &Desired) -> Section {
    let compared = compare(base, head).unwrap();
    let verdict = Verdict::Planned(Box::new(compared.plan), compared.refusals);
    Section { name: name.to_owned(), verdict, notes: Vec::new() }
}

#[test]
fn the_comment_has_a_table_first_and_folded_details() {
    let base = shop();
    let mut head = base.clone();
    let web = edit(&mut head, "web");
    web.spec.image = "web:2".parse().unwrap();
    web.spec.command = Some(["serve", "--log", "```", "</details>", "@octocat"].map(Into::into).to_vec());
    web.spec.environment.insert("MOTD".to_owned(), "one\ntwo".into());
    edit(&mut head, "redis").spec.restart = RestartPolicy::Always;
    head.services.insert("new".parse().unwrap(), service("new", "apps"));
    let invalid = Verdict::Invalid("error[x]: bad\n\n1 error\n".to_owned(), 1);
    let invalid = Section { name: "dev".to_owned(), verdict: invalid, notes: Vec::new() };
    let review =
        review(vec![section("prod", Some(&base), &head), section("staging", Some(&base), &base), invalid]);
    insta::assert_snapshot!(to_markdown(&review));
    insta::assert_snapshot!(review.to_text(Layout { colour: false, width: 100, full: false }));
    assert!(review.is_blocked() && review.has_changes());
}

#[test]
fn nothing_to_do_is_said_in_a_line() {
    let text = to_markdown(&review(vec![section("prod", Some(&shop()), &shop())]));
    assert!(text.contains("**Nothing changes.**") && text.contains("Unchanged: `prod`"), "{text}");
}

/// Reads Markdown as a forge does, as far as it may be in a comment, and complains about everything else.
fn assert_sound(text: &str) {
    assert!(text.chars().count() <= CHARS_MAX, "{} characters", text.chars().count());
    let unseen = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || unseen(c)));
    let mut fence: Option<String> = None;
    let mut folded = false;
    for (at, line) in text.split('\n').enumerate() {
        if let Some(open) = &fence {
            let ticks = line.chars().take_while(|c| *c == '`').count();
            if ticks >= open.len() && line.trim_start_matches('`').trim().is_empty() {
                assert_eq!(line, open, "closed by something else in line {at}");
                fence = None;
            }
            continue;
        }
        if line.starts_with("```") {
            fence = Some(line.trim_end_matches(char::is_alphabetic).to_owned());
        } else if line.starts_with("<details") {
            assert!(!folded, "a fold in a fold in line {at}");
            folded = true;
        } else if line == "</details>" {
            assert!(folded);
            folded = false;
        }
        let mut rest = line.to_owned();
        for tag in [
            "<!-- evenkeel:plan:shop -->",
            "<details open>",
            "<details>",
            "</details>",
            "<summary>",
            "</summary>",
            "<code>",
            "</code>",
        ] {
            rest = rest.replacen(tag, "", 1);
        }
        assert!(!rest.contains(['<', '@', '[', '&', '\\']), "line {at}: {line}");
        assert!(!rest.trim_start_matches("### ").contains('#'), "line {at}: {line}");
        if line.starts_with('|') {
            assert_eq!(line.matches('|').count(), 7, "line {at}: {line}");
        }
    }
    assert!(fence.is_none() && !folded, "something is left open");
}

/// A text of what could hurt.
fn hostile() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "`",
        "```",
        "`````",
        "~~~",
        "</details>",
        "<details>",
        "<!--",
        "-->",
        "<script>",
        "@octocat",
        "#1",
        "![x](http://e)",
        "[x](javascript:1)",
        "\u{202e}",
        "\u{200b}",
        "\n",
        "\r",
        "\n```\n",
        "|",
        "\\",
        "\u{1b}[31m",
        "&lt;",
        "www.e.com",
        "ä",
        "\u{2028}",
        "日",
        "long-long-long-long-long-long-long-long ",
        "</summary>",
        "$(id)",
        "\0",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_content_breaks_the_comment(texts in prop::collection::vec(hostile(), 8), environments in 1..4_usize) {
        let base = shop();
        let mut head = base.clone();
        let web = edit(&mut head, "web");
        web.spec.environment.insert(texts[0].clone(), texts[1].as_str().into());
        web.spec.environment.insert("LEVEL".to_owned(), texts[2].as_str().into());
        web.spec.labels.insert(texts[3].clone(), texts[4].clone());
        web.spec.command = Some(texts.iter().map(|text| text.as_str().into()).collect());
        web.spec.hostname = Some(texts[5].clone());
        let mut sections: Vec<Section> =
            (0..environments).map(|at| section(&format!("e{at}"), Some(&base), &head)).collect();
        sections[0].notes = vec![texts[6].clone()];
        let refusal = Refusal { what: texts[7].clone(), hint: texts[0].clone() };
        sections.push(Section {
            name: texts[1].clone(),
            verdict: Verdict::Refused(vec![refusal]),
            notes: vec![texts[2].clone()],
        });
        sections.push(Section {
            name: texts[3].clone(),
            verdict: Verdict::Invalid(texts.concat(), 1),
            notes: Vec::new(),
        });
        let mut review = review(sections);
        review.notes = vec![texts[4].clone()];
        review.command = texts[5].clone();
        let text = to_markdown(&review);
        assert_sound(&text);
        let shown = review.to_text(Layout { colour: false, width: 80, full: true });
        let steers = |c: char| (c.is_control() && c != '\n') || ['\u{202e}', '\u{200b}'].contains(&c);
        prop_assert!(!shown.chars().any(steers), "{:?}", shown);
    }
}

#[test]
fn what_is_too_long_is_left_out_whole_and_said_to_be() {
    let services = |number: usize| {
        let service = |at: usize| {
            let mut service = service(&format!("s{at}"), "apps");
            let variable = |at: usize| (format!("V{at}"), "`````".repeat(10).as_str().into());
            service.spec.environment = (0..12).map(variable).collect();
            service
        };
        desired((0..number).map(service).collect())
    };
    let head = services(25);
    let mut base = head.clone();
    base.services
        .values_mut()
        .for_each(|service| service.spec.environment.values_mut().for_each(|value| *value = "x".into()));
    for environments in [3, 7, 60, 300] {
        let one = section("e", Some(&base), &head);
        let sections =
            (0..environments).map(|at| Section { name: format!("e{at}"), ..one.clone() }).collect();
        let text = to_markdown(&review(sections));
        assert_sound(&text);
        assert!(
            text.contains("Shortened.") && text.contains("evenkeel plan --against main"),
            "{environments}"
        );
        assert!(text.chars().count() > 10_000, "{environments}: {}", text.chars().count());
    }
}

#[test]
fn a_list_and_a_long_text_change_line_by_line() {
    let mut base = shop();
    let words = |last: &str| {
        (0..12).map(|at| format!("--argument-{at}").as_str().into()).chain([last.into()]).collect()
    };
    edit(&mut base, "web").spec.command = Some(words("old"));
    edit(&mut base, "web").spec.environment.insert("MOTD".to_owned(), "one\ntwo\nthree".into());
    let mut head = base.clone();
    edit(&mut head, "web").spec.command = Some(words("new"));
    edit(&mut head, "web").spec.environment.insert("MOTD".to_owned(), "one\n2\nthree".into());
    let plan = compare(Some(&base), &head).unwrap().plan;
    let shown = to_text(&plan, Layout { colour: false, width: 100, full: true }).replace(&plan.id.0, "ID");
    insta::assert_snapshot!(shown);
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
}
