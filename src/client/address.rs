//! Where brokers listen, as a person writes it.

use std::fmt;
use std::str::FromStr;

/// A host and a port. The host is a name or an address; an IPv6 address is written in brackets: `[::1]:9092`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BrokerAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidAddress {
    /// No port, or no number.
    #[error("'{0}' is not HOST:PORT, for instance localhost:9092")]
    Shape(String),
    /// Nothing between the commas.
    #[error("no address given: write HOST:PORT, several with commas between them")]
    Empty,
}

impl FromStr for BrokerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let shape = || InvalidAddress::Shape(text.to_owned());
        // Kafka lets a listener's name stand in front of the address; people paste it.
        let address = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = address.rsplit_once(':').ok_or_else(shape)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(shape)?,
            None if host.contains(':') => return Err(shape()),
            None => host,
        };
        let port = port.parse().map_err(|_| shape())?;
        if host.is_empty() || host.contains(char::is_whitespace) || port == 0 {
            return Err(shape());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The addresses a client asks first: `bootstrap.servers`. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap(Vec<BrokerAddress>);

impl Bootstrap {
    /// The addresses, in the order given.
    #[must_use]
    pub fn addresses(&self) -> &[BrokerAddress] {
        &self.0
    }
}

impl FromStr for Bootstrap {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let addresses = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() { Err(InvalidAddress::Empty) } else { Ok(Self(addresses)) }
    }
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{address}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, host, port) in [
            ("localhost:9092", "localhost", 9092),
            ("[::1]:9093", "::1", 9093),
            ("PLAINTEXT://10.0.0.1:9", "10.0.0.1", 9),
        ] {
            assert_eq!(text.parse(), Ok(BrokerAddress { host: host.to_owned(), port }), "{text}");
        }
        for text in ["", "localhost", ":9092", "host:", "host:0", "host:70000", "::1:9092", "[::1:9092", "a b:1"] {
            assert!(text.parse::<BrokerAddress>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn several_addresses_survive_the_way_through_text() {
        let bootstrap: Bootstrap = " a:1, [::2]:2 ,".parse().expect("two addresses");
        assert_eq!(bootstrap.addresses().len(), 2);
        assert_eq!(bootstrap.to_string(), "a:1,[::2]:2");
        assert_eq!(",".parse::<Bootstrap>(), Err(InvalidAddress::Empty));
    }
}
