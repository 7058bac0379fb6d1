//! Random batches against a simple model: what a device that knows everything does is what happens; and however little
//! devices know, whatever they repeat or never hear of, nothing that was acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use scaidrive_core::model::{ConflictStatus, NodeId, Sha256Hash, Strategy, UsageTarget};
use scaidrive_core::ports::metadata::ConflictQuery;
use scaidrive_core::services::apply::{Batch, Outcome, conflicts};
use scaidrive_core::services::folders;
use serde_json::{Value, json};

use super::{Device, kind, with};
use crate::backends::{House, rounds};

/// Random numbers, the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % most.max(1)
    }

    pub(super) fn one_in(&mut self, most: usize) -> bool {
        self.below(most) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

/// What the share holds: text of files, nothing for folders.
#[derive(Default)]
struct Model(BTreeMap<String, Option<String>>);

impl Model {
    fn folders(&self) -> Vec<String> {
        let all = self.0.iter().filter(|(_, text)| text.is_none()).map(|(path, _)| path.clone());
        std::iter::once(String::new()).chain(all).collect()
    }

    fn any(&self, dice: &mut Dice, folder: bool) -> Option<String> {
        let all: Vec<_> = self.0.iter().filter(|(_, text)| text.is_none() == folder).collect();
        dice.pick(&all).map(|(path, _)| (*path).clone())
    }

    /// Returns a path that nothing has.
    fn free(&self, dice: &mut Dice) -> String {
        loop {
            let folders = self.folders();
            let path = format!("{}/n{}", dice.pick(&folders).unwrap(), dice.below(40));
            if !self.0.contains_key(&path) {
                return path;
            }
        }
    }

    fn below<'p>(&'p self, path: &'p str) -> impl Iterator<Item = String> + 'p {
        let is_below = move |key: &&String| *key == path || key.starts_with(&format!("{path}/"));
        self.0.keys().filter(is_below).cloned()
    }

    /// Does something to the tree; returns what a change says of it, and the content it brings.
    fn step(&mut self, dice: &mut Dice, number: usize) -> (Value, Option<String>) {
        let text = format!("content {number}");
        let change = |kind: &str, what: &str, old: Option<&str>, new: Option<&str>| json!({ "resource_type": kind, "change_type": what, "old_path": old, "new_path": new });
        match dice.below(10) {
            0..=3 => {
                let path = self.free(dice);
                let made = change("file", "created", None, Some(&path));
                self.0.insert(path, Some(text.clone()));
                (made, Some(text))
            }
            4 | 5 if self.0.len() < 60 => {
                let path = self.free(dice);
                let made = change("folder", "created", None, Some(&path));
                self.0.insert(path, None);
                (made, None)
            }
            6 | 7 => match self.any(dice, false) {
                Some(path) => {
                    self.0.insert(path.clone(), Some(text.clone()));
                    (change("file", "updated", None, Some(&path)), Some(text))
                }
                None => self.step(dice, number),
            },
            8 => {
                let is_folder = dice.one_in(2);
                let Some(old) = self.any(dice, is_folder) else { return self.step(dice, number) };
                let new = self.free(dice);
                if new == old || new.starts_with(&format!("{old}/")) {
                    return self.step(dice, number);
                }
                let moved: Vec<String> = self.below(&old).collect();
                for path in moved {
                    let text = self.0.remove(&path).unwrap();
                    self.0.insert(format!("{new}{}", &path[old.len()..]), text);
                }
                let kind = if is_folder { "folder" } else { "file" };
                (change(kind, "moved", Some(&old), Some(&new)), None)
            }
            _ => {
                let is_folder = dice.one_in(4);
                let Some(path) = self.any(dice, is_folder) else { return self.step(dice, number) };
                let gone: Vec<String> = self.below(&path).collect();
                for path in gone {
                    self.0.remove(&path);
                }
                let kind = if is_folder { "folder" } else { "file" };
                (change(kind, "deleted", Some(&path), None), None)
            }
        }
    }

    fn tree(&self) -> Vec<(String, String)> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "dir".to_owned());
        self.0.iter().map(|(path, held)| (path.clone(), text(held))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_that_knows_everything_does_is_what_happens() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        let (mut model, mut dice, mut number) = (Model::default(), Dice::new(7), 0);
        for _ in 0..rounds(200) / 5 {
            let mut changes = Vec::new();
            for _ in 0..=dice.below(20) {
                number += 1;
                let (change, text) = model.step(&mut dice, number);
                changes.push(match text {
                    Some(text) => with(change, device.content(&text).await),
                    None => change,
                });
            }
            let outcome = device.apply(Strategy::KeepBoth, &changes).await;
            assert!(outcome.errors.is_empty() && outcome.conflicts.is_empty(), "{outcome:?}");
            let mut now = model.tree();
            now.sort();
            assert_eq!(house.tree().await, now);
        }
        check_feed(&house).await;
        house.check().await;
    }
}

/// A device that looks at the tree now and then, and acts on what it saw.
pub(super) struct Storm<'h> {
    device: Device<'h>,
    dice: Dice,
    seen: Vec<(NodeId, String, Option<String>)>,
    sent: Vec<(Batch, HashMap<String, String>)>,
    number: usize,
    /// Contents of which somebody was told that they are kept.
    pub(super) acknowledged: BTreeSet<String>,
    pub(super) met: usize,
}

impl<'h> Storm<'h> {
    pub(super) fn new(device: Device<'h>, seed: u64) -> Self {
        let (dice, acknowledged) = (Dice::new(seed), BTreeSet::new());
        Self { device, dice, seen: Vec::new(), sent: Vec::new(), number: 0, acknowledged, met: 0 }
    }

    pub(super) async fn act(&mut self) {
        if self.dice.one_in(3) {
            self.look().await;
        }
        match self.dice.below(8) {
            0 if !self.sent.is_empty() => {
                let (batch, texts) = self.dice.pick(&self.sent).unwrap().clone();
                let outcome = self.device.run(batch).await.unwrap();
                self.hear(&outcome, &texts);
            }
            1 => self.settle().await,
            _ => self.send().await,
        }
    }

    async fn look(&mut self) {
        let house = self.device.house;
        let walked = folders::walk(&house.drive, &self.device.caller, house.share.id, None).await.unwrap();
        let seen = walked.into_iter().map(|found| {
            let version = found.node.file.as_ref().map(|facts| facts.version_id.to_string());
            (found.node.id, found.path.to_string(), version)
        });
        self.seen = seen.collect();
    }

    async fn send(&mut self) {
        let mut texts = HashMap::new();
        let mut changes = Vec::new();
        for _ in 0..=self.dice.below(6) {
            self.number += 1;
            let (change, brings) = self.change();
            let id = format!("{} {}", self.device.id, self.number);
            let change = with(change, json!({ "client_change_id": id }));
            changes.push(if brings {
                let text = format!("by {id}");
                texts.insert(id, text.clone());
                with(change, self.device.content(&text).await)
            } else {
                change
            });
        }
        let strategy = *self.dice.pick(Strategy::ALL).unwrap();
        let (is_atomic, creates_parents) = (self.dice.one_in(8), self.dice.one_in(2));
        let batch = Batch { is_atomic, creates_parents, ..self.device.batch(strategy, &changes) };
        let outcome = self.device.run(batch.clone()).await.unwrap();
        self.sent.push((batch, texts.clone()));
        // Some answers never arrive.
        if !self.dice.one_in(3) {
            self.hear(&outcome, &texts);
        }
    }

    fn hear(&mut self, outcome: &Outcome, texts: &HashMap<String, String>) {
        let applied = outcome.applied.iter().map(|applied| &applied.client_change_id);
        // A conflict that was taken back with its batch kept nothing.
        let recorded = outcome.conflicts.iter().filter(|met| met.id.is_some());
        self.met += recorded.clone().count();
        let ids = applied.chain(recorded.map(|met| &met.client_change_id));
        self.acknowledged.extend(ids.filter_map(|id| texts.get(id).cloned()));
    }

    async fn settle(&mut self) {
        let (drive, caller) = (&self.device.house.drive, &self.device.caller);
        let query = ConflictQuery { limit: 100, ..ConflictQuery::default() };
        let open = conflicts::list(drive, caller, query).await.unwrap();
        let Some(met) = self.dice.pick(&open) else { return };
        let strategy = Strategy::ALL[self.dice.below(4)];
        match conflicts::resolve(drive, caller, met.id.unwrap(), strategy).await {
            Ok(settled) => assert_eq!(settled.status, ConflictStatus::Resolved),
            // A rival settled it otherwise, or the place it wants is too deep by now.
            Err(error) => assert!(!error.is_internal(), "{error:?}"),
        }
    }

    fn change(&mut self) -> (Value, bool) {
        let dice = &mut self.dice;
        let is_folder = |(id, ..): &&(NodeId, String, Option<String>)| id.as_folder().is_some();
        let mut places = vec![String::new()];
        places.extend(self.seen.iter().filter(is_folder).map(|(_, path, _)| path.clone()));
        let name = format!("n{}", dice.below(5));
        let to = format!("{}/{name}", dice.pick(&places).unwrap());
        let modified_at = format!("20{:02}-01-01T00:00:00Z", 20 + dice.below(15));
        let of = |kind: &str, what: &str| json!({ "resource_type": kind, "change_type": what, "modified_at": modified_at });
        let Some((id, path, version)) = dice.pick(&self.seen).cloned() else {
            return (with(of("file", "created"), json!({ "new_path": to })), true);
        };
        let item =
            |what: &str| with(of(kind(id), what), json!({ "resource_id": id, "base_version_id": version }));
        match dice.below(12) {
            0..=2 => (with(of("file", "created"), json!({ "new_path": to })), true),
            3 => (with(of("folder", "created"), json!({ "new_path": to })), false),
            4 | 5 if id.as_file().is_some() => (item("updated"), true),
            6 if id.as_file().is_some() => (with(of("file", "updated"), json!({ "new_path": path })), true),
            7 => (item("deleted"), false),
            8 => (
                with(item("moved"), json!({ "old_path": path, "new_path": to, "base_version_id": null })),
                false,
            ),
            9 if id.as_file().is_some() => {
                (with(item("updated"), json!({ "old_path": path, "new_path": to })), true)
            }
            10 => (with(of(kind(id), "renamed"), json!({ "old_path": path, "new_path": to })), false),
            11 => (with(item("deleted"), json!({ "resource_id": "fil_01ARZ3NDEKTSV4RRFFQ69G5FAV" })), false),
            _ => (with(of("file", "created"), json!({ "new_path": "/../x" })), true),
        }
    }
}

/// Checks that every text is somewhere: a version of a file, in the trash or not, or waiting on a conflict.
pub(super) async fn check_kept(house: &House, texts: &BTreeSet<String>) {
    let tenant = house.caller.tenant;
    let mut rows = house.drive.read().await.unwrap();
    let mut found = BTreeSet::new();
    let log = rows.changes(tenant, 0, 1_000_000).await.unwrap();
    let files: BTreeSet<_> =
        log.iter().filter_map(|change| change.resource_id.parse::<NodeId>().ok()?.as_file()).collect();
    for file in files {
        found.extend(rows.versions(tenant, file, 100_000, 0).await.unwrap().iter().map(|old| old.checksum));
    }
    let query = ConflictQuery { limit: 100_000, ..ConflictQuery::default() };
    for met in rows.conflicts_of(tenant, &house.caller.user, &query).await.unwrap() {
        let row = rows.conflict(tenant, met.id.unwrap()).await.unwrap().unwrap();
        if let Some((content, _)) = row.waiting {
            found.insert(rows.content(tenant, content).await.unwrap().unwrap().checksum);
        }
    }
    let lost: Vec<_> =
        texts.iter().filter(|text| !found.contains(&Sha256Hash::of(text.as_bytes()))).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

/// Checks that replaying the feed from its beginning gives what listing shows, and that nothing hangs in the air.
pub(super) async fn check_feed(house: &House) {
    let mut rows = house.drive.read().await.unwrap();
    let mut items: HashMap<String, (Option<String>, String, Value)> = HashMap::new();
    for change in rows.changes(house.caller.tenant, 0, 1_000_000).await.unwrap() {
        if change.change_type.as_str() == "deleted" {
            items.remove(&change.resource_id);
        } else if change.share_id == house.share.id && change.resource_type.as_str() != "share" {
            let parent = change.metadata["parent_id"].as_str().map(str::to_owned);
            let name = change.metadata["name"].as_str().unwrap().to_owned();
            let state = json!([change.version_id, change.metadata["checksum_sha256"]]);
            items.insert(change.resource_id, (parent, name, state));
        }
    }
    let path = |start: &str| {
        let (mut path, mut id) = (String::new(), Some(start));
        while let Some(at) = id {
            let (parent, name, _) = items.get(at)?;
            path = format!("/{name}{path}");
            id = parent.as_deref();
        }
        Some(path)
    };
    let told: BTreeMap<String, Value> =
        items.iter().filter_map(|(id, (.., state))| Some((path(id)?, state.clone()))).collect();
    let walked = folders::walk(&house.drive, &house.caller, house.share.id, None).await.unwrap();
    let state = |node: &scaidrive_core::model::Node| {
        let facts = node.file.as_ref();
        json!([facts.map(|facts| facts.version_id), facts.map(|facts| facts.checksum)])
    };
    let listed: BTreeMap<String, Value> =
        walked.iter().map(|found| (found.path.to_string(), state(&found.node))).collect();
    assert_eq!(told, listed, "the feed tells what listing shows");
    let usage = rows.usage(house.caller.tenant, &UsageTarget::Share(house.share.id)).await.unwrap();
    let count = (usage.file_count + usage.folder_count) as usize;
    assert_eq!(count, listed.len(), "whatever is live can be reached from the root");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_devices_do_nothing_that_was_acknowledged_is_lost() {
    for house in House::both(|_| {}).await {
        let mut storms: Vec<_> =
            (0..3).map(|number| Storm::new(house.device(&format!("d{number}")), 100 + number)).collect();
        for round in 0..rounds(200) as usize {
            let turn = round % storms.len();
            storms[turn].act().await;
            if round % 50 == 49 {
                check_feed(&house).await;
                house.check().await;
            }
        }
        let texts: BTreeSet<String> = storms.iter().flat_map(|storm| storm.acknowledged.clone()).collect();
        let met: usize = storms.iter().map(|storm| storm.met).sum();
        assert!(texts.len() > 50 && met > 30, "{} contents, {met} conflicts: a storm?", texts.len());
        check_kept(&house, &texts).await;
        check_feed(&house).await;
        house.check().await;
    }
}
