//! Cables that are pulled, and directions that are cut.

use crate::world::{
    EDGES, ELSEWHERE, HOME, Ticks, World, runs, state, until_no_guest, until_state,
};

#[test]
fn a_child_moves_when_a_cable_is_pulled_and_stays_when_it_is_back() {
    let Some(world) = World::new(ELSEWHERE) else {
        return;
    };
    let ticks = Ticks::of(&world.home);
    let first = world.until_lives(|_| true);
    let before = ticks.until(&world.home, |_| true);

    world.net.unplug(first);
    let second = world.until_lives(|node| node != first);
    let ran = runs(before.pid);
    let after = ticks.until(&world.home, |_| true);

    assert!(!ran, "its former life has ended before this one began");
    assert_ne!(before.pid, after.pid);
    until_state(&world.home, first, "down");
    let log = world.home.log();
    let out_of_reach = format!("child is out of reach path=/far node={first}");
    assert!(log.contains(&out_of_reach), "{log}");
    until_no_guest(world.node(first));
    // To the node itself it is the others that are gone.
    until_state(world.node(first), HOME, "down");

    world.net.plug_in(first);
    for node in [&world.home, world.node(second)] {
        until_state(node, first, "up");
        until_state(world.node(first), HOME, "up");
    }

    let later = ticks.until(&world.home, |_| true);
    assert_eq!(later.pid, after.pid, "it stays where it is");
    assert_eq!(world.until_lives(|_| true), second);
    assert_eq!(ticks.lives(), [before.pid, after.pid]);
    let why = world.home.json(&["why", "/far"]);
    assert_eq!(why["incarnation"], 1, "nothing is charged for it: {why}");
}

#[test]
fn a_cut_of_one_direction_is_one_to_both() {
    let Some(world) = World::new(ELSEWHERE) else {
        return;
    };
    let ticks = Ticks::of(&world.home);

    let mut lives = Vec::new();
    for is_from_home in [true, false] {
        let other = world.until_lives(|_| true);
        let before = ticks.until(&world.home, |_| true);
        lives.push(before.pid);
        let (from, to) = match is_from_home {
            true => (HOME, other),
            false => (other, HOME),
        };

        world.net.cut(from, to);
        until_state(&world.home, other, "down");
        until_state(world.node(other), HOME, "down");
        world.until_lives(|node| node != other);
        assert!(
            !runs(before.pid),
            "it has ended there before it begins here"
        );
        // It is the two that do not reach each other; to the third both are there.
        let third = world.node(EDGES.into_iter().find(|edge| *edge != other).unwrap());
        for name in [HOME, other] {
            assert_eq!(state(third, name), "up");
        }
        world.net.mend(from, to);

        until_state(&world.home, other, "up");
        until_state(world.node(other), HOME, "up");
        until_no_guest(world.node(other));
    }

    lives.push(ticks.until(&world.home, |_| true).pid);
    assert_eq!(ticks.lives(), lives);
}
