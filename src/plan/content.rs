//! Shows how a file of the repository changes, line by line.

use std::fmt::Write as _;

use similar::TextDiff;

use super::Plan;
use super::fields::FieldValue;
use super::grants;
use crate::model::desired::{ContentKind, Desired, FileContent, RepositoryContent};
use crate::model::grant::GrantKind;
use crate::model::spec::{ContentDigest, MountSource};

/// Lines around a difference.
const CONTEXT_LINES: usize = 2;
/// Most lines of one difference.
const LINES_MAX: usize = 60;

/// Adds to every change of a mounted file or folder how its text changes. `find` gives the content of a digest, of
/// what is desired or of what was laid down before; what it doesn't know is not explained.
pub fn explain(plan: &mut Plan, find: impl Fn(&ContentDigest) -> Option<RepositoryContent>) {
    let fields = plan.changes.iter_mut().flat_map(|change| &mut change.fields);
    for field in fields {
        if let (
            Some(FieldValue::Content { digest: before, .. }),
            Some(FieldValue::Content { digest: after, .. }),
        ) = (&field.before, &field.after)
            && let (Some(before), Some(after)) =
                (find(&ContentDigest(before.clone())), find(&ContentDigest(after.clone())))
        {
            field.diff = Some(difference(&before, &after));
        }
    }
}

/// The config of `desired` whose content has this digest, if anybody may see it.
pub fn of_grants(desired: &Desired, digest: &ContentDigest) -> Option<RepositoryContent> {
    let mounts = desired.services.values().flat_map(|service| service.spec.mounts.values());
    let grant = mounts.filter_map(|mount| match &mount.source {
        MountSource::Grant(grant) if grant.kind == GrantKind::Config && !grant.content.is_sensitive() => {
            Some(grant)
        }
        _ => None,
    });
    let grant = { grant }.find(|grant| grants::plain_digest(&grant.content) == digest.0)?;
    let kind = ContentKind::File(FileContent { bytes: grant.content.expose().to_vec(), executable: false });
    Some(RepositoryContent { path: grant.origin.clone(), kind })
}

/// The unified difference of two contents, with a heading for each file that differs.
fn difference(before: &RepositoryContent, after: &RepositoryContent) -> String {
    let mut text = String::new();
    match (&before.kind, &after.kind) {
        (ContentKind::File(old), ContentKind::File(new)) => {
            file(&mut text, &after.path, Some(old), Some(new));
        }
        (ContentKind::Folder(old), ContentKind::Folder(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let (old, new) = (old.get(name), new.get(name));
                if old != new {
                    file(&mut text, &format!("{}/{name}", after.path), old, new);
                }
            }
        }
        (ContentKind::File(_), ContentKind::Folder(_)) => {
            let _ = writeln!(text, "{} was a file and is a folder", after.path);
        }
        (ContentKind::Folder(_), ContentKind::File(_)) => {
            let _ = writeln!(text, "{} was a folder and is a file", after.path);
        }
    }
    bounded(&text)
}

fn file(text: &mut String, path: &str, before: Option<&FileContent>, after: Option<&FileContent>) {
    let (Ok(old), Ok(new)) = (text_of(before), text_of(after)) else {
        let _ = writeln!(text, "{path}: not text");
        return;
    };
    let executable = |content: Option<&FileContent>| content.is_some_and(|content| content.executable);
    if executable(before) != executable(after) {
        let _ = writeln!(
            text,
            "{path}: {}",
            if executable(after) { "may be executed now" } else { "may no longer be executed" }
        );
    }
    let diff = TextDiff::from_lines(old, new);
    let mut unified = diff.unified_diff();
    unified.context_radius(CONTEXT_LINES).header(path, path).missing_newline_hint(false);
    let _ = write!(text, "{unified}");
}

fn text_of(content: Option<&FileContent>) -> Result<&str, std::str::Utf8Error> {
    content.map_or(Ok(""), |content| std::str::from_utf8(&content.bytes))
}

fn bounded(text: &str) -> String {
    let count = text.lines().count();
    if count <= LINES_MAX {
        return text.to_owned();
    }
    let shown: Vec<&str> = text.lines().take(LINES_MAX).collect();
    format!("{}\n… {} more lines\n", shown.join("\n"), count - LINES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> RepositoryContent {
        let kind = ContentKind::File(FileContent { bytes: text.as_bytes().to_vec(), executable: false });
        RepositoryContent { path: "manifests/x.yml".to_owned(), kind }
    }

    #[test]
    fn a_changed_line_is_shown_with_those_around_it() {
        let text = difference(&content("a\nb\nc\n"), &content("a\nB\nc\n"));
        assert_eq!(text, "--- manifests/x.yml\n+++ manifests/x.yml\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
    }

    #[test]
    fn a_long_difference_is_cut() {
        let long: String = (0..500).fold(String::new(), |text, line| text + &line.to_string() + "\n");
        let text = difference(&content(""), &content(&long));
        assert!(text.lines().count() <= LINES_MAX + 1 && text.contains("more lines"), "{text}");
    }

    #[test]
    fn what_is_no_text_is_not_shown() {
        let mut after = content("");
        after.kind = ContentKind::File(FileContent { bytes: vec![0xff, 0xfe], executable: false });
        assert_eq!(difference(&content("a"), &after), "manifests/x.yml: not text\n");
    }
}
