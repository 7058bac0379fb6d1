//! Paths below the root of a share, or of the directory that stands for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The names that lead from the root to an item; the root itself has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TreePath(Vec<String>);

impl TreePath {
    /// Returns the path with these names.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Returns the path of the root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns the path of something that lies in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }

    /// Returns the names.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Returns the last name; the root has none.
    pub fn name(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// Returns the path of what holds this; the root is held by nothing.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, above)| Self(above.to_vec()))
    }

    /// Returns the path as the server writes it: `/Projects/plan.odt`.
    pub fn absolute(&self) -> String {
        format!("/{}", self.0.join("/"))
    }
}

impl fmt::Display for TreePath {
    /// Writes the path as people know it, relative to the root.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str(".") } else { f.write_str(&self.0.join("/")) }
    }
}

impl FromIterator<String> for TreePath {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl From<&str> for TreePath {
    /// Reads a path with `/` between names; empty names are left out.
    fn from(text: &str) -> Self {
        text.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}
