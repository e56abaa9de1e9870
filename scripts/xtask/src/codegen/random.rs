//! Prints how the tests draw a random value of each structure: fields that a version does not have
//! keep their defaults, all others take any value that the version can carry.

use std::fmt::Write;

use super::emit::{condition, default_value, has_word, uses_version};
use super::files::header;
use super::layout::{Field, Message, Structure};
use super::schema::Type;

pub fn file(modules: &str) -> String {
    let mut out = header();
    if has_word(modules, "Bytes") {
        out.push_str("use bytes::Bytes;\n");
    }
    let used = |names: &[&'static str]| -> String {
        let used: Vec<&str> =
            names.iter().copied().filter(|name| has_word(modules, name)).collect();
        used.join(", ")
    };
    _ = writeln!(
        out,
        "use protocol::model::{{{}}};
        use protocol::wire::{{{}}};\n
        use super::{{Draw, Random}};\n
        {modules}",
        used(&["Uuid"]),
        used(&["Records", "WireString"]),
    );
    out
}

/// The values of `protocol::{path}::{file}`.
pub fn module(path: &str, file: &str, messages: &[Message]) -> String {
    let mut out = format!("mod {file} {{ use super::*; use protocol::{path}::{file}::*;\n\n");
    for structure in messages.iter().flat_map(|message| &message.structures) {
        structure_values(&mut out, structure);
    }
    out.push_str("}\n\n");
    out
}

fn structure_values(out: &mut String, structure: &Structure) {
    let mut body = String::new();
    for field in &structure.fields {
        let value = nullable_value(field);
        let value = match condition(field.versions, structure.versions) {
            None => value,
            Some(test) => format!("if {test} {{ {value} }} else {{ {} }}", default_value(field)),
        };
        _ = writeln!(body, "{}: {value},", field.name);
    }
    let random = if has_word(&body, "r") { "r" } else { "_r" };
    let version = if uses_version(&body) { "version" } else { "_version" };
    _ = writeln!(
        out,
        "impl Draw for {name} {{ fn draw({random}: &mut Random, {version}: i16) -> Self {{
        {name} {{ {body} }} }} }}\n",
        name = structure.name
    );
}

fn nullable_value(field: &Field) -> String {
    let value = value(&field.field_type);
    if !field.is_nullable() {
        return value;
    }
    match condition(field.nullable, field.versions) {
        None => format!("r.option(|r| {value})"),
        Some(test) => format!("if {test} {{ r.option(|r| {value}) }} else {{ Some({value}) }}"),
    }
}

fn value(field_type: &Type) -> String {
    match field_type {
        Type::Bool => "r.bool()".to_owned(),
        Type::Number(name, _) => format!("r.{name}()"),
        Type::Uuid => "r.uuid()".to_owned(),
        Type::String => "r.string()".to_owned(),
        Type::Bytes => "r.bytes()".to_owned(),
        Type::Records => "r.records()".to_owned(),
        Type::Struct(name) => format!("{name}::draw(r, version)"),
        Type::Array(element) => format!("r.list(|r| {})", value(element)),
    }
}
