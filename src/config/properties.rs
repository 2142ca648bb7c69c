//! The text of a `.properties` file, as `java.util.Properties.load` reads it.
//!
//! *Does not know*: which keys there are.

/// One key and value of a file, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key, escapes resolved.
    pub key: String,
    /// The value, escapes resolved, trailing blanks kept as Java keeps them.
    pub value: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// A line that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads the entries of `text`, and the lines that cannot be read: those with a `\u` without four hexadecimal digits
/// behind it. A key that stands twice comes twice.
#[must_use]
pub fn parse(text: &str) -> (Vec<Entry>, Vec<SyntaxError>) {
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for (line, logical) in logical_lines(text) {
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) => entries.push(Entry { key, value, line }),
            (Err(reason), _) | (_, Err(reason)) => errors.push(SyntaxError { line, reason }),
        }
    }
    (entries, errors)
}

/// Reads `KEY=VALUE` of a command line. `None` without a `=` or without a key.
#[must_use]
pub fn parse_override(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let key = key.trim();
    (!key.is_empty()).then(|| (key.to_owned(), value.trim().to_owned()))
}

/// Writes `value` so that [`parse`] reads it back.
#[must_use]
pub fn escape_value(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (index, character) in value.chars().enumerate() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            ' ' if index == 0 => escaped.push_str("\\ "),
            other => escaped.push(other),
        }
    }
    escaped
}

const BLANKS: &[char] = &[' ', '\t', '\x0c'];

/// Lines that say something, with the number of their first: comments and blank lines left out, a line that ends in an
/// odd number of backslashes joined with the next, whose leading blanks go.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut pending: Option<(usize, String)> = None;
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, natural) in text.split('\n').enumerate() {
        let natural = natural.trim_start_matches(BLANKS);
        if pending.is_none() && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let (start, mut joined) = pending.take().unwrap_or((index + 1, String::new()));
        match continued(natural) {
            Some(head) => {
                joined.push_str(head);
                pending = Some((start, joined));
            }
            None => {
                joined.push_str(natural);
                found.push((start, joined));
            }
        }
    }
    found.extend(pending);
    found
}

/// The line without its last backslash when that continues the line.
fn continued(line: &str) -> Option<&str> {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    if backslashes % 2 == 1 { line.strip_suffix('\\') } else { None }
}

/// Key and value: parted by the first unescaped `=`, `:` or blank, with blanks around and at most one `=` or `:`.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, character)| {
            let ends = !escaped && (matches!(character, '=' | ':') || BLANKS.contains(&character));
            escaped = character == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(index, _)| index);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    let mut buffer = [0; 2];
    while let Some(character) = characters.next() {
        let plain = match character {
            '\\' => match characters.next() {
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).collect();
                    units.push(code_unit(&digits)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(other) => other,
                None => continue,
            },
            plain => plain,
        };
        units.extend_from_slice(plain.encode_utf16(&mut buffer));
    }
    // Two escapes may make up one character, as surrogates; half of one cannot be kept in our texts.
    String::from_utf16(&units).map_err(|_| "half of a surrogate pair behind \\u; write both halves".to_owned())
}

fn code_unit(digits: &str) -> Result<u16, String> {
    let legal = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    legal.then(|| u16::from_str_radix(digits, 16).ok()).flatten().ok_or_else(|| {
        format!("four hexadecimal digits must follow \\u, but there is '{digits}'; a lone backslash is written \\\\")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, String) {
        match parse(text) {
            (entries, errors) if errors.is_empty() && entries.len() == 1 => {
                (entries[0].key.clone(), entries[0].value.clone())
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn keys_and_values_are_parted_as_java_parts_them() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("  a  =  b c  ", "a", "b c  "),
            ("a:b", "a", "b"),
            ("a b", "a", "b"),
            ("a\t:=b", "a", "=b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("=b", "", "b"),
            ("a==b", "a", "=b"),
            (r"a\=b=c", "a=b", "c"),
            (r"a\ b c", "a b", "c"),
            (r"a\\=c", r"a\", "c"),
            ("listeners=PLAINTEXT://:9092", "listeners", "PLAINTEXT://:9092"),
            (r"a=x\ty\\z\q", "a", "x\ty\\zq"),
            (r"a=\u00e4\uD83D\uDE00", "a", "ä😀"),
            ("a=b\\\n   c", "a", "bc"),
            ("a=b\\\r\n\tc\r\n", "a", "bc"),
            ("a=b\\\\", "a", "b\\"),
            ("a=b # no comment", "a", "b # no comment"),
            ("a=b\\\n# no comment either", "a", "b# no comment either"),
            ("a=b\\", "a", "b"),
        ] {
            assert_eq!(one(text), (key.to_owned(), value.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_count_as_lines() {
        let (entries, _) = parse("# c\n\n ! d\r\na=1\\\n2\n\nb=3");
        let lines: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
        assert_eq!(lines, [("a", 4), ("b", 7)]);
    }

    #[test]
    fn every_bad_escape_is_reported_with_its_line() {
        let (entries, errors) = parse("a=\\u12\nb=1\nc=\\uD800x\nd=\\u+123");
        assert_eq!(entries.len(), 1, "the good line is kept");
        assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn overrides_have_a_key() {
        assert_eq!(parse_override("a = b=c "), Some(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_override("a"), None);
        assert_eq!(parse_override("=b"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[\\\\=: #!u0-9a\n\r\t]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn an_escaped_value_reads_back(value in "\\PC{0,30}|[ \\\\\n\t\r=:#]{0,10}") {
            let text = format!("key={}", escape_value(&value));
            proptest::prop_assert_eq!(one(&text).1, value);
        }
    }
}
