//! A change of the whole tree while it runs: prepare, commit, look whether it came to what was wanted.
//!
//! **Prepare** leaves no trace if it fails: all that is new is checked, children that are to be added are started beside
//! what runs, and each child whose settings change is asked with [`Actor::apply`](crate::Actor::apply). If one of them
//! refuses, those that had agreed get their old settings back and what was added is taken away. **Commit** goes from the
//! root down: each supervisor whose own part differs is told what it is to be, and stops, starts and restarts in one job
//! what that takes. At last all is looked over: what a restart in between brought up with an old spec is told again.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::build::{check_significance, check_template};
use super::*;
use crate::actor::Apply;
use crate::reload::{Change, How, ReloadError, What, by_id, diff, share};
use crate::settings::{ApplyRequest, Parsed, Vote};
use crate::slot::{Response, SlotState};
use crate::spec::Restart;
use crate::supervisor::core::reload::{self, Reload, change, of_next_template, own_part_differs};

/// Which life of each child that was asked has taken its new settings; none where it wants a restart.
type Votes = BTreeMap<ActorPath, Option<u64>>;

/// How long after its time a life may say that it was late.
const LATE_BY: Duration = Duration::from_secs(1);
/// How often what a storm of restarts brought up with an old spec is told again.
const ROUNDS_MAX: usize = 5;

/// A worker whose settings change, and what it said.
struct Voter {
    slot: Arc<Slot>,
    life: Arc<Life>,
    old: Parsed,
    new: Parsed,
}

/// What a worker said to its new settings.
enum Said {
    Applied,
    Restart,
    /// They do not fit; `spoilt` if it may have taken a part of them.
    No {
        why: String,
        spoilt: bool,
    },
    /// It ended meanwhile for another reason, and has no say.
    Gone,
}

impl Kernel {
    /// The tree as it is to be now: what it was started with, or what took the place of that since. `None` once the
    /// kernel has ended. What was spawned, deleted and stopped by hand is not in it.
    #[must_use]
    pub fn desired(&self) -> Option<TreeSpec> {
        let spec = self.root()?.spec();
        Some(TreeSpec {
            name: self.name().to_owned(),
            test: self.is_test(),
            root: spec.as_supervisor()?.clone(),
        })
    }

    /// What [`reload`](Self::reload) would change. Nothing is asked or touched.
    ///
    /// # Errors
    /// [`ReloadError`] if a child cannot be made.
    pub fn plan(&self, root: &SupervisorSpec) -> Result<Vec<Change>, ReloadError> {
        let old = self.root().ok_or(ReloadError::Ending)?.spec();
        let Some(old) = old.as_supervisor() else {
            return Err(ReloadError::Ending);
        };
        let changes = diff(old, root);
        self.check_part(&ActorPath::root(), Some(old), root)?;
        Ok(changes)
    }

    /// Makes the tree below the root into `root`, and says what was done. What is the same is not touched. One change at a
    /// time: a second one waits for the first.
    ///
    /// # Errors
    /// [`ReloadError`]; then all is as it was before.
    pub async fn reload(&self, root: SupervisorSpec) -> Result<Vec<Change>, ReloadError> {
        let (reply, answer) = oneshot::channel();
        let kernel = self.clone();
        // Whoever asked may go away meanwhile: a change is never left half done.
        self.spawn_control(async move {
            let _turn = kernel.0.reloading.lock().await;
            drop(reply.send(kernel.reload_now(root).await));
        });
        answer.await.unwrap_or(Err(ReloadError::Ending))
    }

    async fn reload_now(&self, root: SupervisorSpec) -> Result<Vec<Change>, ReloadError> {
        let changes = self.plan(&root)?;
        if changes.is_empty() {
            return Ok(changes);
        }
        let before = self.root().ok_or(ReloadError::Ending)?.spec();
        let Some(old) = before.as_supervisor() else {
            return Err(ReloadError::Ending);
        };
        let root = share(old, &root);
        let mut voters = Vec::new();
        self.voters(&ActorPath::root(), old, &root, &mut voters)?;
        let after = Arc::new(ChildSpec {
            what: ChildKind::Supervisor(root),
            ..(*before).clone()
        });
        let mut differ = Vec::new();
        pairs(ActorPath::root(), &before, &after, &mut differ);
        let prepared = self.prepare(&differ).await?;
        let votes = match self.ask_all(&voters).await {
            Ok(votes) => votes,
            Err(error) => {
                self.undo(&prepared).await;
                return Err(error);
            }
        };
        let since = Instant::now();
        self.commit(&differ, &votes).await?;
        for _ in 0..ROUNDS_MAX {
            if !self.repair(&differ, since).await? {
                break;
            }
        }
        let changes = self.what_was_done(changes, &votes);
        for change in &changes {
            self.report(Fact::Changed(change.clone()));
        }
        Ok(changes)
    }

    /// Whether all that is new or another in `new` can be made.
    fn check_part(
        &self,
        path: &ActorPath,
        old: Option<&SupervisorSpec>,
        new: &SupervisorSpec,
    ) -> Result<(), ReloadError> {
        if let Some(template) = &new.template {
            check_template(path, template, new.auto_shutdown)?;
        }
        let before = by_id(old.map(|old| old.children.as_slice()).unwrap_or_default());
        let mut earlier = BTreeSet::new();
        for child in &new.children {
            let path = path.child(&child.id);
            check_significance(&path, child, new.auto_shutdown)?;
            if let Some(need) = child.needs.iter().find(|need| !earlier.contains(need)) {
                let need = need.clone();
                return Err(ReloadError::NoSuchNeed { path, need });
            }
            earlier.insert(&child.id);
            let before = before.get(&child.id);
            match (before.map(|before| &before.what), &child.what) {
                (Some(ChildKind::Supervisor(old)), ChildKind::Supervisor(new)) => {
                    self.check_part(&path, Some(old), new)?;
                }
                _ if before.is_some_and(|before| *before == child) => {}
                // Made, looked at, and dropped.
                _ => drop(self.build(path, child)?),
            }
        }
        Ok(())
    }

    /// All workers that run and whose settings change.
    fn voters(
        &self,
        path: &ActorPath,
        old: &SupervisorSpec,
        new: &SupervisorSpec,
        voters: &mut Vec<Voter>,
    ) -> Result<(), ReloadError> {
        if let (Some(old), Some(new)) = (&old.template, &new.template)
            && old != new
        {
            let children = self.0.registry.get(path).map(|slot| slot.children());
            for slot in children.unwrap_or_default() {
                let spec = slot.spec();
                let next = of_next_template(&spec, old, new);
                voters.extend(voter(slot, &spec, &next)?);
            }
        }
        let before = by_id(&old.children);
        for child in &new.children {
            let Some(before) = before
                .get(&child.id)
                .filter(|before| !Arc::ptr_eq(before, child))
            else {
                continue;
            };
            let path = path.child(&child.id);
            match (&before.what, &child.what) {
                (ChildKind::Supervisor(old), ChildKind::Supervisor(new)) => {
                    self.voters(&path, old, new, voters)?;
                }
                _ => {
                    if let Some(slot) = self.0.registry.get(&path) {
                        voters.extend(voter(slot, before, child)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts what is to be added below supervisors that run, beside what runs.
    async fn prepare(&self, pairs: &[Pair]) -> Result<Vec<(Arc<Slot>, Vec<ChildId>)>, ReloadError> {
        let mut prepared: Vec<(Arc<Slot>, Vec<ChildId>)> = Vec::new();
        for pair in pairs {
            let (Some(old), Some(new)) = (pair.old.as_supervisor(), pair.new.as_supervisor())
            else {
                continue;
            };
            let before = by_id(&old.children);
            let added = new.children.iter();
            let specs: Vec<Arc<ChildSpec>> = added
                .filter(|child| !before.contains_key(&child.id))
                .cloned()
                .collect();
            let slot = self.0.registry.get(&pair.path);
            let Some(slot) = slot.filter(|_| !specs.is_empty()) else {
                continue;
            };
            let ids = specs.iter().map(|spec| spec.id.clone()).collect();
            let asked = self
                .ask_supervisor(&slot, Request::Prepare { specs }, [])
                .await;
            match refusal(asked) {
                None => prepared.push((slot, ids)),
                // It does not run: they start with it.
                Some(RequestError::Ending) => {}
                Some(error) => {
                    self.undo(&prepared).await;
                    return Err(match error {
                        RequestError::ChildFailed { id, reason } => ReloadError::Refused {
                            path: pair.path.child(&id),
                            error: RequestError::StartFailed(reason),
                        },
                        error => ReloadError::Refused {
                            path: pair.path.clone(),
                            error,
                        },
                    });
                }
            }
        }
        Ok(prepared)
    }

    /// Takes away what was prepared for nothing.
    async fn undo(&self, prepared: &[(Arc<Slot>, Vec<ChildId>)]) {
        for (slot, ids) in prepared.iter().rev() {
            let ids = ids.clone();
            let request = Request::Undo { ids, error: None };
            if let Err(error) = self.ask_supervisor(slot, request, []).await {
                // It went meanwhile, and what was prepared with it.
                tracing::debug!(path = %slot.path(), %error, "nothing left to take away");
            }
        }
    }

    /// Asks all at once. If one of them refuses, all that had agreed have their old settings again.
    async fn ask_all(&self, voters: &[Voter]) -> Result<Votes, ReloadError> {
        let limit = self.apply_timeout();
        let said = join_all(voters.iter().map(|voter| voter.ask(&voter.new, limit))).await;
        let no = voters
            .iter()
            .zip(&said)
            .find_map(|(voter, said)| match said {
                Said::No { why, .. } => Some(ReloadError::Rejected {
                    path: voter.slot.path().clone(),
                    why: why.clone(),
                }),
                _ => None,
            });
        let Some(error) = no else {
            let votes = voters.iter().zip(said).map(|(voter, said)| {
                let applied = matches!(said, Said::Applied).then(|| voter.life.incarnation());
                (voter.slot.path().clone(), applied)
            });
            return Ok(votes.collect());
        };
        let back = voters.iter().zip(&said).map(|(voter, said)| async {
            let is_back = match said {
                Said::Applied => matches!(voter.ask(&voter.old, limit).await, Said::Applied),
                Said::No { spoilt, .. } => !spoilt,
                Said::Restart | Said::Gone => true,
            };
            if !is_back && let Err(error) = self.restart(voter.slot.path()).await {
                let path = voter.slot.path();
                tracing::warn!(%path, %error, "not restarted with its old settings");
            }
        });
        join_all(back).await;
        Err(error)
    }

    /// Tells each supervisor whose part differs what it is to be, from the root down.
    async fn commit(&self, pairs: &[Pair], votes: &Votes) -> Result<(), ReloadError> {
        for pair in pairs {
            let Some(slot) = self.0.registry.get(&pair.path) else {
                continue;
            };
            self.turn_into(&slot, &pair.new, pair.part_differs(), votes)
                .await?;
        }
        Ok(())
    }

    /// Tells one supervisor; one that does not run begins as it is told.
    async fn turn_into(
        &self,
        slot: &Arc<Slot>,
        spec: &Arc<ChildSpec>,
        part_differs: bool,
        votes: &Votes,
    ) -> Result<(), ReloadError> {
        {
            let _specs = self.0.specs.lock();
            slot.respec(Arc::clone(spec), None)
                .map_err(|error| BuildError::Settings {
                    path: slot.path().clone(),
                    kind: String::new(),
                    error,
                })?;
        }
        if !part_differs {
            return Ok(());
        }
        if let (Some(body), Some(supervisor)) = (slot.supervisor(), spec.as_supervisor()) {
            let partitions = supervisor.partitions.unwrap_or_default();
            body.partitions.store(partitions, Ordering::Release);
        }
        let of_it = votes.iter().filter_map(|(path, applied)| {
            let is_its = path.parent().as_ref() == Some(slot.path());
            Some((path.id().filter(|_| is_its)?, (*applied)?))
        });
        let reload = Reload {
            spec: Arc::clone(spec),
            applied: of_it.collect(),
        };
        let asked = self.ask_supervisor(slot, Request::Reload(Box::new(reload)), []);
        match refusal(asked.await) {
            None | Some(RequestError::Ending) => Ok(()),
            Some(error) => Err(ReloadError::Refused {
                path: slot.path().clone(),
                error,
            }),
        }
    }

    /// Tells those again that a restart in between has brought up as they were before; whether there were any.
    async fn repair(&self, pairs: &[Pair], since: Instant) -> Result<bool, ReloadError> {
        let mut repaired = false;
        for pair in pairs {
            let (Some(slot), Some(wanted)) =
                (self.0.registry.get(&pair.path), pair.new.as_supervisor())
            else {
                continue;
            };
            let is_up = slot.state() == SlotState::Running;
            let child = |child: &ChildSpec| self.0.registry.get(&slot.path().child(&child.id));
            let is_stale = |wanted: &Arc<ChildSpec>| match child(wanted) {
                Some(child) => {
                    change(&child.spec(), wanted) != reload::Change::None
                        && !was_rolled_back(&child, since)
                }
                None => is_up && wanted.restart != Restart::Temporary,
            };
            if !wanted.children.iter().any(is_stale) {
                continue;
            }
            repaired = true;
            let children = wanted.children.iter().map(|wanted| match child(wanted) {
                Some(child) if was_rolled_back(&child, since) => child.spec(),
                _ => Arc::clone(wanted),
            });
            let wanted = SupervisorSpec {
                children: children.collect(),
                ..wanted.clone()
            };
            let spec = Arc::new(ChildSpec {
                what: ChildKind::Supervisor(wanted),
                ..(*pair.new).clone()
            });
            self.turn_into(&slot, &spec, true, &Votes::new()).await?;
        }
        Ok(repaired)
    }

    fn what_was_done(&self, mut changes: Vec<Change>, votes: &Votes) -> Vec<Change> {
        for change in &mut changes {
            let slot = self.0.registry.get(&change.path);
            let is_up = slot.is_some_and(|slot| slot.life().is_some_and(|life| !life.has_ended()));
            change.how = match (change.what, change.how) {
                (What::Template, _) => How::Live,
                (What::Removed, how) => how,
                (_, How::Asks) => match votes.get(&change.path) {
                    Some(Some(_)) => How::Live,
                    _ if is_up => How::Restart,
                    _ => How::Later,
                },
                (_, How::Restart | How::Start) if !is_up => How::Later,
                (_, how) => how,
            };
        }
        changes
    }

    /// A child has another spec by its supervisor's own doing: a restart of any supervisor above is to bring it up so.
    pub(crate) fn amend(&self, path: &ActorPath, spec: Arc<ChildSpec>) {
        let _specs = self.0.specs.lock();
        let mut below = spec;
        let mut at = path.clone();
        while let Some(parent) = at.parent() {
            let Some(slot) = self.0.registry.get(&parent) else {
                return;
            };
            let mut above = (*slot.spec()).clone();
            let ChildKind::Supervisor(supervisor) = &mut above.what else {
                return;
            };
            let Some(child) = supervisor
                .children
                .iter_mut()
                .find(|child| child.id == below.id)
            else {
                // It comes and goes, and is in no spec.
                return;
            };
            *child = below;
            below = Arc::new(above);
            if slot.respec(Arc::clone(&below), None).is_err() {
                return;
            }
            at = parent;
        }
    }
}

impl Voter {
    /// What the life says to these settings.
    async fn ask(&self, settings: &Parsed, limit: Duration) -> Said {
        let (reply, answer) = oneshot::channel();
        let begun = Arc::new(AtomicBool::new(false));
        self.life.request(|requests| {
            requests.apply = Some(ApplyRequest {
                settings: settings.clone(),
                limit,
                begun: Arc::clone(&begun),
                reply,
            });
        });
        self.slot.wake();
        match tokio::time::timeout(limit + LATE_BY, answer).await {
            Ok(Ok(Vote::Said(Apply::Applied))) => Said::Applied,
            Ok(Ok(Vote::Said(Apply::Restart))) => Said::Restart,
            Ok(Ok(Vote::Said(Apply::Rejected(why)))) => Said::No { why, spoilt: false },
            Ok(Ok(Vote::Late)) => Said::No {
                why: format!("its `apply` did not come to an end within {limit:?}"),
                spoilt: true,
            },
            Ok(Err(_ended)) if begun.load(Ordering::Acquire) => self.ended().await,
            Ok(Err(_ended)) => Said::Gone,
            Err(_elapsed) => {
                let mut is_taken_back = false;
                self.life
                    .request(|requests| is_taken_back = requests.apply.take().is_some());
                Said::No {
                    why: format!("it was busy, and did not look at them within {limit:?}"),
                    spoilt: !is_taken_back,
                }
            }
        }
    }

    /// What its end says of the question that it was thinking about.
    async fn ended(&self) -> Said {
        self.life.ended().await;
        let reason = self.life.exit().unwrap_or_else(ExitReason::killed);
        match reason.kind {
            ExitKind::Error | ExitKind::Panic | ExitKind::Stalled => Said::No {
                why: format!("its `apply` crashed ({reason})"),
                // Its next life has the old ones.
                spoilt: false,
            },
            _ => Said::Gone,
        }
    }
}

/// Whether the settings of a child went back to what they were since the change.
fn was_rolled_back(slot: &Slot, since: Instant) -> bool {
    let is_so =
        |record: &ExitRecord| record.response == Response::RolledBack && record.when >= since;
    slot.history().iter().any(is_so)
}

/// The worker in `slot`, if it runs and its settings change.
fn voter(slot: Arc<Slot>, old: &ChildSpec, new: &ChildSpec) -> Result<Option<Voter>, ReloadError> {
    if change(old, new) != reload::Change::Settings {
        return Ok(None);
    }
    let (Some(body), Some(worker)) = (slot.worker(), new.as_worker()) else {
        return Ok(None);
    };
    let parse = |settings: &Value| {
        let parsed = body.parse(settings, slot.kernel().secrets());
        parsed.map_err(|error| BuildError::Settings {
            path: slot.path().clone(),
            kind: worker.kind.clone(),
            error,
        })
    };
    let parsed = parse(&worker.settings)?;
    let before = parse(&slot.settings())?;
    let running = slot
        .life()
        .filter(|life| !life.has_ended() && life.incarnation() == slot.incarnation());
    Ok(running.map(|life| Voter {
        life,
        old: before,
        new: parsed,
        slot: Arc::clone(&slot),
    }))
}

fn refusal(asked: Result<Done, KernelError>) -> Option<RequestError> {
    match asked {
        Ok(_) => None,
        Err(KernelError::Refused { error, .. }) => Some(error),
        Err(_gone) => Some(RequestError::Ending),
    }
}

/// A supervisor that is another, or has another below it.
struct Pair {
    path: ActorPath,
    old: Arc<ChildSpec>,
    new: Arc<ChildSpec>,
}

impl Pair {
    fn part_differs(&self) -> bool {
        match (self.old.as_supervisor(), self.new.as_supervisor()) {
            (Some(old), Some(new)) => own_part_differs(old, new),
            _ => false,
        }
    }
}

/// All supervisors that differ and are in both, from the top down.
fn pairs(path: ActorPath, old: &Arc<ChildSpec>, new: &Arc<ChildSpec>, pairs_: &mut Vec<Pair>) {
    let (Some(before), Some(after)) = (old.as_supervisor(), new.as_supervisor()) else {
        return;
    };
    if Arc::ptr_eq(old, new) || change(old, new) == reload::Change::Replace {
        return;
    }
    pairs_.push(Pair {
        path: path.clone(),
        old: Arc::clone(old),
        new: Arc::clone(new),
    });
    let before = by_id(&before.children);
    for child in &after.children {
        if let Some(old) = before.get(&child.id) {
            pairs(path.child(&child.id), old, child, pairs_);
        }
    }
}
