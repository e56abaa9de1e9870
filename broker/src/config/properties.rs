//! The text format of `java.util.Properties`: comments, continuations, separators, escapes.

use std::collections::BTreeMap;

/// Keys and values as written; the last of equal keys wins, as in Java.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    #[error("line {line}: \\u must be followed by four hexadecimal digits")]
    Unicode { line: usize },
    #[error("{text:?} is no override: expected key=value")]
    Override { text: String },
}

impl Properties {
    /// Parses `text`. Source: the documentation of `java.util.Properties.load`.
    pub fn parse(text: &str) -> Result<Properties, PropertiesError> {
        let mut properties = Properties::default();
        let mut lines = text.lines().enumerate();
        while let Some((index, first)) = lines.next() {
            let mut logical = first.trim_start_matches(is_blank).to_owned();
            if logical.is_empty() || logical.starts_with(['#', '!']) {
                continue;
            }
            while ends_in_odd_backslashes(&logical) {
                logical.pop();
                let Some((_, next)) = lines.next() else { break };
                logical.push_str(next.trim_start_matches(is_blank));
            }
            let (key, value) = split(&logical);
            let unescape = |raw| unescape(raw).ok_or(PropertiesError::Unicode { line: index + 1 });
            properties.values.insert(unescape(key)?, unescape(value)?);
        }
        Ok(properties)
    }

    /// Applies `key=value` as a command line's `--override` gives it.
    pub fn set_override(&mut self, text: &str) -> Result<(), PropertiesError> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| PropertiesError::Override { text: text.to_owned() })?;
        self.set(key.trim(), value.trim());
        Ok(())
    }

    pub fn set(&mut self, key: &str, value: &str) {
        self.values.insert(key.to_owned(), value.to_owned());
    }

    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All of them, by key.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

fn ends_in_odd_backslashes(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// The key ends at the first unescaped `=`, `:` or blank; blanks around one `=` or `:` are skipped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, character)| {
            let ends = !escaped && (matches!(character, '=' | ':') || is_blank(character));
            escaped = character == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(index, _)| index);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let code = (digits.len() == 4).then(|| u32::from_str_radix(&digits, 16).ok())??;
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &[(&str, &str)]) {
        let properties = Properties::parse(text).unwrap();
        assert_eq!(properties.iter().collect::<Vec<_>>(), want, "{text:?}");
    }

    #[test]
    fn parses_as_java_does() {
        check("a=1\nb:2\nc 3\n", &[("a", "1"), ("b", "2"), ("c", "3")]);
        check("  a = 1 \n# no\n ! no\n\n", &[("a", "1 ")]);
        check("a=1\na=2", &[("a", "2")]);
        check("list=x,\\\n   y,\\\n   z", &[("list", "x,y,z")]);
        check("key\\ with\\=signs = v\\u0041\\t.", &[("key with=signs", "vA\t.")]);
        check("only", &[("only", "")]);
        check("path=C:\\\\dir", &[("path", "C:\\dir")]);
        check("end=\\", &[("end", "")]);
    }

    #[test]
    fn a_bad_escape_names_its_line() {
        assert_eq!(Properties::parse("a=1\nb=\\u12"), Err(PropertiesError::Unicode { line: 2 }));
    }
}
