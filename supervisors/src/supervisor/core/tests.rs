//! The core against a model of what it drives: lives that end at any moment, jobs that take a step at a time,
//! pauses, requests and an end. Whatever the order, each request is answered once and nothing is left behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::ladder::LadderDid;
use crate::spec::{ChildKind, Ladder, LadderAction, LadderStep, Template};

/// A job under way.
struct Running {
    steps: VecDeque<Step>,
    outcomes: Vec<(Key, Outcome)>,
    down: BTreeSet<Key>,
    over: bool,
    cancelled: bool,
    skipped: BTreeSet<Key>,
    /// What it started; their exits are heard of after its end.
    started: BTreeSet<Key>,
}

/// What the core drives.
struct Model {
    core: Core,
    rng: fastrand::Rng,
    now: Instant,
    /// Lives that run, by key, with their incarnation.
    lives: BTreeMap<Key, u64>,
    incarnations: BTreeMap<Key, u64>,
    jobs: BTreeMap<JobId, Running>,
    exits: Vec<(Key, u64)>,
    waits: Vec<(Key, u64)>,
    /// Lives that are on probation.
    proofs: Vec<(ChildId, u64)>,
    asked: BTreeSet<Ticket>,
    next_ticket: Ticket,
    ended: usize,
    began: usize,
    /// Starts fail and are ignored, and lives end, as chance has it.
    is_calm: bool,
}

const AUTO_SHUTDOWNS: [AutoShutdown; 4] = [
    AutoShutdown::Never,
    AutoShutdown::Never,
    AutoShutdown::AnySignificant,
    AutoShutdown::AllSignificant,
];
const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn child(rng: &mut fastrand::Rng, at: usize) -> ChildSpec {
    let restart = [
        Restart::Permanent,
        Restart::Permanent,
        Restart::Transient,
        Restart::Temporary,
    ];
    let mut spec = ChildSpec::worker(ChildId::known(IDS[at]), "none");
    spec.restart = restart[rng.usize(..restart.len())];
    spec.essential = rng.u8(..3) == 0;
    spec.significant = spec.restart != Restart::Permanent && rng.bool();
    spec.backoff = (rng.u8(..3) == 0).then(Backoff::default);
    if at > 0 && rng.u8(..3) == 0 {
        spec.needs = vec![ChildId::known(IDS[rng.usize(..at)])];
    }
    spec.probation = Duration::from_millis(rng.u64(..2_000));
    let ladder = (rng.u8(..3) == 0).then(|| Arc::new(ladder(rng)));
    if let ChildKind::Worker(worker) = &mut spec.what {
        worker.on_crash = ladder;
    }
    spec
}

fn ladder(rng: &mut fastrand::Rng) -> Ladder {
    let count = rng.usize(..4);
    let steps = (0..count).map(|at| LadderStep {
        after: rng.u32(1..5),
        within: Duration::from_millis(rng.u64(1..3_000)),
        action: match rng.u8(..3) {
            0 => LadderAction::LastGood,
            1 if at + 1 == count => LadderAction::Quarantine,
            _ => LadderAction::Swap(serde_json::json!({ "step": at })),
        },
    });
    Ladder {
        steps: steps.collect(),
    }
}

/// A ladder and what was done agree with each other.
fn check_note(response: &Response, note: Option<&LadderNote>) {
    let Some(note) = note else { return };
    let is_kept_down = matches!(note.did, LadderDid::Quarantined { .. });
    assert_eq!(*response == Response::Quarantined, is_kept_down, "{note}");
    assert!(*response != Response::GaveUp || note.is_charged(), "{note}");
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let strategies = [
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ];
        let roles = [Role::Sub, Role::Root, Role::MortalRoot, Role::Services];
        let template = (rng.u8(..4) == 0).then(|| {
            Arc::new(Template {
                child: ChildSpec {
                    significant: false,
                    ..child(&mut rng, 0)
                },
                max_children: rng.bool().then(|| rng.usize(..=4)),
            })
        });
        let count = if template.is_some() {
            0
        } else {
            rng.usize(..=4)
        };
        let spec = SupervisorSpec {
            strategy: strategies[rng.usize(..strategies.len())],
            intensity: rng.u32(..20),
            auto_shutdown: AUTO_SHUTDOWNS[rng.usize(..AUTO_SHUTDOWNS.len())],
            children: (0..count).map(|at| child(&mut rng, at).into()).collect(),
            template,
            ..SupervisorSpec::default()
        };
        let now = Instant::now();
        let core = Core::new(roles[rng.usize(..roles.len())], &spec, now);
        Self {
            core,
            rng,
            now,
            lives: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            jobs: BTreeMap::new(),
            exits: Vec::new(),
            waits: Vec::new(),
            proofs: Vec::new(),
            asked: BTreeSet::new(),
            next_ticket: 0,
            ended: 0,
            began: 0,
            is_calm: false,
        }
    }

    fn feed(&mut self, input: Input) {
        let mut chance = fastrand::Rng::with_seed(7);
        for effect in self.core.handle(input, self.now, &mut chance) {
            self.act(effect);
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            // By now a later input may have begun to stop it.
            Effect::Suspend { key, .. } => assert!(self.incarnations.contains_key(&key)),
            Effect::Run { job, steps, .. } => {
                for step in &steps {
                    let held =
                        |running: &Running| running.steps.iter().any(|of| of.key() == step.key());
                    assert!(
                        !self.jobs.values().any(held),
                        "{step:?} is in two jobs at once"
                    );
                }
                let running = Running {
                    steps: steps.into(),
                    outcomes: Vec::new(),
                    down: BTreeSet::new(),
                    over: false,
                    cancelled: false,
                    skipped: BTreeSet::new(),
                    started: BTreeSet::new(),
                };
                assert!(self.jobs.insert(job, running).is_none());
            }
            Effect::Cancel { job, .. } => {
                if let Some(running) = self.jobs.get_mut(&job) {
                    running.cancelled = true;
                }
            }
            Effect::Skip { key } => {
                for running in self.jobs.values_mut() {
                    running.skipped.insert(key);
                }
            }
            Effect::Wait {
                key, generation, ..
            } => self.waits.push((key, generation)),
            Effect::Kill { key, .. } => self.exit(key),
            Effect::Delete { key } => {
                assert!(
                    !self.lives.contains_key(&key),
                    "{key} is deleted while it runs"
                );
            }
            Effect::Answer { ticket, .. } => assert!(self.asked.remove(&ticket), "answered twice"),
            Effect::End(_) => {
                self.ended += 1;
                assert!(self.lives.is_empty(), "{:?} are left behind", self.lives);
            }
            Effect::Began(_) => self.began += 1,
            Effect::Move { from, to } => self.move_child(from, to),
            Effect::Add { .. } | Effect::Respec { .. } | Effect::RollBack { .. } => {}
            Effect::Record {
                response, ladder, ..
            } => check_note(&response, ladder.as_deref()),
            Effect::Ladder { effect, .. } => {
                if let LadderEffect::Probation {
                    id, incarnation, ..
                } = effect
                {
                    self.proofs.push((id, incarnation));
                }
            }
            Effect::State { .. } | Effect::Adopt { .. } | Effect::Ending(_) | Effect::Safe(_) => {}
        }
    }

    fn move_child(&mut self, from: Key, to: Key) {
        assert!(self.jobs.is_empty(), "{from} moves while a job is at work");
        if let Some(life) = self.lives.remove(&from) {
            self.lives.insert(to, life);
        }
        if let Some(incarnation) = self.incarnations.remove(&from) {
            self.incarnations.insert(to, incarnation);
        }
        for (key, _) in &mut self.exits {
            if *key == from {
                *key = to;
            }
        }
    }

    /// The life of `key` ends by itself.
    fn exit(&mut self, key: Key) {
        if let Some(incarnation) = self.lives.remove(&key) {
            self.exits.push((key, incarnation));
        }
    }

    /// Takes one step of a job, or reports its end.
    fn advance(&mut self, job: JobId) {
        let Some(mut running) = self.jobs.remove(&job) else {
            return;
        };
        let Some(step) = running.steps.pop_front() else {
            self.feed(Input::JobDone {
                job,
                outcomes: running.outcomes,
            });
            return;
        };
        let key = step.key();
        let outcome = match &step {
            Step::Stop { .. } => match self.lives.remove(&key) {
                Some(_) => Outcome::Stopped(ExitReason::shutdown()),
                None => Outcome::Stopped(ExitReason::error("earlier")),
            },
            Step::Start { .. } if running.over || running.cancelled => Outcome::NotReached,
            Step::Start { needs, .. } if needs.iter().any(|need| running.down.contains(need)) => {
                Outcome::NeedMissing
            }
            Step::Start { .. } if running.skipped.contains(&key) => Outcome::Skipped,
            Step::Start { .. } => self.start(key),
        };
        match &outcome {
            Outcome::Started { .. } => drop(running.started.insert(key)),
            Outcome::Failed(_)
                if matches!(
                    step,
                    Step::Start {
                        tolerate: false,
                        ..
                    }
                ) =>
            {
                running.over = true;
            }
            _ => {}
        }
        if matches!(step, Step::Start { .. }) && !matches!(outcome, Outcome::Started { .. }) {
            running.down.insert(key);
        }
        running.outcomes.push((key, outcome));
        self.jobs.insert(job, running);
    }

    fn start(&mut self, key: Key) -> Outcome {
        assert!(
            !self.lives.contains_key(&key),
            "{key} is started while it runs"
        );
        match self.rng.u8(..10) {
            0 | 1 if !self.is_calm => Outcome::Failed(ExitReason::error("no")),
            2 if !self.is_calm => Outcome::Ignored,
            _ => {
                let incarnation = self.incarnations.entry(key).or_default();
                *incarnation += 1;
                self.lives.insert(key, *incarnation);
                Outcome::Started {
                    incarnation: *incarnation,
                }
            }
        }
    }

    /// Reports an exit, unless the job that began that life is still at work.
    fn report_exit(&mut self, at: usize) {
        let (key, incarnation) = self.exits[at];
        if self
            .jobs
            .values()
            .any(|running| running.started.contains(&key))
        {
            return;
        }
        self.exits.swap_remove(at);
        let kinds = [
            ExitKind::Normal,
            ExitKind::Error,
            ExitKind::Killed,
            ExitKind::GaveUp,
        ];
        let reason = ExitReason::new(kinds[self.rng.usize(..kinds.len())]);
        let ends = self.ends_with(key, incarnation, reason.kind);
        self.feed(Input::Exited {
            key,
            incarnation,
            reason,
        });
        if let Some(ends) = ends {
            let is_over = matches!(self.core.phase, Phase::Ending { .. } | Phase::Ended);
            assert_eq!(is_over, ends, "{key}: {:?}", self.core);
        }
    }

    /// Whether the supervisor ends because of this exit, where that is easy to say.
    fn ends_with(&self, key: Key, incarnation: u64, kind: ExitKind) -> Option<bool> {
        let core = &self.core;
        let child = core.children.get(&key)?;
        let is_heard = core.phase == Phase::Running && !core.is_held(key);
        if !is_heard
            || child.status != (Status::Up { incarnation })
            || comes_back(child.spec.restart, kind)
        {
            return None;
        }
        if !child.spec.significant || core.auto_shutdown == AutoShutdown::Never {
            return Some(false);
        }
        if core.auto_shutdown == AutoShutdown::AnySignificant {
            return Some(true);
        }
        let others = core.children.iter().filter(|(other, _)| **other != key);
        let others: Vec<&Child> = others
            .map(|(_, other)| other)
            .filter(|other| other.spec.significant)
            .collect();
        let is_down = |other: &&Child| matches!(other.status, Status::Down(state) if state != SlotState::Quarantined);
        let runs =
            |other: &&Child| matches!(other.status, Status::Up { .. }) && other.needs.is_empty();
        if others.iter().all(is_down) {
            Some(true)
        } else if others.iter().any(runs) {
            Some(false)
        } else {
            None
        }
    }

    fn due(&mut self, at: usize) {
        let (key, generation) = self.waits.swap_remove(at);
        self.now += Duration::from_millis(300);
        self.feed(Input::Due { key, generation });
    }

    /// What is asked to be spawned: under a template all are alike, and stand for themselves.
    fn spec(&mut self, at: usize) -> Arc<ChildSpec> {
        Arc::new(match &self.core.template {
            Some(template) => template.child(ChildId::known(IDS[at]), serde_json::Value::Null),
            None => child(&mut self.rng, at),
        })
    }

    /// What the supervisor is to be, as chance has it.
    fn target(&mut self) -> SupervisorSpec {
        let template = self.core.template.clone().map(|template| {
            let mut template = (*template).clone();
            if let ChildKind::Worker(worker) = &mut template.child.what {
                worker.settings = serde_json::json!({ "version": self.rng.u8(..3) });
            }
            Arc::new(template)
        });
        let mut at: Vec<usize> = (0..IDS.len()).collect();
        self.rng.shuffle(&mut at);
        at.truncate(self.rng.usize(..=IDS.len()));
        if self.rng.bool() {
            at.sort_unstable();
        }
        let mut children: Vec<Arc<ChildSpec>> = Vec::new();
        for at in at.into_iter().filter(|_| template.is_none()) {
            let id = ChildId::known(IDS[at]);
            let present = self
                .core
                .key_of(&id)
                .and_then(|key| self.core.children.get(&key));
            let mut spec = match present {
                Some(present) if self.rng.bool() => (*present.spec).clone(),
                _ => child(&mut self.rng, at),
            };
            if self.rng.bool()
                && let ChildKind::Worker(worker) = &mut spec.what
            {
                worker.settings = serde_json::json!({ "version": self.rng.u8(..3) });
                worker.kind = ["none", "other"][self.rng.usize(..2)].to_owned();
            }
            spec.needs
                .retain(|need| children.iter().any(|child| child.id == *need));
            spec.begins_stopped = self.rng.u8(..8) == 0;
            children.push(Arc::new(spec));
        }
        SupervisorSpec {
            strategy: self.core.strategy,
            intensity: self.rng.u32(..20),
            auto_shutdown: self.core.auto_shutdown,
            children,
            template,
            ..SupervisorSpec::default()
        }
    }

    /// A part of a change.
    fn change(&mut self) -> Request {
        let target = self.target();
        if self.core.template.is_none() {
            let mut specs = target.children.clone();
            specs.retain(|spec| spec.needs.is_empty());
            match self.rng.u8(..4) {
                0 => return Request::Prepare { specs },
                1 => return Request::Undo { error: None },
                _ => {}
            }
        }
        self.reload(target)
    }

    fn reload(&mut self, target: SupervisorSpec) -> Request {
        let applied = self.core.children.values().filter(|_| self.rng.bool());
        let applied = applied.map(|child| (child.spec.id.clone(), child.incarnation));
        let applied = applied.collect();
        let spec = ChildSpec::supervisor(ChildId::known("s"), target);
        Request::Reload(Box::new(Reload {
            spec: Arc::new(spec),
            applied,
        }))
    }

    fn ask(&mut self) {
        let at = self.rng.usize(..IDS.len());
        let id = ChildId::known(IDS[at]);
        // What is spawned while a template waits to change is made from the former one, and stays so.
        let is_changing = self.core.reload_waits && self.core.template.is_some();
        let request = match self.rng.u8(..13) {
            6 | 7 if is_changing => Request::Delete { id },
            0 => Request::Kill {
                id,
                reason: ExitReason::killed(),
            },
            1 | 2 => Request::Stop { id },
            3 => Request::Start { id },
            4 => Request::Restart { id },
            5 => Request::Delete { id },
            6 => Request::Spawn {
                spec: self.spec(at),
            },
            7 if self.core.template.is_some() => Request::SpawnMany {
                specs: (0..self.rng.usize(..4))
                    .map(|more| self.spec((at + more) % IDS.len()))
                    .collect(),
            },
            9 => self.change(),
            8 => Request::Suspend {
                id,
                suspend: self.rng.bool(),
            },
            _ => Request::Release {
                id: self.rng.bool().then_some(id),
            },
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.asked.insert(ticket);
        self.feed(Input::Ask { ticket, request });
    }

    /// One thing happens, as chance has it.
    fn tick(&mut self) {
        let what = self.rng.u8(..10);
        self.happen(what);
    }

    /// One thing happens that nobody asks for.
    fn tick_by_itself(&mut self) {
        let what = self.rng.u8(..8);
        self.happen(what);
    }

    fn happen(&mut self, what: u8) {
        match what {
            0..5 => {
                if let Some(job) = self.jobs.keys().nth(self.rng.usize(..3)).copied() {
                    self.advance(job);
                }
            }
            5 if !self.exits.is_empty() => {
                let at = self.rng.usize(..self.exits.len());
                self.report_exit(at);
            }
            6 if !self.waits.is_empty() => {
                let at = self.rng.usize(..self.waits.len());
                self.due(at);
            }
            7 if !self.lives.is_empty() => {
                let at = self.rng.usize(..self.lives.len());
                let key = self.lives.keys().nth(at).copied();
                key.into_iter().for_each(|key| self.exit(key));
            }
            8 => self.ask(),
            _ => {
                self.now += Duration::from_millis(self.rng.u64(..500));
                if let Some((id, incarnation)) = self.proofs.pop() {
                    self.feed(Input::Proved { id, incarnation });
                }
            }
        }
    }

    /// Lets all that is under way come to its end, and nothing new happen.
    fn calm_down(&mut self) {
        self.is_calm = true;
        for _ in 0..2_000 {
            if let Some(job) = self.jobs.keys().next().copied() {
                self.advance(job);
            } else if !self.exits.is_empty() {
                self.report_exit(0);
            } else if !self.waits.is_empty() {
                self.due(0);
            } else {
                return;
            }
        }
        panic!("it never comes to rest: {:?}", self.core);
    }

    fn check_rest(&self) {
        let core = &self.core;
        assert!(
            self.asked.is_empty(),
            "{:?} are not answered: {core:?}",
            self.asked
        );
        assert!(core.deferred.is_empty(), "{core:?}");
        assert_eq!(self.began, 1, "{core:?}");
        if core.phase == Phase::Ended {
            assert_eq!(self.ended, 1);
            return;
        }
        assert_eq!(core.phase, Phase::Running);
        let max = core.template.as_ref();
        if let Some(max) = max.and_then(|template| template.max_children) {
            assert!(core.children.len() <= max, "{core:?}");
        }
        for (key, child) in &core.children {
            let life = self.lives.get(key).copied();
            let is_met =
                child.needs.iter().all(|need| core.is_up(*need)) && !core.is_held_back(child);
            match child.status {
                Status::Up { incarnation } => {
                    assert_eq!(life, Some(incarnation), "{key}: {core:?}");
                    assert!(is_met, "{key} runs without its needs: {core:?}");
                }
                Status::Down(state) => {
                    assert_eq!(life, None, "{key}: {core:?}");
                    let is_kept = state == SlotState::Quarantined || core.template.is_none();
                    assert!(is_kept, "{key} of a template is left behind: {core:?}");
                }
                Status::Waiting => {
                    assert_eq!(life, None, "{key}: {core:?}");
                    assert!(!is_met, "{key} waits for nothing: {core:?}");
                }
                Status::Busy | Status::Due { .. } | Status::Member => {
                    panic!("{key} hangs: {core:?}")
                }
            }
            assert!(!child.condemned, "{key}: {core:?}");
        }
        for key in self.lives.keys() {
            assert!(
                core.children.contains_key(key),
                "{key} is an orphan: {core:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::cases())]

    #[test]
    fn whatever_happens_it_comes_to_rest_answers_each_request_once_and_ends_clean(
        seed: u64,
        ticks in 0_usize..200,
        brutal: bool,
    ) {
        let mut model = Model::new(seed);
        let safe = model.rng.bool().then(|| "asked for".to_owned());
        let safe = safe.filter(|_| matches!(model.core.role, Role::Root | Role::MortalRoot));
        model.feed(Input::Begin { safe });
        for _ in 0..ticks {
            model.tick();
        }
        model.calm_down();
        model.check_rest();

        let was_over = model.ended == 1;
        for _ in 0..model.rng.u8(..6) {
            model.tick();
        }
        model.feed(Input::End { reason: ExitReason::shutdown(), brutal: false });
        for _ in 0..model.rng.u8(..6) {
            model.tick();
        }
        model.feed(Input::End { reason: ExitReason::shutdown(), brutal });
        model.calm_down();

        assert_eq!(model.ended, 1, "{was_over} {:?}", model.core);
        assert!(model.asked.is_empty(), "{:?} {:?}", model.asked, model.core);
        assert!(model.lives.is_empty());
    }
}

proptest! {
    #![proptest_config(crate::testing::cases())]

    /// Whatever crashes between any two steps: what a reload ends with is what was asked for, and what is the same was not
    /// touched by it.
    #[test]
    fn a_reload_comes_to_what_was_asked_for(seed: u64, before in 0_usize..40, after in 0_usize..40) {
        let mut model = Model::new(seed);
        model.core.auto_shutdown = AutoShutdown::Never;
        model.core.window.set_limits(u32::MAX, Duration::from_secs(1));
        model.feed(Input::Begin { safe: None });
        for _ in 0..before {
            model.tick();
        }
        model.calm_down();
        if model.core.phase != Phase::Running || model.core.safe {
            return Ok(());
        }
        let mut target = model.target();
        target.intensity = u32::MAX;
        for child in &mut target.children {
            // So that nothing is rolled back.
            Arc::make_mut(child).probation = Duration::ZERO;
        }
        for child in model.core.children.values_mut() {
            child.trial = None;
            if let Some(template) = &model.core.template {
                child.spec = Arc::new(template.child(child.spec.id.clone(), serde_json::Value::Null));
            }
        }
        if let Some(template) = &mut target.template {
            Arc::make_mut(template).child.probation = Duration::ZERO;
        }
        let untouched: Vec<(ChildId, u64)> = model.core.children.values()
            .filter(|child| matches!(child.status, Status::Up { .. }))
            .filter(|child| target.children.contains(&child.spec))
            .map(|child| (child.spec.id.clone(), child.incarnation))
            .collect();
        let wanted = target.clone();
        let request = model.reload(target);
        model.asked.insert(u64::MAX);
        model.feed(Input::Ask { ticket: u64::MAX, request });
        model.is_calm = after == 0;
        for _ in 0..after {
            if model.rng.bool() {
                model.tick_by_itself();
            }
        }
        model.calm_down();
        model.check_rest();

        let core = &model.core;
        if core.template.is_none() {
            let there: Vec<&ChildId> = core.children.values().map(|child| &child.spec.id).collect();
            let ids: Vec<&ChildId> = wanted.children.iter()
                .filter(|spec| spec.restart != Restart::Temporary || there.contains(&&spec.id))
                .map(|spec| &spec.id)
                .collect();
            prop_assert_eq!(there, ids, "{:?} {:?}", core, wanted.children.iter().map(|spec| (&spec.id, spec.restart)).collect::<Vec<_>>());
            for (child, spec) in core.children.values().map(|child| (child, wanted.children.iter().find(|spec| spec.id == child.spec.id))) {
                prop_assert_eq!(Some(&child.spec), spec);
            }
        } else {
            let settings = |spec: &ChildSpec| spec.as_worker().map(|worker| worker.settings.clone());
            for child in core.children.values() {
                prop_assert_eq!(settings(&child.spec), settings(&wanted.template.as_ref().unwrap().child), "{:?}", core);
            }
        }
        if after == 0 {
            for (id, incarnation) in untouched {
                let child = core.key_of(&id).and_then(|key| core.children.get(&key)).unwrap();
                prop_assert_eq!(child.incarnation, incarnation, "{} was touched: {:?}", id, core);
            }
            for child in core.children.values() {
                let is_up = matches!(child.status, Status::Up { .. } | Status::Waiting | Status::Down(SlotState::Ignored));
                let was_down = matches!(child.status, Status::Down(_));
                prop_assert!(is_up || was_down, "{:?}", core);
            }
        }
    }
}

/// What is resident of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}

#[tokio::test]
async fn what_a_supervisor_knows_of_a_child_is_less_than_400_bytes() {
    const CHILDREN: usize = 200_000;
    let children = (0..CHILDREN)
        .map(|number| Arc::new(ChildSpec::worker(ChildId::known_number(number), "none")));
    let spec = SupervisorSpec {
        children: children.collect(),
        ..SupervisorSpec::default()
    };
    let before = resident();

    let core = Core::new(Role::Sub, &spec, Instant::now());

    // Beside it its slot is kept by its key.
    let kept = size_of::<(Key, Arc<crate::slot::Slot>)>() * 2;
    let each = (resident() - before) / CHILDREN + kept;
    assert_eq!(core.children.len(), CHILDREN);
    assert!(each < 400, "{each} bytes");
}
