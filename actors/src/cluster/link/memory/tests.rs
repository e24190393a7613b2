use std::io::ErrorKind;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::join;
use tokio::time::{Instant, timeout};

use super::pipe::ROOM;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// `a` has opened a connection to `b`: that of `a`, that of `b`, and the listener.
async fn pair(net: &MemoryNet) -> (Wire, Wire, Box<dyn Listener>) {
    let mut listener = net.link("b").listen("b:1").await.unwrap();
    let link = net.link("a");
    let (near, far) = join!(link.connect("b:1"), listener.accept());
    let far = far.unwrap();
    assert_eq!(far.peer, "a");
    (near.unwrap(), far.wire.await.unwrap(), listener)
}

/// Reads `len` bytes, or finds that an hour is not enough.
async fn reads(wire: &mut Wire, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = timeout(HOUR, wire.read.read_exact(&mut bytes)).await;
    read.ok().map(|read| read.map(|_| bytes).unwrap())
}

/// Writes until there is no room for an hour, and returns how much was taken.
async fn fills(wire: &mut Wire) -> usize {
    let mut written = 0;
    while let Ok(taken) = timeout(HOUR, wire.write.write(&[7; 1000])).await {
        written += taken.unwrap();
    }
    written
}

#[tokio::test(start_paused = true)]
async fn what_one_writes_the_other_reads_both_ways() {
    let (mut near, mut far, _listener) = pair(&MemoryNet::new(1)).await;

    near.write.write_all(b"there").await.unwrap();
    far.write.write_all(b"back").await.unwrap();

    assert_eq!(reads(&mut far, 5).await.unwrap(), b"there");
    assert_eq!(reads(&mut near, 4).await.unwrap(), b"back");
    assert_eq!(near.peer, "b:1");
    assert_eq!(near.certified, None);
}

#[tokio::test(start_paused = true)]
async fn an_address_has_one_listener_until_that_is_dropped() {
    let net = MemoryNet::new(1);
    let first = net.link("a").listen("x:1").await.unwrap();

    let second = net.link("b").listen("x:1").await.err().unwrap();
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    assert_eq!(second.to_string(), "x:1 is taken, by a");
    assert_eq!(first.address(), "x:1");

    drop(first);
    let again = net.link("b").listen("x:1").await.unwrap();
    assert_eq!(again.address(), "x:1");
}

#[tokio::test(start_paused = true)]
async fn a_connection_to_nobody_is_refused() {
    let net = MemoryNet::new(1);
    let link = net.link("a");

    let never = link.connect("b:1").await.unwrap_err();
    drop(net.link("b").listen("b:1").await.unwrap());
    let gone = link.connect("b:1").await.unwrap_err();

    for error in [never, gone] {
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "nobody listens at b:1");
    }
}

#[tokio::test(start_paused = true)]
async fn those_whom_a_dropped_listener_did_not_take_in_are_reset() {
    let net = MemoryNet::new(1);
    let listener = net.link("b").listen("b:1").await.unwrap();
    let mut near = net.link("a").connect("b:1").await.unwrap();

    drop(listener);

    let error = near.read.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_to_be_taken_in_and_those_after_them_until_there_is_room() {
    let net = MemoryNet::new(1);
    let mut listener = net.link("b").listen("b:1").await.unwrap();
    let link = net.link("a");
    let mut open = Vec::new();
    while let Ok(wire) = timeout(HOUR, link.connect("b:1")).await {
        open.push(wire.unwrap());
    }
    assert_eq!(open.len(), BACKLOG_LEN_MAX);

    let (late, taken) = join!(link.connect("b:1"), listener.accept());

    assert!(late.is_ok() && taken.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_writes_waits_for_room() {
    let (mut near, mut far, _listener) = pair(&MemoryNet::new(1)).await;

    assert_eq!(fills(&mut near).await, ROOM);
    assert_eq!(reads(&mut far, 10).await.unwrap(), [7; 10]);

    assert_eq!(near.write.write(&[7; 1000]).await.unwrap(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_after_what_was_written() {
    let (mut near, far, _listener) = pair(&MemoryNet::new(1)).await;
    let Wire {
        mut read, write, ..
    } = far;
    near.write.write_all(b"last words").await.unwrap();

    drop(near);
    let mut heard = String::new();
    read.read_to_string(&mut heard).await.unwrap();
    drop(write);

    assert_eq!(heard, "last words");
    assert_eq!(read.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_said_leaves_the_way_back_open() {
    let (mut near, mut far, _listener) = pair(&MemoryNet::new(1)).await;

    near.write.shutdown().await.unwrap();
    far.write.write_all(b"still here").await.unwrap();

    assert_eq!(far.read.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(reads(&mut near, 10).await.unwrap(), b"still here");
    let error = near.write.write(b"?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn writing_to_one_who_is_gone_fails_also_for_one_who_waits_for_room() {
    let (mut near, far, _listener) = pair(&MemoryNet::new(1)).await;
    fills(&mut near).await;

    let (waited, ()) = join!(near.write.write(b"?"), async { drop(far) });

    assert_eq!(waited.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_cut_holds_back_what_is_under_way_and_what_is_written_later() {
    let net = MemoryNet::new(1);
    let (mut near, mut far, _listener) = pair(&net).await;
    net.delay("a", "b", ms(50), ms(0));
    near.write.write_all(b"before ").await.unwrap();

    net.cut("a", "b");
    near.write.write_all(b"after").await.unwrap();
    far.write.write_all(b"back").await.unwrap();
    assert_eq!(reads(&mut far, 1).await, None);
    assert_eq!(reads(&mut near, 1).await, None);
    assert_eq!(fills(&mut near).await, ROOM - 12);

    net.heal("a", "b");
    assert_eq!(reads(&mut far, 12).await.unwrap(), b"before after");
    assert_eq!(reads(&mut near, 4).await.unwrap(), b"back");
    assert_eq!(reads(&mut far, ROOM - 12).await.unwrap(), [7; ROOM - 12]);
}

#[tokio::test(start_paused = true)]
async fn a_heal_wakes_who_reads_and_who_writes() {
    let net = MemoryNet::new(1);
    let (mut near, mut far, _listener) = pair(&net).await;
    net.cut("a", "b");
    fills(&mut near).await;

    let heals = async {
        sleep(HOUR).await;
        net.heal("a", "b");
    };
    let reads = async { far.read.read_exact(&mut [0; ROOM]).await.map(|_| ()) };
    let (written, read, ()) = join!(near.write.write_all(b"more"), reads, heals);

    written.unwrap();
    read.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_one_way_cut_leaves_the_other_way_until_nobody_can_tell_what_was_read() {
    let net = MemoryNet::new(1);
    let (mut near, mut far, _listener) = pair(&net).await;

    net.cut_one_way("b", "a");
    near.write.write_all(&[1; ROOM]).await.unwrap();
    far.write.write_all(b"back").await.unwrap();
    assert_eq!(reads(&mut far, ROOM).await.unwrap(), [1; ROOM]);
    assert_eq!(reads(&mut near, 1).await, None);
    assert_eq!(fills(&mut near).await, 0);

    net.heal("a", "b");
    assert_eq!(reads(&mut near, 4).await.unwrap(), b"back");
    near.write.write_all(b"there").await.unwrap();
    assert_eq!(reads(&mut far, 5).await.unwrap(), b"there");
}

#[tokio::test(start_paused = true)]
async fn over_a_cut_nobody_hears_that_the_other_side_is_gone() {
    let net = MemoryNet::new(1);
    let (mut near, far, _listener) = pair(&net).await;
    net.cut("a", "b");
    drop(far);

    assert_eq!(reads(&mut near, 1).await, None);
    assert_eq!(fills(&mut near).await, ROOM);

    net.heal("a", "b");
    assert_eq!(near.read.read(&mut [0]).await.unwrap(), 0);
    let error = near.write.write(b"?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_a_cut_hangs_until_it_is_healed() {
    for one_way in [Some(("a", "b")), Some(("b", "a")), None] {
        let net = MemoryNet::new(1);
        let mut listener = net.link("b").listen("b:1").await.unwrap();
        match one_way {
            Some((from, to)) => net.cut_one_way(from, to),
            None => net.cut("a", "b"),
        }
        let link = net.link("a");
        let mut connecting = link.connect("b:1");
        assert!(timeout(HOUR, &mut connecting).await.is_err());
        // Another node is not concerned.
        let other = net.link("c").connect("b:1").await;
        let taken = listener.accept().await.unwrap();
        assert!(other.is_ok());
        assert_eq!(taken.peer, "c");

        let (opened, ()) = join!(connecting, async { net.heal("a", "b") });

        assert!(opened.is_ok());
        assert_eq!(listener.accept().await.unwrap().peer, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_a_cut_to_one_who_has_gone_hangs_as_well() {
    let net = MemoryNet::new(1);
    drop(net.link("b").listen("b:1").await.unwrap());
    net.cut("a", "b");
    let mut connecting = net.link("a").connect("b:1");
    assert!(timeout(HOUR, &mut connecting).await.is_err());

    net.heal("a", "b");

    let error = connecting.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_of_one_way_and_counts_for_opening_too() {
    let net = MemoryNet::new(1);
    net.delay("a", "b", ms(200), ms(0));
    net.delay("b", "a", ms(30), ms(0));
    let began = Instant::now();
    let (mut near, mut far, _listener) = pair(&net).await;
    assert_eq!(began.elapsed(), ms(230));

    let began = Instant::now();
    near.write.write_all(b"x").await.unwrap();
    far.write.write_all(b"x").await.unwrap();
    reads(&mut near, 1).await.unwrap();
    assert_eq!(began.elapsed(), ms(30));
    reads(&mut far, 1).await.unwrap();
    assert_eq!(began.elapsed(), ms(200));

    // What is under way keeps its moment, and what is written later does not overtake it.
    let began = Instant::now();
    near.write.write_all(b"slow").await.unwrap();
    net.delay("a", "b", ms(0), ms(0));
    near.write.write_all(b"quick").await.unwrap();
    assert_eq!(reads(&mut far, 9).await.unwrap(), b"slowquick");
    assert_eq!(began.elapsed(), ms(200));
}

/// When each of 200 bytes arrives that are written at once.
async fn arrivals(seed: u64) -> Vec<Duration> {
    let net = MemoryNet::new(seed);
    let (mut near, mut far, _listener) = pair(&net).await;
    net.delay("a", "b", ms(10), ms(100));
    let began = Instant::now();
    let mut arrived = Vec::new();
    let writes = async {
        for byte in 0..200 {
            near.write.write_all(&[byte]).await.unwrap();
            sleep(ms(5)).await;
        }
    };
    let reads = async {
        for byte in 0..200 {
            assert_eq!(far.read.read_u8().await.unwrap(), byte);
            arrived.push(began.elapsed());
        }
    };
    join!(writes, reads);
    arrived
}

#[tokio::test(start_paused = true)]
async fn jitter_comes_from_the_seed_within_its_bounds() {
    let first = arrivals(1).await;

    assert_eq!(first, arrivals(1).await);
    assert_ne!(first, arrivals(2).await);
    for (arrived, written) in first.iter().zip((0..).step_by(5).map(ms)) {
        // A timer has milliseconds, rounded up.
        let took = *arrived - written;
        assert!(took >= ms(10) && took <= ms(111), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_is_so_for_both_sides_and_at_once() {
    let net = MemoryNet::new(1);
    let (mut near, mut far, mut listener) = pair(&net).await;
    near.write.write_all(b"lost").await.unwrap();
    net.cut("a", "b");

    net.drop_all("b", "a");

    for wire in [&mut near, &mut far] {
        let read = wire.read.read(&mut [0; 4]).await.unwrap_err();
        let written = wire.write.write(b"?").await.unwrap_err();
        assert_eq!(read.kind(), ErrorKind::ConnectionReset);
        assert_eq!(written.kind(), ErrorKind::ConnectionReset);
    }
    // Only what was open, and only between those two.
    net.heal("a", "b");
    let link = net.link("a");
    let (again, taken) = join!(link.connect("b:1"), listener.accept());
    net.drop_all("a", "c");
    let (mut near, mut far) = (again.unwrap(), taken.unwrap().wire.await.unwrap());
    near.write.write_all(b"well").await.unwrap();
    assert_eq!(reads(&mut far, 4).await.unwrap(), b"well");
}

#[tokio::test(start_paused = true)]
async fn a_break_wakes_who_reads_and_who_writes() {
    let net = MemoryNet::new(1);
    let (mut near, mut far, _listener) = pair(&net).await;
    fills(&mut near).await;

    let (written, read, ()) = join!(
        near.write.write(b"?"),
        // What it would find is held back.
        async {
            net.cut("a", "b");
            far.read.read(&mut [0]).await
        },
        async { net.drop_all("a", "b") }
    );

    assert_eq!(written.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[derive(Debug, Clone)]
enum Trouble {
    Cut,
    CutOneWay(bool),
    Heal,
    Delay(u64, u64),
}

fn troubles() -> impl Strategy<Value = Vec<(u64, Trouble)>> {
    let trouble = prop_oneof![
        Just(Trouble::Cut),
        any::<bool>().prop_map(Trouble::CutOneWay),
        Just(Trouble::Heal),
        (0..300u64, 0..300u64).prop_map(|(latency, jitter)| Trouble::Delay(latency, jitter)),
    ];
    prop::collection::vec((0..200u64, trouble), 0..20)
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_order_whatever_delays_and_healed_cuts(
        seed: u64,
        pieces in prop::collection::vec((0..100u64, 0..50_000usize), 0..20),
        troubles in troubles(),
        read_len in 1..70_000usize,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut sent = vec![0; pieces.iter().map(|(_, len)| len).sum()];
        rng.fill(&mut sent);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();

        let read = runtime.block_on(async {
            let net = MemoryNet::new(seed);
            let (near, mut far, _listener) = pair(&net).await;
            let writes = async {
                let mut near = near;
                let mut rest = sent.as_slice();
                for (pause, len) in pieces {
                    sleep(ms(pause)).await;
                    let (piece, after) = rest.split_at(len);
                    near.write.write_all(piece).await.unwrap();
                    rest = after;
                }
            };
            let troubles = async {
                for (pause, trouble) in troubles {
                    sleep(ms(pause)).await;
                    match trouble {
                        Trouble::Cut => net.cut("a", "b"),
                        Trouble::CutOneWay(true) => net.cut_one_way("a", "b"),
                        Trouble::CutOneWay(false) => net.cut_one_way("b", "a"),
                        Trouble::Heal => net.heal("b", "a"),
                        Trouble::Delay(latency, jitter) => {
                            net.delay("a", "b", ms(latency), ms(jitter));
                        }
                    }
                }
                net.heal("a", "b");
            };
            let reads = async {
                let (mut all, mut piece) = (Vec::new(), vec![0; read_len]);
                loop {
                    match far.read.read(&mut piece).await.unwrap() {
                        0 => return all,
                        len => all.extend_from_slice(&piece[..len]),
                    }
                }
            };
            join!(writes, troubles, reads).2
        });

        prop_assert!(read == sent, "{} bytes of {}", read.len(), sent.len());
    }
}
