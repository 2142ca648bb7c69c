//! The demo where there is no terminal: a line a second, or JSON.

use serde_json::json;

use super::board::{Board, Phase, Shown};
use super::stage::News;
use super::verdict::GroupVerdict;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Text,
    /// One object per line, told apart by `kind`.
    Json,
}

impl Style {
    pub(super) fn board(self, board: &Board, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Text => output.line(line(board)),
            Self::Json => tagged("board", board, output),
        }?;
        output.flush()
    }

    pub(super) fn news(self, news: &News, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Text => output.line(format_args!("         {}", news.text)),
            Self::Json => tagged("news", news, output),
        }
    }

    pub(super) fn verdict(self, verdicts: &[GroupVerdict], output: &mut Output) -> Result<(), Failure> {
        let holds = verdicts.iter().all(|verdict| verdict.holds);
        if self == Self::Json {
            return output.json(&json!({ "kind": "verdict", "holds": holds, "groups": verdicts }));
        }
        for verdict in verdicts {
            output.line(verdict)?;
            for difference in &verdict.differences {
                output.line(format_args!("  {difference}"))?;
            }
        }
        output.line(if holds {
            "The check holds: every view was counted, and counted once per group."
        } else {
            "The check does NOT hold."
        })
    }
}

fn tagged(kind: &str, value: &impl serde::Serialize, output: &mut Output) -> Result<(), Failure> {
    let mut value = serde_json::to_value(value).map_err(|error| Failure::new(format_args!("no JSON: {error}")))?;
    if let Some(object) = value.as_object_mut() {
        object.insert("kind".to_owned(), kind.into());
    }
    output.json(&value)
}

/// What a board comes to in one line.
pub(super) fn line(board: &Board) -> String {
    let phase = match board.phase {
        Phase::Flowing => "",
        Phase::Draining => ", no more come",
        Phase::Ending => ", members leave",
    };
    let leaders = board.leaders().into_iter().map(|(leader, partitions)| match leader {
        Some(broker) => format!("{broker}:{partitions}"),
        None => format!("nobody:{partitions}"),
    });
    let leaders = leaders.collect::<Vec<_>>().join(" ");
    let mut text = format!(
        "{:6.1} s  {} views at {:.0}/s{phase}, leaders {leaders}",
        board.seconds, board.acknowledged, board.rate
    );
    for group in &board.groups {
        let running = group.members.iter().filter(|member| member.state == "reads").count();
        text.push_str(&format!("; {}: {running} members, {} counted, {} behind", group.name, group.counted, group.lag));
        let best = match &group.results {
            Shown::Pages(pages) => pages.first().map(|(page, views)| format!("{page} {views}")),
            Shown::Rising(rising) => rising.first().map(|rise| format!("{} rises", rise.word)),
            Shown::Files { files, .. } => Some(format!("{files} files")),
        };
        if let Some(best) = best {
            text.push_str(&format!(", {best}"));
        }
    }
    text
}
