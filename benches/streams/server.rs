//! A Redis of our own, beside which we measure: on a socket in a folder, with its append-only file synced always.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A server that ends with this.
pub(crate) struct Server {
    process: Child,
    pub(crate) connection: redis::Connection,
}

impl Server {
    /// Starts one; none if it is not installed.
    pub(crate) fn start(folder: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        let socket = folder.join("redis.sock");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--dir"])
            .arg(folder)
            .arg("--unixsocket")
            .arg(&socket)
            .stdout(Stdio::null());
        let mut process = match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let client = redis::Client::open(format!("redis+unix://{}", socket.display()))?;
        loop {
            match client.get_connection() {
                Ok(connection) => {
                    return Ok(Some(Self {
                        process,
                        connection,
                    }));
                }
                Err(_) if process.try_wait()?.is_none() => std::thread::yield_now(),
                Err(error) => bail!("redis-server ended: {error}"),
            }
        }
    }

    /// Adds `count` entries with `data`, a hundred in each pipeline.
    pub(crate) fn add(&mut self, count: usize, data: &str) -> Result<()> {
        for _ in 0..count / 100 {
            let mut pipeline = redis::pipe();
            for _ in 0..100 {
                let add = pipeline.cmd("XADD").arg("s").arg("*");
                add.arg("topic").arg("a.b").arg("data").arg(data).ignore();
            }
            pipeline.exec(&mut self.connection)?;
        }
        Ok(())
    }

    /// Reads all that there is, a hundred at a time; how many.
    pub(crate) fn read(&mut self) -> Result<usize> {
        let mut last = "0".to_owned();
        let mut count = 0;
        loop {
            let mut read = redis::cmd("XREAD");
            let read = read
                .arg("COUNT")
                .arg(100)
                .arg("STREAMS")
                .arg("s")
                .arg(&last);
            // Streams, each its name and its entries; an entry is its id, and names and values.
            type Entries = Vec<(String, Vec<(String, Vec<String>)>)>;
            let streams: Option<Entries> = read.query(&mut self.connection)?;
            let Some((_, entries)) = streams.and_then(|streams| streams.into_iter().next()) else {
                return Ok(count);
            };
            count += entries.len();
            last = entries.into_iter().last().context("there are some")?.0;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that is needed any more.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
