//! What is to run, and why: [`Keeper`], the memory of `/system/settings`.
//!
//! It knows the tree of the files, what was changed live over it, and the versions of both. Each change goes one way: what
//! the tree is to be is made of the files and the overlay, the kernel turns into it or stays as it was, and only then is it
//! written down. The memory outlives the actor: what a killed one left half done is found out by comparing what runs with
//! what was wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::runtime::RuntimeFlavor;
use tokio::time::Instant;
use unity_supervisors::path::ActorPath;
use unity_supervisors::reload::{Change, What};
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{Kernel, Kinds};

use super::describe::{describe, in_one_line};
use super::history::{Bad, Cause, ContentHash, Draft, History, Keep, State, Version};
use super::overlay::{Layer, Left, Op, Overlay};
use super::source::{Base, Reading, Source};
use crate::arguments::milliseconds;
use crate::error::{Code, CommandError};
use crate::kind_check::KnownKinds;

mod refuse;
mod rollback;
mod write;

use self::refuse::{ending, of_reload, refuse_left};
use self::rollback::bad_trouble;
pub(crate) use self::write::flat;

/// Something that is wrong with the settings and needs somebody, while what ran before runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What is wrong, in one line.
    pub what: String,
    /// The same with its place in the file, where it has one.
    pub shown: String,
    /// What to do.
    pub hint: String,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub enum Act {
    /// Read the files again; also those that are marked as bad, if it is `forced`.
    Apply {
        /// Whether a version that was rolled back is tried again.
        forced: bool,
    },
    /// Change settings of a worker, by a merge patch.
    Set {
        /// The worker.
        path: ActorPath,
        /// The patch: null takes a key out.
        settings: Map<String, Value>,
        /// Where it goes.
        to: Target,
    },
    /// Take back what was set live, or out of the file.
    Unset {
        /// The worker.
        path: ActorPath,
        /// The keys, each as in `["health", "http"]`.
        keys: Vec<Vec<String>>,
        /// Whether they are taken out of the file.
        write: bool,
    },
    /// Go back to a version, or to the one before.
    Rollback {
        /// Its number.
        to: Option<u64>,
    },
    /// Add a child for good.
    Spawn {
        /// Its supervisor.
        parent: ActorPath,
        /// The child, as it would stand in a file.
        child: Value,
    },
    /// Remove a child for good.
    Delete {
        /// The child.
        path: ActorPath,
    },
    /// Keep a child down for good.
    Stop {
        /// The child.
        path: ActorPath,
    },
    /// End that.
    Start {
        /// The child.
        path: ActorPath,
    },
}

/// Where a change of settings goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Over the file, until the kernel stops.
    Unsaved,
    /// Over the file, for good.
    Saved,
    /// Into the file.
    File,
}

/// What somebody asks for, and how.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What.
    pub act: Act,
    /// Only say what it would do.
    pub dry_run: bool,
    /// Who, for people.
    pub by: String,
}

/// A version that has yet to show that it is good.
#[derive(Debug)]
struct Trial {
    number: u64,
    until: Instant,
    paths: BTreeSet<ActorPath>,
}

/// A change that is under way.
#[derive(Debug)]
struct Pending {
    wanted: SupervisorSpec,
    before: TreeSpec,
    next: Next,
    by: String,
}

/// What is to be in force next.
#[derive(Debug, Clone)]
struct Next {
    base: Option<Base>,
    /// What of it was corrected already.
    corrections: Vec<Op>,
    overlay: Overlay,
    cause: Cause,
}

impl Next {
    /// Other files.
    fn of_files(base: Base, overlay: Overlay, cause: Cause) -> Self {
        Self {
            base: Some(base),
            corrections: Vec::new(),
            overlay,
            cause,
        }
    }

    /// The same files.
    fn over_them(overlay: Overlay, cause: Cause) -> Self {
        Self {
            base: None,
            corrections: Vec::new(),
            overlay,
            cause,
        }
    }
}

/// The memory of the settings of one kernel.
#[derive(Debug)]
pub struct Keeper {
    source: Source,
    data_dir: PathBuf,
    base: Base,
    overlay: Overlay,
    /// What the kernel put back, and the files say otherwise. It is laid into the tree of the files already.
    corrections: Vec<Op>,
    history: History,
    number: u64,
    trials: Vec<Trial>,
    pending: Option<Pending>,
    /// What the file is at fault of.
    file_trouble: Option<Trouble>,
    /// What the overlay could not be loaded or saved for.
    overlay_trouble: Option<Trouble>,
    tried: BTreeSet<PathBuf>,
    /// What is to be said once the kernel runs.
    notes: Vec<String>,
}

impl Keeper {
    /// What a kernel begins with: the files as they were read, unless they were rolled back before; then the newest version
    /// that was not. Over it lies what was saved of live changes.
    #[must_use]
    pub fn open(
        (source, read, tried): (Source, Base, BTreeSet<PathBuf>),
        data_dir: &Path,
        keep: Keep,
        kinds: &Kinds,
    ) -> (Self, TreeSpec) {
        let (history, notes) = History::open(data_dir, keep);
        let (overlay, damaged) = Overlay::load(data_dir);
        let overlay_trouble = damaged.map(|what| Trouble {
            shown: what.clone(),
            what,
            hint: "set again what is missing, with --save".to_owned(),
        });
        let mut keeper = Self {
            source,
            data_dir: data_dir.to_owned(),
            base: read,
            overlay,
            corrections: Vec::new(),
            history,
            number: 0,
            trials: Vec::new(),
            pending: None,
            file_trouble: None,
            overlay_trouble,
            tried,
            notes,
        };
        keeper.pass_over_bad(kinds);
        let (tree, left) = keeper.tree(&keeper.base, &keeper.overlay, kinds);
        let troubles = keeper.troubles().into_iter().map(|trouble| trouble.what);
        let left = left.iter().map(|(_, left)| left.to_string());
        let notes: Vec<String> = troubles.chain(left).collect();
        keeper.notes.extend(notes);
        (keeper, tree)
    }

    /// Where files are at fault of a rollback, takes the newest texts that are not.
    fn pass_over_bad(&mut self, kinds: &Kinds) {
        let Some(bad) = self.history.is_bad(self.base.hash).cloned() else {
            return;
        };
        // Where there is no other, it is better than nothing at all.
        if let Some((number, base)) = last_version(&self.history, &self.source, kinds) {
            self.file_trouble = Some(bad_trouble(&self.source, &bad, number));
            self.base = base;
        }
    }

    /// The newest version of a tree that was not rolled back, for a kernel whose files cannot be read.
    #[must_use]
    pub fn last_version(source: &Source, data_dir: &Path, kinds: &Kinds) -> Option<(u64, Base)> {
        let (history, _) = History::open(data_dir, Keep::default());
        last_version(&history, source, kinds)
    }

    /// The kernel runs: writes down with what, if that is new. Once; a tree that a program made is written down with its
    /// first change.
    pub fn booted(&mut self, kernel: &Kernel) {
        for note in std::mem::take(&mut self.notes) {
            tracing::warn!("{note}");
        }
        if self.number > 0 || self.source == Source::Made {
            return;
        }
        let newest = self.history.newest();
        let is_new = newest.is_none_or(|newest| {
            newest.hash != self.base.hash
                || newest.overlay.ops(Layer::Saved) != self.overlay.ops(Layer::Saved)
                || !newest.overlay.ops(Layer::Unsaved).is_empty()
        });
        if is_new {
            let draft = self.draft(Cause::Boot, "the kernel started".to_owned(), Vec::new());
            self.record(kernel, draft, BTreeSet::new(), ChildSpec::PROBATION);
        } else if let Some(newest) = newest {
            self.number = newest.number;
            if newest.state == State::Probation {
                self.trials.push(Trial {
                    number: newest.number,
                    until: Instant::now() + ChildSpec::PROBATION,
                    paths: BTreeSet::new(),
                });
            }
        }
        self.settle_trials();
    }

    /// Nobody waits any more for what was on probation when an earlier kernel ended, but for the newest.
    fn settle_trials(&mut self) {
        let newest = self.history.newest().map(|newest| newest.number);
        let left = self
            .history
            .versions()
            .filter(|version| version.state == State::Probation && Some(version.number) != newest);
        let left: Vec<u64> = left.map(|version| version.number).collect();
        for number in left {
            self.set_state(number, State::Superseded);
        }
    }

    /// The files that decide, to be watched.
    #[must_use]
    pub fn watched(&self) -> BTreeSet<PathBuf> {
        let mut files = self.tried.clone();
        if let Source::File(path) = &self.source {
            files.insert(path.clone());
        }
        files
    }

    /// The version in force.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How much of the history is kept from here on.
    pub fn set_keep(&mut self, keep: Keep) {
        self.history.set_keep(keep);
    }

    /// The settings of these children have completed their probation.
    pub fn proved(&mut self, settings: BTreeMap<ActorPath, Arc<Value>>) {
        let good = settings
            .into_iter()
            .map(|(path, settings)| (path, Some((*settings).clone())));
        if let Err(error) = on_disk(|| self.history.set_last_good(good)) {
            tracing::warn!(%error, "the last good settings are not on disk");
        }
    }

    /// The last good settings that are known.
    #[must_use]
    pub fn known_good(&self) -> BTreeMap<ActorPath, Value> {
        self.history.all_last_good().clone()
    }

    /// The versions.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What was changed live.
    #[must_use]
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The tree of the files in force.
    #[must_use]
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Where the tree comes from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What is wrong and needs somebody.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        let history = self.history.trouble().map(|what| Trouble {
            what: what.to_owned(),
            shown: what.to_owned(),
            hint: String::new(),
        });
        let known = [&self.file_trouble, &self.overlay_trouble];
        known
            .into_iter()
            .flatten()
            .cloned()
            .chain(history)
            .collect()
    }

    /// When the next version will have shown that it is good.
    #[must_use]
    pub fn next_proof(&self) -> Option<Instant> {
        self.trials.iter().map(|trial| trial.until).min()
    }

    /// Marks what has shown by now that it is good.
    pub fn prove(&mut self, now: Instant) {
        let (proved, open): (Vec<Trial>, Vec<Trial>) =
            self.trials.drain(..).partition(|trial| trial.until <= now);
        self.trials = open;
        for trial in proved {
            let state = self.history.get(trial.number).map(|version| version.state);
            if !matches!(state, Ok(State::Probation)) {
                continue;
            }
            self.set_state(trial.number, State::Good);
        }
    }

    /// Looks at the files, and turns the kernel into what they say if they changed.
    ///
    /// # Errors
    /// What is wrong with them; it is also kept as a trouble, and told once.
    pub async fn look(
        &mut self,
        kernel: &Kernel,
        forced: bool,
        ask: &Ask,
    ) -> Result<Value, CommandError> {
        let Some(reading) = self.source.read(kernel.kinds()) else {
            return Ok(self.nothing());
        };
        let Reading {
            checked,
            base,
            tried,
        } = reading;
        self.tried = tried;
        let Some(base) = base else {
            let shown = checked.render(false);
            let first = checked.faults().next();
            let what = first.map_or_else(String::new, |fault| fault.in_one_line());
            let what = format!("{} was not applied: {what}", self.source.name());
            return Err(self.refuse(Trouble {
                what,
                shown: shown.trim_end().to_owned(),
                hint: "mend the file: it is applied as soon as it is saved".to_owned(),
            }));
        };
        if let Some(bad) = self.history.is_bad(base.hash).cloned().filter(|_| !forced) {
            let trouble = bad_trouble(&self.source, &bad, self.number);
            let error =
                CommandError::new(Code::Failed, trouble.what.clone()).hint(trouble.hint.clone());
            self.file_trouble = Some(trouble);
            return Err(error);
        }
        let tries_again = forced && !self.corrections.is_empty();
        if base.hash == self.base.hash && !tries_again {
            self.file_trouble = None;
            return Ok(self.nothing());
        }
        if forced && !ask.dry_run {
            self.forgive(base.hash);
        }
        if base.tree.name != self.base.tree.name || base.tree.test != self.base.tree.test {
            tracing::warn!(
                "`name` and `test` of {} change with the next start",
                self.source.name()
            );
        }
        let cause = match ask.act {
            Act::Apply { .. } if !ask.by.is_empty() => Cause::Apply,
            _ => Cause::File,
        };
        let mut next = Next::of_files(base, self.overlay.clone(), cause);
        if !forced {
            self.keep_corrections(&mut next, kernel.kinds());
        }
        match self.turn_into(kernel, next, ask).await {
            Ok(done) => {
                if !ask.dry_run {
                    self.file_trouble = None;
                }
                Ok(done)
            }
            Err(error) => Err(self.refuse(Trouble {
                what: format!("{} was not applied: {}", self.source.name(), error.message),
                shown: error.message,
                hint: error.hint.unwrap_or_else(|| "change the file".to_owned()),
            })),
        }
    }

    /// Does what somebody asks for; returns what was done, as JSON.
    ///
    /// # Errors
    /// Why it was not done; then all is as it was.
    pub async fn act(&mut self, kernel: &Kernel, ask: &Ask) -> Result<Value, CommandError> {
        self.finish_pending(kernel);
        match &ask.act {
            Act::Apply { forced } => self.look(kernel, *forced, ask).await,
            Act::Rollback { to } => self.roll_back(kernel, *to, ask).await,
            Act::Set {
                path,
                settings,
                to: Target::File,
            } => self.write(kernel, path, &flat(settings), ask).await,
            Act::Unset {
                path,
                keys,
                write: true,
            } => {
                let edits = keys.iter().map(|key| (key.clone(), Value::Null));
                let edits: Vec<(Vec<String>, Value)> = edits.collect();
                self.write(kernel, path, &edits, ask).await
            }
            act => {
                let mut overlay = self.overlay.clone();
                let cause = lay(&mut overlay, act)?;
                let next = Next::over_them(overlay, cause);
                self.turn_into(kernel, next, ask).await
            }
        }
    }

    /// Turns the kernel into what is next, and writes that down.
    async fn turn_into(
        &mut self,
        kernel: &Kernel,
        next: Next,
        ask: &Ask,
    ) -> Result<Value, CommandError> {
        let base = next.base.as_ref().unwrap_or(&self.base);
        let (tree, left) = self.tree(base, &next.overlay, kernel.kinds());
        refuse_left(&left, &ask.act)?;
        let before = kernel.desired().ok_or_else(ending)?;
        let wanted = tree.root;
        if ask.dry_run {
            let changes = kernel.plan(&wanted).map_err(of_reload)?;
            let changes = described(&changes, &before, wanted);
            return Ok(
                json!({ "version": 1, "done": "planned", "number": self.number, "changes": changes }),
            );
        }
        self.pending = Some(Pending {
            wanted: wanted.clone(),
            before,
            next,
            by: ask.by.clone(),
        });
        let changes = kernel.reload(wanted).await;
        let pending = self.pending.take();
        let changes = changes.map_err(of_reload)?;
        match pending {
            Some(pending) => Ok(self.done(kernel, pending, &changes)),
            None => Ok(self.nothing()),
        }
    }

    /// Writes down what was done.
    fn done(&mut self, kernel: &Kernel, pending: Pending, changes: &[Change]) -> Value {
        let Pending {
            wanted,
            before,
            next,
            by,
        } = pending;
        let saved_before = self.overlay.ops(Layer::Saved).to_vec();
        if let Some(base) = next.base {
            self.base = base;
            self.corrections = next.corrections;
        }
        let overlay_differs = self.overlay != next.overlay;
        self.overlay = next.overlay;
        if saved_before != self.overlay.ops(Layer::Saved) {
            self.save_overlay();
        }
        if changes.is_empty() && !overlay_differs {
            return self.nothing();
        }
        let described = described(changes, &before, wanted);
        let lines: Vec<String> = described.iter().map(in_one_line).collect();
        for line in &lines {
            tracing::info!("{line}");
        }
        let on_trial = |change: &&Change| {
            !matches!(
                change.what,
                What::Removed | What::Order | What::Flags | What::Keys
            )
        };
        let paths: BTreeSet<ActorPath> = changes
            .iter()
            .filter(on_trial)
            .map(|change| change.path.clone())
            .collect();
        let longest = paths.iter().map(|path| probation(kernel, path)).max();
        let longest = longest.unwrap_or_default();
        let draft = self.draft(next.cause, by, lines);
        let number = self.record(kernel, draft, paths, longest);
        json!({
            "version": 1, "done": "applied", "number": number, "changes": described,
            "probation_ms": milliseconds(longest),
        })
    }

    /// Finds out what became of a change that whoever made it did not live to write down.
    pub fn finish_pending(&mut self, kernel: &Kernel) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let Some(now) = kernel.desired() else {
            return;
        };
        if now.root == pending.wanted {
            let changes = unity_supervisors::reload::diff(&pending.before.root, &now.root);
            self.done(kernel, pending, &changes);
        }
    }

    fn tree(
        &self,
        base: &Base,
        overlay: &Overlay,
        kinds: &Kinds,
    ) -> (TreeSpec, Vec<(Layer, Left)>) {
        overlay.lay_over(&base.tree, &KnownKinds(kinds))
    }

    /// A version of what is in force, which its files, its overlay and nothing else say.
    fn draft(&self, cause: Cause, by: String, changes: Vec<String>) -> Draft {
        let mut overlay = Overlay::default();
        let layers = [
            (Layer::Saved, self.overlay.ops(Layer::Saved)),
            (Layer::Unsaved, &self.corrections),
            (Layer::Unsaved, self.overlay.ops(Layer::Unsaved)),
        ];
        for (layer, ops) in layers {
            for op in ops {
                if let Err(error) = overlay.change(layer, op.clone()) {
                    tracing::warn!(%error, "a version is written down without `{op}`");
                }
            }
        }
        Draft {
            cause,
            by,
            files: self.base.files.clone(),
            overlay,
            changes,
            state: State::Probation,
        }
    }

    fn record(
        &mut self,
        kernel: &Kernel,
        mut draft: Draft,
        paths: BTreeSet<ActorPath>,
        probation: Duration,
    ) -> u64 {
        if probation.is_zero() {
            draft.state = State::Good;
        }
        // What changed the same a moment ago will not show any more whether it was good.
        let superseded = self.trials.extract_if(.., |trial| {
            !trial.paths.is_empty() && trial.paths.is_subset(&paths)
        });
        let superseded: Vec<u64> = superseded.map(|trial| trial.number).collect();
        for number in superseded {
            self.set_state(number, State::Superseded);
        }
        let now = kernel.clock().wall().system_time();
        let (number, written) = on_disk(|| self.history.record(draft, now));
        if let Err(error) = written {
            tracing::warn!(%error, "version {number} of the settings is in memory only");
        }
        self.number = number;
        if !probation.is_zero() {
            self.trials.push(Trial {
                number,
                until: Instant::now() + probation,
                paths,
            });
        }
        number
    }

    fn set_state(&mut self, number: u64, state: State) {
        // It may have been pruned.
        if self.history.get(number).is_ok()
            && let Err(error) = on_disk(|| self.history.set_state(number, state))
        {
            tracing::warn!(%error, "not noted on disk what became of version {number}");
        }
    }

    fn save_overlay(&mut self) {
        let saved = on_disk(|| self.overlay.save(&self.data_dir));
        self.overlay_trouble = saved.err().map(|error| {
            let what = format!("what was saved of live changes is not on disk: {error}");
            tracing::warn!("{what}");
            Trouble {
                shown: what.clone(),
                what,
                hint: "make room or give the folder back, then save it again".to_owned(),
            }
        });
    }

    fn forgive(&mut self, hash: ContentHash) {
        if let Err(error) = on_disk(|| self.history.forgive(hash)) {
            tracing::warn!(%error, "not noted that a version may be used again");
        }
    }

    /// The version before `number` that was not rolled back.
    fn before(&self, number: u64) -> Option<&Version> {
        let mut versions = self.history.versions().rev();
        versions.find(|version| version.number < number && version.state != State::RolledBack)
    }

    /// Keeps a trouble with the file, and tells it once.
    fn refuse(&mut self, trouble: Trouble) -> CommandError {
        if self.file_trouble.as_ref() != Some(&trouble) {
            tracing::error!(
                "{}; the old version stays in force\n{}",
                trouble.what,
                trouble.shown
            );
        }
        let mut error = CommandError::new(Code::Invalid, trouble.what.clone())
            .hint(format!("nothing was changed; {}", trouble.hint));
        if trouble.shown.contains('\n') {
            error = error.shown(trouble.shown.clone());
        }
        self.file_trouble = Some(trouble);
        error
    }

    fn nothing(&self) -> Value {
        json!({ "version": 1, "done": "unchanged", "number": self.number, "changes": [] })
    }
}

fn described(changes: &[Change], before: &TreeSpec, wanted: SupervisorSpec) -> Vec<Value> {
    let after = TreeSpec {
        root: wanted,
        ..before.clone()
    };
    describe(changes, before, &after)
}

/// Lays what is asked for over the files, and says what that is called.
fn lay(overlay: &mut Overlay, act: &Act) -> Result<Cause, CommandError> {
    Ok(match act {
        // Those go other ways.
        Act::Apply { .. } | Act::Rollback { .. } => Cause::Apply,
        Act::Set { path, settings, to } => {
            let layer = match to {
                Target::Saved => Layer::Saved,
                _ => Layer::Unsaved,
            };
            let op = Op::Set {
                path: path.clone(),
                settings: settings.clone(),
            };
            change(overlay, layer, op)?;
            Cause::Set
        }
        Act::Unset { path, keys, .. } => {
            for key in keys {
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                let unsaved = overlay.unset(Layer::Unsaved, path, &key);
                let saved = overlay.unset(Layer::Saved, path, &key);
                if !unsaved && !saved {
                    let message = format!("`{}` of {path} was not set live", key.join("."));
                    return Err(CommandError::new(Code::NotFound, message).hint(
                        "`uk config diff` lists what was; --write takes a key out of the file",
                    ));
                }
            }
            Cause::Unset
        }
        Act::Spawn { parent, child } => {
            let (parent, child) = (parent.clone(), child.clone());
            change(overlay, Layer::Saved, Op::Spawn { parent, child })?;
            Cause::Spawn
        }
        Act::Delete { path } => {
            change(overlay, Layer::Saved, Op::Delete { path: path.clone() })?;
            Cause::Delete
        }
        Act::Stop { path } => {
            change(overlay, Layer::Saved, Op::Stop { path: path.clone() })?;
            Cause::Stop
        }
        Act::Start { path } => {
            overlay.start(Layer::Saved, path);
            Cause::Start
        }
    })
}

fn change(overlay: &mut Overlay, layer: Layer, op: Op) -> Result<(), CommandError> {
    overlay
        .change(layer, op)
        .map_err(|error| CommandError::new(Code::Failed, error.to_string()))
}

/// The newest version that was not rolled back and can still be read.
fn last_version(history: &History, source: &Source, kinds: &Kinds) -> Option<(u64, Base)> {
    let mut versions = history
        .versions()
        .rev()
        .filter(|version| history.is_bad(version.hash).is_none());
    versions.find_map(|version| {
        let texts = history.texts(version.number).ok()?;
        let base = source.read_kept(&texts, kinds)?.base?;
        Some((version.number, base))
    })
}

/// Waits for the disk without holding up what else is to run on this thread.
fn on_disk<T>(work: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match runtime {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The child at a path below a supervisor.
#[must_use]
pub fn find<'a>(root: &'a SupervisorSpec, path: &ActorPath) -> Option<&'a ChildSpec> {
    let mut supervisor = root;
    let mut found = None;
    for id in path.segments() {
        let child = supervisor
            .children
            .iter()
            .find(|child| child.id.as_str() == id)?;
        found = Some(&**child);
        if let ChildKind::Supervisor(below) = &child.what {
            supervisor = below;
        }
    }
    found
}

/// How long the settings of the child at a path are on probation.
fn probation(kernel: &Kernel, path: &ActorPath) -> Duration {
    let slot = kernel.registry().get(path);
    slot.map_or(ChildSpec::PROBATION, |slot| slot.spec().probation)
}
