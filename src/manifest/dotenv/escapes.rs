//! Backslashes in the quoted values of a file of variables, as Compose reads them: in two steps, which shows.

/// Takes away the backslash before each quote that it kept from closing.
pub(super) fn unquoted_quotes(inner: &str, quote: char) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some(escaped) if escaped == quote => text.push(escaped),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

/// What the escapes in double quotes stand for. One that isn't known stays as it is.
pub(super) fn escapes(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (replacement, length) = match after.chars().next() {
            Some('a') => ("\u{7}".to_owned(), 1),
            Some('b') => ("\u{8}".to_owned(), 1),
            Some('f') => ("\u{c}".to_owned(), 1),
            Some('n') => ("\n".to_owned(), 1),
            Some('r') => ("\r".to_owned(), 1),
            Some('t') => ("\t".to_owned(), 1),
            Some('v') => ("\u{b}".to_owned(), 1),
            Some('"') => ("\"".to_owned(), 1),
            Some('\\') => ("\\".to_owned(), 1),
            // A dollar sign that is none of a variable.
            Some('$') => ("$$".to_owned(), 1),
            Some('0') => octal(after),
            Some(_) | None => ("\\".to_owned(), 0),
        };
        text.push_str(&replacement);
        rest = &after[length..];
    }
    text.push_str(rest);
    text
}

/// `\0` and up to three digits. Compose drops the zero, and then knows only what has exactly three octal digits.
fn octal(after: &str) -> (String, usize) {
    let digits = after[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
    let digits = &after[1..=digits];
    let byte = (digits.len() == 3).then(|| u8::from_str_radix(digits, 8).ok()).flatten();
    (byte.map_or_else(|| format!("\\{digits}"), |byte| char::from(byte).to_string()), 1 + digits.len())
}
