//! A change of the whole tree while it runs: prepare, commit, look whether it came to what was wanted.
//!
//! **Prepare** leaves no trace if it fails: all that is new is checked, children that are to be added are started beside
//! what runs, and each child whose settings change is asked with [`Actor::apply`](crate::Actor::apply). If one of them
//! refuses, those that had agreed get their old settings back and what was added is taken away. **Commit** goes from the
//! root down: each supervisor whose own part differs is told what it is to be, and stops, starts and restarts in one job
//! what that takes. The spec of the root is the one truth of what is to be: a supervisor that is restarted in between
//! begins as that says.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::build::{check_significance, check_template};
use super::*;
use crate::actor::Apply;
use crate::reload::{Change, How, ReloadError, What, by_id, diff, share};
use crate::settings::{ApplyRequest, Parsed, Vote};
use crate::supervisor::core::Reload;
use crate::supervisor::core::differ::{self, change, of_next_template, own_part_differs};

/// By supervisor, which children have taken their new settings live, and which life of each did.
type Votes = BTreeMap<ActorPath, BTreeMap<ChildId, u64>>;

/// How long after its time a life may say that it was late.
const LATE_BY: Duration = Duration::from_secs(1);

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
        self.commit(&before, &after, &differ, &votes).await?;
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
    async fn prepare(&self, pairs: &[Pair]) -> Result<Vec<Arc<Slot>>, ReloadError> {
        let mut prepared: Vec<Arc<Slot>> = Vec::new();
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
            let asked = self
                .ask_supervisor(&slot, Request::Prepare { specs }, [])
                .await;
            match refusal(asked) {
                None => prepared.push(slot),
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
    async fn undo(&self, prepared: &[Arc<Slot>]) {
        for slot in prepared.iter().rev() {
            let request = Request::Undo { error: None };
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
            let mut votes = Votes::new();
            for (voter, said) in voters.iter().zip(said) {
                if let (Said::Applied, Some(above)) = (said, voter.slot.path().parent()) {
                    let id = voter.slot.id().clone();
                    let votes = votes.entry(above).or_default();
                    votes.insert(id, voter.life.incarnation());
                }
            }
            return Ok(votes);
        };
        #[cfg(test)]
        if self.bug() == Some(crate::bug::Bug::KeepsVotes) {
            return Err(error);
        }
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

    /// Tells each supervisor whose part differs what it is to be, from the root down. What was put back since `before` was
    /// read stays so.
    async fn commit(
        &self,
        before: &Arc<ChildSpec>,
        after: &Arc<ChildSpec>,
        pairs: &[Pair],
        votes: &Votes,
    ) -> Result<(), ReloadError> {
        let root = self.root().ok_or(ReloadError::Ending)?;
        {
            let _specs = self.0.specs.lock();
            put(&root, merge(before, &root.spec(), after));
        }
        for pair in pairs {
            if let Some(slot) = self.0.registry.get(&pair.path) {
                self.turn_into(&slot, pair, votes).await;
            }
        }
        // Where it is, nothing was left to be told.
        match self.mode() {
            Mode::Stopping => Err(ReloadError::Ending),
            _ => Ok(()),
        }
    }

    /// Tells one supervisor; one that does not run begins as it is told.
    async fn turn_into(&self, slot: &Arc<Slot>, pair: &Pair, votes: &Votes) {
        self.respec_supervisor(slot, Arc::clone(&pair.new));
        let spec = slot.spec();
        let (Some(body), Some(supervisor), true) =
            (slot.supervisor(), spec.as_supervisor(), pair.part_differs())
        else {
            return;
        };
        let partitions = supervisor.partitions.unwrap_or_default();
        body.partitions.store(partitions, Ordering::Release);
        let applied = votes.get(slot.path()).cloned().unwrap_or_default();
        let reload = Reload { spec, applied };
        let asked = self.ask_supervisor(slot, Request::Reload(Box::new(reload)), []);
        match refusal(asked.await) {
            None | Some(RequestError::Ending) => {}
            Some(error) => tracing::error!(path = %slot.path(), %error, "it was not changed"),
        }
    }

    /// Gives a supervisor the spec that the tree has for it by now; `spec` if it is in none.
    pub(crate) fn respec_supervisor(&self, slot: &Slot, spec: Arc<ChildSpec>) {
        let _specs = self.0.specs.lock();
        let root = self.root().map(|root| root.spec());
        let desired = root.and_then(|root| below(&root, slot.path()));
        put(slot, desired.unwrap_or(spec));
    }

    fn what_was_done(&self, mut changes: Vec<Change>, votes: &Votes) -> Vec<Change> {
        let has_applied = |path: &ActorPath| {
            let votes = path.parent().and_then(|above| votes.get(&above));
            let id = path.id();
            votes.is_some_and(|votes| id.is_some_and(|id| votes.contains_key(&id)))
        };
        for change in &mut changes {
            let slot = self.0.registry.get(&change.path);
            let is_up = slot.is_some_and(|slot| slot.life().is_some_and(|life| !life.has_ended()));
            change.how = match (change.what, change.how) {
                (What::Template, _) => How::Live,
                (What::Removed, how) => how,
                (_, How::Asks) if has_applied(&change.path) => How::Live,
                (_, How::Asks) if is_up => How::Restart,
                (_, How::Asks) => How::Later,
                (_, How::Restart | How::Start) if !is_up => How::Later,
                (_, how) => how,
            };
        }
        changes
    }

    /// A child has another spec by its supervisor's own doing: a restart of any supervisor above is to bring it up so.
    pub(crate) fn amend(&self, path: &ActorPath, spec: Arc<ChildSpec>) {
        let _specs = self.0.specs.lock();
        let Some(root) = self.root() else {
            return;
        };
        let ids: Vec<ChildId> = path.segments().filter_map(|id| id.parse().ok()).collect();
        // One that comes and goes is in no spec.
        let Some(amended) = amended(&root.spec(), &ids, spec) else {
            return;
        };
        let mut above = path.parent();
        #[cfg(test)]
        if self.bug() == Some(crate::bug::Bug::ForgetsRollback) {
            return;
        }
        while let Some(path) = above {
            let spec = below(&amended, &path);
            if let (Some(slot), Some(spec)) = (self.0.registry.get(&path), spec) {
                put(&slot, spec);
            }
            above = path.parent();
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
            Ok(Ok(Vote::Broken(panic))) => Said::No {
                why: format!("its `apply` crashed ({panic})"),
                spoilt: true,
            },
            Ok(Ok(Vote::Late)) => Said::No {
                why: format!("its `apply` did not come to an end within {limit:?}"),
                spoilt: true,
            },
            Ok(Err(_ended)) if begun.load(Ordering::Acquire) => self.ended().await,
            Ok(Err(_ended)) => Said::Gone,
            // It was cut off, and what is left of it still holds the way back.
            Err(_elapsed) if self.life.has_ended() => self.ended().await,
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

/// Gives the slot of a supervisor another spec; under the lock of all specs.
fn put(slot: &Slot, spec: Arc<ChildSpec>) {
    if slot.is_supervisor() && spec.as_supervisor().is_some() {
        let done = slot.respec(spec, None);
        done.expect("a supervisor has no settings that could not fit");
    }
}

/// The spec at `path` in the tree of `root`.
fn below(root: &Arc<ChildSpec>, path: &ActorPath) -> Option<Arc<ChildSpec>> {
    let mut at = root;
    for id in path.segments() {
        let mut children = at.as_supervisor()?.children.iter();
        at = children.find(|child| child.id.as_str() == id)?;
    }
    Some(Arc::clone(at))
}

/// `above` with another spec for the child that `ids` lead to.
fn amended(
    above: &Arc<ChildSpec>,
    ids: &[ChildId],
    spec: Arc<ChildSpec>,
) -> Option<Arc<ChildSpec>> {
    let Some((id, ids)) = ids.split_first() else {
        return Some(spec);
    };
    let mut above = (**above).clone();
    let ChildKind::Supervisor(supervisor) = &mut above.what else {
        return None;
    };
    let mut children = supervisor.children.iter_mut();
    let child = children.find(|child| child.id == *id)?;
    *child = amended(child, ids, spec)?;
    Some(Arc::new(above))
}

/// What `after` makes of `before`, where `before` is `now` by now: what both changed is as `after` says.
fn merge(before: &Arc<ChildSpec>, now: &Arc<ChildSpec>, after: &Arc<ChildSpec>) -> Arc<ChildSpec> {
    if Arc::ptr_eq(before, now) {
        return Arc::clone(after);
    }
    if Arc::ptr_eq(before, after) {
        return Arc::clone(now);
    }
    let (Some(old), Some(now), Some(new)) = (
        before.as_supervisor(),
        now.as_supervisor(),
        after.as_supervisor(),
    ) else {
        return Arc::clone(after);
    };
    let (old, now) = (by_id(&old.children), by_id(&now.children));
    let merged = new
        .children
        .iter()
        .map(|child| match (old.get(&child.id), now.get(&child.id)) {
            (Some(old), Some(now)) => merge(old, now, child),
            _ => Arc::clone(child),
        });
    Arc::new(ChildSpec {
        what: ChildKind::Supervisor(SupervisorSpec {
            children: merged.collect(),
            ..new.clone()
        }),
        ..(**after).clone()
    })
}

/// The worker in `slot`, if it runs and its settings change.
fn voter(slot: Arc<Slot>, old: &ChildSpec, new: &ChildSpec) -> Result<Option<Voter>, ReloadError> {
    if change(old, new) != differ::Change::Settings {
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
    if Arc::ptr_eq(old, new) {
        return;
    }
    pairs_.push(Pair {
        path: path.clone(),
        old: Arc::clone(old),
        new: Arc::clone(new),
    });
    let before = by_id(&before.children);
    for child in &after.children {
        if let Some(old) = before.get(&child.id)
            && change(old, child) != differ::Change::Replace
        {
            pairs(path.child(&child.id), old, child, pairs_);
        }
    }
}
