//! A world for one test: a kernel of actors that take some settings live, and some only with a new life.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::reload::{Change, ReloadError};
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, Apply, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next, Runtimes,
    SettingsHandle, Start,
};

/// Longer than anything a test waits for.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Taken live; 13 is refused.
    #[serde(skip_serializing_if = "is_zero")]
    live: u32,
    /// Taken with a new life only.
    #[serde(skip_serializing_if = "is_zero")]
    life: u32,
    /// How its `apply` behaves: `hang`, `panic`, `block`.
    #[serde(skip_serializing_if = "String::is_empty")]
    apply: String,
    /// Whether its start fails.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fails: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Debug, Message)]
#[message(json)]
pub(crate) enum Order {
    /// Return an error.
    Crash,
}

struct Subject {
    settings: Settings,
    handle: SettingsHandle<Settings>,
}

impl Actor for Subject {
    type Message = Order;
    type Settings = Settings;

    async fn start(settings: &Settings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        if settings.fails {
            return Err(Exit::error("told to fail"));
        }
        Ok(Start::Running(Self {
            settings: settings.clone(),
            handle: ctx.settings(),
        }))
    }

    async fn handle(&mut self, _: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        Err(Exit::error("told to crash"))
    }

    async fn apply(&mut self, new: &Settings, _: &mut Context<Self>) -> Apply {
        match new.apply.as_str() {
            "hang" => std::future::pending().await,
            "panic" => panic!("told to panic"),
            _ => {}
        }
        if new.live == 13 {
            return Apply::Rejected("13 is unlucky".to_owned());
        }
        if new.life != self.settings.life {
            return Apply::Restart;
        }
        self.settings = new.clone();
        Apply::Applied
    }

    fn observe(&self) -> Value {
        let in_force = self.handle.clone().get().live;
        json!({ "live": self.settings.live, "in_force": in_force })
    }
}

pub(crate) struct World {
    pub(crate) kernel: Kernel,
}

pub(crate) fn worker(id: &'static str, settings: Value) -> ChildSpec {
    let mut child = ChildSpec::worker(id.parse().unwrap(), "subject");
    child.as_worker_mut().unwrap().settings = settings;
    child
}

pub(crate) fn tree(children: impl IntoIterator<Item = ChildSpec>) -> SupervisorSpec {
    SupervisorSpec {
        intensity: 100,
        children: children.into_iter().map(Into::into).collect(),
        ..SupervisorSpec::default()
    }
}

fn path(path: &str) -> ActorPath {
    path.parse().unwrap()
}

impl World {
    pub(crate) async fn boot(root: SupervisorSpec) -> Self {
        let kinds = Kinds::new().with::<Subject>("subject", "does as it is told");
        let config = KernelConfig::new(Runtimes::current(), kinds, 1);
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Self { kernel }
    }

    pub(crate) async fn reload(&self, root: SupervisorSpec) -> Result<Vec<Change>, ReloadError> {
        self.kernel.reload(root).await
    }

    /// The workers of the root in order, and which life each lives.
    pub(crate) fn incarnations(&self) -> Vec<(String, u64)> {
        let children = self.kernel.root().unwrap().children();
        let children = children.iter();
        children
            .map(|slot| (slot.path().to_string(), slot.incarnation()))
            .collect()
    }

    pub(crate) async fn observe(&self, at: &str) -> Value {
        self.kernel.observe(&path(at), FOREVER).await.unwrap()
    }

    pub(crate) fn settings(&self, at: &str) -> Value {
        self.kernel.registry().get(&path(at)).unwrap().settings()
    }

    pub(crate) fn last_response(&self, at: &str) -> Response {
        let slot = self.kernel.registry().get(&path(at)).unwrap();
        slot.last_exit().unwrap().response
    }

    pub(crate) async fn crash(&self, at: &str) {
        self.kernel.tell(&path(at), json!("crash")).await.unwrap();
    }

    /// Waits until life number `incarnation` runs.
    pub(crate) async fn running(&self, at: &str, incarnation: u64) {
        let is_it = || {
            let slot = self.kernel.registry().get(&path(at));
            slot.is_some_and(|slot| slot.incarnation() == incarnation)
        };
        let found = tokio::time::timeout(FOREVER, async {
            while !is_it() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        found.await.unwrap();
    }
}
