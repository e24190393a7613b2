//! A short form of the bench `chaos_live`: the same storm, without limits of time.

#[path = "../benches/storm.rs"]
mod storm;

use std::time::Duration;

use unity_actors::chaos::report::Outcome;

use self::storm::storm;

#[test]
fn all_that_a_storm_kills_comes_back_nothing_is_lost_and_no_task_is_left_over() {
    let storm = storm(Duration::from_secs(5)).unwrap();

    let report = &storm.report;
    assert_eq!(report.outcome, Outcome::Passed, "{report:#?}");
    assert!(report.kills > 100, "{}", report.kills);
    assert_eq!(report.recovered, report.kills);
    assert!(report.sent > 1_000);
    assert_eq!(
        (report.lost, report.doubled, report.out_of_order),
        (0, 0, 0)
    );
    let (before, after) = storm.tasks;
    assert!(after <= before, "{before} tasks before, {after} after");
}
