//! Many connections, and those who open them: who is let in meanwhile, and what is left of them afterwards.

use std::io::Read;
use std::net::TcpStream;

use tokio::net::TcpSocket;

use crate::http::Web;
use crate::monitoring::{metrics, sample};

const STRANGERS: &str = r#"unitykernel_http_connections{who="stranger"}"#;
const KNOWN: &str = r#"unitykernel_http_connections{who="known"}"#;
const CLOSED: &str = r#"unitykernel_http_connections_closed_total{why="address"}"#;

impl Web {
    fn silent(&self, times: usize) -> Vec<TcpStream> {
        (0..times)
            .map(|_| TcpStream::connect(self.address).unwrap())
            .collect()
    }

    /// A connection from another address of this machine.
    fn connect_elsewhere(&self) -> TcpStream {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let stream = runtime.block_on(socket.connect(self.address)).unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    }

    /// Looks until the numbers of a kernel are as wanted.
    fn until_counted(&self, wanted: &[(&str, f64)]) {
        let mut page = String::new();
        for _ in 0..2_000 {
            page = metrics(&self.rig);
            if wanted
                .iter()
                .all(|(name, value)| sample(&page, name) == Some(*value))
            {
                return;
            }
        }
        panic!("{wanted:?} never came: {page}");
    }
}

#[test]
fn one_who_opens_connections_and_says_nothing_shuts_nobody_out() {
    let web = Web::boot();
    let token = web.token(&["read"]);
    let mut silent = web.silent(3_000);
    web.until_counted(&[(STRANGERS, 512.0), (CLOSED, 2_488.0)]);

    let here = web.as_token(&token, "GET /api/v1/health", "");
    let elsewhere = web.send_over(web.connect_elsewhere(), "GET /livez", &[], "");
    let ready = web.send_over(web.connect_elsewhere(), "GET /readyz", &[], "");

    assert_eq!(
        (here.status, elsewhere.status, ready.status),
        (200, 200, 200)
    );
    assert_eq!(elsewhere.body, "ok\n");
    // The one that came first was closed; the last one waits still.
    assert!(!matches!(silent[0].read(&mut [0]), Ok(1..)));
    let last = web.send_over(silent.pop().unwrap(), "GET /livez", &[], "");
    assert_eq!(last.status, 200);
}

#[test]
fn nothing_is_left_of_those_who_went() {
    let web = Web::boot();
    let token = web.token(&["read"]);
    for round in 0..5 {
        let query = format!("tree=true&events=round.{round}");
        let streams: Vec<_> = (0..200).map(|_| web.follow(&token, &query, None)).collect();
        web.until_counted(&[(KNOWN, 200.0), ("unitykernel_streams", 200.0)]);
        let silent = web.silent(300);
        web.until_counted(&[(KNOWN, 200.0), (STRANGERS, 300.0)]);

        drop((silent, streams));

        web.until_counted(&[
            (KNOWN, 0.0),
            (STRANGERS, 0.0),
            ("unitykernel_streams", 0.0),
            // For who comes back within a minute.
            ("unitykernel_stream_channels", f64::from(round + 1)),
        ]);
    }
}
