//! One table of keys: parser, DescribeConfigs, documentation and --help come from it.
