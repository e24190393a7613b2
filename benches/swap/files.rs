//! From a saved tree file, and from a crash, to what is in force: in a tree of 1,000 children, by the way that `uk run` has.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use unity_kernel::boot::{BootOptions, RunningKernel, boot};
use unity_kernel::settings::keeper::{Act, Ask, Target};
use unity_kernel::settings::service::{self, Room};
use unity_kernel::settings::source::Source;
use unity_supervisors::{ActorPath, ChildId, Kernel, Mode};

use super::Sorted;
use super::subject::{self, KIND, SensorMessage, Sights};
use super::verdict::report;

const CHILDREN: u64 = 1_000;
const ROUNDS: u64 = 200;
const ROLLBACKS: u64 = 100;
const LIMIT: Duration = Duration::from_millis(100);
/// How long changes by hand are made without a pause.
const SETS_FOR: Duration = Duration::from_secs(3);
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How soon it is seen that a version is on the disk.
const LOOK: Duration = Duration::from_millis(1);

pub(super) fn run() -> Result<bool> {
    let folder = std::env::temp_dir().join(format!("uk-swap-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let held = in_folder(&folder);
    std::fs::remove_dir_all(&folder)?;
    held
}

fn in_folder(folder: &Path) -> Result<bool> {
    let mut bench = Bench::boot(folder)?;
    let running = bench.running.take().context("it is booted")?;
    let held = running.block_on(bench.measure());
    running.shutdown();
    held
}

/// A tree file, and the kernel that goes by it.
struct Bench {
    running: Option<RunningKernel>,
    kernel: Kernel,
    room: Arc<Room>,
    sights: Arc<Sights>,
    file: PathBuf,
    /// What the file says, child by child.
    values: Vec<u64>,
    /// The last value that was given away: no two changes have the same.
    last: u64,
}

impl Bench {
    fn boot(folder: &Path) -> Result<Self> {
        let file = folder.join("tree.yaml");
        let values: Vec<u64> = (0..CHILDREN).collect();
        std::fs::write(&file, text(&values)?)?;
        let kinds = subject::kinds(unity_actors::kinds());
        let source = Source::File(file.clone());
        let reading = source.read(&kinds).context("it has a text")?;
        let faults = reading.checked.render(false);
        let base = reading.base.ok_or_else(|| anyhow!(faults))?;
        let running = boot(BootOptions {
            source: Some((source, base.clone(), reading.tried)),
            kinds,
            socket: Some(folder.join("uk.sock")),
            data_dir: Some(folder.join("data")),
            ..BootOptions::new(base.tree)
        })?;
        ensure!(running.booted() == Mode::Normal, "its tree did not come up");
        let kernel = running.kernel().clone();
        Ok(Self {
            room: kernel.shared(),
            sights: subject::sights(&kernel),
            running: Some(running),
            kernel,
            file,
            values,
            last: CHILDREN,
        })
    }

    async fn measure(&mut self) -> Result<bool> {
        self.is_on_disk(1).await?;
        report(&format!(
            "| in a tree of {CHILDREN} children | median | p99 | worst | limit of p99 |\n|---|---|---|---|---|"
        ));
        let (mut in_force, mut on_disk) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let (saved, number) = (Instant::now(), self.room.status().number);
            let value = self.save(round * 37)?;
            let seen = self.sights.of(value).await?;
            self.is_on_disk(number + 1).await?;
            on_disk.push(saved.elapsed());
            in_force.push(seen - saved);
            self.answers(round * 37, value).await?;
        }
        let mut holds = Sorted::new(in_force).row(
            "file saved → in force, 50 ms of it the debounce",
            Some(LIMIT),
        );
        Sorted::new(on_disk).row("file saved → its version on disk", None);
        self.parts().await?;
        holds &= self.crashes().await?;
        holds &= self.by_hand().await?;
        self.sets().await?;
        Ok(holds)
    }

    /// Where the time goes: the parts that can be done by themselves.
    async fn parts(&self) -> Result<()> {
        let (mut read, mut plan, mut reload) = (Vec::new(), Vec::new(), Vec::new());
        let source = Source::File(self.file.clone());
        for round in 0..ROUNDS {
            let since = Instant::now();
            let reading = source.read(self.kernel.kinds()).and_then(|it| it.base);
            read.push(since.elapsed());
            let as_it_is = reading.context("the file is good")?.tree.root;
            let mut other = as_it_is.clone();
            let child = other.children.get_mut(usize::try_from(round)?);
            let worker = child.and_then(|child| Arc::make_mut(child).as_worker_mut());
            worker.context("it has so many")?.settings = json!({ "value": 0 });
            let since = Instant::now();
            let planned = self.kernel.plan(&other)?;
            plan.push(since.elapsed());
            ensure!(planned.len() == 1, "one child differs");
            let since = Instant::now();
            self.kernel.reload(other).await?;
            reload.push(since.elapsed());
            self.kernel.reload(as_it_is).await?;
        }
        Sorted::new(read).row("– of it reading the file", None);
        Sorted::new(plan).row("– of it the plan", None);
        Sorted::new(reload).row("– of it plan, vote and commit", None);
        Ok(())
    }

    /// A saved change crashes its child on probation: the former settings come back by themselves.
    async fn crashes(&mut self) -> Result<bool> {
        let mut back = Vec::new();
        for round in 0..ROLLBACKS {
            let before = self.change(round).await?;
            let number = self.room.status().number;
            let sensor = self.kernel.address(&path(round)?);
            let sensor = sensor.context("it is a sensor")?;
            let since = Instant::now();
            sensor.tell(SensorMessage::Crash).await?;
            self.answers(round, before).await?;
            back.push(since.elapsed());
            self.is_on_disk(number + 1).await?;
            self.put(round, before);
        }
        Ok(Sorted::new(back).row(
            "crash on probation → runs with its former settings",
            Some(LIMIT),
        ))
    }

    /// Somebody takes a saved change back.
    async fn by_hand(&mut self) -> Result<bool> {
        let mut back = Vec::new();
        for round in 0..ROLLBACKS {
            let before = self.change(ROLLBACKS + round).await?;
            let since = Instant::now();
            let (asked, seen) =
                tokio::join!(self.ask(Act::Rollback { to: None }), self.sights.of(before));
            asked?;
            back.push(seen? - since);
            self.answers(ROLLBACKS + round, before).await?;
            self.put(ROLLBACKS + round, before);
        }
        Ok(Sorted::new(back).row("`uk config rollback` → in force", Some(LIMIT)))
    }

    /// How many changes by hand one after the other are made in a second, each written down.
    async fn sets(&self) -> Result<()> {
        let since = Instant::now();
        let mut sets = 0_u32;
        while since.elapsed() < SETS_FOR {
            sets += 1;
            let settings = json!({ "value": u64::MAX - u64::from(sets) });
            let Value::Object(settings) = settings else {
                bail!("settings are a mapping");
            };
            let path = path(CHILDREN - 1)?;
            let to = Target::Unsaved;
            let done = self.ask(Act::Set { path, settings, to }).await?;
            let is_applied = done.get("done").and_then(Value::as_str) == Some("applied");
            ensure!(is_applied, "it is applied: {done}");
        }
        let rate = f64::from(sets) / since.elapsed().as_secs_f64();
        report(&format!(
            "\n`uk config set` one after the other, each written to the history on disk: {rate:.0} a second\n"
        ));
        Ok(())
    }

    async fn ask(&self, act: Act) -> Result<Value> {
        let ask = Ask {
            act,
            dry_run: false,
            by: "the bench".to_owned(),
        };
        let done = service::ask(&self.kernel, ask).await;
        done.map_err(|error| anyhow!(error.message))
    }

    /// Saves a change of one child and waits until it is in force and written down; what it had before.
    async fn change(&mut self, child: u64) -> Result<u64> {
        let number = self.room.status().number;
        let before = self.values.get(usize::try_from(child % CHILDREN)?).copied();
        let value = self.save(child)?;
        self.sights.of(value).await?;
        self.is_on_disk(number + 1).await?;
        before.context("there is such a child")
    }

    fn put(&mut self, child: u64, value: u64) {
        let child = usize::try_from(child % CHILDREN).ok();
        if let Some(of) = child.and_then(|child| self.values.get_mut(child)) {
            *of = value;
        }
    }

    /// Gives one child a new value in the file, as editors save: beside it, then in its place.
    fn save(&mut self, child: u64) -> Result<u64> {
        self.last += 1;
        self.put(child, self.last);
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, text(&self.values)?)?;
        std::fs::rename(&beside, &self.file)?;
        Ok(self.last)
    }

    /// Waits until a version is written down.
    async fn is_on_disk(&self, number: u64) -> Result<()> {
        let since = Instant::now();
        while self.room.status().number < number {
            ensure!(
                since.elapsed() < ANSWERS_WITHIN,
                "there is no version {number}"
            );
            sleep(LOOK).await;
        }
        let troubles = self.room.status().troubles;
        let of_disk = troubles
            .iter()
            .find(|trouble| trouble.what.contains("disk"));
        ensure!(of_disk.is_none(), "the history is on disk: {of_disk:?}");
        Ok(())
    }

    /// Asks the actor itself which settings it goes by.
    async fn answers(&self, child: u64, value: u64) -> Result<()> {
        let path = path(child)?;
        let sensor = self.kernel.address(&path).context("it is a sensor")?;
        let has = sensor.ask(ANSWERS_WITHIN, SensorMessage::Value).await?;
        ensure!(has == value, "{path} goes by {has}, not by {value}");
        Ok(())
    }
}

fn path(child: u64) -> Result<ActorPath> {
    let id = ChildId::new(format!("s{}", child % CHILDREN))?;
    Ok(ActorPath::root().child(&id))
}

fn text(values: &[u64]) -> Result<String> {
    let mut text = "version: 1\nname: swap\ntree:\n  children:\n".to_owned();
    for (number, value) in values.iter().enumerate() {
        writeln!(
            text,
            "    - {{ id: s{number}, kind: {KIND}, settings: {{ value: {value} }} }}"
        )?;
    }
    Ok(text)
}
