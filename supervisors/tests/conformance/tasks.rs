//! Group G, second half: partitions and tasks.

use std::future::{Future, pending};
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;
use unity_supervisors::spec::{Restart, Shutdown, Strategy, SupervisorSpec, Template};
use unity_supervisors::{
    Actor, ChildId, Context, Exit, ExitKind, Kernel, KernelError, Message, Next, RequestError,
    SlotState, Start, Task, TaskError,
};

use crate::support::{Tree, World, group, path, refusal, sub};

const POOL: &str = "/s";

/// `/s`, with so many partitions.
async fn boot_partitions(count: u32) -> Tree {
    let world = World::new();
    let partitioned = SupervisorSpec {
        intensity: 5,
        ..SupervisorSpec::partitioned(&world.child("p"), count)
    };
    world.boot_under(sub("s", partitioned)).await
}

/// Where a key leads.
fn leads(tree: &Tree, key: impl Into<serde_json::Value>) -> String {
    tree.kernel
        .partition(&path(POOL), &key.into())
        .unwrap()
        .to_string()
}

#[tokio::test(start_paused = true)]
async fn s179_s181_s182_there_is_one_child_for_each_partition_and_it_knows_which_it_is() {
    let tree = boot_partitions(3).await;

    let children = tree.kernel.which(&path(POOL)).unwrap();
    let ids: Vec<&str> = children.iter().map(|child| child.id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2"]);
    assert_eq!(tree.counts(POOL), [3, 3, 0, 3]);
    for number in 0..3 {
        assert_eq!(tree.ping(&format!("/s/{number}")).await, 1);
    }
    let least = SupervisorSpec::partitioned(&tree.world.child("p"), 0);
    assert_eq!(least.children.len(), 1, "there is at least one");
}

#[tokio::test(start_paused = true)]
async fn s180_s186_a_key_leads_to_the_same_partition_also_after_a_crash() {
    let tree = boot_partitions(4).await;

    for (key, partition) in [(0, 0), (5, 1), (-5, 1), (i64::MIN, 0), (7, 3)] {
        assert_eq!(leads(&tree, key), format!("/s/{partition}"), "{key}");
    }
    assert_eq!(leads(&tree, u64::MAX), "/s/3");
    let text = leads(&tree, "user 7");
    let used: std::collections::BTreeSet<String> = (0..64)
        .map(|user| leads(&tree, format!("user {user}")))
        .collect();
    assert_eq!(used.len(), 4, "texts are spread over all");
    // The hash is fixed: another build, machine or year leads to the same.
    assert_eq!(text, "/s/3");
    tree.crash(&text).await;
    tree.running(&text, 2).await;
    assert_eq!(leads(&tree, "user 7"), text);
    assert_eq!(tree.ping(&text).await, 2);
}

#[tokio::test(start_paused = true)]
async fn s183_s184_a_resize_stops_the_surplus_and_keeps_its_specs() {
    let tree = boot_partitions(4).await;
    let pool = path(POOL);
    let resize = |count| tree.kernel.resize(&pool, count);

    assert_eq!(resize(2).await, Ok(4));

    assert_eq!(tree.counts(POOL), [4, 2, 0, 4]);
    for key in 0..16 {
        let at = leads(&tree, key);
        assert_eq!(tree.state(&at), Some(SlotState::Running), "{at}");
    }
    assert_eq!(resize(0).await, Ok(2));
    let nowhere = tree.kernel.partition(&path(POOL), &json!(1));
    assert_eq!(nowhere, Err(KernelError::NoPartition(path(POOL))));
    assert_eq!(resize(4).await, Ok(0));
    assert_eq!(tree.counts(POOL), [4, 4, 0, 4]);
    let over = KernelError::TooManyPartitions {
        path: pool.clone(),
        most: 4,
    };
    assert_eq!(resize(5).await, Err(over));
}

#[tokio::test(start_paused = true)]
async fn s187_what_is_no_partition_is_told_so() {
    let tree = boot_partitions(2).await;
    let of = |at: &str| tree.kernel.partition(&path(at), &json!(1));

    assert_eq!(of("/"), Err(KernelError::NotPartitioned(path("/"))));
    assert_eq!(of("/s/0"), Err(KernelError::NotASupervisor(path("/s/0"))));
    assert_eq!(of("/none"), Err(KernelError::NotFound(path("/none"))));
    tree.kernel.stop(&path(POOL)).await.unwrap();
    tree.kernel.delete(&path(POOL)).await.unwrap();
    assert_eq!(of(POOL), Err(KernelError::NotFound(path(POOL))));
}

/// Runs `work` as a task below `/s`.
async fn run<T: Send + 'static>(
    tree: &Tree,
    work: impl Future<Output = Result<T, Exit>> + Send + 'static,
) -> Result<Task<T>, KernelError> {
    tree.kernel.run(&path(POOL), None, work).await
}

/// A task below `/s` that does not end by itself.
async fn wait(tree: &Tree) -> Result<Task<()>, KernelError> {
    run(tree, pending()).await
}

/// `/s`, a supervisor of at most two tasks.
async fn boot_tasks() -> Tree {
    let world = World::new();
    let tasks = SupervisorSpec {
        intensity: 5,
        ..SupervisorSpec::tasks(Some(2))
    };
    world.boot_under(sub("s", tasks)).await
}

#[tokio::test(start_paused = true)]
async fn s188_s190_a_task_answers_ends_in_order_and_is_gone() {
    let tree = boot_tasks().await;

    let task = run(&tree, async { Ok(6 * 7) }).await.unwrap();
    let at = task.path().clone();

    assert_eq!(task.await, Ok(42));
    tree.becomes(at.as_str(), None).await;
    assert_eq!(tree.world.exit_kinds(at.as_str()), [ExitKind::Normal]);
}

#[tokio::test(start_paused = true)]
async fn s190_a_task_that_fails_is_not_run_again_but_one_that_is_kept_running_is() {
    let tree = boot_tasks().await;
    let fails = run(&tree, async { Err::<(), _>(Exit::error("told to")) });
    let failed: TaskError = fails.await.unwrap().await.unwrap_err();
    assert_eq!(failed.0.kind, ExitKind::Error);
    tree.becomes("/s/1", None).await;
    assert_eq!(tree.world.lives("/s/1"), 1);

    let id = Some(ChildId::new("beat").unwrap());
    let beat = tree
        .kernel
        .keep_running(&path(POOL), id, Restart::Permanent, || async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok(())
        })
        .await
        .unwrap();

    tree.lives(beat.as_str(), 3).await;
    assert_eq!(
        tree.world.exit_kinds(beat.as_str()),
        [ExitKind::Normal, ExitKind::Normal]
    );
    assert!(tree.kernel.stop(&beat).await.is_ok());
    assert_eq!(tree.state(beat.as_str()), None);
}

#[tokio::test(start_paused = true)]
async fn s191_one_task_too_many_is_refused_and_not_begun() {
    let tree = boot_tasks().await;
    let (one, _two) = (wait(&tree).await.unwrap(), wait(&tree).await.unwrap());
    let (begun, has_begun) = oneshot::channel();

    let three = run(&tree, async {
        begun.send(()).ok();
        Ok(())
    });

    assert_eq!(refusal(three.await), RequestError::MaxChildren(2));
    assert!(has_begun.await.is_err(), "it was dropped, and never polled");
    let at = one.path().clone();
    one.cancel();
    tree.becomes(at.as_str(), None).await;
    assert!(wait(&tree).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn s192_s193_a_task_is_stopped_like_any_child_and_then_not_found() {
    let world = World::new();
    let mut tasks = SupervisorSpec::tasks(None);
    let brutal = tasks.template.as_ref().map(|template| {
        let mut child = template.child.clone();
        child.shutdown = Shutdown::BrutalKill;
        Template {
            child,
            max_children: None,
        }
    });
    tasks.template = brutal.map(Into::into);
    let tree = world.boot_under(sub("s", tasks)).await;
    let (one, two) = (wait(&tree).await.unwrap(), wait(&tree).await.unwrap());
    let at = one.path().clone();

    tree.kernel.stop(&at).await.unwrap();
    let ended = one.await.unwrap_err();
    let again = tree.kernel.stop(&at).await;
    tree.kernel.stop(&path(POOL)).await.unwrap();

    assert_eq!(ended.0.kind, ExitKind::Killed);
    assert_eq!(again, Err(KernelError::NotFound(at)));
    assert_eq!(two.await.unwrap_err().0.kind, ExitKind::Killed);
}

#[tokio::test(start_paused = true)]
async fn s195_whoever_awaits_a_task_hears_why_it_ended() {
    let tree = boot_tasks().await;
    let panics = run::<()>(&tree, async { panic!("in the middle") });
    let panic = panics.await.unwrap().await.unwrap_err().0;
    let fails = run::<()>(&tree, async { Err(Exit::error("broken")) });
    let error = fails.await.unwrap().await.unwrap_err().0;

    assert_eq!(
        (panic.kind, panic.text),
        (ExitKind::Panic, Some("in the middle".to_owned()))
    );
    assert!(panic.location.is_some());
    assert_eq!(
        (error.kind, error.text),
        (ExitKind::Error, Some("broken".to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_takes_no_messages_and_others_are_no_supervisors_of_tasks() {
    let tree = boot_tasks().await;
    let task = wait(&tree).await.unwrap();

    let told = tree.kernel.tell(task.path(), json!("hello")).await;
    let elsewhere = tree.kernel.run(&path("/"), None, async { Ok(()) }).await;
    let from_a_spec = tree.kernel.spawn_from(&path(POOL), None, json!(null)).await;

    assert!(matches!(told, Err(KernelError::Message { .. })), "{told:?}");
    assert_eq!(elsewhere.unwrap_err(), KernelError::NoTasks(path("/")));
    assert!(
        matches!(from_a_spec, Err(KernelError::Build(_))),
        "{from_a_spec:?}"
    );
    let at = task.path().clone();
    task.detach();
    assert_eq!(tree.state(at.as_str()), Some(SlotState::Running));
}

/// Waits in its handler for a task of its own.
struct Caller;

#[derive(Debug, Message)]
#[message(json)]
enum Call {
    /// Run a task that does this, and wait for it.
    Run(String),
}

async fn work(what: String, kernel: Kernel) -> Result<(), Exit> {
    match what.as_str() {
        "fail" => Err(Exit::error("the task failed")),
        "nest" => {
            let pool = path(POOL);
            let nested = kernel.run(&pool, None, pending::<Result<(), Exit>>());
            Ok(nested
                .await
                .map_err(|error| Exit::error(error.to_string()))?
                .await?)
        }
        _ => pending().await,
    }
}

impl Actor for Caller {
    type Message = Call;
    type Settings = serde_json::Map<String, serde_json::Value>;

    async fn start(_: &Self::Settings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, call: &mut Call, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        let Call::Run(what) = call;
        let work = work(what.clone(), ctx.kernel().clone());
        let task = ctx.kernel().run(&path(POOL), None, work).await;
        task?.await.map_err(|error| Exit(error.0))?;
        Ok(Next::Continue)
    }
}

/// `/s`, a supervisor of two tasks, and `/caller`.
async fn boot_caller() -> Tree {
    let world = World::new();
    let caller =
        unity_supervisors::spec::ChildSpec::worker(ChildId::new("caller").unwrap(), "caller");
    let root = group(
        Strategy::OneForOne,
        100,
        [sub("s", SupervisorSpec::tasks(Some(2))), caller],
    );
    let tree = world
        .start_with(root, |config| {
            config.kinds = std::mem::take(&mut config.kinds).with::<Caller>("caller", "runs tasks");
        })
        .await;
    tree.kernel.booted().await;
    tree
}

#[tokio::test(start_paused = true)]
async fn s188_a_task_that_fails_takes_its_caller_along() {
    let tree = boot_caller().await;

    tree.end("/caller", json!({ "run": "fail" })).await;

    let exit = tree.world.exits("/caller").remove(0);
    assert_eq!(exit.reason.text.as_deref(), Some("the task failed"));
}

#[tokio::test(start_paused = true)]
async fn s188_s197_a_caller_that_ends_takes_its_tasks_along_and_each_knows_its_callers() {
    let tree = boot_caller().await;
    tree.kernel
        .tell(&path("/caller"), json!({ "run": "nest" }))
        .await
        .unwrap();
    tree.running("/s/2", 1).await;
    let nested = tree.kernel.registry().get(&path("/s/2")).unwrap();
    assert_eq!(nested.spec().labels["callers"], "/s/1 /caller");

    tree.kill("/caller").await;

    tree.becomes("/s/1", None).await;
    tree.becomes("/s/2", None).await;
    assert_eq!(tree.world.exit_kinds("/s/1"), [ExitKind::Shutdown]);
    assert_eq!(tree.world.exit_kinds("/s/2"), [ExitKind::Shutdown]);
}
