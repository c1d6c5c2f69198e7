//! Bytes → the text of a file: its encoding, and what may not be in it.

use super::load::{BYTES_MAX, Fatal, bytes_span};
use super::problem::Problem;
use crate::model::tree::RepoPath;

/// The text of a file.
pub(crate) fn read(path: &RepoPath, bytes: Vec<u8>) -> Result<String, Fatal> {
    if bytes.len() > BYTES_MAX {
        let message = format!("the file has {} bytes, the limit is {BYTES_MAX}", bytes.len());
        return Err(Box::new(Problem::error("too-large", path, message)));
    }
    let text = utf16(&bytes).map_or_else(|| String::from_utf8(bytes), Ok).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        Box::new(
            Problem::error("not-utf8", path, format!("the file is not UTF-8 text, first in line {line}"))
                .hint("save it with the encoding UTF-8"),
        )
    })?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    // To YAML the two ends of a line are the same, and snippets show one of them as a mark.
    Ok(if text.contains('\r') { text.replace("\r\n", "\n") } else { text })
}

/// A text in UTF-16, which is known by the mark that it begins with. Nothing when it is none.
fn utf16(bytes: &[u8]) -> Option<String> {
    let read: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

/// A directive that asks for another version of YAML than the one that manifests are read as.
pub(crate) fn other_version(text: &str, source: u32) -> Option<Fatal> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(version) = line.strip_prefix("%YAML").map(str::trim)
            && version.split_whitespace().next() != Some("1.1")
        {
            let span = bytes_span(source, at, at + line.trim_end().len());
            let message = "manifests are YAML 1.1, with the booleans of 1.2";
            return Some(Box::new(Problem::error("yaml-version", span, message).hint("remove this line")));
        }
        let comment = line.trim_start().starts_with('#') || line.trim().is_empty();
        if !line.starts_with('%') && !comment {
            break;
        }
        at += line.len();
    }
    None
}

/// A character that YAML forbids.
pub(crate) fn unwanted_character(text: &str, source: u32) -> Option<Box<Problem>> {
    let wrong = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}');
    let (at, c) = text.char_indices().find(|(_, c)| wrong(*c))?;
    let message = format!("the file has the control character U+{:04X}, which YAML forbids", u32::from(c));
    Some(Box::new(
        Problem::error("control-character", bytes_span(source, at, at + c.len_utf8()), message)
            .hint("in double quotes, write it as an escape: \"\\x00\""),
    ))
}
