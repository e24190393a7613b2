//! What the other side of a connection asks for, and how much of it is under way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use tokio::sync::Semaphore;
use unity_supervisors::kind::{Offered, Undelivered};
use unity_supervisors::{JsonAddress, NoAnswer};

use super::{ROOM, Serve, Session, TAIL_ROOM, TAILS_MAX, TARGETS_MAX, body};
use crate::cluster::codec::{Blob, CallV1, FaultV1, FenceV1, Frame, TargetV1, cost};
use crate::cluster::fault;

/// How many asks and calls of the other side may be under way.
const UNDER_WAY_MAX: usize = super::CALLS_MAX;
/// How long a call may take that has no end of its own, at most.
const CALL_MAX: Duration = Duration::from_secs(3_600);

/// What was asked for and is not done.
pub(super) struct Incoming {
    session: Arc<Session>,
    serve: Arc<dyn Serve>,
    targets: BTreeMap<u32, Inbox>,
    /// Those that have something to tell: freed room, or losses.
    told: Vec<u32>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    calls: BTreeMap<u64, AbortHandle>,
    tails: BTreeMap<u64, (AbortHandle, Arc<Semaphore>)>,
}

/// What came of something that took its time.
enum Done {
    /// A message found room, or never will.
    Sent(u32, u64, Result<(), Undelivered>),
    /// An ask of an actor is answered.
    Asked(u32, u64, u64),
    /// A call is answered.
    Called(u64),
    /// A tail has ended.
    Told(u64),
}

/// An actor here that the other side sends to.
struct Inbox {
    to: Result<JsonAddress, FaultV1>,
    from: Option<FenceV1>,
    /// A message waits for room in its mailbox; those behind it wait here.
    is_busy: bool,
    is_forgotten: bool,
    waiting: VecDeque<Waiting>,
    /// What is here, and what of it went on and is to be told.
    held: u64,
    freed: u64,
    lost: u64,
    why: Option<FaultV1>,
}

enum Waiting {
    Tell(Blob),
    Ask {
        id: u64,
        timeout: Duration,
        body: Blob,
    },
}

impl Waiting {
    fn cost(&self) -> u64 {
        match self {
            Self::Tell(body) | Self::Ask { body, .. } => cost(body.0.len()).min(ROOM),
        }
    }
}

impl Incoming {
    pub(super) fn new(session: &Arc<Session>, serve: Arc<dyn Serve>) -> Self {
        Self {
            session: Arc::clone(session),
            serve,
            targets: BTreeMap::new(),
            told: Vec::new(),
            work: FuturesUnordered::new(),
            calls: BTreeMap::new(),
            tails: BTreeMap::new(),
        }
    }

    /// What this node's wall clock shows.
    pub(super) fn wall_us(&self) -> i64 {
        self.serve.kernel().clock().wall().unix_us()
    }

    /// Begins what a frame asks for.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(super) fn take(&mut self, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::Target { number, to } => self.target(number, &to)?,
            Frame::Forget { number } => self.forget(number),
            Frame::Tell { target, body } => self.message(target, Waiting::Tell(body))?,
            Frame::Ask {
                id,
                target,
                timeout_ms,
                body,
            } => {
                let timeout = Duration::from_millis(timeout_ms).min(CALL_MAX);
                self.message(target, Waiting::Ask { id, timeout, body })?;
            }
            Frame::Call {
                id,
                timeout_ms,
                call,
            } => self.call(id, Duration::from_millis(timeout_ms).min(CALL_MAX), call),
            Frame::Tail { id, call, room } => self.tail(id, call, room),
            Frame::Cancel { id } => {
                if let Some(call) = self.calls.remove(&id) {
                    call.abort();
                }
                if let Some((tail, _)) = self.tails.remove(&id) {
                    tail.abort();
                }
            }
            Frame::More { id, items } => {
                if let Some((_, room)) = self.tails.get(&id) {
                    let items = items.min(TAIL_ROOM) as usize;
                    let most = (TAIL_ROOM as usize).saturating_sub(room.available_permits());
                    room.add_permits(items.min(most));
                }
            }
            _ => return Err("it greeted twice".to_owned()),
        }
        Ok(())
    }

    fn target(&mut self, number: u32, to: &TargetV1) -> Result<(), String> {
        if self.targets.len() >= TARGETS_MAX {
            return Err(format!("it sends to more than {TARGETS_MAX} actors"));
        }
        let inbox = Inbox {
            to: self.resolve(to),
            from: to.from,
            is_busy: false,
            is_forgotten: false,
            waiting: VecDeque::new(),
            held: 0,
            freed: 0,
            lost: 0,
            why: None,
        };
        match self.targets.insert(number, inbox) {
            None => Ok(()),
            Some(_) => Err("it named an actor twice".to_owned()),
        }
    }

    /// Nothing more is sent to it; what waits still goes there.
    fn forget(&mut self, number: u32) {
        match self.targets.get_mut(&number) {
            Some(inbox) if inbox.is_busy => inbox.is_forgotten = true,
            _ => {
                self.targets.remove(&number);
            }
        }
    }

    /// The other node is not as it was.
    pub(super) fn note_change(&self) {
        self.serve.note_change();
    }

    fn resolve(&self, to: &TargetV1) -> Result<JsonAddress, FaultV1> {
        let gone = || {
            let path = &to.path;
            fault::new(
                "not_found",
                format!("the actor that was at `{path}` is gone"),
            )
        };
        if to.epoch != self.session.epoch {
            return Err(gone());
        }
        let path = to.path.parse();
        let path = path.map_err(|error| fault::new("usage", format!("{error}")))?;
        let found = self.serve.kernel().json_address(&path);
        let missing = || fault::new("not_found", format!("there is no worker at `{path}`"));
        let address = match to.slot {
            None => found.ok_or_else(missing)?,
            Some(serial) => found
                .filter(|address| address.slot_serial() == serial)
                .ok_or_else(gone)?,
        };
        Ok(address)
    }

    fn message(&mut self, number: u32, message: Waiting) -> Result<(), String> {
        let Some(inbox) = self.targets.get_mut(&number) else {
            return Err("it sent to an actor that it has not named".to_owned());
        };
        inbox.held += message.cost();
        if inbox.held > ROOM {
            return Err("it sent more than there was room for".to_owned());
        }
        if inbox.is_busy {
            inbox.waiting.push_back(message);
            return Ok(());
        }
        self.deliver(number, message);
        Ok(())
    }

    /// Puts a message into the mailbox of its actor, or begins to wait for room there.
    fn deliver(&mut self, number: u32, message: Waiting) {
        let cost = message.cost();
        let in_force = match self.targets.get(&number).map(|inbox| inbox.from) {
            Some(Some(fence)) => self.serve.is_in_force(&self.session, fence),
            _ => true,
        };
        let Some(inbox) = self.targets.get_mut(&number) else {
            return;
        };
        let to = match &inbox.to {
            Ok(_) if !in_force => Err(fault::new(
                "denied",
                "it was sent by a life of a placed child that is over",
            )),
            to => to.clone(),
        };
        match (message, to) {
            (Waiting::Tell(body), Ok(to)) => match offer(&to, &body) {
                Ok(Offered::Taken) => self.free(number, cost),
                Ok(Offered::Waits(sent)) => {
                    inbox.is_busy = true;
                    let done = move |sent| Done::Sent(number, cost, sent);
                    self.work.push(sent.map(done).boxed());
                }
                Ok(Offered::Refused(why)) => self.lose(number, cost, of_undelivered(&to, &why)),
                Err(fault) => self.lose(number, cost, fault),
            },
            (Waiting::Tell(_), Err(fault)) => self.lose(number, cost, fault),
            (Waiting::Ask { id, .. }, Err(fault)) => {
                self.answer(id, Err(fault));
                self.free(number, cost);
            }
            (Waiting::Ask { id, timeout, body }, Ok(to)) => {
                self.ask(number, cost, id, timeout, &body, &to);
            }
        }
    }

    fn ask(
        &mut self,
        number: u32,
        cost: u64,
        id: u64,
        timeout: Duration,
        body: &Blob,
        to: &JsonAddress,
    ) {
        if self.work.len() >= UNDER_WAY_MAX {
            self.answer(id, Err(crowded()));
            return self.free(number, cost);
        }
        let mut asked = match parse(body).and_then(|message| {
            to.ask(message)
                .map_err(|error| fault::new("usage", format!("`{}`: {error}", to.path())))
        }) {
            Ok(asked) => asked,
            Err(fault) => {
                self.answer(id, Err(fault));
                return self.free(number, cost);
            }
        };
        // Its first step, so that what is sent after it comes after it.
        if let Some(answered) = (&mut asked).now_or_never() {
            self.answer(id, of_asked(to, answered));
            return self.free(number, cost);
        }
        let (abort, registered) = AbortHandle::new_pair();
        self.calls.insert(id, abort);
        let (session, to) = (Arc::clone(&self.session), to.clone());
        let answer = async move {
            let answered = match tokio::time::timeout(timeout, asked).await {
                Ok(answered) => of_asked(&to, answered),
                Err(_elapsed) => Err(of_no_answer(&to, &NoAnswer::Timeout(timeout))),
            };
            session.outbox.when_room().await;
            send_answer(&session, id, answered);
        };
        let answer = Abortable::new(answer, registered);
        self.work
            .push(answer.map(move |_| Done::Asked(number, cost, id)).boxed());
    }

    fn answer(&self, id: u64, answer: Result<Blob, FaultV1>) {
        send_answer(&self.session, id, answer);
    }

    fn call(&mut self, id: u64, timeout: Duration, call: CallV1) {
        if self.work.len() >= UNDER_WAY_MAX {
            return self.answer(id, Err(crowded()));
        }
        let (abort, registered) = AbortHandle::new_pair();
        self.calls.insert(id, abort);
        let session = Arc::clone(&self.session);
        let done = self.serve.call(Arc::clone(&session), call);
        let answer = async move {
            let answered = match tokio::time::timeout(timeout, done).await {
                Ok(answered) => answered,
                Err(_elapsed) => Err(fault::new(
                    "timed_out",
                    format!("it took longer than {timeout:?}"),
                )),
            };
            session.outbox.when_room().await;
            send_answer(&session, id, answered);
        };
        let answer = Abortable::new(answer, registered);
        self.work
            .push(answer.map(move |_| Done::Called(id)).boxed());
    }

    fn tail(&mut self, id: u64, call: CallV1, room: u32) {
        let session = Arc::clone(&self.session);
        if self.tails.len() >= TAILS_MAX {
            let fault = Some(crowded());
            return session.outbox.push_small(&Frame::Over { id, fault });
        }
        let (abort, registered) = AbortHandle::new_pair();
        let room = Arc::new(Semaphore::new(room.min(TAIL_ROOM) as usize));
        self.tails.insert(id, (abort, Arc::clone(&room)));
        let begun = self.serve.tail(Arc::clone(&session), call);
        let telling = async move {
            let fault = match begun.await {
                Ok(mut items) => loop {
                    // Never closed while this runs.
                    if let Ok(permit) = room.acquire().await {
                        permit.forget();
                    }
                    let body = match items.next().await {
                        Some(Ok(body)) => body,
                        Some(Err(fault)) => break Some(fault),
                        None => break None,
                    };
                    session.outbox.when_room().await;
                    if let Err(fault) = session.outbox.push(&Frame::Item { id, body }) {
                        break Some(fault);
                    }
                },
                Err(fault) => Some(fault),
            };
            session.outbox.push_small(&Frame::Over { id, fault });
        };
        let telling = Abortable::new(telling, registered);
        self.work.push(telling.map(move |_| Done::Told(id)).boxed());
    }

    fn free(&mut self, number: u32, cost: u64) {
        if let Some(inbox) = self.targets.get_mut(&number) {
            if inbox.freed == 0 && inbox.lost == 0 {
                self.told.push(number);
            }
            inbox.freed += cost;
        }
    }

    fn lose(&mut self, number: u32, cost: u64, why: FaultV1) {
        self.free(number, cost);
        if let Some(inbox) = self.targets.get_mut(&number) {
            inbox.lost += 1;
            inbox.why = Some(why);
        }
    }

    /// Tells the other side of freed room and of losses: of room once it is worth a frame.
    pub(super) fn settle(&mut self) {
        let mut later = Vec::new();
        for number in std::mem::take(&mut self.told) {
            let Some(inbox) = self.targets.get_mut(&number) else {
                continue;
            };
            if inbox.lost > 0
                && let Some(fault) = inbox.why.take()
            {
                let messages = std::mem::take(&mut inbox.lost);
                let lost = Frame::Lost {
                    target: number,
                    messages,
                    fault,
                };
                self.session.outbox.push_small(&lost);
            }
            if inbox.freed >= ROOM / 4 {
                let bytes = std::mem::take(&mut inbox.freed);
                inbox.held = inbox.held.saturating_sub(bytes);
                let room = Frame::Room {
                    target: number,
                    bytes,
                };
                self.session.outbox.push_small(&room);
            } else if inbox.freed > 0 {
                later.push(number);
            }
        }
        self.told = later;
    }

    /// Done when something that took its time is.
    pub(super) async fn work(&mut self) {
        let Some(done) = self.work.next().await else {
            return std::future::pending().await;
        };
        match done {
            Done::Sent(number, cost, sent) => {
                match sent {
                    Ok(()) => self.free(number, cost),
                    Err(why) => {
                        let to = self.targets.get(&number).map(|inbox| inbox.to.clone());
                        if let Some(Ok(to)) = to {
                            self.lose(number, cost, of_undelivered(&to, &why));
                        }
                    }
                }
                self.go_on(number);
            }
            Done::Asked(number, cost, id) => {
                self.calls.remove(&id);
                self.free(number, cost);
            }
            Done::Called(id) => {
                self.calls.remove(&id);
            }
            Done::Told(id) => {
                self.tails.remove(&id);
            }
        }
    }

    /// Delivers what waits behind a message that has found room.
    fn go_on(&mut self, number: u32) {
        if let Some(inbox) = self.targets.get_mut(&number) {
            inbox.is_busy = false;
        }
        loop {
            let next = match self.targets.get_mut(&number) {
                Some(inbox) if !inbox.is_busy => inbox.waiting.pop_front(),
                _ => None,
            };
            let Some(next) = next else { break };
            self.deliver(number, next);
        }
        let is_over = |inbox: &Inbox| inbox.is_forgotten && !inbox.is_busy;
        if self.targets.get(&number).is_some_and(is_over) {
            self.targets.remove(&number);
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        for (_, call) in std::mem::take(&mut self.calls) {
            call.abort();
        }
    }
}

fn crowded() -> FaultV1 {
    fault::new(
        "failed",
        format!("more than {UNDER_WAY_MAX} requests of this node are under way"),
    )
}

fn send_answer(session: &Session, id: u64, answer: Result<Blob, FaultV1>) {
    let sent = session.outbox.push(&Frame::Answer { id, answer });
    if let Err(fault) = sent {
        // Too large to be sent: that is the answer then. Where the connection has ended nobody waits.
        session.outbox.push_small(&Frame::Answer {
            id,
            answer: Err(fault),
        });
    }
}

fn parse(body: &Blob) -> Result<Value, FaultV1> {
    serde_json::from_slice(&body.0)
        .map_err(|error| fault::new("usage", format!("the message is no JSON: {error}")))
}

fn offer(to: &JsonAddress, body: &Blob) -> Result<Offered, FaultV1> {
    let offered = to.offer(parse(body)?);
    offered.map_err(|error| fault::new("usage", format!("`{}`: {error}", to.path())))
}

fn of_undelivered(to: &JsonAddress, why: &Undelivered) -> FaultV1 {
    let code = match why {
        Undelivered::Gone => "not_found",
        _ => "failed",
    };
    fault::new(
        code,
        format!("`{}` did not get the message: {why}", to.path()),
    )
}

fn of_no_answer(to: &JsonAddress, why: &NoAnswer) -> FaultV1 {
    let code = match why {
        NoAnswer::Timeout(_) => "timed_out",
        _ => "failed",
    };
    fault::new(code, format!("`{}` did not answer: {why}", to.path()))
}

fn of_asked(
    to: &JsonAddress,
    answered: Result<Result<Value, NoAnswer>, Undelivered>,
) -> Result<Blob, FaultV1> {
    match answered {
        Ok(Ok(answer)) => Ok(Blob(body(&answer))),
        Ok(Err(why)) => Err(of_no_answer(to, &why)),
        Err(why) => Err(of_undelivered(to, &why)),
    }
}
