//! How many tokens the YAML parser may make of a text, before it is let at it.
//!
//! Between an opening bracket and the closing one the parser gives no events and keeps all that it has read, so that its
//! own limits come too late. What is counted here is at least what it would make: characters that can begin a token do
//! so wherever they stand, also in texts and comments.

/// The most tokens that `text` can be.
pub(crate) fn most(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut before = b'\n';
    let (mut tokens, mut quotes) = (1, 0);
    for (at, byte) in bytes.iter().enumerate() {
        let ends = bytes.get(at + 1).is_none_or(|after| b" \t\r\n,[]{}".contains(after));
        tokens += match byte {
            // The text or the key that begins there.
            b'\n' | b'&' | b'*' | b'!' => 1,
            // It, and the text after it.
            b',' => 2,
            b'-' if ends => 1,
            // It, the one that opened it, and the text between. Those that stay open are too deep before they are many.
            b']' | b'}' => 3,
            // The mark before the key, the colon itself, and the text after it.
            b':' if ends || b"\"']}:".contains(&before) => 3,
            b'?' if ends => 3,
            b'"' | b'\'' => {
                quotes += 1;
                // Each two quotes are a text.
                quotes & 1
            }
            _ => 0,
        };
        before = *byte;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use saphyr_parser::{Parser, StrInput};

    use super::*;

    /// The parser shows no tokens, only what it makes of them: something of nearly each.
    fn made(text: &str) -> usize {
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
        std::iter::from_fn(|| parser.next_event()).take_while(Result::is_ok).count()
    }

    #[test]
    fn it_is_never_fewer_than_there_are() {
        for part in [
            "a,", "[],", "{a: b},", "a: b,", "\"\"", "''", "a: ", ": ", "? ", "? a,", "&a ", "*a ", "!a ",
            "\"a\":b,", "-\n", "a\n", "'a':b", "{},", "::", "[a]:b,", "\"\" ", "'' '' ",
        ] {
            for start in ["", "[", "{", "a: [", "a: {"] {
                let text = start.to_owned() + &part.repeat(200);
                let (most, made) = (most(&text), made(&text));
                // Opening and ending a document and its blocks are something too.
                assert!(most + 8 >= made, "{made} of {most}: {start}{part}…");
            }
        }
    }

    #[test]
    fn a_usual_file_has_few() {
        let line = "      DATABASE_URL: postgres://app:secret@db:5432/app?sslmode=disable\n";
        assert_eq!(most(&line.repeat(1_000)), 4_001);
    }
}
