//! Talks to a broker as a client does.
