//! The options that say where numbers and events go, and who sends them there.

use crate::exit::WrongUsage;
use crate::export::credentials::{OfSink, SecretSource, file_of, secret_of, text_of};
use crate::export::http_push::PushCredentials;
use crate::export::lines_file::{LinesKept, size};
use crate::export::sinks::{self, ExportDestination, ExportSinks, SinkOptions};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// The heading of these options in the help. They say where to send, and are no part of what is asked.
pub const HEADING: &str = "Where to";

/// Where numbers and events go.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub struct SinkArguments {
    #[arg(long, value_name = "SINK=PLACE", value_parser = ExportDestination::parse, required = true, help = sinks::help())]
    to: Vec<ExportDestination>,
    /// With --to file: begin a new file when this one would be larger
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "100M")]
    max_size: u64,
    /// With --to file: keep so many files of before, as FILE.1, FILE.2 and so on
    #[arg(long, value_name = "N", default_value_t = 5)]
    keep: usize,
    /// With --to elasticsearch: the index or data stream
    #[arg(long, value_name = "NAME", default_value = sinks::ELASTICSEARCH_INDEX)]
    index: String,
    /// Send the token that stands in this file, or in a variable, as bearer: loki=FILE, loki=env:NAME
    #[arg(long, value_name = "SINK=FILE", value_parser = secret_of)]
    bearer_from: Vec<OfSink<SecretSource>>,
    /// Send the USER:PASSWORD that stands in this file, or in a variable: loki=FILE, loki=env:NAME
    #[arg(long, value_name = "SINK=FILE", value_parser = secret_of)]
    basic_from: Vec<OfSink<SecretSource>>,
    /// Send the headers that stand in this file, or in a variable, each in a line `Name: value`: loki=FILE, loki=env:NAME
    #[arg(long, value_name = "SINK=FILE", value_parser = secret_of)]
    header_from: Vec<OfSink<SecretSource>>,
    /// Send for this tenant (header X-Scope-OrgID): loki=TENANT
    #[arg(long, value_name = "SINK=TENANT", value_parser = text_of)]
    tenant: Vec<OfSink<String>>,
    /// Trust servers whose certificates are signed by those in this file, and no others: loki=FILE
    #[arg(long, value_name = "SINK=FILE", value_parser = file_of)]
    ca: Vec<OfSink<PathBuf>>,
    /// Show the server this certificate: loki=FILE
    #[arg(long, value_name = "SINK=FILE", value_parser = file_of)]
    client_cert: Vec<OfSink<PathBuf>>,
    /// The key of that certificate: loki=FILE
    #[arg(long, value_name = "SINK=FILE", value_parser = file_of)]
    client_key: Vec<OfSink<PathBuf>>,
}

impl SinkArguments {
    /// Starts all sinks; the cluster's name is empty where there is none.
    pub fn start(&self, cluster: &str) -> Result<ExportSinks> {
        let who = PushCredentials {
            bearer: self.bearer_from.clone(),
            basic: self.basic_from.clone(),
            headers: self.header_from.clone(),
            tenant: self.tenant.clone(),
            ca: self.ca.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
        };
        let asked: Vec<&str> = self.to.iter().map(ExportDestination::sink).collect();
        if let Some(nobody) = who.of_nobody(&asked) {
            return Err(WrongUsage::error(format!(
                "something is said of sink `{nobody}`, and no --to names it; name one of {}",
                asked.join(", ")
            )));
        }
        ExportSinks::start(
            &self.to,
            &SinkOptions {
                kept: LinesKept {
                    bytes: self.max_size,
                    files: self.keep,
                },
                who,
                index: self.index.clone(),
                cluster: cluster.to_owned(),
            },
        )
    }
}
