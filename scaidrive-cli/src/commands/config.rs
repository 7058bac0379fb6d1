//! `scaidrive config`.

use scaidrive_core::config::{self, Config as Checked};
use scaidrive_core::model::Error;
use serde_json::{Map, json};

use crate::args::{Args, Config};
use crate::exit::{Code, Result};
use crate::output::{Output, table};
use crate::session::lookup;

pub(crate) fn run(args: &Args, command: &Config) -> Result<Code> {
    let Config::Check = command;
    let faults = match Checked::from_lookup(lookup(args)) {
        Ok(_) => Vec::new(),
        Err(Error::Config { faults }) => faults,
        Err(error) => return Err(error.into()),
    };
    let shown = config::effective(lookup(args));
    let variables: Map<_, _> = shown.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    Output { json: args.json }.print(&json!({ "variables": variables, "faults": faults }), || {
        let rows = shown.iter().map(|(name, value)| [(*name).to_owned(), value.clone()]);
        let mut text = table(["VARIABLE", "VALUE"], rows);
        for fault in &faults {
            text.push_str("\nfault: ");
            text.push_str(fault);
        }
        text
    })?;
    Ok(if faults.is_empty() { Code::Done } else { Code::Usage })
}
