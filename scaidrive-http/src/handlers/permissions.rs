//! Who may do what: checks, access control lists, ownership.

use scaidrive_core::Drive;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{AceId, Caller, Error, NodeId, Principal, ResourceId, Right, Trustee, UserId};
use scaidrive_core::services::acl::{self, NewEntry, Which};
use scaidrive_core::services::members;
use scaidrive_core::services::permissions::{self, Question};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

/// Checks in one request.
const BATCH: usize = 100;

/// A question as it is asked, and answered in a batch.
#[derive(Debug, Serialize, Deserialize)]
struct Check {
    resource_type: ResourceType,
    resource_id: String,
    permission: Right,
    #[serde(skip_deserializing)]
    allowed: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResourceType {
    File,
    Folder,
    Share,
}

impl ResourceType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Share => "share",
        }
    }
}

impl Check {
    /// Returns the question; an id that cannot exist is as good as one that does not, and leads to no.
    fn question(&self) -> Option<Question> {
        let resource = ResourceId::of(self.resource_type.as_str(), &self.resource_id).ok()?;
        Some(Question { resource, right: self.permission })
    }
}

async fn answer(drive: &Drive, caller: &Caller, checks: &mut [Check]) -> Result<(), Failure> {
    let questions: Vec<Option<Question>> = checks.iter().map(Check::question).collect();
    let known: Vec<Question> = questions.iter().copied().flatten().collect();
    let mut answers = permissions::check(drive, caller, &known).await?.into_iter();
    for (check, question) in checks.iter_mut().zip(questions) {
        check.allowed = question.is_some() && answers.next().unwrap_or(false);
    }
    Ok(())
}

pub(crate) async fn check_by_query(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let mut check = Check {
        resource_type: resource_type(query.required("resource_type")?)?,
        resource_id: query.required("resource_id")?.to_owned(),
        permission: right(query.required("permission")?)?,
        allowed: false,
    };
    answer(&request.app.drive, &caller, std::slice::from_mut(&mut check)).await?;
    reply::ok(&json!({ "allowed": check.allowed }))
}

fn resource_type(text: &str) -> Result<ResourceType, Failure> {
    match text {
        "file" => Ok(ResourceType::File),
        "folder" => Ok(ResourceType::Folder),
        "share" => Ok(ResourceType::Share),
        _ => Err(Failure::query("resource_type", "must be one of file, folder, share", text)),
    }
}

fn right(text: &str) -> Result<Right, Failure> {
    let words = || Right::ALL.iter().map(|right| right.as_str()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|_| Failure::query("permission", format!("must be one of {}", words()), text))
}

pub(crate) async fn check(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let mut check: Check = request.json().await?;
    answer(&drive, &caller, std::slice::from_mut(&mut check)).await?;
    reply::ok(&json!({ "allowed": check.allowed }))
}

#[derive(Debug, Deserialize)]
struct BatchBody {
    checks: Vec<Check>,
}

pub(crate) async fn check_batch(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let mut body: BatchBody = request.json().await?;
    if body.checks.len() > BATCH {
        return Err(Error::invalid("checks", format!("at most {BATCH}"), body.checks.len()).into());
    }
    answer(&drive, &caller, &mut body.checks).await?;
    reply::ok(&json!({ "results": body.checks }))
}

pub(crate) async fn effective(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let kind = resource_type(query.required("resource_type")?)?;
    let id = query.required("resource_id")?;
    let resource = ResourceId::of(kind.as_str(), id).map_err(|_| Error::NotFound)?;
    let user: Option<UserId> = query.word("user_id", "the ids of users")?;
    let explain = query.flag("explain")?;
    let drive = &request.app.drive;
    reply::ok(&permissions::effective(drive, &caller, resource, user.as_ref(), explain).await?)
}

/// Returns the resource that the path names; what cannot exist is not found.
fn resource(request: &Request) -> Result<ResourceId, Failure> {
    ResourceId::of(request.param("type"), request.param("id")).map_err(|_| Error::NotFound.into())
}

/// Whom an entry is about, and whether it gives or takes.
#[derive(Debug, Deserialize)]
struct SlotBody {
    principal_type: String,
    principal_id: Option<String>,
    ace_type: AceType,
}

impl SlotBody {
    fn trustee(&self) -> Result<Trustee, Failure> {
        match (self.principal_type.as_str(), self.principal_id.as_deref()) {
            ("everyone", None | Some("" | "everyone")) => Ok(Trustee::Everyone),
            ("everyone", Some(id)) => Err(Error::invalid("principal_id", "everyone has no id", id).into()),
            (kind, id) => principal(kind, id.unwrap_or_default()).map(Trustee::Principal),
        }
    }
}

/// Reads a user or group out of a body.
pub(super) fn principal(kind: &str, id: &str) -> Result<Principal, Failure> {
    if !matches!(kind, "user" | "group") {
        return Err(Error::invalid("principal_type", "must be user or group", kind).into());
    }
    Principal::of(kind, id).map_err(|_| {
        Error::invalid("principal_id", "must have 1 to 255 bytes, no control characters", id).into()
    })
}

#[derive(Debug, Deserialize)]
struct EntryBody {
    #[serde(flatten)]
    slot: SlotBody,
    permissions: Vec<Right>,
    #[serde(default = "yes")]
    inherit_to_children: bool,
}

const fn yes() -> bool {
    true
}

impl EntryBody {
    fn entry(self) -> Result<NewEntry, Failure> {
        Ok(NewEntry {
            trustee: self.slot.trustee()?,
            kind: self.slot.ace_type,
            rights: self.permissions.into_iter().collect(),
            inherits: self.inherit_to_children,
        })
    }
}

pub(crate) async fn acl(caller: Caller, request: Request) -> Answer {
    reply::ok(&acl::get(&request.app.drive, &caller, resource(&request)?).await?)
}

pub(crate) async fn add_entry(caller: Caller, request: Request) -> Answer {
    let (drive, resource) = (request.app.drive.clone(), resource(&request)?);
    let body: EntryBody = request.json().await?;
    reply::created(&acl::add(&drive, &caller, resource, body.entry()?).await?)
}

/// Answers again for an entry that was added.
pub(crate) async fn entry(caller: Caller, request: Request) -> Answer {
    let id: AceId = request.id("ace_id")?;
    let list = acl::get(&request.app.drive, &caller, resource(&request)?).await?;
    reply::ok(&list.entries.into_iter().find(|entry| entry.id == id).ok_or(Error::NotFound)?)
}

#[derive(Debug, Deserialize)]
struct AclBody {
    entries: Vec<EntryBody>,
}

pub(crate) async fn replace_acl(caller: Caller, request: Request) -> Answer {
    let (drive, resource) = (request.app.drive.clone(), resource(&request)?);
    let body: AclBody = request.json().await?;
    let entries = body.entries.into_iter().map(EntryBody::entry).collect::<Result<Vec<_>, _>>()?;
    reply::ok(&acl::replace(&drive, &caller, resource, entries).await?)
}

pub(crate) async fn remove_entry(caller: Caller, request: Request) -> Answer {
    let (drive, resource) = (request.app.drive.clone(), resource(&request)?);
    let body: SlotBody = request.json().await?;
    acl::remove(&drive, &caller, resource, Which::Of(body.trustee()?, body.ace_type)).await?;
    Ok(reply::no_content())
}

pub(crate) async fn remove_entry_by_id(caller: Caller, request: Request) -> Answer {
    let which = Which::Id(request.id("ace_id")?);
    acl::remove(&request.app.drive, &caller, resource(&request)?, which).await?;
    Ok(reply::no_content())
}

#[derive(Debug, Deserialize)]
struct InheritanceBody {
    inherit_from_parent: bool,
    #[serde(default)]
    copy_inherited: bool,
}

pub(crate) async fn set_inheritance(caller: Caller, request: Request) -> Answer {
    let (drive, resource) = (request.app.drive.clone(), resource(&request)?);
    let InheritanceBody { inherit_from_parent, copy_inherited } = request.json().await?;
    reply::ok(&acl::set_inheritance(&drive, &caller, resource, inherit_from_parent, copy_inherited).await?)
}

#[derive(Debug, Deserialize)]
struct TransferBody {
    new_owner_id: String,
}

pub(crate) async fn transfer(caller: Caller, request: Request) -> Answer {
    let (drive, resource) = (request.app.drive.clone(), resource(&request)?);
    let TransferBody { new_owner_id } = request.json().await?;
    let owner = match resource {
        ResourceId::Share(id) => {
            members::transfer_share(&drive, &caller, id, new_owner_id.as_str()).await?.owner.id().to_owned()
        }
        ResourceId::Node(id) => transfer_node(&drive, &caller, id, &new_owner_id).await?,
    };
    reply::ok(&json!({ "resource_type": resource.kind(), "resource_id": resource, "owner_id": owner }))
}

async fn transfer_node(
    drive: &Drive,
    caller: &Caller,
    id: NodeId,
    new_owner: &str,
) -> Result<String, Failure> {
    let user: UserId =
        new_owner.parse().map_err(|_| Error::invalid("new_owner_id", "no such user", new_owner))?;
    Ok(members::transfer_node(drive, caller, id, user).await?.node().owner.to_string())
}
