//! Settings that are put in force on purpose, as a reload would, and put back.

use std::sync::Arc;

use serde_json::Value;
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, lay_over as lay};
use unity_supervisors::{ActorPath, Kernel};

/// Settings that were swapped.
pub(super) struct Swapped {
    before: Value,
    now: Value,
}

/// Lays `over` over the settings of the worker at `path`; `None` if that was refused, as it should be with what does not fit.
///
/// # Errors
/// A text, if there is no such worker in the tree that is to be.
pub(super) async fn lay_over(
    kernel: &Kernel,
    path: &ActorPath,
    over: Value,
) -> Result<Option<Swapped>, String> {
    let slot = kernel.registry().get(path);
    let slot = slot.ok_or_else(|| format!("there is no `{path}`"))?;
    let before = slot.settings();
    let mut now = before.clone();
    lay(&mut now, over);
    let swapped = Swapped { before, now };
    match set(kernel, path, &swapped.now).await? {
        true => Ok(Some(swapped)),
        false => Ok(None),
    }
}

impl Swapped {
    /// Puts back what was before, unless something else is in force by now.
    pub(super) async fn put_back(self, kernel: Kernel, path: ActorPath) {
        let slot = kernel.registry().get(&path);
        if slot.is_some_and(|slot| slot.settings() == self.now)
            && let Err(error) = set(&kernel, &path, &self.before).await
        {
            tracing::error!(%path, error, "settings that chaos swapped cannot be put back");
        }
    }
}

/// Has the tree be as it is to be but for these settings; whether that was accepted.
async fn set(kernel: &Kernel, path: &ActorPath, settings: &Value) -> Result<bool, String> {
    let desired = kernel.desired().ok_or("the kernel is ending")?;
    let mut root = desired.root;
    let ids: Vec<&str> = path.segments().collect();
    let child = find(&mut root, &ids);
    let worker = child.and_then(|child| match &mut Arc::make_mut(child).what {
        ChildKind::Worker(worker) => Some(worker),
        ChildKind::Supervisor(_) => None,
    });
    let Some(worker) = worker else {
        return Err(format!("`{path}` is not in the tree that is to be"));
    };
    worker.settings = settings.clone();
    Ok(kernel.reload(root).await.is_ok())
}

fn find<'a>(parent: &'a mut SupervisorSpec, ids: &[&str]) -> Option<&'a mut Arc<ChildSpec>> {
    let (first, rest) = ids.split_first()?;
    let mut children = parent.children.iter_mut();
    let child = children.find(|child| child.id.as_str() == *first)?;
    if rest.is_empty() {
        return Some(child);
    }
    match &mut Arc::make_mut(child).what {
        ChildKind::Supervisor(below) => find(below, rest),
        ChildKind::Worker(_) => None,
    }
}
