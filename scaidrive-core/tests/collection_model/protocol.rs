//! The states and steps: one chunk, one content made of it, its versions, the note of who sent it, an upload session
//! that holds it; two writers, two collectors.
//!
//! Each step is what one transaction or one request of `services/{ingest,collect,tree,delta}` does. Anybody may stop
//! for any time between steps, or for ever; a request that was sent may still arrive after its sender died.

use stateright::{Model, Property};

/// Time in ticks; the real grace is 24 h, the deadline 20 s, the quarantine 60 s.
const GRACE: u8 = 2;
const DELETE_DEADLINE: u8 = 1;
const QUARANTINE: u8 = 1;
const LAST_TICK: u8 = 7;

/// The most versions at once.
const VERSIONS: u8 = 2;

/// The property that matters.
pub(crate) const NOTHING_IS_LOST: &str =
    "what a content, a sender or a session refers to is live and in the store";

/// What must be possible in the model.
pub(crate) const HAPPENS: [&str; 4] = [
    "a chunk is collected",
    "a collected chunk is stored again",
    "a put arrives after its sender died",
    "a delete arrives after its sender moved on",
];

/// What must be possible with senders, besides.
pub(crate) const HAPPENS_TO_SENDERS: &str = "a sent chunk outlives the grace";

/// What must be possible with sessions, besides.
pub(crate) const HAPPENS_TO_SESSIONS: [&str; 2] = [
    "a session holds a chunk for longer than its touch counts and becomes a file",
    "a chunk that an aborted session held is collected",
];

/// An error in the protocol, put in to see it caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A writer leaves `used_at` of a chunk it found as it is.
    NoTouchOfFound,
    /// A collector marks what it listed without looking again: neither at references nor at the touch.
    NoRecheck,
    /// A collector deletes the object, then marks the row.
    DeleteBeforeMark,
    /// A row is freed while a delete may still be on its way.
    NoQuarantine,
    /// A collector that slept after its mark sends its delete all the same.
    StalledDelete,
    /// A writer commits however old its touch is.
    NoFreshnessAtCommit,
    /// A writer calls a chunk live however old its touch is.
    NoFreshnessAtMark,
    /// A writer trusts that the rival who inserted the row will put the object.
    TrustOthersPut,
    /// A writer takes a chunk that is being removed for one that is there.
    TrustDeleting,
    /// A collector looks for references again, but not at the touch.
    NoCutoffAtMark,
    /// A collector removes a content that was just needed.
    NoCutoffAtContent,
    /// A collector does not ask whether somebody sent the chunk and may still name it.
    NoLookAtSent,
    /// A sender's note is made however old the touch is.
    NoFreshnessAtKeep,
    /// A session refers to a chunk however old the touch is.
    NoFreshnessAtPromotion,
    /// A collector looks for references of contents only.
    NoLookAtSessions,
    /// A file is made of a session without looking whether it still holds its chunks.
    NoLookAtFinish,
}

impl Mistake {
    /// All of them.
    pub(crate) const ALL: [(World, Self); 16] = [
        (World::Contents, Self::NoTouchOfFound),
        (World::Contents, Self::NoRecheck),
        (World::Contents, Self::DeleteBeforeMark),
        (World::Contents, Self::NoQuarantine),
        (World::Contents, Self::StalledDelete),
        (World::Contents, Self::NoFreshnessAtCommit),
        (World::Contents, Self::NoFreshnessAtMark),
        (World::Contents, Self::TrustOthersPut),
        (World::Contents, Self::TrustDeleting),
        (World::Contents, Self::NoCutoffAtMark),
        (World::Contents, Self::NoCutoffAtContent),
        (World::Contents, Self::NoLookAtSent),
        (World::Contents, Self::NoFreshnessAtKeep),
        (World::Sessions, Self::NoFreshnessAtPromotion),
        (World::Sessions, Self::NoLookAtSessions),
        (World::Sessions, Self::NoLookAtFinish),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RowState {
    Writing,
    Live,
    /// Marked, with the time at which the last attempt to delete began.
    Deleting(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Row {
    state: RowState,
    used_at: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Writer {
    Idle,
    /// Has touched, and must put.
    Touched(u8),
    /// Its put is on its way.
    Putting(u8),
    /// Its put was acknowledged.
    Stored(u8),
    /// Nothing is left but to commit.
    Ready(u8),
    Gone,
}

/// An upload session. Whether it refers to the chunk is not the same as whether it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Session {
    /// It does not hold the chunk yet.
    Empty,
    /// It holds the chunk, since when.
    Live(u8),
    /// It became a file, or was aborted; its references are still there.
    Ended,
    /// They are not.
    Cleared,
}

impl Session {
    fn refers(self) -> bool {
        matches!(self, Self::Live(_) | Self::Ended)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Collector {
    Idle,
    /// Works with the cutoff of when it began; the flag says that it listed the chunk as unused.
    Running {
        cutoff: u8,
        listed: bool,
    },
    /// Has marked the row, and has yet to send the delete.
    Marked(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct State {
    now: u8,
    row: Option<Row>,
    object: bool,
    /// When the content's row was last needed, if there is one.
    content: Option<u8>,
    versions: u8,
    /// Whether somebody sent the chunk who may still name it.
    sent: bool,
    session: Session,
    writers: [Writer; 2],
    collectors: [Collector; 2],
    /// Puts whose senders died.
    orphaned_puts: u8,
    /// Deletes on their way: until when each may arrive.
    deletes: Vec<u8>,
    was_collected: bool,
    put_came_late: bool,
    delete_came_late: bool,
    session_outlived_its_touch: bool,
    session_was_aborted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Tick,
    Touch(usize),
    Put(usize),
    PutArrives(usize),
    MarkLive(usize),
    Commit(usize),
    Keep(usize),
    ForgetSent,
    Die(usize),
    OrphanedPutArrives,
    RemoveVersion,
    Copy,
    Begin(usize),
    RemoveContent(usize),
    List(usize),
    Mark(usize),
    SendDelete(usize),
    Forget(usize),
    DeleteArrives,
    Resume(usize),
    Promote(usize),
    FinishSession,
    AbortSession,
    ClearSession,
}

/// Who refers to the chunk: both at once would be too many states, and each is held to the same collectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// Writers commit contents, or note that they sent the chunk; versions are copied and removed.
    Contents,
    /// Writers move the frontier of an upload session, which becomes a content or is aborted.
    Sessions,
}

/// The protocol, with or without a mistake.
#[derive(Clone)]
pub(crate) struct Protocol {
    pub(crate) world: World,
    pub(crate) mistake: Option<Mistake>,
}

impl Protocol {
    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

/// A touch counts while it is younger than half the grace.
fn is_fresh(at: u8, now: u8) -> bool {
    now - at < GRACE / 2
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            row: None,
            object: false,
            content: None,
            versions: 0,
            sent: false,
            session: Session::Empty,
            writers: [Writer::Idle; 2],
            collectors: [Collector::Idle; 2],
            orphaned_puts: 0,
            deletes: Vec::new(),
            was_collected: false,
            put_came_late: false,
            delete_came_late: false,
            session_outlived_its_touch: false,
            session_was_aborted: false,
        }]
    }

    fn actions(&self, _state: &State, steps: &mut Vec<Step>) {
        steps.extend([Step::Tick, Step::OrphanedPutArrives, Step::RemoveVersion, Step::DeleteArrives]);
        match self.world {
            World::Contents => {
                steps.extend([Step::Copy, Step::Commit(0), Step::Commit(1)]);
                steps.extend([Step::ForgetSent, Step::Keep(0), Step::Keep(1)]);
            }
            World::Sessions => {
                steps.extend([Step::FinishSession, Step::AbortSession, Step::ClearSession]);
                steps.extend([Step::Promote(0), Step::Promote(1)]);
            }
        }
        for who in 0..2 {
            steps.extend([Step::Touch(who), Step::Put(who), Step::PutArrives(who), Step::MarkLive(who)]);
            steps.extend([Step::Die(who), Step::Begin(who), Step::RemoveContent(who), Step::Resume(who)]);
            steps.extend([Step::List(who), Step::Mark(who), Step::SendDelete(who), Step::Forget(who)]);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = last.clone();
        let possible = match step {
            Step::Tick => next.tick(),
            Step::Touch(who) => next.touch(self, who),
            Step::Put(who) => next.put(who),
            Step::PutArrives(who) => next.put_arrives(who),
            Step::MarkLive(who) => next.mark_live(self, who),
            Step::Commit(who) => next.commit(self, who),
            Step::Keep(who) => next.keep(self, who),
            Step::ForgetSent => next.forget_sent(),
            Step::Die(who) => next.die(who),
            Step::OrphanedPutArrives => next.orphaned_put_arrives(),
            Step::RemoveVersion => next.remove_version(),
            Step::Copy => next.copy(),
            Step::Begin(who) => next.begin(who),
            Step::RemoveContent(who) => next.remove_content(self, who),
            Step::List(who) => next.list(self, who),
            Step::Mark(who) => next.mark(self, who),
            Step::SendDelete(who) => next.send_delete(self, who),
            Step::Forget(who) => {
                next.forget(who);
                Some(())
            }
            Step::DeleteArrives => next.delete_arrives(),
            Step::Resume(who) => next.resume(self, who),
            Step::Promote(who) => next.promote(self, who),
            Step::FinishSession => next.finish_session(self),
            Step::AbortSession => next.abort_session(),
            Step::ClearSession => next.clear_session(),
        };
        possible.filter(|()| next != *last).map(|()| next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NOTHING_IS_LOST, |_, state: &State| {
                let is_live = state.row.is_some_and(|row| row.state == RowState::Live);
                let is_held = matches!(state.session, Session::Live(_));
                let is_needed = state.content.is_some() || state.versions > 0 || state.sent || is_held;
                (!is_needed || (is_live && state.object)) && (state.versions == 0 || state.content.is_some())
            }),
            Property::sometimes(HAPPENS[0], |_, state: &State| state.was_collected),
            Property::sometimes(HAPPENS[1], |_, state: &State| state.was_collected && state.versions > 0),
            Property::sometimes(HAPPENS[2], |_, state: &State| state.put_came_late),
            Property::sometimes(HAPPENS[3], |_, state: &State| state.delete_came_late),
        ];
        if self.world == World::Contents {
            let is_kept = |_: &Self, state: &State| state.outlives_the_grace();
            properties.push(Property::sometimes(HAPPENS_TO_SENDERS, is_kept));
        }
        if self.world == World::Sessions {
            let [outlived, aborted] = HAPPENS_TO_SESSIONS;
            properties
                .push(Property::sometimes(outlived, |_, state: &State| state.session_outlived_its_touch));
            properties.push(Property::sometimes(aborted, |_, state: &State| {
                state.session_was_aborted && state.was_collected
            }));
        }
        properties
    }
}

/// The steps; nothing where a step is not possible.
impl State {
    fn tick(&mut self) -> Option<()> {
        self.now = (self.now < LAST_TICK).then_some(self.now + 1)?;
        // Past its deadline a request is given up, wherever it is.
        self.deletes.retain(|until| *until >= self.now);
        Some(())
    }

    /// Touch before reference: `ingest::Touch`.
    fn touch(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        if self.writers[who] != Writer::Idle {
            return None;
        }
        let now = self.now;
        let keeps_time = protocol.makes(Mistake::NoTouchOfFound);
        let trusts = protocol.makes(Mistake::TrustDeleting);
        let row = self.row.get_or_insert(Row { state: RowState::Writing, used_at: now });
        let puts = match row.state {
            RowState::Deleting(_) if !trusts => return None,
            RowState::Writing => {
                !protocol.makes(Mistake::TrustOthersPut) || self.writers[1 - who] == Writer::Idle
            }
            RowState::Live | RowState::Deleting(_) => false,
        };
        if !keeps_time {
            row.used_at = now;
        }
        self.writers[who] = if puts { Writer::Touched(now) } else { Writer::Ready(now) };
        Some(())
    }

    fn put(&mut self, who: usize) -> Option<()> {
        let Writer::Touched(at) = self.writers[who] else { return None };
        self.writers[who] = Writer::Putting(at);
        Some(())
    }

    fn put_arrives(&mut self, who: usize) -> Option<()> {
        let Writer::Putting(at) = self.writers[who] else { return None };
        self.object = true;
        self.writers[who] = Writer::Stored(at);
        Some(())
    }

    /// `ingest::MarkLive`; a writer that is too late starts again.
    fn mark_live(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Writer::Stored(at) = self.writers[who] else { return None };
        let fresh = is_fresh(at, self.now) || protocol.makes(Mistake::NoFreshnessAtMark);
        self.writers[who] = match &mut self.row {
            Some(row) if fresh && !matches!(row.state, RowState::Deleting(_)) => {
                row.state = RowState::Live;
                Writer::Ready(at)
            }
            _ => Writer::Idle,
        };
        Some(())
    }

    /// The mutation that refers to the chunk: `tree::refer_to`, with `ingest::touch_again` where it is too late.
    fn commit(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Writer::Ready(at) = self.writers[who] else { return None };
        if is_fresh(at, self.now) || protocol.makes(Mistake::NoFreshnessAtCommit) {
            self.versions = (self.versions < VERSIONS).then_some(self.versions + 1)?;
            self.content = Some(self.now);
            self.writers[who] = Writer::Gone;
            return Some(());
        }
        self.writers[who] = match &mut self.row {
            Some(row) if row.state == RowState::Live => {
                row.used_at = self.now;
                Writer::Ready(self.now)
            }
            _ => Writer::Idle,
        };
        Some(())
    }

    /// Notes that the chunk was sent, as `delta::send` does: a reference under the same rule as a content's. A content
    /// made of it later touches it as every writer does.
    fn keep(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Writer::Ready(at) = self.writers[who] else { return None };
        if is_fresh(at, self.now) || protocol.makes(Mistake::NoFreshnessAtKeep) {
            self.sent = true;
            self.writers[who] = Writer::Gone;
        } else {
            self.writers[who] = Writer::Idle;
        }
        Some(())
    }

    /// The sender's day is over; the chunk is not touched for that.
    fn forget_sent(&mut self) -> Option<()> {
        self.sent.then(|| self.sent = false)
    }

    /// Tells whether only its sender has kept the chunk for so long.
    fn outlives_the_grace(&self) -> bool {
        let is_old = |row: Row| row.state == RowState::Live && row.used_at + GRACE < self.now;
        self.sent && self.content.is_none() && self.row.is_some_and(is_old)
    }

    fn die(&mut self, who: usize) -> Option<()> {
        match self.writers[who] {
            Writer::Gone => return None,
            Writer::Putting(_) => self.orphaned_puts += 1,
            _ => {}
        }
        self.writers[who] = Writer::Gone;
        Some(())
    }

    fn orphaned_put_arrives(&mut self) -> Option<()> {
        self.orphaned_puts = self.orphaned_puts.checked_sub(1)?;
        self.object = true;
        self.put_came_late = true;
        Some(())
    }

    /// A version is purged; that touches the content.
    fn remove_version(&mut self) -> Option<()> {
        self.versions = self.versions.checked_sub(1)?;
        self.content = Some(self.now);
        Some(())
    }

    /// Copy, restore: another version of a content that has one, without any chunk being looked at.
    fn copy(&mut self) -> Option<()> {
        self.versions = (1..VERSIONS).contains(&self.versions).then_some(self.versions + 1)?;
        self.content = Some(self.now);
        Some(())
    }

    fn begin(&mut self, who: usize) -> Option<()> {
        if self.collectors[who] != Collector::Idle {
            return None;
        }
        self.collectors[who] = Collector::Running { cutoff: self.now.checked_sub(GRACE)?, listed: false };
        Some(())
    }

    /// An unused content goes with its chunk list; its chunks are touched, so that their turn comes later.
    fn remove_content(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Collector::Running { cutoff, .. } = self.collectors[who] else { return None };
        let is_old = self.content? < cutoff || protocol.makes(Mistake::NoCutoffAtContent);
        // With that mistake the check for versions is the one made when the content was listed: a stale one.
        let is_unused = self.versions == 0 || protocol.makes(Mistake::NoCutoffAtContent);
        if !(is_old && is_unused) {
            return None;
        }
        self.content = None;
        if let Some(row) = &mut self.row {
            row.used_at = self.now;
        }
        Some(())
    }

    fn is_referred_to(&self, protocol: &Protocol) -> bool {
        let is_sent = self.sent && !protocol.makes(Mistake::NoLookAtSent);
        let is_held = self.session.refers() && !protocol.makes(Mistake::NoLookAtSessions);
        self.content.is_some() || is_sent || is_held
    }

    /// The chunk is listed: without references and old enough, as of now.
    fn list(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Collector::Running { cutoff, listed: false } = self.collectors[who] else { return None };
        let row = self.row.filter(|row| row.used_at < cutoff && !self.is_referred_to(protocol))?;
        if matches!(row.state, RowState::Deleting(_)) {
            return None;
        }
        self.collectors[who] = Collector::Running { cutoff, listed: true };
        Some(())
    }

    /// Mark, then look for references again and roll back if there are any: `Step::MarkDeleting`.
    fn mark(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Collector::Running { cutoff, listed: true } = self.collectors[who] else { return None };
        let now = self.now;
        if protocol.makes(Mistake::DeleteBeforeMark) {
            self.deletes.push(now + DELETE_DEADLINE);
        }
        let is_referred_to = self.is_referred_to(protocol) && !protocol.makes(Mistake::NoRecheck);
        let takes_young = protocol.makes(Mistake::NoCutoffAtMark) || protocol.makes(Mistake::NoRecheck);
        let marked = match &mut self.row {
            Some(row) if !matches!(row.state, RowState::Deleting(_)) => {
                let is_old = row.used_at < cutoff || takes_young;
                if is_old && !is_referred_to {
                    row.state = RowState::Deleting(now);
                }
                is_old && !is_referred_to
            }
            _ => false,
        };
        self.collectors[who] = if marked { Collector::Marked(now) } else { Collector::Idle };
        Some(())
    }

    /// The delete is sent, if its deadline, which counts from the mark, has not passed.
    fn send_delete(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Collector::Marked(began) = self.collectors[who] else { return None };
        let until = if protocol.makes(Mistake::StalledDelete) { self.now } else { began } + DELETE_DEADLINE;
        if until >= self.now {
            self.deletes.push(until);
            self.deletes.sort_unstable();
        }
        self.collectors[who] = Collector::Idle;
        Some(())
    }

    /// A collector ends its run, or dies.
    fn forget(&mut self, who: usize) {
        self.collectors[who] = Collector::Idle;
    }

    fn delete_arrives(&mut self) -> Option<()> {
        self.deletes.pop()?;
        self.delete_came_late |= self.collectors.iter().all(|collector| *collector == Collector::Idle);
        self.object = false;
        Some(())
    }

    /// What an earlier run began is ended after its quarantine: deleted again if the object is still there, else
    /// the row is freed.
    fn resume(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Collector::Idle = self.collectors[who] else { return None };
        let Row { state: RowState::Deleting(began), .. } = self.row? else { return None };
        let rested = began + QUARANTINE < self.now || protocol.makes(Mistake::NoQuarantine);
        if !rested {
            return None;
        }
        if self.object {
            self.row = Some(Row { state: RowState::Deleting(self.now), used_at: self.row?.used_at });
            self.collectors[who] = Collector::Marked(self.now);
        } else {
            self.row = None;
            self.was_collected = true;
        }
        Some(())
    }

    /// A writer is the mover of a session's frontier: `uploads::frontier::Advance`.
    fn promote(&mut self, protocol: &Protocol, who: usize) -> Option<()> {
        let Writer::Ready(at) = self.writers[who] else { return None };
        if !matches!(self.session, Session::Empty | Session::Live(_)) {
            return None;
        }
        self.writers[who] = if is_fresh(at, self.now) || protocol.makes(Mistake::NoFreshnessAtPromotion) {
            self.session = Session::Live(self.now);
            Writer::Gone
        } else {
            // What is too old is done again, from the part that is still there.
            Writer::Idle
        };
        Some(())
    }

    /// The session becomes a file, however old every touch is: `uploads::finish::Finish`.
    fn finish_session(&mut self, protocol: &Protocol) -> Option<()> {
        match self.session {
            Session::Live(since) => self.session_outlived_its_touch |= self.now >= since + GRACE,
            Session::Ended | Session::Cleared if protocol.makes(Mistake::NoLookAtFinish) => {}
            _ => return None,
        }
        self.versions = (self.versions < VERSIONS).then_some(self.versions + 1)?;
        self.content = Some(self.now);
        if let Session::Live(_) = self.session {
            self.session = Session::Ended;
        }
        Some(())
    }

    fn abort_session(&mut self) -> Option<()> {
        let Session::Live(_) = self.session else { return None };
        self.session = Session::Ended;
        self.session_was_aborted = true;
        Some(())
    }

    /// The references go, and touch: `uploads::ending::DropReferences`.
    fn clear_session(&mut self) -> Option<()> {
        let Session::Ended = self.session else { return None };
        self.session = Session::Cleared;
        if let Some(row) = self.row.as_mut().filter(|row| !matches!(row.state, RowState::Deleting(_))) {
            row.used_at = self.now;
        }
        Some(())
    }
}
