//! Conflicts between what a client made of a thing and what somebody else made of it meanwhile, and how each strategy
//! settles each kind of them. Rules alone: nothing here looks anything up.

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::name::is_unsafe_somewhere;
use super::{
    ConflictId, DeviceId, FileName, NodeId, NodeKind, ShareId, Timestamp, UserId, VersionId, text_enum,
};

text_enum! {
    /// How a conflict is to be settled (sync.md). None of them ever loses bytes.
    pub enum Strategy {
        /// The incoming content becomes a second file.
        KeepBoth = "KEEP_BOTH",
        /// What was changed later counts; the other stays in the history.
        LastWriterWins = "LAST_WRITER_WINS",
        /// What comes in counts; the server's stays in the history.
        ClientWins = "CLIENT_WINS",
        /// The server's counts; what comes in is kept as an older version.
        ServerWins = "SERVER_WINS",
        /// Nothing visible changes until somebody decides.
        Manual = "MANUAL",
    }
}

text_enum! {
    /// What met what; the client's part is named first.
    pub enum ConflictType {
        /// An edit of what was edited since the client's base.
        EditEdit = "edit_edit",
        /// An edit, a rename or a move of what was deleted.
        EditDelete = "edit_delete",
        /// A delete of what was edited since the client's base.
        DeleteEdit = "delete_edit",
        /// A name that something else has by now.
        NameTaken = "name_taken",
        /// A move or rename of what was moved or renamed by somebody else.
        MoveMove = "move_move",
        /// A move of a folder into itself or into what it holds.
        Cycle = "cycle",
    }
}

text_enum! {
    /// Whether somebody has still to decide.
    pub enum ConflictStatus {
        /// Somebody has to; the incoming content waits.
        Open = "open",
        /// It is settled.
        Resolved = "resolved",
    }
}

/// A conflict as the wire shows it (sync.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Its id; nothing where it was met by a batch that was not applied, and is not recorded.
    pub id: Option<ConflictId>,
    /// The share.
    pub share_id: ShareId,
    /// The device whose change met it.
    pub device_id: DeviceId,
    /// The change that met it, as the device calls it.
    pub client_change_id: String,
    /// File or folder.
    pub resource_type: NodeKind,
    /// The thing on the server that it was met at; nothing if that is not for the caller to know.
    pub resource_id: Option<NodeId>,
    /// What met what.
    pub conflict_type: ConflictType,
    /// The version that the client's change was made of.
    pub base_version_id: Option<VersionId>,
    /// The version that was current on the server.
    pub server_version_id: Option<VersionId>,
    /// The version that the incoming content became; nothing while it waits, or where none came in.
    pub client_version_id: Option<VersionId>,
    /// Whether somebody has still to decide.
    pub status: ConflictStatus,
    /// The strategy that settled it.
    pub resolution: Option<Strategy>,
    /// When it was met.
    pub created_at: Timestamp,
    /// When it was settled.
    pub resolved_at: Option<Timestamp>,
    /// Who settled it.
    pub resolved_by: Option<UserId>,
}

/// What must be known of a conflict to settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What met what.
    pub conflict: ConflictType,
    /// Whether the incoming change brings content, which must not be lost.
    pub brings_content: bool,
    /// Whether the incoming change was made later than the server's.
    pub is_later: bool,
}

/// What becomes of an incoming change that met a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What comes in is kept beside what is there, under a name of its own.
    Beside,
    /// What comes in counts: as a new version, out of the trash or into it, or moved again.
    Client,
    /// The server's tree stays; incoming content is kept as an older version.
    Server,
    /// Nothing visible changes; it waits.
    Wait,
}

/// Says what becomes of an incoming change: the table of sync.md, and what stands below it.
pub const fn decide(strategy: Strategy, met: Situation) -> Verdict {
    use ConflictType::{Cycle, DeleteEdit, EditDelete, EditEdit, MoveMove, NameTaken};
    let later = if met.is_later { Verdict::Client } else { Verdict::Server };
    match (met.conflict, strategy) {
        // No tree has loops, whoever would win.
        (Cycle, _) => Verdict::Server,
        (_, Strategy::Manual) => Verdict::Wait,
        // Two things of one name are two things: neither is the other's history.
        (NameTaken, _) | (EditEdit, Strategy::KeepBoth) => Verdict::Beside,
        (EditEdit | EditDelete | DeleteEdit, Strategy::LastWriterWins) => later,
        (_, Strategy::ClientWins) | (MoveMove, Strategy::LastWriterWins)
        // A delete never beats an edit but where the client or the later wins.
        | (EditDelete, Strategy::KeepBoth) => Verdict::Client,
        // Without content, nothing is at stake but a place.
        (EditDelete, Strategy::ServerWins) if met.brings_content => Verdict::Client,
        (EditEdit | EditDelete, Strategy::ServerWins)
        | (DeleteEdit | MoveMove, Strategy::KeepBoth | Strategy::ServerWins) => Verdict::Server,
    }
}

/// The longest part of a device's name in the name of a conflict copy, in bytes: the rest of it must stay visible.
const MAX_DEVICE_BYTES: usize = 100;

/// Returns what marks a conflict copy: `conflict, <device name>, 2026-11-23`.
pub fn copy_marker(device: &str, at: Timestamp) -> String {
    let clean = |letter: char| if is_unsafe_somewhere(letter) { '_' } else { letter };
    let mut device: String = device.nfc().map(clean).collect();
    device.truncate(device.floor_char_boundary(MAX_DEVICE_BYTES));
    let at = at.to_string();
    let day = at.split('T').next().unwrap_or_default();
    format!("conflict, {}, {day}", device.trim())
}

/// Returns the name of a conflict copy: the marker before the extension, cut so that it fits; from the second one on
/// with a number.
pub fn copy_name(name: &FileName, marker: &str, number: u32) -> FileName {
    match number {
        0 | 1 => name.with_marker(&format!(" ({marker})")),
        more => name.with_marker(&format!(" ({marker} {more})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MAX_NAME_BYTES;

    /// Every strategy against every conflict: what becomes of the incoming change if it is later, and if it is earlier;
    /// first with content, then without.
    ///
    /// B: beside, C: the client's, S: the server's, W: waits.
    const TABLE: [(ConflictType, [(Strategy, &str); 5]); 6] = {
        use ConflictType::{Cycle, DeleteEdit, EditDelete, EditEdit, MoveMove, NameTaken};
        use Strategy::{ClientWins, KeepBoth, LastWriterWins, Manual, ServerWins};
        const fn row(words: [&'static str; 5]) -> [(Strategy, &'static str); 5] {
            [
                (KeepBoth, words[0]),
                (LastWriterWins, words[1]),
                (ClientWins, words[2]),
                (ServerWins, words[3]),
                (Manual, words[4]),
            ]
        }
        [
            (EditEdit, row(["BB BB", "CS CS", "CC CC", "SS SS", "WW WW"])),
            (EditDelete, row(["CC CC", "CS CS", "CC CC", "CC SS", "WW WW"])),
            (DeleteEdit, row(["SS SS", "CS CS", "CC CC", "SS SS", "WW WW"])),
            (NameTaken, row(["BB BB", "BB BB", "BB BB", "BB BB", "WW WW"])),
            (MoveMove, row(["SS SS", "CC CC", "CC CC", "SS SS", "WW WW"])),
            (Cycle, row(["SS SS", "SS SS", "SS SS", "SS SS", "SS SS"])),
        ]
    };

    #[test]
    fn every_strategy_settles_every_conflict_as_agreed() {
        let letter = |verdict| match verdict {
            Verdict::Beside => 'B',
            Verdict::Client => 'C',
            Verdict::Server => 'S',
            Verdict::Wait => 'W',
        };
        assert_eq!(TABLE.map(|(conflict, _)| conflict).as_slice(), ConflictType::ALL);
        for (conflict, row) in TABLE {
            assert_eq!(row.map(|(strategy, _)| strategy).as_slice(), Strategy::ALL);
            for (strategy, wanted) in row {
                let told = |brings_content| {
                    [true, false].map(|is_later| {
                        letter(decide(strategy, Situation { conflict, brings_content, is_later }))
                    })
                };
                let (with, without) = (told(true), told(false));
                let told: String = with.into_iter().chain([' ']).chain(without).collect();
                assert_eq!(told, wanted, "{conflict} under {strategy}");
            }
        }
    }

    #[test]
    fn a_copy_is_named_after_the_device_and_the_day() {
        let at: Timestamp = "2026-11-23T22:00:00Z".parse().unwrap();
        let name = |text: &str| FileName::parse(text).unwrap();
        let marker = copy_marker("Ada's: \"laptop\"/\u{202E}1\n", at);
        assert_eq!(marker, "conflict, Ada's_ _laptop___1_, 2026-11-23");
        assert_eq!(
            copy_name(&name("plan.odt"), &copy_marker("Laptop", at), 1).as_str(),
            "plan (conflict, Laptop, 2026-11-23).odt"
        );
        assert_eq!(
            copy_name(&name("plan.odt"), &copy_marker("Laptop", at), 2).as_str(),
            "plan (conflict, Laptop, 2026-11-23 2).odt"
        );
    }

    #[test]
    fn a_copy_of_any_name_by_any_device_has_a_name_that_may_be_given() {
        let at: Timestamp = "2026-11-23T22:00:00Z".parse().unwrap();
        for device in
            ["x".repeat(128), "é".repeat(128), "e\u{301}".repeat(60), "😀".repeat(128), String::new()]
        {
            for stem in ["a".repeat(251), "é".repeat(125), "x".to_owned()] {
                let name = FileName::parse(&format!("{stem}.odt")).unwrap();
                let copy = copy_name(&name, &copy_marker(&device, at), 999);
                assert_eq!(FileName::parse(copy.as_str()).unwrap(), copy, "{device}");
                assert!(
                    copy.as_str().len() <= MAX_NAME_BYTES && copy.as_str().ends_with(", 2026-11-23 999).odt")
                );
            }
        }
    }
}
