//! `gatepass certs dev`: what a first try of mTLS needs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gatepass_certs::mint::{self, Dev, Existing, Name, Validity};
use gatepass_certs::subject::SpiffeId;
use jiff::{SignedDuration, Timestamp};

use super::Exit;

/// How long development certificates live: a sprint, not a year.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 14);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Mint a development CA, a gateway certificate and a client certificate.
    Dev(Arguments),
}

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where to write.
    #[arg(long, default_value = "gatepass-certs", value_name = "DIRECTORY")]
    out: PathBuf,
    /// The client's SPIFFE ID.
    #[arg(long, default_value = "spiffe://dev.example/ns/dev/sa/client", value_name = "ID")]
    spiffe_id: String,
    /// A further name or address of the gateway, beside localhost, 127.0.0.1 and ::1; may be repeated.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
}

pub fn run(command: Command) -> Exit {
    let Command::Dev(arguments) = command;
    let client = match SpiffeId::parse(&arguments.spiffe_id) {
        Ok(client) => client,
        Err(why) => {
            eprintln!("error: `--spiffe-id {}`: {why}", arguments.spiffe_id);
            return Exit::Usage;
        }
    };
    match write(&arguments, client) {
        Ok(written) => {
            let show = |path: &PathBuf| path.display().to_string();
            println!(
                "authority   {}  (clients trust the gateway by it; {} for the listener)",
                show(&written.ca),
                show(&written.clients_ca)
            );
            println!("gateway     {}  {}", show(&written.gateway), show(&written.gateway_key));
            println!("client      {}  {}  {}", show(&written.client), show(&written.client_key), arguments.spiffe_id);
            println!("revocation  {}", show(&written.crl));
            println!("\nFor development: they expire in 14 days, and the authority's key lies beside them.");
            Exit::Yes
        }
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Failed
        }
    }
}

fn write(arguments: &Arguments, client: SpiffeId) -> Result<mint::Written, mint::Error> {
    let gateway_names =
        arguments.names.iter().map(|name| name.parse().map_or_else(|_| Name::Dns(name.clone()), Name::Ip)).collect();
    let wanted = Dev {
        client,
        gateway_names,
        validity: Validity::from(Timestamp::now(), LIFE)?,
        existing: if arguments.force { Existing::Replace } else { Existing::Refuse },
    };
    mint::dev(&arguments.out, &wanted)
}
