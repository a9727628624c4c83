//! Whose request it is, from its signature's credential: the access key, the region and the service. The signature
//! itself is not checked: the simulator protects nothing.
//!
//! Rules: "Signature Version 4" and "Error codes for the Amazon EC2 API".

use amikeep_domain::id::Region;

use crate::error::ApiError;
use crate::world::identity::Service;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a signed request says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) access_key_id: String,
    pub(crate) region: Region,
    pub(crate) service: Service,
}

/// Reads `Authorization: AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=…, Signature=…`.
pub(crate) fn parse(authorization: Option<&str>) -> Result<Credential, ApiError> {
    let Some(header) = authorization else {
        let message = "Request must contain either a valid (registered) AWS access key ID or X.509 certificate";
        return Err(ApiError::new(403, "MissingAuthenticationToken", message));
    };
    let parts = header.strip_prefix(ALGORITHM).ok_or_else(|| incomplete("the algorithm"))?;
    let part = |name: &str| {
        let found = parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| incomplete(name))
    };
    for required in ["SignedHeaders", "Signature"] {
        part(required)?;
    }
    let scope: Vec<&str> = part("Credential")?.split('/').collect();
    let [access_key_id, _date, region, service, "aws4_request"] = scope[..] else {
        return Err(incomplete("Credential"));
    };
    let service = match service {
        "ec2" => Service::Ec2,
        "sts" => Service::Sts,
        "ssm" => Service::Ssm,
        "servicequotas" => Service::ServiceQuotas,
        _ => return Err(not_valid(&format!("Credential should be scoped to correct service: '{service}' is not"))),
    };
    let region = region
        .parse()
        .map_err(|_| not_valid(&format!("Credential should be scoped to a valid Region, not '{region}'.")))?;
    Ok(Credential { access_key_id: access_key_id.to_owned(), region, service })
}

fn incomplete(what: &str) -> ApiError {
    ApiError::client("IncompleteSignature", format!("Authorization header requires '{what}' parameter."))
}

fn not_valid(message: &str) -> ApiError {
    ApiError::new(403, "SignatureDoesNotMatch", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(header: Option<&str>) -> String {
        parse(header).unwrap_err().code.into_owned()
    }

    #[test]
    fn a_credential_names_key_region_and_service() {
        let header = "AWS4-HMAC-SHA256 Credential=AKIA1/20260105/eu-central-1/sts/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=ab12";
        let credential = parse(Some(header)).unwrap();
        assert_eq!((credential.access_key_id.as_str(), credential.region.as_str()), ("AKIA1", "eu-central-1"));
        assert_eq!(credential.service, Service::Sts);
    }

    #[test]
    fn an_unsigned_or_half_signed_request_is_refused() {
        assert_eq!(code(None), "MissingAuthenticationToken");
        assert_eq!(code(Some("Basic abc")), "IncompleteSignature");
        assert_eq!(code(Some("AWS4-HMAC-SHA256 Credential=A/B, SignedHeaders=h, Signature=s")), "IncompleteSignature");
        let scope = |scope: &str| format!("AWS4-HMAC-SHA256 Credential=A/B/{scope}, SignedHeaders=h, Signature=s");
        assert_eq!(code(Some(&scope("eu-central-1/s3/aws4_request"))), "SignatureDoesNotMatch");
        assert_eq!(code(Some(&scope("nowhere/ec2/aws4_request"))), "SignatureDoesNotMatch");
    }
}
