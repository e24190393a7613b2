//! When alarms are raised and cleared.

use proptest::prelude::*;

use super::*;

fn reading(kind: Kind, value: u64, limit: u64) -> Reading {
    Reading {
        kind,
        path: "/a".to_owned(),
        value,
        limit,
        why: None,
    }
}

fn seen(readings: Vec<Reading>) -> Readings {
    Readings {
        seen: readings,
        ..Readings::default()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

/// Puts verdicts in force, as the service does.
fn apply(standing: &mut Standing, verdicts: Vec<Verdict>) -> Vec<&'static str> {
    let said = verdicts.into_iter().map(|verdict| match verdict {
        Verdict::Raised(alarm) => {
            assert!(standing.insert(alarm.key(), alarm).is_none());
            "raised"
        }
        Verdict::Stands(alarm) => {
            assert!(standing.insert(alarm.key(), alarm).is_some());
            "stands"
        }
        Verdict::Cleared(alarm) => {
            assert!(standing.remove(&alarm.key()).is_some());
            "cleared"
        }
    });
    said.collect()
}

#[test]
fn an_alarm_is_raised_at_its_limit_and_cleared_a_tenth_from_it() {
    for (kind, limit, rows) in [
        (
            Kind::Memory,
            80,
            &[
                (79, ""),
                (80, "raised"),
                (80, ""),
                (79, "stands"),
                (72, "stands"),
                (71, "cleared"),
                (79, ""),
            ][..],
        ),
        (
            Kind::Disk,
            10,
            &[
                (11, ""),
                (10, "raised"),
                (11, "stands"),
                (9, "stands"),
                (12, "cleared"),
                (11, ""),
            ],
        ),
        (Kind::Restarts, 1, &[(0, ""), (1, "raised"), (0, "cleared")]),
    ] {
        let mut standing = Standing::new();
        for (second, (value, expected)) in (0..).zip(rows) {
            let readings = seen(vec![reading(kind, *value, limit)]);
            let said = verdicts(&standing, &readings, at(second));
            let said = apply(&mut standing, said);
            assert_eq!(said.join(" "), *expected, "{kind:?} {second} {value}");
        }
    }
}

#[test]
fn what_is_gone_is_cleared_and_what_cannot_be_read_stays() {
    let mut standing = Standing::new();
    let both = seen(vec![
        reading(Kind::Lag, 9, 5),
        reading(Kind::Memory, 99, 90),
    ]);
    let raised = verdicts(&standing, &both, at(1));
    assert_eq!(apply(&mut standing, raised), ["raised", "raised"]);

    let blind = Readings {
        blind: BTreeSet::from([Kind::Lag]),
        ..Readings::default()
    };
    let said = verdicts(&standing, &blind, at(2));

    assert_eq!(apply(&mut standing, said), ["cleared"]);
    let left = standing.values().next().unwrap();
    assert_eq!((left.kind, left.since), (Kind::Lag, at(1)));
    let said = verdicts(&standing, &Readings::default(), at(3));
    assert_eq!(apply(&mut standing, said), ["cleared"]);
}

#[test]
fn no_more_stand_than_there_is_room_for() {
    let many = (0..ALARMS_MAX + 7).map(|number| Reading {
        path: format!("/{number}"),
        ..reading(Kind::Restarts, 9, 5)
    });
    let readings = seen(many.collect());
    let mut standing = Standing::new();

    let said = verdicts(&standing, &readings, at(1));

    assert_eq!(apply(&mut standing, said).len(), ALARMS_MAX);
    assert_eq!(verdicts(&standing, &readings, at(2)), []);
}

#[test]
fn every_kind_says_what_is_wrong_and_what_to_do() {
    for kind in Kind::ALL {
        let alarm = reading(kind, 7, 5).alarm(at(0));
        assert!(alarm.text().contains("/a"), "{}", alarm.text());
        assert!(kind.hint().len() > 20);
        let json = serde_json::to_value(&alarm).unwrap();
        assert_eq!(json["alarm"], kind.as_str());
    }
}

proptest! {
    #[test]
    fn nothing_flaps_within_a_tenth_of_its_limit(
        limit in 1_u64..1_000, of_disk in any::<bool>(), swings in proptest::collection::vec(0_u64..=10, 1..50)
    ) {
        let kind = if of_disk { Kind::Disk } else { Kind::Memory };
        let mut standing = Standing::new();
        let mut changes = 0;
        for (second, swing) in (0..).zip(swings) {
            // From the limit to a tenth within it.
            let away = limit * swing / 100;
            let value = if of_disk { limit + away } else { limit - away };
            let said = verdicts(&standing, &seen(vec![reading(kind, value, limit)]), at(second));
            let said = apply(&mut standing, said);
            changes += said.iter().filter(|said| **said != "stands").count();
        }
        prop_assert!(changes <= 1, "{changes}");
    }

    #[test]
    fn an_alarm_stands_whenever_it_is_beyond_its_limit(
        values in proptest::collection::vec(0_u64..200, 1..50), of_disk in any::<bool>()
    ) {
        let kind = if of_disk { Kind::Disk } else { Kind::Memory };
        let mut standing = Standing::new();
        for (second, value) in (0..).zip(values) {
            let reading = reading(kind, value, 100);
            let said = verdicts(&standing, &seen(vec![reading.clone()]), at(second));
            apply(&mut standing, said);
            prop_assert!(!reading.is_beyond() || !standing.is_empty(), "{value}");
            prop_assert!(!reading.is_well() || standing.is_empty(), "{value}");
        }
    }
}
