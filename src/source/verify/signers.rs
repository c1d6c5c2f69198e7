//! Who may sign with SSH: the file `allowed_signers` as OpenSSH defines it (`man ssh-keygen`, ALLOWED SIGNERS), and the
//! check of a signature against it.
//!
//! A line that isn't understood makes the whole file unfit: else a slip of the pen could let in somebody who was meant to
//! be kept out, as with a time that ends.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

use super::Signed;

/// What Git signs for.
const NAMESPACE: &str = "git";

/// Those who may sign.
#[derive(Debug)]
pub(super) struct Signers(Vec<Signer>);

#[derive(Debug)]
struct Signer {
    /// Patterns for addresses; one with `!` takes away.
    principals: Vec<String>,
    namespaces: Option<Vec<String>>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    key: PublicKey,
}

impl Signers {
    /// Reads the file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut signers = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            signers.push(signer(line).map_err(|why| format!("line {}: {why}", number + 1))?);
        }
        Ok(Self(signers))
    }

    /// Why a signature doesn't count.
    pub(super) fn check(&self, signed: &Signed) -> Result<(), String> {
        let signature =
            SshSig::from_pem(&signed.signature).map_err(|_| "its signature is damaged".to_owned())?;
        if matches!(signature.algorithm(), Algorithm::Rsa { .. } | Algorithm::Dsa) {
            return Err("it is signed with a key of RSA or DSA, which can't be checked; use one of Ed25519"
                .to_owned());
        }
        let fingerprint = signature.public_key().fingerprint(HashAlg::Sha256);
        let mut why = format!("it is signed with the key {fingerprint}, which is not among the `signers`");
        for signer in self.0.iter().filter(|signer| signer.key.key_data() == signature.public_key()) {
            match signer.admits(signed) {
                Ok(()) => {
                    let verified = signer.key.verify(NAMESPACE, &signed.content, &signature);
                    return verified.map_err(|_| "its signature doesn't fit its content".to_owned());
                }
                Err(what) => why = format!("it is signed with the key {fingerprint}, which {what}"),
            }
        }
        Err(why)
    }
}

impl Signer {
    /// Why who committed, and when, is not what the line says.
    fn admits(&self, signed: &Signed) -> Result<(), String> {
        if self.namespaces.as_ref().is_some_and(|names| !names.iter().any(|name| fits(name, NAMESPACE))) {
            return Err("is not allowed to sign for `git`".to_owned());
        }
        let committer = signed.committer.to_ascii_lowercase();
        let has = |sign: bool| {
            self.principals.iter().any(|pattern| match pattern.strip_prefix('!') {
                Some(pattern) => !sign && fits(pattern, &committer),
                None => sign && fits(pattern, &committer),
            })
        };
        if has(false) || !has(true) {
            let committer = crate::source::commit::clean(committer.as_bytes(), 80);
            return Err(format!("doesn't belong to its committer, `{committer}`"));
        }
        let time =
            Timestamp::from_second(signed.time).map_err(|_| "signed at no time there is".to_owned())?;
        if self.after.is_some_and(|after| time < after) {
            return Err("was not valid yet when it was committed".to_owned());
        }
        if self.before.is_some_and(|before| time >= before) {
            return Err("was no longer valid when it was committed".to_owned());
        }
        Ok(())
    }
}

/// `principals [options] type key [comment]`
fn signer(line: &str) -> Result<Signer, &'static str> {
    let (principals, rest) = line.split_once([' ', '\t']).ok_or("it has no key")?;
    let rest = rest.trim_start();
    let (options, rest) = if is_key_type(rest) { ("", rest) } else { split_options(rest)? };
    let mut words = rest.split_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else { return Err("it has no key") };
    let key = PublicKey::from_openssh(&format!("{kind} {key}")).map_err(|_| "its key is damaged")?;
    let principals = principals.trim_matches('"').split(',').map(str::to_ascii_lowercase).collect();
    let mut signer = Signer { principals, namespaces: None, after: None, before: None, key };
    for (name, value) in options_of(options)? {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("namespaces", Some(names)) => {
                signer.namespaces = Some(names.split(',').map(str::to_owned).collect());
            }
            ("valid-after", Some(time)) => signer.after = Some(moment(time)?),
            ("valid-before", Some(time)) => signer.before = Some(moment(time)?),
            ("cert-authority", _) => return Err("authorities of certificates can't be used here"),
            _ => return Err("it has an unknown option"),
        }
    }
    Ok(signer)
}

fn is_key_type(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|beginning| text.starts_with(beginning))
}

/// The options, and what is behind the space that ends them. A space within quotation marks doesn't.
fn split_options(text: &str) -> Result<(&str, &str), &'static str> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' | '\t' if !is_quoted => return Ok((&text[..at], text[at..].trim_start())),
            _ => {}
        }
    }
    Err("it has no key")
}

fn options_of(text: &str) -> Result<Vec<(&str, Option<&str>)>, &'static str> {
    let (mut options, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.strip_prefix('=') else {
            options.push((name, None));
            rest = after.strip_prefix(',').unwrap_or_default();
            continue;
        };
        let value = value.strip_prefix('"').ok_or("the value of an option is not in quotation marks")?;
        let (value, after) = value.split_once('"').ok_or("a quotation mark is missing")?;
        options.push((name, Some(value)));
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.is_empty() => "",
            None => return Err("a comma is missing between options"),
        };
    }
    Ok(options)
}

/// `YYYYMMDD`, or with `HHMM` or `HHMMSS` behind it; in UTC with a `Z` at the end, else in the time zone of the host.
fn moment(text: &str) -> Result<Timestamp, &'static str> {
    const WRONG: &str = "a time is not of the form `YYYYMMDD[HHMM[SS]][Z]`";
    let (digits, is_utc) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if !digits.bytes().all(|c| c.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return Err(WRONG);
    }
    let part = |from: usize, count: usize| digits.get(from..from + count).map_or(Ok(0), str::parse::<i16>);
    let read = || -> Option<Timestamp> {
        let small = |from: usize| i8::try_from(part(from, 2).ok()?).ok();
        let civil =
            DateTime::new(part(0, 4).ok()?, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0)
                .ok()?;
        let zone = if is_utc { TimeZone::UTC } else { TimeZone::system() };
        Some(zone.to_ambiguous_zoned(civil).compatible().ok()?.timestamp())
    };
    read().ok_or(WRONG)
}

/// Whether `text` is what `pattern` says, in which `*` stands for any characters and `?` for one.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // Where the last `*` was, and how much it stands for so far: no more has to be tried again.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(c) if *c == b'?' || *c == text[read] => {
                at += 1;
                read += 1;
            }
            Some(_) | None => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    at = place + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    use ssh_key::private::{Ed25519Keypair, PrivateKey};

    /// A key that is the same each time.
    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    fn signed(seed: u8, namespace: &str, (committer, time): (&str, &str)) -> Signed {
        let content = b"tree 0\n\nchange\n".to_vec();
        let signature = key(seed).sign(namespace, HashAlg::Sha512, &content).unwrap();
        let signature = signature.to_pem(ssh_key::LineEnding::LF).unwrap().into_bytes();
        let time = time.parse::<Timestamp>().unwrap().as_second();
        Signed { signature, content, committer: committer.to_owned(), time }
    }

    fn public(seed: u8) -> String {
        key(seed).public_key().to_openssh().unwrap()
    }

    #[test]
    fn only_who_is_listed_may_sign() {
        let ada = ("ada@example.org", "2026-06-01T12:00:00Z");
        let one = public(1);
        for (line, signed, expected) in [
            (format!("ada@example.org {one} laptop"), signed(1, "git", ada), None),
            (format!("ADA@example.org {one}"), signed(1, "git", ada), None),
            (format!("*@example.org {one}"), signed(1, "git", ada), None),
            (format!("bob@example.org,ada@* {one}"), signed(1, "git", ada), None),
            (format!("ada@example.org namespaces=\"git,file\" {one}"), signed(1, "git", ada), None),
            (
                format!("* valid-after=\"20260101\",valid-before=\"20270101Z\" {one}"),
                signed(1, "git", ada),
                None,
            ),
            (
                format!("bob@example.org {one}"),
                signed(1, "git", ada),
                Some("doesn't belong to its committer"),
            ),
            (
                format!("*@example.org,!ada@example.org {one}"),
                signed(1, "git", ada),
                Some("doesn't belong to its committer"),
            ),
            (
                format!("* namespaces=\"file\" {one}"),
                signed(1, "git", ada),
                Some("not allowed to sign for `git`"),
            ),
            (format!("* valid-before=\"20260601Z\" {one}"), signed(1, "git", ada), Some("no longer valid")),
            (format!("* valid-after=\"202606011201Z\" {one}"), signed(1, "git", ada), Some("not valid yet")),
            (format!("* {one}"), signed(2, "git", ada), Some("not among the `signers`")),
            (format!("* {one}"), signed(1, "file", ada), Some("doesn't fit")),
            ("# nobody".to_owned(), signed(1, "git", ada), Some("not among the `signers`")),
        ] {
            let signers = Signers::parse(&line).unwrap();
            match (signers.check(&signed), expected) {
                (Ok(()), None) => {}
                (Err(why), Some(words)) => assert!(why.contains(words), "{line}: {why}"),
                (found, expected) => panic!("{line}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn another_content_is_not_what_was_signed() {
        let signers = Signers::parse(&format!("* {}", public(1))).unwrap();
        let mut signed = signed(1, "git", ("ada@example.org", "2026-06-01T12:00:00Z"));
        signed.content.push(b'!');
        assert_eq!(signers.check(&signed).unwrap_err(), "its signature doesn't fit its content");
        signed.signature = b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n".to_vec();
        assert_eq!(signers.check(&signed).unwrap_err(), "its signature is damaged");
    }

    #[test]
    fn a_line_that_is_not_understood_makes_the_file_unfit() {
        let one = public(1);
        for (line, why) in [
            ("ada@example.org".to_owned(), "line 2: it has no key"),
            ("ada@example.org ssh-ed25519".to_owned(), "line 2: it has no key"),
            ("ada@example.org ssh-ed25519 AAAA".to_owned(), "line 2: its key is damaged"),
            (format!("* cert-authority {one}"), "line 2: authorities of certificates can't be used here"),
            (
                format!("* valid-before=20260101 {one}"),
                "line 2: the value of an option is not in quotation marks",
            ),
            (format!("* valid-before=\"soon\" {one}"), "line 2: a time is not of the form"),
            (format!("* valid-before=\"20261301\" {one}"), "line 2: a time is not of the form"),
            (format!("* valid-befor=\"20260101\" {one}"), "line 2: it has an unknown option"),
            (format!("* namespaces=\"git\"x {one}"), "line 2: a comma is missing"),
        ] {
            let told = Signers::parse(&format!("# comment\n{line}\n")).unwrap_err();
            assert!(told.starts_with(why), "{line}: {told}");
        }
    }

    #[test]
    fn patterns_fit_as_a_shells_do() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("*@*.org", "ada@example.org", true),
            ("", "a", false),
            ("a", "a", true),
            ("*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
