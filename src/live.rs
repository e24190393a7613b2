//! What is drawn again and again on the whole of a terminal, with keys: [`show`].
//!
//! The terminal is as it was afterwards, however that comes: q, Ctrl-C, SIGTERM, a lost kernel, a panic.

use std::io;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::future::BoxFuture;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Row, Span};
use ratatui::{DefaultTerminal, Frame};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::arguments::Args;
use crate::client::Client;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::screen::{Line, Screen, Tone};
use crate::watch::{Interrupts, interrupted};

/// Time between two looks at the kernel.
const LOOK: Duration = Duration::from_millis(500);
/// Time between two looks at the keyboard.
const KEYS: Duration = Duration::from_millis(30);

/// What is shown.
pub(crate) trait View {
    /// Takes what the kernel says now.
    fn take(&mut self, document: Value);
    /// All of it as lines of at most `width`: the first are those of the head, which does not scroll.
    fn lines(&self, screen: &Screen) -> (Vec<Line>, Vec<Line>);
    /// Takes a key that is its own.
    fn key(&mut self, _key: char) {}
    /// What its own keys do.
    fn keys(&self) -> &'static str {
        ""
    }
}

/// Shows what the command says, until somebody has seen enough.
///
/// # Errors
/// What the kernel or the terminal says.
pub(crate) async fn show(
    (client, command, args): (&Client, &Command, &Args),
    colour: bool,
    interrupts: Option<&Interrupts>,
    view: &mut impl View,
) -> Result<(), CommandError> {
    let mut terminal = Taken(ratatui::try_init().map_err(failed)?);
    let mut interrupted = std::pin::pin!(interrupted(interrupts));
    let ask = |after: Duration| -> BoxFuture<'_, Result<Value, CommandError>> {
        Box::pin(async move {
            sleep(after).await;
            client.call(command, args).await
        })
    };
    let mut asked = ask(Duration::ZERO);
    let mut keys = interval(KEYS);
    keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut scroll = Scroll::default();
    loop {
        let is_new = tokio::select! {
            biased;
            ended = &mut interrupted => return ended,
            document = &mut asked => {
                view.take(document?);
                asked = ask(LOOK);
                true
            }
            _ = keys.tick() => match typed(view, &mut scroll)? {
                Typed::Quit => return Ok(()),
                Typed::Something => true,
                Typed::Nothing => false,
            },
        };
        if is_new {
            let drawn = terminal
                .0
                .draw(|frame| draw(frame, colour, view, &mut scroll));
            drawn.map_err(failed)?;
        }
    }
}

fn failed(error: io::Error) -> CommandError {
    CommandError::new(Code::Failed, format!("cannot use the terminal: {error}"))
}

/// A terminal that is given back when this is dropped. A panic gives it back before it says what it is, too.
struct Taken(DefaultTerminal);

impl Drop for Taken {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Which part is seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Scroll {
    top: usize,
    /// How many rows there were room for.
    page: usize,
}

impl Scroll {
    fn by(&mut self, rows: isize) {
        self.top = self.top.saturating_add_signed(rows);
    }
}

enum Typed {
    Nothing,
    Something,
    Quit,
}

/// Takes all that was typed since the last look.
fn typed(view: &mut impl View, scroll: &mut Scroll) -> Result<Typed, CommandError> {
    let mut typed = Typed::Nothing;
    while event::poll(Duration::ZERO).map_err(failed)? {
        match event::read().map_err(failed)? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                if is_quit(&key) {
                    return Ok(Typed::Quit);
                }
                press(&key, view, scroll);
                typed = Typed::Something;
            }
            Event::Resize(..) => typed = Typed::Something,
            _ => {}
        }
    }
    Ok(typed)
}

fn is_quit(key: &KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
        KeyCode::Char('c' | 'd') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

fn press(key: &KeyEvent, view: &mut impl View, scroll: &mut Scroll) {
    let page = isize::try_from(scroll.page.max(2) - 1).unwrap_or(1);
    match key.code {
        KeyCode::Up => scroll.by(-1),
        KeyCode::Down => scroll.by(1),
        KeyCode::PageUp => scroll.by(-page),
        KeyCode::PageDown | KeyCode::Char(' ') => scroll.by(page),
        KeyCode::Home => scroll.top = 0,
        KeyCode::End => scroll.top = usize::MAX,
        KeyCode::Char(key) => view.key(key),
        _ => {}
    }
}

fn draw(frame: &mut Frame<'_>, colour: bool, view: &impl View, scroll: &mut Scroll) {
    let area = frame.area();
    let screen = Screen {
        width: usize::from(area.width),
        height: Some(usize::from(area.height)),
        colour,
    };
    let (head, body) = view.lines(&screen);
    let head_rows = u16::try_from(head.len()).unwrap_or(u16::MAX);
    let parts = Layout::vertical([
        Constraint::Length(head_rows),
        Constraint::Fill(1),
        Constraint::Length(1),
    ]);
    let [above, middle, below] = parts.areas(area);
    scroll.page = usize::from(middle.height);
    scroll.top = scroll.top.min(body.len().saturating_sub(scroll.page));
    let seen = body.iter().skip(scroll.top).take(scroll.page);
    let seen: Vec<Row<'_>> = seen.map(|line| row(line, &screen)).collect();
    let head: Vec<Row<'_>> = head.iter().map(|line| row(line, &screen)).collect();
    let hidden = body.len().saturating_sub(scroll.top + seen.len());
    let more = match hidden {
        0 => String::new(),
        _ => format!("{hidden} more below; "),
    };
    let foot = format!("{more}q quits{}", view.keys());
    frame.render_widget(ratatui::text::Text::from(head), above);
    frame.render_widget(ratatui::text::Text::from(seen), middle);
    frame.render_widget(Row::styled(foot, style(Tone::Dim, colour)), below);
}

fn row(line: &Line, screen: &Screen) -> Row<'static> {
    let pieces = line.fitting(screen).into_iter();
    let spans = pieces.map(|(tone, text)| Span::styled(text, style(tone, screen.colour)));
    Row::from(spans.collect::<Vec<_>>())
}

fn style(tone: Tone, colour: bool) -> Style {
    let style = Style::new();
    match tone {
        Tone::Dim if colour => style.add_modifier(Modifier::DIM),
        Tone::Bold => style.add_modifier(Modifier::BOLD),
        Tone::Good if colour => style.fg(Color::Green),
        Tone::Warn if colour => style.fg(Color::Yellow),
        Tone::Bad if colour => style.fg(Color::Red).add_modifier(Modifier::BOLD),
        _ => style,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    /// So many lines, and which key came last.
    struct Lines(usize, char);

    impl View for Lines {
        fn take(&mut self, _: Value) {}

        fn lines(&self, _: &Screen) -> (Vec<Line>, Vec<Line>) {
            let line = |text: &str| {
                let mut line = Line::new();
                line.push(Tone::Plain, text);
                line
            };
            let body = (0..self.0).map(|number| line(&format!("row {number} of many")));
            (vec![line("head")], body.collect())
        }

        fn key(&mut self, key: char) {
            self.1 = key;
        }

        fn keys(&self) -> &'static str {
            "; k does nothing"
        }
    }

    fn drawn(width: u16, height: u16, view: &Lines, scroll: &mut Scroll) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| draw(frame, false, view, scroll))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        let rows = cells.chunks(usize::from(width));
        rows.map(|row| row.concat().trim_end().to_owned()).collect()
    }

    #[test]
    fn what_does_not_fit_is_scrolled_to_and_no_further_than_its_end() {
        let mut scroll = Scroll::default();
        let mut view = Lines(10, ' ');

        let top = drawn(40, 5, &view, &mut scroll);
        assert_eq!(
            top,
            [
                "head",
                "row 0 of many",
                "row 1 of many",
                "row 2 of many",
                "7 more below; q quits; k does nothing"
            ]
        );
        for (code, first) in [
            (KeyCode::Down, "row 1 of many"),
            (KeyCode::PageDown, "row 3 of many"),
            (KeyCode::End, "row 7 of many"),
            (KeyCode::Down, "row 7 of many"),
            (KeyCode::Up, "row 6 of many"),
            (KeyCode::Home, "row 0 of many"),
            (KeyCode::Up, "row 0 of many"),
        ] {
            press(&KeyEvent::from(code), &mut view, &mut scroll);
            assert_eq!(drawn(40, 5, &view, &mut scroll)[1], first, "{code:?}");
        }
        press(&KeyEvent::from(KeyCode::Char('k')), &mut view, &mut scroll);
        assert_eq!(view.1, 'k');
    }

    #[test]
    fn any_size_can_be_drawn() {
        let view = Lines(10, ' ');
        for width in 1..30 {
            for height in 1..6 {
                let mut scroll = Scroll::default();
                drawn(width, height, &view, &mut scroll);
            }
        }
        let narrow = drawn(8, 3, &view, &mut Scroll::default());
        assert_eq!(narrow[1], "row 0 o…");
    }
}
