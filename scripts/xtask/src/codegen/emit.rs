//! Prints one message: its structures as Rust types, and how they are read and written.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use super::layout::{Default, Field, Message, Structure};
use super::schema::{Type, Versions};

/// The Rust source of `message`, unformatted. `request` and `response` messages also get their key.
pub fn message(message: &Message, api: Option<&str>) -> String {
    let mut out = String::new();
    let failing = if message.kind == "response" { failing(message) } else { BTreeSet::new() };
    for structure in &message.structures {
        type_definition(&mut out, structure);
        let emitter = Emitter { message, structure };
        let decode = emitter.decode();
        let encode = emitter.encode();
        if structure.name == message.name {
            _ = writeln!(
                out,
                "impl Message for {name} {{
                const NAME: &'static str = \"{name}\";
                const VERSIONS: RangeInclusive<i16> = {versions};\n
                {decode}\n{encode}}}\n",
                name = structure.name,
                versions = message.versions,
            );
        } else {
            let error_codes = error_codes(structure, &failing);
            _ = writeln!(out, "impl {} {{ {decode}\n{encode}\n{error_codes} }}\n", structure.name);
        }
    }
    if let Some(api) = api {
        let name = &message.name;
        let root = message.structures.iter().find(|structure| structure.name == *name);
        let error_codes = root.map_or_else(String::new, |root| error_codes(root, &failing));
        _ = writeln!(
            out,
            "impl ApiMessage for {name} {{ const API_KEY: ApiKey = ApiKey::{api};\n\n{error_codes} }}\n"
        );
        if message.kind == "request" {
            _ = writeln!(out, "impl Request for {name} {{ type Response = {api}Response; }}\n");
        }
    }
    out
}

/// The structures of `message` that say an error code, or hold one that does.
fn failing(message: &Message) -> BTreeSet<&str> {
    let mut failing = BTreeSet::new();
    loop {
        let says = |field: &Field| {
            is_error_code(field)
                || field.field_type.structure().is_some_and(|name| failing.contains(name))
        };
        let found: BTreeSet<&str> = message
            .structures
            .iter()
            .filter(|structure| structure.fields.iter().any(says))
            .map(|structure| structure.name.as_str())
            .collect();
        if found == failing {
            return failing;
        }
        failing = found;
    }
}

fn is_error_code(field: &Field) -> bool {
    field.name.ends_with("error_code") && matches!(field.field_type, Type::Number("i16", _))
}

/// The function that visits a structure's error codes; nothing where it has none.
fn error_codes(structure: &Structure, failing: &BTreeSet<&str>) -> String {
    let mut body = String::new();
    for field in &structure.fields {
        let name = &field.name;
        let holds = field.field_type.structure().is_some_and(|name| failing.contains(name));
        let is_array = matches!(field.field_type, Type::Array(_));
        _ = match (is_error_code(field), holds, is_array, field.is_nullable()) {
            (true, ..) => writeln!(body, "visit(self.{name});"),
            (_, false, ..) => Ok(()),
            (_, _, false, false) => writeln!(body, "self.{name}.error_codes(visit);"),
            (_, _, true, false) => {
                writeln!(body, "for item in &self.{name} {{ item.error_codes(visit); }}")
            }
            (_, _, false, true) => {
                writeln!(body, "for item in &self.{name} {{ item.error_codes(visit); }}")
            }
            (_, _, true, true) => writeln!(
                body,
                "for item in self.{name}.iter().flatten() {{ item.error_codes(visit); }}"
            ),
        };
    }
    match body.as_str() {
        "" => String::new(),
        body => format!("fn error_codes(&self, visit: &mut dyn FnMut(i16)) {{ {body} }}"),
    }
}

fn type_definition(out: &mut String, structure: &Structure) {
    let plain = structure.fields.iter().all(|field| {
        field.default == if field.is_nullable() { Default::Null } else { Default::Plain }
    });
    let derived = if plain { ", Default" } else { "" };
    _ = writeln!(
        out,
        "#[derive(Debug, Clone, PartialEq{derived})]\npub struct {} {{",
        structure.name
    );
    for field in &structure.fields {
        _ = writeln!(out, "pub {}: {},", field.name, rust_type(field));
    }
    _ = writeln!(out, "}}\n");
    if !plain {
        _ = writeln!(
            out,
            "impl Default for {name} {{ fn default() -> Self {{ {name} {{",
            name = structure.name
        );
        for field in &structure.fields {
            _ = writeln!(out, "{}: {},", field.name, default_value(field));
        }
        _ = writeln!(out, "}} }} }}\n");
    }
}

fn bare_type(field_type: &Type) -> String {
    match field_type {
        Type::Bool => "bool".to_owned(),
        Type::Number(name, _) => (*name).to_owned(),
        Type::Uuid => "Uuid".to_owned(),
        Type::String => "WireString".to_owned(),
        Type::Bytes => "Bytes".to_owned(),
        Type::Records => "Records".to_owned(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", bare_type(element)),
    }
}

fn rust_type(field: &Field) -> String {
    let bare = bare_type(&field.field_type);
    if field.is_nullable() { format!("Option<{bare}>") } else { bare }
}

/// The field's default as an expression.
pub fn default_value(field: &Field) -> String {
    let plain = match &field.field_type {
        Type::Bool => "false".to_owned(),
        Type::Number("f64", _) => "0.0".to_owned(),
        Type::Number(..) => "0".to_owned(),
        Type::Uuid => "Uuid::ZERO".to_owned(),
        Type::String => "WireString::EMPTY".to_owned(),
        Type::Bytes => "Bytes::new()".to_owned(),
        Type::Records => "Records::EMPTY".to_owned(),
        Type::Struct(name) => format!("{name}::default()"),
        Type::Array(_) => "Vec::new()".to_owned(),
    };
    let value = match field.default {
        Default::Null => return "None".to_owned(),
        Default::Plain => plain,
        Default::Number(number) => number.to_string(),
        Default::True => "true".to_owned(),
    };
    if field.is_nullable() { format!("Some({value})") } else { value }
}

/// True where `this` (such as `self.name`) is not at the field's default.
fn is_set(field: &Field, this: &str) -> String {
    match (&field.field_type, &field.default, field.is_nullable()) {
        (_, Default::Null, _) => format!("{this}.is_some()"),
        (Type::Bool, Default::True, _) => format!("!{this}"),
        (Type::Bool, _, _) => this.to_owned(),
        (_, Default::Number(number), _) => format!("{this} != {number}"),
        (Type::Number("f64", _), _, _) => format!("{this} != 0.0"),
        (Type::Number(..), _, _) => format!("{this} != 0"),
        (Type::Uuid, _, _) => format!("!{this}.is_zero()"),
        (Type::Struct(name), _, false) => format!("{this} != {name}::default()"),
        (Type::Struct(name), _, true) => {
            format!("{this}.as_ref().is_none_or(|value| *value != {name}::default())")
        }
        (_, _, true) => format!("{this}.as_ref().is_none_or(|value| !value.is_empty())"),
        (_, _, false) => format!("!{this}.is_empty()"),
    }
}

/// The test that `version` is in `versions`, for a structure that exists in `all`; `None` if always.
pub fn condition(versions: Versions, all: Versions) -> Option<String> {
    match (versions.min <= all.min, versions.max >= all.max) {
        (true, true) => None,
        (false, true) => Some(format!("version >= {}", versions.min)),
        (true, false) => Some(format!("version <= {}", versions.max)),
        (false, false) if versions.min == versions.max => {
            Some(format!("version == {}", versions.min))
        }
        (false, false) => Some(format!("({versions}).contains(&version)")),
    }
}

/// The opposite of `condition`, as a reader would write it.
fn outside(versions: Versions, all: Versions) -> Option<String> {
    match (versions.min <= all.min, versions.max >= all.max) {
        (true, true) => None,
        (false, true) => Some(format!("version < {}", versions.min)),
        (true, false) => Some(format!("version > {}", versions.max)),
        (false, false) => Some(format!("!({versions}).contains(&version)")),
    }
}

struct Emitter<'a> {
    message: &'a Message,
    structure: &'a Structure,
}

impl Emitter<'_> {
    fn is_message(&self) -> bool {
        self.structure.name == self.message.name
    }

    /// `true`, `false`, or the variable that `flexible_variable` declares.
    fn flexible(&self, field: &Field) -> &'static str {
        if self.structure.flexible.is_empty() || !field.follows_flexible {
            "false"
        } else if self.structure.flexible == self.structure.versions {
            "true"
        } else {
            "flexible"
        }
    }

    /// Declares `flexible` if `body` needs it, and names the parameters that `body` does not use
    /// with an underscore.
    fn function(&self, signature: impl Fn(&str, &str) -> String, body: &str) -> String {
        let is_flexible = condition(self.structure.flexible, self.structure.versions);
        let declaration = match is_flexible {
            Some(test) if has_word(body, "flexible") => format!("let flexible = {test};\n"),
            _ => String::new(),
        };
        let body = format!("{declaration}{body}");
        let coder = if has_word(&body, "d") || has_word(&body, "e") { "" } else { "_" };
        let version = if uses_version(&body) { "version" } else { "_version" };
        format!("{} {{\n{body}}}\n", signature(coder, version))
    }

    fn decode(&self) -> String {
        let tagged: Vec<&Field> =
            self.structure.fields.iter().filter(|field| field.tag.is_some()).collect();
        let mut body = String::new();
        if self.is_message() {
            _ = writeln!(body, "Self::check_decode_version(version)?;");
        }
        let flexible = condition(self.structure.flexible, self.structure.versions);
        let has_tags = !self.structure.flexible.is_empty();
        let binding = match (has_tags, tagged.is_empty()) {
            (true, true) => "let this = ",
            (true, false) => "let mut this = ",
            (false, _) => "Ok(",
        };
        _ = writeln!(body, "{binding}{} {{", self.structure.name);
        for field in &self.structure.fields {
            _ = writeln!(body, "{}: {},", field.name, self.decode_untagged(field));
        }
        _ = writeln!(body, "}}{}", if has_tags { ";" } else { ")" });
        if has_tags {
            let tags = if tagged.is_empty() {
                "d.skip_tagged_fields()?;\n".to_owned()
            } else {
                self.decode_tags(&tagged)
            };
            _ = match flexible {
                None => write!(body, "{tags}"),
                Some(_) => writeln!(body, "if flexible {{ {tags} }}"),
            };
            _ = writeln!(body, "Ok(this)");
        }
        self.function(
            |unused, version| {
                format!(
                    "fn decode({unused}d: &mut Decoder, {version}: i16) -> Result<Self, DecodeError>"
                )
            },
            &body,
        )
    }

    fn decode_untagged(&self, field: &Field) -> String {
        if field.tag.is_some() {
            return default_value(field);
        }
        let value = self.decode_value(field);
        match condition(field.versions, self.structure.versions) {
            None => value,
            Some(test) => format!("if {test} {{ {value} }} else {{ {} }}", default_value(field)),
        }
    }

    fn decode_tags(&self, tagged: &[&Field]) -> String {
        let mut arms = String::new();
        for field in tagged {
            let tag = field.tag.unwrap_or_default();
            let test = condition(field.versions, self.structure.flexible);
            let guard = test.map_or_else(String::new, |test| format!(" if {test}"));
            let value = self.decode_value(field);
            _ = writeln!(arms, "{tag}{guard} => this.{} = {value},", field.name);
        }
        format!(
            "d.tagged_fields(|d, tag| {{
            match tag {{ {arms} _ => return Ok(false) }}
            Ok(true) }})?;\n"
        )
    }

    fn decode_value(&self, field: &Field) -> String {
        let flexible = self.flexible(field);
        let nullable = field.is_nullable();
        let null = condition(field.nullable, field.versions).unwrap_or_else(|| "true".to_owned());
        match &field.field_type {
            Type::Bool => "d.bool()?".to_owned(),
            Type::Number(name, _) => format!("d.{name}()?"),
            Type::Uuid => "d.uuid()?".to_owned(),
            Type::String if nullable => format!("d.nullable_string({flexible}, {null})?"),
            Type::String => format!("d.string({flexible})?"),
            Type::Bytes if nullable => format!("d.nullable_bytes({flexible}, {null})?"),
            Type::Bytes => format!("d.bytes({flexible})?"),
            Type::Records if nullable => format!("d.nullable_records({flexible}, {null})?"),
            Type::Records => format!("d.records({flexible})?"),
            Type::Struct(name) if nullable => {
                // A structure that may be null has a byte before it, and a varint as a tagged field.
                let absent =
                    if field.tag.is_some() { "d.unsigned_varint()? == 0" } else { "d.i8()? < 0" };
                format!("if {absent} {{ None }} else {{ Some({name}::decode(d, version)?) }}")
            }
            Type::Struct(name) => format!("{name}::decode(d, version)?"),
            Type::Array(element) => {
                let size_min = self.element_size_min(element);
                let element = decode_element(element, flexible);
                if nullable {
                    format!("d.nullable_array({flexible}, {null}, {size_min}, {element})?")
                } else {
                    format!("d.array({flexible}, {size_min}, {element})?")
                }
            }
        }
    }

    fn element_size_min(&self, element: &Type) -> usize {
        let nested = match element {
            Type::Struct(name) => {
                let structures = &self.message.structures;
                let found = structures.iter().find(|structure| structure.name == *name);
                found.map_or(1, |structure| structure.size_min)
            }
            _ => 0,
        };
        element.size_min(!self.structure.flexible.is_empty(), nested)
    }

    fn encode(&self) -> String {
        let mut body = String::new();
        if self.is_message() {
            _ = writeln!(body, "Self::check_encode_version(version)?;");
        }
        for field in &self.structure.fields {
            self.encode_field(&mut body, field);
        }
        if !self.structure.flexible.is_empty() {
            let tags = self.encode_tags();
            _ = match condition(self.structure.flexible, self.structure.versions) {
                None => write!(body, "{tags}"),
                Some(_) => writeln!(body, "if flexible {{ {tags} }}"),
            };
        }
        _ = writeln!(body, "Ok(())");
        self.function(
            |unused, version| {
                format!(
                    "fn encode(&self, {unused}e: &mut Encoder, {version}: i16) -> Result<(), EncodeError>"
                )
            },
            &body,
        )
    }

    /// Writes the field where the version has it untagged, and refuses a value that would be lost.
    fn encode_field(&self, body: &mut String, field: &Field) {
        let this = format!("self.{}", field.name);
        let test = condition(field.versions, self.structure.versions);
        let lost = format!(
            "return Err(EncodeError::UnsupportedField {{ structure: \"{}\", field: \"{}\", version }});",
            self.structure.name,
            plain_name(field),
        );
        let mut value = String::new();
        let forbidden = outside(field.nullable, field.versions).filter(|_| field.is_nullable());
        if let Some(forbidden) = forbidden {
            _ = writeln!(
                value,
                "if {forbidden} && {this}.is_none() {{
                return Err(EncodeError::UnexpectedNull {{ structure: \"{}\", field: \"{}\", version }});
                }}",
                self.structure.name,
                plain_name(field),
            );
        }
        value.push_str(&self.encode_value(field));
        let set = is_set(field, &this);
        _ = match (test, field.tag.is_some(), field.ignorable) {
            (None, true, _) | (Some(_), true, true) => Ok(()),
            (None, false, _) => writeln!(body, "{value}"),
            (Some(_), true, false) => {
                let test = outside(field.versions, self.structure.versions).unwrap_or_default();
                writeln!(body, "if {test} && {} {{ {lost} }}", in_conjunction(&set))
            }
            (Some(test), false, true) => writeln!(body, "if {test} {{ {value} }}"),
            (Some(test), false, false) => {
                writeln!(body, "if {test} {{ {value} }} else if {set} {{ {lost} }}")
            }
        };
    }

    fn encode_tags(&self) -> String {
        let mut tagged: Vec<&Field> =
            self.structure.fields.iter().filter(|field| field.tag.is_some()).collect();
        if tagged.is_empty() {
            return "e.unsigned_varint(0);\n".to_owned();
        }
        tagged.sort_by_key(|field| field.tag);
        let mut present = String::new();
        let mut counts = Vec::new();
        let mut writes = String::new();
        for field in tagged {
            let tag = field.tag.unwrap_or_default();
            let set = is_set(field, &format!("self.{}", field.name));
            let set = match condition(field.versions, self.structure.flexible) {
                None => set,
                Some(test) => format!("{test} && {}", in_conjunction(&set)),
            };
            _ = writeln!(present, "let tag_{tag} = {set};");
            counts.push(format!("u32::from(tag_{tag})"));
            _ = writeln!(
                writes,
                "if tag_{tag} {{ let mark = e.begin_tag({tag}); {} e.end_tag(mark); }}",
                self.encode_value(field)
            );
        }
        format!("{present} e.unsigned_varint({});\n{writes}", counts.join(" + "))
    }

    fn encode_value(&self, field: &Field) -> String {
        let flexible = self.flexible(field);
        let nullable = field.is_nullable();
        let this = format!("self.{}", field.name);
        match &field.field_type {
            Type::Bool => format!("e.bool({this});"),
            Type::Number(name, _) => format!("e.{name}({this});"),
            Type::Uuid => format!("e.uuid({this});"),
            Type::String if nullable => {
                format!("e.nullable_string({this}.as_deref(), {flexible})?;")
            }
            Type::String => format!("e.string(&{this}, {flexible})?;"),
            Type::Bytes if nullable => format!("e.nullable_bytes({this}.as_deref(), {flexible});"),
            Type::Bytes => format!("e.bytes(&{this}, {flexible});"),
            Type::Records if nullable => {
                format!("e.nullable_records({this}.as_ref(), {flexible});")
            }
            Type::Records => format!("e.records(&{this}, {flexible});"),
            Type::Struct(_) if nullable => {
                let (absent, present) = if field.tag.is_some() {
                    ("e.unsigned_varint(0)", "e.unsigned_varint(1)")
                } else {
                    ("e.i8(-1)", "e.i8(1)")
                };
                format!(
                    "match &{this} {{
                    None => {absent},
                    Some(value) => {{ {present}; value.encode(e, version)?; }}
                    }}"
                )
            }
            Type::Struct(_) => format!("{this}.encode(e, version)?;"),
            Type::Array(element) => {
                let write = encode_element(element, flexible);
                if nullable {
                    format!(
                        "e.nullable_array_length({this}.as_ref().map(Vec::len), {flexible});
                        for item in {this}.iter().flatten() {{ {write} }}"
                    )
                } else {
                    format!(
                        "e.array_length({this}.len(), {flexible});
                        for item in &{this} {{ {write} }}"
                    )
                }
            }
        }
    }
}

fn decode_element(element: &Type, flexible: impl Display) -> String {
    match element {
        Type::Bool => "Decoder::bool".to_owned(),
        Type::Number(name, _) => format!("Decoder::{name}"),
        Type::Uuid => "Decoder::uuid".to_owned(),
        Type::String => format!("|d| d.string({flexible})"),
        Type::Bytes => format!("|d| d.bytes({flexible})"),
        Type::Records => format!("|d| d.records({flexible})"),
        Type::Struct(name) => format!("|d| {name}::decode(d, version)"),
        Type::Array(_) => unreachable!("the schema's parser refuses arrays of arrays"),
    }
}

fn encode_element(element: &Type, flexible: impl Display) -> String {
    match element {
        Type::Bool => "e.bool(*item);".to_owned(),
        Type::Number(name, _) => format!("e.{name}(*item);"),
        Type::Uuid => "e.uuid(*item);".to_owned(),
        Type::String => format!("e.string(item, {flexible})?;"),
        Type::Bytes => format!("e.bytes(item, {flexible});"),
        Type::Records => format!("e.records(item, {flexible});"),
        Type::Struct(_) => "item.encode(e, version)?;".to_owned(),
        Type::Array(_) => unreachable!("the schema's parser refuses arrays of arrays"),
    }
}

/// A condition that can stand beside `&&`.
fn in_conjunction(test: &str) -> String {
    if test.contains("||") { format!("({test})") } else { test.to_owned() }
}

fn plain_name(field: &Field) -> &str {
    field.name.trim_start_matches("r#")
}

/// Whether a function's body needs its parameter `version`; a field may have the same name.
pub fn uses_version(body: &str) -> bool {
    has_word(&body.replace("version: ", "").replace("self.version", ""), "version")
}

/// Whether `word` stands in `text` as an identifier of its own.
pub fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(start, _)| {
        !text[..start].ends_with(is_part) && !text[start + word.len()..].starts_with(is_part)
    })
}
