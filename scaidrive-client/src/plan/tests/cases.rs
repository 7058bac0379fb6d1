//! What people and programs really do.

use super::super::{LocalStep, RemoteStep};
use super::world::{Entry, World, hash};
use crate::model::TreePath;

fn synced(paths: &[&str]) -> World {
    let mut world = World::new(true);
    for (content, path) in paths.iter().enumerate() {
        add(&mut world, path, content as u32);
    }
    world.settle();
    world
}

/// Makes a file, or with a trailing `/` a directory.
fn add(world: &mut World, path: &str, content: u32) {
    let number = world.number();
    let content = (!path.ends_with('/')).then_some(content);
    world.create(&path.into(), Entry { number, content });
}

fn rename(world: &mut World, from: &str, to: &str) {
    world.rename(&from.into(), &to.into());
}

fn steps_there(world: &World) -> Vec<String> {
    world.plan().remote.iter().map(|step| step.signature().to_string()).collect()
}

fn id(world: &World, path: &str) -> String {
    let found = world.remote.iter().find(|item| world.remote.path(&item.id) == Some(path.into()));
    found.unwrap().id.to_string()
}

#[test]
fn a_renamed_folder_is_one_step_whatever_it_holds() {
    let mut world = synced(&["docs/", "docs/a", "docs/sub/", "docs/sub/b"]);
    let docs = id(&world, "docs");
    rename(&mut world, "docs", "papers");
    assert_eq!(steps_there(&world), [format!("move {docs} papers")]);
    world.settle();
    assert_eq!(world.here(), world.there());
}

#[test]
fn a_file_that_is_moved_and_edited_keeps_its_history() {
    let mut world = synced(&["docs/", "a"]);
    let file = id(&world, "a");
    rename(&mut world, "a", "docs/b");
    world.disk.get_mut(&"docs/b".into()).unwrap().content = Some(77);
    let steps = steps_there(&world);
    assert!(
        steps[0] == format!("move {file} docs/b") && steps[1].starts_with(&format!("edit {file}")),
        "{steps:?}"
    );
    world.settle();
    assert_eq!(id(&world, "docs/b"), file);
}

#[test]
fn a_program_that_saves_by_renaming_makes_a_new_version() {
    let mut world = synced(&["a"]);
    let file = id(&world, "a");
    rename(&mut world, "a", "a~");
    add(&mut world, "a", 55);
    let steps = steps_there(&world);
    assert!(steps.iter().any(|step| step.starts_with(&format!("edit {file}"))), "{steps:?}");
    assert!(steps.iter().any(|step| step.starts_with("create a~")), "{steps:?}");
}

#[test]
fn an_edit_survives_the_removal_of_its_folder() {
    let mut world = synced(&["docs/", "docs/a", "docs/b"]);
    world.disk.get_mut(&"docs/a".into()).unwrap().content = Some(66);
    let docs = world.child(None, "docs").unwrap();
    world.remote.remove_all(&docs);
    world.settle();
    let there = world.there();
    assert_eq!(there.keys().map(TreePath::to_string).collect::<Vec<_>>(), ["docs", "docs/a"]);
    assert_eq!(there[&"docs/a".into()], Some(hash(66)));
}

#[test]
fn what_is_new_on_the_server_survives_the_removal_of_its_folder_here() {
    let mut world = synced(&["docs/", "docs/a", "docs/b"]);
    let docs = world.child(None, "docs").unwrap();
    world.put(Some(docs), "new", Some(9));
    world.disk.clear();
    world.settle();
    assert_eq!(world.here().keys().map(TreePath::to_string).collect::<Vec<_>>(), ["docs", "docs/new"]);
    assert_eq!(world.here(), world.there());
}

#[test]
fn a_removed_folder_is_one_step() {
    let mut world = synced(&["docs/", "docs/a", "docs/sub/", "docs/sub/b", "c"]);
    let docs = id(&world, "docs");
    world.disk.retain(|path, _| path.names()[0] == "c");
    assert_eq!(steps_there(&world), [format!("delete {docs}")]);
    assert_eq!(world.plan().remote_deletions(), 2);
}

#[test]
fn nothing_is_concluded_from_what_cannot_be_listed() {
    let mut world = synced(&["docs/", "docs/a", "b"]);
    let number = world.disk[&"docs".into()].number;
    world.closed.insert(number);
    assert!(world.plan().is_settled());
    let docs = world.child(None, "docs").unwrap();
    world.remote.remove_all(&docs);
    assert!(world.plan().is_settled(), "{:?}", world.plan());
}

#[test]
fn a_folder_with_files_that_are_not_synced_stays() {
    let mut world = synced(&["docs/", "docs/a"]);
    add(&mut world, "docs/ignored", 5);
    let docs = world.child(None, "docs").unwrap();
    world.remote.remove_all(&docs);
    let left = world.settle();
    assert_eq!(world.here().len(), 1);
    assert_eq!(left.notes.len(), 1);
    assert!(world.there().is_empty(), "and does not come back on the server");
}

#[test]
fn two_names_that_are_exchanged_on_the_server_are_exchanged_here() {
    let mut world = synced(&["a/", "a/1", "b/", "b/2"]);
    let (a, b) = (world.child(None, "a").unwrap(), world.child(None, "b").unwrap());
    for (id, name) in [(&a, "b"), (&b, "a")] {
        let mut item = world.remote.get(id).unwrap().clone();
        item.name = name.to_owned();
        world.remote.insert(item);
    }
    let plan = world.plan();
    assert!(plan.local.iter().all(|step| matches!(step, LocalStep::Move { .. })) && plan.remote.is_empty());
    world.settle();
    assert_eq!(world.here(), world.there());
    assert!(world.disk.contains_key(&"a/2".into()));
}

#[test]
fn a_file_that_both_sides_have_alike_is_not_sent() {
    let mut world = World::new(true);
    add(&mut world, "docs/", 0);
    add(&mut world, "docs/a", 1);
    let docs = world.put(None, "Docs", None);
    world.put(Some(docs), "a", Some(1));
    let plan = world.plan();
    assert!(plan.remote.is_empty() && plan.downloads.is_empty(), "{plan:?}");
    world.settle();
    assert!(world.disk.contains_key(&"Docs/a".into()), "the server's spelling stays");
}

#[test]
fn two_new_files_of_one_name_are_both_kept() {
    let mut world = World::new(true);
    add(&mut world, "a", 1);
    world.put(None, "A", Some(2));
    assert!(matches!(world.plan().remote[..], [RemoteStep::CreateFile { .. }]));
    world.settle();
    assert_eq!(world.here().len(), 2);
    assert_eq!(world.here(), world.there());
}

#[test]
fn a_directory_gives_way_to_a_file_of_its_name() {
    let mut world = World::new(true);
    add(&mut world, "a/", 0);
    add(&mut world, "a/x", 1);
    world.put(None, "a", Some(2));
    world.settle();
    let here: Vec<String> = world.here().keys().map(TreePath::to_string).collect();
    assert_eq!(here, ["a", "a (conflict, laptop, 2026-11-23)", "a (conflict, laptop, 2026-11-23)/x"]);
    assert_eq!(world.here(), world.there());
}

#[test]
fn a_file_may_take_the_name_of_the_folder_that_it_was_in() {
    let mut world = synced(&["docs/", "docs/a"]);
    let (docs, file) =
        (world.child(None, "docs").unwrap(), world.remote.iter().find(|item| item.file.is_some()));
    let mut file = file.unwrap().clone();
    world.remote.remove(&docs);
    (file.parent, file.name) = (None, "docs".to_owned());
    world.remote.insert(file);
    world.settle();
    assert_eq!(world.here(), world.there());
    assert_eq!(world.here().len(), 1);
}

#[test]
fn names_are_one_however_the_file_system_spells_them() {
    let mut world = World::new(true);
    add(&mut world, "e\u{301}", 1);
    world.settle();
    assert!(world.there().contains_key(&"é".into()));
    assert!(world.plan().is_settled());
    let file = world.child(None, "é").unwrap();
    let mut item = world.remote.get(&file).unwrap().clone();
    item.file = Some(world.version(2));
    world.remote.insert(item);
    world.settle();
    assert_eq!(world.disk[&"e\u{301}".into()].content, Some(2), "and keeps its spelling here");
}

#[test]
fn a_new_file_that_the_server_refuses_gives_way_to_the_one_that_has_its_name_there() {
    let mut world = World::new(true);
    add(&mut world, "a", 1);
    world.put(None, "a", Some(2));
    world.refused = world.plan().remote.iter().map(RemoteStep::signature).collect();
    world.settle();
    assert_eq!(world.disk[&"a".into()].content, Some(2));
    assert_eq!(world.disk[&"a (conflict, laptop, 2026-11-23)".into()].content, Some(1));
}

#[test]
fn what_is_moved_on_the_server_from_where_it_is_left_out_to_where_it_is_not_is_new_here() {
    let mut world = synced(&["docs/", "docs/a", "b"]);
    for (old, new) in [("docs", "ignored"), ("b", "junk")] {
        // What was in step is left out from now on.
        let mut item = world.synced.get(&world.child(None, old).unwrap()).unwrap().clone();
        item.name = new.to_owned();
        world.synced.insert(item);
        rename(&mut world, old, new);
    }
    assert!(world.plan().remote.is_empty(), "{:?}", world.plan());
    world.settle();
    assert!(world.disk.contains_key(&"docs/a".into()) && world.disk.contains_key(&"ignored/a".into()));
    assert!(world.disk.contains_key(&"b".into()) && world.disk.contains_key(&"junk".into()));
    assert_eq!(world.there().len(), 3);
}

#[test]
fn what_may_not_be_moved_goes_back() {
    let mut world = synced(&["docs/", "docs/a", "b"]);
    rename(&mut world, "b", "docs/b");
    world.refused = world.plan().remote.iter().map(RemoteStep::signature).collect();
    world.settle();
    assert_eq!(world.here(), world.there());
    assert!(world.disk.contains_key(&"b".into()));
}

#[test]
fn what_was_moved_into_a_folder_that_is_refused_goes_back_and_the_rest_stays() {
    let mut world = synced(&["a"]);
    add(&mut world, "new/", 0);
    add(&mut world, "new/own", 5);
    rename(&mut world, "a", "new/a");
    let create = |step: &&RemoteStep| matches!(step, RemoteStep::CreateFolder { .. });
    world.refused = world.plan().remote.iter().filter(create).map(RemoteStep::signature).collect();
    world.settle();
    let here: Vec<String> = world.here().keys().map(TreePath::to_string).collect();
    assert_eq!(here, ["a", "new", "new/own"]);
    assert_eq!(world.there().len(), 1);
}
