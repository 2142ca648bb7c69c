//! Listeners: where the broker listens and what it tells others to connect to.
//!
//! Source: Kafka 3.9, `SocketServerConfigs.listenerListToEndPoints`, `CoreUtils`, `KafkaConfig.validateValues`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// How a listener protects what it carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SecurityProtocol {
    /// Not at all.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL within TLS.
    SaslSsl,
}

impl SecurityProtocol {
    const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// Its number in requests and znodes.
    #[must_use]
    pub const fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// The one that has this number.
    #[must_use]
    pub fn of_id(id: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.id() == id)
    }

    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SecurityProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
            format!("'{text}' is no security protocol; there are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL")
        })
    }
}

/// One listener.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listener {
    /// Its name, in capitals.
    pub name: String,
    /// The host as written, without the brackets of IPv6. `None`: every interface, or this machine's name when advertised.
    pub host: Option<String>,
    /// The port. 0 lets the system choose.
    pub port: u16,
    /// How it is protected.
    pub security_protocol: SecurityProtocol,
}

impl Listener {
    /// Whether the host is an address that stands for every interface.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.host
            .as_deref()
            .and_then(|host| host.parse::<IpAddr>().ok())
            .is_some_and(|address| address.is_unspecified())
    }
}

impl fmt::Display for Listener {
    /// `NAME://host:port`, as in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_deref() {
            Some(host) if host.contains(':') => write!(f, "{}://[{host}]:{}", self.name, self.port),
            host => write!(f, "{}://{}:{}", self.name, host.unwrap_or(""), self.port),
        }
    }
}

/// Which protocol a listener's name stands for. Names are in capitals.
pub type ProtocolMap = BTreeMap<String, SecurityProtocol>;

/// Reads `listener.security.protocol.map`.
///
/// # Errors
/// Says which part of the text is wrong.
pub fn parse_protocol_map(text: &str) -> Result<ProtocolMap, String> {
    let mut map = ProtocolMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, protocol) =
            pair.rsplit_once(':').ok_or_else(|| format!("'{pair}' is not of the form NAME:PROTOCOL"))?;
        let name = name.trim().to_uppercase();
        if map.insert(name.clone(), protocol.trim().parse()?).is_some() {
            return Err(format!("the name {name} stands there twice"));
        }
    }
    Ok(map)
}

/// Reads a list of listeners.
///
/// # Errors
/// Says which listener is wrong and how it should look.
pub fn parse_listeners(text: &str, protocols: &ProtocolMap) -> Result<Vec<Listener>, String> {
    let mut listeners: Vec<Listener> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let listener = parse_listener(part, protocols)?;
        if listeners.iter().any(|other| other.name == listener.name) {
            return Err(format!(
                "the name {} stands there twice; each listener needs a name of its own",
                listener.name
            ));
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Whether two listeners would take the same port: equal ports but 0, unless one is an IPv4 and the other an IPv6 address.
///
/// # Errors
/// Names the two.
pub fn check_ports(listeners: &[Listener]) -> Result<(), String> {
    let family = |listener: &Listener| {
        let host = listener.host.as_deref().unwrap_or("");
        if host.parse::<Ipv4Addr>().is_ok() {
            Some(4)
        } else if host.parse::<Ipv6Addr>().is_ok() {
            Some(6)
        } else {
            None
        }
    };
    for (index, one) in listeners.iter().enumerate() {
        for other in listeners.iter().skip(index + 1).filter(|other| one.port != 0 && other.port == one.port) {
            if !matches!((family(one), family(other)), (Some(4), Some(6)) | (Some(6), Some(4))) {
                return Err(format!("{one} and {other} have the same port; give each listener a port of its own"));
            }
        }
    }
    Ok(())
}

fn parse_listener(text: &str, protocols: &ProtocolMap) -> Result<Listener, String> {
    let shape = || format!("'{text}' is not of the form NAME://host:port");
    let (name, address) = text.split_once("://").ok_or_else(shape)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(shape)?;
    let port = port.parse().map_err(|_| format!("'{port}' in '{text}' is no port; ports are 0 to 65535"))?;
    let host = match (host.strip_prefix('['), host.strip_suffix(']')) {
        (Some(_), Some(_)) => host.trim_matches(['[', ']']),
        (None, None) => host,
        (Some(_), None) | (None, Some(_)) => return Err(shape()),
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%');
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return Err(shape());
    }
    if !host.chars().all(letters) {
        return Err(format!("'{host}' in '{text}' is no host"));
    }
    let name = name.to_uppercase();
    let security_protocol = *protocols.get(&name).ok_or_else(|| {
        format!("no security protocol is known for the listener {name}; add {name}:PLAINTEXT (or another protocol) to listener.security.protocol.map")
    })?;
    let host = (!host.is_empty()).then(|| host.to_owned());
    Ok(Listener { name, host, port, security_protocol })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocols() -> ProtocolMap {
        parse_protocol_map("PLAINTEXT:PLAINTEXT, SSL:SSL,inside:sasl_plaintext").expect("a map")
    }

    fn parse(text: &str) -> Result<Vec<Listener>, String> {
        parse_listeners(text, &protocols())
    }

    #[test]
    fn listeners_have_a_name_a_host_and_a_port() {
        for (text, host, port, again) in [
            ("PLAINTEXT://:9092", None, 9092, "PLAINTEXT://:9092"),
            ("plaintext://localhost:0", Some("localhost"), 0, "PLAINTEXT://localhost:0"),
            ("PLAINTEXT://[::1]:9092", Some("::1"), 9092, "PLAINTEXT://[::1]:9092"),
            ("PLAINTEXT://::1:9092", Some("::1"), 9092, "PLAINTEXT://[::1]:9092"),
            ("PLAINTEXT://[fe80::1%eth0]:1", Some("fe80::1%eth0"), 1, "PLAINTEXT://[fe80::1%eth0]:1"),
            (" Inside://10.0.0.1:65535 ", Some("10.0.0.1"), 65535, "INSIDE://10.0.0.1:65535"),
        ] {
            let listeners = parse(text).expect(text);
            let [listener] = listeners.as_slice() else { panic!("{text}: one listener") };
            assert_eq!((listener.host.as_deref(), listener.port), (host, port), "{text}");
            assert_eq!(listener.to_string(), again);
        }
        assert!(parse("PLAINTEXT://0.0.0.0:1,SSL://[::]:2").expect("two").iter().all(Listener::is_everywhere));
    }

    #[test]
    fn bad_listeners_say_what_is_wrong() {
        for (text, needle) in [
            ("9092", "NAME://host:port"),
            ("PLAINTEXT:9092", "NAME://host:port"),
            ("PLAINTEXT://host", "NAME://host:port"),
            ("PLAINTEXT://host:99999", "0 to 65535"),
            ("PLAINTEXT://host:-1", "0 to 65535"),
            ("PLAINTEXT://[::1:9092", "NAME://host:port"),
            ("PLAINTEXT://ho st:9092", "no host"),
            ("OUTSIDE://:9092", "listener.security.protocol.map"),
            ("PLAINTEXT://:1,PLAINTEXT://:2", "twice"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(needle), "{text}: {error}");
        }
        assert!(parse_protocol_map("A:NONE").expect_err("no such protocol").contains("SASL_SSL"));
        assert!(parse_protocol_map("A").expect_err("no colon").contains("NAME:PROTOCOL"));
    }

    #[test]
    fn one_port_may_serve_both_address_families() {
        let check = |text| check_ports(&parse(text).expect("listeners"));
        assert!(check("PLAINTEXT://127.0.0.1:9,SSL://[::1]:9").is_ok());
        assert!(check("PLAINTEXT://:0,SSL://:0").is_ok());
        assert!(check("PLAINTEXT://:9,SSL://:9").is_err());
        assert!(check("PLAINTEXT://127.0.0.1:9,SSL://127.0.0.2:9").is_err());
        assert!(check("PLAINTEXT://127.0.0.1:9,SSL://[::1]:9,INSIDE://:9").is_err());
    }
}
