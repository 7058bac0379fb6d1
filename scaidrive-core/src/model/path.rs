//! Share-relative paths, as the CLI, the embedding API and the wire write them.

use std::fmt;

use super::{FieldError, FileName};

/// The deepest place an item may be put: names from the share's root to the item.
pub const MAX_DEPTH: usize = 256;

/// The longest path an item may be put at, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;

/// A share-relative path as the names on the way from the root; empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharePath(Vec<FileName>);

impl SharePath {
    /// Returns the path's names, or what is wrong with one of them; `/a//b/` reads as `/a/b`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let names = text
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| FileName::parse(part).map_err(|fault| FieldError::new("path", fault.message, text)))
            .collect::<Result<Vec<_>, _>>()?;
        Self::check_limits(names.len(), names.iter().map(|name| name.as_str().len() + 1).sum())
            .map_err(|message| FieldError::new("path", message, text))?;
        Ok(Self(names))
    }

    /// Returns the path's names, or what is wrong with it: `/a/b` and nothing looser, never the root. `field` is what
    /// the wire calls it.
    pub fn parse_exact(field: &str, text: &str) -> Result<Self, FieldError> {
        // One more than there may be is enough to see that there are too many.
        let Some(names) = text.strip_prefix('/') else {
            return Err(FieldError::new(field, "must begin with /, as all paths of a share do", text));
        };
        let names = names.split('/').take(MAX_DEPTH + 1);
        let names = names
            .map(|part| FileName::parse(part).map_err(|fault| FieldError::new(field, fault.message, text)))
            .collect::<Result<Vec<_>, _>>()?;
        Self::check_limits(names.len(), names.iter().map(|name| name.as_str().len() + 1).sum())
            .map_err(|message| FieldError::new(field, message, text))?;
        Ok(Self(names))
    }

    /// Checks a depth in names and a length in bytes against the limits for an item itself.
    pub fn check_limits(depth: usize, bytes: usize) -> Result<(), &'static str> {
        if depth > MAX_DEPTH {
            Err("a path must not be deeper than 256")
        } else if bytes > MAX_PATH_BYTES {
            Err("a path must not be longer than 4096 bytes")
        } else {
            Ok(())
        }
    }

    /// Returns the names from the root down.
    pub fn names(&self) -> &[FileName] {
        &self.0
    }

    /// Tells whether this is the share's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the parent's path and the last name; nothing for the root.
    pub fn split_last(&self) -> Option<(Self, &FileName)> {
        self.0.split_last().map(|(last, rest)| (Self(rest.to_vec()), last))
    }

    /// Returns the path of the first so many names.
    #[must_use]
    pub fn prefix(&self, depth: usize) -> Self {
        Self(self.0.iter().take(depth).cloned().collect())
    }

    /// Returns the path of a child.
    #[must_use]
    pub fn join(&self, name: FileName) -> Self {
        let mut names = self.0.clone();
        names.push(name);
        Self(names)
    }
}

impl fmt::Display for SharePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_lists_of_names() {
        assert_eq!(SharePath::parse("a//b/").unwrap().to_string(), "/a/b");
        assert_eq!(SharePath::parse("/").unwrap().to_string(), "/");
        assert!(SharePath::parse("a/../b").is_err());
        assert!(SharePath::parse(&"a/".repeat(MAX_DEPTH + 1)).is_err());
        assert!(SharePath::parse(&"a/".repeat(MAX_DEPTH)).is_ok());
        assert!(SharePath::parse(&format!("{}/", "x".repeat(255)).repeat(17)).is_err());
    }
}
