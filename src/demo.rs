//! `uk demo`: a rescue robot in a storm, told in a minute to somebody who has never seen a kernel.
//!
//! The robot is a tree like any other, booted in this process; the storm is a chaos plan. What is said at the end is computed
//! from the report of that run and from what the kernel counted.

mod robot;
mod scene;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use unity_actors::chaos::plan::Plan;
use unity_actors::chaos::report::Report;
use unity_actors::chaos::run::Order;
use unity_actors::chaos::runs::Wish;
use unity_actors::chaos::service::STRUCK;
use unity_supervisors::bus::Pattern;
use unity_supervisors::ladder::LadderDid;
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{ChildKind, TreeSpec, lay_over};
use unity_supervisors::{ActorPath, Kernel, Kinds};

use self::scene::Scene;
pub(crate) use self::scene::last_lines;
use crate::boot::{BootOptions, RunningKernel, boot};
use crate::commands::chaos::begin;
use crate::error::{Code, CommandError};
use crate::kind_check::KnownKinds;
use crate::tree_file::{Limits, Sources, load_text, read_file};
use crate::watch::{Interrupts, watch};

const TREE: &str = include_str!("demo/tree.yaml");
const STORM: &str = include_str!("demo/storm.json");
const MAPPER: &str = include_str!("demo/mapper.py");
/// How long the storm is as its plan has it.
const LONG: Duration = Duration::from_secs(40);
/// How long the models may take to be large again.
const RETURNS_WITHIN: Duration = Duration::from_secs(5);

/// How the demo is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show<'a> {
    /// How long it takes, but for what comes before and after.
    pub(crate) takes: Duration,
    /// What chance begins with.
    pub(crate) seed: u64,
    /// Whether the tree is drawn.
    pub(crate) draws: bool,
    /// Whether lines are said as things happen, where it is not.
    pub(crate) tells: bool,
    /// Who hears of Ctrl-C.
    pub(crate) interrupts: Option<&'a Interrupts>,
}

/// Plays the demo, and returns what came of it as a document.
///
/// # Errors
/// [`CommandError`] if the robot cannot be booted.
pub(crate) fn play(show: Show<'_>) -> Result<(Report, Value), CommandError> {
    let folder = Folder::new()?;
    let scene = Arc::new(Scene::new(show.seed, show.tells && !show.draws));
    let running = robot(&folder, show.seed, &scene)?;
    let kernel = running.kernel().clone();
    let seen = Notify::new();
    let (report, returned) = running.block_on(async {
        kernel.booted().await;
        let play = async {
            let report = storm_passes(&kernel, &scene, &show, &seen).await?;
            let returned = models_return(&kernel, &scene).await;
            Ok::<_, CommandError>((report, returned))
        };
        let mut play = std::pin::pin!(play);
        let looks = async {
            if !show.draws {
                return crate::watch::interrupted(show.interrupts).await;
            }
            let draw = |screen| {
                let frame = scene.draw(&kernel, screen);
                async move { Ok(frame) }
            };
            watch(false, show.interrupts, draw).await
        };
        tokio::select! {
            biased;
            played = &mut play => played,
            looked = looks => {
                looked?;
                // Whoever looks away in the middle has seen enough.
                seen.notify_one();
                play.await
            }
        }
    })?;
    let end = scene.end(&kernel, &report, returned);
    running.shutdown();
    Ok((report, end))
}

/// Has the storm pass, until somebody has seen enough.
async fn storm_passes(
    kernel: &Kernel,
    scene: &Arc<Scene>,
    show: &Show<'_>,
    seen: &Notify,
) -> Result<Report, CommandError> {
    scene.say("The robot is up. Something begins to shake the building.");
    let struck = Pattern::new(STRUCK)?;
    kernel.bus().subscribe(&struck, scene.clone());
    let wish = Wish {
        plan: storm(show.takes)?,
        seed: show.seed,
        above: false,
        source: None,
    };
    let (chaos, run) = begin(kernel, wish).await?;
    let mut ended = std::pin::pin!(chaos.ended(&run));
    let report = tokio::select! {
        biased;
        report = &mut ended => report,
        () = seen.notified() => {
            // In order: what lasts is undone.
            chaos.order(Order::Stop);
            ended.await
        }
    };
    report.ok_or_else(|| CommandError::new(Code::Failed, "the storm ended before it began"))
}

/// Lets the models have their own settings again; how many of those that had fallen back have.
async fn models_return(kernel: &Kernel, scene: &Scene) -> u64 {
    scene.say(
        "It is quiet again. The models that fell back to small get their large settings back.",
    );
    let mut returned = 0;
    for path in ["/minds/planner", "/minds/talker"] {
        let Ok(path) = path.parse::<ActorPath>() else {
            continue;
        };
        let has_fallen = || {
            let slot = kernel.registry().get(&path);
            slot.is_some_and(|slot| slot.swap().is_some())
        };
        if !has_fallen() {
            continue;
        }
        let released = tokio::time::timeout(RETURNS_WITHIN, kernel.release(&path)).await;
        if matches!(released, Ok(Ok(_))) && !has_fallen() {
            scene.say(&format!("`uk release {path}`: it is large again."));
            returned += 1;
        }
    }
    returned
}

/// The plan, as long as it is to be.
fn storm(takes: Duration) -> Result<Plan, CommandError> {
    let broken = |error: serde_json::Error| CommandError::new(Code::Failed, error.to_string());
    let mut plan: Plan = serde_json::from_str(STORM).map_err(broken)?;
    let share = takes.as_secs_f64() / LONG.as_secs_f64();
    for phase in &mut plan.phases {
        phase.takes.0 = phase.takes.0.mul_f64(share);
    }
    Ok(plan)
}

/// Boots the robot.
fn robot(folder: &Folder, seed: u64, scene: &Arc<Scene>) -> Result<RunningKernel, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::new(Code::Failed, error.to_string());
    let kinds = robot::with_kinds(unity_actors::kinds());
    let mut tree = tree(&kinds)?;
    std::fs::write(folder.0.join("mapper.py"), MAPPER).map_err(|error| failed(&error))?;
    prepare_mapper(&mut tree, &folder.0, scene);
    let observer = Arc::clone(scene);
    let booted = boot(BootOptions {
        kinds,
        seed: Some(seed),
        data_dir: Some(folder.0.join("data")),
        observer: Some(Arc::new(move |fact| note(&observer, fact))),
        ..BootOptions::new(tree)
    });
    booted.map_err(|error| failed(&error))
}

fn note(scene: &Scene, fact: &Fact) {
    if let Fact::Exited { path, record } = fact
        && let Some(ladder) = &record.ladder
        && let LadderDid::Swapped { settings, .. } = &ladder.did
    {
        scene.fell_back(path, settings);
    }
}

fn tree(kinds: &Kinds) -> Result<TreeSpec, CommandError> {
    let sources = Sources {
        read: &|path: &Path, max| read_file(path, max),
        env: &|_| None,
        kinds: &KnownKinds(kinds),
        limits: Limits::default(),
    };
    let checked = load_text("demo.yaml", TREE, &sources);
    let shown = checked.render(false);
    checked
        .tree
        .ok_or_else(|| CommandError::new(Code::Failed, shown))
}

/// Has the program in Python run where it lies, or, where there is no Python, does without.
fn prepare_mapper(tree: &mut TreeSpec, folder: &Path, scene: &Scene) {
    let has_python = std::env::var_os("PATH").is_some_and(|places| {
        std::env::split_paths(&places).any(|place| place.join("python3").is_file())
    });
    if !has_python {
        scene.say("There is no `python3` here: the robot does without its map.");
        tree.root
            .children
            .retain(|child| child.id.as_str() != "mapper");
        return;
    }
    for child in &mut tree.root.children {
        let child = Arc::make_mut(child);
        if let ChildKind::Worker(worker) = &mut child.what
            && child.id.as_str() == "mapper"
        {
            lay_over(&mut worker.settings, json!({ "cwd": folder }));
        }
    }
}

/// A folder for the time of the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, CommandError> {
        let folder = std::env::temp_dir().join(format!("uk-demo-{}", std::process::id()));
        let made = std::fs::create_dir_all(&folder);
        made.map_err(|error| {
            CommandError::new(Code::Failed, format!("{}: {error}", folder.display()))
                .hint("the demo needs a folder for its time: TMPDIR says where such are made")
        })?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "the folder of the demo is left behind");
        }
    }
}
