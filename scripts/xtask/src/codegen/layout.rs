//! A schema made ready for printing: fields that no valid version has are gone, versions are cut to
//! those in which their structure exists, every structure has the name it gets in its module.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use super::names::field_name;
use super::schema::{Field as SchemaField, Schema, Type, Versions};

#[derive(Debug)]
pub struct Message {
    pub name: String,
    pub kind: String,
    pub versions: Versions,
    /// The message itself first, then its nested structures in the order of the schema.
    pub structures: Vec<Structure>,
}

#[derive(Debug)]
pub struct Structure {
    pub name: String,
    pub versions: Versions,
    pub flexible: Versions,
    pub fields: Vec<Field>,
    /// The fewest bytes that one of these can take, over all versions.
    pub size_min: usize,
}

#[derive(Debug)]
pub struct Field {
    /// The Rust identifier.
    pub name: String,
    pub field_type: Type,
    pub versions: Versions,
    /// Versions that allow null; the Rust type is an `Option` if there is one.
    pub nullable: Versions,
    /// False where the field keeps old lengths in flexible versions too.
    pub follows_flexible: bool,
    pub tag: Option<u32>,
    pub default: Default,
    pub ignorable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Default {
    Null,
    /// The type's own: zero, false, empty, or a structure of defaults.
    Plain,
    Number(i64),
    True,
}

impl Message {
    /// Lays out `schema`; a nested structure whose name is in `clashing` gets `prefix` before it.
    pub fn new(schema: &Schema, clashing: &BTreeSet<String>, prefix: &str) -> Result<Self> {
        let mut layout = Layout { schema, clashing, prefix, done: BTreeMap::new(), order: vec![] };
        layout
            .structure(&schema.name, schema.valid_versions, &schema.fields)
            .with_context(|| format!("in {}", schema.name))?;
        let mut structures: Vec<Structure> =
            layout.order.iter().filter_map(|name| layout.done.remove(name)).collect();
        structures.sort_by_key(|structure| structure.name != schema.name);
        Ok(Message {
            name: schema.name.clone(),
            kind: schema.kind.clone(),
            versions: schema.valid_versions,
            structures,
        })
    }
}

/// The structures that a schema declares, without the message itself.
pub fn nested_names(schema: &Schema) -> BTreeSet<String> {
    fn add(fields: &[SchemaField], names: &mut BTreeSet<String>) {
        for field in fields {
            names.extend(field.field_type.structure().map(str::to_owned));
            add(&field.fields, names);
        }
    }
    let mut names = BTreeSet::new();
    add(&schema.fields, &mut names);
    schema.common_structs.iter().for_each(|common| add(&common.fields, &mut names));
    names
}

struct Layout<'a> {
    schema: &'a Schema,
    clashing: &'a BTreeSet<String>,
    prefix: &'a str,
    done: BTreeMap<String, Structure>,
    /// Names in the order in which the schema first mentions them.
    order: Vec<String>,
}

impl Layout<'_> {
    fn rust_name(&self, name: &str) -> String {
        if self.clashing.contains(name) {
            format!("{}{name}", self.prefix)
        } else {
            name.to_owned()
        }
    }

    /// Adds the structure, and those below it, and returns its smallest size.
    fn structure(
        &mut self,
        name: &str,
        versions: Versions,
        fields: &[SchemaField],
    ) -> Result<usize> {
        let rust_name = self.rust_name(name);
        if let Some(done) = self.done.get(&rust_name) {
            return Ok(done.size_min);
        }
        ensure!(!self.order.contains(&rust_name), "{name} contains itself");
        self.order.push(rust_name.clone());
        let flexible = self.schema.flexible().intersect(versions);
        let mut laid_out = Vec::new();
        let mut sizes = Vec::new();
        for field in fields {
            let within = field.versions()?.intersect(versions);
            if within.is_empty() {
                continue;
            }
            let nested = self.nested(field, within)?;
            let field = self.field(field, within, flexible)?;
            sizes.push((within, field.tag.is_some(), nested));
            laid_out.push(field);
        }
        let size_of_fields = |version: i16| -> usize {
            let is_flexible = flexible.contains(version);
            let untagged = laid_out.iter().zip(&sizes).filter(|(_, (_, tagged, _))| !tagged);
            let fields: usize = untagged
                .filter(|(_, (within, _, _))| within.contains(version))
                .map(|(field, (_, _, nested))| field.size_min(is_flexible, *nested))
                .sum();
            fields + usize::from(is_flexible)
        };
        let size_min = versions.iter().map(size_of_fields).min().unwrap_or(0).max(1);
        let structure =
            Structure { name: rust_name.clone(), versions, flexible, fields: laid_out, size_min };
        self.done.insert(rust_name, structure);
        Ok(size_min)
    }

    /// Lays out the structure that `field` holds, if it holds one, and returns its smallest size.
    fn nested(&mut self, field: &SchemaField, within: Versions) -> Result<usize> {
        let Some(name) = field.field_type.structure() else { return Ok(0) };
        let common = self.schema.common_structs.iter().find(|common| common.name == name);
        match common {
            Some(common) => {
                let versions = common.versions.intersect(self.schema.valid_versions);
                self.structure(name, versions, &common.fields)
            }
            None => self.structure(name, within, &field.fields),
        }
    }

    fn field(&self, field: &SchemaField, versions: Versions, flexible: Versions) -> Result<Field> {
        let nullable = field.nullable_versions.unwrap_or(Versions::NONE).intersect(versions);
        if field.tag.is_some() {
            ensure!(versions.intersect(flexible) == versions, "{} is tagged too early", field.name);
        }
        Ok(Field {
            name: field_name(&field.name),
            field_type: self.rust_type(&field.field_type),
            versions,
            nullable,
            follows_flexible: match field.flexible_versions {
                None => true,
                Some(Versions::NONE) => false,
                Some(other) => anyhow::bail!("{} is flexible in {other}", field.name),
            },
            tag: field.tag,
            default: default_of(field, !nullable.is_empty())
                .with_context(|| format!("default of {}", field.name))?,
            ignorable: field.ignorable,
        })
    }

    fn rust_type(&self, field_type: &Type) -> Type {
        match field_type {
            Type::Struct(name) => Type::Struct(self.rust_name(name)),
            Type::Array(element) => Type::Array(Box::new(self.rust_type(element))),
            other => other.clone(),
        }
    }
}

fn default_of(field: &SchemaField, nullable: bool) -> Result<Default> {
    let text = match field.default.as_deref() {
        Some("null") if nullable => return Ok(Default::Null),
        // As in Kafka, records that may be null are null where the schema says nothing.
        None if field.field_type == Type::Records && nullable => return Ok(Default::Null),
        None | Some("") => return Ok(Default::Plain),
        Some(text) => text,
    };
    match field.field_type {
        Type::Bool => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Default::True),
            "false" => Ok(Default::Plain),
            _ => anyhow::bail!("{text:?} is no boolean"),
        },
        Type::Number(name, _) if name != "f64" => {
            let number = match text.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16)?,
                None => text.parse()?,
            };
            Ok(if number == 0 { Default::Plain } else { Default::Number(number) })
        }
        _ => anyhow::bail!("{text:?} is not supported"),
    }
}

impl Field {
    pub fn is_nullable(&self) -> bool {
        !self.nullable.is_empty()
    }

    fn size_min(&self, flexible: bool, nested: usize) -> usize {
        if matches!(self.field_type, Type::Struct(_)) && self.is_nullable() {
            return 1;
        }
        self.field_type.size_min(flexible && self.follows_flexible, nested)
    }
}

impl Type {
    /// The fewest bytes a value takes; `nested` is that of the structure it holds.
    pub fn size_min(&self, flexible: bool, nested: usize) -> usize {
        match self {
            Type::Bool => 1,
            Type::Number(_, size) => *size,
            Type::Uuid => 16,
            Type::String => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Type::Bytes | Type::Records | Type::Array(_) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Type::Struct(_) => nested,
        }
    }
}
