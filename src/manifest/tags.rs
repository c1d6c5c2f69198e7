//! Tags: `!reset` and `!override` of Compose, those of YAML itself, and others, which mean nothing here.

use std::borrow::Cow;

use saphyr_parser::{ScalarStyle, Tag};

use super::language::scalars::{self, Plain};
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
        (_, "str" | "int" | "float" | "bool" | "null" | "map" | "seq" | "merge" | "binary")
            if is_core(tag) =>
        {
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
        Some("str" | "binary") => ScalarStyle::DoubleQuoted,
        Some("int" | "float" | "bool" | "null") => ScalarStyle::Plain,
        _ => style,
    }
}

/// The text of a scalar: what `!!binary` stands for, else itself, which must be what its tag says.
pub(crate) fn decoded(tag: Option<&Tag>, text: Cow<'_, str>, span: Span) -> Result<String, Fatal> {
    let Some(tag) = tag.filter(|tag| is_core(tag)) else { return Ok(text.into_owned()) };
    let meaning = plain_meaning(&text);
    let fits = match tag.suffix.as_str() {
        "null" => meaning == "nothing" || text.is_empty(),
        "bool" => meaning == "a truth value",
        "int" => matches!(scalars::plain(&text), Plain::Whole(_)),
        "float" => meaning == "a number",
        "binary" => {
            if let Some(text) = base64(&text).and_then(|bytes| String::from_utf8(bytes).ok()) {
                return Ok(text);
            }
            false
        }
        _ => true,
    };
    if !fits {
        let message = format!("this is not what its tag `!!{}` says", tag.suffix);
        return Err(Box::new(Problem::error("tag", span, message).hint("remove the tag")));
    }
    Ok(text.into_owned())
}

/// The bytes that a text in base64 stands for, which may be broken into lines.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let padding = digits.iter().rev().take_while(|digit| **digit == b'=').count();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.get(..digits.len() - padding)? {
        bits = (bits << 6) | u32::from(value(*digit)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.extend(u8::try_from((bits >> count) & 0xff).ok());
        }
    }
    Some(bytes)
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
