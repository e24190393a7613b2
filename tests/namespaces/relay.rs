//! A relay between two nodes: it delays what goes through it, breaks connections, and loses one direction.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How many pieces may be under way in one direction.
const PIECES_MAX: usize = 1_024;
/// How long a piece may be, in bytes.
const PIECE_LEN_MAX: usize = 16 << 10;

/// What is done to what goes through.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fault {
    /// How late it comes, in each direction.
    pub(crate) delay: Duration,
    /// Whether what comes back is lost.
    pub(crate) loses_answers: bool,
    /// Connections of earlier rounds are broken.
    pub(crate) round: u64,
}

pub(crate) struct Relay {
    /// Where it listens.
    pub(crate) address: String,
    fault: watch::Sender<Fault>,
    _runtime: Runtime,
}

impl Relay {
    pub(crate) fn to(address: String) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let (fault, faults) = watch::channel(Fault::default());
        runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (to, faults) = (address.clone(), faults.clone());
                connections.spawn(async move {
                    // A connection that breaks is what this is for.
                    drop(carry(stream, &to, faults).await);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address: here,
            fault,
            _runtime: runtime,
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_modify(|now| {
            *now = Fault {
                round: now.round,
                ..fault
            }
        });
    }

    /// Breaks all connections that there are.
    pub(crate) fn break_all(&self) {
        self.fault.send_modify(|now| now.round += 1);
    }
}

/// Carries both directions of a connection until it ends or is broken.
async fn carry(near: TcpStream, to: &str, mut faults: watch::Receiver<Fault>) -> io::Result<()> {
    let round = faults.borrow().round;
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = direction(near_read, far_write, faults.clone(), |_| false);
    let back = direction(far_read, near_write, faults.clone(), |fault| {
        fault.loses_answers
    });
    tokio::select! {
        done = there => done,
        done = back => done,
        _broken = faults.wait_for(|fault| fault.round != round) => Ok(()),
    }
}

/// Reads at once and writes late: a delay holds up nothing that comes behind.
fn direction(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    faults: watch::Receiver<Fault>,
    loses: impl Fn(&Fault) -> bool,
) -> impl Future<Output = io::Result<()>> {
    let (sender, mut late) = mpsc::channel::<(Instant, Arc<[u8]>)>(PIECES_MAX);
    let reading = async move {
        let mut piece = vec![0; PIECE_LEN_MAX];
        loop {
            let len = read.read(&mut piece).await?;
            let fault = *faults.borrow();
            if len == 0 {
                return io::Result::Ok(());
            }
            let at = Instant::now() + fault.delay;
            if !loses(&fault) && sender.send((at, piece[..len].into())).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((at, piece)) = late.recv().await {
            sleep_until(at).await;
            write.write_all(&piece).await?;
        }
        write.shutdown().await
    };
    async { tokio::try_join!(reading, writing).map(|_| ()) }
}
