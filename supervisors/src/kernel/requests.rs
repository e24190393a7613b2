//! What is asked of a kernel from outside: its end, the child API by path, messages as JSON.

use super::build::check_significance;
use super::*;
use crate::bus::Delivery;
use crate::spec::Template;

impl Kernel {
    /// Waits until the first start of the tree is over; returns the mode then.
    pub async fn booted(&self) -> Mode {
        self.left(Mode::Booting).await
    }

    /// Waits until its mode is another than `mode`; returns that.
    pub async fn left(&self, mode: Mode) -> Mode {
        loop {
            let changed = self.0.mode_changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let now = self.mode();
            if now != mode {
                return now;
            }
            changed.await;
        }
    }

    /// Waits until it has ended; returns why: `shutdown`, which names the significant child of the root if one ended
    /// it, or `gave_up`.
    pub async fn ended(&self) -> ExitReason {
        loop {
            let changed = self.0.mode_changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if self.0.closed.load(Ordering::Acquire) {
                return self.0.life.exit().unwrap_or_else(ExitReason::shutdown);
            }
            changed.await;
        }
    }

    /// Stops everything in reverse start order, each as its `shutdown` says, and waits for the end.
    ///
    /// Called by a handler or task of this kernel it begins the shutdown and returns at once: who waits for its own end
    /// would hold it up.
    pub async fn shutdown(&self) -> ExitReason {
        self.begin_shutdown();
        if crate::life::current().is_some() {
            return ExitReason::shutdown();
        }
        self.ended().await
    }

    /// Begins to stop everything, and does not wait for the end.
    pub fn begin_shutdown(&self) {
        self.end(false);
    }

    /// Kills everything that still runs. For those whose patience with [`shutdown`](Self::shutdown) is over.
    pub fn kill_all(&self) {
        self.end(true);
    }

    pub(super) fn end(&self, brutal: bool) {
        self.set_mode(Mode::Stopping);
        let top = self
            .0
            .parts
            .read()
            .as_ref()
            .map(|parts| Arc::clone(&parts.top));
        if let Some(body) = top.as_ref().and_then(|top| top.supervisor()) {
            body.send(SupervisorMessage::End {
                reason: ExitReason::shutdown(),
                brutal,
                gave_up: false,
            });
        }
    }

    /// Kills the actor or supervisor at `path`: an exit like any other, counted and restarted by the rules.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there or does not run.
    pub async fn kill(&self, path: &ActorPath, why: Option<String>) -> Result<Done, KernelError> {
        let reason = ExitReason {
            kind: ExitKind::Killed,
            text: why.map(|why| why.chars().take(REASON_LEN_MAX).collect()),
            location: None,
        };
        self.ask_parent(path, |id| Request::Kill { id, reason })
            .await
    }

    /// Stops it; it stays down until it is started, or until a group restart takes it in.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there.
    pub async fn stop(&self, path: &ActorPath) -> Result<Done, KernelError> {
        self.ask_parent(path, |id| Request::Stop { id }).await
    }

    /// Starts what is down.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there, runs, or fails to start.
    pub async fn start_child(&self, path: &ActorPath) -> Result<Done, KernelError> {
        self.ask_parent(path, |id| Request::Start { id }).await
    }

    /// Stops and starts it, uncounted.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there or fails to start.
    pub async fn restart(&self, path: &ActorPath) -> Result<Done, KernelError> {
        self.ask_parent(path, |id| Request::Restart { id }).await
    }

    /// Removes what is down.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there or runs.
    pub async fn delete(&self, path: &ActorPath) -> Result<Done, KernelError> {
        self.ask_parent(path, |id| Request::Delete { id }).await
    }

    /// Ends the quarantine of one child.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there, not in quarantine, or fails to start.
    pub async fn release(&self, path: &ActorPath) -> Result<Done, KernelError> {
        self.ask_parent(path, |id| Request::Release { id: Some(id) })
            .await
    }

    /// Ends all quarantines of the root's children, and safe mode.
    ///
    /// # Errors
    /// [`KernelError`] if the kernel is ending.
    pub async fn release_all(&self) -> Result<Done, KernelError> {
        let root = self
            .root()
            .ok_or_else(|| KernelError::NotFound(ActorPath::root()))?;
        self.ask_supervisor(&root, Request::Release { id: None }, [])
            .await
    }

    /// Adds a child as the last of the supervisor at `parent`, and starts it.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such supervisor, the child cannot be made, its id is taken, or it fails to start;
    /// nothing is added then.
    pub async fn spawn(&self, parent: &ActorPath, spec: ChildSpec) -> Result<Done, KernelError> {
        let supervisor = self.supervisor(parent)?;
        if template(&supervisor).is_some() {
            return Err(KernelError::HasTemplate(parent.clone()));
        }
        let path = parent.child(&spec.id);
        if path.as_str() == SYSTEM {
            return Err(KernelError::Fixed(path));
        }
        let above = supervisor.spec();
        let above = above.as_supervisor();
        let above = above.map(|above| above.auto_shutdown).unwrap_or_default();
        check_significance(&path, &spec, above)?;
        let slot = self.build(path, &Arc::new(spec))?;
        let request = Request::Spawn { spec: slot.spec() };
        self.ask_supervisor(&supervisor, request, [slot]).await
    }

    /// Adds a child made from the template of the supervisor at `parent`, with `settings` laid over the template's, and
    /// starts it. Without an `id` it is called by the next free number.
    ///
    /// # Errors
    /// [`KernelError`] as for [`spawn`](Self::spawn), and if the supervisor has no template or all the children that it
    /// may have.
    pub async fn spawn_from(
        &self,
        parent: &ActorPath,
        id: Option<ChildId>,
        settings: Value,
    ) -> Result<(ActorPath, Done), KernelError> {
        let supervisor = self.supervisor(parent)?;
        let slot = self.build_from(&supervisor, id, settings)?;
        let path = slot.path().clone();
        let request = Request::Spawn { spec: slot.spec() };
        let done = self.ask_supervisor(&supervisor, request, [slot]).await?;
        Ok((path, done))
    }

    /// Does what [`spawn_from`](Self::spawn_from) does for many in one go; each is answered for itself, in order.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such supervisor, or one of them cannot be made; nothing is added then.
    pub async fn spawn_many(
        &self,
        parent: &ActorPath,
        children: impl IntoIterator<Item = (Option<ChildId>, Value)>,
    ) -> Result<Vec<(ActorPath, Result<Done, RequestError>)>, KernelError> {
        let supervisor = self.supervisor(parent)?;
        let slots = children
            .into_iter()
            .map(|(id, settings)| self.build_from(&supervisor, id, settings))
            .collect::<Result<VecDeque<_>, _>>()?;
        let paths: Vec<ActorPath> = slots.iter().map(|slot| slot.path().clone()).collect();
        let request = Request::SpawnMany {
            specs: slots.iter().map(|slot| slot.spec()).collect(),
        };
        match self.ask_supervisor(&supervisor, request, slots).await? {
            Done::Each(each) => Ok(paths.into_iter().zip(each).collect()),
            done => Ok(paths
                .into_iter()
                .map(|path| (path, Ok(done.clone())))
                .collect()),
        }
    }

    /// The slot of a supervisor that children may be added to.
    fn supervisor(&self, path: &ActorPath) -> Result<Arc<Slot>, KernelError> {
        let slot = self.slot(path)?;
        if !slot.is_supervisor() {
            return Err(KernelError::NotASupervisor(path.clone()));
        }
        if path.as_str() == SYSTEM {
            return Err(KernelError::Fixed(path.clone()));
        }
        Ok(slot)
    }

    fn build_from(
        &self,
        supervisor: &Slot,
        id: Option<ChildId>,
        settings: Value,
    ) -> Result<Arc<Slot>, KernelError> {
        let parent = supervisor.path();
        let Some(template) = template(supervisor) else {
            return Err(KernelError::NoTemplate(parent.clone()));
        };
        let id = id.unwrap_or_else(|| self.free_number(supervisor));
        let spec = template.child(id, settings);
        Ok(self.build(parent.child(&spec.id), &Arc::new(spec))?)
    }

    /// The next number that no child of `supervisor` is called by.
    pub(super) fn free_number(&self, supervisor: &Slot) -> ChildId {
        let mut numbers = std::iter::repeat_with(|| {
            let body = supervisor.supervisor();
            ChildId::number(body.map_or(0, |body| body.next_id.fetch_add(1, Ordering::Relaxed)))
        });
        let parent = supervisor.path();
        let is_free = |id: &ChildId| self.0.registry.get(&parent.child(id)).is_none();
        numbers.find(is_free).unwrap_or_else(Template::id)
    }

    /// Has a worker take no messages until it is resumed; they wait. The life that comes after a crash takes them.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there, does not run, or is a supervisor.
    pub async fn suspend(&self, path: &ActorPath) -> Result<Done, KernelError> {
        self.ask_parent(path, |id| Request::Suspend { id, suspend: true })
            .await
    }

    /// Has it take messages again.
    ///
    /// # Errors
    /// [`KernelError`] if it is not there, does not run, or is a supervisor.
    pub async fn resume(&self, path: &ActorPath) -> Result<Done, KernelError> {
        self.ask_parent(path, |id| Request::Suspend { id, suspend: false })
            .await
    }

    pub(super) fn slot(&self, path: &ActorPath) -> Result<Arc<Slot>, KernelError> {
        self.0
            .registry
            .get(path)
            .ok_or_else(|| KernelError::NotFound(path.clone()))
    }

    pub(super) async fn ask_parent(
        &self,
        path: &ActorPath,
        request: impl FnOnce(ChildId) -> Request,
    ) -> Result<Done, KernelError> {
        let slot = self.slot(path)?;
        let is_fixed = path.is_root() || path.as_str() == SYSTEM;
        let parent = if is_fixed {
            self.0
                .parts
                .read()
                .as_ref()
                .map(|parts| Arc::clone(&parts.top))
        } else {
            path.parent()
                .and_then(|parent| self.0.registry.get(&parent))
        };
        let parent = parent.ok_or_else(|| KernelError::NotFound(path.clone()))?;
        let request = request(slot.id().clone());
        // Services are killed and restarted, never kept down: `/system` is always there.
        let is_service = path.is_system() && !path.is_guest();
        let is_refused = match request {
            Request::Kill { .. } => false,
            Request::Stop { .. } | Request::Delete { .. } => is_fixed || is_service,
            _ => is_fixed,
        };
        if is_refused {
            return Err(KernelError::Fixed(path.clone()));
        }
        self.ask_supervisor(&parent, request, [])
            .await
            .map_err(|error| match error {
                KernelError::Refused { error, .. } => KernelError::Refused {
                    path: path.clone(),
                    error,
                },
                other => other,
            })
    }

    pub(super) async fn ask_supervisor(
        &self,
        supervisor: &Slot,
        request: Request,
        slots: impl Into<VecDeque<Arc<Slot>>>,
    ) -> Result<Done, KernelError> {
        let slots = slots.into();
        let path = match slots.front() {
            Some(only) if slots.len() == 1 => only.path().clone(),
            _ => supervisor.path().clone(),
        };
        let refused = |error| KernelError::Refused {
            path: path.clone(),
            error,
        };
        let Some(body) = supervisor.supervisor() else {
            return Err(KernelError::NotASupervisor(supervisor.path().clone()));
        };
        if crate::life::is_dead() {
            return Err(refused(RequestError::Revoked));
        }
        if self.would_wait_for_itself(supervisor, &request) {
            return Err(refused(RequestError::WouldWaitForItself));
        }
        let (reply, mut answer) = oneshot::channel();
        let ask = SupervisorMessage::Ask {
            request,
            slots,
            reply,
        };
        let Some(life) = body.send(ask) else {
            return Err(refused(RequestError::Ending));
        };
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered.ok(),
            // All that it looked at is answered by then.
            () = life.ended() => answer.try_recv().ok(),
        };
        match answered {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(refused(error)),
            None => Err(refused(RequestError::Ending)),
        }
    }

    /// Whether the life that asks is part of what it wants stopped, or is being started by a supervisor that
    /// may hold back the answer until that is done. A kill is answered at once.
    pub(super) fn would_wait_for_itself(&self, supervisor: &Slot, request: &Request) -> bool {
        if template(supervisor).is_some()
            && matches!(request, Request::Spawn { .. } | Request::SpawnMany { .. })
        {
            // No job of such a supervisor holds up a spawn.
            return false;
        }
        let supervisor = supervisor.path();
        let Some(life) = crate::life::current() else {
            return false;
        };
        let Some(slot) = self.0.registry.get(life.path()) else {
            return false;
        };
        let is_above = |path: &ActorPath| {
            let is_system = |path: &ActorPath| path.segments().next() == Some("system");
            path.contains(life.path()) && is_system(path) == is_system(life.path())
        };
        let is_ours = slot
            .life()
            .is_some_and(|current| Arc::ptr_eq(&current, &life));
        let is_starting = slot.incarnation() != life.incarnation();
        is_ours
            && match request {
                Request::Kill { .. } => false,
                Request::Stop { id } | Request::Restart { id } if !is_starting => {
                    is_above(&supervisor.child(id))
                }
                _ => is_starting && is_above(supervisor),
            }
    }

    /// Sends a message in its JSON form.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such worker, the message does not fit, or was not delivered.
    pub async fn tell(&self, path: &ActorPath, message: Value) -> Result<(), KernelError> {
        let slot = self.slot(path)?;
        let worker = slot
            .worker()
            .ok_or_else(|| KernelError::NotAWorker(path.clone()))?;
        let sent = worker
            .tell_json(message)
            .map_err(|error| KernelError::Message {
                path: path.clone(),
                error,
            })?;
        sent.await.map_err(|error| KernelError::Undelivered {
            path: path.clone(),
            error,
        })
    }

    /// Sends an event, as a subscription would: in the lane of its priority, once there is room, as the first of its messages
    /// that carries an event and nothing else.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such worker, no message of it carries an event, or it does not run.
    pub async fn tell_event(
        &self,
        path: &ActorPath,
        delivery: Delivery,
    ) -> Result<(), KernelError> {
        let slot = self.slot(path)?;
        let worker = slot
            .worker()
            .ok_or_else(|| KernelError::NotAWorker(path.clone()))?;
        let sent = worker
            .tell_event(delivery)
            .map_err(|error| KernelError::Message {
                path: path.clone(),
                error,
            })?;
        sent.await.map_err(|error| KernelError::Undelivered {
            path: path.clone(),
            error,
        })
    }

    /// Sends a message in its JSON form and awaits the answer for at most `timeout`.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such worker, the message does not fit, was not delivered, or brought no answer.
    pub async fn ask(
        &self,
        path: &ActorPath,
        message: Value,
        timeout: Duration,
    ) -> Result<Value, KernelError> {
        let slot = self.slot(path)?;
        let worker = slot
            .worker()
            .ok_or_else(|| KernelError::NotAWorker(path.clone()))?;
        let sent = worker
            .ask_json(message)
            .map_err(|error| KernelError::Message {
                path: path.clone(),
                error,
            })?;
        let no_answer = |error| KernelError::NoAnswer {
            path: path.clone(),
            error,
        };
        let asked = async {
            let answer = sent.await.map_err(|error| KernelError::Undelivered {
                path: path.clone(),
                error,
            })?;
            match answer.await {
                Ok(answered) => answered.map_err(no_answer),
                Err(_dropped) => Err(no_answer(NoAnswer::Unanswered)),
            }
        };
        match tokio::time::timeout(timeout, asked).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(no_answer(NoAnswer::Timeout(timeout))),
        }
    }

    /// What the actor at `path` says of itself; answered between two of its messages.
    ///
    /// # Errors
    /// [`KernelError`] if there is no such worker, it does not run, or does not answer within `timeout`.
    pub async fn observe(&self, path: &ActorPath, timeout: Duration) -> Result<Value, KernelError> {
        let slot = self.slot(path)?;
        if slot.is_supervisor() {
            return Err(KernelError::NotAWorker(path.clone()));
        }
        let refused = || KernelError::Refused {
            path: path.clone(),
            error: RequestError::NotRunning,
        };
        let life = slot
            .life()
            .filter(|life| !life.has_ended())
            .ok_or_else(refused)?;
        let (asker, answer) = oneshot::channel();
        life.request(|requests| requests.observe.push(asker));
        slot.wake();
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_ended)) => Err(refused()),
            Err(_elapsed) => Err(KernelError::NoAnswer {
                path: path.clone(),
                error: NoAnswer::Timeout(timeout),
            }),
        }
    }
}

/// What the children of a supervisor are made from, if that is a template.
pub(super) fn template(supervisor: &Slot) -> Option<Arc<Template>> {
    supervisor.spec().as_supervisor()?.template.clone()
}
