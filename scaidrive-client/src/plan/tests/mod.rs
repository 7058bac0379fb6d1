//! Plans for worlds that people and other devices change at random.

mod arbitrary;
mod cases;
mod execute;
mod world;

use proptest::prelude::*;

use super::Plan;
use crate::model::{Kind, TreePath};
use crate::trees::{Placed, RemoteItem};
use world::{Entry, World};

/// Names that collide often: by case, with each other, with what is left out.
const NAMES: [&str; 7] = ["a", "b", "A", "c", "d", "ignored", "junk"];

/// Plans after which nothing may be left to do.
const ROUNDS: usize = 12;

/// What somebody does.
#[derive(Clone, Debug)]
enum Act {
    /// Makes a file or directory in a place.
    Create { there: bool, place: usize, name: usize, is_folder: bool, content: u32 },
    /// Writes a file.
    Edit { there: bool, which: usize, content: u32 },
    /// Moves or renames something.
    Move { there: bool, which: usize, place: usize, name: usize },
    /// Deletes something with all it holds.
    Delete { there: bool, which: usize },
    /// Brings both sides together, or tries: so many steps are taken.
    Sync { steps: usize },
    /// Something cannot be read, or can again.
    Lock { which: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let at = || 0..40usize;
    let name = || 0..NAMES.len();
    prop_oneof![
        4 => (any::<bool>(), at(), name(), any::<bool>(), 0..1000u32).prop_map(
            |(there, place, name, is_folder, content)| Act::Create { there, place, name, is_folder, content }
        ),
        2 => (any::<bool>(), at(), 0..1000u32).prop_map(|(there, which, content)| Act::Edit { there, which, content }),
        4 => (any::<bool>(), at(), at(), name())
            .prop_map(|(there, which, place, name)| Act::Move { there, which, place, name }),
        2 => (any::<bool>(), at()).prop_map(|(there, which)| Act::Delete { there, which }),
        2 => (0..30usize).prop_map(|steps| Act::Sync { steps }),
        1 => at().prop_map(|which| Act::Lock { which }),
    ]
}

fn pick<T: Clone>(all: &[T], which: usize) -> Option<T> {
    (!all.is_empty()).then(|| all[which % all.len()].clone())
}

impl World {
    fn entries(&self, kind: Option<Kind>) -> Vec<TreePath> {
        let is_kind = |entry: &Entry| kind.is_none_or(|kind| (kind == Kind::File) == entry.content.is_some());
        self.disk.iter().filter(|(_, entry)| is_kind(entry)).map(|(path, _)| path.clone()).collect()
    }

    fn items(&self, kind: Option<Kind>) -> Vec<RemoteItem> {
        let items = self.remote.walk().into_iter().filter(|item| kind.is_none_or(|kind| item.kind() == kind));
        items.cloned().collect()
    }

    fn after(acts: &[Act], has_births: bool) -> Self {
        let mut world = Self::new(has_births);
        for act in acts {
            world.act(act);
        }
        world
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Create { there: false, place, name, is_folder, content } => {
                let mut places = self.entries(Some(Kind::Folder));
                places.push(TreePath::root());
                let path = pick(&places, place).unwrap().join(NAMES[name]);
                if !self.disk.contains_key(&path) {
                    let entry = Entry { number: self.number(), content: (!is_folder).then_some(content) };
                    self.create(&path, entry);
                }
            }
            Act::Create { there: true, place, name, is_folder, content } => {
                let folder =
                    pick(&self.items(Some(Kind::Folder)), place).filter(|_| !place.is_multiple_of(3));
                let parent = folder.map(|folder| folder.id);
                if self.child(parent.as_ref(), NAMES[name]).is_none() {
                    self.put(parent, NAMES[name], (!is_folder).then_some(content));
                }
            }
            Act::Edit { there: false, which, content } => {
                if let Some(path) = pick(&self.entries(Some(Kind::File)), which) {
                    self.disk.get_mut(&path).unwrap().content = Some(content);
                }
            }
            Act::Edit { there: true, which, content } => {
                if let Some(mut item) = pick(&self.items(Some(Kind::File)), which) {
                    item.file = Some(self.version(content));
                    self.remote.insert(item);
                }
            }
            Act::Move { there, which, place, name } => self.relocate(there, which, place, NAMES[name]),
            Act::Delete { there, which } => self.delete(there, which),
            Act::Sync { steps } => {
                let mut left = steps;
                let plan = self.plan();
                self.execute(plan, || {
                    left = left.saturating_sub(1);
                    left > 0
                });
            }
            Act::Lock { which } => {
                if let Some(path) = pick(&self.entries(None), which) {
                    let entry = &self.disk[&path];
                    let locked = if entry.content.is_some() { &mut self.busy } else { &mut self.closed };
                    if !locked.remove(&entry.number) {
                        locked.insert(entry.number);
                    }
                }
            }
        }
    }

    fn relocate(&mut self, there: bool, which: usize, place: usize, name: &str) {
        if there {
            let folder = pick(&self.items(Some(Kind::Folder)), place).filter(|_| !place.is_multiple_of(3));
            let Some(mut item) = pick(&self.items(None), which) else { return };
            let parent = folder.map(|folder| folder.id);
            let path = parent.as_ref().and_then(|id| self.remote.path(id)).unwrap_or_default();
            let own = self.remote.path(&item.id).unwrap();
            let rival = self.child(parent.as_ref(), name).filter(|rival| *rival != item.id);
            if rival.is_none() && !path.names().starts_with(own.names()) {
                (item.parent, item.name) = (parent, name.to_owned());
                self.remote.insert(item);
            }
            return;
        }
        let mut places = self.entries(Some(Kind::Folder));
        places.push(TreePath::root());
        let Some(from) = pick(&self.entries(None), which) else { return };
        let to = pick(&places, place).unwrap().join(name);
        let is_over =
            self.disk.get(&to).is_some_and(|old| old.content.is_some() && self.disk[&from].content.is_some());
        if to.names().starts_with(from.names()) || (self.disk.contains_key(&to) && !is_over) {
            return;
        }
        self.disk.remove(&to);
        self.rename(&from, &to);
    }

    fn delete(&mut self, there: bool, which: usize) {
        if there {
            if let Some(item) = pick(&self.items(None), which) {
                self.remote.remove_all(&item.id);
            }
        } else if let Some(path) = pick(&self.entries(None), which) {
            self.disk.retain(|below, _| !below.names().starts_with(path.names()));
        }
    }

    /// Plans and executes until nothing is left to do.
    fn settle(&mut self) -> Plan {
        for _ in 0..ROUNDS {
            let plan = self.plan();
            if plan.is_settled() {
                self.execute(plan, || true);
                return self.plan();
            }
            self.execute(plan, || true);
        }
        panic!("not settled after {ROUNDS} rounds: {:#?}", self.plan());
    }
}

proptest! {
    #[test]
    fn both_sides_become_equal_and_nothing_is_lost(acts in prop::collection::vec(act(), 1..40), has_births: bool) {
        let mut world = World::after(&acts, has_births);
        world.busy.clear();
        world.closed.clear();
        let contents: Vec<_> = world.here().into_values().flatten().collect();
        let left = world.settle();
        prop_assert_eq!(left.agreed, vec![], "what is agreed is known by now");
        prop_assert_eq!(left.forgotten, vec![]);
        if left.notes.is_empty() {
            prop_assert_eq!(world.here(), world.there());
        }
        for content in contents {
            prop_assert!(world.stored.contains_key(&content) || world.here().values().any(|here| *here == Some(content)));
        }
    }

    #[test]
    fn what_cannot_be_read_or_listed_holds_up_nothing_for_ever(acts in prop::collection::vec(act(), 1..40)) {
        let mut world = World::after(&acts, true);
        let contents: Vec<_> = world.here().into_values().flatten().collect();
        world.settle();
        for content in contents {
            prop_assert!(world.stored.contains_key(&content) || world.here().values().any(|here| *here == Some(content)));
        }
    }

    #[test]
    fn the_same_situation_gives_the_same_plan(acts in prop::collection::vec(act(), 1..30)) {
        let world = World::after(&acts, true);
        prop_assert_eq!(world.plan(), world.plan());
    }

    #[test]
    fn a_refused_step_is_not_proposed_again(acts in prop::collection::vec(act(), 1..30), which in 0..5usize) {
        let mut world = World::after(&acts, true);
        for _ in 0..3 {
            let plan = world.plan();
            let signatures: Vec<_> = plan.local.iter().map(super::LocalStep::signature)
                .chain(plan.remote.iter().map(super::RemoteStep::signature))
                .chain(plan.downloads.iter().map(super::Download::signature))
                .collect();
            let refused = pick(&signatures, which);
            world.refused.extend(refused);
            let plan = world.plan();
            world.execute(plan, || true);
        }
        for _ in 0..ROUNDS {
            let plan = world.plan();
            world.execute(plan, || true);
        }
        prop_assert!(world.plan().is_settled());
    }
}
