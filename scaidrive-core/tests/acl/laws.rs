//! The evaluator against the reference, and laws that hold whatever the entries.

use proptest::prelude::*;
use scaidrive_core::model::acl::{Inherited, decide, explain, rights_along};
use scaidrive_core::model::{Right, Rights};

use crate::reference::{Entry, Scenario, scenario};

fn any_entry(scenario: &Scenario, level: usize, allows: bool, rights: u8) -> Scenario {
    let mut changed = scenario.clone();
    let level = level % changed.line.len();
    changed.line[level].entries.push(Entry {
        who: crate::reference::Who::Me,
        allows,
        rights,
        inherits: true,
    });
    changed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_agrees_with_the_reference(scenario in scenario()) {
        prop_assert_eq!(scenario.decided(), scenario.rights());
    }

    #[test]
    fn every_explanation_agrees_with_the_decision(scenario in scenario()) {
        let (levels, decided) = (scenario.levels(), scenario.decided());
        for right in Right::ALL {
            let (allowed, _) = explain(scenario.standing(), &levels, *right);
            prop_assert_eq!(allowed, decided.has(*right));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_deny_never_grants_and_an_allow_never_takes(scenario in scenario(), level in 0usize..12, rights in 1u8..64) {
        let before = scenario.decided();
        let denied = any_entry(&scenario, level, false, rights).decided();
        prop_assert_eq!(denied - before, Rights::NONE);
        let allowed = any_entry(&scenario, level, true, rights).decided();
        prop_assert_eq!(before - allowed, Rights::NONE);
    }

    #[test]
    fn the_order_and_the_cut_of_entries_do_not_matter(scenario in scenario()) {
        let mut shuffled = scenario.clone();
        for resource in &mut shuffled.line {
            resource.entries.reverse();
            let single = |entry: &Entry| {
                let entry = *entry;
                (0..6).map(move |bit| Entry { rights: entry.rights & (1 << bit), ..entry })
            };
            resource.entries = resource.entries.iter().flat_map(single).filter(|entry| entry.rights != 0).collect();
        }
        prop_assert_eq!(shuffled.decided(), scenario.decided());
    }

    #[test]
    fn what_is_passed_on_step_by_step_is_what_is_passed_on_at_once(scenario in scenario()) {
        let levels = scenario.levels();
        let mut above = Inherited::default();
        for (depth, level) in levels.iter().enumerate() {
            let whole = rights_along(scenario.standing(), &levels[..=depth]);
            prop_assert_eq!(decide(scenario.standing(), above, level), whole);
            above = above.through(level);
        }
    }

    #[test]
    fn administrators_have_all_and_owners_the_way_back(scenario in scenario()) {
        let admin = Scenario { is_tenant_admin: true, ..scenario.clone() };
        prop_assert_eq!(admin.decided(), Rights::ALL);
        let owner = Scenario { owns: true, ..scenario };
        prop_assert!(owner.decided().has(Right::ManagePermissions));
    }

    #[test]
    fn what_is_broken_off_above_does_not_matter(scenario in scenario(), level in 1usize..12) {
        let level = level % scenario.line.len();
        let mut fenced = scenario.clone();
        fenced.line[level].inherits = false;
        let mut bare = fenced.clone();
        for resource in &mut bare.line[..level] {
            resource.entries.clear();
        }
        prop_assert_eq!(fenced.decided(), bare.decided());
    }
}
