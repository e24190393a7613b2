//! `/metrics`, for Prometheus: what the kernel counts and how it is, in the text format 0.0.4.
//!
//! Read off the kernel when it is asked, and written here: the crates for it keep instruments of their own, which would be a
//! second place for each number. No metric has a label by instance: the labels are states, kinds, reasons, supervisors up to
//! a bound, families of the catalog and streams. Connections have no label by address.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::timeout;
use unity_actors::cluster::{Cluster, NodeInfo, NodeState};
use unity_supervisors::bus::Catalog;
use unity_supervisors::counts::{BOUNDS, Counts, Durations, OTHERS};
use unity_supervisors::stream::StreamInfo;
use unity_supervisors::{Kernel, SlotState};

use super::bridge::Bridges;
use super::connections::Connections;
use super::live::Live;

/// The type of the answer.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long the streams may take to say how they are; they are left out then.
const STREAMS_WITHIN: Duration = Duration::from_secs(1);

/// The routes of this file.
pub(super) fn routes(kernel: &Kernel) -> Router {
    let kernel = kernel.clone();
    Router::new().route(
        "/metrics",
        get(move || async move { answer(&kernel).await }),
    )
}

async fn answer(kernel: &Kernel) -> Response {
    let text = kernel.secrets().mask(&read(kernel).await).into_owned();
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

async fn read(kernel: &Kernel) -> String {
    let mut page = Page::default();
    let mut states: BTreeMap<SlotState, u64> = SlotState::ALL.map(|state| (state, 0)).into();
    let mut deepest = 0;
    for path in kernel.registry().paths() {
        let Some(slot) = kernel.registry().get(&path) else {
            continue;
        };
        *states.entry(slot.state()).or_default() += 1;
        deepest = deepest.max(slot.depth());
    }
    page.family("actors", "gauge", "Actors and supervisors by what they do.");
    for (state, count) in states {
        page.sample("actors", &[("state", state.as_str())], count);
    }
    counted(&mut page, &kernel.counts());
    page.family(
        "mailbox_depth_max",
        "gauge",
        "Messages that wait in the fullest mailbox.",
    );
    page.sample("mailbox_depth_max", &[], deepest);
    page.family("tasks", "gauge", "Tasks on the runtimes of the kernel.");
    page.sample("tasks", &[], kernel.tasks());
    page.family(
        "dead_letters",
        "gauge",
        "Messages that nobody will handle, and that are kept.",
    );
    page.sample("dead_letters", &[], kernel.dead_letters().list().len());
    events(&mut page, kernel);
    if let Some(store) = kernel.bus().store()
        && let Ok(Ok(streams)) = timeout(STREAMS_WITHIN, store.streams()).await
    {
        lags(&mut page, &streams);
    }
    connections(&mut page, kernel);
    page.family("nodes", "gauge", "Other nodes by how they are.");
    nodes(&mut page, &kernel.shared::<Cluster>().nodes());
    page.family("build_info", "gauge", "Which release it is; always 1.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.0
}

/// How many nodes are in each state; all of them are there, so that one that empties is seen to.
fn nodes(page: &mut Page, nodes: &[NodeInfo]) {
    let states = [
        ("connecting", NodeState::Connecting),
        ("up", NodeState::Up),
        ("down", NodeState::Down),
        ("draining", NodeState::Draining),
    ];
    for (name, state) in states {
        let count = nodes.iter().filter(|node| node.state == state).count();
        page.sample("nodes", &[("state", name)], count);
    }
}

/// What only grows.
fn counted(page: &mut Page, counts: &Counts) {
    page.family(
        "actor_restarts_total",
        "counter",
        "Exits that a restart followed.",
    );
    for (of, count) in &counts.restarts {
        let labels = [
            ("supervisor", of.supervisor.as_str()),
            ("kind", of.kind.as_str()),
            ("reason", of.reason.as_str()),
        ];
        page.sample("actor_restarts_total", &labels, count);
    }
    durations(page, &counts.durations);
    let help = "Messages for actors: handled is taken in hand, dead_letter is given up, also from the hand.";
    page.family("messages_total", "counter", help);
    for (kind, messages) in &counts.messages {
        for (outcome, count) in [
            ("handled", messages.handled),
            ("dead_letter", messages.dead),
        ] {
            page.sample(
                "messages_total",
                &[("kind", kind), ("outcome", outcome)],
                count,
            );
        }
    }
}

fn durations(page: &mut Page, durations: &Durations) {
    let help = "How long restarts took, from the exit to the next life.";
    page.family("restart_duration_seconds", "histogram", help);
    let mut until = 0;
    for (bound, count) in BOUNDS.iter().zip(durations.classes) {
        until += count;
        let bound = bound.as_secs_f64().to_string();
        page.sample("restart_duration_seconds_bucket", &[("le", &bound)], until);
    }
    page.sample(
        "restart_duration_seconds_bucket",
        &[("le", "+Inf")],
        durations.count,
    );
    page.sample(
        "restart_duration_seconds_sum",
        &[],
        durations.sum.as_secs_f64(),
    );
    page.sample("restart_duration_seconds_count", &[], durations.count);
}

/// Events by the first word of their topic, as far as the catalog has it: somebody may publish any.
fn events(page: &mut Page, kernel: &Kernel) {
    page.family(
        "events_total",
        "counter",
        "Events that were published, by the first word of their topic.",
    );
    let catalog = kernel.bus().catalog();
    let mut families: BTreeMap<&str, u64> = families(&catalog);
    for stats in kernel.bus().stats() {
        let family = stats.topic.as_ref().map_or(OTHERS, |topic| topic.family());
        match families.get_mut(family) {
            Some(count) => *count += stats.published,
            None => *families.entry(OTHERS).or_default() += stats.published,
        }
    }
    for (family, count) in families {
        page.sample("events_total", &[("family", family)], count);
    }
}

fn families(catalog: &Catalog) -> BTreeMap<&str, u64> {
    let topics = catalog.types().iter().map(|its| its.topic.as_str());
    let families = topics.filter_map(|topic| topic.split('.').next());
    families
        .filter(|family| *family != "*")
        .map(|family| (family, 0))
        .collect()
}

fn lags(page: &mut Page, streams: &[StreamInfo]) {
    let help = "Events that the reader of a stream that is furthest behind has still to be handed.";
    page.family("stream_lag", "gauge", help);
    for stream in streams {
        let lag = stream.groups.iter().map(|group| group.lag).max();
        page.sample(
            "stream_lag",
            &[("stream", stream.name.as_str())],
            lag.unwrap_or(0),
        );
    }
}

fn connections(page: &mut Page, kernel: &Kernel) {
    let counts = kernel.shared::<Connections>().counts();
    let name = "http_connections";
    let help = "Open connections over TCP; a stranger has shown no token or session yet.";
    page.family(name, "gauge", help);
    for (who, count) in [("known", counts.known), ("stranger", counts.strangers)] {
        page.sample(name, &[("who", who)], count);
    }
    let name = "http_connections_closed_total";
    let help =
        "Connections that were closed for others: their address had too many, or all were taken.";
    page.family(name, "counter", help);
    for (why, count) in [
        ("address", counts.closed_of_address),
        ("all", counts.closed_of_all),
    ] {
        page.sample(name, &[("why", why)], count);
    }
    let (channels, readers) = kernel.shared::<Live>().counts();
    for (name, help, count) in [
        ("streams", "Open streams of pages.", readers),
        (
            "stream_channels",
            "What streams of pages are read from; kept for a minute.",
            channels,
        ),
        (
            "bridges",
            "Open bridges.",
            kernel.shared::<Bridges>().count(),
        ),
    ] {
        page.family(name, "gauge", help);
        page.sample(name, &[], count);
    }
}

/// A page in the text format.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP unitykernel_{name} {help}"));
        self.line(format_args!("# TYPE unitykernel_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, text)| format!("{name}=\"{}\"", escaped(text)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            some => format!("{{{}}}", some.join(",")),
        };
        self.line(format_args!("unitykernel_{name}{labels} {value}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        self.0.push_str(&format!("{line}\n"));
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_all_up_to_each_bound() {
        let mut page = Page::default();
        let durations_seen = Durations {
            classes: [1, 0, 2, 0, 0, 0, 0, 0, 0],
            count: 4,
            sum: Duration::from_millis(90_017),
        };

        durations(&mut page, &durations_seen);

        for line in [
            "# TYPE unitykernel_restart_duration_seconds histogram",
            "unitykernel_restart_duration_seconds_bucket{le=\"0.001\"} 1",
            "unitykernel_restart_duration_seconds_bucket{le=\"0.01\"} 3",
            "unitykernel_restart_duration_seconds_bucket{le=\"60\"} 3",
            "unitykernel_restart_duration_seconds_bucket{le=\"+Inf\"} 4",
            "unitykernel_restart_duration_seconds_sum 90.017",
            "unitykernel_restart_duration_seconds_count 4",
        ] {
            assert!(
                page.0.lines().any(|its| its == line),
                "{line} in {}",
                page.0
            );
        }
    }

    #[test]
    fn what_could_end_a_label_is_escaped() {
        let mut page = Page::default();

        page.sample("x", &[("a", "q\"\\\n")], 1);

        assert_eq!(page.0, "unitykernel_x{a=\"q\\\"\\\\\\n\"} 1\n");
    }
}
