//! Lines as they are typed on a terminal: prompt, completion, hints, history, and notices above it.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use reedline::{
    ColumnarMenu, Completer, CompletionResult, Emacs, ExternalPrinter, Hinter, History, KeyCode,
    KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch, Reedline,
    ReedlineEvent, ReedlineMenu, SearchQuery, Signal, SimpleMatchHighlighter, Span, Suggestion,
    default_emacs_keybindings,
};

use super::history::{FILE, Kept};
use super::place::Place;
use super::session::{Session, own};
use super::{notices, words};
use crate::client::Client;
use crate::complete::{self, Candidate, Candidates, Running, candidates_at};
use crate::error::{Code, CommandError};
use crate::output;
use crate::socket;

/// The name of the menu of completions.
const MENU: &str = "completions";
/// How many notices wait while a command runs.
const NOTICES_MAX: usize = 64;

/// What was typed.
pub(super) enum Typed {
    /// A line.
    Line(String),
    /// Nothing: the line was given up.
    Nothing,
    /// No more will be.
    End,
}

/// Reads lines from a terminal.
pub(super) struct Editor {
    lines: Reedline,
    place: Arc<Mutex<Place>>,
}

impl Editor {
    pub(super) fn new(session: &Session, client: &Client) -> Result<Self, CommandError> {
        let colour = output::wants_colour(&io::stdout());
        let place = Arc::new(Mutex::new(session.place()));
        let completing = Completing {
            place: Arc::clone(&place),
            live: Running {
                socket: Some(client.socket().to_owned()),
            },
        };
        let mut keys = default_emacs_keybindings();
        let complete = vec![
            ReedlineEvent::Menu(MENU.to_owned()),
            ReedlineEvent::MenuNext,
        ];
        keys.add_binding(
            KeyModifiers::NONE,
            KeyCode::Tab,
            ReedlineEvent::UntilFound(complete),
        );
        keys.add_binding(
            KeyModifiers::SHIFT,
            KeyCode::BackTab,
            ReedlineEvent::MenuPrevious,
        );
        let menu = ColumnarMenu::default().with_name(MENU).with_marker("> ");
        let printer = ExternalPrinter::new(NOTICES_MAX);
        notices::tell(client.clone(), printer.sender())?;
        let mut lines = Reedline::create()
            .with_ansi_colors(colour)
            .with_completer(Box::new(completing))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_edit_mode(Box::new(Emacs::new(keys)))
            .with_hinter(Box::new(Hinting::default()))
            .with_highlighter(Box::new(SimpleMatchHighlighter::default()))
            .with_external_printer(printer);
        let folder = session.caller().data_dir.clone();
        let folder = folder.unwrap_or_else(|| socket::data_folder(session.node()));
        match Kept::open(&folder.join(FILE)) {
            Ok(kept) => lines = lines.with_history(Box::new(kept)),
            Err(error) => output::err(&format!(
                "what is typed is not kept: {}: {error}\n",
                folder.join(FILE).display()
            )),
        }
        Ok(Self { lines, place })
    }

    /// Reads a line; shows notices meanwhile.
    pub(super) fn read(&mut self, session: &Session) -> Result<Typed, CommandError> {
        *self.place.lock() = session.place();
        let failed = |error: &dyn std::fmt::Display| {
            CommandError::new(
                Code::Failed,
                format!("cannot read from the terminal: {error}"),
            )
        };
        let typed = self.lines.read_line(&Asking(session.prompt()));
        let typed = typed.map_err(|error| failed(&error))?;
        // It may hold a secret, and is forgotten on purpose.
        drop(self.lines.take_history_save_error());
        if let Err(error) = self.lines.sync_history() {
            tracing::debug!(%error, "what was typed is not kept");
        }
        Ok(match typed {
            Signal::Success(line) => Typed::Line(line),
            Signal::CtrlD => Typed::End,
            _ => Typed::Nothing,
        })
    }
}

/// Has the terminal as it was before a line was read, when the process ends in the middle of one.
pub(super) fn restore_terminal() {
    if let Err(error) = crossterm::terminal::disable_raw_mode() {
        tracing::warn!(%error, "cannot restore the terminal: `stty sane` does");
    }
}

/// The prompt.
struct Asking(String);

impl Prompt for Asking {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("… ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!(" (typed before: {}) ", search.term))
    }
}

/// Completes what stands before the cursor.
struct Completing {
    place: Arc<Mutex<Place>>,
    live: Running,
}

impl Completer for Completing {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let place = self.place.lock().clone();
        let found = line
            .get(..pos)
            .and_then(|before| candidates(&place, before, &self.live));
        let (start, found) = found.unwrap_or_default();
        let suggestion = |candidate: Candidate| {
            let goes_on = candidate.value.ends_with(['=', '/', ' ', '.']);
            Suggestion {
                description: Some(candidate.about).filter(|about| !about.is_empty()),
                append_whitespace: !goes_on,
                value: candidate.value,
                span: Span::new(start, pos),
                ..Suggestion::default()
            }
        };
        let found: Vec<Suggestion> = found.into_iter().map(suggestion).collect();
        CompletionResult::fresh(found)
    }
}

/// What the word before the cursor could become, and where that begins.
fn candidates(
    place: &Place,
    before: &str,
    live: &dyn complete::Live,
) -> Option<(usize, Vec<Candidate>)> {
    let mut cursor = words::cursor(before)?;
    let first = |words: &[String]| {
        words
            .first()
            .map(String::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    while matches!(first(&cursor.words).as_str(), "uk" | "watch") {
        cursor.words.remove(0);
    }
    let mut found = match first(&cursor.words).as_str() {
        // A place to go to is a supervisor, as what `which` takes.
        "cd" => {
            cursor.words = vec!["which".to_owned()];
            candidates_at(Some(place), &cursor.words, &cursor.current, live)
        }
        _ => candidates_at(Some(place), &cursor.words, &cursor.current, live),
    };
    if cursor.words.is_empty()
        && let Candidates::Some(found) = &mut found
    {
        found.retain(|candidate| !matches!(candidate.value.as_str(), "run" | "console"));
        found.extend(own().iter().filter_map(|own| {
            let value = own.get_name().to_owned();
            let about = own.get_about().map(ToString::to_string).unwrap_or_default();
            let begins = value.starts_with(&cursor.current);
            begins.then_some(Candidate { value, about })
        }));
        found.sort_by(|one, other| one.value.cmp(&other.value));
    }
    match found {
        Candidates::Some(found) => Some((cursor.start, found)),
        Candidates::Files => Some((cursor.start, files(&cursor.current))),
    }
}

/// The files whose names begin with what is there.
fn files(current: &str) -> Vec<Candidate> {
    let lead = current
        .rfind('/')
        .map_or("", |at| current.get(..=at).unwrap_or_default());
    let folder = if lead.is_empty() { "." } else { lead };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<Candidate> = entries
        .filter_map(|entry| {
            let is_folder = entry.file_type().is_ok_and(|file| file.is_dir());
            let name = entry.file_name().into_string().ok()?;
            let end = if is_folder { "/" } else { "" };
            let value = format!("{lead}{name}{end}");
            let is_wanted = value.starts_with(current)
                && !value.contains(char::is_whitespace)
                && (!name.starts_with('.') || current.ends_with('.'));
            is_wanted.then(|| Candidate {
                value,
                about: String::new(),
            })
        })
        .collect();
    found.sort_by(|one, other| one.value.cmp(&other.value));
    found
}

/// Says behind the cursor what was typed before, which the right arrow takes, else what the command goes on with.
#[derive(Default)]
struct Hinting {
    typed_before: String,
}

impl Hinter for Hinting {
    fn handle(
        &mut self,
        line: &str,
        pos: usize,
        history: &dyn History,
        use_ansi_coloring: bool,
        _: &str,
    ) -> String {
        self.typed_before.clear();
        if line.is_empty() || pos != line.len() {
            return String::new();
        }
        let before = SearchQuery::last_with_prefix(line.to_owned(), history.session());
        let before = history.search(before).unwrap_or_default();
        if let Some(rest) = before
            .first()
            .and_then(|item| item.command_line.get(line.len()..))
        {
            rest.clone_into(&mut self.typed_before);
        }
        let hint = match self.typed_before.as_str() {
            "" => usage(line).unwrap_or_default(),
            before => before.to_owned(),
        };
        if use_ansi_coloring && !hint.is_empty() {
            format!("\x1b[2m{hint}\x1b[0m")
        } else if self.typed_before.is_empty() {
            // Without a colour nobody could tell it from what was typed.
            String::new()
        } else {
            hint
        }
    }

    fn complete_hint(&self) -> String {
        self.typed_before.clone()
    }

    fn next_hint_token(&self) -> String {
        let rest = self.typed_before.trim_start();
        let blanks = self.typed_before.len() - rest.len();
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.typed_before
            .get(..blanks + word)
            .unwrap_or_default()
            .to_owned()
    }
}

/// What a line goes on with, after a blank: `PATH [--reason TEXT]`.
fn usage(line: &str) -> Option<String> {
    let cursor = words::cursor(line)?;
    if !cursor.current.is_empty() {
        return None;
    }
    complete::usage(&cursor.words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_says_what_a_command_goes_on_with() {
        for (line, hint) in [
            ("kill ", Some("PATH [--reason REASON]")),
            ("kill /a ", Some("[--reason REASON]")),
            ("tree; kill ", Some("PATH [--reason REASON]")),
            ("kill", None),
            ("kill 'x", None),
            ("nope ", None),
        ] {
            assert_eq!(usage(line).as_deref(), hint, "{line}");
        }
    }
}
