//! What a key of the table is.
//!
//! *Does not know*: which keys there are ([`super::table`]), nor where values come from.

use super::value::{self, BadValue, Value};

/// The type of a key's value (`ConfigDef.Type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text.
    String,
    /// 32 bits, signed.
    Int,
    /// 16 bits, signed.
    Short,
    /// 64 bits, signed.
    Long,
    /// Floating point, 64 bits.
    Double,
    /// Texts separated by commas.
    List,
    /// Text that is never shown.
    Password,
    /// Name of a Java class. Never loaded.
    Class,
}

impl Type {
    /// The number of the type in DescribeConfigs (`DescribeConfigsResponse.ConfigType`).
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// Kafka's name in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Password => "PASSWORD",
            Self::Class => "CLASS",
        }
    }
}

/// What a value of the right type must also be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Valid {
    /// Anything.
    Any,
    /// At least this.
    AtLeast(i64),
    /// Between these, both allowed.
    Between(i64, i64),
    /// Between these, both allowed.
    BetweenDoubles(f64, f64),
    /// One of these; of a list, every element.
    OneOf(&'static [&'static str]),
    /// One of these, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// Not empty.
    NonEmpty,
    /// 1 to 9, or −1 (`CompressionType.GZIP`).
    GzipLevel,
    /// `partition:broker` pairs, or `*` (`ThrottledReplicaListValidator`).
    ThrottledReplicas,
    /// A version of Kafka, by its release or by its number among the versions of formats and protocols
    /// (`MetadataVersionValidator`).
    KafkaVersion,
}

/// How much a key matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    /// Look at it before the first start.
    High,
    /// Worth knowing.
    Medium,
    /// Rarely needed.
    Low,
}

/// How a broker's key can change (`DynamicBrokerConfig`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// By a restart only.
    ReadOnly,
    /// While running, for one broker.
    PerBroker,
    /// While running, for one broker or as the default of all.
    ClusterWide,
}

/// Whether Dohle does what the key says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It does.
    Works,
    /// Not yet. Setting it is named in a warning.
    Inert,
    /// It never will: the key speaks of Kafka's inside, of KRaft or of Java classes. Setting it is named in a warning.
    Obsolete,
    /// Not yet or never, and running without would surprise: setting it to anything but its default is an error.
    Refused,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Key {
    /// The key's name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Type,
    /// Its value when it is not set; `None` is Kafka's null, whose meaning the documentation says.
    pub default: Option<&'static str>,
    /// Kafka's default and why ours is another one.
    pub kafka_default: Option<(&'static str, &'static str)>,
    /// What the value must be.
    pub valid: Valid,
    /// What a number counts.
    pub unit: Option<&'static str>,
    /// How much it matters.
    pub importance: Importance,
    /// How it can change.
    pub update: Update,
    /// Whether it has an effect.
    pub status: Status,
    /// Kafka leaves it out of DescribeConfigs unless it is set.
    pub internal: bool,
    /// It cannot stand in the file, only be set while the broker runs.
    pub only_dynamic: bool,
    /// Of a topic's key: the broker's key that holds its default.
    pub broker_key: Option<&'static str>,
    documentation: &'static str,
}

impl Key {
    /// A key without a default, read-only and inert: the attributes below say otherwise.
    pub(super) const fn new(name: &'static str, kind: Type, documentation: &'static str) -> Self {
        Self {
            name,
            kind,
            default: None,
            kafka_default: None,
            valid: Valid::Any,
            unit: None,
            importance: Importance::Medium,
            update: Update::ReadOnly,
            status: Status::Inert,
            internal: false,
            only_dynamic: false,
            broker_key: None,
            documentation,
        }
    }

    /// What the key means, in sentences.
    #[must_use]
    pub fn documentation(&self) -> &'static str {
        self.documentation.trim_start()
    }

    /// Reads and checks a value.
    ///
    /// # Errors
    /// In Kafka's words (`ConfigException`).
    pub fn parse(&self, text: &str) -> Result<Value, BadValue> {
        value::parse(self, text)
    }

    /// The default, read.
    ///
    /// # Panics
    /// When the table holds a default that is not valid, which a test excludes.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| match self.parse(text) {
            Ok(value) => value,
            Err(bad) => panic!("the table of keys has a bad default: {bad}"),
        })
    }

    /// Whether its value must never be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == Type::Password
    }

    /// What a value may be, in words: `a 32-bit number, at least 1`.
    #[must_use]
    pub fn allowed(&self) -> String {
        value::allowed(self)
    }
}

/// The attributes of a row. Each overrides what [`Key::new`] chose.
impl Key {
    pub(super) const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    pub(super) const fn not_as_kafka(mut self, kafka: &'static str, why: &'static str) -> Self {
        self.kafka_default = Some((kafka, why));
        self
    }

    pub(super) const fn valid(mut self, valid: Valid) -> Self {
        self.valid = valid;
        self
    }

    pub(super) const fn at_least(self, least: i64) -> Self {
        self.valid(Valid::AtLeast(least))
    }

    pub(super) const fn between(self, least: i64, most: i64) -> Self {
        self.valid(Valid::Between(least, most))
    }

    pub(super) const fn between_doubles(self, least: f64, most: f64) -> Self {
        self.valid(Valid::BetweenDoubles(least, most))
    }

    pub(super) const fn one_of(self, texts: &'static [&'static str]) -> Self {
        self.valid(Valid::OneOf(texts))
    }

    pub(super) const fn one_of_any_case(self, texts: &'static [&'static str]) -> Self {
        self.valid(Valid::OneOfAnyCase(texts))
    }

    pub(super) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    pub(super) const fn high(mut self) -> Self {
        self.importance = Importance::High;
        self
    }

    pub(super) const fn medium(mut self) -> Self {
        self.importance = Importance::Medium;
        self
    }

    pub(super) const fn low(mut self) -> Self {
        self.importance = Importance::Low;
        self
    }

    pub(super) const fn per_broker(mut self) -> Self {
        self.update = Update::PerBroker;
        self
    }

    pub(super) const fn cluster_wide(mut self) -> Self {
        self.update = Update::ClusterWide;
        self
    }

    pub(super) const fn works(mut self) -> Self {
        self.status = Status::Works;
        self
    }

    pub(super) const fn inert(mut self) -> Self {
        self.status = Status::Inert;
        self
    }

    pub(super) const fn obsolete(mut self) -> Self {
        self.status = Status::Obsolete;
        self
    }

    pub(super) const fn refused(mut self) -> Self {
        self.status = Status::Refused;
        self
    }

    pub(super) const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    pub(super) const fn only_dynamic(mut self) -> Self {
        self.only_dynamic = true;
        self
    }

    pub(super) const fn broker_key(mut self, name: &'static str) -> Self {
        self.broker_key = Some(name);
        self
    }
}
