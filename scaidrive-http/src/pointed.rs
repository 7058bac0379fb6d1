//! What stands at one place of a large JSON text: found without holding all of it as a tree of values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A step on the way to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into the field of an object.
    Field(String),
    /// Into the element of an array.
    Element(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Element(number) => write!(f, "{number}"),
        }
    }
}

/// Returns the word, number or truth at a place; null where there is another thing, or none.
pub(crate) fn scalar_at(text: &[u8], way: &[Step]) -> Value {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Follow(way).deserialize(&mut reader).unwrap_or_default()
}

/// Follows what is left of a way.
struct Follow<'w>(&'w [Step]);

impl Follow<'_> {
    fn end(&self, value: impl Into<Value>) -> Value {
        if self.0.is_empty() { value.into() } else { Value::Null }
    }
}

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(self.end(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(self.end(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(self.end(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(self.end(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(self.end(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut found = Value::Null;
        while let Some(name) = fields.next_key::<Cow<'_, str>>()? {
            match self.0.split_first() {
                Some((Step::Field(wanted), rest)) if *wanted == *name => {
                    found = fields.next_value_seed(Follow(rest))?;
                }
                _ => _ = fields.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut found = Value::Null;
        for number in 0.. {
            let element = match self.0.split_first() {
                Some((Step::Element(wanted), rest)) if *wanted == number => {
                    elements.next_element_seed(Follow(rest))?.inspect(|value| found = value.clone()).is_some()
                }
                _ => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !element {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_at_a_place_is_found_and_nothing_else() {
        let text = br#"{"a":[1,{"b":"x","c":[true]},null],"d":-1.5,"a2":{}}"#;
        let at = |way: &[Step]| scalar_at(text, way);
        let (field, element) = (|name: &str| Step::Field(name.to_owned()), Step::Element);
        assert_eq!(at(&[field("a"), element(0)]), json!(1));
        assert_eq!(at(&[field("a"), element(1), field("b")]), json!("x"));
        assert_eq!(at(&[field("a"), element(1), field("c"), element(0)]), json!(true));
        assert_eq!(at(&[field("d")]), json!(-1.5));
        let nowhere: [&[Step]; 6] = [
            &[],
            &[field("a")],
            &[field("a2")],
            &[field("a"), element(3)],
            &[field("d"), field("b")],
            &[field("a"), element(2), field("b")],
        ];
        for way in nowhere {
            assert_eq!(at(way), Value::Null, "{way:?}");
        }
        assert_eq!(scalar_at(b"{\"a\":1", &[field("a")]), Value::Null, "torn");
    }
}
