//! Readable vectors, as data: each says who asks, what stands on the way, and what is granted.

use std::path::PathBuf;

use scaidrive_core::model::{Right, Rights, ShareRole};
use serde_json::Value;

use crate::reference::{Entry, Membership, Resource, Scenario, Who};

/// The fewest vectors there must be.
const ENOUGH: usize = 200;

fn who(text: &str) -> Who {
    match text {
        "me" => Who::Me,
        "everyone" => Who::Everyone,
        "other" => Who::Other,
        group => Who::MyGroup(group.strip_prefix("group").unwrap().parse::<usize>().unwrap() - 1),
    }
}

fn rights(text: &str) -> Rights {
    match text {
        "none" => Rights::NONE,
        "all" => Rights::ALL,
        words => words.split('+').map(|word| word.parse::<Right>().unwrap()).collect(),
    }
}

/// Reads `deny group1 READ+WRITE this-only`.
fn entry(text: &str) -> Entry {
    let words: Vec<&str> = text.split(' ').collect();
    Entry {
        allows: match words[0] {
            "allow" => true,
            "deny" => false,
            other => panic!("{other}"),
        },
        who: who(words[1]),
        rights: rights(words[2]).bits(),
        inherits: words.get(3) != Some(&"this-only"),
    }
}

/// Reads `me reader` or `group1 admin expired`.
fn member(text: &str) -> Membership {
    let words: Vec<&str> = text.split(' ').collect();
    Membership {
        who: who(words[0]),
        role: words[1].parse::<ShareRole>().unwrap(),
        is_expired: words.get(2) == Some(&"expired"),
    }
}

/// Reads a resource: its entries, the word `fence` among them where it does not inherit.
fn resource(value: &Value) -> Resource {
    let lines: Vec<&str> = value.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    Resource {
        entries: lines.iter().filter(|line| **line != "fence").map(|line| entry(line)).collect(),
        inherits: !lines.contains(&"fence"),
    }
}

fn scenario(vector: &Value) -> Scenario {
    let is = |word: &str| vector["is"].as_array().is_some_and(|all| all.iter().any(|one| one == word));
    let members = vector["members"].as_array().cloned().unwrap_or_default();
    Scenario {
        is_tenant_admin: is("tenant admin"),
        owns: is("owner"),
        is_public: is("public"),
        members: members.iter().map(|text| member(text.as_str().unwrap())).collect(),
        line: vector["way"].as_array().unwrap().iter().map(resource).collect(),
    }
}

#[test]
fn every_vector_is_decided_as_it_says() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/acl"));
    let mut count = 0;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for vector in vectors {
            let name = format!("{}: {}", file.file_name().unwrap().display(), vector["name"]);
            let (scenario, wanted) = (scenario(&vector), rights(vector["grants"].as_str().unwrap()));
            assert_eq!(scenario.rights(), wanted, "the reference on {name}");
            assert_eq!(scenario.decided(), wanted, "the evaluator on {name}");
            count += 1;
        }
    }
    assert!(count >= ENOUGH, "{count} vectors");
    eprintln!("{count} vectors");
}
