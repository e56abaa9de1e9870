//! `meta.properties`: which cluster, node and directory this is.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::model::{BrokerId, DirectoryId};

use crate::error::StorageError;

const NAME: &str = "meta.properties";

/// `meta.properties`, version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: BrokerId,
    /// Absent in files of older Kafka versions; then one is made and written at start.
    pub directory_id: Option<DirectoryId>,
}

impl MetaProperties {
    /// Reads the file of `directory`; `None` where the directory is not formatted.
    pub async fn read(directory: &Path) -> Result<Option<MetaProperties>, StorageError> {
        let path = directory.join(NAME);
        match crate::small_file::read_text(&path, NAME).await? {
            None => Ok(None),
            Some(text) => Self::decode(&text).map(Some).map_err(|reason| StorageError::Malformed {
                path,
                what: NAME,
                reason,
            }),
        }
    }

    /// Writes the file, durably.
    pub async fn write(&self, directory: &Path) -> Result<(), StorageError> {
        let path = directory.join(NAME);
        reactor::directory::write_atomic(&path, self.encode().as_bytes())
            .await
            .map_err(StorageError::io("write", &path))
    }

    /// The file's text.
    pub fn encode(&self) -> String {
        let mut text = format!("#\ncluster.id={}\n", escape(&self.cluster_id));
        if let Some(directory_id) = self.directory_id {
            text.push_str(&format!("directory.id={directory_id}\n"));
        }
        text.push_str(&format!("node.id={}\nversion=1\n", self.node_id));
        text
    }

    /// From the file's text. Errors: what is wrong with it.
    pub fn decode(text: &str) -> Result<MetaProperties, &'static str> {
        let properties: BTreeMap<String, String> = text.lines().filter_map(property).collect();
        let value = |key: &str| properties.get(key).map(|value| value.trim());
        if value("version") != Some("1") {
            return Err("its version is not 1");
        }
        let node_id =
            value("node.id").and_then(|text| text.parse().ok()).and_then(BrokerId::from_wire);
        let directory_id = value("directory.id")
            .map(|text| text.parse().map_err(|_| "its directory.id is no UUID"))
            .transpose()?;
        Ok(MetaProperties {
            cluster_id: value("cluster.id").ok_or("it has no cluster.id")?.to_owned(),
            node_id: node_id.ok_or("it has no node.id")?,
            directory_id,
        })
    }
}

/// One line of Java's properties format: key and value, or none for a comment or an empty line.
fn property(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let mut end_of_key = None;
    let mut escaped = false;
    for (index, character) in line.char_indices() {
        if !escaped && (matches!(character, '=' | ':') || character.is_ascii_whitespace()) {
            end_of_key = Some(index);
            break;
        }
        escaped = !escaped && character == '\\';
    }
    let (key, rest) = line.split_at(end_of_key.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    Some((unescape(key), unescape(value)))
}

/// As Java's `Properties.store` escapes a value.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (index, character) in value.chars().enumerate() {
        match character {
            '\\' | '=' | ':' | '#' | '!' => escaped.extend(['\\', character]),
            ' ' if index == 0 => escaped.push_str("\\ "),
            ' '..='~' => escaped.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    escaped.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let plain = match character {
            '\\' => match characters.next() {
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cluster_id: &str) -> MetaProperties {
        MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id: BrokerId(3),
            directory_id: "-wSgSkc6SlK8YZE3s-D38g".parse().ok(),
        }
    }

    #[test]
    fn reads_what_apache_kafka_writes() {
        let text = "#\n#Thu Nov 20 08:00:00 UTC 2026\ncluster.id=5L6g3nShT-eMCtK--X86sw\n\
                    directory.id=-wSgSkc6SlK8YZE3s-D38g\nnode.id=3\nversion=1\n";
        assert_eq!(MetaProperties::decode(text), Ok(sample("5L6g3nShT-eMCtK--X86sw")));
        let older = "version = 1\nnode.id: 3\ncluster.id my\\ cluster\n";
        let want = MetaProperties { directory_id: None, ..sample("my cluster") };
        assert_eq!(MetaProperties::decode(older), Ok(want));
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for cluster_id in ["5L6g3nShT-eMCtK--X86sw", "a=b:c#d!e\\f g", " begins", "né\u{1f600}"] {
            // A leading blank is kept by its escape, but trimmed by Kafka and by us.
            let want = sample(cluster_id.trim());
            assert_eq!(MetaProperties::decode(&sample(cluster_id).encode()), Ok(want));
        }
    }

    #[test]
    fn refuses_other_files() {
        for text in [
            "",
            "version=0\nbroker.id=1\n",
            "version=1\nnode.id=1\n",
            "version=1\ncluster.id=a\n",
            "version=1\ncluster.id=a\nnode.id=-2\n",
            "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=x\n",
        ] {
            assert!(MetaProperties::decode(text).is_err(), "{text:?}");
        }
    }
}
