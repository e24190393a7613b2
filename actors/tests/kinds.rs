//! Every kind as a tree file would use it, through the kernel's public surface.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::kernel::Observer;
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{ChildKind, ChildSpec, Restart, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    ActorPath, ChildId, ExitKind, ExitReason, Kernel, KernelConfig, KernelError, Mode, NoAnswer,
    Runtimes,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A kernel of one child `/a`, and what is heard of its exits.
struct One {
    kernel: Kernel,
    path: ActorPath,
    exits: tokio::sync::mpsc::Receiver<ExitReason>,
}

impl One {
    async fn boot(kind: &str, settings: Value, restart: Restart) -> Self {
        let mut child = ChildSpec::worker(ChildId::new("a").unwrap(), kind);
        child.restart = restart;
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.settings = settings;
        }
        let root = SupervisorSpec {
            intensity: 5,
            children: vec![Arc::new(child)],
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let (sender, exits) = tokio::sync::mpsc::channel(100);
        let observer: Observer = Arc::new(move |fact| {
            if let Fact::Exited { path, record } = fact
                && path.as_str() == "/a"
            {
                sender
                    .try_send(record.reason.clone())
                    .expect("room for every exit of a test");
            }
        });
        let mut config = KernelConfig::new(Runtimes::current(), unity_actors::kinds(), 1);
        config.observer = Some(observer);
        let kernel = Kernel::start(config, tree).await.expect("the settings fit");
        kernel.booted().await;
        Self {
            kernel,
            path: "/a".parse().unwrap(),
            exits,
        }
    }

    async fn ask(&self, message: Value) -> Result<Value, KernelError> {
        self.kernel.ask(&self.path, message, PATIENCE).await
    }

    async fn exit(&mut self) -> ExitReason {
        tokio::time::timeout(PATIENCE, self.exits.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

#[tokio::test]
async fn a_probe_answers_echo_and_counts_over_its_lives() {
    let one = One::boot("probe", json!({}), Restart::Permanent).await;

    assert_eq!(
        one.ask(json!({"echo": {"x": [1, "two"]}})).await.unwrap(),
        json!({"x": [1, "two"]})
    );
    assert_eq!(
        one.ask(json!({"count": null})).await.unwrap(),
        json!({"incarnation": 1, "total": 1})
    );
    one.kernel
        .tell(&one.path, json!({"crash": "ouch"}))
        .await
        .unwrap();
    assert_eq!(
        one.ask(json!("count")).await.unwrap(),
        json!({"incarnation": 2, "total": 3})
    );
    one.kernel.shutdown().await;
}

#[tokio::test]
async fn a_probe_ends_as_it_is_told() {
    for (message, kind, text) in [
        (json!({"crash": "boom"}), ExitKind::Error, Some("boom")),
        (json!({"panic": "bang"}), ExitKind::Panic, Some("bang")),
        (json!({"exit": {"kind": "normal"}}), ExitKind::Normal, None),
        (
            json!({"exit": {"kind": "shutdown", "text": "done"}}),
            ExitKind::Shutdown,
            Some("done"),
        ),
        (json!({"exit": {"kind": "killed"}}), ExitKind::Killed, None),
    ] {
        let mut one = One::boot("probe", json!({}), Restart::Permanent).await;

        one.kernel.tell(&one.path, message).await.unwrap();

        let reason = one.exit().await;
        assert_eq!((reason.kind, reason.text.as_deref()), (kind, text));
        assert_eq!(
            reason.location.is_some(),
            kind == ExitKind::Panic,
            "{reason:?}"
        );
        one.kernel.shutdown().await;
    }
}

#[tokio::test]
async fn an_asker_is_told_at_once_that_the_probe_crashed() {
    let one = One::boot("probe", json!({}), Restart::Permanent).await;
    let hanging = one.kernel.ask(&one.path, json!({"echo": 1}), PATIENCE);
    assert_eq!(hanging.await.unwrap(), json!(1));

    one.kernel
        .tell(&one.path, json!({"hang": "1h"}))
        .await
        .unwrap();
    let asked = tokio::join!(one.ask(json!({"echo": 2})), async {
        one.kernel.kill(&one.path, None).await.unwrap();
    });

    // It waited while the hang was killed, and was handled by the next life.
    assert_eq!(asked.0.unwrap(), json!(2));
    one.kernel.shutdown().await;
}

#[tokio::test]
async fn a_message_that_does_not_fit_says_the_shape_that_would() {
    let one = One::boot("probe", json!({}), Restart::Permanent).await;

    for message in [
        json!({"ecko": 1}),
        json!(7),
        json!({"hang": "soon"}),
        json!({"a": 1, "b": 2}),
    ] {
        let error = one.ask(message.clone()).await.unwrap_err().to_string();
        assert!(error.contains(r#"{"echo": any}"#), "{message}: {error}");
    }
    let error = one
        .ask(json!({"crash": "x"}))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("`crash` has no answer"), "{error}");
    one.kernel.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_ask_gives_up_after_its_timeout_and_its_message_is_not_handled() {
    let one = One::boot("probe", json!({}), Restart::Permanent).await;
    one.kernel
        .tell(&one.path, json!({"hang": "10s"}))
        .await
        .unwrap();

    let asked = one
        .kernel
        .ask(&one.path, json!({"count": null}), Duration::from_secs(1))
        .await;

    let timeout = NoAnswer::Timeout(Duration::from_secs(1));
    assert!(matches!(asked, Err(KernelError::NoAnswer { error, .. }) if error == timeout));
    assert_eq!(
        one.ask(json!({"count": null})).await.unwrap(),
        json!({"incarnation": 1, "total": 1})
    );
    one.kernel.shutdown().await;
}

#[tokio::test]
async fn a_probe_starts_as_its_settings_say() {
    let ignored = One::boot("probe", json!({"starts": ["ignore"]}), Restart::Permanent).await;
    assert!(matches!(
        ignored.ask(json!("count")).await,
        Err(KernelError::Undelivered { .. })
    ));
    assert_eq!(ignored.kernel.mode(), Mode::Normal);
    ignored.kernel.shutdown().await;

    let failed = One::boot("probe", json!({"starts": ["fail"]}), Restart::Permanent).await;
    assert_eq!(failed.kernel.mode(), Mode::Safe);
    assert!(
        failed
            .kernel
            .safe_reason()
            .unwrap()
            .contains("`a` failed to start")
    );
    failed.kernel.shutdown().await;
}

#[tokio::test]
async fn the_host_sensor_measures_this_machine() {
    let one = One::boot("sensor.host", json!({"every": "100ms"}), Restart::Permanent).await;

    let read = one.ask(json!({"read": null})).await.unwrap();

    assert!(read["memory_total_bytes"].as_u64().unwrap() > 0, "{read}");
    assert!(read["load"][0].as_f64().unwrap() >= 0.0, "{read}");
    one.kernel.shutdown().await;
}

#[tokio::test]
async fn log_counts_what_it_wrote() {
    let one = One::boot("log", json!({}), Restart::Permanent).await;

    one.kernel
        .tell(&one.path, json!({"write": "hello"}))
        .await
        .unwrap();
    one.kernel
        .tell(&one.path, json!({"write": {"a": 1}}))
        .await
        .unwrap();

    let mut state = Value::Null;
    while state != json!({"written": 2}) {
        state = one.kernel.observe(&one.path, PATIENCE).await.unwrap();
    }
    one.kernel.shutdown().await;
}

#[tokio::test]
async fn a_process_says_how_it_ended() {
    for (command, kind, text) in [
        (
            json!(["sh", "-c", "exit 0"]),
            ExitKind::Normal,
            "exited with code 0",
        ),
        (
            json!(["sh", "-c", "exit 3"]),
            ExitKind::Error,
            "exited with code 3",
        ),
        (
            json!(["sh", "-c", "kill -9 $$"]),
            ExitKind::Error,
            "killed by signal 9 (KILL)",
        ),
    ] {
        let mut one = One::boot("process", json!({"command": command}), Restart::Temporary).await;

        let reason = one.exit().await;

        assert_eq!((reason.kind, reason.text.as_deref()), (kind, Some(text)));
        one.kernel.shutdown().await;
    }
}

#[tokio::test]
async fn a_killed_process_comes_back_and_the_old_one_is_gone() {
    let sleep = json!({"command": ["sleep", "1000"]});
    let mut one = One::boot("process", sleep, Restart::Permanent).await;
    let first = one.ask(json!({"status": null})).await.unwrap();

    one.kernel
        .kill(&one.path, Some("unplug test".to_owned()))
        .await
        .unwrap();

    let reason = one.exit().await;
    assert_eq!(
        (reason.kind, reason.text.as_deref()),
        (ExitKind::Killed, Some("unplug test"))
    );
    let second = one.ask(json!({"status": null})).await.unwrap();
    assert_ne!(first["pid"], second["pid"]);
    one.kernel.shutdown().await;
    for status in [first, second] {
        wait_until_gone(status["pid"].as_i64().unwrap()).await;
    }
}

#[tokio::test]
async fn a_process_that_ignores_its_stop_signal_is_killed_after_its_shutdown() {
    let ready = std::env::temp_dir().join(format!("unitykernel-ready-{}", std::process::id()));
    let script = "trap '' TERM; : > \"$READY\"; while :; do sleep 0.01; done";
    let mut child = ChildSpec::worker(ChildId::new("b").unwrap(), "process");
    child.shutdown = unity_supervisors::spec::Shutdown::Timeout(Duration::from_millis(50));
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = json!({"command": ["sh", "-c", script], "env": {"READY": &ready}});
    }
    let one = One::boot("probe", json!({}), Restart::Permanent).await;
    one.kernel.spawn(&ActorPath::root(), child).await.unwrap();
    let path: ActorPath = "/b".parse().unwrap();
    let status = one
        .kernel
        .ask(&path, json!({"status": null}), PATIENCE)
        .await
        .unwrap();
    wait_until(|| ready.exists()).await;

    one.kernel.stop(&path).await.unwrap();

    std::fs::remove_file(&ready).unwrap();
    wait_until_gone(status["pid"].as_i64().unwrap()).await;
    let last = one
        .kernel
        .registry()
        .get(&path)
        .unwrap()
        .last_exit()
        .unwrap();
    assert_eq!(last.reason.kind, ExitKind::Killed);
    one.kernel.shutdown().await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_fails_the_start_with_its_name() {
    let settings = json!({"command": ["no-such-program-at-all"]});
    let one = One::boot("process", settings, Restart::Permanent).await;

    assert_eq!(one.kernel.mode(), Mode::Safe);
    let why = one.kernel.safe_reason().unwrap();
    assert!(why.contains("no-such-program-at-all"), "{why}");
    one.kernel.shutdown().await;
}

/// A zombie that is being reaped counts as gone: it runs nothing.
async fn wait_until_gone(pid: i64) {
    wait_until(|| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    })
    .await;
}

/// Looks again and again, for ten seconds at most.
async fn wait_until(is_so: impl Fn() -> bool) {
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        beat.tick().await;
    }
    panic!("it never came to be");
}
