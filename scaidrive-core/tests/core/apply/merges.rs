//! Folders that are moved onto folders: nothing that was live is lost, wherever the one lies in the other.

use std::collections::{BTreeMap, HashMap};

use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::{ChangeKind, ConflictType, LoggedChange, Strategy};
use scaidrive_core::services::{feed, folders};
use serde_json::{Value, json};

use super::{Device, folder, relocate, tree, with};
use crate::backends::House;

/// A tree as it should be: names by their keys.
type Tree = BTreeMap<String, (String, Item)>;

#[derive(Clone, Debug, PartialEq)]
enum Item {
    File(&'static str),
    Folder(Tree),
}

/// What a move of one path to another should make of a tree.
#[derive(Debug, PartialEq)]
struct Wanted {
    tree: Tree,
    /// Whether a name was taken by something that nothing can merge with.
    clashes: bool,
}

fn key(name: &str) -> String {
    name.to_lowercase()
}

fn copy_of(name: &str) -> String {
    let now = super::at(json!({}), 0)["modified_at"].as_str().unwrap().to_owned();
    format!("{name} (conflict, one, {})", now.split('T').next().unwrap())
}

/// Returns the folder at a path, where there is one.
fn inside<'t>(tree: &'t mut Tree, path: &[&str]) -> Option<&'t mut Tree> {
    path.iter().try_fold(tree, |at, name| match at.get_mut(&key(name)) {
        Some((_, Item::Folder(below))) => Some(below),
        _ => None,
    })
}

fn put(tree: &mut Tree, name: &str, item: Item) {
    tree.insert(key(name), (name.to_owned(), item));
}

fn merge(from: Tree, into: &mut Tree, clashes: &mut bool) {
    for (key, (name, item)) in from {
        match (item, into.get_mut(&key).map(|(_, there)| there)) {
            (item, None) => put(into, &name, item),
            (Item::Folder(below), Some(Item::Folder(there))) => merge(below, there, clashes),
            (Item::File(own), Some(Item::File(theirs))) if own == *theirs => {}
            (item, Some(_)) => {
                *clashes = true;
                put(into, &copy_of(&name), item);
            }
        }
    }
}

/// Says what a move should come to: the item is taken out, and put down where its name leads then.
fn moved(before: &Tree, from: &[&str], to: &[&str]) -> Wanted {
    let stays = Wanted { tree: before.clone(), clashes: false };
    let mut tree = before.clone();
    let fold = |path: &[&str]| path.iter().map(|name| key(name)).collect::<Vec<_>>();
    let (name, above) = from.split_last().unwrap();
    let (new_name, place) = to.split_last().unwrap();
    if fold(place).starts_with(&fold(from)) {
        return stays;
    }
    let Some((_, item)) = inside(&mut tree, above).and_then(|above| above.remove(&key(name))) else {
        return stays;
    };
    let Some(place) = inside(&mut tree, place) else { return stays };
    let mut clashes = false;
    match (item, place.get_mut(&key(new_name)).map(|(_, there)| there)) {
        (item, None) => put(place, new_name, item),
        (Item::Folder(below), Some(Item::Folder(there))) => merge(below, there, &mut clashes),
        (item, Some(_)) => {
            clashes = true;
            put(place, &copy_of(new_name), item);
        }
    }
    Wanted { tree, clashes }
}

/// Returns the paths and texts below a top.
fn listed(tree: &Tree, top: &str, all: &mut Vec<(String, String)>) {
    for (name, item) in tree.values() {
        let path = format!("{top}/{name}");
        match item {
            Item::File(text) => all.push((path, (*text).to_owned())),
            Item::Folder(below) => {
                all.push((path.clone(), "dir".to_owned()));
                listed(below, &path, all);
            }
        }
    }
}

/// A small source of chance: the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn name(&mut self) -> &'static str {
        if self.below(2) == 0 { "A" } else { "B" }
    }

    fn tree(&mut self, depth: usize) -> Tree {
        let mut all = Tree::new();
        for name in ["A", "B"] {
            let item = match self.below(10) {
                0..6 if depth > 0 => Item::Folder(self.tree(depth - 1)),
                0..4 => continue,
                4..7 => Item::File("x"),
                _ => Item::File("y"),
            };
            put(&mut all, name, item);
        }
        all
    }

    fn path(&mut self) -> Vec<&'static str> {
        (0..=self.below(4)).map(|_| self.name()).collect()
    }

    /// Returns where something goes: often to a name of its own way, now and then spelled in another way.
    fn target(&mut self, from: &[&'static str]) -> Vec<&'static str> {
        let mut to = if self.below(2) == 0 {
            self.path()
        } else {
            from[..=self.below(from.len() as u64) as usize].to_vec()
        };
        if self.below(8) == 0 {
            let last = to.pop().unwrap();
            to.push(if last == "A" { "a" } else { "b" });
        }
        to
    }
}

/// A tree, and what is moved where in it.
struct Case {
    top: String,
    tree: Tree,
    from: Vec<&'static str>,
    to: Vec<&'static str>,
}

impl Case {
    fn by_chance(chance: &mut Chance, number: usize) -> Self {
        loop {
            let mut tree = chance.tree(3);
            let (from, top) = (chance.path(), format!("/{number:04}"));
            let to = chance.target(&from);
            let (last, above) = from.split_last().unwrap();
            if from != to && inside(&mut tree, above).is_some_and(|above| above.contains_key(&key(last))) {
                return Self { top, tree, from, to };
            }
        }
    }

    fn kind(&self) -> &'static str {
        let (last, above) = self.from.split_last().unwrap();
        let mut tree = self.tree.clone();
        match inside(&mut tree, above).unwrap()[&key(last)].1 {
            Item::File(_) => "file",
            Item::Folder(_) => "folder",
        }
    }

    fn change(&self) -> Value {
        let path = |names: &[&str]| format!("{}/{}", self.top, names.join("/"));
        json!({
            "resource_type": self.kind(), "change_type": "moved", "old_path": path(&self.from),
            "new_path": path(&self.to),
        })
    }
}

impl Device<'_> {
    /// Makes all that trees hold.
    async fn plant(&self, cases: &[Case]) {
        let mut paths = Vec::new();
        for case in cases {
            paths.push((case.top.clone(), "dir".to_owned()));
            listed(&case.tree, &case.top, &mut paths);
        }
        let contents = HashMap::from([("x", self.content("x").await), ("y", self.content("y").await)]);
        let change = |(path, text): &(String, String)| match contents.get(text.as_str()) {
            None => folder(path),
            Some(content) => with(
                json!({ "resource_type": "file", "change_type": "created", "new_path": path }),
                content.clone(),
            ),
        };
        let changes: Vec<Value> = paths.iter().map(change).collect();
        for part in changes.chunks(1000) {
            let outcome = self.apply(Strategy::KeepBoth, part).await;
            assert!(outcome.errors.is_empty() && outcome.conflicts.is_empty(), "{outcome:?}");
        }
    }
}

/// A reader of the feed that takes rows to the letter: no folder ever holds two live things of one name.
#[derive(Default)]
struct Reader(HashMap<String, (String, String)>);

impl Reader {
    fn take(&mut self, row: &LoggedChange) {
        if row.change_type == ChangeKind::Deleted {
            let mut gone = vec![row.resource_id.clone()];
            while let Some(id) = gone.pop() {
                self.0.remove(&id);
                gone.extend(self.0.iter().filter(|(_, (parent, _))| *parent == id).map(|(id, _)| id.clone()));
            }
            return;
        }
        let parent = row.metadata["parent_id"].as_str().unwrap_or("root").to_owned();
        let slot = (parent, key(row.metadata["name"].as_str().unwrap()));
        let holder = self.0.iter().find(|(_, other)| **other == slot).map(|(id, _)| id.clone());
        assert!(holder.is_none_or(|holder| holder == row.resource_id), "two of one name: {row:?}");
        self.0.insert(row.resource_id.clone(), slot);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_small_tree_keeps_all_that_lives_in_it_whatever_is_moved_where() {
    let mut chance = Chance(7);
    let cases: Vec<Case> = (0..150).map(|number| Case::by_chance(&mut chance, number)).collect();
    for strategy in [Strategy::KeepBoth, Strategy::Manual] {
        let mut wanted = Vec::new();
        for case in &cases {
            let mut after = moved(&case.tree, &case.from, &case.to);
            if after.clashes && strategy == Strategy::Manual {
                after.tree = case.tree.clone();
            }
            wanted.push((case.top.clone(), "dir".to_owned()));
            listed(&after.tree, &case.top, &mut wanted);
        }
        wanted.sort();
        for house in House::both(|_| {}).await {
            let device = house.device("one");
            device.plant(&cases).await;
            let changes: Vec<Value> = cases.iter().map(Case::change).collect();
            device.apply(strategy, &changes).await;
            let found = house.tree().await;
            for (found, wanted) in found.iter().zip(&wanted) {
                let case = cases.iter().find(|case| wanted.0.starts_with(&case.top)).unwrap();
                let told = || format!("{strategy}: {:?} -> {:?} in {:?}", case.from, case.to, case.tree);
                assert_eq!(found, wanted, "{}", told());
            }
            assert_eq!(found.len(), wanted.len());
            let mut reader = Reader::default();
            let mut rows = house.drive.read().await.unwrap();
            for row in rows.changes(house.caller.tenant, 0, 100_000).await.unwrap() {
                if row.resource_id.starts_with("fil_") || row.resource_id.starts_with("fld_") {
                    reader.take(&row);
                }
            }
            assert_eq!(reader.0.len(), wanted.len(), "the feed tells of what is there");
            drop(rows);
            house.check().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_up_into_its_namesake_takes_everything_along() {
    for house in House::both(|_| {}).await {
        let device = house.device("one");
        for path in ["/A", "/A/A", "/A/A/A", "/A/A/A/A", "/C", "/C/B", "/C/B/B", "/C/B/B/B"] {
            device.plain(folder(path)).await;
        }
        device.plain(device.file("/A/A/A/A/x.txt", "x").await).await;
        device.plain(device.file("/A/A/A/y.txt", "y").await).await;
        device.plain(device.file("/C/B/B/B/z.txt", "z").await).await;
        let up = |from: &str, to: &str| json!({ "resource_type": "folder", "change_type": "moved", "old_path": from, "new_path": to });
        assert_eq!(device.plain(up("/A/A", "/A")).await.path, "/A");
        device.plain(up("/C/B/B", "/C/B")).await;
        let now = [
            ("/A", "dir"),
            ("/A/A", "dir"),
            ("/A/A/A", "dir"),
            ("/A/A/A/x.txt", "x"),
            ("/A/A/y.txt", "y"),
            ("/C", "dir"),
            ("/C/B", "dir"),
            ("/C/B/B", "dir"),
            ("/C/B/B/z.txt", "z"),
        ];
        assert_eq!(house.tree().await, tree(&now));
        // A file of that name is in nobody's way either.
        let dir = device.plain(folder("/D")).await;
        let inner = device.plain(folder("/D/D")).await;
        device.plain(device.file("/D/D/D", "a file").await).await;
        assert_eq!(device.plain(relocate(&inner, "/D/D", "/D")).await.resource_id, dir.resource_id);
        assert!(house.tree().await.contains(&("/D/D".to_owned(), "a file".to_owned())));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_of_thousands_is_made_with_few_statements() {
    const FILES: usize = 2400;
    for house in House::both(|_| {}).await {
        let device = house.device("one");
        let content = device.content("the same").await;
        let file = |path: String| {
            with(
                json!({ "resource_type": "file", "change_type": "created", "new_path": path }),
                content.clone(),
            )
        };
        let mut changes = vec![folder("/from"), folder("/from/deep"), folder("/into"), folder("/into/deep")];
        changes.extend((0..FILES).map(|number| file(format!("/from/deep/{number}"))));
        changes.extend((0..FILES / 2).map(|number| file(format!("/into/deep/{}", 2 * number))));
        changes.push(device.file("/into/deep/1", "another").await);
        for part in changes.chunks(1000) {
            assert!(device.apply(Strategy::KeepBoth, part).await.errors.is_empty());
        }
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let before = statements();
        let change = json!({
            "resource_type": "folder", "change_type": "renamed", "old_path": "/from", "new_path": "/into",
        });
        let (applied, met) = device.clash(Strategy::KeepBoth, change).await;
        let count = statements() - before;
        eprintln!("{count} statements for a merge of {FILES} files");
        assert_eq!((applied.unwrap().path.as_str(), met.conflict_type), ("/into", ConflictType::NameTaken));
        assert!(count < FILES as u64 / 10, "{count} statements");
        let all = folders::walk(&house.drive, &house.caller, house.share.id, None).await.unwrap();
        assert_eq!(all.len(), FILES + 3);
        let head = feed::head(&house.drive, &house.caller).await.unwrap();
        assert_eq!(head - start, FILES as i64 / 2 + 1, "what moved, and the folder that went");
        house.check().await;
    }
}
