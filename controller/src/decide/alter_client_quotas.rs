//! AlterClientQuotas: what users, client ids and addresses are limited to. Each entity succeeds or fails on
//! its own. Sources: KIP-546, KIP-612, Kafka's `ClientQuotaControlManager`.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error_code::ErrorCode;
use protocol::messages::alter_client_quotas::{
    RequestEntryData, ResponseEntityData, ResponseEntryData,
};
use protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use protocol::records::metadata::MetadataRecord;

use crate::metadata::{
    ClientQuotas, EntityName, IP, Quota, QuotaEntity, Quotas, UnknownEntityType,
};
use crate::quota::{ADDRESS_KEYS, CLIENT_KEYS, QuotaKey, ValueKind};

use super::{Decision, RECORDS_PER_DECISION_MAX, Refusal, View};

/// How far from a whole number one may be that has to be whole.
const FRACTION_MAX: f64 = 1e-6;

/// An entity as it is asked for: names by type.
type Parts<'a> = BTreeMap<&'a str, Option<&'a str>>;

pub fn alter_client_quotas(
    view: &View<'_>,
    request: &AlterClientQuotasRequest,
) -> Result<Decision<AlterClientQuotasResponse>, Refusal> {
    let mut records = Vec::new();
    let mut outcomes: Vec<(Parts<'_>, Result<(), Refusal>)> = Vec::new();
    let mut named: BTreeMap<Parts<'_>, usize> = BTreeMap::new();
    for entry in &request.entries {
        let parts = parts(entry);
        if let Some(&known) = named.get(&parts) {
            outcomes[known].1 = Err(repeated(&parts));
            continue;
        }
        let outcome = alter_entity(view.image.client_quotas(), entry, &parts).map(|altered| {
            records.extend(altered);
        });
        named.insert(parts.clone(), outcomes.len());
        outcomes.push((parts, outcome));
        if records.len() > RECORDS_PER_DECISION_MAX {
            return Err(Refusal::new(
                ErrorCode::PolicyViolation,
                format!("One request may write at most {RECORDS_PER_DECISION_MAX} records"),
            ));
        }
    }
    if request.validate_only {
        records.clear();
    }
    let entries = outcomes.into_iter().map(|(parts, outcome)| answer(&parts, outcome));
    let response = AlterClientQuotasResponse { throttle_time_ms: 0, entries: entries.collect() };
    Ok(Decision { records, response })
}

fn parts(entry: &RequestEntryData) -> Parts<'_> {
    entry.entity.iter().map(|it| (&*it.entity_type, it.entity_name.as_deref())).collect()
}

/// One entity of the answer.
fn answer(parts: &Parts<'_>, outcome: Result<(), Refusal>) -> ResponseEntryData {
    let entity = parts.iter().map(|(kind, name)| ResponseEntityData {
        entity_type: (*kind).into(),
        entity_name: name.map(Into::into),
    });
    let error = outcome.as_ref().map_or_else(|refusal| refusal.error, |()| ErrorCode::None);
    ResponseEntryData {
        error_code: error.into(),
        error_message: outcome.err().map(|refusal| refusal.message.into()),
        entity: entity.collect(),
    }
}

/// The records that one entry is written as; what is as it was needs none.
fn alter_entity(
    known: &ClientQuotas,
    entry: &RequestEntryData,
    parts: &Parts<'_>,
) -> Result<Vec<MetadataRecord>, Refusal> {
    let mut keys = BTreeSet::new();
    if !entry.ops.iter().all(|op| keys.insert(&*op.key)) {
        return Err(repeated(parts));
    }
    let entity = check_entity(parts)?;
    let keys = check_combination(&entity)?;
    let none = Quotas::new();
    let before = known.of(&entity).map_or(&none, |quotas| &**quotas);
    let mut records = Vec::new();
    for op in &entry.ops {
        let before = before.get(&*op.key);
        let after = match op.remove {
            true => None,
            false => {
                check_value(keys, &op.key, op.value)?;
                Some(Quota(op.value))
            }
        };
        if before != after.as_ref() {
            let record = entity.to_record(&op.key, after.map(|quota| quota.0));
            records.push(MetadataRecord::ClientQuota(record));
        }
    }
    Ok(records)
}

fn check_entity(parts: &Parts<'_>) -> Result<QuotaEntity, Refusal> {
    if parts.is_empty() {
        return Err(invalid("Invalid empty client quota entity"));
    }
    let entity = QuotaEntity::new(parts.iter().map(|(kind, name)| (*kind, *name)));
    let entity = entity.map_err(|UnknownEntityType(kind)| {
        invalid(format!("Unhandled client quota entity type: {kind}"))
    })?;
    match parts.iter().find(|(_, name)| **name == Some("")) {
        Some((kind, _)) => Err(invalid(format!("Empty {kind} not supported"))),
        None => Ok(entity),
    }
}

/// The keys that `entity` may be given.
fn check_combination(entity: &QuotaEntity) -> Result<&'static [QuotaKey], Refusal> {
    let Some(ip) = &entity.ip else { return Ok(CLIENT_KEYS) };
    if entity.user.is_some() || entity.client_id.is_some() {
        return Err(invalid(
            "Invalid quota entity combination, IP entity should not be combined with User or ClientId",
        ));
    }
    match ip {
        // Stricter than Apache Kafka, which looks a host's name up, and again on each broker.
        EntityName::Named(name) if name.parse::<core::net::IpAddr>().is_err() => {
            Err(invalid(format!("{name} is not a valid {IP}: name an address, not a host")))
        }
        EntityName::Named(_) | EntityName::Default => Ok(ADDRESS_KEYS),
    }
}

fn check_value(keys: &[QuotaKey], name: &str, value: f64) -> Result<(), Refusal> {
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        return Err(invalid(format!("Invalid configuration key {name}")));
    };
    // Stricter than Apache Kafka, which takes what is no number, and limits by it to nothing.
    if value.is_nan() || value <= 0.0 {
        return Err(invalid(format!("Quota {name} must be greater than 0")));
    }
    let (value_max, word) = match key.kind {
        ValueKind::Double => return Ok(()),
        ValueKind::Int => (f64::from(i32::MAX), "an INT"),
        ValueKind::Long => (i64::MAX as f64, "a LONG"),
    };
    if value > value_max {
        return Err(invalid(format!("Proposed value for {name} is too large for {word}.")));
    }
    if value % 1.0 > FRACTION_MAX {
        return Err(invalid(format!("{name} cannot be a fractional value.")));
    }
    Ok(())
}

fn repeated(parts: &Parts<'_>) -> Refusal {
    let parts = parts.iter().map(|(kind, name)| format!("{kind}={}", name.unwrap_or("null")));
    let parts: Vec<_> = parts.collect();
    invalid(format!(
        "Ignoring duplicate entity ClientQuotaEntity(entries={{{}}})",
        parts.join(", ")
    ))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}
