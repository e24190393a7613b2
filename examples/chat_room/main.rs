//! A chat room: sessions that come and go under a template, and a room that hears of each end.
//!
//! `cargo run --example chat_room` prints what stands in `expected.txt`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use unity_supervisors::spec::{ChildKind, ChildSpec, Restart, SupervisorSpec, Template, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, Address, ChildId, Context, Down, Exit, Kernel, KernelConfig, Kinds, Message,
    Next, Reply, Runtimes, Start,
};

type Failure = Box<dyn std::error::Error>;

/// The group that each session is in as long as it lives.
const MEMBERS: &str = "members";

/// Where the room writes what is said in it, if anywhere.
#[derive(Default)]
struct Screen(Option<mpsc::Sender<String>>);

/// The room has nothing to be configured with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoomSettings {}

/// What a room is told.
#[derive(Debug, Message)]
enum RoomMessage {
    /// A life of a session has begun.
    Enter(ActorPath),
    /// Somebody says something to all.
    Say(ActorPath, String),
    /// A session that it monitors has ended.
    Left(Down),
    /// The end of the room, which its members outlive.
    Crash,
}

struct Room(Arc<Screen>);

impl Room {
    async fn show(&self, line: String) -> Result<(), Exit> {
        if let Some(screen) = &self.0.0 {
            screen.send(line).await?;
        }
        Ok(())
    }
}

impl Actor for Room {
    type Message = RoomMessage;
    type Settings = RoomSettings;

    /// Its monitors ended with its last life, so it asks the group who is here.
    async fn start(_: &RoomSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let room = Self(ctx.kernel().shared());
        let members = ctx.kernel().members::<SessionMessage>(MEMBERS);
        for member in &members {
            ctx.monitor(member, RoomMessage::Left);
        }
        let (life, count) = (ctx.incarnation(), members.len());
        room.show(format!("* life {life} of the room, {count} members"))
            .await?;
        Ok(Start::Running(room))
    }

    async fn handle(
        &mut self,
        message: &mut RoomMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            RoomMessage::Enter(who) => {
                ctx.monitor(who, RoomMessage::Left);
                self.show(format!("* {} is here", name(who))).await?;
            }
            RoomMessage::Say(who, text) => {
                let line = format!("{}: {text}", name(who));
                // Nobody waits for one whose mailbox is full: it misses this line.
                drop(
                    ctx.kernel()
                        .tell_members(MEMBERS, || SessionMessage::Hear(line.clone())),
                );
                self.show(line).await?;
            }
            RoomMessage::Left(down) if down.reason.kind.is_clean() => {
                self.show(format!("* {} has left", name(&down.path)))
                    .await?;
            }
            RoomMessage::Left(down) => {
                let (who, why) = (name(&down.path), &down.reason);
                self.show(format!("* {who} was cut off: {why}")).await?;
            }
            RoomMessage::Crash => return Err(Exit::error("the roof came down")),
        }
        Ok(Next::Continue)
    }
}

/// What a session is configured with: the template says it for all, and who is spawned may say otherwise.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionSettings {
    greeting: String,
}

/// What a session is told.
#[derive(Debug, Message)]
enum SessionMessage {
    /// What its user types; an empty line is a mistake that the session does not survive.
    Type(String),
    /// What somebody says in the room.
    Hear(String),
    /// How many lines this life has heard.
    Heard(Reply<usize>),
}

struct Session {
    room: Address<RoomMessage>,
    heard: usize,
}

impl Actor for Session {
    type Message = SessionMessage;
    type Settings = SessionSettings;

    async fn start(
        settings: &SessionSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let room = ctx.lookup::<RoomMessage>(&"/room".parse()?);
        let room = room.ok_or_else(|| Exit::error("there is no room"))?;
        let me = ctx.path().clone();
        ctx.join(MEMBERS)?;
        room.tell(RoomMessage::Enter(me.clone())).await?;
        room.tell(RoomMessage::Say(me, settings.greeting.clone()))
            .await?;
        Ok(Start::Running(Self { room, heard: 0 }))
    }

    async fn handle(
        &mut self,
        message: &mut SessionMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            SessionMessage::Type(text) if text.is_empty() => {
                return Err(Exit::error("an empty line"));
            }
            SessionMessage::Type(text) => {
                let say = RoomMessage::Say(ctx.path().clone(), text.clone());
                self.room.tell(say).await?;
            }
            SessionMessage::Hear(_line) => self.heard += 1,
            SessionMessage::Heard(reply) => reply.send(self.heard),
        }
        Ok(Next::Continue)
    }
}

fn name(path: &ActorPath) -> String {
    path.id().map_or_else(String::new, |id| id.to_string())
}

/// `/room`, and `/users` with a template of sessions: a crashed one is restarted, one that left is not.
fn tree() -> Result<TreeSpec, Failure> {
    let mut session = ChildSpec {
        restart: Restart::Transient,
        ..ChildSpec::worker(Template::id(), "session")
    };
    if let ChildKind::Worker(worker) = &mut session.what {
        worker.settings = json!({ "greeting": "hello" });
    }
    let users = SupervisorSpec {
        template: Some(Arc::new(Template {
            child: session,
            max_children: Some(3),
        })),
        ..SupervisorSpec::default()
    };
    let children = vec![
        Arc::new(ChildSpec::worker(ChildId::new("room")?, "room")),
        Arc::new(ChildSpec::supervisor(ChildId::new("users")?, users)),
    ];
    let root = SupervisorSpec {
        children,
        ..SupervisorSpec::default()
    };
    Ok(TreeSpec {
        name: "chat".to_owned(),
        test: true,
        root,
    })
}

/// A kernel with a room in it, what its screen shows, and all that is to be printed.
struct Evening {
    kernel: Kernel,
    screen: mpsc::Receiver<String>,
    said: String,
}

impl Evening {
    async fn begin() -> Result<Self, Failure> {
        let (sender, screen) = mpsc::channel(16);
        let kinds = Kinds::new()
            .with::<Room>("room", "tells all what one says")
            .with::<Session>("session", "one user");
        let config = KernelConfig::new(Runtimes::current(), kinds, 7)
            .with_shared(Arc::new(Screen(Some(sender))));
        let kernel = Kernel::start(config, tree()?).await?;
        kernel.booted().await;
        let said = String::new();
        Ok(Self {
            kernel,
            screen,
            said,
        })
    }

    /// Takes the next `count` lines from the screen.
    async fn see(&mut self, count: usize) -> Result<(), Failure> {
        for _ in 0..count {
            let line = self.screen.recv().await.ok_or("the screen is dark")?;
            writeln!(self.said, "{line}")?;
        }
        Ok(())
    }

    /// Spawns a session with `settings` laid over the template's.
    async fn come(&mut self, id: &str, settings: Value) -> Result<(), Failure> {
        let (users, id) = ("/users".parse()?, ChildId::new(id)?);
        match self.kernel.spawn_from(&users, Some(id), settings).await {
            Ok(_started) => self.see(2).await,
            Err(error) => Ok(writeln!(self.said, "! {error}")?),
        }
    }

    /// Stops a session. Once that is answered, there is room for another.
    async fn go(&mut self, id: &str) -> Result<(), Failure> {
        self.kernel.stop(self.user(id)?.path()).await?;
        self.see(1).await
    }

    fn user(&self, id: &str) -> Result<Address<SessionMessage>, Failure> {
        let path = format!("/users/{id}").parse()?;
        Ok(self.kernel.address(&path).ok_or("nobody is there")?)
    }
}

/// Three come, one crashes, one leaves, the room falls down; returns what there is to say.
pub(crate) async fn chat() -> Result<String, Failure> {
    let mut evening = Evening::begin().await?;
    evening.see(1).await?;
    evening.come("alice", Value::Null).await?;
    evening.come("bob", json!({ "greeting": "moin" })).await?;
    evening.come("carol", Value::Null).await?;
    evening.come("dave", Value::Null).await?;

    // The end of one life is told before anything that the next one says.
    let bob = evening.user("bob")?;
    bob.tell(SessionMessage::Type(String::new())).await?;
    evening.see(3).await?;

    evening.go("alice").await?;
    evening.come("dave", Value::Null).await?;

    let room = evening
        .kernel
        .address::<RoomMessage>(&"/room".parse()?)
        .ok_or("the room takes messages")?;
    room.tell(RoomMessage::Crash).await?;
    evening.see(1).await?;
    evening.go("dave").await?;

    let second = Duration::from_secs(1);
    for id in ["bob", "carol"] {
        let heard = evening.user(id)?.ask(second, SessionMessage::Heard).await?;
        writeln!(evening.said, "{id} heard {heard} lines")?;
    }
    writeln!(evening.said, "ended: {}", evening.kernel.shutdown().await)?;
    Ok(evening.said)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    use std::io::Write as _;
    std::io::stdout().write_all(chat().await?.as_bytes())?;
    Ok(())
}
