//! Makes slots out of specs, and refuses what cannot be made.

use super::*;
use crate::kind::Kind;
use crate::spec::{LadderAction, WorkerSpec, lay_over};

impl Kernel {
    pub(super) fn build_top(
        &self,
        path: ActorPath,
        root: SupervisorSpec,
    ) -> Result<Arc<Slot>, BuildError> {
        let services = SupervisorSpec {
            children: self
                .0
                .config
                .services
                .iter()
                .cloned()
                .map(Arc::new)
                .collect(),
            ..SupervisorSpec::default()
        };
        let system = Arc::new(ChildSpec::supervisor(ChildId::known("system"), services));
        let root = Arc::new(ChildSpec::supervisor(ChildId::known("root"), root));
        let spec = SupervisorSpec {
            children: vec![Arc::clone(&system), Arc::clone(&root)],
            ..SupervisorSpec::default()
        };
        let system = self.build(ActorPath::root().child(&system.id), &system)?;
        let root = self.build(ActorPath::root(), &root)?;
        let spec = Arc::new(ChildSpec::supervisor(ChildId::known("top"), spec));
        let top = self.build_slot(path, &spec)?;
        register(&system);
        register(&root);
        if let Some(body) = top.supervisor() {
            body.set_children([Arc::clone(&system), Arc::clone(&root)]);
        }
        *self.0.parts.write() = Some(Parts {
            top: Arc::clone(&top),
            root,
            system,
        });
        Ok(top)
    }

    /// Makes a slot, and the slots of all below.
    pub(crate) fn build(
        &self,
        path: ActorPath,
        spec: &Arc<ChildSpec>,
    ) -> Result<Arc<Slot>, BuildError> {
        let slot = self.build_slot(path, spec)?;
        if let Some(supervisor) = spec.as_supervisor()
            && let Some(body) = slot.supervisor()
        {
            if let Some(template) = &supervisor.template {
                check_template(slot.path(), template, supervisor.auto_shutdown)?;
            }
            let mut children = Vec::with_capacity(supervisor.children.len());
            for child in &supervisor.children {
                let path = slot.path().child(&child.id);
                check_significance(&path, child, supervisor.auto_shutdown)?;
                children.push(self.build(path, child)?);
            }
            body.set_children(children);
        }
        Ok(slot)
    }

    fn build_slot(&self, path: ActorPath, spec: &Arc<ChildSpec>) -> Result<Arc<Slot>, BuildError> {
        let body = match &spec.what {
            ChildKind::Supervisor(supervisor) => Body::Supervisor(SupervisorBody {
                children: RwLock::default(),
                window: Mutex::new(crate::intensity::Window::new(
                    supervisor.intensity,
                    supervisor.period,
                )),
                next_id: AtomicU64::new(1),
                partitions: AtomicU32::new(supervisor.partitions.unwrap_or_default()),
                port: Mutex::default(),
            }),
            ChildKind::Worker(worker) => {
                let config = &self.0.config;
                let is_system = path.is_system() && path.as_str() != SYSTEM && !path.is_guest();
                let kinds = if is_system {
                    &config.service_kinds
                } else {
                    &config.kinds
                };
                let kind = kinds.of(worker).ok_or_else(|| BuildError::UnknownKind {
                    path: path.clone(),
                    kind: worker.kind.clone(),
                })?;
                let dead_letters = DeadLetterBox::new(Arc::clone(&self.0.dead_letters));
                let seed = BodySeed {
                    path: &path,
                    spec: worker,
                    dead_letters,
                    states: &config.states,
                    secrets: config.kinds.secrets(),
                    #[cfg(test)]
                    bug: config.bug,
                };
                let stall_after = u64::try_from(worker.stall_after.as_millis());
                self.0
                    .stall_after_ms
                    .fetch_min(stall_after.unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
                let misfit = |error| BuildError::Settings {
                    path: path.clone(),
                    kind: worker.kind.clone(),
                    error,
                };
                let body = kind.make(seed).map_err(misfit)?;
                check_swaps(&**kind, worker, self.secrets()).map_err(misfit)?;
                Body::Worker(body.0)
            }
        };
        Ok(Slot::new(path, self.clone(), Arc::clone(spec), body))
    }
}

/// What a ladder swaps in fits the kind as well.
fn check_swaps(
    kind: &dyn Kind,
    worker: &WorkerSpec,
    secrets: &crate::Secrets,
) -> Result<(), SettingsError> {
    let steps = worker.on_crash.iter().flat_map(|ladder| &ladder.steps);
    for step in steps {
        if let LadderAction::Swap(swap) = &step.action {
            let mut settings = worker.settings.clone();
            lay_over(&mut settings, swap.clone());
            kind.check(&settings, secrets)?;
        }
    }
    Ok(())
}

/// The supervisor at `path` does not wait for the end of children that come and go, nor is one of them significant.
pub(super) fn check_template(
    path: &ActorPath,
    template: &Template,
    auto_shutdown: AutoShutdown,
) -> Result<(), BuildError> {
    if auto_shutdown != AutoShutdown::Never {
        return Err(BuildError::Significance {
            path: path.clone(),
            error: SignificanceError::Template,
        });
    }
    check_significance(
        &path.child(&template.child.id),
        &template.child,
        auto_shutdown,
    )
}

pub(super) fn check_significance(
    path: &ActorPath,
    child: &ChildSpec,
    above: AutoShutdown,
) -> Result<(), BuildError> {
    let checked = child.check_significance(above);
    checked.map_err(|error| BuildError::Significance {
        path: path.clone(),
        error,
    })
}
