//! Text as `java.util.Properties` reads and writes it: `meta.properties` is kept so.
//!
//! *Invariant*: what is written is read back the same, here and in Java.
//! *Does not know*: which keys there are.
//!
//! Source: the documentation of `java.util.Properties.load` and `store`.

use std::fmt::Write as _;

use crate::model::Timestamp;

/// Key and value of each property, in the order of the file. Of two with one key Java takes the last.
///
/// Lines are joined where one ends with an odd number of backslashes; `#` and `!` begin a comment; a key ends at the first
/// `=`, `:` or white space that is not escaped. The bytes are ISO 8859-1, so that none can be wrong; `\uXXXX` is a UTF-16
/// unit, and what is no such unit stays as the letter behind the backslash (Java refuses the file).
#[must_use]
pub(super) fn decode(bytes: &[u8]) -> Vec<(String, String)> {
    let text = bytes.iter().map(|byte| char::from(*byte)).collect::<String>().replace("\r\n", "\n");
    let mut lines = text.split(['\n', '\r']);
    let mut properties = Vec::new();
    while let Some(line) = lines.next() {
        let mut logical = line.trim_start_matches(is_space).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&logical) {
            logical.pop();
            logical.push_str(lines.next().unwrap_or_default().trim_start_matches(is_space));
        }
        properties.push(split(&logical));
    }
    properties
}

/// The text of some properties: a comment line, a line with the time in UTC, and one line per property, as
/// `Properties.store` with an empty comment writes it.
#[must_use]
pub(super) fn encode<'p>(written: Timestamp, properties: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let mut text = format!("#\n#{}\n", date(written));
    for (key, value) in properties {
        escape(key, true, &mut text);
        text.push('=');
        escape(value, false, &mut text);
        text.push('\n');
    }
    text
}

/// White space within a line, in Java's sense.
const fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

fn goes_on(line: &str) -> bool {
    line.chars().rev().take_while(|character| *character == '\\').count() % 2 == 1
}

/// Key and value of a logical line.
fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|character| {
        let ends = !escaped && (is_space(character) || matches!(character, '=' | ':'));
        escaped = !escaped && character == '\\';
        ends
    });
    let (key, rest) = line.split_at_checked(end.unwrap_or(line.len())).unwrap_or((line, ""));
    let rest = rest.trim_start_matches(is_space);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_space);
    (unescape(key), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut units = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let meant = match character {
            '\\' => match rest.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let unit = rest.as_str().get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
                    if let Some(unit) = unit {
                        units.push(unit);
                        rest.by_ref().take(4).for_each(drop);
                        continue;
                    }
                    'u'
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// Spaces are escaped in a key everywhere, in a value at its beginning. What is not ASCII becomes `\uXXXX`, so that readers
/// of any encoding agree.
fn escape(text: &str, is_key: bool, out: &mut String) {
    for (at, character) in text.chars().enumerate() {
        match character {
            ' ' if is_key || at == 0 => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            '=' | ':' | '#' | '!' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _infallible = write!(out, "\\u{unit:04X}");
                }
            }
        }
    }
}

/// A time as `java.util.Date` shows it in UTC: `Tue Nov 14 22:13:20 UTC 2023`.
fn date(time: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.0.div_euclid(1_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let name =
        |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or("?");
    format!(
        "{} {} {day:02} {:02}:{:02}:{:02} UTC {year}",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month - 1),
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
    )
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar. Years begin in March here, so that
/// the leap day is the last.
const fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0 = days + 719_468;
    let (era, of_era) = (since_march_0.div_euclid(146_097), since_march_0.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        decode(text.as_bytes())
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn properties_are_read_as_java_reads_them() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("a:b", "a", "b"),
            ("a b", "a", "b"),
            ("  a \t=  b c ", "a", "b c "),
            ("a = = b", "a", "= b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            (r"a\=b\:c\ d=e", "a=b:c d", "e"),
            (r"a=\t\n\r\f\\\q", "a", "\t\n\r\u{c}\\q"),
            (r"a=\u00e4\uD83D\uDE00", "a", "ä😀"),
            (r"a=\u00g0", "a", "u00g0"),
            ("a=\\\n   b\\\n   c", "a", "bc"),
            ("a=\\\r\n   b", "a", "b"),
            ("a=b\\\\\nc", "a", "b\\"),
            ("a=b\\\n\n c=d\r\n", "a", "b"),
            ("a=b\\\r\n\r\nc=d", "a", "b"),
            ("a=x\\\r\r\nb=1", "a", "x"),
            ("\\\n a=b", "a", "b"),
            ("a\\\n=b", "a", "b"),
            (": x", "", "x"),
            ("a\\", "a", ""),
            ("#x\\\na=b", "a", "b"),
            ("a=b\\\n#c", "a", "b#c"),
        ] {
            assert_eq!(read(text).first(), Some(&pair(key, value)), "{text:?}");
        }
        assert_eq!(read("# a=b\n  ! c=d\n\n\r\n"), []);
        assert_eq!(read("a=1\r\nb=2\r\n"), [pair("a", "1"), pair("b", "2")]);
        assert_eq!(decode(b"a=\xe4"), [pair("a", "ä")]);
    }

    #[test]
    fn dates_are_as_java_shows_them() {
        for (millis, shown) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (1_700_000_000_000, "Tue Nov 14 22:13:20 UTC 2023"),
            (951_782_399_999, "Mon Feb 28 23:59:59 UTC 2000"),
            (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
            (4_107_542_399_000, "Sun Feb 28 23:59:59 UTC 2100"),
            (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        ] {
            assert_eq!(date(Timestamp(millis)), shown);
        }
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn what_is_written_is_read(properties in prop::collection::vec((".{1,12}", ".{0,12}"), 0..6), time in any::<i64>()) {
            let pairs = properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            prop_assert_eq!(read(&encode(Timestamp(time), pairs)), properties);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[a \\\\=:#!u0\r\n]{0,30}") {
            let _read = decode(&bytes);
            let _read = read(&text);
        }
    }
}
