//! Tags: `!reset` and `!override` of Compose, those of YAML itself, and others, which mean nothing here.

use saphyr_parser::{ScalarStyle, Tag};

use super::load::Fatal;
use super::node::{MergeTag, Scalar, Taint};
use super::problem::{Problem, nearest};
use super::source::Span;

/// What a tag asks for, and what is to be said about it.
pub(crate) fn read(tag: Option<&Tag>, span: Span) -> Result<(Option<MergeTag>, Option<Problem>), Fatal> {
    const KNOWN: &str =
        "only `!reset` and `!override` are, in override files; quote a text that begins with `!`";
    let Some(tag) = tag else { return Ok((None, None)) };
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Ok((Some(MergeTag::Reset), None)),
        ("!", "override") => Ok((Some(MergeTag::Override), None)),
        (_, "str" | "int" | "float" | "bool" | "null" | "map" | "seq" | "merge") if is_core(tag) => {
            Ok((None, None))
        }
        ("!", word) if nearest(word, ["reset", "override"]).is_none() && !word.is_empty() => {
            let message = format!("the tag `!{word}` is not known here, and passed over");
            Ok((None, Some(Problem::warning("tag", span, message).hint(KNOWN))))
        }
        _ => {
            let message = format!("the tag `{tag}` is not known here");
            Err(Box::new(Problem::error("tag", span, message).hint(KNOWN)))
        }
    }
}

/// How a scalar counts as written: `!!str` says of a text what quotes would say, and `!!int` the reverse.
pub(crate) fn style(tag: Option<&Tag>, style: ScalarStyle) -> ScalarStyle {
    match tag.filter(|tag| is_core(tag)).map(|tag| tag.suffix.as_str()) {
        Some("str") => ScalarStyle::DoubleQuoted,
        Some("int" | "float" | "bool" | "null") => ScalarStyle::Plain,
        _ => style,
    }
}

/// What a text without quotes is, with its article.
pub(crate) fn plain_meaning(text: &str) -> &'static str {
    if matches!(text, "~" | "null" | "Null" | "NULL") {
        return "nothing";
    }
    Scalar { text: text.to_owned(), plain: true, taint: Taint::Literal }.kind()
}

fn is_core(tag: &Tag) -> bool {
    tag.handle == "tag:yaml.org,2002:"
}
