//! The timeline of a report as a picture: [`svg`].
//!
//! One file without scripts, fonts or anything fetched; it follows the reader's choice of light or dark. Its size is
//! bounded: what lies closer together than a mark is wide is one mark.

use std::collections::BTreeMap;

use self::parts::{chars, circle, column, cross, cut, escape, lines, moment, round, text, tick};
use super::numbers::{self, as_float};
use super::words;
use super::{Done, Outcome, Report};

mod parts;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 132.0;
const RIGHT: f64 = 936.0;
const LANE: f64 = 26.0;
/// How high the line of those that are down may rise.
const DOWN: f64 = 56.0;
/// How wide a mark is.
const STEP: f64 = 6.0;
const TITLE_CHARS: usize = 92;
const TITLE_LINES: usize = 3;
const LABEL_CHARS: usize = 16;
const PHASES_MAX: usize = 100;

const STYLE: &str = "\
svg{color-scheme:light dark;--bg:#fff;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--band:#f3f5f8;--good:#1a7f5a;--bad:#cf222e;--down:#9a6700}\
@media(prefers-color-scheme:dark){svg{--bg:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--band:#171d26;--good:#3fb68b;--bad:#ff6a69;--down:#d9a51f}}\
text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--ink)}\
.title{font-size:17px;font-weight:600}.soft{fill:var(--soft)}.small{font-size:11px}.end{text-anchor:end}.mid{text-anchor:middle}\
.bg{fill:var(--bg)}.band{fill:var(--band)}.grid{stroke:var(--line);stroke-width:1}\
.well{stroke:var(--good);stroke-width:3;stroke-opacity:.35;stroke-linecap:round}.ill{stroke:var(--bad);stroke-width:3;stroke-opacity:.45;stroke-linecap:round}\
.good{fill:var(--good)}.bad{stroke:var(--bad);stroke-width:2.4;stroke-linecap:round;fill:none}.not{stroke:var(--soft);stroke-width:1.5;fill:var(--bg)}\
.down{fill:var(--down);fill-opacity:.55}.mark-good{fill:var(--good)}.mark-bad{fill:var(--bad)}.mark-not{fill:var(--soft)}";

/// The picture.
#[must_use]
pub fn svg(report: &Report) -> String {
    Picture::of(report).draw()
}

/// Where everything is.
struct Picture<'r> {
    report: &'r Report,
    title: Vec<String>,
    /// The faults in the order of their first act.
    lanes: Vec<(&'static str, Vec<&'r Done>)>,
    /// How long the picture is, in milliseconds.
    span: f64,
}

impl<'r> Picture<'r> {
    fn of(report: &'r Report) -> Self {
        let mut lanes: Vec<(&'static str, Vec<&Done>)> = Vec::new();
        for done in &report.acts {
            let name = done.act.fault.name();
            match lanes.iter_mut().find(|(of, _)| *of == name) {
                Some((_, all)) => all.push(done),
                None => lanes.push((name, vec![done])),
            }
        }
        let acts = report.acts.iter().map(at);
        let ends = report
            .phases
            .iter()
            .map(|phase| as_float(phase.at_ms) + as_float(phase.for_ms));
        let downs = report.down.iter().map(|down| as_float(down.at_ms));
        let last = acts
            .chain(ends)
            .chain(downs)
            .fold(as_float(report.took_ms), f64::max);
        Self {
            report,
            title: lines(&words::headline(report), TITLE_CHARS, TITLE_LINES),
            lanes,
            span: last.max(1.0),
        }
    }

    fn x(&self, ms: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (ms / self.span).clamp(0.0, 1.0)
    }

    /// The lower end of the title.
    fn head(&self) -> f64 {
        34.0 + 22.0 * as_float(self.title.len() as u64)
    }

    /// Where the first lane begins.
    fn top(&self) -> f64 {
        self.head() + 40.0
    }

    /// The lower end of the lanes.
    fn below(&self) -> f64 {
        self.top() + LANE * as_float(self.lanes.len().max(1) as u64)
    }

    /// The line on which nobody is down.
    fn floor(&self) -> f64 {
        self.below() + 22.0 + DOWN
    }

    fn draw(&self) -> String {
        let height = self.floor() + 66.0;
        let label = escape(&words::headline(self.report));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">\n<title>{label}</title>\n<style>{STYLE}</style>\n<rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n"
        );
        self.titles(&mut out);
        self.phases(&mut out);
        self.axis(&mut out);
        for (number, (name, all)) in self.lanes.iter().enumerate() {
            let y = self.top() + LANE * (as_float(number as u64) + 0.5);
            self.lane(&mut out, y, name, all);
        }
        self.down(&mut out);
        self.legend(&mut out, height - 18.0);
        out.push_str("</svg>\n");
        out
    }

    fn titles(&self, out: &mut String) {
        let class = match self.report.outcome {
            Outcome::Passed => "mark-good",
            Outcome::Failed | Outcome::Broken => "mark-bad",
            Outcome::Stopped | Outcome::Idle => "mark-not",
        };
        out.push_str(&format!(
            "<rect class=\"{class}\" x=\"10\" y=\"20\" width=\"4\" height=\"{}\" rx=\"2\"/>\n",
            round(self.head() - 12.0)
        ));
        for (number, line) in self.title.iter().enumerate() {
            let y = 36.0 + 22.0 * as_float(number as u64);
            text(out, "title", 24.0, y, line);
        }
        let Report {
            plan, kernel, seed, ..
        } = self.report;
        let (plan, kernel) = (cut(plan, 40), cut(kernel, 40));
        let about = format!(
            "plan {plan} on {kernel}, seed {seed}, {}",
            words::began(self.report)
        );
        text(out, "soft", 24.0, self.head() + 4.0, &about);
    }

    /// Every other phase lies on a band, and each has its name above, where there is room.
    fn phases(&self, out: &mut String) {
        let (top, bottom) = (self.top(), self.floor());
        for (number, phase) in self.report.phases.iter().take(PHASES_MAX).enumerate() {
            let (from, to) = (
                as_float(phase.at_ms),
                as_float(phase.at_ms) + as_float(phase.for_ms),
            );
            let (from, to) = (self.x(from), self.x(to));
            let (width, height) = (round(to - from), round(bottom - top + 22.0));
            if number % 2 == 0 {
                out.push_str(&format!(
                    "<rect class=\"band\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\"/>\n",
                    round(from),
                    round(top - 22.0),
                ));
            }
            // A letter is about six wide; a name of which nothing is left tells nothing.
            let room = chars((to - from - 6.0) / 6.1);
            if room >= phase.name.chars().count().min(6) {
                text(
                    out,
                    "soft small mid",
                    f64::midpoint(from, to),
                    top - 8.0,
                    &cut(&phase.name, room),
                );
            }
        }
    }

    fn axis(&self, out: &mut String) {
        if self.lanes.is_empty() {
            let (middle, y) = (f64::midpoint(LEFT, RIGHT), self.top() + LANE / 2.0 + 4.0);
            text(out, "soft mid", middle, y, "nothing was struck");
        }
        if self.span <= 1.0 {
            return;
        }
        let step = tick(self.span);
        let (top, bottom) = (round(self.top()), round(self.floor()));
        let mut at = 0.0;
        while at <= self.span * 1.000_001 {
            let x = round(self.x(at));
            out.push_str(&format!(
                "<path class=\"grid\" d=\"M{x} {top}V{bottom}\"/>\n"
            ));
            text(
                out,
                "soft small mid",
                x,
                self.floor() + 16.0,
                &moment(at, step),
            );
            at += step;
        }
    }

    fn lane(&self, out: &mut String, y: f64, name: &str, all: &[&Done]) {
        let y = round(y);
        text(out, "end", LEFT - 14.0, y + 4.0, &cut(name, LABEL_CHARS));
        // The gravest of those that would cover each other.
        let mut marks: BTreeMap<u32, (usize, &Done)> = BTreeMap::new();
        for done in all {
            let place = column(self.x(at(done)), STEP);
            let mark = marks.entry(place).or_insert((0, done));
            mark.0 += 1;
            if gravity(done) > gravity(mark.1) {
                mark.1 = done;
            }
        }
        let mut marks: Vec<(usize, &Done)> = marks.into_values().collect();
        // The gravest lie on top.
        marks.sort_by_key(|(_, done)| gravity(done));
        for (_, done) in &marks {
            self.tail(out, y, done);
        }
        for (count, done) in &marks {
            self.mark(out, y, *count, done);
        }
    }

    /// How long it was until all was well again.
    fn tail(&self, out: &mut String, y: f64, done: &Done) {
        if done.refused.is_some() {
            return;
        }
        let (class, until) = match done.recovered_ms {
            Some(took) => ("well", at(done) + took.max(0.0)),
            None => ("ill", self.span),
        };
        let (from, to) = (round(self.x(at(done))), round(self.x(until)));
        if to - from > STEP / 2.0 {
            out.push_str(&format!(
                "<path class=\"{class}\" d=\"M{from} {y}H{to}\"/>\n"
            ));
        }
    }

    fn mark(&self, out: &mut String, y: f64, count: usize, done: &Done) {
        let x = round(self.x(at(done)));
        let shape = match (&done.refused, done.recovered_ms) {
            (Some(_), _) => circle("not", x, y, 3.0),
            (None, Some(_)) => circle("good", x, y, 3.6),
            (None, None) => cross(x, y),
        };
        let said = said(count, done);
        out.push_str(&format!("<g><title>{}</title>{shape}</g>\n", escape(&said)));
    }

    /// How many were down, as an area above its floor.
    fn down(&self, out: &mut String) {
        let floor = self.floor();
        let most = self
            .report
            .down
            .iter()
            .map(|down| down.count)
            .max()
            .unwrap_or(0);
        text(out, "end", LEFT - 14.0, floor - DOWN / 2.0 + 4.0, "down");
        let note = match most {
            0 => "nobody at a time".to_owned(),
            most => format!("{} at most", numbers::thousands(most)),
        };
        text(
            out,
            "soft small end",
            LEFT - 14.0,
            floor - DOWN / 2.0 + 18.0,
            &cut(&note, 17),
        );
        out.push_str(&format!(
            "<path class=\"grid\" d=\"M{LEFT} {}H{RIGHT}\"/>\n",
            round(floor)
        ));
        if most == 0 {
            return;
        }
        let y = |count: u64| round(floor - DOWN * as_float(count) / as_float(most));
        let mut path = format!("M{LEFT} {}", round(floor));
        for (x, count) in self.columns() {
            path.push_str(&format!("H{x}V{}", y(count)));
        }
        path.push_str(&format!("H{RIGHT}V{}Z", round(floor)));
        out.push_str(&format!("<path class=\"down\" d=\"{path}\"/>\n"));
    }

    /// How many were down from where on: the most of each column, where it differs from the one before.
    fn columns(&self) -> Vec<(f64, u64)> {
        let mut most: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        let mut before = 0;
        for down in &self.report.down {
            let place = column(self.x(as_float(down.at_ms)), 2.0);
            let (peak, last) = most.entry(place).or_insert((before, before));
            (*peak, *last) = ((*peak).max(down.count), down.count);
            before = down.count;
        }
        let mut all: Vec<(f64, u64)> = Vec::new();
        for (place, (peak, last)) in most {
            let x = f64::from(place) * 2.0;
            all.push((round(x.clamp(LEFT, RIGHT)), peak));
            all.push((round((x + 2.0).clamp(LEFT, RIGHT)), last));
        }
        all.dedup_by_key(|(_, count)| *count);
        all
    }

    fn legend(&self, out: &mut String, y: f64) {
        let entries = [
            (
                circle("good", 0.0, -4.0, 3.6),
                "well again (the bar is how long it took)",
            ),
            (cross(0.0, -4.0), "not well again"),
            (circle("not", 0.0, -4.0, 3.0), "could not be done"),
            (
                "<rect class=\"down\" x=\"-5\" y=\"-9\" width=\"10\" height=\"9\"/>".to_owned(),
                "the most that were down at a time",
            ),
        ];
        let mut x = LEFT;
        for (shape, what) in entries {
            out.push_str(&format!(
                "<g transform=\"translate({} {})\">{shape}</g>\n",
                round(x),
                round(y)
            ));
            text(out, "soft small", x + 11.0, y, what);
            x += 40.0 + 5.9 * as_float(what.len() as u64);
        }
    }
}

/// When it was, in milliseconds.
fn at(done: &Done) -> f64 {
    done.act.at.0.as_secs_f64() * 1e3
}

/// What is shown of several at one place.
fn gravity(done: &Done) -> (u8, u64) {
    match (&done.refused, done.recovered_ms) {
        (Some(_), _) => (0, 0),
        (None, Some(took)) => (1, took.max(0.0).to_bits()),
        (None, None) => (2, 0),
    }
}

fn said(count: usize, done: &Done) -> String {
    let act = &done.act;
    let whom = match (&act.path, act.fault.node()) {
        (Some(path), _) => format!(" {path}"),
        (None, Some(node)) => format!(" {node}"),
        (None, None) => String::new(),
    };
    let end = match (&done.refused, done.recovered_ms) {
        (Some(why), _) => format!("could not be done: {why}"),
        (None, Some(took)) => format!("well again after {}", numbers::ms(took)),
        (None, None) => "not well again".to_owned(),
    };
    let others = match count - 1 {
        0 => String::new(),
        others => format!(" (and {others} more here)"),
    };
    format!(
        "{}{whom} at {}, {end}{others}",
        done.act.fault.name(),
        numbers::ms(at(done))
    )
}
