use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::time::timeout;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// How much fits into the connection itself.
const ROOM: usize = 1 << 10;

/// A connection under a weather of its own, and its other end.
fn connection() -> (WireRead, WireWrite, DuplexStream, Arc<Weather>) {
    let (near, far) = duplex(ROOM);
    let (read, write) = split(near);
    let weather = Arc::default();
    let (read, write) = shelter(Box::new(read), Box::new(write), &weather);
    (read, write, far, weather)
}

async fn is_silent(read: &mut (impl AsyncRead + Unpin)) -> bool {
    timeout(HOUR, read.read_u8()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_cut_holds_back_what_it_names_until_it_is_healed_and_loses_nothing() {
    for (trouble, passes_in, passes_out) in [
        (Trouble::Cut, false, false),
        (Trouble::CutInbound, false, true),
        (Trouble::CutOutbound, true, false),
    ] {
        let (mut read, mut write, mut far, weather) = connection();
        let undo = weather.trouble(trouble);
        far.write_all(b"in").await.unwrap();
        let written = timeout(HOUR, write.write_all(b"out")).await;
        assert_eq!(written.is_ok(), passes_out, "{trouble:?}");
        assert_eq!(!is_silent(&mut read).await, passes_in, "{trouble:?}");
        assert_eq!(!is_silent(&mut far).await, passes_out, "{trouble:?}");

        drop(undo);

        let begun = Instant::now();
        let mut rest = vec![0; if passes_in { 1 } else { 2 }];
        read.read_exact(&mut rest).await.unwrap();
        assert_eq!(rest, if passes_in { &b"n"[..] } else { b"in" });
        write.write_all(b"!").await.unwrap();
        let mut last = vec![0; if passes_out { 3 } else { 1 }];
        far.read_exact(&mut last).await.unwrap();
        assert_eq!(last.last(), Some(&b'!'));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_at_a_cut_is_woken_when_it_heals() {
    let (mut read, _write, mut far, weather) = connection();
    let undo = weather.trouble(Trouble::Cut);
    far.write_all(b"x").await.unwrap();

    let heals = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(undo);
        Instant::now()
    };
    let reads = async {
        read.read_u8().await.unwrap();
        Instant::now()
    };
    let (healed, got) = tokio::join!(heals, reads);

    assert_eq!(healed, got);
}

#[tokio::test(start_paused = true)]
async fn of_two_cuts_both_have_to_heal() {
    let (mut read, _write, mut far, weather) = connection();
    let (one, two) = (
        weather.trouble(Trouble::Cut),
        weather.trouble(Trouble::CutInbound),
    );
    far.write_all(b"x").await.unwrap();

    drop(one);
    assert!(is_silent(&mut read).await);
    drop(two);

    assert_eq!(read.read_u8().await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_delays_each_way_keeps_the_order_and_does_not_add_up() {
    let (mut read, mut write, mut far, weather) = connection();
    let by = Duration::from_millis(200);
    let _slow = weather.trouble(Trouble::Slow(by));
    let begun = Instant::now();
    let step = Duration::from_millis(50);

    let writes = async {
        for byte in 0..10 {
            write.write_u8(byte).await.unwrap();
            // It is flushed by and by, as a session does.
            drop(timeout(step, write.flush()).await);
            tokio::time::sleep_until(begun + step * (u32::from(byte) + 1)).await;
        }
        write.flush().await.unwrap();
    };
    let reads = async {
        for byte in 0..10 {
            assert_eq!(far.read_u8().await.unwrap(), byte);
            assert_eq!(begun.elapsed(), by + step * u32::from(byte), "{byte}");
        }
        far.write_u8(7).await.unwrap();
        let sent = Instant::now();
        assert_eq!(read.read_u8().await.unwrap(), 7);
        assert_eq!(sent.elapsed(), by);
    };
    // What is read is under way from the moment on at which it is there for whoever reads.
    tokio::join!(writes, reads);
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_that_heals_brings_all_at_once() {
    let (mut read, mut write, mut far, weather) = connection();
    let slow = weather.trouble(Trouble::Slow(HOUR));
    far.write_all(b"in").await.unwrap();
    write.write_all(b"out").await.unwrap();
    assert!(timeout(HOUR / 2, read.read_u8()).await.is_err());

    drop(slow);
    let begun = Instant::now();
    write.flush().await.unwrap();
    let mut got = [0; 3];
    far.read_exact(&mut got).await.unwrap();
    read.read_exact(&mut got[..2]).await.unwrap();

    assert_eq!(&got, b"int");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_bounded_both_ways() {
    let (mut read, mut write, mut far, weather) = connection();
    let _slow = weather.trouble(Trouble::Slow(HOUR * 100));

    let mut out = 0;
    while let Ok(written) = timeout(HOUR, write.write(&[1; 4096])).await {
        out += written.unwrap();
    }
    let mut taken = 0;
    let reads = async { read.read_u8().await.is_ok() };
    let writes = async {
        while let Ok(written) = timeout(Duration::from_secs(1), far.write(&[1; 512])).await {
            taken += written.unwrap();
        }
    };
    tokio::select! {
        biased;
        _ = reads => panic!("it is too early"),
        () = writes => {}
    }

    assert_eq!(out, LINE_LEN_MAX);
    assert!(
        (LINE_LEN_MAX..LINE_LEN_MAX + CHUNK_LEN + ROOM).contains(&taken),
        "{taken}"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_of_an_end_while_nothing_goes_out() {
    for (trouble, hears) in [(Trouble::Cut, false), (Trouble::CutInbound, true)] {
        let (read, write, mut far, weather) = connection();
        let undo = weather.trouble(trouble);

        drop((read, write));

        let ended = timeout(HOUR, far.read(&mut [0; 8])).await;
        assert_eq!(ended.is_ok(), hears, "{trouble:?}");
        drop(undo);
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

#[test]
fn no_more_is_kept_open_than_there_is_room_for() {
    let weather: Arc<Weather> = Arc::default();
    let _undo = weather.trouble(Trouble::Cut);
    let token = Arc::new(());

    for _ in 0..KEPT_MAX * 3 {
        weather.keep(Arc::clone(&token));
    }

    assert_eq!(Arc::strong_count(&token), KEPT_MAX + 1);
}

#[test]
fn weather_that_nobody_has_a_use_for_is_forgotten() {
    let all = Weathers::default();
    drop(all.of("a"));
    let b = all.of("b");

    assert!(all.known("a").is_none());
    assert!(Arc::ptr_eq(&b, &all.of("b")));
    assert_eq!(all.0.lock().len(), 1);
}
