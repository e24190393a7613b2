use futures_util::future::join;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use unity_supervisors::spec::{SupervisorSpec, TreeSpec};
use unity_supervisors::{KernelConfig, Kinds, Runtimes};

use super::*;
use crate::http::door::Peer;
use crate::http::listener::connection;

async fn kernel() -> Kernel {
    let tree = TreeSpec {
        name: "rig".to_owned(),
        test: true,
        root: SupervisorSpec::default(),
    };
    let config = KernelConfig::new(Runtimes::current(), Kinds::new(), 1);
    Kernel::start(config, tree).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_here_counts_as_what_is_asked_over_http() {
    let kernel = kernel().await;
    let who = Arc::new(Who::user(0));
    let door = Door::new(&kernel, ([127, 0, 0, 1], 1).into(), false);
    let bridge = Bridge::new(
        kernel.clone(),
        Arc::clone(&who),
        Some(Arc::clone(&door)),
        Counted::new(kernel.shared::<Bridges>()).unwrap(),
    );
    let tell = async || {
        let args = json!({ "path": "/nobody", "message": {} });
        let args = args.as_object().cloned().unwrap();
        let told = bridge.command(&["tell"], args, ("path", "told")).await;
        told.err().unwrap().to_string()
    };
    assert!(tell().await.contains("/nobody"));

    while door.count(&who).is_ok() {}

    assert!(tell().await.contains("too many requests"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(tell().await.contains("/nobody"));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_pings_is_taken_for_gone() {
    let kernel = kernel().await;
    let router = routes(&kernel).layer(Extension(Arc::new(Who::user(0))));
    let (mut client, server) = duplex(1_024);
    let served = connection(server, Peer::alone(), None, router);
    let began = Instant::now();
    let reads = async {
        client
            .write_all(
                b"GET /api/v1/bridge HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .await
            .unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        said
    };

    let (served, said) = join(served, reads).await;

    served.unwrap();
    let pings = said.ends_with(&[0x89, 0, 0x89, 0, 0x89, 0, 0x89, 0]);
    assert!(
        pings && began.elapsed() == 4 * PING,
        "{said:?} {:?}",
        began.elapsed()
    );
    let bridges = kernel.shared::<Bridges>();
    assert_eq!(bridges.open.load(Ordering::Acquire), 0);
}
