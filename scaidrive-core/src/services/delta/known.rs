//! Which chunks count as present for a caller.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::since;
use crate::Drive;
use crate::model::{Caller, ChunkHash, ContentId, FileId, NodeId, Result, ShareId};
use crate::ports::Reads;
use crate::services::access::{self, Right};

/// Candidate files looked at for a chunk; those of the caller first, then the oldest.
const CANDIDATES: usize = 16;

/// Contents looked at for a chunk.
const CONTENTS: usize = 64;

/// Keys that one query asks for, and rows that it gives at most; where it would give more, half as many are asked
/// for, so that a chunk that is everywhere is bounded alone and hides nothing of the others.
const KEYS: usize = 500;
const MOST: u32 = 8192;

/// Returns which of these chunks count as present for the caller in a share on which it must have READ, with their
/// sizes: those of files that it may download, in any of their versions, and those that it has sent in the last 24 h.
///
/// Where finding out is dear a chunk is left out: the caller then sends what is there already. What is found for a
/// chunk does not depend on what else is asked for.
pub async fn known(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    hashes: &[ChunkHash],
) -> Result<HashMap<ChunkHash, u32>> {
    let mut rows = drive.read().await?;
    access::share(&mut *rows, caller, share, Right::Read).await?;
    let distinct: BTreeSet<ChunkHash> = hashes.iter().copied().collect();
    let distinct: Vec<ChunkHash> = distinct.into_iter().collect();
    let since = since(rows.now().await?);
    let sent = rows.sent_chunks(caller.tenant, &caller.user, &distinct).await?;
    let mut found: HashMap<ChunkHash, u32> =
        sent.iter().filter(|chunk| chunk.sent_at >= since).map(|chunk| (chunk.hash, chunk.size)).collect();
    let open: Vec<ChunkHash> = distinct.into_iter().filter(|hash| !found.contains_key(hash)).collect();
    if !open.is_empty() {
        let candidates = candidates(&mut *rows, caller, share, &open).await?;
        found.extend(downloadable(&mut *rows, caller, share, candidates).await?);
    }
    Ok(found)
}

/// Returns which of these chunks do not count as present for the caller, each once, in the order asked for.
pub async fn missing(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    hashes: Vec<ChunkHash>,
) -> Result<Vec<ChunkHash>> {
    let known = known(drive, caller, share, &hashes).await?;
    let mut told = HashSet::new();
    Ok(hashes.into_iter().filter(|hash| !known.contains_key(hash) && told.insert(*hash)).collect())
}

/// A chunk that is stored, and files that may show it to the caller, the likeliest first.
struct Candidate {
    hash: ChunkHash,
    size: u32,
    files: Vec<FileId>,
}

async fn candidates(
    rows: &mut dyn Reads,
    caller: &Caller,
    share: ShareId,
    hashes: &[ChunkHash],
) -> Result<Vec<Candidate>> {
    let mut holders: BTreeMap<ChunkHash, (u32, BTreeSet<ContentId>)> = BTreeMap::new();
    let mut parts = Parts::of(hashes);
    while let Some(part) = parts.next() {
        let uses = rows.chunk_uses(caller.tenant, part, MOST).await?;
        if parts.is_answered(part, uses.len()) {
            for used in uses {
                let (_, contents) = holders.entry(used.hash).or_insert((used.size, BTreeSet::new()));
                if contents.len() < CONTENTS {
                    contents.insert(used.content);
                }
            }
        }
    }
    let contents: BTreeSet<ContentId> = holders.values().flat_map(|(_, all)| all).copied().collect();
    let files = files_with(rows, caller, share, &contents.into_iter().collect::<Vec<_>>()).await?;
    let candidate = |(hash, (size, contents)): (ChunkHash, (u32, BTreeSet<ContentId>))| {
        let all: BTreeSet<_> = contents.iter().filter_map(|content| files.get(content)).flatten().collect();
        let files = all.into_iter().take(CANDIDATES).map(|(_, file)| *file).collect();
        Candidate { hash, size, files }
    };
    Ok(holders.into_iter().map(candidate).collect())
}

/// Files with these contents in a share: whether each is somebody else's, and which it is.
type Holders = HashMap<ContentId, BTreeSet<(bool, FileId)>>;

async fn files_with(
    rows: &mut dyn Reads,
    caller: &Caller,
    share: ShareId,
    contents: &[ContentId],
) -> Result<Holders> {
    let mut found = Holders::new();
    let mut parts = Parts::of(contents);
    while let Some(part) = parts.next() {
        let uses = rows.content_uses(caller.tenant, share, part, MOST).await?;
        if parts.is_answered(part, uses.len()) {
            for used in uses {
                let Some((file, owner)) = used.file else { continue };
                found.entry(used.content).or_default().insert((owner != caller.user, file));
            }
        }
    }
    Ok(found)
}

/// Returns those of the candidates that a file shows which the caller may download.
async fn downloadable(
    rows: &mut dyn Reads,
    caller: &Caller,
    share: ShareId,
    mut open: Vec<Candidate>,
) -> Result<Vec<(ChunkHash, u32)>> {
    let (mut found, mut judged, mut good) = (Vec::new(), HashSet::new(), HashSet::new());
    // The chunks of a file mostly have it in common: it is looked at alone before any more are.
    for looked_at in [1, CANDIDATES] {
        let files = open.iter().flat_map(|candidate| candidate.files.iter().take(looked_at)).copied();
        let files: BTreeSet<FileId> = files.filter(|file| judged.insert(*file)).collect();
        let ids: Vec<NodeId> = files.into_iter().map(NodeId::from).collect();
        for located in access::downloadable(rows, caller, &ids).await? {
            good.extend(located.node().id.as_file().filter(|_| located.share.id == share));
        }
        let (shown, rest): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|candidate| candidate.files.iter().any(|file| good.contains(file)));
        found.extend(shown.into_iter().map(|candidate| (candidate.hash, candidate.size)));
        open = rest;
    }
    Ok(found)
}

/// Keys to ask for, in parts that are halved while they have too many rows.
struct Parts<'k, K> {
    waiting: Vec<&'k [K]>,
}

impl<'k, K> Parts<'k, K> {
    fn of(keys: &'k [K]) -> Self {
        Self { waiting: keys.chunks(KEYS).collect() }
    }

    fn next(&mut self) -> Option<&'k [K]> {
        self.waiting.pop()
    }

    /// Tells whether a part is answered by so many rows; else it is asked for again in halves.
    fn is_answered(&mut self, part: &'k [K], rows: usize) -> bool {
        if rows < MOST as usize || part.len() == 1 {
            return true;
        }
        let (one, other) = part.split_at(part.len() / 2);
        self.waiting.extend([one, other]);
        false
    }
}
