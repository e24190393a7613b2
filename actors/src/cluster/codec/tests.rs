//! What frames look like, and what becomes of bytes that are none.
//!
//! `golden/` has one of each, in hex and with its length. `UK_SNAPSHOTS=write` writes those that are missing and never one that
//! is there: a form that is out in the world is not changed.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use proptest::{collection, option};

use super::*;

fn blob(text: &str) -> Blob {
    Blob(text.as_bytes().to_vec())
}

fn labels() -> BTreeMap<String, String> {
    let labels = [("gpu", "true"), ("site", "Łódź")];
    labels.map(|(key, value)| (key.into(), value.into())).into()
}

fn about() -> AboutV1 {
    AboutV1 {
        version: "0.1.0".into(),
        labels: labels(),
        kinds: vec!["log".into(), "sensor.host".into()],
        draining: true,
    }
}

fn fault() -> FaultV1 {
    FaultV1 {
        code: "not_found".into(),
        message: "nothing is at /a/b".into(),
        hint: Some("uk tree".into()),
    }
}

const FENCE: FenceV1 = FenceV1 {
    epoch: 1_795_310_000_000_000,
    number: 300,
};

fn place() -> PlaceV1 {
    PlaceV1 {
        path: "/a/b".into(),
        fence: FENCE,
        lease_ms: 10_000,
        kind: "probe".into(),
        settings: blob(r#"{"token":"${secret:token}"}"#),
        labels: labels(),
        state: Some(blob("state")),
        state_every_ms: Some(60_000),
        start_timeout_ms: Some(5_000),
        shutdown_ms: 5_002,
        stall_after_ms: 70_000,
        abandons: true,
        own_thread: true,
        mailbox: MailboxV1 {
            lanes: [1, 250, 251, 65_536, u64::MAX],
            overflow: 3,
            send_timeout_ms: 5_001,
            retry: 2,
            fairness: 16,
            ttl_ms: Some(30_000),
        },
    }
}

fn calls() -> Vec<(&'static str, CallV1)> {
    vec![
        (
            "call_command",
            CallV1::Command {
                name: "child stop".into(),
                args: blob(r#"{"path":"/a"}"#),
            },
        ),
        (
            "call_resolve",
            CallV1::Resolve {
                path: "/a/b".into(),
            },
        ),
        (
            "call_publish",
            CallV1::Publish {
                line: blob(r#"{"topic":"a.b"}"#),
                from: Some(FENCE),
            },
        ),
        ("call_place", CallV1::Place(Box::new(place()))),
        (
            "call_end",
            CallV1::End {
                fence: FENCE,
                within_ms: Some(5_000),
            },
        ),
        (
            "call_renew",
            CallV1::Renew {
                held: vec![
                    FENCE,
                    FenceV1 {
                        epoch: 1,
                        number: 2,
                    },
                ],
                is_all: true,
            },
        ),
        (
            "call_exited",
            CallV1::Exited {
                fence: FENCE,
                reason: blob(r#""normal""#),
            },
        ),
        (
            "call_keep",
            CallV1::Keep {
                fence: FENCE,
                state: Some(blob("state")),
            },
        ),
    ]
}

/// The first words, as far as nobody is known.
fn greetings() -> Vec<(&'static str, Frame)> {
    let (name, epoch) = ("edge-1".to_owned(), 1_795_310_000_000_000);
    let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8).unwrap());
    let hello = HelloV1 {
        magic: MAGIC,
        name: name.clone(),
        epoch,
        nonce: bytes,
        address: Some("192.0.2.1:7946".into()),
    };
    let challenge = ChallengeV1 {
        name,
        epoch,
        nonce: bytes,
    };
    let proof = ProofV1 {
        proof: bytes,
        about: about(),
    };
    let welcome = WelcomeV1 {
        proof: bytes,
        about: about(),
    };
    let refusal = RefusalV1 {
        code: "wrong_cookie".into(),
        text: "it has another cookie".into(),
    };
    vec![
        ("hello", Frame::Hello(hello)),
        ("challenge", Frame::Challenge(challenge)),
        ("proof", Frame::Proof(proof)),
        ("welcome", Frame::Welcome(welcome)),
        ("refused", Frame::Refused(refusal)),
    ]
}

fn messages() -> Vec<(&'static str, Frame)> {
    let to = TargetV1 {
        epoch: 1_795_310_000_000_000,
        path: "/a/b".into(),
        slot: Some(70_000),
        from: Some(FENCE),
    };
    let (target, body) = (70_001, blob(r#"{"Echo":1}"#));
    vec![
        ("target", Frame::Target { number: target, to }),
        (
            "tell",
            Frame::Tell {
                target,
                body: body.clone(),
            },
        ),
        (
            "ask",
            Frame::Ask {
                id: 7,
                target,
                timeout_ms: 5_000,
                body,
            },
        ),
        (
            "room",
            Frame::Room {
                target,
                bytes: 1 << 33,
            },
        ),
        (
            "lost",
            Frame::Lost {
                target,
                messages: 12,
                fault: fault(),
            },
        ),
    ]
}

fn called(call: CallV1) -> Frame {
    Frame::Call {
        id: 8,
        timeout_ms: 5_000,
        call,
    }
}

/// One of each frame, and of each call in one.
fn samples() -> Vec<(&'static str, Frame)> {
    let mut all = greetings();
    all.extend([
        ("ping", Frame::Ping { number: 251 }),
        (
            "pong",
            Frame::Pong {
                number: 251,
                wall_us: -1,
            },
        ),
    ]);
    all.extend(messages());
    all.extend(calls().into_iter().map(|(name, call)| (name, called(call))));
    let rest = [
        (
            "answer",
            Frame::Answer {
                id: 8,
                answer: Ok(blob("{}")),
            },
        ),
        (
            "answer_fault",
            Frame::Answer {
                id: 8,
                answer: Err(fault()),
            },
        ),
        ("cancel", Frame::Cancel { id: 8 }),
        (
            "tail",
            Frame::Tail {
                id: 9,
                call: CallV1::Command {
                    name: "events tail".into(),
                    args: blob("{}"),
                },
                room: 1_000,
            },
        ),
        (
            "item",
            Frame::Item {
                id: 9,
                body: blob(r#"{"topic":"a.b"}"#),
            },
        ),
        ("more", Frame::More { id: 9, items: 500 }),
        (
            "over",
            Frame::Over {
                id: 9,
                fault: Some(fault()),
            },
        ),
        ("forget", Frame::Forget { number: 70_000 }),
        ("draining", Frame::Draining { draining: true }),
        (
            "bye",
            Frame::Bye {
                why: "it ends".into(),
            },
        ),
        ("labels", Frame::Labels { labels: labels() }),
    ];
    all.extend(rest);
    all
}

fn written(frame: &Frame) -> Vec<u8> {
    let mut buffer = Vec::new();
    encode(frame, &mut buffer).unwrap();
    buffer
}

/// The frame of a buffer that has one and nothing else.
fn heard(buffer: &[u8]) -> Result<Frame, FrameError> {
    let len = length(buffer, FRAME_LEN_MAX)?.unwrap();
    assert_eq!(len, buffer.len() - PREFIX_LEN);
    decode(&buffer[PREFIX_LEN..])
}

fn shape(result: Result<Frame, FrameError>) -> String {
    match result {
        Err(FrameError::Shape(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b'\n').collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    };
    digits.chunks(2).map(byte).collect()
}

#[test]
fn frames_look_as_their_golden_files_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/codec/golden");
    let is_writing = std::env::var("UK_SNAPSHOTS").is_ok_and(|mode| mode == "write");
    let mut names = Vec::new();
    for (name, frame) in samples() {
        let name = format!("{name}.v{VERSION}.hex");
        let file = folder.join(&name);
        let frame_hex = hex(&written(&frame));
        if is_writing && !file.exists() {
            std::fs::write(&file, &frame_hex).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(golden, frame_hex, "{name}: a form is never changed");
        assert_eq!(heard(&bytes(&golden)), Ok(frame), "{name}");
        names.push(name);
    }
    names.sort();

    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, names);
}

/// Numbers of variants are written as one byte here.
#[test]
fn there_is_a_golden_file_of_each_frame_and_call() {
    let number = |buffer: &[u8], at: usize| usize::from(buffer[PREFIX_LEN + 1 + at]);
    let mut frames: Vec<_> = samples()
        .iter()
        .map(|(_, frame)| number(&written(frame), 0))
        .collect();
    frames.sort_unstable();
    frames.dedup();
    let calls: Vec<_> = calls()
        .into_iter()
        .map(|(_, call)| {
            let frame = Frame::Call {
                id: 0,
                timeout_ms: 0,
                call,
            };
            number(&written(&frame), 3)
        })
        .collect();
    assert_eq!(frames, (0..frames.len()).collect::<Vec<_>>());
    assert_eq!(calls, (0..calls.len()).collect::<Vec<_>>());

    // And there is none after them.
    let next = u8::try_from(frames.len()).unwrap();
    let said = shape(decode(&[VERSION, next]));
    assert!(
        said.contains(&format!("invalid value: integer `{next}`")),
        "{said}"
    );
    let call = written(&samples().remove(12).1)[PREFIX_LEN + 1];
    let next = u8::try_from(calls.len()).unwrap();
    let said = shape(decode(&[VERSION, call, 0, 0, next]));
    assert!(
        said.contains(&format!("invalid value: integer `{next}`")),
        "{said}"
    );
}

#[test]
fn a_frame_that_is_cut_short_or_has_more_is_none() {
    for (name, frame) in samples() {
        let mut whole = written(&frame).split_off(PREFIX_LEN);
        for len in 0..whole.len() {
            assert!(decode(&whole[..len]).is_err(), "{name} of {len} bytes");
        }
        whole.push(0);
        assert_eq!(
            shape(decode(&whole)),
            "there is more than it needs",
            "{name}"
        );
    }
    assert_eq!(shape(decode(&[])), "it is empty");
}

#[test]
fn a_frame_of_another_version_says_so() {
    for version in [0, VERSION + 1, u8::MAX] {
        let error = decode(&[version, 5, 0]).unwrap_err();
        assert_eq!(error, FrameError::Version(version));
    }
}

#[test]
fn a_length_is_known_with_its_last_byte_and_checked_at_once() {
    let ping = written(&Frame::Ping { number: 1 });
    for len in 0..PREFIX_LEN {
        assert_eq!(length(&ping[..len], 3), Ok(None));
    }
    assert_eq!(length(&ping[..PREFIX_LEN], 3), Ok(Some(3)));
    let too_long = |len, max| Err(FrameError::TooLong { len, max });
    assert_eq!(length(&ping, 2), too_long(3, 2));
    assert_eq!(
        length(&[0xff; 5], FRAME_LEN_MAX),
        too_long(u32::MAX as usize, FRAME_LEN_MAX)
    );
    assert_eq!(
        length(b"GET / HTTP/1.1", GREETING_LEN_MAX),
        too_long(0x4745_5420, GREETING_LEN_MAX)
    );
}

#[test]
fn what_is_as_long_as_may_be_is_read_and_what_is_longer_is_not_written() {
    let begin = b"before";
    // One of version, frame and target each, and five of the length of the body.
    let longest = FRAME_LEN_MAX - 8;
    for len in [longest - 40, longest - 1, longest, longest + 1] {
        let frame = Frame::Tell {
            target: 1,
            body: Blob(vec![b'x'; len]),
        };
        let mut buffer = begin.to_vec();
        let encoded = encode(&frame, &mut buffer);
        if len > longest {
            let (len, max) = (FRAME_LEN_MAX + 1, FRAME_LEN_MAX);
            assert_eq!(encoded, Err(FrameError::TooLong { len, max }));
            assert_eq!(buffer, begin);
        } else {
            encoded.unwrap();
            assert!(heard(&buffer[begin.len()..]) == Ok(frame), "{len}");
        }
    }
}

#[test]
fn small_things_may_be_as_many_as_there_is_room_for() {
    let fence = FenceV1 {
        epoch: 1,
        number: 1,
    };
    for len in [100, 2_000, 2_000_000] {
        let frame = Frame::Call {
            id: 1,
            timeout_ms: 1,
            call: CallV1::Renew {
                held: vec![fence; len],
                is_all: true,
            },
        };
        assert!(heard(&written(&frame)) == Ok(frame), "{len}");
    }
    let about = AboutV1 {
        kinds: vec![String::new(); 4_000],
        ..AboutV1::default()
    };
    let frame = Frame::Proof(ProofV1 {
        proof: [0; 32],
        about,
    });
    let buffer = written(&frame);
    assert!(buffer.len() - PREFIX_LEN <= GREETING_LEN_MAX);
    assert_eq!(heard(&buffer), Ok(frame));
}

/// As bincode writes a number.
fn varint(number: u64) -> Vec<u8> {
    match number {
        0..=250 => vec![u8::try_from(number).unwrap()],
        251..=0xffff => [&[251][..], &u16::try_from(number).unwrap().to_le_bytes()].concat(),
        0x1_0000..=0xffff_ffff => {
            [&[252][..], &u32::try_from(number).unwrap().to_le_bytes()].concat()
        }
        _ => [&[253][..], &number.to_le_bytes()].concat(),
    }
}

#[test]
fn lengths_within_a_frame_that_lie_are_refused() {
    let empty = Blob::default();
    let keep = |state| CallV1::Keep {
        fence: FENCE,
        state,
    };
    let call = |call| Frame::Call {
        id: 1,
        timeout_ms: 1,
        call,
    };
    let proof = Frame::Proof(ProofV1 {
        proof: [0; 32],
        about: AboutV1::default(),
    });
    // Each frame has a length of zero, so many bytes from its end.
    let rows = [
        (Frame::Bye { why: String::new() }, 1),
        (
            Frame::Tell {
                target: 1,
                body: empty.clone(),
            },
            1,
        ),
        (
            call(CallV1::Renew {
                held: Vec::new(),
                is_all: false,
            }),
            2,
        ),
        (call(keep(Some(empty))), 1),
        (proof.clone(), 2),
        (proof.clone(), 3),
        (proof, 4),
    ];
    for (frame, from_end) in rows {
        let whole = written(&frame).split_off(PREFIX_LEN);
        let (begin, end) = whole.split_at(whole.len() - from_end);
        assert_eq!(end[0], 0);
        let powers = (8..64).map(|bits| 1 << bits);
        for lie in powers.chain([FRAME_LEN_MAX as u64, u64::from(u32::MAX), u64::MAX]) {
            let bytes = [begin, &varint(lie), &end[1..]].concat();
            let said = shape(decode(&bytes));
            let is_ending = said.contains("UnexpectedEnd") || said.contains("LimitExceeded");
            assert!(is_ending, "{frame:?} of {lie}: {said}");
        }
    }
}

fn blobs() -> impl Strategy<Value = Blob> {
    collection::vec(any::<u8>(), 0..300).prop_map(Blob)
}

fn fences() -> impl Strategy<Value = FenceV1> {
    any::<(u64, u64)>().prop_map(|(epoch, number)| FenceV1 { epoch, number })
}

fn maps() -> impl Strategy<Value = BTreeMap<String, String>> {
    collection::btree_map(".{0,20}", ".{0,20}", 0..5)
}

fn faults() -> impl Strategy<Value = FaultV1> {
    (".{0,20}", ".{0,80}", option::of(".{0,80}")).prop_map(|(code, message, hint)| FaultV1 {
        code,
        message,
        hint,
    })
}

fn abouts() -> impl Strategy<Value = AboutV1> {
    let kinds = collection::vec(".{0,20}", 0..10);
    (".{0,10}", maps(), kinds, any::<bool>()).prop_map(|(version, labels, kinds, draining)| {
        AboutV1 {
            version,
            labels,
            kinds,
            draining,
        }
    })
}

fn places() -> impl Strategy<Value = PlaceV1> {
    let times: [_; 3] = std::array::from_fn(|_| option::of(any::<u64>()));
    let mailbox = (
        any::<([u64; 5], u8, u64, u32, u32)>(),
        option::of(any::<u64>()),
    )
        .prop_map(
            |((lanes, overflow, send_timeout_ms, retry, fairness), ttl_ms)| MailboxV1 {
                lanes,
                overflow,
                send_timeout_ms,
                retry,
                fairness,
                ttl_ms,
            },
        );
    (
        (".{0,40}", ".{0,20}", fences(), maps()),
        (blobs(), option::of(blobs()), mailbox),
        (times, any::<(u64, u64, u64, bool, bool)>()),
    )
        .prop_map(
            |((path, kind, fence, labels), (settings, state, mailbox), (times, rest))| {
                let [state_every_ms, start_timeout_ms, _] = times;
                let (lease_ms, shutdown_ms, stall_after_ms, abandons, own_thread) = rest;
                PlaceV1 {
                    path,
                    fence,
                    lease_ms,
                    kind,
                    settings,
                    labels,
                    state,
                    state_every_ms,
                    start_timeout_ms,
                    shutdown_ms,
                    stall_after_ms,
                    abandons,
                    own_thread,
                    mailbox,
                }
            },
        )
}

fn any_call() -> impl Strategy<Value = CallV1> {
    let time = || option::of(any::<u64>());
    prop_oneof![
        (".{0,20}", blobs()).prop_map(|(name, args)| CallV1::Command { name, args }),
        ".{0,40}".prop_map(|path| CallV1::Resolve { path }),
        (blobs(), option::of(fences())).prop_map(|(line, from)| CallV1::Publish { line, from }),
        places().prop_map(|place| CallV1::Place(Box::new(place))),
        (fences(), time()).prop_map(|(fence, within_ms)| CallV1::End { fence, within_ms }),
        (collection::vec(fences(), 0..50), any::<bool>())
            .prop_map(|(held, is_all)| CallV1::Renew { held, is_all }),
        (fences(), blobs()).prop_map(|(fence, reason)| CallV1::Exited { fence, reason }),
        (fences(), option::of(blobs())).prop_map(|(fence, state)| CallV1::Keep { fence, state }),
    ]
}

fn any_greeting() -> impl Strategy<Value = Frame> {
    let who = || (".{0,40}", any::<(u64, [u8; 32])>());
    prop_oneof![
        (any::<[u8; 8]>(), who(), option::of(".{0,40}")).prop_map(|(magic, who, address)| {
            let (name, (epoch, nonce)) = who;
            Frame::Hello(HelloV1 {
                magic,
                name,
                epoch,
                nonce,
                address,
            })
        }),
        who().prop_map(|(name, (epoch, nonce))| Frame::Challenge(ChallengeV1 {
            name,
            epoch,
            nonce
        })),
        (any::<[u8; 32]>(), abouts())
            .prop_map(|(proof, about)| Frame::Proof(ProofV1 { proof, about })),
        (any::<[u8; 32]>(), abouts())
            .prop_map(|(proof, about)| Frame::Welcome(WelcomeV1 { proof, about })),
        (".{0,20}", ".{0,80}").prop_map(|(code, text)| Frame::Refused(RefusalV1 { code, text })),
    ]
}

fn any_message() -> impl Strategy<Value = Frame> {
    let to = (
        any::<u64>(),
        ".{0,40}",
        option::of(any::<u64>()),
        option::of(fences()),
    );
    prop_oneof![
        (any::<u32>(), to).prop_map(|(number, (epoch, path, slot, from))| {
            let to = TargetV1 {
                epoch,
                path,
                slot,
                from,
            };
            Frame::Target { number, to }
        }),
        (any::<u32>(), blobs()).prop_map(|(target, body)| Frame::Tell { target, body }),
        (any::<(u64, u32, u64)>(), blobs()).prop_map(|((id, target, timeout_ms), body)| {
            Frame::Ask {
                id,
                target,
                timeout_ms,
                body,
            }
        }),
        any::<(u32, u64)>().prop_map(|(target, bytes)| Frame::Room { target, bytes }),
        any::<u32>().prop_map(|number| Frame::Forget { number }),
        any::<bool>().prop_map(|draining| Frame::Draining { draining }),
        maps().prop_map(|labels| Frame::Labels { labels }),
        (any::<(u32, u64)>(), faults()).prop_map(|((target, messages), fault)| Frame::Lost {
            target,
            messages,
            fault,
        }),
    ]
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let answer = prop_oneof![blobs().prop_map(Ok), faults().prop_map(Err)];
    prop_oneof![
        5 => any_greeting(),
        5 => any_message(),
        1 => any::<u64>().prop_map(|number| Frame::Ping { number }),
        1 => any::<(u64, i64)>().prop_map(|(number, wall_us)| Frame::Pong { number, wall_us }),
        9 => (any::<(u64, u64)>(), any_call()).prop_map(|((id, timeout_ms), call)| Frame::Call {
            id,
            timeout_ms,
            call,
        }),
        2 => (any::<u64>(), answer).prop_map(|(id, answer)| Frame::Answer { id, answer }),
        1 => any::<u64>().prop_map(|id| Frame::Cancel { id }),
        1 => (any::<(u64, u32)>(), any_call())
            .prop_map(|((id, room), call)| Frame::Tail { id, call, room }),
        1 => (any::<u64>(), blobs()).prop_map(|(id, body)| Frame::Item { id, body }),
        1 => any::<(u64, u32)>().prop_map(|(id, items)| Frame::More { id, items }),
        1 => (any::<u64>(), option::of(faults())).prop_map(|(id, fault)| Frame::Over { id, fault }),
        1 => ".{0,80}".prop_map(|why| Frame::Bye { why }),
    ]
}

/// What is read of `bytes`, if it is a frame, is written as no more than they are, and read as the same.
fn check_bytes(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(frame) = decode(bytes) {
        let again = written(&frame);
        prop_assert!(again.len() <= bytes.len() + PREFIX_LEN);
        prop_assert_eq!(heard(&again), Ok(frame));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_frame_is_read_as_it_was_written(frame in any_frame(), before in blobs()) {
        let mut buffer = before.0.clone();
        encode(&frame, &mut buffer).unwrap();

        let (kept, written) = buffer.split_at(before.0.len());
        prop_assert_eq!(kept, before.0);
        prop_assert_eq!(heard(written), Ok(frame));
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(
        variant in 0..25_u8,
        bytes in collection::vec(any::<u8>(), 0..300),
    ) {
        check_bytes(&bytes)?;
        check_bytes(&[&[VERSION, variant], &*bytes].concat())?;
        for max in [GREETING_LEN_MAX, FRAME_LEN_MAX] {
            let len = length(&bytes, max);
            prop_assert!(!matches!(len, Ok(Some(len)) if len > max));
        }
    }

    #[test]
    fn a_frame_with_other_bytes_in_it_is_a_frame_or_an_error(
        frame in any_frame(),
        others in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = written(&frame).split_off(PREFIX_LEN);
        for (at, byte) in others {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check_bytes(&bytes)?;
    }

    #[test]
    fn what_is_packed_is_read_again(held in collection::vec(fences(), 0..50)) {
        let packed = pack(&held).unwrap();
        prop_assert_eq!(read::<Vec<FenceV1>>(&packed.0), Ok(held));
    }
}
