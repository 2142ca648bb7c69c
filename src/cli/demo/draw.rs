//! Draws a board onto a frame of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};

use super::board::{Board, GroupPanel, Phase, Reader, Shown};
use super::stage::News;

pub(super) struct View<'a> {
    pub(super) board: &'a Board,
    /// The newest last.
    pub(super) news: &'a [News],
    /// Which group the keys mean.
    pub(super) chosen: usize,
    /// Where the views come from.
    pub(super) title: &'a str,
}

/// Rows of a group's panel: members, figures, results.
const PANEL_ROWS: u16 = 17;

const DIM: Style = Style::new().fg(Color::DarkGray);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const ALARM: Style = Style::new().fg(Color::Red);
/// A colour for each group.
const COLORS: [Color; 3] = [Color::Cyan, Color::Yellow, Color::Green];

pub(super) fn draw(frame: &mut Frame<'_>, view: &View<'_>) {
    let partitions = u16::try_from(view.board.partitions.len()).unwrap_or(u16::MAX).saturating_add(3);
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Max(partitions),
        Constraint::Max(PANEL_ROWS),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [head, topic, groups, news, keys] = areas.areas(frame.area());
    frame.render_widget(heading(view), head);
    frame.render_widget(partition_table(view.board), topic);
    let columns = Layout::horizontal(vec![Constraint::Fill(1); view.board.groups.len()]).split(groups);
    for (index, (group, area)) in view.board.groups.iter().zip(columns.iter()).enumerate() {
        panel(frame, group, *area, color(index), index == view.chosen);
    }
    frame.render_widget(happened(view.news, news), news);
    let help = " 1 2 3 choose a group   a add a member   k kill one   q end, with the check";
    frame.render_widget(Paragraph::new(help).style(DIM), keys);
}

fn color(group: usize) -> Color {
    COLORS.get(group % COLORS.len()).copied().unwrap_or_default()
}

fn heading<'a>(view: &View<'a>) -> Paragraph<'a> {
    let board = view.board;
    let phase = match board.phase {
        Phase::Flowing => "",
        Phase::Draining => "  no more come, the groups count what is left",
        Phase::Ending => "  members leave",
    };
    Paragraph::new(Line::from(vec![
        Span::styled(" dohle demo ", BOLD.add_modifier(Modifier::REVERSED)),
        Span::raw(format!(" {:.0} s  {}", board.seconds, view.title)),
        Span::styled(phase, BOLD),
    ]))
}

fn partition_table(board: &Board) -> Table<'static> {
    let header = ["partition", "leader", "end"].map(str::to_owned).into_iter();
    let header = header.chain(board.groups.iter().map(|group| format!("{}: reader, lag", group.name)));
    let rows = board.partitions.iter().map(|row| {
        let leader = match row.leader {
            Some(broker) => Cell::from(format!("broker {broker}")),
            None => Cell::from("nobody").style(ALARM),
        };
        let cells = [Cell::from(row.partition.to_string()), leader, Cell::from(row.end.to_string())].into_iter();
        Row::new(cells.chain(row.readers.iter().enumerate().map(|(group, reader)| reader_cell(reader, color(group)))))
    });
    let widths = [Constraint::Length(9), Constraint::Length(10), Constraint::Length(9)].into_iter();
    let widths = widths.chain(board.groups.iter().map(|_| Constraint::Fill(1)));
    let title = format!(" {}: {} views acknowledged, {:.0}/s ", board.topic, board.acknowledged, board.rate);
    Table::new(rows, widths).header(Row::new(header).style(DIM)).block(Block::bordered().title(title))
}

fn reader_cell(reader: &Reader, color: Color) -> Cell<'static> {
    let lag = format!("{:>5}", reader.lag);
    match &reader.member {
        None => Cell::from(Line::from(vec![Span::styled(format!("{:<11}", "–"), DIM), Span::raw(lag)])),
        Some(member) => {
            let style = if reader.killed { ALARM.add_modifier(Modifier::CROSSED_OUT) } else { Style::new().fg(color) };
            Cell::from(Line::from(vec![Span::styled(format!("{member:<11}"), style), Span::raw(lag)]))
        }
    }
}

fn panel(frame: &mut Frame<'_>, group: &GroupPanel, area: Rect, color: Color, chosen: bool) {
    let (about, results) = shown(&group.results);
    let mut lines = vec![Line::from(Span::styled(about, BOLD))];
    lines.push(Line::from(format!("{} counted, {:.0}/s, {} behind", group.counted, group.rate, group.lag)));
    for member in &group.members {
        let has = member.partitions.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
        let style = if member.state == "killed" { ALARM } else { Style::new().fg(color) };
        lines.push(Line::from(vec![
            Span::styled(format!("{:<9}", member.member), style),
            Span::styled(format!(" {:<7}", member.state), DIM),
            Span::raw(has),
        ]));
    }
    lines.push(Line::default());
    let width = usize::from(area.width.saturating_sub(2));
    lines.extend(results.into_iter().map(|(name, value)| spread(&name, &value, width)));
    let block = Block::bordered().title(format!(" {}{} ", if chosen { "▶ " } else { "" }, group.group));
    let block = if chosen { block.border_style(Style::new().fg(color)) } else { block };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// What a group does, and what came of it.
fn shown(results: &Shown) -> (&'static str, Vec<(String, String)>) {
    match results {
        Shown::Pages(pages) => {
            let rows = pages.iter().map(|(page, views)| (page.clone(), views.to_string()));
            ("counts the views of each page", rows.collect())
        }
        Shown::Rising(rising) => {
            let rows = rising.iter().map(|rise| (rise.word.clone(), format!("{:.0} → {}", rise.before, rise.now)));
            ("finds the search words that rise", rows.collect())
        }
        Shown::Files { dir, files } => {
            let rows = [("files open".to_owned(), files.to_string()), (dir.clone(), String::new())];
            ("loads all into files by hour", rows.into())
        }
    }
}

/// A name on the left and a value on the right.
fn spread(name: &str, value: &str, width: usize) -> Line<'static> {
    let room = width.saturating_sub(value.chars().count() + usize::from(!value.is_empty()));
    let name = if room < name.chars().count() {
        // The end of a path says more than its beginning.
        let kept = name.chars().count() - room.saturating_sub(1);
        format!("…{}", name.chars().skip(kept).collect::<String>())
    } else {
        name.to_owned()
    };
    let gap = usize::from(!value.is_empty());
    Line::from(format!("{name:<room$}{:gap$}{value}", ""))
}

fn happened(news: &[News], area: Rect) -> Paragraph<'static> {
    let rows = usize::from(area.height.saturating_sub(2));
    let lines = news.iter().skip(news.len().saturating_sub(rows)).map(|news| {
        let (seconds, tenths) = (news.since_start / 1_000, news.since_start % 1_000 / 100);
        Line::from(vec![Span::styled(format!("{seconds:>4}.{tenths} s "), DIM), Span::raw(news.text.clone())])
    });
    Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(" what happened "))
}
