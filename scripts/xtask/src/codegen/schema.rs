//! Kafka's message schemas as they are in its jars: JSON with `//` comments.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A set of versions without holes, both ends included. Empty for `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    pub const NONE: Versions = Versions { min: 0, max: -1 };

    fn parse(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse().with_context(|| format!("versions {text:?}"));
        if text == "none" {
            Ok(Versions::NONE)
        } else if let Some(min) = text.strip_suffix('+') {
            Ok(Versions { min: number(min)?, max: i16::MAX })
        } else if let Some((min, max)) = text.split_once('-') {
            Ok(Versions { min: number(min)?, max: number(max)? })
        } else {
            Ok(Versions { min: number(text)?, max: number(text)? })
        }
    }

    pub fn is_empty(self) -> bool {
        self.min > self.max
    }

    pub fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    pub fn intersect(self, other: Versions) -> Versions {
        let both = Versions { min: self.min.max(other.min), max: self.max.min(other.max) };
        if both.is_empty() { Versions::NONE } else { both }
    }

    pub fn iter(self) -> impl Iterator<Item = i16> {
        self.min..=self.max
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.min, self.max)
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Versions::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Bool,
    /// `i8` to `i64`, `u16`, `u32`, `f64`: the Rust type's name and its size.
    Number(&'static str, usize),
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "bool" => Type::Bool,
            "int8" => Type::Number("i8", 1),
            "int16" => Type::Number("i16", 2),
            "uint16" => Type::Number("u16", 2),
            "int32" => Type::Number("i32", 4),
            "uint32" => Type::Number("u32", 4),
            "int64" => Type::Number("i64", 8),
            "float64" => Type::Number("f64", 8),
            "uuid" => Type::Uuid,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            _ => match text.strip_prefix("[]") {
                Some(element) => {
                    let element = Type::parse(element)?;
                    ensure!(!matches!(element, Type::Array(_)), "array of arrays {text:?}");
                    Type::Array(Box::new(element))
                }
                None if text.starts_with(|first: char| first.is_ascii_uppercase()) => {
                    Type::Struct(text.to_owned())
                }
                None => bail!("unknown type {text:?}"),
            },
        })
    }

    /// The structure this is, or that its elements are.
    pub fn structure(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(element) => element.structure(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Type::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub field_type: Type,
    versions: Option<Versions>,
    tagged_versions: Option<Versions>,
    pub nullable_versions: Option<Versions>,
    /// Only where it differs from the message's.
    pub flexible_versions: Option<Versions>,
    pub tag: Option<u32>,
    #[serde(default, deserialize_with = "default_text")]
    pub default: Option<String>,
    #[serde(default)]
    pub ignorable: bool,
    #[serde(default)]
    pub fields: Vec<Field>,
}

impl Field {
    pub fn versions(&self) -> Result<Versions> {
        match (self.versions, self.tagged_versions) {
            (Some(versions), Some(tagged)) => {
                ensure!(versions == tagged, "{} is tagged in some versions only", self.name);
                Ok(versions)
            }
            (Some(versions), None) | (None, Some(versions)) => Ok(versions),
            (None, None) => bail!("{} has no versions", self.name),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommonStruct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    pub api_key: Option<i16>,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub valid_versions: Versions,
    pub flexible_versions: Option<Versions>,
    #[serde(default)]
    pub latest_version_unstable: bool,
    #[serde(default)]
    pub listeners: Vec<String>,
    #[serde(default)]
    pub fields: Vec<Field>,
    #[serde(default)]
    pub common_structs: Vec<CommonStruct>,
}

impl Schema {
    pub fn parse(text: &str) -> Result<Self> {
        let json: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        Ok(serde_json::from_str(&json)?)
    }

    pub fn flexible(&self) -> Versions {
        self.flexible_versions.unwrap_or(Versions::NONE).intersect(self.valid_versions)
    }
}

/// Schemas write defaults as strings, numbers or booleans. Kafka's own generator takes a bare null for
/// no default at all, and only the string "null" for null.
fn default_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Some(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_kafka_writes_them() {
        for (text, want) in [
            ("none", Some(Versions::NONE)),
            ("0", Some(Versions { min: 0, max: 0 })),
            ("3+", Some(Versions { min: 3, max: i16::MAX })),
            ("1-4", Some(Versions { min: 1, max: 4 })),
            ("x", None),
        ] {
            assert_eq!(Versions::parse(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn comments_are_dropped_and_a_bare_null_is_no_default() {
        let schema = Schema::parse(
            r#"// Licence
            { "type": "data", "name": "Example", "validVersions": "0-1", "flexibleVersions": "1+",
              // A comment between.
              "fields": [
                { "name": "Text", "type": "string", "taggedVersions": "1+", "tag": 0,
                  "nullableVersions": "1+", "default": null, "about": "Prose." } ] }"#,
        )
        .unwrap();
        assert_eq!(schema.flexible(), Versions { min: 1, max: 1 });
        assert_eq!(schema.fields[0].default.as_deref(), Some(""));
    }
}
