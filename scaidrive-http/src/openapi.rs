//! The OpenAPI document, made from the route table and the schemas beside this file.

use std::sync::LazyLock;

use scaidrive_core::model::MAX_PARTS;
use serde_json::{Map, Value, json};

use crate::routes::{Endpoint, ROUTES, Route};

/// The document, made once.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES.iter() {
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method_name().to_lowercase()] = operation(route);
    }
    let schemas: Value =
        serde_json::from_str(include_str!("schemas.json")).expect("a test reads schemas.json");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ScaiDrive", "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> =
        path_parameters(route.path).map(|name| parameter(name, "path")).collect();
    parameters.extend(route.reads.iter().map(|name| {
        let place =
            if name.starts_with(|letter: char| letter.is_ascii_uppercase()) { "header" } else { "query" };
        parameter(name, place)
    }));
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses(route),
        "x-rate-cost": route.cost,
    });
    if route.by_bytes.is_some() {
        operation["x-rate-cost-per-4-mib"] = json!(1);
    }
    if !route.takes.is_empty() {
        operation["requestBody"] = json!({ "required": true, "content": content(route.takes) });
    }
    if let Endpoint::User(scope, _) | Endpoint::Socket(scope, _) = route.endpoint {
        operation["security"] = json!([{ "bearer": [] }]);
        operation["x-required-scope"] = json!(scope);
    }
    operation
}

/// Returns `get_files_id_versions` for `GET /api/v1/files/{id}/versions`.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/v1").replace(['/', '.'], "_").replace(['{', '}'], "");
    format!("{}{words}", route.method_name().to_lowercase())
}

fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// Query parameters that must be given wherever they are read under these names.
const REQUIRED: [&str; 7] =
    ["share_id", "resource_id", "resource_type", "permission", "device_id", "position", "resolution"];

fn parameter(name: &str, place: &str) -> Value {
    let number = |from: u32, to: u32| json!({ "type": "integer", "minimum": from, "maximum": to });
    let required = place == "path" || REQUIRED.contains(&name);
    let (name, schema) = match name {
        "limit≤1000" => ("limit", number(1, 1000)),
        "limit≤5000" => ("limit", number(1, 5000)),
        "wait" => (name, number(0, 50)),
        "limit" => (name, number(1, 100)),
        "offset" => (name, number(0, u32::MAX)),
        "n" | "version" => (name, number(1, u32::MAX)),
        "index" => (name, number(0, MAX_PARTS - 1)),
        "cursor" | "position" | "range_start" | "range_end" => {
            (name, json!({ "type": "integer", "minimum": 0 }))
        }
        "sha256" => (name, json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })),
        "include_resolved" | "include_trashed" | "include_deleted" | "permanent" | "is_admin" | "explain"
        | "recalculate" => (name, json!({ "type": "boolean" })),
        "scope" => (name, json!({ "enum": ["tenant"] })),
        "sort" => (name, json!({ "enum": ["name", "modified_at", "size"] })),
        "resource_type" | "type" => (name, json!({ "enum": ["file", "folder", "share"] })),
        "principal_type" => (name, json!({ "enum": ["user", "group"] })),
        "resolution" => (name, json!({ "$ref": "#/components/schemas/Resolution" })),
        "permission" => (name, json!({ "$ref": "#/components/schemas/Right" })),
        "status" => (name, json!({ "$ref": "#/components/schemas/UserStatus" })),
        "format" => (name, json!({ "enum": ["zip", "tar"] })),
        "audit_format" => ("format", json!({ "enum": ["csv", "ndjson"] })),
        "from" | "to" => (name, json!({ "type": "string", "format": "date-time" })),
        // A question mark: any text, where the same name elsewhere must be there or is one of a few words.
        _ => (name.trim_start_matches('?'), json!({ "type": "string" })),
    };
    json!({ "name": name, "in": place, "required": required, "schema": schema })
}

fn content(schema: &str) -> Value {
    match schema {
        "bytes" => json!({ "application/octet-stream": {} }),
        "ndjson" => json!({ "application/x-ndjson": { "schema": { "type": "string" } } }),
        "text" => json!({ "text/plain": { "schema": { "type": "string" } } }),
        "html" => json!({ "text/html": { "schema": { "type": "string" } } }),
        "TokenForm" => json!({ "application/x-www-form-urlencoded": { "schema": reference(schema) } }),
        "Upload" => json!({ "multipart/form-data": { "schema": reference(schema) } }),
        _ => json!({ "application/json": { "schema": reference(schema) } }),
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn responses(route: &Route) -> Value {
    let (status, schema) = route.gives;
    let mut good = json!({ "description": "Done" });
    if !schema.is_empty() {
        good["content"] = content(schema);
    }
    let error = json!({ "description": "Refused or failed", "content": content("Error") });
    let mut all = json!({ "default": error });
    all[status.to_string()] = good;
    if route.reads.contains(&"Range") {
        all["206"] = json!({ "description": "The ranges asked for", "content": content("bytes") });
    }
    if route.reads.contains(&"If-None-Match") {
        all["304"] = json!({ "description": "The client has it" });
    }
    if route.gives == (201, "SentChunk") {
        all["200"] = json!({ "description": "Sent before", "content": content("SentChunk") });
    }
    if route.path == "/api/v1/ready" {
        all["503"] = json!({ "description": "Not ready", "content": content("Ready") });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|inner| references(inner, found));
                }
                Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        references(&DOCUMENT, &mut found);
        assert!(found.len() > ROUTES.len());
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_route_is_in_the_document_under_a_name_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        for route in ROUTES.iter() {
            let operation = &DOCUMENT["paths"][route.path][route.method_name().to_lowercase()];
            assert!(operation.is_object() && !route.summary.is_empty(), "{}", route.path);
            assert!(names.insert(operation["operationId"].to_string()), "{operation}");
        }
    }
}
