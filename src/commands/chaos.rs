//! `uk chaos run`: kills workers on purpose and checks that nothing that waited is lost.
//!
//! Who is killed is decided by [`victims`] from the tree as it is: a running worker outside of `/system` that
//! its supervisor starts again soon, while at most [`SHARE`] of that supervisor's restarts are used with it. One
//! kill at a time below a supervisor, so that what was decided is still true when it is done.
//!
//! Meanwhile every probe is asked for its count, over and over. The count is a serial number of all messages that
//! its slot ever took in hand, so the answers show what was lost (no answer, though no crash took it along), what
//! was handled twice (more taken in hand than were sent) and what was overtaken (a later one has a lower number).
//! Whoever else sends to a probe meanwhile makes it look as if messages were doubled.

use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use unity_supervisors::kind::Undelivered;
use unity_supervisors::view::NodeView;
use unity_supervisors::{ActorPath, Kernel, KernelError, Mode, NoAnswer, SlotState};

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::screen::{Line, Screen, Tone, count, number, text, wrapped_table};

/// The share of a supervisor's restarts that chaos may use, in percent.
const SHARE: u32 = 80;
/// How many kills a second unless told otherwise.
const RATE: f64 = 5.0;
/// How long what was killed may take to run again, and a message to be answered.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);
/// Time between two looks at those that were killed.
const LOOK: Duration = Duration::from_millis(1);
/// Time between two bursts of messages.
const BURST: Duration = Duration::from_millis(20);
/// Messages in a burst to one probe.
const BURST_LEN: u64 = 4;
/// Messages to one probe that may wait for their answer.
const OPEN_MAX: usize = 256;
/// Probes that are sent to.
const PROBES_MAX: usize = 64;

/// Why nothing can be killed.
const NO_KILLS: &str = "no running worker had a budget that allows a kill (80 % of it, rounded down, may be used) \
                        and a backoff of less than 15s, or the time was too short for the rate";

pub(super) const COMMAND: Command = Command {
    about: "Kill random workers within the budgets and check what is lost",
    help: "Kills running workers of the tree, never the kernel's services, and never more than 80 % of what a \
           supervisor's budget allows, so that nothing gives up. Probes are sent numbered messages meanwhile. \
           Exits 9 if a message was lost, doubled or overtaken, or if something did not come back, \
           and 1 if there was nothing that could be killed.\n\n\
           Example: uk chaos run --for 60s --rate 5/s --seed 7 --yes",
    args: &[
        Arg::needed("for", ArgKind::Duration, "how long"),
        Arg::option("rate", ArgKind::Rate, "how many kills at most; 5/s"),
        Arg::option(
            "seed",
            ArgKind::Integer,
            "what chance begins with; drawn if not given",
        ),
        Arg::option(
            "yes",
            ArgKind::Flag,
            "yes, on this kernel; needed unless its file says `test: true`",
        ),
    ],
    show,
    exit,
    ..Command::changing(&["chaos", "run"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    if !kernel.is_test() && !args.flag("yes") {
        return Err(
            CommandError::usage(format!("`{}` is not a test kernel", kernel.name()))
                .hint("chaos kills what runs here: add --yes if that is wanted"),
        );
    }
    if kernel.mode() != Mode::Normal {
        let mode = kernel.mode().as_str();
        return Err(
            CommandError::new(Code::Failed, format!("the kernel is in {mode} mode"))
                .hint("chaos needs a tree that is well: `uk health`"),
        );
    }
    let seed = args.integer("seed").unwrap_or_else(|| fastrand::u64(..));
    let until = Instant::now() + args.duration("for").unwrap_or_default();
    let probes = probes(&kernel);
    let traffic: FuturesUnordered<_> = probes
        .into_iter()
        .map(|path| send(&kernel, path, until))
        .collect();
    let rate = args.rate("rate").unwrap_or(RATE);
    let (kills, traffic) = futures_util::join!(
        kill(&kernel, until, rate, seed),
        traffic.collect::<Vec<_>>()
    );
    let traffic = traffic.iter().fold(Traffic::default(), Traffic::with);
    Ok(report(seed, kills, &traffic))
}

// --- killing ---

#[derive(Debug, Default)]
struct Kills {
    count: u64,
    recovered_ms: Vec<f64>,
    not_recovered: Vec<ActorPath>,
}

struct Pending {
    path: ActorPath,
    supervisor: ActorPath,
    incarnation: u64,
    since: Instant,
}

async fn kill(kernel: &Kernel, until: Instant, rate: f64, seed: u64) -> Kills {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut kills = Kills::default();
    let mut pending: Vec<Pending> = Vec::new();
    let pause = Duration::from_secs_f64(1.0 / rate).max(LOOK);
    let mut next = Instant::now() + pause;
    while Instant::now() < until || !pending.is_empty() {
        settle(kernel, &mut pending, &mut kills);
        let now = Instant::now();
        if now >= next && now < until {
            next = (next + pause).max(now);
            if let Some(victim) = draw(kernel, &pending, &mut rng) {
                let killed = kernel.kill(&victim.path, Some("chaos".to_owned())).await;
                if killed.is_ok() {
                    kills.count += 1;
                    pending.push(victim);
                }
            }
        }
        sleep(LOOK).await;
    }
    kills
}

/// Takes those off the list that run again, or are given up.
fn settle(kernel: &Kernel, pending: &mut Vec<Pending>, kills: &mut Kills) {
    pending.retain(|killed| {
        let slot = kernel.registry().get(&killed.path);
        let runs = slot.is_some_and(|slot| {
            slot.state() == SlotState::Running && slot.incarnation() > killed.incarnation
        });
        let took = killed.since.elapsed();
        if runs {
            kills.recovered_ms.push(took.as_secs_f64() * 1e3);
        } else if took >= RECOVERS_WITHIN {
            kills.not_recovered.push(killed.path.clone());
        } else {
            return true;
        }
        false
    });
}

fn draw(kernel: &Kernel, pending: &[Pending], rng: &mut fastrand::Rng) -> Option<Pending> {
    let root = kernel.whole_tree(None)?.tree?;
    let mut found = Vec::new();
    victims(&root, pending, &mut found);
    found.retain(|node| comes_back_soon(kernel, &node.path));
    let node = *rng.choice(&found)?;
    Some(Pending {
        path: node.path.clone(),
        supervisor: node.path.parent()?,
        incarnation: node.incarnation,
        since: Instant::now(),
    })
}

/// Whether the longest pause before its next start is short enough to be waited for.
fn comes_back_soon(kernel: &Kernel, path: &ActorPath) -> bool {
    let slot = kernel.registry().get(path);
    slot.is_some_and(|slot| {
        let backoff = slot.spec().backoff;
        backoff
            .is_none_or(|backoff| backoff.max.mul_f64(1.0 + backoff.jitter) < RECOVERS_WITHIN / 2)
    })
}

/// Who may be killed now.
fn victims<'a>(supervisor: &'a NodeView, pending: &[Pending], found: &mut Vec<&'a NodeView>) {
    let budget = &supervisor.restarts;
    let is_busy = pending
        .iter()
        .any(|killed| killed.supervisor == supervisor.path)
        || supervisor.state != SlotState::Running
        || supervisor
            .children
            .iter()
            .any(|child| child.state == SlotState::Restarting);
    let fits = u64::from(budget.used + 1) * 100 <= u64::from(budget.intensity) * u64::from(SHARE);
    for child in &supervisor.children {
        if child.node_type == "supervisor" {
            victims(child, pending, found);
        } else if fits
            && !is_busy
            && child.state == SlotState::Running
            && child.restart != "temporary"
        {
            found.push(child);
        }
    }
}

// --- sending ---

/// What became of the messages to one probe, or to all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Traffic {
    sent: u64,
    in_hand: u64,
    lost: u64,
    doubled: u64,
    out_of_order: u64,
}

impl Traffic {
    fn with(self, other: &Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            in_hand: self.in_hand + other.in_hand,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            out_of_order: self.out_of_order + other.out_of_order,
        }
    }
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Answered with this serial number.
    Answered(u64),
    /// A crash took it along: it was in hand, and is a dead letter.
    InHand,
    /// It was never accepted.
    Refused,
    /// It was accepted, and nothing was heard of it.
    Lost,
}

fn probes(kernel: &Kernel) -> Vec<ActorPath> {
    let paths = kernel.registry().paths().into_iter().filter(|path| {
        let slot = kernel.registry().get(path);
        slot.is_some_and(|slot| {
            slot.state() == SlotState::Running
                && slot
                    .spec()
                    .as_worker()
                    .is_some_and(|worker| worker.kind == "probe")
        })
    });
    paths.take(PROBES_MAX).collect()
}

type Asked<'a> = Pin<Box<dyn Future<Output = (u64, Fate)> + Send + 'a>>;

/// Sends numbered messages to one probe until the time is over, and waits for all answers.
async fn send(kernel: &Kernel, path: ActorPath, until: Instant) -> Traffic {
    let mut fates: Vec<(u64, Fate)> = Vec::new();
    let mut open: FuturesUnordered<Asked<'_>> = FuturesUnordered::new();
    let mut beat = interval(BURST);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    while Instant::now() < until || !open.is_empty() {
        tokio::select! {
            biased;
            Some(fate) = open.next(), if !open.is_empty() => fates.push(fate),
            _ = beat.tick() => {
                if Instant::now() < until && open.len() < OPEN_MAX {
                    for number in sent..sent + BURST_LEN {
                        let path = &path;
                        open.push(Box::pin(async move { (number, ask(kernel, path).await) }));
                    }
                    sent += BURST_LEN;
                }
            }
        }
    }
    judge(fates)
}

async fn ask(kernel: &Kernel, path: &ActorPath) -> Fate {
    match kernel
        .ask(path, json!({ "count": null }), RECOVERS_WITHIN)
        .await
    {
        Ok(answer) => answer
            .get("total")
            .and_then(Value::as_u64)
            .map_or(Fate::Lost, Fate::Answered),
        Err(KernelError::NoAnswer {
            error: NoAnswer::Crashed(_),
            ..
        }) => Fate::InHand,
        Err(
            KernelError::NotFound(_)
            | KernelError::Undelivered {
                error: Undelivered::NotRunning | Undelivered::Gone | Undelivered::Full,
                ..
            },
        ) => Fate::Refused,
        Err(_) => Fate::Lost,
    }
}

/// Reads from the fates, by number, what went wrong.
fn judge(mut fates: Vec<(u64, Fate)>) -> Traffic {
    fates.sort_unstable_by_key(|(number, _)| *number);
    let mut traffic = Traffic::default();
    let (mut first, mut highest) = (None, 0);
    let mut taken = 0;
    for (_, fate) in &fates {
        match *fate {
            Fate::Refused => continue,
            Fate::Lost => traffic.lost += 1,
            Fate::InHand => {
                traffic.in_hand += 1;
                // Before the first answer nothing is known of the serial numbers.
                taken += u64::from(first.is_some());
            }
            Fate::Answered(serial) => {
                taken += 1;
                first.get_or_insert(serial);
                if serial < highest {
                    traffic.out_of_order += 1;
                }
                highest = highest.max(serial);
            }
        }
        traffic.sent += 1;
    }
    let span = first.map_or(0, |first| highest.saturating_sub(first) + 1);
    traffic.doubled = span.saturating_sub(taken);
    traffic
}

// --- saying ---

fn report(seed: u64, mut kills: Kills, traffic: &Traffic) -> Value {
    kills.recovered_ms.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| {
        let index = (kills.recovered_ms.len() * percent / 100)
            .min(kills.recovered_ms.len().saturating_sub(1));
        kills
            .recovered_ms
            .get(index)
            .map(|ms| (ms * 10.0).round() / 10.0)
    };
    json!({
        "version": 1,
        "seed": seed,
        "why": (kills.count == 0).then_some(NO_KILLS),
        "kills": kills.count,
        "recovered": kills.recovered_ms.len(),
        "not_recovered": kills.not_recovered,
        "recovery_ms": { "p50": at(50), "p99": at(99), "max": at(100) },
        "sent": traffic.sent,
        "in_hand": traffic.in_hand,
        "lost": traffic.lost,
        "doubled": traffic.doubled,
        "out_of_order": traffic.out_of_order,
    })
}

fn exit(document: &Value) -> u8 {
    let is_well = ["lost", "doubled", "out_of_order"]
        .iter()
        .all(|key| number(document, key) == 0);
    let all_back = number(document, "kills") == number(document, "recovered");
    if is_well && number(document, "kills") == 0 {
        return Code::Failed.exit();
    }
    if is_well && all_back {
        0
    } else {
        EXIT_DIFFERENCE
    }
}

fn show(document: &Value, screen: &Screen) -> String {
    let of = |key: &str| number(document, key);
    let bad = |is_bad: bool| if is_bad { Tone::Bad } else { Tone::Good };
    let recovery = document.get("recovery_ms").unwrap_or(&Value::Null);
    let ms = |key: &str| recovery.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let times = format!(
        "p50 {} ms, p99 {} ms, max {} ms",
        ms("p50"),
        ms("p99"),
        ms("max")
    );
    let none = of("kills") == 0;
    let rows = [
        (
            "kills",
            Tone::Bold,
            of("kills"),
            if none {
                String::new()
            } else {
                format!("seed {}", of("seed"))
            },
        ),
        (
            "recovered",
            bad(of("recovered") != of("kills")),
            of("recovered"),
            if none { String::new() } else { times },
        ),
        (
            "lost",
            bad(of("lost") > 0),
            of("lost"),
            format!(
                "of {}; {} more in hand at a kill, kept as dead letters",
                count(of("sent"), "message"),
                of("in_hand")
            ),
        ),
        (
            "doubled",
            bad(of("doubled") > 0),
            of("doubled"),
            String::new(),
        ),
        (
            "out of order",
            bad(of("out_of_order") > 0),
            of("out_of_order"),
            String::new(),
        ),
    ];
    let rows = rows.map(|(name, tone, count, said)| {
        vec![
            (Tone::Plain, name.to_owned()),
            (tone, count.to_string()),
            (Tone::Dim, said),
        ]
    });
    let mut out = wrapped_table(&rows, screen);
    if none {
        let mut line = Line::new();
        line.push(Tone::Bad, "nothing was killed: ");
        line.push(Tone::Plain, text(document, "why"));
        out.push_str(&line.wrap(screen, 2));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_judged() {
        use Fate::{Answered, InHand, Lost, Refused};
        for (name, fates, lost, doubled, out_of_order) in [
            ("nothing", vec![], 0, 0, 0),
            (
                "all is well",
                vec![Answered(5), Answered(6), Answered(7)],
                0,
                0,
                0,
            ),
            (
                "a crash took one",
                vec![Answered(5), InHand, Answered(7)],
                0,
                0,
                0,
            ),
            ("a crash took the first", vec![InHand, Answered(7)], 0, 0, 0),
            (
                "one was refused",
                vec![Answered(5), Refused, Answered(6)],
                0,
                0,
                0,
            ),
            (
                "one was lost",
                vec![Answered(5), Lost, Answered(6)],
                1,
                0,
                0,
            ),
            (
                "one was handled twice",
                vec![Answered(5), Answered(7)],
                0,
                1,
                0,
            ),
            (
                "one was overtaken",
                vec![Answered(5), Answered(7), Answered(6)],
                0,
                0,
                1,
            ),
        ] {
            let numbered = fates
                .into_iter()
                .zip(0..)
                .map(|(fate, number)| (number, fate))
                .collect();

            let traffic = judge(numbered);

            assert_eq!(
                (traffic.lost, traffic.doubled, traffic.out_of_order),
                (lost, doubled, out_of_order),
                "{name}"
            );
        }
    }
}
