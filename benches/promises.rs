//! What is promised, what shows it, and what the page says of it: [`page`].
//!
//! A promise names tests by their file and name, and the checkers that watch it in simulation (the variants of `Violation`
//! in `supervisors/src/sim.rs`). `tests/reliability.rs` holds all of them to the sources. Figures are read from the reports
//! of runs, never typed.

use serde_json::Value;

use self::table::render;

#[path = "table.rs"]
pub(crate) mod table;

/// Where reports of runs are kept, and the file of each.
pub(crate) const FOLDER: &str = "benches/reliability";
/// A run of chaos on a kernel: the report of `uk chaos run --json`.
pub(crate) const CHAOS: &str = "chaos";
/// A minute of 50 kills a second under load.
pub(crate) const LIVE: &str = "chaos_live";
/// Many seeds of a kernel that is simulated.
pub(crate) const SIMULATION: &str = "simulation";
/// A kernel under chaos for a long time.
pub(crate) const SOAK: &str = "soak";
/// Messages between nodes, and what becomes of children there.
pub(crate) const NODES: &str = "nodes";
/// All of them.
pub(crate) const RUNS: [(&str, &str); 5] = [
    (CHAOS, "uk chaos run --json"),
    (LIVE, "cargo bench --bench chaos_live"),
    (SIMULATION, "cargo bench --bench chaos"),
    (
        SOAK,
        "UK_SOAK_FOR=10m cargo nextest run --release --test soak --profile long",
    ),
    (NODES, "cargo bench --bench nodes"),
];

/// The page.
pub(crate) const PAGE: &str = "benches/RELIABILITY.md";

/// A file and a test in it.
pub(crate) type Test = (&'static str, &'static str);

/// A promise.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) area: &'static str,
    pub(crate) says: &'static str,
    pub(crate) tests: &'static [Test],
    /// Who watches it in simulation.
    pub(crate) checkers: &'static [&'static str],
    pub(crate) figures: &'static [Figure],
}

/// A figure of a run: which, where in its report, and how it is shown.
#[derive(Debug)]
pub(crate) struct Figure {
    run: &'static str,
    pointer: &'static str,
    form: Form,
    /// What stands after it.
    what: &'static str,
}

/// How a figure is shown.
#[derive(Debug, Clone, Copy)]
enum Form {
    Count,
    Ms,
    Seconds,
    Percent,
}

const fn of(run: &'static str, pointer: &'static str, form: Form, what: &'static str) -> Figure {
    Figure {
        run,
        pointer,
        form,
        what,
    }
}

const fn promise(
    area: &'static str,
    says: &'static str,
    tests: &'static [Test],
    checkers: &'static [&'static str],
    figures: &'static [Figure],
) -> Promise {
    Promise {
        area,
        says,
        tests,
        checkers,
        figures,
    }
}

const RESTARTS: &str = "supervisors/tests/conformance/restart_types.rs";
const STRATEGIES: &str = "supervisors/tests/conformance/strategies.rs";
const INTENSITY: &str = "supervisors/tests/conformance/intensity.rs";
const SIGNIFICANT: &str = "supervisors/tests/conformance/significant.rs";
const STOP: &str = "supervisors/tests/conformance/stop.rs";
const TASKS: &str = "supervisors/tests/conformance/tasks.rs";
const TEMPLATES: &str = "supervisors/tests/conformance/templates.rs";
const LINK: &str = "supervisors/tests/links/link.rs";
const MONITOR: &str = "supervisors/tests/links/monitor.rs";
const HELD: &str = "supervisors/tests/runtimes/held.rs";
const STALLS: &str = "supervisors/tests/runtimes/stalls.rs";
const MAILBOXES: &str = "supervisors/tests/mailboxes.rs";
const MEMORY: &str = "supervisors/tests/mailboxes/memory.rs";
const DURABLE: &str = "supervisors/tests/durable.rs";
const POISON: &str = "supervisors/tests/durable/poison.rs";
const FLOW: &str = "supervisors/tests/reload/flow.rs";
const PLACE: &str = "actors/tests/nodes/place.rs";
const RELOAD: &str = "supervisors/tests/reload/main.rs";
const RULES: &str = "supervisors/tests/reload/rules.rs";
const LADDER: &str = "supervisors/tests/ladder.rs";
const STATE: &str = "supervisors/tests/state.rs";
const HTTP: &str = "tests/cli/http.rs";
const GUARD: &str = "tests/cli/guard.rs";
const RUN: &str = "actors/tests/chaos.rs";
const SIM: &str = "supervisors/src/sim/tests.rs";

/// All promises, area by area.
#[rustfmt::skip]
pub(crate) const PROMISES: &[Promise] = &[
    promise(
        "Supervision",
        "A permanent child is restarted after every exit, a transient one after an abnormal one, a temporary one never",
        &[(RESTARTS, "s055_to_s059_a_permanent_child_is_restarted_after_every_exit"), (RESTARTS, "s060_to_s064_a_transient_child_is_restarted_after_an_abnormal_exit_only"), (RESTARTS, "s065_to_s069_a_temporary_child_is_never_restarted_and_its_spec_is_gone")],
        &["TemporaryRestarted", "NotSettled", "NotBack"],
        &[of(CHAOS, "/kills", Form::Count, "lives ended"), of(CHAOS, "/recovered", Form::Count, "back again"), of(CHAOS, "/recovery_ms/p99", Form::Ms, "for 99 % of them"), of(CHAOS, "/availability", Form::Percent, "of the time up"), of(LIVE, "/kills", Form::Count, "lives ended at 50 a second"), of(LIVE, "/recovered", Form::Count, "back again"), of(LIVE, "/recovery_ms/p99", Form::Ms, "for 99 % of them")],
    ),
    promise(
        "Supervision",
        "Children that belong together stop in reverse and start in order, and none runs without what it needs",
        &[(STRATEGIES, "s084_one_for_all_stops_in_reverse_and_starts_in_order"), (STRATEGIES, "s085_rest_for_one_stops_the_rest_in_reverse_and_starts_it_in_order"), (STRATEGIES, "what_needs_a_stopped_sibling_stops_before_it_and_starts_after_it")],
        &["StopOrder", "NeedNotMet"],
        &[],
    ),
    promise(
        "Supervision",
        "A supervisor gives up when its budget is used up, and not before",
        &[(INTENSITY, "s102_crashes_spaced_wider_than_the_period_never_use_up_the_budget"), (INTENSITY, "s103_s104_s105_the_third_crash_under_intensity_two_ends_the_supervisor")],
        &[],
        &[],
    ),
    promise(
        "Supervision",
        "A root that lasts never gives up: in safe mode what is essential goes on, and a release brings back the rest",
        &[(INTENSITY, "s129_a_lasting_root_keeps_what_is_essential_and_quarantines_the_rest"), (INTENSITY, "a_release_while_the_rest_still_stops_waits_and_releases_it")],
        &["Stuck"],
        &[],
    ),
    promise(
        "Supervision",
        "A slot has one life at a time, a pool no more than it may, and nothing is left behind by what has ended",
        &[(STOP, "s047_a_stop_returns_when_the_whole_subtree_is_gone_and_an_unknown_one_is_not_found"), (STOP, "s053_a_supervisor_killed_in_the_middle_of_its_teardown_leaves_no_orphans"), (TEMPLATES, "s165_no_more_than_max_children")],
        &["TwoLives", "Orphan", "LeftBehind", "TooMany"],
        &[of(LIVE, "/tasks/left", Form::Count, "tasks left over after a minute of 50 kills a second")],
    ),
    promise(
        "Supervision",
        "A supervisor ends with its significant children, as it says",
        &[(SIGNIFICANT, "s204_s208_all_significant_waits_for_the_last_of_them"), (SIGNIFICANT, "s207_a_significant_transient_child_that_ends_in_order_ends_its_supervisor")],
        &["OutlivesSignificant"],
        &[],
    ),
    promise(
        "Supervision",
        "Who watches or is linked hears of an end once, and of nothing after it let go",
        &[(MONITOR, "a_monitor_gives_one_down_with_path_life_and_reason"), (MONITOR, "no_down_comes_after_demonitor_not_even_one_that_waits"), (LINK, "an_exit_reaches_the_other_side_in_both_directions_unless_it_is_normal")],
        &["WrongDown", "MissingDown", "Unlinked"],
        &[],
    ),
    promise(
        "Supervision",
        "Whoever awaits a task hears how it ended",
        &[(TASKS, "s195_whoever_awaits_a_task_hears_why_it_ended")],
        &["TaskUnresolved"],
        &[],
    ),
    promise(
        "Supervision",
        "What crashes again and again is tried with other settings, then kept down, as its ladder says",
        &[(LADDER, "the_budget_pays_only_once_the_ladder_is_used_up"), (LADDER, "a_swap_is_in_force_until_release_and_outlives_the_supervisor")],
        &["WrongLadder"],
        &[],
    ),
    promise(
        "Supervision",
        "A thread that is stuck keeps no supervisor from answering and restarting",
        &[(HELD, "tree_and_kill_answer_while_every_work_thread_is_held"), (STALLS, "supervisors_answer_and_restart_while_every_thread_is_stuck")],
        &["StillAbandoned"],
        &[],
    ),
    promise(
        "Mailboxes",
        "What waits survives a crash, and what was in hand is kept as a dead letter",
        &[(MAILBOXES, "what_waits_survives_a_crash_and_the_message_in_hand_becomes_a_dead_letter"), (MAILBOXES, "ten_thousand_crashes_under_load_lose_no_waiting_message")],
        &["Lost", "Deaf"],
        &[of(CHAOS, "/sent", Form::Count, "messages"), of(CHAOS, "/lost", Form::Count, "lost"), of(LIVE, "/sent", Form::Count, "messages at 50 kills a second"), of(LIVE, "/lost", Form::Count, "lost")],
    ),
    promise(
        "Mailboxes",
        "A message is handled once, and messages of one sender in their order",
        &[(MAILBOXES, "messages_of_one_sender_are_handled_in_order"), (TEMPLATES, "a_suspended_child_takes_no_message_until_it_is_resumed_or_crashes")],
        &["Doubled", "OutOfOrder", "HandlesSuspended"],
        &[of(CHAOS, "/doubled", Form::Count, "doubled"), of(CHAOS, "/out_of_order", Form::Count, "out of order"), of(LIVE, "/doubled", Form::Count, "doubled at 50 kills a second"), of(LIVE, "/out_of_order", Form::Count, "out of order")],
    ),
    promise(
        "Mailboxes",
        "When memory is short, what may wait is shed first, and what is urgent never",
        &[(MEMORY, "short_memory_sheds_deferred_then_low_and_never_what_is_urgent")],
        &["ShedWrongly"],
        &[],
    ),
    promise(
        "Streams",
        "A durable consumer gets every event, in order, over crashes of itself, its supervisor and its kernel",
        &[(DURABLE, "a_restart_of_its_supervisor_loses_nothing_and_keeps_the_order"), (DURABLE, "another_kernel_on_the_same_streams_goes_on_where_the_first_was_cut_off"), ("supervisors/tests/durable/seeds.rs", "every_event_is_handled_in_order_whatever_chance_does")],
        &[],
        &[],
    ),
    promise(
        "Streams",
        "What was said to be on disk is there after the process was killed",
        &[("actors/tests/kills.rs", "what_a_killed_process_said_to_be_on_disk_is_there")],
        &[],
        &[],
    ),
    promise(
        "Streams",
        "An event that its consumer does not survive is tried again, and is a dead letter in the end",
        &[(POISON, "each_crash_is_tried_again_first_in_line_and_the_last_makes_one_letter")],
        &[],
        &[],
    ),
    promise(
        "Streams",
        "What was acknowledged is there once and in order, after any fault of the disk and any end of the kernel",
        &[("src/commands/simulate/tests.rs", "no_seed_of_the_default_plan_breaks_a_promise_of_the_shipped_tree"), ("actors/src/streams/crash.rs", "what_was_promised_is_there_after_any_crash")],
        &["Seen"],
        &[],
    ),
    promise(
        "Swaps",
        "New settings lose and mix up no message, and touch nobody whose part did not change",
        &[(FLOW, "a_thousand_swaps_under_a_flood_lose_and_mix_up_nothing"), (RULES, "another_order_touches_nobody")],
        &["NotDesired", "Touched"],
        &[],
    ),
    promise(
        "Swaps",
        "Settings that a child does not survive are put back",
        &[(RELOAD, "a_crash_on_probation_brings_the_former_settings_back"), (RELOAD, "one_refusal_leaves_everything_as_it_was")],
        &["NotRolledBack"],
        &[],
    ),
    promise(
        "Tokens",
        "A life that was cut off has no effect any more: it sends, keeps and answers nothing",
        &[(STALLS, "an_abandoned_slot_goes_on_and_nothing_that_its_dead_life_does_has_an_effect")],
        &["Late"],
        &[],
    ),
    promise(
        "Rights",
        "A token may what its scope and its paths say, and nothing once it is revoked or has expired",
        &[(HTTP, "a_token_may_what_its_scope_and_bounds_say"), (HTTP, "a_bound_token_reaches_nothing_beyond"), (HTTP, "a_stream_ends_with_its_token"), ("src/rights/tokens.rs", "a_token_is_known_until_it_is_revoked_or_expires")],
        &[],
        &[],
    ),
    promise(
        "Chaos runs",
        "A run comes out the same from the same seed, and strikes again what it struck",
        &[(RUN, "all_that_is_struck_comes_back_and_the_same_seed_gives_the_same_report"), (RUN, "what_was_struck_by_chance_is_struck_again_by_its_acts")],
        &[],
        &[of(CHAOS, "/seed", Form::Count, "the seed")],
    ),
    promise(
        "Chaos runs",
        "A run whose probe does not hold ends at once, and undoes what it did",
        &[(RUN, "a_probe_that_does_not_hold_ends_the_run_at_once_and_undoes_all")],
        &[],
        &[],
    ),
    promise(
        "Chaos runs",
        "No seed of a simulation breaks a promise, and each bug that is planted is found",
        &[("src/commands/simulate/tests.rs", "no_seed_of_the_default_plan_breaks_a_promise_of_the_shipped_tree"), (SIM, "no_seed_breaks_a_promise"), (SIM, "every_planted_bug_is_found"), (SIM, "the_same_seed_gives_the_same_log")],
        &[],
        &[of(SIMULATION, "/seeds", Form::Count, "seeds"), of(SIMULATION, "/faults", Form::Count, "faults"), of(SIMULATION, "/broken", Form::Count, "seeds that broke a promise"), of(SIMULATION, "/seeds_s", Form::Seconds, "for all of them"), of(SIMULATION, "/minute_ms", Form::Ms, "for a minute of 100 actors")],
    ),
    promise(
        "Crash of the kernel",
        "A kernel that dies is started again by its guard; after three deaths in a row in safe mode",
        &[(GUARD, "a_kernel_that_is_killed_comes_back_and_ends_with_its_guard"), (GUARD, "three_deaths_are_safe_mode_until_it_is_released")],
        &[],
        &[],
    ),
    promise(
        "Crash of the kernel",
        "State that is kept is there after a crash of an actor and of the kernel; one that no life survives is given up",
        &[(STATE, "what_was_kept_is_found_after_a_crash_and_what_came_later_is_lost"), (STATE, "a_state_that_no_start_survives_is_given_up"), ("tests/cli/state.rs", "a_count_survives_a_kill_and_a_kernel_start_and_two_crashes_start_fresh")],
        &["WrongState", "NotKept"],
        &[],
    ),
    promise(
        "Crash of the kernel",
        "Dead letters outlive the kernel",
        &[("actors/tests/dead_letters.rs", "letters_outlive_the_kernel_and_their_numbers_go_on")],
        &[],
        &[],
    ),
    promise(
        "Nodes",
        "A placed child has one life at a time, whatever is cut, slow, killed or restarted: of an earlier one nothing is accepted once the next has begun",
        &[("actors/tests/nodes/seeds.rs", "no_child_lives_twice_and_all_come_back"), (PLACE, "a_cut_that_is_longer_ends_it_there_and_begins_it_again_when_the_node_is_back")],
        &[],
        &[],
    ),
    promise(
        "Nodes",
        "A placed child whose node is lost is back within its lease and a second: there, or elsewhere",
        &[(PLACE, "it_begins_elsewhere_once_its_lease_is_over_and_stays_there"), ("tests/namespaces/cuts.rs", "a_child_moves_when_a_cable_is_pulled_and_stays_when_it_is_back")],
        &[],
        &[of(NODES, "/failover_beyond_lease_s", Form::Seconds, "beyond the lease")],
    ),
    promise(
        "Nodes",
        "A slow, hung or stopped node delays nothing here and costs no memory without bound",
        &[("actors/tests/nodes/bad.rs", "an_actor_that_hangs_holds_up_who_sends_to_it_and_nobody_else"), ("actors/tests/nodes/attach.rs", "what_is_told_comes_in_order_and_none_is_lost_however_slow_the_actor")],
        &[],
        &[of(NODES, "/growth_bytes", Form::Count, "bytes more while a node stood still for 3 s"), of(NODES, "/tell_times", Form::Count, "times the tells of ractor_cluster"), of(NODES, "/ask_times", Form::Count, "of its time for an ask")],
    ),
    promise(
        "Nodes",
        "A stranger gets nothing: who lacks the cookie, lies, sends garbage or says nothing is refused, and nobody else notices",
        &[("actors/tests/nodes/bad.rs", "garbage_and_half_greetings_are_refused_and_nobody_else_notices"), ("actors/tests/nodes/bad.rs", "a_thousand_connections_that_say_nothing_shut_nobody_out"), ("actors/tests/nodes/attach.rs", "who_cannot_be_let_in_is_told_why")],
        &[],
        &[],
    ),
    promise(
        "Nodes",
        "What one node keeps in a stream reaches another without a gap, over cuts and restarts",
        &[("tests/cli/nodes.rs", "a_relay_publishes_here_what_another_node_publishes_and_misses_nothing")],
        &[],
        &[of(NODES, "/events_per_s", Form::Count, "events a second to 8 nodes")],
    ),
    promise(
        "Soak",
        "Under load and faults, memory, descriptors, tasks and threads do not grow",
        &[("tests/soak/main.rs", "nothing_grows"), ("tests/soak/main.rs", "a_slope_is_worked_out")],
        &[],
        &[of(SOAK, "/took_s", Form::Seconds, "of chaos"), of(SOAK, "/kills", Form::Count, "lives ended"), of(SOAK, "/more_per_hour/rss_bytes", Form::Count, "bytes more in an hour"), of(SOAK, "/more_per_hour/descriptors", Form::Count, "descriptors"), of(SOAK, "/more_per_hour/tasks", Form::Count, "tasks"), of(SOAK, "/more_per_hour/threads", Form::Count, "threads")],
    ),
];

/// The page, from the reports that `run` reads: `None` where there is none.
///
/// # Errors
/// A text, if a report lacks a figure.
pub(crate) fn page(run: &dyn Fn(&str) -> Option<Value>) -> Result<String, String> {
    let mut text = "# What is promised, and what shows it\n\nWritten by `cargo bench --bench reliability`, not by hand. Tests are in the file \
         that each links to; checkers watch in every seed of the simulation. Figures are those of the last run of each kind, \
         listed below.\n"
        .to_owned();
    let mut areas: Vec<&str> = PROMISES.iter().map(|promise| promise.area).collect();
    areas.dedup();
    for area in areas {
        let head = ["promise", "shown by", "checkers", "last run"];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        for promise in PROMISES.iter().filter(|promise| promise.area == area) {
            lines.push(row(promise, run)?);
        }
        text += &format!("\n## {area}\n\n{}", render(&lines));
    }
    text += &format!("\n## The runs\n\n{}", runs(run));
    Ok(text)
}

fn row(promise: &Promise, run: &dyn Fn(&str) -> Option<Value>) -> Result<Vec<String>, String> {
    let test = |(file, name): &Test| format!("[{}](../{file})", name.replace('_', " "));
    let tests: Vec<String> = promise.tests.iter().map(test).collect();
    let checkers: Vec<String> = promise
        .checkers
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let mut figures = Vec::new();
    for figure in promise.figures {
        figures.extend(
            run(figure.run)
                .map(|report| figure.shown(&report))
                .transpose()?,
        );
    }
    Ok(vec![
        promise.says.to_owned(),
        tests.join("; "),
        or_none(&checkers),
        or_none(&figures),
    ])
}

fn or_none(texts: &[String]) -> String {
    match texts {
        [] => "–".to_owned(),
        texts => texts.join(", "),
    }
}

/// What each run was, and where.
fn runs(run: &dyn Fn(&str) -> Option<Value>) -> String {
    let mut text = String::new();
    for (name, command) in RUNS {
        let Some(report) = run(name) else {
            text += &format!("- `{name}` (`{command}`): no run was taken yet\n");
            continue;
        };
        let pairs = report.get("measured").and_then(Value::as_array);
        let pairs = pairs.into_iter().flatten().filter_map(|pair| {
            Some(format!(
                "{} {}",
                pair.get(0)?.as_str()?,
                pair.get(1)?.as_str()?
            ))
        });
        text += &format!(
            "- `{name}` (`{command}`): {}\n",
            pairs.collect::<Vec<_>>().join("; ")
        );
    }
    text
}

impl Figure {
    fn shown(&self, run: &Value) -> Result<String, String> {
        let Self { pointer, what, .. } = self;
        let value = run.get("report").and_then(|report| report.pointer(pointer));
        let lacks = || {
            format!(
                "{FOLDER}/{}.json has no number at {pointer}: take the run again",
                self.run
            )
        };
        let number = value.and_then(Value::as_f64).ok_or_else(lacks)?;
        Ok(match self.form {
            Form::Count => format!("{number} {what}"),
            Form::Ms => format!("{number} ms {what}"),
            Form::Seconds => format!("{number} s {what}"),
            Form::Percent => {
                // Less than all is never shown as all.
                let share = (number * 1e5).floor() / 1e3;
                format!("{share} % {what}")
            }
        })
    }
}
