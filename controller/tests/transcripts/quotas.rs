//! Commands that alter quotas.

use controller::Request;
use protocol::messages::AlterClientQuotasRequest;
use protocol::messages::alter_client_quotas::{OpData, RequestEntityData, RequestEntryData};

use crate::cluster::Arguments;

/// `limit user:anna+client-id:- ip:10.0.0.1 set=producer_byte_rate:5;a:1 remove=b --validate-only`: the
/// same for each entity that is named; `-` is the default of its type, and `+` alone no entity at all.
pub fn alter(arguments: &Arguments<'_>) -> Request {
    let list = |name| arguments.value(name).into_iter().flat_map(|text| text.split(';'));
    let set = list("set").map(|op| {
        let (key, value) = op.split_once(':').unwrap();
        OpData { key: key.into(), value: value.parse().unwrap(), remove: false }
    });
    let remove = list("remove").map(|key| OpData { key: key.into(), value: 0.0, remove: true });
    let ops: Vec<_> = set.chain(remove).collect();
    let entries = arguments.words().filter(|word| !word.starts_with("--")).map(|word| {
        let parts = word.split('+').filter(|part| !part.is_empty()).map(|part| {
            let (kind, name) = part.split_once(':').unwrap();
            RequestEntityData {
                entity_type: kind.into(),
                entity_name: (name != "-").then(|| name.into()),
            }
        });
        RequestEntryData { entity: parts.collect(), ops: ops.clone() }
    });
    Request::AlterClientQuotas(AlterClientQuotasRequest {
        entries: entries.collect(),
        validate_only: arguments.has("--validate-only"),
    })
}
