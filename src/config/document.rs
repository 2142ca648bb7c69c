//! The table as text for people: `config/server.properties`, `config/quickstart.properties` and help for one key.
//!
//! A test compares the files in `config/` with what this module writes; `UPDATE=1` makes it write them.

use std::fmt::Write as _;

use super::key::{Key, Status, Update};
use super::properties::escape_value;
use super::table;

/// Width of the comments.
const WIDTH: usize = 110;

const HEAD: &str = "\
# Every key of the broker, with its default. A line without # sets a key; what you leave out keeps its default.
#
# Names and meanings are Apache Kafka's (3.9), so that a server.properties of Kafka's works here. Keys that have no
# effect yet say so; a key that nobody knows is an error. Any of them can be given on the command line too:
#   dohle start FILE --override KEY=VALUE
#
# [live] can change while the broker runs, for one broker or as the default of all: kafka-configs.sh --alter
#
# Made from the table of keys by `UPDATE=1 cargo test --lib config::`; change the table, not this file.
";

/// The text of `config/server.properties`: every key that can stand in a file, commented out.
#[must_use]
pub fn server_properties() -> String {
    let mut text = HEAD.to_owned();
    for section in table::BROKER {
        let line = "#".repeat(WIDTH);
        let _ = write!(text, "\n{line}\n# {}\n{line}\n", section.heading);
        for key in section.keys.iter().filter(|key| !key.only_dynamic && !key.internal) {
            text.push('\n');
            for line in wrapped(&comment(key)) {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(text, "#{}={}", key.name, escape_value(key.default.unwrap_or_default()));
        }
    }
    text
}

/// The text of `config/quickstart.properties`: a broker alone, on this machine only. What `dohle start` without a file
/// runs on.
#[must_use]
pub fn quickstart_properties() -> String {
    let mut text = "\
# One broker alone, for a first try: no ZooKeeper, reachable from this machine only.
# Every other key: server.properties
#
# Made from the table of keys by `UPDATE=1 cargo test --lib config::`.
"
    .to_owned();
    for (name, value) in QUICKSTART {
        let documentation = table::broker_key(name).map(Key::documentation).unwrap_or_default();
        text.push('\n');
        for line in wrapped(documentation) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "{name}={}", escape_value(value));
    }
    text
}

/// What a broker is started with that is given no file.
const QUICKSTART: &[(&str, &str)] =
    &[("broker.id", "0"), ("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", "./dohle-data")];

/// Everything about one key, in a few lines.
#[must_use]
pub fn help(key: &Key) -> String {
    let mut text = format!("{}\n", key.name);
    for line in wrapped(&comment(key)) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "  Default: {}", shown_default(key));
    text
}

fn shown_default(key: &Key) -> String {
    match (key.default, key.unit) {
        (None, _) => "not set".to_owned(),
        (Some(""), _) => "empty".to_owned(),
        (Some(default), Some(unit)) => format!("{default} {unit}"),
        (Some(default), None) => default.to_owned(),
    }
}

/// Documentation, what is allowed, the unit, how it changes, and whether it works.
fn comment(key: &Key) -> String {
    let mut text = key.documentation().to_owned();
    let unit = key.unit.map(|unit| format!(" ({unit})")).unwrap_or_default();
    let _ = write!(text, " [{}{unit}]", key.allowed());
    if key.update != Update::ReadOnly {
        text.push_str(" [live]");
    }
    match key.status {
        Status::Works | Status::Refused => {}
        Status::Inert => text.push_str(" [no effect yet]"),
        Status::Obsolete => text.push_str(" [no meaning here]"),
    }
    if let Some((kafka, why)) = key.kafka_default {
        let _ = write!(text, " Kafka's default is {kafka}; ours is another: {why}.");
    }
    text
}

/// Breaks a text into lines of at most [`WIDTH`], between words.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Loaded, load};
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "this test keeps the files in config/ as the table says")]
    fn check(name: &str, text: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a writable checkout");
            std::fs::write(&file, text).expect("a writable checkout");
        }
        let stored = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(stored == text, "config/{name} is stale: run UPDATE=1 cargo test --lib config::");
    }

    #[test]
    fn the_files_are_as_the_table_says() {
        check("server.properties", &server_properties());
        check("quickstart.properties", &quickstart_properties());
    }

    #[test]
    fn every_default_may_be_written_down() {
        let text = server_properties();
        let uncommented = |line: &str| {
            let setting = line.strip_prefix('#').filter(|line| !line.starts_with([' ', '#']) && line.contains('='));
            // An empty value is how the file shows that a key is not set.
            setting.filter(|setting| !setting.ends_with('=')).map(str::to_owned)
        };
        let all: Vec<_> = text.lines().filter_map(uncommented).collect();
        assert!(200 < all.len(), "{} keys", all.len());
        // Named and protocol listener exclude each other, whichever is the default.
        let loaded = load(&all.join("\n"), &[]).expect("every default is legal, and all together");
        let defaults = load("", &[]).expect("legal");
        assert_eq!(loaded.config, defaults.config);
    }

    #[test]
    fn the_quickstart_starts_without_a_surprise() {
        let Loaded { config, warnings, .. } = load(&quickstart_properties(), &[]).expect("legal");
        assert_eq!(config.zookeeper, None);
        assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(warnings, []);
    }

    #[test]
    fn help_says_all_there_is() {
        let key = table::broker_key("max.connections").expect("a key");
        let help = help(key).replace("\n  ", " ");
        for part in ["max.connections Conn", "Kafka's default is 2147483647", "[live]", "Default: 10000 connections"] {
            assert!(help.contains(part), "{part} is not in {help}");
        }
    }
}
