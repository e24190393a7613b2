use std::collections::BTreeSet;

use super::*;
use crate::bug::Bug;
use crate::fault::{LifeFault, StartFault};
use crate::slot::Slot;
use crate::spec::{ChildKind, SupervisorSpec, lay_over};

/// How many seeds CI runs. `UK_SIM_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("UK_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000)
}

/// Where they begin: `UK_SIM_FIRST`.
fn first_seed() -> u64 {
    std::env::var("UK_SIM_FIRST")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

#[test]
fn no_seed_breaks_a_promise() {
    for seed in first_seed()..first_seed() + seeds() {
        let report = simulate(seed, &SimConfig::default());
        assert!(
            report.violations.is_empty(),
            "seed {seed}: {:#?}\n{}",
            report.violations,
            report.log.join("\n")
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let mut hashes = BTreeSet::new();
    for seed in 0..seeds() {
        let first = simulate(seed, &SimConfig::default());
        let second = simulate(seed, &SimConfig::default());
        if first.hash != second.hash {
            let at = first
                .log
                .iter()
                .zip(&second.log)
                .position(|(one, other)| one != other);
            let around = at.unwrap_or_default().saturating_sub(8);
            let part = |log: &[String]| {
                log.iter()
                    .skip(around)
                    .take(16)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            panic!(
                "seed {seed}: {:#?}\n{:#?}",
                part(&first.log),
                part(&second.log)
            );
        }
        hashes.insert(first.hash);
    }
    assert!(
        hashes.len() as u64 > seeds() * 9 / 10,
        "different seeds give different logs"
    );
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let config = SimConfig {
            bug: Some(bug),
            ..SimConfig::default()
        };
        let found = (0..3_000).find(|seed| !simulate(*seed, &config).violations.is_empty());
        assert!(found.is_some(), "{bug:?} was not found within 3,000 seeds");
    }
}

/// Breaks whatever there is: lives, starts, settings.
async fn storm(scene: &Scene<'_>, mut rng: fastrand::Rng, acts: usize) {
    for _ in 0..acts {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..200))).await;
        let mut found: Vec<Arc<Slot>> = Vec::new();
        if let Some(root) = scene.kernel.root() {
            driver::workers(&root, &mut found);
        }
        let Some(slot) = rng.choice(found) else {
            continue;
        };
        let (kernel, path) = (scene.kernel, slot.path());
        let time = Duration::from_millis(rng.u64(0..2_000));
        let broken = match rng.u8(0..8) {
            0 => kernel.break_life(path, LifeFault::Panic).map(drop),
            1 => kernel.break_life(path, LifeFault::Error).map(drop),
            2 => kernel.break_life(path, LifeFault::Hang(time)).map(drop),
            3 => kernel.break_life(path, LifeFault::Busy(time)).map(drop),
            4 => {
                let fault = StartFault {
                    slow: time,
                    fail: 1,
                };
                let broken = kernel.break_starts(path, fault);
                drop(kernel.kill(path, None).await);
                broken.map(drop)
            }
            5 => {
                swap_badly(scene, path).await;
                Ok(())
            }
            _ => kernel.kill(path, None).await.map(drop),
        };
        scene.log(&format!("broke {path}: {broken:?}"));
    }
}

/// Lays bad settings over those of one worker.
async fn swap_badly(scene: &Scene<'_>, path: &crate::path::ActorPath) {
    fn find<'a>(at: &'a mut SupervisorSpec, ids: &[&str]) -> Option<&'a mut serde_json::Value> {
        let (first, rest) = ids.split_first()?;
        let mut children = at.children.iter_mut();
        let child = children.find(|child| child.id.as_str() == *first)?;
        match &mut Arc::make_mut(child).what {
            ChildKind::Supervisor(below) => find(below, rest),
            ChildKind::Worker(worker) => Some(&mut worker.settings),
        }
    }
    let Some(mut tree) = scene.kernel.desired() else {
        return;
    };
    let ids: Vec<&str> = path.segments().collect();
    if let Some(settings) = find(&mut tree.root, &ids) {
        lay_over(settings, bad_settings());
        scene.swaps(path);
        let reloaded = scene.kernel.reload(tree.root).await;
        scene.log(&format!("swapped: {reloaded:?}"));
    }
}

/// A tree from a seed, played and broken by [`storm`].
fn simulate_storm(seed: u64, bug: Option<Bug>) -> SimReport {
    let mut rng = fastrand::Rng::with_seed(seed);
    let tree = tree::grow(&mut rng, 12);
    let stage = Stage {
        is_above: true,
        bug,
        ..Stage::new(seed, tree)
    };
    let drive = async |scene: &Scene<'_>| {
        storm(scene, rng, 40).await;
        ((), Ended::Through)
    };
    simulate_tree(stage, drive).0
}

#[test]
fn no_tree_that_is_played_breaks_a_promise_whatever_its_driver_breaks() {
    for seed in first_seed()..first_seed() + seeds() / 2 {
        let report = simulate_storm(seed, None);
        assert!(
            report.violations.is_empty(),
            "seed {seed}: {:#?}\n{}",
            report.violations,
            report.log.join("\n")
        );
        if seed % 50 == 0 {
            assert_eq!(report.hash, simulate_storm(seed, None).hash, "seed {seed}");
        }
    }
}

/// How many seeds it takes to find a fault that is planted in a tree that is played, at most.
const SEEDS_TO_FIND: u64 = 500;

#[test]
#[expect(clippy::print_stdout, reason = "how soon each is found")]
fn each_checker_finds_what_it_is_for_in_a_tree_that_is_played() {
    let planted = [
        ("supervision", Bug::StopsForward),
        ("supervision", Bug::RestartsTemporary),
        ("supervision", Bug::LeavesOrphan),
        ("supervision", Bug::ForgetsNeeds),
        ("supervision", Bug::MixesStates),
        ("supervision", Bug::CountsAnewAfterSteps),
        ("mailboxes", Bug::LosesWaiting),
        ("mailboxes", Bug::HandlesTwice),
        ("swaps", Bug::KeepsBadSettings),
        ("tokens", Bug::LetsTheDeadAct),
    ];
    for (checker, bug) in planted {
        let is_found = |seed: &u64| {
            let violations = simulate_storm(*seed, Some(bug)).violations;
            violations.iter().any(|found| found.checker() == checker)
        };
        let found = (0..SEEDS_TO_FIND).find(is_found);
        let seed = found.unwrap_or_else(|| panic!("{bug:?} was not found by {checker}"));
        println!("{checker}: {bug:?} is found with seed {seed}");
    }
}

#[test]
fn a_kernel_that_is_killed_is_gone_at_once_and_the_next_one_finds_what_was_kept() {
    let mut rng = fastrand::Rng::with_seed(7);
    let tree = tree::grow(&mut rng, 12);
    let kept = Kept::default();
    for life in 0..4 {
        let stage = Stage {
            kept: kept.clone(),
            is_above: true,
            ..Stage::new(life, tree.clone())
        };
        let ended = if life < 3 {
            Ended::Killed
        } else {
            Ended::Through
        };
        let drive = async |scene: &Scene<'_>| {
            storm(scene, fastrand::Rng::with_seed(life), 20).await;
            (life, ended)
        };
        let (report, brought) = simulate_tree(stage, drive);
        assert_eq!(brought, Some(life));
        assert_eq!(report.violations, [], "{}", report.log.join("\n"));
    }
}

#[test]
fn every_violation_is_of_a_checker_that_has_a_promise() {
    let path = crate::path::ActorPath::root();
    let some = [
        Violation::TwoLives { path: path.clone() },
        Violation::Lost { count: 1 },
        Violation::Touched { path: path.clone() },
        Violation::Late { path },
    ];
    for violation in some {
        let checker = violation.checker();
        assert!(PROMISES.iter().any(|(name, _)| *name == checker));
        assert!(!violation.to_string().ends_with('.'));
    }
}
