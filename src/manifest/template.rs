//! Texts with variables, as Compose reads them: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}`,
//! `${VAR:+replacement}`, the same without the colon, nested in one another, and `$$`.
//!
//! A pure function of the text and of what the variables hold. It follows Compose to the letter: a `$` before anything
//! but a name, a brace or a `$` stands for itself; a `${…}` with an operator ends in the line that it began in, at the
//! brace that balances its own, or at the last one when none does; and what is nested is looked at even where it
//! turns out not to be needed. How deep it goes and how much it makes is limited, for texts come from strangers.

use std::ops::Range;

use super::node::Taint;

/// How deep a default may hold another variable.
pub(crate) const NESTING_MAX: usize = 16;
/// Most bytes that a text may have with its variables filled in.
pub(crate) const FILLED_BYTES_MAX: usize = 1 << 20;

/// Most variables without a value that are told of one text, and as many again that must have one.
const NOTES_MAX: usize = 100;

/// What a variable holds, and where that comes from. Absent when it isn't set.
pub(crate) type Lookup<'l, 'v> = dyn Fn(&str) -> Option<(&'v str, Taint)> + 'l;

/// A text with its variables filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) text: String,
    /// The highest of what went into it.
    pub(crate) taint: Taint,
    /// How many bytes of it are from variables.
    pub(crate) from_variables: usize,
    /// What there is to say, in the order of the text. It is whole only if none of them is an error.
    pub(crate) notes: Vec<Note>,
}

/// Something to say about a part of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// The part, in bytes.
    pub(crate) at: Range<usize>,
    pub(crate) what: What,
}

/// What there is to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The variable has no value, and nothing says what to do then: it is left empty.
    Unset { name: String },
    /// The variable must have a value. The message is as written, with its variables.
    Required { name: String, empty: bool, message: String },
    /// This is no variable.
    Invalid { message: &'static str },
    /// Defaults are nested deeper than [`NESTING_MAX`].
    TooDeep,
    /// The text would become longer than [`FILLED_BYTES_MAX`].
    TooLarge,
}

/// What is wanted of a variable, and in which case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// `-`
    Default,
    /// `?`
    Required,
    /// `+`
    Replacement,
}

/// Fills in the variables of a template whose own characters have the taint `taint`.
pub(crate) fn fill(template: &str, taint: Taint, lookup: &Lookup<'_, '_>) -> Filled {
    let filled = Filled { text: String::new(), taint, from_variables: 0, notes: Vec::new() };
    let mut filling = Filling { template, lookup, filled, ended: false };
    filling.level(0..template.len(), 0, true);
    filling.filled
}

struct Filling<'a, 'l, 'v> {
    template: &'a str,
    lookup: &'a Lookup<'l, 'v>,
    filled: Filled,
    /// A limit was broken: nothing more is looked at.
    ended: bool,
}

impl Filling<'_, '_, '_> {
    /// Fills in a part of the template. Where it isn't `wanted` it is only looked at.
    fn level(&mut self, part: Range<usize>, depth: usize, wanted: bool) {
        if depth > NESTING_MAX {
            self.note(part, What::TooDeep);
            self.ended = true;
            return;
        }
        let mut at = part.start;
        let mut braces = LastBrace::default();
        while !self.ended {
            let Some(found) = self.template[at..part.end].find('$') else { break };
            self.literal(at..at + found, wanted);
            let dollar = at + found;
            let after = &self.template[dollar + 1..part.end];
            let length = name_length(after);
            at = if length > 0 {
                let end = dollar + 1 + length;
                self.variable(dollar + 1..end, dollar..end, wanted);
                end
            } else if after.starts_with('$') {
                self.literal(dollar..dollar + 1, wanted);
                dollar + 2
            } else if after.starts_with('{') {
                let last = braces.after(&self.template[..part.end], dollar);
                self.braced(dollar, last, depth, wanted)
            } else {
                self.literal(dollar..dollar + 1, wanted);
                dollar + 1
            };
        }
        if !self.ended {
            self.literal(at..part.end, wanted);
        }
    }

    /// What begins with `${` at `dollar`. `last` is the last closing brace of its line. Gives where it ends.
    fn braced(&mut self, dollar: usize, last: Option<usize>, depth: usize, wanted: bool) -> usize {
        let name = dollar + 2;
        let after = name + name_length(&self.template[name..]);
        if after > name && self.template[after..].starts_with('}') && last.is_some_and(|last| after <= last) {
            self.variable(name..after, dollar..after + 1, wanted);
            return after + 1;
        }
        let colon = self.template[after..].starts_with(':');
        let operator = after + usize::from(colon);
        let kind = match self.template.as_bytes().get(operator) {
            Some(b'-') => Some(Operator::Default),
            Some(b'?') => Some(Operator::Required),
            Some(b'+') => Some(Operator::Replacement),
            _ => None,
        };
        let last = last.filter(|last| *last > operator);
        let (Some(kind), Some(last), true) = (kind, last, after > name) else {
            return self.invalid(dollar, (name, after, operator), kind.is_some());
        };
        // Where the braces don't balance, Compose takes all up to the last one of the line.
        let end = closing(&self.template.as_bytes()[dollar..=last]).map_or(last, |end| dollar + end);
        self.operation((kind, colon), (dollar, name..after), operator + 1..end, (depth, wanted));
        end + 1
    }

    fn operation(
        &mut self,
        (operator, empty_too): (Operator, bool),
        (dollar, name): (usize, Range<usize>),
        inner: Range<usize>,
        (depth, wanted): (usize, bool),
    ) {
        let whole = dollar..inner.end + 1;
        let held = (self.lookup)(&self.template[name.clone()]);
        let has_value = held.is_some_and(|(text, _)| !(empty_too && text.is_empty()));
        match operator {
            Operator::Default => {
                self.level(inner, depth + 1, wanted && !has_value);
                if let (Some((text, taint)), true) = (held, wanted && has_value) {
                    self.value(text, taint, &whole);
                }
            }
            Operator::Replacement => self.level(inner, depth + 1, wanted && has_value),
            Operator::Required => {
                self.level(inner.clone(), depth + 1, false);
                if !has_value {
                    let message = self.template[inner].to_owned();
                    let name = self.template[name].to_owned();
                    self.note(whole, What::Required { name, empty: held.is_some(), message });
                } else if let (Some((text, taint)), true) = (held, wanted) {
                    self.value(text, taint, &whole);
                }
            }
        }
    }

    fn variable(&mut self, name: Range<usize>, whole: Range<usize>, wanted: bool) {
        if !wanted {
            return;
        }
        match (self.lookup)(&self.template[name.clone()]) {
            Some((text, taint)) => self.value(text, taint, &whole),
            None => self.note(whole, What::Unset { name: self.template[name].to_owned() }),
        }
    }

    fn invalid(
        &mut self,
        dollar: usize,
        (name, after, operator): (usize, usize, usize),
        known: bool,
    ) -> usize {
        let line = self.template[dollar..].find('\n').map_or(self.template.len(), |end| dollar + end);
        let closed = self.template[dollar..line].find('}').map(|end| dollar + end + 1);
        let message = if closed.is_none() {
            "this `${` has no `}` in its line"
        } else if after == name {
            "a variable's name must follow this `${`"
        } else if known {
            "this `${` has no `}` after it"
        } else if operator > after {
            "after the colon only `-`, `?` or `+` can follow"
        } else {
            "after a variable's name only `:-`, `-`, `:?`, `?`, `:+`, `+` or `}` can follow"
        };
        self.note(dollar..closed.unwrap_or(line), What::Invalid { message });
        // What follows may be misread, and one mistake is enough to go on with.
        self.ended = true;
        line
    }

    fn literal(&mut self, part: Range<usize>, wanted: bool) {
        if wanted {
            self.filled.text.push_str(&self.template[part]);
        }
    }

    fn value(&mut self, text: &str, taint: Taint, whole: &Range<usize>) {
        if self.filled.text.len() + text.len() > FILLED_BYTES_MAX {
            self.note(whole.clone(), What::TooLarge);
            self.ended = true;
            return;
        }
        self.filled.text.push_str(text);
        self.filled.from_variables += text.len();
        self.filled.taint = self.filled.taint.max(taint);
    }

    fn note(&mut self, at: Range<usize>, what: What) {
        let most = match what {
            What::Unset { .. } => NOTES_MAX,
            What::Required { .. } | What::Invalid { .. } | What::TooDeep | What::TooLarge => 2 * NOTES_MAX,
        };
        if self.filled.notes.len() < most {
            self.filled.notes.push(Note { at, what });
        }
    }
}

/// The last closing brace of each line, found once for the line and not once for each variable in it.
#[derive(Default)]
struct LastBrace {
    line_end: usize,
    last: Option<usize>,
}

impl LastBrace {
    /// The last `}` in the rest of the line of `text` that `at` is in.
    fn after(&mut self, text: &str, at: usize) -> Option<usize> {
        if at >= self.line_end {
            self.line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
            self.last = text[at..self.line_end].rfind('}').map(|last| at + last);
        }
        self.last.filter(|last| *last > at)
    }
}

/// Where the brace closes that the text opens, counting as Compose does: whatever stands right after an opening brace
/// is not counted.
fn closing(text: &[u8]) -> Option<usize> {
    let mut open = 0_isize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The length of the variable's name that `text` begins with.
fn name_length(text: &str) -> usize {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    if begins { text.find(ends).unwrap_or(text.len()) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a template, or the first error in it.
    fn filled(template: &str) -> Result<String, What> {
        let lookup = |name: &str| match name {
            "A" => Some(("a", Taint::Variable)),
            "EMPTY" => Some(("", Taint::Variable)),
            "DOLLAR" => Some(("$A", Taint::Variable)),
            _ => None,
        };
        let filled = fill(template, Taint::Literal, &lookup);
        match filled.notes.into_iter().find(|note| !matches!(note.what, What::Unset { .. })) {
            Some(note) => Err(note.what),
            None => Ok(filled.text),
        }
    }

    /// Each was asked of Docker Compose 2.40.3.
    #[test]
    fn every_form_means_what_compose_makes_of_it() {
        for (template, text) in [
            ("$A ${A}b $A$A.$A_", "a ab aa."),
            ("${NO:-d}${NO-d}${EMPTY:-d}${EMPTY-d}", "ddd"),
            ("${A:?e}${EMPTY?e}", "a"),
            ("${A:+r}${EMPTY:+r}${EMPTY+r}${NO+r}${NO:+r}", "rr"),
            ("${NO:-${NO2:-${A}}}", "a"),
            ("${NO:-}", ""),
            ("$$A $${A} $$$A $$$$ $$$", "$A ${A} $a $$ $$"),
            ("${DOLLAR}", "$A"),
            ("$ $1 $- $(A) x$", "$ $1 $- $(A) x$"),
            ("$\u{e9} $A\u{e9}", "$\u{e9} a\u{e9}"),
            ("${NO:-a}b} ${A:-a}b}", "ab} ab}"),
            ("${NO:-{\"k\":1}} ${A:-{\"k\":1}}", "{\"k\":1} a"),
            ("${A:-{{x}}}", "a}"),
            ("${NO:-{{x}}}", "{{x}}"),
            ("${NO:-{}", "{"),
            ("${NO:-{}}", "{}"),
            ("${NO:-{x}y}", "{x}y"),
            ("${NO:-{$A}", "{a"),
            ("${NO:-{${A}}}", "{a}"),
            ("$${NO:-{}}", "${NO:-{}}"),
            ("${NO:-$${A}}x}", "${A}x}"),
            ("${NO:-\\}}", "\\}"),
            ("${NO:-\"}\"}", "\"\"}"),
            ("${NO:-$} ${NO:-$1} ${NO:-$$}", "$ $1 $"),
            ("${NO:--x}${NO-:-x}${NO:-?}${A:+-}${A-x?y}", "-x:-x?-a"),
            ("a${NO:-b}c${NO:-d}e}", "abcde}"),
            ("${NO:-a}\n${A:-b}", "a\na"),
            ("${NO:-x}\n}", "x\n}"),
            ("${NO:-a\u{2028}b}", "a\u{2028}b"),
            ("{$A} }$A{ $A-B $A:B", "{a} }a{ a-B a:B"),
            ("${A}$", "a$"),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn what_compose_refuses_is_refused() {
        for template in [
            "${",
            "${A",
            "${}",
            "${A B}",
            "${ A}",
            "${A }",
            "${1}",
            "${A:x}",
            "${A:}",
            "${A:=x}",
            "${A!}",
            "${A%x}",
            "${#A}",
            "${\u{e9}}",
            "${A\u{e9}}",
            "${A:-x",
            "${NO:-x",
            "${A:-${B}",
            "${NO:-${A}",
            "${A:-${}}",
            "${A:+${}}",
            "${NO:+${}}",
            "${A:?${}}",
            "${NO:-a\nb}",
            "${A:-a\nb}",
            "${NO:-${A}\n}",
            "${NO-a}${",
            "${A}${",
        ] {
            assert!(matches!(filled(template), Err(What::Invalid { .. })), "{template}");
        }
        for template in ["${NO:?}", "${NO?}", "${EMPTY:?e}", "${NO?x-y}", "${A:-${NO:?x}}", "${NO:+${NO:?x}}"]
        {
            assert!(matches!(filled(template), Err(What::Required { .. })), "{template}");
        }
    }

    #[test]
    fn a_note_says_where() {
        let notes = |template: &str| {
            let filled = fill(template, Taint::Literal, &|_| None);
            let notes = filled.notes.into_iter().map(|note| template[note.at].to_owned());
            notes.collect::<Vec<_>>()
        };
        assert_eq!(notes("a $B ${C}"), ["$B", "${C}"]);
        assert_eq!(notes("x${A:-${B:?m}}y"), ["${B:?m}"]);
        assert_eq!(notes("x${A B}y ${"), ["${A B}"]);
        assert_eq!(notes("x${A\ny"), ["${A"]);
    }

    #[test]
    fn what_is_not_needed_is_not_missed() {
        let lookup = |name: &str| (name == "A").then_some(("a", Taint::Sensitive));
        let filled = fill("${A:-$NO}${NO:+$NO}", Taint::Literal, &lookup);
        assert_eq!((filled.text.as_str(), filled.taint, filled.notes), ("a", Taint::Sensitive, Vec::new()));
        assert_eq!(fill("${A:+x}", Taint::Literal, &lookup).taint, Taint::Literal);
    }

    #[test]
    fn depth_and_size_are_limited() {
        let nested = |depth: usize| format!("{}x{}", "${NO:-".repeat(depth), "}".repeat(depth));
        assert_eq!(filled(&nested(16)).as_deref(), Ok("x"));
        assert_eq!(filled(&nested(17)), Err(What::TooDeep));
        assert_eq!(filled(&nested(100_000)), Err(What::TooDeep));
        assert!(matches!(filled(&"${A:-".repeat(100_000)), Err(What::Invalid { .. })));
        let large = "x".repeat(FILLED_BYTES_MAX / 2);
        let lookup = |_: &str| Some((large.as_str(), Taint::Literal));
        assert!(fill("$A$A", Taint::Literal, &lookup).notes.is_empty());
        let filled = fill(&"$A".repeat(10_000), Taint::Literal, &lookup);
        assert_eq!((filled.text.len(), filled.notes.len()), (FILLED_BYTES_MAX, 1));
    }
}
