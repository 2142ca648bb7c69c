//! Access logs in combined format, as Apache and nginx write them:
//! `host ident user [27/Nov/2026:23:05:01 +0100] "GET /page?q=word HTTP/1.1" 200 512 "referer" "agent"`.
//!
//! *Invariant*: no line makes it panic; what is no view is told apart from what is no line of such a log.

use super::calendar;
use super::views::View;
use crate::model::Timestamp;

/// What a line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// Somebody saw a page.
    View(View),
    /// A request that showed no page: another method, an error, a redirection.
    Other,
    /// Not in combined format.
    Unreadable,
}

/// What search fields are called, in paths and in the addresses that visitors come from.
const SEARCH_KEYS: [&str; 6] = ["q", "query", "search", "s", "text", "keywords"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads one line; a view gets this number.
pub(super) fn read(line: &str, number: u64) -> Line {
    let Some(request) = Request::of(line) else { return Line::Unreadable };
    let seen = request.method == "GET" && (request.status / 100 == 2 || request.status == 304);
    if !seen {
        return Line::Other;
    }
    let (page, asked) = request.target.split_once('?').unwrap_or((request.target, ""));
    let from = request.referer.and_then(|referer| referer.split_once('?')).map_or("", |(_, asked)| asked);
    Line::View(View {
        number,
        time: request.time,
        visitor: harmless(request.host),
        page: harmless(page),
        search: searched(asked).or_else(|| searched(from)),
    })
}

struct Request<'a> {
    host: &'a str,
    time: Timestamp,
    method: &'a str,
    target: &'a str,
    status: u16,
    referer: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (before, rest) = line.split_once(" [")?;
        let host = before.split(' ').next().filter(|host| !host.is_empty())?;
        let (time, rest) = rest.split_once("] \"")?;
        let (request, rest) = quoted(rest)?;
        let mut words = request.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let mut fields = rest.trim_start().splitn(3, ' ');
        let status = fields.next()?.parse().ok()?;
        let _bytes = fields.next()?;
        let referer =
            fields.next().and_then(|rest| rest.strip_prefix('"')).and_then(quoted).map(|(referer, _)| referer);
        Some(Self { host, time: time_of(time)?, method, target, status, referer })
    }
}

/// What stands before the closing quotation mark, and what comes behind it. Servers write `\"` for one within.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return Some((text.get(..at)?, text.get(at + 1..)?)),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// `27/Nov/2026:23:05:01 +0100`.
fn time_of(text: &str) -> Option<Timestamp> {
    let (clock, zone) = text.split_once(' ')?;
    let mut parts = clock.splitn(3, ['/']);
    let day = number(parts.next()?, 1..=31)?;
    let name = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let mut parts = parts.next()?.split(':');
    let year = number(parts.next()?, 1970..=9999)?;
    let (hour, minute) = (number(parts.next()?, 0..=23)?, number(parts.next()?, 0..=59)?);
    let second = number(parts.next()?, 0..=60)?;
    let (sign, zone) = if let Some(west) = zone.strip_prefix('-') { (-1, west) } else { (1, zone.strip_prefix('+')?) };
    let zone = number(zone, 0..=2359)?;
    let east_seconds = sign * (zone / 100 * 3_600 + zone % 100 * 60);
    let seconds = calendar::days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - east_seconds;
    Some(Timestamp(seconds * 1_000))
}

fn number(digits: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
        .filter(|number| range.contains(number))
}

fn searched(asked: &str) -> Option<String> {
    let pairs = asked.split(['&', ';']).filter_map(|pair| pair.split_once('='));
    let values =
        pairs.filter(|(key, _)| SEARCH_KEYS.contains(&key.to_ascii_lowercase().as_str())).map(|(_, value)| value);
    values.map(|value| harmless(&plain(value)).trim().to_owned()).find(|value| !value.is_empty())
}

/// Without what would move the cursor of the terminal on which it is shown: visitors choose these texts.
fn harmless(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Without what addresses are escaped with.
fn plain(escaped: &str) -> String {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut left = escaped.as_bytes();
    while let Some((&first, rest)) = left.split_first() {
        let hex = rest.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = byte.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(match (byte, first) {
            (Some(byte), _) => byte,
            (None, b'+') => b' ',
            (None, other) => other,
        });
        left = rest.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(line: &str) -> View {
        match read(line, 5) {
            Line::View(view) => view,
            other @ (Line::Other | Line::Unreadable) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_of_apaches_documentation() {
        let line = concat!(
            r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 "#,
            r#""http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)""#,
        );
        let expected = View {
            number: 5,
            time: Timestamp(971_211_336_000),
            visitor: "127.0.0.1".into(),
            page: "/apache_pb.gif".into(),
            search: None,
        };
        assert_eq!(view(line), expected);
    }

    #[test]
    fn words_are_found_in_the_path_and_in_where_a_visitor_comes_from() {
        let line = |target: &str, referer: &str| {
            format!(r#"::1 - - [27/Nov/2026:23:05:01 +0000] "GET {target} HTTP/2.0" 200 - "{referer}" "a \" b""#)
        };
        let search = |target, referer| view(&line(target, referer)).search;
        assert_eq!(search("/find?page=2&q=red%20lamp", "-").as_deref(), Some("red lamp"));
        assert_eq!(search("/find?q=caf%C3%A9+noir", "-").as_deref(), Some("café noir"));
        assert_eq!(search("/", "https://search.example/?query=tent&x=1").as_deref(), Some("tent"));
        assert_eq!(search("/?q=", "-"), None);
        assert_eq!(search("/?q=a%1b[2Jb%0a", "-").as_deref(), Some("a [2Jb"));
        assert_eq!(search("/?q=%zz%2", "-").as_deref(), Some("%zz%2"));
        assert_eq!(view(&line("/find?q=x", "-")).page, "/find");
    }

    #[test]
    fn what_is_no_view_is_told_apart() {
        let line = |request: &str, status: &str| {
            format!(r#"h - - [27/Nov/2026:23:05:01 +0000] "{request}" {status} 12 "-" "-""#)
        };
        assert_eq!(read(&line("POST / HTTP/1.1", "200"), 0), Line::Other);
        assert_eq!(read(&line("GET / HTTP/1.1", "404"), 0), Line::Other);
        assert!(matches!(read(&line("GET / HTTP/1.1", "304"), 0), Line::View(_)));
        for strange in
            ["", "hello", &line("GET", "200"), &line("GET / HTTP/1.1", "ok"), &line("GET / HTTP/1.1", "200")[3..]]
        {
            assert_eq!(read(strange, 0), Line::Unreadable, "{strange}");
        }
        let bad_day = line("GET / HTTP/1.1", "200").replace("27/Nov", "32/Nov");
        assert_eq!(read(&bad_day, 0), Line::Unreadable);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in r#"[a-z0-9 %"\[\]/:+\\é-]{0,80}"#) {
            read(&line, 0);
            let within = format!("h - - [27/Nov/2026:23:05:01 +0000] \"GET /?q={line} HTTP/1.1\" 200 1 \"{line}\"");
            read(&within, 0);
        }
    }
}
