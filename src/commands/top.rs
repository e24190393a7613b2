//! `uk top`: the busiest actors, drawn again and again.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use tokio::time::Instant;
use unity_supervisors::Kernel;

use super::Command;
use super::tree::{self, TIMED};
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::{Caller, block_on};
use crate::error::CommandError;
use crate::live::{self, View};
use crate::output;
use crate::screen::{Line, NARROW, Screen, Tone, cut, list, number, table_lines, text, thousands};
use crate::watch::watch;

/// For how long after each look the kernel goes on to time what its threads do.
const TIMED_FOR: Duration = Duration::from_secs(3);

pub(super) const COMMAND: Command = Command {
    about: "Show the busiest actors, twice a second, until q or Ctrl-C",
    help: "Of each: how many messages wait, how many it takes in hand a second, how much of the time a thread works for it \
           (100 % is one thread), how often it was restarted. The keys d, r, b and s sort by them, arrows scroll. Workers are \
           timed while somebody looks, the kernel's own services are not. Where nothing can be drawn, and with --json, it \
           prints plain frames.\n\n\
           Example: uk top /sensors --sort depth",
    args: &[
        Arg::optional("path", ArgKind::Path, "only this part"),
        Arg::option(
            "sort",
            ArgKind::Word(&["depth", "rate", "busy", "restarts"]),
            "by what to begin with; rate",
        )
        .stays(),
        Arg::option("all", ArgKind::Flag, "the kernel's own services too"),
        TIMED,
    ],
    attend: Some(attend),
    ..Command::reading(&["top"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

/// The document of `uk tree`, with all children of templates.
fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let mut whole = args.clone();
    whole.insert("all", true.into());
    let mut document = tree::read(kernel, &whole)?;
    if let Some(document) = document.as_object_mut().filter(|_| !args.flag("all")) {
        document.remove("system");
    }
    Ok(document)
}

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let mut args = args.clone();
    let timed = u64::try_from(TIMED_FOR.as_millis()).unwrap_or(u64::MAX);
    args.insert(TIMED.name, timed.into());
    let sort = match args.text("sort") {
        Some("depth") => Sort::Depth,
        Some("busy") => Sort::Busy,
        Some("restarts") => Sort::Restarts,
        _ => Sort::Rate,
    };
    let mut top = Top::new(sort);
    let (colour, interrupts) = (caller.screen.colour, caller.interrupts.as_deref());
    if !caller.json && output::takes_drawing(&io::stdout()) {
        let what = (&client, &COMMAND, &args);
        block_on(live::show(what, colour, interrupts, &mut top))??;
        return Ok(0);
    }
    let top = std::sync::Mutex::new(top);
    let frames = watch(true, interrupts, |screen| {
        let (client, args, top) = (&client, &args, &top);
        async move {
            let document = client.call(&COMMAND, args).await?;
            if caller.json {
                return Ok(format!("{document}\n"));
            }
            let mut top = top
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            top.take(document);
            let (head, body) = top.lines(&screen);
            let all = head.iter().chain(&body);
            Ok(all.map(|line| line.render(&screen)).collect::<String>() + "\n")
        }
    });
    block_on(frames)??;
    Ok(0)
}

/// By what they are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    // In the order of the columns.
    Depth,
    Rate,
    Busy,
    Restarts,
}

/// What was counted of an actor at a look.
#[derive(Debug, Clone, Copy)]
struct Counted {
    incarnation: u64,
    handled: u64,
    busy_us: u64,
    restarts: u64,
}

/// An actor as it is shown.
#[derive(Debug, Clone)]
struct Shown {
    path: String,
    kind: String,
    state: String,
    depth: u64,
    capacity: u64,
    /// A second; unknown at the first look.
    rate: Option<u64>,
    /// Per mille of a thread.
    busy: Option<u64>,
    restarts: u64,
}

struct Top {
    sort: Sort,
    document: Value,
    counted: BTreeMap<String, Counted>,
    looked: Option<Instant>,
    shown: Vec<Shown>,
}

impl Top {
    fn new(sort: Sort) -> Self {
        Self {
            sort,
            document: Value::Null,
            counted: BTreeMap::new(),
            looked: None,
            shown: Vec::new(),
        }
    }

    /// Takes a document that was made so long after the one before it.
    fn take_after(&mut self, document: Value, since: Option<Duration>) {
        let mut counted = BTreeMap::new();
        let mut shown = Vec::new();
        for top in ["tree", "system"] {
            let node = document.get(top).unwrap_or(&Value::Null);
            self.add(node, since, &mut counted, &mut shown);
        }
        self.counted = counted;
        self.shown = shown;
        self.document = document;
        self.order();
    }

    fn add(
        &self,
        node: &Value,
        since: Option<Duration>,
        counted: &mut BTreeMap<String, Counted>,
        shown: &mut Vec<Shown>,
    ) {
        for child in list(node, "children") {
            self.add(child, since, counted, shown);
        }
        let Some(mailbox) = node.get("mailbox").filter(|mailbox| mailbox.is_object()) else {
            return;
        };
        let path = text(node, "path").to_owned();
        let now = Counted {
            incarnation: number(node, "incarnation"),
            handled: number(mailbox, "handled"),
            busy_us: number(mailbox, "busy_us"),
            restarts: node.get("restarts").map_or(0, |its| number(its, "total")),
        };
        let known = self.counted.get(&path).zip(since);
        let rate =
            known.map(|(before, since)| per(now.handled.saturating_sub(before.handled), since));
        let busy = known.map(|(before, since)| {
            // A life begins with none.
            let is_same = before.incarnation == now.incarnation;
            let before = if is_same { before.busy_us } else { 0 };
            per(now.busy_us.saturating_sub(before), since) / 1_000
        });
        shown.push(Shown {
            kind: text(node, "kind").to_owned(),
            state: text(node, "state").to_owned(),
            depth: number(mailbox, "depth"),
            capacity: number(mailbox, "capacity"),
            rate,
            busy,
            restarts: now.restarts,
            path: path.clone(),
        });
        counted.insert(path, now);
    }

    fn order(&mut self) {
        let sort = self.sort;
        // Those that are equal stay as they stand in the tree.
        self.shown.sort_by_key(|its| {
            Reverse(match sort {
                Sort::Depth => its.depth,
                Sort::Rate => its.rate.unwrap_or(0),
                Sort::Busy => its.busy.unwrap_or(0),
                Sort::Restarts => its.restarts,
            })
        });
    }
}

/// So many in such a time, a second.
fn per(count: u64, time: Duration) -> u64 {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000) / ms
}

impl View for Top {
    fn take(&mut self, document: Value) {
        let now = Instant::now();
        let since = self.looked.replace(now).map(|before| now - before);
        self.take_after(document, since);
    }

    fn lines(&self, screen: &Screen) -> (Vec<Line>, Vec<Line>) {
        let head = [
            ("wait", Some(Sort::Depth)),
            ("per s", Some(Sort::Rate)),
            ("busy", Some(Sort::Busy)),
            ("restarts", Some(Sort::Restarts)),
            ("state", None),
            ("actor", None),
        ];
        let head = head.map(|(name, sort)| match sort {
            Some(sort) if sort == self.sort => (Tone::Bold, format!("{name} ▾")),
            _ => (Tone::Dim, name.to_owned()),
        });
        let rows = self.shown.iter().map(row);
        let mut rows: Vec<_> = [head.to_vec()].into_iter().chain(rows).collect();
        if screen.width < NARROW {
            narrow(&mut rows, self.sort, screen.width);
        }
        let (mut lines, _) = table_lines(&rows);
        let body = lines.split_off(1);
        lines.insert(0, tree::head(&self.document));
        (lines, body)
    }

    fn key(&mut self, key: char) {
        self.sort = match key.to_ascii_lowercase() {
            'd' => Sort::Depth,
            'r' => Sort::Rate,
            'b' => Sort::Busy,
            's' => Sort::Restarts,
            _ => self.sort,
        };
        self.order();
    }

    fn keys(&self) -> &'static str {
        "; sort: d wait, r rate, b busy, s restarts"
    }
}

/// Leaves of the columns the ids of the actors and what they are sorted by, and the state where there is room for it.
fn narrow(rows: &mut [Vec<(Tone, String)>], sort: Sort, width: usize) {
    let (sorted, state, actor) = (sort as usize, 4, 5);
    let with_state = width >= NARROW / 2;
    for row in rows {
        let cell = |column: usize| {
            let cell = row.get(column).cloned();
            cell.unwrap_or((Tone::Plain, String::new()))
        };
        let (tone, name) = cell(actor);
        let path = name.split(' ').next().unwrap_or_default();
        let id = path.rsplit('/').next().unwrap_or_default();
        let mut cells = vec![(tone, cut(id, width / 2)), cell(sorted)];
        cells.extend(with_state.then(|| cell(state)));
        *row = cells;
    }
}

fn row(its: &Shown) -> Vec<(Tone, String)> {
    let depth_tone = match its.depth {
        0 => Tone::Dim,
        depth if depth * 10 >= its.capacity * 8 => Tone::Bad,
        _ => Tone::Warn,
    };
    let dash = || "–".to_owned();
    let busy = |busy: u64| format!("{}.{} %", busy / 10, busy % 10);
    let actor = format!("{}  {}", its.path, its.kind);
    vec![
        (depth_tone, thousands(its.depth)),
        (Tone::Plain, its.rate.map_or_else(dash, thousands)),
        (Tone::Plain, its.busy.map_or_else(dash, busy)),
        (
            if its.restarts == 0 {
                Tone::Dim
            } else {
                Tone::Warn
            },
            thousands(its.restarts),
        ),
        (Tone::of_state(&its.state), its.state.clone()),
        (Tone::Plain, actor),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(handled: [u64; 2], busy_us: u64, life: u64) -> Value {
        let worker = |id: &str, handled: u64, depth: u64, restarts: u64| {
            json!({
                "path": format!("/{id}"), "type": "worker", "kind": "probe", "state": "running", "incarnation": life,
                "restarts": { "total": restarts }, "children": [],
                "mailbox": { "depth": depth, "capacity": 10, "handled": handled, "busy_us": busy_us },
            })
        };
        let [one, two] = handled;
        json!({
            "node": "rig", "mode": "normal",
            "tree": { "path": "/", "type": "supervisor", "mailbox": null, "children": [
                worker("one", one, 9, 0), worker("two", two, 0, 3)] },
        })
    }

    fn drawn(top: &Top, width: usize) -> String {
        let screen = Screen::plain(width);
        let (head, body) = top.lines(&screen);
        head.iter()
            .chain(&body)
            .map(|line| line.render(&screen))
            .collect()
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks_and_sort() {
        let mut top = Top::new(Sort::Rate);
        top.take_after(document([100, 0], 0, 1), None);
        assert!(drawn(&top, 80).contains("9     –"), "{}", drawn(&top, 80));

        top.take_after(
            document([150, 3_000], 250_000, 1),
            Some(Duration::from_millis(500)),
        );

        assert_eq!(
            drawn(&top, 80),
            "\
rig · normal · 2 workers
wait  per s ▾  busy    restarts  state    actor
0     6,000    50.0 %  3         running  /two  probe
9     100      50.0 %  0         running  /one  probe
"
        );
        for (key, first) in [
            ('d', "/one"),
            ('s', "/two"),
            ('D', "/one"),
            ('x', "/one"),
            ('r', "/two"),
        ] {
            top.key(key);
            assert_eq!(top.shown[0].path, first, "{key}");
        }
        // A new life has counted nothing yet.
        top.take_after(
            document([150, 3_000], 1_000, 2),
            Some(Duration::from_secs(1)),
        );
        assert_eq!((top.shown[0].rate, top.shown[0].busy), (Some(0), Some(1)));
    }

    #[test]
    fn any_width_can_be_drawn() {
        let mut top = Top::new(Sort::Busy);
        top.take_after(document([1, 2], 0, 1), None);
        for width in 0..90 {
            let drawn = drawn(&top, width);
            assert!(
                drawn
                    .lines()
                    .all(|line| line.chars().count() <= width.max(1))
            );
        }
        let expected = "\
rig · normal · 2 wo…
actor  busy ▾
one    –
two    –
";
        assert_eq!(drawn(&top, 20), expected);
    }
}
