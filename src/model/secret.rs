//! What looks secret where nobody said so.
//!
//! Nothing tells for sure what is secret. Too much taken for one costs a line in `.env`, or a value that is not shown.

/// Words of a key whose value is secret.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pw",
    "secret",
    "token",
    "key",
    "apikey",
    "credential",
    "credentials",
    "dsn",
];

/// Ends of a word that are as telling: `PGPASSWORD`, `accessToken`.
const SECRET_ENDS: [&str; 6] = ["password", "passwd", "secret", "token", "apikey", "accesskey"];

/// Words that are no secret, whatever the key.
const ANSWERS: [&str; 6] = ["true", "false", "yes", "no", "on", "off"];

/// Whether the value of `key` looks secret, by what the key says.
pub fn is_secret(key: &str, value: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let is_word = |word: &str| {
        let word = word.strip_suffix('s').filter(|word| SECRET.contains(word)).unwrap_or(word);
        SECRET.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end))
    };
    let is_telling = key.split(|c: char| !c.is_ascii_alphanumeric()).any(is_word);
    let is_place = value.starts_with('/') && ["file", "path", "dir"].iter().any(|end| key.ends_with(end));
    let is_answer = ANSWERS.iter().any(|answer| value.eq_ignore_ascii_case(answer));
    is_telling && !value.is_empty() && !is_place && !is_answer
}

/// The password in an address: `postgres://user:PASSWORD@db`.
pub fn password(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len());
    let (user, _) = rest.get(..end)?.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then(|| password.to_owned())
}

/// Whether there looks to be a secret among the words of a command, of which each may be a line for a shell: an address
/// with a password, `--token=…`, or `--token` with a word after it.
pub fn is_in_words<'w>(words: impl IntoIterator<Item = &'w str>) -> bool {
    let mut asked = false;
    words.into_iter().flat_map(|word| word.split(' ')).any(|part| {
        let is_value = std::mem::take(&mut asked) && !part.is_empty() && !part.starts_with('-');
        asked = part.starts_with('-') && !part.contains('=') && is_secret(part, "x");
        let is_said = part.split_once('=').is_some_and(|(name, value)| is_secret(name, value));
        is_value || is_said || password(part).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_command_may_have_a_secret() {
        for words in [
            &["serve", "--password=x"][..],
            &["serve", "--api-token", "abc"],
            &["sh", "-c", "PGPASSWORD=x psql"],
            &["app", "postgres://user:pw@db/shop"],
        ] {
            assert!(is_in_words(words.iter().copied()), "{words:?}");
        }
        for words in [
            &["serve", "--port=80"][..],
            &["serve", "--password-file=/run/secrets/db"],
            &["serve", "--token", "--quiet"],
            &["app", "http://db/shop"],
            &[],
        ] {
            assert!(!is_in_words(words.iter().copied()), "{words:?}");
        }
    }
}
