use unity_actors::chaos::simulate::Saboteur;

use super::*;
use crate::chaos_file;
use crate::commands::run::DEFAULT_TREE;
use crate::settings::system::FolderFrom;

/// How many seeds CI runs. `UK_CHAOS_SEEDS` asks for more.
fn seeds() -> u64 {
    let asked = std::env::var("UK_CHAOS_SEEDS").ok();
    asked.map_or(1_000, |asked| asked.parse().unwrap())
}

fn shipped() -> Simulation {
    let checked = check::read(None, DEFAULT_TREE, &unity_actors::kinds());
    Simulation::new(checked.tree.unwrap(), default_plan(LASTS))
}

#[test]
fn no_seed_of_the_default_plan_breaks_a_promise_of_the_shipped_tree() {
    let last = seeds();

    let tried = try_all(&shipped(), Seeds { first: 1, last }, false);

    if let Some(broken) = tried.broken {
        panic!("seed {}: {:#?}", broken.seed, broken.violations);
    }
    assert_eq!(tried.seeds, last);
    assert!(tried.acts > last * 50 && tried.kernels > last && tried.acknowledged > last * 50);
}

#[test]
fn a_range_of_seeds_has_its_first_and_its_last() {
    assert_eq!(Seeds::of("7").unwrap(), Seeds { first: 7, last: 7 });
    assert_eq!(Seeds::of("1..10000").unwrap().count(), 10_000);
    for wrong in [
        "",
        "..",
        "1..",
        "..9",
        "9..1",
        "a..b",
        "-1",
        "1...3",
        "1..99999999999999999999",
    ] {
        let error = Seeds::of(wrong).unwrap_err();
        assert!(error.hint.unwrap().contains("1..10000"), "{wrong}");
    }
}

#[test]
fn a_shrunk_plan_is_written_so_that_it_reads_back_and_breaks_the_same() {
    let saboteur: Saboteur = |done| !done.is_empty();
    let simulation = Simulation {
        saboteur: Some(saboteur),
        ..shipped()
    };
    let found = simulation.run(1);
    let shrunk = shrink(&simulation, &found, &found.violations[0]).unwrap();
    let folder = std::env::temp_dir().join(format!("uk-plan-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("shrunk.yaml");

    plan_file::write(&file, &shrunk.plan).unwrap();

    assert_eq!(shrunk.plan.acts.len(), 1);
    let checked = chaos_file::load(file.to_str().unwrap(), &FolderFrom::Nowhere);
    assert_eq!(checked.tree.unwrap(), shrunk.plan);
    std::fs::remove_dir_all(&folder).unwrap();
}
