//! Regular expressions over topics' names, in the syntax of RE2 as far as the crate `regex` has it: time is linear in the
//! name, and memory bounded.

use std::collections::BTreeSet;

use regex::RegexBuilder;

use super::super::topics::Topics;
use crate::wire::Str;

/// Bytes that one compiled expression may take. Some thousand states; `.{1000}` over Unicode takes more.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// The topics whose whole name the expression matches.
///
/// # Errors
/// What is wrong with the expression.
pub(super) fn resolve(expression: &str, topics: &Topics) -> Result<BTreeSet<Str>, String> {
    // The expression must be one by itself: `a)|(b` is none.
    let parse = |text: &str| {
        let mut builder = RegexBuilder::new(text);
        builder
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| error.to_string())
    };
    parse(expression)?;
    let whole = parse(&format!(r"\A(?:{expression})\z"))?;
    Ok(topics.names().filter(|name| whole.is_match(name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::topics::Topic;
    use super::*;
    use crate::model::TopicId;

    #[test]
    fn a_whole_name_has_to_match() {
        let topic = |name: &str, id| (Str::from(name), Arc::new(Topic::new(name, TopicId([id; 16]), &[vec![]])));
        let topics = Topics::new(1, [topic("ab", 1), topic("abc", 2), topic("b", 3)]);
        let found =
            |text| resolve(text, &topics).map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(found("ab"), Ok(vec!["ab".to_owned()]));
        assert_eq!(found("a.*"), Ok(vec!["ab".to_owned(), "abc".to_owned()]));
        assert_eq!(found("a.*|b"), Ok(vec!["ab".to_owned(), "abc".to_owned(), "b".to_owned()]));
        assert_eq!(found(""), Ok(vec![]));
        for wrong in ["a)|(b", "(", "a(?=b)", "(?:a{1000}){1000}"] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
    }
}
