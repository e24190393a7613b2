//! Lowers what a worker says of stalls: how they are seen, what is done about them, and where it runs.

use unity_supervisors::spec::{HealthSpec, OnStall, RunsOn, WorkerSpec};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::format_duration;
use super::keys;
use super::node::{Entry, Value};
use super::reader::Reader;

pub(super) const STALLS: [(&str, OnStall); 2] =
    [("report", OnStall::Report), ("abandon", OnStall::Abandon)];
pub(super) const RUNTIMES: [(&str, RunsOn); 2] = [("work", RunsOn::Work), ("own", RunsOn::Own)];

impl Reader<'_> {
    /// Lowers `stall_after`, `stall`, `runtime` and `health`.
    pub(super) fn stalls(&mut self, fields: Fields<'_>, worker: &mut WorkerSpec) {
        if let Some(stall_after) = self.positive(fields.get("stall_after")) {
            worker.stall_after = stall_after;
        }
        if let Some(stall) = self.choice(fields.get("stall"), &STALLS) {
            worker.stall = stall;
        }
        if let Some(runtime) = self.choice(fields.get("runtime"), &RUNTIMES) {
            worker.runtime = runtime;
        }
        if let Some(entry) = fields.get("health") {
            worker.health = self.health(entry);
        }
    }

    fn health(&mut self, entry: &Entry) -> Option<HealthSpec> {
        let is_off =
            matches!(entry.node.value, Value::Bool(false)) || entry.node.as_text() == Some("off");
        if is_off {
            return None;
        }
        if !matches!(entry.node.value, Value::Map(_)) {
            let help = "write `health: { every: 10s, timeout: 5s, fails: 3 }`".to_owned();
            self.wrong_type(entry, "a mapping or `off`", Some(help));
            return None;
        }
        let fields = self.fields(&entry.node, "`health`")?;
        self.only_keys(fields, &keys::names(keys::HEALTH), "`health`");
        let mut health = HealthSpec::default();
        if let Some(every) = self.positive(fields.get("every")) {
            health.every = every;
        }
        match self.positive(fields.get("timeout")) {
            Some(timeout) => health.timeout = timeout,
            // Who asks more often than the default waits for an answer is not to be told off for it.
            None => health.timeout = health.timeout.min(health.every),
        }
        if let Some(fails) = self.integer(fields.get("fails"), 1..=u32::MAX) {
            health.fails = fails;
        }
        if health.timeout > health.every {
            self.health_order(fields, &health);
        }
        Some(health)
    }

    fn health_order(&mut self, fields: Fields<'_>, health: &HealthSpec) {
        let Some(timeout) = fields.get("timeout") else {
            return;
        };
        let default = if fields.has("every") {
            ""
        } else {
            ", the default"
        };
        let message = format!(
            "`timeout` ({}) is longer than `every` ({}{default})",
            format_duration(health.timeout),
            format_duration(health.every),
        );
        let mut fault = Diagnostic::new(Code::HealthOrder, message)
            .at(timeout.node.span, "how long an answer may take");
        if let Some(every) = fields.get("every") {
            fault = fault.related(every.node.span, "the time between two questions");
        }
        self.report(fault.help("make `timeout` shorter or `every` longer"));
    }
}
