//! Devices, people and the server, one thing after another.

use std::collections::BTreeMap;

use bytes::Bytes;
use scaidrive_client::model::{TreePath, nfc};
use scaidrive_client::{Round, model};
use scaidrive_core::model::{Principal, ShareId, ShareRole, UserId};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::{folders, fsck, tenants};

use crate::chance::Clock;
use crate::device::{Device, Progress, is_expected};
use crate::disk::{Disk, Faults, Manners};
use crate::house::{Home, House};
use crate::ledger::{Ledger, token};
use crate::line::Passage;

/// Rounds after which everything must be quiet, once nobody does anything any more.
const PASSES: usize = 12;

/// The length of what tells ids apart.
const ULID: usize = 26;

/// What a tree holds: by path, the content of files.
pub(crate) type Tree = BTreeMap<TreePath, Option<u64>>;

/// One run.
pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) clock: Clock,
    pub(crate) dice: fastrand::Rng,
    pub(crate) devices: Vec<Device>,
    pub(crate) ledger: Ledger,
    /// Whether nobody ever gives or takes rights: then all must be equal, and nothing may be left to tell.
    is_peaceful: bool,
    /// What was touched last, on whatever side: people work on the same things at the same time.
    pub(crate) hot: TreePath,
    /// What happened, for whoever has to find out why.
    pub(crate) trace: Vec<String>,
}

impl World {
    pub(crate) async fn build(house: &House, seed: u64) -> Self {
        let home = house.home().await;
        let mut dice = fastrand::Rng::with_seed(seed);
        let share = model::ShareId::new(home.share.to_string());
        let mut devices = Vec::new();
        for number in 0..dice.usize(2..=3) {
            let user: UserId = format!("u{number}").parse().unwrap();
            let new = tenants::NewUser { id: Some(user.clone()), ..tenants::NewUser::default() };
            tenants::create_user(&home.drive, &home.admin, new).await.unwrap();
            let member = NewMember {
                principal: Principal::User(user.clone()),
                role: ShareRole::Contributor,
                expires_at: None,
            };
            members::add(&home.drive, &home.admin, home.share, member).await.unwrap();
            let server = (home.server_for(&user), share.clone());
            let disk = Disk::new(
                house.clock.clone(),
                Manners { reuses_numbers: dice.bool(), folds: dice.u32(..4) == 0 },
            );
            devices.push(Device::new(format!("d{number}"), user, server, disk));
        }
        let role = if dice.bool() { ShareRole::Reader } else { ShareRole::Contributor };
        let member = NewMember { principal: Principal::Group(home.group.clone()), role, expires_at: None };
        members::add(&home.drive, &home.admin, home.share, member).await.unwrap();
        let clock = house.clock.clone();
        Self {
            home,
            clock,
            dice,
            devices,
            ledger: Ledger::default(),
            is_peaceful: seed.is_multiple_of(3),
            hot: TreePath::root(),
            trace: Vec::new(),
        }
    }

    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.dice.usize(..all.len())].clone())
    }

    /// Returns one of these, often the one that was touched last.
    pub(crate) fn pick_hot<T: Clone>(&mut self, all: &[T], path: impl Fn(&T) -> TreePath) -> Option<T> {
        let hot = all.iter().find(|one| path(one) == self.hot).filter(|_| self.dice.u32(..5) < 2).cloned();
        let picked = hot.or_else(|| self.pick(all));
        if let Some(picked) = &picked {
            self.hot = path(picked);
        }
        picked
    }

    /// Returns a content that nobody has written before.
    pub(crate) fn content(&mut self) -> Bytes {
        let is_large = self.dice.u32(..100) < 3;
        self.ledger.write(is_large)
    }

    /// Says what happened; what tells ids apart is left out, for the server may have made others meanwhile.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        let mut what = what.into();
        while let Some(start) = what.find(&self.home.run) {
            what.replace_range(start..start + ULID, "");
        }
        self.trace.push(what);
    }

    /// Does one thing.
    pub(crate) async fn step(&mut self) {
        self.clock.pass(self.dice.i64(1..15));
        match self.dice.u32(..100) {
            0..50 => self.let_go_on().await,
            50..82 => self.act_here(),
            82..91 => self.act_there().await,
            91..94 if self.is_peaceful => self.act_there().await,
            91..94 => self.change_rights().await,
            94..97 => {
                let device = self.dice.usize(..self.devices.len());
                self.devices[device].is_online ^= true;
                self.note(format!("d{device} online: {}", self.devices[device].is_online));
            }
            97 => self.forget(),
            98 => self.home.work().await,
            _ => self.clock.pass(self.dice.i64(10..5000)),
        }
    }

    /// Lets some device go on, as chance has it.
    async fn let_go_on(&mut self) {
        let number = self.dice.usize(..self.devices.len());
        if self.devices[number].waits_for().is_some() {
            if self.dice.u32(..100) < 3 {
                self.note(format!("d{number} dies"));
                let loses = self.dice.bool();
                self.devices[number].kill().await;
                self.devices[number].disk.recover(loses);
                return;
            }
            let passage = match self.dice.u32(..100) {
                _ if !self.devices[number].is_online => Passage::Closed,
                0..4 => Passage::AnswerLost,
                4..7 => Passage::Twice,
                7..9 => Passage::Closed,
                9..11 => Passage::Narrow,
                _ => Passage::Open,
            };
            return self.pass(number, passage).await;
        }
        let faults = match self.dice.u32(..100) {
            0..15 => Faults::PowerLost(self.dice.i64(1..80)),
            15..25 => Faults::Hiccups(self.dice.u64(..)),
            _ => Faults::Nothing,
        };
        self.start(number, faults).await;
    }

    /// Somebody removes what the client remembers: rarely, for little that is in step survives it.
    fn forget(&mut self) {
        let number = self.dice.usize(..self.devices.len());
        if self.devices[number].waits_for().is_none() && self.dice.u32(..10) == 0 {
            self.devices[number].disk.forget_state();
            self.note(format!("d{number} forgets everything"));
        }
    }

    async fn start(&mut self, number: usize, faults: Faults) {
        let seed = self.dice.u64(..);
        let progress = self.devices[number].start(seed, faults).await;
        self.went(number, "start", progress);
    }

    async fn pass(&mut self, number: usize, passage: Passage) {
        let what = format!("{:?} {passage:?}", self.devices[number].waits_for().unwrap_or_default());
        let progress = self.devices[number].pass(passage).await;
        self.went(number, &what, progress);
    }

    fn went(&mut self, number: usize, what: &str, progress: Progress) {
        let how = match progress {
            Progress::Waiting(name) => format!("waits for {name}"),
            Progress::PowerLost => {
                let loses = self.dice.bool();
                self.devices[number].disk.recover(loses);
                format!("lost its power, and what was not synced: {loses}")
            }
            Progress::Ended(Ok(round)) => format!("ended: {round:?}"),
            Progress::Ended(Err(error)) => {
                assert!(is_expected(&error), "{}: {error:?}", self.devices[number].name);
                format!("ended: {error}")
            }
        };
        self.note(format!("d{number} {what}: {how}"));
    }

    /// Lets everything come to rest: nobody does anything, nothing fails.
    pub(crate) async fn rest(&mut self) -> Vec<Option<Round>> {
        self.note("rest");
        for number in 0..self.devices.len() {
            self.devices[number].is_online = true;
            if self.devices[number].waits_for().is_some() {
                self.finish(number).await;
            }
        }
        for _ in 0..PASSES {
            self.clock.pass(60_000);
            self.home.work().await;
            let mut rounds = Vec::new();
            for number in 0..self.devices.len() {
                rounds.push(self.run(number).await);
            }
            if rounds.iter().flatten().all(|round| round.taken == 0) {
                return rounds;
            }
        }
        panic!("no rest after {PASSES} passes");
    }

    /// Lets a session go on to its end.
    async fn finish(&mut self, number: usize) {
        while self.devices[number].waits_for().is_some() {
            self.clock.pass(1);
            self.pass(number, Passage::Open).await;
        }
    }

    /// Runs a session from beginning to end; returns what it came to, unless the share is lost to it.
    pub(crate) async fn run(&mut self, number: usize) -> Option<Round> {
        let seed = self.dice.u64(..);
        let mut progress = self.devices[number].start(seed, Faults::Nothing).await;
        while let Progress::Waiting(_) = progress {
            self.clock.pass(1);
            progress = self.devices[number].pass(Passage::Open).await;
        }
        let Progress::Ended(outcome) = progress else { panic!("the power failed at rest") };
        self.note(format!("d{number} ran: {outcome:?}"));
        match outcome {
            Ok(round) => Some(round),
            Err(error) => {
                assert!(is_expected(&error), "{}: {error:?}", self.devices[number].name);
                None
            }
        }
    }

    /// Checks that all agree, and that nothing is missing.
    pub(crate) async fn check(&mut self, rounds: &[Option<Round>]) {
        let (admin, share, attic) = ("admin".parse().unwrap(), self.home.share, self.home.attic);
        let there = self.tree_for(&admin, share).await;
        let attic = self.tree_for(&admin, attic).await;
        let mut found: Vec<u64> = there.values().chain(attic.values()).copied().flatten().collect();
        for (number, round) in rounds.iter().enumerate() {
            assert!(round.is_some() || !self.is_peaceful, "d{number} lost the share");
            let all = self.devices[number].disk.all();
            found.extend(all.values().flatten().map(|bytes| token(bytes)));
            if let Some(round) = round {
                self.check_device(number, &here(&all), round).await;
            }
        }
        let lost: Vec<u64> = self.ledger.alive().filter(|token| !found.contains(token)).collect();
        assert!(lost.is_empty(), "lost: {lost:?} of\n{there:?}");
        self.check_versions().await;
    }

    async fn check_device(&self, number: usize, here: &Tree, round: &Round) {
        let device = &self.devices[number];
        assert!(!self.is_peaceful || round.notes.is_empty(), "d{number} tells {:?}", round.notes);
        let there = self.tree_for(&device.user, self.home.share).await;
        // What the server does not have and this device may not give it stays here alone, and is told.
        let is_told = |path: &TreePath| {
            !there.contains_key(path)
                && round.notes.iter().any(|note| path.names().starts_with(normal(&note.path).names()))
        };
        let differs = |path: &&TreePath| here.get(*path) != there.get(*path) && !is_told(path);
        let differing: Vec<&TreePath> = here.keys().chain(there.keys()).filter(differs).collect();
        let known = || device.known();
        assert!(
            differing.is_empty(),
            "d{number}: {differing:?}\nhere: {here:?}\nthere: {there:?}\n{}",
            known()
        );
    }

    /// Checks that whatever the server acknowledged is in some version of some file, if only in the trash.
    async fn check_versions(&mut self) {
        let acknowledged = std::mem::take(&mut *self.home.acknowledged.lock().unwrap());
        self.ledger.acknowledge_all(acknowledged.into_iter());
        let mut files = Vec::new();
        for share in [self.home.share, self.home.attic] {
            files.extend(self.items(share).await.iter().filter_map(|item| item.node.id.as_file()));
            files.extend(self.trashed_files(share).await);
        }
        let stored = self.versions_of(files.into_iter()).await;
        let gone: Vec<u64> = self.ledger.kept().filter(|token| !stored.contains(token)).collect();
        assert!(gone.is_empty(), "acknowledged, but in no version of anything: {gone:?}");
    }

    /// Checks that the server's own books are right.
    pub(crate) async fn check_server(&self) {
        let report = fsck::run(&self.home.drive, self.home.admin.tenant, true).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    }

    /// Returns what a user sees.
    async fn tree_for(&self, user: &UserId, share: ShareId) -> Tree {
        let drive = &self.home.drive;
        let caller = tenants::caller_for(drive, self.home.admin.tenant, user).await.unwrap();
        let walked = folders::walk(drive, &caller, share, None).await.unwrap();
        let place = |walked: folders::Walked| {
            (walked.path.to_string().as_str().into(), self.ledger.content_of(&walked.node))
        };
        walked.into_iter().map(place).collect()
    }
}

/// Returns what a disk holds, by paths as the server would have them; no two may be one to the server.
fn here(all: &BTreeMap<TreePath, Option<Bytes>>) -> Tree {
    let mut tree = Tree::new();
    for (path, bytes) in all {
        let rival = tree.insert(normal(path), bytes.as_ref().map(|bytes| token(bytes)));
        assert!(rival.is_none(), "{path} is there twice");
    }
    tree
}

fn normal(path: &TreePath) -> TreePath {
    path.names().iter().map(|name| nfc(name)).collect()
}
