//! DescribeClientQuotas (KIP-546): which quotas are set, of the entities that a filter lets through. Source:
//! Kafka's `ClientQuotasImage.describe`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use controller::metadata::{
    CLIENT_ID, ClientQuotas, EntityName, IP, Quota, QuotaEntity, Quotas, USER,
};
use protocol::error_code::ErrorCode;
use protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData,
    EntryData, ValueData,
};

use super::request::{Refusal, RequestContext, RequestHead};

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

/// Numbers of the ways to match. Source: `DescribeClientQuotasRequest`.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

/// What one name or value takes in an answer, as structure and as bytes, beside its text.
const PART_SIZE_BYTES: usize = 128;

/// What an entity's name of one type has to be.
enum Wanted {
    Any,
    This(EntityName),
}

type Filter<'a> = BTreeMap<&'a str, Wanted>;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeClientQuotasRequest,
) -> Result<DescribeClientQuotasResponse, Refusal> {
    let view = context.core.view();
    let quotas = view.image.client_quotas();
    let filter = match filter(&request.components) {
        Ok(filter) => filter,
        Err((error, message)) => {
            return Ok(DescribeClientQuotasResponse {
                error_code: error.into(),
                error_message: Some(message.into()),
                entries: None,
                ..Default::default()
            });
        }
    };
    let found = || found(quotas, &filter, request.strict);
    context.check_granted(found().map(|(entity, quotas)| size_bytes(entity, quotas)).sum())?;
    let entries = found().map(|(entity, quotas)| entry(entity, quotas)).collect();
    Ok(DescribeClientQuotasResponse { entries: Some(entries), ..Default::default() })
}

fn filter(components: &[ComponentData]) -> Result<Filter<'_>, (ErrorCode, String)> {
    let invalid = |message: String| Err((ErrorCode::InvalidRequest, message));
    let mut filter = Filter::new();
    for ComponentData { entity_type, match_type, r#match: name } in components {
        let kind = &**entity_type;
        if kind.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if filter.contains_key(kind) {
            return invalid(format!(
                "Entity type {kind} cannot appear more than once in the filter."
            ));
        }
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            let message = format!("Unsupported entity type {kind}");
            return Err((ErrorCode::UnsupportedVersion, message));
        }
        let wanted = match (*match_type, name) {
            (EXACT, Some(name)) => Wanted::This(EntityName::from_wire(Some(name))),
            (EXACT, None) => {
                return invalid(
                    "Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned(),
                );
            }
            (DEFAULT, None) => Wanted::This(EntityName::Default),
            (SPECIFIED, None) => Wanted::Any,
            (DEFAULT | SPECIFIED, Some(_)) => {
                let word = if *match_type == DEFAULT { "DEFAULT" } else { "SPECIFIED" };
                return invalid(format!(
                    "Request specified MATCH_TYPE_{word}, but also specified a match string."
                ));
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        filter.insert(kind, wanted);
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used \
             with user or clientId filter component."
                .to_owned(),
        );
    }
    Ok(filter)
}

/// The entities that `filter` lets through; a strict one none that has a type beside its own.
fn found<'a>(
    quotas: &'a ClientQuotas,
    filter: &'a Filter<'_>,
    strict: bool,
) -> impl Iterator<Item = (&'a QuotaEntity, &'a Quotas)> {
    let matches = move |entity: &QuotaEntity| {
        let has = |(kind, wanted): (&&str, &Wanted)| {
            entity.parts().any(|(known, name)| {
                known == *kind
                    && match wanted {
                        Wanted::Any => true,
                        Wanted::This(wanted) => wanted == name,
                    }
            })
        };
        filter.iter().all(has) && (!strict || entity.parts().count() == filter.len())
    };
    let all = quotas.iter().map(|(entity, quotas)| (entity, &**quotas));
    all.filter(move |(entity, _)| matches(entity))
}

fn size_bytes(entity: &QuotaEntity, quotas: &Quotas) -> usize {
    let name = |(_, name): (&str, &EntityName)| name.to_wire().map_or(0, str::len);
    let names: usize = entity.parts().map(|part| PART_SIZE_BYTES + name(part)).sum();
    let values: usize = quotas.keys().map(|key| PART_SIZE_BYTES + key.len()).sum();
    PART_SIZE_BYTES + names + values
}

fn entry(entity: &QuotaEntity, quotas: &Quotas) -> EntryData {
    let entity = entity.parts().map(|(kind, name)| EntityData {
        entity_type: kind.into(),
        entity_name: name.to_wire().map(Into::into),
    });
    let values =
        quotas.iter().map(|(key, Quota(value))| ValueData { key: (**key).into(), value: *value });
    EntryData { entity: entity.collect(), values: values.collect() }
}
