//! Kernels that are killed, and kernels that are stopped for longer than a lease.

use crate::world::{ELSEWHERE, HOME, Ticks, WAITS, World, runs, until_no_guest, until_state};

#[test]
fn a_node_that_was_killed_is_back_under_its_name_and_its_child_with_it() {
    let Some(mut world) = World::new(WAITS) else {
        return;
    };
    let ticks = Ticks::of(&world.home);
    let edge = world.until_lives(|_| true);
    let before = ticks.until(&world.home, |_| true);
    let epoch = until_state(&world.home, edge, "up")["epoch"].as_u64();

    world.kill_and_start(edge);

    let after = ticks.until(&world.home, |tick| tick.pid != before.pid);
    let up = until_state(&world.home, edge, "up");
    assert!(up["epoch"].as_u64() > epoch, "{up}");
    assert!(epoch.is_some() && !runs(before.pid));
    assert_eq!(world.until_lives(|_| true), edge);
    assert_eq!(ticks.lives(), [before.pid, after.pid]);
}

#[test]
fn a_child_whose_home_was_killed_has_one_life_more() {
    let Some(mut world) = World::new(ELSEWHERE) else {
        return;
    };
    let first = Ticks::of(&world.home).until(&world.home, |_| true);

    world.kill_and_start(HOME);
    let ticks = Ticks::of(&world.home);
    let edge = world.until_lives(|_| true);
    let ran = runs(first.pid);
    let second = ticks.until(&world.home, |_| true);

    assert!(!ran, "the life of the kernel before has ended");
    assert_ne!(first.pid, second.pid);
    assert_eq!(ticks.lives(), [second.pid]);
    for other in &world.edges {
        let guests = other.json(&["tree", "/system/guests"]);
        let guests = guests["tree"]["children"].as_array().unwrap().len();
        let is_it = std::ptr::eq(other, world.node(edge));
        assert_eq!(guests, usize::from(is_it));
    }
}

#[test]
fn what_a_stopped_node_says_when_it_goes_on_is_of_no_effect() {
    let Some(world) = World::new(ELSEWHERE) else {
        return;
    };
    let ticks = Ticks::of(&world.home);
    let first = world.until_lives(|_| true);
    let before = ticks.until(&world.home, |_| true);

    world.node(first).signal("STOP");
    let second = world.until_lives(|node| node != first);
    let after = ticks.until(&world.home, |tick| tick.pid != before.pid);
    // Nobody is there to end a process whose kernel is stopped: it is what it says that is not heard.
    let ran = runs(before.pid);
    world.node(first).signal("CONT");

    until_no_guest(world.node(first));
    world.home.until(&["version"], |_| !runs(before.pid));
    until_state(&world.home, first, "up");
    until_state(world.node(first), HOME, "up");
    let later = ticks.until(&world.home, |_| true);
    assert!(ran);
    assert_eq!(later.pid, after.pid);
    assert_eq!(world.until_lives(|_| true), second);
    assert_eq!(ticks.lives(), [before.pid, after.pid]);
}
