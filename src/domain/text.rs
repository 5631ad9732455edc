//! Text from outside: decoding of files, and safe output to a terminal.
//!
//! Editors and shells on Windows write UTF-16 and byte-order marks. Text from Azure or from a file can
//! contain control characters, which a terminal would execute. Only this module handles both.

use std::{borrow::Cow, fmt::Write as _};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Why a file cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Neither UTF-8 nor UTF-16.
    #[error("its encoding is unknown; save it as UTF-8, or as UTF-16 with a byte-order mark")]
    Unknown,
}

/// Decodes UTF-8 or UTF-16. A byte-order mark is removed.
///
/// UTF-16 without a mark is recognized by its first character, which must be ASCII, as in every JSON text.
pub fn decode(bytes: &[u8]) -> Result<String, EncodingError> {
    let (units, is_big_endian) = match bytes {
        // UTF-32 begins with the same bytes as UTF-16.
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Err(EncodingError::Unknown),
        [0xFF, 0xFE, rest @ ..] => (rest, false),
        [0xFE, 0xFF, rest @ ..] => (rest, true),
        [0, second, ..] if *second != 0 => (bytes, true),
        [first, 0, ..] if *first != 0 => (bytes, false),
        [0xEF, 0xBB, 0xBF, rest @ ..] => return utf8(rest),
        _ => return utf8(bytes),
    };
    let (pairs, odd) = units.as_chunks::<2>();
    let unit = if is_big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
    let text = char::decode_utf16(pairs.iter().copied().map(unit)).collect::<Result<_, _>>();
    text.ok().filter(|_| odd.is_empty()).ok_or(EncodingError::Unknown)
}

fn utf8(bytes: &[u8]) -> Result<String, EncodingError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| EncodingError::Unknown)
}

/// The text on one line, safe for a terminal: control characters, and those that change the direction of
/// writing, are escaped as `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_control(character) {
            // Writing to a string cannot fail.
            let _ = write!(printable, "{}", character.escape_unicode());
        } else {
            printable.push(character);
        }
    }
    Cow::Owned(printable)
}

/// Unicode's control characters, line and paragraph separators, and marks of direction (UAX 9, section 2).
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time in the format of RFC 3339.
#[must_use]
pub fn rfc3339(unix_seconds: u64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(unix_seconds).ok()?).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    #[test]
    fn utf_8_and_utf_16_are_read_with_and_without_a_byte_order_mark() {
        let text = "{\"key\": \"Grüße 🌍\"}";
        let marked = format!("\u{feff}{text}");
        for bytes in [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
            utf16(&marked, u16::to_le_bytes),
            utf16(&marked, u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes).as_deref(), Ok(text), "{bytes:?}");
        }
        assert_eq!(decode(b"").as_deref(), Ok(""));
    }

    #[test]
    fn other_encodings_are_refused() {
        let mut odd = utf16("{}", u16::to_le_bytes);
        odd.push(b'}');
        for bytes in [
            b"caf\xe9".as_slice(),
            b"\xff\xfe\0\0{\0\0\0",
            b"\0\0\xfe\xff\0\0\0{",
            // Half of a surrogate pair.
            b"\xff\xfe\x00\xd8",
            &odd,
        ] {
            assert_eq!(decode(bytes), Err(EncodingError::Unknown), "{bytes:?}");
        }
    }

    #[test]
    fn control_characters_are_escaped_for_the_terminal() {
        for (text, expected) in [
            ("web.contoso.internal", "web.contoso.internal"),
            ("Grüße 🌍", "Grüße 🌍"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("a\r\nb\tc\u{7f}\u{9b}", "a\\u{d}\\u{a}b\\u{9}c\\u{7f}\\u{9b}"),
            ("\u{202e}txet\u{2066}\u{2028}", "\\u{202e}txet\\u{2066}\\u{2028}"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }
}
