//! Devices that apply to the same things at the same time.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use scaidrive_core::model::{ParentId, Strategy};
use scaidrive_core::services::files::{self, IfMatch};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::trash;

use super::model::{Storm, check_feed, check_kept};
use super::{folder, relocate};
use crate::backends::{House, rounds};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_at_once_one_is_current_and_one_is_a_copy() {
    for house in House::both(|_| {}).await {
        let (one, other) = (house.device("one"), house.device("other"));
        for round in 0..rounds(200) / 4 {
            let mut bases = Vec::new();
            for number in 0..3 {
                let path = format!("/{round} {number}.txt");
                bases.push(one.plain(one.file(&path, &format!("base {round}")).await).await);
            }
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for base in &bases {
                ours.push(one.edit(base, &format!("one {round}")).await);
                theirs.insert(0, other.edit(base, &format!("other {round}")).await);
            }
            let outcomes =
                tokio::join!(one.apply(Strategy::KeepBoth, &ours), other.apply(Strategy::KeepBoth, &theirs));
            let met = outcomes.0.conflicts.len() + outcomes.1.conflicts.len();
            assert_eq!(met, 3, "{outcomes:?}");
            let texts: Vec<String> = house.tree().await.into_iter().map(|(_, text)| text).collect();
            for wanted in [format!("one {round}"), format!("other {round}")] {
                assert_eq!(texts.iter().filter(|text| **text == wanted).count(), 3, "{wanted}");
            }
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_race_single_operations_on_the_same_things() {
    for house in House::both(|_| {}).await {
        let device = house.device("laptop");
        for round in 0..rounds(200) / 4 {
            let (a, b) = (format!("/a{round}"), format!("/b{round}"));
            let dir = device.plain(folder(&a)).await;
            let other = device.plain(folder(&b)).await;
            let item = device.plain(device.file(&format!("{a}/x"), "base").await).await;
            let file = item.resource_id.as_file().unwrap();
            let changes = [
                device.edit(&item, &format!("batch {round}")).await,
                relocate(&dir, &a, &format!("{b}{a}")),
                device.file(&format!("{b}/new"), "new").await,
            ];
            let (drive, caller) = (&house.drive, &house.caller);
            let bytes = std::io::Cursor::new(format!("single {round}").into_bytes());
            let write = files::write(drive, caller, file, IfMatch::default(), bytes);
            let target =
                Target { parent: ParentId::Folder(dir.resource_id.as_folder().unwrap()), name: None };
            let moved = moves::folder(drive, caller, other.resource_id.as_folder().unwrap(), target);
            let deleted = trash::delete(drive, caller, dir.resource_id, false);
            let (outcome, ..) =
                tokio::join!(device.apply(Strategy::KeepBoth, &changes), write, moved, deleted);
            let answered = outcome.applied.len() + outcome.conflicts.len() + outcome.errors.len();
            assert!(answered >= 3, "{outcome:?}");
        }
        check_feed(&house).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_devices_at_once_lose_nothing() {
    for house in House::both(|_| {}).await {
        let storms = (0..4).map(|number| {
            let mut storm = Storm::new(house.device(&format!("d{number}")), 200 + number);
            async move {
                for _ in 0..rounds(200) / 4 {
                    storm.act().await;
                }
                storm
            }
        });
        let storms = join_all(storms).await;
        let texts: BTreeSet<String> = storms.iter().flat_map(|storm| storm.acknowledged.clone()).collect();
        assert!(texts.len() > 50, "{} contents: a storm?", texts.len());
        check_kept(&house, &texts).await;
        check_feed(&house).await;
        house.check().await;
    }
}
