//! `/cluster/id`: the name that tells this cluster from every other. Made once, by the first broker, and never changed.

use serde::{Deserialize, Serialize};

use super::DecodeError;

/// Where it is.
pub const ID: &str = "/cluster/id";

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(default = "version")]
    version: String,
    id: String,
}

/// A string, unlike every other version.
fn version() -> String {
    "1".to_owned()
}

/// JSON of a cluster id.
#[must_use]
pub fn encode_id(id: &str) -> Vec<u8> {
    super::encode(&Json { version: version(), id: id.to_owned() })
}

/// The cluster id.
///
/// # Errors
/// When the data is not such JSON, or the id is empty.
pub fn decode_id(data: &[u8]) -> Result<String, DecodeError> {
    let json: Json = super::decode(ID, data)?;
    if json.id.is_empty() {
        return Err(DecodeError::new(ID, "the id is empty", data));
    }
    Ok(json.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kafka_writes_it() {
        let captured = br#"{"version":"1","id":"85rF_6V1SiSANqwsbs0xhA"}"#;
        assert_eq!(decode_id(captured).as_deref(), Ok("85rF_6V1SiSANqwsbs0xhA"));
        assert_eq!(encode_id("85rF_6V1SiSANqwsbs0xhA"), captured);
    }

    #[test]
    fn no_id_is_an_error() {
        for bad in ["", "{}", r#"{"version":"1","id":""}"#, r#"{"version":"1","id":7}"#, "null"] {
            assert!(decode_id(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
