//! Any bytes from another node: no panic, and what is a frame is written again as no more than it was, and read as the same.

use unity_actors::cluster::codec::{
    FRAME_LEN_MAX, Frame, GREETING_LEN_MAX, PREFIX_LEN, decode, encode, length,
};

/// Reads `data` as a frame with its length, and as one without.
pub(crate) fn run(data: &[u8]) {
    let known = length(data, FRAME_LEN_MAX);
    assert_eq!(data.len() < PREFIX_LEN, known == Ok(None));
    if let Ok(Some(len)) = length(data, GREETING_LEN_MAX) {
        assert!(len <= GREETING_LEN_MAX);
        assert_eq!(known, Ok(Some(len)));
    }
    check(data);
    if let Some(rest) = data.get(PREFIX_LEN..) {
        check(rest);
    }
}

fn check(bytes: &[u8]) {
    let Ok(frame) = decode(bytes) else {
        return;
    };
    let mut written = Vec::new();
    encode(&frame, &mut written).expect("what was read is no longer than it may be");
    let len = length(&written, FRAME_LEN_MAX).expect("it is as long as it was or shorter");
    assert_eq!(len, Some(written.len() - PREFIX_LEN));
    assert!(written.len() <= bytes.len() + PREFIX_LEN);
    let again = written.get(PREFIX_LEN..).map(decode);
    assert!(again == Some(Ok::<Frame, _>(frame)));
}
