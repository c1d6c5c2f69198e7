//! Single values of each type, in the one form in which they are printed.

use super::super::node::{Node, Scalar, Value};
use super::super::problem::{Problem, Problems};
use super::super::read as node_read;
use super::numbers;
use super::scalars::{self, Plain};
use super::types::{Form, Path, Size, Textual, Type};

/// What is wrong with a value. It is boxed because it is rare and large.
type Wrong = Box<Problem>;

/// Reads a value of a type that is no collection.
pub(crate) fn read(problems: &mut Problems, node: &Node, of: &Type) -> Option<Scalar> {
    let read = match of {
        Type::Formed(form) => {
            return text(problems, node).filter(|scalar| formed(problems, node, scalar, *form));
        }
        Type::Word(words) => {
            let words: Vec<(&str, ())> = words.iter().map(|word| (*word, ())).collect();
            node_read::word(problems, node, &words)?;
            return text(problems, node);
        }
        Type::Textual(kind) => textual(problems, node, *kind),
        Type::Flag => flag(node),
        Type::Truth => truth(node),
        Type::Whole(least, most) => whole(node, *least, *most),
        Type::Cut(least) => cut(node, *least),
        Type::Decimal => decimal(node),
        Type::Unquoted(of) => match node.as_scalar().map(meaning) {
            Some(Plain::Whole(_) | Plain::Decimal(_)) => return read(problems, node, of),
            Some(_) | None => Err(Box::new(node_read::wrong_type(node, "a number"))),
        },
        Type::Size(kind) => size(node, *kind),
        Type::Duration => duration(node),
        Type::Path(Path::Watched) if node.as_scalar().is_some_and(|scalar| scalar.text.is_empty()) => {
            Err(wrong(node, "missing-value", "a watch needs a `path`".to_owned(), ""))
        }
        Type::Any
        | Type::Text
        | Type::Path(_)
        | Type::List(_)
        | Type::Map(_)
        | Type::Pairs(_)
        | Type::Object(_)
        | Type::Short(..)
        | Type::Maybe(_) => return text(problems, node),
    };
    match read {
        Ok(scalar) => Some(scalar),
        Err(problem) => {
            problems.add(*problem);
            None
        }
    }
}

/// What a scalar means: without quotes what YAML sees in it, else a text.
pub(crate) fn meaning(scalar: &Scalar) -> Plain {
    if scalar.plain { scalars::plain(&scalar.text) } else { Plain::Text }
}

/// What a value becomes where a text is wanted.
pub(crate) fn said(meaning: Plain, text: &str) -> String {
    match meaning {
        Plain::Flag(flag) => flag.to_string(),
        Plain::Whole(number) => number.to_string(),
        Plain::Decimal(number) => scalars::shown(number),
        Plain::Date | Plain::Text => text.to_owned(),
    }
}

/// A text that nothing else can be seen in.
pub(crate) fn text_of(text: String, from: Option<&Scalar>) -> Scalar {
    let taint = from.map_or(super::super::node::Taint::Literal, |scalar| scalar.taint);
    Scalar { text, plain: false, taint }
}

/// A number or truth value.
fn plain_of(text: String, from: &Scalar) -> Scalar {
    Scalar { plain: true, ..text_of(text, Some(from)) }
}

fn scalar<'n>(node: &'n Node, wanted: &str) -> Result<&'n Scalar, Wrong> {
    node.as_scalar().ok_or_else(|| Box::new(node_read::wrong_type(node, wanted)))
}

fn wrong(node: &Node, code: &'static str, message: String, hint: &str) -> Wrong {
    let problem = Problem::error(code, node.span, message);
    Box::new(if hint.is_empty() { problem } else { problem.hint(hint) })
}

fn unwanted(node: &Node, scalar: &Scalar, wanted: &str) -> Wrong {
    let message = format!("{wanted} is wanted here, and this is {}", scalar.shown());
    wrong(node, "wrong-type", message, "")
}

fn unquoted(node: &Node, scalar: &Scalar) -> Wrong {
    let hint = format!("put it into quotes: \"{}\"", scalar.text);
    Box::new(node_read::wrong_type(node, "a text").hint(hint))
}

fn text(problems: &mut Problems, node: &Node) -> Option<Scalar> {
    let scalar = node_read::text(problems, node)?;
    Some(text_of(scalar.text.clone(), Some(scalar)))
}

fn formed(problems: &mut Problems, node: &Node, scalar: &Scalar, form: Form) -> bool {
    let text = scalar.text.as_str();
    let follows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let (fits, what, hint) = match form {
        Form::ContainerName => (
            // Compose looks for such a name anywhere in the text.
            text.as_bytes()
                .windows(2)
                .any(|two| matches!(two, [a, b] if a.is_ascii_alphanumeric() && follows(char::from(*b)))),
            "a container name",
            "letters, digits, `_`, `.` and `-`, at least two, the first a letter or digit",
        ),
        Form::PullPolicy => (
            is_pull_policy(text),
            "a pull policy",
            "`always`, `missing`, `never`, `build`, `daily`, `weekly` or `every_12h`",
        ),
    };
    if !fits {
        problems.add(*wrong(node, "bad-name", format!("{} is not {what}", scalar.shown()), hint));
    }
    fits
}

fn is_pull_policy(text: &str) -> bool {
    let words = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let unit = |c: char| matches!(c, 'w' | 'd' | 'h' | 'm' | 's');
    let counted = |part: &str| {
        let digits = part.get(..part.len() - 1).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let every = text
        .strip_prefix("every_")
        .is_some_and(|rest| rest.ends_with(unit) && rest.split_inclusive(unit).all(counted));
    words.contains(&text) || every
}

fn textual(problems: &mut Problems, node: &Node, kind: Textual) -> Result<Scalar, Wrong> {
    if matches!(node.value, Value::Null) {
        return Ok(text_of(String::new(), None));
    }
    let found = scalar(node, "a text")?;
    let meaning = meaning(found);
    let fits = match (meaning, kind) {
        (Plain::Text, _)
        | (Plain::Whole(_) | Plain::Decimal(_), Textual::Number | Textual::NumberOrNull | Textual::All)
        | (Plain::Whole(_), Textual::Whole | Textual::Mode | Textual::Count)
        | (Plain::Flag(_), Textual::All | Textual::Flag) => true,
        (Plain::Date | Plain::Flag(_) | Plain::Decimal(_) | Plain::Whole(_), _) => false,
    };
    if !fits {
        return Err(unquoted(node, found));
    }
    match kind {
        Textual::Mode => return mode(node, found, meaning),
        Textual::Count => return count(node, found, meaning),
        Textual::Number | Textual::Whole | Textual::NumberOrNull | Textual::All | Textual::Flag => {}
    }
    let read = said(meaning, &found.text);
    if read != found.text {
        problems.add(
            Problem::warning("number-as-text", node.span, format!("YAML reads this as {read}"))
                .hint(format!("put it into quotes to keep it as it is: \"{}\"", found.text)),
        );
    }
    // As with Compose, a port written as a number is another than one written as a text.
    let plain = kind == Textual::Whole && matches!(meaning, Plain::Whole(_));
    Ok(Scalar { plain, ..text_of(read, Some(found)) })
}

/// The permissions of a file, in octal digits.
fn mode(node: &Node, found: &Scalar, meaning: Plain) -> Result<Scalar, Wrong> {
    let bits = match meaning {
        Plain::Whole(bits) => u32::try_from(bits).ok(),
        Plain::Text => u32::from_str_radix(&found.text, 8).ok(),
        Plain::Flag(_) | Plain::Decimal(_) | Plain::Date => None,
    };
    let message = || format!("{} is not the permissions of a file", found.shown());
    let bits = bits.ok_or_else(|| wrong(node, "wrong-type", message(), "as in `0440`"))?;
    Ok(text_of(format!("0{bits:o}"), Some(found)))
}

fn count(node: &Node, found: &Scalar, meaning: Plain) -> Result<Scalar, Wrong> {
    let number = match meaning {
        Plain::Whole(number) => Some(number),
        Plain::Text if found.text.eq_ignore_ascii_case("all") => Some(-1),
        Plain::Text => found.text.parse().ok(),
        Plain::Flag(_) | Plain::Decimal(_) | Plain::Date => None,
    };
    let message = || format!("{} is not a number of devices", found.shown());
    let number = number.ok_or_else(|| wrong(node, "wrong-type", message(), "a number, or `all`"))?;
    Ok(plain_of(number.to_string(), found))
}

fn flag(node: &Node) -> Result<Scalar, Wrong> {
    const WANTED: &str = "`true` or `false`";
    let found = scalar(node, WANTED)?;
    let flag = match meaning(found) {
        Plain::Flag(flag) => Some(flag),
        Plain::Text => match found.text.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" => Some(true),
            "false" | "n" | "no" | "off" => Some(false),
            _ => None,
        },
        Plain::Whole(_) | Plain::Decimal(_) | Plain::Date => None,
    };
    let flag = flag.ok_or_else(|| unwanted(node, found, WANTED))?;
    Ok(plain_of(flag.to_string(), found))
}

fn truth(node: &Node) -> Result<Scalar, Wrong> {
    match node.as_scalar().map(|scalar| (scalar, meaning(scalar))) {
        Some((scalar, Plain::Flag(flag))) => Ok(plain_of(flag.to_string(), scalar)),
        Some(_) | None => Err(Box::new(node_read::wrong_type(node, "`true` or `false`"))),
    }
}

fn whole(node: &Node, least: i64, most: i64) -> Result<Scalar, Wrong> {
    let wanted = match (least, most) {
        (i64::MIN, _) => "a whole number".to_owned(),
        (0, 0xffff_ffff..) => "a whole number that is not negative".to_owned(),
        (least, most) => format!("a whole number from {least} to {most}"),
    };
    let found = scalar(node, &wanted)?;
    let number = match meaning(found) {
        Plain::Whole(number) => Some(number),
        // `1e3` is a whole number as well.
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and it is bounded")]
        Plain::Decimal(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(number as i128),
        Plain::Text => found.text.parse().ok(),
        Plain::Decimal(_) | Plain::Flag(_) | Plain::Date => None,
    };
    let number = number.filter(|number| (i128::from(least)..=i128::from(most)).contains(number));
    let number = number.ok_or_else(|| unwanted(node, found, &wanted))?;
    Ok(plain_of(number.to_string(), found))
}

/// A number that Compose cuts off to a whole one.
fn cut(node: &Node, least: i64) -> Result<Scalar, Wrong> {
    let wanted = if least < 0 { "a whole number" } else { "a whole number that is not negative" };
    let found = scalar(node, wanted)?;
    let number = match meaning(found) {
        Plain::Whole(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "the cut is what is wanted, and it is bounded")]
        Plain::Decimal(number) if number.abs() < 1e15 => Some(number.trunc() as i128),
        Plain::Text => found.text.parse().ok(),
        Plain::Decimal(_) | Plain::Flag(_) | Plain::Date => None,
    };
    let number = number.filter(|number| *number >= i128::from(least));
    let number = number.ok_or_else(|| unwanted(node, found, wanted))?;
    Ok(plain_of(number.to_string(), found))
}

fn decimal(node: &Node) -> Result<Scalar, Wrong> {
    let found = scalar(node, "a number")?;
    let number = match meaning(found) {
        #[expect(clippy::cast_precision_loss, reason = "a decimal is what is wanted")]
        Plain::Whole(number) => Some(number as f64),
        Plain::Decimal(number) => Some(number),
        Plain::Text => found.text.parse::<f64>().ok(),
        Plain::Flag(_) | Plain::Date => None,
    };
    let message = || format!("{} is not a number", found.shown());
    // Compose keeps seven digits.
    #[expect(clippy::cast_possible_truncation, reason = "that is what is wanted")]
    let number = number.map(|number| number as f32).filter(|number| number.is_finite());
    let number = number.ok_or_else(|| wrong(node, "bad-number", message(), "as in `0.5` or `2`"))?;
    Ok(plain_of(number.to_string(), found))
}

fn size(node: &Node, kind: Size) -> Result<Scalar, Wrong> {
    let found = scalar(node, "a size")?;
    let bytes = match (meaning(found), kind) {
        (Plain::Whole(bytes), Size::Whole | Size::Number) => Some(bytes.to_string()),
        // A size that YAML reads as a decimal is none to Compose, also where only whole ones may stand.
        (Plain::Decimal(_), Size::Number) => Some("0".to_owned()),
        (Plain::Decimal(number), Size::Whole) if number.fract() == 0.0 => Some("0".to_owned()),
        (Plain::Text, _) => numbers::size(&found.text).map(|bytes| bytes.to_string()),
        (Plain::Whole(_) | Plain::Decimal(_), Size::Text) => return Err(unquoted(node, found)),
        (Plain::Decimal(_) | Plain::Flag(_) | Plain::Date, _) => None,
    };
    let message = || format!("{} is not a size", found.shown());
    let hint = "bytes, or a number with a unit: `512m`, `4g`, `4GiB`";
    let bytes = bytes.ok_or_else(|| wrong(node, "bad-size", message(), hint))?;
    Ok(text_of(bytes, Some(found)))
}

fn duration(node: &Node) -> Result<Scalar, Wrong> {
    let found = scalar(node, "a duration")?;
    let length = match meaning(found) {
        Plain::Text => numbers::nanoseconds(&found.text),
        Plain::Whole(_) | Plain::Decimal(_) | Plain::Flag(_) | Plain::Date => None,
    };
    let message = || format!("{} is not a duration", found.shown());
    let hint = "a number with a unit, as in `30s`, `500ms`, `1m30s`, `1.5h`";
    let length = length.ok_or_else(|| wrong(node, "bad-duration", message(), hint))?;
    Ok(text_of(numbers::shown_duration(length), Some(found)))
}
