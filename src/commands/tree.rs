//! `uk tree`: the tree as it is.

use std::io;

use futures_util::FutureExt;
use serde_json::Value;
use unity_supervisors::view::TreeView;
use unity_supervisors::{ActorPath, Kernel};

use super::{Command, stall};
use crate::arguments::{Arg, ArgKind, Args, duration_text};
use crate::cli::{Caller, block_on};
use crate::error::CommandError;
use crate::live::{self, View};
use crate::nodes;
use crate::output;
use crate::screen::{
    Line, Screen, Tone, count, cut, list, number, reason, table, table_lines, text, thousands,
};
use crate::settings::service::Room;
use crate::watch::watch;

pub(super) const COMMAND: Command = Command {
    about: "Show the tree: states, restarts of the budget, what waits",
    help: "A supervisor's restarts are those of its children within its budget; a worker's are its share. \
           With --watch it is drawn anew twice a second until q or Ctrl-C; arrows scroll. Of the children of a template the first 20 \
           are shown.\n\n\
           With --node all it shows the tree of each node that is attached.\n\n\
           Example: uk tree /sensors",
    is_of_all: true,
    args: &[
        Arg::optional("path", ArgKind::Path, "only this part"),
        Arg::for_client("watch", "draw it again and again").short('w'),
        Arg::option(
            "all",
            ArgKind::Flag,
            "all children of templates and the kernel's own services too",
        ),
        TIMED,
    ],
    show,
    write: Some(write),
    attend: Some(attend),
    ..Command::reading(&["tree"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

/// What `uk top` asks with, to learn what keeps threads busy.
pub(super) const TIMED: Arg =
    Arg::internal("timed", ArgKind::Duration, "have lives timed for so long");

pub(super) fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let mut tree = serde_json::to_value(look(kernel, args)?).map_err(unwritten)?;
    note_rollbacks(&mut tree, kernel);
    Ok(tree)
}

/// The same as text, if there is nothing to add to it or to hide in it.
fn write(kernel: &Kernel, args: &Args) -> Result<Option<String>, CommandError> {
    if kernel.secrets().has_any() || !kernel.shared::<Room>().status().rollbacks.is_empty() {
        return Ok(None);
    }
    let tree = look(kernel, args)?;
    serde_json::to_string(&tree).map(Some).map_err(unwritten)
}

fn look(kernel: &Kernel, args: &Args) -> Result<TreeView, CommandError> {
    if let Some(long) = args.duration(TIMED.name) {
        kernel.time_lives(long);
    }
    let path = args.path("path");
    let tree = if args.flag("all") {
        kernel.whole_tree(path.as_ref())
    } else {
        kernel.tree(path.as_ref())
    };
    tree.ok_or_else(|| CommandError::not_found(path.as_ref().unwrap_or(&ActorPath::root()), kernel))
}

fn unwritten(error: serde_json::Error) -> CommandError {
    CommandError::new(crate::error::Code::Failed, error.to_string())
}

/// Says of each child in the document that has its former settings back so.
pub(crate) fn note_rollbacks(document: &mut Value, kernel: &Kernel) {
    for (path, rollback) in kernel.shared::<Room>().status().rollbacks {
        let Some(top) = document.get_mut("tree") else {
            return;
        };
        let node = find(top, path.as_str()).and_then(Value::as_object_mut);
        if let Some(node) = node {
            node.insert("rolled_back".to_owned(), serde_json::json!(rollback));
        }
    }
}

/// The node of a path at or below this one.
fn find<'a>(node: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let here = text(node, "path").to_owned();
    if here == path {
        return Some(node);
    }
    let rest = path.strip_prefix(here.trim_end_matches('/'))?;
    if !rest.starts_with('/') {
        return None;
    }
    let children = node.get_mut("children")?.as_array_mut()?;
    children.iter_mut().find_map(|child| find(child, path))
}

fn show(document: &Value, screen: &Screen) -> String {
    render(document, screen, false)
}

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let with_system = args.flag("all");
    let draw = |document: &Value, screen: &Screen| {
        if caller.json {
            format!("{document}\n")
        } else {
            render(document, screen, with_system)
        }
    };
    if args.flag("watch") && !caller.json && output::takes_drawing(&io::stdout()) {
        let mut view = Watched {
            document: Value::Null,
            with_system,
        };
        let (colour, interrupts) = (caller.screen.colour, caller.interrupts.as_deref());
        block_on(live::show(
            (&client, &COMMAND, args),
            colour,
            interrupts,
            &mut view,
        ))??;
    } else if args.flag("watch") {
        let end = if caller.json { "" } else { "\n" };
        let frames = watch(caller.json, caller.interrupts.as_deref(), |screen| {
            let (client, draw) = (&client, &draw);
            async move { Ok(draw(&client.call(&COMMAND, args).await?, &screen) + end) }
        });
        block_on(frames)??;
    } else {
        let document = block_on(client.call(&COMMAND, args))??;
        output::out(&draw(&document, &caller.screen))?;
        // Outside of a console the process is about to end, and a large tree takes long to be taken apart.
        if caller.interrupts.is_none() {
            std::mem::forget(document);
        }
    }
    Ok(0)
}

/// The columns of a row that [`fit`] looks at.
const NAME: usize = 0;
const KIND: usize = 1;
const STATE: usize = 2;

/// Draws the document of `uk tree`, with the kernel's own services if wanted.
#[must_use]
pub(crate) fn render(document: &Value, screen: &Screen, with_system: bool) -> String {
    if let Some(each) = nodes::each(document) {
        return nodes::draw_each(each, screen, |one| render(one, screen, with_system));
    }
    let mut out = head(document).render(screen);
    let rows = rows(document, screen, with_system);
    out.push_str(&table(&rows, screen));
    out
}

/// A row for each node of the document.
fn rows(document: &Value, screen: &Screen, with_system: bool) -> Vec<Vec<(Tone, String)>> {
    let tree = document.get("tree").unwrap_or(&Value::Null);
    let mut rows = Vec::new();
    add_rows(tree, &mut Branch::top(text(tree, "path")), &mut rows);
    let system = document
        .get("system")
        .filter(|system| with_system && !system.is_null());
    if let Some(system) = system {
        add_rows(system, &mut Branch::top(text(system, "path")), &mut rows);
    }
    fit(&mut rows, screen.width);
    rows
}

/// The tree, drawn again and again.
struct Watched {
    document: Value,
    with_system: bool,
}

impl View for Watched {
    fn take(&mut self, document: Value) {
        self.document = document;
    }

    fn lines(&self, screen: &Screen) -> (Vec<Line>, Vec<Line>) {
        if let Some(each) = nodes::each(&self.document) {
            return (vec![of_all(each)], self.lines_of_each(each, screen));
        }
        let rows = rows(&self.document, screen, self.with_system);
        (vec![head(&self.document)], table_lines(&rows).0)
    }
}

impl Watched {
    fn lines_of_each(&self, each: &[Value], screen: &Screen) -> Vec<Line> {
        let mut lines = Vec::new();
        for one in each {
            if one.get("error").is_some() {
                lines.push(nodes::missing(one));
            } else {
                lines.push(head(one));
                let rows = rows(one, screen, self.with_system);
                lines.extend(table_lines(&rows).0);
            }
        }
        lines
    }
}

fn of_all(each: &[Value]) -> Line {
    let mut line = Line::new();
    let nodes = u64::try_from(each.len()).unwrap_or(u64::MAX);
    line.push(Tone::Bold, &count(nodes, "node"));
    line
}

/// Makes room for the states: the kinds go first, then the ends of the names.
fn fit(rows: &mut [Vec<(Tone, String)>], width: usize) {
    // A row of one cell goes over all columns.
    let widest = |rows: &[Vec<(Tone, String)>], column: usize| {
        let in_columns = rows.iter().filter(|row| row.len() > 1);
        let cells = in_columns.filter_map(|row| row.get(column));
        let widths = cells.map(|(_, text)| text.chars().count());
        widths.max().filter(|width| *width > 0).map_or(0, |w| w + 2)
    };
    let state = widest(rows, STATE).saturating_sub(2);
    if widest(rows, NAME) + widest(rows, KIND) + state <= width {
        return;
    }
    for (_, kind) in rows.iter_mut().filter_map(|row| row.get_mut(KIND)) {
        kind.clear();
    }
    let left = width.saturating_sub(state + 2);
    let in_columns = rows.iter_mut().filter(|row| row.len() > 1);
    for (_, name) in in_columns.filter_map(|row| row.get_mut(NAME)) {
        *name = cut(name, left);
    }
}

pub(super) fn head(document: &Value) -> Line {
    let tree = document.get("tree").unwrap_or(&Value::Null);
    let mode = text(document, "mode");
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "node"));
    line.push(Tone::Plain, " · ");
    let tone = match mode {
        "normal" => Tone::Good,
        "safe" => Tone::Bad,
        _ => Tone::Warn,
    };
    line.push(tone, if mode == "safe" { "SAFE MODE" } else { mode });
    line.push(Tone::Dim, &format!(" · {}", count(workers(tree), "worker")));
    line
}

fn workers(node: &Value) -> u64 {
    let is_worker = |node: &Value| text(node, "type") == "worker";
    let children = list(node, "children");
    let shown = children.iter().filter(|child| is_worker(child)).count();
    let shown = u64::try_from(shown).unwrap_or(u64::MAX);
    let all = node.get("counts").map(|counts| number(counts, "workers"));
    let hidden = all.map_or(0, |all| all.saturating_sub(shown));
    let below = children.iter().map(workers).sum::<u64>();
    u64::from(is_worker(node)) + below + hidden
}

/// How many of the children of a template are not in the document.
fn hidden(node: &Value) -> u64 {
    let shown = u64::try_from(list(node, "children").len()).unwrap_or(u64::MAX);
    let all = node.get("counts").map(|counts| number(counts, "specs"));
    all.map_or(0, |all| all.saturating_sub(shown))
}

/// Where in the drawing a node hangs.
struct Branch {
    /// What stands before the node's own name.
    lead: String,
    /// What stands before its children's lines.
    below: String,
    /// Its name, if not its id.
    name: Option<String>,
}

impl Branch {
    fn top(path: &str) -> Self {
        Self {
            lead: String::new(),
            below: String::new(),
            name: Some(path.to_owned()),
        }
    }
}

fn add_rows(node: &Value, branch: &mut Branch, rows: &mut Vec<Vec<(Tone, String)>>) {
    rows.push(row(node, branch));
    let (children, hidden) = (list(node, "children"), hidden(node));
    for (index, child) in children.iter().enumerate() {
        let (fork, pass) = if index + 1 == children.len() && hidden == 0 {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let mut inner = Branch {
            lead: format!("{}{fork}", branch.below),
            below: format!("{}{pass}", branch.below),
            name: None,
        };
        add_rows(child, &mut inner, rows);
    }
    if hidden > 0 {
        let (more, path) = (thousands(hidden), text(node, "path"));
        let line = format!("{}└─ … {more} more: uk tree {path} --all", branch.below);
        rows.push(vec![(Tone::Dim, line)]);
    }
}

fn row(node: &Value, branch: &Branch) -> Vec<(Tone, String)> {
    let is_worker = text(node, "type") == "worker";
    let name = branch.name.as_deref().unwrap_or_else(|| text(node, "id"));
    let state = text(node, "state");
    let kind = if is_worker {
        text(node, "kind")
    } else {
        text(node, "strategy")
    };
    vec![
        (
            if is_worker { Tone::Plain } else { Tone::Bold },
            format!("{}{name}", branch.lead),
        ),
        (Tone::Dim, kind.to_owned()),
        (Tone::of_state(state), state.to_owned()),
        restarts(node),
        mailbox(node),
        last_exit(node),
    ]
}

fn restarts(node: &Value) -> (Tone, String) {
    let restarts = node.get("restarts").unwrap_or(&Value::Null);
    let (used, intensity) = (number(restarts, "used"), number(restarts, "intensity"));
    let is_worker = text(node, "type") == "worker";
    if is_worker && used == 0 {
        return (Tone::Dim, String::new());
    }
    let tone = match used {
        0 => Tone::Dim,
        used if used * 10 >= intensity * 8 => Tone::Bad,
        _ => Tone::Warn,
    };
    let period = duration_text(number(restarts, "period_ms"));
    let said = if is_worker {
        format!("{used} in {period}")
    } else {
        format!("{used}/{intensity} in {period}")
    };
    (tone, said)
}

fn mailbox(node: &Value) -> (Tone, String) {
    let mailbox = node.get("mailbox").unwrap_or(&Value::Null);
    let (depth, capacity) = (number(mailbox, "depth"), number(mailbox, "capacity"));
    let abandoned = number(node, "abandoned");
    let mut said = Vec::new();
    if depth > 0 {
        said.push(format!("{depth} wait"));
    }
    let letters = number(mailbox, "dead_letters");
    if letters > 0 {
        said.push(count(letters, "dead letter"));
    }
    let ladder = node.get("ladder").unwrap_or(&Value::Null);
    if ladder.get("swap").is_some() {
        let (taken, steps) = (number(ladder, "taken"), number(ladder, "steps"));
        said.push(format!("settings of step {taken}/{steps}"));
    }
    if node.get("rolled_back").is_some() {
        said.push("settings rolled back".to_owned());
    }
    let stall = stall::said(node);
    let is_stuck = abandoned > 0 || stall.is_some();
    said.extend(stall);
    if abandoned > 0 {
        said.push(format!("{abandoned} abandoned"));
    }
    let tone = if is_stuck || depth * 10 >= capacity * 8 {
        Tone::Bad
    } else {
        Tone::Warn
    };
    (tone, said.join(", "))
}

fn last_exit(node: &Value) -> (Tone, String) {
    match node.get("last_exit").and_then(|exit| exit.get("reason")) {
        Some(why) => (Tone::Dim, reason(why)),
        None => (Tone::Dim, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        let restarts = json!({"used": 1, "intensity": 5, "period_ms": 10_000, "total": 1});
        json!({
            "version": 1, "node": "robot", "mode": "normal",
            "tree": {"path": "/", "id": "root", "type": "supervisor", "strategy": "one_for_one",
                "state": "running", "restarts": {"used": 0, "intensity": 5, "period_ms": 10_000},
                "children": [
                    {"path": "/sensors", "id": "sensors", "type": "supervisor", "state": "running",
                     "strategy": "one_for_one", "restarts": restarts, "children": [
                        {"path": "/sensors/host", "id": "host", "type": "worker", "kind": "sensor.host",
                         "state": "running", "restarts": restarts, "mailbox": {"depth": 3, "capacity": 9},
                         "last_exit": {"reason": {"kind": "killed", "text": "unplug test, said at great length"}}}]},
                    {"path": "/log", "id": "log", "type": "worker", "kind": "log", "state": "running",
                     "restarts": {"used": 0, "intensity": 5, "period_ms": 10_000}}]},
        })
    }

    #[test]
    fn a_tree_is_drawn_with_its_branches_and_fits_eighty_columns() {
        let drawn = render(&document(), &Screen::plain(80), false);

        let expected = "\
robot · normal · 2 workers
/           one_for_one  running  0/5 in 10s
├─ sensors  one_for_one  running  1/5 in 10s
│  └─ host  sensor.host  running  1 in 10s    3 wait  killed: unplug test, said…
└─ log      log          running
";
        assert_eq!(drawn, expected);
        assert!(drawn.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn the_rest_of_a_template_is_counted_and_named_without_widening_the_columns() {
        let mut document = document();
        let sensors = &mut document["tree"]["children"][0];
        sensors["counts"] =
            json!({"specs": 100_000, "active": 99_990, "supervisors": 0, "workers": 100_000});

        let drawn = render(&document, &Screen::plain(80), false);

        let expected = "\
robot · normal · 100001 workers
/           one_for_one  running  0/5 in 10s
├─ sensors  one_for_one  running  1/5 in 10s
│  ├─ host  sensor.host  running  1 in 10s    3 wait  killed: unplug test, said…
│  └─ … 99,999 more: uk tree /sensors --all
└─ log      log          running
";
        assert_eq!(drawn, expected);
        for width in 0..60 {
            let drawn = render(&document, &Screen::plain(width), false);
            let widest = drawn.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.max(1)), "{width}\n{drawn}");
        }
    }

    #[test]
    fn a_narrow_tree_drops_the_kinds_and_keeps_the_states() {
        for width in [10, 24, 30] {
            let drawn = render(&document(), &Screen::plain(width), false);
            let states = drawn.matches("running").count();
            assert_eq!(states, 4, "{width}\n{drawn}");
            assert!(!drawn.contains("sensor.host"), "{width}\n{drawn}");
        }
    }

    #[test]
    fn any_width_and_any_document_can_be_drawn() {
        for width in 0..100 {
            let drawn = render(&document(), &Screen::plain(width), true);
            assert!(
                drawn
                    .lines()
                    .all(|line| line.chars().count() <= width.max(1))
            );
        }
        assert!(!render(&Value::Null, &Screen::plain(80), true).is_empty());
    }
}
