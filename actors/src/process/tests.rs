//! Real processes. Nothing here waits for a duration: what has no event of its own is looked for again and again.

use std::cell::RefCell;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::*;

/// How often something is looked for, and how many times before a test gives up.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS_MAX: usize = 4_000;

/// Set for the test that plays a kernel in a process of its own.
const PLAY_KERNEL: &str = "UK_TEST_PLAY_KERNEL";

fn settings(value: Value) -> ProcessSettings {
    serde_json::from_value(value).unwrap()
}

fn shell(script: &str) -> ProcessSettings {
    settings(json!({ "command": ["/bin/sh", "-c", script] }))
}

fn start(settings: &ProcessSettings, keeper: &Keeper) -> ProcessChild {
    ProcessChild::start(settings, keeper, "test").unwrap()
}

fn refused(settings: &ProcessSettings) -> String {
    ProcessChild::start(settings, &Keeper::new(), "test")
        .unwrap_err()
        .to_string()
}

/// Runs a shell script to its end; gives how it ended and its lines of each stream.
async fn run(settings: &ProcessSettings) -> (ProcessExit, Vec<String>, Vec<String>) {
    let (stdout, stderr) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let keeper = Keeper::new();
    let child = start(settings, &keeper);
    let exit = child
        .run(|stream, line| {
            let lines = if stream == Stream::Stdout {
                &stdout
            } else {
                &stderr
            };
            lines.borrow_mut().push(line.to_owned());
        })
        .await
        .unwrap();
    (exit, stdout.into_inner(), stderr.into_inner())
}

/// Polls `child` until it has written `count` lines.
async fn first_lines(child: &ProcessChild, count: usize) -> Vec<String> {
    let lines = RefCell::new(Vec::new());
    let mut run = pin!(child.run(|_, line| lines.borrow_mut().push(line.to_owned())));
    std::future::poll_fn(|cx| {
        let ended = run.as_mut().poll(cx).is_ready();
        if lines.borrow().len() >= count {
            return std::task::Poll::Ready(());
        }
        assert!(!ended, "ended after {:?}", lines.borrow());
        std::task::Poll::Pending
    })
    .await;
    lines.take()
}

async fn eventually(what: &str, found: impl Fn() -> bool) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    for _ in 0..LOOKS_MAX {
        look.tick().await;
        if found() {
            return;
        }
    }
    panic!("never: {what}");
}

/// The state letter of a process; none if there is none.
fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process does nothing any more; if its parent is not this test, it may not be reaped yet.
fn is_dead(pid: &str) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

/// A folder of this test's own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("process-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn file(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why_and_what_to_do() {
    let folder = Folder::new("start");
    let path = |name: &str| folder.0.join(name).display().to_string();
    folder.file("bridge.py", 0o644, "");
    folder.file("lost", 0o755, "#!/no/such/interpreter\n");

    for (value, expected) in [
        (
            json!({ "command": ["slep", "1"], "env": { "PATH": "/usr/bin:/bin" } }),
            "command `slep` was not found in PATH; did you mean `sleep`?".to_owned(),
        ),
        (
            json!({ "command": ["no-such-command-at-all"] }),
            "command `no-such-command-at-all` was not found in PATH; install it".to_owned(),
        ),
        (
            json!({ "command": [path("bridge.pi")] }),
            format!(
                "command `{}` does not exist; did you mean `bridge.py`?",
                path("bridge.pi")
            ),
        ),
        (
            json!({ "command": [path("bridge.py")] }),
            format!(
                "command `{}` is not executable; run `chmod +x`",
                path("bridge.py")
            ),
        ),
        (
            json!({ "command": ["./bridge.py"], "cwd": folder.0 }),
            format!("command `{}` is not executable", path("./bridge.py")),
        ),
        (
            json!({ "command": ["bridge.py"], "env": { "PATH": folder.0 } }),
            format!("command `{}` is not executable", path("bridge.py")),
        ),
        (
            json!({ "command": [folder.0] }),
            format!("command `{}` is a folder", folder.0.display()),
        ),
        (
            json!({ "command": [path("lost")] }),
            format!(
                "command `{}` needs an interpreter that does not exist",
                path("lost")
            ),
        ),
        (
            json!({ "command": ["true"], "cwd": path("gone") }),
            format!("cwd `{}` does not exist; create it", path("gone")),
        ),
        (
            json!({ "command": ["true"], "cwd": path("lost") }),
            format!("cwd `{}` is not a folder", path("lost")),
        ),
    ] {
        let text = refused(&settings(value.clone()));
        assert!(text.starts_with(&expected), "{value}: {text}");
    }
    let long = "x".repeat(200_000);
    let text = refused(&settings(json!({ "command": ["true", long] })));
    assert!(
        text.starts_with("the arguments and environment of `true` are longer"),
        "{text}"
    );
}

/// Compiles, and that is all it is for: an actor runs these in tasks.
#[expect(dead_code, reason = "only its types are of interest")]
fn everything_can_be_sent(child: std::sync::Arc<ProcessChild>, keeper: Keeper) {
    fn task(_: impl Future<Output = ()> + Send + 'static) {}
    task(async move {
        child.run(|_, _| {}).await.unwrap();
        child.stop().await.unwrap();
        probe(&shell("true"), &keeper, Duration::ZERO)
            .await
            .unwrap();
        match keeper.watch().await {}
    });
}

#[tokio::test]
async fn the_exit_says_code_or_signal() {
    for (script, success, text) in [
        ("exit 0", true, "exited with code 0"),
        ("exit 3", false, "exited with code 3"),
        ("exit 255", false, "exited with code 255"),
        ("kill -KILL $$", false, "killed by signal 9 (KILL)"),
        ("kill -TERM $$", false, "killed by signal 15 (TERM)"),
    ] {
        let (exit, _, _) = run(&shell(script)).await;

        assert_eq!(
            (exit.is_success(), exit.to_string().as_str()),
            (success, text)
        );
    }
}

#[tokio::test]
async fn env_cwd_and_arguments_arrive_and_stdin_is_empty() {
    let folder = Folder::new("env");
    let script =
        r#"printf '%s\n' "$GREETING" "$PWD" "$1" "$(cat)" "${PATH:+inherited}"; echo err >&2"#;

    let (exit, stdout, stderr) = run(&settings(json!({
        "command": ["sh", "-c", script, "sh", "two words"],
        "env": { "GREETING": "h\u{e9}llo" },
        "cwd": folder.0,
    })))
    .await;

    assert!(exit.is_success());
    let cwd = folder.0.to_str().unwrap();
    assert_eq!(stdout, ["h\u{e9}llo", cwd, "two words", "", "inherited"]);
    assert_eq!(stderr, ["err"]);
}

#[tokio::test]
async fn long_lines_and_bytes_that_are_no_text_are_passed_on_as_well_as_can_be() {
    let script = r"head -c 20000 /dev/zero | tr '\0' x; echo; printf 'a\377b\n'; printf end";

    let (_, stdout, _) = run(&shell(script)).await;

    assert_eq!(
        stdout[0],
        format!("{} [cut: longer than 8192 bytes]", "x".repeat(LINE_LEN_MAX))
    );
    assert_eq!(stdout[1..], ["a\u{fffd}b", "end"]);
}

#[tokio::test]
async fn a_flood_does_not_hold_the_command_up_and_every_line_is_counted() {
    let (exit, stdout, _) = run(&shell("yes | head -n 2000000")).await;

    assert!(exit.is_success());
    let (said, passed): (Vec<_>, Vec<_>) = stdout
        .iter()
        .partition(|line| line.starts_with("[left out "));
    let left_out: usize = said
        .iter()
        .map(|line| line.split(' ').nth(2).unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(passed.len() + left_out, 2_000_000);
    assert_eq!(passed.len() % 1_000, 0);
    assert!(passed.iter().all(|line| *line == "y"));
}

#[tokio::test]
async fn a_command_that_never_stops_writing_can_be_stopped() {
    let keeper = Keeper::new();
    let child = start(&settings(json!({ "command": ["yes"] })), &keeper);
    let lines = RefCell::new(0_u32);

    let exit = tokio::join!(child.run(|_, _| *lines.borrow_mut() += 1), async {
        tokio::task::yield_now().await;
        child.stop().await.unwrap()
    });

    assert_eq!(exit.0.unwrap(), exit.1);
    assert_eq!(exit.1.to_string(), "killed by signal 15 (TERM)");
    assert!(child.is_stopping());
}

#[tokio::test]
async fn stop_sends_the_stop_signal_to_the_group_even_if_it_is_paused() {
    let keeper = Keeper::new();
    let script = "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.01; done";
    let mut settings = shell(script);
    settings.stop_signal = "INT".parse().unwrap();
    let child = start(&settings, &keeper);
    let said = RefCell::new(Vec::new());
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let ready = RefCell::new(Some(ready));

    let (ran, stopped) = tokio::join!(
        child.run(|_, line| {
            said.borrow_mut().push(line.to_owned());
            if let Some(ready) = ready.borrow_mut().take() {
                ready.send(()).unwrap();
            }
        }),
        async {
            is_ready.await.unwrap();
            let group = rustix::process::Pid::from_raw(child.id()).unwrap();
            rustix::process::kill_process_group(group, rustix::process::Signal::STOP).unwrap();
            child.stop().await
        }
    );

    assert_eq!(stopped.unwrap(), ProcessExit::Code(7));
    assert_eq!(ran.unwrap(), ProcessExit::Code(7));
    assert_eq!(said.into_inner(), ["ready", "bye"]);
}

#[tokio::test]
async fn a_command_that_ignores_the_stop_signal_is_killed_by_drop_and_no_zombie_stays() {
    let keeper = Keeper::new();
    let child = start(&shell("trap '' TERM; sleep 1000 & echo $!; wait"), &keeper);
    let sleep = first_lines(&child, 1).await.remove(0);
    let id = child.id().to_string();

    let stopped = tokio::time::timeout(Duration::from_millis(1), child.stop()).await;
    assert!(stopped.is_err(), "it ignores the signal");
    drop(child);

    eventually("the command is gone, its zombie too", || {
        state(&id).is_none()
    })
    .await;
    eventually("what it started is dead", || is_dead(&sleep)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_commands_leave_no_zombies_on_a_runtime_with_threads() {
    let keeper = Keeper::new();
    let children: Vec<_> = (0..20)
        .map(|_| start(&shell("sleep 1000"), &keeper))
        .collect();
    let ids: Vec<_> = children
        .iter()
        .map(|child| child.id().to_string())
        .collect();

    drop(children);

    for id in ids {
        eventually("no zombie", || state(&id).is_none()).await;
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_in_its_group_is_killed_at_its_end() {
    let (exit, stdout, _) = run(&shell("sleep 1000 & echo $!")).await;

    assert!(exit.is_success());
    eventually("the rest of the group is dead", || is_dead(&stdout[0])).await;
}

#[tokio::test]
async fn a_process_that_left_the_group_and_holds_the_pipes_is_not_waited_for() {
    let keeper = Keeper::new();
    let script =
        "trap 'exit 5' USR1; setsid sh -c 'echo $$; kill -USR1 $0; exec sleep 1000' $$ & wait";
    let child = start(&shell(script), &keeper);
    let said = RefCell::new(Vec::new());

    let exit = child
        .run(|_, line| said.borrow_mut().push(line.to_owned()))
        .await
        .unwrap();

    assert_eq!(exit, ProcessExit::Code(5));
    let stray = said.borrow()[0].parse().unwrap();
    assert!(!is_dead(&said.borrow()[0]), "out of reach, as documented");
    let stray = rustix::process::Pid::from_raw(stray).unwrap();
    rustix::process::kill_process(stray, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn kill_ends_it_at_once_and_later_calls_find_the_same_end() {
    let keeper = Keeper::new();
    let child = start(
        &shell("trap '' TERM; while :; do sleep 1000; done"),
        &keeper,
    );

    child.kill();

    let exit = child.wait().await.unwrap();
    assert_eq!(exit.to_string(), "killed by signal 9 (KILL)");
    assert_eq!(state(&child.id().to_string()), None, "reaped");
    assert_eq!(child.wait().await.unwrap(), exit);
    assert_eq!(child.stop().await.unwrap(), exit);
    child.kill();
}

#[tokio::test]
async fn commands_hold_nothing_of_the_kernel_and_no_end_of_the_keepers_pipe() {
    let held = std::fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
    let keeper = Keeper::new();
    let other = start(&shell("sleep 1000"), &keeper);

    let (exit, stdout, _) = run(&settings(json!({ "command": ["ls", "/proc/self/fd"] }))).await;

    assert!(exit.is_success());
    // The fourth is the folder that `ls` reads.
    assert_eq!(stdout, ["0", "1", "2", "3"]);
    drop((other, held));
}

#[tokio::test]
async fn the_helper_holds_nothing_of_the_kernel_but_its_pipe_and_ends_with_the_keeper() {
    let folder = Folder::new("held");
    let held = std::fs::File::create(folder.0.join("held")).unwrap();
    rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
    let keeper = Keeper::new();
    assert_eq!(keeper.helper_id(), None, "not started yet");
    let child = start(&shell("sleep 1000"), &keeper);
    let helper = keeper.helper_id().unwrap().to_string();

    let held_by_helper: Vec<_> = std::fs::read_dir(format!("/proc/{helper}/fd"))
        .unwrap()
        .map(|entry| {
            std::fs::read_link(entry.unwrap().path())
                .unwrap()
                .display()
                .to_string()
        })
        .collect();

    assert_eq!(held_by_helper.len(), 3, "{held_by_helper:?}");
    assert!(held_by_helper[0].starts_with("pipe:"));
    assert_eq!(held_by_helper[1..], ["/dev/null", "/dev/null"]);
    assert_eq!(
        std::fs::read_link(format!("/proc/{helper}/cwd")).unwrap(),
        Path::new("/")
    );
    drop((child, keeper));
    eventually("the helper ended and was reaped", || {
        state(&helper).is_none()
    })
    .await;
}

#[tokio::test]
async fn a_start_that_fails_after_the_fork_leaves_nothing_in_the_list() {
    let folder = Folder::new("list");
    let lost = folder.file("lost", 0o755, "#!/no/such/interpreter\n");
    let keeper = Keeper::new();
    let settings = settings(json!({ "command": [lost] }));

    let error = ProcessChild::start(&settings, &keeper, "test").unwrap_err();

    assert!(matches!(error, StartError::NoInterpreter(_)));
    assert!(keeper.is_empty());
}

#[tokio::test]
async fn a_helper_that_is_killed_is_replaced_and_the_commands_live_on() {
    let keeper = Keeper::new();
    let child = start(&shell("sleep 1000"), &keeper);
    let old = keeper.helper_id().unwrap();
    let old_id = rustix::process::Pid::from_raw(i32::try_from(old).unwrap()).unwrap();

    rustix::process::kill_process(old_id, rustix::process::Signal::KILL).unwrap();

    tokio::select! {
        exit = child.wait() => panic!("{exit:?}"),
        () = eventually("another helper", || keeper.helper_id().is_some_and(|id| id != old)) => {}
    }
    assert!(!is_dead(&child.id().to_string()));
    // The new helper knows the old command: if only the helper's pipe is closed, it kills it.
    keeper.close_pipe_for_test();
    assert_eq!(
        child.wait().await.unwrap().to_string(),
        "killed by signal 9 (KILL)"
    );
}

#[tokio::test]
async fn a_helper_that_does_not_read_is_replaced_and_holds_nothing_up() {
    let keeper = Keeper::new();
    let child = start(&shell("sleep 1000"), &keeper);
    let old = keeper.helper_id().unwrap();
    let old_id = rustix::process::Pid::from_raw(i32::try_from(old).unwrap()).unwrap();
    rustix::process::kill_process(old_id, rustix::process::Signal::STOP).unwrap();
    keeper.fill_pipe_for_test();

    let error = ProcessChild::start(&shell("true"), &keeper, "test").unwrap_err();

    assert!(matches!(error, StartError::Keeper { .. }), "{error}");
    assert_ne!(keeper.helper_id().unwrap(), old);
    let next = start(&shell("true"), &keeper);
    assert!(next.wait().await.unwrap().is_success());
    assert!(!is_dead(&child.id().to_string()));
}

/// Not a test of itself: the kernel that the next test kills.
#[tokio::test]
async fn play_kernel() {
    if std::env::var_os(PLAY_KERNEL).is_none() {
        return;
    }
    let keeper = Keeper::new();
    let one = start(&shell("sleep 1000 & echo $$ $!; wait"), &keeper);
    let two = start(
        &shell("trap '' TERM; echo $$; while :; do sleep 1000; done"),
        &keeper,
    );
    let ended = start(&shell("exit 0"), &keeper);
    ended.wait().await.unwrap();
    let mut pids = first_lines(&one, 1).await;
    pids.extend(first_lines(&two, 1).await);
    pids.push(keeper.helper_id().unwrap().to_string());
    // Past the test harness, which would capture it.
    let mut out = std::io::stderr().lock();
    writeln!(out, "\nPIDS {}", pids.join(" ")).unwrap();
    drop(out);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_outlives_a_kernel_that_is_killed() {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut kernel = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::play_kernel"), "--nocapture"])
        .env(PLAY_KERNEL, "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(kernel.stderr.take().unwrap()).lines();
    let pids = loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("the kernel says its processes");
        if let Some(pids) = line.strip_prefix("PIDS ") {
            break pids.to_owned();
        }
    };
    let pids: Vec<_> = pids.split(' ').collect();
    assert_eq!(pids.len(), 4);
    for pid in &pids {
        assert!(!is_dead(pid), "{pid} runs");
    }

    kernel.kill().await.unwrap();

    for pid in &pids {
        eventually("it is dead", || is_dead(pid)).await;
    }
}

/// Answers each connection with `answer`, whatever is asked; gives the last request.
async fn serve(listener: &TcpListener, answer: &[u8]) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 4096];
    let len = stream.read(&mut request).await.unwrap();
    stream.write_all(answer).await.unwrap();
    String::from_utf8(request[..len].to_vec()).unwrap()
}

async fn ask(health: Value, timeout: Duration) -> Result<(), String> {
    let settings = settings(json!({
        "command": ["true"], "env": { "WELL": "yes" }, "cwd": "/", "health": health
    }));
    probe(&settings, &Keeper::new(), timeout)
        .await
        .map_err(|error| error.to_string())
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn an_http_probe_wants_a_2xx() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ok?deep=1", listener.local_addr().unwrap());
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(10_000));
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok(())),
        ("HTTP/1.0 204 No Content\r\n\r\n", Ok(())),
        (long_head.as_str(), Ok(())),
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            Err(format!("{url} answered 503 Service Unavailable")),
        ),
        (
            "HTTP/1.1 302 Found\r\n\r\n",
            Err(format!("{url} answered 302 Found")),
        ),
        (
            "+PONG\r\n",
            Err(format!("{url} did not answer in HTTP, but \"+PONG\"")),
        ),
        ("", Err(format!("{url} did not answer in HTTP, but \"\""))),
    ] {
        let (got, request) = tokio::join!(
            ask(json!({ "http": url }), LONG),
            serve(&listener, answer.as_bytes())
        );

        assert_eq!(got, expected, "{answer}");
        assert!(
            request.starts_with("GET /ok?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:"),
            "{request}"
        );
    }
    let silent = ask(json!({ "http": url }), SHORT).await;
    assert_eq!(silent, Err(format!("no answer from {url} within 20ms")));
}

#[tokio::test]
async fn a_tcp_probe_wants_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();

    assert_eq!(ask(json!({ "tcp": address }), LONG).await, Ok(()));
    drop(listener);
    let refused = ask(json!({ "tcp": address }), LONG).await.unwrap_err();
    assert!(
        refused.starts_with(&format!("cannot reach {address}: Connection refused")),
        "{refused}"
    );
}

#[tokio::test]
async fn an_exec_probe_wants_exit_code_0_in_the_commands_surroundings() {
    let exec = |script: &str| json!({ "exec": ["sh", "-c", script] });

    assert_eq!(
        ask(exec("test $WELL = yes -a $PWD = /"), LONG).await,
        Ok(())
    );
    assert_eq!(
        ask(exec("echo fine; echo 'no camera' >&2; exit 4"), LONG)
            .await
            .unwrap_err(),
        "health command `sh` exited with code 4: no camera"
    );
    assert!(
        ask(json!({ "exec": ["no-such-command-at-all"] }), LONG)
            .await
            .unwrap_err()
            .starts_with("the health command did not start: command `no-such-command-at-all`")
    );
}

#[tokio::test]
async fn an_exec_probe_that_takes_too_long_is_killed_with_all_it_started() {
    let folder = Folder::new("probe");
    let pids = folder.0.join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", pids.display());
    let written = || std::fs::read_to_string(&pids).unwrap_or_default();
    let health = json!({ "exec": ["sh", "-c", script] });

    // Dropping the probe and its timeout are one path; the drop can wait for the event.
    tokio::select! {
        answer = ask(health, LONG) => panic!("{answer:?}"),
        () = eventually("the probe runs", || written().ends_with('\n')) => {}
    }

    for pid in written().split_whitespace() {
        eventually("it is dead", || is_dead(pid)).await;
    }
    let slow = ask(json!({ "exec": ["sleep", "1000"] }), SHORT).await;
    assert_eq!(slow, Err("no answer from `sleep` within 20ms".to_owned()));
}
