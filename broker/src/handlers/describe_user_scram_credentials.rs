//! DescribeUserScramCredentials (KIP-554): which users have SCRAM credentials. Nobody has, as nothing here could
//! use one yet: metadata that hold one are refused at the start. Source: Kafka's `ScramImage.describe`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};

use super::request::{Refusal, RequestContext, RequestHead};

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

/// What one user takes in an answer, as structure and as bytes, beside its name.
const RESULT_SIZE_BYTES: usize = 256;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeUserScramCredentialsRequest,
) -> Result<DescribeUserScramCredentialsResponse, Refusal> {
    // The name stands in the message, too.
    let users = request.users.iter().flatten();
    context.check_granted(users.map(|user| RESULT_SIZE_BYTES + 2 * user.name.len()).sum())?;
    Ok(answer(&request))
}

/// No users named, or no list, asks for all that have credentials.
fn answer(request: &DescribeUserScramCredentialsRequest) -> DescribeUserScramCredentialsResponse {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for user in request.users.iter().flatten() {
        *times.entry(&*user.name).or_default() += 1;
    }
    let results = times.into_iter().map(|(user, times)| {
        let (error, message) = match times {
            1 => (
                ErrorCode::ResourceNotFound,
                "Attempt to describe a user credential that does not exist: ",
            ),
            _ => (
                ErrorCode::DuplicateResource,
                "Cannot describe SCRAM credentials for the same user twice in a single request: ",
            ),
        };
        DescribeUserScramCredentialsResult {
            user: user.into(),
            error_code: error.into(),
            error_message: Some(format!("{message}{user}").into()),
            ..DescribeUserScramCredentialsResult::default()
        }
    });
    DescribeUserScramCredentialsResponse { results: results.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use protocol::messages::describe_user_scram_credentials::UserName;

    use super::*;

    #[test]
    fn nobody_has_credentials() {
        const NOT_FOUND: i16 = 91;
        const DUPLICATE: i16 = 92;
        for (users, want) in [
            (None, &[][..]),
            (Some(&[][..]), &[]),
            (Some(&["anna"]), &[("anna", NOT_FOUND)]),
            (Some(&["b", "a", "b", "b"]), &[("a", NOT_FOUND), ("b", DUPLICATE)]),
        ] {
            let name = |name: &&str| UserName { name: (*name).into() };
            let users = users.map(|users: &[&str]| users.iter().map(name).collect());
            let response = answer(&DescribeUserScramCredentialsRequest { users });
            let seen: Vec<_> =
                response.results.iter().map(|it| (&*it.user, it.error_code)).collect();
            assert_eq!(seen, want);
            let names_user = |it: &DescribeUserScramCredentialsResult| {
                it.error_message.as_ref().is_some_and(|message| message.ends_with(&*it.user))
            };
            assert!(response.results.iter().all(names_user), "{response:?}");
            assert_eq!(response.error_code, 0);
        }
    }
}
