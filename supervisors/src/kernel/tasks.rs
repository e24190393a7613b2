//! Tasks: futures that run as supervised children (Elixir: `Task.Supervisor`).

use super::*;
use crate::exit::Exit;
use crate::spec::{Restart, TASK};
use crate::task::{Make, Task, TaskBody};

/// The label of a task that says who ran it, and who ran that, separated by spaces.
const CALLERS: &str = "callers";

impl Kernel {
    /// Runs `work` as a temporary child of the supervisor of tasks at `parent`, and returns once it has begun. Without an
    /// `id` it is called by the next free number. Whoever holds the [`Task`] awaits it, or cancels it by dropping it:
    /// so a task never outlives the life that waits for it.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such supervisor of tasks, or as many run as its `max_children` allows.
    pub async fn run<T: Send + 'static>(
        &self,
        parent: &ActorPath,
        id: Option<ChildId>,
        work: impl Future<Output = Result<T, Exit>> + Send + 'static,
    ) -> Result<Task<T>, KernelError> {
        let (answer, answered) = oneshot::channel();
        let work = async move {
            // Whoever waits may have gone away.
            drop(answer.send(work.await?));
            Ok(())
        };
        let slot = self
            .start_task(parent, id, Restart::Temporary, Make::once(work))
            .await?;
        Ok(Task::new(slot, answered))
    }

    /// Runs what `make` returns as a child of the supervisor of tasks at `parent`, and again whenever its restart type asks
    /// for that. Nobody waits for it: it ends as any child does. Returns where it is.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn keep_running<W: Future<Output = Result<(), Exit>> + Send + 'static>(
        &self,
        parent: &ActorPath,
        id: Option<ChildId>,
        restart: Restart,
        make: impl Fn() -> W + Send + 'static,
    ) -> Result<ActorPath, KernelError> {
        let slot = self
            .start_task(parent, id, restart, Make::again(make))
            .await?;
        Ok(slot.path().clone())
    }

    async fn start_task(
        &self,
        parent: &ActorPath,
        id: Option<ChildId>,
        restart: Restart,
        make: Make,
    ) -> Result<Arc<Slot>, KernelError> {
        let supervisor = self.slot(parent)?;
        let template = super::requests::template(&supervisor);
        let is_task = |template: &Arc<crate::spec::Template>| matches!(&template.child.what, ChildKind::Worker(worker) if worker.kind == TASK);
        let Some(template) = template.filter(is_task) else {
            return Err(KernelError::NoTasks(parent.clone()));
        };
        let id = id.unwrap_or_else(|| self.free_number(&supervisor));
        let mut spec = template.child(id, Value::Null);
        spec.restart = restart;
        if let Some(callers) = self.callers() {
            spec.labels.insert(CALLERS.to_owned(), callers);
        }
        let path = parent.child(&spec.id);
        let body = Body::Worker(Box::new(TaskBody::new(make)));
        let slot = Slot::new(path, self.clone(), Arc::new(spec), body);
        let request = Request::Spawn { spec: slot.spec() };
        self.ask_supervisor(&supervisor, request, [Arc::clone(&slot)])
            .await?;
        Ok(slot)
    }

    /// The life that asks, and those that it was asked by in turn.
    fn callers(&self) -> Option<String> {
        let caller = crate::life::current()?;
        let before = self.0.registry.get(caller.path());
        let before = before.and_then(|slot| slot.spec().labels.get(CALLERS).cloned());
        Some(match before {
            Some(before) => format!("{} {before}", caller.path()),
            None => caller.path().to_string(),
        })
    }
}
